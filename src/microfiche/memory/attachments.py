"""Pictures that the messages of chats brought along, sent on with a context where there is room for them.

On a page such a picture is a label with its name. Only pictures whose bytes the memory holds are sent on, since their
size says what they cost; of files, audio and pictures that lie at an address the label is all that is sent.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from microfiche.memory.captioned import caption_tokens, titled
from microfiche.memory.database import format_of
from microfiche.memory.models import HostedModel
from microfiche.memory.paper import from_bytes

LOOKED_AT = 64  #: messages, the newest, in which pictures are looked for
LARGEST = 32 << 20  #: bytes of a picture
KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}  #: taken by every provider


@dataclass(frozen=True)
class Attachment:
    """A picture as it is sent: its caption, the bytes of its file, its media type and its size in px."""

    caption: str
    data: bytes = field(repr=False)
    kind: str
    width: int
    height: int

    def tokens(self, model: HostedModel) -> int:
        """What picture and caption cost."""
        return model.tokens(self.width, self.height) + caption_tokens(self.caption)


def attachments(connection: sqlite3.Connection) -> list[Attachment]:
    """The pictures in the newest messages of all chats, the newest first; what is damaged is passed over."""
    if format_of(connection) == 1:
        return []
    rows = connection.execute(
        "SELECT source.name, message.said FROM message JOIN version ON version.id = message.version"
        " JOIN source ON source.id = version.source WHERE retired IS NULL AND said IS NOT NULL AND length"
        " ORDER BY message.id DESC LIMIT ?", (LOOKED_AT,),
    ).fetchall()  # fmt: skip
    found: list[Attachment] = []
    for name, whole in rows:
        try:
            message = json.loads(from_bytes(zlib.decompress(whole)))
        except (zlib.error, ValueError, RecursionError):
            continue
        pictures = [one for data in _encoded(message) if (one := _picture(data, f"[{titled(name)}, a picture]"))]
        found += reversed(pictures)
    return found


def chosen(
    every: Sequence[Attachment], model: HostedModel, room: int, sent: Sequence[tuple[int, int, int]], body: int
) -> list[Attachment]:
    """Those of the attachments, each tried in its order, that go into `room` tokens and that the model's limits allow
    beside what is `sent` already (width, height and bytes of each picture, and a body of so many bytes); the newest
    stands last."""
    taken: list[Attachment] = []
    for one in every:
        pictures = [*sent, *((each.width, each.height, len(each.data)) for each in (*taken, one))]
        if one.tokens(model) <= room and not model.limits.refusal(pictures, body):
            taken.append(one)
            room -= one.tokens(model)
    return taken[::-1]


def _encoded(value: Any) -> Iterator[str]:
    """The base64 of every picture in a message of any provider's shape, in their order."""
    if isinstance(value, list):
        for each in value:
            yield from _encoded(each)
    elif isinstance(value, Mapping):
        kind = str(value.get("media_type") or value.get("mimeType") or value.get("mime_type") or "")
        if kind.startswith("image/") and isinstance(value.get("data"), str):
            yield value["data"]
            return
        if value.get("type") == "image_generation_call" and isinstance(value.get("result"), str):
            yield value["result"]
            return
        for key, each in value.items():
            if key in ("url", "image_url") and isinstance(each, str):
                head, comma, data = each.partition(";base64,")
                if comma and head.startswith("data:image/"):
                    yield data
            elif key not in ("arguments", "input", "args"):  # what a tool is called with is no picture
                yield from _encoded(each)


def _picture(encoded: str, caption: str) -> Attachment | None:
    if len(encoded) > 4 * LARGEST // 3:
        return None
    try:
        data = base64.b64decode(encoded, validate=True)
        with Image.open(io.BytesIO(data), formats=list(KINDS)) as image:
            return Attachment(caption, data, KINDS[str(image.format)], image.width, image.height)
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
