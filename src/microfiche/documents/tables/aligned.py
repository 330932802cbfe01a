"""Where on a page tables are that nothing but the alignment of their text shows.

Rows of pieces that stand under one another are a table only if some column holds values, labels end in colons, or rules
or a heading say so: lists in columns, addresses side by side and running text are none. No model is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.layout.gaps import ITEM
from microfiche.documents.tables.text_grid import (
    CLOSE,
    END,
    OPEN,
    by_column,
    column_borders,
    first_word,
    is_head,
    is_value,
    running_text,
    text_rows,
)
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

ALIGNED = 0.6  #: ems between edges that are in line, at most
OUTER = 0.3  #: ems that running text begins further out than the table above it, at least
UNDER = 0.8  #: ems from a row to the rule on which it stands, at most
FARTHER = 1.5  #: times the usual step from row to row, that to the head of another table, at least
APART = 3.4  #: ems from one row of a table to the next, at most
HEADING = 2.2  #: ems from a heading to the first line of its text, at most
LONGEST = 16  #: lines of a cell beside which the others of its row are short
OTHER = 1.3  #: times the type of a row: what is larger is no row of the same table
NUMBERED = re.compile(r"^\(\s*[\w.]{1,6}\s*\)$")
SYMBOL = re.compile(r"[=∑∫∂√≤≥≈∈∀∃∞±→←⇒]")
ENTRY = re.compile(r"(?:[.·…]\s?){3,}\s*(?:\d|$)")  #: an entry of an index or of a table of contents
OPTION = re.compile(r"^[(（]?([A-Fa-f])\s*[.．、:：)）]")  #: an answer to choose, of a row of them
PAGE = re.compile(r"\d{1,4}|[ivxlc]{1,6}")  #: its page number
HEADED = 2.0  #: times the width of a head, that of the rule below it, at least
ITEMS_APART = 8.0  #: ems from one item of a list to the next, at most
MARKS = frozenset("✓✔✗✘xX×•●")  #: with which a row says in which of its columns it answers


@dataclass
class _Run:
    """Rows that stand under one another; `loose` are single pieces after the last row."""

    rows: list[list[TextLine]]
    loose: list[list[TextLine]] = field(default_factory=list)

    @property
    def last(self) -> list[TextLine]:
        return self.loose[-1] if self.loose else self.rows[-1]

    @property
    def box(self) -> Box:
        return union(line.box for row in self.rows for line in row)


def aligned(lines: Sequence[TextLine], rules: Sequence[Box] = (), grids: Sequence[Box] = ()) -> list[Box]:
    """The boxes of the tables that alignment shows; `rules` that part their rows make them likelier. What stands beside
    one of the `grids` of other tables goes on none that stands above it."""
    prose = {id(line) for stack in running_text(lines) for line in stack} | _items(lines)
    level = [rule for rule in rules if rule[1] == rule[3]]
    done: list[_Run] = []
    open_runs: list[_Run] = []
    for row in text_rows(lines):
        if len(row) == 1 and underlined(row[0], level):
            done += open_runs
            open_runs = []
            continue
        for segment in _segments(row, prose):
            near = [run for run in open_runs if _follows(run, segment)]
            ended = [
                run for run in near
                if _ends(run, segment) or _begins_another(run, segment, level) or _passes(run, segment, grids)
            ]
            done += ended
            open_runs = [run for run in open_runs if run not in ended]
            near = [run for run in near if run not in ended]
            if len(segment) == 1:
                for run in near:
                    run.loose.append(segment)
                continue
            wanted = [run for run in near if any(_in_line(old, segment) for old in run.rows[-3:])]
            if wanted:
                wanted[0].rows += [*wanted[0].loose, segment]
                wanted[0].loose = []
            else:
                open_runs.append(_Run([segment]))
        bottom = max(line.middle for line in row)
        ended = [run for run in open_runs if bottom - run.last[0].middle > 2 * APART * run.last[0].size]
        done += ended
        open_runs = [run for run in open_runs if run not in ended]
    edges = [x.box[2] for x in lines if ENTRY.search(x.text)]
    text = [line for line in lines if id(line) in prose]
    runs = [_without_heads(run, text) for run in [*done, *open_runs]]
    found = [run for run in runs if _tabular(run, rules) and not _of_contents(run, edges)]
    return [_with_head(_with_tail(run), lines, prose, level) for run in found]


def underlined(line: TextLine, level: Sequence[Box]) -> bool:
    """Whether a short line stands close on one of the `level` rules that goes on far to its right, as the head of a
    part of a CV does."""
    left, _, right, bottom = line.box
    return any(
        abs(rule[0] - left) < line.size and -0.3 < (rule[1] - bottom) / line.size < 0.8
        and rule[2] - rule[0] > HEADED * (right - left)
        for rule in level
    )


def _items(lines: Sequence[TextLine]) -> set[int]:
    """The ids of the lines of lists whose items have signs as marks: two items at least, one below the other."""
    marked = [line for line in lines if ITEM.match(line.text)]
    out: set[int] = set()
    for first in marked:
        level = [x for x in marked if x is not first and abs(x.box[0] - first.box[0]) < ALIGNED * first.size]
        if any(abs(x.middle - first.middle) < ITEMS_APART * first.size for x in level):
            out.add(id(first))
            last = first
            for line in sorted(lines, key=lambda x: x.middle):
                step, inward = line.middle - last.middle, line.box[0] - first.box[0]
                if 0.7 < step / last.size < CLOSE and 0.3 < inward / first.size < 3 and not ITEM.match(line.text):
                    out.add(id(line))
                    last = line
    return out


def _segments(row: Sequence[TextLine], prose: set[int]) -> list[list[TextLine]]:
    """A row in parts that running text divides, without it."""
    out: list[list[TextLine]] = [[]]
    for line in row:
        if id(line) in prose:
            out.append([])
        else:
            out[-1].append(line)
    return [segment for segment in out if segment]


def _follows(run: _Run, segment: Sequence[TextLine]) -> bool:
    left, _, right, _ = run.box
    size = max(x.size for x in run.last)
    step = segment[0].middle - run.last[0].middle
    if len(segment) == 1:  # a label, or a line of a cell
        return (
            (len(run.loose) < 4 or (len(run.loose) < LONGEST and _carries_on(run, run.last, segment[0])))
            and 0 < step < APART * size and segment[0].size < 1.25 * size and segment[0].box[0] < right
        )
    own = segment[-1].box[2] - segment[0].box[0]
    inside = min(right, segment[-1].box[2]) - max(left, segment[0].box[0])
    alike = max(size, segment[0].size) < OTHER * min(size, segment[0].size)
    return 0 < step < APART * size and alike and inside > 0.5 * min(own, right - left)


def _carries_on(run: _Run, above: Sequence[TextLine], line: TextLine) -> bool:
    """Whether a line stands close below a row, and begins where a piece of that and a cell between others do."""
    cells = [x for row in run.rows if len(row) > 2 for x in row[1:-1]]
    return line.middle - above[0].middle < CLOSE * line.size and all(
        any(abs(x.box[0] - line.box[0]) < ALIGNED * line.size for x in its) for its in (above, cells)
    )


def _ends(run: _Run, segment: Sequence[TextLine]) -> bool:
    """Whether a part of a row is the head of another table, with which something begins as with no row of this one; or
    a line of running text below it: alone, further out, farther down than the rows of the table are apart, with a full
    stop or a colon."""
    line = segment[0]
    if len(segment) > 1 and all(x.begins for x in segment) and not any(x.begins for row in run.rows for x in row):
        return True
    steps = [b[0].middle - a[0].middle for a, b in pairwise(run.rows)]
    return (
        len(segment) == 1 and len(steps) > 0 and bool(END.search(line.text))
        and line.box[0] < run.box[0] - OUTER * line.size
        and line.middle - run.last[0].middle > 1.4 * median(steps)
    )


def _passes(run: _Run, segment: Sequence[TextLine], grids: Sequence[Box]) -> bool:
    """Whether a part of a row stands beside a grid that lies below the rows of a run and within their width."""
    left, _, right, _ = run.box
    last, line = max(x.middle for x in run.last), segment[0]
    return any(
        last < grid[1] < line.middle < grid[3]
        and left - line.size < grid[0] and grid[2] < right + line.size
        for grid in grids
    )


def _without_heads(run: _Run, text: Sequence[TextLine]) -> _Run:
    """The run without pieces at its left that head running text in another column: few, close above or below lines of
    `text` and no farther in than these."""
    borders = column_borders([line for row in run.rows for line in row], run.box)
    first = [x for row in run.rows for x in row if x.box[0] + x.box[2] < 2 * borders[1]] if len(borders) > 3 else []
    heads = {
        id(x) for x in first for y in text
        if abs(x.middle - y.middle) < HEADING * x.size and y.box[0] - x.size < x.box[0] and x.box[2] < y.box[2]
    }
    if not heads or len(heads) < len(first) or 2 * len(first) > len(run.rows):
        return run
    kept = [[line for line in row if id(line) not in heads] for row in run.rows]
    return _Run([row for row in kept if row], run.loose)


def _begins_another(run: _Run, segment: Sequence[TextLine], level: Sequence[Box]) -> bool:
    """Whether a part of a row is the head of another table: bold, or words farther below than the rows of a run are
    apart, on rules, below rows without rules under them."""
    usual = median([b[0].middle - a[0].middle for a, b in pairwise(run.rows)] or [CLOSE * segment[0].size])
    words = len(segment) > 2 and not any(is_value(x.text) for x in segment)
    apart = words and segment[0].middle - run.last[0].middle > FARTHER * usual
    head = apart or is_head(segment, [x for row in run.rows for x in row])
    return head and _on_rules(segment, level) and not any(_on_rules(row, level) for row in run.rows)


def _on_rules(row: Sequence[TextLine], level: Sequence[Box]) -> bool:
    """Whether a level rule lies close under each piece of a row."""
    return all(
        any(-0.3 < (y - x.box[3]) / x.size < UNDER and a <= x.box[0] and x.box[2] <= b for a, y, b, _ in level)
        for x in row
    )


def _in_line(a: Sequence[TextLine], b: Sequence[TextLine]) -> bool:
    """Whether two rows have pieces in line with each other: two at least, and most of the shorter row; of a label and
    marks all but one."""
    free = list(a)
    count = 0
    for x in b:
        reach = ALIGNED * max(x.size, a[0].size)
        for y in free:
            middles = abs(x.box[0] + x.box[2] - y.box[0] - y.box[2]) / 2
            if min(abs(x.box[0] - y.box[0]), abs(x.box[2] - y.box[2]), middles) < reach:
                free.remove(y)
                count += 1
                break
    marked = min(len(a), len(b)) > 1 and all(x.text in MARKS for x in b[1:])
    return count >= (len(b) - 1 if marked else max(2, 0.6 * min(len(a), len(b))))


def _tabular(run: _Run, rules: Sequence[Box]) -> bool:
    """Whether the rows of a run are a table's."""
    rows = [row for row in run.rows if len(row) > 1]
    lines = [line for row in run.rows for line in row]
    if len(rows) < 2 or sum(line.fixed for line in lines) > 0.6 * len(lines):
        return False
    options = [[found and found[1].upper() for found in (OPTION.match(x.text) for x in row)] for row in rows]
    if sum(letters == list("ABCDEF"[: len(letters)]) for letters in options) > 0.5 * len(rows):
        return False
    borders = column_borders(lines, run.box)
    count = len(borders) - 1
    held = [by_column(row, borders) for row in run.rows]
    if count < 2 or sum(len(h) for h in held if len(h) > 1) < 0.45 * count * len(rows):
        return False
    texts = {k: [" ".join(x.text for x in h[k]) for h in held if k in h] for k in range(count)}
    if any(t and sum(bool(NUMBERED.match(x)) for x in t) > 0.7 * len(t) for t in (texts[count - 1],)) and count == 2:
        return False
    usual = median(x.size for x in lines)
    odd = sum(abs(x.size - usual) > 0.2 * usual and x.text not in MARKS for x in lines)
    if odd > 0.25 * len(lines):  # pieces of formulas, or words of drawings
        return False
    if sum(bool(ENTRY.search(x.text)) for x in lines) > 0.2 * len(lines):
        return False
    if sum(bool(SYMBOL.search(x.text)) for x in lines) > 0.25 * len(lines) or _reads_down(run.rows, borders):
        return False
    body = {k: t[1:] if len(t) > 2 and not is_value(t[0]) else t for k, t in texts.items()}
    values = [k for k, t in body.items() if len(t) >= 2 and sum(map(is_value, t)) >= 0.6 * len(t)]
    parted = _parting(rules, run.box)
    if parted >= 3 or (parted == 2 and len(rows) >= 3):
        return True
    if count == 2 and _entries(run.rows, borders) >= len(rows):
        return False
    if values == [0]:  # numbered lines
        return False
    if values and len(values) < count:
        filled = max(len(texts[k]) for k in values)
        return (len(rows) >= 3 or count >= 3) and filled >= (0.6 if count == 2 else 0.4) * len(rows)
    if values:
        return count >= 3 and len(rows) >= 3
    first = texts[0]
    if len(first) >= 2 and sum(t.rstrip().endswith((":", "：")) for t in first) >= 0.6 * len(first):
        return True
    full = sum(len(h) for h in held if len(h) > 1) >= 0.8 * count * len(rows)
    if full and len(rows) >= 4 and count <= 4 and _wraps(run.rows, borders) >= max(2, 0.2 * len(rows)):
        return True
    headed = all(x.bold for x in rows[0]) and sum(x.bold for x in lines) < 0.5 * len(lines)
    words = sum(len(x.text.split()) for x in lines) / len(lines)
    return count >= 3 and len(rows) >= 3 and headed and words < 6


