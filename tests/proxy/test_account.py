"""Every request is in the account: whole, or as far as it could be taken down, and cut ones as not exact."""

from __future__ import annotations

import json
import os
import re
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from between import PATIENCE, ask, entered, get, line_to, post, proxying, saying, until
from provider.server import Provider, Reply

from microfiche.errors import UsageError
from microfiche.memory.billing import Usage
from microfiche.proxy import log as logging_room
from microfiche.proxy import said_by, server
from microfiche.proxy.account import Account, Record, Sum, records_in
from microfiche.proxy.exchange import Exchange
from microfiche.proxy.log import Log, usable
from microfiche.proxy.panel import metrics
from microfiche.proxy.protocols import Asked, Route
from microfiche.proxy.settings import Settings
from microfiche.proxy.usage import Said

ASK = b'{"model":"claude-opus-5","messages":[{"role":"user","content":"hi"}]}'
STREAM = [("content-type", "text/event-stream")]
START = (b'data: {"type":"message_start","message":{"model":"claude-opus-5","usage":{"input_tokens":1000,'
         b'"cache_read_input_tokens":0,"output_tokens":1}}}\n\n')  # fmt: skip
STOP = b'data: {"type":"message_stop"}\n\n'
MESSAGES = Route("messages", "anthropic", "answer")


def exchange(model: str = "claude-opus-5", usage: Usage | None = Usage(1000, output=10), **more: Any) -> Exchange:
    said = Said(usage, more.pop("answered", None), besides=more.pop("besides", ()))
    made = Exchange("POST", b"/v1/messages", MESSAGES, vendor="anthropic", status=200, said=said, first=0.1)
    made.asked = Asked(model, False, "s")
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("odd", [
    exchange("claude-opus-5\ud800"), exchange("\udfff" * 100), exchange(began=1e300), exchange(began=float("nan")),
    exchange(began=-1e12), exchange(usage=Usage(10**400)), exchange(headers={"user-agent": "\ud800", "x-app": "\x00"}),
    exchange(note="\ud800 x"), exchange(answered="\ud800"), exchange(method="\ud800"), exchange(asked=3),
    exchange(first=float("inf")), exchange(route=Route("gemini", "gemini", "answer", "m\ud800")),
])  # fmt: skip
def test_no_request_vanishes(odd: Exchange, tmp_path: Path) -> None:
    account = Account(tmp_path / "log")
    for one in (exchange(), odd, exchange()):
        account.enter(one)
    account.flush(PATIENCE)
    assert account.total.requests == 3 == len(account.recent) and json.dumps(account.total.as_json())
    read = list(records_in(tmp_path / "log"))
    assert [record.status for record in read] == [200] * 3 and read[1].time
    assert account.incomplete == ("not all could be taken down" in read[1].note)
    assert f"microfiche_incomplete_total {account.incomplete}\n" in metrics(account)


def test_a_cut_answer_counts_as_not_exact(vendor: Provider, tmp_path: Path) -> None:
    made, account = server.relay(Settings(anthropic=vendor.url, log=tmp_path / "log"))
    with proxying(made) as url:
        vendor.faults.append(Reply(200, STREAM, [START, STOP]))
        post(url + "/v1/messages", content=ASK)
        entered(account, 1)
        vendor.faults.append(Reply(200, STREAM, [START]))  # ends as HTTP asks, and is no whole stream
        assert post(url + "/v1/messages", content=ASK).content == START
        entered(account, 2)
        vendor.faults.append(Reply(200, STREAM, [START], breaks=True))
        with pytest.raises(httpx2.RemoteProtocolError):
            post(url + "/v1/messages", content=ASK)
        entered(account, 3)
        vendor.faults.append(Reply(200, STREAM, [START] + [b": wait\n\n"] * 999, pause=0.05))
        with line_to(url) as line:
            line.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(ASK) + ASK)
            assert line.recv(1 << 16)
        until(lambda: account.total.requests == 4)
    told = [(record.broke, record.left, record.exact) for record in account.recent]
    assert told == [(False, False, True), (True, False, False), (True, False, False), (False, True, False)]
    assert account.total.inexact == 3 and "microfiche_inexact_total 3\n" in metrics(account)
    assert account.recent[1].note == "the answer ended before its end"


