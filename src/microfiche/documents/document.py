"""Document: what was read from a file, page by page and block by block, and its Markdown.

Here too is what only all pages together show: running heads, and the levels of titles. It knows nothing of where pages
come from or who read them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from microfiche.documents.boxes import WholeBox

Kind = Literal[
    "title", "text", "list", "code", "table", "figure", "formula", "caption", "footnote", "header", "footer", "hidden"
]
FLOATS = ("figure", "table", "caption", "footnote")  #: kinds that may stand within a paragraph
CJK = re.compile(r"[\u3000-\u9fff\uf900-\ufaff\uff00-\uffef]")
FURNITURE = ("header", "footer", "hidden")  #: kinds that stand in the JSON and not in the Markdown
NUMBERED = re.compile(r"^(\d+(?:\.\d+)*)\.?\s+\S")


class Block(BaseModel):
    """One piece of a page, in reading order.

    `box` is left, top, right, bottom in pixels of the page. `text` is Markdown: for a table the whole table (HTML where
    cells span rows or columns), for a title its words without the #s, whose number `level` is. `figure` is the file of
    a picture cut from the page, relative to the Markdown file. `size` is a title's type size over that of the text.
    Text that a person who looks at the page does not see is a block of the kind hidden. `engine` read this block, where
    that is not the page's engine.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    box: WholeBox
    text: str = ""
    confidence: float | None = None
    size: float | None = None
    level: int | None = None
    figure: str | None = None
    engine: str | None = None

    def markdown(self) -> str:
        """The block as it stands in the Markdown."""
        match self.kind:
            case "title":
                return f"{'#' * (self.level or 2)} {self.text}"
            case "figure" | "formula" if self.figure:
                return f"![{_alternative(self.text)}]({self.figure})"
            case "figure":  # not cut out, as there was no folder to put it in
                return f"![{_alternative(self.text)}]()" if self.text else ""
            case "caption":
                return f"*{self.text}*" if self.text else ""
            case _:
                return self.text


class PageRead(BaseModel):
    """One page: what was read from it, by which engine, and how that ended.

    `reason` says why a page is not "ok": truncated, looped, of low confidence, or the error that it failed with.
    `chosen` says why this engine read it.
    """

    model_config = ConfigDict(extra="forbid")

    number: int
    width: int = 0
    height: int = 0
    engine: str = ""
    chosen: str = ""
    status: Literal["ok", "partial", "failed"] = "ok"
    reason: str = ""
    blocks: list[Block] = []


class Document(BaseModel):
    """The pages of one file, whose SHA-256 is `sha256`, as they were read with `settings`; `notes` say what is wrong
    with the file as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: str
    sha256: str
    settings: dict[str, str] = {}
    notes: list[str] = []
    pages: list[PageRead]

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
        page becomes one again.
        """
        parts: list[str] = []
        paragraph: int | None = None  # where the last paragraph stands in parts, if it may go on
        for page in self.pages:
            if page.status != "ok":
                parts.append(f"<!-- page {page.number} {page.status}: {page.reason.replace('--', '- -')} -->")
            for block in page.blocks:
                text = block.markdown()
                if block.kind in FURNITURE or not text:
                    continue
                if block.kind == "text" and paragraph is not None and goes_on(parts[paragraph], text):
                    parts[paragraph] = continued(parts[paragraph], text)
                    continue
                parts.append(text)
                if block.kind == "text":
                    paragraph = len(parts) - 1
                elif block.kind not in FLOATS:
                    paragraph = None
        return "\n\n".join(parts) + "\n"

    def plain(self) -> str:
        """The text of all pages without Markdown's marks for titles, captions and figures."""
        shown = (b.text for page in self.pages for b in page.blocks if b.kind not in FURNITURE and b.text)
        return "\n\n".join(shown) + "\n"


def goes_on(before: str, after: str) -> bool:
    """Whether `after` reads as the rest of the paragraph `before`."""
    return after[:1].islower() and re.search(r"[\w,;\u00ad-]$", before) is not None


def continued(before: str, after: str) -> str:
    """Two pieces of running text as one: a divided word joined, no space between Chinese characters."""
    if before.endswith("\u00ad") or (before.endswith("-") and before[-2:-1].isalpha() and after[:1].islower()):
        return before[:-1] + after
    if not before or (CJK.match(before[-1]) and CJK.match(after[:1])):
        return before + after
    return f"{before} {after}"


def _alternative(text: str) -> str:
    return re.sub(r"[\[\]\s]+", " ", text).strip()


def finish(pages: Sequence[PageRead]) -> list[PageRead]:
    """All pages of a document, with running heads marked as such and each title given its level."""
    return _with_levels(_with_running_heads(pages))


def _with_running_heads(pages: Sequence[PageRead]) -> list[PageRead]:
    def key(block: Block, height: int) -> str | None:
        top, bottom = block.box[1] < 0.12 * height, block.box[3] > 0.88 * height
        if block.kind in ("text", "title") and (top or bottom) and len(block.text) < 120:
            return ("top " if top else "bottom ") + re.sub(r"\d+", "0", block.text)
        return None

    seen = Counter(k for page in pages for k in {key(b, page.height) for b in page.blocks} if k)
    out = []
    for page in pages:
        found = []
        for block in page.blocks:
            k = key(block, page.height)
            if k and seen[k] >= 3:
                block = block.model_copy(update={"kind": "header" if k.startswith("top") else "footer"})
            found.append(block)
        out.append(page.model_copy(update={"blocks": found}))
    return out


def _with_levels(pages: Sequence[PageRead]) -> list[PageRead]:
    """The pages with a level for each title: the largest type is level 1, type a tenth smaller the next; a number such
    as 2.1 gives the level itself."""
    sizes = sorted({b.size for p in pages for b in p.blocks if b.kind == "title" and b.size}, reverse=True)
    ranks: dict[float, int] = {}
    rank, start = 0, 0.0
    for size in sizes:
        if size < 0.9 * start or not rank:
            rank, start = rank + 1, size
        ranks[size] = rank

    def level(block: Block) -> int:
        numbered = NUMBERED.match(block.text)
        if numbered and rank > 1:
            return min(6, 2 + numbered[1].count("."))
        return min(6, ranks.get(block.size or 0, 2))

    return [
        page.model_copy(update={"blocks": [
            b.model_copy(update={"level": level(b)}) if b.kind == "title" and b.level is None else b
            for b in page.blocks
        ]})
        for page in pages
    ]
