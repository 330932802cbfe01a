"""The account: what each request cost in tokens and money, beside the same request as text, and nothing that was said.

Every exchange becomes one record, one line of JSON in the log. A record names no key, no header's value that could be
one, and nothing of a prompt or an answer. Sums of money are only given where the registry has the model's prices.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from microfiche.memory.billing import Usage
from microfiche.memory.models import HostedModel, hosted
from microfiche.proxy import said_by
from microfiche.proxy.exchange import Exchange
from microfiche.proxy.log import Log, lines_in
from microfiche.proxy.protocols import Dialect
from microfiche.proxy.twin import Manner, Twins

LOG_BYTES = 64 << 20  #: a log that is longer is put aside once, as NAME.1
PAGES = 32 << 20  #: bytes of pages that are held for the page
RECENT, SESSIONS = 500, 1000  #: records and sessions that are held for the page
LAST = 253402300799.0  #: seconds of the last moment that a calendar has
KINDS = ("uncached", "written", "written_hour", "read", "output")


@dataclass(frozen=True)
class Record:
    """What is kept of one request. `tokens` are as sent and `text_tokens` those of its twin, by how they are charged;
    `dollars` and `text_dollars` what they cost, None where that is not known, by prices that are `priced` (dated) and
    of the model that `answered` where it is not the one that was asked, in the service `tier` that it names, which is
    "" for the standard one. What else was charged stands in `besides`, and is in no sum. An answer that `broke` off or
    that its client `left` may have cost more than it could say."""

    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False)

    id: str
    time: str
    session: str
    vendor: str
    asks: str
    method: str
    status: int
    model: str = ""
    answered: str = ""
    client: str = ""
    auth: str = "none"
    betas: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    sent: int = 0
    first_ms: float | None = None
    total_ms: float = 0.0
    left: bool = False
    broke: bool = False
    ended: str = ""
    note: str = ""
    tokens: dict[str, int] | None = None
    dollars: float | None = None
    text_tokens: dict[str, int] | None = None
    text_dollars: float | None = None
    priced: str = ""
    tier: str = ""
    besides: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether what it cost is known, and not only how much at least."""
        return not (self.broke or self.left)

    @property
    def saved(self) -> float | None:
        """The dollars that the pictures saved; negative where they cost more."""
        return None if self.dollars is None or self.text_dollars is None else self.text_dollars - self.dollars


@dataclass
class Sum:
    """Many records together. `unpriced` counts answers of which the money is not known and is in no sum, `inexact`
    those that were cut, of which only what they said till then is in it; `besides` is what is not in it either."""

    requests: int = 0
    failed: int = 0
    pages: int = 0
    unpriced: int = 0
    inexact: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    text_tokens: Counter[str] = field(default_factory=Counter)
    dollars: float = 0.0
    text_dollars: float = 0.0
    priced: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    besides: set[str] = field(default_factory=set)
    client: str = ""
    first: str = ""
    last: str = ""

    @property
    def saved(self) -> float:
        """The dollars that the pictures saved; negative where they cost more."""
        return self.text_dollars - self.dollars

    def add(self, record: Record) -> None:
        """Adds a record."""
        self.requests += 1
        self.failed += record.status >= 400 or record.broke or not record.status
        self.pages += len(record.pages)
        self.first, self.last = self.first or record.time, record.time
        self.client = record.client or self.client
        self.models |= {record.model} if record.model else set()
        self.besides |= set(record.besides)
        self.inexact += not record.exact and record.status == 200 and record.asks.endswith(" answer")
        if record.tokens is None or record.text_tokens is None:
            self.unpriced += record.status == 200 and record.asks.endswith(" answer")
            return
        self.tokens.update(record.tokens)
        self.text_tokens.update(record.text_tokens)
        if record.dollars is None or record.text_dollars is None:
            self.unpriced += 1
            return
        self.dollars += record.dollars
        self.text_dollars += record.text_dollars
        self.priced.add(record.priced)

    def as_json(self) -> dict[str, Any]:
        """The sum for `--json` and for the page."""
        made = {key: sorted(value) if isinstance(value, set) else value for key, value in vars(self).items()}
        return {**made, "saved": self.saved}


