"""Drawing: a session goes up as pages from its first turn on, and never otherwise; what is sent stays what was sent."""

from __future__ import annotations

import base64
import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from agent import WORDS, ClaudeCode, Codex, GeminiCLI, OpenCode, listing, tool_script, tools
from between import all_to, post, proxying, until
from PIL import Image
from provider.answers import Turn
from provider.cache import grades_in, pictures_in, size_of
from provider.checks import CONTROLS
from provider.server import Provider, Reply, provider
from test_sessions import bare

from microfiche.memory.exact import KINDS
from microfiche.memory.profiles import Profile, Row, Score, store_profile
from microfiche.page import Reading, TypesetPage
from microfiche.proxy.account import Account
from microfiche.proxy.drawer import LedgerDrawer
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.relay import Relay
from microfiche.proxy.verdict import Draw


def perfect(pages: Sequence[TypesetPage]) -> list[Reading]:
    """Reads every page as it was set, in no time."""
    return [Reading(page.text, np.ones(len(page.text), np.float32), page.boxes) for page in pages]


def prose(lines: int, rng: Random | None = None) -> list[str]:
    """Lines of words in which nothing has to be exact."""
    rng = rng or Random(1)
    return [" ".join(rng.choices(WORDS, k=9)) for _ in range(lines)]


@pytest.fixture(autouse=True)
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of OpenAI's that read 5x8, by a profile of the user's own."""
    monkeypatch.setenv("MICROFICHE_CONFIG", str(tmp_path / "config"))
    all_right = Score(right=48, asked=48)
    row = Row(density="5x8", side=1280, scale=1.0, tokens=1920, ratio=5.0, scores=dict.fromkeys(KINDS, all_right),
              absent=all_right)  # fmt: skip
    for name in ("gpt-6.2-sol", "gpt-6-luna", "gemini-4-neon"):
        store_profile(Profile(model=name, measured=date(2026, 11, 20), rows=(row,)))


@contextmanager
def drawing(
    vendor: Provider, ledger: Path, kinds: Draw = Draw.safe, read: Any = perfect
) -> Iterator[tuple[str, Account]]:
    """A proxy that draws, with a ledger."""
    account, opened = Account(), Ledger(ledger)
    relay = Relay(all_to(vendor.url), books=account, drawer=LedgerDrawer(lambda: opened, kinds, read))
    try:
        with proxying(relay) as url:
            yield url, account
    finally:
        opened.close()


def asked(vendor: Provider) -> list[Any]:
    return [r for r in vendor.requests if r.path == "/v1/messages?beta=true" and r.usage and r.json["max_tokens"] > 1]


def test_fifty_turns_with_a_restart_and_another_session_between(vendor: Provider, tmp_path: Path) -> None:
    """Every request begins with the one before it, the cache reads all of that, and thoughts that are bound to it stay
    valid, whatever may be drawn."""
    vendor.script = tool_script(60)
    one, other = (ClaudeCode("", "claude-fable-5-1", name) for name in ("s-1", "s-2"))

    def turn(agent: ClaudeCode, url: str) -> None:
        agent.url = url
        calls = [block for block in agent.turn()["content"] if block["type"] == "tool_use"]
        agent.messages.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call["id"], "content": listing(len(agent.messages))}
            for call in calls]})  # fmt: skip

    with one, other:
        for agent, words in ((one, "Read it all."), (other, "And again.")):
            agent.messages.append({"role": "user", "content": [{"type": "text", "text": words}]})
        for part in range(2):
            with drawing(vendor, tmp_path / "ledger", Draw.full) as (url, account):
                for number in range(25):
                    turn(one, url)
                    if 20 < number + 25 * part < 29:
                        turn(other, url)
                until(lambda: account.total.saved > 0)
                assert account.total.unpriced == 0
    requests = asked(vendor)
    for agent, turns in ((one, 50), (other, 8)):
        session = [r for r in requests if r.header("x-claude-code-session-id") == agent.session]
        slab = len(pictures_in(session[0].json))
        assert len(session) == turns and len(pictures_in(session[-1].json)) == slab + turns - 1 and slab > 0
        for before, after in pairwise(session):
            assert bare(after.body).startswith(bare(before.body))
            assert after.usage.read == before.usage.read + before.usage.written + before.usage.written_hour
        assert session[-1].body.decode().count("read_lines") == 1


@pytest.mark.parametrize("make", [
    lambda url: Codex(url), lambda url: OpenCode(url), lambda url: GeminiCLI(url, "gemini-4-neon"),
])  # fmt: skip
def test_other_dialects_keep_their_prefix_and_their_pairs(
    vendor: Provider, tmp_path: Path, make: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.listing", lambda seed, lines=0: listing(seed, 300))  # Gemini's pages have one price
    vendor.script = tool_script(8, parallel=2)
    with drawing(vendor, tmp_path / "ledger") as (url, account), make(url) as agent:
        agent.play("Read it all.")
    requests = [r for r in vendor.requests if r.usage]
    assert len(pictures_in(requests[-1].json)) >= 4 and account.total.pages > 10
    for before, after in pairwise(requests):
        first, second = said(before.json), said(after.json)
        assert second[: len(first)] == first
        assert after.usage.read >= before.usage.read
    if isinstance(agent, OpenCode):
        roles = [m["role"] for m in requests[-1].json["messages"]]
        assert roles[2:6] == ["assistant", "tool", "tool", "user"]


def test_results_of_one_turn_share_pages_where_a_picture_has_one_price(
    vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them would pay alone; a restart changes nothing, nor that one of them comes again by itself."""
    monkeypatch.setattr("agent.listing", lambda seed, lines=0: "\n".join(prose(60, Random(seed))))
    vendor.script = tool_script(5, parallel=3)
    with GeminiCLI("", "gemini-3.7-flash", "v1") as agent:  # which knows no resolution of a part
        with drawing(vendor, tmp_path / "ledger") as (agent.url, account):
            agent.play("Read it all.")
            assert "results of" in account.recent[-1].reasons[-1]
        vendor.script = tool_script(21)
        with drawing(vendor, tmp_path / "ledger") as (agent.url, account):
            agent.play("And that.")
    requests = [r for r in vendor.requests if r.usage]
    assert [len(pictures_in(r.json)) for r in requests] == [0, 1, 2, 3, 4, 5] + [5] * (len(requests) - 6)
    for before, after in pairwise(requests):
        first, second = said(before.json), said(after.json)
        assert second[: len(first)] == first and after.usage.read >= before.usage.read
    replies = [part["functionResponse"]["response"] for content in requests[5].json["contents"]
               for part in content["parts"] if "functionResponse" in part]  # fmt: skip
    assert len(replies) == 15 and len(requests) > 9
    assert all(f" {n % 3 + 1} of 3]" in json.dumps(reply) for n, reply in enumerate(replies))


