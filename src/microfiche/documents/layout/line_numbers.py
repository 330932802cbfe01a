"""Line numbers in a margin, as manuscripts, court papers and editions have them, which are no part of the text.

A column of numbers that rise evenly is one of line numbers if it counts the lines of what stands beside it. What a list
or a table numbers is something else: its items are no lines that read on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.inline import unmarked
from microfiche.documents.layout.gaps import LEADER
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

NUMBER = re.compile(r"\d\s?\d?\s?\d?\s?\d?$")
MISREAD = re.compile(r"[\dIliJsSoOBzZg|]{1,3}\s+(?=\S)")  #: a number that was recognised as letters before its line
LEADING, TRAILING = re.compile(r"(\d{1,4})\s+(?=\S)"), re.compile(r"(?<=\S)\s+(\d{1,4})$")
ENDED = re.compile(r"[.!?:;。]['\"”’»)\]]*$")
LEVEL = 0.5  #: ems between the middles of a number and its line, at most
EDGE = 0.5  #: ems by which the edges of the numbers of one column differ, at most
FAR = 9.0  #: ems from the numbers to the lines that they count, at most; indents and centred lines may be farther
NEAR = 0.3  #: ems between a number and its line, at least
CLOSE = 0.7  #: ems between two digits of one number, at most
DIGIT = 0.5  #: ems that a digit is wide
STEPS = (1, 2, 3, 4, 5, 10)
CROWDED = 1500  #: lines of a page on which nothing is looked for
FEW = 5  #: numbers that count every line, at least
ALIKE = 0.15  #: of their size, by which the type of the numbers of one column differs, at most
TINY, BASELINE = 0.75, 0.25  #: of the type of lines that are no code: smaller numbers on their baseline count them
LISTED = 3  #: numbers that count the lines of code, at least
SMALL, MANY = 0.85, 6  #: of the type of the lines: smaller numbers count lines if there are so many
LIKELY = 0.3  #: of the numbers of one edge that rise by one step, at least
RISING = 0.7  #: of the steps from number to number that are as they should be, at least; others may be misread
LONG = 25  #: characters of a line that is full, at least
FULL = 0.7  #: of the widest line, the width of one that is full
FLOWING = 0.1  #: of the lines that go on in the next, at least, and …
FLOWS = 2  #: … how many
MOST = 400  #: numbers of a column that is looked at


@dataclass(frozen=True)
class _Number:
    """A number of a column: its value and box, the line that it is or stands in, and whether it is all of that line;
    `rest` are its other digits, where they were recognised one by one."""

    value: int
    box: Box
    line: TextLine
    alone: bool
    rest: tuple[TextLine, ...] = ()

    @property
    def middle(self) -> float:
        return (self.box[1] + self.box[3]) / 2


def without_numbers(lines: Sequence[TextLine]) -> tuple[list[TextLine], list[list[TextLine]]]:
    """The lines of a page without the numbers that count them, and these numbers, each column from its top."""
    left = list(lines)
    columns: list[list[TextLine]] = []
    if len(lines) > CROWDED:
        return left, columns
    for before in (True, False):  # to the left of the lines, to their right
        for column in _columns(_numbers(left, before), before):
            counted = _counted(column, left, before)
            if counted is None:
                continue
            own = {id(line): number for number in column for line in (number.line, *number.rest)}
            stray = [line for line in left if id(line) not in own and _stray(line, column, counted)]
            gone = {id(line) for line in stray}
            columns.append(sorted(
                [*stray, *(replace(n.line, text=str(n.value), box=n.box, gaps=()) for n in column)],
                key=lambda line: line.middle,
            ))
            kept = [x for x in left if id(x) not in gone and not (id(x) in own and own[id(x)].alone)]
            left = [
                _bare(own[id(x)], before) if id(x) in own else _mended(x, column) if before else x for x in kept
            ]
    return left, columns


def _numbers(lines: Sequence[TextLine], before: bool) -> list[_Number]:
    """What may be a line number: a number by itself, or with which a line that was recognised begins or ends."""
    out: list[_Number] = []
    for line in sorted(lines, key=lambda x: x.box[0]):
        text = unmarked(line.text).strip()
        if NUMBER.match(text):
            before_it = out if line.confidence < 1 else []
            last = next((k for k, other in enumerate(before_it) if _follows(line, other)), None)
            if last is not None:
                other = out[last]
                value = int(f"{other.value}{''.join(text.split())}")
                out[last] = _Number(value, union([other.box, line.box]), other.line, True, (*other.rest, line))
                continue
            out.append(_Number(int("".join(text.split())), line.box, line, True))
            continue
        match = (LEADING.match if before else TRAILING.search)(text)
        if match and (edge := _edge(line, len(match[1]), before)):
            left, top, right, bottom = line.box
            box = (left, top, edge, bottom) if before else (edge, top, right, bottom)
            out.append(_Number(int(match[1]), box, line, False))
    return out


def _follows(line: TextLine, number: _Number) -> bool:
    """Whether the digits of a line that was recognised stand close behind a number, as the rest of it does."""
    gap = (line.box[0] - number.box[2]) / line.size
    level = abs(line.middle - number.middle) < 0.3 * line.size
    return number.alone and level and -0.2 < gap < CLOSE and number.value < 1000


def _edge(line: TextLine, digits: int, before: bool) -> float | None:
    """Where the number ends with which a line begins, or begins with which it ends; None if no wide space is there."""
    width, slack = DIGIT * line.size * digits, EDGE * line.size
    near = [
        gap for gap in line.gaps
        if (gap[0] < line.box[0] + width + slack if before else gap[1] > line.box[2] - width - slack)
    ]
    if near:
        return near[0][0] if before else near[-1][1]
    if line.confidence == 1:
        return None
    return line.box[0] + width if before else line.box[2] - width


def _columns(numbers: Sequence[_Number], before: bool) -> list[list[_Number]]:
    """The numbers in columns of one edge whose values rise evenly from the top, the longest first."""
    found: list[list[_Number]] = []
    for side in (2, 0):  # right-aligned, left-aligned
        ordered = sorted(numbers, key=lambda n: n.box[side])
        ends = [k for k, (a, b) in enumerate(pairwise(ordered), 1) if b.box[side] - a.box[side] > EDGE * a.line.size]
        for start, stop in zip([0, *ends], [*ends, len(ordered)], strict=True):
            column = sorted(ordered[start:stop], key=lambda n: n.middle)
            found += _runs(column)
    out: list[list[_Number]] = []
    taken: set[int] = set()
    for column in sorted(found, key=len, reverse=True):
        if not any(id(number.line) in taken for number in column):
            out.append(column)
            taken.update(id(number.line) for number in column)
    return out


def _runs(column: Sequence[_Number]) -> list[list[_Number]]:
    """The parts of a column in which the values rise evenly, but for a few that were misread."""
    if len(column) < 2:
        return []
    step = _step(column)
    if sum(b.value - a.value == step for a, b in pairwise(column)) < LIKELY * len(column):
        return []
    pitch = median(b.middle - a.middle for a, b in pairwise(column))
    best: list[_Number] = []
    for begin in range(len(column) if len(column) <= MOST else 0):  # the longest chain that fits the first of them
        run = [column[begin]]
        for number in column[begin + 1 :]:
            ahead, off = divmod(number.value - run[-1].value, step)
            alike = number.line.confidence < 1 or abs(number.line.size - run[-1].line.size) < ALIKE * number.line.size
            if alike and ahead > 0 and off == 0 and (ahead <= 3 or _as_far(run[-1], number, ahead, pitch)):
                run.append(number)
        if len(run) > len(best):
            best = run
        if len(best) >= len(column) - begin:
            break
    aheads = [(a, b, (b.value - a.value) // step) for a, b in pairwise(best)]
    even = sum(ahead == 1 or _as_far(a, b, ahead, pitch) for a, b, ahead in aheads)
    if len(best) < 2:
        return []
    first, last = column.index(best[0]), column.index(best[-1])
    others = [*_runs(column[:first]), *_runs(column[last + 1 :])]
    return [best, *others] if even >= RISING * (len(best) - 1) else others


def _step(column: Sequence[_Number]) -> int:
    """By how much numbers rise from one to the next, mostly."""
    steps = [b.value - a.value for a, b in pairwise(column)]
    return max(STEPS, key=steps.count)


def _as_far(a: _Number, b: _Number, ahead: int, pitch: float) -> bool:
    """Whether two numbers stand as many steps of `pitch` px apart as the numbers between them need."""
    return abs((b.middle - a.middle) / max(1.0, pitch) - ahead) < 0.2 * ahead


def _counted(column: Sequence[_Number], lines: Sequence[TextLine], before: bool) -> list[TextLine] | None:
    """The lines that a column of numbers counts, from the top; None if it counts none."""
    own = {id(line) for number in column if number.alone for line in (number.line, *number.rest)}
    size = median(number.line.size for number in column)
    inner = max(n.box[2] for n in column) if before else min(n.box[0] for n in column)
    top, bottom = column[0].middle, column[-1].middle
    values = column[-1].value - column[0].value
    step = _step(column)
    first = top - (column[0].value - 0.5) * (bottom - top) / values if step > 1 else top - size
    free = [x for x in lines if id(x) not in own and (first < x.middle < bottom + size)]
    beside = [x for x in free if (x.box[2] > inner if before else x.box[0] < inner)]
    level = [y for n in column if (y := _level(n, beside, before)) is not None]
    fixed = bool(level) and sum(x.fixed for x in level) > 0.6 * len(level)
    if before and step == 1 and _listed(column, level, fixed):
        return level
    others = {id(n.line) for n in column}
    if any(_over(x, column, size) for x in beside if x.middle > top - size and id(x) not in others):
        return None
    if len(level) < 0.3 * len(column) or len(level) < 2:
        return None
    gaps = [x.box[0] - inner if before else inner - x.box[2] for x in level]
    if (step == 1 and min(gaps) > FAR * size) or (all(n.alone for n in column) and min(gaps) < NEAR * size):
        return None
    edges = min(x.box[0] for x in level), max(x.box[2] for x in level)
    its = _rows([x for x in beside if x.box[0] < edges[1] and x.box[2] > edges[0]])
    if step > 1:
        outside = [x for x in free if (x.box[2] <= inner if before else x.box[0] >= inner)]
        few = len(column) < FEW and any(_level(n, outside, before) is not None for n in column if n.alone)
        return its if not few and not _of_table(column, lines) and _counts_every(column, its, step) else None
    between = [
        sum(a.middle + 0.5 * size < x.middle < b.middle - 0.5 * size for x in its) - (b.value - a.value - 1)
        for a, b in pairwise(column)
    ]
    pitch = [b.middle - a.middle for a, b in pairwise(column)]
    even = max(pitch) - min(pitch) < 0.15 * median(pitch)
    if len(column) < FEW or (sum(n > 0 for n in between) > 0.2 * len(between) and not even):
        return None
    wide = max(x.box[2] - x.box[0] for x in level)
    flows = sum(_flows(a, b, wide) for a, b in pairwise(level))
    small = len(column) >= MANY and size < SMALL * median(x.size for x in level)
    dotted = any(LEADER.search(x.text) for x in level)
    return its if not dotted and (fixed or small or flows >= max(FLOWS, FLOWING * len(level))) else None


def _listed(column: Sequence[_Number], level: Sequence[TextLine], fixed: bool) -> bool:
    """Whether a column of numbers counts lines of code, with other text between: each but blank lines has one close
    behind it, and the numbers are in other type or smaller. Where the lines are not all in `fixed` type, the numbers
    are much smaller and stand on the lines' baselines, as those of footnotes do not."""
    size, usual = median(n.line.size for n in column), median(x.size for x in level) if level else 0.0
    if fixed:
        like_code = size < SMALL * usual or not any(n.line.fixed for n in column)
    else:
        feet = sorted(x.box[3] for x in level)
        low = sum(any(abs(y - n.box[3]) < BASELINE * usual for y in feet) for n in column)
        like_code = size < TINY * usual and len(column) >= FEW and low >= RISING * len(column)
    rising = sum(b.value - a.value == 1 for a, b in pairwise(column)) >= RISING * (len(column) - 1)
    enough = len(column) >= LISTED and len(level) >= RISING * len(column)
    return like_code and rising and enough and all(n.alone for n in column)


