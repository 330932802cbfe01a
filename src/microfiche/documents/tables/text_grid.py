"""Rows and columns that text makes where no rules part it, and what is running text rather than cells.

All of it follows from where lines stand and, where that is not enough, from how one reads on in the next. It knows
nothing of pages, models or Markdown. Boxes are in pixels; an em is the size of a line's type.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from itertools import pairwise, zip_longest
from statistics import median

import numpy as np

from microfiche.documents.boxes import union
from microfiche.documents.inline import unmarked
from microfiche.documents.tables.grid import place
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

NUMBER = re.compile(r"^[^\w]*(?:\d[\d\W]*[A-Za-zµ]{0,3}|[A-Z]{0,3}[\W]*\d[\d\W]*)[\W]*$")
BLANK = {"-", "–", "—", "n/a", "N/A", "nil", "•", "x", "X", "✓", "✗", "×", "yes", "no", "Yes", "No", "…", "..", "*"}
SIGN = re.compile(r"^[$€£¥%()†‡*]+$")
OPEN = re.compile(r"(?:[,;(&/\u00ad–-]|\b(?:and|or|of|the|a|an|in|on|to|for|with|by|und|der|die|das|et|de|la|le))$")
END = re.compile(r"[.!?。！？:]\W*$")
LEADERS = ".·…_"
WORDY = 4  #: words in a line of running text, on average
STACK = 3  #: lines that running text has at least
FARTHEST = 2.3  #: ems of a line below which no line is its next, though in somewhat larger type
TALLEST = 12  #: lines of a cell, at most
BESIDE = 3  #: lines that begin something beside the further lines of a paragraph, which are no cells
FILLED = 0.7  #: of the rows of a table, that stand above those of its totals, at least
HEADS = 3  #: rows of a head, at most
CLOSE = 1.5  #: ems from line to line within one cell, at most
SPANNED = 0.6  #: the share of a piece's width that a line must go over to span it


def without_leaders(text: str) -> str:
    """A cell's text without the row of three dots or more at its end that leads to the next cell."""
    rest = text.rstrip(LEADERS + string.whitespace + "\xa0")
    return (rest if sum(map(text[len(rest) :].count, LEADERS)) >= 3 else text).strip()


def is_value(text: str) -> bool:
    """Whether the text is a number, an amount, a time, a date in figures, or the sign for none."""
    text = unmarked(text).strip()
    if text in BLANK or NUMBER.match(text):
        return True
    return len(text) <= 16 and sum(c.isdigit() for c in text) >= 0.4 * len(text.replace(" ", ""))


