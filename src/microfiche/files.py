"""Writing files so that they are whole or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from microfiche.errors import InputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; on leaving without an error it is synced and takes `path`'s place.

    On any error, Ctrl-C included, what was written is removed and `path` is as it was. Raises InputError, naming
    `path`, where the disk is full or the folder cannot be written to. What a killed process left beside `path` is
    removed too.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{escape(path.name)}.*.part"):
                if not _runs(left.suffixes[-2][1:]):
                    left.unlink(missing_ok=True)
            yield beside
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(beside, path)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error}); nothing was kept") from error
    finally:
        beside.unlink(missing_ok=True)


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True
    return True
