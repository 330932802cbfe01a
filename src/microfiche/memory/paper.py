"""From a text to the pages that a memory keeps: how they are set, what their pictures and texts are as bytes.

A page is named by the SHA-256 of its text and its setting. A character that the density cannot draw is kept in the
text and drawn as UNDRAWN. This module knows nothing of databases or models.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.errors import StoreError
from microfiche.page import TOKEN_SIDE, Layout, Page, Setting, TypesetPage
from microfiche.typesetting import Typesetter, density
from microfiche.typesetting.alphabet import NO_GLYPH
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, MODES, Density, mode
from microfiche.typesetting.shrink import shrink

UNDRAWN = "¤"
WIDE = "16x16"  #: the density for a text of which the memory's own cannot draw much
MUCH = 0.02  #: the share of a text that, where it cannot be drawn, calls for WIDE
CHUNK = 1 << 16  #: characters that are looked up at a time


@dataclass(frozen=True)
class Manner:
    """How a memory sets its texts: a density, a page mode, a layout."""

    density: str
    mode: str
    layout: Layout

    def typesetter(self, text: str) -> Typesetter:
        """The typesetter for `text`; it takes WIDE where the density cannot draw much of it and WIDE can draw more."""
        own, wide = density.density(self.density), DENSITIES[WIDE]
        missing = _undrawn(text, own)
        if missing > MUCH * len(text) and _undrawn(text, wide) < missing:
            own = wide
        return Typesetter(own, mode(self.mode), self.layout)


@dataclass(frozen=True)
class SetPage:
    """A `page` and the exact `text` that it stands for, of which `undrawn` characters are drawn as UNDRAWN.

    `setting` is the page's, and `digest` names the page.
    """

    page: TypesetPage
    setting: Setting
    text: str
    undrawn: int
    digest: str


def set_pages(text: str, typesetter: Typesetter) -> Iterator[SetPage]:
    """Sets `text` and gives its pages one after another."""
    glyphs = atlas(typesetter.density).glyphs

    def drawable() -> Iterator[str]:
        for at in range(0, len(text), CHUNK):
            chunk = text[at : at + CHUNK]
            missing = set(np.flatnonzero(glyphs(chunk) == NO_GLYPH).tolist())
            yield "".join(UNDRAWN if i in missing else c for i, c in enumerate(chunk)) if missing else chunk

    done, setting = 0, typesetter.setting
    for page in typesetter.pages(drawable()):
        own = text[done : done + len(page.text)]
        done += len(own)
        yield SetPage(page, setting, own, page.text.count(UNDRAWN), digest(own, setting, typesetter.mode.side))


def typesetter_of(setting: Setting, side: int) -> Typesetter:
    """The typesetter that sets pages of `side` px by `setting`; StoreError where no mode has pages of that size."""
    found = next((mode for mode in MODES.values() if mode.side == side), None)
    if found is None:
        raise StoreError(f"it is {side} px wide, and no mode has such pages")
    return Typesetter(density.density(setting.density), found, setting.layout)


def undrawn_characters(text: str, density_name: str) -> list[str]:
    """The characters of `text` that are drawn as UNDRAWN at a density, in their order, UNDRAWN itself among them."""
    ids = atlas(density.density(density_name)).glyphs(text)
    return [c for c, missing in zip(text, ids == NO_GLYPH, strict=True) if missing or c == UNDRAWN]


def digest(text: str, setting: Setting, side: int) -> str:
    """The SHA-256 that names the page of `side` px on which `text` stands by `setting`."""
    head = json.dumps([setting.density, setting.layout, side])
    return hashlib.sha256(head.encode() + b"\0" + to_bytes(text)).hexdigest()


def to_bytes(text: str) -> bytes:
    """UTF-8, which keeps lone surrogates as well, so that `from_bytes` gives back exactly what came in."""
    return text.encode("utf-8", "surrogatepass")


def from_bytes(data: bytes) -> str:
    """The text of which `to_bytes` made `data`."""
    return data.decode("utf-8", "surrogatepass")


def packed(text: str) -> bytes:
    """The text compressed by zlib."""
    return zlib.compress(to_bytes(text), 6)


def unpacked(data: bytes, characters: int) -> str:
    """The text that `packed` compressed; StoreError if `data` is damaged or holds another number of characters."""
    try:
        unpacker = zlib.decompressobj()
        text = from_bytes(unpacker.decompress(data, 4 * characters + 8))
    except (zlib.error, UnicodeDecodeError) as error:
        raise StoreError(f"its text is damaged ({error})") from error
    if len(text) != characters:
        raise StoreError("its text is damaged (of another length)")
    return text


def png(image: NDArray[np.uint8]) -> bytes:
    """An (H, W) or (H, W, 3) uint8 picture as PNG, with one bit a pixel where all are black or white.

    The same picture always gives the same bytes.
    """
    file = io.BytesIO()
    picture = Image.fromarray(image)
    if image.ndim == 2 and not ((image > 0) & (image < 255)).any():
        picture = picture.convert("1", dither=Image.Dither.NONE)
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def picture(data: bytes, setting: Setting, most: int) -> Page:
    """The page whose picture is the PNG `data`; StoreError if it is none, or has more than `most` px on a side."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > most or image.width % TOKEN_SIDE or image.height % TOKEN_SIDE:
                raise StoreError(f"its picture is damaged ({image.width}×{image.height} px)")
            return Page(np.asarray(image.convert("L")), setting)
    except (OSError, SyntaxError, ValueError) as error:
        raise StoreError(f"its picture is damaged ({error})") from error


def faded(page: Page, side: int) -> Page:
    """The page shrunk by area to `side` px of width, or unchanged where it is no wider than that."""
    return page if side >= page.image.shape[1] else shrink(page, side)


def faded_height(height: int, side: int, to: int) -> int:
    """The height in px of a page of `side` × `height` px once it has been shrunk to `to` px of width."""
    if to >= side:
        return height
    return -(-max(1, round(height * to / side)) // TOKEN_SIDE) * TOKEN_SIDE


def _undrawn(text: str, at: Density) -> int:
    glyphs = atlas(at).glyphs
    return sum(int((glyphs(text[i : i + CHUNK]) == NO_GLYPH).sum()) for i in range(0, len(text), CHUNK))
