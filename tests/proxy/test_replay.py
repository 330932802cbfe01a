"""Replays of recorded requests: their bill is the stand-in's, and the logs of agents say what was asked."""

from __future__ import annotations

import base64
import io
import json
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from agent import WORDS, ClaudeCode, Codex, GeminiCLI, OpenCode, tool_script
from between import all_to, post, proxying
from PIL import Image
from provider.server import Provider
from test_drawing import perfect
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.errors import InputError, UsageError
from microfiche.memory.billing import Usage
from microfiche.proxy.drawer import LedgerDrawer
from microfiche.proxy.exchange import Drawing
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.protocols import Asked, Route
from microfiche.proxy.recorded import Recorder, recorded_in
from microfiche.proxy.relay import Relay
from microfiche.proxy.replay import Bill, opened, replay, size_of
from microfiche.proxy.server import relay
from microfiche.proxy.settings import Settings
from microfiche.proxy.splice import Body, Replacement
from microfiche.proxy.transcripts import Recorded
from microfiche.proxy.verdict import Draw

STAND_IN = 4.0  #: characters of a token at the stand-in
PATHS = {ClaudeCode: b"/v1/messages", Codex: b"/v1/responses", OpenCode: b"/v1/chat/completions",
         GeminiCLI: b"/v1beta/models/gemini-4-neon:generateContent"}  # fmt: skip


def png(width: int, height: int) -> str:
    made = io.BytesIO()
    Image.fromarray(np.full((height, width), 255, np.uint8)).save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


class OnePage:
    """Draws every result of a tool that is no error as the same page."""

    page = png(784, 728)

    def flush(self) -> None:
        """Keeps nothing."""

    def draw(self, route: Route, body: Body, asked: Asked) -> Drawing:
        source = {"type": "base64", "media_type": "image/png", "data": self.page}
        found, weights = [], []
        for message in body.root.each("messages"):
            for block in message.each("content"):
                content = block.at("content")
                if block.words("type") == "tool_result" and block.at("is_error") is None and content is not None:
                    text = json.dumps([{"type": "image", "source": source}])
                    found.append(Replacement(content.start, content.end, text))
                    weights.append((len(content.text or ""), 732))
        return Drawing(tuple(found), tuple(weights), (base64.b64decode(self.page),) * len(found), ("a page",))


def usage_of(vendor: Provider) -> Usage:
    return sum((usage for _, usage, _ in vendor.cache.bill.lines), Usage())


def near(ours: Usage, theirs: Usage) -> None:
    """Within 1 % of the input, in each kind."""
    for kind in ("uncached", "written", "written_hour", "read"):
        assert getattr(ours, kind) == pytest.approx(getattr(theirs, kind), abs=theirs.input / 100)


@pytest.mark.parametrize("client", list(PATHS))
def test_the_bill_of_a_replay_is_the_provider_s(vendor: Provider, client: Any) -> None:
    vendor.script = tool_script(12, parallel=2)
    with client(vendor.url) as agent:
        agent.play("Read it all.")
    every = [Recorded(float(n), PATHS[client], body) for n, body in enumerate(agent.bodies)]
    model = opened(every[0])
    assert model is not None
    (found,) = replay(every, {"none": lambda: None}, characters=STAND_IN)
    near(found.bills["text"].usage, usage_of(vendor))
    assert found.bills["none"].usage == found.bills["text"].usage
    assert found.bills["text"].usage.read > found.bills["text"].usage.input / 3
    bare = found.bills["text, never cached"]
    assert bare.usage.read == 0 and bare.usage.input == pytest.approx(found.bills["text"].usage.input, rel=0.001)
    assert bare.dollars is not None and found.bills["text"].dollars is not None
    assert bare.dollars > found.bills["text"].dollars and found.sessions == 1


