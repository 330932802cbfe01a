"""What a request costs in money: its tokens by how they are charged, a model's rates, and the dated sum.

A sum always says of which date its prices are. What is not known costs None and never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Shape = Literal["openai", "responses", "anthropic", "gemini"]  #: how a provider wants its messages
MILLION = 1_000_000
MOST = 10**12  #: tokens that an answer may say; more is no usage


@dataclass(frozen=True)
class Usage:
    """The tokens of a request by how they are charged: input that no cache holds (`uncached`), input that is written to
    a cache for minutes (`written`) or for an hour (`written_hour`), input that is read from one (`read`), and `output`.
    """

    uncached: int = 0
    written: int = 0
    written_hour: int = 0
    read: int = 0
    output: int = 0

    @property
    def input(self) -> int:
        """All tokens of the input."""
        return self.uncached + self.written + self.written_hour + self.read

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Money:
    """US `dollars` by prices that are `dated`, from a `source`; a `note` says what is not certain about them."""

    dollars: float
    dated: str
    source: str
    note: str = ""

    def __str__(self) -> str:
        more = f"; {self.note}" if self.note else ""
        return f"${self.dollars:,.4f} (prices of {self.dated}{more})"


class Rates(BaseModel):
    """US dollars for a million tokens of each kind; None where no source gives one.

    Without `write_5m`, tokens that are written to a cache cost what other input costs; without `write_1h` there is no
    such cache.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0)
    write_5m: float | None = Field(None, ge=0)
    write_1h: float | None = Field(None, ge=0)
    read: float | None = Field(None, ge=0)
    output: float | None = Field(None, ge=0)

    def dollars(self, usage: Usage) -> float | None:
        """What `usage` costs; None if it holds tokens of which the price is not known."""
        total = 0.0
        for tokens, price in (
            (usage.uncached, self.input),
            (usage.written, self.input if self.write_5m is None else self.write_5m),
            (usage.written_hour, self.write_1h),
            (usage.read, self.read),
            (usage.output, self.output),
        ):
            if tokens and price is None:
                return None
            total += tokens * (price or 0.0)
        return total / MILLION


class Above(Rates):
    """The rates of a whole request whose input has more than `tokens` tokens."""

    tokens: int = Field(gt=0)


class Prices(Rates):
    """A model's rates from the day `since` to the day `until`, both included, as a `source` gave them on the day or in
    the month `dated`; a `note` says what is not certain about them."""

    since: date | None = None
    until: date | None = None
    dated: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    source: str
    note: str = ""
    above: Above | None = None

    def hold(self, when: date) -> bool:
        """Whether these prices hold on a day."""
        return (self.since is None or self.since <= when) and (self.until is None or when <= self.until)

    def at(self, tokens: int) -> Rates:
        """The rates of a request with so many tokens of input."""
        return self.above if self.above and tokens > self.above.tokens else self

    def cost(self, usage: Usage, factor: float = 1.0) -> Money | None:
        """What `usage` costs at so many times these rates; None if it holds tokens of which the price is not known."""
        dollars = self.at(usage.input).dollars(usage)
        return None if dollars is None else Money(dollars * factor, self.dated, self.source, self.note)


def usage_in(answer: Mapping[str, Any]) -> Usage | None:
    """The usage in an answer of any shape, or in the event of a stream that holds it; None if there is none, or
    more than MOST tokens.

    OpenAI and Gemini count cached tokens as part of the input, Anthropic beside it.
    """
    for holder in (answer, answer.get("response"), answer.get("message")):
        if isinstance(holder, Mapping):
            for key in ("usage", "usageMetadata"):
                if isinstance(found := holder.get(key), Mapping):
                    usage = _usage(found)
                    return usage if max(usage.input, usage.output) <= MOST else None
    return None


def _usage(used: Mapping[str, Any]) -> Usage:
    if "promptTokenCount" in used or "candidatesTokenCount" in used:
        read = _count(used, "cachedContentTokenCount")
        output = _count(used, "candidatesTokenCount") + _count(used, "thoughtsTokenCount")
        return Usage(max(0, _count(used, "promptTokenCount") - read), 0, 0, read, output)
    if "cache_read_input_tokens" in used or "cache_creation_input_tokens" in used:
        hour = _count(_inner(used, "cache_creation"), "ephemeral_1h_input_tokens")
        written = max(0, _count(used, "cache_creation_input_tokens") - hour)
        return Usage(_count(used, "input_tokens"), written, hour, _count(used, "cache_read_input_tokens"),
                     _count(used, "output_tokens"))
    details = _inner(used, "input_tokens_details") or _inner(used, "prompt_tokens_details")
    read, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    whole = _count(used, "input_tokens") or _count(used, "prompt_tokens")
    output = _count(used, "output_tokens") or _count(used, "completion_tokens")
    return Usage(max(0, whole - read - written), written, 0, read, output)


def _count(used: Mapping[str, Any], key: str) -> int:
    value = used.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _inner(used: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = used.get(key)
    return value if isinstance(value, Mapping) else {}
