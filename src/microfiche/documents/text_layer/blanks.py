"""Blanks to fill in that a page draws: a rule, whole or dotted, that goes on where words end, or an empty frame beside
its label. They are read as `____`, within the line that they belong to.

A rule under words underlines them, one that meets upright rules belongs to a grid, one that is as long as another, with
words between the two, to a table, one that begins where a column of text does parts that column, as above footnotes,
and one that goes on from a heading to the edge of the page is an ornament.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.inline import RAISED, unmarked
from microfiche.documents.tables.grid import merged
from microfiche.documents.text_lines import BLANK, TextLine
from microfiche.page import Box

MOST = 400  #: rules of a page that is looked at
SHORT = 1.5  #: ems of a blank, at least
LOW, HIGH = 0.25, 0.35  #: ems from the foot of a line down and up to the rule of a blank in it, at most
SEEN = 0.6  #: ems for HIGH, where lines were recognised, in whose boxes there is room below them
LABEL, AFTER = 14.0, 1.2  #: ems from words to the blank after them, and from a blank to words, at most
TIGHT = 0.2  #: ems from a blank to the comma behind it, at most
OVER = 1.2  #: ems above a rule in which no words stand that it underlines
UNDER = 1.5  #: ems from a rule down to what is to be written there, at most
APART = 2.2  #: ems from there to other words
CELL, NEAR = 0.4, 0.6  #: ems between two cells of a grid, and from a label to the frame below it, at most
FRAME = 0.8, 2.6  #: ems that an empty frame is high
ORNAMENT = 0.5  #: of the width of the text: a rule that is longer, over words or after a heading, is an ornament
SIGNED = 9.0  #: ems of a rule to sign on, at least
RUNNING, COLUMN = 10.0, 3  #: ems of a line of running text, and how many of them make a column, at least
STEP = 1.2, 3.5  #: ems between two lines to write on
TOUCH = 2.5  #: px between rules that meet


def with_blanks(lines: Sequence[TextLine], rules: Sequence[Box]) -> list[TextLine]:
    """The upright lines of a page, with the blanks that its `rules` leave in them, before and behind them, and those
    that stand by themselves."""
    out = [line for line in lines if not line.displayed]
    if not out or not rules or len(rules) > MOST:
        return list(lines)
    em = median(line.size for line in out)
    whole = merged(rules)
    level = [rule for rule in whole if rule[1] == rule[3] and rule[2] - rule[0] >= SHORT * em]
    upright = [rule for rule in whole if rule[0] == rule[2]]
    free = [rule for rule in level if not any(_meets(rule, other) for other in upright)]
    free = [rule for rule in free if not _underlines(rule, out) and not _of_table(rule, free, out)]
    free = [rule for rule in free if not any(_of_formula(rule, line) for line in lines if line.displayed)]
    frames = [frame for frame in _frames(level, upright) if FRAME[0] * em < frame[3] - frame[1] < FRAME[1] * em]
    frames = [frame for frame in frames if not any(_touch(frame, other, em) for other in frames if other != frame)]
    out, frames = _labelled_above(out, frames)
    frames = [frame for frame in frames if not any(_inside(line, frame) for line in out)]
    bounds = union([*(line.box for line in out), *level])
    alone: list[Box] = []
    for rule in sorted(free, key=lambda rule: rule[0]):
        found = None if _parts(rule, lines, em) or _edges(rule, free, out) else _in_line(out, rule, bounds)
        if found is None:
            alone.append(rule)
        else:
            out = found
    for frame in sorted(frames, key=lambda frame: frame[0]):
        found = _in_line(out, (frame[0], (frame[1] + frame[3]) / 2 + 0.4 * em, frame[2], 0.0), bounds)
        out = found or out
    out += [
        TextLine(BLANK, (left, y - em, right, y), em) for left, y, right, _ in alone
        if _to_sign((left, y, right, y), out, em, bounds) or _to_write((left, y, right, y), alone, out, em)
    ]
    return [*out, *(line for line in lines if line.displayed)]


def _meets(rule: Box, upright: Box) -> bool:
    x, top, _, bottom = upright
    return rule[0] - TOUCH < x < rule[2] + TOUCH and top - TOUCH < rule[1] < bottom + TOUCH


def _underlines(rule: Box, lines: Sequence[TextLine]) -> bool:
    """Whether words stand right above a rule, or across it."""
    left, y, right, _ = rule
    return any(
        min(right, x.box[2]) - max(left, x.box[0]) > 0.2 * x.size and x.box[1] < y and y - x.box[3] < 0.5 * x.size
        for x in lines
    )


def _of_formula(rule: Box, formula: TextLine) -> bool:
    left, top, right, bottom = formula.box
    more = 0.5 * formula.size
    return left - more < rule[0] and rule[2] < right + more and top - more < rule[1] < bottom + more


def _of_table(rule: Box, rules: Sequence[Box], lines: Sequence[TextLine]) -> bool:
    """Whether cells of a table stand between a rule and another one that begins and ends where it does."""
    left, y, right, _ = rule
    for other in rules:
        if other is not rule and abs(other[0] - left) < TOUCH and abs(other[2] - right) < TOUCH:
            top, low = sorted((y, other[1]))
            cells = [x for x in lines if left - TOUCH < x.box[0] and x.box[2] < right + TOUCH and top < x.middle < low]
            if sum(1 + len(x.gaps) for x in cells) > 1:
                return True
    return False


def _parts(rule: Box, lines: Sequence[TextLine], em: float) -> bool:
    """Whether a rule begins where several lines of running text do."""
    starts = [x for x in lines if abs(x.box[0] - rule[0]) < TOUCH and x.box[2] - x.box[0] > RUNNING * em]
    return len(starts) >= COLUMN


def _frames(level: Sequence[Box], upright: Sequence[Box]) -> list[Box]:
    """The boxes that four rules draw and no other rule meets."""
    out = []
    for top in level:
        left, y, right, _ = top
        for low in level:
            if low[1] <= y or abs(low[0] - left) > TOUCH or abs(low[2] - right) > TOUCH:
                continue
            sides = [
                u for u in upright
                if u[1] < low[1] + TOUCH and u[3] > y - TOUCH and left - TOUCH < u[0] < right + TOUCH
            ]
            others = [r for r in level if r not in (top, low) and y - TOUCH < r[1] < low[1] + TOUCH
                      and r[0] < right + TOUCH and left - TOUCH < r[2]]
            closed = all(any(abs(u[0] - x) < TOUCH for u in sides) for x in (left, right))
            ends = all(u[1] > y - TOUCH and u[3] < low[1] + TOUCH for u in sides)
            if len(sides) == 2 and closed and ends and not others:
                out.append((left, y, right, low[1]))
    return out


def _touch(frame: Box, other: Box, em: float) -> bool:
    """Whether two frames are cells of one grid: close beside each other, of one height, or one below the other."""
    near = CELL * em
    if abs(frame[1] - other[1]) < TOUCH and abs(frame[3] - other[3]) < TOUCH:
        return min(abs(frame[0] - other[2]), abs(other[0] - frame[2])) < near
    same = abs(frame[0] - other[0]) < TOUCH and abs(frame[2] - other[2]) < TOUCH
    return same and min(abs(frame[1] - other[3]), abs(other[1] - frame[3])) < near


def _labelled_above(lines: Sequence[TextLine], frames: Sequence[Box]) -> tuple[list[TextLine], list[Box]]:
    """The lines, with the label that stands close above the left end of a frame joined with what is written in that,
    or a blank; and the other frames. There are two such frames in a row at least, one of them empty."""
    out, rest, found = list(lines), list[Box](), list[tuple[Box, TextLine, list[TextLine]]]()
    for frame in frames:
        inside = [x for x in out if _inside(x, frame)]
        labels = [
            x for x in out
            if -0.3 < (frame[1] - x.box[3]) / x.size < NEAR and -NEAR < (x.box[0] - frame[0]) / x.size < 1
            and x.box[2] < frame[2]
        ]
        if len(labels) == 1 and len(inside) < 2:
            found.append((frame, labels[0], inside))
        else:
            rest.append(frame)
    for frame, label, inside in found:
        row = [its for its in found if abs(its[0][1] - frame[1]) < TOUCH]
        if len(row) < 2 or all(held for _, _, held in row):
            rest.append(frame)
            continue
        value = inside[0].text if inside else BLANK
        whole = replace(label, text=f"{label.text} {value}", box=union([label.box, frame]), gaps=())
        out = [whole if x is label else x for x in out if not any(x is held for held in inside)]
    return out, rest


def _edges(rule: Box, rules: Sequence[Box], lines: Sequence[TextLine]) -> bool:
    """Whether a rule is the upper or the lower edge of a frame: another one has its ends, and words stand right behind
    only one of the two."""
    def followed(one: Box) -> bool:
        return any(
            -0.3 < (x.box[0] - one[2]) / x.size < AFTER and x.box[1] < one[1] < x.box[3] + LOW * x.size for x in lines
        )

    others = [x for x in rules if x is not rule and abs(x[0] - rule[0]) < TOUCH and abs(x[2] - rule[2]) < TOUCH]
    return bool(others) and followed(rule) and not any(map(followed, others))


def _inside(line: TextLine, frame: Box) -> bool:
    x = (line.box[0] + line.box[2]) / 2
    return (frame[0] < x < frame[2] or frame[0] < line.box[0] < frame[2]) and frame[1] < line.middle < frame[3]


def _in_line(lines: Sequence[TextLine], rule: Box, bounds: Box) -> list[TextLine] | None:
    """The lines, with the blank that a rule leaves joined with the words before and behind it; None if there are
    none."""
    left, y, right, _ = rule
    row = [
        x for x in lines if not x.note
        and x.box[3] - (HIGH if x.confidence == 1 else SEEN) * x.size < y < x.box[3] + LOW * x.size
    ]
    before = max((x for x in row if x.box[2] < left + 0.3 * x.size), key=lambda x: x.box[2], default=None)
    after = min((x for x in row if x.box[0] > right - 0.3 * x.size), key=lambda x: x.box[0], default=None)
    if before is not None and (left - before.box[2] > LABEL * before.size or _ornament(before, rule, bounds)):
        before = None
    near = before is not None and left - before.box[2] < AFTER * before.size
    if after is not None and after.box[0] - right > AFTER * after.size:
        after = None
    if before is None and (after is None or not (after.text[:1].isalpha() or after.text[:1] in ",.;:)")):
        return None
    if before is not None and not near and any(unmarked(before.text).endswith(sign) for sign in ".!?;"):
        return None
    pieces = [x for x in (before, after) if x is not None]
    text = BLANK
    if before is not None:
        text = f"{before.text.rstrip()} {text}"
    if after is not None:
        text += ("" if after.box[0] - right < TIGHT * after.size and not after.text[:1].isalnum() else " ") + after.text
    size = pieces[0].size
    box = union([*(x.box for x in pieces), (left, pieces[0].box[1], right, pieces[0].box[3])])
    whole = replace(pieces[0], text=text, box=box, gaps=(), size=size, bold=all(x.bold for x in pieces))
    at = next(k for k, x in enumerate(lines) if x is pieces[0])
    out = [x for x in lines if not any(x is piece for piece in pieces)]
    out.insert(min(at, len(out)), whole)
    return out


def _ornament(line: TextLine, rule: Box, bounds: Box) -> bool:
    """Whether a rule goes on from a heading to the edge of the text."""
    text = unmarked(line.text).rstrip()
    heading = (line.bold or text.isupper()) and not text.endswith((":", "：")) and BLANK not in text
    return heading and rule[2] > bounds[2] - line.size and rule[2] - rule[0] > ORNAMENT * (bounds[2] - bounds[0])


def _to_sign(rule: Box, lines: Sequence[TextLine], em: float, bounds: Box) -> bool:
    """Whether below a rule stands, on one short line, what is to be written on it, and nothing close above."""
    left, y, right, _ = rule
    over = [x for x in lines if x.box[0] < right and left < x.box[2]]
    under = [x for x in over if -0.3 * em < x.box[1] - y < UNDER * em]
    if not SIGNED * em < right - left <= ORNAMENT * (bounds[2] - bounds[0]):
        return False
    if len(under) != 1 or any(0 <= y - x.box[3] < OVER * em for x in over):
        return False
    said = under[0]
    if not unmarked(said.text)[:1].isalpha() or said.text[:1] == RAISED[0]:
        return False  # a page number, or a footnote
    within = left - 0.5 * em < said.box[0] and said.box[2] < right + 0.5 * em
    placed = said.box[0] - left < em or abs(said.box[0] + said.box[2] - left - right) < 2 * em
    alone = not any(0 < x.box[1] - said.box[3] < APART * em for x in over if x is not said)
    return within and placed and alone and len(unmarked(said.text)) < 40


def _to_write(rule: Box, rules: Sequence[Box], lines: Sequence[TextLine], em: float) -> bool:
    """Whether a rule is one of several below each other to write on, of one length and evenly spaced."""
    left, y, right, _ = rule
    same = sorted(r[1] for r in rules if abs(r[0] - left) < TOUCH and abs(r[2] - right) < TOUCH)
    runs = [[same[0]]]
    for a, b in pairwise(same):
        between = any(a < x.middle < b and x.box[0] < right and left < x.box[2] for x in lines)
        if between or not STEP[0] * em < b - a < STEP[1] * em:
            runs.append([])
        runs[-1].append(b)
    own = next(run for run in runs if y in run)
    steps = [b - a for a, b in pairwise(own)]
    return len(own) > 1 and max(steps) < 1.2 * min(steps)