@pytest.mark.parametrize("told", [None, "MEDIA_RESOLUTION_LOW"])
def test_gemini_sees_a_part_of_a_page_in_a_resolution_that_costs_less(
    vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None
) -> None:
    """By `v1beta`; `v1` has one resolution for all, so that nothing is drawn where a client has chosen that."""
    monkeypatch.setattr("agent.listing", lambda seed, lines=0: "\n".join(prose(60 * seed, Random(seed))))
    vendor.script = tool_script(5)
    chosen: dict[str, Any] = {"generationConfig": {"mediaResolution": told}} if told else {}
    with drawing(vendor, tmp_path / "ledger") as (url, account), GeminiCLI(url, "gemini-3.7-flash", **chosen) as agent:
        agent.play("Read it all.")
        sent = vendor.requests[-1].json
        full = "high" if told else None
        assert set(grades_in(sent)) == {"low", "medium", full}
        for png, grade in zip(pictures_in(sent), grades_in(sent), strict=True):
            assert size_of(png)[1] <= {"low": 224, "medium": 448}.get(grade or "", 896), "at the scale of a page"
    for before, after in pairwise(r for r in vendor.requests if r.usage):
        assert said(after.json)[: len(said(before.json))] == said(before.json)
    with (
        drawing(vendor, tmp_path / "ledger") as (url, account),
        GeminiCLI(url, "gemini-3.7-flash", "v1", **chosen) as agent,
    ):
        agent.play("And by the other path.")
        pages = pictures_in(vendor.requests[-1].json)
        assert not pages if told else {size_of(png) for png in pages} > {(1280, 896)}
        assert set(grades_in(vendor.requests[-1].json)) <= {None}
        assert not told or "in which resolution" in account.recent[-1].reasons[0]


def said(body: Any) -> list[str]:
    return [json.dumps(m) for m in body.get("messages") or body.get("input") or body["contents"]]


def test_only_the_texts_that_are_drawn_change(vendor: Provider, tmp_path: Path) -> None:
    vendor.script = tool_script(3)
    with drawing(vendor, tmp_path / "ledger") as (url, _), ClaudeCode(url, "claude-fable-5") as agent:
        agent.play("Read.")
        for recorded, body in zip(asked(vendor), agent.bodies, strict=True):
            sent, own = recorded.json, json.loads(body)
            for message, as_sent in zip(own["messages"], sent["messages"], strict=True):
                for block, there in zip(message["content"], as_sent["content"], strict=True):
                    if block["type"] == "tool_result" and isinstance(there["content"], list):
                        text, picture = there.pop("content")
                        assert picture["type"] == "image" and text["text"].splitlines()[0].count("[page ") <= 1
                        assert all(line.split()[-1] in text["text"] for line in block.pop("content").splitlines())
            assert sent == own
        off = post(url + "/v1/messages", content=agent.body(), headers={**agent.headers, "x-microfiche": "off"})
        assert off.status_code == 400 and "signature" in off.text, "the text was never sent in this session"


