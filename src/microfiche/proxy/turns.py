"""The turns of a chat completion's request: which are old, what they say, and the request with pages in their place.

A turn begins with a user's message. Old ones become faded pages, put before what the first turn that stays says;
system messages stay where they are. The same turns give the same bytes, so a provider's cached prefix holds. It knows
nothing of HTTP.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from microfiche.endpoint import image_part
from microfiche.errors import InputError
from microfiche.files import plain
from microfiche.memory.billing import Provider
from microfiche.memory.messages import Message, text_of_content, written
from microfiche.memory.paper import UNDRAWN, Manner, SetPage, faded, faded_height, png, set_pages, undrawn
from microfiche.memory.schedules import SIDES, HalfLife, Pinned, Steps
from microfiche.precision import text_tokens

INTRODUCTION = "What was said before stands on the pages that follow, oldest first, each after its caption:"
GROUP = 4  #: pages that fade together
PICTURES = 256  #: pages and their pictures that are kept at hand
LARGEST = 100_000_000  #: characters of the turns of a request
SYSTEM = ("system", "developer")

Body = dict[str, Any]


@dataclass(frozen=True)
class Rewritten:
    """A request with pages in place of old turns: how many `turns`, on how many `pages`; `text_tokens` that they took,
    and `picture_tokens`, with the captions', that the pages take by the provider's formula."""

    body: Body
    turns: int = 0
    pages: int = 0
    text_tokens: int = 0
    picture_tokens: int = 0

    @property
    def saved(self) -> int:
        """Tokens that the request takes less."""
        return self.text_tokens - self.picture_tokens

    def usage(self) -> Body:
        """What the response's usage says of it."""
        return {"turns_as_pages": self.turns, "pages": self.pages, "text_tokens": self.text_tokens,
                "page_tokens": self.picture_tokens, "saved_tokens": self.saved}


class Rewriter:
    """Makes pages of turns older than the last `keep`, as `manner` says, faded by `schedule`; a request whose pages
    would cost more than their text is left as it is."""

    def __init__(self, keep: int, manner: Manner, schedule: HalfLife | Steps | Pinned, billing: Provider) -> None:
        self.keep, self.manner, self.schedule, self.billing = keep, manner, schedule, billing
        self._pictures: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def rewrite(self, body: Body) -> Rewritten:
        """The request as it is sent on; InputError if its messages are none."""
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise InputError("messages: a list of messages is needed")
        starts = [i for i, m in enumerate(messages) if m.get("role") == "user"]
        if len(starts) <= self.keep or self.keep < 1:
            return Rewritten(body)
        first = starts[-self.keep]
        old = [m for m in messages[:first] if m.get("role") not in SYSTEM]
        lines = [written(Message(plain(str(m.get("role"))), text_of_content(m))) for m in old]
        text = "".join(lines)
        if len(text) > LARGEST:
            raise InputError(f"messages: {len(text):,} characters of old turns; at most {LARGEST:,} are taken")
        pages = list(set_pages(text, self.manner.typesetter(text)))
        parts, tokens = self._parts(pages)
        kept_pictures = [part for m in old for part in pictures_of(m)]
        cost = sum(_counted(plain(line)) for line in lines)
        if tokens >= cost:
            return Rewritten(body)
        stays = [m for m in messages[:first] if m.get("role") in SYSTEM]
        told = [{"type": "text", "text": INTRODUCTION}, *parts, *kept_pictures]
        opened = {**messages[first], "content": [*told, *parts_of(messages[first].get("content"))]}
        new = {**body, "messages": [*stays, opened, *messages[first + 1 :]]}
        return Rewritten(new, sum(m.get("role") == "user" for m in old), len(pages), cost, tokens)

    def _parts(self, pages: Sequence[SetPage]) -> tuple[list[Body], int]:
        """Captions and pictures, and what they cost."""
        parts: list[Body] = []
        tokens = text_tokens(INTRODUCTION)
        for number, page in enumerate(pages, 1):
            side = self.side(number, len(pages), page.page.image.shape[1])
            if not side:
                continue
            caption = f"[page {number}{self._undrawn(page)}]"
            height, width = page.page.image.shape
            tokens += text_tokens(plain(caption)) + self.billing.cost(side, faded_height(height, width, side)).tokens
            parts += [{"type": "text", "text": plain(caption)}, image_part(self._picture(page, side))]
        return parts, tokens

    def side(self, number: int, of: int, whole: int) -> int:
        """The width of page `number` of `of`: a group is as old as its last page, and the last group does not fade."""
        last = -(-number // GROUP) * GROUP
        if last > of - 1:
            return whole
        return min(whole, SIDES[self.schedule.level((of - 1) // GROUP * GROUP - last)])

    def _picture(self, page: SetPage, side: int) -> bytes:
        key = (page.digest, side)
        if key not in self._pictures:
            self._pictures[key] = png(faded(page.page, side).image)
            if len(self._pictures) > PICTURES:
                self._pictures.popitem(last=False)
        return self._pictures[key]

    def _undrawn(self, page: SetPage) -> str:
        if not page.undrawn or page.page.setting is None:
            return ""
        return f"; {UNDRAWN} stands for {' '.join(undrawn(page.text, page.page.setting.density)[:40])}"


@lru_cache(1 << 14)
def _counted(line: str) -> int:
    return text_tokens(line)


def pictures_of(message: Body) -> list[Body]:
    """The pictures of an old message, which go on as they came."""
    return [p for p in parts_of(message.get("content")) if isinstance(p, dict) and p.get("type") == "image_url"]


def parts_of(content: object) -> list[Body]:
    """A message's content as parts."""
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) and content else []
