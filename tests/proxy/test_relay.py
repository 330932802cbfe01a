"""With nothing drawn, every byte is as if nobody stood between client and provider."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from between import PATIENCE, Watch, all_to, ask, everything, line_to, post, proxying, until
from provider.server import Provider, Reply, provider

from microfiche.proxy import relay as relay_module
from microfiche.proxy import wire
from microfiche.proxy.account import Account
from microfiche.proxy.exchange import Exchange
from microfiche.proxy.relay import Relay
from microfiche.proxy.upstreams import Upstreams

#: white space, an order of keys, escapes, large integers and numbers that a JSON library would write otherwise
ODD = (
    b'{ "max_tokens":5,\n "model" : "claude-opus-5", '
    b'"x":[1.0,1e5,123456789012345678901,"\\u00e9\\/\\ud83d\\ude00"],\r\n\t'
)
MESSAGES = ODD + b'"messages":[{"content":"hi \xc3\xa9","role":"user"}] }\n'
CHAT = MESSAGES.replace(b"claude-opus-5", b"gpt-6-sol")
RESPONSES = ODD.replace(b"claude-opus-5", b"gpt-6-sol") + b'"input":"hi" }'
GEMINI = b'{"contents" :[{"parts":[{"text":"hi"}]} ] }'
STREAM = [("content-type", "text/event-stream")]
ROUTES = [
    ("/v1/messages?beta=true", MESSAGES), ("/v1/messages/count_tokens", MESSAGES), ("/v1/chat/completions", CHAT),
    ("/v1/responses", RESPONSES), ("/v1/responses/input_tokens", RESPONSES), ("/v1/responses/compact", RESPONSES),
    ("/v1beta/models/gemini-4-neon:generateContent?key=AIzaX", GEMINI),
    ("/v1beta/models/gemini-4-neon:countTokens", GEMINI), ("/v1/embeddings", b"\x00\xff not JSON"),
]  # fmt: skip


class Book:
    """Keeps the exchanges that are over."""

    watch: Watch

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def enter(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def flush(self) -> None:
        """Nothing is written."""

    def last(self, number: int | None = None) -> Exchange:
        """The last exchange, once no other is under way, or the one of this number, whatever else is."""
        until(lambda: self.exchanges and not self.watch.open if number is None else len(self.exchanges) >= number)
        return self.exchanges[-1 if number is None else number - 1]


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def proxy(vendor: Provider, book: Book) -> Iterator[str]:
    with proxying(Relay(all_to(vendor.url), books=book)) as url:
        yield url


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_a_request_goes_up_byte_for_byte(vendor: Provider, proxy: str, path: str, body: bytes) -> None:
    given = [("X-Odd", "\xe9  x"), ("x-stainless-lang", "js"), ("Anthropic-Beta", "a,b"), ("Accept-Encoding", "br")]
    ask(proxy, path, body, "".join(f"{name}: {value}\r\n" for name, value in given))
    (recorded,) = vendor.requests
    assert recorded.body == body and recorded.path == path
    went = [(name.decode(), value.decode("latin-1")) for name, value in recorded.headers]
    assert went[1:-1] == [(name.lower(), value) for name, value in given]
    assert went[0][0] == "Host" and went[-1] == ("content-length", str(len(body)))
    assert recorded.header("host") == vendor.url.removeprefix("http://")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD", "PROPFIND"])
@pytest.mark.parametrize("path", [
    "/v1/files/%2e%2e/a%2Fb%3Fc?x=%20&x=1;2", "/", "/api/hello", "/v1/messages", "//a/./b/..", "/%",
    "/v1/responses/resp_1/cancel",
])  # fmt: skip
def test_any_other_path_and_method_is_passed_on(vendor: Provider, proxy: str, method: str, path: str) -> None:
    answer = ask(proxy, path, b"", "x-api-key: k\r\n", method)
    assert vendor.requests[-1].line == f"{method} {path} HTTP/1.1".encode() and vendor.requests[-1].body == b""
    assert answer.startswith(b"HTTP/1.1 200") and vendor.requests[-1].header("transfer-encoding") is None


def test_an_answer_comes_back_byte_for_byte(vendor: Provider, proxy: str) -> None:
    data = b'{"odd" : 1.0,  "usage":{"input_tokens":3,"output_tokens":1}}\n'
    headers = [("Content-Type", "application/json"), ("request-id", "req_1"), ("retry-after", "3"), ("CF-Ray", "x"),
               ("anthropic-ratelimit-tokens-remaining", "5"), ("set-cookie", "a=1"), ("set-cookie", "b=2"),
               ("Server", "cloudflare"), ("Date", "Thu, 26 Nov 2026 10:00:00 GMT")]  # fmt: skip
    for status in (200, 201, 400, 401, 404, 413, 429, 500, 503, 529):
        own = [*headers, ("Keep-Alive", "timeout=5"), ("X-S", str(status))]
        vendor.faults.append(Reply(status, own, [data], length=len(data)))
        answer = ask(proxy, "/v1/messages", MESSAGES)
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        assert lines[0].split(" ")[1] == str(status) and body == data
        back = [tuple(line.split(": ", 1)) for line in lines[1:]]
        back = [header for header in back if header[0].lower() not in ("content-length", "connection")]
        assert back == [*headers, ("X-S", str(status))]
    assert len(vendor.requests) == 10, "nothing is asked twice"


@pytest.mark.parametrize(("path", "body"), ROUTES[:1] + ROUTES[2:4])
def test_a_stream_is_relayed_as_it_comes(vendor: Provider, proxy: str, path: str, body: bytes) -> None:
    """Split within events and within characters, with comments and pings, each piece before the next is sent."""
    said = "event: ping\ndata: {}\n\n: a comment\n\ndata: {\"é\U0001f600\": 1}\r\n\r\ndata: [DONE]\n\n".encode()
    pieces = [said[i : i + 3] for i in range(0, len(said), 3)]
    seen: list[bytes] = []
    vendor.faults.append(Reply(200, STREAM, _stepping(pieces, seen)))
    with httpx2.Client(timeout=PATIENCE) as client, client.stream("POST", proxy + path, content=body) as answer:
        for piece in answer.iter_raw():
            seen.append(piece)
    assert seen == pieces


def _stepping(pieces: list[bytes], seen: list[bytes]) -> Iterator[bytes]:
    """Gives a piece only when the one before was seen at the other end."""
    for number, piece in enumerate(pieces):
        until(lambda number=number: len(seen) >= number)
        yield piece


@pytest.mark.parametrize("length", [None, 1000])
def test_a_break_upstream_is_a_break_downstream(vendor: Provider, proxy: str, book: Book, length: int | None) -> None:
    kind = "application/json" if length else "text/event-stream"
    pieces = [b"data: 1\n\n", b"data: 2\n"]
    vendor.faults.append(Reply(200, [("content-type", kind)], pieces, breaks=True, length=length))
    with httpx2.stream("POST", proxy + "/v1/messages", content=MESSAGES, timeout=PATIENCE) as answer:
        got: list[bytes] = []
        with pytest.raises(httpx2.RemoteProtocolError):
            got.extend(answer.iter_raw())
    assert answer.status_code == 200 and b"".join(got) == b"data: 1\n\ndata: 2\n"
    assert book.last().broke and not book.last().left
    vendor.faults.append(Reply(200, [], [], breaks=True, length=5))
    with pytest.raises(httpx2.RemoteProtocolError):
        post(proxy + "/v1/messages", content=MESSAGES)


@pytest.mark.parametrize("answered", [False, True])
def test_a_client_that_leaves_ends_the_call(vendor: Provider, proxy: str, book: Book, answered: bool) -> None:
    streaming = Reply(200, STREAM, [b"data: 1\n\n"] * 1000, pause=0.05)
    gone = threading.Event()
    vendor.faults.append(streaming if answered else Reply(200, [], _once(gone)))
    with line_to(proxy) as line:
        line.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(MESSAGES) + MESSAGES)
        if answered:
            assert line.recv(100)
        until(lambda: vendor.requests)
    assert book.last().left and not book.last().broke
    gone.set()
    if answered:
        until(lambda: vendor.requests[0].left)
    until(lambda: vendor.open == 0)


def _once(gone: threading.Event) -> Iterator[bytes]:
    assert gone.wait(PATIENCE)
    yield b"late"


def test_a_client_that_leaves_in_the_middle_of_its_body_sends_nothing(vendor: Provider, proxy: str, book: Book) -> None:
    with line_to(proxy) as line:
        line.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{\"model\"")
        time.sleep(0.05)
    assert book.last().left and vendor.requests == []


def test_a_redirect_is_not_followed_and_no_key_goes_elsewhere(vendor: Provider, proxy: str) -> None:
    with provider() as other:
        for status in (301, 302, 303, 307, 308):
            vendor.faults.append(Reply(status, [("Location", f"{other.url}/v1/messages")], [], length=0))
            answer = post(proxy + "/v1/messages", content=MESSAGES, headers={"x-api-key": "sk-ant-canary"})
            assert answer.status_code == status and answer.headers["location"].startswith(other.url)
        assert other.requests == []


def test_each_key_goes_to_its_own_vendor_only() -> None:
    with provider() as a, provider() as o, provider() as g:
        named = Upstreams({"anthropic": a.url, "openai": o.url + "/v1", "gemini": g.url})
        with proxying(Relay(named)) as url, httpx2.Client(base_url=url, timeout=PATIENCE) as client:
            keys = [{"x-api-key": "sk-ant-canary-1"}, {"authorization": "Bearer sk-proj-canary-2"},
                    {"x-goog-api-key": "AIzaCanary3"}]  # fmt: skip
            for path, body in ROUTES:
                for headers in keys:
                    client.post(path.replace("?key=AIzaX", ""), content=body, headers=headers)
                    client.get(path.partition("?")[0], headers=headers)
            for vendor, own in ((a, b"canary-1"), (o, b"canary-2"), (g, b"Canary3")):
                said = b"".join(recorded.bytes() for recorded in vendor.requests)
                assert own in said and said.lower().count(b"canary") == said.count(own)


def test_a_cookie_of_one_client_is_not_sent_for_another(vendor: Provider, proxy: str) -> None:
    vendor.faults.append(Reply(200, [("set-cookie", "__cf_bm=secret; Path=/")], [], length=0))
    assert post(proxy + "/v1/messages", content=MESSAGES).headers["set-cookie"].startswith("__cf_bm")
    post(proxy + "/v1/messages", content=MESSAGES)
    assert vendor.requests[-1].header("cookie") is None


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_packed_answer_stays_packed_and_is_read(
    vendor: Provider, proxy: str, book: Book, coding: str, stream: bool
) -> None:
    if coding in ("br", "zstd"):
        pytest.importorskip({"br": "brotli", "zstd": "zstandard"}[coding])
    vendor.packs = True
    body = json.dumps({"model": "claude-opus-5", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
    answer = ask(proxy, "/v1/messages", body.encode(), f"Accept-Encoding: {coding}\r\n")
    assert f"content-encoding: {coding}".encode() in answer and b"msg_" not in answer
    assert book.last().said.usage == vendor.requests[0].usage is not None


def test_an_answer_packed_in_an_unknown_way_passes(vendor: Provider, proxy: str, book: Book) -> None:
    headers = [("content-encoding", "x-odd"), ("content-type", "application/json")]
    vendor.faults.append(Reply(200, headers, [b"\x01\x02"]))
    assert ask(proxy, "/v1/messages", MESSAGES).endswith(b"\x01\x02\r\n0\r\n\r\n")
    assert book.last().said.usage is None and "unpacked" in book.last().note


def test_a_websocket_is_refused_so_that_clients_ask_by_http(vendor: Provider, proxy: str) -> None:
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
    with line_to(proxy) as line:
        line.sendall(f"GET /v1/responses HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 426 ")
    assert vendor.requests == []


def test_the_proxy_is_no_open_proxy(vendor: Provider, proxy: str) -> None:
    with provider() as other:
        assert ask(proxy, other.url + "/v1/messages", MESSAGES).startswith(b"HTTP/1.1 400 ")
        assert other.requests == [] and vendor.requests == []


def test_a_vendor_that_is_not_there_is_said_in_the_clients_dialect() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
        with proxying(Relay(all_to(nowhere))) as url:
            for path, body in ROUTES[:1] + ROUTES[2:4] + ROUTES[6:7]:
                answer = post(url + path, content=body)
                assert answer.status_code == 502 and answer.headers["x-microfiche-error"]
                assert "cannot be reached" in answer.json()["error"]["message"]


@pytest.mark.parametrize("bad", [
    b"", b"{", b"not JSON", b"[]", b'{"model":1}', b'{"messages":[{"role":"user","content":"\\ud800"}]}',
    b'{"model":"a","model":"b"}', b'{"messages":{"a":[]}}', b'{"messages":[[[[]]]],"system":3,"tools":{"a":1}}',
    b"[" * 100_000, b"\xff\xfe\x00", b'{"contents":null,"input":[{"content":[null]}]}',
    b'{"model":"claude-fable-5","max_tokens":NaN,"messages":[]}', b'{"model":"a","messages":-Infinity}',
    b'{"model":"claude-fable-5","max_tokens":' + b"9" * 5000 + b',"messages":[]}', b'{"model":"\\ud800","messages":[]}',
    b"\xef\xbb\xbf" + MESSAGES, MESSAGES.decode().encode("utf-16"), MESSAGES + MESSAGES, MESSAGES + b"\0",
    b'{"model":"' + b"m" * 70_000 + b'","messages":[]}', b'{"a":' * 3000 + b"1" + b"}" * 3000,
    b'{"model":"claude-fable-5","system":[5,null],"tools":[null,{"name":5,"description":5}],"messages":[{"role":"user",'
    b'"content":[5,null,"x",[],{"type":"tool_result","content":[{"type":"text","text":null},{"type":"text"}]}]}]}',
])  # fmt: skip
@pytest.mark.parametrize("path", [path for path, _ in ROUTES[:8]])
def test_a_body_that_is_not_understood_goes_up_as_it_came(
    vendor: Provider, proxy: str, book: Book, path: str, bad: bytes
) -> None:
    answer = ask(proxy, path, bad)
    assert vendor.requests[-1].body == bad and answer.startswith(b"HTTP/1.1 ")
    assert vendor.requests[-1].path == path and book.last().status


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "x-odd"])
def test_a_packed_body_passes_and_is_not_read(vendor: Provider, proxy: str, book: Book, coding: str) -> None:
    packed = gzip.compress(MESSAGES) if coding == "gzip" else b"\x1f\x00\xff" * 99
    ask(proxy, "/v1/messages", packed, f"Content-Encoding: {coding}\r\n")
    assert vendor.requests[0].body == packed and vendor.requests[0].header("content-encoding") == coding
    assert book.last().note == "the body is packed" and book.last().asked is None


def test_odd_ways_of_http_end_well(vendor: Provider, proxy: str) -> None:
    """HTTP/1.0, a body that waits for 100, several requests in one piece, chunks with extensions and trailers."""
    size, said = len(MESSAGES), b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n"
    whole = b"%bContent-Length: %d\r\n\r\n%b" % (said, size, MESSAGES)
    chunks = b"Transfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%b\r\n0\r\nX-T: 1\r\n\r\n" % (size, MESSAGES)
    last = b"%bConnection: close\r\n%b" % (said, chunks)
    with line_to(proxy) as line:
        line.sendall(whole.replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = everything(line)
        assert answer.startswith(b"HTTP/1.1 200") and b"transfer-encoding" not in answer.lower()
    with line_to(proxy) as line:
        line.sendall(b"%bExpect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (said, size))
        assert line.recv(99) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(MESSAGES)
        assert everything(line).startswith(b"HTTP/1.1 200")
    with line_to(proxy) as line:
        line.sendall(whole + whole + last)
        assert everything(line).count(b"HTTP/1.1 200") == 3
    assert [recorded.body for recorded in vendor.requests] == [MESSAGES] * 5
    assert not any(recorded.header("expect") or recorded.header("x-t") for recorded in vendor.requests)


def test_long_headers_pass_both_ways(vendor: Provider, proxy: str) -> None:
    many = [(f"x-{number}", "y" * 6000) for number in range(40)]
    vendor.faults.append(Reply(200, [*many, ("x-long", "z" * 200_000)], [b"{}"], length=2))
    answer = ask(proxy, "/v1/messages", MESSAGES, "X-Long: " + "a" * 200_000 + "\r\n")
    assert answer.startswith(b"HTTP/1.1 200") and answer.count(b"y" * 6000) == 40 and b"z" * 200_000 in answer
    assert vendor.requests[0].header("x-long") == "a" * 200_000


def test_a_large_body_passes_and_is_not_held(
    vendor: Provider, proxy: str, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "READ", 1 << 20)
    body = b'{"model":"claude-opus-5","messages":[{"role":"user","content":"' + b"x" * (5 << 20) + b'"}]}'
    for chunked in (False, True):
        content = _in_pieces(body) if chunked else body
        post(proxy + "/v1/messages", content=content)
        assert vendor.requests[-1].body == body and "too long" in book.last().note
        assert (vendor.requests[-1].header("transfer-encoding") == "chunked") is chunked


def test_many_long_bodies_at_once_are_not_all_held(
    vendor: Provider, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "HELD", 300_000)
    body = b'{"model":"claude-opus-5","messages":[{"role":"user","content":"' + b"x" * 200_000 + b'"}]}'
    made = Relay(all_to(vendor.url), books=book)
    with proxying(made) as url:
        with line_to(url) as slow:
            slow.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + body[:150_000])
            until(lambda: made._held == 150_000)
            post(url + "/v1/messages", content=body)
            assert "under way" in book.last(1).note and vendor.requests[-1].body == body
        until(lambda: len(book.exchanges) == 2 and not made._held)
        post(url + "/v1/messages", content=body)
        until(lambda: len(book.exchanges) == 3)
    assert book.last().note == "" and book.last().asked is not None and vendor.requests[-1].body == body


@pytest.mark.parametrize("frame", ["Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                                   "Content-Length: 290000\r\n\r\nhello"])  # fmt: skip
def test_bodies_that_stall_take_no_room_from_others(
    vendor: Provider, book: Book, monkeypatch: pytest.MonkeyPatch, frame: str
) -> None:
    """What is held is what has come, whatever is said to come."""
    monkeypatch.setattr(relay_module, "HELD", 300_000)
    made = Relay(all_to(vendor.url), books=book)
    with proxying(made) as url, ExitStack() as stack:
        stalled = [stack.enter_context(line_to(url)) for _ in range(8)]
        for line in stalled:
            line.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: x\r\n{frame}".encode())
        until(lambda: made._held == 40)
        post(url + "/v1/messages", content=_in_pieces(MESSAGES + b" " * 200_000))
        assert book.last(1).note == "" and book.last(1).asked is not None
        post(url + "/v1/messages", content=_in_pieces(MESSAGES + b" " * 400_000))
        assert "under way" in book.last(2).note and len(vendor.requests[-1].body) == len(MESSAGES) + 400_000
    until(lambda: made._held == 0)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_stalls_is_let_go_and_passes_as_it_comes(
    vendor: Provider, book: Book, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    monkeypatch.setattr(wire, "STALL", 0.05)
    made = Relay(all_to(vendor.url), books=book)
    with proxying(made) as url, line_to(url) as line:
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(MESSAGES)}"
        start, end = MESSAGES[:50], MESSAGES[50:]
        if chunked:
            start, end = (b"%x\r\n%b\r\n" % (len(part), part) for part in (start, end))
        line.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}\r\n\r\n".encode() + start)
        until(lambda: made._held == 50)
        until(lambda: vendor.requests and not made._held)
        line.sendall(end + (b"0\r\n\r\n" if chunked else b""))
        assert everything(line).startswith(b"HTTP/1.1 200")
    assert vendor.requests[0].body == MESSAGES and book.last().note == "the body comes too slowly to be read"


def test_no_answer_waits_for_a_request_to_be_read(vendor: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "PATIENCE", 0.01)
    read, free = Relay._read, threading.Event()

    def slow(self: Relay, *given: Any) -> bytes:
        free.wait(PATIENCE)
        return read(self, *given)

    monkeypatch.setattr(Relay, "_read", slow)
    account = Account()
    with proxying(Relay(all_to(vendor.url), books=account), raw=True) as url:
        long = MESSAGES.replace(b'"hi', b'"' + b"x" * 200_000)
        for stream in (False, True):
            body = long.replace(b'{ "max', b'{ "stream": %b, "max' % str(stream).lower().encode())
            assert post(url + "/v1/messages", content=body).status_code == 200
        assert account.total.requests == 0
        free.set()
        until(lambda: account.total.requests == 2)
    assert all(record.session and record.dollars for record in account.recent)


def _in_pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 70_000):
        yield body[start : start + 70_000]


def test_a_body_in_chunks_goes_up_whole(vendor: Provider, proxy: str) -> None:
    post(proxy + "/v1/messages", content=_in_pieces(MESSAGES))
    assert vendor.requests[-1].body == MESSAGES and vendor.requests[-1].header("content-length") == str(len(MESSAGES))


def test_a_token_is_asked_for_and_goes_no_further(vendor: Provider) -> None:
    with proxying(Relay(all_to(vendor.url), token="s3cret")) as url:
        for path, headers in (("/v1/messages", {}), ("/@wrong/v1/messages", {}), ("/metrics", {}), ("/@s3cre/", {}),
                              ("/v1/messages", {"x-microfiche-token": "no"})):  # fmt: skip
            assert post(url + path, content=MESSAGES, headers=headers).status_code == 401
        assert vendor.requests == []
        for path, headers in (("/@s3cret/v1/messages", {}), ("/v1/messages", {"X-Microfiche-Token": "s3cret"})):
            assert post(url + path, content=MESSAGES, headers=headers).status_code == 200
            assert b"s3cret" not in vendor.requests[-1].bytes() and vendor.requests[-1].path == "/v1/messages"


def test_500_calls_are_open_at_once(vendor: Provider, proxy: str) -> None:
    gate = threading.Event()
    pieces = [b"data: 1\n\n", b"data: 2\n\n"]
    vendor.reply = lambda _: Reply(200, STREAM, pieces, waits=gate)

    async def all_of_them() -> list[bytes]:
        async def one() -> bytes:
            reader, writer = await asyncio.open_connection(*proxy.removeprefix("http://").split(":"))
            writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                         % len(MESSAGES) + MESSAGES)  # fmt: skip
            head = await reader.readuntil(b"data: 1\n\n")
            opened.append(1)
            if len(opened) == 500:
                gate.set()
            rest = await reader.read()
            writer.close()
            return head + rest

        opened: list[int] = []
        return await asyncio.gather(*(one() for _ in range(500)))

    answers = asyncio.run(all_of_them())
    assert len(answers) == 500 and all(b"data: 2" in answer and answer.endswith(b"0\r\n\r\n") for answer in answers)


def test_gzip_of_the_vendor_is_not_packed_twice(vendor: Provider, proxy: str) -> None:
    data = gzip.compress(b'{"a":1}')
    vendor.faults.append(Reply(200, [("content-encoding", "gzip"), ("content-type", "application/json")], [data]))
    answer = post(proxy + "/v1/messages", content=MESSAGES)
    assert answer.json() == {"a": 1}
    bomb = zlib.compress(b"\0" * (64 << 20))
    vendor.faults.append(Reply(200, [("content-encoding", "deflate"), ("content-type", "application/json")], [bomb]))
    with httpx2.stream("POST", proxy + "/v1/messages", content=MESSAGES, timeout=PATIENCE) as raw:
        assert b"".join(raw.iter_raw()) == bomb