def _of_contents(run: _Run, edges: Sequence[float]) -> bool:
    """Whether the rows of a run are entries of a table of contents in which others, whose page numbers end at the
    `edges`, have dots."""
    rows = [row for row in run.rows if len(row) > 1]
    ends = [row[-1] for row in rows]
    return len(edges) > 0 and all(
        PAGE.fullmatch(x.text.strip()) and any(abs(x.box[2] - edge) < ALIGNED * x.size for edge in edges) for x in ends
    )


def _wraps(rows: Sequence[Sequence[TextLine]], borders: Sequence[float]) -> int:
    """How many single pieces between rows carry on a cell, which leaves the other cells of its row waiting."""
    starts: dict[int, list[float]] = {}
    for row in rows:
        if len(row) > 1:
            for k, inside in by_column(row, borders).items():
                starts.setdefault(k, []).append(inside[0].box[0])
    count = 0
    for above, row in pairwise(rows):
        line = row[0]
        if len(row) == 1 and line.middle - above[0].middle < 1.6 * line.size:
            (k,) = by_column(row, borders)
            count += any(abs(x - line.box[0]) < ALIGNED * line.size for x in starts.get(k, ()))
    return count


def _entries(rows: Sequence[Sequence[TextLine]], borders: Sequence[float]) -> int:
    """How many single pieces between rows neither carry on the cell above them, nor could stand in one: what is said
    of each entry of a list, as of the posts in a CV, whose dates stand to the right."""
    right = {k: max(x.box[2] for row in rows if len(row) > 1 for x in by_column(row, borders).get(k, row[:1]))
             for k in range(len(borders) - 1)}
    count = 0
    for above, row in pairwise(rows):
        if len(row) == 1:
            line, first = row[0], above[0]
            (k,) = by_column(row, borders)
            full = len(above) > 1 and first.box[2] + first_word(line) > right[k] - 0.5 * line.size
            goes_on = first.bold == line.bold and (full or line.text[:1].islower() or OPEN.search(first.text))
            count += not goes_on or line.box[2] > right[k] + line.size
    return count


