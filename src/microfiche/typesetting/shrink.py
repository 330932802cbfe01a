"""Shrinks pages by area, so that every pixel of a page has the same weight in the smaller picture."""

from __future__ import annotations

import io
from dataclasses import replace
from math import gcd
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.errors import UsageError
from microfiche.page import PAPER, TOKEN_SIDE, Page

P = TypeVar("P", bound=Page)


def shrink(page: P, side: int) -> P:
    """The page shrunk to a width of `side` px and padded with paper to a multiple of 64 px in height.

    Each pixel is the mean of the area that it covers. Shrink a page once, from its first size: twice blurs it. Raises
    UsageError if `side` is no multiple of 64 or larger than the page is wide.
    """
    height, width = page.image.shape[:2]
    if side % TOKEN_SIDE or not 0 < side <= width:
        raise UsageError(f"a page of {width} px cannot be shrunk to {side} px: the side must be a multiple of 64")
    if side == width:
        return page
    scale = side / width
    small = shrink_picture(page.image, max(1, round(height * scale)), side)
    padding = ((0, -small.shape[0] % TOKEN_SIDE), (0, 0), (0, 0))[: small.ndim]
    return replace(
        page,
        image=np.pad(small, padding, constant_values=PAPER),
        setting=page.setting and replace(page.setting, scale=page.setting.scale * scale),
        boxes=None if page.boxes is None else np.rint(page.boxes * scale).astype(np.int32),
    )


def as_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """What an (H, W) or (H, W, 3) uint8 picture becomes when it is saved as a JPEG of `quality` 1 to 95 and opened."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def worn(page: P, side: int | None, quality: int | None) -> P:
    """A page shrunk to `side` px and saved as a JPEG of `quality`, each unless it is None."""
    page = page if side is None else shrink(page, side)
    return page if quality is None else replace(page, image=as_jpeg(page.image, quality))


def shrink_picture(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scales an (H, W) or (H, W, 3) uint8 picture to (height, width); each pixel is the mean of the area it covers."""
    lower = _means(image.astype(np.float32), height)
    return np.rint(_means(lower.swapaxes(0, 1), width).swapaxes(0, 1)).astype(np.uint8)


def _means(values: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """The means of `n` equal stretches of the first axis; their borders may lie within a value.

    Borders and values coincide `gcd` times, and the weights repeat between two such places.
    """
    groups = gcd(len(values), n)
    grouped = np.ascontiguousarray(values).reshape(groups, len(values) // groups, -1)
    return (_weights(len(values) // groups, n // groups) @ grouped).reshape(n, *values.shape[1:])


def _weights(m: int, n: int) -> NDArray[np.float32]:
    """(n, m) share of each of m values in each of n equal stretches."""
    borders, at = np.arange(n + 1) * (m / n), np.arange(m)
    covered = np.minimum(borders[1:, None], at + 1) - np.maximum(borders[:-1, None], at)
    return (covered.clip(min=0) * (n / m)).astype(np.float32)