def test_a_model_without_a_profile_and_what_was_seen_as_text_stay_text(vendor: Provider, tmp_path: Path) -> None:
    vendor.script = tool_script(4)
    with drawing(vendor, tmp_path / "ledger") as (url, account), ClaudeCode(url, "claude-opus-5-5") as agent:
        agent.play("Read.")
        assert [r.body for r in asked(vendor)] == agent.bodies
        assert account.recent[-1].reasons == ("text: the model has no profile",)
    with provider() as second, ClaudeCode(second.url, "claude-fable-5") as agent:
        second.script = tool_script(6)
        agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Read."}]})
        for number in range(4):
            call = agent.turn()["content"][-1]
            agent.messages.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call["id"], "content": listing(number)}]})  # fmt: skip
        with drawing(second, tmp_path / "ledger") as (url, _):
            agent.url = url
            agent.turn()
        assert len(pictures_in(second.requests[-1].json)) == 1, "only what is new is drawn"
        blocks = [b for m in second.requests[-1].json["messages"] for b in m["content"] if b["type"] == "tool_result"]
        assert [isinstance(b["content"], str) for b in blocks] == [True, True, True, False]


@pytest.mark.parametrize("make", [
    lambda url: ClaudeCode(url, "claude-fable-5"), lambda url: Codex(url), lambda url: OpenCode(url),
    lambda url: GeminiCLI(url, "gemini-4-neon"),
])  # fmt: skip
def test_the_system_prompt_and_tool_documents_go_to_pages_of_the_first_message(
    vendor: Provider, tmp_path: Path, make: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [{**tool, "description": f"Does a thing.\n{listing(n, 40)}"} for n, tool in enumerate(tools(9))]
    monkeypatch.setattr("agent.tools", lambda: documents)
    vendor.script = tool_script(4)
    with drawing(vendor, tmp_path / "ledger", Draw.slab) as (url, account), make(url) as agent:
        agent.play("Read it all.")
        until(lambda: account.total.saved > 0)
    requests = [r for r in vendor.requests if r.usage]
    first = requests[0].json
    everything = json.dumps(first)
    assert len(pictures_in(said_first(first))) == 2
    assert everything.count("More under its name on page") == 8 and everything.count("Does a thing.") == 8
    assert "More of this is on page" in everything and everything.count("read_lines") == 1
    for before, after in pairwise(requests):
        assert [json.dumps(before.json.get(key)) for key in ("tools", "instructions")] == [
            json.dumps(after.json.get(key)) for key in ("tools", "instructions")]  # fmt: skip
        assert after.usage.read >= before.usage.read
    if isinstance(agent, ClaudeCode):
        assert [b["text"][:20] for b in first["system"]][1] == "You are Claude Code, "[:20]
        assert "cache_control" not in first["system"][2] and "cache_control" in first["messages"][0]["content"][-2]
        for before, after in pairwise(requests):
            assert after.usage.read == before.usage.read + before.usage.written + before.usage.written_hour
            assert bare(after.body).startswith(bare(before.body))
        with drawing(vendor, tmp_path / "ledger", Draw.slab) as (url, _), ClaudeCode(url, agent.model, "s-9") as second:
            second.play("Something else.")
            assert asked(vendor)[len(requests)].usage.read > 1000, "another session reads the same pages from the cache"


def said_first(body: Any) -> Any:
    """The first message of the user."""
    return next(m for m in body.get("messages") or body.get("input") or body["contents"] if m.get("role") == "user")


def test_what_a_provider_stores_keeps_its_instructions(vendor: Provider, tmp_path: Path) -> None:
    """A response that is stored may be gone on from, without the message that would hold the pages."""
    body = {"model": "gpt-6.2-sol", "instructions": f"You are kind.\n{listing(7, 300)}", "input": "Hello."}
    with drawing(vendor, tmp_path / "ledger", Draw.slab) as (url, _):
        for more, drawn in (({}, 0), ({"store": True}, 0), ({"store": False}, 1)):
            post(url + "/v1/responses", json={**body, **more})
            assert len(pictures_in(vendor.requests[-1].json)) == drawn


def test_a_session_that_has_begun_keeps_its_system_prompt(vendor: Provider, tmp_path: Path) -> None:
    vendor.script = tool_script(3)
    with ClaudeCode(vendor.url, "claude-fable-5") as agent:
        agent.play("Read.")
        with drawing(vendor, tmp_path / "ledger", Draw.slab) as (url, _):
            agent.url = url
            agent.messages.append({"role": "user", "content": "And now?"})
            agent.turn()
        assert vendor.requests[-1].body == agent.bodies[-1]


class Session:
    """A session of one big result after another, in bodies written by hand; each is answered."""

    def __init__(self, url: str, model: str = "claude-fable-5") -> None:
        self.url, self.model = url, model
        self.messages: list[Any] = [{"role": "user", "content": "Read."}]

    def turn(self, content: Any = None, **more: Any) -> Any:
        call = f"toolu_{len(self.messages)}"
        content = listing(len(self.messages), 200) if content is None else content
        self.messages += [
            {"role": "assistant", "content": [{"type": "tool_use", "id": call, "name": "Read", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": content, **more}]},
        ]
        return self.send()

    def says(self, words: str) -> Any:
        """The user says something after the model is done."""
        self.messages += [{"role": "assistant", "content": "Done."}, {"role": "user", "content": words}]
        return self.send()

    def send(self) -> Any:
        body = {"model": self.model, "max_tokens": 9, "messages": self.messages, "tools": tools(3)}
        return post(self.url + "/v1/messages", content=json.dumps(body).encode())


def spoilt(path: Path, how: str) -> None:
    changes = {"newer": "PRAGMA user_version = 99", "picture": "UPDATE page SET png = substr(png, 1, 60) || x'00'",
               "text": "UPDATE block SET text = x'00ff'", "table": "DROP TABLE page"}  # fmt: skip
    if how == "damaged":
        path.write_bytes(path.read_bytes()[:4096] + b"\x55" * 60000)
    elif how == "none":
        path.write_bytes(b"this was a ledger once " * 500)
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(changes[how])


@pytest.mark.parametrize("how", ["damaged", "none", "newer", "picture", "text", "table"])
def test_a_ledger_that_cannot_be_used_lets_the_original_through(vendor: Provider, tmp_path: Path, how: str) -> None:
    path = tmp_path / "ledger"
    session = Session("")
    with drawing(vendor, path) as (session.url, _):
        session.turn()
    assert pictures_in(vendor.requests[-1].json)
    spoilt(path, how)
    account = Account()
    drawer = LedgerDrawer(lambda: Ledger(path), Draw.safe, perfect)
    with proxying(Relay(all_to(vendor.url), books=account, drawer=drawer)) as session.url:
        for _ in range(2):
            assert session.turn().status_code == 200
    assert not pictures_in(vendor.requests[-1].json) and vendor.requests[-1].json["messages"] == session.messages
    assert str(path) in account.recent[-1].reasons[0] and account.recent[-1].reasons[0].startswith("text: ")


def test_a_ledger_that_is_locked_or_full_keeps_what_was_drawn_and_draws_nothing_more(
    vendor: Provider, tmp_path: Path
) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path, timeout=0.01)
    account = Account()
    drawer = LedgerDrawer(lambda: ledger, Draw.safe, perfect)
    with proxying(Relay(all_to(vendor.url), books=account, drawer=drawer)) as url:
        session = Session(url)
        session.turn()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        session.turn()
        assert "is writing to it" in account.recent[-1].reasons[-1]
        holder.execute("ROLLBACK")
        holder.close()
        session.turn()
        ledger._connection.execute("PRAGMA max_page_count = 1")
        session.turn()
        assert "full" in account.recent[-1].reasons[-1]
    drawn = [[isinstance(m["content"][0]["content"], list) for m in r.json["messages"][2::2]] for r in vendor.requests]
    assert drawn == [[True], [True, False], [True, False, True], [True, False, True, False]]
    for before, after in pairwise(vendor.requests):
        assert after.json["messages"][: len(before.json["messages"])] == before.json["messages"]


def test_a_page_that_cannot_be_set_or_read_back_is_text_for_ever(vendor: Provider, tmp_path: Path) -> None:
    fails = [True]

    def read(pages: Sequence[TypesetPage]) -> list[Reading]:
        if fails.pop() if fails else False:
            raise MemoryError
        return perfect(pages)

    with drawing(vendor, tmp_path / "ledger", read=read) as (url, account):
        session = Session(url)
        session.turn()
        assert "could not be drawn: MemoryError" in account.recent[-1].reasons[0]
        session.turn()
    assert [isinstance(m["content"][0]["content"], list) for m in vendor.requests[-1].json["messages"][2::2]] == [
        False, True]  # fmt: skip


def test_what_code_asked_for_is_given_to_it_as_text(vendor: Provider, tmp_path: Path) -> None:
    """The result of a call that the vendor's own code made goes to that code (Anthropic, programmatic tool calling)."""
    calls = [{"type": "tool_use", "id": f"t{n}", "name": "read", "input": {}} for n in range(2)]
    calls[0]["caller"] = {"type": "code_execution_20250825", "tool_id": "s1"}
    calls[1]["caller"] = {"type": "direct"}
    results = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": listing(n, 200)} for n in range(2)]
    messages = [{"role": "user", "content": "Sum."}, {"role": "assistant", "content": calls},
                {"role": "user", "content": results}]  # fmt: skip
    with drawing(vendor, tmp_path / "ledger") as (url, _):
        body = {"model": "claude-fable-5", "max_tokens": 9, "messages": messages}
        assert post(url + "/v1/messages", json=body).status_code == 200
    sent = vendor.requests[-1].json["messages"][-1]["content"]
    assert sent[0] == results[0] and isinstance(sent[1]["content"], list)


def test_what_must_stay_text_stays_text(vendor: Provider, tmp_path: Path) -> None:
    reminder = "<system-reminder>\nBe kind.\n</system-reminder>"
    with drawing(vendor, tmp_path / "ledger") as (url, _):
        session = Session(url)
        session.turn(listing(1, 200), is_error=True)
        session.turn("x\0" * 5000)
        session.turn("שלום עולם\n" * 900)
        session.turn([{"type": "text", "text": f"{listing(3, 200)}\n{reminder}"}, {"type": "text", "text": "short"}])
        session.says(listing(4, 90))
        session.says("W" + listing(5, 900))
    sent = vendor.requests[-1].json["messages"]
    results = [m["content"][0]["content"] for m in sent if isinstance(m["content"][0], dict)
               and m["content"][0]["type"] == "tool_result"]  # fmt: skip
    assert [isinstance(r, list) and len(r) for r in results] == [False, False, False, 4]
    assert results[3][2] == {"type": "text", "text": reminder} and results[3][3]["text"] == "short"
    assert [m["content"] for m in sent if m["role"] == "user" and isinstance(m["content"], str)] == [
        "Read.", listing(4, 90)]  # fmt: skip
    (paste,) = [m["content"] for m in sent if m["role"] == "user" and isinstance(m["content"], list)
                and m["content"][0]["type"] == "text"]  # fmt: skip
    assert paste[0]["text"].startswith("W") and 1000 < len(paste[0]["text"]) <= 1500
    assert listing(5, 900).endswith(paste[-1]["text"]) and len(pictures_in(paste)) > 1


def test_a_client_s_own_pictures_count(vendor: Provider, tmp_path: Path) -> None:
    """A screenshot of 3,000 px is refused beside more than twenty pictures, so that no twenty-first is made."""
    made = io.BytesIO()
    Image.new("1", (3000, 64)).save(made, "PNG")
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(made.getvalue()).decode()}
    with drawing(vendor, tmp_path / "ledger") as (url, account):
        session = Session(url)
        session.messages[0]["content"] = [{"type": "image", "source": source}, {"type": "text", "text": "Read."}]
        for number in range(24):
            assert session.turn(listing(number, 40)).status_code == 200
    assert len(pictures_in(vendor.requests[-1].json)) == 20
    assert "more pictures" in account.recent[-1].reasons[-1]


@pytest.mark.parametrize("status", [400, 404, 415])
def test_a_vendor_that_does_not_take_pages_is_asked_once_more_as_the_client_did(
    vendor: Provider, tmp_path: Path, status: int
) -> None:
    def no_pictures(recorded: Any) -> Reply | None:
        wrong = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "image"}}).encode()
        return Reply(status, [("x-a", "1")], [wrong], length=len(wrong)) if pictures_in(recorded.json) else None

    with drawing(vendor, tmp_path / "ledger") as (url, account):
        session = Session(url)
        vendor.reply = no_pictures
        assert session.turn().status_code == 200 and len(vendor.requests) == 2
        assert vendor.requests[-1].json["messages"] == session.messages
        record = account.recent[-1]
        assert "asked again as text" in record.note and not record.pages and record.tokens == record.text_tokens
        vendor.reply = lambda recorded: None
        session.turn()
        assert f"answered {status} to pages" in account.recent[-1].reasons[-1], "nothing more is drawn"
        vendor.faults.append(Reply(429, [], [b"{}"], length=2))
        assert session.turn().status_code == 429
        count = len(vendor.requests)
        body = {"model": "claude-fable-5", "max_tokens": 9, "messages": [{"role": "robot", "content": "x" * 9000}]}
        assert post(url + "/v1/messages", json=body).status_code == 400 and len(vendor.requests) == count + 1


