"""Notes in the margin: pieces of text that stand beside running text, beyond the edge at which its lines end or begin.

A label before a paragraph, a date or an amount behind an entry is no note: it is read with the line beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.text_layer.direction import is_backward
from microfiche.documents.text_layer.glyphs import Glyphs
from microfiche.documents.text_layer.pieces import Piece

LONG = 30  #: glyphs of a line of running text, at least
ROWS = 5  #: lines of running text on a page with notes, at least
SAME = 0.15  #: ems by which lines that end at one edge differ
SUPPORT = 0.25  #: of the lines of running text that end at an edge, at least
GAP, OFF = 0.6, 0.3  #: ems between a line and a note, at least; by which the line may end before the edge or behind it
DOTTED = 0.3  #: of the signs of a line that are dots, from which on it is one of a table of contents
CONTENTS = 2  #: such lines on a page with notes, at most
NARROW = 0.6  #: of the width of the lines, that of a note, at most
LARGE = 1.12  #: times the size of running text, that of a note, at most
NEXT = 1.7  #: ems from one row of a note to the next, at most
ROW = 0.4  #: ems by which the baselines of a row differ
BESIDE = 0.75  #: the same of a note and the line that it stands beside
FULL = 2.2  #: ems that a full line ends before the edge, or a paragraph begins behind it, at most
STEP = 1.35  #: times the usual step from line to line: a larger one parts paragraphs
DENSE = 0.65  #: of the height of the running text, that of a note, at most
FEW = 8  #: lines of running text for each label, from which on they are notes, as they do not head every paragraph
#: The number of a formula, or the mark of an item.
MARK = re.compile(r"\W*(?:[\d.]+|[ivxlc]{1,6}|\w)?\W*", re.IGNORECASE)
VALUE = re.compile(r"[\d\s.,:/%€$£¥+()–-]+")


@dataclass(eq=False)
class _Line:
    """A piece of text as it is seen from one side: it goes from `start` to `end`, which is nearer to the margin."""

    piece: Piece
    start: float
    end: float
    base: float
    size: float

    def level(self, other: _Line, reach: float) -> bool:
        return abs(self.base - other.base) < reach * max(self.size, other.size)


def notes_in(glyphs: Glyphs, pieces: Sequence[Piece], fixed: NDArray[np.bool_]) -> tuple[list[Piece], dict[int, int]]:
    """The pieces, with those cut that reach from a line of running text into a note, and the rows of each note whole;
    and the numbers of the pieces that are notes, each with the number of its note, from 1. `fixed` (T,) are the glyphs
    in type for code."""
    out, notes = list(pieces), list[list[Piece]]()
    if sum(len(piece) >= LONG for piece in pieces) < ROWS or any(map(is_backward, glyphs.text)):
        return out, {}
    for way in (-1, 1):
        kept, found = _Side(glyphs, out, fixed, way).parted()
        if found:
            out, notes = kept, notes + found
    numbers: dict[int, int] = {}
    for number, note in enumerate(notes, 1):
        for piece in note:
            numbers[len(out)] = number
            out.append(piece)
    return out, numbers


class _Side:
    """The lines of a page seen from its left (`way` -1) or from its right (1)."""

    def __init__(self, glyphs: Glyphs, pieces: Sequence[Piece], fixed: NDArray[np.bool_], way: int) -> None:
        self.glyphs, self.way = glyphs, way
        self.lines = [self._line(piece) for piece in pieces]
        long = [x for x in self.lines if len(x.piece) >= LONG and fixed[x.piece].mean() < 0.5]
        self.em = median(x.size for x in long) if long else 0.0
        self.prose = [x for x in long if abs(x.size - self.em) < 0.08 * self.em and not self._dotted(x)]
        # Where most lines of running text begin, and what ends before is the last line of a paragraph.
        self.usual_left = median(map(self._left, self.prose)) if self.prose else 0.0
        self.short = float(np.quantile([self._right(x) for x in self.prose] or [0.0], 0.4)) - 2 * self.em

    def _line(self, piece: Piece) -> _Line:
        start, end = self._ends(piece)
        glyphs = self.glyphs
        return _Line(
            piece, float(start.min()), float(end.max()), float(np.median(glyphs.y[piece])),
            float(np.median(glyphs.size[piece])),
        )

    def _dotted(self, line: _Line) -> bool:
        """Whether a line is one of a table of contents, with dots up to its number."""
        dots = sum(self.glyphs.text[i] in "._…" for i in line.piece)
        return dots > max(4, DOTTED * len(line.piece))

    def _ends(self, piece: Piece) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        x, end = self.glyphs.x[piece], self.glyphs.end[piece]
        return (x, end) if self.way == 1 else (-end, -x)

    def _gaps(self, line: _Line) -> list[tuple[float, float, int]]:
        """The wide spaces in a line, from where to where, and how many glyphs come before each."""
        start, end = self._ends(line.piece)
        order = np.argsort(start, kind="stable")
        stops, starts = np.maximum.accumulate(end[order])[:-1], start[order][1:]
        wide = np.flatnonzero(starts - stops > GAP * self.em)
        return [(float(stops[k]), float(starts[k]), int(k) + 1) for k in wide]

    def _edge(self) -> float | None:
        """Where the lines of running text end: the outermost place where many do, or where the longest does."""
        ends = np.sort([x.end for x in self.prose])
        near = np.searchsorted(ends, ends + SAME * self.em) - np.searchsorted(ends, ends - SAME * self.em)
        many = ends[near >= max(ROWS - 1, SUPPORT * len(ends))]
        if len(many):
            return float(np.median(ends[np.abs(ends - many[-1]) < SAME * self.em]))
        return max((x.end for x in self.prose if not self._gaps(x)), default=None)

    def parted(self) -> tuple[list[Piece], list[list[Piece]]]:
        """The pieces that are no notes, and the notes, each as its rows."""
        contents = sum(map(self._dotted, self.lines)) > CONTENTS
        edge = self._edge() if len(self.prose) >= ROWS and not contents else None
        if edge is None:
            return [], []
        em, kept, beyond, across = self.em, list[_Line](), list[_Line](), list[_Line]()
        for line in self.lines:
            if line.start >= edge + OFF * em:
                beyond.append(line)
            elif line.end > edge + GAP * em:
                cut = next((n for a, b, n in self._gaps(line) if abs(a - edge) < OFF * em and b > edge + OFF * em), 0)
                if cut:
                    order = [line.piece[k] for k in np.argsort(self._ends(line.piece)[0], kind="stable")]
                    kept.append(self._line(sorted(order[:cut], key=line.piece.index)))
                    beyond.append(self._line(sorted(order[cut:], key=line.piece.index)))
                else:
                    across.append(line)
            else:
                kept.append(line)
        column = median(x.end - x.start for x in self.prose)
        if any(x.end - x.start > NARROW * column for x in beyond if any(x.level(y, BESIDE) for y in self.prose)):
            return [], []
        notes = [
            note for note in self._grouped([x for x in beyond if not any(x.level(y, BESIDE) for y in across)])
            if self._beside(note, kept, edge)
        ]
        few = FEW * len(notes) <= len(self.prose)
        sure = [note for note in notes if few or not self._labels(note, kept, edge)]
        long = [x for x in kept if len(x.piece) >= LONG]
        own = {id(x) for note in notes for x in note}
        if not any(self._beside(note, long, edge) for note in sure) or self._dense(notes):
            return [], []
        others = [x for x in beyond if id(x) not in own and not MARK.fullmatch(self._text([x]))]
        if sum(len(x.piece) for x in others) > sum(len(x.piece) for note in notes for x in note):
            return [], []  # they are parts of a column of its own
        rest = [x.piece for x in (*kept, *across, *beyond) if id(x) not in own]
        return sorted(rest, key=min), [self._rows(part) for note in notes for part in self._split(note, kept, edge)]

    def _text(self, lines: Sequence[_Line]) -> str:
        return "".join(self.glyphs.text[i] for x in lines for i in x.piece)

    def _grouped(self, lines: Sequence[_Line]) -> list[list[_Line]]:
        """Lines in groups, one below the other."""
        out: list[list[_Line]] = []
        for line in sorted(lines, key=lambda x: x.base):
            if out and line.base - out[-1][-1].base < NEXT * max(line.size, out[-1][-1].size):
                out[-1].append(line)
            else:
                out.append([line])
        return out

    def _split(self, note: Sequence[_Line], kept: Sequence[_Line], edge: float) -> list[list[_Line]]:
        """A note to the left in parts, each of which but the first heads a paragraph of its own."""
        out: list[list[_Line]] = []
        for line in note:
            level = bool(out) and out[-1][-1].level(line, ROW)
            if out and (level or self.way == 1 or not self._heads(line, kept, edge)):
                out[-1].append(line)
            else:
                out.append([line])
        return out

    def _beside(self, note: Sequence[_Line], kept: Sequence[_Line], edge: float) -> bool:
        """Whether lines are words in no large type beside one of the `kept` lines that goes to the edge."""
        if MARK.fullmatch(self._text(note)) or any(x.size > LARGE * self.em for x in note):
            return False
        full = [x for x in kept if edge - x.end < FULL * self.em]
        return any(x.level(y, BESIDE) for x in note for y in full)

    def _labels(self, note: Sequence[_Line], kept: Sequence[_Line], edge: float) -> bool:
        """Whether lines are one row that belongs to the line beside it: one with which a paragraph begins, seen from
        the left, or ends, seen from the right; or an amount."""
        if VALUE.fullmatch(self._text(note)):
            return True
        return all(self._heads(x, kept, edge) for x in note if not any(y.level(x, ROW) and y.end < x.end for y in note))

    def _heads(self, line: _Line, kept: Sequence[_Line], edge: float) -> bool:
        """Whether a paragraph begins with the line beside a label, seen from the left, or ends with it."""
        beside = [x for x in kept if x.level(line, ROW) and edge - x.end < FULL * self.em]
        if not beside:
            return False
        its = max(beside, key=lambda x: x.end)
        over = [x for x in kept if x.start < its.end and its.start < x.end and abs(x.size - its.size) < 0.2 * its.size]
        steps = [(x.base - its.base) * self.way for x in over if (x.base - its.base) * self.way > ROW * self.em]
        bases = sorted(x.base for x in self.prose)
        usual = median([s for a, b in pairwise(bases) if ROW * self.em < (s := b - a) < 2 * self.em] or [1.2 * self.em])
        if not steps or min(steps) > STEP * usual:
            return True
        other = next(x for x in over if (x.base - its.base) * self.way == min(steps))
        ended, began = (its, other) if self.way == 1 else (other, its)
        return self._right(ended) < self.short or self._left(began) > self.usual_left + 0.5 * self.em

    def _left(self, line: _Line) -> float:
        return line.start if self.way == 1 else -line.end

    def _right(self, line: _Line) -> float:
        return line.end if self.way == 1 else -line.start

    def _dense(self, notes: Sequence[Sequence[_Line]]) -> bool:
        """Whether notes are so long, or so many, that they are a column of their own."""
        bases = [x.base for x in self.prose]
        high = max(note[-1].base - note[0].base for note in notes)
        glyphs = sum(len(x.piece) for note in notes for x in note)
        return high > DENSE * (max(bases) - min(bases)) or glyphs > NARROW * sum(len(x.piece) for x in self.prose)

    def _rows(self, note: Sequence[_Line]) -> list[Piece]:
        rows: list[list[_Line]] = []
        for line in note:
            if rows and line.level(rows[-1][0], ROW):
                rows[-1].append(line)
            else:
                rows.append([line])
        return [[i for x in sorted(row, key=lambda x: x.start * self.way) for i in x.piece] for row in rows]
