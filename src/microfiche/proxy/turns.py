"""The turns of a chat completion's request: which of them are old, and the request with pages in their place.

A turn begins with a user's message. Old turns become faded pages, which are put before what the first turn that stays
says; system messages stay where they are. The same turns give the same bytes, so that a provider's cached prefix holds.
This module knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from microfiche.errors import InputError
from microfiche.files import plain
from microfiche.memory.billing import Provider
from microfiche.memory.captioned import CaptionedPage, Pictures, cost_at, message_parts, undrawn_note
from microfiche.memory.fading import Schedule, due
from microfiche.memory.messages import Message, text_of_content, written
from microfiche.memory.paper import Manner, SetPage, faded_height, set_pages
from microfiche.memory.records import Ageing, Clock
from microfiche.precision import text_tokens

INTRODUCTION = "What was said before stands on the pages that follow, oldest first, each after its caption:"
GROUP = 4  #: pages that fade together
LARGEST = 100_000_000  #: characters that the old turns of a request may have
SYSTEM = ("system", "developer")

Body = dict[str, Any]


@dataclass(frozen=True)
class Rewritten:
    """A request in which pages stand for old turns: how many `turns` on how many `pages`, the `text_tokens` that the
    turns took, and the `picture_tokens` that the pages and their captions take by the provider's formula."""

    body: Body
    turns: int = 0
    pages: int = 0
    text_tokens: int = 0
    picture_tokens: int = 0

    @property
    def saved(self) -> int:
        """How many tokens less the request takes."""
        return self.text_tokens - self.picture_tokens

    def usage(self) -> Body:
        """What the response's usage block says of it."""
        return {"turns_as_pages": self.turns, "pages": self.pages, "text_tokens": self.text_tokens,
                "page_tokens": self.picture_tokens, "saved_tokens": self.saved}


class Rewriter:
    """Makes pages of the turns before the last `keep`, set by `manner` and faded by `schedule`, whose ages are pages.

    A request whose pages would cost as much as their text, as the `provider` counts, is left as it is.
    """

    def __init__(self, keep: int, manner: Manner, schedule: Schedule, provider: Provider) -> None:
        self.keep, self.manner, self.provider = keep, manner, provider
        self.schedule = schedule.model_copy(update={"unit": "pages"})
        self._pictures = Pictures()

    def rewrite(self, body: Body) -> Rewritten:
        """The request as it is sent on; InputError if its messages are no list of messages, or too long."""
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
        typesetter = self.manner.typesetter(text)
        pages = list(set_pages(text, typesetter))
        captioned = self._captioned(pages, typesetter.mode.side)
        tokens = text_tokens(INTRODUCTION) + sum(page.tokens for page in captioned)
        kept_pictures = [part for m in old for part in pictures_of(m)]
        cost = sum(_counted(plain(line)) for line in lines)
        if tokens >= cost:
            return Rewritten(body)
        stays = [m for m in messages[:first] if m.get("role") in SYSTEM]
        before = [*message_parts(INTRODUCTION, captioned), *kept_pictures]
        opened = {**messages[first], "content": [*before, *parts_of(messages[first].get("content"))]}
        new = {**body, "messages": [*stays, opened, *messages[first + 1 :]]}
        return Rewritten(new, sum(m.get("role") == "user" for m in old), len(pages), cost, tokens)

    def _captioned(self, pages: Sequence[SetPage], whole: int) -> list[CaptionedPage]:
        """The pages that are not gone, each at the size that is due."""
        sides = self.sides(len(pages), whole)
        return [self._at(side, number, pages[number - 1]) for number, side in sides.items() if side]

    def _at(self, side: int, number: int, page: SetPage) -> CaptionedPage:
        note = undrawn_note(page.text, page.setting.density, more="") if page.undrawn else ""
        caption = f"[page {number}{note}]"
        size = page.page.image.shape[0], page.page.image.shape[1]
        picture = self._pictures.png(page.digest, side, lambda: page.page)
        cost = cost_at(self.provider, size, side, caption)
        return CaptionedPage(number, caption, picture, side, faded_height(*size, side), cost)

    def sides(self, count: int, whole: int) -> dict[int, int]:
        """The width in px, by its number, of each of `count` pages that are `whole` px wide; 0 where it is gone.

        Time stands still until a group of pages is full, and pages of the last group do not fade.
        """
        now = Clock((count - 1) // GROUP * GROUP, 0, 0.0)
        pages = [Ageing(number, whole, whole, number, 0, 0.0) for number in range(1, count + 1)]
        return due(pages, self.schedule, now, GROUP)


@lru_cache(1 << 14)
def _counted(line: str) -> int:
    return text_tokens(line)


def pictures_of(message: Body) -> list[Body]:
    """The pictures of an old message, which are sent on as they came."""
    return [p for p in parts_of(message.get("content")) if isinstance(p, dict) and p.get("type") == "image_url"]


def parts_of(content: object) -> list[Body]:
    """The content of a message as a list of parts."""
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) and content else []
