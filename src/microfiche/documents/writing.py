"""Documents on disk: NAME.md, NAME.json, figures cut from the pages, pages with their blocks drawn on them, and a
journal by which a run that was broken off goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from unicodedata import normalize

from PIL import Image, ImageDraw, ImageFont
from pydantic import ValidationError

from microfiche.documents.boxes import WholeBox
from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.fetching import is_url, path_in
from microfiche.files import short, whole_file
from microfiche.sources import DOCUMENTS

AROUND = 4  #: px left around a figure
SURE = 0.7  #: confidence of LaTeX beside which no picture of the formula stands
SUFFIXES = {"md": "md", "json": "json", "text": "txt"}
COLOURS = {
    "title": "#c0392b",
    "text": "#2c6fbb",
    "list": "#1b998b",
    "code": "#34495e",
    "table": "#8e44ad",
    "figure": "#d68910",
    "formula": "#7d6608",
    "caption": "#148f77",
    "footnote": "#616a6b",
    "header": "#909497",
    "footer": "#909497",
    "hidden": "#d0d3d4",
}


def names_for(documents: Sequence[str]) -> list[str]:
    """A file name without suffix for each document: that of its file, cut if it is very long, with a number where two
    would be the same."""
    taken: set[str] = set()
    names = []
    for document in documents:
        path = Path(path_in(document) if is_url(document) else document)
        stem = path.stem if path.suffix.lower() in DOCUMENTS else path.name
        plain = re.sub(r"[^\w. -]", "_", normalize("NFC", stem)).strip(". ")
        stem = "stdin" if document == "-" else short(plain) or "document"
        name, number = stem, 1
        while not taken.isdisjoint(_files(name)):
            number += 1
            name = f"{stem}-{number}"
        taken.update(_files(name))
        names.append(name)
    return names


def _files(name: str) -> set[str]:
    """What the output of this name may occupy in its folder, in one case."""
    return {f"{name}{suffix}".casefold() for suffix in ("", *(f".{suffix}" for suffix in SUFFIXES.values()))}


class Shelf:
    """Where the output of one document goes, and which of its pages an earlier run has read.

    `settings` is all that the reading depends on: what an earlier run read with others, or from a file of another
    SHA-256, does not count.
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
        """The document as an earlier run left it, if that was whole and no page had failed."""
        found = self._left()
        return found if found and not found.failed else None

    def begun(self) -> dict[int, PageRead]:
        """The pages that an earlier run has read, by number, whether it was broken off or some of its pages failed."""
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

    def kept(
        self, pages: Iterable[tuple[PageRead, Image.Image | None]], begun: dict[int, PageRead], overlays: bool = False
    ) -> Iterator[PageRead]:
        """The pages, each noted in the journal as it comes, after those that were `begun`.

        Figures are cut from the picture beside each page, where there is one; `overlays` writes each such page with its
        blocks drawn on it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._journal.open("w", encoding="utf-8") as journal:
            lines = [json.dumps(self._head), *(page.model_dump_json() for page in begun.values())]
            journal.write("".join(line + "\n" for line in lines))
            for page, picture in pages:
                if picture is not None:
                    page = self._with_figures(page, picture)
                journal.write(page.model_dump_json() + "\n")
                journal.flush()
                if overlays and picture is not None:
                    with whole_file(self.folder / self.name / f"overlay-{page.number:04d}.png") as beside:
                        overlay(picture, page).save(beside, "PNG")
                yield page

    def write(self, document: Document, form: str) -> None:
        """Writes the document in `form` (md, json or text) and last NAME.json, which shows that all is there; then the
        journal is removed."""
        for kind in dict.fromkeys((form, "json")):
            with whole_file(self.file(kind)) as beside:
                beside.write_text(written(document, kind), "utf-8")
        self._journal.unlink(missing_ok=True)

    def _with_figures(self, page: PageRead, picture: Image.Image) -> PageRead:
        blocks, number = [], 0
        for block in page.blocks:
            if _is_cut(block) and block.box[2] > block.box[0] and block.box[3] > block.box[1]:
                number += 1
                file = self._figures / f"page-{page.number:04d}-{number}.png"
                with whole_file(file) as beside:
                    _cut(picture, block.box).save(beside, "PNG")
                block = block.model_copy(update={"figure": f"{self.name}/figures/{file.name}".replace(" ", "%20")})
            blocks.append(block)
        return page.model_copy(update={"blocks": blocks})


def written(document: Document, form: str) -> str:
    """A document in a form: as Markdown ("md"), as JSON ("json") or as plain text ("text")."""
    match form:
        case "json":
            return document.model_dump_json(indent=1) + "\n"
        case "text":
            return document.plain()
        case _:
            return document.markdown()


def _is_cut(block: Block) -> bool:
    """Whether a picture of a block is cut out: figures, and formulas that are not surely right as LaTeX."""
    unsure = block.confidence is not None and block.confidence < SURE
    return block.kind == "figure" or (block.kind == "formula" and (unsure or not block.is_latex))


def _cut(picture: Image.Image, box: WholeBox) -> Image.Image:
    left, top, right, bottom = box
    left, top = max(0, left - AROUND), max(0, top - AROUND)
    return picture.crop((left, top, min(picture.width, right + AROUND), min(picture.height, bottom + AROUND)))


def overlay(picture: Image.Image, page: PageRead) -> Image.Image:
    """An RGB copy of `picture` with the box, the number in reading order, the kind and the level of each block."""
    copy = picture.convert("RGB")
    draw = ImageDraw.Draw(copy)
    font = ImageFont.load_default(size=max(12, copy.height // 100))
    for number, block in enumerate(page.blocks, 1):
        colour = COLOURS[block.kind]
        draw.rectangle(block.box, outline=colour, width=2)
        label = f"{number} {block.kind}" + (f" {block.level}" if block.level else "")
        left, top, right, bottom = draw.textbbox((block.box[0], block.box[1]), label, font=font, anchor="lb")
        draw.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=colour)
        draw.text((block.box[0], block.box[1]), label, fill="white", font=font, anchor="lb")
    return copy