@pytest.mark.parametrize(("kind", "body", "whole"), [
    (b"text/event-stream", START + STOP, True), (b"text/event-stream", START, False), (b"text/plain", b"hel", True),
    (b"application/json", b'{"usage":{"input_tokens":1}}', True), (b"application/json", b'{"usage":{"inp', False),
])  # fmt: skip
def test_an_answer_without_a_length_breaks_where_it_is_not_whole(kind: bytes, body: bytes, whole: bool) -> None:
    with saying(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n%b" % (kind, body)) as address:
        made, account = server.relay(Settings(anthropic=address))
        made.books = account = Account()
        with proxying(made) as url:
            assert ask(url, "/v1/messages", ASK).endswith(b"0\r\n\r\n") is whole
        until(lambda: account.recent)
    assert account.recent[-1].broke is not whole


def test_errors_of_our_own_are_not_the_clients_leaving(tmp_path: Path) -> None:
    made, account = server.relay(Settings(anthropic="http://127.0.0.1:9", log=tmp_path / "log"))
    with proxying(made) as url, httpx2.Client(timeout=PATIENCE) as client:
        for _ in range(3):
            assert client.post(url + "/v1/messages", content=ASK).status_code == 502
        entered(account, 3)
        ask(url, "/v1/messages", ASK, "x-goog-api-key: k\r\n")
        entered(account, 4)
    assert [(one.status, one.left) for one in account.recent] == [(502, False)] * 3 + [(421, False)]


def test_a_stream_that_the_proxy_ends_is_not_the_clients_leaving(
    vendor: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE", 0)
    account = Account()
    made, _ = server.relay(Settings(anthropic=vendor.url))
    made.books = account
    vendor.faults.append(Reply(200, STREAM, [START] + [b": wait\n\n"] * 999, pause=0.05))
    with ExitStack() as client:
        with proxying(made) as url:
            line, got = client.enter_context(line_to(url)), b""
            line.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(ASK) + ASK)
            while START not in got:
                got += line.recv(1 << 16)
        until(lambda: account.recent)
    record = account.recent[-1]
    assert record.broke and not record.left and record.note == "the proxy was stopped" and account.total.inexact == 1


@pytest.mark.parametrize(("asked", "answered", "priced_as", "noted"), [
    ("claude-opus-5", "claude-haiku-4-5", "claude-haiku-4-5", "claude-haiku-4-5"),
    ("opusplan", "claude-opus-5", "claude-opus-5", "claude-opus-5"),
    ("claude-opus-5", "claude-opus-5-20260724", "claude-opus-5", ""),
    ("claude-opus-5", "unheard-of", "claude-opus-5", ""),
    ("claude-opus-5", None, "claude-opus-5", ""),
])  # fmt: skip
def test_an_answer_is_charged_as_the_model_that_gave_it(
    asked: str, answered: str | None, priced_as: str, noted: str
) -> None:
    account, plain = Account(), Account()
    account.enter(exchange(asked, answered=answered))
    plain.enter(exchange(priced_as))
    assert account.total.dollars == plain.total.dollars > 0 and set(account.by_model) == {priced_as}
    assert account.recent[0].model == asked and account.recent[0].answered == noted


def test_what_is_in_no_sum_is_said() -> None:
    account = Account()
    account.enter(exchange(besides=("the rates of the service tier flex", "fees of sk-ant-x", "fees of " + "k" * 99)))
    assert account.total.besides == {"the rates of the service tier flex", "…"} and account.total.dollars > 0


def test_the_series_of_metrics_are_few_and_well_formed() -> None:
    account = Account()
    for number in range(200):
        account.enter(exchange(f'm{number}"}} 1\n/claude-opus-5'))
        account.enter(exchange(f"unheard-of-{number}"))
        account.enter(exchange(vendor='a"\\\n'))
    text = metrics(account)
    assert set(account.by_model) == {"claude-opus-5", "other"} and len(text.splitlines()) < 80
    shape = re.compile(r'# .*|\w+(\{\w+="(?:[^"\\\n]|\\["\\n])*"(,\w+="(?:[^"\\\n]|\\["\\n])*")*\})? [\d.]+')
    assert all(map(shape.fullmatch, text.splitlines())) and r'vendor="a\"\\\n"' in text


LOOSE = ["hunter2secret", "0123456789abcdef0123456789abcdef", "Bearer s3cr3t", "key=hunter2", "sk-ant-abc", "a1b2c3"]


@pytest.mark.parametrize("loose", LOOSE)
def test_only_words_of_known_shapes_are_written_down(loose: str) -> None:
    headers = {"user-agent": f"claude-cli/2.9.1 (external, cli, {loose}) {loose} {loose}/1.0 x/{loose}",
               "anthropic-beta": f"context-1m,{loose}", "x-app": loose, "x-stainless-lang": loose,
               "anthropic-version": loose, "originator": loose, "version": f"1.2 {loose}"}  # fmt: skip
    odd = exchange(headers=headers, method=loose, path=f"/v1/{loose}/{loose}".encode(), route=None)
    odd.said = Said(Usage(1), f"{loose}", loose, loose)
    account = Account()
    account.enter(odd)
    record = account.recent[0]
    assert record.client == "claude-cli/2.9.1 (external, cli)" and record.betas == ("context-1m", "…")
    told = json.dumps({**vars(record), "model": "", "auth": ""}, ensure_ascii=False)
    assert loose not in told and "hunter2" not in told


@pytest.mark.parametrize("agent", [
    "claude-cli/2.9.1 (external, cli)", "codex_cli_rs/0.61.0", "OpenAI/Python 1.99.1", "AsyncAnthropic/Python 1.17.0",
    "Anthropic/JS 0.60.0", "opencode/1.0.110 ai-sdk/provider-utils/3.0.17 runtime/bun/1.3.2", "python-httpx2/2.16.2",
    "claude-cli/2.1.0-beta.3 (external, sdk-ts, agent-sdk/0.1.2)", "google-genai-sdk/1.3.0 gl-python/3.11.7", "",
])  # fmt: skip
def test_what_clients_call_themselves_stays(agent: str) -> None:
    assert said_by.client(agent) == agent


GOOD = {"id": "1", "time": "2026-11-26T10:00:00", "session": "s", "vendor": "anthropic", "asks": "messages answer",
        "method": "POST", "status": 200}  # fmt: skip


@pytest.mark.parametrize("wrong", [
    {"status": "200"}, {"status": None}, {"status": 1.5}, {"tokens": {"uncached": "x"}}, {"tokens": [1]}, {"tokens": 3},
    {"dollars": "1"}, {"dollars": float("nan")}, {"dollars": float("inf")}, {"pages": "a"}, {"pages": [1]}, {"time": 5},
    {"model": ["x"]}, {"betas": {"a": 1}}, {"versions": {"a": 1}}, {"broke": 1}, {"sent": True}, {"session": None},
])  # fmt: skip
def test_a_line_of_wrong_types_is_passed_over_and_counted(wrong: dict[str, Any], tmp_path: Path) -> None:
    lines = [json.dumps(GOOD), json.dumps({**GOOD, **wrong}), "[" * 9999, '{"id":"1"', json.dumps({**GOOD, "new": 1})]
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    skipped: Counter[str] = Counter()
    read = list(records_in(tmp_path / "log", skipped))
    assert len(read) == 2 and skipped["lines"] == 3 and Sum().add(read[0]) is None and isinstance(read[0], Record)


def test_a_log_is_a_file_or_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a folder")):
        with pytest.raises(UsageError, match=kind):
            usable(path)
        with pytest.raises(UsageError, match=kind):
            list(records_in(path))
    for path in (tmp_path / "new", tmp_path / "below/it", Path("/dev/null")):
        usable(path)


def test_a_log_that_hangs_keeps_no_request_waiting(vendor: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    free, lines = threading.Event(), []

    def slow(path: Path, line: bytes, most: int) -> None:
        free.wait(PATIENCE)
        lines.append(line)

    monkeypatch.setattr(logging_room, "_append", slow)
    monkeypatch.setattr(logging_room, "PATIENCE", 0.01)
    monkeypatch.setattr(logging_room, "LINES", 5)
    made, account = server.relay(Settings(anthropic=vendor.url, log=Path("/nowhere/log")))
    with proxying(made) as url:
        with httpx2.Client(timeout=PATIENCE) as client:
            for _ in range(8):
                assert client.post(url + "/v1/messages", content=ASK).status_code == 200
        entered(account, 8)
        assert account.lost == 3 and "lines are lost" in account.trouble
        assert "microfiche_log_lost_total 3\n" in get(url + "/metrics").text
        free.set()
    assert len(lines) == 5, "what was taken is written before the end"


def test_lines_of_a_log_keep_their_order_and_are_written_when_it_is_flushed(tmp_path: Path) -> None:
    log = Log(tmp_path / "deep/er/log")
    for number in range(300):
        log.write(b"%d\n" % number, 1000)
    assert log.flush(PATIENCE) and log.lost == 0
    whole = (tmp_path / "deep/er/log.1").read_bytes() + (tmp_path / "deep/er/log").read_bytes()
    assert whole.split()[-1] == b"299" and whole.split() == [b"%d" % n for n in range(int(whole.split()[0]), 300)]
