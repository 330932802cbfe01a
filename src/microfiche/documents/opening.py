"""From any file, folder or address that users name to a bounded stream of Sheets.

It knows nothing of what is read from the sheets.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from microfiche.documents.fetching import fetched, is_url, path_in, without_secrets
from microfiche.documents.kinds import HEAD, TAIL, TEXTS, kind_of
from microfiche.documents.pdf.worker import Workers
from microfiche.documents.pictures import PictureFile
from microfiche.documents.sheet import Sheet
from microfiche.documents.texts.worker import TextFile, can_read
from microfiche.errors import InputError, UsageError
from microfiche.files import LOOP, files_below, plain, shown
from microfiche.limits import Limits
from microfiche.sources import DOCUMENTS, named, standard_input

#: Suffixes of documents that are not read.
OTHERS = {
    ".doc", ".odt", ".rtf", ".xls", ".xlsb", ".ods", ".ppt", ".odp", ".eml", ".msg", ".djvu", ".ps", ".eps", ".svg",
    ".heic", ".heif", ".avif", ".jxl", ".psd",
}  # fmt: skip
ARCHIVES = {".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz"}  #: suffixes of what is not unpacked
OURS = 4096  #: bytes at the head of NAME.json that show whether Microfiche wrote it
SCHEME = re.compile(r"([a-z][a-z\d+.-]+)://", re.IGNORECASE)  #: that an address begins with


@dataclass(frozen=True)
class DocumentSource:
    """A document to open: a file, bytes from standard input, or the URL of a file.

    `error` says why a file that was found in a folder is not to be opened.
    """

    name: str
    origin: Path | bytes | str
    error: str | None = None


class OpenFile:
    """An open document; use it in a `with`.

    `kind` is pdf, a kind of pictures, such as png, or of files that hold their own text, such as docx; `pages` is how
    many there are, and `read` are those of a file that holds its own text; `sha256` is that of the file; `repaired`
    says that it is a PDF whose table of objects was damaged. `notes` say what of it may be missing.
    """

    def __init__(self, name: str, kind: str, sha256: str, file: Workers | PictureFile | TextFile) -> None:
        self.name, self.kind, self.sha256, self.pages = name, kind, sha256, file.pages
        self.repaired = isinstance(file, Workers) and file.repaired
        self.notes = ["the file is damaged: parts of it may be missing"] if self.repaired else []
        if isinstance(file, PictureFile) and file.moving:
            self.notes.append("an animation: only its first picture is read")
        self.read = file.read if isinstance(file, TextFile) else None
        self._file = file

    def sheets(self, numbers: Sequence[int] | None = None) -> Iterator[Sheet]:
        """The pages of these `numbers`, from 1, in that order (all, if None), each opened when it is asked for."""
        return self._file.sheets(range(1, self.pages + 1) if numbers is None else numbers)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> OpenFile:
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
) -> OpenFile:
    """Opens a PDF, a picture (PNG, JPEG, TIFF, WebP, GIF, BMP, PNM, JPEG 2000) or a file that holds its own text, whose
    kind its content decides, and `name` where it is plain text; a str is the URL of one.

    A PDF is drawn at `dpi` by `workers` processes.

    Raises InputError, beginning with `name`, where the file cannot be opened at all. A page that cannot be opened
    becomes a Sheet with an error, and the pages after it come all the same.
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
        if kind in TEXTS.values():
            return OpenFile(name, kind, sha256, TextFile(source, kind, limits))
        if kind == "pdf":
            return OpenFile(name, kind, sha256, Workers(source, dpi, password, limits, workers))
        return OpenFile(name, kind, sha256, PictureFile(source, kind, limits))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _examine(source: Path | bytes, name: str, limits: Limits) -> tuple[str, str]:
    """The kind of a file by its content, and its SHA-256."""
    try:
        if isinstance(source, bytes):
            _check_size(len(source), limits)
            return kind_of(source[:HEAD], source[-TAIL:], suffix_of(name)), hashlib.sha256(source).hexdigest()
        if not source.is_file():
            raise InputError("not a file" if source.exists() else "no such file")
        size = source.stat().st_size
        _check_size(size, limits)
        with source.open("rb") as file:
            head = file.read(HEAD)
            file.seek(max(0, size - TAIL))
            kind = kind_of(head, file.read(TAIL), suffix_of(name))
            file.seek(0)
            return kind, hashlib.file_digest(file, "sha256").hexdigest()
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error


def suffix_of(name: str) -> str:
    """The suffix of a document's name, which may be an address."""
    return Path(path_in(name) if is_url(name) else name).suffix.lower()


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.bytes:
        raise InputError(f"{size:,} bytes; the limit bytes is {limits.bytes:,}")


def page_ranges(spec: str) -> list[tuple[int, int | None]]:
    """The first and last page of each part of `spec` ("1-3,7"; None is the end of the document: "5-").

    Raises UsageError if it is no list of pages and ranges.
    """
    ranges: list[tuple[int, int | None]] = []
    for part in spec.split(","):
        match = re.fullmatch(r"\s*(\d{1,99})\s*(-\s*(\d{0,99})\s*)?", part, re.ASCII)
        if not match:
            raise UsageError(f"pages {spec!r}: {part.strip()!r} is not a page or a range such as 2-5")
        first = int(match[1])
        last = first if match[2] is None else int(match[3]) if match[3] else None
        if last is not None and last < first:
            raise UsageError(f"pages {spec!r}: {part.strip()!r} runs backwards")
        ranges.append((first, last))
    return ranges


