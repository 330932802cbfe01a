"""Asking a memory: with a model at an endpoint, an answer that cites pages; without one, the passages themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from microfiche.endpoint import Endpoint
from microfiche.errors import InputError
from microfiche.memory.archive import Archive
from microfiche.memory.context import Context, context
from microfiche.memory.finding import By, Hit, search
from microfiche.memory.records import Place

INSTRUCTION = (
    "Answer from the pages above alone, and name each page that you took something from as [page N], N as in its "
    "caption. If they do not say it, say so.\n\nQuestion: "
)
_CITED = re.compile(r"\[pages?\s+([\d,\s and&-]+)")
ANSWER = 1024  #: tokens of an answer at most


@dataclass(frozen=True)
class Answer:
    """`text` of an answer, whether it was cut short, the `cited` pages with their places, those cited that were not
    sent, and the context it is from."""

    text: str
    cut: bool
    cited: dict[int, Place]
    unknown: list[int]
    context: Context


def ask(
    archive: Archive, question: str, server: Endpoint, model_name: str, budget: int, model: str = "openai-tiles"
) -> Answer:
    """The answer of the model at `server` to a question, from a context of at most `budget` tokens; the pages that it
    cites are recalled if the memory can be written to. InputError if no answer comes."""
    made = context(archive, budget, question, model, "openai", INSTRUCTION)
    body = {"model": model_name, "temperature": 0, "max_tokens": ANSWER, "messages": made.messages}
    text, cut = server.chat(body)
    if not text.strip():
        raise InputError("the endpoint's answer is empty")
    numbers = cited(text)
    sent = {sheet.page for sheet in made.sheets}
    known = [n for n in numbers if n in sent]
    return Answer(text, cut, archive.places(known), [n for n in numbers if n not in sent], made)


def cited(text: str) -> list[int]:
    """The numbers of the pages that an answer cites, in order: [page 3], [pages 3, 4 and 7]."""
    found = [int(n) for group in _CITED.findall(text) for n in re.findall(r"\d{1,12}", group)]
    return list(dict.fromkeys(found))


def passages(archive: Archive, question: str, count: int = 5, by: By = "text", index: Path | None = None) -> list[Hit]:
    """The best passages for a question, each as nano reads it from the tokens."""
    hits = search(archive, question, count, by, index)
    return [replace(hit, text=" ".join(hit.text.split())) for hit in hits]


