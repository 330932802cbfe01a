"""SLANet-plus: the cells of a table as a network sees them in its picture, where rules and text do not settle them.

The network (PaddleOCR's SLANet of PP-StructureV2, arXiv 2210.05391, section 3.2, retrained as SLANet-plus) names the
table's HTML tags one by one, with a box for each cell. Tags are only counted: nothing that it gives is evaluated, and
no span goes beyond the rows and columns that there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from PIL import Image

from microfiche.documents.boxes import area, clipped, union
from microfiche.documents.networks import network
from microfiche.documents.tables.grid import Cell, cell_text
from microfiche.documents.tables.text_grid import HEADS, is_value
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box
from microfiche.weights import taken

SIDE = 488  #: px of the square in which the model sees a table
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  #: of ImageNet's pixels, from 0 to 1
MARGIN = 4  #: px around a table
LARGEST = 60  #: rows or columns of a table, at most; the model is made for fewer
OPENS = ("<td></td>", "<td")  #: tags with which a cell begins


def doubtful(cells: Sequence[Cell], columns: int) -> bool:
    """Whether cells look wrong: several values in one, more places empty than filled, or a body of cells that go over
    others."""
    filled = [cell for cell in cells if cell.text.strip()]
    if columns < 2 or len(filled) < 4:
        return True
    rows = max(cell.row + cell.down for cell in cells)
    values = sum(len(words := cell.text.split()) > 1 and all(map(is_value, words)) for cell in filled)
    covered = sum(cell.across * cell.down for cell in filled)
    over = sum(cell.row >= HEADS and (cell.across > 1 or cell.down > 2) for cell in filled)
    return values > 0.1 * len(filled) or covered < 0.45 * rows * columns or over > 0.15 * len(filled)


@dataclass(frozen=True)
class Seen:
    """A cell that the model sees: its place, its extent in rows and columns, and its box in pixels of the page."""

    row: int
    column: int
    down: int
    across: int
    box: Box


def seen_cells(picture: Image.Image, box: Box) -> list[Seen]:
    """The cells of the table in `box` of a page's picture, in rows from the top; nothing if it is too small or the
    model sees no table."""
    left, top, right, bottom = (round(v) for v in clipped(
        (box[0] - MARGIN, box[1] - MARGIN, box[2] + MARGIN, box[3] + MARGIN), picture.size))
    if right - left < 16 or bottom - top < 16:
        return []
    pixels = np.asarray(picture.convert("RGB").crop((left, top, right, bottom)))[..., ::-1]
    scale = SIDE / max(pixels.shape[:2])
    size = max(1, int(pixels.shape[1] * scale)), max(1, int(pixels.shape[0] * scale))
    square = np.zeros((SIDE, SIDE, 3), np.float32)
    square[: size[1], : size[0]] = (cv2.resize(pixels, size).astype(np.float32) / 255 - MEAN) / SPREAD
    session, tags = _model()
    places, likely = session.run(None, {session.get_inputs()[0].name: square.transpose(2, 0, 1)[None]})
    names = [tags[k] if k < len(tags) else "" for k in likely[0].argmax(-1).tolist()]
    corners = places[0].reshape(-1, 4, 2) * SIDE / scale + (left, top)
    ends = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return _placed(names, [(a, b, c, d) for a, b, c, d in ends.tolist()])


def _placed(names: Sequence[str], boxes: Sequence[Box]) -> list[Seen]:
    """The cells that the tags `names` make, each with the box given where it begins."""
    rows: list[list[tuple[Box, dict[str, int]]]] = []
    for name, box in zip(names, boxes, strict=True):
        if name == "eos":
            break
        if name == "<tr>":
            rows.append([])
        elif name in OPENS and rows:
            rows[-1].append((box, {}))
        elif "span=" in name and rows and rows[-1]:
            key, _, number = name.strip().partition("=")
            rows[-1][-1][1][key] = int(number.strip('"'))
    rows = [row for row in rows if row][:LARGEST]
    taken: set[tuple[int, int]] = set()
    out: list[Seen] = []
    for i, row in enumerate(rows):
        column = 0
        for box, spans in row:
            while (i, column) in taken:
                column += 1
            down = min(spans.get("rowspan", 1), len(rows) - i)
            across = 1
            while across < spans.get("colspan", 1) and (i, column + across) not in taken:
                across += 1
            if column + across > LARGEST:
                break
            taken |= {(i + a, column + b) for a in range(down) for b in range(across)}
            out.append(Seen(i, column, down, across, box))
            column += across
    return out


def filled(cells: Sequence[Seen], lines: Sequence[TextLine]) -> tuple[list[Cell], float]:
    """The cells with the lines that stand in them, and how well the two agree, from 0 to 1: the share of lines that lie
    in a cell for the most part, less the share of cells that hold several rows or nothing."""
    if not lines or not cells:
        return [], 0.0
    held: dict[int, list[TextLine]] = {}
    inside = 0
    for line in lines:
        shares = [_common(line.box, cell.box) / max(1.0, area(line.box)) for cell in cells]
        best = max(range(len(cells)), key=lambda k: (shares[k], -_apart(line.box, cells[k].box)))
        inside += shares[best] > 0.5
        held.setdefault(best, []).append(line)
    texts = [Cell(c.row, c.column, c.across, cell_text(held.get(k, ())), c.down) for k, c in enumerate(cells)]
    empty = sum(not cell.text for cell in texts) / len(texts)
    beside = sum(
        any(abs(a.middle - b.middle) < 0.4 * a.size for i, a in enumerate(several) for b in several[:i])
        for several in held.values()
    ) / len(held)
    return texts, max(0.0, inside / len(lines) - 0.5 * empty - beside)


def _common(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _apart(a: Box, b: Box) -> float:
    both = union([a, b])
    return (both[2] - both[0]) + (both[3] - both[1])


@cache
def _model() -> tuple[Any, list[str]]:
    """The model and the tags that it gives, by number."""
    session = network(taken("slanet-plus"))
    tags = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    return session, ["sos", *tags, "eos"]
