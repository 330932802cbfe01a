"""Pages with their truth, for fine-tuning: pictures and PDFs in a folder, what is to be read of each beside it.

Beside NAME.png (.jpg, .tif, .webp, a PDF of one page) stands NAME.md, the answer to the task "markdown", or NAME.txt,
the answer to "free", or both; beside NAME.pdf, for its page 3, NAME.3.md or NAME.3.txt. A .jsonl file may add more, an
object a line:
{"image": FILE beside it, "page": NUMBER of a PDF's, "task": a task's name, "answer": TEXT}.
It knows nothing of models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from microfiche.decoder.prompts import prompt
from microfiche.documents.opening import documents_in, open_document
from microfiche.documents.sheet import Sheet
from microfiche.errors import InputError, UsageError, first_of
from microfiche.files import files_below
from microfiche.sources import Source

TASKS = {".md": "markdown", ".txt": "free"}  #: what a truth beside a page is the answer to


@dataclass(frozen=True)
class TaughtPage:
    """One page and what is to be read of it.

    `number` is its page in `file`, from 1, `size` its width and height in pixels, `digest` the SHA-256 of the file and
    the number.
    """

    name: str
    file: Path
    number: int
    size: tuple[int, int]
    digest: str
    task: str
    answer: str

    def picture(self) -> Image.Image:
        """The page as RGB; InputError, naming it, if it can no longer be read."""
        with open_document(self.file, str(self.file), workers=1) as document:
            return _picture(next(iter(document.sheets([self.number]))), self.name)

    def held_out(self, share: float) -> bool:
        """Whether it is for measuring: its digest lies in the lowest `share` of all; a page's tasks go together."""
        return int(self.digest[:8], 16) < share * 0x1_0000_0000


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    image: str = Field(min_length=1)
    page: int = Field(1, ge=1)
    task: str
    answer: str


@dataclass
class _File:
    """A document of the folder, its pages' truths by their number: (task, answer)."""

    path: Path
    truths: dict[int, list[tuple[str, str]]] = field(default_factory=dict)


def taught_pages(folder: Path) -> list[TaughtPage]:
    """Every page under `folder` with each of its truths, in the order of their names.

    Each is opened once, so that none fails hours later. InputError, in one line, for a folder without pages, a page
    without truth, a truth that is empty or no text, a line of JSON that is none, a picture that cannot be read.
    """
    files = {}
    for given in documents_in([str(folder)]):
        if given.error or not isinstance(given.origin, Path):
            raise InputError(f"{given.name}: {given.error}")
        files[given.origin.resolve()] = _File(given.origin)
    for listing in (found.path for found in files_below(folder) if found.path.suffix == ".jsonl"):
        for at, line in _lines(listing):
            file = (listing.parent / line.image).resolve()
            if file not in files:
                raise InputError(f"{at}: there is no picture or PDF {line.image!r} in the folder")
            files[file].truths.setdefault(line.page, []).append((line.task, _text(line.answer, at)))
    return [page for file in files.values() for page in _pages(file)]


def _lines(listing: Path) -> Iterator[tuple[str, _Line]]:
    """Where each line stands, and what it says."""
    for number, text in enumerate(_read(listing).split("\n"), 1):
        if not text.strip():
            continue
        at = f"{listing}:{number}"
        try:
            line = _Line.model_validate_json(text)
            prompt(line.task)
        except ValidationError as error:
            raise InputError(f"{at}: {first_of(error)}") from error
        except UsageError as error:
            raise InputError(f"{at}: {error}") from error
        yield at, line


def _pages(file: _File) -> Iterator[TaughtPage]:
    with open_document(file.path, str(file.path), workers=1) as document:
        for sheet in document.sheets():
            one = document.pages == 1
            name = str(file.path) if one else f"{file.path}, page {sheet.number}"
            picture = _picture(sheet, name)
            twins = [file.path.with_suffix(f".{sheet.number}{suffix}") for suffix in TASKS]
            if one:
                twins += [file.path.with_suffix(suffix) for suffix in TASKS]
            truths = file.truths.get(sheet.number, [])
            truths += [(TASKS[twin.suffix], _text(_read(twin), str(twin))) for twin in twins if twin.is_file()]
            if not truths:
                names = " nor ".join(twin.name for twin in twins[-2:])
                raise InputError(f"{name}: neither {names} stands beside it, and no line of a .jsonl file names it")
            digest = hashlib.sha256(f"{document.sha256} {sheet.number}".encode()).hexdigest()
            for task, answer in truths:
                yield TaughtPage(name, file.path, sheet.number, picture.size, digest, task, answer)
        if beyond := [number for number in file.truths if number > document.pages]:
            raise InputError(f"{file.path}: has {document.pages} pages; a .jsonl file names page {beyond[0]}")


def _read(path: Path) -> str:
    return "".join(Source(str(path), path).chunks())


def _text(answer: str, where: str) -> str:
    text = answer.replace("\r\n", "\n").strip()
    if not text:
        raise InputError(f"{where}: empty; leave a page without text out")
    return text


def _picture(sheet: Sheet, name: str) -> Image.Image:
    if sheet.picture is None:
        raise InputError(f"{name}: {sheet.error}")
    return sheet.picture


def batch(pages: Sequence[TaughtPage], number: int, size: int, seed: int) -> list[TaughtPage]:
    """Batch `number` of `size` pages: each comes once before any comes again, in an order drawn anew each time."""
    chosen = []
    for place in range(number * size, (number + 1) * size):
        epoch, at = divmod(place, len(pages))
        chosen.append(pages[np.random.default_rng([seed, epoch]).permutation(len(pages))[at]])
    return chosen
