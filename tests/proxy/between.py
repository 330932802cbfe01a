"""A proxy of this process, and helpers that speak to one byte by byte."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, ClassVar

import httpx2
import pytest

from microfiche.proxy.account import Account
from microfiche.proxy.server import bound, served
from microfiche.proxy.upstreams import Upstreams

PATIENCE = 600.0  #: seconds that a test waits for what comes at once unless the machine is busy
post, get = partial(httpx2.post, timeout=PATIENCE), partial(httpx2.get, timeout=PATIENCE)


class Settled(Account):
    """An account that waits, where a test looks into it, until no request of its proxy is under way: a client may have
    its answer, above all the end of a stream, some milliseconds before that is taken down. What is asked by the proxy's
    own threads is said at once, and so are all things to a test that looks while calls are open (`raw`)."""

    SHOWN: ClassVar = {"recent", "sessions", "pages", "total", "answers", "by_model", "waited", "answered",
                       "incomplete", "trouble", "lost", "log"}  # fmt: skip
    watch: Watch

    def __getattribute__(self, name: str) -> Any:
        if name in Settled.SHOWN and threading.current_thread() is threading.main_thread():
            until(lambda: not super(Settled, self).__getattribute__("watch").open)
            if name == "log":  # whoever asks where it is reads it
                self.flush(PATIENCE)
        return super().__getattribute__(name)


class Watch:
    """Stands before a proxy and counts what is under way. Its own pages wait until nothing else is."""

    def __init__(self, relay: Any) -> None:
        self.relay, self.open = relay, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.relay(scope, receive, send)
            return
        if scope["path"].startswith(("/microfiche", "/metrics")):
            while self.open:
                await asyncio.sleep(0.002)
        self.open += 1
        try:
            await self.relay(scope, receive, send)
        finally:
            self.open -= 1


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the proxy's own limits of time so far that a busy machine meets none; whoever states one sets it."""
    for limit in ("relay.CONNECT", "asking.HOLD", "relay.PATIENCE", "wire.STALL", "log.PATIENCE", "server.END"):
        monkeypatch.setattr(f"microfiche.proxy.{limit}", PATIENCE)
    monkeypatch.setattr(Account.flush, "__defaults__", (PATIENCE,))


@contextmanager
def proxying(relay: Any, raw: bool = False) -> Iterator[str]:
    """The address of a proxy that is served in a thread. Its account is `Settled`, unless it is to be seen `raw`."""
    watch, books = Watch(relay), getattr(relay, "books", None)
    if isinstance(books, Account) and not raw:
        books.__class__ = Settled
    if books is not None:
        books.watch = watch
    listening = bound("127.0.0.1", 0)
    port = listening.getsockname()[1]
    try:
        with served(relay if raw else watch, listening):
            yield f"http://127.0.0.1:{port}"
    finally:
        watch.open = 0  # what was cut off does not come to its end


def all_to(url: str) -> Upstreams:
    """Every vendor at one address."""
    return Upstreams({"anthropic": url, "openai": url, "gemini": url})


@contextmanager
def line_to(url: str) -> Iterator[socket.socket]:
    """A bare connection to a server."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as made:
        yield made


def ask(url: str, path: str, body: bytes, head: str = "", method: str = "POST") -> bytes:
    """Sends one request as it stands, and gives all that comes back until the other side closes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    with line_to(url) as line:
        line.sendall(head.encode("latin-1") + body)
        return everything(line)


def everything(line: socket.socket) -> bytes:
    pieces = []
    while piece := line.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def entered(account: Account, requests: int) -> None:
    """Waits until so many requests are in the account, which a client of a stream may be ahead of."""
    until(lambda: account.total.requests >= requests)
    assert account.total.requests == requests


def until(true: Callable[[], object]) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@contextmanager
def saying(said: bytes) -> Iterator[str]:
    """A server that says these bytes to whoever asks, and hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with suppress(OSError):
            while True:
                line, _ = listening.accept()
                with line:
                    line.recv(1 << 16)
                    line.sendall(said)
                    line.shutdown(socket.SHUT_WR)
                    line.settimeout(PATIENCE)
                    while line.recv(1 << 16):  # what is not read would be a reset, and no end
                        pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(PATIENCE)
