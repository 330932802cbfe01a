"""Markdown → a printed page in an outline typeface, and the truth about everything on it.

Points are px from the page's upper left corner: pixel (i, j) covers i … i + 1 down and j … j + 1 to the right, and its
centre is at (j + 0.5, i + 0.5). This module knows nothing of sources of text or of noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import UsageError
from microfiche.page import INK, PAPER, TOKEN_SIDE, TypesetPage
from microfiche.typesetting.alphabet import FULL, HALF, code_points
from microfiche.typesetting.fonts import Typeface
from microfiche.typesetting.galleys import Galley, Kind, Look, drop, galley
from microfiche.typesetting.markdown import Block, Heading, Paragraph, between, cut, parse, written

LARGEST = 1280  #: px along a page's side
SIZES = range(5, 17)  #: px of the body
_LEAST = 2.5  #: em across a column
_STAND_IN = {ord(sign): plain for sign, plain in {
    "’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "…": "...",
    "\t": " ", "\xa0": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ", "\xad": "", "\u200b": "", "\ufeff": "",
}.items()}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """Characters `start` to `stop` of the page's text, on one `baseline` (x0, y0, x1, y1 px), `size` px an em."""

    start: int
    stop: int
    baseline: tuple[float, float, float, float]
    size: float


@dataclass(frozen=True)
class Region:
    """The part of a block in one column: characters `start` to `stop` of the page's text in a `box` (left, top, right,
    bottom px), and the same as blocks in `content`."""

    kind: Kind
    box: tuple[int, int, int, int]
    start: int
    stop: int
    content: tuple[Block, ...]

    @property
    def markdown(self) -> str:
        """The text of this region as Markdown."""
        return written(self.content)


@dataclass(frozen=True)
class Print:
    """A printed page with its lines and blocks in reading order.

    `page.text` has a space between words, also at line ends unless a word goes on there, and a newline between blocks,
    items, rows of tables and lines of code; between the cells of a row is a space. What has no place on the page
    itself (newlines, spaces at line ends and between cells) has an empty box. `content` are the blocks on the page,
    without head, foot and number; `rest` is what did not fit and belongs on the next page. The `unknown` boxes (left,
    top, right, bottom px) may hold things of which the truth is not known, as on pages of the world.
    """

    page: TypesetPage
    lines: tuple[Line, ...]
    blocks: tuple[Region, ...]
    content: tuple[Block, ...]
    rest: tuple[Block, ...]
    unknown: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def markdown(self) -> str:
        """The text of this page as Markdown."""
        return written(self.content)


@cache
def drawable(typeface: Typeface, among: str = " " + HALF + FULL) -> NDArray[np.bool_]:
    """(65536,) bool by code point: which characters of `among` (by default the whole alphabet) the typeface draws."""
    table = np.zeros(0x10000, bool)
    table[code_points(among)] = typeface.draws(among)
    table.flags.writeable = False
    return table


def settable_text(text: str, table: NDArray[np.bool_]) -> str:
    """`text` without the characters that a `drawable` table lacks: each is replaced by plainer ones or left out.

    Newlines stay.
    """
    points = code_points(text)
    good = table[np.minimum(points, 0xFFFF)] & (points < 0x10000) | (points == 0x0A)
    if good.all():
        return text
    wrong = np.unique(points[~good]).tolist()
    return text.translate({sign: "".join(s for s in _STAND_IN.get(sign, "") if table[ord(s)]) for sign in wrong})


def printed(blocks: str | Sequence[Block], look: Look, height: int, width: int) -> Print:
    """Sets as much of a Markdown text, or of blocks, as fits on a page of `height` × `width` px.

    The look's typefaces must draw all characters (see `settable_text`), no block may be empty, and no text may begin or
    end in a space. Raises UsageError for impossible sizes and if the page has no room.
    """
    _check(look, height, width)
    return _Sheet(look, height, width).set(parse(blocks) if isinstance(blocks, str) else list(blocks))


def _check(look: Look, height: int, width: int) -> None:
    for side in (height, width):
        if side % TOKEN_SIDE or not 0 < side <= LARGEST:
            raise UsageError(f"a page of {width} × {height} px: sides are multiples of {TOKEN_SIDE} up to {LARGEST}")
    if look.size not in SIZES:
        raise UsageError(f"type of {look.size} px: sizes are {SIZES[0]} to {SIZES[-1]}")
    if look.columns not in (1, 2):
        raise UsageError(f"{look.columns} columns: there are 1 or 2")
    left, _, right, _ = look.margins
    column = (width - left - right - (look.columns - 1) * look.gutter) / look.columns
    if min(look.margins) < 0 or look.gutter < 0 or column < _LEAST * look.size:
        raise UsageError(f"columns of {column:.0f} px: they need {_LEAST * look.size:.0f} for type of {look.size} px")


