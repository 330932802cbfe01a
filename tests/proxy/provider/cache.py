"""A provider's prompt cache and its bill: prompts are kept by prefix, and each request is charged by what it finds."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from microfiche.memory.billing import Usage
from microfiche.memory.models import hosted

LOOK_BACK = 20  #: blocks before a mark in which a kept prefix is looked for
STEP = 128  #: tokens by which automatic caches grow
AUTOMATIC = 1024  #: the shortest prompt that they keep
HALF_HOUR = 1800.0
Json = dict[str, Any]
UNCHARGED = ("cache_control", "signature", "thoughtSignature", "encrypted_content", "mediaResolution")


def text_of(block: object) -> str:
    """All that is charged as text in a block."""
    if isinstance(block, str):
        return block
    if isinstance(block, dict):
        if picture_in(block) is not None:
            return ""
        return " ".join(f"{key} {text_of(value)}" for key, value in block.items() if key not in UNCHARGED)
    if isinstance(block, list):
        return " ".join(text_of(one) for one in block)
    return "" if block is None else str(block)


def picture_in(block: Json) -> bytes | None:
    """The file of the picture that a block is, in the way of any of the dialects."""
    source = block.get("source")
    if block.get("type") == "image" and isinstance(source, dict):
        return base64.b64decode(source["data"])
    url = block.get("image_url")
    url = url.get("url") if isinstance(url, dict) else url
    if isinstance(url, str) and url.startswith("data:"):
        return base64.b64decode(url.split(",", 1)[1])
    inline = block.get("inlineData") or block.get("inline_data")
    return base64.b64decode(inline["data"]) if isinstance(inline, dict) else None


def pictures_in(value: object) -> list[bytes]:
    """All pictures in a request, in their order."""
    if isinstance(value, dict):
        own = picture_in(value)
        return [own] if own is not None else [p for inner in value.values() for p in pictures_in(inner)]
    return [p for inner in value for p in pictures_in(inner)] if isinstance(value, list) else []


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG in px."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def grades_in(value: object) -> list[str | None]:
    """In which resolution each picture of a request is to be seen, where Gemini is told one."""
    if isinstance(value, dict):
        if picture_in(value) is not None:
            level = value.get("mediaResolution", {}).get("level")
            return [level.removeprefix("MEDIA_RESOLUTION_").lower() if level else None]
        return [grade for inner in value.values() for grade in grades_in(inner)]
    return [grade for inner in value for grade in grades_in(inner)] if isinstance(value, list) else []


def tokens_of(model: str, block: object) -> int:
    """Four bytes of text are a token here; pictures are counted by the registry."""
    seen = zip(pictures_in(block), grades_in(block), strict=True)
    pictures = sum(hosted(model).tokens(*size_of(png), grade) for png, grade in seen)
    return -(-len(text_of(block).encode("utf-8", "surrogatepass")) // 4) + pictures


def digest(value: object, so_far: bytes = b"") -> bytes:
    """The name of a prefix: of what came before, and of a block without its mark, as it was sent."""
    bare = _bare(value)
    return hashlib.sha256(so_far + json.dumps(bare).encode()).digest()


def _bare(value: object) -> object:
    if isinstance(value, dict):
        return {key: _bare(inner) for key, inner in value.items() if key != "cache_control"}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


@dataclass
class Marked:
    """A block of a prompt, and for how long its mark keeps the prompt up to it, in seconds; 0 without a mark."""

    block: Any
    kept: float = 0.0


@dataclass
class Bill:
    """What a provider charged: for each request the model, the usage and the dollars."""

    lines: list[tuple[str, Usage, Decimal | None]] = field(default_factory=list)

    @property
    def dollars(self) -> Decimal:
        """The sum."""
        return sum((line[2] for line in self.lines if line[2] is not None), Decimal(0))


class PromptCache:
    """Prompts by prefix, each until its time is over; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.bill = clock, Bill()
        self._until: dict[tuple[str, bytes], tuple[float, float]] = {}

    def clear(self) -> None:
        """Forgets every prompt."""
        self._until.clear()

    def charge(self, model: str, usage: Usage, when: date | None = None, tier: str = "") -> Usage:
        """Puts a request on the bill, by the registry's prices and what it has for a service tier."""
        prices = hosted(model).prices_at(when)
        dollars = None if prices is None else _dollars(prices.at(usage.input), usage)
        times = Decimal(str(hosted(model).factors.get(tier, 1)))
        self.bill.lines.append((model, usage, None if dollars is None else dollars * times))
        return usage

    def marked(self, model: str, prompt: Sequence[Marked], output: int) -> Usage:
        """Anthropic's rule: what stands before a mark is kept; the longest kept prefix near a mark is read."""
        names, counts = _prefixes(model, prompt)
        marks = [n for n, one in enumerate(prompt) if one.kept]
        near = {n for mark in marks for n in range(max(0, mark - LOOK_BACK), mark + 1)}
        read = max((n for n in near if self._alive(model, names[n])), default=-1)
        if read >= 0:
            self._touch(model, names[read])
        least = hosted(model).least_cached or 0
        have = counts[read] if read >= 0 else 0
        written = {3600.0: 0, 300.0: 0}
        before = have
        for mark in marks:
            if mark > read and counts[mark] >= least:
                written[3600.0 if prompt[mark].kept > 300 else 300.0] += counts[mark] - before
                before = counts[mark]
                self._keep(model, names[mark], prompt[mark].kept)
        whole = counts[-1] if counts else 0
        return Usage(whole - before, written[300.0], written[3600.0], have, output)

    def automatic(self, model: str, prompt: Sequence[Marked], output: int, writes: bool) -> Usage:
        """OpenAI's and Gemini's rule: the longest common prefix of a recent prompt is read, by steps of 128 tokens from
        1,024 on; where `writes` are charged, all that is new up to the last step is written."""
        names, counts = _prefixes(model, prompt)
        known = [n for n in range(len(names)) if self._alive(model, names[n])]
        have = counts[known[-1]] if known else 0
        have = have // STEP * STEP if have >= AUTOMATIC else 0
        for name in names:
            self._keep(model, name, HALF_HOUR)
        whole = counts[-1] if counts else 0
        top = whole // STEP * STEP if writes and whole >= AUTOMATIC else have
        return Usage(whole - max(top, have), max(top - have, 0), 0, have, output)

    def _alive(self, model: str, name: bytes) -> bool:
        return self._until.get((model, name), (0.0, 0.0))[0] > self.clock()

    def _keep(self, model: str, name: bytes, seconds: float) -> None:
        self._until[model, name] = self.clock() + seconds, seconds

    def _touch(self, model: str, name: bytes) -> None:
        self._keep(model, name, self._until[model, name][1])


def _prefixes(model: str, prompt: Iterable[Marked]) -> tuple[list[bytes], list[int]]:
    """For the prompt up to each block, its name and how many tokens it has."""
    names, counts = [], []
    name, count = b"", 0
    for one in prompt:
        name = digest(one.block, name)
        count += tokens_of(model, one.block)
        names.append(name)
        counts.append(count)
    return names, counts


def _dollars(rates: Any, usage: Usage) -> Decimal | None:
    parts = ((usage.uncached, rates.input), (usage.written, rates.write_5m or rates.input),
             (usage.written_hour, rates.write_1h), (usage.read, rates.read), (usage.output, rates.output))  # fmt: skip
    if any(tokens and price is None for tokens, price in parts):
        return None
    return sum((Decimal(tokens) * Decimal(str(price or 0)) for tokens, price in parts), Decimal(0)) / 1_000_000
