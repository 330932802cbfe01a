"""Text → pages of cells: where each character stands, how lines break, and what a grid of cells says.

In the dense layout text flows on after the mark of a line end; in the `lines` layout a new line begins there. In both,
a full-width character is never divided between two lines (FILL takes the cell that is left over), and END closes the
text, so that trailing spaces are kept. A typesetter streams: however long a text is, only a page or two of it are in
memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import UnreadableCharacters, UsageError
from microfiche.page import INK, PAPER, TOKEN_SIDE, Layout, Setting, TypesetPage
from microfiche.sources import Source
from microfiche.typesetting import density as densities
from microfiche.typesetting.alphabet import CODE_POINT_OF_GLYPH, END, FILL, N_HALF, NO_GLYPH
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import DEFAULT_DENSITY, Density, Mode

_LINE_END = 3  # the glyph id of "\n"


def typeset(
    text: str, density: str = DEFAULT_DENSITY, mode: str = "small", layout: Layout = "dense"
) -> list[TypesetPage]:
    """Sets `text` on pages. All pages but the last are full; the last is as high as its lines need, in steps of 64 px.

    Raises UnreadableCharacters if the density cannot draw a character, UsageError for an unknown name.
    """
    return list(Typesetter(densities.density(density), densities.mode(mode), layout).pages([text]))


class Typesetter:
    """Sets text at one density on pages of one mode. Raises UsageError for an unknown layout."""

    def __init__(self, density: Density, mode: Mode, layout: Layout = "dense") -> None:
        if layout not in ("dense", "lines"):
            raise UsageError(f"no layout {layout!r}; there are dense, lines")
        self.density, self.mode, self.layout = density, mode, layout
        self.setting = Setting(density.name, layout)
        self.atlas = atlas(density)
        self.columns = mode.side // density.width
        self.rows = mode.side // density.height
        self._pictures = np.where(self.atlas.cells == 1, np.uint8(INK), np.uint8(PAPER))

    def pages(self, chunks: Iterable[str]) -> Iterator[TypesetPage]:
        """Yields the pages of the text that `chunks` make up together, each as soon as it is full.

        Raises UnreadableCharacters, with the place in the text, if the density cannot draw a character.
        """
        rest = np.empty(0, np.uint16)
        at = 0
        for chunk in chunks:
            for first in range(0, len(chunk), 1 << 16):
                part = chunk[first : first + (1 << 16)]
                rest = np.concatenate([rest, expand(self._glyphs(part, at))])
                at += len(part)
                lines, bounds = break_lines(rest, self.columns, self.layout)
                # The last line may still grow; the lines before it are final.
                full = (len(lines) - 1) // self.rows
                for i in range(full):
                    yield self._page(lines[i * self.rows : (i + 1) * self.rows])
                rest = rest[bounds[full * self.rows] :] if full > 0 else rest
        lines, _ = break_lines(np.append(rest, np.uint16(END)), self.columns, self.layout)
        for i in range(0, len(lines), self.rows):
            yield self._page(lines[i : i + self.rows])

    def _glyphs(self, text: str, at: int) -> NDArray[np.uint16]:
        ids = self.atlas.glyphs(text)
        missing = np.flatnonzero(ids == NO_GLYPH)
        if len(missing):
            i = int(missing[0])
            raise UnreadableCharacters(
                f"U+{ord(text[i]):04X} at character {at + i} cannot be drawn at {self.density.name}"
            )
        return ids

    def _page(self, lines: NDArray[np.uint16]) -> TypesetPage:
        density, side = self.density, self.mode.side
        height = -(-len(lines) * density.height // TOKEN_SIDE) * TOKEN_SIDE
        height = min(height, side)
        image = draw(lines, self._pictures, height, side)
        where = text_cells(lines, self.layout)
        ids = lines.reshape(-1)[where]
        return TypesetPage(image, self.setting, ids_to_text(ids), boxes(where, ids, self.columns, density))


def unreadable(chunks: Iterable[str], density: Density) -> tuple[Counter[str], dict[str, int]]:
    """The characters of a text that `density` cannot draw: how often each occurs, and where first."""
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    glyphs, at = atlas(density).glyphs, 0
    for chunk in chunks:
        for i in np.flatnonzero(glyphs(chunk) == NO_GLYPH):
            char = chunk[i]
            counts[char] += 1
            first.setdefault(char, at + int(i))
        at += len(chunk)
    return counts, first


def drawable(
    source: Source, at: Density, replacement: str | None = None, say: Callable[[str], None] = lambda line: None
) -> Iterator[str]:
    """The text of a source in pieces, each character of which a density can draw: as it stands, or with `replacement`
    in the place of those that it cannot, whose number `say` is told. UnreadableCharacters names them otherwise."""
    counts, first = unreadable(source.chunks(), at)
    if counts and replacement is None:
        shown = ", ".join(
            f"U+{ord(c):04X} {c if c.isprintable() else ''} ×{n} first at character {first[c]}"
            for c, n in counts.most_common(10)
        )
        more = f", and {len(counts) - 10} more" if len(counts) > 10 else ""
        raise UnreadableCharacters(
            f"{source.name}: {at.name} cannot draw {shown}{more}; use --replace C to draw C for them"
            + ("" if at.wide else ", or a Chinese density (16x16, 12x12)")
        )
    if replacement is not None and (len(replacement) != 1 or unreadable([replacement], at)[0]):
        raise UnreadableCharacters(f"--replace {replacement!r}: give one character that {at.name} can draw")
    if not counts:
        return source.chunks()
    table = {ord(c): replacement for c in counts}
    count = counts.total()
    say(f"{source.name}: {count} character{'s' * (count != 1)} drawn as {replacement!r}")
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
