"""Documents on disk: NAME.md, NAME.json, figures cut from the pages, and a journal that lets a broken run go on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image
from pydantic import ValidationError

from microfiche.documents.document import Document, PageRead
from microfiche.documents.fetching import is_url
from microfiche.documents.reading import Leaf
from microfiche.files import short, whole_file
from microfiche.sources import DOCUMENTS

AROUND = 4  #: px left around a figure
SUFFIXES = {"md": "md", "json": "json", "text": "txt"}


def names_for(documents: Sequence[str]) -> list[str]:
    """A file name without suffix for each document: that of its file, cut if it is very long, numbered where two are
    alike."""
    taken: set[str] = set()
    names = []
    for document in documents:
        path = Path(unquote(urlsplit(document).path) if is_url(document) else document)
        stem = path.stem if path.suffix.lower() in DOCUMENTS else path.name
        stem = "stdin" if document == "-" else short(re.sub(r"[^\w. -]", "_", stem).strip(". ")) or "document"
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


class Shelf:
    """The folder that one document's output goes to, and the pages of it that an earlier run has read.

    `settings` is all that the reading depends on; what was read otherwise or from another file is not taken up.
    """

    def __init__(self, folder: Path, name: str, sha256: str, settings: dict[str, str]) -> None:
        self.folder, self.name = folder, name
        self._head = {"sha256": sha256, "settings": settings}
        self._journal = folder / f".{name}.journal"
        self._figures = folder / name / "figures"

    def file(self, form: str) -> Path:
        """Where `form` (md, json or text) is written."""
        return self.folder / f"{self.name}.{SUFFIXES[form]}"

    def finished(self) -> Document | None:
        """The document as an earlier run left it, whole and without failed pages; None if there is none."""
        found = self._left()
        return found if found and not found.failed else None

    def begun(self) -> dict[int, PageRead]:
        """The pages that an earlier run has read, by number, whether it was broken off or only some of them failed."""
        pages = self._noted() or (found.pages if (found := self._left()) else [])
        return {page.number: page for page in pages if page.status != "failed"}

    def _left(self) -> Document | None:
        with suppress(OSError, ValidationError):
            found = Document.model_validate_json(self.file("json").read_bytes())
            if {"sha256": found.sha256, "settings": found.settings} == self._head:
                return found
        return None

    def _noted(self) -> list[PageRead]:
        pages: list[PageRead] = []
        with suppress(OSError, ValueError):
            head, *lines = self._journal.read_text("utf-8").split("\n")
            if json.loads(head) == self._head:
                for line in lines[:-1]:  # the last is empty, or was cut short
                    pages.append(PageRead.model_validate_json(line))
        return pages

    def kept(self, leaves: Iterator[Leaf], begun: dict[int, PageRead]) -> Iterator[Leaf]:
        """The leaves, their figures cut out and each page noted in the journal as it comes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._journal.open("w", encoding="utf-8") as journal:
            lines = [json.dumps(self._head), *(page.model_dump_json() for page in begun.values())]
            journal.write("".join(line + "\n" for line in lines))
            for leaf in leaves:
                leaf = Leaf(self._with_figures(leaf), leaf.picture)
                journal.write(leaf.page.model_dump_json() + "\n")
                journal.flush()
                yield leaf

    def write(self, document: Document, form: str) -> None:
        """Writes what `form` (md, json or text) says, and last NAME.json, which tells that all is there; the journal
        has served."""
        for kind in dict.fromkeys((form, "json")):
            with whole_file(self.file(kind)) as beside:
                beside.write_text(written(document, kind), "utf-8")
        self._journal.unlink(missing_ok=True)

    def _with_figures(self, leaf: Leaf) -> PageRead:
        if leaf.picture is None:
            return leaf.page
        blocks, number = [], 0
        for block in leaf.page.blocks:
            drawn = block.kind == "figure" or (block.kind == "formula" and "\\" not in block.text)
            if drawn and block.box[2] > block.box[0] and block.box[3] > block.box[1]:
                number += 1
                file = self._figures / f"page-{leaf.page.number:04d}-{number}.png"
                with whole_file(file) as beside:
                    _cut(leaf.picture, block.box).save(beside, "PNG")
                block = block.model_copy(update={"figure": f"{self.name}/figures/{file.name}".replace(" ", "%20")})
            blocks.append(block)
        return leaf.page.model_copy(update={"blocks": blocks})


def written(document: Document, form: str) -> str:
    """A document as Markdown ("md"), JSON or plain text."""
    match form:
        case "json":
            return document.model_dump_json(indent=1) + "\n"
        case "text":
            return document.plain()
        case _:
            return document.markdown()


def _cut(picture: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    left, top, right, bottom = box
    left, top = max(0, left - AROUND), max(0, top - AROUND)
    return picture.crop((left, top, min(picture.width, right + AROUND), min(picture.height, bottom + AROUND)))
