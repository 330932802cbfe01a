"""The four ways in which a model is asked: Anthropic's Messages, OpenAI's Responses and Chat Completions, Gemini's
generateContent. By its path a request is known to be one of them, and what its body says is found here: the model, the
session, and the blocks in the order in which a provider's prompt cache sees them.

Sources: the API references of the three vendors, November 2026. This module knows nothing of HTTP.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from microfiche.proxy.splice import Body, Value

Dialect = Literal["messages", "responses", "chat", "gemini"]
Purpose = Literal["answer", "count", "compact"]
Vendor = Literal["anthropic", "openai", "chatgpt", "gemini"]

VENDORS: tuple[Vendor, ...] = ("anthropic", "openai", "chatgpt", "gemini")
FIVE_MINUTES, HOUR = 300, 3600  #: how long a mark keeps a prompt in the cache, in seconds
LONGEST_NAME = 400  #: characters of a model's name that are looked at

_ESCAPED = re.compile(rb"%(3[aA]|2[dDeE]|5[fF]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA])")  #: letters, digits and "-._:"
_GEMINI = re.compile(rb"/v1(beta|alpha)?/(?:models|tunedModels)/([^/:?]+):(\w+)")
_PATHS: tuple[tuple[re.Pattern[bytes], Dialect, Purpose], ...] = (
    (re.compile(rb"/v1/messages"), "messages", "answer"),
    (re.compile(rb"/v1/messages/count_tokens"), "messages", "count"),
    (re.compile(rb"(?:/v1)?/responses"), "responses", "answer"),
    (re.compile(rb"(?:/v1)?/responses/input_tokens"), "responses", "count"),
    (re.compile(rb"(?:/v1)?/responses/compact"), "responses", "compact"),
    (re.compile(rb"(?:/v1)?/chat/completions"), "chat", "answer"),
)
_ACTIONS: dict[bytes, Purpose] = {
    b"generateContent": "answer", b"streamGenerateContent": "answer", b"countTokens": "count",
}  # fmt: skip
_OWNERS: dict[Dialect, Vendor] = {
    "messages": "anthropic", "responses": "openai", "chat": "openai", "gemini": "gemini",
}  # fmt: skip


@dataclass(frozen=True)
class Route:
    """What a path asks for: in which dialect, of which vendor, and whether a prompt is to be answered, only counted, or
    compacted. The `model` is known where the path names it, and `stream` where the path says so. Where it is `graded`,
    each picture may be asked to be seen in a resolution of its own."""

    dialect: Dialect
    vendor: Vendor
    purpose: Purpose
    model: str | None = None
    stream: bool = False
    graded: bool = False


def route(method: str, path: bytes) -> Route | None:
    """What a request asks for, by its method and its path as it came, without its query; None for all else."""
    if method != "POST":
        return None
    if b"%" in path:  # letters and the colon mean the same where they are escaped; a slash does not
        path = _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), path)
    for pattern, dialect, purpose in _PATHS:
        if pattern.fullmatch(path):
            return Route(dialect, _OWNERS[dialect], purpose)
    found = _GEMINI.fullmatch(path)
    if found and found[3] in _ACTIONS:
        streams = found[3] == b"streamGenerateContent"
        return Route("gemini", "gemini", _ACTIONS[found[3]], found[2].decode("latin-1"), streams, bool(found[1]))
    return None


@dataclass(frozen=True)
class Block:
    """A part of a prompt as a prompt cache sees it: a `digest` of its bytes without marks, how many `characters` of
    text and `pictures` it holds, for how many seconds its mark asks to keep the prompt up to its end, or 0, where in
    the body it ends, and how many of its characters are the rest of `runs`."""

    digest: bytes
    characters: int
    pictures: int = 0
    mark: int = 0
    end: int = 0
    runs: int = 0


@dataclass(frozen=True)
class Asked:
    """What a request's body says: the model, whether the answer is to be a stream, what its session is known by, the
    prompt's blocks, and the response that it goes on from, where the provider keeps the state. The session is `named`
    where its client says what it is called."""

    model: str
    stream: bool
    session: str
    blocks: tuple[Block, ...] = ()
    follows: str | None = None
    named: bool = False


def asked(route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
    """Reads a request's body. `headers` has lower-case names."""
    root = body.root
    parts = list(_PROMPTS[route.dialect](root))
    blocks = tuple(_block(body, part, at, root) for part, at in _with_automatic_mark(parts, root))
    model = (route.model or root.words("model") or "")[:LONGEST_NAME]
    streams = root.at("stream")
    stream = route.stream or (streams is not None and body.raw(streams) == "true")
    follows = root.words("previous_response_id") or root.words("conversation") or root.words("conversation", "id")
    name = _name(body, headers)
    return Asked(model, stream, _session(route, body, headers, name), blocks, follows, name is not None)


