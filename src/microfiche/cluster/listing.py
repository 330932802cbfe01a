"""What documents there are, in folders, lists, at addresses and in buckets: one after the other, never all in memory.

A bucket's objects are named s3://, gs:// or hf://. The first two are read by pyarrow, the last by huggingface_hub. It
knows nothing of Ray.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from microfiche.documents.fetching import is_url, without_secrets
from microfiche.documents.opening import DocumentSource, documents_below, documents_in
from microfiche.errors import InputError, MicroficheError, UsageError
from microfiche.files import plain
from microfiche.limits import Limits
from microfiche.sources import DOCUMENTS

REMOTE = re.compile(r"(s3|gs|gcs|hf)://", re.IGNORECASE)  #: what the address of an object in a bucket begins with
LONGEST = 300  #: characters of a storage's own words that are shown
SECRET = re.compile(r"(?i)((?:access|secret|session|security)?[_-]?(?:key|token|secret|signature|password)\w*=)[^&\s]+")


@dataclass(frozen=True)
class Listed:
    """A document that was found. `stamp` is its size and when it was changed, "" where that is not known."""

    source: DocumentSource
    stamp: str = ""


def is_remote(name: str) -> bool:
    """Whether `name` is the address of objects in a bucket."""
    return REMOTE.match(name) is not None


def listed(
    names: Sequence[str],
    lists: Sequence[Path] = (),
    limits: Limits = Limits(),
    say: Callable[[str], None] = lambda line: None,
    apart_from: Path | None = None,
) -> Iterator[tuple[int, Listed]]:
    """Yields the documents that `names` mean, and those on the lines of the files `lists`, each with the number of the
    name that it came from.

    A name is a file, a folder, an http or https address, or the address of an object or a folder in a bucket. A
    document that cannot be opened has an error. Documents of the folder `apart_from`, where the output goes, are passed
    over, unless it is one of the names. Raises UsageError for "-", and InputError for a list that cannot be read and
    where a single name means nothing.
    """
    alone = len(names) == 1 and not lists
    for number, name in enumerate(_names(names, lists)):
        try:
            for one in _of(name, limits, say, apart_from):
                yield number, one
        except InputError as error:
            if alone:
                raise
            reason = str(error).removeprefix(f"{name}: ")
            origin = name if is_remote(name) else Path(name)
            yield number, Listed(DocumentSource(plain(shown(name)), origin, reason))


def _names(names: Sequence[str], lists: Sequence[Path]) -> Iterator[str]:
    if "-" in names:
        raise UsageError("-: a cluster cannot read standard input; name files, folders or addresses")
    yield from names
    for path in lists:
        try:
            with path.open("rb") as file:
                for line in file:
                    if name := os.fsdecode(line.rstrip(b"\r\n")):
                        yield name
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}: the list cannot be read") from error


def _of(name: str, limits: Limits, say: Callable[[str], None], apart_from: Path | None) -> Iterator[Listed]:
    if is_remote(name):
        yield from _in_bucket(name)
        return
    path = Path(name)
    if is_url(name) or not name or not path.is_dir():
        yield from map(_with_stamp, documents_in([name], limits, say))
        return
    home = None if apart_from is None else Path(os.path.realpath(apart_from))
    if home == Path(os.path.realpath(path)):
        home = None
    found = False
    for source in documents_below(path, say):
        assert isinstance(source.origin, Path)
        if home and home in Path(os.path.realpath(source.origin)).parents:
            continue
        found = True
        yield _with_stamp(source)
    if not found:
        raise InputError(f"{name}: no PDF or pictures in this folder")


def _with_stamp(source: DocumentSource) -> Listed:
    if not isinstance(source.origin, Path):
        return Listed(source)
    try:
        found = source.origin.stat()
    except OSError:
        return Listed(source)
    return Listed(source, f"{found.st_size}-{found.st_mtime_ns}")


def shown(name: str) -> str:
    """The address of an object as messages and files show it: without a name, a password or options."""
    return without_secrets(name).partition("?")[0] if is_remote(name) else without_secrets(name)


def _in_bucket(name: str) -> Iterator[Listed]:
    """The object of this address, or all documents below it, folder by folder; only one folder is in memory."""
    from pyarrow import fs

    files, path, query = _file_system(name)
    with _said(name):
        (here,) = files.get_file_info([path])
    scheme = name.partition("://")[0]
    if here.type == fs.FileType.File:
        yield Listed(DocumentSource(shown(name), name), _stamp(here))
        return
    if here.type == fs.FileType.NotFound:
        raise InputError(f"{shown(name)}: no such object or folder in the bucket")
    found, above = False, [path]
    while above:
        with _said(name):
            inside = files.get_file_info(fs.FileSelector(above.pop()))
        inside.sort(key=lambda one: one.path, reverse=True)
        above += [one.path for one in inside if one.type == fs.FileType.Directory and _is_seen(one.path)]
        while inside:
            one = inside.pop()
            if one.type == fs.FileType.File and _is_seen(one.path) and _is_document(one.path):
                found = True
                url = f"{scheme}://{one.path}"
                yield Listed(DocumentSource(url, url + query), _stamp(one))
    if not found:
        raise InputError(f"{shown(name)}: no PDF or pictures below this address")


def _is_seen(path: str) -> bool:
    return not PurePosixPath(path).name.startswith(".")


def _is_document(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in DOCUMENTS


def _stamp(info: Any) -> str:
    return f"{info.size}-{info.mtime_ns}" if info.mtime_ns else ""


def content_of(url: str, limits: Limits) -> bytes:
    """The bytes of the object at a bucket's address. Raises InputError, without the address, if it is larger than the
    limits allow or cannot be read."""
    files, path, _ = _file_system(url)
    with _said(""), files.open_input_stream(path) as stream:
        data = bytes(stream.read(limits.bytes + 1))
    if len(data) > limits.bytes:
        raise InputError(f"more than {limits.bytes:,} bytes, which is the limit bytes")
    return data


def at_hand(source: DocumentSource, limits: Limits) -> DocumentSource:
    """The source, with its bytes in place of its address if it lies in a bucket. Raises InputError, beginning with its
    name, if these cannot be had."""
    if source.error or not (isinstance(source.origin, str) and is_remote(source.origin)):
        return source
    try:
        return replace(source, origin=content_of(source.origin, limits))
    except InputError as error:
        raise InputError(f"{source.name}: {error}") from error


def _file_system(url: str) -> tuple[Any, str, str]:
    """The file system of a bucket's address, the path on it, and the options in the address with their "?"."""
    scheme, _, rest = url.partition("://")
    where, _, query = rest.partition("?")
    bucket = where.partition("/")[0]
    files = _opened(scheme.lower(), bucket, query)
    return files, where.rpartition("@")[2].strip("/"), f"?{query}" if query else ""


