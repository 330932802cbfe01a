"""Sessions that begin alike, of which a provider refuses something in one: the others go on, and so does it, where
thoughts hold only while what stands before them is unchanged."""

from __future__ import annotations

import json
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from agent import ClaudeCode, listing, tool_script
from between import post
from provider.answers import Turn
from provider.cache import pictures_in
from provider.server import Provider, Reply
from test_drawing import asked, drawing, prose
from test_sessions import bare

from microfiche.proxy.ledger import Ledger

WRONG = b'{"type":"error","error":{"type":"invalid_request_error","message":"Could not process image"}}'
PAGES_NOT_TAKEN = Reply(400, [("content-type", "application/json")], [WRONG], length=len(WRONG))


def runs(stack: ExitStack, count: int, asks: str = "Fix the tests.") -> list[ClaudeCode]:
    """Sessions with names of their own and one first message."""
    found = [stack.enter_context(ClaudeCode("", "claude-fable-5-1", f"s-{n}")) for n in range(count)]
    for one in found:
        one.messages.append({"role": "user", "content": [{"type": "text", "text": asks}]})
    return found


def turn(agent: ClaudeCode, url: str, seed: int) -> int:
    """A turn, and the result of its call; how many pictures went up at last."""
    agent.url = url
    call = agent.turn()["content"][-1]
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": listing(seed, 120)}
    agent.messages.append({"role": "user", "content": [result]})
    return len(agent.answers)


def grows(vendor: Provider, agent: ClaudeCode, since: int = 0) -> bool:
    """Whether each request of a session that was answered begins with the one before."""
    sent = [r.body for r in asked(vendor) if r.header("x-claude-code-session-id") == agent.session][since:]
    return len(sent) > 1 and all(bare(after).startswith(bare(before)) for before, after in pairwise(sent))


def pages_of(vendor: Provider, agent: ClaudeCode) -> int:
    sent = [r.json for r in asked(vendor) if r.header("x-claude-code-session-id") == agent.session]
    return len(pictures_in(sent[-1]))


@pytest.mark.parametrize("refuses", ["the vendor", "the model"])
def test_what_is_refused_in_one_session_stays_in_all_others(vendor: Provider, tmp_path: Path, refuses: str) -> None:
    """They read the same files, one of them anew, which is refused there."""
    works = vendor.script = tool_script(60)
    once = [Turn("", refuses=True)]
    with ExitStack() as stack:
        first, *others = runs(stack, 4)
        for part in range(2):
            with drawing(vendor, tmp_path / "ledger") as (url, account):
                if part == 0:
                    for seed in range(3):
                        for one in others:
                            turn(one, url, seed)
                    turn(first, url, 0)
                    if refuses == "the vendor":
                        vendor.faults.append(PAGES_NOT_TAKEN)
                    else:
                        vendor.script = lambda body: once.pop() if once else works(body)
                    turn(first, url, 1)
                    assert "as text" in account.recent[-1].note
                for one in (first, *others):
                    turn(one, url, 7)
                    turn(one, url, 8)
        assert pages_of(vendor, first) == 0 and [pages_of(vendor, one) for one in others] == [6, 6, 6]
        assert all(grows(vendor, one) for one in others) and grows(vendor, first, 2)


def test_what_all_have_before_the_first_answer_stays_in_each_what_it_was(vendor: Provider, tmp_path: Path) -> None:
    """A paste in the first message, drawn in all of them, is refused in one, before or after others were answered."""
    vendor.script = tool_script(60)
    paste = "\n".join(prose(400, Random(3)))
    with ExitStack() as stack:
        early, late, last = runs(stack, 3, paste)
        with drawing(vendor, tmp_path / "ledger") as (url, _):
            turn(early, url, 0)
            vendor.faults.append(PAGES_NOT_TAKEN)
            turn(late, url, 0)
            turn(last, url, 0)
        with drawing(vendor, tmp_path / "ledger") as (url, _):
            for one in (early, late, last, late, early):
                turn(one, url, 1)
            drawn = pages_of(vendor, early)
            assert drawn > 1 and pages_of(vendor, last) == drawn - 1 and pages_of(vendor, late) == 0
            late.session = "s-9"  # gone on under another name
            turn(late, url, 2)
        assert pages_of(vendor, late) == 0 and grows(vendor, early)


