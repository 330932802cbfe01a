"""Pages whose text runs from right to left: laid out as their mirror images, in which all that knows of columns, rows,
marks, margins and cells finds the first one to the left.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image, ImageOps

from microfiche.documents.document import Block
from microfiche.documents.text_lines import Region, TextLine
from microfiche.page import Box

#: The lines, regions, picture, rules and images of a page.
Page = tuple[Sequence[TextLine], Sequence[Region], Image.Image, Sequence[Box], Sequence[Box]]


def runs_backward(lines: Sequence[TextLine]) -> bool:
    """Whether most letters in some lines are of scripts that are written from right to left."""
    if all(line.text.isascii() for line in lines):
        return False
    ways = [unicodedata.bidirectional(sign) for line in lines for sign in line.text]
    return sum(way in ("R", "AL") for way in ways) > ways.count("L")


def mirrored(page: Page) -> Page:
    """The mirror image of a page, on which texts stay as they are."""
    lines, regions, picture, rules, images = page
    wide = float(picture.width)
    return (
        [_line(line, wide) for line in lines], [replace(region, box=_box(region.box, wide)) for region in regions],
        ImageOps.mirror(picture), [_box(rule, wide) for rule in rules], [_box(image, wide) for image in images],
    )


def restored(blocks: Sequence[Block], width: int) -> list[Block]:
    """The blocks of a mirrored page of so many px, where they stand on the page itself."""
    return [
        block if block.box is None
        else block.model_copy(update={
            "box": (max(0, width - block.box[2]), block.box[1], width - block.box[0], block.box[3])
        })
        for block in blocks
    ]


def _line(line: TextLine, wide: float) -> TextLine:
    gaps = tuple((wide - stop, wide - start) for start, stop in reversed(line.gaps))
    return replace(line, box=_box(line.box, wide), gaps=gaps, mirrored=True)


def _box(box: Box, wide: float) -> Box:
    left, top, right, bottom = box
    return wide - right, top, wide - left, bottom
