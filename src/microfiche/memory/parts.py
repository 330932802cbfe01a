"""What a message of any provider's shape holds, part by part: what is said, calls of tools, their results, reasoning,
pictures, files, audio, and items of OpenAI's Responses, also of kinds that nobody knows yet.

Text that a file brings along is its part's text; of pictures and other data, a part has the name alone.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from mimetypes import guess_type
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote_to_bytes

NAMED = 120  #: characters of a name or id in a label
#: Who speaks in an item of OpenAI's Responses, by the end of its kind; the items of other kinds are nobody's.
_SPEAKERS = {
    "_call": "assistant", "_request": "assistant", "reasoning": "assistant", "compaction": "assistant",
    "_output": "tool", "mcp_list_tools": "tool", "mcp_approval_response": "user",
}  # fmt: skip
NOBODY = "item"
_ASKED = ("arguments", "input", "action", "actions", "operation", "code", "queries")  #: what a tool is called with
_FOUND = ("output", "outputs", "results", "result", "error")  #: what it gave
_UNSAID = {"type", "id", "call_id", "name", "server_label", "status", *_ASKED, *_FOUND}
_PICTURES = {"image_url", "image", "input_image", "computer_screenshot"}
_FILES = {"file": "file", "input_file": "file", "document": "file", "input_audio": "audio", "audio": "audio"}
_TEXTS = ("text/", "application/json", "application/xml", "application/javascript", "application/x-sh",
          "application/yaml", "application/x-yaml", "application/toml", "application/sql")  # fmt: skip
_ENCODED = re.compile(r"(?:data:[\w.+/-]+;base64,)?[\w+/=-]{256,}")
_DATA = re.compile(r"data:([\w.+/-]*)[^,]*;base64,[\w+/=\s-]*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "/": "/"}


@dataclass(frozen=True)
class Part:
    """A part of a message: its `text`, and for what is not just said the `label` that stands before it on a page."""

    text: str
    label: str = ""

    def __str__(self) -> str:
        if not self.label:
            return self.text
        return f"[{self.label}] {self.text}" if self.text else f"[{self.label}]"


def named(value: object) -> str:
    """A name or an id as it stands in a label: in one line, without what could end the label, and not too long."""
    line = "".join("·" if not c.isprintable() or normalize("NFKC", c) in ("[", "]") else c
                   for c in " ".join(str(value)[: 8 * NAMED].split()))
    return line if len(line) <= NAMED else f"{line[: NAMED - 1]}…"


def letters(text: str) -> str:
    """JSON with escapes as the characters for which they stand, but for quotes, backslashes and most control
    characters; a text that is no JSON is left as it is."""
    if "\\" not in text:
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text

    def letter(found: re.Match[str]) -> str:
        sign = chr(int(found[1], 16)) if found[1] else _LETTERS.get(found[2], "")
        return found[0] if sign in ("", '"', "\\") or (found[1] and sign < " ") or sign == "\x7f" else sign

    return _ESCAPE.sub(letter, text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def role_of(given: Mapping[str, Any]) -> str | None:
    """Who speaks in a message, or in an item that has no role; None where that cannot be said."""
    role, kind = given.get("role"), given.get("type")
    if isinstance(role, str):
        return role
    if role is not None or not isinstance(kind, str) or kind in ("", "message"):
        return None
    return _speaker(kind) or NOBODY


def _speaker(kind: object) -> str | None:
    return next((who for end, who in _SPEAKERS.items() if str(kind).endswith(end)), None)


def parts_of(given: Mapping[str, Any]) -> Iterator[Part]:
    """The parts of a message of any provider's shape, in their order."""
    if given.get("role") is None or _speaker(given.get("type")):
        yield from _item(given)
        return
    if thought := given.get("reasoning_content") or given.get("reasoning"):
        yield Part(_words(thought), "reasoning")
    content = given.get("content")
    answered = given.get("tool_call_id")
    said = (Part(content),) if isinstance(content, str) else _several(content)
    yield from said if answered is None else _result(f"result of {named(answered)}", said)
    yield from _several(given.get("parts"))
    if given.get("refusal") is not None:
        yield Part(_words(given["refusal"]), "refusal")
    if isinstance(audio := given.get("audio"), Mapping):
        yield _audio(audio)
    calls = given.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else ()), {"function": given.get("function_call")}]:
        if isinstance(call, Mapping):
            yield from _call(call)


