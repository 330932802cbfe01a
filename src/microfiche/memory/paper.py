"""From a text to the pages that a memory keeps: how they are set, what their pictures and texts are as bytes.

A page is named by the SHA-256 of its text and its setting. On the page, letters and the marks that follow them are
composed; its text is what was added. What cannot be drawn stands as text beside the page. This module knows nothing of
databases.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.errors import StoreError
from microfiche.page import (
    TOKEN_SIDE,
    Layout,
    Page,
    Setting,
    TypesetPage,
    VisionTokens,
    dequantise,
)
from microfiche.sources import composed_with_places
from microfiche.typesetting import Typesetter, density
from microfiche.typesetting.alphabet import NO_GLYPH, code_points
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, MODES, Density, mode
from microfiche.typesetting.repertoire import LABEL, NONE, ladder, repertoire, tables
from microfiche.typesetting.rows import Items
from microfiche.typesetting.shrink import shrink

if TYPE_CHECKING:
    from torch import Tensor

    from microfiche.nano.cells import Nano

UNDRAWN = "¤"  #: stands on pages of older memories for each character that could not be drawn
WIDE = "16x16"  #: the density for a text most of which models know at it and not at the memory's own
CHATS = 16  #: chats whose open pages are at hand
CHUNK = 1 << 16  #: characters that are looked up at a time
READ = 3  #: times that a page is read back at most
LEVELS = 15  #: a stored value of a token lies between as many steps below 0 and above


@dataclass(frozen=True)
class Manner:
    """How a memory sets its texts: a density, a page mode, a layout."""

    density: str
    mode: str
    layout: Layout

    def typesetter(self, text: str, turns: bool = False) -> Typesetter:
        """The typesetter for `text`, or for part of a chat if `turns`, whose lines always break between words.

        A line that the memory's density cannot draw takes a larger one by itself. Where more than half of all lines
        would, or more than half of all characters are Chinese, the whole text is set larger.
        """
        own = self._density(text, density.density(self.density))
        return Typesetter(own, mode(self.mode), "turns" if turns else self.layout, beside=True)

    def _density(self, text: str, own: Density) -> Density:
        columns = mode(self.mode).side // own.width
        lines = larger = chinese = 0
        for at in range(0, len(text), CHUNK):
            points = code_points(text[at : at + CHUNK])
            unknown = points[~repertoire(own).known_of(points)]
            chinese += int(repertoire(DENSITIES[WIDE]).known_of(unknown).sum())
            lines += -(-len(points) // columns)
            levels = tables(own).levels.take(points, mode="clip")
            needed = np.flatnonzero((levels > 0) & (levels != NONE))
            larger += len(np.unique(needed // columns))
        if 2 * chinese > len(text):
            return DENSITIES[WIDE]
        return ladder(own)[1] if 2 * larger > lines else own


class Room:
    """How much room the open pages of chats have, so that not each is cut anew with every message.

    Behind a page that was cut, two lines of simple text hold more than one line has cells, for words are whole.
    """

    def __init__(self) -> None:
        #: The text of open pages, how many of its characters were cut, and the lines that these took at most.
        self._held: dict[int, tuple[str, int, int]] = {}

    def takes(self, chat: int, before: str, new: str, manner: Manner) -> bool:
        """Whether what is said anew has room for sure on the open page of a chat, of which `before` is the text."""
        text, cut, lines = self._held.get(chat, ("", 0, 0))
        own, page = density.density(manner.density), mode(manner.mode)
        points = code_points(new.replace(LABEL, "["))
        if not before or before != text or not tables(own).simple.take(points, mode="clip").all():
            return False
        more = 2 * -(-(len(before) + len(new) - cut) // (page.side // own.width)) + 4
        if lines + more > (page.height or page.side) // own.height:
            return False
        self._held[chat] = before + new, cut, lines
        return True

    def cut(self, chat: int, page: CutPage | None, manner: Manner) -> None:
        """Notes how the last page of a chat was cut."""
        self._held.pop(chat, None)
        if page and page.setting.density == manner.density:
            height = density.density(manner.density).height
            self._held[chat] = page.text, len(page.text), -(-page.height // height)
            if len(self._held) > CHATS:
                self._held.pop(next(iter(self._held)))


@dataclass(frozen=True)
class SetPage:
    """A `page` and the exact `text` that it stands for, of which `undrawn` characters cannot be drawn.

    `setting` is the page's, and `digest` names the page.
    """

    page: TypesetPage
    setting: Setting
    text: str
    undrawn: int
    digest: str


@dataclass(frozen=True)
class CutPage:
    """A page that was not drawn: the exact `text` on it, its `height` in px, how many of its characters cannot be
    drawn, its setting, and the `digest` that names it."""

    text: str
    height: int
    undrawn: int
    setting: Setting
    digest: str


def cut_pages(text: str, typesetter: Typesetter) -> Iterator[CutPage]:
    """The pages that `set_pages` sets, without drawing them."""
    drawn, places = composed_with_places(text)
    done, setting = 0, typesetter.setting
    for length, height, beside in typesetter.cuts(drawn):
        own = _between(text, places, done, done + length)
        done += length
        undrawn = undrawn_among(beside, typesetter.density.name)
        yield CutPage(own, height, undrawn, setting, digest(own, setting, typesetter.mode.side))


def _between(text: str, places: NDArray[np.int64] | None, start: int, end: int) -> str:
    """Characters `start` to `end` of a text that was composed, as they were."""
    return text[start:end] if places is None else text[places[start] : places[end]]


def set_pages(text: str, typesetter: Typesetter) -> Iterator[SetPage]:
    """Sets `text` and gives its pages one after another."""
    drawn, places = composed_with_places(text)
    done = 0
    for page in typesetter.pages([drawn]):
        own = _between(text, places, done, done + len(page.text))
        done += len(page.text)
        undrawn = undrawn_among(page.beside, typesetter.density.name)
        setting = page.setting or typesetter.setting
        yield SetPage(page, setting, own, undrawn, digest(own, setting, typesetter.mode.side))


def typesetter_of(setting: Setting, side: int) -> Typesetter:
    """The typesetter that sets pages of `side` px by `setting`; StoreError where no mode has pages of that size."""
    found = next((mode for mode in MODES.values() if mode.side == side), None)
    if found is None:
        raise StoreError(f"it is {side} px wide, and no mode has such pages")
    return Typesetter(density.density(setting.density), found, setting.layout, beside=True)


def set_again(text: str, setting: Setting, side: int, undrawn: int) -> TypesetPage:
    """The page of `side` px with the exact `text` as it was set; of its characters, `undrawn` could not be drawn. Each
    character has the box of what it was composed to."""
    found = next(set_pages(text, typesetter_of(setting, side)))
    if found.text == text and found.undrawn == undrawn:
        _, places = composed_with_places(text)
        if places is None:
            return found.page
        of = np.searchsorted(places[:-1], np.arange(len(text)), "right") - 1
        return replace(found.page, text=text, boxes=found.page.boxes[of])
    old = atlas(density.density(setting.density)).glyphs(text) == NO_GLYPH
    drawn = "".join(UNDRAWN if missing else c for c, missing in zip(text, old, strict=True))
    return next(typesetter_of(setting, side).pages([drawn]))


def beside_page(text: str, setting: Setting) -> list[str]:
    """What of a page's exact `text` stands beside it, in the order of the numbers that stand for it there."""
    drawn, places = composed_with_places(text)
    items = Items(drawn, density.density(setting.density), setting.layout == "turns")
    return [_between(text, places, start, end) for start, end in items.runs]


