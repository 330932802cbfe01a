"""Chats: messages in bubbles of another colour than the page, one below the other, from both its edges. Each is read by
itself, in the order in which they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

from microfiche.documents.boxes import rounded, share
from microfiche.documents.layout.panels import CROWDED, grounds
from microfiche.documents.layout.sidebars import within
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

WIDTH = 0.03, 0.92  #: of the page that a bubble is wide
SIDE = 2  #: bubbles on either side, at least
EDGE = 0.4  #: ems by which the outer edges of bubbles on one side differ, at most
RAGGED = 1.0  #: ems by which their inner edges differ, at least
INKED, DRAWN = 40, 0.02  #: of 255, by which ink differs from a bubble, and the share of it that is ink, at least
OVER = 0.3  #: ems that one bubble may reach down beside the next


def bubbles(picture: Image.Image, lines: Sequence[TextLine]) -> list[Box]:
    """The bubbles of the chat that a page (RGB) shows, from the top; none if it shows no chat."""
    if not 2 * SIDE <= len(lines) <= CROWDED:
        return []
    em = float(np.median([line.size for line in lines]))
    low, high = (part * picture.width for part in WIDTH)
    found = sorted(
        (box for box in grounds(picture, em, WIDTH[0]) if low < box[2] - box[0] < high and _held(box, lines)),
        key=lambda box: box[1],
    )
    if len(found) < 2 * SIDE or any(b[1] < a[3] - OVER * em for a, b in pairwise(found)):
        return []
    left, right = min(box[0] for box in found), max(box[2] for box in found)
    sides = [
        [box for box in found if abs(box[0] - left) <= EDGE * em < right - box[2]],
        [box for box in found if abs(box[2] - right) <= EDGE * em < box[0] - left],
    ]
    inner = [box[2] for box in sides[0]], [box[0] for box in sides[1]]
    ragged = all(len(edges) >= SIDE and max(edges) - min(edges) > RAGGED * em for edges in inner)
    return found if ragged else []


def wordless(picture: Image.Image, lines: Sequence[TextLine], messages: Sequence[Box]) -> list[Box]:
    """The bubbles beside the `messages` of a chat that a page (RGB) shows, in which no line stands but something is
    drawn, such as an emoji or a photograph, from the top."""
    em = float(np.median([line.size for line in lines]))
    left, right = min(box[0] for box in messages), max(box[2] for box in messages)
    found = [
        box for box in grounds(picture, em, WIDTH[0])
        if (abs(box[0] - left) <= EDGE * em or abs(box[2] - right) <= EDGE * em) and _drawn(picture, box)
        and not any(share(line.box, box) > 0 for line in lines)
        and messages[0][1] - em < box[1] < messages[-1][3] + 3 * em and box[2] - box[0] < WIDTH[1] * picture.width
        and not any(box[1] < other[3] - OVER * em and other[1] < box[3] - OVER * em for other in messages)
    ]
    return sorted(found, key=lambda box: box[1])


def _drawn(picture: Image.Image, box: Box) -> bool:
    """Whether something is drawn in a box, within its edge."""
    pixels = np.asarray(picture.crop(rounded(box)).convert("RGB")).astype(np.int16)
    edge = min(len(pixels), pixels.shape[1]) // 5
    inner = pixels[edge : len(pixels) - edge, edge : pixels.shape[1] - edge].reshape(-1, 3)
    return len(inner) > 0 and bool((np.abs(inner - np.median(inner, axis=0)).max(1) > INKED).mean() > DRAWN)


def _held(box: Box, lines: Sequence[TextLine]) -> bool:
    """Whether lines stand in a box, and none goes beyond it to either side."""
    level = [line for line in lines if box[1] < line.middle < box[3]]
    inside = [line for line in level if within(line.box, box)]
    return bool(inside) and not any(0.1 < share(line.box, (box[0], -1e9, box[2], 1e9)) < 0.9 for line in level)
