"""How letters are compared when something is looked for or forgotten: without capitals, accents and points, each form
of a letter as its plain one, and with nothing that cannot be seen.

What is compared is made of each character by itself, so that every place in it has a place in the text. This module
knows nothing of words.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
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
_LOOKED_AT = ((0x80, 0x3400), (0xA000, 0xAC00), (0xF900, 0x20000), (0xE0000, 0xE0200))  #: where letters may change
_RESIZED, _MARK, _JAMO, _RUNS_ON, _MARK_THERE = 1, 2, 3, 4, 5  #: kinds of characters; the last two run on
_RUNNING_ON = re.compile(f"[{SYLLABLES}{ALPHABETS}]")


def compared(text: str) -> str:
    """A text as it is compared."""
    return text.lower() if text.isascii() else _compared(text)[0]


def compared_with_places(text: str) -> tuple[str, NDArray[np.int64]]:
    """A text as it is compared, and (T + 1,) where in the text each of its characters begins."""
    if text.isascii():
        return text.lower(), np.arange(len(text) + 1)
    low, points, places, resized = _compared(text)
    places = np.arange(len(points) + 1) if places is None else places
    if resized:
        lengths = np.ones(len(points) + 1, np.int64)
        for letter in resized:
            lengths[:-1][points == ord(letter)] = len(_plain_of(letter))
        places = np.repeat(places, lengths)
    return low, places


def _compared(text: str) -> tuple[str, NDArray[np.uint32], NDArray[np.int64] | None, list[str]]:
    """A text as it is compared, the characters of what that was made from, its places where it is not the text, and
    which of its letters are compared as none or several."""
    points, places = _points(text), None
    kinds = _kinds().take(points, mode="clip")
    if (kinds == _JAMO).any():
        whole, places = composed_with_places(text)
        points = _points(whole)
        kinds = _kinds().take(points, mode="clip")
    low = _text(_plain().take(points, mode="clip"))
    resized = list(map(chr, sorted(set(points[kinds == _RESIZED].tolist()))))
    for letter in resized:
        low = low.replace(letter, _plain_of(letter))
    return low, points, places, resized


def signs_apart(text: str) -> str:
    """A text, as it is compared, with spaces around each sign of scripts without spaces: a letter with its marks."""
    if text.isascii():
        return text
    points = _points(text)
    kinds = _kinds().take(points, mode="clip")
    running = (kinds == _RUNS_ON) | (kinds == _MARK_THERE)
    if not running.any():
        return text
    marks = (kinds == _MARK) | (kinds == _MARK_THERE)
    letter = np.maximum.accumulate(np.where(marks, -1, np.arange(len(points))))  # that each mark belongs to
    inside = running[letter] & (letter >= 0)
    before = (running & ~marks) | (np.append(False, inside[:-1]) & ~inside)
    apart = np.full(len(points) + int(before.sum()), ord(" "), np.uint32)
    apart[np.arange(len(points)) + np.cumsum(before)] = points
    return _text(apart)


def runs_on(text: str) -> bool:
    """Whether a text holds letters of scripts without spaces between words."""
    return bool(_RUNNING_ON.search(text))


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _text(points: NDArray[np.uint32]) -> str:
    return points.tobytes().decode("utf-32-le", "surrogatepass")


@cache
def _kinds() -> NDArray[np.uint8]:
    """(1114112,) the kind of each character, 0 for most."""
    kinds = np.zeros(0x110000, np.uint8)
    for first, last in re.findall("(.)-(.)", SYLLABLES + ALPHABETS):
        kinds[ord(first) : ord(last) + 1] = _RUNS_ON
    for letter in _looked_at():
        if len(_plain_of(letter)) != 1:
            kinds[ord(letter)] = _RESIZED
        elif category(letter)[0] == "M":
            kinds[ord(letter)] = _MARK_THERE if kinds[ord(letter)] else _MARK
    kinds[0x1100:0x1200] = _JAMO
    return kinds


@cache
def _plain() -> NDArray[np.uint32]:
    """(1114112,) what each character is compared as, itself where that is none or several."""
    plain = np.arange(0x110000, dtype=np.uint32)
    plain[ord("A") : ord("Z") + 1] += 32
    for letter in _looked_at():
        if len(_plain_of(letter)) == 1:
            plain[ord(letter)] = ord(_plain_of(letter))
    return plain


@cache
def _looked_at() -> list[str]:
    """The characters that may change or be marks."""
    every = (letter for first, behind in _LOOKED_AT for letter in map(chr, range(first, behind)))
    return [letter for letter in every if category(letter) != "Cn"]


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
