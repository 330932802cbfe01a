"""How letters are compared when something is looked for or forgotten: without capitals, accents and points, each form
of a letter as its plain one, and with nothing that cannot be seen.

What is compared is made of each character by itself, so that every place in it has a place in the text. This module
knows nothing of words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any
from unicodedata import category, combining, decomposition, digit, lookup, name, normalize

import numpy as np
from numpy.typing import NDArray

from microfiche.sources import composed_with_places

#: Letters of scripts that put no spaces between words, or, as Korean, particles at their ends: Chinese, Japanese,
#: Korean; and those whose letters are an alphabet: Thai, Lao, Burmese, Khmer, Tai Lue.
CHINESE = "\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
SYLLABLES = f"{CHINESE}\u3040-\u30ff\u31f0-\u31ff\uac00-\ud7a3"
ALPHABETS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f"
#: Letters that are none with something added by Unicode's account, and signs that are written for one another.
_OWN = {
    "\u00e6": "ae", "\u0153": "oe", "\u00f0": "d", "\u00fe": "th", "\u0131": "i", "\u014b": "n", "\u0138": "k",
    "\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643", "\u06c1": "\u0647", "\u06d5": "\u0647",
    "\u0629": "\u0647", "\u0640": "", "\u02be": "", "\u02bf": "",
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bb\u02bc\u02b9\u2032\u00b4", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"'), "\u2212": "-", "\u2011": "-",
}  # fmt: skip
_LOOKED_AT = ((0, 0x3400), (0xA000, 0xAC00), (0xF900, 0x20000), (0xE0000, 0xE0200))  #: where letters may change
_MARK, _RUNS_ON, _MARK_THERE = 1, 2, 3  #: kinds of characters; marks of scripts that run on are the last
_RUNNING = re.findall("(.)-(.)", SYLLABLES + ALPHABETS)
_JAMO = (0x1100, 0x1200)  #: parts of Korean syllables
_RESIZED = np.uint32(1 << 31)


def compared(text: str) -> str:
    """A text as it is compared, in small letters."""
    return text.lower() if text.isascii() else _compared(text)[0]


def compared_with_places(text: str) -> tuple[str, NDArray[np.int64]]:
    """A text as it is compared, and (T + 1,) where in the text each of its characters begins."""
    if text.isascii():
        return text.lower(), np.arange(len(text) + 1)
    low, resized, sizes, composed_from = _compared(text)
    steps = np.ones(len(low) + 1, np.int64)  # from each character's place to that of the next
    steps[0] = 0
    begins = resized + np.cumsum(sizes) - sizes - np.arange(len(sizes))  # each of the resized letters, in `low`
    longer = sizes > 1
    stays = np.repeat(begins[longer], sizes[longer] - 1)
    steps[stays + _within(sizes[longer] - 1) + 1] = 0
    np.add.at(steps, begins[sizes == 0], 1)
    places = np.cumsum(steps)
    return low, places if composed_from is None else composed_from[places]


def _within(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 to n − 1 for each of the sizes n, one after another."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def signs_apart(text: str) -> str:
    """A text, as it is compared, with spaces around each sign of scripts without spaces: a letter with its marks."""
    if text.isascii():
        return text
    points = _points(text)
    kinds = _kinds().take(points)
    running = (kinds == _RUNS_ON) | (kinds == _MARK_THERE)
    if not running.any():
        return text
    marks = (kinds == _MARK) | (kinds == _MARK_THERE)
    letter = np.maximum.accumulate(np.where(marks, -1, np.arange(len(points))))  # that each mark belongs to
    inside = running[letter] & (letter >= 0)
    before = (running & ~marks) | (np.append(False, inside[:-1]) & ~inside)
    apart = np.full(len(points) + int(before.sum()), ord(" "), np.uint32)
    apart[np.arange(len(points)) + np.cumsum(before)] = points
    return _text_of(apart)


def runs_on(text: str) -> bool:
    """Whether a text holds letters of scripts without spaces between words."""
    return not text.isascii() and bool((_kinds().take(_points(text)) >= _RUNS_ON).any())


def _compared(
    text: str,
) -> tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None]:
    """A text as it is compared; where, in the text as it is composed, letters stand that are compared as none or as
    several, and as how many each; and the places of what is composed, None where it is the text itself."""
    points, places = _points(text), None
    if ((points - _JAMO[0]) < _JAMO[1] - _JAMO[0]).any():
        text, places = composed_with_places(text)
        points = _points(text)
    plain = _plain().take(points)
    resized = np.flatnonzero(plain >= _RESIZED)
    if not len(resized):
        return _text_of(plain), resized, resized, places
    plain[resized] ^= _RESIZED
    low = _text_of(plain)
    letters, which = np.unique(plain[resized], return_inverse=True)
    parts = [_plain_of(chr(letter)) for letter in letters.tolist()]
    for letter, part in zip(letters.tolist(), parts, strict=True):
        low = low.replace(chr(letter), part)
    return low, resized, np.array([len(part) for part in parts])[which], places


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _text_of(points: NDArray[np.uint32]) -> str:
    return points.tobytes().decode("utf-32-le", "surrogatepass")


class _Table:
    """Numbers of all characters. Those that are not `known` from the start are found out by `of` when a text first
    holds them."""

    def __init__(self, known: NDArray[Any], of: Callable[[str], int]) -> None:
        self._numbers, self._of, self._unknown = known, of, np.iinfo(known.dtype).max
        for first, behind in _LOOKED_AT:
            known[first:behind] = self._unknown

    def take(self, points: NDArray[np.uint32]) -> NDArray[Any]:
        """(T,) the numbers of (T,) characters."""
        found = self._numbers.take(points, mode="clip")
        if (unknown := found == self._unknown).any():
            for point in np.unique(points[unknown]).tolist():
                self._numbers[point] = self._of(chr(point))
            found = self._numbers.take(points, mode="clip")
        return found


@cache
def _plain() -> _Table:
    """What each character is compared as, in small letters; of one that is compared as none or as several, itself and
    _RESIZED."""

    def of(letter: str) -> int:
        made = _plain_of(letter)
        return ord(made) if len(made) == 1 else ord(letter) | int(_RESIZED)

    return _Table(np.arange(0x110000, dtype=np.uint32), of)


@cache
def _kinds() -> _Table:
    """The kind of each character, 0 for most."""
    kinds = np.zeros(0x110000, np.uint8)
    for first, last in _RUNNING:
        kinds[ord(first) : ord(last) + 1] = _RUNS_ON

    def of(letter: str) -> int:
        if _plain_of(letter) != letter:
            return 0
        runs = any(first <= letter <= last for first, last in _RUNNING)
        if category(letter)[0] == "M":
            return _MARK_THERE if runs else _MARK
        return _RUNS_ON if runs else 0

    return _Table(kinds, of)


@cache
def _plain_of(letter: str) -> str:
    """What a character is compared as."""
    kind = category(letter)
    if letter in _OWN:
        return _OWN[letter]
    if kind == "Cf" or "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef":
        return ""
    if kind == "Nd":
        return str(digit(letter))
    if kind in ("Pd", "Zs"):
        return "-" if kind == "Pd" else " "
    if kind[0] not in "LNM" or decomposition(letter).startswith("<fraction>"):
        return letter.lower()
    plain = "".join(map(_bare, normalize("NFKD", letter.casefold())))
    return plain if plain == letter else "".join(map(_plain_of, plain))


def _bare(part: str) -> str:
    """A part of a letter that was taken apart without what was added to it; empty for a mark that is left out."""
    if category(part)[0] == "M":
        return "" if combining(part) == 1 or 10 <= combining(part) <= 36 or combining(part) >= 200 else part
    plain, _, more = name(part, "").partition(" WITH ")
    if more and category(part)[0] == "L":
        with suppress(KeyError):
            part = lookup(plain)
    return _OWN.get(part, part).casefold()
