"""What a request would have cost as text: the twin of what was sent, with the provider's own prompt cache simulated.

A request in which nothing was drawn is its own twin, to the token. For any other the twin's tokens are estimated from
the request itself: what the provider charged for the rest of its text says how many characters are a token here. Which
of them the cache would have held is simulated by the provider's published rules: Anthropic's by the marks of the
request, OpenAI's and Gemini's by the longest common prefix. The twin never has a smaller part read from a cache than
was really read.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from microfiche.memory.billing import Usage
from microfiche.proxy.exchange import Drawing
from microfiche.proxy.protocols import Asked, Block, Dialect

LOOK_BACK = 20  #: blocks before a mark in which Anthropic looks for a prompt that is kept
STEP, LEAST = 128, 1024  #: tokens by which automatic caches grow, and the least that they keep
HALF_HOUR = 1800.0  #: seconds for which OpenAI keeps a prompt (GPT-5.6 and later)
PICTURE = 1500  #: tokens that a client's own picture is taken for
CHARACTERS = 3.7  #: of JSON to a token, where a request does not say
KEPT = 50_000  #: prefixes, and responses, that are remembered


@dataclass(frozen=True)
class Manner:
    """How a model's provider keeps prompts: the least tokens, and whether what is kept is charged as written."""

    dialect: Dialect
    least: int | None
    writes: bool


class Twins:
    """The twins of all requests, in the order in which they are answered. Times are of a clock that does not jump."""

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._drawn: OrderedDict[str, None] = OrderedDict()
        self._more: OrderedDict[str, float] = OrderedDict()

    def of(
        self, asked: Asked, manner: Manner, usage: Usage, drawing: Drawing, now: float, name: str | None = None
    ) -> Usage:
        """The usage that the same request would have had as text. `name` is that of the response, from which a later
        request may go on."""
        if drawing.pages:
            _remember(self._drawn, asked.session, None)
        before = self._more.get(asked.follows or "", 0.0)
        text, sent = _weights(asked.blocks, usage, drawing)
        more = max(sum(text) - sum(sent), 0.0) if drawing.pages else 0.0
        if name is not None and (before or more):
            _remember(self._more, name, before + more)
        kept = self.charged(asked, manner, text, now)
        if asked.session not in self._drawn and not before:
            return usage
        if asked.follows is not None:  # the provider holds the rest of the prompt, and the cache cannot be simulated
            return _stretched(usage, round(before), round(more))
        return _at_least(replace(kept, output=usage.output), _covered(usage.read, sent, text))

    def charged(self, asked: Asked, manner: Manner, weights: Sequence[float], now: float) -> Usage:
        """What a provider charges for a prompt whose blocks have so many tokens each, by what its cache holds."""
        names, sums = [], []
        name, total = f"{manner.dialect} {asked.model}".encode("utf-8", "surrogatepass"), 0.0
        for block, weight in zip(asked.blocks, weights, strict=True):
            name = _digest(name, block)
            total += weight
            names.append(name)
            sums.append(round(total))
        if manner.dialect == "messages":
            return self._marked(asked.blocks, manner, names, sums, now)
        return self._automatic(manner, names, sums, now)

    def _marked(
        self, blocks: Sequence[Block], manner: Manner, names: list[bytes], sums: list[int], now: float
    ) -> Usage:
        marks = [n for n, block in enumerate(blocks) if block.mark]
        near = {n for mark in marks for n in range(max(0, mark - LOOK_BACK), mark + 1)}
        found = max((n for n in near if self._alive(names[n], now)), default=-1)
        read = sums[found] if found >= 0 else 0
        if found >= 0:
            self._keep(names[found], self._until[names[found]][1], now)
        short = long = 0
        before = read
        for mark in marks:
            if mark > found and sums[mark] >= (manner.least or LEAST):
                longer = blocks[mark].mark > 300
                short, long = short + (0 if longer else sums[mark] - before), long + (sums[mark] - before) * longer
                before = sums[mark]
                self._keep(names[mark], float(blocks[mark].mark), now)
        return Usage((sums[-1] if sums else 0) - before, short, long, read)

    def _automatic(self, manner: Manner, names: list[bytes], sums: list[int], now: float) -> Usage:
        known = [n for n, name in enumerate(names) if self._alive(name, now)]
        read = sums[known[-1]] if known else 0
        least = manner.least or LEAST
        read = read // STEP * STEP if read >= least else 0
        for name in names:
            self._keep(name, HALF_HOUR, now)
        whole = sums[-1] if sums else 0
        written = max(whole // STEP * STEP - read, 0) if manner.writes and whole >= least else 0
        return Usage(whole - read - written, written, 0, read)

    def _alive(self, name: bytes, now: float) -> bool:
        return name in self._until and self._until[name][0] > now

    def _keep(self, name: bytes, seconds: float, now: float) -> None:
        _remember(self._until, name, (now + seconds, seconds))


def _remember(kept: OrderedDict[Any, Any], key: object, what: object) -> None:
    kept[key] = what
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)


