"""Chats as the requests that they tell of: lists of messages in the shape of a provider or of Vercel's AI SDK, and
sessions of OpenCode. One request stands before each answer of the model, and one at the end where none answers it.

What is in the shape of no provider is told again in that of the model's maker: its blocks are Anthropic's on the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from microfiche.errors import InputError
from microfiche.memory.models import hosted
from microfiche.proxy.transcripts import GAP, Json, Recorded, as_bytes, dicts, marked, second, whole
from microfiche.proxy.twin import CHARACTERS

ANSWERS = ("assistant", "model")  #: who answers in a chat
PATHS = {"messages": b"/v1/messages", "chat": b"/v1/chat/completions", "responses": b"/v1/responses"}
#: the kinds of parts in each shape, and how those of further tools begin or end; of those that two shapes have, what
#: another one has besides
_KINDS = {
    "chat": {"text", "image_url", "input_audio", "file", "refusal"},
    "messages": {"text", "image", "document", "thinking", "redacted_thinking", "search_result", "container_upload"},
    "sdk": {"text", "image", "file", "reasoning", "redacted-reasoning", "step-start", "dynamic-tool", "source",
            "source-url", "source-document"},
}  # fmt: skip
_TOOLS = {"chat": "^$", "messages": "tool_(?:use|result)$", "sdk": "^(?:tool|data)-"}
_APART = {("image", "messages"): "source", ("image", "sdk"): "image", ("file", "chat"): "file"}
_UNSAID = ("step-start", "source", "source-url", "source-document", "redacted-reasoning")
_MEMBERS = {"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "audio", "reasoning",
            "reasoning_content", "reasoning_details", "thinking_blocks"}  # fmt: skip


def shape_of(messages: Sequence[Json], model: str = "") -> str:
    """In whose shape messages are: `messages` of Anthropic's, `chat` completions, `gemini`, or `sdk`, which is
    Vercel's; where two providers could have written them, by the model. InputError where they are in none."""
    if not all(isinstance(one.get("role"), str) for one in messages):
        raise InputError("holds messages that do not say who speaks (role); have the requests themselves written by "
                         "`microfiche proxy --record FILE`")  # fmt: skip
    parts = [part for one in messages for key in ("content", "parts") for part in dicts(one.get(key))]
    paged = any("toolInvocations" in one or isinstance(one.get("parts"), list) for one in messages)
    if paged and parts and not any("type" in part for part in parts):
        return "gemini"
    shapes = ["sdk"] if paged else list(_KINDS)
    fit = [shape for shape in shapes if all(_is_of(part, shape) for part in parts)]
    if not fit:
        odd = next((part for part in parts if not any(_is_of(part, shape) for shape in shapes)), parts[-1])
        raise InputError(f"holds a message with a part of the type {str(odd.get('type'))[:40]!r}, which is in "
                         "no provider's shape; give requests as `microfiche proxy --record FILE` writes them")
    roles = {str(one.get("role")) for one in messages}
    if "chat" in fit and (roles - {"user", "assistant"} or any({"tool_calls", "function_call"} & one.keys()
                                                               for one in messages)):  # fmt: skip
        return "chat"
    alone = "messages" in fit and hosted(model).shape in ("anthropic", "gemini")
    return "messages" if alone else fit[0]


def _is_of(part: Json, shape: str) -> bool:
    """Whether a part stands in messages of a shape."""
    kind = str(part.get("type"))
    known = kind in _KINDS[shape] or re.search(_TOOLS[shape], kind) is not None
    return known and ((kind, shape) not in _APART or _APART[kind, shape] in part)


