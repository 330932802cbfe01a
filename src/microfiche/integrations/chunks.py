"""Documents as chunks for retrieval: a page, a block, or all that stands below a heading, each with where it stands.

A chunk is Markdown. Its metadata are plain lists, strings and numbers, and say of what was not read whole that it was
not; so does the text of a page or a section. This module knows no library that chunks are for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from microfiche.documents.document import FURNITURE, Block, Document, PageRead
from microfiche.documents.engines import Engine
from microfiche.documents.fetching import without_secrets
from microfiche.documents.job import Job, Request
from microfiche.documents.opening import DocumentSource, documents_in
from microfiche.errors import InputError, UsageError
from microfiche.files import plain
from microfiche.limits import Limits

By = Literal["page", "block", "heading"]
Names = str | Path | Sequence[str | Path]  #: files, folders with all documents below, addresses


@dataclass(frozen=True)
class Chunk:
    """A piece of a document: an `id` that the same piece of the same file always has, Markdown, and its metadata:

    - `source`, as it was named, `sha256` of the file, and `notes` on the file as a whole;
    - `page`, the number of its first page, from 1, `pages`, all of them, and `page_sizes`: number, width, height in px;
    - `boxes`: page, left, top, right, bottom in px for each block that has a box, and `kinds` of blocks;
    - `headings`: the titles above it, from the highest on (not for whole pages);
    - `engines` that read it, and `confidence`, the lowest of its blocks, where an engine says one;
    - `status`: ok, partial or failed, the worst of its pages, and `reasons`, a line for each page that is not ok.
    """

    id: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)


class Options(TypedDict, total=False):
    """How documents are read into chunks, as the fields of Reading."""

    by: By
    engine: str | None
    pages: str | None
    dpi: float
    password: str | None
    pictures: Engine | None
    limits: Limits
    strict: bool


@dataclass(frozen=True)
class Reading:
    """How documents are read into chunks: `engine`, `pages`, `dpi`, `password`, `pictures` and `limits` are those of
    `microfiche.read`. With `strict`, a document of which a page is not ok is an error."""

    by: By = "page"
    engine: str | None = None
    pages: str | None = None
    dpi: float = 144
    password: str | None = None
    pictures: Engine | None = None
    limits: Limits = field(default_factory=Limits)
    strict: bool = False

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise UsageError(f"chunks by {self.by!r} are not known; there are {', '.join(get_args(By))}")

    def chunks(self, names: Names) -> Iterator[Chunk]:
        """The chunks of each document in turn, which is read when its first chunk is asked for."""
        several = [names] if isinstance(names, str | Path) else list(names)
        return self.chunks_of(documents_in([str(name) for name in several], self.limits))

    def chunks_of(self, sources: Sequence[DocumentSource]) -> Iterator[Chunk]:
        """The chunks of these documents. One that cannot be opened is an InputError if it is the only one, or if
        `strict`, and otherwise a chunk of the status failed."""
        request = Request(self.engine, self.pictures, pages=self.pages, dpi=self.dpi, password=self.password,
                          limits=self.limits)  # fmt: skip
        job, at_hand = Job(request, None), request.at_hand()
        job.check()
        for source in sources:
            outcome = job.outcome(source, source.name, at_hand, lambda event, pages: None)
            if outcome.document is None:
                assert outcome.error is not None
                if self.strict or len(sources) == 1 or isinstance(outcome.error, UsageError):
                    raise outcome.error
                yield _unopened(source.name, str(outcome.error))
                continue
            if self.strict and (why := _reasons(outcome.document.pages)):
                raise InputError(f"{source.name}: {'; '.join(why)}")
            yield from chunks_of(outcome.document, self.by)


def chunks_of(document: Document, by: By) -> Iterator[Chunk]:
    """The chunks of a document that was read. Running heads, page numbers and hidden text are in none."""
    parts = _Parts(document, by)
    match by:
        case "page":
            for page in document.pages:
                yield parts.chunk([(page, block) for block in page.blocks] or [(page, None)])
        case "block":
            for page, block in _blocks(document):
                path = parts.below(block)
                yield parts.chunk([(page, block)], path)
        case "heading":
            section: list[tuple[PageRead, Block | None]] = []
            path = parts.below(None)
            for page, block in _blocks(document):
                if block is not None and block.kind == "title":
                    if section:
                        yield parts.chunk(section, path)
                    section, path = [], [*parts.below(block), block.plain()]
                section.append((page, block))
            if section:
                yield parts.chunk(section, path)


def _blocks(document: Document) -> Iterator[tuple[PageRead, Block | None]]:
    """The blocks that are in the Markdown, and None for a page that is not ok and has no block."""
    for page in document.pages:
        shown = [block for block in page.blocks if block.kind not in FURNITURE and (block.text or block.figure)]
        yield from ((page, block) for block in shown)
        if not shown and page.status != "ok":
            yield page, None


class _Parts:
    """Makes the chunks of one document."""

    def __init__(self, document: Document, by: By) -> None:
        self._document, self._by = document, by
        self._above: list[tuple[int, str]] = []
        self._count: dict[int, int] = {}

    def below(self, block: Block | None) -> list[str]:
        """The titles that a block stands below; a title is one for the blocks that come after it."""
        if block is None or block.kind != "title":
            return [title for _, title in self._above]
        level = block.level or 2
        self._above = [one for one in self._above if one[0] < level]
        path = [title for _, title in self._above]
        self._above.append((level, block.plain()))
        return path

    def chunk(self, parts: Sequence[tuple[PageRead, Block | None]], path: list[str] | None = None) -> Chunk:
        """The chunk of these blocks, which are in order and of one or more pages."""
        whole: dict[int, PageRead] = {}
        for page, block in parts:
            held = whole.setdefault(page.number, page.model_copy(update={"blocks": []}))
            held.blocks.extend([] if block is None else [block])
        pages = list(whole.values())
        blocks = [(page.number, block) for page in pages for block in page.blocks if block.kind not in FURNITURE]
        statuses = {page.status for page in pages}
        sure = [block.confidence for _, block in blocks if block.confidence is not None]
        engines = [page.engine for page in pages] + [block.engine for _, block in blocks]
        document = self._document
        first = pages[0].number
        self._count[first] = self._count.get(first, 0) + 1
        metadata: dict[str, Any] = {
            "source": without_secrets(document.name), "sha256": document.sha256, "notes": document.notes,
            "page": first, "pages": [page.number for page in pages],
            "page_sizes": [[page.number, page.width, page.height] for page in pages],
            "boxes": [[number, *block.box] for number, block in blocks if block.box],
            "kinds": list(dict.fromkeys(block.kind for _, block in blocks)),
            "engines": sorted({one for one in engines if one}),
            "status": next(one for one in ("failed", "partial", "ok") if one in statuses), "reasons": _reasons(pages),
        }  # fmt: skip
        if path is not None:
            metadata["headings"] = path
        if sure:
            metadata["confidence"] = min(sure)
        if self._by == "block" and blocks:  # its status and reasons say it, and not each block's text
            pages = [page.model_copy(update={"status": "ok"}) for page in pages]
        text = document.model_copy(update={"pages": pages}).markdown().rstrip("\n")
        return Chunk(f"{document.sha256[:16]}-{self._by}-{first}-{self._count[first]}", text, metadata)


def _reasons(pages: Iterable[PageRead]) -> list[str]:
    return [f"page {page.number} {page.status}: {page.reason}" for page in pages if page.status != "ok"]


def _unopened(name: str, why: str) -> Chunk:
    said = why.removeprefix(f"{name}: ")
    words = " ".join(said.replace("--", "- -").replace("<", "‹").replace(">", "›").split())
    return Chunk("", f"<!-- {plain(name)} failed: {words} -->",
                 {"source": plain(name), "pages": [], "boxes": [], "status": "failed", "reasons": [said]})  # fmt: skip
