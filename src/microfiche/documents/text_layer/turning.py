"""A page whose text is drawn on its side or on its head, turned so that it stands upright.

Angles are degrees clockwise, as they are seen; a page is turned by quarters alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.sheet import Link, Sheet, TextLayer
from microfiche.page import Box

Turn = Literal[0, 90, 180, 270]

LEAN = 10.0  #: degrees by which text of a quarter leans, at most
BACK = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


def turn_of(layer: TextLayer) -> Turn:
    """By how much most of the text that can be seen stands turned clockwise; of a text behind a scan, all of it."""
    signs = np.array([not c.isspace() for c in layer.text], bool) & ~layer.generated
    shown = signs & layer.seen & ~layer.invisible
    angles = layer.angles[shown if shown.any() else signs].astype(float)
    quarters = np.rint(angles / 90)
    counts = np.bincount((quarters[np.abs(angles - 90 * quarters) <= LEAN] % 4).astype(np.int64), minlength=4)
    turns: tuple[Turn, ...] = (0, 90, 180, 270)
    return turns[int(counts.argmax())] if 2 * counts.max() > len(angles) else 0


def upright(sheet: Sheet, turn: Turn) -> Sheet:
    """The sheet, turned back by `turn`, with all that stands on it. Its picture must be there."""
    if turn == 0 or sheet.picture is None:
        return sheet
    size = sheet.picture.size
    layer = sheet.text

    def boxes(found: list[Box]) -> list[Box]:
        return [box_upright(box, turn, size) for box in found]

    if layer is not None:
        x, y = _point(layer.origins[:, 0], layer.origins[:, 1], turn, size)
        layer = replace(
            layer,
            boxes=_corners(layer.boxes, turn, size),
            ink=_corners(layer.ink, turn, size),
            origins=np.stack([x, y], axis=1).astype(np.float32),
            angles=np.where(layer.run < 0, 0, (layer.angles - np.float32(turn) + 180) % 360 - 180).astype(np.float32),
        )
    return replace(
        sheet,
        picture=sheet.picture.transpose(BACK[turn]),
        text=layer,
        image_boxes=boxes(sheet.image_boxes),
        rules=boxes(sheet.rules),
        bars=boxes(sheet.bars),
        rounds=boxes(sheet.rounds),
        drawings=boxes(sheet.drawings),
        grounds=boxes(sheet.grounds),
        struck=boxes(sheet.struck),
        links=[Link(box_upright(box, turn, size), address) for box, address in sheet.links],
        fields=[one._replace(box=box_upright(one.box, turn, size)) for one in sheet.fields],
    )


def box_upright(box: Box, turn: Turn, size: tuple[int, int]) -> Box:
    """Where a box of a page of this width and height stands after the page was turned back by `turn`."""
    x0, y0 = _point(box[0], box[1], turn, size)
    x1, y1 = _point(box[2], box[3], turn, size)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def box_on_page(box: Box, turn: Turn, size: tuple[int, int]) -> Box:
    """Where a box stands on the page as it is, of this width and height, that was turned back by `turn` to find it."""
    opposite: tuple[Turn, ...] = (0, 270, 180, 90)
    width, height = size
    return box_upright(box, opposite[turn // 90], size if turn % 180 == 0 else (height, width))


def _point(x: Any, y: Any, turn: Turn, size: tuple[int, int]) -> tuple[Any, Any]:
    width, height = size
    match turn:
        case 90:
            return y, width - x
        case 180:
            return width - x, height - y
        case 270:
            return height - y, x
        case _:
            return x, y


def _corners(boxes: NDArray[np.float32], turn: Turn, size: tuple[int, int]) -> NDArray[np.float32]:
    x0, y0 = _point(boxes[:, 0], boxes[:, 1], turn, size)
    x1, y1 = _point(boxes[:, 2], boxes[:, 3], turn, size)
    corners = [np.minimum(x0, x1), np.minimum(y0, y1), np.maximum(x0, x1), np.maximum(y0, y1)]
    return np.stack(corners, axis=1)
