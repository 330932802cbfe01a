"""The order in which the signs of a line are read, where some of them are written from right to left.

Knows only the signs as they stand, from left to right; after the Unicode Bidirectional Algorithm (UAX 9), turned about.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

RIGHT_TO_LEFT = ("R", "AL")
MIRRORED = str.maketrans("()[]{}<>«»‹›≤≥", ")(][}{><»«›‹≥≤")
#: Runs that are read from left to right in a line that is read from right to left: Latin words with all between them,
#: and numbers with their separators. L letter, E digit, c separator between any digits, s one between European digits
#: beside no Arabic letter, t sign of a number, n anything else.
WORDS = r"(?:t*E[Ecst]*n*)?L(?:[LEcstn]*[LE])?t*"
FORWARD = re.compile(rf"{WORDS}|t*E(?:[cst]?E)*t*")
AMONG_ARABIC = re.compile(rf"{WORDS}|E(?:c?E)*")
PHONE = re.compile(r"(\+|\(?0)[\d() /.-]{6,18}\d")
CARD = re.compile(r"\d{4}( \d{4}){2,}")
BACKWARD = re.compile(r"R[REcstn]*R|R")


def is_backward(sign: str) -> bool:
    """Whether a sign is a letter of a script that is written from right to left."""
    return bool(sign) and unicodedata.bidirectional(sign[0]) in RIGHT_TO_LEFT


def backward(signs: Sequence[str]) -> bool:
    """Whether most letters among `signs` are written from right to left."""
    right = sum(map(is_backward, signs))
    left = sum(bool(s) and unicodedata.bidirectional(s[0]) == "L" for s in signs)
    return right > left


def reading_order(signs: Sequence[str], from_right: bool) -> tuple[list[int], list[bool]]:
    """The indices of `signs`, which stand from left to right, in the order in which they are read, and for each of them
    whether it belongs to what is read from right to left, where brackets are mirrored.

    A space is a sign, too. `from_right` is the direction of the paragraph.
    """
    kinds = "".join(map(_kind, signs))
    order: list[int] = []
    mirrored: list[bool] = []
    if from_right:
        end = len(signs)
        for first, last in reversed(_forward(signs, kinds)):
            _backwards(order, mirrored, last, end)
            order += range(first, last)
            mirrored += [False] * (last - first)
            end = first
        _backwards(order, mirrored, 0, end)
        return order, mirrored
    start = 0
    for match in BACKWARD.finditer(kinds):
        order += range(start, match.start())
        mirrored += [False] * (match.start() - start)
        inner, flags = reading_order(signs[match.start() : match.end()], True)
        order += [match.start() + i for i in inner]
        mirrored += flags
        start = match.end()
    order += range(start, len(signs))
    mirrored += [False] * (len(signs) - start)
    return order, mirrored


def _forward(signs: Sequence[str], kinds: str) -> list[tuple[int, int]]:
    """The ends of the runs of `signs` that are read from left to right though their line is not."""
    arabic = any(unicodedata.bidirectional(sign[0]) == "AL" for sign in signs if sign)
    found = [match.span() for match in (AMONG_ARABIC if arabic else FORWARD).finditer(kinds)]
    text = "".join(sign[:1] or " " for sign in signs)
    whole = [match.span() for pattern in (PHONE, CARD) for match in pattern.finditer(text)]
    for first, last in whole:  # written from the left, whatever stands between its numbers
        if not any(a < first < b or a < last < b for a, b in found):
            found = [span for span in found if not (first <= span[0] and span[1] <= last)] + [(first, last)]
    return sorted(found)


def _backwards(order: list[int], mirrored: list[bool], start: int, end: int) -> None:
    order += reversed(range(start, end))
    mirrored += [True] * (end - start)


def _kind(sign: str) -> str:
    match unicodedata.bidirectional(sign[0]) if sign else "":
        case "L":
            return "L"
        case "R" | "AL":
            return "R"
        case "EN" | "AN":
            return "E"
        case "CS":
            return "c"
        case "ES":
            return "s"
        case "ET":
            return "t"
        case _:
            return "n"
