"""Files: the ones below a folder, unpacking, names that can be shown, and writing them whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import IO

from microfiche.errors import InputError

OUTSIDE = "a link to somewhere outside the folder"
NO_FILE = "neither file nor folder"
PIECE = 1 << 20
FREE = 64 << 20  #: bytes that a packed file may hold whatever its size
PACKED_WITH = 256 << 20  #: bytes of memory that an .xz file may ask for
LONGEST = 200  #: bytes of a name that leave room for what is put before and behind it, of the 255 that there are
SHOWN = 150  #: characters at either end of a long path that are told


@dataclass(frozen=True)
class Found:
    """A file of a folder, or why it, or a folder, is left out."""

    path: Path
    left_out: str = ""
    is_folder: bool = False


def files_below(
    folder: Path, passed_over: Callable[[Path, bool], bool] = lambda path, is_folder: False
) -> Iterator[Found]:
    """The regular files below `folder`, however deep, in the order of their names; a link to a file in the folder is
    one too. A link to a folder in it is not followed: what lies there is met where it lies.

    Links out of the folder, to nothing or to themselves, pipes, sockets, devices and what cannot be opened have their
    reason. What is `passed_over`, told a path and whether it is a folder, is so in silence, with all that lies below
    it. InputError where the folder itself cannot be opened.
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
                why = "a link that leads to itself"
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
    """The bytes of a file; InputError, naming it, where it is none, cannot be read or has more than `most`."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: {NO_FILE}")
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if len(data) > most:
        raise InputError(f"{path}: more than {most:,} bytes, of which at most so many are taken")
    return data


def short(name: str) -> str:
    """A file's name cut, if it is very long, so that there is room for what is put before and behind it."""
    return os.fsencode(name)[:LONGEST].decode(errors="ignore")


def plain(text: str) -> str:
    """The text with lone surrogates, which stand for bytes of a file's name that are no UTF-8, written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def shown(path: Path) -> str:
    """A path as it is told: its middle left out where it is very long."""
    text = plain(str(path))
    return text if len(text) <= 2 * SHOWN else f"{text[:SHOWN]}…{text[-SHOWN:]}"


def unpacked_xz(name: str, packed: IO[bytes], size: int, ratio: int) -> Iterator[bytes]:
    """What an .xz file of `size` bytes holds, in pieces of up to a megabyte.

    InputError, beginning with `name`, where it is damaged or holds more than `ratio` times its size and FREE bytes.
    """
    most, done, data = max(FREE, ratio * size), 0, b""
    unpacker = lzma.LZMADecompressor(memlimit=PACKED_WITH)
    try:
        while True:
            if unpacker.eof:  # there may be another stream behind it
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
    """Gives a path beside `path` to write to; on leaving without an error it is synced and takes `path`'s place.

    On any error, Ctrl-C included, what was written is removed and `path` is as it was. A file that was there passes on
    its mode, and a link stays one. Raises InputError, naming `path`, where it is a device or a folder, the disk is full
    or the folder cannot be written to. What a killed process left beside `path` is removed too.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: cannot be written: it is no file")
    if path.is_symlink():
        path = path.resolve()
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
            raise InputError(f"{path}: cannot be written ({error.strerror or error}); nothing was kept") from error
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