def _parting(rules: Sequence[Box], box: Box) -> int:
    """How many level rules go over most of a box's width, in it or at its edges."""
    wide = box[2] - box[0]
    return len({
        round(r[1] / 4) for r in rules
        if r[1] == r[3] and box[1] - 0.5 * 40 < r[1] < box[3] + 0.5 * 40
        and min(r[2], box[2]) - max(r[0], box[0]) > 0.7 * wide and r[2] - r[0] < 1.6 * wide
    })


def _reads_down(rows: Sequence[Sequence[TextLine]], borders: Sequence[float]) -> bool:
    """Whether the cells under one another mostly read on, as columns of running text do."""
    held = [by_column(row, borders) for row in rows]
    pairs = [(a[k][-1], b[k][0]) for a, b in pairwise(held) for k in a if k in b]
    on = sum(
        len(a.text.split()) >= 3 and not is_value(b.text) and (b.text[:1].islower() or bool(OPEN.search(a.text)))
        for a, b in pairs
    )
    return on > 0.35 * max(1, len(pairs))


def _with_tail(run: _Run) -> _Run:
    """The run with what follows its last row in the same cell."""
    for segment in run.loose:
        (line,) = segment
        above = [
            x for row in run.rows[-3:] for x in row
            if abs(x.box[0] - line.box[0]) < ALIGNED * line.size and 0 < line.middle - x.middle < 1.5 * line.size
        ]
        carried = _carries_on(run, run.rows[-1], line) and _carried(run) > 1
        if not above or not (line.text[:1].islower() or OPEN.search(above[0].text) or carried):
            break
        run.rows.append(segment)
    return run


def _carried(run: _Run) -> int:
    """How many lines of a table carry on a cell between others whose last line stands alone as well."""
    return sum(
        len(above) == len(row) == 1 and _carries_on(run, above, row[0]) for above, row in pairwise(run.rows)
    )


def _with_head(run: _Run, lines: Sequence[TextLine], prose: set[int], level: Sequence[Box]) -> Box:
    """The box of a run, with the row of pieces above it that head its columns."""
    box = run.box
    size = median(x.size for row in run.rows for x in row)
    first, *rest = run.rows
    headed = is_head(first, [x for row in rest for x in row]) or (
        not any(is_value(x.text) for x in first) and _on_rules(first, level)
        and not any(_on_rules(row, level) for row in rest[:1])
    )
    for _ in range(2):
        above = [
            x for x in lines
            if id(x) not in prose and 0 < box[1] - x.middle < 2.2 * size
            and x.box[0] > box[0] - size and x.box[2] < box[2] + size and x.size < 1.2 * size
        ]
        if len(above) < 2 or (headed and not all(x.bold for x in above)):
            break
        box = union([box, *(x.box for x in above)])
    return box