@lru_cache(maxsize=64)
def _opened(scheme: str, bucket: str, query: str) -> Any:
    try:
        from pyarrow import fs
    except ImportError as error:
        raise missing("pyarrow") from error
    with _said(f"{scheme}://{bucket}"):
        if scheme != "hf":
            scheme = "gs" if scheme == "gcs" else scheme
            return fs.FileSystem.from_uri(f"{scheme}://{bucket}{'?' * bool(query)}{query}")[0]
        try:
            from huggingface_hub import HfFileSystem
        except ImportError as error:
            raise UsageError("hf:// needs huggingface_hub: pip install huggingface_hub") from error
        return fs.PyFileSystem(fs.FSSpecHandler(HfFileSystem()))


def missing(package: str) -> UsageError:
    """The error that says which package is missing and how it is installed."""
    return UsageError(f"`microfiche cluster` needs {package}: pip install 'microfiche[cluster]'")


class _said:
    """Turns what a storage says of an error into an InputError of one line without secrets, which begins with the
    address, if there is one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # The clients behind fsspec raise errors of every kind.
        if not isinstance(error, Exception) or isinstance(error, MicroficheError):
            return
        said = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())
        for name, value in os.environ.items():
            if value and len(value) > 7 and re.search("KEY|SECRET|TOKEN|PASSWORD", name):
                said = said.replace(value, "…")
        said = SECRET.sub(r"\1…", re.sub(r"(\w+://)[^/?#\s]*@", r"\1", said))[:LONGEST]
        where = f"{shown(self._url)}: " if self._url else ""
        raise InputError(f"{where}the storage refused it or cannot be reached ({said})") from error
