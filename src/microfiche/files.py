"""Files: walking a folder, unpacking .xz, names that are safe to print, the user's configuration, and writing a file
whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import IO, Any

from microfiche.errors import InputError, UsageError

OUTSIDE = "a link to somewhere outside the folder"
LOOP = "a link that leads to itself"
NO_FILE = "neither file nor folder"
PIECE = 1 << 20
FREE = 64 << 20  #: bytes that any packed file may unpack to, however small it is
PACKED_WITH = 256 << 20  #: bytes of memory that unpacking an .xz file may take
LONGEST = 200  #: bytes of a name, of at most 255, so that there is room for a prefix and a suffix
SHOWN = 150  #: characters of a long path that are shown at either end


@dataclass(frozen=True)
class Found:
    """A file in a folder. If the file (or folder) is left out, `left_out` says why."""

    path: Path
    left_out: str = ""
    is_folder: bool = False


def files_below(
    folder: Path, passed_over: Callable[[Path, bool], bool] = lambda path, is_folder: False
) -> Iterator[Found]:
    """Yields the regular files below `folder`, at any depth, sorted by name. A link to a file inside the folder counts
    as a file. A link to a folder inside it is not followed, because its content is found at its real place.

    Links that leave the folder, dangling or circular links, pipes, sockets, devices and entries that cannot be opened
    are yielded with the reason in `left_out`. `passed_over` is called with each path and whether it is a folder; if it
    returns true, the entry and everything below it are skipped silently. Raises InputError if the folder itself cannot
    be opened.
    """
    try:
        home = folder.resolve(strict=True)
        above = [_entries(folder)]
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    while above:
        entry = next(above[-1], None)
        if entry is None:
            above.pop()
            continue
        path = Path(entry.path)
        why = ""
        try:
            if passed_over(path, entry.is_dir()):
                continue
            if entry.is_symlink() and not path.resolve(strict=True).is_relative_to(home):
                why = OUTSIDE
            elif entry.is_dir():
                if not entry.is_symlink():
                    above.append(_entries(path))
                continue
            elif not entry.is_file():
                why = NO_FILE
        except (OSError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno != errno.ELOOP:
                why = error.strerror or "cannot be opened"
            else:
                why = LOOP
        yield Found(path, why, _is_folder(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return iter(sorted(found, key=lambda entry: entry.name))


def bytes_of(path: Path, most: int) -> bytes:
    """Returns the bytes of a file. Raises InputError, with its name, if it is not a regular file, cannot be read, or
    has more than `most` bytes."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: {NO_FILE}")
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if len(data) > most:
        raise InputError(f"{path}: larger than {most:,} bytes, which is the limit")
    return data


def short(name: str) -> str:
    """Cuts a very long file name to LONGEST bytes, so that a prefix and a suffix can be added."""
    return os.fsencode(name)[:LONGEST].decode(errors="ignore")


def plain(text: str) -> str:
    """Escapes lone surrogates in the text, which stand for bytes of a file name that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def shown(path: Path) -> str:
    """Returns a path as messages print it: the middle of a very long one is replaced by an ellipsis."""
    text = plain(str(path))
    return text if len(text) <= 2 * SHOWN else f"{text[:SHOWN]}…{text[-SHOWN:]}"


def unpacked_xz(name: str, packed: IO[bytes], size: int, ratio: int) -> Iterator[bytes]:
    """Yields the content of an .xz file of `size` bytes in pieces of up to one mebibyte.

    Raises InputError, with `name`, if the file is damaged or unpacks to more than `ratio` times its size; FREE bytes
    are always allowed.
    """
    most, done, data = max(FREE, ratio * size), 0, b""
    unpacker = lzma.LZMADecompressor(memlimit=PACKED_WITH)
    try:
        while True:
            if unpacker.eof:  # another stream may follow
                data = unpacker.unused_data.lstrip(b"\0")
                while not data:
                    if not (more := packed.read(PIECE)):
                        return
                    data = more.lstrip(b"\0")
                unpacker = lzma.LZMADecompressor(memlimit=PACKED_WITH)
            elif unpacker.needs_input:
                data = packed.read(PIECE)
                if not data:
                    raise InputError(f"{name}: not a whole .xz file (it ends too early)")
            piece = unpacker.decompress(data, PIECE)
            data = b""
            done += len(piece)
            if done > most:
                raise InputError(f"{name}: unpacks to over {most:,} bytes; the limit ratio is {ratio:,}")
            yield piece
    except lzma.LZMAError as error:
        raise InputError(f"{name}: not a whole .xz file ({error})") from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to. When the block ends without an error, the file is synced to
    disk and renamed to `path`.

    On any error, including Ctrl-C, the temporary file is removed and `path` is unchanged. An existing file keeps its
    mode, and a link stays a link. Temporary files that a killed process left beside `path` are removed too. Raises
    InputError, with `path`, if it is a device or a folder, the disk is full, or the folder is not writable.
    """
    named, path = path, Path(os.path.realpath(path))  # which follows ".." through folders that are not there yet
    if path.exists() and not path.is_file():
        raise InputError(f"{named}: cannot be written: it is not a regular file")
    name = os.fsencode(path.name)
    stem = path.name if len(name) <= LONGEST else hashlib.sha256(name).hexdigest()
    beside = path.with_name(f".{stem}.{os.getpid()}.part")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{escape(stem)}.*.part"):
                if not _runs(left.suffixes[-2][1:]):
                    left.unlink(missing_ok=True)
            yield beside
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            if path.exists():
                shutil.copymode(path, beside)
            os.replace(beside, path)
        except OSError as error:
            raise InputError(f"{named}: cannot be written ({error.strerror or error}); nothing was kept") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True


def config_folder() -> Path:
    """The user's folder for the configuration and what Microfiche keeps between runs: $MICROFICHE_CONFIG, or as the
    system has it. It need not be there."""
    if own := os.environ.get("MICROFICHE_CONFIG"):
        return Path(own)
    home = os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME")
    try:
        return Path(home or Path.home() / ".config") / "microfiche"
    except RuntimeError:  # a user without a home
        return Path(os.devnull) / "microfiche"


def toml_table(path: Path, must: bool) -> dict[str, Any]:
    """The content of a TOML file; nothing if it is not there, unless it `must` be. Raises UsageError if it cannot be
    read."""
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if must:
            raise UsageError(f"{path}: there is no such file") from error
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not a TOML file with settings: {error}") from error
