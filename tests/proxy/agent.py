"""Scripts that play agents: their requests are shaped as Claude Code, Codex, OpenCode and Gemini CLI send them, turn by
turn, with the tool results that a session brings, and every answer goes back as it came.

Source: shared reference on agents, section 2 (November 2026).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, Self

import httpx2
from between import PATIENCE
from provider.answers import Turn
from provider.checks import IDENTITY, blocks_of

Json = dict[str, Any]
WORDS = (
    "def", "class", "return", "import", "value", "page", "token", "cache", "prefix", "model", "agent", "result", "line",
    "error", "file", "path", "test",
)  # fmt: skip


def listing(seed: int, lines: int = 60) -> str:
    """A tool's result: lines that look like source, the same for the same seed."""
    rng = random.Random(seed)
    said = [(" ".join(rng.choices(WORDS, k=9)), rng.getrandbits(48)) for _ in range(lines)]
    return "\n".join(f"{n:5d}\t{words} {number:012x}" for n, (words, number) in enumerate(said))


def tool_script(turns: int, parallel: int = 1) -> Any:
    """A model that reads files for so many turns, thinks about each, and then is done."""

    def say(body: Json) -> Turn:
        given = body.get("messages") or body.get("input") or body.get("contents") or []
        done = sum("tool_result" in json.dumps(m) or "function_call_output" in json.dumps(m)
                   or m.get("role") == "tool" or "functionResponse" in json.dumps(m) for m in given)  # fmt: skip
        if body.get("max_tokens") == 1 or not (body.get("tools")) or done >= turns:
            return Turn("All is read.")
        calls = [("Read", {"file_path": f"/src/é{done}-{n}.py", "limit": 60}) for n in range(parallel)]
        return Turn(f"I look at file {done}.", thought=f"File {done} may say — \u00e9 — more.", calls=calls)

    return say


def weather(body: Any) -> Turn:
    """A model that asks for the weather by the tool that it is given, and then says it."""
    said = str(body.get("messages") or body.get("input") or [])
    if "sunny" in said or not body.get("tools"):
        return Turn("It is sunny in Oslo.")
    given = body["tools"][0]
    return Turn("I ask.", calls=[(given.get("name") or given["function"]["name"], {"city": "Oslo"})])


def tools(count: int = 12) -> list[Json]:
    """Tool documents as agents send them."""
    found = [{"name": "Read", "description": "Reads a file. " + listing(1, 8), "input_schema": {
        "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": False,
        "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer", "default": 60}}}}]  # fmt: skip
    return found + [{"name": f"Tool{n}", "description": listing(n, 6), "input_schema": {"type": "object"}}
                    for n in range(2, count)]  # fmt: skip


def events_in(answer: httpx2.Response) -> Iterator[Json]:
    """The events of a stream."""
    for line in answer.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line[6:])


class Agent:
    """What all have: a connection, which ends with them."""

    def __init__(self) -> None:
        self.client = httpx2.Client(timeout=PATIENCE)
        self.bodies: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


