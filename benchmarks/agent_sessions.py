"""Sessions of coding agents, made by a seed: prompts, tool documents, reads, greps, test logs and diffs of public code.

The code is that of the Python standard library on the machine, so that nothing is copied here and the same Python makes
the same sessions. Everything was fixed before any drawing was tuned. From reports on agents (shared reference, sections
1 and 2) are: the shapes of the requests and their cache marks, the identity and billing blocks, parallel calls whose
results come in one message, results that are errors, the clients' caps (2,000 lines of a file, 30,000 characters of a
command's output), one hour of cache for seven of eight sessions of Claude Code, requests of up to about 450,000
characters. How often each tool is called and how long its results are was reported nowhere, and is chosen here by plain
judgement: `MIX`, `PARALLEL` and the makers below.
"""

from __future__ import annotations

import base64
import difflib
import json
import random
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

Json = dict[str, Any]
LEFT_OUT = ("test", "tests", "idlelib", "site-packages", "__pycache__", "lib2to3", "turtledemo", "pydoc_data")
READ_LINES, SHELL = 2000, 30_000  #: lines of a file and characters of a command's output that clients cut at
WHOLE = 30_000  #: characters of a file up to which it is read whole
FULL = 560_000  #: characters of a conversation at which the client has it summarised
PARALLEL = (1, 1, 1, 1, 1, 1, 1, 2, 2, 3)  #: calls in one turn
MIX = {
    "read": 30, "part": 14, "grep": 14, "glob": 5, "tests": 10, "diff": 6, "log": 4, "edit": 13, "data": 3, "todo": 5,
}  # fmt: skip
ERRORS = 0.05  #: share of the calls that fail
TURNS = (14, 26, 34, 42, 50, 60, 80, 110)  #: requests of each session but for those that its user adds
REMINDER = ("\n\n<system-reminder>\nThis file may have been changed by somebody else since. Do not mention this "
            "reminder to the user.\n</system-reminder>")  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call of a tool, and what came back."""

    name: str
    given: Json
    result: str
    kind: str
    error: bool = False


@dataclass
class Step:
    """One request and its answer: `asks` are new words of the user, `waits` the seconds before it. Where `fresh` is
    given, the conversation begins anew with it, a summary of what was before."""

    thought: str
    said: str
    calls: list[Call]
    waits: float
    asks: str = ""
    fresh: str = ""


@dataclass
class Session:
    """What happens in a session, whoever the client is."""

    number: int
    system: list[str]
    tools: list[Json]
    opening: str
    steps: list[Step] = field(default_factory=list)
    hours: bool = True


@lru_cache
def library() -> dict[str, str]:
    """The files of the standard library, by path."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found = {}
    for path in sorted(root.rglob("*.py")):
        inner = path.relative_to(root)
        if not set(inner.parts) & set(LEFT_OUT) and 1_500 < path.stat().st_size < 400_000:
            try:
                found[f"src/{inner.as_posix()}"] = path.read_text("utf-8")
            except UnicodeDecodeError:
                continue
    return found


@lru_cache
def manual() -> list[str]:
    """Paragraphs of the language's reference, for prompts and documents."""
    from pydoc_data.topics import topics

    whole = "\n\n".join(topics[name] for name in sorted(topics))
    return [part for part in re.split(r"\n{2,}", whole) if 60 < len(part) < 1500]


def prose(rng: random.Random, characters: int) -> str:
    """Running text of about so many characters."""
    at, parts, size = rng.randrange(len(manual())), [], 0
    while size < characters:
        parts.append(manual()[at % len(manual())])
        size, at = size + len(parts[-1]) + 2, at + 1
    return "\n\n".join(parts)