def of_chat(chat: Json, model: str = "", answers: bool = True) -> list[Recorded]:
    """The requests behind a chat: its `messages`, or Gemini's `contents`, with whatever every request of it holds
    besides (`system`, `tools`, the `model` where it names one); only the last one, of all of it, without `answers`.

    A chat that names no model, and one of the AI SDK's, is told in the shape of the maker of `model`."""
    key = "contents" if "contents" in chat else "messages"
    said, name = dicts(chat[key]), model or str(chat.get("model") or "")
    shape = "gemini" if key == "contents" else shape_of(said, name)
    until = stops if answers else (lambda every: [len(every)])
    more = {key: value for key, value in chat.items() if key not in ("messages", "contents", "model")}
    if shape == "gemini":
        said = [{key: one[key] for key in ("role", "parts") if key in one} for one in said]
        path = f"/v1beta/models/{name.removeprefix('models/') or 'gemini'}:generateContent".encode()
        return [Recorded(GAP * stop, path, as_bytes({**more, "contents": said[:stop]})) for stop in until(said)]
    if shape == "sdk" or (name and not chat.get("model") and shape != _maker(name)):
        said = _BLOCKS[shape](said)
        made = [(stop, *told(name, said[:stop], more)) for stop in until(said)]
        return [Recorded(GAP * stop, path, body) for stop, body, path in made]
    found, said = [], [_with_blocks(one) if shape == "messages" else one for one in said]
    for stop in until(said):
        sent = said[:stop]
        if shape == "messages":
            sent = [*sent[:-2], *(marked(one, {"type": "ephemeral"}) for one in sent[-2:])]
        else:
            sent = [{key: value for key, value in one.items() if key in _MEMBERS} for one in sent]
        found.append(Recorded(GAP * stop, PATHS[shape], as_bytes({"model": name, **more, "messages": sent})))
    return found


def _maker(model: str) -> str:
    """The shape in which a model's maker is asked: `messages`, `gemini` or `chat`."""
    return {"anthropic": "messages", "gemini": "gemini"}.get(hosted(model).shape, "chat") if model else "messages"


def _with_blocks(message: Json) -> Json:
    """A message with its words as a block, as it stands in the cache with a mark and without."""
    said = message.get("content")
    return {**message, "content": [{"type": "text", "text": said}] if isinstance(said, str) else dicts(said)}


def _of_claude(messages: Sequence[Json]) -> list[Json]:
    """Messages of Anthropic's with the blocks that can be told in another shape. InputError where they have others."""
    found = []
    for message in messages:
        found.append({"role": message.get("role"), "content": [*map(_block, _with_blocks(message)["content"])]})
    return found


def _block(block: Json) -> Json:
    """A block of Anthropic's with all that is told of it. InputError where it cannot be told."""
    kind, source, content = block.get("type"), block.get("source"), block.get("content")
    if kind == "image" and isinstance(source, dict):
        return _picture({"mediaType": source.get("media_type"), **source})
    if kind == "tool_result":
        said = content if isinstance(content, str) else [*map(_block, dicts(content))]
        return {**block, "tool_use_id": str(block.get("tool_use_id")), "content": said}
    if kind == "tool_use":
        return {**block, "id": str(block.get("id")), "name": str(block.get("name")), "input": block.get("input") or {}}
    if kind in ("text", "thinking"):
        return {**block, kind: str(block.get(kind) or "")}
    raise InputError(f"holds a block of the type {str(kind)[:40]!r}, which only Claude is sent; name one of its models"
                     " with --model")  # fmt: skip


def _of_completions(messages: Sequence[Json]) -> list[Json]:
    """Messages of chat completions with blocks as Anthropic's."""
    found = list[Json]()
    for message in messages:
        said, role = message.get("content"), message.get("role")
        parts: list[Json] = [{"type": "text", "text": said}] if isinstance(said, str) and said else dicts(said)
        blocks: list[Json] = []
        for part in parts:
            seen = part.get("image_url")
            url = seen.get("url") if isinstance(seen, dict) else seen
            words = {"type": "text", "text": str(part.get("text") or part.get("refusal") or "")}
            blocks.append(words if part.get("type") in ("text", "refusal") else _picture({**part, "url": url}))
        if role in ("tool", "function"):
            answers = str(message.get("tool_call_id") or message.get("name"))
            blocks = [{"type": "tool_result", "tool_use_id": answers, "content": blocks}]
            if found and any(block["type"] == "tool_result" for block in found[-1]["content"]):
                blocks = found.pop()["content"] + blocks
        calls: list[Json] = [*dicts(message.get("tool_calls")), {"function": message.get("function_call")}]
        for call in calls:
            if isinstance(asked := call.get("function"), dict):
                name, given = str(asked.get("name")), asked.get("arguments")
                try:
                    given = json.loads(given) if isinstance(given, str) else given
                except (ValueError, RecursionError):
                    given = {"arguments": given}
                blocks.append({"type": "tool_use", "id": str(call.get("id", name)), "name": name, "input": given or {}})
        role = "system" if role == "developer" else role if role in ("assistant", "system") else "user"
        found.append({"role": role, "content": blocks})
    return found


