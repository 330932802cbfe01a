"""What the codes of fonts without a name are, as of the bitmaps that TeX makes where it has no outlines: such a font
says nothing of its signs, and its codes follow one of TeX's two encodings of text.

Source: the encodings OT1 and T1 (F. Mittelbach et al., LaTeX font encodings, 2021, tables 1 and 2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.sheet import Font

#: Where T1 differs from Latin-1.
T1 = dict(enumerate(
    "ĂĄĆČĎĚĘĞĹĽŁŃŇŊŐŔŘŚŠŞŤŢŰŮŸŹŽŻĲİđ§ăąćčďěęğĺľłńňŋőŕřśšşťţűůÿźžżĳ¡¿£", 0x80
)) | dict(zip(
    (*range(0x0D, 0x17), *range(0x19, 0x20), 0x27, 0x60, 0xD7, 0xDF, 0xF7, 0xFF), "‚‹›“”„«»–—ıȷﬀﬁﬂﬃﬄ’‘Œẞœß",
    strict=True,
))  # fmt: skip
#: Where OT1 differs from ASCII, but for what typewriter fonts have.
OT1 = dict(zip(
    (*range(0x0B, 0x11), *range(0x19, 0x20), 0x22, 0x27, 0x3C, 0x3E, 0x5C, 0x60, 0x7B, 0x7C),
    "ﬀﬁﬂﬃﬄıßæœøÆŒØ”’¡¿“‘–—", strict=True,
))  # fmt: skip
T1_LIGATURES, OT1_LIGATURES = frozenset(range(0x1B, 0x20)), frozenset(range(0x0B, 0x10))
WORD = re.compile(b"[a-z]{3}")  #: a font without one may be of mathematics
ACCENTED = 0xC0  #: codes from here on are letters, of which fonts of mathematics have none
BESIDE = 0.5  #: the share of ligatures that stand beside a small letter, at least


def decode_text(
    codes: NDArray[np.int64], unmapped: NDArray[np.bool_], font: NDArray[np.int64], fonts: Sequence[Font]
) -> None:
    """Gives the `unmapped` (T,) codes of text in fonts without names their characters, in place; `font` (T,) is the
    number of each character's font among `fonts`, -1 for none."""
    nameless = unmapped & (font >= 0) & np.array([not one.name for one in fonts] + [False])[font]
    if not nameless.any():
        return
    texts = []
    for number in np.unique(font[nameless]).tolist():
        own = nameless & (font == number)
        letters = np.where(own & (codes < 0x80), codes, 0x20).astype(np.uint8).tobytes()
        if WORD.search(letters) or (codes[own] >= ACCENTED).any():
            texts.append(own)
    eight = any(bool((codes[own] >= 0x80).any()) for own in texts)
    old = not eight and any(_has(codes, own, OT1_LIGATURES) for own in texts)
    for own in texts:
        if eight or (not old and _has(codes, own, T1_LIGATURES)):
            _replace(codes, own, T1)
        elif _has(codes, own, OT1_LIGATURES):
            _replace(codes, own, OT1)


def _has(codes: NDArray[np.int64], own: NDArray[np.bool_], ligatures: frozenset[int]) -> bool:
    """Whether a font has some of the codes of ligatures, most of which stand beside small letters."""
    at = np.flatnonzero(own & np.isin(codes, list(ligatures)))
    small = own & (codes >= 0x61) & (codes <= 0x7A)
    beside = small[np.maximum(at - 1, 0)] | small[np.minimum(at + 1, len(codes) - 1)]
    return len(at) > 0 and float(beside.mean()) >= BESIDE


def _replace(codes: NDArray[np.int64], own: NDArray[np.bool_], table: dict[int, str]) -> None:
    codes[own] = [ord(table[code]) if code in table else code for code in codes[own].tolist()]