def test_a_vendor_that_has_no_time_for_the_original_is_sent_the_pages_again(vendor: Provider, tmp_path: Path) -> None:
    """That it did not take the pages is only known once it takes the text."""
    wrong = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}).encode()
    busy = Reply(529, [("retry-after", "1")], [b"{}"], length=2)
    with drawing(vendor, tmp_path / "ledger") as (url, _):
        session = Session(url)
        vendor.faults += [Reply(400, [], [wrong], length=len(wrong)), busy]
        first = session.turn()
        assert first.status_code == 529 and first.headers["retry-after"] == "1" and len(vendor.requests) == 2
        assert session.send().status_code == 200 and len(vendor.requests) == 3
    assert pictures_in(vendor.requests[2].json) == pictures_in(vendor.requests[0].json) != []


def test_a_vendor_that_fails_over_new_pages_is_asked_once_more(vendor: Provider, tmp_path: Path) -> None:
    """With what is new as text. What it took before is not the cause, and what comes later may be drawn."""
    fails = Reply(500, [("x-a", "1")], [b"{}"], length=2)
    with drawing(vendor, tmp_path / "ledger") as (url, account):
        session = Session(url)
        session.turn()
        vendor.faults.append(fails)
        assert session.turn().status_code == 200
        assert account.recent[-1].note == "the vendor answered 500 to pages; asked again with older pages"
        session.turn()
        assert [len(pictures_in(r.json)) for r in vendor.requests] == [1, 2, 1, 2]
        vendor.faults += [fails, fails]
        last = session.turn()
        assert (last.status_code, last.headers["x-a"], last.content) == (500, "1", b"{}")
        assert session.send().status_code == 200
        vendor.faults.append(fails)
        asks = len(vendor.requests)
        assert session.says("Go on.").status_code == 500 and len(vendor.requests) == asks + 1, "no page is new"
        vendor.faults.append(fails)
        assert session.turn().status_code == 200 and session.turn().status_code == 200
        assert len(pictures_in(vendor.requests[-1].json)) == 3 and account.recent[-1].note == ""
        assert "answered 500 to pages" in account.recent[-1].reasons[-1], "it has failed twice"
    for before, after in pairwise(r for r in vendor.requests if r.usage):
        assert after.json["messages"][: len(before.json["messages"])] == before.json["messages"]


