"""Rows of code among lines that were recognised: what stands between lines of fixed-pitch type, on the same grid.

Of a short line one cannot tell by itself whether its type has a fixed pitch, and wide spaces part a line of code into
pieces, which would be read as columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.layout.listings import CODE, SYNTAX, slope
from microfiche.documents.tables.text_grid import text_rows
from microfiche.documents.text_lines import AROUND, TextLine, read_by

LONG = 6  #: characters of a piece whose pitch is known
PITCH, EVEN = 0.2, 0.08  #: of the pitch of code, by which that of a piece, and of a longer one, differs, at most
LESS, MORE = 0.3, 0.6  #: ems by which a detector's box is narrower than its text, and wider, at most
ROWS = 3  #: of code, at least
SURE = 0.4  #: of the characters of code, that are in pieces of fixed pitch, at least
STEP, CLOSE = 2.6, 1.3  #: steps from row to row: between two of code, and to a short one before or after it, at most
SHORT = 14  #: characters of that; and of a piece whose pitch is not surely known
ASIDE = 3.0  #: ems from code to what stands beside it


def with_code_rows(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines, with each row of code that was recognised in pieces as one line of fixed-pitch type, with its
    spaces."""
    fixed = [x for x in lines if x.fixed and x.confidence < 1 and len(x.text) >= LONG]
    if len(fixed) < ROWS:
        return list(lines)
    usual = median((x.box[2] - x.box[0] - 2 * AROUND * x.size) / len(x.text) for x in fixed)
    pitch = slope([(x.box[2] - x.box[0], len(x.text)) for x in fixed], usual)
    size = median(x.size for x in fixed)
    rows = [its for row in text_rows(lines) if (its := _on_grid(row, pitch, size))]
    middles = [median(x.middle for x in row) for row in rows]
    steps = sorted(b - a for a, b in pairwise(middles) if b - a > 0.7 * size)
    step = steps[len(steps) // 4] if steps else 0.0
    out, taken = list[TextLine](), set[int]()
    for run in _runs(rows, middles, step, pitch):
        left = min(x.box[0] for row in run for x in row)
        out += [_row(row, left, pitch) for row in run]
        taken |= {id(x) for row in run for x in row}
    return [*(x for x in lines if id(x) not in taken), *out]


def _fits(line: TextLine, pitch: float, off: float) -> bool:
    """Whether a line that was recognised is as wide as characters of this pitch, but for the share `off`, and for what
    a detector adds at its ends."""
    wide = pitch * len(line.text)
    more = line.box[2] - line.box[0] - wide
    return -off * wide - LESS * line.size < more < off * wide + MORE * line.size


def _on_grid(row: Sequence[TextLine], pitch: float, size: float) -> list[TextLine]:
    """The pieces of a row that may be code of this pitch, px; none where others stand close to them."""

    def fits(x: TextLine) -> bool:
        even = len(x.text) < SHORT or _fits(x, pitch, PITCH)
        return x.confidence < 1 and even and x.size < 1.3 * size

    its = [x for x in row if fits(x)]
    others = [x for x in row if not fits(x)]
    close = any(max(a.box[0] - b.box[2], b.box[0] - a.box[2]) < ASIDE * size for a in its for b in others)
    return [] if close else its


def _runs(
    rows: Sequence[list[TextLine]], middles: Sequence[float], step: float, pitch: float
) -> list[list[list[TextLine]]]:
    """The rows of each listing."""
    runs: list[list[int]] = []
    for k, row in enumerate(rows):
        if not _is_sure(row):
            continue
        last = runs[-1][-1] if runs else -1
        between = rows[last + 1 : k]
        near = runs and all(b - a < STEP * step for a, b in pairwise(middles[last : k + 1]))
        if near and all(_is_even(x, pitch) for its in between for x in its):
            runs[-1] += range(last + 1, k + 1)
        else:
            runs.append([k])
    out = []
    held = {k for run in runs for k in run}
    for run in runs:
        for end, way in ((0, -1), (-1, 1)):
            k = run[end] + way
            while 0 <= k < len(rows) and k not in held and _belongs(rows[k], abs(middles[k] - middles[k - way]), step):
                held.add(k)
                run.insert(0 if way < 0 else len(run), k)
                k += way
        its = [rows[k] for k in run]
        pieces = [x for row in its for x in row]
        text = "".join(x.text for x in pieces).replace(" ", "")
        sure = sum(len(x.text) for x in pieces if x.fixed)
        if (
            len(its) >= ROWS
            and sure >= SURE * sum(len(x.text) for x in pieces)
            and (len(SYNTAX.findall(text)) > CODE * len(text))
        ):
            out.append(its)
    return out


def _is_sure(row: Sequence[TextLine]) -> bool:
    """Whether a row holds a piece of fixed pitch."""
    return any(x.fixed and len(x.text) >= LONG for x in row)


def _is_even(piece: TextLine, pitch: float) -> bool:
    """Whether a piece between rows of code is short, or has their pitch."""
    return len(piece.text) < SHORT or _fits(piece, pitch, EVEN)


def _belongs(row: Sequence[TextLine], away: float, step: float) -> bool:
    """Whether a short row, such as a bracket, is the next of a listing, `away` px from its edge."""
    return away < CLOSE * step and sum(len(x.text) for x in row) <= SHORT


def _row(pieces: Sequence[TextLine], left: float, pitch: float) -> TextLine:
    """A row as one line, its pieces where they stand on a grid of this pitch that begins at `left`."""
    text, begin = "", round((pieces[0].box[0] - left) / pitch)
    for piece in pieces:
        at = round((piece.box[0] - left) / pitch) - begin
        text += " " * max(at - len(text), 1 if text else 0) + piece.text
    count = sum(len(x.text) for x in pieces)
    return replace(
        pieces[0],
        text=text,
        box=union([x.box for x in pieces]),
        size=median(x.size for x in pieces),
        fixed=True,
        confidence=sum(x.confidence * len(x.text) for x in pieces) / max(1, count),
        gaps=(),
        engine=read_by(pieces),
    )
