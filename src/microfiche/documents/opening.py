"""From any file that users give to a bounded stream of Sheets. Knows nothing of what is read from them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from microfiche.documents.fetching import fetched, is_url
from microfiche.documents.pictures import PictureFile
from microfiche.documents.sheet import Box, Font, Sheet, TextLayer
from microfiche.documents.workers import Workers
from microfiche.errors import InputError, UsageError
from microfiche.files import files_below, plain, shown
from microfiche.limits import Limits
from microfiche.sources import DOCUMENTS, named, standard_input

__all__ = [
    "Box",
    "Font",
    "Given",
    "Limits",
    "Opened",
    "Sheet",
    "TextLayer",
    "documents_in",
    "open_document",
    "page_numbers",
]

HEAD = 1024  # bytes in which a PDF's mark must stand
MARKS = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)


@dataclass(frozen=True)
class Given:
    """A document to open: a file, bytes from standard input, or the URL of a file. `error` says why one that was found
    is left out."""

    name: str
    origin: Path | bytes | str
    error: str | None = None


class Opened:
    """An open document; use it in a `with`.

    `kind` is pdf, png, jpeg, tiff or webp, by content; `pages` how many there are; `sha256` of the file; `repaired`
    that it is a PDF whose table of objects was damaged, so that some of it may be missing.
    """

    def __init__(self, name: str, kind: str, sha256: str, file: Workers | PictureFile) -> None:
        self.name, self.kind, self.sha256, self.pages = name, kind, sha256, file.pages
        self.repaired = isinstance(file, Workers) and file.repaired
        self._file = file

    def sheets(self, numbers: Sequence[int] | None = None) -> Iterator[Sheet]:
        """The pages of `numbers`, from 1, in that order (all, if None), as they are asked for."""
        return self._file.sheets(range(1, self.pages + 1) if numbers is None else numbers)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Opened:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_document(
    source: Path | bytes | str,
    name: str,
    *,
    dpi: float = 144,
    password: str | None = None,
    limits: Limits = Limits(),
    workers: int = 2,
) -> Opened:
    """Opens a PDF, PNG, JPEG, TIFF or WebP, told by its content; a PDF is drawn at `dpi` by `workers` processes. A str
    is the URL of one.

    InputError, beginning with `name`, for what cannot be opened at all; a page that cannot be is a Sheet with its
    error, and the pages after it come all the same.
    """
    if not (dpi > 0 and workers > 0):
        raise UsageError(f"{dpi:g} dpi, {workers} workers: both must be more than 0")
    if isinstance(source, str):
        try:
            source = fetched(source, limits)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    kind, sha256 = _examine(source, name, limits)
    try:
        if kind == "pdf":
            return Opened(name, kind, sha256, Workers(source, dpi, password, limits, workers))
        return Opened(name, kind, sha256, PictureFile(source, kind, limits))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _examine(source: Path | bytes, name: str, limits: Limits) -> tuple[str, str]:
    """The kind of a file by its content, and its SHA-256."""
    if isinstance(source, bytes):
        _check_size(len(source), name, limits)
        return _kind(source[:HEAD], name), hashlib.sha256(source).hexdigest()
    try:
        if not source.is_file():
            raise InputError(f"{name}: not a file" if source.exists() else f"{name}: no such file")
        _check_size(source.stat().st_size, name, limits)
        with source.open("rb") as file:
            kind = _kind(file.read(HEAD), name)
            file.seek(0)
            return kind, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error


def _check_size(size: int, name: str, limits: Limits) -> None:
    if size > limits.bytes:
        raise InputError(f"{name}: {size:,} bytes; the limit bytes is {limits.bytes:,}")


def _kind(head: bytes, name: str) -> str:
    if not head:
        raise InputError(f"{name}: empty")
    for mark, kind in MARKS:
        if head.startswith(mark):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if b"%PDF-" in head:
        return "pdf"
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)\b", head, re.IGNORECASE):
        raise InputError(f"{name}: an HTML page, whatever its name says; save the document itself")
    raise InputError(f"{name}: not a PDF, PNG, JPEG, TIFF or WebP file")


def page_numbers(spec: str, count: int) -> list[int]:
    """The pages that `spec` ("1-3,7", "5-" to the end) means, in rising order, each once: of a range, those that there
    are; UsageError if a page, or the first of a range, is not among `count`."""
    numbers: set[int] = set()
    for part in spec.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(-\s*(\d*)\s*)?", part, re.ASCII)
        if not match:
            raise UsageError(f"pages {spec!r}: {part.strip()!r} is not a page or a range such as 2-5")
        first = int(match[1])
        last = first if match[2] is None else int(match[3] or max(first, count))
        if last < first:
            raise UsageError(f"pages {spec!r}: {part.strip()!r} runs backwards")
        if not 1 <= first <= count:
            raise UsageError(f"pages {spec!r}: there is no page {first}; the document has {count}")
        numbers.update(range(first, min(last, count) + 1))
    return sorted(numbers)


def documents_in(names: Sequence[str], limits: Limits = Limits()) -> list[Given]:
    """The documents that `names` mean: files, folders (all below them with a known suffix, 2 before 10), URLs, "-".

    What a folder holds is left out, with an `error`, if it is a link to somewhere outside the folder or no file; hidden
    files and folders are passed over. InputError for what does not exist, or a folder without documents.
    """
    found: list[Given] = []
    for name in names:
        path = named(name)
        if name == "-":
            if any(isinstance(given.origin, bytes) for given in found):
                raise UsageError("- stands there twice, but there is one standard input")
            found.append(Given("-", _read_all(standard_input(), limits)))
        elif is_url(name):
            found.append(Given(name, name))
        elif path.is_dir():
            inside = _below(path)
            if not inside:
                raise InputError(f"{name}: no PDF or pictures in this folder")
            found += inside
        elif path.exists():
            found.append(Given(plain(name), path))
        else:
            raise InputError(f"{name}: no such file")
    return found


def _read_all(file: IO[bytes], limits: Limits) -> bytes:
    data = file.read(limits.bytes + 1)
    if len(data) > limits.bytes:
        raise InputError(f"-: more than {limits.bytes:,} bytes, which is the limit bytes")
    return data


def _below(folder: Path) -> list[Given]:
    found: list[Given] = []
    for one in files_below(folder, lambda path, is_folder: path.name.startswith(".")):
        if one.path.suffix.lower() in DOCUMENTS or (one.left_out and one.is_folder):
            found.append(Given(shown(one.path), one.path, f"{one.left_out}; left out" if one.left_out else None))
    return sorted(found, key=lambda given: _natural(given.name))


def _natural(name: str) -> list[tuple[str, int]]:
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]
