"""A chat completion in OpenAI's shape, as clients of DeepSeek-OCR write it: what it asks, and how it is answered.

The prompts are those that the models were published with (decoder/prompts.py), recognised by what they say. It knows
nothing of HTTP, nor of who reads.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from microfiche.decoder.prompts import PROMPTS
from microfiche.documents.document import FURNITURE, Block, Document
from microfiche.documents.grounding import FULL
from microfiche.precision import text_tokens
from microfiche.serving.faults import Fault

IMAGES = 64  #: pictures and files of one request
ADDRESS = 4096  #: characters of an address
#: What a prompt asks for, by words in it, the first that fits; see `Asked.task`.
TASKS = (
    ("locate", r"locate\s*<\|ref\|>"),
    ("figure", r"parse the figure"),
    ("describe", r"\bdescri(?:be|ption)\b"),
    ("markdown", r"markdown|document parsing|multi page parsing"),
    ("free", r"free ocr"),
    ("ocr", r"\bocr\b|transcribe|extract (?:all |the )*text|read (?:all |the )*text"),
)
#: Labels of DeepSeek-OCR for kinds of blocks; a title's depends on its level.
LABELS = {"list": "text", "code": "text", "figure": "image", "formula": "equation", "caption": "image_caption",
          "footnote": "page_footnote"}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a request asks: `task` is a name of TASKS, `words` what is to be located, `boxes` whether blocks are to be
    marked with their places; `sources` are files as bytes, or addresses. `most` is how many tokens the answer may have.
    """

    sources: list[bytes | str]
    task: str
    words: str
    boxes: bool
    prompt: str
    model: str
    stream: bool
    usage: bool
    most: int | None

    @property
    def published(self) -> str:
        """The task as the published models are asked."""
        return f"locate:{self.words}" if self.task == "locate" else self.task


def asked(body: bytes) -> Asked:
    """What a request's `body`, which is JSON, asks; Fault 400 for whatever is no such request."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Fault(400, "bad_json", "the body is not JSON") from error
    if not isinstance(found, dict):
        raise wrong("the body is not a JSON object")
    message = _asking(found.get("messages"))
    texts: list[str] = []
    sources: list[bytes | str] = []
    for part in message:
        kind = part.get("type")
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("image_url", "file"):
            sources.append(_source(part, kind))
        else:
            raise wrong(f"a part of the type {str(kind)[:40]!r} cannot be read; there are text, image_url and file")
    if not 1 <= len(sources) <= IMAGES:
        raise wrong(
            f"{len(sources)} pictures in the last message of the user; send 1 to {IMAGES}, as image_url or file"
        )
    prompt = "\n".join(texts)
    task, words = task_of(prompt)
    if found.get("n") not in (None, 1):
        raise wrong("n: a page is read once; leave it at 1")
    options = found.get("stream_options")
    return Asked(
        sources, task, words, "<|grounding|>" in prompt or "document parsing" in prompt.lower() or task == "locate",
        prompt, _text(found, "model"), found.get("stream") is True,
        isinstance(options, dict) and options.get("include_usage") is True,
        _most(found.get("max_completion_tokens"), found.get("max_tokens")),
    )  # fmt: skip


def wrong(message: str) -> Fault:
    """The fault of a request that is not as it should be."""
    return Fault(400, "bad_request", message)


def task_of(prompt: str) -> tuple[str, str]:
    """The task that a prompt asks for, and the words that are to be located; Markdown where it says nothing. Fault 400
    for a prompt that asks for nothing that is known."""
    said = prompt.replace("<image>", "").replace("<|grounding|>", "").strip()
    if not said:
        return "markdown", ""
    for task, pattern in TASKS:
        if re.search(pattern, said, re.IGNORECASE):
            if task != "locate":
                return task, ""
            found = re.search(r"<\|ref\|>(.*?)<\|/ref\|>", said, re.DOTALL)
            if not found or not found[1].strip() or "<|" in found[1]:
                raise Fault(400, "bad_prompt", "write what to locate as Locate <|ref|>WORDS<|/ref|> in the image.")
            return task, found[1].strip()
    known = "; ".join(prompt.replace("<image>\n", "") for prompt in PROMPTS.values())
    raise Fault(400, "prompt_not_understood", f"the prompt asks for nothing that is known here; there are: {known}; "
                "Locate <|ref|>WORDS<|/ref|> in the image.")  # fmt: skip


def _asking(messages: Any) -> list[dict[str, Any]]:
    """The parts of the last message of the user."""
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise wrong("messages: give a list of messages")
    of_user = [one.get("content") for one in messages if one.get("role") == "user"]
    content = of_user[-1] if of_user else None
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise wrong("messages: the last message of the user has no content")
    return parts


def _source(part: dict[str, Any], kind: str) -> bytes | str:
    inner = part.get(kind)
    if isinstance(inner, str) and kind == "image_url":
        url: Any = inner
    elif isinstance(inner, dict):
        url = inner.get("url" if kind == "image_url" else "file_data")
    else:
        url = None
    if not isinstance(url, str):
        raise wrong(f"{kind}: give {'its url' if kind == 'image_url' else 'file_data'}, as data:…;base64,…")
    if url[:5].lower() != "data:":
        if len(url) > ADDRESS or not re.match(r"https?://", url, re.IGNORECASE):
            raise wrong(f"{kind}: neither data:…;base64,… nor an http address")
        return url
    return data_in(url)


def data_in(url: str) -> bytes:
    """The bytes in a data: URL; what type it claims to be does not matter."""
    head, comma, data = url.partition(",")
    if not comma:
        raise wrong("a data: URL without a comma before its data")
    if not head.lower().rstrip().endswith(";base64"):
        return unquote_to_bytes(data)
    return base64_in(data)


def base64_in(data: str) -> bytes:
    """Bytes from base64, in either alphabet; Fault 400 where it is none."""
    plain = "".join(data.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Fault(400, "bad_base64", "what should be base64 is not") from error


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    if value is not None and not isinstance(value, str):
        raise wrong(f"{key}: give text")
    return value or ""


def _most(*values: Any) -> int | None:
    given = next((value for value in values if value is not None), None)
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
        raise wrong("max_tokens: give a whole number from 1 on")
    return given


# --- answers ---


def pieces(document: Document, asked: Asked) -> list[str]:
    """The answer for one document, piece by piece; together they are the answer."""
    if asked.task == "locate":
        return list(_located(document, asked.words))
    if asked.boxes:
        return list(_grounded(document, asked.task == "ocr"))
    text = document.plain() if asked.task in ("ocr", "free") else document.markdown()
    return re.findall(r"(?s).+?(?:\n\n|\Z)", text.rstrip("\n"))


def cut(text: str, most: int) -> str:
    """The beginning of a text that has at most so many tokens."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_tokens(text[:middle]) <= most else (low, middle - 1)
    return text[:low]