def undrawn_among(runs: Sequence[str], density_name: str) -> int:
    """How many characters of what stands beside a page of a density cannot be drawn; others stand there with them."""
    points, largest = code_points("".join(runs)), ladder(density.density(density_name))[-1]
    return int((~repertoire(largest).draws(points)).sum())


def undrawn_characters(text: str, density_name: str) -> list[str]:
    """The characters of `text` that older memories drew as UNDRAWN at a density, in their order, UNDRAWN itself among
    them."""
    ids = atlas(density.density(density_name)).glyphs(text)
    return [c for c, missing in zip(text, ids == NO_GLYPH, strict=True) if missing or c == UNDRAWN]


def encoded(model: Nano, pages: Sequence[TypesetPage]) -> list[VisionTokens]:
    """The vision tokens of pages. Each page is read back from them as they are stored: the setting of its tokens keeps
    the text of all that the model does not read exactly."""
    made = unread(model, pages)
    return [replace(one, setting=settled(model, page, as_stored(one))) for page, one in zip(pages, made, strict=True)]


def unread(model: Nano, pages: Sequence[TypesetPage]) -> list[VisionTokens]:
    """The vision tokens of pages, of which nothing has been read back yet."""
    bare = [replace(page, setting=replace(page.setting, kept=())) if page.setting else page for page in pages]
    return [replace(one, setting=page.setting) for one, page in zip(model.encode(bare), pages, strict=True)]


def settled(model: Nano, page: TypesetPage, stored: VisionTokens) -> Setting:
    """The setting of a page's tokens, which are as they are `stored`, once the page has been read back from them by
    it exactly, or READ times."""
    from microfiche.nano.kept import Notes, checked, to_try

    text, places = composed_with_places(page.text)  # letters and their marks are read as they are drawn
    drawn = page if places is None else replace(page, text=text, boxes=page.boxes[places[:-1]])
    setting, _ = to_try(drawn, model.letters.config.letters if model.letters else "")
    for _ in range(READ):
        (reading,) = model.read([replace(stored, setting=setting)])
        before, setting = setting, checked(drawn, setting, reading)
        if setting == before:
            break
    return setting if drawn is page else Notes.of(setting).setting(page)


def as_stored(tokens: VisionTokens) -> VisionTokens:
    """The tokens as they come back once they were stored."""
    return replace(tokens, values=dequantise(coarse(tokens.values)))


def coarse(values: Tensor) -> dict[str, Tensor]:
    """(n, D) tokens as they are stored: int8 values of LEVELS steps to either side of 0, and a float16 scale for each
    token. `dequantise` gives them back."""
    import torch  # here, because texts are cut to pages without it

    scale = (values.float().abs().amax(1, keepdim=True) / LEVELS).clamp(min=1e-7).half()
    return {"tokens": (values / scale.float()).round().clamp(-LEVELS, LEVELS).to(torch.int8), "scale": scale}


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
    """The text compressed by zlib, a hundredth larger and a third faster than by its default."""
    return zlib.compress(to_bytes(text), 5)


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

    The same picture always gives the same bytes. Those of one bit are not filtered: text is
    smaller so, and done sooner.
    """
    if image.ndim == 2 and not ((image > 0) & (image < 255)).any():
        lines = np.pad(np.packbits(image, axis=1), ((0, 0), (1, 0)))  # a line begins with its filter, 0 for none
        head = struct.pack(">2I5B", image.shape[1], image.shape[0], 1, 0, 0, 0, 0)
        parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 5)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in parts
        )
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
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