class ClaudeCode(Agent):
    """Claude Code: a billing line, its identity, a long system prompt, tools, four marks, thoughts that come back."""

    def __init__(self, url: str, model: str = "claude-opus-5-5", session: str = "s-1", *, hours: bool = True) -> None:
        super().__init__()
        self.url, self.model, self.session = url, model, session
        self.mark: Json = {"type": "ephemeral", **({"ttl": "1h"} if hours else {})}
        self.messages: list[Json] = []
        self.answers: list[httpx2.Response] = []

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": "Bearer sk-ant-oat01-canary", "anthropic-version": "2023-06-01", "x-app": "cli",
                "anthropic-beta": "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14",
                "user-agent": "claude-cli/2.9.1 (external, cli)", "x-stainless-lang": "js",
                "x-claude-code-session-id": self.session, "content-type": "application/json"}  # fmt: skip

    def body(self, **more: Any) -> bytes:
        said = "You are an agent.\n" + listing(7, 80)
        system = [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.9.1; cch=00000;"},
                  {"type": "text", "text": IDENTITY, "cache_control": self.mark},
                  {"type": "text", "text": said, "cache_control": self.mark}]  # fmt: skip
        marked = [self._marked(m) if n >= len(self.messages) - 2 else m for n, m in enumerate(self.messages)]
        whole = {"model": self.model, "max_tokens": 32000, "messages": marked, "system": system, "tools": tools(),
                 "metadata": {"user_id": f"user_x_account_y_session_{self.session}"}, "stream": True,
                 "thinking": {"type": "enabled", "budget_tokens": 10000}, **more}  # fmt: skip
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()

    def _marked(self, message: Json) -> Json:
        blocks = [dict(block) for block in blocks_of(message["content"])]
        blocks[-1]["cache_control"] = {"type": "ephemeral"}
        return {**message, "content": blocks}

    def start(self) -> None:
        """What it does before the first turn: it looks whether the gateway is there, and whether there is quota."""
        self.client.head(self.url + "/")
        probe = {"model": "claude-haiku-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "quota"}],
                 "system": [{"type": "text", "text": IDENTITY}]}  # fmt: skip
        answer = self.client.post(self.url + "/v1/messages?beta=true", json=probe, headers=self.headers)
        assert answer.status_code == 200

    def count(self) -> int:
        """Asks how long its prompt is."""
        body = json.loads(self.body())
        body = {key: body[key] for key in ("model", "messages", "system", "tools", "thinking")}
        answer = self.client.post(self.url + "/v1/messages/count_tokens?beta=true", json=body, headers=self.headers)
        return int(answer.json()["input_tokens"])

    def turn(self) -> Json:
        """One request: the answer, put together from its events, is appended to the conversation."""
        self.bodies.append(self.body())
        with self.client.stream(
            "POST", self.url + "/v1/messages?beta=true", content=self.bodies[-1], headers=self.headers
        ) as answer:
            self.answers.append(answer)
            if answer.status_code != 200:
                answer.read()
                raise AssertionError(answer.text)
            message = assembled(events_in(answer))
        self.messages.append({"role": "assistant", "content": message["content"]})
        return message

    def play(self, asks: str, most: int = 100) -> int:
        """Works until the model is done; the number of turns."""
        self.messages.append({"role": "user", "content": [{"type": "text", "text": asks}]})
        for number in range(1, most):
            message = self.turn()
            calls = [block for block in message["content"] if block["type"] == "tool_use"]
            if not calls:
                return number
            results = [{"type": "tool_result", "tool_use_id": call["id"], "content": listing(len(self.messages) + n)}
                       for n, call in enumerate(calls)]  # fmt: skip
            if number % 7 == 0:
                results[-1] |= {"is_error": True, "content": "no such file"}
            self.messages.append({"role": "user", "content": results})
        raise AssertionError("it goes on for ever")


def assembled(events: Iterator[Json]) -> Json:
    """A message from the events of its stream."""
    message: Json = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"])
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        block["signature"] += delta["signature"]
                    case "input_json_delta":
                        block["input"] = (block["input"] or "") + delta["partial_json"]
            case "content_block_stop":
                block = message["content"][event["index"]]
                if block["type"] == "tool_use":
                    block["input"] = json.loads(block["input"] or "{}")
            case "message_delta":
                message |= {"stop_reason": event["delta"]["stop_reason"]}
    return message


class Codex(Agent):
    """Codex: Responses without a stored state; reasoning goes back encrypted, in its place."""

    def __init__(self, url: str, model: str = "gpt-6.2-sol", session: str = "c-1") -> None:
        super().__init__()
        self.url, self.model, self.session = url, model, session
        self.items: list[Json] = []

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": "Bearer sk-proj-canary", "originator": "codex_cli_rs", "session-id": self.session,
                "user-agent": "codex_cli_rs/0.99.0 (Linux) xterm", "version": "0.99.0",
                "openai-beta": "responses=experimental", "content-type": "application/json",
                "accept": "text/event-stream"}  # fmt: skip

    def body(self) -> bytes:
        documents = [{"type": "function", "name": t["name"], "description": t["description"], "strict": False,
                      "parameters": t["input_schema"]} for t in tools()]  # fmt: skip
        whole = {"model": self.model, "instructions": "You are Codex.\n" + listing(7, 80), "input": self.items,
                 "tools": documents, "tool_choice": "auto", "parallel_tool_calls": True, "store": False, "stream": True,
                 "reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
                 "prompt_cache_key": self.session}  # fmt: skip
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()

    def play(self, asks: str, most: int = 100) -> int:
        """Works until the model is done; the number of turns."""
        self.items.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": asks}]})
        for number in range(1, most):
            self.bodies.append(self.body())
            with self.client.stream(
                "POST", self.url + "/v1/responses", content=self.bodies[-1], headers=self.headers
            ) as answer:
                assert answer.status_code == 200
                *_, last = events_in(answer)
            output = last["response"]["output"]
            self.items += [{k: v for k, v in item.items() if k not in ("id", "status")} for item in output]
            calls = [item for item in output if item["type"] == "function_call"]
            if not calls:
                return number
            said = listing(len(self.items))
            self.items += [{"type": "function_call_output", "call_id": call["call_id"], "output": said}
                           for call in calls]  # fmt: skip
        raise AssertionError("it goes on for ever")


