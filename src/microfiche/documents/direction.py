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
#: and numbers with their separators. L letter, E digit, s separator, t sign of a number, n anything else.
FORWARD = re.compile(r"(?:t*E[Est]*)?L(?:[LEstn]*[LE])?t*|t*E(?:[st]?E)*t*")
BACKWARD = re.compile(r"R(?:[Rstn]|E[Est]*)*R|R")


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

    `from_right` is the direction of the paragraph.
    """
    kinds = "".join(map(_kind, signs))
    order: list[int] = []
    mirrored: list[bool] = []
    if from_right:
        end = len(signs)
        for match in reversed(list(FORWARD.finditer(kinds))):
            _backwards(order, mirrored, match.end(), end)
            order += range(match.start(), match.end())
            mirrored += [False] * (match.end() - match.start())
            end = match.start()
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
        case "ES" | "CS":
            return "s"
        case "ET":
            return "t"
        case _:
            return "n"