def _with_automatic_mark(parts: list[Value], root: Value) -> Iterator[tuple[Value, bool]]:
    """Each block, and whether the request's own cache_control stands for a mark on it: on the last one."""
    automatic = root.at("cache_control") is not None
    for number, part in enumerate(parts, 1):
        yield part, automatic and number == len(parts)


def _block(body: Body, part: Value, automatic: bool, root: Value) -> Block:
    raw, mark = body.raw(part), 0
    own = part.at("cache_control")
    if own is not None and own.members is not None:
        raw = _without(body, part, own)
        mark = _kept(own)
    elif automatic:
        mark = _kept(root.at("cache_control"))
    digest = hashlib.sha256(raw.encode("utf-8", "surrogatepass")).digest()[:16]
    characters, pictures, runs = _contents_of(part)
    return Block(digest, characters, pictures, mark, part.end, runs)


def _without(body: Body, part: Value, mark: Value) -> str:
    """A block as it stands, without its cache mark and the comma beside it."""
    before, after = body.text[part.start : mark.start], body.text[mark.end : part.end]
    before = re.sub(r'"cache_control"\s*:\s*$', "", before)
    if after.lstrip().startswith(","):
        after = after.lstrip()[1:].lstrip()
    else:
        before = re.sub(r",\s*$", "", before)
    return before + after


def _kept(mark: Value | None) -> int:
    return HOUR if mark is not None and mark.words("ttl") == "1h" else FIVE_MINUTES


_RUNS = tuple((sign * 5, re.compile(f"(?:{re.escape(sign)}){{5,}}")) for sign in " \n-=_*#.")
SLICE = 1 << 17  #: characters of a text that are searched at one time, after which other threads may go on
#: what is not charged as text: marks, signatures, thoughts that only the vendor can read, how a picture is seen
_UNCHARGED = ("cache_control", "signature", "thoughtSignature", "encrypted_content", "mediaResolution")


def _contents_of(value: Value) -> tuple[int, int, int]:
    """How many characters of text, how many pictures, and how much of `runs` stand in a part of a prompt."""
    if value.text is not None:
        return (len(value.text), 0, runs(value.text)) if not value.text.startswith("data:image/") else (0, 1, 0)
    characters = pictures = rest = 0
    if value.members is not None:
        if value.words("data") is not None and any(value.at(kind) for kind in ("media_type", "mimeType", "mime_type")):
            return 0, 1, 0
        for key, inner in value.members.items():
            if key not in _UNCHARGED:
                more, seen, run = _contents_of(inner)
                characters, pictures, rest = characters + len(key) + 2 + more, pictures + seen, rest + run
        return characters, pictures, rest
    for inner in value.items or ():
        more, seen, run = _contents_of(inner)
        characters, pictures, rest = characters + 1 + more, pictures + seen, rest + run
    return characters or value.end - value.start, pictures, rest


def runs(text: str) -> int:
    """How many characters of a text stand in runs of blanks, empty lines or rules, but for the first four of each. Such
    a run takes a token or two, however long it is."""
    rest = 0
    for start in range(0, len(text), SLICE):
        part = text[start : start + SLICE]
        for least, pattern in _RUNS:
            found = pattern.findall(part) if least in part else []
            rest += sum(map(len, found)) - 4 * len(found)
    return rest


def _messages(root: Value) -> Iterator[Value]:
    yield from root.each("tools")
    yield from _content(root.at("system"))
    for message in root.each("messages"):
        yield from _content(message.at("content"))


def _responses(root: Value) -> Iterator[Value]:
    yield from root.each("tools")
    yield from _content(root.at("instructions"))
    yield from _content(root.at("input"))


def _chat(root: Value) -> Iterator[Value]:
    yield from root.each("tools")
    yield from root.each("messages")


def _contents(root: Value) -> Iterator[Value]:
    yield from _content(root.at("systemInstruction"))
    yield from root.each("tools")
    for content in root.each("contents"):
        yield from content.each("parts")


def _content(value: Value | None) -> Iterator[Value]:
    """The blocks of a content, which is one string or an array."""
    if value is not None:
        yield from [value] if value.items is None else value.items


_PROMPTS: dict[Dialect, Callable[[Value], Iterator[Value]]] = {
    "messages": _messages, "responses": _responses, "chat": _chat, "gemini": _contents,
}  # fmt: skip

#: headers in which clients name their session, and the agent within it
_NAMES = (
    "x-claude-code-session-id", "session-id", "session_id", "x-session-id", "x-opencode-session", "x-session-affinity",
)  # fmt: skip
_AGENTS = ("x-claude-code-agent-id", "x-claude-code-parent-agent-id")


