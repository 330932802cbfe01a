"""Text → pages of cells: where each character stands, how lines break, and what a grid of cells says.

In the dense layout text flows on after the mark of a line end; in the `lines` layout a new line begins there. In both,
a full-width character is never divided between two lines (FILL takes the cell that is left over), and END closes the
text, so that trailing spaces are kept. A typesetter streams: however long a text is, only a page or two of it are in
memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import UnreadableCharacters, UsageError
from microfiche.page import INK, PAPER, TOKEN_SIDE, Kept, Layout, Setting, TypesetPage
from microfiche.sources import Source, composed_pieces
from microfiche.typesetting import density as densities
from microfiche.typesetting.alphabet import CODE_POINT_OF_GLYPH, END, FILL, GLYPH_OF_CODE_POINT, N_HALF, code_points
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import DEFAULT_DENSITY, Density, Mode
from microfiche.typesetting.painting import paint, places_of
from microfiche.typesetting.repertoire import ladder, repertoire
from microfiche.typesetting.rows import AHEAD, Items, Row, closes, rows_of

_LINE_END = 3  # the glyph id of "\n"
_LINE_BREAK = 10  # its code point


def typeset(
    text: str, density: str = DEFAULT_DENSITY, mode: str = "small", layout: Layout = "dense"
) -> list[TypesetPage]:
    """Sets `text` on pages. All pages but the last are full; the last is as high as its lines need, in steps of 64 px.

    Raises UnreadableCharacters if the density cannot draw a character, UsageError for an unknown name.
    """
    return list(Typesetter(densities.density(density), densities.mode(mode), layout).pages([text]))


class Typesetter:
    """Sets text at one density on pages of one mode. Raises UsageError for an unknown layout.

    A line that the density cannot draw is set at the next larger one that can. With `beside`, what none can draw stands
    beside the page, and it is an error otherwise.
    """

    def __init__(self, density: Density, mode: Mode, layout: Layout = "dense", beside: bool = False) -> None:
        if layout not in get_args(Layout):
            raise UsageError(f"no layout {layout!r}; there are {', '.join(get_args(Layout))}")
        self.density, self.mode, self.layout, self.beside = density, mode, layout, beside
        self.setting = Setting(density.name, layout)
        self.atlas = atlas(density)
        self.columns = mode.side // density.width
        self._tallest = mode.height or mode.side
        self.rows = self._tallest // density.height
        self._columns = tuple(mode.side // d.width for d in ladder(density))

    @cached_property
    def _pictures(self) -> NDArray[np.uint8]:
        return np.where(self.atlas.cells == 1, np.uint8(INK), np.uint8(PAPER))

    def pages(self, chunks: Iterable[str]) -> Iterator[TypesetPage]:
        """Yields the pages of the text that `chunks` make up together, each as soon as it is full. Letters and the
        marks that follow them are composed; the texts of the pages are composed, too.

        Raises UnreadableCharacters, with the place in the composed text, for a character that cannot be drawn.
        """
        return (self._page(*cut) for cut in self._cut(composed_pieces(chunks), True))

    def cuts(self, text: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        """Yields the number of characters of each page that `pages` yields of a composed text, its height in px, and
        what stands beside it, without drawing it."""
        for items, rows, own, finished in self._cut(iter((text,)), False):
            yield len(own), self._height(self._lines(items, rows, finished)), _beside(items, own)

    def _cut(self, pieces: Iterator[str], drawn: bool) -> Iterator[tuple[Items, Sequence[Row], str, bool]]:
        """Yields of each page of a composed text its items and lines, its text, and whether it ends the whole text;
        `drawn` says whether all is wanted that drawing it takes."""
        rest, at, ended = "", 0, False
        room = self.rows * self.columns + AHEAD
        while True:
            while not ended and len(rest) < room:
                piece = next(pieces, None)
                ended = piece is None
                rest = rest + piece if piece else rest
            window, first = rest, 0
            while first < len(rest) or (ended and not first):
                window = rest[first : first + room]
                whole = ended and first + len(window) == len(rest)
                # What stands beside a page takes no room on it, so that it needs a bound of its own.
                items = Items(window, self.density, self.layout == "turns", self.rows * self.columns)
                self._check(items, window, at + first)
                last = whole and items.length == len(window)
                rows = rows_of(items, self._columns, self.rows, self.layout, last, drawn)
                done = int(items.starts[rows[-1].end]) if rows else 0
                if not whole and done + AHEAD > len(window):
                    break
                if (end := items.whole(done)) < done:
                    items = Items(window[:end], self.density, True, self.rows * self.columns)
                    rows, last = rows_of(items, self._columns, self.rows, self.layout, False, drawn), False
                    done = int(items.starts[rows[-1].end])
                finished = last and done == len(window)
                yield items, rows, window[:done], finished
                if finished:
                    if not self._closed(items, rows):
                        yield Items("", self.density), [], "", True
                    return
                first += done
            rest, at = rest[first:], at + first
            if len(rest) >= room:
                room *= 2

    def _check(self, items: Items, text: str, at: int) -> None:
        if items.runs and not self.beside:
            i = items.runs[0][0]
            raise UnreadableCharacters(
                f"U+{ord(text[i]):04X} at character {at + i} cannot be drawn at {self.density.name}"
            )

    def _closed(self, items: Items, rows: Sequence[Row]) -> bool:
        """Whether the page that ends a text has room for the mark of its end, without which no spaces end it."""
        if self.layout in ("words", "turns") or not rows:
            return True
        return self._after_last(items, rows)[0] < self.rows

    def _after_last(self, items: Items, rows: Sequence[Row]) -> tuple[int, int]:
        """The line and column of the cell behind the last line of a page."""
        if not rows:
            return 0, 0
        row = rows[-1]
        ended = self.layout == "lines" and items.points[row.end - 1] == _LINE_BREAK
        if closes(items, row, self.columns) and not ended:
            return row.top, items.cells(row.start, row.end)
        return row.top + row.rows, 0

    def _page(self, items: Items, rows: Sequence[Row], text: str, finished: bool) -> TypesetPage:
        density, side = self.density, self.mode.side
        count = self._lines(items, rows, finished)
        grid = np.zeros((count, self.columns), np.uint16)
        line, column = self._after_last(items, rows)
        if line < count:
            grid[line, column] = END
        for row in rows:
            if row.plain:
                cells = expand(GLYPH_OF_CODE_POINT[items.points[row.start : row.end]])
                grid[row.top, : len(cells)] = cells
                if row.gap:
                    grid[row.top, -1] = FILL
        image = draw(grid, self._pictures, self._height(count), side)
        kept: list[Kept] = []
        for (_, plain), together in groupby(rows, key=lambda row: (row.level, row.plain)):
            if not plain:
                some = list(together)
                top, below = some[0].top, some[-1].top + some[-1].rows
                paint(image[top * density.height : below * density.height], items, some)
        for row in rows:
            if not row.plain:
                said = text[items.starts[row.start] : items.starts[row.end]]
                if kept and kept[-1].row + kept[-1].rows == row.top:
                    one = kept.pop()
                    kept.append(Kept(one.row, one.rows + row.rows, one.text + said))
                else:
                    kept.append(Kept(row.top, row.rows, said))
        setting = replace(self.setting, kept=tuple(kept)) if kept else self.setting
        return TypesetPage(image, setting, text, places_of(items, rows, len(text)), _beside(items, text))

    def _lines(self, items: Items, rows: Sequence[Row], finished: bool) -> int:
        """The lines of a page, with that on which the mark of its end stands, if it has one."""
        used = rows[-1].top + rows[-1].rows if rows else 0
        line, _ = self._after_last(items, rows)
        ends = line < self.rows and (finished or self.layout in ("words", "turns") or line == used)
        return max(used, line + 1) if ends else used

    def _height(self, lines: int) -> int:
        return min(-(-lines * self.density.height // TOKEN_SIDE) * TOKEN_SIDE, self._tallest)


def _beside(items: Items, text: str) -> tuple[str, ...]:
    return tuple(text[start:end] for start, end in items.runs if end <= len(text))


def unreadable(chunks: Iterable[str], density: Density) -> tuple[Counter[str], dict[str, int]]:
    """The characters of a text that neither `density` nor a larger one can draw: how often each occurs, and where
    first."""
    return _counted(chunks, lambda text: ~repertoire(ladder(density)[-1]).draws(code_points(text)))


def unlearned(chunks: Iterable[str], density: Density) -> Counter[str]:
    """The characters of a text that models which read cells do not know at a density, and how often each occurs."""
    return _counted(chunks, lambda text: ~repertoire(density).known_of(code_points(text)))[0]


def _counted(
    chunks: Iterable[str], which: Callable[[str], NDArray[np.bool_]]
) -> tuple[Counter[str], dict[str, int]]:
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    at = 0
    for chunk in chunks:
        for i in np.flatnonzero(which(chunk)):
            char = chunk[i]
            counts[char] += 1
            first.setdefault(char, at + int(i))
        at += len(chunk)
    return counts, first


def replacing(
    source: Source,
    at: Density,
    replacement: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    beside: bool = False,
) -> dict[int, str]:
    """What to put in the place of the characters of a source that cannot be drawn, for `str.translate`; `say` is called
    with their number. Raises UnreadableCharacters, which names them, if there is no `replacement` for them and they do
    not stand `beside` the page."""
    counts, first = unreadable(source.chunks(), at)
    number = f"{source.name}: {counts.total():,} character{'s' * (counts.total() != 1)}"
    if counts and replacement is None and not beside:
        shown = ", ".join(
            f"U+{ord(c):04X} {c if c.isprintable() else ''} ×{n} first at character {first[c]}"
            for c, n in counts.most_common(10)
        )
        more = f", and {len(counts) - 10} more" if len(counts) > 10 else ""
        raise UnreadableCharacters(
            f"{source.name}: {at.name} cannot draw {shown}{more}; use --replace C to draw C for them"
        )
    if replacement is not None and (len(replacement) != 1 or unreadable([replacement], at)[0]):
        raise UnreadableCharacters(f"--replace {replacement!r}: give one character that {at.name} can draw")
    if counts:
        say(f"{number} that {at.name} cannot draw kept as text" if replacement is None else
            f"{number} drawn as {replacement!r}")
    return {} if replacement is None else {ord(c): replacement for c in counts}


def drawable(
    source: Source, at: Density, replacement: str | None = None, say: Callable[[str], None] = lambda line: None
) -> Iterator[str]:
    """The text of a source in pieces, each character of which can be drawn, once those that cannot were replaced; see
    `replacing`."""
    table = replacing(source, at, replacement, say)
    return (chunk.translate(table) for chunk in source.chunks())


def expand(ids: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """(T,) glyph ids → (C,) cells, of which a full-width character takes two."""
    wide = ids >= N_HALF
    if not wide.any():
        return ids
    cells = np.repeat(ids, 1 + wide)
    right = np.cumsum(1 + wide)[wide] - 1
    cells[right] += 1
    return cells


def break_lines(
    cells: NDArray[np.uint16], columns: int, layout: Layout
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Breaks (C,) cells into lines: (L, columns) cells, blank after the end of a short line, and (L + 1,) bounds, where
    line i has cells[bounds[i] : bounds[i + 1]]."""
    if layout == "dense" and not (cells >= N_HALF).any():
        count = -(-len(cells) // columns)
        bounds = np.minimum(np.arange(count + 1) * columns, len(cells))
        return np.pad(cells, (0, count * columns - len(cells))).reshape(count, columns), bounds
    # whether cells[i] is the left half of a full-width character
    left = (cells >= N_HALF) & ((cells - N_HALF) % 2 == 0)
    breaks = np.flatnonzero(cells == _LINE_END) + 1 if layout == "lines" else np.empty(0, np.int64)
    ends, start, next_break = [0], 0, 0
    while start < len(cells):
        end = min(start + columns, len(cells))
        while next_break < len(breaks) and breaks[next_break] <= start:
            next_break += 1
        if next_break < len(breaks) and breaks[next_break] <= end:
            end = int(breaks[next_break])
        elif left[end - 1]:
            end -= 1
        ends.append(end)
        start = end
    bounds = np.array(ends, np.int64)
    starts, lengths = bounds[:-1], np.diff(bounds)
    offset = np.arange(columns)
    inside = offset < lengths[:, None]
    lines = np.where(inside, cells[np.minimum(starts[:, None] + offset, len(cells) - 1)], np.uint16(0))
    straddled = np.zeros(len(starts), bool)
    straddled[:-1] = left[starts[1:]] & (lengths[:-1] == columns - 1)
    if layout == "lines":
        straddled &= lines[:, -2] != _LINE_END
    lines[straddled, -1] = FILL
    return lines, bounds


def text_cells(cells: NDArray[np.uint16], layout: Layout) -> NDArray[np.int64]:
    """(T,) flat indices of those of a page's (rows, columns) cells in which a character begins, in reading order."""
    keep = (cells != FILL) & ((cells < N_HALF) | ((cells - N_HALF) % 2 == 0))
    if layout == "lines":
        ended = np.cumsum(cells == _LINE_END, axis=1) - (cells == _LINE_END)
        keep &= ended == 0
    elif layout in ("words", "turns"):  # blank cells at the end of a line stand for one space, or after a line end none
        columns = cells.shape[1]
        last = columns - 1 - (cells[:, ::-1] != 0).argmax(1)
        final = np.take_along_axis(cells, last[:, None], 1)[:, 0]
        behind = last + ((final != _LINE_END) & (final != FILL))
        keep &= np.arange(columns) <= np.where(final == 0, -1, behind)[:, None]
    flat = cells.reshape(-1)
    end = np.flatnonzero(flat == END)
    keep = keep.reshape(-1)
    if len(end):
        keep[end[0] :] = False
    return np.flatnonzero(keep)


def boxes(where: NDArray[np.int64], ids: NDArray[np.uint16], columns: int, density: Density) -> NDArray[np.int32]:
    """(T, 4) int32 boxes (left, top, right, bottom px) of the characters `ids` (T,) in the flat cells `where` (T,)."""
    left, top = where % columns * density.width, where // columns * density.height
    right = left + np.where(ids >= N_HALF, 2 * density.width, density.width)
    return np.stack([left, top, right, top + density.height], axis=1).astype(np.int32)


def ids_to_text(ids: NDArray[np.uint16]) -> str:
    """The text of (T,) glyph ids."""
    return CODE_POINT_OF_GLYPH[ids].astype("<u4").tobytes().decode("utf-32-le")
