"""The strip between two pieces of a row: whether it is a wide space, parts columns, or lies between what is read row by
row, such as a label and its value, or a year and what happened then.

Knows nothing of how pieces are found; all is measured in the size of their type.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.inline import unmarked
from microfiche.documents.text_lines import TICKS, TextLine, letters
from microfiche.page import Box

LEVEL = 0.3  #: ems that the middles of two pieces of one row differ at most
NEAR = 8.0  #: ems that lines of one column begin apart, at most
EDGE = 0.3  #: of the width of entries, that of dates and places beside them, at most
LABELS = 0.45  #: of the width of labels and what is said of them, that of labels before a rule, at most
BLANK = 2.5  #: ems without a line that end a gap
APART = 3.0  #: ems between two addresses side by side, at least
SHORT = 40  #: characters of a line of an address, at most
DATED = 28  #: letters of a place or a date at the edge of a CV
PROSE = 18  #: characters of a line of running text, at least; a letter as wide as it is high counts twice
WIDEST_SPACE = 2.6  #: ems between two words of a justified line, at most
LEADER = re.compile(r"(\.\s?){5,}|…{2,}|_{4,}|\S … (?:\d{1,4}|[ivxlc]{1,6})$")
ENTRY = re.compile(r"(?:(?:\.\s?){5,}|…{2,}|_{4,}|\S …)\s*(?:\d{1,4}|[ivxlc]{1,6})$")  #: of contents
ENTRIES, LEAST = 3, 6.0  #: lines of a column of contents, and ems to where the next one ends, at least
ITEM = re.compile(r"[•◦▪‣●○■□▶►▸➢➤]\s*\w")  #: an item of a list
NUMBER = re.compile(r"[(\[]?(\d{1,3})[.)\]]\s")  #: of an item of a list
ENDED = re.compile(r"[.!?:;。][\"'”’»)\]]*$")
FLOWING = 0.3  #: of the lines beside others, those that go on in a sentence, where one of the two is running text
DIGIT = re.compile(r"\d")
VALUE = re.compile(r"[\d£$€¥%]")


@dataclass
class Gap:
    """The strip between two pieces of a row, and the lines to its `left` and its `right`; `pairs` stand in one row.
    `ends` are the lines of like type that cross it at its two ends, each with what stands beside it, `others` those of
    smaller type that stand below on either side."""

    left: list[TextLine]
    right: list[TextLine]
    pairs: list[tuple[TextLine, TextLine]] = field(default_factory=list)
    ends: list[list[TextLine]] = field(default_factory=list)
    others: tuple[list[TextLine], list[TextLine]] = field(default_factory=lambda: ([], []))


def contents_edges(lines: Sequence[TextLine]) -> list[float]:
    """Where the columns of a table of contents end that has several: at the page numbers behind dots, if more lines
    with dots stand to their right."""
    dotted = [x for x in lines if LEADER.search(x.text)]
    out: list[float] = []
    for line in sorted((x for x in dotted if ENTRY.search(unmarked(x.text))), key=lambda x: x.box[2]):
        edge, slack = line.box[2], 0.3 * line.size
        if out and edge - out[-1] < slack:
            continue
        ending = sum(abs(x.box[2] - edge) < slack for x in dotted)
        if ending >= ENTRIES and sum(x.box[2] > edge + LEAST * x.size for x in dotted) >= ENTRIES:
            out.append(edge)
    return out


def is_river(gap: Gap) -> bool:
    """Whether a gap is no more than wide spaces within justified lines, as lines above and below cross it."""
    size, tall = gap.left[0].size, max(_levels(gap.left), _levels(gap.right))
    spaces = [y.box[0] - x.box[2] for x, y in gap.pairs]
    widest = max(spaces)
    if min(spaces) < 0.1 * size:
        return False  # recognised lines of two columns
    if not gap.ends or widest > 3 * WIDEST_SPACE * size:
        return False
    if tall == 1 and widest < WIDEST_SPACE * size:
        return True
    left, right = min(x.box[0] for x in gap.left), max(y.box[2] for y in gap.right)
    ends = [union(x.box for x in row if x is row[0] or (left - size < x.box[0] and x.box[2] < right + size))
            for row in gap.ends]
    frames = [end[0] < left + 0.5 * size and end[2] > right - 0.5 * size for end in ends]
    rights: list[float] = []  # of each row
    for k, y in enumerate(gap.right):
        if k and y.middle - gap.right[k - 1].middle <= LEVEL * size:
            rights[-1] = max(rights[-1], y.box[2])
        else:
            rights.append(y.box[2])
    ragged = sum(all(abs(right - end[2]) > 0.5 * size for end in ends) for right in rights)
    if tall == 1:
        return any(frames) and not ragged
    if len(frames) == 1:
        return all(frames) and tall < 5 and not ragged and not any(_value(y.text) for _, y in gap.pairs)
    return all(frames) and (tall < 4 or (tall < 9 and ragged <= 0.25 * len(rights)))


def _levels(lines: Sequence[TextLine]) -> int:
    """How many rows lines that come from the top stand in."""
    return 1 + sum(b.middle - a.middle > LEVEL * a.size for a, b in pairwise(lines))


def _together(gap: Gap) -> bool:
    """Whether what stands on both sides of a gap is read row by row."""
    left, right, pairs = _level(gap.left, gap.right), _level(gap.right, gap.left), gap.pairs
    if len(left) <= 1 and len(right) <= 1:
        (a, b), *_ = pairs
        if _prose(gap.left) or _prose(gap.right):  # only one of its lines is level with what is beside it
            return False
        heads = all(gap.others) and not _value(b.text)  # each of what stands below it
        return not heads and max(a.size, b.size) < 1.25 * min(a.size, b.size)
    if not left or not right or len(pairs) < 0.75 * min(len(left), len(right)) or (_prose(left) and _prose(right)):
        return False

    if sum(bool(ITEM.match(b.text)) for _, b in pairs) >= 0.5 * len(pairs):
        return False  # a list in a column of its own
    if _flows_on([a for a, _ in pairs], gap.left) or _flows_on([b for _, b in pairs], gap.right):
        return False  # as an abstract beside dates and keywords
    if all(line.fixed for line in (*left, *right)):
        return True

    def most(signs: Sequence[bool], share: float = 0.6) -> bool:
        return sum(signs) >= share * len(pairs)

    if any(LEADER.search(a.text) for a, _ in pairs) and most([bool(VALUE.search(b.text)) for _, b in pairs]):
        return True
    if most([a.text.rstrip().endswith((":", "：")) for a, _ in pairs], 0.5):
        return True
    if addresses(left, right) and not most([a.bold and not b.bold for a, b in pairs]):
        return False
    if most([b.text.startswith(TICKS) for _, b in pairs]):  # a question, and its answers to tick
        return True
    if most([_value(b.text) for _, b in pairs]) or most([a.bold and not b.bold for a, b in pairs]):
        return True
    if _sparse(gap):
        return True
    if most([a.fixed and not b.fixed and _begins(b, right) for a, b in pairs]):  # options, and what each does
        return True
    if _ranged(right) and len(right) == len(pairs) and (
        len(pairs) < 3 or most([DIGIT.search(b.text) is not None for _, b in pairs], 0.4)
    ):
        return True
    if most([_value(a.text) and len(a.text) < 20 and not _worded(a.text) for a, _ in pairs]) and not _prose(left):
        return True
    wide = max(x.box[2] for x in left) - min(x.box[0] for x in left)
    whole = max(x.box[2] for x in right) - min(x.box[0] for x in left)
    near = min(b.box[0] - a.box[2] for a, b in pairs) < (NEAR if wide < 0.3 * whole else 0.5 * NEAR) * pairs[0][0].size
    if len(left) == len(pairs) and wide < 0.4 * whole and near:  # a label for each of what stands to the right
        return len(right) == len(pairs) or most([_begins(b, right) for _, b in pairs], 0.7)
    steps = [y[0].middle - x[0].middle for x, y in pairwise(pairs)]
    return len(left) == len(right) == len(pairs) >= 3 and min(steps) > 1.8 * pairs[0][0].size


def _flows_on(level: Sequence[TextLine], column: Sequence[TextLine]) -> bool:
    """Whether many of the lines of a `column` of running text that have others beside them go on in a sentence that
    the full line above them has begun."""
    if not _prose(column):
        return False
    right, left = max(x.box[2] for x in column), min(x.box[0] for x in column)
    full = right - 0.15 * (right - left)
    further = {
        id(y) for x, y in pairwise(column)
        if x.box[2] > full and not ENDED.search(unmarked(x.text)) and unmarked(y.text)[:1].islower()
    }
    return sum(id(x) in further for x in level) >= max(2, FLOWING * len(level))


def goes_across(gap: Gap, uprights: Sequence[Box]) -> bool:
    """Whether what stands on both sides of a gap is read row by row; `uprights` are upright rules."""
    return _together(gap) or _labelled(gap, uprights)


def _sparse(gap: Gap) -> bool:
    """Whether all that stands to the right is short, far from what is to the left and level with lines there, and skips
    some of them, as dates and places beside the entries of a CV do."""
    left, right, pairs = gap.left, gap.right, gap.pairs
    start, end = min(x.box[0] for x in left), max(x.box[2] for x in left)
    whole, apart = max(x.box[2] for x in right) - start, min(x.box[0] for x in right) - end
    if (
        len(pairs) < max(2, 0.85 * len(right)) or any(letters(x) > DATED for x in right)
        or (_prose(left) and apart < end - start)
        or max(x.box[2] for x in right) - min(x.box[0] for x in right) > EDGE * whole
        or any(b.box[0] - a.box[2] < APART * a.size for a, b in pairs)
    ):
        return False
    level = {id(a) for a, _ in pairs}
    first, last = pairs[0][0].middle, pairs[-1][0].middle
    return any(id(x) not in level and first < x.middle < last for x in left)


def _labelled(gap: Gap, uprights: Sequence[Box]) -> bool:
    """Whether an upright rule parts labels to its left, at most a line each, from what is said of them."""
    left, right, pairs = _level(gap.left, gap.right), gap.right, gap.pairs
    if len(pairs) < 2 or len(pairs) < 0.75 * len(left) or _prose(left):
        return False
    wide = max(x.box[2] for x in left) - min(x.box[0] for x in left)
    whole = max(x.box[2] for x in right) - min(x.box[0] for x in left)
    return wide < LABELS * whole and any(
        all(a.box[2] <= x <= b.box[0] and top < min(a.middle, b.middle) and max(a.middle, b.middle) < bottom
            for a, b in pairs)
        for x, top, _, bottom in uprights
    )


def _ranged(lines: Sequence[TextLine]) -> bool:
    """Whether short lines end at one place and begin at several, as places and dates at the edge of a CV do."""
    size = lines[0].size
    lefts, rights = [x.box[0] for x in lines], [x.box[2] for x in lines]
    return (
        len(lines) > 1 and max(rights) - min(rights) < 0.4 * size and max(lefts) - min(lefts) > 0.5 * size
        and all(letters(x) <= DATED for x in lines)
    )


def addresses(left: Sequence[TextLine], right: Sequence[TextLine]) -> bool:
    """Whether what stands beside each other are two addresses or the like: short lines, set closely from one left edge,
    each with words, and with numbers before some of these, after others, or in some lines alone."""
    if min(x.box[0] for x in right) - max(x.box[2] for x in left) < APART * left[0].size:
        return False
    for side in (left, right):
        size, start = side[0].size, side[0].box[0]
        texts = [unmarked(x.text) for x in side]
        if (
            len(side) < 3 or any(abs(x.box[0] - start) > 0.3 * size for x in side)
            or any(b.middle - a.middle > 1.8 * size for a, b in pairwise(side))
            or any(len(re.findall(r"[^\W\d_]", text)) < 3 or len(text) > SHORT for text in texts)
            or not any(map(DIGIT.search, texts)) or len(set(map(_number_at, texts))) == 1
        ):
            return False
    return True


def _number_at(text: str) -> tuple[bool, bool]:
    """Whether a text begins and whether it ends with a number."""
    return bool(DIGIT.match(text)), bool(DIGIT.match(text[-1:]))


def numbered_on(gap: Gap) -> bool:
    """Whether the items of a list are numbered on from the last to the left of a gap to the first to its right."""
    left, right = (
        [int(found[1]) for found in map(NUMBER.match, (unmarked(x.text) for x in side)) if found]
        for side in (gap.left, gap.right)
    )
    return len(left) > 1 and right[:1] == [left[-1] + 1] and all(b == a + 1 for a, b in pairwise(left))


def heads_apart(gap: Gap, solid: Sequence[Box]) -> bool:
    """Whether two lines side by side are each the head of a table or a figure of its own."""
    if len(gap.left) > 1 or len(gap.right) > 1:
        return False
    under = [
        {
            k for k, box in enumerate(solid)
            if -0.5 < (box[1] - line.box[3]) / line.size < BLANK and box[0] < line.box[2] and line.box[0] < box[2]
        }
        for line in (gap.left[0], gap.right[0])
    ]
    return bool(under[0] and under[1]) and under[0].isdisjoint(under[1])


def _level(lines: Sequence[TextLine], others: Sequence[TextLine]) -> list[TextLine]:
    """The lines beside which any of the others stands, wholly or in part."""
    spans = sorted((y.box[1], y.box[3]) for y in others)
    tops = [top for top, _ in spans]
    bottoms = list(accumulate((bottom for _, bottom in spans), max))  # the lowest of those so far
    out = []
    for x in lines:
        count = bisect_left(tops, x.box[3] - 0.2 * x.size)
        if count and bottoms[count - 1] > x.box[1] + 0.2 * x.size:
            out.append(x)
    return out


def _begins(line: TextLine, column: Sequence[TextLine]) -> bool:
    """Whether a paragraph of its column may begin with `line`."""
    before = [x for x in column if x.middle < line.middle - LEVEL * line.size]
    if not before:
        return True
    last = before[-1]
    ends = max(x.box[2] for x in column)
    return (
        line.middle - last.middle > 1.6 * line.size
        or last.text.endswith((".", "!", "?", ":", "。"))
        or last.box[2] < ends - 0.25 * (ends - line.box[0])
    )


def _value(text: str) -> bool:
    """Whether a text is a number, a date or an amount rather than words."""
    seen = unmarked(text)
    signs = sum(c.isdigit() or c in "£$€¥%.,/:-–+() " for c in seen)
    few = sum(c.isdigit() for c in seen) > 0.15 * len(seen) and len(seen) < 16 and len(seen.split()) <= 3
    return bool(VALUE.search(seen)) and (signs > 0.5 * len(seen) or few)


def _worded(text: str) -> bool:
    return sum(c.isalpha() for c in text) > sum(c.isdigit() for c in text)  # as a town after its postcode


def _prose(lines: Sequence[TextLine]) -> bool:
    """Whether lines of one column are running text: three at least, long, and most as long as the column is wide."""
    if len(lines) < 3 or median(map(letters, lines)) < PROSE:
        return False
    right, left = max(x.box[2] for x in lines), min(x.box[0] for x in lines)
    full = sum(x.box[2] > right - 0.15 * (right - left) for x in lines)
    return full >= 0.5 * len(lines)