def _of_table(column: Sequence[_Number], lines: Sequence[TextLine]) -> bool:
    """Whether more pieces than one stand in most rows that are numbered, as the cells of a table do."""
    own = {id(line) for number in column for line in (number.line, *number.rest)}
    others = [x for x in lines if id(x) not in own]
    cells = [[x for x in others if abs(x.middle - n.middle) < LEVEL * x.size] for n in column]
    return sum(len(its) > 2 for its in cells) > 0.5 * len(column)


def _over(line: TextLine, column: Sequence[_Number], size: float) -> bool:
    """Whether a line lies over the strip in which the numbers stand."""
    left, right = min(n.box[0] for n in column), max(n.box[2] for n in column)
    return line.box[0] < left - 0.2 * size and line.box[2] > right + 0.2 * size


def _level(number: _Number, lines: Sequence[TextLine], before: bool) -> TextLine | None:
    """The line that is nearest to a number in its row."""
    if not number.alone:
        return number.line
    level = [x for x in lines if abs(x.middle - number.middle) < LEVEL * max(x.size, number.line.size)]
    return (min(level, key=lambda x: x.box[0]) if before else max(level, key=lambda x: x.box[2])) if level else None


def _rows(lines: Sequence[TextLine]) -> list[TextLine]:
    """One line for each row of lines, from the top, as wide as the row."""
    out: list[TextLine] = []
    for line in sorted(lines, key=lambda x: x.middle):
        if out and line.middle - out[-1].middle < LEVEL * min(line.size, out[-1].size):
            a, b = sorted([out[-1], line], key=lambda x: x.box[0])
            out[-1] = replace(max(a, b, key=lambda x: x.size), text=f"{a.text} {b.text}", box=union([a.box, b.box]))
        else:
            out.append(line)
    return out


