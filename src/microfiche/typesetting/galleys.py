"""Blocks of Markdown → galleys: text broken into rows as wide as a column, but not yet placed on a page.

All that matters here of a face is how wide its letters are. Offsets count from the beginning of a part of a block (an
item, row or line), so that a block can be cut at the end of a page.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from microfiche.typesetting.alphabet import code_points
from microfiche.typesetting.fonts import SPACE, Style, Typeface
from microfiche.typesetting.markdown import Block, Code, Heading, Items, Paragraph, Table
from microfiche.typesetting.outline import Face, break_lines, face

BULLET = "•"
SCALES = {1: 1.6, 2: 1.3, 3: 1.1}  #: of headings, over the body's size
_WIDEST_SPACE = 1.2  #: em that a space may grow by to justify a line
Kind = Literal["title", "heading", "text", "list", "table", "code", "header", "footer", "page number"]
Rules = Literal["none", "rows", "grid"]


@dataclass(frozen=True)
class Look:
    """How a page looks. `size`, `margins` (left, top, right, bottom) and `gutter` are in px; `leading` (from line to
    line), `indent` (of first lines) and `gap` (between blocks) are in em of the body.

    `rules` are the lines of tables; `shade` says how much darker than paper the ground of code is. `head` and `foot`
    are lines of text above and below the columns; the page's `number` is below them, to the right if there is a foot.
    """

    typeface: Typeface
    size: int = 12
    hinted: bool = False
    columns: int = 1
    margins: tuple[int, int, int, int] = (32, 32, 32, 32)
    gutter: int = 24
    leading: float = 1.3
    justified: bool = True
    indent: float = 0.0
    gap: float = 0.6
    centred: bool = False
    rules: Rules = "rows"
    code: Typeface | None = None
    shade: int = 0
    head: str = ""
    foot: str = ""
    number: str = ""

    def face(self, style: Style = "regular", scale: float = 1.0) -> Face:
        """The face of the body, or of a heading that is `scale` times as large."""
        return face(file(self.typeface, style), round(self.size * scale), self.hinted)

    def pitch(self, scale: float = 1.0) -> int:
        """Px from line to line."""
        return round(round(self.size * scale) * self.leading)


@cache
def file(typeface: Typeface, style: Style) -> Path:
    """The font file of a style, which is looked up once. Raises InputError if it is missing."""
    return typeface.file(style)


@dataclass(frozen=True)
class Galley:
    """A block in rows. Each of the T characters of `text` has px to the next one in `advances` (T,), and its face, an
    index of `fonts`, in `faces` (T,). `lines` (L, 3) are (start, stop, row), `lefts` (L,) their px from the column's
    edge.

    Row r is `heights[r]` px high, and the baseline of its first line is `drop` px below its top; further lines in a
    cell are `downs` (L,) px lower. `cuts[r]` is the (part, offset) of its first character. `borders` are the px of a
    table's column borders.
    """

    kind: Kind
    text: str
    advances: NDArray[np.float64]
    faces: NDArray[np.int64]
    fonts: tuple[Face, ...]
    lines: NDArray[np.int64]
    lefts: NDArray[np.float64]
    downs: NDArray[np.int64]
    heights: list[int]
    drop: int
    cuts: list[tuple[int, int]]
    borders: tuple[int, ...] = ()


def code_size(size: int) -> int:
    """Px an em of code beside prose of `size` px: a tenth smaller, but no less than 8 px unless the prose is
    smaller."""
    return max(round(0.9 * size), min(size, 8))


def drop(pitch: int, size: int) -> int:
    """Px from the top of a row to its baseline."""
    return round((pitch - size) / 2 + 0.8 * size)


def galley(block: Block, look: Look, width: int) -> Galley:
    """Sets a block `width` px wide."""
    if isinstance(block, Heading):
        scale = SCALES[block.level]
        font = look.face("bold", scale)
        kind: Kind = "title" if block.level == 1 else "heading"
        return _running(kind, block.text, np.zeros(len(block.text), np.int64), (font,), look, width, look.pitch(scale))
    if isinstance(block, Paragraph):
        faces = np.zeros(len(block.text), np.int64)
        for start, stop, style in block.spans:
            faces[start:stop] = 1 if style == "bold" else 2
        fonts = (look.face(),) if not block.spans else (look.face(), look.face("bold"), look.face("italic"))
        indent = 0.0 if block.continued else look.indent * look.size
        return _running("text", block.text, faces, fonts, look, width, look.pitch(), indent, look.justified)
    if isinstance(block, Items):
        return _items(block, look, width)
    return _table(block, look, width) if isinstance(block, Table) else _code(block, look, width)


def _advances(text: str, faces: NDArray[np.int64], fonts: tuple[Face, ...]) -> NDArray[np.float64]:
    points = code_points(text.replace("\n", " "))
    advances = fonts[0].advances(points)
    for i, font in enumerate(fonts[1:], 1):
        if len(chosen := np.flatnonzero(faces == i)):
            advances[chosen] = font.advances(points[chosen])
    return advances


def _running(
    kind: Kind,
    text: str,
    faces: NDArray[np.int64],
    fonts: tuple[Face, ...],
    look: Look,
    width: int,
    pitch: int,
    indent: float = 0.0,
    justified: bool = False,
) -> Galley:
    """Sets a text in lines that fill the width; headings are centred if the look says so."""
    advances = _advances(text, faces, fonts)
    advances[:1] += indent
    bounds = np.array(break_lines(text, advances, width), np.int64).reshape(-1, 2)
    advances[:1] -= indent
    starts, stops = bounds.T
    edges = np.concatenate([[0.0], np.cumsum(advances)])
    lefts = np.zeros(len(bounds))
    lefts[:1] = indent
    slack = width - lefts - (edges[stops] - edges[starts])
    if justified and len(bounds) > 1:
        spaces = np.flatnonzero(code_points(text) == SPACE)
        line = np.searchsorted(starts, spaces, "right") - 1
        inside = (line >= 0) & (spaces < stops[line])
        spaces, line = spaces[inside], line[inside]
        each = slack / np.maximum(np.bincount(line, minlength=len(bounds)), 1)
        each[-1] = 0.0
        each[(each < 0) | (each > _WIDEST_SPACE * look.size)] = 0.0
        advances[spaces] += each[line]
    elif kind in ("title", "heading") and look.centred:
        lefts = np.maximum(slack / 2, 0.0)
    rows = np.arange(len(bounds))
    return Galley(
        kind, text, advances, faces, fonts, np.column_stack([bounds, rows]), lefts, np.zeros(len(bounds), np.int64),
        [pitch] * len(bounds), drop(pitch, fonts[0].size), [(0, int(start)) for start in starts],
    )  # fmt: skip


def _items(block: Items, look: Look, width: int) -> Galley:
    font = look.face()
    marks = [BULLET if block.first is None else f"{block.first + i}." for i in range(len(block.items))]
    text = "\n".join(f"{mark} {item}" for mark, item in zip(marks, block.items, strict=True))
    advances = _advances(text, np.empty(0, np.int64), (font,))
    edge = 0.4 * look.size if block.first is None else 0.0
    starts, at = [], 0
    widest = 0.0
    for mark, item in zip(marks, block.items, strict=True):
        starts.append(at)
        widest = max(widest, float(advances[at : at + len(mark)].sum()))
        at += len(mark) + len(item) + 2
    hang = edge + widest + 0.5 * look.size
    lines: list[tuple[int, int, int]] = []
    lefts: list[float] = []
    cuts: list[tuple[int, int]] = []
    for part, (start, mark, item) in enumerate(zip(starts, marks, block.items, strict=True)):
        first = start + len(mark) + 1
        advances[first - 1] = hang - edge - advances[start : first - 1].sum()
        for n, (a, b) in enumerate(break_lines(item, advances[first : first + len(item)], width - hang) or [(0, 0)]):
            head = n == 0
            lines.append((start if head else first + a, first + b, len(lines)))
            lefts.append(edge if head else hang)
            cuts.append((part, a))
    return _plain_galley("list", text, advances, font, lines, lefts, look.pitch(), cuts)


def _code(block: Code, look: Look, width: int) -> Galley:
    """Sets lines as they are; one that is too long goes on at the beginning of the next row."""
    typeface = look.code or look.typeface
    font = face(file(typeface, "regular"), code_size(look.size), look.hinted)
    advances = _advances(block.text, np.empty(0, np.int64), (font,))
    edges = np.concatenate([[0.0], np.cumsum(advances)])
    inset = round(0.5 * look.size) if look.shade else 0
    lines: list[tuple[int, int, int]] = []
    cuts: list[tuple[int, int]] = []
    at = 0
    for part, line in enumerate(block.text.split("\n")):
        start, end = at, at + len(line)
        while start < end or start == at:
            stop = min(int(np.searchsorted(edges, edges[start] + width - 2 * inset, "right")) - 1, end)
            stop = max(stop, min(start + 1, end))
            lines.append((start, stop, len(lines)))
            cuts.append((part, start - at))
            start = stop
            if not line:
                break
        at = end + 1
    return _plain_galley("code", block.text, advances, font, lines, [float(inset)] * len(lines), look.pitch(), cuts)


def _table(block: Table, look: Look, width: int) -> Galley:
    """Sets a table with columns as wide as their cells or, if that is too wide, narrower and with broken lines."""
    fonts = (look.face(), look.face("bold"))
    text = "\n".join(" ".join(row) for row in block.rows)
    faces = np.zeros(len(text), np.int64)
    faces[: sum(map(len, block.rows[0])) + len(block.rows[0]) - 1] = 1
    advances = _advances(text, faces, fonts)
    edges = np.concatenate([[0.0], np.cumsum(advances)])
    columns = len(block.rows[0])
    lengths = np.array([len(cell) for row in block.rows for cell in row])
    stops = np.cumsum(lengths + 1) - 1
    starts = stops - lengths
    wide = edges[stops] - edges[starts]
    padding = 0.5 * look.size
    natural = wide.reshape(-1, columns).max(0) + 2 * padding
    if natural.sum() > width:
        least = np.minimum(natural, width / columns)
        natural = least + (natural - least) * max(width - least.sum(), 0) / max((natural - least).sum(), 1e-9)
    borders = np.concatenate([[0.0], np.cumsum(natural)])
    pitch = look.pitch()
    lines: list[tuple[int, int, int]] = []
    lefts: list[float] = []
    downs: list[int] = []
    heights = [pitch + 4] * len(block.rows)
    for i, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        row, column = divmod(i, columns)
        room = natural[column] - 2 * padding
        if wide[i] <= room + 1e-6:
            bounds = [(0, stop - start)]
        else:
            bounds = break_lines(text[start:stop], advances[start:stop], max(room, 1.0))
        heights[row] = max(heights[row], pitch * len(bounds) + 4)
        for n, (a, b) in enumerate(bounds):
            lines.append((start + a, start + b, row))
            lefts.append(borders[column] + padding)
            downs.append(n * pitch)
    return Galley(
        "table", text, advances, faces, fonts, np.array(lines, np.int64).reshape(-1, 3), np.array(lefts),
        np.array(downs, np.int64), heights, drop(pitch, look.size) + 2, [(row, 0) for row in range(len(block.rows))],
        tuple(int(b) for b in np.rint(borders)),
    )  # fmt: skip


def _plain_galley(
    kind: Kind,
    text: str,
    advances: NDArray[np.float64],
    font: Face,
    lines: list[tuple[int, int, int]],
    lefts: list[float],
    pitch: int,
    cuts: list[tuple[int, int]],
) -> Galley:
    """A galley in one face, with one line in each row."""
    return Galley(
        kind, text, advances, np.zeros(len(text), np.int64), (font,), np.array(lines, np.int64).reshape(-1, 3),
        np.array(lefts), np.zeros(len(lines), np.int64), [pitch] * len(lines), drop(pitch, font.size), cuts,
    )  # fmt: skip
