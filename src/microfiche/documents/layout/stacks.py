"""Stacks: short centred lines that belong together, beside others like them, as the authors of a paper, each with their
place of work, or those who sign. Each is read from its top, before the one to its right.

Found by the places of lines alone; knows neither columns nor paragraphs.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.inline import BREAK, unmarked
from microfiche.documents.text_lines import TextLine, letters, read_by
from microfiche.page import Box

LONGEST = 48  #: letters of a line in a stack
HIGHEST = 9  #: lines of a stack
MIDDLE = 0.7  #: ems by which the middles of two lines of a stack differ, at most
STEP = 0.55, 1.9  #: ems from one line of a stack to the next
WIDER = 1.35  #: times the steps before: a wider step ends a stack
LARGER = 1.12  #: times the type of the line before, which begins another stack
RAGGED = 0.6  #: ems by which the lines of a stack begin apart
LEVEL = 0.4  #: ems between the middles of the first lines of stacks beside each other
CROWDED = 1500  #: lines of a page on which nothing is looked for
MOST = 6  #: stacks beside each other
BELOW = 80  #: lines below the first ones of stacks that may go on in them
BESIDE = 0.8  #: ems between two stacks, at least
PLACE = re.compile(
    r"@|\b(?:univ|inst|dep[at]|lab|school|college|facult|facolt|fakult|hochsch|academ|akadem|center|centre|research"
    r"|inc\b|ltd\b|corp|group|hospital|gmbh|director|secretary|president|manager|chair|witness)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class StackRow:
    """Stacks that stand beside each other, from the left: the box around them all, and the lines of each."""

    box: Box
    stacks: tuple[tuple[TextLine, ...], ...]

    @property
    def wholes(self) -> tuple[TextLine, ...]:
        """Each stack as one line of text, in which its line ends are kept."""
        return tuple(_whole(stack) for stack in self.stacks)


def _whole(stack: Sequence[TextLine]) -> TextLine:
    count = sum(len(line.text) for line in stack)
    return replace(
        stack[0], text=BREAK.join(line.text for line in stack), box=union(line.box for line in stack),
        size=median(line.size for line in stack), bold=all(line.bold for line in stack), gaps=(),
        confidence=sum(line.confidence * len(line.text) for line in stack) / max(1, count), engine=read_by(stack),
    )


def stack_rows(lines: Sequence[TextLine], rules: Sequence[Box]) -> list[StackRow]:
    """The rows of stacks on a page, from the top; no `rules` part what stands in them."""
    short = sorted(
        (x for x in lines if letters(x) <= LONGEST and not x.displayed), key=lambda x: x.middle
    )
    if len(lines) > CROWDED:
        return []
    middles = [x.middle for x in short]
    out: list[StackRow] = []
    taken: set[int] = set()
    for first in short:
        if id(first) in taken:
            continue
        reach = LEVEL * first.size
        near = short[bisect_left(middles, first.middle - reach) : bisect_right(middles, first.middle + reach)]
        level = sorted((x for x in near if id(x) not in taken), key=lambda x: x.box[0])
        if not 2 <= len(level) <= MOST or any(b.box[0] - a.box[2] < BESIDE * a.size for a, b in pairwise(level)):
            continue
        below = short[bisect_right(middles, first.middle + reach) :][:BELOW]
        stacks = tuple(tuple(_down(x, level, below)) for x in level)
        box = union(line.box for stack in stacks for line in stack)
        if _is_row(stacks) and _alone(stacks, box, lines, rules):
            out.append(StackRow(box, stacks))
        taken |= {id(line) for stack in stacks for line in stack}  # a part of what is no row is none either
    return out


def _down(top: TextLine, level: Sequence[TextLine], lines: Sequence[TextLine]) -> list[TextLine]:
    """The stack that begins with `top`, one of the lines that stand `level`."""
    stack = [top]
    steps: list[float] = []
    tolerance = LARGER if top.confidence == 1 else 1.2 * LARGER
    for line in lines:
        last = stack[-1]
        step = line.middle - last.middle
        if step < STEP[0] * line.size or line.box[0] >= last.box[2] or line.box[2] <= last.box[0]:
            continue
        if step > STEP[1] * max(last.size, line.size) or (steps and step > WIDER * max(steps)):
            break
        centre = abs(line.box[0] + line.box[2] - top.box[0] - top.box[2]) / 2
        if centre > MIDDLE * line.size or line.size > tolerance * last.size:
            break
        if any(x is not top and x.box[0] < line.box[2] and line.box[0] < x.box[2] for x in level):
            break
        stack.append(line)
        steps.append(step)
    return stack


def _is_row(stacks: Sequence[Sequence[TextLine]]) -> bool:
    """Whether stacks beside each other are read one by one, rather than row by row as the cells of a table."""
    several = [stack for stack in stacks if len(stack) > 1]
    if len(several) < max(2, 0.5 * len(stacks)) or max(map(len, stacks)) > HIGHEST:
        return False
    if any(sum(c.isalpha() for c in unmarked(line.text)) < 2 for stack in stacks for line in stack[:1]):
        return False
    ragged = [
        max(x.box[0] for x in stack) - min(x.box[0] for x in stack) > RAGGED * stack[0].size for stack in several
    ]
    if sum(ragged) < 0.5 * len(several):
        return False
    said = [PLACE.search(unmarked(line.text)) is not None for stack in stacks for line in stack[1:]]
    headed = all(stack[0].bold != stack[1].bold or stack[0].size > 1.08 * stack[1].size for stack in several)
    return any(said) or (headed and len({len(stack) for stack in stacks}) > 1)


def _alone(
    stacks: Sequence[Sequence[TextLine]], box: Box, lines: Sequence[TextLine], rules: Sequence[Box]
) -> bool:
    """Whether nothing else stands within the box around stacks, and no rule parts them."""
    own = {id(line) for stack in stacks for line in stack}
    size = stacks[0][0].size
    inside = [
        x for x in lines
        if id(x) not in own and box[1] < x.middle < box[3] and x.box[0] < box[2] and x.box[2] > box[0]
    ]
    parted = False
    for left, top, right, bottom in rules:
        middle, over = (top + bottom) / 2, min(right, box[2]) - max(left, box[0])
        near = 0.5 * size if over > 0.6 * (box[2] - box[0]) else -0.3 * size  # one over all heads a table
        parted |= over >= 0 and box[1] - near < middle < box[3] + near
    return not inside and not parted