def test_what_is_forgotten_of_one_session_is_kept_for_the_others(vendor: Provider, tmp_path: Path) -> None:
    """Also what all of them have before the first answer."""
    vendor.script = tool_script(60)
    with ExitStack() as stack:
        one, other = runs(stack, 2, "\n".join(prose(400, Random(3))))
        with drawing(vendor, tmp_path / "ledger") as (url, account):
            for seed in range(2):
                for agent in (other, one):
                    turn(agent, url, seed)
            name = account.recent[-1].session
            ledger = Ledger(tmp_path / "ledger")
            assert ledger.examined() == 2 and ledger.forget(session=name).sessions == 1
            ledger.close()
            turn(other, url, 2)
            turn(other, url, 3)
        assert pages_of(vendor, other) > 3 and grows(vendor, other)


def test_a_fork_and_what_it_comes_from_keep_their_pages(vendor: Provider, tmp_path: Path) -> None:
    """Both have the same pages before they part; what is refused in one afterwards stays a page in the other, though
    nothing more is drawn in either."""
    vendor.script = tool_script(60)
    with ExitStack() as stack:
        (stem,) = runs(stack, 1)
        with drawing(vendor, tmp_path / "ledger") as (url, _):
            for seed in range(4):
                turn(stem, url, seed)
            stem.messages.pop()
            fork = stack.enter_context(ClaudeCode(url, stem.model, "fork"))
            fork.messages = json.loads(json.dumps(stem.messages))
            results = {"type": "tool_result", "tool_use_id": stem.messages[-1]["content"][-1]["id"]}
            for one, text in ((stem, "The disk is full."), (fork, "The file is gone.")):
                one.messages.append({"role": "user", "content": [{**results, "content": text}]})
            for _ in range(2):
                turn(stem, url, 5)
            turn(fork, url, 4)
            vendor.faults.append(PAGES_NOT_TAKEN)
            turn(fork, url, 5)
        with drawing(vendor, tmp_path / "ledger") as (url, _):
            for one in (stem, fork, stem, fork):
                turn(one, url, 6)
        assert pages_of(vendor, fork) == 3 and pages_of(vendor, stem) == 4
        assert grows(vendor, stem)


def test_results_without_names_are_told_apart_by_how_often_they_came(vendor: Provider, tmp_path: Path) -> None:
    """Calls of all sessions are numbered alike, as some servers do: what one answer stands before is its own."""

    def body(name: str, results: int) -> dict[str, Any]:
        messages: list[Any] = [{"role": "user", "content": "Watch it."}]
        for number in range(results):
            call = {"type": "tool_use", "id": f"call_{number}", "name": "Read", "input": {}}
            result = {"type": "tool_result", "tool_use_id": call["id"], "content": listing(1, 120)}
            said = {"type": "text", "text": f"I am {name}."}
            messages += [{"role": "assistant", "content": [said, call]}, {"role": "user", "content": [result]}]
        return {"model": "claude-fable-5-1", "max_tokens": 9, "messages": messages}

    with drawing(vendor, tmp_path / "ledger") as (url, _):
        for count in (1, 2, 3):
            post(url + "/v1/messages", json=body("one", count))
        post(url + "/v1/messages", json=body("two", 1))
        vendor.faults.append(PAGES_NOT_TAKEN)
        post(url + "/v1/messages", json=body("two", 2))
        for name, pages in (("one", 4), ("two", 1)):
            assert post(url + "/v1/messages", json=body(name, 4)).status_code == 200
            assert len(pictures_in(vendor.requests[-1].json)) == pages
