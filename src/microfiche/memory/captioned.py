"""Pages as a model is sent them, each a picture after its caption: what a caption says, and what they cost.

This module knows nothing of databases or fading.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from unicodedata import normalize

from microfiche.files import plain
from microfiche.memory.models import HostedModel
from microfiche.memory.paper import UNDRAWN, beside_page, faded, faded_height, png, undrawn_among, undrawn_characters
from microfiche.page import Page, Setting
from microfiche.precision import text_tokens

#: What the marks on pages mean, in one line that stands before them.
LEGEND = (
    "On the pages a small hook is a line end, and a small notched x a tab; white on black is who speaks, or the number "
    "of a text that the caption gives."
)
TITLED = (40, 80)  #: characters at the beginning and at the end of a long name that a caption shows
HELD = 64 << 20  #: bytes of pictures that are kept at hand


@dataclass(frozen=True)
class CaptionedPage:
    """A page as it is sent: its number (None for one that may still grow), its caption, a PNG of `side` × `height` px,
    and the tokens that caption and picture cost together."""

    page: int | None
    caption: str
    png: bytes = field(repr=False)
    side: int
    height: int
    tokens: int


class Pictures:
    """Keeps the PNGs of faded pages at hand, up to HELD bytes; those that were made first go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def png(self, digest: str, side: int, whole: Callable[[], Page]) -> bytes:
        """The PNG of the page named `digest` at `side` px of width; `whole` gives the page if that is not at hand."""
        data = self._kept.get((digest, side))
        if data is None:
            data = png(faded(whole(), side).image)
            with self._lock:
                self._bytes += len(data) - len(self._kept.pop((digest, side), b""))
                self._kept[digest, side] = data
                while self._bytes > HELD:
                    self._bytes -= len(self._kept.popitem(last=False)[1])
        return data


def cost_at(model: HostedModel, size: tuple[int, int], side: int, caption: str) -> int:
    """The tokens that a page of `size` (height, width) in px costs with its caption once it is `side` px wide."""
    return model.tokens(side, faded_height(*size, side)) + caption_tokens(caption)


def legend_tokens() -> int:
    """The tokens that the LEGEND takes where there are pages."""
    return caption_tokens(f" {LEGEND}")


@lru_cache(1 << 16)
def caption_tokens(caption: str) -> int:
    """The tokens of a caption as text."""
    return text_tokens(plain(caption))


def titled(name: str) -> str:
    """A name as it stands in a caption: in one line, its square brackets and what cannot be printed as escapes, and
    without the middle of a long one."""
    first, last = TITLED
    if len(name) > first + last + 1:
        return f"{titled(name[:first])}…{titled(name[-last:])}"
    return "".join(sign if sign.isprintable() and (plain := normalize("NFKC", sign)) not in ("[", "]")
                   else f"\\x{ord(plain):02x}" if sign.isprintable() else ascii(sign)[1:-1] for sign in name)


def undrawn_note(text: str, setting: Setting, undrawn: int) -> str:
    """What a caption says of a page on which `undrawn` characters of its exact `text` are not drawn: each stretch of
    text for which a number stands there, whole and in order, as a JSON string; nothing if all of it is drawn.

    Pages of older memories have UNDRAWN for each such character; of these, it gives the characters.
    """
    if not undrawn:
        return ""
    runs = beside_page(text, setting)
    if undrawn_among(runs, setting.density) == undrawn:
        return "; as text: " + " ".join(f"{number} {_quoted(run)}" for number, run in enumerate(runs, 1))
    return f"; {UNDRAWN} stands for {plain(' '.join(undrawn_characters(text, setting.density)))}"


def _quoted(text: str) -> str:
    """The text as a JSON string on one line, with lone surrogates escaped."""
    return plain(json.dumps(text, ensure_ascii=False)).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