class Project:
    """The code that a session works on: one package of the library and some files beside it, which edits change."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.files = rng, {}
        every = library()
        folders = sorted({path.rsplit("/", 1)[0] for path in every if path.count("/") > 1})
        own = rng.choice([f for f in folders if sum(p.startswith(f + "/") for p in every) >= 6])
        chosen = [p for p in every if p.startswith(own + "/")] + rng.sample(sorted(every), 40)
        self.files = {path: every[path] for path in dict.fromkeys(chosen)}

    def pick(self, most: int = 10**9) -> str:
        """A file, of at most so many characters."""
        return self.rng.choice([path for path, text in self.files.items() if len(text) <= most])

    def word(self) -> str:
        """A name that some file defines."""
        names = re.findall(r"(?:def|class) (\w{4,})", self.files[self.pick()])
        return self.rng.choice(names) if names else "import"

    def hexes(self, digits: int) -> str:
        """A number as hashes have it."""
        return f"{self.rng.getrandbits(digits * 4):0{digits}x}"

    # --- the tools ---

    def read(self) -> Call:
        path = self.pick(WHOLE)
        lines = self.files[path].split("\n")[:READ_LINES]
        return Call("Read", {"file_path": f"/code/{path}"}, numbered(lines, 1) + REMINDER, "read")

    def part(self) -> Call:
        path = self.pick()
        lines = self.files[path].split("\n")
        count = self.rng.choice((40, 60, 80, 100, 150, 200))
        first = self.rng.randrange(max(1, len(lines) - count))
        given = {"file_path": f"/code/{path}", "offset": first + 1, "limit": count}
        return Call("Read", given, numbered(lines[first : first + count], first + 1) + REMINDER, "part")

    def grep(self) -> Call:
        word = self.word()
        if self.rng.random() < 0.3:
            found = [f"/code/{path}" for path, text in self.files.items() if word in text]
            given = {"pattern": word, "output_mode": "files_with_matches"}
        else:
            found = [f"/code/{path}:{n}:{line}" for path, text in self.files.items()
                     for n, line in enumerate(text.split("\n"), 1) if word in line]  # fmt: skip
            given = {"pattern": word, "output_mode": "content", "-n": True}
        return Call("Grep", given, "\n".join(found)[:SHELL] or "No matches found", "grep")

    def glob(self) -> Call:
        return Call("Glob", {"pattern": "**/*.py"}, "\n".join(f"/code/{path}" for path in self.files), "glob")

    def tests(self) -> Call:
        """A log of pytest: what passed, and what failed with the code around it."""
        out, failed = ["=" * 30 + " test session starts " + "=" * 30, f"rootdir: /work  seed {self.hexes(8)}"], []
        for _ in range(self.rng.randint(3, 14)):
            path = self.pick()
            name = "tests/test_" + path.rsplit("/", 1)[1]
            for case in re.findall(r"def (\w{3,})\(", self.files[path])[: self.rng.randint(2, 16)]:
                wrong = self.rng.random() < 0.03
                out.append(f"{name}::test_{case.strip('_')} {'FAILED' if wrong else 'PASSED'} [{len(out):3d}%]")
                failed += [(path, case)] if wrong else []
        for path, case in failed:
            lines = self.files[path].split("\n")
            at = next((n for n, line in enumerate(lines) if f"def {case}(" in line), 0)
            out += ["_" * 20 + f" test_{case} " + "_" * 20, "", *(f"    {line}" for line in lines[at : at + 18])]
            out += [f">       assert made == 0x{self.hexes(12)}", f"E       assert {self.rng.random():.6f} == 0.5",
                    f"/code/{path}:{at + 9}: AssertionError"]  # fmt: skip
        out.append(f"{len(failed)} failed, {len(out)} passed in {self.rng.uniform(0.4, 90):.2f}s")
        return Call("Bash", {"command": "python -m pytest -v"}, "\n".join(out)[:SHELL], "tests")

    def diff(self) -> Call:
        out = []
        for _ in range(self.rng.randint(1, 5)):
            path = self.pick()
            old = self.files[path].split("\n")
            made = "\n".join(difflib.unified_diff(old, self._changed(old), f"a/{path}", f"b/{path}", lineterm="", n=3))
            out.append(f"diff --git a/{path} b/{path}\nindex {self.hexes(10)}..{self.hexes(10)} 100644\n{made}")
        return Call("Bash", {"command": "git diff"}, "\n".join(out)[:SHELL], "diff")

    def _changed(self, lines: list[str]) -> list[str]:
        made = list(lines)
        for _ in range(self.rng.randint(2, 12)):
            at = self.rng.randrange(len(made))
            way = self.rng.random()
            if way < 0.4:
                made[at] = re.sub(r"\b[a-z_]{4,}\b", lambda found: found[0] + "_", made[at], count=1)
            elif way < 0.7:
                made[at:at] = self.rng.choice([lines, made])[at // 2 : at // 2 + self.rng.randint(1, 8)]
            else:
                del made[at : at + self.rng.randint(1, 4)]
            made = made or [""]
        return made

    def log(self) -> Call:
        out = [f"{self.hexes(9)} {self.rng.randint(2019, 2026)}-{self.rng.randint(1, 12):02d}-"
               f"{self.rng.randint(1, 28):02d} {self.word()}: {prose(self.rng, 10)[:60]}".replace("\n", " ")
               for _ in range(self.rng.randint(10, 60))]  # fmt: skip
        return Call("Bash", {"command": "git log --oneline --date=short"}, "\n".join(out), "log")

    def edit(self) -> Call:
        path = self.pick()
        lines = self.files[path].split("\n")
        at = self.rng.randrange(max(1, len(lines) - 12))
        old = lines[at : at + self.rng.randint(1, 6)]
        new = self._changed(old)
        self.files[path] = "\n".join([*lines[:at], *new, *lines[at + len(old) :]])
        shown = self.files[path].split("\n")[max(0, at - 4) : at + len(new) + 4]
        given = {"file_path": f"/code/{path}", "old_string": "\n".join(old), "new_string": "\n".join(new)}
        said = f"The file /code/{path} has been updated. Here's the result of running `cat -n` on a snippet:\n"
        return Call("Edit", given, said + numbered(shown, max(1, at - 3)), "edit")

    def data(self) -> Call:
        rows = [{"id": f"{self.hexes(8)}-{self.hexes(4)}-4{self.hexes(3)}-a{self.hexes(3)}-{self.hexes(12)}",
                 "name": self.word(), "path": f"/code/{self.pick()}", "size": self.rng.randrange(10**7),
                 "score": round(self.rng.random(), 5), "sha256": self.hexes(64)}
                for _ in range(self.rng.randint(5, 40))]  # fmt: skip
        return Call("Bash", {"command": "curl -s localhost:9000/items"}, json.dumps(rows, indent=2)[:SHELL], "data")

    def todo(self) -> Call:
        items = [{"content": f"Look at {self.word()}", "status": "pending"} for _ in range(self.rng.randint(2, 6))]
        return Call("TodoWrite", {"todos": items}, "Todos have been modified successfully.", "todo")


def numbered(lines: list[str], first: int) -> str:
    """Lines as `cat -n` has them."""
    return "\n".join(f"{n:6d}\t{line[:2000]}" for n, line in enumerate(lines, first))


def tools_of(rng: random.Random, count: int, characters: int) -> list[Json]:
    """Documents of tools: names, descriptions in prose, schemas."""
    names = ["Read", "Edit", "Write", "Bash", "Grep", "Glob", "TodoWrite", "WebFetch", "WebSearch", "Task", "KillShell"]
    names += [f"mcp__tracker__{word}" for word in ("list", "get", "create", "comment", "close", "search", "label")]
    made = []
    for name in names[:count]:
        given = {word: {"type": rng.choice(("string", "integer", "boolean")), "description": prose(rng, 80)[:180]}
                 for word in ("file_path", "pattern", "limit", "command")[: rng.randint(1, 4)]}  # fmt: skip
        schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": given,
                  "required": [next(iter(given))], "additionalProperties": False}  # fmt: skip
        made.append({"name": name, "description": prose(rng, characters // count), "input_schema": schema})
    return made


def session(number: int, seed: int = 0) -> Session:
    """One session: its system prompt in parts, tools, the user's words, and what happens."""
    rng = random.Random(f"agents {seed} {number}")
    project = Project(rng)
    makers: dict[str, Callable[[], Call]] = {kind: getattr(project, kind) for kind in MIX}
    environment = (
        f"<env>\nWorking directory: /work\nIs directory a git repo: Yes\nPlatform: linux\nToday's date: 2026-11-"
        f"{10 + number}\n</env>\ngitStatus: main, {project.hexes(9)} {prose(rng, 20)[:50]}"
    )
    system = [prose(rng, 14_000), environment]
    opening = "<system-reminder>\n# CLAUDE.md\n" + prose(rng, 4_000) + "\n</system-reminder>\n" + prose(rng, 400)
    made = Session(number, system, tools_of(rng, 18, 42_000), opening, hours=number % 8 != 7)
    turns, held, fresh = TURNS[number % len(TURNS)], 0, ""
    for turn in range(turns):
        last = turn == turns - 1
        kinds = rng.choices(list(MIX), list(MIX.values()), k=rng.choice(PARALLEL))
        calls = [] if last else [_failing(rng, makers[kind]()) for kind in kinds]
        away = rng.random() < 0.02
        waits = rng.uniform(400, 2400) if away else rng.uniform(3, 45)
        asks = ""
        if turn and rng.random() < 0.06:  # a new wish, sometimes with a log pasted in
            asks = prose(rng, 250) + ("\n" + project.tests().result if rng.random() < 0.3 else "")
        said = prose(rng, 40)[: rng.randint(0, 300)] or "I go on."
        made.steps.append(Step(prose(rng, 200)[: rng.randint(100, 1500)], said, calls, waits, asks, fresh))
        held, fresh = held + sum(len(call.result) + 200 for call in calls), ""
        if held > FULL and not last:
            summary, held = prose(rng, 6_000), 0
            made.steps.append(Step("I sum it up.", summary, [], 5.0, "Summarise the conversation so far in detail."))
            fresh = "This session is being continued from a previous conversation that ran out of context.\n" + summary
    return made


