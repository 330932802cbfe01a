"""The proxy between a client and a stand-in server: what becomes pages, what passes, what fails."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from run import proxying
from stand_in import CUT, Body, StandIn, parts_of, standing_in

from microfiche.errors import InputError
from microfiche.memory.billing import provider
from microfiche.memory.fading import Pinned, Schedule, Steps
from microfiche.memory.paper import Manner
from microfiche.proxy.server import _with_usage
from microfiche.proxy.turns import Rewriter


def rewriter(keep: int = 2, by: Schedule = Pinned(), density: str = "5x8") -> Rewriter:
    return Rewriter(keep, Manner(density, "tiny", "dense"), by, provider("openai-tiles"))


def chat(turns: int, words: int = 120) -> list[Body]:
    messages: list[Body] = [{"role": "system", "content": "Be brief."}]
    for turn in range(turns):
        messages += [{"role": "user", "content": f"question {turn} " + "and more " * words},
                     {"role": "assistant", "content": f"answer {turn} " + "so it is " * words}]
    return [*messages, {"role": "user", "content": "the last question"}]


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(stand_in: StandIn) -> Iterator[str]:
    with proxying(stand_in.url, rewriter()) as url:
        yield url


def post(url: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, bytes, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    every = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(f"{url}/chat/completions", data, every)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def test_old_turns_become_pages_and_usage_says_what_was_saved(stand_in: StandIn, proxy: str) -> None:
    messages = chat(10)
    status, data, headers = post(proxy, {"model": "m", "messages": messages}, {"Authorization": "Bearer secret"})
    answer = json.loads(data)
    used = answer["usage"]["microfiche"]
    assert status == 200 and used["turns_as_pages"] == 9 and used["pages"] >= 2
    assert used["saved_tokens"] == used["text_tokens"] - used["page_tokens"] > 3000
    assert headers["X-Microfiche-Saved-Tokens"] == str(used["saved_tokens"])
    sent = stand_in.asked[-1]
    assert stand_in.keys[-1] == "Bearer secret" and sent["model"] == "m"
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert sent["messages"][1]["content"][-1] == {"type": "text", "text": messages[-3]["content"]}
    assert sent["messages"][2:] == messages[-2:]
    words, pictures = parts_of(sent)
    assert len(pictures) == used["pages"] and "[page 1]" in words and "question 0" not in words
    assert answer["usage"]["prompt_tokens"] == pytest.approx(
        used["page_tokens"] + sum(len(m["content"].split()) for m in (messages[0], *messages[-3:])), rel=0.1
    )


def test_a_short_chat_passes_as_it_is(stand_in: StandIn, proxy: str) -> None:
    body = {"model": "m", "messages": chat(1), "temperature": 0.5, "tools": [{"type": "function"}]}
    _, data, headers = post(proxy, body)
    assert stand_in.asked[-1] == body and "microfiche" not in json.loads(data)["usage"]
    assert headers["X-Microfiche-Saved-Tokens"] == "0"
    little = {"messages": chat(10, words=0)}
    post(proxy, little)
    assert stand_in.asked[-1] == little, "pages that would cost more than their text are not made"


def test_a_stream_passes_through_with_usage(proxy: str) -> None:
    body = {"messages": chat(10), "stream": True, "stream_options": {"include_usage": True}}
    status, data, headers = post(proxy, body)
    events = [line[6:] for line in data.decode().split("\n\n") if line]
    assert status == 200 and headers["Content-Type"].startswith("text/event-stream") and events[-1] == "[DONE]"
    said = "".join(json.loads(e)["choices"][0]["delta"]["content"] for e in events[:-2])
    assert said.startswith("I was sent") and json.loads(events[-2])["usage"]["microfiche"]["saved_tokens"] > 3000


@pytest.mark.parametrize("deep", [b'{"usage":' + b"[" * 100_000, b'{"usage": {"x": ' + b"[" * 900 + b"]" * 900 + b"}}"])
def test_an_answer_of_any_depth_passes(deep: bytes) -> None:
    passed = _with_usage(deep, rewriter().rewrite({"messages": chat(4)}))
    assert passed == deep or json.loads(passed)["usage"]["microfiche"]


def test_a_stream_that_breaks_off_says_so() -> None:
    with standing_in(lambda body: f"It begins {CUT}") as server, proxying(server.url, rewriter()) as url:
        status, data, _ = post(url, {"messages": chat(10), "stream": True})
    assert status == 200 and b"[DONE]" not in data and b'{"choi\n' not in data
    last = json.loads(data.decode().strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["message"] == "the server broke off its answer"


def test_errors_of_the_server_and_of_the_client(stand_in: StandIn, proxy: str) -> None:
    assert post(proxy, {"model": "no such model", "messages": chat(0)})[0] == 404
    for body, why in ((b"not JSON", "not JSON"), (b"[1]", "no JSON object"), (b"{}", "a list of messages"),
                      (b'{"messages": [3]}', "a list of messages"), (b"[" * 100_000, "not JSON")):
        status, data, _ = post(proxy, body)
        assert status == 400 and why in json.loads(data)["error"]["message"]
    with proxying("http://127.0.0.1:9/v1", rewriter()) as url:
        status, data, _ = post(url, {"messages": chat(0)})
        assert status == 502 and "cannot be reached" in json.loads(data)["error"]["message"]


def test_everything_else_is_passed_on(proxy: str) -> None:
    with urllib.request.urlopen(f"{proxy}/models", timeout=20) as answer:
        assert json.load(answer)["data"][0]["id"] == "stand-in"
    with urllib.request.urlopen(f"{proxy.removesuffix('/v1')}/healthz", timeout=20) as answer:
        assert json.load(answer) == {"status": "ok"}


def test_pages_of_before_stay_the_same_bytes_as_a_chat_goes_on() -> None:
    by = rewriter()
    seen: list[Any] = []
    for turns in range(3, 30):
        made = by.rewrite({"messages": chat(turns)})
        parts = next(m["content"] for m in made.body["messages"] if m["role"] == "user")
        urls = [p["image_url"]["url"] for p in parts if p["type"] == "image_url"] if isinstance(parts, list) else []
        assert urls[: len(seen)] == seen[: len(urls)]
        seen = urls[:-1]
    assert len(seen) > 4


def test_pages_fade_in_groups() -> None:
    by = rewriter(by=Steps(steps=((0, "large"), (4, "half-tiny"), (8, "gone"))))
    assert list(by.sides(17, 512).values()) == [0] * 8 + [256] * 4 + [512] * 5
    hours = rewriter(by=by.schedule.model_copy(update={"unit": "hours"}))
    assert hours.sides(17, 512) == by.sides(17, 512), "ages are pages in any unit"
    faded = by.rewrite({"messages": chat(80)})
    sides = [p["image_url"]["url"] for p in faded.body["messages"][1]["content"] if p["type"] == "image_url"]
    assert faded.pages > len(sides) > 4 and faded.saved > rewriter().rewrite({"messages": chat(80)}).saved


@pytest.mark.parametrize("content", [None, "", [], [{"type": "text", "text": "hm"}], "a lone \ud800 and \U0001f600"])
def test_messages_with_pictures_tools_and_nothing(content: object) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
    odd = [
        {"role": "user", "content": [{"type": "text", "text": "look " * 2000}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": content},
        {"role": "user", "content": "now"},
    ]
    made = rewriter(keep=1).rewrite({"messages": odd})
    (only,) = made.body["messages"]
    assert only["content"][-2:] == [picture, {"type": "text", "text": "now"}], "old pictures go on as they came"
    json.dumps(made.body).encode()


def test_a_tools_call_and_its_result_stay_together() -> None:
    messages: list[Body] = chat(6)[:-1]
    messages += [{"role": "user", "content": "compute"},
                 {"role": "assistant", "tool_calls": [{"id": "1"}], "content": None},
                 {"role": "tool", "tool_call_id": "1", "content": "42"}]
    made = rewriter(keep=1).rewrite({"messages": messages})
    assert [m["role"] for m in made.body["messages"]] == ["system", "user", "assistant", "tool"]


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microfiche.proxy.turns.LARGEST", 1000)
    with pytest.raises(InputError, match="at most 1,000"):
        rewriter().rewrite({"messages": chat(10)})


def test_the_command_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from typer.testing import CliRunner

    from microfiche.cli import app as command

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = CliRunner().invoke(command, ["serve", "--proxy", "http://localhost:1/v1"])
    assert done.exit_code == 2 and "pip install 'microfiche[serve]'" in done.stderr


