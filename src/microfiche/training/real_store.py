"""The truth of many PDFs' pages on disk, extracted once: a folder of shards, each for a few documents of one package.

A shard is a safetensors file of concatenated arrays, of which only the needed parts are read. The PDFs stay where they
are; a shard has the path of each in their folder, and its SHA-256. Extraction continues where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from glob import escape
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from microfiche.errors import InputError
from microfiche.files import whole_file
from microfiche.training.real_glyphs import Refused
from microfiche.training.real_text import PageTruth, page_truth

TRUTH = ".truth"  #: the store of a folder of PDFs, inside that folder
PAGES = 20  #: the most pages of one document, evenly spread
BATCH = 50  #: documents in one shard
SECONDS = 60.0  #: seconds that one document may take
MEMORY = 4 << 30  #: bytes of address space of the reading process
_FORMAT = "1"
#: The columns of PageTruth that a shard concatenates.
_COLUMNS = ("points", "boxes", "bad", "spans", "baselines", "sizes", "unknown")
Pages = list[tuple[int, PageTruth]]  #: pages of one document, with their numbers from 0


@dataclass(frozen=True)
class Document:
    """A PDF: its `file` in the folder of PDFs, the fonts of the pages that were kept, and how many other pages were
    refused for which reason."""

    file: str
    sha256: str
    fonts: tuple[str, ...] = ()
    refused: dict[str, int] | None = None
    error: str = ""


def extract(
    pdfs: Path,
    store: Path,
    packages: Sequence[str] | None = None,
    progress: Callable[[str, int, int], None] = lambda shard, done, of: None,
) -> None:
    """Extracts the PDFs under `pdfs`/PACKAGE to `store`, shard by shard, for all packages or those named. Existing
    shards are kept.

    `progress` is called after each shard with its name, how many shards are done, and how many there are. A PDF that
    crashes PDFium or takes more than SECONDS is left out. Raises InputError if there is no PDF or the disk is full.
    """
    names = packages or sorted(path.name for path in pdfs.glob("[!.]*") if path.is_dir())
    found = {package: dict(_batches(pdfs, package)) for package in names}
    missing = [package for package in packages or () if not found[package]]
    if missing or not any(found.values()):
        folder = pdfs / missing[0] if missing else pdfs
        raise InputError(f"{folder}: no PDF in it; tools/fetch_pages.py fetches some")
    shards = {name: files for of_package in found.values() for name, files in of_package.items()}
    reader = _Reader()
    try:
        for done, (name, files) in enumerate(shards.items()):
            path = store / f"{name}.safetensors"
            if not _holds(path, files):
                with whole_file(path) as beside:
                    beside.write_bytes(_shard([_read(reader, pdfs, file) for file in files]))
            progress(name, done + 1, len(shards))
    finally:
        reader.end()
    for package in names:  # remove shards of PDFs that no longer exist
        for path in store.glob(f"{escape(package)}-[0-9][0-9][0-9].safetensors"):
            if path.stem not in shards:
                path.unlink()


def _batches(pdfs: Path, package: str) -> Iterator[tuple[str, list[str]]]:
    """Yields the names of a package's shards and the PDFs of each."""
    files = [p.relative_to(pdfs).as_posix() for p in sorted((pdfs / package).rglob("*.pdf")) if p.is_file()]
    for first in range(0, len(files), BATCH):
        yield f"{package}-{first // BATCH:03}", files[first : first + BATCH]


def _holds(path: Path, files: list[str]) -> bool:
    """Whether there is a shard of exactly these files."""
    try:
        return [document.file for document in Shard(path).documents] == files
    except InputError:
        return False


def _read(reader: _Reader, pdfs: Path, file: str) -> tuple[Document, Pages]:
    sha256 = hashlib.sha256((pdfs / file).read_bytes()).hexdigest()
    pages, refused, error = reader.read(str(pdfs / file))
    fonts = sorted(set().union(*(truth.fonts for _, truth in pages)))
    return Document(file, sha256, tuple(fonts), refused, error), pages


