"""From any file, folder or address that users name to a bounded stream of Sheets.

Knows nothing of what is read from the sheets. What an address holds is fetched within limits, by http and https alone.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import urlsplit

from microfiche.documents.pictures import PictureFile
from microfiche.documents.sheet import Sheet
from microfiche.documents.worker import Workers
from microfiche.errors import InputError, UsageError
from microfiche.files import files_below, plain, shown
from microfiche.limits import Limits
from microfiche.sources import DOCUMENTS, named, standard_input

HEAD = 1024  #: bytes in which a PDF's mark must stand
MARKS = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
SCHEMES = ("http", "https")
PIECE = 1 << 16  #: bytes that are taken from the network at a time


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

    `kind` is pdf, png, jpeg, tiff or webp, by content; `pages` is how many there are; `sha256` is that of the file;
    `repaired` says that it is a PDF whose table of objects was damaged, so that some of it may be missing.
    """

    def __init__(self, name: str, kind: str, sha256: str, file: Workers | PictureFile) -> None:
        self.name, self.kind, self.sha256, self.pages = name, kind, sha256, file.pages
        self.repaired = isinstance(file, Workers) and file.repaired
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
    """Opens a PDF, PNG, JPEG, TIFF or WebP file, whose kind its content decides; a str is the URL of one.

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
        if kind == "pdf":
            return OpenFile(name, kind, sha256, Workers(source, dpi, password, limits, workers))
        return OpenFile(name, kind, sha256, PictureFile(source, kind, limits))
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
    """The pages that `spec` means ("1-3,7"; "5-" goes to the end) in a document of `count`, in rising order, each once.

    A range that goes past the last page ends there. Raises UsageError if `spec` is no list of pages and ranges, or if a
    page, or the first page of a range, does not exist.
    """
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


def documents_in(names: Sequence[str], limits: Limits = Limits()) -> list[DocumentSource]:
    """The documents that `names` mean: files, URLs, folders (everything below them with a known suffix, 2 before 10),
    and "-" for standard input.

    A link that leads out of its folder, and what is no regular file, comes with an `error`; hidden files and folders
    are passed over. Raises InputError for what does not exist and for a folder without documents, UsageError where "-"
    stands twice.
    """
    found: list[DocumentSource] = []
    for name in names:
        path = named(name)
        if name == "-":
            if any(isinstance(one.origin, bytes) for one in found):
                raise UsageError("- is given twice, but there is only one standard input")
            found.append(DocumentSource("-", _read_all(standard_input(), limits)))
        elif is_url(name):
            found.append(DocumentSource(name, name))
        elif path.is_dir():
            inside = _below(path)
            if not inside:
                raise InputError(f"{name}: no PDF or pictures in this folder")
            found += inside
        elif path.exists():
            found.append(DocumentSource(plain(name), path))
        else:
            raise InputError(f"{name}: no such file")
    return found


def _read_all(file: IO[bytes], limits: Limits) -> bytes:
    data = file.read(limits.bytes + 1)
    if len(data) > limits.bytes:
        raise InputError(f"-: more than {limits.bytes:,} bytes, which is the limit bytes")
    return data


def _below(folder: Path) -> list[DocumentSource]:
    found: list[DocumentSource] = []
    for one in files_below(folder, lambda path, is_folder: path.name.startswith(".")):
        if one.path.suffix.lower() in DOCUMENTS or (one.left_out and one.is_folder):
            why = f"{one.left_out}; left out" if one.left_out else None
            found.append(DocumentSource(shown(one.path), one.path, why))
    return sorted(found, key=lambda one: _natural(one.name))


def _natural(name: str) -> list[tuple[str, int]]:
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def is_url(name: str) -> bool:
    """Whether `name` is an address that `fetched` takes."""
    return name.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def fetched(url: str, limits: Limits = Limits()) -> bytes:
    """The bytes at `url`; raises InputError, without the address, where they do not come whole and within `limits`."""
    end = time.monotonic() + limits.seconds
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "microfiche", "Accept-Encoding": "identity"})
        with _opener().open(request, timeout=limits.seconds) as answer:
            return _body(answer, limits, end)
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"the server answered {error.code} {str(error.reason).splitlines()[0]}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise InputError(_late(limits)) from error
        raise InputError(f"cannot be fetched ({reason or type(reason).__name__})") from error


def _body(answer: http.client.HTTPResponse, limits: Limits, end: float) -> bytes:
    length = answer.headers.get("Content-Length", "")
    announced = int(length) if length.isdecimal() else None
    data = bytearray()
    while True:
        if max(announced or 0, len(data)) > limits.bytes:
            raise InputError(f"more than {limits.bytes:,} bytes, which is the limit bytes")
        if time.monotonic() > end:
            raise InputError(_late(limits))
        piece = answer.read1(PIECE)
        if not piece:
            break
        data += piece
    if announced is not None and len(data) < announced:
        raise InputError(f"cut short: {len(data):,} of {announced:,} bytes came")
    return bytes(data)


def _late(limits: Limits) -> str:
    return f"did not come within {limits.seconds:g} seconds, which is the limit seconds"


def _opener() -> urllib.request.OpenerDirector:
    """Knows http and https alone: no files, no ftp, wherever it is sent on to."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, _Redirects,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: http.client.HTTPMessage, newurl: str,
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in SCHEMES or (before == "https" and after == "http"):
            fp.close()
            raise urllib.error.URLError(f"the server sends on from {before} to {after}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
