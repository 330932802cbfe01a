"""Which characters of a PDF page a person sees, by the picture of the page.

A character that is seen has ink of its own in the picture. What is white on white, clipped away, on a layer that is off
or outside the page has none; where something may lie over a character, the page is drawn again without its string: a
picture that stays the same did not show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.pdf.drawing import Drawn
from microfiche.documents.sheet import TextLayer
from microfiche.page import Box

SAMPLES = 14, 10  #: rows and columns of points at which a character's ink is looked for
CONTRAST = 32  #: levels of grey between the ink of a sign and its ground, at least
FAINT = 8  #: levels that suffice for a sign with little ink, and for type that is light itself
THIN_SIGNS = np.array([ord(c) for c in ".,:;·…'`´’‘¨-–—_~ˉ¯|\u00ad\u2022"])
LIGHT = 24  #: levels below white: a colour that is lighter is white to the eye
SMALLEST = 1.5  #: points: no one reads type of less
SQUEEZED = 0.05  #: ems: a letter that is narrower, and takes no more room, is a line to the eye
MANY = 20_000  #: characters that are looked at in one go
COVERS = 400  #: things that may lie over text, at most, that are looked at one by one


def seen(
    layer: TextLayer,
    colours: NDArray[np.uint32],
    strings: Sequence[int],
    drawn: Drawn,
    pixels: NDArray[np.uint8],
    scale: float,
    without: Callable[[Sequence[int]], NDArray[np.uint8]],
) -> NDArray[np.bool_]:
    """(T,) whether the picture `pixels` (H, W, 3), at `scale` px a point, shows each character.

    `colours` (n, 4) and `strings`, their addresses, are those of the strings that the characters were drawn with;
    `without` draws the page again without some of these.
    """
    codes = np.array([ord(c) for c in layer.text], np.int64)
    spaces = np.array([c.isspace() for c in layer.text], bool)
    inside = _inside(layer, pixels)
    run = layer.run
    levels = np.append(255 - colours[:, :3].min(axis=1).astype(np.int64), 255)[run]  # how far from white
    limit = np.clip(0.35 * levels, FAINT, CONTRAST)
    limit[levels < LIGHT] = LIGHT
    limit[np.isin(codes, THIN_SIGNS) & (levels >= LIGHT)] = FAINT
    limit = np.maximum(limit, FAINT)
    out = np.zeros(len(codes), bool)
    asked = np.flatnonzero(inside & ~spaces & ~layer.invisible)
    for start in range(0, len(asked), MANY):
        at = asked[start : start + MANY]
        points = _points(layer.ink[at], pixels.shape[:2])
        found = np.zeros(len(at), bool)
        for channel in (1, 0, 2):  # green tells most; the others are asked where it shows nothing
            left = np.flatnonzero(~found)
            values = pixels.reshape(-1, 3)[:, channel][points[left]]  # (n, samples)
            found[left] = values.max(axis=1) - values.min(axis=1) >= limit[at[left]]
        out[at] = found
    out |= _lacking(layer, out, inside & ~spaces & ~layer.invisible & (levels >= LIGHT), codes)
    out &= ~_tiny(layer, scale) & ~_clipped_away(layer, strings, drawn)
    doubtful = out & (_covered(layer, strings, drawn) | _optional(layer, strings, drawn) | (levels < LIGHT))
    if doubtful.any():
        chosen = np.unique(run[doubtful])
        other = without([strings[number] for number in chosen[chosen >= 0].tolist()])
        at = np.flatnonzero(doubtful)
        points = _points(layer.ink[at], pixels.shape[:2])
        change = pixels.reshape(-1, 3)[points].astype(np.int16) - other.reshape(-1, 3)[points]
        out[at] = np.abs(change).max(axis=(1, 2)) >= np.minimum(limit[at], LIGHT)
    return out | (spaces & inside)


def _inside(layer: TextLayer, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(T,) whether the middle of each character's ink, or a third of it, is on the page."""
    height, width = pixels.shape[:2]
    ink = layer.ink
    third = (ink[:, 2:] - ink[:, :2]) / 3
    return (ink[:, 2] - third[:, 0] >= 0) & (ink[:, 0] + third[:, 0] <= width) & (
        (ink[:, 3] - third[:, 1] >= 0) & (ink[:, 1] + third[:, 1] <= height)
    )  # fmt: skip


