"""Documents on disk: NAME.md, NAME.json, figures cut from the pages, pages with their blocks drawn on them, and a
journal by which a run that was broken off goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Protocol
from unicodedata import category, normalize

from PIL import Image, ImageDraw, ImageFont
from pydantic import ValidationError

from microfiche.documents.boxes import WholeBox
from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.fetching import is_url, path_in
from microfiche.documents.kinds import TEXTS
from microfiche.files import short, whole_file
from microfiche.sources import DOCUMENTS

AROUND = 4  #: px left around a figure
SURE = 0.7  #: confidence of LaTeX beside which no picture of the formula stands
STEMS = DOCUMENTS | (TEXTS.keys() - {".md", ".txt"})  #: suffixes that the output's name need not keep
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
    "number": "#d0d3d4",
    "hidden": "#d0d3d4",
}


class Taken(Protocol):
    """File names that are taken already, such as a dict of them. Each has a number over 0."""

    def get(self, name: str, default: int, /) -> int:
        """The number of a name, `default` if it is not taken."""
        ...

    def update(self, names: dict[str, int], /) -> None:
        """Takes `names`."""
        ...


def names_for(documents: Sequence[str]) -> list[str]:
    """A file name without suffix for each document: that of its file, cut if it is very long, with a number where two
    would be the same."""
    taken: dict[str, int] = {}
    return [name_for(document, taken) for document in documents]


def name_for(document: str, taken: Taken) -> str:
    """The file name without suffix for the next document; `names_for` says how it is chosen. What its output may
    occupy is then among the names that are `taken`."""
    path = Path(path_in(document) if is_url(document) else document)
    stem = path.stem if path.suffix.lower() in STEMS else path.name
    plain = "".join(sign if _may_stand(sign) else "_" for sign in normalize("NFC", stem)).strip(". ")
    stem = "stdin" if document == "-" else short(plain) or "document"
    last = f"\0{stem.casefold()}"  # no file can have this name; its number is the last that this stem got
    number = taken.get(last, 0)
    while True:
        number += 1
        name = f"{stem}-{number}" if number > 1 else stem
        if not any(taken.get(file, 0) for file in _files(name)):
            break
    taken.update({last: number, **dict.fromkeys(_files(name), 1)})
    return name


def _may_stand(sign: str) -> bool:
    """Whether a character stands in file names: letters with their marks, digits, and what joins words."""
    return sign in "._ -" or sign.isalnum() or category(sign)[0] == "M" or sign in "\u200c\u200d"


def _files(name: str) -> set[str]:
    """What the output of this name may occupy in its folder, in one case."""
    return {f"{name}{suffix}".casefold() for suffix in ("", *(f".{suffix}" for suffix in SUFFIXES.values()))}


class Shelf:
    """Where the output of one document goes, and which of its pages an earlier run has read.

    `settings` is all that the reading depends on: what an earlier run read with others, or from a file of another
    SHA-256, does not count. Where several processes read parts of one document, each names its `part`, and notes its
    pages in a journal of its own.
    """

    def __init__(self, folder: Path, name: str, sha256: str, settings: dict[str, str], part: str = "") -> None:
        self.folder, self.name = folder, name
        self._head = {"sha256": sha256, "settings": settings}
        self._journal = folder / f".{name}.journal{part}"
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
        pages = [*pages, *(page for part in self._parts() for page in self._noted(part))]
        return {page.number: page for page in pages if page.status != "failed"}

    def _left(self) -> Document | None:
        with suppress(OSError, ValidationError):
            found = Document.model_validate_json(self.file("json").read_bytes())
            if {"sha256": found.sha256, "settings": found.settings} == self._head:
                return found
        return None

    def _parts(self) -> list[Path]:
        """The journals of the document's parts."""
        return sorted(self.folder.glob(f"{escape(f'.{self.name}.journal')}-*"))

    def _noted(self, journal: Path | None = None) -> list[PageRead]:
        pages: list[PageRead] = []
        journal = journal or self._journal
        if not journal.is_file():  # a device would never end
            return pages
        with suppress(OSError, ValueError):
            head, *lines = journal.read_text("utf-8").split("\n")
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

    def abandon(self) -> bool:
        """Removes the journal and empty folders of a run that failed; but a journal that holds pages, by which the run
        can go on, stays. Returns whether it does."""
        if self._noted():
            return True
        with suppress(OSError):
            self._journal.unlink(missing_ok=True)
        for folder in (self._figures, self._figures.parent):
            with suppress(OSError):
                folder.rmdir()  # where it is empty
        return False

    def write(self, document: Document, form: str) -> None:
        """Writes the document in `form` (md, json or text) and last NAME.json, which shows that all is there; then the
        journals are removed."""
        for kind in dict.fromkeys((form, "json")):
            with whole_file(self.file(kind)) as beside:
                beside.write_text(written(document, kind), "utf-8")
        for journal in (self._journal, *self._parts()):
            journal.unlink(missing_ok=True)

    def _with_figures(self, page: PageRead, picture: Image.Image) -> PageRead:
        blocks, number = [], 0
        for block in page.blocks:
            box = block.box
            if _is_cut(block) and box and box[2] > box[0] and box[3] > box[1]:
                number += 1
                file = self._figures / f"page-{page.number:04d}-{number}.png"
                with whole_file(file) as beside:
                    _cut(picture, box).save(beside, "PNG")
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
    """An RGB copy of `picture` with the box of each block that has one. Its number in reading order, its kind and its
    level stand beside the page, in a margin that is added on either side, so that they cover nothing."""
    font = ImageFont.load_default(size=max(12, picture.height // 100))
    labels = {number: f"{number} {block.kind}" + (f" {block.level}" if block.level else "")
              for number, block in enumerate(page.blocks, 1) if block.box}  # fmt: skip
    margin = 8 + max((round(font.getlength(label)) for label in labels.values()), default=-8)
    copy = Image.new("RGB", (picture.width + 2 * margin, picture.height), "white")
    copy.paste(picture, (margin, 0))
    draw = ImageDraw.Draw(copy)
    high = 3 + sum(font.getbbox("Ág")[1::2])
    free = {0: 0.0, 1: 0.0}  # where the next label may begin on either side
    for number, label in sorted(labels.items(), key=lambda one: page.blocks[one[0] - 1].where[1]):
        block = page.blocks[number - 1]
        colour, (left, top, right, bottom) = COLOURS[block.kind], block.where
        draw.rectangle((left + margin, top, right + margin, bottom), outline=colour, width=2)
        side = int(left + right > picture.width)
        at = min(max(top, free[side]), copy.height - high)
        free[side] = at + high
        start = copy.width - margin + 2 if side else 2
        draw.rectangle((start, at, start + margin - 5, at + high - 2), fill=colour)
        draw.text((start + 2, at), label, fill="white", font=font)
    return copy
