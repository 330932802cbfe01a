"""ASGI as the proxy speaks it: a client's body, whether the client is gone, whole answers, errors of our own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

from microfiche.proxy.exchange import Exchange
from microfiche.proxy.protocols import Dialect, Route
from microfiche.proxy.upstreams import LOOPBACK, Headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PIECE = 1 << 20  #: bytes that are sent up at one time
STALL = 30.0  #: seconds without a byte, after which a body is no longer waited for and passes as it comes
TOO_LONG, TOO_SLOW = "the body is too long to be read", "the body comes too slowly to be read"


def hop(scope: Scope) -> dict[str, Any]:
    """What the server and the proxy say to each other of a request beyond ASGI: its `target` as it came, and the
    `reason` phrase of the answer. Empty where the server is another one."""
    found: dict[str, Any] = (scope.get("state") or {}).get("hop", {})
    return found


def target_path(scope: Scope) -> bytes:
    """A request's path as it came; of a whole URL, where it names this server, as RFC 9112, section 3.2.2, asks."""
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    found, server = re.match(rb"http://([^/?]*)(/.*|$)", path, re.I), scope.get("server")
    if found is None or server is None:
        return path
    try:
        parts = urlsplit(f"//{found[1].decode('latin-1')}")
        own = parts.hostname in (*LOOPBACK, server[0]) and (parts.port or 80) == server[1]
    except ValueError:
        return path
    return (found[2] or b"/") if own and parts.username is None else path


class Left(Exception):
    """The client is gone."""


class Incoming:
    """What the client sends: the pieces of its body, and then whether it is gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = asyncio.Event()  #: nobody reads the body any more
        self.left = False

    async def _next(self) -> tuple[bytes, bool]:
        """The next piece of the body, and whether it is the last."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = True
            self.ended.set()
            raise Left
        return message.get("body", b""), not message.get("more_body", False)

    async def start(
        self, most: int, hold: Callable[[int], bool] = lambda length: True, size: str | None = None
    ) -> tuple[bytes, str]:
        """What has come of the body, and why that is not all of it: it is longer than `most` bytes, or has a `size`
        that says so; `hold` refuses to take so many bytes more; or nothing more comes. "" where it is all."""
        if size is not None and not (size.isdecimal() and len(size) < 16 and int(size) <= most):
            return b"", TOO_LONG
        pieces, length, last, why = [], 0, False, ""
        try:
            while not last and not why:
                async with asyncio.timeout(STALL):
                    piece, last = await self._next()
                pieces.append(piece)
                length += len(piece)
                why = "" if hold(len(piece)) and length <= most else TOO_LONG
        except TimeoutError:
            why = TOO_SLOW
        if last:
            self.ended.set()
        return b"".join(pieces), "" if last else why

    async def rest(self) -> AsyncIterator[bytes]:
        """What is left of the body, as it comes."""
        last = False
        while not last:
            piece, last = await self._next()
            if piece:
                yield piece
        self.ended.set()

    async def gone(self) -> None:
        """Returns when the client is gone."""
        await self.ended.wait()
        while not self.left:
            with suppress(Left):
                await self._next()


class Once:
    """A body that is let go of as it is sent."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def pieces(self) -> Iterable[bytes]:
        """The body in pieces, once."""
        data, self._data = memoryview(self._data), b""
        for start in range(0, len(data), PIECE):
            yield bytes(data[start : start + PIECE])


async def sent(
    exchange: Exchange, body: Once, rest: AsyncIterator[bytes] | None, let_go: Callable[[], None]
) -> AsyncIterator[bytes]:
    """A body as it goes up; how much of it has gone is noted."""
    for piece in body.pieces():
        exchange.sent += len(piece)
        yield piece
    let_go()
    if rest is not None:
        async for piece in rest:
            exchange.sent += len(piece)
            yield piece


def error_body(dialect: Dialect | None, status: int, message: str) -> bytes:
    """An error of the proxy's own, in the form in which a client of that dialect reads one."""
    said = f"microfiche: {message}"
    kind = "invalid_request_error" if status < 500 else "api_error"
    if dialect == "messages":
        return json.dumps({"type": "error", "error": {"type": kind, "message": said}}).encode()
    if dialect == "gemini":
        return json.dumps({"error": {"code": status, "message": said, "status": "UNAVAILABLE"}}).encode()
    return json.dumps({"error": {"message": said, "type": kind, "param": None, "code": status}}).encode()


async def refuse(
    send: Send, asked: Route | None, status: int, message: str, more: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Answers with an error of the proxy's own."""
    headers = [(b"content-type", b"application/json"), (b"x-microfiche-error", b"1"), *more]
    await whole(send, status, headers, error_body(asked.dialect if asked else None, status, message))


async def whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Sends a whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
