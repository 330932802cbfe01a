"""One request on its way through the proxy: what was asked, what of it became pictures and why, what became of it; and
what else the proxy asks on that way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from microfiche.proxy.protocols import Asked, Route
from microfiche.proxy.splice import Body, Replacement
from microfiche.proxy.upstreams import Headers
from microfiche.proxy.usage import Said

LEDGER = "the ledger: "  #: what begins a reason that is none of a text's, but of the ledger's trouble


@dataclass(frozen=True)
class Drawing:
    """What of a request becomes pictures: the `replacements` in its body, and for each of them its `weights`, how many
    characters of text were there, but for the rest of runs, and how many tokens come in their place; the `pages` as
    PNG; and the `reasons` why each place did or did not become a picture, without its content. The request needs these
    `betas` besides its own. If the vendor does not take it, `instead` is sent, where there is one; and what was sent so
    and answered is to be told by `taken`, with the reason, and whether nothing more is to be drawn. It is `fresh` where
    some of its pages have not been answered yet."""

    replacements: tuple[Replacement, ...] = ()
    weights: tuple[tuple[int, int], ...] = ()
    pages: tuple[bytes, ...] = ()
    reasons: tuple[str, ...] = ()
    betas: tuple[str, ...] = ()
    instead: Drawing | None = None
    taken: Callable[[str, bool], None] | None = None
    fresh: bool = False

    def headers(self, headers: Headers) -> Headers:
        """The headers of a request with the betas that it needs."""
        if not self.betas:
            return headers
        said = [value for name, value in headers if name.lower() == b"anthropic-beta"]
        kept = [header for header in headers if header[0].lower() != b"anthropic-beta"]
        more = [beta.encode() for beta in self.betas if not any(beta.encode() in value for value in said)]
        return [*kept, (b"anthropic-beta", b",".join([*said, *more]))]


class Drawer(Protocol):
    """Decides what of a request becomes pictures. It may fail in any way: the request then passes as it came."""

    def draw(self, route: Route, body: Body, asked: Asked) -> Drawing:
        """What to replace in a request."""
        ...

    def flush(self) -> None:
        """Waits until all that is to be kept of it is kept."""
        ...


@dataclass
class Exchange:
    """One request and what became of it. It holds neither body nor answer, and of its headers only `records` take what
    names a client. `first` and `lasted` are seconds from its beginning to the answer's head and to its end."""

    method: str
    path: bytes
    route: Route | None
    vendor: str = ""
    auth: str = "none"
    headers: dict[str, str] = field(default_factory=dict)
    asked: Asked | None = None
    drawing: Drawing = field(default_factory=Drawing)
    note: str = ""
    sent: int = 0
    status: int = 0
    first: float | None = None
    lasted: float = 0.0
    left: bool = False
    broke: bool = False
    over: bool = False  #: the client has had the whole answer
    said: Said = field(default_factory=Said)
    vain: Said | None = None  #: what an answer said of itself that was not passed on
    heard: bool = False  #: what the answer said of itself is known
    entered: bool = False
    reading: asyncio.Future[tuple[bytes, str | None]] | None = None
    began: float = field(default_factory=time.time)
    _start: float = field(default_factory=time.monotonic)

    def passed(self) -> float:
        """Seconds since it began, by a clock that does not jump."""
        return time.monotonic() - self._start


class Books(Protocol):
    """Takes down what each request cost."""

    def enter(self, exchange: Exchange) -> None:
        """Takes down one exchange that is over."""
        ...

    def flush(self) -> None:
        """Waits until what was taken down is kept."""
        ...


class Recording(Protocol):
    """Writes down what is asked."""

    def record(self, route: Route, body: Body, asked: Asked) -> None:
        """Writes down one request."""
        ...


class Pages(Protocol):
    """Our own pages."""

    def owns(self, path: bytes) -> bool:
        """Whether a path is one of ours."""
        ...

    async def answer(
        self, method: str, path: bytes, headers: dict[str, str], body: bytes
    ) -> tuple[int, Headers, bytes]:
        """The answer to a request for one of them: status, headers, body."""
        ...