def too_many(most: int) -> Callable[[Any], Reply | None]:
    """A vendor that takes so many pictures in a request."""
    wrong = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "images"}}).encode()

    def reply(recorded: Any) -> Reply | None:
        refused = len(pictures_in(recorded.json)) > most
        return Reply(400, [], [wrong], length=len(wrong)) if refused else None

    return reply


@pytest.mark.parametrize("most", [2, 0])
def test_after_a_refusal_of_pages_a_session_goes_on_as_what_was_taken(
    vendor: Provider, tmp_path: Path, most: int
) -> None:
    """What was answered as a page stays one, where the vendor still takes it. Also after a restart, and nobody is asked
    twice again."""
    session = Session("")
    for part in range(2):
        with drawing(vendor, tmp_path / "ledger") as (session.url, account):
            for number in range(4):
                if part == 0 and number == 2:
                    vendor.reply = too_many(most)
                assert session.turn().status_code == 200
                pages = len(pictures_in(vendor.requests[-1].json))
                assert pages == (number + 1 if part == 0 and number < 2 else most)
                if part == 0 and number == 2:
                    asks = "asked again with older pages" + ("" if most else ", then as text")
                    assert account.recent[-1].note == f"the vendor answered 400 to pages; {asks}"
            assert "answered 400 to pages" in account.recent[-1].reasons[-1]
    once_more = 1 if most else 2
    assert len(vendor.requests) == 2 * 4 + once_more
    for before, after in pairwise(vendor.requests[2 + once_more :]):
        assert after.json["messages"][: len(before.json["messages"])] == before.json["messages"]