def _name(body: Body, headers: Mapping[str, str]) -> str | None:
    """What the client calls its session, if it says that."""
    root, user = body.root, body.root.words("metadata", "user_id") or ""
    named = next((headers[name] for name in _NAMES if headers.get(name)), None)
    named = named or (user if "session" in user else None) or root.words("prompt_cache_key")
    return named or root.words("conversation") or root.words("conversation", "id")


def _session(route: Route, body: Body, headers: Mapping[str, str], named: str | None) -> str:
    """A short name for the session that a request belongs to, from which nothing can be told about it.

    It is what the client calls its session, or else the model, the system prompt and the first message of the user,
    which stay from turn to turn, but for those parts of them that clients are known to write anew: the tagged ones of
    VOLATILE, Claude Code's line for billing and its section "# Environment", dates, times of day, and cache marks.
    """
    agent = " ".join(headers.get(name, "") for name in _AGENTS).strip()
    seed = f"{route.dialect}\0{agent}\0{named or _opening(route, body)}"
    return hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _opening(route: Route, body: Body) -> str:
    """What the conversation begins with and stays with: the model, the system prompt, the user's first message."""
    root, model = body.root, route.model or body.root.words("model") or ""
    system: list[Value | None]
    if route.dialect == "messages" or route.dialect == "chat":
        messages = root.each("messages")
        said = [m.at("content") for m in messages if m.words("role") == "user"]
        system = [root.at("system"), *_above(messages)]
    elif route.dialect == "gemini":
        said = [c.at("parts") for c in root.each("contents") if c.words("role") in ("user", None)]
        system = [root.at("systemInstruction", "parts")]
    else:
        given = root.at("input")
        said = [i.at("content") for i in root.each("input") if i.words("role") == "user"]
        said = said if given is None or given.items is not None else [given]
        system = [root.at("instructions"), *_above(root.each("input"))]
    first = said[0] if said else None
    return "\0".join([model, *(_lasting(body, part) for part in [*system, first] if part is not None)])


def _above(messages: list[Value]) -> Iterator[Value | None]:
    """The messages in front of the user's first one. Those that come later were not there at first."""
    for message in messages:
        if message.words("role") in ("system", "developer"):
            yield message.at("content")
        elif message.words("role") == "user":
            return


BEGINNING = 30_000  #: characters of a prompt by which a session is known
#: tags in prompts whose content changes from turn to turn, or from day to day
VOLATILE = (
    "env", "context", "git_status", "directoryStructure", "system-reminder", "total_tokens", "environment_context",
    "cc_automode_session_rules", "cc_automode_permissions", "severity", "category",
)  # fmt: skip
_BILLING = re.compile(r"x-anthropic-billing-header:[^\n]*")
_ENVIRONMENT = re.compile(r"^# Environment\b.*?(?=^# |\Z)", re.M | re.S)
_TIMES = (
    re.compile(r"\d(?:\d*(?:[-/.:]\d+)+|\d{9,})"),
    re.compile(r"[JFMASOND](?:an|eb|ar|pr|ay|un|ul|ug|ep|ct|ov|ec)[a-z]{0,6}\.? (?:\d{1,2}(?:st|nd|rd|th)?,? )?\d{4}"),
    re.compile(r"\d{1,2}(?:st|nd|rd|th)?\.? \0"),
    re.compile(r"[MTWFS](?:on|ues|ednes|hurs|ri|atur|un)day"),
)  # fmt: skip


def _lasting(body: Body, content: Value) -> str:
    """The text of a content without what is written anew; of a part that is no text, all but its marks."""
    parts = []
    for part in [content] if content.items is None else content.items:
        text = part.words("text") if part.text is None else part.text
        if text is not None:
            parts.append(_steady(text))
        elif part.members is not None:
            parts += [body.raw(value) for key, value in part.members.items() if key not in _UNCHARGED]
        else:
            parts.append(body.raw(part))
    return "\n".join(part for part in parts if part)


def _steady(text: str) -> str:
    """The beginning of a text without what clients write anew."""
    text = text[:BEGINNING]
    for tag in VOLATILE:
        kept, at, start = [], 0, text.find(f"<{tag}>")
        while start >= 0 and (end := text.find(f"</{tag}>", start)) >= 0:
            kept.append(text[at:start])
            at = end + len(tag) + 3
            start = text.find(f"<{tag}>", at)
        text = "".join([*kept, text[at:]])
    for pattern in (_BILLING, _ENVIRONMENT, *_TIMES):
        text = pattern.sub("\0", text)
    return text.strip()