class Account:
    """Takes down exchanges, into a log where a path for one is given. `live` counts those that are under way."""

    def __init__(self, log: Path | None = None) -> None:
        self.log = log
        self._log = None if log is None else Log(log)
        self.recent: deque[Record] = deque(maxlen=RECENT)
        self.sessions: OrderedDict[str, Sum] = OrderedDict()
        self.pages: OrderedDict[str, bytes] = OrderedDict()
        self.total = Sum()
        self.answers: Counter[tuple[str, str]] = Counter()
        self.by_model: dict[str, Sum] = {}
        self.waited, self.answered = 0.0, 0
        self.incomplete = 0  #: requests of which not all could be taken down
        self._twins, self._numbers = Twins(), count(1)

    @property
    def trouble(self) -> str:
        """What is wrong with the log, or ""."""
        return "" if self._log is None else self._log.trouble

    @property
    def lost(self) -> int:
        """How many lines of the log could not be written."""
        return 0 if self._log is None else self._log.lost

    def flush(self, seconds: float = 5.0) -> None:
        """Waits until the log is written, but not longer than this."""
        if self._log is not None:
            self._log.flush(seconds)

    def enter(self, exchange: Exchange) -> None:
        """Takes down one exchange that is over: all of it, or else what can be."""
        name = f"{os.getpid():x}-{next(self._numbers)}"
        try:
            record = self._record(name, exchange)
            line = _line(record)
        except Exception as error:  # whatever it is that cannot be taken down, the request was one
            self.incomplete += 1
            why = f"not all could be taken down ({type(error).__name__})"
            record = Record(
                name, _moment(exchange.began).isoformat(timespec="milliseconds"), "", exchange.vendor, _asks(exchange),
                said_by.method(exchange.method), exchange.status, left=exchange.left, broke=exchange.broke,
                note="; ".join(filter(None, (why, said_by.note(exchange.note)))),
            )  # fmt: skip
            line = _line(record)
        if self._log is not None:
            self._log.write(line, LOG_BYTES)
        self.recent.append(record)
        self.total.add(record)
        self.answers[record.vendor, f"{record.status // 100}xx" if record.status else "none"] += 1
        if record.first_ms is not None:
            self.waited, self.answered = self.waited + record.first_ms / 1000, self.answered + 1
        if record.session:
            self.sessions.setdefault(record.session, Sum()).add(record)
            self.sessions.move_to_end(record.session)
            if len(self.sessions) > SESSIONS:
                self.sessions.popitem(last=False)
        if record.model:
            model = registered(record.answered or record.model)
            self.by_model.setdefault("other" if model.guess else model.name, Sum()).add(record)

    def _record(self, name: str, exchange: Exchange) -> Record:
        asked, said, headers = exchange.asked, exchange.said, exchange.headers
        model = (asked.model if asked else "") or (exchange.route.model if exchange.route else "") or said.model or ""
        answered, moment = _answering(model, said.model or ""), _moment(exchange.began)
        usage = said.usage if exchange.route is not None and exchange.route.purpose != "count" else None
        factors = registered(answered).factors
        factor = math.prod(factors.get(tier, 1.0) for tier in said.tiers)
        unknown = tuple(f"the rates of the service tier {tier}" for tier in said.tiers if tier not in factors)
        twin, dollars, text_dollars, priced = None, None, None, ""
        vain = exchange.vain.usage if exchange.vain is not None else None
        if usage is not None or vain is not None:
            twin = Usage() if usage is None else self._twin(exchange, usage, answered)
            spent = [one for one in (usage, vain) if one is not None]
            prices = registered(answered).prices_at(moment.date())
            if prices is not None:
                costs = [cost for one in (*spent, twin) if (cost := prices.cost(one, factor)) is not None]
                if len(costs) > len(spent):
                    dollars, text_dollars = sum(cost.dollars for cost in costs[:-1]), costs[-1].dollars
                    priced = costs[-1].dated
            usage = sum(spent, Usage())
        return Record(
            id=name,
            time=moment.isoformat(timespec="milliseconds"),
            session=asked.session if asked else "",
            vendor=exchange.vendor,
            asks=_asks(exchange),
            method=said_by.method(exchange.method),
            status=exchange.status,
            model=said_by.model(model),
            answered=said_by.model(answered) if answered != model else "",
            client=said_by.client(headers.get("user-agent", "")),
            auth=exchange.auth,
            betas=said_by.betas(headers.get("anthropic-beta", "")),
            versions=said_by.versions(headers),
            sent=exchange.sent,
            first_ms=None if exchange.first is None else round(exchange.first * 1000, 1),
            total_ms=round(exchange.lasted * 1000, 1),
            left=exchange.left and not said.ended,  # who has the end of a stream may leave
            broke=exchange.broke,
            ended=said_by.word(said.ended or ""),
            note=said_by.note(exchange.note) or self._silence(exchange),
            tokens=None if usage is None else asdict(usage),
            dollars=dollars,
            text_tokens=None if twin is None else asdict(twin),
            text_dollars=text_dollars,
            priced=priced,
            tier=said_by.word(" ".join(said.tiers)),
            besides=tuple(said_by.word(one) for one in (*unknown, *said.besides)),
            pages=tuple(map(self._kept_page, exchange.drawing.pages)),
            reasons=exchange.drawing.reasons,
        )

    def _silence(self, exchange: Exchange) -> str:
        """Why an answer has no usage, where it should have one."""
        answered = exchange.status == 200 and exchange.route is not None and exchange.route.purpose == "answer"
        left = exchange.left and not exchange.said.ended
        if not answered or exchange.said.usage is not None or left or exchange.broke:
            return ""
        return "the answer says no usage" + (
            "; stream_options.include_usage asks for it" if exchange.route and exchange.route.dialect == "chat" else ""
        )

    def _kept_page(self, png: bytes) -> str:
        """The name of a page, under which the last pages can be looked at."""
        name = hashlib.sha256(png).hexdigest()[:16]
        self.pages[name] = png
        self.pages.move_to_end(name)
        while sum(map(len, self.pages.values())) > PAGES:
            self.pages.popitem(last=False)
        return name

    def _twin(self, exchange: Exchange, usage: Usage, model: str) -> Usage:
        if exchange.asked is None or exchange.route is None:
            return usage
        manner = kept_by(exchange.route.dialect, registered(model))
        now = time.monotonic()
        return self._twins.of(exchange.asked, manner, usage, exchange.drawing, now, exchange.said.name)