class OpenCode(Agent):
    """OpenCode with a chat model: two tools are called at a time, and their replies follow one another."""

    def __init__(self, url: str, model: str = "gpt-6-luna", session: str = "o-1") -> None:
        super().__init__()
        self.url, self.model, self.session = url, model, session
        system = {"role": "system", "content": "You are opencode. AGENTS.md:\n" + listing(3, 60)}
        self.messages: list[Json] = [system]

    def play(self, asks: str, most: int = 100) -> int:
        """Works until the model is done; the number of turns."""
        self.messages.append({"role": "user", "content": asks})
        headers = {"authorization": "Bearer sk-canary-of-a-gateway", "user-agent": "opencode/1.9 ai-sdk/6",
                   "x-session-affinity": self.session, "content-type": "application/json"}  # fmt: skip
        documents = [{"type": "function", "function": {"name": t["name"], "description": t["description"],
                      "parameters": t["input_schema"]}} for t in tools()]  # fmt: skip
        for number in range(1, most):
            whole = {"model": self.model, "messages": self.messages, "tools": documents, "tool_choice": "auto",
                     "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 32000}  # fmt: skip
            self.bodies.append(json.dumps(whole, separators=(",", ":")).encode())
            said: Json = {"role": "assistant", "content": ""}
            with self.client.stream(
                "POST", self.url + "/v1/chat/completions", content=self.bodies[-1], headers=headers
            ) as answer:
                assert answer.status_code == 200
                for event in events_in(answer):
                    for choice in event["choices"]:
                        said["content"] += choice["delta"].get("content") or ""
                        for call in choice["delta"].get("tool_calls", []):
                            call = {key: value for key, value in call.items() if key != "index"}
                            said.setdefault("tool_calls", []).append(call)
            self.messages.append(said)
            if "tool_calls" not in said:
                return number
            self.messages += [{"role": "tool", "tool_call_id": call["id"], "content": listing(len(self.messages) + n)}
                              for n, call in enumerate(said["tool_calls"])]  # fmt: skip
        raise AssertionError("it goes on for ever")


class GeminiCLI(Agent):
    """Gemini CLI: parts with signatures that go back as they came. `more` is what else stands in its requests."""

    def __init__(self, url: str, model: str = "gemini-4-neon", version: str = "v1beta", **more: Any) -> None:
        super().__init__()
        self.url, self.model, self.version, self.more = url, model, version, more
        self.contents: list[Json] = []

    def play(self, asks: str, most: int = 100) -> int:
        """Works until the model is done; the number of turns."""
        self.contents.append({"role": "user", "parts": [{"text": asks}]})
        documents = [{"functionDeclarations": [{"name": t["name"], "description": t["description"]} for t in tools()]}]
        headers = {"x-goog-api-key": "AIzaCanary", "user-agent": "GeminiCLI/1.2", "content-type": "application/json"}
        for number in range(1, most):
            whole = {**self.more, "contents": self.contents, "tools": documents,
                     "systemInstruction": {"parts": [{"text": "You are Gemini CLI.\n" + listing(5, 80)}]}}  # fmt: skip
            self.bodies.append(json.dumps(whole).encode())
            url = f"{self.url}/{self.version}/models/{self.model}:streamGenerateContent?alt=sse"
            parts: list[Json] = []
            with self.client.stream("POST", url, content=self.bodies[-1], headers=headers) as answer:
                assert answer.status_code == 200
                for event in events_in(answer):
                    parts += event["candidates"][0]["content"]["parts"]
            self.contents.append({"role": "model", "parts": parts})
            calls = [part["functionCall"] for part in parts if "functionCall" in part]
            if not calls:
                return number
            self.contents.append({"role": "user", "parts": [
                {"functionResponse": {"name": call["name"], "response": {"output": listing(len(self.contents))}}}
                for call in calls]})  # fmt: skip
        raise AssertionError("it goes on for ever")
