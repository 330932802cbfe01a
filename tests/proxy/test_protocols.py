"""What a path asks for, and by what a session is known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from microfiche.proxy.protocols import asked, route, runs
from microfiche.proxy.splice import Body

Json = dict[str, Any]


def session(body: Json, path: bytes = b"/v1/messages", **headers: str) -> str:
    found = route("POST", path)
    assert found is not None
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asked(found, Body.read(json.dumps(body).encode()), named).session


def claude(system: Any = "You help.", first: Any = "go on", model: str = "claude-opus-5", turns: int = 0) -> Json:
    more = [{"role": "assistant", "content": "ok"}, {"role": "user", "content": "more"}] * turns
    return {"model": model, "system": system, "messages": [{"role": "user", "content": first}, *more]}


def test_conversations_with_other_beginnings_are_other_sessions() -> None:
    bodies = [claude(), claude("You help others."), claude(model="claude-haiku-4-5"), claude(first="go"),
              claude([{"type": "text", "text": "You help."}, {"type": "text", "text": "Be brief."}]),
              claude(first=[{"type": "image", "source": {"data": "a"}}]),
              claude(first=[{"type": "image", "source": {"data": "b"}}]),
              claude("agent 1"), claude("agent 2")]  # fmt: skip
    assert len({session(body) for body in bodies}) == len(bodies)
    for path, key in ((b"/v1/responses", "instructions"), (b"/v1/chat/completions", None)):
        names = set()
        for system in ("A", "B"):
            said = {"model": "gpt-6-sol", "input" if key else "messages": [{"role": "user", "content": "hi"}]}
            if key:
                said[key] = system
            else:
                said["messages"].insert(0, {"role": "system", "content": system})  # type: ignore[attr-defined]
            names.add(session(said, path))
        assert len(names) == 2


def volatile(day: int, files: str) -> list[Json]:
    return [
        {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1.{day}; cch={files}"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": f"Be brief.\n<env>\nThe date: 2026-11-{day}\n</env>\n# Environment\nBranch {files}\n"
                                 f"# Tone\nToday is November {day}, 2026, {day % 12}:0{day % 10}.\n"
                                 f"<git_status>M {files}</git_status><total_tokens>{day * 1000} left</total_tokens>"},
    ]  # fmt: skip


def test_a_conversation_is_one_session_over_its_turns_and_days() -> None:
    reminder = "<system-reminder>\nThe date is {}.\n</system-reminder>"
    names = set()
    for day, files, turns in ((26, "a.py", 0), (26, "b.py", 1), (27, "c.py", 5)):
        first: list[Json] = [{"type": "text", "text": reminder.format(day)}, {"type": "text", "text": "Fix it"}]
        if not turns:
            first[1]["cache_control"] = {"type": "ephemeral"}
        names.add(session(claude(volatile(day, files), first, turns=turns)))
    assert len(names) == 1
    later = claude(turns=2)
    later["messages"].insert(3, {"role": "system", "content": "A note in the middle."})
    assert session(later) == session(claude())


def test_a_name_of_the_clients_stands_over_all() -> None:
    assert session(claude(), x_claude_code_session_id="s") == session(claude("other"), x_claude_code_session_id="s")
    assert session(claude(), x_claude_code_session_id="s", x_claude_code_agent_id="a") != session(
        claude(), x_claude_code_session_id="s"
    )


def test_runs_of_blanks_and_rules_are_counted_but_for_their_first_signs() -> None:
    assert runs("") == runs("a b    c --- ==== \n\n\n\n") == 0
    assert runs("a\n\n\n\n\n\nb ****** ......") == 2 + 2 + 2
    assert runs("a" + " " * 5 + "b" + "-" * 30 + "=" * 4) == 1 + 26
    assert abs(runs("=" * 3_000_000) - 3_000_000) < 200 and runs("x y\n" * 500_000) == 0
    found = route("POST", b"/v1/messages")
    assert found is not None
    part = {"type": "text", "text": "a" + " " * 24 + "b", "cache_control": {"type": "ephemeral"}}
    (block,) = asked(found, Body.read(json.dumps(claude(None, [part])).encode()), {}).blocks[-1:]
    assert block.runs == 20 and block.characters > 26


def test_unclosed_tags_and_odd_prompts_are_read_in_time() -> None:
    for text in ("<env>" * 20_000, "<env></env>" * 20_000, "12/" * 50_000, "# Environment\n" * 9000, "1" * 90_000):
        assert session(claude(text, text))
    for odd in (3, None, [3, None, [], {"a": [1]}], {"x": 1}, [{"type": "text", "text": 5}]):
        assert session(claude(odd, odd))


@pytest.mark.parametrize(("path", "dialect"), [
    (b"/v1/%6dessages", "messages"), (b"/v1beta/models/gemini-4-neon%3AgenerateContent", "gemini"),
    (b"/v1beta/models/gemini-4-neon%3astreamGenerateContent", "gemini"), (b"/v1/chat%2Fcompletions", None),
    (b"/v1/messages%3Fx", None), (b"/v1/messages%", None), (b"/v1/messages%00", None), (b"/v1/%256dessages", None),
])  # fmt: skip
def test_escapes_that_mean_the_same_are_read_so(path: bytes, dialect: str | None) -> None:
    found = route("POST", path)
    assert (found.dialect if found else None) == dialect
