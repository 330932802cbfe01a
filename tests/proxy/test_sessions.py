"""Sessions of agents through the proxy: what the provider sees is what the agent sent, and its cache and its checks of
thinking are content; the account of each is the provider's bill."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest
from agent import ClaudeCode, Codex, GeminiCLI, OpenCode, tool_script
from between import PATIENCE, all_to, entered, get, post, proxying
from provider.answers import Turn
from provider.checks import CONTROLS
from provider.server import Provider, Reply, provider

from microfiche.memory.billing import Usage
from microfiche.memory.models import models
from microfiche.proxy.account import Account
from microfiche.proxy.relay import Relay


@contextmanager
def keeping(vendor: Provider, log: Path | None = None) -> Iterator[tuple[str, Account]]:
    """A proxy that keeps an account."""
    account = Account(log)
    with proxying(Relay(all_to(vendor.url), books=account)) as url:
        yield url, account


def agrees(account: Account, vendor: Provider, requests: int) -> None:
    """The account is the bill: its tokens by kind, and its money to a millionth of a dollar."""
    bill = vendor.cache.bill
    entered(account, requests)
    whole = sum((usage for _, usage, _ in bill.lines), Usage())
    assert {kind: account.total.tokens[kind] for kind in ("uncached", "written", "written_hour", "read", "output")} == (
        vars(whole)
    )
    assert account.total.dollars == pytest.approx(float(bill.dollars), abs=1e-9)
    assert account.total.text_tokens == account.total.tokens and account.total.saved == 0
    assert bill.dollars > 0 and account.total.unpriced == 0


def test_claude_code_works_for_50_turns(vendor: Provider) -> None:
    vendor.script = tool_script(50)
    with keeping(vendor) as (url, account), ClaudeCode(url) as agent:
        agent.start()
        assert agent.play("Read it all.") == 51
        assert agent.count() > 10_000
        requests = [r for r in vendor.requests if r.path == "/v1/messages?beta=true"][1:]
        assert [r.body for r in requests] == agent.bodies
        for before, after in pairwise(requests):
            assert before.usage is not None and after.usage is not None
            assert after.usage.read == before.usage.read + before.usage.written + before.usage.written_hour
            assert bare(after.body).startswith(bare(before.body))
        agrees(account, vendor, 2 + 51 + 1)
        assert len(account.sessions) == 1


def bare(body: bytes) -> str:
    """The messages of a request as far as they are the beginning of the next one's: without marks and what closes."""
    text = body.decode()
    text = re.sub(r',"cache_control":\{[^}]*\}', "", text[text.index('"messages"') : text.index('"system"')])
    return text.rstrip("],}")