def _points(boxes: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.int32]:
    """(n, samples) the numbers of pixels in a grid over each of (n, 4) boxes, and over what is just beside it."""
    rows, columns = SAMPLES
    height, width = size
    margin = 1.0 + 0.06 * (boxes[:, 3:] - boxes[:, 1:2]).clip(0, 40)
    low, high = boxes[:, :2] - margin, boxes[:, 2:] + margin
    x = low[:, :1] + (high[:, :1] - low[:, :1]) * ((np.arange(columns) + 0.5) / columns)
    y = low[:, 1:] + (high[:, 1:] - low[:, 1:]) * ((np.arange(rows) + 0.5) / rows)
    column = np.floor(x).clip(0, width - 1).astype(np.int32)
    row = np.floor(y).clip(0, height - 1).astype(np.int32)
    return (row[:, :, None] * np.int32(width) + column[:, None, :]).reshape(len(boxes), -1)


def _lacking(
    layer: TextLayer, found: NDArray[np.bool_], asked: NDArray[np.bool_], codes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(T,) whether a character is drawn without ink only because the file lacks its font, and no other font has it."""
    out = np.zeros(len(codes), bool)
    for number, font in enumerate(layer.fonts):
        own = asked & (layer.font == number) & (codes > 0x24F)
        if not font.embedded and own.any() and found[own].mean() < 0.1:
            out |= own
    return out


def _tiny(layer: TextLayer, scale: float) -> NDArray[np.bool_]:
    ink = layer.ink
    wide, high = ink[:, 2] - ink[:, 0], ink[:, 3] - ink[:, 1]
    letters = np.array([c.isalnum() for c in layer.text], bool)
    squeezed = letters & (np.minimum(wide, high) < SQUEEZED * layer.sizes) & (layer.advances < SQUEEZED * layer.sizes)
    return squeezed | ((layer.sizes < SMALLEST * scale) & (np.maximum(wide, high) < SMALLEST * scale))


def _middles(layer: TextLayer) -> NDArray[np.floating]:
    return (layer.ink[:, :2] + layer.ink[:, 2:]) / 2


def _contains(box: Box, points: NDArray[np.floating]) -> NDArray[np.bool_]:
    x, y = points[:, 0], points[:, 1]
    return (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])


def _clipped_away(layer: TextLayer, strings: Sequence[int], drawn: Drawn) -> NDArray[np.bool_]:
    """(T,) whether each character lies outside the box to which its string is clipped."""
    everything = (-np.inf, -np.inf, np.inf, np.inf)
    found = [drawn.strings.get(s, (0, None, False))[1] or everything for s in strings]
    boxes = np.array([*found, everything], np.float32)[layer.run]
    x, y = _middles(layer).T
    return ~((x >= boxes[:, 0]) & (x <= boxes[:, 2]) & (y >= boxes[:, 1]) & (y <= boxes[:, 3]))


def _covered(layer: TextLayer, strings: Sequence[int], drawn: Drawn) -> NDArray[np.bool_]:
    """(T,) whether something that was drawn later lies over the middle of each character."""
    places = np.array([*(drawn.strings.get(s, (-1, None, False))[0] for s in strings), 1 << 30])[layer.run]
    first = places.min(initial=1 << 30)
    later = [(place, box) for place, box in drawn.covers if place > first]
    middles = _middles(layer)
    out = np.zeros(len(places), bool)
    if len(later) > COVERS:
        order = np.sort(places[places < 1 << 30])
        later = [(place, box) for place, box in later if order[0] < place][-COVERS:]
    for place, box in later:
        out |= (places < place) & _contains(box, middles)
    return out


def _optional(layer: TextLayer, strings: Sequence[int], drawn: Drawn) -> NDArray[np.bool_]:
    return np.array([*(drawn.strings.get(s, (0, None, False))[2] for s in strings), False], bool)[layer.run]