def test_the_bill_with_pages_is_the_provider_s(vendor: Provider) -> None:
    vendor.script = tool_script(12)
    with proxying(Relay(all_to(vendor.url), drawer=OnePage())) as url, ClaudeCode(url) as agent:
        agent.play("Read it all.")
    every = [Recorded(float(n), b"/v1/messages", body) for n, body in enumerate(agent.bodies)]
    (found,) = replay(every, {"drawn": OnePage}, characters=STAND_IN)
    near(found.bills["drawn"].usage, usage_of(vendor))
    assert found.bills["drawn"].pictures == sum(range(13)) - 6  # the seventh result is an error
    assert found.reasons == {"drawn": {"a page": len(agent.bodies)}}
    assert found.bills["drawn"].usage.input < found.bills["text"].usage.input


def test_a_drawer_that_fails_leaves_the_text() -> None:
    class Fails:
        def flush(self) -> None:
            """Keeps nothing."""

        def draw(self, *_: object) -> Drawing:
            raise RuntimeError("secret")

    body = json.dumps({"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi"}]}).encode()
    (found,) = replay([Recorded(0, b"/v1/messages", body)], {"fails": Fails})
    assert found.bills["fails"].usage == found.bills["text"].usage
    assert found.reasons == {"fails": {"not drawn: RuntimeError": 1}}


def test_another_model_is_asked_the_same_or_refused() -> None:
    body = json.dumps({"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi " * 9000}]}).encode()
    every = [Recorded(0, b"/v1/messages", body)]
    (own,), (other,) = replay(every, {}), replay(every, {}, "claude-fable-5-2")
    assert own.model == "claude-opus-5" and other.model == "claude-fable-5-2"
    assert own.bills["text"].usage == other.bills["text"].usage
    assert own.bills["text"].dollars != other.bills["text"].dollars
    with pytest.raises(UsageError, match="same maker"):
        replay(every, {}, "gpt-6.2-sol")


def test_a_picture_is_as_large_as_its_file_says() -> None:
    made = io.BytesIO()
    Image.new("RGB", (70, 30)).save(made, "JPEG")
    assert size_of(png(1568, 728)) == (1568, 728) and size_of(base64.b64encode(made.getvalue()).decode()) == (70, 30)
    assert [size_of(wrong) for wrong in ("", "AAAA", "%%%", "x" * 100)] == [None] * 4


def test_a_picture_of_geminis_costs_what_its_resolution_costs() -> None:
    def charged(level: str | None, usual: str | None = None) -> int:
        part = {"inlineData": {"mimeType": "image/png", "data": png(1280, 448)}}
        part |= {"mediaResolution": {"level": f"MEDIA_RESOLUTION_{level}"}} if level else {}
        config = {"generationConfig": {"mediaResolution": f"MEDIA_RESOLUTION_{usual}"}} if usual else {}
        body = json.dumps({"contents": [{"role": "user", "parts": [part, {"text": "hi"}]}], **config}).encode()
        (found,) = replay([Recorded(0, b"/v1beta/models/gemini-4-neon:generateContent", body)], {})
        return found.bills["text"].usage.input

    assert charged("LOW") - charged(None) == 280 - 1120 and charged("MEDIUM", "LOW") - charged("LOW") == 280
    assert charged(None, "LOW") == charged("LOW") and charged("UNSPECIFIED") == charged("HIGH") == charged(None)


def test_what_stands_before_is_charged_once_and_then_read() -> None:
    mark = {"type": "ephemeral"}
    said = [{"type": "text", "text": "a" * 8000, "cache_control": mark}]
    body = json.dumps({"model": "claude-opus-5", "messages": [{"role": "user", "content": said}]}).encode()
    bill = Bill(replay([Recorded(0, b"/v1/messages", body)], {})[0].bills["text"].model)
    for at in (0.0, 10.0):
        one = opened(Recorded(at, b"/v1/messages", body, before=5000, output=7))
        assert one is not None
        bill.add(one.prompt())
    assert bill.usage.written == bill.usage.read > 7000 and bill.usage.output == 14 and bill.requests == 2


