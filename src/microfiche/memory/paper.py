"""From a text to the pages that a memory keeps: how it is set, what cannot be drawn, the picture's bytes, the name.

A page is named by the SHA-256 of its text and how it is set. Characters that a density cannot draw are kept in the
text and drawn as UNDRAWN. It knows nothing of databases or models.
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
from microfiche.typesetting.density import DENSITIES, Density, mode
from microfiche.typesetting.shrink import shrink

UNDRAWN = "¤"
WIDE = "16x16"  #: the density for a text that the memory's own cannot draw
MUCH = 0.02  #: more of a text than this undrawn calls for WIDE
CHUNK = 1 << 16


@dataclass(frozen=True)
class Manner:
    """How a memory sets its texts: a density, a page mode, a layout."""

    density: str
    mode: str
    layout: Layout

    def typesetter(self, text: str) -> Typesetter:
        """The typesetter for a text: at WIDE where the density leaves much of it undrawn and WIDE less."""
        own, wide = density.density(self.density), DENSITIES[WIDE]
        missing = _undrawn(text, own)
        if missing > MUCH * len(text) and _undrawn(text, wide) < missing:
            own = wide
        return Typesetter(own, mode(self.mode), self.layout)


@dataclass(frozen=True)
class SetPage:
    """A `page` with the exact `text` that it stands for, of which `undrawn` characters are shown as UNDRAWN."""

    page: TypesetPage
    text: str
    undrawn: int
    digest: str


def set_pages(text: str, typesetter: Typesetter) -> Iterator[SetPage]:
    """The pages of `text`, one after another."""
    glyphs = atlas(typesetter.density).glyphs

    def drawable() -> Iterator[str]:
        for at in range(0, len(text), CHUNK):
            chunk = text[at : at + CHUNK]
            missing = set(np.flatnonzero(glyphs(chunk) == NO_GLYPH).tolist())
            yield "".join(UNDRAWN if i in missing else c for i, c in enumerate(chunk)) if missing else chunk

    done = 0
    for page in typesetter.pages(drawable()):
        assert page.text is not None and page.setting is not None
        own = text[done : done + len(page.text)]
        done += len(own)
        undrawn = page.text.count(UNDRAWN)
        yield SetPage(page, own, undrawn, digest(own, page.setting, typesetter.mode.side))


def undrawn(text: str, at: str) -> list[str]:
    """The characters of a text for which UNDRAWN stands at the density `at`, in order; UNDRAWN itself among them."""
    ids = atlas(density.density(at)).glyphs(text)
    return [c for c, missing in zip(text, ids == NO_GLYPH, strict=True) if missing or c == UNDRAWN]


def digest(text: str, setting: Setting, side: int) -> str:
    """The name of a page."""
    head = json.dumps([setting.density, setting.layout, side])
    return hashlib.sha256(head.encode() + b"\0" + encoded(text)).hexdigest()


def encoded(text: str) -> bytes:
    """UTF-8, lone surrogates too: what came in comes out."""
    return text.encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> str:
    """What `encoded` encoded."""
    return data.decode("utf-8", "surrogatepass")


def packed(text: str) -> bytes:
    """The text compressed."""
    return zlib.compress(encoded(text), 6)


def unpacked(data: bytes, characters: int) -> str:
    """The text of `packed`, of so many characters; StoreError if it is none."""
    try:
        unpacker = zlib.decompressobj()
        text = decoded(unpacker.decompress(data, 4 * characters + 8))
    except (zlib.error, UnicodeDecodeError) as error:
        raise StoreError(f"its text is damaged ({error})") from error
    if len(text) != characters:
        raise StoreError("its text is damaged (of another length)")
    return text


def png(image: NDArray[np.uint8]) -> bytes:
    """The picture as PNG, of one bit where it is black and white only; the same picture gives the same bytes."""
    file = io.BytesIO()
    picture = Image.fromarray(image)
    if image.ndim == 2 and not ((image > 0) & (image < 255)).any():
        picture = picture.convert("1", dither=Image.Dither.NONE)
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def picture(data: bytes, setting: Setting, most: int) -> Page:
    """The page in a PNG of at most `most` px a side; StoreError if it is none."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > most or image.width % TOKEN_SIDE or image.height % TOKEN_SIDE:
                raise StoreError(f"its picture is damaged ({image.width}×{image.height} px)")
            return Page(np.asarray(image.convert("L")), setting)
    except (OSError, SyntaxError, ValueError) as error:
        raise StoreError(f"its picture is damaged ({error})") from error


def faded(page: Page, side: int) -> Page:
    """The page at `side` px of width, shrunk by area; as it is where it is no wider."""
    return page if side >= page.image.shape[1] else shrink(page, side)


def faded_height(height: int, side: int, to: int) -> int:
    """Pixels that a page of `side` × `height` px has in height once it is `to` px wide."""
    if to >= side:
        return height
    return -(-max(1, round(height * to / side)) // TOKEN_SIDE) * TOKEN_SIDE


def _undrawn(text: str, at: Density) -> int:
    glyphs = atlas(at).glyphs
    return sum(int((glyphs(text[i : i + CHUNK]) == NO_GLYPH).sum()) for i in range(0, len(text), CHUNK))
