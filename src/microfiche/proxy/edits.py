"""How pages take the place of texts in a request, in each dialect, with the marks of the cache that stood there.

A page stands where its text stood, but where that place takes no pictures. This module knows nothing of what is drawn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from microfiche.memory.billing import Shape
from microfiche.memory.shapes import picture_part, text_part
from microfiche.proxy.numbered import heading, mark_in
from microfiche.proxy.places import Place, Stub
from microfiche.proxy.protocols import Dialect, runs
from microfiche.proxy.splice import Body, Replacement, Value, quoted

Sent = tuple[str, bytes, str | None]  #: a page: its caption, its PNG, and the resolution in which it is to be seen
_SHAPES: dict[Dialect, Shape] = {"messages": "anthropic", "responses": "responses", "chat": "openai",
                                 "gemini": "gemini"}  # fmt: skip


def _unrun(stub: Stub) -> int:
    """The characters that a stub gives up, but for those of runs."""
    whole = stub.value.text or ""
    return len(whole) - runs(whole) - len(stub.head) - len(stub.tail)


@dataclass
class Edits:
    """What is changed in a body: texts that become pages, with the tokens of what comes in their place."""

    dialect: Dialect
    body: Body
    _replaced: list[tuple[Replacement, tuple[int, int]]] = field(default_factory=list)
    _after: dict[int, tuple[list[str], list[int]]] = field(default_factory=dict)
    _whole: dict[int, tuple[Value, list[str], int, int]] = field(default_factory=dict)
    _mark: str = ""
    _first: tuple[Value, list[str], list[int]] | None = None

    def part(self, text: str) -> str:
        """A text as a part of a content, character by character as it was said."""
        return json.dumps({**text_part(_SHAPES[self.dialect], ""), "text": text}, separators=(",", ":"))

    def pictures(self, pages: Sequence[Sent]) -> list[str]:
        """Pages as parts of a content."""
        shape = _SHAPES[self.dialect]
        parts = ((self.part(caption), picture_part(shape, png, grade=grade)) for caption, png, grade in pages)
        return [piece for caption, part in parts for piece in (caption, json.dumps(part, separators=(",", ":")))]

    def put(self, place: Place, pages: Sequence[Sent], note: str, tokens: int) -> None:
        """Puts pages in the place of a text; where the place takes no pictures, a `note`."""
        parts = self.pictures(pages)
        gone = len(place.text) - runs(place.text)
        if place.stubs and place.anchor is None:
            self._stub(place, parts, note, tokens)
            return
        if place.anchor is not None:
            stubs = place.stubs or (Stub(place.value, place.head, place.tail),)
            told = mark_in(place.text)
            for number, stub in enumerate(stubs, 1):
                own = f"{note[:-1]}, {heading(number, len(stubs), told)}]" if place.stubs else note
                self._replaced.append((_over(stub.value, quoted(f"{stub.head}{own}{stub.tail}")),
                                       (_unrun(stub) if place.stubs else gone, len(own) // 4)))  # fmt: skip
            held = self._after.setdefault(place.anchor, ([], []))
            held[0].extend(parts)
            held[1].append(tokens)
            return
        around = [self.part(place.head)] if place.head.strip() else []
        behind = [self.part(place.tail)] if place.tail.strip() else []
        every = [*around, *parts, *behind]
        if place.value.text is not None:
            self._whole[place.value.start] = (place.value, every, gone, tokens)
            return
        mark = place.value.at("cache_control")
        if mark is not None:
            every[-1] = f'{every[-1][:-1]},"cache_control":{self.body.raw(mark)}}}'
        self._replaced.append((_over(place.value, ",".join(every)), (gone, tokens)))

    def collapse(self, start: int, end: int, note: str, pages: Sequence[Sent], tokens: int) -> None:
        """Puts one message of the user, a note and pages, in the place of messages from one character to another."""
        parts = [self.part(note), *self.pictures(pages)]
        message = f'{{"role":"user","content":[{",".join(parts)}]}}'
        self._replaced.append((Replacement(start, end, message), (end - start, tokens)))

    def _stub(self, place: Place, parts: list[str], note: str, tokens: int) -> None:
        """Shortens the strings of a place, and puts its pages at the head of the first message."""
        marks = [stub for stub in place.stubs if stub.holder is not None and stub.holder.at("cache_control")]
        if marks and self._is_passed(marks[-1]):
            marks = []
        for stub in place.stubs:
            said = f"{stub.head}{note}{stub.tail}"
            self._replaced.append((_over(stub.value, quoted(said)), (_unrun(stub), len(note) // 4)))
        if marks:
            self._mark = self._moved(marks[-1]) or self._mark
        self._first = self._first or (place.value, [], [])
        self._first[1].extend(parts)
        self._first[2].append(tokens)

    def _is_passed(self, stub: Stub) -> bool:
        """Whether a mark of an hour would move behind one of five minutes, an order that the vendor refuses."""
        mark = stub.holder.at("cache_control") if stub.holder is not None else None
        later = [] if mark is None else [block.at("cache_control") for block in self.body.root.each("system")
                                         if block.start > mark.start]  # fmt: skip
        hours = mark is not None and mark.words("ttl") == "1h"
        return hours and any(one is not None and one.words("ttl") != "1h" for one in later)

    def _moved(self, stub: Stub) -> str:
        """The mark of a stub, taken away from there, as a member of another object: as long as it was, but without a
        scope. Empty where it has to stay."""
        holder = stub.holder
        mark = holder.at("cache_control") if holder is not None else None
        if holder is None or mark is None:
            return ""
        key = re.search(r',\s*"cache_control"\s*:\s*$', self.body.text[holder.start : mark.start])
        if key is None:  # it is the first member
            return ""
        self._replaced.append((Replacement(holder.start + key.start(), mark.end, ""), (0, 0)))
        ttl = f',"ttl":{quoted(ttl)}' if (ttl := mark.words("ttl")) else ""
        return f',"cache_control":{{"type":"ephemeral"{ttl}}}'

    def drawing(self) -> tuple[tuple[Replacement, ...], tuple[tuple[int, int], ...]]:
        """The replacements in the order of the body, and the weights of each."""
        made = list(self._replaced)
        if self._first is not None:
            content, first, weights = self._first
            first = [*first[:-1], f"{first[-1][:-1]}{self._mark}}}"]
            if content.text is None:
                at = content.start + 1
                made.append((Replacement(at, at, ",".join([*first, ""])), (0, sum(weights))))
            else:
                _, own, gone, tokens = self._whole.get(content.start, (content, [self.part(content.text)], 0, 0))
                self._whole[content.start] = (content, [*first, *own], gone, tokens + sum(weights))
        for value, parts, gone, tokens in self._whole.values():
            made.append((_over(value, f"[{','.join(parts)}]"), (gone, tokens)))
        for at, (parts, weights) in self._after.items():
            inner = ",".join(parts)
            text = f",{inner}" if self.dialect == "gemini" else f',{{"role":"user","content":[{inner}]}}'
            made.append((Replacement(at, at, text), (0, sum(weights))))
        made.sort(key=lambda one: one[0][:2])
        return tuple(one for one, _ in made), tuple(weight for _, weight in made)


def _over(value: Value, text: str) -> Replacement:
    return Replacement(value.start, value.end, text)