def _counts_every(column: Sequence[_Number], rows: Sequence[TextLine], step: int) -> bool:
    """Whether just as many rows stand from number to number as they say, or, before the first of two, from the top."""
    at = []
    for number in column:
        near = [k for k, row in enumerate(rows) if abs(row.middle - number.middle) < LEVEL * row.size]
        if len(near) != 1:
            return False
        at.append(near[0])
    right = sum(j - i == b.value - a.value for (i, j), (a, b) in zip(pairwise(at), pairwise(column), strict=True))
    return right >= RISING * (len(column) - 1) and (
        len(column) > 2 or at[0] + 1 == column[0].value
    )


def _flows(a: TextLine, b: TextLine, wide: float) -> bool:
    """Whether a full line of running text goes on in the next."""
    before, after = unmarked(a.text).strip(), LEADING.sub("", unmarked(b.text).strip(), count=1)
    full = len(before) >= LONG and a.box[2] - a.box[0] > FULL * wide
    return full and after[:1].islower() and not ENDED.search(before)


def _stray(line: TextLine, column: Sequence[_Number], counted: Sequence[TextLine]) -> bool:
    """Whether a short line stands in a column of numbers, as one that was misread does."""
    left, right = min(n.box[0] for n in column), max(n.box[2] for n in column)
    slack = EDGE * line.size
    inside = left - slack < line.box[0] and line.box[2] < right + slack
    step = median(b.middle - a.middle for a, b in pairwise(column))
    between = column[0].middle - 1.5 * step < line.middle < column[-1].middle + 1.5 * step
    return inside and between and len(line.text.strip()) <= 4 and not any(line is x for x in counted)