def page_numbers(spec: str, count: int) -> list[int]:
    """The pages that `spec` means in a document of `count`, in rising order, each once.

    A range that goes past the last page ends there. Raises UsageError if `spec` is no list of pages and ranges, or if a
    page, or the first page of a range, does not exist.
    """
    numbers: set[int] = set()
    for first, last in page_ranges(spec):
        if not 1 <= first <= count:
            raise UsageError(f"pages {spec!r}: there is no page {first}; the document has {count}")
        numbers.update(range(first, min(count if last is None else last, count) + 1))
    return sorted(numbers)


def documents_in(
    names: Sequence[str], limits: Limits = Limits(), say: Callable[[str], None] = lambda line: None, texts: bool = False
) -> list[DocumentSource]:
    """The documents that `names` mean: files, URLs, folders (everything below them with a known suffix, 2 before 10),
    and "-" for standard input.

    With `texts`, a folder also gives its files that hold their own text, such as .md and .docx.

    What cannot be opened comes with an `error`: what does not exist, an address of another kind, a folder without
    documents, and, in a folder, a link that leads out of it or to itself and what is no regular file. Hidden files and
    folders are passed over, and so are folders of figures that an earlier reading wrote. `say` is called
    with a line for each folder that holds documents of kinds that are not read. Raises UsageError where "-" stands
    twice, and the InputError of a single name.
    """
    if list(names).count("-") > 1:
        raise UsageError("- is given twice, but there is only one standard input")
    found: list[DocumentSource] = []
    for name in names:
        try:
            found += _documents(name, limits, say, texts)
        except InputError as error:
            if len(names) == 1:
                raise
            reason = str(error).removeprefix(f"{name}: ")
            found.append(DocumentSource(plain(name), Path(name), reason))
    return found


def _documents(name: str, limits: Limits, say: Callable[[str], None], texts: bool) -> list[DocumentSource]:
    if name == "-":
        return [DocumentSource("-", _read_all(standard_input(), limits))]
    if is_url(name):
        return [DocumentSource(without_secrets(name), name)]
    path = named(name)
    try:
        if path.is_dir():
            inside = sorted(documents_below(path, say, texts), key=lambda one: natural(one.name))
            if not inside:
                raise InputError(f"{name}: no {'documents' if texts else 'PDF or pictures'} in this folder")
            return inside
        if not path.exists():
            if scheme := SCHEME.match(name):
                why = f"only http and https addresses can be read, not {scheme[1]}"
                return [DocumentSource(without_secrets(name), name, why)]
            raise InputError(f"{name}: no such file")
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error
    return [DocumentSource(plain(name), path)]


def _read_all(file: IO[bytes], limits: Limits) -> bytes:
    data = file.read(limits.bytes + 1)
    if len(data) > limits.bytes:
        raise InputError(f"-: more than {limits.bytes:,} bytes, which is the limit bytes")
    return data


def documents_below(
    folder: Path, say: Callable[[str], None] = lambda line: None, texts: bool = False
) -> Iterator[DocumentSource]:
    """Yields the documents below a folder as `documents_in` finds them, in the order of the folders on disk."""
    others: Counter[str] = Counter()
    lacking = {suffix for suffix, kind in TEXTS.items() if not can_read(kind)} if texts else set()
    known = DOCUMENTS | (TEXTS.keys() - lacking if texts else set())
    unread = OTHERS if texts else OTHERS | (TEXTS.keys() - {".md", ".markdown", ".txt", ".csv", ".tsv"})
    advice = (
        (lacking, "pip install 'microfiche[office]' reads them"),
        (unread, "save them as PDF"),
        (ARCHIVES, "unpack them"),
    )
    for one in files_below(folder, _passed_over):
        suffix = one.path.suffix.lower()
        if suffix in known or (one.left_out and (one.is_folder or one.left_out == LOOP)):
            why = f"{one.left_out}; left out" if one.left_out else None
            yield DocumentSource(shown(one.path), one.path, why)
        others[suffix] += any(suffix in wanted for wanted, _ in advice)
    for wanted, why in advice:
        if counted := ", ".join(f"{n} {suffix}" for suffix, n in sorted(others.items()) if n and suffix in wanted):
            say(f"{shown(folder)}: not read: {counted}; {why}")


def _passed_over(path: Path, is_folder: bool) -> bool:
    if path.name.startswith("."):
        return True
    return (is_folder or path.suffix in (".md", ".txt")) and _written(path, path.name if is_folder else path.stem)


def _written(found: Path, name: str) -> bool:
    """Whether a folder or file beside NAME.json is what Microfiche wrote when it read a document, or writes now."""
    for beside in (f"{name}.json", f".{name}.journal"):
        path = found.with_name(beside)
        with suppress(OSError):
            if path.is_file():
                with path.open("rb") as file:
                    head = file.read(OURS)
                if re.search(rb'"sha256":\s*"[0-9a-f]{64}"', head) and b'"settings"' in head:
                    return True
    return False


def natural(name: str) -> list[tuple[str, int]]:
    """The key by which names are sorted as people count: 2 before 10."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]