def text_rows(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """The lines in rows from the top, each from the left: what stands at one height is one row."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda x: x.middle):
        if rows and line.middle - median(x.middle for x in rows[-1]) < 0.45 * min(line.size, rows[-1][-1].size):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda x: x.box[0]) for row in rows]


def first_word(line: TextLine) -> float:
    """The width of the first word of a line, with the space before it."""
    text = line.text.strip()
    word = text.split(maxsplit=1)[0] if text else ""
    return (len(word) + 1) / max(1, len(text)) * (line.box[2] - line.box[0])


def running_text(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """The stacks of lines that read on from one to the next, as lines of a paragraph do, each from the top."""
    stacks: list[list[TextLine]] = []
    live: list[list[TextLine]] = []  # those that may go on
    for line in sorted(lines, key=lambda x: (x.box[1], x.box[0])):
        live = [stack for stack in live if line.box[1] - stack[-1].middle < FARTHEST * stack[-1].size]
        least = 2 if len(line.text.split()) < 2 and not cjk(line.text) else 1
        wanted = [stack for stack in live if len(stack) >= least and _stands_under(stack[-1], line)]
        if wanted:
            min(wanted, key=lambda s: line.middle - s[-1].middle).append(line)
        else:
            stacks.append([line])
            live.append(stacks[-1])
    return [stack for stack in stacks if _reads_on(stack)]


def _stands_under(above: TextLine, line: TextLine) -> bool:
    step, size = line.middle - above.middle, max(above.size, line.size)
    return (
        0.7 * size < step < 1.9 * size
        and abs(line.size - above.size) < 0.15 * size
        and abs(line.box[0] - above.box[0]) < 3 * size
        and min(line.box[2], above.box[2]) - max(line.box[0], above.box[0])
        > 0.5 * min(line.box[2] - line.box[0], above.box[2] - above.box[0])
    )


def _reads_on(stack: Sequence[TextLine]) -> bool:
    size = median(x.size for x in stack)
    right = max(x.box[2] for x in stack)
    wide = right - min(x.box[0] for x in stack)
    words = sum(len(x.text) / 2 if cjk(x.text) else len(x.text.split()) for x in stack) / len(stack)
    letters = sum(c.isalpha() for x in stack for c in x.text) / max(1, sum(len(x.text) for x in stack))
    if len(stack) < (STACK if wide < 30 * size else 2) or wide < 8 * size or words < WORDY or letters < 0.6:
        return False
    pairs = list(pairwise(stack))
    full = sum(a.box[2] + first_word(b) > right - 0.5 * size for a, b in pairs)
    return full >= 0.55 * len(pairs) and sum(_on(a, b) for a, b in pairs) >= 0.35 * len(pairs)


def _on(a: TextLine, b: TextLine) -> bool:
    """Whether the words of `b` read as a sentence of `a` going on."""
    return b.text[:1].islower() or cjk(b.text) or bool(OPEN.search(a.text))


def cjk(text: str) -> bool:
    """Whether most of a text is Chinese or Japanese."""
    return sum("\u3000" <= c <= "\u9fff" or "\uf900" <= c <= "\uffef" for c in text) > 0.5 * len(text)


def reads_down(lines: Sequence[TextLine], box: Box) -> bool:
    """Whether the lines in `box` are columns of running text rather than rows of cells: one column of it, or several
    whose paragraphs do not begin at the same heights."""
    stacks = running_text(lines)
    running = {id(x) for stack in stacks for x in stack}
    count = sum(len(x.text) for x in lines)
    if not stacks or sum(len(x.text) for x in lines if id(x) in running) < 0.5 * count:
        return False
    borders = column_borders(lines, box)
    held = by_column(lines, borders)
    full = [k for k, inside in held.items()
            if sum(len(x.text) for x in inside if id(x) in running) > 0.6 * sum(len(x.text) for x in inside)]
    if len(full) < 2:
        others = [x for x in lines if id(x) not in running]
        return len(held) < 2 or len(borders) < 3 or _begin_beside(others, stacks)
    starts = [(place((stack[0].box[0] + stack[0].box[2]) / 2, borders), stack[0]) for stack in stacks]
    level = sum(
        any(k != other and abs(line.middle - x.middle) < 0.4 * line.size for other, x in starts) for k, line in starts
    )
    return len(starts) < 2 * len(full) or level < 0.7 * len(starts) or max(map(len, stacks)) > TALLEST


def _begin_beside(lines: Sequence[TextLine], stacks: Sequence[Sequence[TextLine]]) -> bool:
    """Whether most lines begin something of their own beside the further lines of a paragraph, as dates and keywords
    beside an abstract do: no cell of a row begins there."""
    level = [
        (x, x.middle > stack[0].middle + 0.7 * x.size)
        for x in lines for stack in stacks if stack[0].box[1] < x.middle < stack[-1].box[3]
    ]
    further = [x for x, below in level if below and not unmarked(x.text)[:1].islower()]
    return len(further) >= BESIDE and len(further) > 0.5 * len(level)


def column_borders(lines: Sequence[TextLine], box: Box) -> list[float]:
    """Borders between columns, with the edges of `box`: strips that no line crosses but few, and those that go over
    several pieces of other rows, as a heading over columns does."""
    rows = text_rows(lines)
    usual = median(len(row) for row in rows)
    full = [k for k, row in enumerate(rows) if len(row) >= 0.7 * usual]  # not those of a head over columns, nor totals
    last = full[-1] + 1 if usual >= 3 and full[-1] + 1 >= FILLED * len(rows) else len(rows)
    body = rows[full[0] : last] if last - full[0] >= 3 else rows
    several = _over_several(rows)
    pieces = [line for row in body for line in row if id(line) not in several]
    if not pieces:
        return [box[0], box[2]]
    allowed = len(rows) // 7
    size = median(x.size for x in pieces)
    spans = [span for x in pieces for span in _spans(x)]
    edges = sorted([(left, 1) for left, _ in spans] + [(right, -1) for _, right in spans])
    gaps: list[list[tuple[int, float, float]]] = [[]]  # of each: lines that cross, minus the width, the middle
    depth, first = 0, min(x.box[2] for x in pieces)
    for (x, step), (after, _) in pairwise(edges):
        depth += step
        if depth <= allowed:
            if after - x > 0.2 * size and (x + after) / 2 > first:
                gaps[-1].append((depth, x - after, (x + after) / 2))
        elif gaps[-1]:
            gaps.append([])
    gaps = [strips for strips in gaps[:-1] if strips]
    heads = ([span for line in row for span in _spans(line)] for row in rows[:HEADS])
    whole = next((row for row in heads if len(row) == len(gaps) + 1), [])  # a piece for each column
    wide = [gap for row in body for line in row if id(line) in several for gap in line.gaps]
    borders = []
    for strips, a, b in zip_longest(gaps, whole[:-1], whole[1:]):
        best = min((a and _clipped(strips, a[1], b[0])) or strips)
        for low, high in wide:  # of lines that fill two columns
            best = min(_clipped([best], low, high), default=best)
        borders.append(best[2])
    return _without_signs(pieces, [box[0], *borders, box[2]])


def _clipped(strips: Sequence[tuple[int, float, float]], low: float, high: float) -> list[tuple[int, float, float]]:
    """The strips (how many lines cross, minus the width, the middle), as far as they lie between `low` and `high`."""
    ends = ((depth, max(low, middle + width / 2), min(high, middle - width / 2)) for depth, width, middle in strips)
    return [(depth, start - end, (start + end) / 2) for depth, start, end in ends if start < end]


def _spans(line: TextLine) -> list[tuple[float, float]]:
    """From where to where a line goes without a wide space."""
    ends = [line.box[0], *(x for gap in line.gaps for x in gap), line.box[2]]
    return list(zip(ends[::2], ends[1::2], strict=True))


def _over_several(rows: Sequence[Sequence[TextLine]]) -> set[int]:
    """The ids of the lines that go over two pieces or more in several other rows."""
    lines = [line for row in rows for line in row]
    number = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    left, right = np.array([(line.box[0], line.box[2]) for line in lines], float).reshape(-1, 2).T
    out = set()
    # A line that goes over two pieces is wider than what is needed of the narrowest two.
    least = SPANNED * float(np.sort(right - left)[:2].sum())
    for k in np.flatnonzero(right - left >= least).tolist():
        over = np.minimum(right, right[k]) - np.maximum(left, left[k]) >= SPANNED * (right - left)
        under = np.bincount(number[over & (number != number[k])], minlength=len(rows))
        if (under >= 2).sum() >= (2 if len(rows) > 3 else 1):
            out.add(id(lines[k]))
    return out


def _without_signs(lines: Sequence[TextLine], borders: list[float]) -> list[float]:
    """The borders without those that part a column of signs alone, such as $ or %, from its numbers."""
    held: dict[int, list[TextLine]] = {}
    for line in lines:
        held.setdefault(place((line.box[0] + line.box[2]) / 2, borders), []).append(line)
    drop = set()
    for k, inside in held.items():
        if all(SIGN.match(x.text.strip()) for x in inside):
            before = inside[0].text.strip()[0] in "$€£¥("
            drop.add(k + 1 if before and k + 2 < len(borders) else k)
    return [b for k, b in enumerate(borders) if k not in drop or k in (0, len(borders) - 1)]


Held = dict[int, list[TextLine]]  #: the lines of a row by column


def by_column(row: Sequence[TextLine], borders: Sequence[float]) -> Held:
    """The lines of a row by the column in which their middle is."""
    held: Held = {}
    for line in row:
        held.setdefault(place((line.box[0] + line.box[2]) / 2, borders), []).append(line)
    return held


def continued_rows(
    rows: Sequence[Sequence[TextLine]], borders: Sequence[float], cuts: Sequence[float] = ()
) -> list[list[TextLine]]:
    """The rows of text, with those joined to the row above that only carry on its cells.

    `borders` part columns; `cuts` are the heights of level rules, over which no cell goes on.
    """
    held = [by_column(row, borders) for row in rows]
    middles = [median(x.middle for x in row) for row in rows]
    sizes = [median(x.size for x in row) for row in rows]
    steps = [(b - a) / max(size, 1.0) for (a, b), size in zip(pairwise(middles), sizes, strict=False)]
    small = _line_step(steps)
    right = {k: max(x.box[2] for h in held for x in h.get(k, [])) for k in {k for h in held for k in h}}
    values = {
        k for k in right
        if sum(is_value(_text(h[k])) for h in held if k in h) > 0.6 * sum(k in h for h in held)
    }
    out = [list(rows[0])] if rows else []
    above = dict(held[0]) if rows else {}
    for i in range(1, len(rows)):
        cut = any(middles[i - 1] < y < middles[i] for y in cuts)
        signs = [_text(held[i][k]) for k in values & {*held[i]}]
        cut = cut or bool(signs and values & {*above} and 0 in held[i] and max(map(len, signs)) == 1)
        if not cut and _carries_on(above, held[i], right, values, steps[i - 1], small):
            out[-1] += rows[i]
            above = {k: [*above.get(k, []), *held[i].get(k, [])] for k in {*above, *held[i]}}
        else:
            out.append(list(rows[i]))
            above = dict(held[i])
    return out


def _text(lines: Sequence[TextLine]) -> str:
    return " ".join(x.text for x in lines)


def _line_step(steps: Sequence[float]) -> float | None:
    """The largest step, in ems, that is one from line to line within a cell, where steps are of two kinds."""
    known = sorted(s for s in steps if s > 0.9)
    best, at = 1.13, None
    for a, b in pairwise(known):
        if a < CLOSE and b / a > best:
            best, at = b / a, a
    return at


def _carries_on(
    above: Held, below: Held, right: dict[int, float], values: set[int], step: float, small: float | None
) -> bool:
    """Whether a row of text carries on the cells of the row above it."""
    if step > CLOSE or not above or not below:
        return False
    if step < 0.68 and not set(above) & set(below):
        return True  # a cell that stands midway between the lines of another
    missing = [k for k in above if k not in below]
    if small is not None and step <= small * 1.03 and set(missing) & values and set(below) <= set(above) - values:
        return True  # more words beside values that take one line
    score, flows = 0.0, 0
    for k in below:
        b = below[k][0]
        if k not in above:
            score -= 0.5 if k in values else 0.0
            continue
        a = above[k][-1]
        if is_value(a.text) and is_value(b.text):
            return False
        if k in values and is_value(b.text):
            return False
        full = a.box[2] + first_word(b) > right[k] - 0.3 * b.size
        reads = b.text[:1].islower() or bool(OPEN.search(a.text)) or b.text[:1] in "(&"
        if not full and not reads:
            score -= 1.5
        elif not full:
            score += 0.5
            flows += 1
        else:
            flows += 1
            score += 2.0 if reads else -0.7 if b.text[:1].isupper() or b.text[:1].isdigit() else 0.3
        if END.search(a.text) and not reads:
            score -= 0.5
    if not flows:
        return False
    if small is not None:
        score += 1.5 if step <= small * 1.03 else -2.5
    score += 0.6 * bool(missing) + 0.6 * bool(set(missing) & values)
    score -= 0.0 if missing else 0.7 if len(below) >= 3 else 0.4 if small is None and len(below) == 2 else 0.0
    return score >= 1.2


def cell_columns(line: TextLine, borders: Sequence[float]) -> tuple[int, int]:
    """The first and the last column over which a line goes."""
    size = min(line.size, 0.4 * (line.box[2] - line.box[0]))
    first, last = place(line.box[0] + 0.5 * size, borders), place(line.box[2] - 0.5 * size, borders)
    return first, max(first, last)


def box_of(lines: Sequence[TextLine]) -> Box:
    """The box around lines, of which there is one at least."""
    return union(line.box for line in lines)


def is_head(row: Sequence[TextLine], above: Sequence[TextLine]) -> bool:
    """Whether a row is the head of a table that begins with it rather than the last row of what stands `above`: bold
    words, three at least, where most of that is not bold."""
    return (
        len(row) >= 3 and all(x.bold and not is_value(x.text) for x in row)
        and len(above) > 0 and 2 * sum(x.bold for x in above) < len(above)
    )


def holds_cells(lines: Sequence[TextLine], box: Box) -> bool:
    """Whether what stands between two rules are rows of cells."""
    rows = text_rows(lines)
    return bool(rows) and sum(len(row) > 1 for row in rows) >= 0.35 * len(rows) and not reads_down(lines, box)
