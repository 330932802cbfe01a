"""Document: what was read from a file, page by page and block by block, and its Markdown.

A block stands on its page; only the Markdown puts together what goes on in the next column or on the next page. It
knows nothing of where pages come from, who read them, or how what all pages show together was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from microfiche.documents.boxes import WholeBox
from microfiche.documents.inline import SHY, markdown, opened
from microfiche.documents.markup import code, fenced, guarded, plain
from microfiche.documents.table_markup import AGAIN, is_html, put_together, safe, stands, words
from microfiche.files import plain as without_surrogates

Kind = Literal[
    "title", "text", "list", "code", "table", "figure", "formula", "caption", "footnote", "header", "footer", "number",
    "hidden",
]  # fmt: skip
CJK = re.compile(r"[\u3000-\u9fff\uf900-\ufaff\uff00-\uffef]")
ASIDE = ("number", "hidden")  #: kinds of what is no text that a person reads on
FURNITURE = ("header", "footer", *ASIDE)  #: kinds that stand in the JSON and not in the Markdown
CARRIED = ("figure", "table", "caption", "footnote", *FURNITURE)  #: may stand within a paragraph
ITEM = re.compile(r"(\s*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ x]\][ \t]+)?)(.*)")
ENDED = re.compile(r"[.!?:;。！？：；…][\"'”’»)\]）」』*_]*(?:</?su[pb]>|[\d,*])*$")
OWN = "the file's own text"  #: why a page is read that is no page but text, in which a paragraph ends where it ends
LINE = 60  #: characters of a paragraph that is more than a label
LINKING = re.compile(
    r"(?:(?<![\w.@/-])(?:the|an?|of|and|or|in|to|for|with|by|at|from|on|as|is|are|was|were|that|which|their|its|der|die|das|und"
    r"|oder|von|mit|ein|eine|den|dem|des|zu|im|le|la|les|de|du|et|ou|un|une|el|los|las|del|y|en|que))$"
)
SURROGATES = re.compile("[\ud800-\udfff]")
LABEL = re.compile(r"[a-z]{1,3}[.)]\s|www\.|\S+@|https?:")


class Block(BaseModel):
    """One piece of a page, in reading order.

    `box` is left, top, right, bottom in pixels of the page; None where the model that read it gives none. `text` is
    Markdown: for a table the whole table (HTML where cells span rows or columns), for code the fenced block, for a
    title its words without the #s, whose number `level` is. A sign that only at the start of a paragraph would be
    markup (a number with a dot) is not escaped in it. `figure` is the file of a picture cut from the page, relative to
    the Markdown file; it stands in place of a formula that is not LaTeX, and below one that is. `size` is a title's
    type size over that of the text. Numbers in a margin that count the lines are a block of the kind number; text that
    a person who looks at the page does not see is one of the kind hidden. `engine` read this block, where that is not
    the page's engine.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    box: WholeBox | None
    text: str = ""
    confidence: float | None = None
    size: float | None = None
    level: int | None = None
    figure: str | None = None
    engine: str | None = None

    @field_validator("text")
    @classmethod
    def _text_that_can_be_written(cls, text: str) -> str:
        return text if text.isascii() else SURROGATES.sub("\ufffd", text)

    @property
    def where(self) -> WholeBox:
        """The box of a block that has one, as each has that was read line by line."""
        assert self.box is not None
        return self.box

    @property
    def is_latex(self) -> bool:
        """Whether a formula's text is LaTeX."""
        return self.kind == "formula" and self.text.startswith(("$", "\\(", "\\["))

    def markdown(self) -> str:
        """The block as it stands in the Markdown, where nothing of the page can be taken for markup."""
        text = self.text.replace(SHY, "")
        picture = f"![{_alternative('' if self.is_latex else text)}]({self.figure or ''})"
        match self.kind:
            case "figure" | "formula" if self.figure and not self.is_latex:
                return picture
            case "figure":  # not cut out, as there was no folder to put it in
                return picture if text else ""
            case "code":
                return fenced(text)
            case "table" if is_html(text):
                return text if stands(text) else safe(text)
        text = guarded(text)
        match self.kind:
            case "title":
                words = re.sub(r"(^|\s)(#+)$", r"\1\\\2", " ".join(text.split()))
                return f"{'#' * (self.level or 2)} {words}" if words else ""
            case "caption":
                words = re.sub(r"(?<!\\)\*", r"\\*", " ".join(text.split()))
                return f"*{words}*" if words else ""
            case "list":
                return "\n".join(_item(line) for line in text.split("\n"))
            case "formula" if self.is_latex:
                shown = re.sub(r"^\$(?!\$)(.*)(?<![\\$])\$$", r"$$\1$$", text, flags=re.DOTALL)
                return f"{shown}\n\n{picture}" if self.figure else shown
            case "table":
                return text
            case _:
                return opened(text)

    def plain(self) -> str:
        """The words of the block without Markdown's marks and escapes; the cells of a table's row between tabs."""
        text = self.text.replace(SHY, "")
        match self.kind:
            case "code":
                return code(text)
            case "table":
                return "\n".join("\t".join(row) for row in words(text))
            case "list":
                return "\n".join(plain(line) for line in text.split("\n"))
            case _:
                return plain(text)


