"""Image → views, the pixels that a published model sees: a square global view and, in the mode Gundam, tiles of the
image.

Modes, fitting and tile grid are those of the published code (deepseek-ai/DeepSeek-OCR and DeepSeek-OCR-2:
process/image_process.py and the model card's `infer`; baidu/Unlimited-OCR: `infer`). The views match it pixel for
pixel, because both use PIL. It knows nothing of the model that reads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from microfiche.errors import InputError, UsageError
from microfiche.page import TOKEN_SIDE, Page, upright_rgb
from microfiche.typesetting.density import MODES, Mode

STRETCHED_UP_TO = 640  #: views of at most this side are stretched to a square, larger ones are padded
PAD = (127, 127, 127)


@dataclass(frozen=True)
class Resolution(Mode):
    """A mode as one published model knows it. In a mode with a `tile`, a page is cut into at most `tiles` of them. With
    `newlines`, the vectors of a view are laid out in rows that end in a newline, and the tiles make up one canvas;
    without, the vectors of each view follow one another."""

    tiles: int = 9
    newlines: bool = True


#: The modes of DeepSeek-OCR: the sizes of typeset pages, and Gundam, which also cuts a page into tiles, at most 9 of
#: them as in the model's own code, or, as "gundam-6", at most 6 as in its code for vLLM.
RESOLUTIONS: Mapping[str, Resolution] = MappingProxyType(
    {
        **{name: Resolution(name, mode.side) for name, mode in MODES.items()},
        "gundam": Resolution("gundam", 1024, tile=640),
        "gundam-6": Resolution("gundam-6", 1024, tile=640, tiles=6),
    }
)
#: Those of DeepSeek-OCR 2, which has queries for views of 768 and 1024 px alone.
RESOLUTIONS_2: Mapping[str, Resolution] = MappingProxyType(
    {
        "base": Resolution("base", 1024, newlines=False),
        "gundam": Resolution("gundam", 1024, tile=768, tiles=6, newlines=False),
    }
)
#: Those of Unlimited-OCR.
RESOLUTIONS_UNLIMITED: Mapping[str, Resolution] = MappingProxyType(
    {"base": Resolution("base", 1024), "gundam": Resolution("gundam", 1024, tile=640, tiles=32)}
)


@dataclass(frozen=True)
class Views:
    """What the model sees of one page, float32 in [-1, 1].

    `page` (3, S, S) is the whole page. `tiles` (n, 3, T, T) are its parts, row by row, and `grid` is (w, h) with w·h =
    n; if the page was not cut, they are (0, 3, T, T) and (0, 0). `newlines` says how their vectors are laid out; see
    `Resolution`.
    """

    page: Float[Tensor, "3 s s"]
    tiles: Float[Tensor, "n 3 t t"]
    grid: tuple[int, int]
    newlines: bool = True

    def __len__(self) -> int:
        """The number of vectors that the views become for the decoder, including newlines and the separator."""
        return vectors(self.page.shape[-1], self.tiles.shape[-1], self.grid, self.newlines)


def mode(name: str, known: Mapping[str, Resolution] = RESOLUTIONS) -> Resolution:
    """Returns the mode of that name among those that a model knows. Raises UsageError, with the list of modes, if there
    is none."""
    if name == "gundam-m":
        raise UsageError(
            "gundam-m: the published weights were not trained for it (1024-px tiles are in the paper only); use gundam"
        )
    if name not in known:
        raise UsageError(f"no mode {name!r}; there are {', '.join(known)}")
    return known[name]


def grid(width: int, height: int, tile: int = 640, most: int = 9) -> tuple[int, int]:
    """Returns the grid of tiles (w, h) for an image of `width`×`height` pixels, or (0, 0) if it fits into one tile.

    Of all grids of 2 to `most` tiles, in order of their number of tiles, it is the one whose w/h is nearest to
    width/height. Of equally near ones, a later one is chosen only if the image has more than half as many pixels as its
    tiles.
    """
    if width <= tile and height <= tile:
        return 0, 0
    several = [(w, h) for w in range(1, most + 1) for h in range(1, most + 1) if 2 <= w * h <= most]
    best, nearest = (1, 1), math.inf
    for w, h in sorted(several, key=lambda one: one[0] * one[1]):
        distance = abs(width / height - w / h)
        if distance < nearest or (distance == nearest and width * height > 0.5 * tile * tile * w * h):
            best, nearest = (w, h), distance
    return best


def tiling(mode: Resolution, width: int, height: int) -> tuple[int, int]:
    """Returns the grid of tiles (w, h) that a mode cuts an image of `width`×`height` pixels into, or (0, 0) if it does
    not."""
    return grid(width, height, mode.tile, mode.tiles) if mode.tile else (0, 0)


def views(image: Image.Image | Page, mode: Resolution) -> Views:
    """Makes the views of one image in a mode: rotates it as its EXIF says, converts it to RGB, and fits it. Unlike the
    published code, it scales a picture of 16 bits, and puts a transparent one on paper. Raises InputError if PIL cannot
    decode it."""
    picture = _rgb(image)
    tile = mode.tile or mode.side
    w, h = tiling(mode, *picture.size)
    if w:
        stretched = _pixels(picture.resize((tile * w, tile * h)))
        tiles = stretched.view(3, h, tile, w, tile).permute(1, 3, 0, 2, 4).reshape(w * h, 3, tile, tile)
    else:
        tiles = torch.empty(0, 3, tile, tile)
    if mode.tile is None and mode.side <= STRETCHED_UP_TO:
        picture = picture.resize((mode.side, mode.side))
    page = _pixels(ImageOps.pad(picture, (mode.side, mode.side), color=PAD))
    return Views(page, tiles, (w, h), mode.newlines)


def vectors(side: int, tile: int, grid: tuple[int, int], newlines: bool = True) -> int:
    """Returns how many vectors a view of `side` px and a grid of tiles of `tile` px become, including newlines, if
    there are any, and the separator."""
    g, q, (w, h) = side // TOKEN_SIDE, tile // TOKEN_SIDE, grid
    if not newlines:
        return w * h * q * q + g * g + 1
    local = h * q * (w * q + 1) if w else 0
    return local + g * (g + 1) + 1


def places(seen: Views) -> NDArray[np.int32]:
    """Returns the (n, 3) view, row and column of the square that each vector of a page's views stands for, or −1 in all
    three for newlines and the separator. View 1 is the whole page; view 2, which comes first, is the canvas that the
    tiles make up. Without newlines no vector stands for a square: each answers a query about all of its view."""
    if not seen.newlines:
        return np.full((len(seen), 3), -1, np.int32)
    (w, h), q = seen.grid, seen.tiles.shape[-1] // TOKEN_SIDE
    side = seen.page.shape[-1] // TOKEN_SIDE
    canvases = [(2, h * q, w * q)] if w else []
    found = []
    for view, rows, columns in [*canvases, (1, side, side)]:
        row, column = np.mgrid[:rows, : columns + 1]
        squares = np.stack([np.full_like(row, view), row, column], axis=-1)
        squares[:, columns] = -1
        found.append(squares.reshape(-1, 3))
    return np.concatenate([*found, np.full((1, 3), -1)]).astype(np.int32)


def size_of(page: Image.Image | Page) -> tuple[int, int]:
    """Returns the width and height of a page in pixels; a picture is taken as rotated by its EXIF."""
    if isinstance(page, Page):
        return page.image.shape[1], page.image.shape[0]
    turned = page.getexif().get(0x0112, 1) >= 5
    return (page.height, page.width) if turned else page.size


def _rgb(image: Image.Image | Page) -> Image.Image:
    try:
        return Image.fromarray(image.image).convert("RGB") if isinstance(image, Page) else upright_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{getattr(image, 'filename', '') or 'an image'}: cannot be decoded ({error})") from error


def _pixels(picture: Image.Image) -> Tensor:
    """Converts an RGB picture to (3, H, W) float32 in [-1, 1]."""
    values = torch.from_numpy(np.array(picture)).permute(2, 0, 1).to(torch.float32)
    return (values / 255 - 0.5) / 0.5
