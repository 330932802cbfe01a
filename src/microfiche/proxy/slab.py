"""What stands before a conversation, the system prompt and the documents of tools, as texts that may become pages at
the head of the first message of the user, since providers take no pictures before it.

The first line of each stays where it is: it holds what a client is known by and what a tool is for. So does what
changes from turn to turn, and every schema. Typed server tools and tools that are loaded later are no place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from microfiche.memory.versions import merged
from microfiche.proxy.places import LEAST, Place, Stub, first_content, is_begun
from microfiche.proxy.protocols import Dialect
from microfiche.proxy.secret import asks, secrets_in
from microfiche.proxy.splice import Value
from microfiche.proxy.surroundings import NEAR

DOCUMENT = 300  #: characters of a tool's description that may be drawn
LONGEST_HEAD = 400  #: characters of the first line that stay
_TAGS = ("env", "context", "git_status", "directoryStructure", "system-reminder", "total_tokens", "severity",
         "category", "cc_automode_session_rules", "cc_automode_permissions", "environment_context")  # fmt: skip
_OPENED = re.compile(rf"<({'|'.join(_TAGS)})>")
_VOLATILE = re.compile(
    r"^#+ Environment\n[\s\S]*?(?=^#+ |\Z)|^gitStatus:[\s\S]*?(?=\n\n[A-Z#<]|\Z)"
    r"|^[^\n]*\b(?:[Tt]oday|[Cc]urrent|[Nn]ow)\b[^\n]{0,40}\b(?:date|time|day|20\d\d)\b[^\n]*$",
    re.MULTILINE,
)


def slab_in(dialect: Dialect, root: Value) -> list[Place]:
    """The places of the system prompt and of the tools' documents; none where no message could take their pages."""
    content = first_content(dialect, root)
    if content is None or (content.text is None and not content.items):
        return []
    if dialect == "responses" and not _is_false(root.at("store")):
        return []  # a later request may go on from this one, and have its instructions without this message
    new = not is_begun(dialect, root)
    found, before = [], ""
    for value, holder in _system(dialect, root):
        head, text, tail = _split(value.text or "")
        if len(text) >= LEAST:
            stub = Stub(value, head, tail, holder)
            found.append(Place("system", text, content, new, stubs=(stub,), before=before + head))
        before = f"{(value.text or '')[-NEAR:]}\n"
    documents = [(name, value, *_split(value.text or "")) for name, value in _tools(dialect, root)]
    long = [one for one in documents if len(one[3]) >= DOCUMENT]
    if sum(len(text) for _, _, _, text, _ in long) >= LEAST:
        text = "\n\n".join(f"## {name}\n{text.strip()}" for name, _, _, text, _ in long)
        stubs = tuple(Stub(value, head, tail) for _, value, head, _, tail in long)
        found.append(Place("tools", text, content, new, stubs=stubs))
    return found


def _is_false(value: Value | None) -> bool:
    """Whether a value is `false`, which alone of what may stand there takes five characters."""
    return value is not None and value.text is None and value.end - value.start == 5


def _split(text: str) -> tuple[str, str, str]:
    """The first line of a text, what may be drawn of it, and what changes from turn to turn, which stays text."""
    end = text.find("\n") + 1
    if not 0 < end <= LONGEST_HEAD:
        end = text.rfind(" ", 0, LONGEST_HEAD) + 1
    head, rest = text[:end], text[end:]
    volatile = merged([*_tagged(rest), *(found.span() for found in _VOLATILE.finditer(rest))])
    if any(asks(rest[start:end]) for start, end in volatile):  # what they call secret stays with them
        volatile = merged([*volatile, *secrets_in(rest)])
    ends = [(0, 0), *volatile, (len(rest), 0)]
    stays = "".join(rest[before:start] for (_, before), (start, _) in pairwise(ends))
    return head, stays, "\n".join(rest[start:end] for start, end in volatile)


def _tagged(text: str) -> Iterator[tuple[int, int]]:
    """Where what stands between tags that are closed begins and ends."""
    done = 0
    last = {tag: text.rfind(f"</{tag}>") for tag in _TAGS}
    for opened in _OPENED.finditer(text):
        if done <= opened.start() and opened.end() <= last[opened[1]]:
            done = text.index(f"</{opened[1]}>", opened.end()) + len(opened[1]) + 3
            yield opened.start(), done


def _system(dialect: Dialect, root: Value) -> Iterator[tuple[Value, Value | None]]:
    """The strings of a system prompt, each with the object in which there may be a mark beside it."""
    match dialect:
        case "messages":
            system = root.at("system")
            if system is not None and system.text is not None:
                yield system, None
            for block in root.each("system"):
                if (text := block.at("text")) is not None and text.text is not None:
                    yield text, block
        case "responses":
            if (text := root.at("instructions")) is not None and text.text is not None:
                yield text, None
        case "chat":
            for message in root.each("messages"):
                if message.words("role") not in ("system", "developer"):
                    break
                content = message.at("content")
                parts = [] if content is None else [content] if content.text is not None else content.items or []
                for part in parts:
                    text = part if part.text is not None else part.at("text")
                    if text is not None and text.text is not None:
                        yield text, None
        case "gemini":
            for part in (root.at("systemInstruction") or root).each("parts"):
                if (text := part.at("text")) is not None and text.text is not None:
                    yield text, None


def _tools(dialect: Dialect, root: Value) -> Iterator[tuple[str, Value]]:
    """The name and the description of each tool that the client has made itself."""
    for tool in root.each("tools"):
        if tool.at("defer_loading") is not None:
            continue
        declared = tool.each("functionDeclarations") if dialect == "gemini" else [tool]
        for one in declared:
            kind = one.words("type")
            if (dialect == "messages" and kind not in (None, "custom")) or (
                dialect in ("responses", "chat") and kind != "function"
            ):
                continue
            inner = one.at("function") if dialect == "chat" else one
            said = inner.at("description") if inner is not None else None
            if inner is not None and said is not None and said.text is not None:
                yield inner.words("name") or "", said