def stops(messages: Sequence[Json]) -> list[int]:
    """How many messages each request of a chat held."""
    found = [n for n, one in enumerate(messages) if n and one.get("role") in ANSWERS]
    ends = bool(messages) and messages[-1].get("role") not in ANSWERS
    return [*found, len(messages)] if ends else found


def are_bodies(chats: Sequence[Json]) -> bool:
    """Whether objects with messages are requests of one conversation, each of which goes on from the one before."""
    held = [dicts(one.get("messages") or one.get("contents")) for one in chats]
    return any(0 < len(one) < len(other) and other[: len(one)] == one for one, other in pairwise(held))


# --- Vercel's AI SDK ---


def of_sdk(messages: Sequence[Json]) -> list[Json]:
    """Messages of Vercel's AI SDK, both those of a model and those of a page, with blocks as Anthropic's. Each step of
    an answer is an answer of its own, with the results of its tools behind it."""
    found: list[Json] = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        parts = dicts(message["parts"] if isinstance(message.get("parts"), list) else content)
        if isinstance(content, str) and not parts:
            calls = dicts(message.get("toolInvocations"))
            parts = [{"type": "tool-invocation", "toolInvocation": one} for one in calls]
            parts += [{"type": "text", "text": content}] if content else []
        if role == "assistant":
            for step in _steps(parts):
                found.append({"role": "assistant", "content": [block for part in step for block in _said(part)]})
                if results := [block for part in step for block in _given(part)]:
                    found.append({"role": "user", "content": results})
        elif role in ("user", "system", "tool"):
            blocks = [block for part in parts for block in (_given(part) if role == "tool" else _said(part))]
            if blocks:
                found.append({"role": "user" if role == "tool" else role, "content": blocks})
    return found


def _steps(parts: Sequence[Json]) -> list[list[Json]]:
    """The parts of an answer by its steps: a new one begins where it is said so, and where words follow a call that has
    its result."""
    steps: list[list[Json]] = [[]]
    for part in parts:
        last = steps[-1][-1] if steps[-1] else {}
        begins = part.get("type") in ("text", "reasoning") and _call(last) is not None and bool(list(_given(last)))
        numbered = [(_call(one) or {}).get("step") for one in (last, part)]
        if part.get("type") == "step-start" or begins or (None not in numbered and numbered[0] != numbered[1]):
            steps.append([])
        if part.get("type") not in _UNSAID:
            steps[-1].append(part)
    return [step for step in steps if step]


def _call(part: Json) -> Json | None:
    """What a part says of a call of a tool; None where it is none."""
    inner = part.get("toolInvocation")
    if isinstance(inner, dict):
        return inner
    return part if str(part.get("type")).startswith("tool-") or part.get("type") == "dynamic-tool" else None


def _said(part: Json) -> Iterator[Json]:
    """What a part says, as blocks, without the result of a tool."""
    kind, call = part.get("type"), _call(part)
    if kind == "text":
        yield {"type": "text", "text": str(part.get("text") or "")}
    elif kind == "reasoning":
        yield {"type": "thinking", "thinking": str(part.get("text") or part.get("reasoning") or "")}
    elif kind in ("image", "file"):
        yield _picture(part)
    elif call is not None and kind != "tool-result" and not str(kind).startswith("tool-approval"):
        name = call.get("toolName") or str(kind).removeprefix("tool-")
        asked = call.get("input", call.get("args"))
        yield {"type": "tool_use", "id": str(call.get("toolCallId")), "name": str(name), "input": asked or {}}


