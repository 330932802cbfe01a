"""What goes wrong leaves the request as it was, is said in the log, and lets no key out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import httpx2
import pytest
from between import PATIENCE, ask, everything, get, line_to, post, proxying, saying, until
from provider.server import Provider, Reply, provider

from microfiche.proxy import relay as relaying
from microfiche.proxy import server
from microfiche.proxy.account import Account
from microfiche.proxy.exchange import Drawing
from microfiche.proxy.protocols import Asked, Route
from microfiche.proxy.settings import Settings
from microfiche.proxy.splice import Body, Replacement

ASK = b'{"model":"claude-opus-5","messages":[{"role":"user","content":"hi"}]}'
CANARY = "c4n4ry"
KEYS = [
    ("/v1/messages", {"x-api-key": f"sk-ant-{CANARY}", "cookie": f"s={CANARY}"}),
    ("/v1/messages", {"authorization": f"Bearer sk-ant-oat01-{CANARY}"}),
    ("/v1/responses", {"authorization": f"Bearer sk-proj-{CANARY}", "openai-organization": f"org-{CANARY}"}),
    ("/v1/chat/completions", {"authorization": f"Bearer {CANARY}", "proxy-authorization": f"Basic {CANARY}"}),
    (f"/v1beta/models/gemini-4-neon:generateContent?key=AIza{CANARY}", {}),
    ("/v1beta/models/gemini-4-neon:generateContent", {"x-goog-api-key": f"AIza{CANARY}"}),
    (f"/v1/files/{CANARY}?token={CANARY}", {"x-api-key": CANARY}),
    ("/v1/chat/completions", {"authorization": f"Bearer sk-ant-{CANARY}"}),  # misdirected
    ("/v1/messages", {"user-agent": f"agent sk-ant-api03-{CANARY}-xyz", "anthropic-beta": f"sk-ant-{CANARY}-xyz"}),
]  # fmt: skip


def settings(url: str, folder: Path) -> Settings:
    return Settings(anthropic=url, openai=url, gemini=url, log=folder / "log")


class Breaks:
    """A drawer that fails as it is told to."""

    def __init__(self, error: BaseException | None = None, drawing: Drawing | None = None) -> None:
        self.error, self.drawing = error, drawing

    def flush(self) -> None:
        """Keeps nothing."""

    def draw(self, route: Route, body: Body, asked: Asked) -> Drawing:
        if self.error is not None:
            raise self.error
        assert self.drawing is not None
        return self.drawing


@pytest.mark.parametrize("failing", [
    Breaks(OSError(28, "No space left on device")), Breaks(MemoryError()), Breaks(RecursionError()),
    Breaks(KeyError("x")),
    Breaks(drawing=Drawing((Replacement(5, 3, "x"),), ((1, 1),), (b"p",))),
    Breaks(drawing=Drawing((Replacement(0, 9, "x"), Replacement(2, 3, "y")), ((1, 1), (1, 1)), (b"p",))),
    Breaks(drawing=Drawing((Replacement(0, 10**9, "x"),), ((1, 1),), (b"p",))),
    Breaks(drawing=Drawing((Replacement(1, 1, "\ud800"),), ((1, 1),), (b"p",))),
])  # fmt: skip
def test_a_renderer_that_fails_leaves_the_request_as_it_was(vendor: Provider, tmp_path: Path, failing: Breaks) -> None:
    made, account = server.relay(settings(vendor.url, tmp_path), failing)
    with proxying(made) as url:
        assert post(url + "/v1/messages", content=ASK).status_code == 200
    assert vendor.requests[0].body == ASK and len(vendor.requests) == 1
    record = account.recent[-1]
    assert record.note.startswith("not drawn: ") and record.pages == () and record.dollars == record.text_dollars


def test_books_that_fail_do_not_touch_the_answer(vendor: Provider) -> None:
    class Burning(Account):
        def enter(self, exchange: object) -> None:
            raise RuntimeError("the books are on fire")

    relay, _ = server.relay(Settings(anthropic=vendor.url))
    relay.books = Burning()
    with proxying(relay) as url:
        assert post(url + "/v1/messages", content=ASK).json()["type"] == "message"


@pytest.mark.parametrize("reply", [
    Reply(502, [("content-type", "text/html")], [b"<html>Bad gateway</html>"]),
    Reply(200, [("content-type", "text/html")], [b"<html>a login page</html>"]),
    Reply(200, [("content-type", "application/json")], [b'{"usage": {"input_tokens": "many", "output_tokens": -3}}']),
    Reply(200, [("content-type", "application/json")], [b'{"usage": []}']),
    Reply(200, [("content-type", "application/json")], [b"[" * 30_000]),
    Reply(200, [("content-type", "text/event-stream")], [b"data: {\"usage\"", b": {broken\n\n", b"data:\n\n\xff\xfe"]),
    Reply(200, [("content-type", "text/event-stream")], [b'data: {"usage":' + b"[" * 5000 + b"\n\n"]),
    Reply(200, [("content-type", "application/json"), ("content-encoding", "gzip")], [b"no gzip at all"]),
    Reply(204, [], []), Reply(304, [], []), Reply(299, [("x-odd", "\xe9")], [b""]),
])  # fmt: skip
def test_odd_answers_pass_as_they_are(vendor: Provider, tmp_path: Path, reply: Reply) -> None:
    made, account = server.relay(settings(vendor.url, tmp_path))
    with proxying(made) as url, provider() as plain:
        vendor.faults.append(reply)
        plain.faults.append(reply)
        through, direct = ask(url, "/v1/messages", ASK), ask(plain.url, "/v1/messages", ASK)
    assert through.partition(b"\r\n\r\n")[2] == direct.partition(b"\r\n\r\n")[2]
    assert through.split(b" ")[1] == direct.split(b" ")[1]
    assert account.total.requests == 1 and account.total.dollars == 0


@pytest.mark.parametrize("said", [
    b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"nonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"half\":",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
])  # fmt: skip
def test_an_answer_that_is_cut_short_is_never_a_whole_200(tmp_path: Path, said: bytes) -> None:
    with saying(said) as address:
        made, account = server.relay(settings(address, tmp_path))
        with proxying(made) as url, httpx2.Client(timeout=PATIENCE) as client:
            try:
                answer = client.post(url + "/v1/messages", content=ASK)
            except httpx2.RemoteProtocolError:
                until(lambda: account.recent)
                assert account.recent[-1].broke and account.recent[-1].status == 200
            else:
                assert answer.status_code == 502 and "broke off" in answer.json()["error"]["message"]


def test_a_stream_that_stays_half_open_ends_when_the_client_leaves(vendor: Provider, tmp_path: Path) -> None:
    made, account = server.relay(settings(vendor.url, tmp_path))
    vendor.faults.append(Reply(200, [("content-type", "text/event-stream")], [b"data: 1\n\n", b"never"], waits=Event()))
    with proxying(made) as url:
        with line_to(url) as line:
            line.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(ASK) + ASK)
            got = b""
            while b"data: 1\n\n" not in got:
                got += line.recv(1 << 16)
            line.settimeout(0.1)
            with pytest.raises(TimeoutError):
                everything(line)
        until(lambda: account.recent and vendor.requests[0].left)
    assert account.recent[-1].left


@pytest.mark.parametrize("lies", [
    b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"POST /v1/mess\xffages HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
])  # fmt: skip
def test_requests_that_are_none_reach_nobody_and_harm_nobody(vendor: Provider, tmp_path: Path, lies: bytes) -> None:
    made, _ = server.relay(settings(vendor.url, tmp_path))
    with proxying(made) as url:
        with line_to(url) as line:
            line.sendall(lies)
            line.shutdown(1)
            answer = everything(line)
        smuggled = [r for r in vendor.requests if r.body not in (b"",)]
        assert not answer.startswith(b"HTTP/1.1 200") or smuggled == []
        assert post(url + "/v1/messages", content=ASK).status_code == 200


def test_200_mb_go_through_and_are_not_held(vendor: Provider, tmp_path: Path) -> None:
    made, account = server.relay(settings(vendor.url, tmp_path))
    piece = b"x" * (1 << 20)

    def pieces() -> Iterator[bytes]:
        yield b'{"model":"claude-opus-5","messages":[{"role":"user","content":"'
        for _ in range(200):
            yield piece
            assert made._held <= relaying.READ + (2 << 20)
        yield b'"}]}'

    with proxying(made) as url:
        vendor.faults.append(Reply(413, [], [b"{}"], length=2))
        assert post(url + "/v1/messages", content=pieces()).status_code == 413
    assert len(vendor.requests[0].body) == 200 * (1 << 20) + 67 and made._held == 0
    assert account.recent[-1].note == "the body is too long to be read" and account.recent[-1].sent > 200 << 20


def test_a_clock_that_jumps_does_no_harm(vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, account = server.relay(settings(vendor.url, tmp_path))
    times = iter([1e9, 0.0, 4e9, 1.7e9, 10.0] * 9)
    monkeypatch.setattr("microfiche.proxy.exchange.time.time", lambda: next(times))
    with proxying(made) as url:
        for _ in range(5):
            assert post(url + "/v1/messages", content=ASK).status_code == 200
    assert all(0 <= record.total_ms < 60_000 for record in account.recent) and account.total.requests == 5
    assert len((tmp_path / "log").read_text().splitlines()) == 5


def test_no_key_is_in_a_log_a_page_an_error_or_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with provider() as other, provider() as vendor:
        made, account = server.relay(settings(vendor.url, tmp_path), Breaks(ValueError(CANARY)))
        gone = Settings(anthropic="http://127.0.0.1:9", openai="http://127.0.0.1:9", gemini="http://127.0.0.1:9",
                        log=tmp_path / "gone")  # fmt: skip
        unreached, _ = server.relay(gone)
        with proxying(made) as url, proxying(unreached) as nowhere:
            answers = []
            for path, headers in KEYS:
                vendor.faults.append(Reply(307, [("location", f"{other.url}/v1/messages")], [], length=0))
                answers.append(post(url + path, content=ASK, headers=headers))
                vendor.faults.clear()
                vendor.faults.append(Reply(401, [], [b"{}"], length=2))
                answers.append(post(url + path, content=ASK, headers=headers))
                vendor.faults.clear()
                vendor.faults.append(Reply(200, [("content-type", "text/event-stream")], [b"data: {\n\n"], breaks=True))
                with suppress(httpx2.RemoteProtocolError):
                    post(url + path, content=ASK, headers=headers)
                vendor.faults.clear()
                answers.append(post(nowhere + path, content=ASK, headers=headers))
                answers.append(get(url + "/microfiche/" + CANARY))
            shown = [get(base + page).text for base in (url, nowhere)
                     for page in ("/microfiche/status.json", "/metrics", "/microfiche/")]  # fmt: skip
        assert other.requests == [] and len(vendor.requests) > 20
    errors = [answer.text + str(answer.headers) for answer in answers]
    captured = capfd.readouterr()
    logs = [(tmp_path / name).read_text() for name in ("log", "gone")]
    for text in (*errors, *shown, *logs, captured.out, captured.err, caplog.text, repr(list(account.recent))):
        assert CANARY not in text


def test_what_requests_leave_behind_is_bounded(
    vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("account.RECENT", "account.SESSIONS", "twin.KEPT"):
        monkeypatch.setattr(f"microfiche.proxy.{name}", 20)
    made, account = server.relay(settings(vendor.url, tmp_path))
    with proxying(made) as url, httpx2.Client(timeout=PATIENCE) as client:
        for number in range(60):
            body = {"model": "claude-opus-5", "metadata": {"user_id": f"session_{number}"},
                    "messages": [{"role": "user", "content": f"{number} " + "x" * 2000}]}  # fmt: skip
            client.post(url + "/v1/messages", json=body)
    assert account.total.requests == 60 and len(account.recent) == 20 and len(account.sessions) == 20
    assert made._held == 0 and len(account._twins._until) <= 20