def _failing(rng: random.Random, call: Call) -> Call:
    if rng.random() >= ERRORS:
        return call
    return Call(call.name, call.given, f"Error: {prose(rng, 60)[:200]}", "error", True)


def sessions(seed: int = 0, count: int = len(TURNS)) -> list[Session]:
    """All sessions of a seed."""
    return [session(number, seed) for number in range(count)]


# --- as the clients send them ---


@dataclass(frozen=True)
class Sent:
    """A request: the second at which it is sent, its path, headers and body."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes
    output: int  #: characters of the answer to it


def signed(session: Session, turn: int) -> str:
    """A signature of a thought, as long as they are."""
    return base64.b64encode(random.Random(f"{session.number} {turn}").randbytes(300)).decode()


def requests(session: Session, shape: str, model: str) -> Iterator[Sent]:
    """The requests of a session as the client sends them that speaks in a shape: Claude Code ("anthropic"), Codex
    ("responses"), OpenCode ("openai"), Gemini CLI ("gemini")."""
    client = {"anthropic": _claude_code, "responses": _codex, "openai": _opencode, "gemini": _gemini}[shape]
    at = 0.0
    for step, (path, headers, body) in zip(session.steps, client(session, model), strict=True):
        at += step.waits
        output = len(step.thought) + len(step.said) + sum(len(json.dumps(call.given)) + 20 for call in step.calls)
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        yield Sent(at, path, headers, data, output)


Made = Iterator[tuple[str, dict[str, str], Json]]


def _claude_code(session: Session, model: str) -> Made:
    mark: Json = {"type": "ephemeral", **({"ttl": "1h"} if session.hours else {})}
    name = f"s-{session.number}"
    headers = {"anthropic-version": "2023-06-01", "x-app": "cli", "x-claude-code-session-id": name,
               "user-agent": "claude-cli/2.9.1 (external, cli)"}  # fmt: skip
    identity = "You are Claude Code, Anthropic's official CLI for Claude."
    system = [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.9.1; cch=00000;"},
              {"type": "text", "text": identity, "cache_control": mark},
              {"type": "text", "text": "\n\n".join(session.system), "cache_control": mark}]  # fmt: skip
    messages: list[Json] = [{"role": "user", "content": [{"type": "text", "text": session.opening}]}]
    for turn, step in enumerate(session.steps):
        if step.fresh:
            messages = [{"role": "user", "content": [{"type": "text", "text": session.opening + step.fresh}]}]
        if step.asks:
            messages[-1]["content"].append({"type": "text", "text": step.asks})
        marked = [_marked(m, mark) if n >= len(messages) - 2 else m for n, m in enumerate(messages)]
        yield "/v1/messages?beta=true", headers, {
            "model": model, "max_tokens": 32000, "messages": marked, "system": system, "tools": session.tools,
            "metadata": {"user_id": f"user_x_account_y_session_{name}"}, "stream": True,
            "thinking": {"type": "enabled", "budget_tokens": 10000}}  # fmt: skip
        calls = [{"type": "tool_use", "id": f"toolu_{turn}_{n}", "name": call.name, "input": call.given}
                 for n, call in enumerate(step.calls)]  # fmt: skip
        thought = {"type": "thinking", "thinking": step.thought, "signature": signed(session, turn)}
        messages.append({"role": "assistant", "content": [thought, {"type": "text", "text": step.said}, *calls]})
        messages.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": made["id"], "content": call.result,
             **({"is_error": True} if call.error else {})} for made, call in zip(calls, step.calls, strict=True)]})


def _marked(message: Json, mark: Json) -> Json:
    blocks = [dict(block) for block in message["content"]]
    blocks[-1]["cache_control"] = mark
    return {**message, "content": blocks}


def _codex(session: Session, model: str) -> Made:
    name = f"c-{session.number}"
    headers = {"originator": "codex_cli_rs", "session-id": name, "user-agent": "codex_cli_rs/0.99.0 (Linux) xterm"}
    documents = [{"type": "function", "name": t["name"], "description": t["description"], "strict": False,
                  "parameters": t["input_schema"]} for t in session.tools[:9]]  # fmt: skip
    items: list[Json] = [_input(session.opening)]
    for turn, step in enumerate(session.steps):
        items = [_input(session.opening + step.fresh)] if step.fresh else items
        items += [_input(step.asks)] if step.asks else []
        yield "/v1/responses", headers, {
            "model": model, "instructions": "\n\n".join(session.system), "input": list(items), "tools": documents,
            "tool_choice": "auto", "parallel_tool_calls": True, "store": False, "stream": True,
            "reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": name}  # fmt: skip
        items.append({"type": "reasoning", "summary": [], "encrypted_content": signed(session, turn)})
        items.append({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": step.said}]})
        for n, call in enumerate(step.calls):
            items.append({"type": "function_call", "name": call.name, "call_id": f"call_{turn}_{n}",
                          "arguments": json.dumps(call.given)})  # fmt: skip
        items += [{"type": "function_call_output", "call_id": f"call_{turn}_{n}", "output": call.result}
                  for n, call in enumerate(step.calls)]  # fmt: skip


def _input(text: str) -> Json:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def _opencode(session: Session, model: str) -> Made:
    headers = {"user-agent": "opencode/1.9 ai-sdk/6", "x-session-affinity": f"o-{session.number}"}
    documents = [{"type": "function", "function": {"name": t["name"], "description": t["description"],
                  "parameters": t["input_schema"]}} for t in session.tools[:14]]  # fmt: skip
    messages: list[Json] = [{"role": "system", "content": "\n\n".join(session.system)},
                            {"role": "user", "content": session.opening}]  # fmt: skip
    for turn, step in enumerate(session.steps):
        messages = [messages[0], {"role": "user", "content": session.opening + step.fresh}] if step.fresh else messages
        messages += [{"role": "user", "content": step.asks}] if step.asks else []
        yield "/v1/chat/completions", headers, {
            "model": model, "messages": list(messages), "tools": documents, "tool_choice": "auto", "stream": True,
            "stream_options": {"include_usage": True}, "max_tokens": 32000}  # fmt: skip
        calls = [{"id": f"call_{turn}_{n}", "type": "function",
                  "function": {"name": call.name, "arguments": json.dumps(call.given)}}
                 for n, call in enumerate(step.calls)]  # fmt: skip
        messages.append({"role": "assistant", "content": step.said, **({"tool_calls": calls} if calls else {})})
        messages += [{"role": "tool", "tool_call_id": made["id"], "content": call.result}
                     for made, call in zip(calls, step.calls, strict=True)]  # fmt: skip


def _gemini(session: Session, model: str) -> Made:
    headers = {"user-agent": "GeminiCLI/1.2"}
    documents = [{"functionDeclarations": [{"name": t["name"], "description": t["description"],
                  "parameters": t["input_schema"]} for t in session.tools[:12]]}]  # fmt: skip
    contents: list[Json] = [{"role": "user", "parts": [{"text": session.opening}]}]
    for turn, step in enumerate(session.steps):
        if step.fresh:
            contents = [{"role": "user", "parts": [{"text": session.opening + step.fresh}]}]
        if step.asks:
            contents[-1]["parts"].append({"text": step.asks})
        yield f"/v1beta/models/{model}:streamGenerateContent?alt=sse", headers, {
            "contents": contents, "tools": documents,
            "systemInstruction": {"parts": [{"text": "\n\n".join(session.system)}]}}  # fmt: skip
        calls: list[Json] = [{"functionCall": {"name": call.name, "args": call.given}} for call in step.calls]
        if calls:
            calls[0]["thoughtSignature"] = signed(session, turn)
        contents.append({"role": "model", "parts": [{"text": step.said}, *calls]})
        contents.append({"role": "user", "parts": [
            {"functionResponse": {"name": call.name, "response": {"output": call.result}}} for call in step.calls]})