def _given(part: Json) -> Iterator[Json]:
    """The result of a tool that a part holds, as a block."""
    call = _call(part)
    if call is None or not {"output", "result", "errorText"} & call.keys():
        return
    output, failed = call.get("output", call.get("result")), bool(call.get("isError"))
    if call.get("state") == "output-error" or ("errorText" in call and output is None):
        output, failed = str(call.get("errorText")), True
    content: Any = output
    if isinstance(output, dict) and output.get("type") in ("text", "error-text", "json", "error-json", "content"):
        content, failed = output.get("value"), failed or str(output["type"]).startswith("error")
        if output["type"] == "content":
            content = [block for one in dicts(content) for block in
                       (_said(one) if one.get("type") == "text" else [_picture(one)])]  # fmt: skip
            content = content or ""
    elif isinstance(output, dict) and output.get("type") == "execution-denied":
        content, failed = str(output.get("reason") or "Tool execution denied."), True
    if not isinstance(content, str) and not (isinstance(output, dict) and output.get("type") == "content"):
        content = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    yield {"type": "tool_result", "tool_use_id": str(call.get("toolCallId")), "content": content,
           **({"is_error": True} if failed else {})}  # fmt: skip


def _picture(part: Json) -> Json:
    """A picture as a block. InputError for any other file, and for one that the messages do not hold."""
    data = next((part[key] for key in ("image", "data", "url") if isinstance(part.get(key), str)), "")
    kind = str(part.get("mediaType") or part.get("mimeType") or part.get("type"))
    if data.startswith("data:"):
        head, _, data = data.partition(",")
        kind = head[5:].partition(";")[0]
    if not kind.startswith("image") or not data or ":" in data[:12]:
        raise InputError(f"holds a file ({kind[:40]}), of which it is not known how many tokens it takes")
    source = {"type": "base64", "media_type": kind if "/" in kind else "image/png", "data": data}
    return {"type": "image", "source": source}


_BLOCKS: dict[str, Callable[[Sequence[Json]], list[Json]]] = {
    "sdk": of_sdk, "messages": _of_claude, "chat": _of_completions,
}  # fmt: skip


# --- OpenCode ---


def of_opencode(line: Json) -> Iterator[Recorded]:
    """The requests behind a session that `opencode export` wrote: one before each message of the model, which is a step
    of its own."""
    messages: list[Json] = []
    before: int | None = None
    session = line.get("info")
    headers = {"x-session-id": str(session.get("id", ""))} if isinstance(session, dict) else {}
    for number, one in enumerate(dicts(line.get("messages"))):
        info, parts = one.get("info"), dicts(one.get("parts"))
        info = info if isinstance(info, dict) else {}
        texts = [{"type": "text", "text": part["text"]} for part in parts
                 if part.get("type") == "text" and isinstance(part.get("text"), str)]  # fmt: skip
        if info.get("role") == "user":
            messages.append({"role": "user", "content": texts})
        elif info.get("role") == "assistant" and messages:
            model, used = str(info.get("modelID", "")), info.get("tokens")
            used = used if isinstance(used, dict) else {}
            body, path = told(model, messages)
            cache = used.get("cache")
            charged = whole(used.get("input")) + sum(map(whole, cache.values() if isinstance(cache, dict) else ()))
            before = max(0, charged - round(len(body) / CHARACTERS)) if before is None else before
            made = info.get("time")
            at = second(made.get("created")) if isinstance(made, dict) else None
            output = whole(used.get("output")) + whole(used.get("reasoning"))
            yield Recorded(GAP * number if at is None else at / 1000, path, body, headers, output, before)
            calls = [part for part in parts if part.get("type") == "tool" and isinstance(part.get("state"), dict)]
            messages.append({"role": "assistant", "content": texts + [
                {"type": "tool_use", "id": str(call.get("callID")), "name": str(call.get("tool")),
                 "input": call["state"].get("input") or {}} for call in calls]})  # fmt: skip
            if calls:
                messages.append({"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": str(call.get("callID")),
                     "content": str(call["state"].get("output", call["state"].get("error", ""))),
                     **({"is_error": True} if call["state"].get("status") == "error" else {})}
                    for call in calls]})  # fmt: skip


