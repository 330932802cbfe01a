"""Document: what was read from a file, page by page and block by block, and its Markdown.

Knows nothing of where pages come from or who read them.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal[
    "title", "text", "list", "table", "figure", "formula", "caption", "footnote", "header", "footer"
]
Status = Literal["ok", "partial", "failed"]
FLOATS = ("figure", "table", "caption", "footnote")  #: kinds that may stand within a paragraph
CJK = re.compile(r"[\u3000-\u9fff\uf900-\ufaff\uff00-\uffef]")
FURNITURE = ("header", "footer")  #: kinds that stand in the JSON and not in the Markdown


class Block(BaseModel):
    """One piece of a page, in reading order.

    `box` is left, top, right, bottom in pixels of the page. `text` is Markdown: of a table the whole table (HTML
    where it has spans), of a title its words without the #s that `level` stands for. `figure` is the file of a
    picture cut from the page, relative to the Markdown file. `size` is a title's type size over that of the text.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    box: tuple[int, int, int, int]
    text: str = ""
    confidence: float | None = None
    size: float | None = None
    level: int | None = None
    figure: str | None = None

    def markdown(self) -> str:
        """The block as it stands in the Markdown."""
        match self.kind:
            case "title":
                return f"{'#' * (self.level or 2)} {self.text}"
            case "figure" | "formula" if self.figure:
                return f"![{_alternative(self.text)}]({self.figure})"
            case "figure":  # not cut out, as nobody gave a folder for it
                return f"![{_alternative(self.text)}]()" if self.text else ""
            case "caption":
                return f"*{self.text}*" if self.text else ""
            case _:
                return self.text


class PageRead(BaseModel):
    """One page: what was read from it, by which engine, and how that ended.

    `reason` says why a page is not "ok": truncated, looped, low confidence, or the error it failed with.
    `chosen` says why the engine was chosen.
    """

    model_config = ConfigDict(extra="forbid")

    number: int
    width: int = 0
    height: int = 0
    engine: str = ""
    chosen: str = ""
    status: Status = "ok"
    reason: str = ""
    blocks: list[Block] = []


class Document(BaseModel):
    """The pages of one file, whose SHA-256 is `sha256`, read with `settings`; `notes` are what is wrong with
    the file as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: str
    sha256: str
    settings: dict[str, str] = {}
    notes: list[str] = []
    pages: list[PageRead]

    @property
    def failed(self) -> list[PageRead]:
        """The pages that could not be read."""
        return [page for page in self.pages if page.status == "failed"]

    def markdown(self) -> str:
        """All pages as one Markdown text, without running heads and page numbers; a page that is not whole leaves a
        comment that says so. A paragraph that a column's or a page's end breaks is put together again."""
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
        """The text without Markdown's marks."""
        shown = (b.text for page in self.pages for b in page.blocks if b.kind not in FURNITURE and b.text)
        return "\n\n".join(shown) + "\n"


def goes_on(before: str, after: str) -> bool:
    """Whether `after` reads as the rest of the paragraph `before`."""
    return after[:1].islower() and re.search(r"[\w,;\u00ad-]$", before) is not None


def continued(before: str, after: str) -> str:
    """Two pieces of running text as one: a divided word put together, no space within Chinese."""
    if before.endswith("\u00ad") or (before.endswith("-") and before[-2:-1].isalpha() and after[:1].islower()):
        return before[:-1] + after
    if not before or (CJK.match(before[-1]) and CJK.match(after[:1])):
        return before + after
    return f"{before} {after}"


def _alternative(text: str) -> str:
    return re.sub(r"[\[\]\s]+", " ", text).strip()
