"""Pages as a model is sent them, each a picture after its caption: the parts of the message and what they cost.

Both a memory's contexts and the proxy's requests are made of these. This module knows nothing of databases or fading.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from microfiche.endpoint import image_part
from microfiche.files import plain
from microfiche.memory.billing import Provider, Shape
from microfiche.memory.paper import UNDRAWN, faded, faded_height, png, undrawn_characters
from microfiche.page import Page
from microfiche.precision import text_tokens

LISTED = 40  #: undrawn characters that a caption lists
HELD = 64 << 20  #: bytes of pictures that are kept at hand


@dataclass(frozen=True)
class CaptionedPage:
    """A page as it is sent: its number (None for one that may still grow), its caption, a PNG of `side` × `height` px,
    and the tokens that caption and picture cost together."""

    page: int | None
    caption: str
    png: bytes
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


def cost_at(provider: Provider, size: tuple[int, int], side: int, caption: str) -> int:
    """The tokens that a page of `size` (height, width) in px costs with its caption once it is `side` px wide."""
    return provider.cost(side, faded_height(*size, side)).tokens + caption_tokens(caption)


@lru_cache(1 << 16)
def caption_tokens(caption: str) -> int:
    """The tokens of a caption as text."""
    return text_tokens(plain(caption))


def undrawn_note(text: str, density: str, more: str = " …") -> str:
    """What a caption says of the characters for which UNDRAWN stands on a page, in their order; nothing if all of them
    are drawn. It lists LISTED of them, followed by `more` where there are others."""
    found = undrawn_characters(text, density)
    if not found:
        return ""
    return f"; {UNDRAWN} stands for {plain(' '.join(found[:LISTED]))}" + (more if len(found) > LISTED else "")


def message_parts(
    introduction: str, pages: Sequence[CaptionedPage], shape: Shape = "openai", stable: int = 0
) -> list[dict[str, Any]]:
    """The parts of a user's message: the introduction, then each page after its caption.

    In Anthropic's shape the first `stable` pages end with a mark that lets them be cached; OpenAI's servers cache by
    themselves.
    """
    parts: list[dict[str, Any]] = [{"type": "text", "text": introduction}]
    for number, page in enumerate(pages, 1):
        parts.append({"type": "text", "text": plain(page.caption)})
        if shape == "anthropic":
            data = base64.b64encode(page.png).decode()
            source = {"type": "base64", "media_type": "image/png", "data": data}
            mark = {"cache_control": {"type": "ephemeral"}} if number == stable else {}
            parts.append({"type": "image", "source": source, **mark})
        else:
            parts.append(image_part(page.png))
    return parts
