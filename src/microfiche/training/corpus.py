"""Folders of text: their files and documents, which of those are held out, and texts drawn by their length.

Documents whose SHA-256 begins with 0 (about 1 in 16) are held out of every training. All chance comes from the caller's
generator. It knows nothing of pages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import InputError
from microfiche.files import NO_FILE, files_below, unpacked_xz
from microfiche.limits import Limits
from microfiche.sources import decoded
from microfiche.training.recipe import Choice

SUFFIXES = (".txt", ".txt.xz", ".md", ".py")
CJK = 0x2E80  #: the first code point of signs that no spaces part
FEWEST = 1000  #: characters of a file, or it is passed over
LONGEST, EXCERPT = 100_000, 20_000  #: characters of a document; and of what a longer one is cut into
Text = TypeVar("Text", str, NDArray[Any])


def held_out(document: str) -> bool:
    """Whether a document is for validation: its SHA-256 starts with the hex digit 0."""
    return hashlib.sha256(document.encode()).hexdigest()[0] == "0"


def documents(file: Path) -> list[str]:
    """The documents of a text file, which lines that hold one form feed divide.

    What is longer than LONGEST is cut at line ends into excerpts, so that part of a book, too, is held out. InputError
    for a file that is not text.
    """
    text = decoded(str(file), _bytes(file))
    whole = [d for d in text.split("\n\f\n") if d.strip()]
    return [part for document in whole for part in (_excerpts(document) if len(document) > LONGEST else [document])]


def _bytes(file: Path) -> bytes:
    if file.exists() and not file.is_file():
        raise InputError(f"{file}: {NO_FILE}")
    try:
        with file.open("rb") as opened:
            if file.suffix != ".xz":
                return opened.read()
            return b"".join(unpacked_xz(str(file), opened, file.stat().st_size, Limits().ratio))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error


def _excerpts(document: str) -> list[str]:
    """Pieces of about EXCERPT characters, each ending with a line's end if it has any."""
    pieces, first = [], 0
    while first < len(document):
        end = document.find("\n", first + EXCERPT) + 1 or len(document)
        end = min(end, first + LONGEST)
        pieces.append(document[first:end])
        first = end
    return [piece for piece in pieces if piece.strip()]


def text_files(folder: Path) -> list[Path]:
    """The text files under `folder` in order, without READMEs; links to files elsewhere are followed."""
    named = (found.path for found in files_below(folder))
    return [path for path in named if path.name.endswith(SUFFIXES) and not path.name.lower().startswith("readme")]


class Texts(Generic[Text]):
    """Texts, each drawn by the root of its length."""

    def __init__(self, texts: Sequence[Text]) -> None:
        self._choice: Choice[Text] | None = Choice(texts, np.sqrt([len(text) for text in texts])) if texts else None

    def __bool__(self) -> bool:
        return self._choice is not None

    def one(self, rng: np.random.Generator) -> Text:
        """One of the texts, which must not be none."""
        assert self._choice
        return self._choice.one(rng)


def sorted_texts(
    folder: Path, validation: bool, sort: Callable[[Path, str], tuple[str, Text] | None], fewest: int = FEWEST
) -> dict[str, list[Text]]:
    """The texts under `folder` by kind: of each file the documents to train on, or those held out, joined by newlines.

    `sort(file, text)` gives a text's kind and the form that it is kept in, or None to pass it over, as one of less than
    `fewest` characters is. InputError where no text is left.
    """
    found: dict[str, list[Text]] = {}
    for file in text_files(folder):
        text = "\n".join(d for d in documents(file) if held_out(d) == validation)
        if len(text) >= fewest and (one := sort(file, text)):
            found.setdefault(one[0], []).append(one[1])
    if not found:
        kind = "held-out" if validation else "training"
        where = " in the 1 of 16 documents whose SHA-256 begins with 0; give more text" if validation else ""
        raise InputError(
            f"{folder}: no {kind} text in it: looked in {', '.join(SUFFIXES)} for files of {fewest} characters or "
            f"more{where}"
        )
    return found
