"""Text → lines of a page: what stands for each character, at which density each line is set, and where lines break.

A line is set at the density of its page unless that cannot draw all of it; then it takes the next larger one, and the
height of as many lines as that needs. What no density can draw stands beside the page, and a number stands for it on
the page. This module knows nothing of pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from microfiche.page import Layout
from microfiche.typesetting.alphabet import code_points
from microfiche.typesetting.density import Density
from microfiche.typesetting.repertoire import APART, BESIDE, LABEL, UPON_ANOTHER, all_marks, ladder, repertoire, tables

GAP = 24  #: characters between two that cannot be drawn which stand beside the page together with these
LONGEST = 2000  #: characters that one number stands for at most
UPON = 2  #: marks that are drawn upon one character
AHEAD = 4096  #: characters behind the end of a page on which its lines may depend
_RUN = re.compile(rb"u+(?:g{1,%d}u+)*" % GAP)
_LABEL = re.compile(rf"{LABEL}[^\]\n{LABEL}]{{0,256}}(?:\]|\Z)")
_SPACE, _LINE_END = 32, 10
_ANY = bytes([0]) + bytes([1]) * 255


class Row(NamedTuple):
    """A line: the items from `start` to `end` at the density of `level` on the ladder, in `rows` lines of the page's
    own density from line `top` on. `plain` lines can be read by models that read cells; those with a `gap` have a cell
    left over at the end for a full-width character."""

    start: int
    end: int
    level: int
    top: int
    rows: int
    plain: bool
    gap: bool = False


class Items:
    """A text as what stands on a page for it: `points` (I,) uint32 code points, of which those that are `inverse` stand
    white on black, and `starts` (I + 1,) the characters of the text from which on each of them stands for it.

    `runs` (n, 2) are the stretches of the text that stand beside the page. `labels` says whether labels are drawn, and
    then where they stand; an older page may end within one. The text is cut off behind the run with which `most`
    characters stand beside the page; `length` is what is left of it.
    """

    def __init__(self, text: str, density: Density, labels: bool = False, most: int = 1 << 30) -> None:
        self.ladder = ladder(density)
        self.repertoires = [repertoire(d) for d in self.ladder]
        self._tables = tables(density)
        points = code_points(text)
        inverse = np.zeros(len(points), bool)
        barrier = np.zeros(len(points), bool)
        self.labels = [label.span() for label in _LABEL.finditer(text)] if labels else []
        for start, end in self.labels:
            points = points if points.flags.writeable else points.copy()
            inverse[start:end] = barrier[start:end] = True
            points[start] = ord("[")
        kinds = self._tables.kinds.take(points, mode="clip")
        self.runs: list[tuple[int, int]] = []
        if kinds.any():
            drawn, upon = kinds != BESIDE, kinds == UPON_ANOTHER
            if upon.any():
                apart = _apart_marks(points, upon, drawn)
                points = points.copy()
                points[apart] = APART + np.searchsorted(all_marks(), points[apart])
            if not drawn.all():
                _with_their_letters(text, points, drawn)
                self.runs = list(_runs(drawn, barrier))
        total, self.length = 0, len(text)
        for number, (start, end) in enumerate(self.runs, 1):
            total += end - start
            if total >= most:
                self.runs, self.length = self.runs[:number], end
                break
        points, inverse = points[: self.length], inverse[: self.length]
        self.starts = np.arange(self.length + 1)
        if self.runs:
            points, inverse = self._numbered(points, inverse)
        self.points, self.inverse, self.count = points, inverse, len(points)
        self.breaks = (points == _LINE_END).tobytes()
        self._evens: dict[int, bool] = {}
        self._edges: dict[int, NDArray[np.int64]] = {}

    def _numbered(self, points: NDArray[np.uint32], inverse: NDArray[np.bool_]) -> tuple[
        NDArray[np.uint32], NDArray[np.bool_]
    ]:
        """Puts a number in the place of each run."""
        numbers = [f" {number} " for number in range(1, len(self.runs) + 1)]
        sizes = np.array([len(number) for number in numbers])
        first, behind = np.array(self.runs).T
        edges = np.zeros(len(points) + 1, np.int8)
        edges[first] += 1
        edges[behind] -= 1
        drawn = np.flatnonzero(np.cumsum(edges[:-1]) == 0)
        at = np.repeat(np.searchsorted(drawn, first), sizes)
        starts = np.repeat(behind, sizes)
        starts[np.cumsum(sizes) - sizes] = first
        self.starts = np.append(np.insert(drawn, at, starts), len(points))
        return np.insert(points[drawn], at, code_points("".join(numbers))), np.insert(inverse[drawn], at, True)

    def whole(self, end: int) -> int:
        """The character before which a page ends that would end before character `end`, so that it breaks no label."""
        return next((start for start, stop in self.labels if 0 < start < end < stop), end)

    @cached_property
    def levels(self) -> bytes:
        """(I,) the first density on the ladder that can draw each item."""
        return self._tables.levels.take(self.points, mode="clip").tobytes()

    @cached_property
    def raised(self) -> bytes:
        """(I,) 1 for the items that the page's own density cannot draw."""
        return self.levels.translate(_ANY)

    def edges(self, level: int) -> NDArray[np.int64]:
        """(I + 1,) the cells before each item at a density of the ladder, as if all stood in one line."""
        if level not in self._edges:
            edges = np.zeros(len(self.points) + 1, np.int64)
            np.cumsum(self._tables.widths[level].take(self.points, mode="clip"), out=edges[1:])
            self._edges[level] = edges
        return self._edges[level]

    def _even(self, level: int) -> bool:
        """Whether each item takes one cell at a density of the ladder."""
        if level not in self._evens:
            self._evens[level] = bool((self._tables.widths[level].take(self.points, mode="clip") == 1).all())
        return self._evens[level]

    def reach(self, start: int, level: int, cells: int) -> int:
        """The item behind the last of those from `start` on that have room in so many cells at a density."""
        even = self._evens.get(level)
        if self._even(level) if even is None else even:
            return min(start + cells, self.count)
        edges = self.edges(level)
        return int(edges.searchsorted(edges[start] + cells, "right")) - 1

    def cells(self, start: int, end: int) -> int:
        """The cells that items take at the page's own density."""
        return end - start if self._even(0) else int(self.edges(0)[end] - self.edges(0)[start])

    @cached_property
    def unknown(self) -> bytes:
        """(I,) 1 for the items that models which read cells do not know at the page's own density."""
        return (~self._tables.known.take(self.points, mode="clip") | self.inverse).tobytes()

    @cached_property
    def wide(self) -> NDArray[np.bool_] | None:
        """(I,) the full-width characters; None where there are none."""
        found: NDArray[np.bool_] = self._tables.widths[-1].take(self.points, mode="clip") == 2
        return found if found.any() else None

    @cached_property
    def blanks(self) -> bytes:
        """(I,) 1 for the items without ink, line ends among them."""
        return ((self.points <= _SPACE) & ~self.inverse).tobytes()

    @cached_property
    def spaces(self) -> bytes:
        """(I,) 1 for the single spaces between words, after which a line may end: what follows it there stands for
        one."""
        space = (self.points == _SPACE) & ~self.inverse
        word = (self.points > _SPACE) & ~self.inverse
        space[1:] &= word[:-1]
        space[:1] = False
        space[:-1] &= self.points[1:] != _SPACE
        return space.tobytes()


