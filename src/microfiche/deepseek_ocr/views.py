"""Image → views, the pixels that DeepSeek-OCR sees: a square global view and, in the mode Gundam, tiles of the image.

Modes, fitting and tile grid are those of the published code (deepseek-ai/DeepSeek-OCR: process/image_process.py and the
model card's `infer`). The views match it pixel for pixel, because both use PIL. It knows nothing of the model that
reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from microfiche.errors import InputError, UsageError
from microfiche.page import TOKEN_SIDE, Page
from microfiche.typesetting.density import MODES, Mode

STRETCHED_UP_TO = 640  #: views of at most this side are stretched to a square, larger ones are padded
PAD = (127, 127, 127)
MAX_TILES = 9


#: The modes of the paper: the sizes of typeset pages, and Gundam, which also cuts a page into tiles.
RESOLUTIONS = MappingProxyType({**MODES, "gundam": Mode("gundam", 1024, tile=640)})


@dataclass(frozen=True)
class Views:
    """What the model sees of one page, float32 in [-1, 1].

    `page` (3, S, S) is the whole page. `tiles` (n, 3, T, T) are its parts, row by row, and `grid` is (w, h) with w·h =
    n; if the page was not cut, they are (0, 3, T, T) and (0, 0).
    """

    page: Float[Tensor, "3 s s"]
    tiles: Float[Tensor, "n 3 t t"]
    grid: tuple[int, int]

    def __len__(self) -> int:
        """The number of vectors that the views become for the decoder, including newlines and the separator."""
        return vectors(self.page.shape[-1], self.tiles.shape[-1], self.grid)


def mode(name: str) -> Mode:
    """Returns the mode of that name. Raises UsageError, with the list of modes, if there is none."""
    if name == "gundam-m":
        raise UsageError(
            "gundam-m: the published weights were not trained for it (1024-px tiles are in the paper only); use gundam"
        )
    if name not in RESOLUTIONS:
        raise UsageError(f"no mode {name!r}; there are {', '.join(RESOLUTIONS)}")
    return RESOLUTIONS[name]


def grid(width: int, height: int, tile: int = 640) -> tuple[int, int]:
    """Returns the grid of tiles (w, h) for an image of `width`×`height` pixels, or (0, 0) if it fits into one tile.

    Of all grids of 2 to 9 tiles, in order of their number of tiles, it is the one whose w/h is nearest to width/height.
    Of equally near ones, a later one is chosen only if the image has more than half as many pixels as its tiles.
    """
    if width <= tile and height <= tile:
        return 0, 0
    several = [(w, h) for w in range(1, MAX_TILES + 1) for h in range(1, MAX_TILES + 1) if 2 <= w * h <= MAX_TILES]
    best, nearest = (1, 1), math.inf
    for w, h in sorted(several, key=lambda one: one[0] * one[1]):
        distance = abs(width / height - w / h)
        if distance < nearest or (distance == nearest and width * height > 0.5 * tile * tile * w * h):
            best, nearest = (w, h), distance
    return best


def tiling(mode: Mode, width: int, height: int) -> tuple[int, int]:
    """Returns the grid of tiles (w, h) that a mode cuts an image of `width`×`height` pixels into, or (0, 0) if it does
    not."""
    return grid(width, height, mode.tile) if mode.tile else (0, 0)


def views(image: Image.Image | Page, mode: Mode) -> Views:
    """Makes the views of one image in a mode: rotates it as its EXIF says, converts it to RGB, and fits it. Raises
    InputError if PIL cannot decode it."""
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
    return Views(_pixels(ImageOps.pad(picture, (mode.side, mode.side), color=PAD)), tiles, (w, h))


def vectors(side: int, tile: int, grid: tuple[int, int]) -> int:
    """Returns how many vectors a view of `side` px and a grid of tiles of `tile` px become, including newlines and the
    separator."""
    g, q, (w, h) = side // TOKEN_SIDE, tile // TOKEN_SIDE, grid
    local = h * q * (w * q + 1) if w else 0
    return local + g * (g + 1) + 1


def places(seen: Views) -> NDArray[np.int32]:
    """Returns the (n, 3) view, row and column of the square that each vector of a page's views stands for, or −1 in all
    three for newlines and the separator. View 1 is the whole page; view 2, which comes first, is the canvas that the
    tiles make up."""
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
        picture = Image.fromarray(image.image) if isinstance(image, Page) else ImageOps.exif_transpose(image)
        return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{getattr(image, 'filename', '') or 'an image'}: cannot be decoded ({error})") from error


def _pixels(picture: Image.Image) -> Tensor:
    """Converts an RGB picture to (3, H, W) float32 in [-1, 1]."""
    values = torch.from_numpy(np.array(picture)).permute(2, 0, 1).to(torch.float32)
    return (values / 255 - 0.5) / 0.5
