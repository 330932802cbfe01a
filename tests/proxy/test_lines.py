"""What a vendor says before it has read all, and what becomes of a request that comes back to its own proxy."""

from __future__ import annotations

import inspect
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpcore2
import httpx2
import pytest
import uvicorn
from between import PATIENCE, all_to, ask, entered, everything, get, line_to, post, proxying, until
from provider.server import Provider, Reply

from microfiche.errors import UsageError
from microfiche.proxy import lines, server
from microfiche.proxy import relay as relaying
from microfiche.proxy.account import Account
from microfiche.proxy.relay import Relay
from microfiche.proxy.server import bound, served
from microfiche.proxy.settings import Settings
from microfiche.proxy.upstreams import Upstreams

ASK = b'{"model":"claude-opus-5","messages":[{"role":"user","content":"hi"}]}'
REFUSED = b'{"type":"error","error":{"type":"request_too_large"}}'
EARLY = b"HTTP/1.1 413 Too Much\r\nrequest-id: r1\r\ncontent-length: %d\r\n%b\r\n" + REFUSED


@contextmanager
def listening(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads the head of a request, and then behaves as it is told. It closes as servers do, reading what
    still comes: a reset would take away what it said."""
    door = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with suppress(OSError):
            while True:
                line, _ = door.accept()
                threading.Thread(target=one, args=(line,), daemon=True).start()

    def one(line: socket.socket) -> None:
        with line, suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (byte := line.recv(1)):  # no more than the head
                    return
                head += byte
            behave(line)
            line.shutdown(socket.SHUT_WR)
            while line.recv(1 << 16):
                pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join(PATIENCE)


def _says(line: socket.socket) -> None:
    line.sendall(EARLY % (len(REFUSED), b""))


def _closes(line: socket.socket) -> None:
    line.sendall(EARLY % (len(REFUSED), b"connection: close\r\n"))


def _keeps_open(line: socket.socket) -> None:
    _says(line)
    time.sleep(0.5)  # and reads nothing


def _hints(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
    time.sleep(0.05)
    line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY % (len(REFUSED), b""))


@pytest.mark.parametrize("behave", [_says, _closes, _keeps_open, _hints])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_that_comes_before_all_was_read_is_the_vendors_own(
    behave: Callable[[socket.socket], None], chunked: bool
) -> None:
    piece = b"x" * (1 << 20)
    with listening(behave) as vendor, proxying(Relay(all_to(vendor))) as url, line_to(url) as line:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (100 << 20)
        line.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % framing)
        sender = threading.Thread(target=_send, args=(line, piece, chunked), daemon=True)
        sender.start()
        answer = b""
        while not answer.endswith(REFUSED):
            more = line.recv(1 << 16)
            assert more, answer
            answer += more
    assert answer.startswith(b"HTTP/1.1 413 Too Much\r\n") and b"request-id: r1\r\n" in answer
    assert b"x-microfiche-error" not in answer


def _send(line: socket.socket, piece: bytes, chunked: bool) -> None:
    with suppress(OSError):
        for _ in range(100):
            line.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)


def test_a_hint_does_not_end_a_request(vendor: Provider) -> None:
    """Interim answers come while a long body is sent, and the body goes up whole."""
    got: list[int] = []

    def behave(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n")
        length = 0
        while length < 5 << 20:
            length += len(line.recv(1 << 16))
        got.append(length)
        line.sendall(b"HTTP/1.1 200 Fine\r\ncontent-length: 2\r\n\r\n{}")

    with listening(behave) as address, proxying(Relay(all_to(address))) as url:
        assert post(url + "/v1/files", content=b"x" * (5 << 20), headers={"x-api-key": "k"}).content == b"{}"
    assert got and got[0] >= 5 << 20


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_an_address_that_is_the_proxys_own_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(UsageError) as error:
        server.relay(Settings(port=18765, anthropic=f"http://{name}:18765"))
    assert "anthropic: 127.0.0.1:18765 is this proxy itself" in str(error.value) and "\n" not in str(error.value)
    server.relay(Settings(port=18765, anthropic=f"http://{name}:18766", openai="http://h:18765/v1"))
    with pytest.raises(UsageError):
        server.relay(Settings(host="0.0.0.0", token="12345678", port=80, openai="http://localhost/v1"))


def test_a_request_of_its_own_is_known_and_refused() -> None:
    door = bound("127.0.0.1", 0)
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    account = Account()
    with served(Relay(all_to(url), books=account), door):
        answer = post(url + "/v1/messages", content=ASK)
        assert answer.status_code == 508 and "by itself" in answer.json()["error"]["message"]
        until(lambda: account.total.requests == 2)
        assert [record.status for record in account.recent] == [508, 508] and get(url + "/").status_code == 508


def test_a_client_at_a_port_of_the_proxys_own_is_no_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two connections to different places may have the same port at the near end."""
    opened, asked, go = httpcore2.AnyIOBackend.connect_tcp, threading.Event(), threading.Event()
    ports: list[int] = []

    async def shared(
        backend: httpcore2.AnyIOBackend, host: str, port: int, timeout: float | None, local: str | None, options: object
    ) -> httpcore2.AsyncNetworkStream:
        return await opened(backend, host, port, timeout, local, [(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)])

    def behave(line: socket.socket) -> None:
        ports.append(line.getpeername()[1])
        if len(ports) == 1:
            asked.set()
            go.wait(PATIENCE)
        line.sendall(b"HTTP/1.1 200 Fine\r\ncontent-length: 2\r\n\r\n{}")

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", shared)
    with listening(behave) as address, proxying(Relay(all_to(address))) as url:
        first = threading.Thread(target=get, args=(url + "/v1/models",))
        first.start()
        assert asked.wait(PATIENCE)
        host, port = url.removeprefix("http://").split(":")
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            line.bind((host, ports[0]))
            line.connect((host, int(port)))
            line.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = everything(line)
        go.set()
        first.join()
    assert answer.startswith(b"HTTP/1.1 200") and len(ports) == 2


def test_a_circle_through_another_proxy_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "MANY", 5)
    first, second = bound("127.0.0.1", 0), bound("127.0.0.1", 0)
    one, two = (f"http://127.0.0.1:{door.getsockname()[1]}" for door in (first, second))
    account = Account()
    with served(Relay(all_to(two), books=account), first), served(Relay(all_to(one)), second):
        assert post(one + "/v1/messages", content=ASK).status_code == 508
        until(lambda: account.total.requests >= 6)
        assert account.total.requests < 20


