"""Text ↔ token ids of nano's prompted reader: one for each character of the alphabet, and one for each mark that a
prompt or answer may contain. Positions are written in digits.

Half-width characters keep their glyph ids, full-width ones follow in order, then come the MARKS, which are
DeepSeek-OCR's. It knows nothing of prompts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import UsageError
from microfiche.typesetting import alphabet
from microfiche.typesetting.alphabet import FULL, HALF, N_FULL, N_HALF, NO_GLYPH, glyphs

MARKS = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>")
END, BEGIN = alphabet.END, alphabet.FILL  #: end an answer and begin a sequence; no text contains their glyphs
SIZE = N_HALF + N_FULL + len(MARKS)
_MARK = re.compile("(" + "|".join(map(re.escape, MARKS)) + ")")
_TEXTS = (*HALF, *FULL, *MARKS)


def encode(text: str) -> NDArray[np.int64]:
    """Returns the ids of `text`. Raises UsageError, with the first one, for characters that are not in the alphabet."""
    parts = [
        np.array([N_HALF + N_FULL + MARKS.index(part)], np.int64) if part in MARKS else _characters(part)
        for part in _MARK.split(text)
    ]
    return np.concatenate(parts)


def decode(ids: Iterable[int]) -> str:
    """Returns the text of `ids`; END and BEGIN have none."""
    return "".join(_TEXTS[i] for i in ids if i not in (END, BEGIN))


def _characters(text: str) -> NDArray[np.int64]:
    ids = glyphs(text).astype(np.int64)
    unknown = np.flatnonzero(ids == NO_GLYPH)
    if len(unknown):
        raise UsageError(f"U+{ord(text[unknown[0]]):04X} is not in nano's alphabet")
    return np.where(ids < N_HALF, ids, N_HALF + (ids - N_HALF) // 2)
