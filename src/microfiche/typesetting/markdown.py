r"""A small strict Markdown: headings of three levels, paragraphs with bold and italic words, lists, tables, code.

Blocks are plain data; `parse` reads them and `written` writes them. A backslash before a sign makes it an ordinary
character, and `written` puts one where a paragraph could be mistaken for another block. After CommonMark 0.31, without
nesting, links and pictures. This module knows nothing of pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from microfiche.errors import InputError

Span = tuple[int, int, Literal["bold", "italic"]]  #: start, stop; spans do not touch and do not begin or end in spaces


@dataclass(frozen=True)
class Heading:
    """A heading of `level` 1, 2 or 3."""

    text: str
    level: int


@dataclass(frozen=True)
class Paragraph:
    """Running text; `continued` if its beginning is elsewhere, on the page before."""

    text: str
    spans: tuple[Span, ...] = ()
    continued: bool = False


@dataclass(frozen=True)
class Items:
    """A list: numbered from `first`, or bulleted if that is None."""

    items: tuple[str, ...]
    first: int | None = None


@dataclass(frozen=True)
class Table:
    """Rows of equally many cells; the first row is the head."""

    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Code:
    """Lines of code, separated by newlines."""

    text: str


Block = Heading | Paragraph | Items | Table | Code

_HEADING = re.compile(r"(#{1,3}) (.*)")
_BULLET = re.compile(r"- (.*)")
_NUMBER = re.compile(r"(\d{1,9})\. (.*)")
_FENCE = re.compile(r"(`{3,})\w*")
_RULE = re.compile(r"\|(?: *:?-+:? *\|)+")
_CELL = re.compile(r"\|((?:\\.|[^\\|])*)(?=\|)")
_SIGNS = re.compile(r"\\(.)|(\*\*|\*)")
_ESCAPED = re.compile(r"[\\*|`]")
_BLOCK_START = re.compile(r"([#\-]|\d+(?=\. ))")


def parse(markdown: str) -> list[Block]:
    """Reads the blocks of a Markdown text.

    Raises InputError if emphasis or a code block is not closed, or the rows of a table differ in length.
    """
    blocks: list[Block] = []
    lines = markdown.split("\n")
    i = 0
    while i < len(lines):
        line = lines[i].strip()
        if not line:
            i += 1
        elif fence := _FENCE.fullmatch(line):
            end = i + 1
            while end < len(lines) and lines[end].strip() != fence[1]:
                end += 1
            if end == len(lines):
                raise InputError(f"Markdown: the code block that begins in line {i + 1} is not closed")
            blocks.append(Code("\n".join(lines[i + 1 : end])))
            i = end + 1
        elif heading := _HEADING.fullmatch(line):
            blocks.append(Heading(_plain(heading[2]), len(heading[1])))
            i += 1
        else:
            end = i + 1
            while end < len(lines) and lines[end].strip() and not _FENCE.fullmatch(lines[end].strip()):
                end += 1
            blocks.append(_group([part.strip() for part in lines[i:end]], i + 1))
            i = end
    return blocks


def _group(lines: list[str], at: int) -> Block:
    """Lines with no blank line between them → a table, a list or a paragraph."""
    if len(lines) > 1 and lines[0].startswith("|") and _RULE.fullmatch(lines[1]):
        rows = tuple(tuple(_plain(cell.strip()) for cell in _CELL.findall(line)) for line in [lines[0], *lines[2:]])
        if any(len(row) != len(rows[0]) for row in rows):
            raise InputError(f"Markdown: the rows of the table in line {at} do not all have as many cells as its head")
        return Table(rows)
    for mark in (_BULLET, _NUMBER):
        if first := mark.fullmatch(lines[0]):
            items: list[str] = []
            for line in lines:
                if found := mark.fullmatch(line):
                    items.append(found.groups()[-1])
                else:
                    items[-1] += " " + line
            return Items(tuple(map(_plain, items)), int(first[1]) if mark is _NUMBER else None)
    return Paragraph(*_styled(" ".join(lines)))


def _plain(text: str) -> str:
    return _styled(text)[0]


def _styled(text: str) -> tuple[str, tuple[Span, ...]]:
    """Text with Markdown's signs → plain text and its spans."""
    plain, at, spans, opened = "", 0, [], {"*": -1, "**": -1}
    for sign in _SIGNS.finditer(text):
        plain += text[at : sign.start()] + (sign[1] or "")
        at = sign.end()
        if sign[2]:
            if opened[sign[2]] < 0:
                opened[sign[2]] = len(plain)
            else:
                spans.append((opened[sign[2]], len(plain), "bold" if sign[2] == "**" else "italic"))
                opened[sign[2]] = -1
    if max(opened.values()) >= 0:
        raise InputError(f"Markdown: emphasis is not closed in {text[:40]!r}")
    return plain + text[at:], tuple(spans)  # type: ignore[arg-type]


