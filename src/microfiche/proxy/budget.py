"""What a request may still take of pictures, with those that its client sends itself counted. This module knows nothing
of how pages are drawn.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

from PIL import Image

from microfiche.memory.models import HostedModel
from microfiche.proxy.splice import Body, Value
from microfiche.proxy.verdict import DrawnBlock

RESERVED = 0.8  #: the share of a request's limits that pages may take; the rest is left for what is still to come
FOREIGN = 1 << 16  #: characters of a client's picture in which its size is looked for


class Budget:
    """What a request may still take of pictures: their count, their bytes, and their sides, beside a client's own and
    the pages of `blocks`, which it has already."""

    def __init__(self, model: HostedModel, body: Body, blocks: Iterable[DrawnBlock] = ()) -> None:
        self.limits, self.body = model.limits, len(body.text)
        self.pictures = pictures_in(body.root)
        for block in blocks:
            self.pictures += _pages(block)

    def take(self, block: DrawnBlock) -> bool:
        """Takes a block's pages, if there is room for them."""
        wanted = [*self.pictures, *_pages(block)]
        count, size = len(wanted) / RESERVED, sum(one[2] for one in wanted) / RESERVED
        limits = self.limits
        full = limits.pictures is not None and count > limits.pictures
        full = full or (limits.picture_bytes is not None and size > limits.picture_bytes)
        if full or limits.refusal(wanted, self.body):
            return False
        self.pictures = wanted
        return True


def _pages(block: DrawnBlock) -> list[tuple[int, int, int]]:
    return [(page.width, page.height, len(page.png)) for page in block.pages]


def pictures_in(value: Value) -> list[tuple[int, int, int]]:
    """The pictures that a client sends itself: width, height and bytes. Where a size is not said, it is a large one."""
    if value.text is not None:
        return [_size(value.text)] if value.text.startswith("data:image/") else []
    if value.members is not None:
        data = value.words("data")
        if data is not None and any(value.at(kind) for kind in ("media_type", "mimeType", "mime_type")):
            return [_size(data)]
        if value.words("type") in ("image", "input_image", "image_url") and not _holds_data(value):
            return [(_UNKNOWN, _UNKNOWN, 0)]
        return [found for inner in value.members.values() for found in pictures_in(inner)]
    return [found for inner in value.items or () for found in pictures_in(inner)]


_UNKNOWN = 2001  #: px of a picture whose size is not known


def _holds_data(value: Value) -> bool:
    url = value.words("image_url") or value.words("image_url", "url")
    return value.words("source", "data") is not None or (url is not None and url.startswith("data:"))


def _size(data: str) -> tuple[int, int, int]:
    encoded = data.rpartition(",")[2] if data.startswith("data:") else data
    try:
        head = base64.b64decode(encoded[:FOREIGN])
        with Image.open(io.BytesIO(head)) as image:
            return *image.size, len(encoded) * 3 // 4
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return _UNKNOWN, _UNKNOWN, len(encoded) * 3 // 4