class PageRead(BaseModel):
    """One page: what was read from it, by which engine, and how that ended.

    `reason` says why a page is not "ok": truncated, looped, of low confidence, or the error that it failed with.
    `chosen` says why this engine read it. `language` is that of its text (ISO 639-1), where it is known.
    """

    model_config = ConfigDict(extra="forbid")

    number: int
    width: int = 0
    height: int = 0
    engine: str = ""
    chosen: str = ""
    language: str = ""
    status: Literal["ok", "partial", "failed"] = "ok"
    reason: str = ""
    blocks: list[Block] = []

    @field_validator("reason", "chosen")
    @classmethod
    def _words_that_can_be_written(cls, words: str) -> str:
        return without_surrogates(words)


class Document(BaseModel):
    """The pages of one file, whose SHA-256 is `sha256`, as they were read with `settings`; `notes` say what is wrong
    with the file as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: str
    sha256: str
    settings: dict[str, str] = {}
    notes: list[str] = []
    pages: list[PageRead]

    @field_validator("name")
    @classmethod
    def _name_that_can_be_written(cls, name: str) -> str:
        return without_surrogates(name)

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"Document({self.name!r}, {len(self.pages)} page{'s' * (len(self.pages) != 1)}{failed})"

    @property
    def failed(self) -> list[PageRead]:
        """The pages that could not be read."""
        return [page for page in self.pages if page.status == "failed"]

    def markdown(self) -> str:
        """All pages as one Markdown text, without running heads and page numbers.

        A comment marks each page that was not read whole. A paragraph that goes on in the next column or on the next
        page becomes one again, and so does a table.
        """
        return "\n\n".join(text for part in _parts(self.pages) if (text := part.markdown())) + "\n"

    def plain(self) -> str:
        """The words of all pages as they are seen, without Markdown's marks and escapes."""
        texts = (part.block.plain() for part in _parts(self.pages) if part.block)
        return "\n\n".join(text for text in texts if text) + "\n"


@dataclass
class _Part:
    """A part of a document: a block, on the page of this index, or a remark about a page."""

    page: int
    block: Block | None = None
    remark: str = ""

    def markdown(self) -> str:
        return self.block.markdown() if self.block else self.remark


