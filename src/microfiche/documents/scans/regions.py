"""PicoDet: the parts of a page, such as titles, tables, figures and formulas, as a network sees them in its picture.

The network (PP-PicoDet, arXiv 2111.00902, trained by PaddleOCR on CDLA) gives, for each cell of four grids, a score for
each kind and the distances to a box's four sides, as probabilities of whole steps (arXiv 2006.04388, section 3.2).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import share, share_of_smaller
from microfiche.documents.document import Kind
from microfiche.documents.networks import network
from microfiche.documents.text_lines import Region
from microfiche.weights import taken

#: What the network's classes are here: text, title, figure, its caption, table, its caption, header, footer,
#: reference, equation.
KINDS: tuple[Kind, ...] = (
    "text", "title", "figure", "caption", "table", "caption", "header", "footer", "text", "formula",
)  # fmt: skip
HEIGHT, WIDTH = 800, 608  #: px of the picture that the network sees
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  #: of ImageNet's pixels, from 0 to 1
STEPS = (8, 16, 32, 64)  #: px between the cells of each grid
CERTAIN = 0.5  #: a region of a lower score is left out
OVER = 0.5  #: of the union of two boxes of a class that they share, beyond which they are one
SAME = 0.7  #: of either of two regions that lies in the other, from which they are one


def regions(picture: Image.Image) -> list[Region]:
    """The regions of a page; where several overlap, the one with the highest score. They are hints to the layout: a
    page without any is laid out all the same."""
    kept: list[Region] = []
    for region in sorted(_seen(picture), key=lambda r: -r.score):
        rivals = [other for other in kept if (other.kind == "text") == (region.kind == "text")]
        same = [x for x in kept if min(share(region.box, x.box), share(x.box, region.box)) > SAME]
        if not same and all(share_of_smaller(region.box, other.box) < 0.6 for other in rivals):
            kept.append(region)
    return kept


def _seen(picture: Image.Image) -> list[Region]:
    """The regions that the network sees, class by class."""
    pixels = cv2.resize(np.asarray(picture.convert("RGB"))[..., ::-1], (WIDTH, HEIGHT))
    normal = ((pixels.astype(np.float32) / 255 - MEAN) / SPREAD).astype(np.float32)
    session = _model()
    out = session.run(None, {session.get_inputs()[0].name: normal.transpose(2, 0, 1)[None]})
    scores = np.concatenate([scores[0] for scores in out[: len(STEPS)]])
    ends = np.concatenate([_boxes(sides[0], step) for sides, step in zip(out[len(STEPS) :], STEPS, strict=True)])
    ends = ends.clip(0, [WIDTH, HEIGHT] * 2) * np.tile([picture.width / WIDTH, picture.height / HEIGHT], 2)
    found = []
    for kind, certain in zip(KINDS, scores.T, strict=True):
        rows = np.flatnonzero(certain > CERTAIN)
        shapes = np.concatenate([ends[rows, :2], ends[rows, 2:] - ends[rows, :2]], axis=1)
        for k in cv2.dnn.NMSBoxes(shapes.tolist(), certain[rows].tolist(), CERTAIN, OVER):
            left, top, right, bottom = ends[rows[k]].tolist()
            found.append(Region(kind, (left, top, right, bottom), float(certain[rows[k]])))
    return found


def _boxes(sides: Float[NDArray[np.float32], "cells n"], step: int) -> Float[NDArray[np.float64], "cells 4"]:
    """The boxes of the cells of a grid, from how likely it is so many steps to each side."""
    across = -(-WIDTH // step)
    row, column = np.divmod(np.arange(len(sides)), across)
    x, y = (column + 0.5) * step, (row + 0.5) * step
    odds = np.exp((odds := sides.reshape(len(sides), 4, -1).astype(float)) - odds.max(axis=2, keepdims=True))
    away = (odds / odds.sum(axis=2, keepdims=True)) @ np.arange(odds.shape[2]) * step
    return np.stack([x, y, x, y], axis=1) + away * (-1, -1, 1, 1)


@cache
def _model() -> Any:
    return network(taken("picodet-cdla"))