def _mended(line: TextLine, column: Sequence[_Number]) -> TextLine:
    """A line without the number before it, which stands close to it, or was taken for letters."""
    inner = max(n.box[2] for n in column)
    above = max((n.value for n in column if n.middle < line.middle), default=max(0, column[0].value - 4))
    below = min((n.value for n in column if n.middle > line.middle), default=column[-1].value + 4)
    within = column[0].middle - 3 * line.size < line.middle < column[-1].middle + 3 * line.size
    begins = min(n.box[0] for n in column) - EDGE * line.size < line.box[0] < inner - 0.2 * line.size
    match = MISREAD.match(line.text) if line.confidence < 1 else LEADING.match(line.text)
    if not (within and begins and match):
        return line
    if line.confidence == 1 and not above < int(match[1]) < below:
        return line
    left, top, _, bottom = line.box
    read = replace(line, text=f"0 {line.text[match.end() :]}")
    return _bare(_Number(0, (left, top, inner, bottom), read, False), True)


def _bare(number: _Number, before: bool) -> TextLine:
    """A line without the number that it begins or ends with."""
    line = number.line
    left, top, right, bottom = line.box
    text = LEADING.sub("", line.text, count=1) if before else TRAILING.sub("", line.text)
    low, high = number.box[0] - line.size, number.box[2] + line.size
    inside = [gap for gap in line.gaps if (gap[0] < high if before else gap[1] > low)]
    if before:
        left = inside[0][1] if inside else min(right, number.box[2] + NEAR * line.size)
    else:
        right = inside[-1][0] if inside else max(left, number.box[0] - NEAR * line.size)
    return replace(line, text=text, box=(left, top, right, bottom), gaps=tuple(g for g in line.gaps if g not in inside))
