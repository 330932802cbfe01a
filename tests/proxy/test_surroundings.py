"""What stands around a text, and the call that it answers, may call something in it secret; then it is not drawn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from microfiche.proxy.history import stretch
from microfiche.proxy.pages import told_by
from microfiche.proxy.places import Place, places_in
from microfiche.proxy.protocols import Dialect
from microfiche.proxy.secret import asks
from microfiche.proxy.splice import Body

DIALECTS: tuple[Dialect, ...] = ("messages", "responses", "chat", "gemini")
LONG = "\n".join(["tulip orchid"] + ["what stands in a garden in spring and summer"] * 60)


def conversation(dialect: Dialect, name: str, given: dict[str, Any], parts: list[str], more: int = 0) -> Body:
    """A body in which a call is answered by a result of some parts, and so many further turns follow."""
    hello, bye = ("user", "please look"), [("assistant", "done"), ("user", "thanks")] * more
    key, root = "messages", {}
    if dialect == "messages":
        content: Any = [{"type": "text", "text": part} for part in parts]
        made = [{"role": "user", "content": hello[1]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": name, "input": given}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": content}]},
                *({"role": role, "content": said} for role, said in bye)]  # fmt: skip
    elif dialect == "responses":
        key = "input"
        made = [{"role": "user", "content": hello[1]},
                {"type": "function_call", "call_id": "t1", "name": name, "arguments": json.dumps(given)},
                {"type": "function_call_output", "call_id": "t1",
                 "output": [{"type": "input_text", "text": part} for part in parts]},
                *({"role": role, "content": said} for role, said in bye)]  # fmt: skip
    elif dialect == "chat":
        call = {"id": "t1", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        made = [{"role": "user", "content": hello[1]}, {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": part} for part in parts]},
                *({"role": role, "content": said} for role, said in bye)]  # fmt: skip
    else:
        key = "contents"
        said = {f"part{n}": part for n, part in enumerate(parts)}
        made = [{"role": "user", "parts": [{"text": hello[1]}]},
                {"role": "model", "parts": [{"functionCall": {"name": name, "args": given}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": name, "response": said}}]},
                *({"role": "model" if role == "assistant" else role, "parts": [{"text": text}]} for role, text in bye)]
    root[key] = made
    return Body.read(json.dumps(root).encode())


def found(dialect: Dialect, body: Body) -> Place:
    return next(place for place in places_in(dialect, body) if "tulip orchid" in place.text)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("name", "given"), [
    ("get_secret", {"name": "db"}), ("bash", {"command": "cat ~/.pgpass"}),
    ("bash", {"command": "printenv DB_PASSWORD"}),
    ("bash", {"command": "vault kv get kv/db"}), ("shell", {"command": ["kubectl", "get", "secret", "db"]}),
    ("read", {"path": "/home/bob/.ssh/id_ed25519"}), ("read", {"path": "/app/.env"}),
    ("bash", {"command": "op item get x"}),
    ("sql", {"query": "select login, api_token from users"}), ("bash", {"command": "sops -d prod.yaml"}),
])  # fmt: skip
def test_what_a_call_asks_for_by_a_name_of_secrets_is_secret(
    dialect: Dialect, name: str, given: dict[str, Any]
) -> None:
    assert asks(found(dialect, conversation(dialect, name, given, [LONG])).asked)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("name", "given"), [
    ("bash", {"command": "pytest -q tests/test_token.py"}), ("read", {"path": "src/auth/password.py"}),
    ("grep", {"pattern": "def main", "path": "src"}), ("bash", {"command": "git log -5 --stat && age --help"}),
    ("read", {"path": "docs/.env.example"}),
])  # fmt: skip
def test_other_calls_ask_for_nothing_secret(dialect: Dialect, name: str, given: dict[str, Any]) -> None:
    place = found(dialect, conversation(dialect, name, given, [LONG]))
    assert not asks(place.asked) and not told_by(place.text, place.around)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("intro", [
    "The password is:", "Das Kennwort lautet", "API_TOKEN =", f"{LONG[13:]}\nThe password:\n",
])  # fmt: skip
def test_a_part_of_a_result_may_name_what_is_in_the_next(dialect: Dialect, intro: str) -> None:
    first, again = (found(dialect, conversation(dialect, "run", {"x": "ls"}, [intro, LONG], more)) for more in (0, 3))
    assert asks(first.asked) or told_by(first.text, first.around)
    assert (first.asked, first.around) == (again.asked, again.around), "further turns change nothing"


def test_a_part_of_a_result_may_name_what_is_in_the_one_before() -> None:
    said = ["\n".join([LONG[13:], "tulip orchid"]), "is the password of the vault."]
    place = found("messages", conversation("messages", "run", {"x": "ls"}, said))
    assert asks(place.asked) or told_by(place.text, place.around)


def test_reminders_that_come_and_go_are_not_around() -> None:
    one, two = (conversation("messages", "run", {}, [LONG, *more]) for more in ((), ("<system-reminder>a password",)))
    assert found("messages", one).around == found("messages", two).around


def test_of_old_turns_what_was_asked_for_as_a_secret_is_told() -> None:
    for dialect in (DIALECTS[0], DIALECTS[2]):
        body = conversation(dialect, "get_secret", {"name": "db"}, [LONG], 3)
        made = stretch(body, body.root.each("messages"), 1, 5)
        assert made is not None and len(made.secret) == 1
        start, end = made.secret[0]
        assert LONG.splitlines()[0] in made.text[start:end] and "done" not in made.text[start:end]