def test_what_is_new_goes_up_as_text_where_thoughts_are_bound_to_older_pages(vendor: Provider, tmp_path: Path) -> None:
    """The client sees no error: what is asked again keeps the pages that its thoughts were signed with."""
    vendor.script, vendor.reply = tool_script(9), too_many(2)
    with drawing(vendor, tmp_path / "ledger") as (url, account), ClaudeCode(url, "claude-fable-5-1") as agent:
        assert agent.play("Read.") == 10
        assert [record.status for record in account.recent] == [200] * 10 and account.total.saved > 0
        notes = [record.note for record in account.recent if record.note]
    assert notes == ["the vendor answered 400 to pages; asked again with older pages"]
    pages = [len(pictures_in(r.json)) for r in vendor.requests]
    assert pages == [0, 1, 2, 3] + [2] * 7
    for before, after in pairwise(asked(vendor)):
        assert bare(after.body).startswith(bare(before.body))


def test_what_a_model_refuses_to_answer_is_text_and_what_thoughts_are_bound_to_stays(
    vendor: Provider, tmp_path: Path
) -> None:
    vendor.script = tool_script(9)
    with drawing(vendor, tmp_path / "ledger") as (url, account), ClaudeCode(url, "claude-fable-5-1") as agent:
        agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Read."}]})
        for number in range(5):
            if number == 3:
                vendor.script, works = (lambda body: Turn("", refuses=True)), vendor.script
                assert agent.turn()["stop_reason"] == "refusal"
                vendor.script = works
                agent.messages.pop()
            call = agent.turn()["content"][-1]
            agent.messages.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call["id"], "content": listing(number)}]})  # fmt: skip
    pages = [len(pictures_in(r.json)) for r in asked(vendor)]
    assert pages == [0, 1, 2, 3, 2, 2, 2] and "refused to answer to pages" in account.recent[-1].reasons[-1]
    (twice,) = [record for record in account.recent if record.note]
    assert twice.note.endswith("asked again with older pages, and both are charged") and twice.ended == "refusal"
    billed = sum(line[2] for line in vendor.cache.bill.lines if line[2] is not None)
    assert account.total.dollars == pytest.approx(float(billed), abs=0.005)