def written(blocks: Iterable[Block]) -> str:
    """Writes blocks as Markdown, with a blank line between two of them."""
    return "\n\n".join(map(_written, blocks))


def _written(block: Block) -> str:
    if isinstance(block, Heading):
        return "#" * block.level + " " + _escaped(block.text)
    if isinstance(block, Paragraph):
        parts, at = [], 0
        for start, stop, style in block.spans:
            sign = "**" if style == "bold" else "*"
            parts += [_escaped(block.text[at:start]), sign, _escaped(block.text[start:stop]), sign]
            at = stop
        text = "".join([*parts, _escaped(block.text[at:])])
        return _BLOCK_START.sub(_mark, text, count=1) if _BLOCK_START.match(text) else text
    if isinstance(block, Items):
        marks = ["-"] * len(block.items) if block.first is None else [
            f"{block.first + i}." for i in range(len(block.items))
        ]  # fmt: skip
        return "\n".join(f"{mark} {_escaped(item)}" for mark, item in zip(marks, block.items, strict=True))
    if isinstance(block, Table):
        rows = ["| " + " | ".join(map(_escaped, row)) + " |" for row in block.rows]
        return "\n".join([rows[0], "|" + " --- |" * len(block.rows[0]), *rows[1:]])
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
    return f"{fence}\n{block.text}\n{fence}"


def _escaped(text: str) -> str:
    return _ESCAPED.sub(r"\\\g<0>", text)


def _mark(start: re.Match[str]) -> str:
    return start[0] + "\\" if start[0][0].isdigit() else "\\" + start[0]


def between(block: Block, first: tuple[int, int] | None, last: tuple[int, int] | None) -> tuple[Block, ...]:
    """The part of a block between two places (part, offset), or its beginning and end if None; see `cut`."""
    before = [block] if last is None else cut(block, *last)[0]
    return tuple(before if first is None else cut(before[0], *first)[1])


def cut(block: Block, part: int, offset: int) -> tuple[list[Block], list[Block]]:
    """Cuts a block before character `offset` of its item, row or line `part`: what stands before, and what after."""
    if isinstance(block, Heading):
        return [Heading(block.text[:offset].rstrip(" "), block.level)], [Heading(block.text[offset:], block.level)]
    if isinstance(block, Paragraph):
        text = block.text[:offset].rstrip(" ")
        first = tuple((a, min(b, len(text)), s) for a, b, s in block.spans if a < len(text))
        last = tuple((max(a - offset, 0), b - offset, s) for a, b, s in block.spans if b > offset)
        return [Paragraph(text, first, block.continued)], [Paragraph(block.text[offset:], last, True)]
    if isinstance(block, Items):
        number = None if block.first is None else block.first + part + (offset > 0)
        items, rest = [*block.items[:part]], block.items[part:]
        after: list[Block] = []
        if offset:
            items.append(block.items[part][:offset].rstrip(" "))
            after.append(Paragraph(block.items[part][offset:], continued=True))
            rest = rest[1:]
        return [Items(tuple(items), block.first)], after + ([Items(rest, number)] if rest else [])
    if isinstance(block, Table):
        return [Table(block.rows[:part])], [Table(block.rows[part:])]
    lines = block.text.split("\n")
    return (
        [Code("\n".join([*lines[:part], *([lines[part][:offset]] if offset else [])]))],
        [Code("\n".join([lines[part][offset:], *lines[part + 1 :]]))],
    )