def _grounded(document: Document, plain: bool) -> Iterator[str]:
    """Each block as DeepSeek-OCR marks it: label, box and Markdown; if `plain`, its text as the label."""
    for page in document.pages:
        for block in page.blocks:
            text = _unmarked(block.plain().strip() if plain else block.markdown())
            if block.kind in FURNITURE or block.box is None or not (text or block.kind == "figure"):
                if text and block.kind not in FURNITURE:
                    yield f"{text}\n\n"
                continue
            where = _where(block, page.width, page.height)
            if plain:
                yield f"<|ref|>{text}<|/ref|><|det|>{where}<|/det|>\n"
            else:
                yield f"<|ref|>{_label(block)}<|/ref|><|det|>{where}<|/det|>\n{text}\n\n"


def _located(document: Document, words: str) -> Iterator[str]:
    """The blocks in which words stand, or, where the words are a model's, all that it marked."""
    wanted = _folded(words)
    for page in document.pages:
        boxes = [_where(block, page.width, page.height)[1:-1] for block in page.blocks
                 if block.box and wanted in _folded(block.plain())]  # fmt: skip
        if boxes:
            yield f"<|ref|>{_unmarked(words)}<|/ref|><|det|>[{', '.join(boxes)}]<|/det|>\n"


def _label(block: Block) -> str:
    if block.kind == "title":
        return "title" if (block.level or 2) == 1 else "sub_title"
    return LABELS.get(block.kind, block.kind)


def _where(block: Block, width: int, height: int) -> str:
    """A block's box in thousandths of the page, from 0 to 999."""
    sides = (width, height, width, height)
    numbers = [min(FULL, max(0, round(FULL * at / max(1, side)))) for at, side in zip(block.where, sides, strict=True)]
    return f"[[{', '.join(map(str, numbers))}]]"


def _unmarked(text: str) -> str:
    """A text in which nothing can be taken for a mark of DeepSeek-OCR's."""
    return text.replace("<|", "< |")


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