class Chat(Session):
    """The same, by Chat Completions; the model also writes."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "gpt-6.2-sol")

    def turn(self, content: Any = None, **more: Any) -> Any:
        call = f"call_{len(self.messages)}"
        function = {"name": "Read", "arguments": json.dumps({"file": f"a{len(self.messages)}.py"})}
        self.messages += [
            {"role": "assistant", "content": " ".join(prose(12, Random(len(self.messages)))),
             "tool_calls": [{"id": call, "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": call, "content": "ok"},
        ]  # fmt: skip
        return self.send()

    def send(self) -> Any:
        body = {"model": self.model, "messages": self.messages}
        return post(self.url + "/v1/chat/completions", content=json.dumps(body).encode())


@pytest.mark.parametrize("kind", [Chat, Session])
def test_old_turns_become_pages_where_the_cache_is_dead(
    vendor: Provider, tmp_path: Path, kind: type[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1e9]
    monkeypatch.setattr("microfiche.proxy.drawer.time.time", lambda: now[0])
    monkeypatch.setattr("microfiche.proxy.ledger.time.time", lambda: now[0])
    said = " ".join(prose(60))
    with drawing(vendor, tmp_path / "ledger", Draw.full) as (url, account):
        session = kind(url)
        for _ in range(12):
            assert session.turn(f"{said} {len(session.messages)}"[:1400]).status_code == 200
        assert not pictures_in(vendor.requests[-1].json), "while the cache is warm, nothing changes"
        session.says("Keep the tests green.")
        now[0] += 2 * 3600
        vendor.cache.clear()
        session.turn("ok")
        assert account.recent[-1].reasons[-1] == "old turns: 22 messages, pages: 1"
    after = [vendor.requests[-1].json["messages"]]
    with drawing(vendor, tmp_path / "ledger", Draw.full) as (url, account):
        session.url = url
        for _ in range(3):
            assert session.turn("ok").status_code == 200
            after.append(vendor.requests[-1].json["messages"])
        until(lambda: account.total.saved > 0)
    for first, second in pairwise(after):
        assert second[: len(first)] == first
    opening, collapsed, answer = after[-1][:3]
    assert opening["content"] == "Read." and collapsed["role"] == "user" and answer["role"] == "assistant"
    assert collapsed["content"][0]["text"].startswith("[Earlier turns") and pictures_in(collapsed)
    page = Ledger(tmp_path / "ledger").search("class path cache value", 1)[0].page
    assert "assistant" in Ledger(tmp_path / "ledger").page(page).text  # type: ignore[union-attr]


def test_a_vendor_that_drops_no_thoughts_gets_old_turns_as_they_were(
    vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client sees no error, older pages stay where thoughts are bound to them, and nothing is tried again."""
    now = [1e9]
    monkeypatch.setattr("microfiche.proxy.drawer.time.time", lambda: now[0])
    wrong = b'{"type":"error","error":{"type":"invalid_request_error","message":"Unexpected value for anthropic-beta"}}'
    vendor.reply = lambda r: Reply(400, [], [wrong], length=len(wrong)) if b"block_binding" in r.body else None
    vendor.script = tool_script(60)
    text = " ".join(prose(60))
    with drawing(vendor, tmp_path / "ledger", Draw.full) as (url, account), ClaudeCode(url, "claude-fable-5-1") as one:
        one.messages.append({"role": "user", "content": [{"type": "text", "text": "Read."}]})
        for number in range(17):
            now[0] += 2 * 3600 * (number > 12)
            calls = [block for block in one.turn()["content"] if block["type"] == "tool_use"]
            result = listing(number) if number % 4 == 3 else f"{number} {text}"[:1400]
            one.messages.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call["id"], "content": result} for call in calls]})  # fmt: skip
        notes = [record.note for record in account.recent if record.note]
    assert notes == ["the vendor answered 400 to pages; asked again with older pages"]
    for before, after in pairwise(asked(vendor)):
        assert bare(after.body).startswith(bare(before.body))
    assert len(asked(vendor)) == 17 and len(pictures_in(vendor.requests[-1].json)) > 2