def test_the_recorder_gives_back_what_was_asked(vendor: Provider, tmp_path: Path) -> None:
    vendor.script = tool_script(4)
    recorder = Recorder(tmp_path / "said.jsonl")
    with proxying(Relay(all_to(vendor.url), recorder=recorder)) as url:
        for client in (ClaudeCode, Codex, OpenCode, GeminiCLI):
            with client(url) as agent:
                agent.play("Read it all.")
        bodies = [r.body for r in vendor.requests if r.method == "POST"]
    found = recorded_in(recorder.path)
    assert [json.loads(one.body) for one in found] == [json.loads(body) for body in bodies]
    assert stat.S_IMODE(recorder.path.stat().st_mode) == 0o600 and not recorder.trouble
    assert [one.model for one in replay(found, {})] == [
        "claude-opus-5-5", "gpt-6.2-sol", "gpt-6-luna", "gemini-4-neon"
    ]  # fmt: skip
    assert len({one.headers["x-session-id"] for one in found}) == 4 and found[0].at > 1e9


def test_what_is_not_to_be_drawn_is_recorded_too(vendor: Provider, tmp_path: Path) -> None:
    """One records first, and decides on pages by what a replay says."""
    recorder, body = Recorder(tmp_path / "said.jsonl"), {"model": "claude-fable-5-1", "messages": []}
    chosen = Settings(anthropic=vendor.url, draw=Draw.off, log=tmp_path / "log")
    made, _ = relay(chosen)
    made.recorder = recorder
    with proxying(made) as url:
        for more in ({}, {"x-microfiche": "off"}):
            post(url + "/v1/messages", json=body, headers=more)
            post(url + "/v1/messages/count_tokens", json=body, headers=more)
    assert [json.loads(one.body) for one in recorded_in(recorder.path)] == [body, body]


def test_a_last_line_that_is_not_whole_yet_is_passed_over(tmp_path: Path) -> None:
    """A session that still runs may be replayed."""
    whole = json.dumps({"model": "claude-opus-5", "messages": []}).encode()
    (tmp_path / "f").write_bytes(b"%b\n%b\n%b" % (whole, whole, whole[:20]))
    assert len(recorded_in(tmp_path / "f")) == 2
    (tmp_path / "f").write_bytes(b"%b\n%b\n%b\n" % (whole, whole[:20], whole))
    with pytest.raises(InputError, match="line 2 is no JSON"):
        recorded_in(tmp_path / "f")


def test_a_recorder_that_cannot_write_hinders_nothing(vendor: Provider, tmp_path: Path) -> None:
    vendor.script = tool_script(2)
    recorder = Recorder(tmp_path / "no" / "file")
    with proxying(Relay(all_to(vendor.url), recorder=recorder)) as url, ClaudeCode(url) as agent:
        agent.play("Read.")
    assert [r.body for r in vendor.requests] == agent.bodies and "No such file" in recorder.trouble


