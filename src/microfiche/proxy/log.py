"""The log as a file of lines, written by a thread of its own so that a slow disk keeps no request waiting."""

from __future__ import annotations

import os
import queue
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from microfiche.errors import InputError, UsageError

LINES = 10_000  #: lines that may wait to be written
PATIENCE = 0.2  #: seconds for which a request waits for its line, once; after that, none does until all are written


class Log:
    """Appends lines to a file that only its owner may read. What went wrong last is its `trouble`, and `lost` counts
    the lines that could not be written."""

    def __init__(self, path: Path) -> None:
        self.path, self.trouble, self.lost = path, "", 0
        self._waiting: queue.Queue[tuple[bytes, int]] = queue.Queue(LINES)
        self._written = threading.Condition()
        self._open = 0  # lines that were taken and are not written
        self._prompt = True
        self._thread: threading.Thread | None = None

    def write(self, line: bytes, most: int) -> None:
        """Takes a line. A file that is longer than `most` bytes is put aside once, as NAME.1."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()
        with self._written:
            if self._open >= LINES:
                self.lost += 1
                self.trouble = f"the log {self.path} cannot be written as fast as it grows: {self.lost} lines are lost"
                return
            self._open += 1
            self._waiting.put_nowait((line, most))
            self._prompt = (self._prompt or self._open == 1) and self._written.wait_for(self._is_empty, PATIENCE)

    def flush(self, seconds: float = 5.0) -> bool:
        """Waits until all lines are written, but not longer than this; whether they are."""
        with self._written:
            return self._written.wait_for(self._is_empty, seconds)

    def _is_empty(self) -> bool:
        return self._open == 0

    def _run(self) -> None:
        while True:
            line, most = self._waiting.get()
            try:
                _append(self.path, line, most)
                trouble = "" if not self.lost else self.trouble
            except (OSError, ValueError) as error:
                self.lost += 1
                trouble = f"the log {self.path} cannot be written: {getattr(error, 'strerror', None) or error}"
            with self._written:
                self.trouble = trouble
                self._open -= 1
                self._written.notify_all()


def _append(path: Path, data: bytes, most: int) -> None:
    file = _opened(path)
    try:
        if os.fstat(file).st_size > most and os.fstat(file).st_ino == os.stat(path).st_ino:
            os.replace(path, path.with_name(path.name + ".1"))
            os.close(file)
            file = _opened(path)
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, flags, 0o600)


def usable(path: Path) -> None:
    """UsageError where a log cannot be kept at a path, because what is there is neither a file nor a device."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISCHR(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "no file"
        raise UsageError(f"the log {path} is {kind}: name a file")


def lines_in(path: Path) -> Iterator[bytes]:
    """The lines of a log, older part first; InputError where there is none."""
    parts = [one for one in (path.parent / f"{path.name}.1", path) if one.exists()]
    if not parts:
        raise InputError(f"{path}: there is no log yet; the first request through the proxy begins one")
    for part in parts:
        usable(part)
        try:
            with part.open("rb") as lines:
                yield from lines
        except OSError as error:
            raise InputError(f"{part}: {error.strerror or error}") from error