def test_thoughts_that_were_bound_to_old_turns_are_dropped_by_the_vendor_s_own_way(
    vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1e9]
    monkeypatch.setattr("microfiche.proxy.drawer.time.time", lambda: now[0])
    vendor.script = tool_script(60)
    text = " ".join(prose(60))
    with ClaudeCode("", "claude-fable-5-1") as agent:
        agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Read."}]})
        for part in range(2):
            with drawing(vendor, tmp_path / "ledger", Draw.full) as (agent.url, account):
                for number in range(14 if part == 0 else 4):
                    now[0] += 2 * 3600 * (part == 0 and number == 13)
                    calls = [block for block in agent.turn()["content"] if block["type"] == "tool_use"]
                    agent.messages.append({"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": call["id"], "content": f"{number} {text}"[:1400]}
                        for call in calls]})  # fmt: skip
                if part == 0:
                    assert account.recent[-1].reasons[-1].startswith("old turns: ")
    requests = asked(vendor)
    jump = len(requests) - 5
    for number, recorded in enumerate(requests):
        binding = recorded.json["thinking"].get("block_binding")
        assert (binding is not None) is (CONTROLS in recorded.header("anthropic-beta")) is (number >= jump)
        unmarked = json.loads(re.sub(r',"cache_control":\{[^}]*\}', "", recorded.body.decode()))["messages"]
        answers = [message for message in unmarked if message["role"] == "assistant"]
        assert not answers or answers[-1] in agent.messages, "the last answer goes back as it came"
    for before, after in pairwise(requests[jump:]):
        assert bare(after.body).startswith(bare(before.body)) and after.usage.read > before.usage.read
    assert len(requests[jump].json["messages"]) < len(requests[jump - 1].json["messages"])


def test_a_client_with_a_word_of_its_own_on_bound_thoughts_keeps_its_old_turns(
    vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1e9]
    monkeypatch.setattr("microfiche.proxy.drawer.time.time", lambda: now[0])
    vendor.script = tool_script(60)
    own = {"type": "enabled", "budget_tokens": 9, "block_binding": {"prefix_mismatch_behavior": "error"}}
    betas = {**ClaudeCode("").headers, "anthropic-beta": f"oauth-2025-04-20,{CONTROLS}"}
    monkeypatch.setattr(ClaudeCode, "headers", betas)
    body = ClaudeCode.body
    monkeypatch.setattr(ClaudeCode, "body", lambda self: body(self, thinking=own))
    with drawing(vendor, tmp_path / "ledger", Draw.full) as (url, _), ClaudeCode(url, "claude-fable-5") as agent:
        agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Read."}]})
        for number in range(14):
            calls = [block for block in agent.turn()["content"] if block["type"] == "tool_use"]
            agent.messages.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call["id"], "content": "short"} for call in calls]})  # fmt: skip
            now[0] += 3600 * 2 * (number > 10)
    assert len(asked(vendor)) == 14, "each was answered"
    assert len(asked(vendor)[-1].json["messages"]) == 27


def test_what_was_drawn_stays_drawn_when_less_is_to_be_drawn(
    vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart with another setting, and a model of which it turns out that it reads nothing."""
    monkeypatch.setattr("agent.tools", lambda: [{**tool, "description": listing(3, 40)} for tool in tools(6)])
    vendor.script = tool_script(9)
    with ClaudeCode("", "claude-fable-5") as agent:
        agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Read."}]})
        for kinds in (Draw.slab, Draw.safe, Draw.safe):
            with drawing(vendor, tmp_path / "ledger", kinds) as (agent.url, account):
                for _ in range(2):
                    call = agent.turn()["content"][-1]
                    agent.messages.append({"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": call["id"], "content": listing(len(agent.messages))}]})
            wrong = Score(right=0, asked=48)
            row = Row(density="5x8", side=1280, scale=1.0, tokens=1, ratio=5.0, scores={"prose": wrong}, absent=wrong)
            if kinds == Draw.safe:
                store_profile(Profile(model="claude-fable-5", measured=date(2026, 11, 21), rows=(row,)))
    requests = asked(vendor)
    for before, after in pairwise(requests):
        assert bare(after.body).startswith(bare(before.body)) and after.json["system"] == before.json["system"]
    assert "does not read pages well enough (measured 2026-11-21)" in account.recent[-1].reasons[0]
    assert len(pictures_in(requests[-1].json)) == len(pictures_in(requests[-2].json)) == len(
        pictures_in(requests[0].json)) + 3  # fmt: skip


@pytest.mark.parametrize("order", [(False, True), (True, False)])
def test_a_paste_whose_beginning_the_words_before_it_call_secret_is_drawn_without_it_whatever_was_drawn_before(
    tmp_path: Path, order: tuple[bool, bool]
) -> None:
    pasted = "\n".join(["tulip orchid vault", *prose(400)])
    with provider() as vendor, drawing(vendor, tmp_path / "ledger") as (url, _):
        for told in order:
            before = "The password of the vault:\n" if told else "What grows there now:\n"
            said = f"{'x' * (1499 - len(before))}\n{before}{pasted}"
            sent = {"model": "claude-fable-5-1", "max_tokens": 9, "messages": [{"role": "user", "content": said}]}
            post(f"{url}/v1/messages", json=sent, headers={"x-api-key": "sk-ant-x"})
            said = json.dumps(vendor.requests[-1].json, ensure_ascii=False)
            assert "[page " in said and ("1: tulip orchid vault" in said) is told