def test_thoughts_come_back_with_their_signatures_or_the_provider_says_so(vendor: Provider) -> None:
    vendor.script = tool_script(6)
    with keeping(vendor) as (url, _), ClaudeCode(url) as agent:
        agent.play("Read.")
        agent.messages[0]["content"][0]["text"] = "Read something else."
        changed = post(url + "/v1/messages", content=agent.body(stream=False), headers=agent.headers)
        assert changed.status_code == 400 and "signature" in changed.json()["error"]["message"]
        assert changed.headers["request-id"] == "req_x"
        binding = {"type": "enabled", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
        body = agent.body(stream=False, thinking=binding)
        assert post(url + "/v1/messages", content=body, headers=agent.headers).status_code == 400
        allowed = {**agent.headers, "anthropic-beta": f"{agent.headers['anthropic-beta']},{CONTROLS}"}
        dropped = post(url + "/v1/messages", content=body, headers=allowed)
        assert dropped.status_code == 200 and len(dropped.json()["input_transformations"]) == 6


def test_codex_asks_by_websocket_first_and_then_works_by_http(vendor: Provider) -> None:
    vendor.script = tool_script(12)
    with keeping(vendor) as (url, account), Codex(url) as agent:
        upgrade = {**agent.headers, "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-key": "x"}
        assert get(url + "/v1/responses", headers=upgrade).status_code == 426
        assert agent.play("Read it all.") == 13
        assert [r.body for r in vendor.requests] == agent.bodies
        reads = [r.usage.read for r in vendor.requests if r.usage]
        assert reads == sorted(reads) and reads[-1] > 0
        agrees(account, vendor, 13)
        kept = json.loads(agent.bodies[-1])["input"]
        kinds = [item["type"] for item in kept[1:5]]
        assert kinds == ["reasoning", "message", "function_call", "function_call_output"]
        count = post(url + "/v1/responses/input_tokens", content=agent.body(), headers=agent.headers)
        assert count.json()["input_tokens"] > 5000
        compact = post(url + "/v1/responses/compact", content=b'{"odd" :1}', headers=agent.headers)
        assert compact.status_code == 200 and vendor.requests[-1].body == b'{"odd" :1}'


def test_opencode_calls_two_tools_at_a_time(vendor: Provider) -> None:
    vendor.script = tool_script(10, parallel=2)
    with keeping(vendor) as (url, account), OpenCode(url) as agent:
        assert agent.play("Read it all.") == 6
        assert [r.body for r in vendor.requests] == agent.bodies
        agrees(account, vendor, 6)


def test_gemini_cli_works(vendor: Provider) -> None:
    vendor.script = tool_script(8)
    with keeping(vendor) as (url, account), GeminiCLI(url) as agent:
        assert agent.play("Read it all.") == 9
        assert [r.body for r in vendor.requests] == agent.bodies
        agrees(account, vendor, 9)


def test_sessions_side_by_side_do_not_mix(vendor: Provider, tmp_path: Path) -> None:
    """Four agents in two proxies at once, two of them subagents of one session with prompts of their own."""
    vendor.script = tool_script(8)
    log = tmp_path / "log"
    with keeping(vendor, log) as (first, one), keeping(vendor, log) as (second, two), ExitStack() as stack:
        places = ((first, "a"), (first, "b"), (second, "a"), (second, "c"))
        agents = [stack.enter_context(ClaudeCode(url, session=name)) for url, name in places]
        threads = [threading.Thread(target=agent.play, args=(f"Task {n}.",)) for n, agent in enumerate(agents)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sent = sorted(body for agent in agents for body in agent.bodies)
        assert sorted(r.body for r in vendor.requests) == sent and all(len(agent.bodies) == 9 for agent in agents)
        for account in (one, two):
            entered(account, 18)
        assert len(one.sessions) == len(two.sessions) == 2
        assert one.total.dollars + two.total.dollars == pytest.approx(float(vendor.cache.bill.dollars), abs=1e-9)
        assert len(log.read_text().splitlines()) == 36


PRICED = [name for name, model in models().items() if model.prices_at() is not None]


@pytest.mark.parametrize("name", PRICED)
def test_the_account_of_a_session_is_the_bill_for_every_model(name: str) -> None:
    """Caches of both kinds, an hour and five minutes, and prompts on both sides of a price step."""
    model = models()[name]
    prices = model.prices_at()
    assert prices is not None
    with (
        provider() as vendor,
        keeping(vendor) as (url, account),
        httpx2.Client(base_url=url, timeout=PATIENCE) as client,
    ):
        step = prices.above.tokens if prices.above else 20_000
        for size in (600, 5000, step + 3000):
            text = "token " * (size * 4 // 6)
            for ask in range(2):
                if model.shape == "anthropic":
                    mark = {"type": "ephemeral", **({"ttl": "1h"} if size > 5000 else {})}
                    said = [{"type": "text", "text": text, "cache_control": mark}, {"type": "text", "text": f"{ask}?"}]
                    body = {"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": said}]}
                    client.post("/v1/messages", json=body)
                elif model.shape == "gemini":
                    said = [{"text": text}, {"text": f"{ask}?"}]
                    client.post(f"/v1beta/models/{name}:generateContent", json={"contents": [{"parts": said}]})
                else:
                    said = [{"role": "user", "content": text}, {"role": "user", "content": f"{ask}?"}]
                    stored = model.shape == "responses"
                    body = {"model": name, "input" if stored else "messages": said}
                    client.post("/v1/responses" if stored else "/v1/chat/completions", json=body)
        lines = vendor.cache.bill.lines
        assert len(lines) == 6 and all(recorded.usage for recorded in vendor.requests)
        known = [dollars for _, _, dollars in lines if dollars is not None]
        entered(account, 6)
        assert account.total.unpriced == 6 - len(known)
        assert account.total.dollars == pytest.approx(float(sum(known, Decimal(0))), abs=1e-9)
        whole = sum((usage for _, usage, _ in lines), Usage())
        assert +account.total.tokens == {key: value for key, value in vars(whole).items() if value}
        assert whole.read > 0 and (model.shape != "anthropic" or whole.written > 0 < whole.written_hour)


KINDS = {(models()[name].shape, *models()[name].factors.items()): name for name in PRICED}  #: one model of each
TIERS = [(name, tier) for name in KINDS.values() for tier in (*models()[name].factors, "scale")]


def test_other_service_tiers_are_billed_as_the_registry_has_them(vendor: Provider) -> None:
    """A tier that it does not have is charged at the usual rates, and named."""
    with keeping(vendor) as (url, account), httpx2.Client(base_url=url, timeout=PATIENCE) as client:
        for number, (name, tier) in enumerate(TIERS):
            model, said, stream = models()[name], "token " * 900, number % 3 == 0
            asks = {"service_tier": tier, "stream": stream, "model": name}
            if model.shape == "anthropic":
                marked = [{"type": "text", "text": said, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
                asks |= {"service_tier": "auto", "speed": tier} if tier == "fast" else {}
                client.post("/v1/messages", json={**asks, "messages": [{"role": "user", "content": marked}]})
            elif model.shape == "gemini":
                action = "streamGenerateContent?alt=sse" if stream else "generateContent"
                body = {"service_tier": tier, "contents": [{"parts": [{"text": said}]}]}
                client.post(f"/v1beta/models/{name}:{action}", json=body)
            elif model.shape == "responses":
                client.post("/v1/responses", json={**asks, "input": said})
            else:
                asks |= {"messages": [{"role": "user", "content": said}], "stream_options": {"include_usage": True}}
                client.post("/v1/chat/completions", json=asks)
    assert account.total.failed == 0 and account.total.requests == len(vendor.cache.bill.lines) == len(TIERS) > 12
    for (name, tier), record, (_, _, bill) in zip(TIERS, account.recent, vendor.cache.bill.lines, strict=True):
        assert record.dollars == pytest.approx(None if bill is None else float(bill), abs=1e-12), (name, tier)
        known = tier in models()[name].factors
        assert record.tier == tier and record.besides == (() if known else (f"the rates of the service tier {tier}",))
        assert record.text_dollars == record.dollars


def test_a_model_that_is_not_in_the_registry_has_tokens_and_no_money(vendor: Provider) -> None:
    with keeping(vendor) as (url, account):
        body = {"model": "somebodys-own", "messages": [{"role": "user", "content": "hi"}]}
        post(url + "/v1/chat/completions", json=body)
        entered(account, 1)
        assert account.total.unpriced == 1 and account.total.dollars == 0 and account.total.tokens["uncached"] > 0


def test_a_stream_that_says_no_usage_is_counted_as_not_known(vendor: Provider) -> None:
    body = {"model": "gpt-6-sol", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with keeping(vendor) as (url, account):
        post(url + "/v1/chat/completions", json=body)
    assert account.total.unpriced == 1 and "include_usage" in account.recent[-1].note


def test_what_is_not_answered_or_only_counted_costs_nothing(vendor: Provider) -> None:
    body = {"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi"}]}
    with keeping(vendor) as (url, account):
        post(url + "/v1/messages/count_tokens", json=body)
        vendor.faults += [Reply(429, [("retry-after", "3"), ("content-type", "application/json")], [b"{}"], length=2),
                          Reply(200, [("content-type", "text/html")], [b"<html>hm</html>"])]  # fmt: skip
        for status in (429, 200):
            assert post(url + "/v1/messages", json=body).status_code == status
        entered(account, 3)
        assert not +account.total.tokens and account.total.failed == 1


def test_an_answer_that_breaks_off_is_charged_for_what_was_said(vendor: Provider) -> None:
    start = (b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude-opus-5",'
             b'"usage":{"input_tokens":1000,"output_tokens":1}}}\n\n')  # fmt: skip
    vendor.faults.append(Reply(200, [("content-type", "text/event-stream")], [start], breaks=True))
    with keeping(vendor) as (url, account), pytest.raises(httpx2.RemoteProtocolError):
        post(url + "/v1/messages", json={"model": "claude-opus-5", "stream": True, "messages": []})
    record = account.recent[-1]
    assert record.broke and record.dollars == pytest.approx(1000 * 5e-6 + 25e-6)


def test_a_refusal_is_seen_and_passed(vendor: Provider) -> None:
    vendor.script = lambda body: Turn("", refuses=True)
    with keeping(vendor) as (url, account), ClaudeCode(url) as agent:
        agent.messages.append({"role": "user", "content": "?"})
        assert agent.turn()["stop_reason"] == "refusal" and len(vendor.requests) == 1
        assert account.recent[-1].ended == "refusal"