@dataclass(frozen=True)
class _Column:
    left: int
    width: int
    top: int
    bottom: int


class _Sheet:
    """A page in the making: galleys and the places of their rows; at the end each face draws once."""

    def __init__(self, look: Look, height: int, width: int) -> None:
        self.look = look
        self.image = np.full((height, width), PAPER, np.uint8)
        self.text: list[str] = []
        self.galleys: list[Galley] = []
        self.at = 0  # characters so far
        self.lines: list[NDArray[np.float64]] = []  # start, stop, left, baseline, size
        self.regions: list[tuple[Kind, int, int, tuple[Block, ...]]] = []  # kind, first line, lines, content

    def set(self, blocks: list[Block]) -> Print:
        look = self.look
        left, top, right, bottom = look.margins
        height, width = self.image.shape
        whole = width - left - right
        last = height - bottom - look.pitch()  # where foot and number stand
        floor = last - look.pitch() // 2 if look.foot or look.number else height - bottom
        if look.head:
            top = self._margin_line("header", look.head, left, top) + look.pitch() // 2
        content: list[Block] = []
        if look.columns == 2 and blocks and isinstance(blocks[0], Heading) and blocks[0].level == 1:
            title, across = galley(blocks[0], look, whole), _Column(left, whole, top, floor)
            if top + sum(title.heights) < floor - look.pitch():
                top = self._place(title, 0, len(title.heights), across, top, (blocks[0],)) + look.pitch() // 2
                content.append(blocks[0])
                blocks = blocks[1:]
        width = (whole - (look.columns - 1) * look.gutter) // look.columns
        columns = [_Column(left + i * (width + look.gutter), width, top, floor) for i in range(look.columns)]
        rest = self._flow(blocks, columns, content)
        if look.foot:
            self._margin_line("footer", look.foot, left, last)
        if look.number:
            self._margin_line("page number", look.number, left, last, 1.0 if look.foot else 0.5)
        return self._drawn(tuple(content), tuple(rest))

    def _flow(self, blocks: list[Block], columns: list[_Column], content: list[Block]) -> list[Block]:
        """Sets blocks into columns until they are full; appends what fits to `content` and returns the rest."""
        number, y = 0, columns[0].top
        for i, block in enumerate(blocks):
            piece = galley(block, self.look, columns[0].width)
            row, rows = 0, len(piece.heights)
            while row < rows:
                column = columns[number]
                start = y if y == column.top else y + round(self.look.gap * self.look.size) * (row == 0)
                fits, end = row, start
                while fits < rows and end + piece.heights[fits] <= column.bottom:
                    end += piece.heights[fits]
                    fits += 1
                if fits > row:
                    cuts = [*piece.cuts, None]
                    here = between(block, cuts[row] if row else None, cuts[fits])
                    self._place(piece, row, fits, column, start, here)
                    row, y = fits, end
                if row < rows:
                    if number + 1 < len(columns):
                        number += 1
                        y = columns[number].top
                        continue
                    if row == 0:
                        if not content and not i:
                            raise UsageError("the page has no room for its first line")
                        return blocks[i:]
                    self.text[-1] = piece.text[: int(self.lines[-1][-1, 1]) - self.at]
                    stands, after = cut(block, *piece.cuts[row])
                    content += stands
                    return [*after, *blocks[i + 1 :]]
            if rows:
                content.append(block)
        return []

    def _place(
        self, piece: Galley, first: int, last: int, column: _Column, top: int, content: tuple[Block, ...]
    ) -> int:
        """Puts rows of a galley below `top`, in order; returns the y at which they end."""
        rows = piece.lines[:, 2]
        chosen = slice(int(np.searchsorted(rows, first)), int(np.searchsorted(rows, last)))
        if not self.galleys or self.galleys[-1] is not piece:
            self.at = sum(map(len, self.text)) + len(self.text)
            self.galleys.append(piece)
            self.text.append(piece.text)
        lines = piece.lines[chosen]
        tops = top + np.concatenate([[0], np.cumsum(piece.heights[first:last])])
        placed = np.empty((len(lines), 5))
        placed[:, :2] = lines[:, :2] + self.at
        placed[:, 2] = piece.lefts[chosen] + column.left
        placed[:, 3] = tops[lines[:, 2] - first] + piece.drop + piece.downs[chosen]
        placed[:, 4] = piece.fonts[0].size
        self.regions.append((piece.kind, sum(map(len, self.lines)), len(lines), content))
        self.lines.append(placed)
        if piece.kind == "code" and self.look.shade:
            self.image[top : tops[-1], column.left : column.left + column.width] = PAPER - self.look.shade
        if piece.borders and self.look.rules != "none":
            self._rule(piece, first, column.left, tops)
        return int(tops[-1])

    def _rule(self, piece: Galley, first: int, left: int, tops: NDArray[np.int64]) -> None:
        """Draws the lines of a table: around all cells, or above it, below its head and below it."""
        height, width = self.image.shape
        if self.look.rules == "grid":
            across = list(range(len(tops)))
            x = np.minimum(np.array(piece.borders) + left, width - 1)
            self.image[tops[0] : min(tops[-1] + 1, height), x] = INK
        else:
            across = sorted({0, len(tops) - 1} | ({1} if first == 0 else set()))
        y = np.minimum(tops[across], height - 1)
        self.image[y, left + piece.borders[0] : left + piece.borders[-1] + 1] = INK

    def _margin_line(self, kind: Kind, text: str, left: int, top: int, share: float = 0.0) -> int:
        """Sets a line above or below the columns, `share` of the way to the right, without words that do not fit."""
        look, pitch = self.look, self.look.pitch()
        font = look.face("italic" if kind == "header" else "regular")
        room = self.image.shape[1] - look.margins[0] - look.margins[2]
        if kind == "footer" and look.number:
            room -= 4 * look.size
        advances = font.advances(code_points(text))
        stop = int(np.searchsorted(np.cumsum(advances), room, "right"))
        if stop < len(text):
            stop = max(text.rfind(" ", 0, stop), 1)
            text, advances = text[:stop], advances[:stop]
        piece = Galley(
            kind, text, advances, np.zeros(len(text), np.int64), (font,), np.array([[0, len(text), 0]]),
            np.array([share * (room - advances.sum())]), np.zeros(1, np.int64), [pitch], drop(pitch, look.size),
            [(0, 0)],
        )  # fmt: skip
        return self._place(piece, 0, 1, _Column(left, room, top, top + pitch), top, (Paragraph(text),))

    def _drawn(self, content: tuple[Block, ...], rest: tuple[Block, ...]) -> Print:
        text = "\n".join(self.text)
        lines = np.concatenate(self.lines) if self.lines else np.empty((0, 5))
        starts, stops = lines[:, :2].astype(np.int64).T
        boxes = np.zeros((len(text), 4), np.int32)
        if not len(lines):
            return Print(TypesetPage(self.image, None, text, boxes), (), (), content, rest)
        galleys = list(zip(self.galleys, map(len, self.text), strict=True))
        advances = np.concatenate([np.append(g.advances[:n], 0.0) for g, n in galleys])[:-1]
        edges = np.concatenate([[0.0], np.cumsum(advances)])
        place = np.arange(len(text))
        line = np.maximum(np.searchsorted(starts, place, "right") - 1, 0)
        standing = (place >= starts[line]) & (place < stops[line])
        x = edges[:-1] - edges[starts[line]] + lines[line, 2]
        y = lines[line, 3].astype(np.int64)
        fonts = list(dict.fromkeys(font for g in self.galleys for font in g.fonts))
        faces = np.concatenate([
            np.append(np.array([fonts.index(font) for font in g.fonts])[g.faces[:n]], 0) for g, n in galleys
        ])[:-1]  # fmt: skip
        points = code_points(text)
        for i, font in enumerate(fonts):
            if len(chosen := np.flatnonzero(standing & (faces == i))):
                boxes[chosen] = font.draw(self.image, points[chosen], x[chosen], y[chosen])
        gaps = np.flatnonzero(~standing)
        boxes[gaps] = boxes[np.maximum(stops[line[gaps]] - 1, 0)][:, [2, 3, 2, 3]]
        ends = lines[:, 2] + edges[stops] - edges[starts]
        found = tuple(
            Line(start, stop, (left, baseline, end, baseline), size)
            for start, stop, left, baseline, end, size in zip(
                starts.tolist(), stops.tolist(), lines[:, 2].tolist(), lines[:, 3].tolist(), ends.tolist(),
                lines[:, 4].tolist(), strict=True,
            )
            if stop > start
        )  # fmt: skip
        regions = []
        for kind, first, count, parts in self.regions:
            start, stop = int(starts[first]), int(stops[first + count - 1])
            if len(inside := boxes[start:stop][standing[start:stop]]):
                (left, top), (right, bottom) = inside[:, :2].min(0).tolist(), inside[:, 2:].max(0).tolist()
                regions.append(Region(kind, (left, top, right, bottom), start, stop, parts))
        return Print(TypesetPage(self.image, None, text, boxes), found, tuple(regions), content, rest)