def _several(content: object) -> Iterator[Part]:
    for part in content if isinstance(content, list) else ():
        yield from _part(part) if isinstance(part, Mapping) else (Part(str(part)),)


def _under(label: str, parts: Iterable[Part]) -> Iterator[Part]:
    """The parts of a result or file: what has no label of its own has its."""
    every = [part for part in parts if part.text or part.label]
    if not every or every[0].label:
        yield Part("", label)
    for part in every:
        yield part if part.label else Part(part.text, label)


def _result(label: str, parts: Iterable[Part]) -> Iterator[Part]:
    """The parts of what a tool gave, JSON among them with its escapes as letters."""
    return _under(label, (replace(part, text=letters(part.text)) for part in parts))


def _part(part: Mapping[str, Any]) -> Iterator[Part]:
    match part.get("type"):
        case "text" | "input_text" | "output_text" | "summary_text":
            yield Part(str(part.get("text") or ""))
        case "reasoning_text":
            yield Part(str(part.get("text") or ""), "reasoning")
        case "refusal":
            yield Part(_words(part.get("refusal")), "refusal")
        case "thinking":
            yield Part(str(part.get("thinking") or ""), "reasoning")
        case "redacted_thinking":
            yield Part("", "reasoning, hidden")
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            yield Part(_words(part.get("input")), _called(part.get("name"), part.get("id")))
        case str(kind) if kind.endswith("tool_result"):
            failed = ", failed" if part.get("is_error") else ""
            yield from _result(f"{_answers(part.get('tool_use_id'))}{failed}", _given(part.get("content")))
        case str(kind) if kind in _PICTURES:
            yield Part("", _beside("picture", part))
        case "input_audio" | "audio":
            yield _audio(part)
        case str(kind) if kind in _FILES:
            yield from _under(_beside(_FILES[kind], part), _inside(part))
        case "logs" if isinstance(part.get("logs"), str):
            yield Part(part["logs"])
        case None:
            yield from _of_gemini(part)
        case kind:
            yield from _item(part)


def _given(value: object) -> Iterator[Part]:
    """What a tool gave, whatever it is."""
    if isinstance(value, str):
        data = _DATA.fullmatch(value)
        yield Part("", _kind(data[1])) if data else Part(value)
    elif isinstance(value, list):
        yield from _several(value)
    elif isinstance(value, Mapping) and "type" in value:
        yield from _part(value)
    elif value is not None:
        yield Part(_ENCODED.sub("…", _words(value)))


def _of_gemini(part: Mapping[str, Any]) -> Iterator[Part]:
    """A part of Gemini's, whose keys are written in camel case or in snake case."""
    if isinstance(part.get("text"), str):
        found_in = part.get("filename") or part.get("file_id")  # as what a search in files found says
        yield Part(part["text"], "reasoning" if part.get("thought") else _beside("file", part) if found_in else "")
    elif isinstance(call := _either(part, "functionCall"), Mapping):
        yield Part(_words(call.get("args")), _called(call.get("name"), call.get("id")))
    elif isinstance(found := _either(part, "functionResponse"), Mapping):
        answer = [Part(_words(found.get("response"))), *_several(found.get("parts"))]
        yield from _result(_answers(found.get("id") or found.get("name")), answer)
    elif isinstance(data := _either(part, "inlineData") or _either(part, "fileData"), Mapping):
        yield from _under(_beside(_kind(_either(data, "mimeType")), data), _inside(data))
    elif isinstance(code := _either(part, "executableCode"), Mapping):
        yield Part(_words(code.get("code")), _called("code", code.get("id")))
    elif isinstance(result := _either(part, "codeExecutionResult"), Mapping):
        yield from _result(_answers(result.get("id") or "code"), _given(result.get("output")))
    elif part:
        yield Part(_rest(part), "part")