def _digest(before: bytes, block: Block) -> bytes:
    return hashlib.sha256(before + block.digest).digest()[:16]


def _weights(blocks: Sequence[Block], usage: Usage, drawing: Drawing) -> tuple[list[float], list[float]]:
    """The tokens of each block as text, and as it was sent. Without a request's own answer to how many characters are a
    token, it is taken to be as usual."""
    gone, come = [0] * len(blocks), [0] * len(blocks)
    sizes = [block.characters - block.runs for block in blocks]
    places = sorted(range(len(blocks)), key=lambda n: blocks[n].end)  # a body's order is not the cache's
    ends = [blocks[n].end for n in places]
    for (start, end, _), (characters, tokens) in zip(drawing.replacements, drawing.weights, strict=True):
        first = bisect_right(ends, start)
        at = places[min(first, len(blocks) - 1)]
        whole = places[first : bisect_right(ends, end)] if end > start else []
        if len(whole) > 1:  # old turns: all blocks that end in it are gone
            for one in whole:
                gone[one] = sizes[one]
        else:
            gone[at] += characters
        come[at] += tokens
    rest = sum(sizes) - sum(gone)
    charged = usage.input - sum(come) - PICTURE * sum(block.pictures for block in blocks)
    rate = charged / rest if rest > 200 and charged > 0 else 1 / CHARACTERS
    text = [size * rate + PICTURE * block.pictures for size, block in zip(sizes, blocks, strict=True)]
    return text, [whole - out * rate + new for whole, out, new in zip(text, gone, come, strict=True)]


def _covered(read: int, sent: Sequence[float], text: Sequence[float]) -> int:
    """The tokens of the text that stand where the first `read` tokens of what was sent stand."""
    found, left = 0.0, float(read)
    for new, old in zip(sent, text, strict=True):
        if left <= 0:
            break
        found += old * min(left / new, 1.0) if new > 0 else old
        left -= new
    return round(found)


def _stretched(usage: Usage, before: int, more: int) -> Usage:
    """What was charged, with as many tokens more in front of the prompt, and more in what is new."""
    read = usage.read + (before if usage.read else 0)
    new = more + (0 if usage.read else before)
    if usage.written:
        return Usage(usage.uncached, usage.written + new, usage.written_hour, read, usage.output)
    return Usage(usage.uncached + new, usage.written, usage.written_hour, read, usage.output)


def _at_least(twin: Usage, read: int) -> Usage:
    """The twin, of which at least so many tokens were read from the cache, as the same part of what was sent was."""
    missing = max(read - twin.read, 0)
    parts = [twin.uncached, twin.written, twin.written_hour]
    for at in (2, 1, 0):
        taken = min(missing, parts[at])
        parts[at] -= taken
        missing -= taken
    uncached, written, hour = parts
    return Usage(uncached, written, hour, twin.input - sum(parts), twin.output)