def _line(record: Record) -> bytes:
    return json.dumps(asdict(record), ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _moment(seconds: float) -> datetime:
    """A moment of the clock, or the nearest one that a calendar has."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), LAST) if math.isfinite(seconds) else 0.0, UTC)


def _asks(exchange: Exchange) -> str:
    return f"{exchange.route.dialect} {exchange.route.purpose}" if exchange.route else said_by.path(exchange.path)


def _answering(asked: str, answered: str) -> str:
    """The model that an answer is charged as: the one that it names, where the registry has it, or the asked one."""
    if not answered or registered(answered).guess or registered(answered).name == registered(asked).name:
        return asked
    return answered


@lru_cache(1024)
def registered(model: str) -> HostedModel:
    """A model as the registry has it."""
    return hosted(model)


def kept_by(dialect: Dialect, model: HostedModel) -> Manner:
    """How the provider of a model keeps prompts."""
    prices = model.prices_at()
    return Manner(dialect, model.least_cached, prices is not None and prices.write_5m is not None)


def records_in(path: Path, skipped: Counter[str] | None = None) -> Iterator[Record]:
    """The records of a log, older part first; InputError where there is none. Lines that are none are passed over, and
    `skipped` counts them."""
    for line in lines_in(path):
        try:
            yield _RECORD.validate_json(line)
        except (ValidationError, ValueError, RecursionError):
            if skipped is not None:
                skipped["lines"] += 1


_RECORD = TypeAdapter(Record)


def summed(records: Iterable[Record], by: str = "session") -> dict[str, Sum]:
    """The records' sums by "session", "model", "client", "vendor" or "day"."""
    found: dict[str, Sum] = {}
    for record in records:
        key = record.time[:10] if by == "day" else str(getattr(record, by))
        found.setdefault(key or "-", Sum()).add(record)
    return found