def _either(given: Mapping[str, Any], key: str) -> Any:
    """The value under a key in camel case, or in snake case."""
    return given.get(key, given.get(re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", key)))


def _item(item: Mapping[str, Any]) -> Iterator[Part]:
    """An item of OpenAI's Responses: a call with what it is called with and, of a hosted tool, its results; a result;
    reasoning; or anything else, by its kind."""
    kind, call = str(item.get("type")), item.get("call_id") or item.get("id")
    if kind == "reasoning":
        for key in ("summary", "content"):
            for part in _several(item.get(key)):
                yield Part(part.text, "reasoning")
        if item.get("encrypted_content"):
            yield Part("", "reasoning, hidden")
        return
    if not kind.endswith(("_call", "_request", "_output")):
        yield Part(_rest(item), named(kind))
        return
    if not kind.endswith("_output"):
        asked = {key: item[key] for key in _ASKED if item.get(key) is not None}
        name = ".".join(str(item[key]) for key in ("server_label", "name") if item.get(key))
        said = _words(next(iter(asked.values()), None)) if len(asked) < 2 else _words(asked)
        asks = "asks to call" if kind.endswith("_request") else "calls"
        yield Part(said, _called(name or kind.removesuffix("_call"), call, asks))
    else:
        call = item.get("call_id")
    for key in _FOUND:
        if item.get(key) is not None:
            found = _given({"type": "image"} if kind == "image_generation_call" and key == "result" else item[key])
            yield from _result(f"{_answers(call)}{', failed' if key == 'error' else ''}", found)
    if more := {key: value for key, value in item.items() if key not in _UNSAID and value not in (None, [], "")}:
        yield Part(_rest(more), named(kind))


def _call(call: Mapping[str, Any]) -> Iterator[Part]:
    """A call in a message of a chat completion."""
    function = call.get("function") or call.get("custom")
    if isinstance(function, Mapping):
        said = function.get("arguments") if "arguments" in function else function.get("input")
        yield Part(_words(said), _called(function.get("name"), call.get("id")))


def _called(name: object, call: object, calls: str = "calls") -> str:
    return f"{calls} {named('?' if name is None else name)}" + ("" if call is None else f", id {named(call)}")


def _answers(call: object) -> str:
    return "result" if call is None else f"result of {named(call)}"


def _kind(media: object) -> str:
    return {"image": "picture", "audio": "audio"}.get(str(media or "").partition("/")[0], "file")


def _beside(kind: str, part: Mapping[str, Any]) -> str:
    """The label of a part that is not text: its kind and its name, or the address at which it lies."""
    found: list[object] = []
    for holder in (part, part.get("file"), part.get("image_url"), part.get("source"), part.get("input_audio")):
        if isinstance(holder, str):
            found.append(holder)
        elif isinstance(holder, Mapping):
            found += [_either(holder, key) for key in ("filename", "title", "displayName", "name", "file_id", "fileUri",
                                                       "file_url", "url", "image_url", "id")]
    name = next((value for value in found if isinstance(value, str) and value and not value.startswith("data:")), "")
    return f"{kind} {named(name)}".rstrip()


def _inside(part: Mapping[str, Any]) -> Iterator[Part]:
    """What a file holds that is text."""
    for holder in (part, part.get("source"), part.get("file")):
        if not isinstance(holder, Mapping):
            continue
        if holder.get("type") == "content":
            yield from _given(holder.get("content"))
        elif holder.get("type") == "text" and isinstance(holder.get("data"), str):
            yield Part(holder["data"])
        else:
            yield from map(Part, _typed(holder))
    if isinstance(context := part.get("context"), str):
        yield Part(context)


def _typed(holder: Mapping[str, Any]) -> Iterator[str]:
    """The text of a file whose data are with it and are that of a kind of text."""
    media = _either(holder, "mimeType") or holder.get("media_type") or guess_type(str(holder.get("filename")))[0]
    for key in ("data", "file_data", "file_url", "url"):
        data = holder.get(key)
        if not isinstance(data, str) or not data:
            continue
        head, comma, encoded = data.partition(",")
        whole = head.startswith("data:") and bool(comma)
        if not whole and key not in ("data", "file_data"):
            continue
        kind = head[5:].partition(";")[0] if whole else media
        if str(kind or "").startswith(_TEXTS):
            with suppress(ValueError):  # it is no text after all
                plain = whole and not head.endswith(";base64")
                text = (unquote_to_bytes(encoded) if plain else base64.b64decode(encoded if whole else data)).decode()
                yield text.removeprefix("\ufeff")


def _audio(part: Mapping[str, Any]) -> Part:
    return Part(_words(part.get("transcript")), _beside("audio", part))


def _words(value: object) -> str:
    """A value as text: a text as it is, anything else as JSON, and JSON with its escapes as letters."""
    if value is None or isinstance(value, str):
        return letters(value or "")
    return letters(json.dumps(value, ensure_ascii=False, default=str))


def _rest(part: Mapping[str, Any]) -> str:
    """What a part of an unknown kind holds, without encoded data."""
    held = {key: value for key, value in part.items() if key != "type"}
    return _ENCODED.sub("…", _words(held)) if held else ""