def _shard(read: list[tuple[Document, Pages]]) -> bytes:
    """Returns the bytes of a shard."""
    pages = [(i, number, truth) for i, (_, found) in enumerate(read) for number, truth in found]
    arrays: dict[str, NDArray[Any]] = {
        "document": np.array([i for i, _, _ in pages], np.int32),
        "number": np.array([number for _, number, _ in pages], np.int32),
        "size": np.array([truth.size for _, _, truth in pages], np.float32).reshape(-1, 2),
        "em": np.array([_commonest_size(truth) for _, _, truth in pages], np.float32),
    }
    for kind in ("points", "spans", "unknown"):
        arrays[f"first_{kind}"] = np.cumsum([0, *(len(getattr(truth, kind)) for _, _, truth in pages)], dtype=np.int64)
    for column in _COLUMNS if pages else ():
        arrays[column] = np.concatenate([getattr(truth, column) for _, _, truth in pages])
    described = [asdict(document) for document, _ in read]
    return save(arrays, {"format": _FORMAT, "documents": json.dumps(described)})


def _commonest_size(truth: PageTruth) -> float:
    """The commonest size of type among the characters of a page, in points per em."""
    sizes, which = np.unique(np.round(truth.sizes, 1), return_inverse=True)
    return float(sizes[np.bincount(which, np.diff(truth.spans, axis=1)[:, 0]).argmax()])


class Shard:
    """An open shard. `documents` are all PDFs that were read. For the P pages that were kept, `document` (P,) is the
    index of their PDF, `number` (P,) their number in it from 0, `size` (P, 2) their width and height, and `em` (P,)
    their commonest size of type, both in points."""

    def __init__(self, path: Path) -> None:
        """Raises InputError if the file is not a shard, or is one of another version."""
        try:
            self._file = _opened(path)
            head = self._file.metadata() or {}
            if head.get("format") != _FORMAT:
                raise InputError(f"{path}: a shard of another version; extract it again")
            self.documents = [Document(**{**d, "fonts": tuple(d["fonts"])}) for d in json.loads(head["documents"])]
            tensor = self._file.get_tensor
            self.document, self.number, self.size, self.em = map(tensor, ("document", "number", "size", "em"))
            self._first = {kind: tensor(f"first_{kind}") for kind in ("points", "spans", "unknown")}
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise InputError(f"{path}: no shard of pages ({error})") from error

    def truth(self, page: int) -> PageTruth:
        """Returns the PageTruth of page `page` of the shard, without fonts."""

        def part(name: str, kind: str) -> NDArray[Any]:
            first, last = self._first[kind][page : page + 2].tolist()
            if first == last:  # only `unknown` can be empty, which get_slice does not accept
                return np.empty((0, 4), np.float32)
            return self._file.get_slice(name)[first:last]

        width, height = self.size[page].tolist()
        return PageTruth(
            (width, height), part("points", "points"), part("boxes", "points"), part("bad", "points"),
            part("spans", "spans"), part("baselines", "spans"), part("sizes", "spans"), part("unknown", "unknown"),
            frozenset(),
        )  # fmt: skip


def _opened(path: Path) -> Any:
    return safe_open(path, "np")


class _Reader:
    """A process that reads documents. It is restarted if it died or took too long."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def read(self, path: str) -> tuple[Pages, dict[str, int], str]:
        """Returns the pages of a document that are kept, with their numbers; how many were refused for which reason;
        and what went wrong with the whole document, or ""."""
        if self._process is None or self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        try:
            self._pipe.send(path)
            if self._pipe.poll(SECONDS):
                return self._pipe.recv()
            error = f"took longer than {SECONDS:g} seconds"
        except (EOFError, OSError):
            error = "crashed"
        self.end()
        return [], {}, error

    def end(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = self._pipe = None


def _serve(pipe: Connection) -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            pipe.send(_document(pipe.recv()))


def _document(path: str) -> tuple[Pages, dict[str, int], str]:
    pdf = pdfium.FPDF_LoadDocument(os.fsencode(path), None)
    if not pdf:
        return [], {}, "damaged or encrypted"
    found: Pages = []
    refused: dict[str, int] = {}
    try:
        pages = pdfium.FPDF_GetPageCount(pdf)
        for number in np.unique(np.linspace(0, pages - 1, min(PAGES, pages)).round().astype(int)).tolist():
            page = pdfium.FPDF_LoadPage(pdf, number)
            try:
                if not page:
                    raise Refused("damaged")
                found.append((number, page_truth(page)))
            except (Refused, ValueError, MemoryError) as error:
                sign = str(error) if isinstance(error, Refused) else "damaged"
                refused[sign] = refused.get(sign, 0) + 1
            finally:
                if page:
                    pdfium.FPDF_ClosePage(page)
    finally:
        pdfium.FPDF_CloseDocument(pdf)
    return found, refused, ""