def _apart_marks(
    points: NDArray[np.uint32], upon: NDArray[np.bool_], drawn: NDArray[np.bool_]
) -> list[int]:
    """The marks (`upon`) that have no character to stand upon, or too many before them."""
    apart, count = [], 0  # of marks upon the last character
    for i in np.flatnonzero(upon).tolist():
        before = i - 1
        if before >= 0 and upon[before]:
            count += 1
        else:
            count = 1 if before >= 0 and drawn[before] and points[before] > _SPACE else UPON + 1
        if count > UPON:
            apart.append(i)
    return apart


def _with_their_letters(text: str, points: NDArray[np.uint32], drawn: NDArray[np.bool_]) -> None:
    """Lets the characters stand beside the page to which marks belong that do."""
    for i in np.flatnonzero(~drawn[1:] & drawn[:-1]).tolist():
        while i >= 0 and category(text[i + 1])[0] == "M" and drawn[i] and points[i] > _SPACE:
            drawn[i] = False
            i -= 1


def _runs(drawn: NDArray[np.bool_], barrier: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The stretches of a text that stand beside the page: what cannot be drawn, with short gaps in between."""
    kinds = np.where(drawn, np.where(barrier, np.uint8(ord("b")), np.uint8(ord("g"))), np.uint8(ord("u"))).tobytes()
    for found in _RUN.finditer(kinds):
        start = found.start()
        while found.end() - start > LONGEST:
            cut = kinds.rindex(b"u", start, start + LONGEST) + 1
            yield start, cut
            start = cut + (kinds.index(b"u", cut) - cut)
        yield start, found.end()


def rows_of(
    items: Items, columns: tuple[int, ...], most: int, layout: Layout, last: bool, drawn: bool = True
) -> list[Row]:
    """The lines of a page of at most `most` lines, `columns` being the cells of a line at each density of the ladder.
    `last` says whether the text ends with the items. Where the page is not `drawn`, only of its last line it is found
    out whether it is plain."""
    found: list[Row] = []
    heights = [-(-density.height // items.ladder[0].height) for density in items.ladder]
    start, used, plain, gap = 0, 0, False, False
    while start < items.count and used < most:
        level, end = _line(items, start, columns, layout)
        rows = heights[level]
        if used + rows > most:
            break
        if drawn:
            plain, gap = _plain(items, start, end, level, columns[0], layout)
        found.append(Row(start, end, level, used, rows, plain, gap))
        used, start = used + rows, end
    if found and not drawn:
        row = found[-1]
        found[-1] = Row(*row[:5], *_plain(items, row.start, row.end, row.level, columns[0], layout))
    if found and (layout in ("words", "turns") or (last and start == len(items.points))):
        row = found[-1]
        found[-1] = row._replace(plain=_closed(items, row, columns[0], layout), gap=False)
    return found


def closes(items: Items, row: Row, columns: int) -> bool:
    """Whether the mark of the text's end has room behind a line that is `plain`."""
    return row.plain and items.cells(row.start, row.end) < columns


def _line(items: Items, start: int, columns: tuple[int, ...], layout: Layout) -> tuple[int, int]:
    """The level at which a line is set that begins with an item, and the item before which it ends."""
    level = 0
    while True:
        end = _reach(items, start, level, columns, layout)
        if items.raised.find(1, start, end) < 0:
            return level, end
        needed = items.levels[start:end]
        most = max(needed)
        if most <= level:
            return level, end
        first = start + next(i for i, one in enumerate(needed) if one > level)
        reach = _reach(items, start, most, columns, layout)
        if reach <= first:  # the larger line would end before what needs it: end this one there
            return level, _between_words(items, start, first, layout)
        level = most


def _reach(items: Items, start: int, level: int, columns: tuple[int, ...], layout: Layout) -> int:
    """The item before which a line ends that begins with an item and is set at a level."""
    end = items.reach(start, level, columns[level])
    end = end if end > start else start + 1
    while items.runs and end < items.count and items.starts[end] == items.starts[end + 1]:
        end -= 1  # no number is broken
    if layout == "lines":
        at = items.breaks.find(1, start, end)
        if at >= 0:
            return at + 1
    if end == items.count or layout not in ("words", "turns"):
        return end
    return _whole_word(items, start, end, columns[level])


def _whole_word(items: Items, start: int, end: int, columns: int) -> int:
    """Where a line ends that is full before item `end`: before the word that would be broken there, if that has room
    in a line of its own."""
    if items.blanks[end]:
        return end
    cut = items.spaces.rfind(1, start, end) + 1
    if not cut or cut == end or _apart(items, end):
        return end
    fits = items.blanks.find(1, cut, cut + columns + 1) >= 0 or cut + columns >= items.count
    return cut if fits else end


def _any(items: bytes, start: int, end: int) -> bool:
    """Whether one of the items from `start` to before `end` is 1."""
    return items.find(1, start, end) >= 0


def _after_space(items: Items, start: int, end: int) -> int | None:
    """The item behind the last space between words from `start` to before `end`; None where there is none."""
    return items.spaces.rfind(1, start, end) + 1 or None


def _apart(items: Items, end: int) -> bool:
    """Whether a line may end before an item because one of the two beside its end is full-width."""
    return items.wide is not None and bool(items.wide[end] or items.wide[end - 1])


def _between_words(items: Items, start: int, end: int, layout: Layout) -> int:
    if layout in ("words", "turns"):
        cut = _after_space(items, start, end)
        if cut is not None:
            return cut
    top = items.edges(len(items.ladder) - 1)
    while end > start + 1 and top[end + 1] == top[end]:  # a mark stays with its character
        end -= 1
    return end


def _plain(
    items: Items, start: int, end: int, level: int, columns: int, layout: Layout
) -> tuple[bool, bool]:
    """Whether models that read cells can read a line exactly that others follow, and whether a cell is left over at
    its end."""
    if level or _any(items.unknown, start, end):
        return False, False
    points = items.points
    room = columns - items.cells(start, end)
    if room == 1 and end < len(points) and items.cells(end, end + 1) == 2:
        return True, True
    if layout == "dense":
        return room == 0, False
    if layout == "lines":
        return room == 0 or bool(points[end - 1] == _LINE_END), False
    if points[end - 1] == _SPACE:  # read as one space, however many cells are blank there
        return bool(end - start > 1 and points[end - 2] > _SPACE), False
    return room == 0 or bool(points[end - 1] == _LINE_END), False


def _closed(items: Items, row: Row, columns: int, layout: Layout) -> bool:
    """Whether models that read cells can read a line exactly that is a page's last."""
    known = row.level == 0 and not _any(items.unknown, row.start, row.end)
    return known and (
        closes(items, row._replace(plain=True), columns)
        or _plain(items, row.start, row.end, row.level, columns, layout)[0]
    )