# --- in the shape of a model's maker ---


def told(model: str, messages: Sequence[Json], more: Json | None = None) -> tuple[bytes, bytes]:
    """The body and the path of a request, in the dialect of a model's maker, of messages with Anthropic's blocks, with
    whatever `more` it holds."""
    shape, more = _maker(model), more or {}
    system = "\n".join(block.get("text", "") for one in messages if one["role"] == "system" for block in one["content"])
    said = [one for one in messages if one["role"] != "system"]
    if shape == "messages":
        head: Json = {"system": system} if system else {}
        sent = [*said[:-2], *(marked(message, {"type": "ephemeral"}) for message in said[-2:])]
        return as_bytes({"model": model, **more, **head, "messages": sent}), PATHS["messages"]
    if shape == "gemini":
        names = {block["id"]: block["name"] for one in said for block in one["content"] if block["type"] == "tool_use"}
        contents = [{"role": "model" if one["role"] == "assistant" else "user",
                     "parts": [part for block in one["content"] for part in _of_gemini(block, names)]}
                    for one in said]  # fmt: skip
        head = {"systemInstruction": {"parts": [{"text": system}]}} if system else {}
        path = f"/v1beta/models/{model.rpartition('/')[2]}:generateContent"
        return as_bytes({**more, **head, "contents": contents}), path.encode()
    chat: list[Json] = [{"role": "system", "content": system}] if system else []
    for message in said:
        blocks = message["content"]
        results = [block for block in blocks if block["type"] == "tool_result"]
        chat += [{"role": "tool", "tool_call_id": one["tool_use_id"], "content": _words(one["content"])}
                 for one in results]  # fmt: skip
        calls = [{"id": one["id"], "type": "function", "function": {
            "name": one["name"], "arguments": json.dumps(one["input"])}}
            for one in blocks if one["type"] == "tool_use"]  # fmt: skip
        text = "\n".join(one["text"] for one in blocks if one["type"] == "text")
        content: Any = text
        if seen := [one for result in [message, *results] for one in _pictures(result["content"])]:
            urls = [f"data:{one['source']['media_type']};base64,{one['source']['data']}" for one in seen]
            content = [*([{"type": "text", "text": text}] if text else []),
                       *({"type": "image_url", "image_url": {"url": url}} for url in urls)]  # fmt: skip
        if content or calls or not results:
            chat.append({"role": message["role"], "content": content, **({"tool_calls": calls} if calls else {})})
    return as_bytes({"model": model, **more, "messages": chat}), PATHS["chat"]


def _words(content: Any) -> str:
    """The text of a content."""
    return content if isinstance(content, str) else "\n".join(one["text"] for one in content if one["type"] == "text")


def _pictures(content: Any) -> list[Json]:
    return [one for one in content if one["type"] == "image"] if isinstance(content, list) else []


def _of_gemini(block: Json, names: dict[str, str]) -> Iterator[Json]:
    """A block as parts of Gemini's."""
    if block["type"] == "text":
        yield {"text": block["text"]}
    elif block["type"] == "thinking":
        yield {"text": block["thinking"], "thought": True}
    elif block["type"] == "tool_use":
        yield {"functionCall": {key: block[to] for key, to in (("id", "id"), ("name", "name"), ("args", "input"))}}
    elif block["type"] == "tool_result":
        said = {"error" if block.get("is_error") else "output": _words(block["content"])}
        name = names.get(block["tool_use_id"], "")
        yield {"functionResponse": {"id": block["tool_use_id"], "name": name, "response": said}}
        yield from (part for one in _pictures(block["content"]) for part in _of_gemini(one, names))
    elif block["type"] == "image":
        yield {"inlineData": {"mimeType": block["source"]["media_type"], "data": block["source"]["data"]}}