def _parts(pages: list[PageRead]) -> Iterator[_Part]:
    """What a document consists of, with each paragraph and table that goes on elsewhere put together."""
    parts: list[_Part] = []
    flow: _Part | None = None  # the last paragraph or list, if it may go on
    last: Block | None = None  # the last block of it
    grid: _Part | None = None  # the last table, if it may go on, and how wide it is on its page
    sides: tuple[float, ...] = ()
    carried = False  # whether anything stands between the paragraph and what comes now
    for index, page in enumerate(pages):
        if page.status != "ok":
            parts.append(_Part(index, remark=_remark(page)))
        for block in page.blocks:
            if block.kind in FURNITURE or not (block.text or block.figure):
                continue
            if block.kind == "table":
                its = tuple(side / max(1, page.width) for side in block.box[::2]) if block.box else ()
                aligned = len(its) == len(sides) and all(abs(a - b) < 0.06 for a, b in zip(its, sides, strict=True))
                if grid and grid.block and page.chosen != OWN and index == grid.page + 1 and (
                    whole := put_together(grid.block.text, block.text, aligned)
                ):
                    grid.block, grid.page, sides = grid.block.model_copy(update={"text": whole}), index, its
                    continue
                parts.append(_Part(index, block))
                grid, sides, carried = parts[-1], its, True
                continue
            if grid and not _beside_a_table(block):
                grid = None
            if block.kind == "text" and page.chosen != OWN and flow and flow.block and last and (
                text := _flowing(flow.block, last, block, index != flow.page or carried)
            ):
                flow.block, flow.page = flow.block.model_copy(update={"text": text}), index
                last, carried = block, False
                continue
            parts.append(_Part(index, block))
            if flow and block.kind == "text" and not any(c.isalpha() for c in block.text):
                continue  # a number at the page's edge
            if block.kind in ("text", "list"):
                flow, last, carried = parts[-1], block, False
            elif block.kind in CARRIED:
                carried = True
            else:
                flow = None
    yield from parts


def _beside_a_table(block: Block) -> bool:
    """Whether a block may stand between two parts of a table: a note, or words that say that it goes on."""
    return block.kind == "footnote" or (len(block.text) < 80 and AGAIN.search(plain(block.text)) is not None)


def _flowing(flow: Block, last: Block, block: Block, apart: bool) -> str:
    """The text of the paragraph or list `flow`, whose `last` block goes on in `block`; "" if it does not.

    `apart` says that another page begins or something stands between the two. Otherwise a paragraph goes on only where
    the next block is not known to be below, as in the next column, or where it ends with a word that nothing but its
    rest follows.
    """
    beside = not (block.box and last.box) or block.box[1] < last.box[3]
    surely = flow.text.endswith(SHY) or (len(flow.text) > LINE and LINKING.search(flow.text))
    if not (goes_on(flow.text, block.text) and (apart or beside or surely)):
        return ""
    return continued(flow.text, block.text)


def goes_on(before: str, after: str) -> bool:
    """Whether `after` reads as the rest of the paragraph `before`."""
    start, tail = after[:12], before[-40:].rstrip()
    if not tail or not start:
        return False
    if CJK.match(tail[-1]) and CJK.match(start):
        return ENDED.search(tail) is None
    if start[0].islower():
        return ENDED.search(tail) is None and not LABEL.match(start)
    return start[0].isalnum() and len(before) > LINE and (
        tail[-1] == "," or LINKING.search(tail) is not None
    )


def continued(before: str, after: str) -> str:
    """Two pieces of running text as one: a divided word joined, no space between Chinese characters."""
    if before.endswith(SHY) or (before.endswith("-") and before[-2:-1].isalpha() and after[:1].islower()):
        return before[:-1] + after
    if not before or (CJK.match(before[-1]) and CJK.match(after[:1])):
        return before + after
    return f"{before} {after}"


def _remark(page: PageRead) -> str:
    """A comment that says how the reading of a page ended, and that nothing in it can end."""
    reason = re.sub(r"-(?=-)", "- ", " ".join(page.reason.split())).replace("<", "‹").replace(">", "›")
    return f"<!-- page {page.number} {page.status}: {reason} -->"


def _alternative(text: str) -> str:
    """The words of a picture, as they stand in the brackets before its file."""
    return markdown(" ".join(re.sub(r"[\[\]|]+", " ", plain(text)).split()))


def _item(line: str) -> str:
    """A line of a list, with that escaped which would begin another block within an item."""
    found = ITEM.match(line)
    return found[1] + opened(found[2]) if found else line