def test_many_calls_at_once_to_ones_own_address_are_no_circle(
    vendor: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "MANY", 2)
    go = threading.Event()
    vendor.reply = lambda _: Reply(200, [], [b"1", b"2"], waits=go)
    with proxying(Relay(Upstreams({"anthropic": vendor.url}))) as url:
        done: list[int] = []
        threads = [threading.Thread(target=lambda: done.append(post(url + "/v1/messages", content=ASK).status_code))
                   for _ in range(8)]  # fmt: skip
        for thread in threads:
            thread.start()
        until(lambda: len(vendor.requests) == 8)
        go.set()
        for thread in threads:
            thread.join()
    assert done == [200] * 8
    with proxying(Relay(Upstreams({"anthropic": vendor.url}))) as url:
        httpx2.post(url + "/v1/messages", content=ASK, timeout=PATIENCE)
    assert vendor.requests[-1].header("via") is None, "and nothing is added where few are open"


@pytest.mark.parametrize("target", ["/v1/messages?", "/v1/messages??", "/v1/messages?x=", "/v1/messages"])
def test_a_target_keeps_its_question_mark(vendor: Provider, target: str) -> None:
    with proxying(Relay(all_to(vendor.url))) as url:
        ask(url, target, ASK)
        ask(url, url + target, ASK)
        assert [recorded.path for recorded in vendor.requests] == [target] * 2
        elsewhere = ask(url, "http://api.anthropic.com" + target, ASK)
    assert elsewhere.startswith(b"HTTP/1.1 400 ") and len(vendor.requests) == 2


@pytest.mark.parametrize("status", [200, 418, 529, 599, 700, 999])
def test_a_vendors_own_status_and_phrase_pass(vendor: Provider, status: int) -> None:
    vendor.faults.append(Reply(status, [], [b"{}"], length=2))
    with proxying(Relay(all_to(vendor.url))) as url:
        assert ask(url, "/v1/messages", ASK).startswith(b"HTTP/1.1 %d X\r\n" % status)
        assert ask(url, "/v1/messages", ASK).startswith(b"HTTP/1.1 200 X\r\n")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/files"])
def test_where_a_length_and_chunks_are_named_the_chunks_hold(vendor: Provider, path: str) -> None:
    """RFC 9112, section 6.3, both ways."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\nConnection: close\r\nContent-Length: 5\r\n"
    with proxying(Relay(all_to(vendor.url))) as url, line_to(url) as line:
        line.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(ASK), ASK))
        while line.recv(1 << 16):
            pass
        assert vendor.requests[-1].body == ASK
        vendor.faults.append(Reply(200, [("content-length", "5")], [b'{"whole": 1}']))
        answer = ask(url, path, ASK, "x-api-key: k\r\n")
    assert b"content-length" not in answer.lower() and answer.endswith(b'c\r\n{"whole": 1}\r\n0\r\n\r\n')


@pytest.mark.parametrize(("kept", "connections"), [(600.0, 1), (-1.0, 2)])
def test_a_connection_that_nobody_uses_is_kept_for_less_time_than_servers_do(
    vendor: Provider, monkeypatch: pytest.MonkeyPatch, kept: float, connections: int
) -> None:
    """Else one of them ends it just as the next request goes up, which then breaks off unread."""
    servers = inspect.signature(uvicorn.Config).parameters["timeout_keep_alive"].default
    assert set(lines.KEPT) == {"http", "https"} and lines.KEPT["http"] < servers / 2
    monkeypatch.setitem(lines.KEPT, "http", kept)
    opened, inner, account = list[Any](), lines.Lines.connect_tcp, Account()

    async def connect(*given: Any, **named: Any) -> Any:
        opened.append(given)
        return await inner(*given, **named)

    monkeypatch.setattr(lines.Lines, "connect_tcp", connect)
    with proxying(Relay(all_to(vendor.url), books=account)) as url:
        for number in (1, 2):
            assert post(url + "/v1/messages", content=ASK).status_code == 200
            entered(account, number)  # and so the connection is idle
    assert len(opened) == connections