def transcript(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of a session as Claude Code logs them: each block of an answer a line."""
    lines: list[dict[str, Any]] = [{"type": "summary", "summary": "x", "leafUuid": "y"}]
    parent = None
    for number, message in enumerate(messages):
        blocks = [[block] for block in message["content"]] if message["role"] == "assistant" else [message["content"]]
        for part, content in enumerate(blocks):
            name = f"u{number}-{part}"
            said = {"role": message["role"], "content": content}
            if message["role"] == "assistant":
                said |= {"id": f"msg_{number}", "model": "claude-opus-5-5", "usage": {
                    "input_tokens": 10, "cache_read_input_tokens": 20_000, "cache_creation_input_tokens": 400,
                    "cache_creation": {"ephemeral_1h_input_tokens": 400}, "output_tokens": 77}}  # fmt: skip
            lines.append({"type": message["role"], "uuid": name, "parentUuid": parent, "sessionId": "s",
                          "message": said, "timestamp": f"2026-11-20T10:{number:02d}:00.000Z"})  # fmt: skip
            parent = name
    return lines


def written(path: Path, lines: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n", "utf-8")
    return path


def bare(messages: list[dict[str, Any]]) -> list[Any]:
    return [(m["role"], [{k: v for k, v in b.items() if k != "cache_control"} for b in m["content"]]) for m in messages]


def test_a_transcript_of_claude_code_is_told_again(vendor: Provider, tmp_path: Path) -> None:
    vendor.script = tool_script(5, parallel=2)
    with ClaudeCode(vendor.url) as agent:
        agent.play("Read it all.")
    lines = transcript(agent.messages)
    lines.insert(6, {**lines[4], "uuid": "side", "isSidechain": True})
    lines.append({"type": "system", "uuid": "z", "parentUuid": None, "content": "done"})
    found = recorded_in(written(tmp_path / "t.jsonl", lines))
    assert len(found) == len(agent.bodies)
    for one, body in zip(found, agent.bodies, strict=True):
        assert bare(json.loads(one.body)["messages"]) == bare(json.loads(body)["messages"])
        assert one.output == 77 and one.headers == {"x-claude-code-session-id": "s"}
    assert found[1].at - found[0].at == 120
    marks = json.dumps(json.loads(found[-1].body)).count('"cache_control": {"type": "ephemeral", "ttl": "1h"}')
    assert marks == 2
    first = round(len(found[0].body) / 3.7)
    assert {one.before for one in found} == {20_410 - first}  # what was charged and is not in the file
    (bill,) = replay(found, {})
    assert bill.bills["text"].usage.read > 20_000 * (len(found) - 1) and bill.bills["text"].usage.written_hour > 0


def test_a_transcript_forgets_what_was_taken_back_and_what_was_summarised(tmp_path: Path) -> None:
    def user(text: str) -> dict[str, Any]:
        return {"role": "user", "content": [{"type": "text", "text": text}]}

    def model(text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": [{"type": "text", "text": text}]}

    lines = transcript([user("one"), model("1"), user("two"), model("2")])
    back = {**lines[3], "uuid": "b", "message": user("two, otherwise")}  # its parent is the first answer
    lines += [back, {**lines[4], "uuid": "c", "parentUuid": "b", "message": {**lines[4]["message"], "id": "m9"}}]
    lines += [{"type": "system", "subtype": "compact_boundary", "uuid": "d", "parentUuid": None},
              {"type": "user", "uuid": "e", "parentUuid": "d", "message": user("A summary.")},
              {**lines[4], "uuid": "f", "parentUuid": "e", "message": {**lines[4]["message"], "id": "m8"}}]  # fmt: skip
    said = [[block["text"] for m in json.loads(one.body)["messages"] for block in m["content"]]
            for one in recorded_in(written(tmp_path / "t.jsonl", lines))]  # fmt: skip
    assert said == [["one"], ["one", "1", "two"], ["one", "1", "two, otherwise"], ["A summary."]]


def test_subagents_of_a_transcript_have_conversations_of_their_own(vendor: Provider, tmp_path: Path) -> None:
    vendor.script = tool_script(3)
    with ClaudeCode(vendor.url) as agent, ClaudeCode(vendor.url) as other, ClaudeCode(vendor.url) as third:
        for one in (agent, other, third):
            one.play(f"Read it all, {id(one)}.")
    lines = transcript(agent.messages)
    for name, side, more in (("a", other, {"agentId": "a1"}), ("b", third, {})):  # newer and older transcripts
        chain = [{**line, **more, "isSidechain": True, "uuid": name + line["uuid"],
                  "parentUuid": line["parentUuid"] and name + line["parentUuid"]}
                 for line in transcript(side.messages)[1:]]  # fmt: skip
        lines[4:4] = chain
    found = recorded_in(written(tmp_path / "t.jsonl", lines))
    bodies = [*agent.bodies, *other.bodies, *third.bodies]
    assert sorted(map(str, (bare(json.loads(one.body)["messages"]) for one in found))) == sorted(
        map(str, (bare(json.loads(body)["messages"]) for body in bodies)))  # fmt: skip
    assert [one.at for one in found] == sorted(one.at for one in found)
    (bill,) = replay(found, {})
    assert bill.sessions == 3
    alone = recorded_in(written(tmp_path / "a.jsonl", [line for line in lines if line.get("agentId")]))
    assert len(alone) == len(other.bodies), "a subagent in a file of its own"


def test_a_replay_comes_to_a_jump_when_its_recording_waits() -> None:
    """A cache of five minutes is dead after an hour, though the replay itself takes no time."""
    said: list[Any] = [{"role": "user", "content": "Read."}]
    for number in range(24):
        words = " ".join(WORDS) * 9
        said += [{"role": "assistant", "content": f"{number}: {words}"},
                 {"role": "user", "content": f"{words} {number}"}]  # fmt: skip
    every = [
        Recorded(9 * n + 3600 * (n == 24), b"/v1/messages", json.dumps(
            {"model": "claude-fable-5", "max_tokens": 9, "messages": said[: 2 * n + 1]}).encode())
        for n in range(25)]  # fmt: skip

    def drawer(path: Path) -> LedgerDrawer:
        return LedgerDrawer(lambda: Ledger(path), Draw.full, perfect)

    with TemporaryDirectory() as folder:
        (found,) = replay(every, {"full": lambda: drawer(Path(folder) / "l")})
        even = [Recorded(9.0 * n, one.path, one.body) for n, one in enumerate(every)]
        (warm,) = replay(even, {"full": lambda: drawer(Path(folder) / "m")})
    assert found.bills["full"].pictures >= 1 and any("old turns: " in why for why in found.reasons["full"])
    assert found.bills["full"].usage.input < found.bills["text"].usage.input
    assert warm.bills["full"].usage == warm.bills["text"].usage and not warm.bills["full"].pictures


def test_a_rollout_of_codex_is_told_again(vendor: Provider, tmp_path: Path) -> None:
    vendor.script = tool_script(5, parallel=2)
    with Codex(vendor.url) as agent:
        agent.play("Read it all.")

    def line(kind: str, payload: Any, minute: int = 0) -> dict[str, Any]:
        return {"timestamp": f"2026-11-20T10:{minute:02d}:00Z", "type": kind, "payload": payload}

    lines = [line("session_meta", {"id": "c-1", "base_instructions": {"text": "You are Codex."}}),
             line("turn_context", {"model": "gpt-6.2-sol"})]  # fmt: skip
    for n, item in enumerate(agent.items):
        lines.append(line("response_item", item, n))
        if item["type"] == "function_call":
            lines.append(line("event_msg", {"type": "agent_message"}, n))
        after = agent.items[n + 1]["type"] if n + 1 < len(agent.items) else ""
        if item["type"] in ("function_call", "message") and after in ("function_call_output", "") and n:
            used = {"input_tokens": 30_000, "output_tokens": 55}
            lines.append(line("event_msg", {"type": "token_count", "info": {"last_token_usage": used}}, n))
    found = recorded_in(written(tmp_path / "r.jsonl", lines))
    assert len(found) == len(agent.bodies)
    for one, body in zip(found, agent.bodies, strict=True):
        assert json.loads(one.body)["input"] == json.loads(body)["input"]
    assert {one.output for one in found} == {55} and len({one.before for one in found}) == 1
    assert found[0].before > 29_000
    lines.append(line("compacted", {"message": "All in short."}))
    lines.append(line("response_item", {"type": "message", "role": "assistant", "content": []}))
    last = json.loads(recorded_in(written(tmp_path / "r.jsonl", lines))[-1].body)
    assert [item["role"] for item in last["input"]] == ["user"] and "All in short." in str(last)


def test_bodies_of_every_dialect_are_known(tmp_path: Path) -> None:
    ask = [{"role": "user", "content": "hi"}]
    lines = [{"model": "claude-opus-5", "messages": ask}, {"model": "gpt-6-sol", "input": "hi"},
             {"model": "gpt-6-luna", "messages": ask},
             {"contents": [{"parts": [{"text": "hi"}]}], "model": "gemini-4-neon"}, {"request": 1},
             {"path": "/v1/messages?beta=true", "body": {"model": "x", "messages": ask}, "at": 3},
             {"body": json.dumps({"model": "y", "input": "hi"}), "timestamp": "2026-11-20T10:00:00Z"}, [1]]  # fmt: skip
    found = recorded_in(written(tmp_path / "b.jsonl", lines))
    assert [one.path.decode() for one in found] == [
        "/v1/messages", "/v1/responses", "/v1/chat/completions", "/v1beta/models/gemini-4-neon:generateContent",
        "/v1/messages", "/v1/responses",
    ]  # fmt: skip
    assert found[4].at == 3 and found[5].at > 1e9
    for value, of in ((lines, found), (lines[0], found[:1])):
        for indent in (None, 2):
            (tmp_path / "whole").write_text(json.dumps(value, indent=indent))
            assert [one.body for one in recorded_in(tmp_path / "whole")] == [one.body for one in of]


def entry(url: str, body: str, minute: int, answer: Any = None, status: int = 200, **more: Any) -> dict[str, Any]:
    content = {"mimeType": "application/json", "text": json.dumps(answer)} | more
    return {"startedDateTime": f"2026-11-20T10:{minute:02d}:00.000Z",
            "request": {"method": "POST", "url": url, "headers": [{"name": "X-Session-ID", "value": "s"}],
                        "postData": {"mimeType": "application/json", "text": body}},
            "response": {"status": status, "content": content}}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 4])
def test_an_archive_of_a_watched_session_is_told_again(vendor: Provider, tmp_path: Path, indent: int | None) -> None:
    vendor.script = tool_script(4)
    with ClaudeCode(vendor.url) as agent:
        agent.play("Read it all.")
    bodies = [body.decode() for body in agent.bodies]
    events = 'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":41}}\n\n'
    packed = base64.b64encode(events.encode()).decode()
    to = "https://api.anthropic.com/v1/messages?beta=true"
    entries: list[Any] = [
        *(entry(to, body, n, mimeType="text/event-stream", text=packed, encoding="base64")
          for n, body in enumerate(bodies)),
        entry(to, bodies[0], 50, status=529),
        entry(to.replace("messages?", "messages/count_tokens?"), bodies[0], 51),
        {"request": {"method": "GET", "url": "https://example.org/"}}, {}, 5]  # fmt: skip
    entries.reverse()
    path = tmp_path / "watched.har"
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}, indent=indent))
    found = [one for one in recorded_in(path) if (of := opened(one)) is not None and of.asked.blocks]
    assert [one.body.decode() for one in found] == bodies and {one.output for one in found} == {41}
    assert found[1].at - found[0].at == 60 and found[0].headers == {"x-session-id": "s"}
    (bill,) = replay(found, {})
    assert bill.sessions == 1 and bill.bills["text"].usage.output == 41 * len(bodies)


def test_an_archive_s_gateways_are_seen_through(tmp_path: Path) -> None:
    ask = [{"role": "user", "content": "hi"}]
    chat = json.dumps({"model": "gpt-6-luna", "messages": ask})
    native = json.dumps({"contents": [{"parts": [{"text": "hi"}]}]})
    used = {"usage": {"prompt_tokens": 9, "completion_tokens": 5}}
    entries = [entry("https://gate.example/api/v1/chat/completions", chat, 0, used),
               entry("http://localhost:4000/openai/deployments/x/chat/completions?api-version=1", chat, 1),
               entry("https://vertex.example/v1/projects/p/publishers/google/models/gemini-4-neon:generateContent",
                     native, 2),
               entry("https://[broken/v1/messages", chat, 3),
               entry("https://example.org/metrics", chat, 4)]  # fmt: skip
    path = tmp_path / "g.har"
    path.write_text("\ufeff" + json.dumps({"log": {"entries": entries}}), "utf-8")
    found = recorded_in(path)
    assert [one.path.decode() for one in found] == [
        "/v1/chat/completions", "/chat/completions", "/v1beta/models/gemini-4-neon:generateContent",
    ]  # fmt: skip
    assert [one.output for one in found] == [5, 0, 0]
    assert [of.asked.model for one in found if (of := opened(one))] == ["gpt-6-luna", "gpt-6-luna", "gemini-4-neon"]


def test_a_file_that_is_longer_than_is_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microfiche.proxy.recorded.LINE", 100)
    body = json.dumps({"model": "gpt-6-sol", "input": "hi"})
    for data in (body + "\n" + "x" * 200, '{"log":\n{"entries": [' + "1," * 100, body[:-1] + " " * 100 + "}"):
        (tmp_path / "f").write_text(data)
        with pytest.raises(InputError, match="more than 100 bytes"):
            recorded_in(tmp_path / "f")


@pytest.mark.parametrize(
    ("data", "said"),
    [(b'{"log": {"entries": 3}}', "holds no request"),
     (b"", "holds no request"), (b"[]\n3\n", "holds no request"), (b'{"a": 1}\n', "holds no request"),
     (b'{"sessionId": "s",\n "messages": [{"type": "user", "content": "hi"}]}', "holds no request"),
     (b'{"model": "x"\n', "line 1 is no JSON"), (b'{\n"model": "x"\n', "line 1 is no JSON.*--record"),
     (b"\x89PNG\r\n\x1a\n\x00", "is no JSON"),
     (b'{"a":1}\n' + b"[" * 100_000, "line 2 is no JSON"),
     (b'{"uuid": "u", "message": {"role": "user", "content": 5}}\n', "holds no request"),
     (b'{"type": "session_meta", "payload": {}}\n', "holds no request")],
)  # fmt: skip
def test_what_is_no_recording_is_refused_in_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(InputError, match=said):
        recorded_in(tmp_path / "f")
    with pytest.raises(InputError, match="No such file"):
        recorded_in(tmp_path / "none")


def test_the_command_says_what_it_would_have_cost(tmp_path: Path) -> None:
    body = {"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi " * 5000}]}
    path = written(tmp_path / "b.jsonl", [body])
    made = CliRunner().invoke(app, ["proxy", "--replay", str(path), "--json"])
    assert made.exit_code == 0
    (found,) = json.loads(made.stdout)
    assert set(found["ways"]) == {"text, never cached", "text", "off", "safe", "slab", "full"}
    assert found["ways"]["off"]["dollars"] == found["ways"]["text"]["dollars"] > 0
    shown = CliRunner().invoke(app, ["proxy", "--replay", str(path), "--model", "claude-fable-5-2"])
    assert shown.exit_code == 0 and "claude-fable-5-2" in shown.stdout and "$" in shown.stdout
    wrong = CliRunner().invoke(app, ["proxy", "--replay", str(tmp_path / "none")])
    assert wrong.exit_code == 1 and len(wrong.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(("body", "path"), [
    ({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]}, "chat/completions"),
    ({"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", "function": {}}]},
     "chat/completions"),
    ({"messages": [{"role": "assistant", "tool_calls": [], "content": None}]}, "chat/completions"),
    ({"messages": [{"role": "user", "content": "hi"}], "system": "Be kind."}, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}]},
     "messages"),
    ({"messages": [{"role": "user", "content": "hi"}]}, "messages"),
])  # fmt: skip
def test_the_shape_of_a_body_says_more_than_its_model(tmp_path: Path, body: dict[str, Any], path: str) -> None:
    lines = [{"model": "claude-fable-5-1", **body}]
    (found,) = recorded_in(written(tmp_path / "b.jsonl", lines))
    assert found.path.decode() == f"/v1/{path}"


def test_a_model_of_geminis_may_be_called_as_its_list_calls_it_and_no_time_is_not_a_number(tmp_path: Path) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}], "model": "models/gemini-3.7-flash"}
    (tmp_path / "b.jsonl").write_text(json.dumps({"body": body, "at": float("nan")}))
    (found,) = recorded_in(tmp_path / "b.jsonl")
    assert found.path == b"/v1beta/models/gemini-3.7-flash:generateContent" and found.at == 0
