"""Processes that draw a PDF's pages, ahead of whoever takes them; one that dies or hangs costs the page it was at.

`Workers` begins them; each runs `python -m microfiche.documents.pdf.worker`, holds the PDF open, and draws the pages
whose numbers come on its standard input. It ends with its parent, whatever it is doing: a thread waits on standard
input and leaves when that closes.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.sheet import Sheet, receive, send, send_sheet, sheet_from
from microfiche.errors import InputError
from microfiche.limits import Limits

if TYPE_CHECKING:
    from microfiche.documents.pdf.file import PdfFile

REOPEN = 100  #: pages, after which the file is opened anew: PDFium keeps what it has read, to the size of the file
WORTH = 8  #: pages for each further process: starting one takes about as long as drawing these


class Workers:
    """Up to `count` processes that have `source` open; `pages` and `repaired` are what they found."""

    def __init__(self, source: Path | bytes, dpi: float, password: str | None, limits: Limits, count: int) -> None:
        """Starts one of them; raises InputError, without the file's name, where the PDF cannot be opened."""
        self._job = {"path": None, "dpi": dpi, "password": password, "limits": asdict(limits)}
        self._body: list[NDArray[Any]] = []
        if isinstance(source, bytes):
            self._body = [np.frombuffer(source, np.uint8)]
        else:
            self._job["path"] = str(source.resolve())
        self._seconds, self._dpi, self._count = limits.seconds, dpi, count
        self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()  # None: one that is yet to be started
        self._lock, self._running, self._closed = threading.Lock(), set[_Process](), False
        for _ in range(count - 1):
            self._idle.put(None)
        first, head = self._start()
        self._idle.put(first)
        self.pages: int = head["pages"]
        self.repaired: bool = head["repaired"]

    def sheets(self, numbers: Sequence[int]) -> Iterator[Sheet]:
        """The pages `numbers` in that order; at most one page for each process, and one more, is drawn ahead."""
        threads = min(self._count, 1 + len(numbers) // WORTH)
        pool = ThreadPoolExecutor(threads)
        ahead: deque[Future[Sheet]] = deque()
        try:
            for number in numbers:
                ahead.append(pool.submit(self._sheet, number))
                if len(ahead) > threads + 1:
                    yield _result(ahead.popleft())
            while ahead:
                yield _result(ahead.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _sheet(self, number: int) -> Sheet:
        process = self._idle.get()
        try:
            if process is None:
                process, _ = self._start()
            sheet = sheet_from(*process.ask({"page": number}, [], self._seconds))
        except InputError as error:
            if process:
                self._end(process)
            process = None
            sheet = Sheet(number, None, dpi=self._dpi, error=str(error))
        finally:
            self._idle.put(process)
        return sheet

    def _start(self) -> tuple[_Process, dict[str, Any]]:
        with self._lock:
            if self._closed:
                raise InputError("closed while it was being read")
            process = _Process()
            self._running.add(process)
        try:
            head, _ = process.ask(self._job, self._body, self._seconds)
            if "error" in head:
                raise InputError(head["error"])
        except BaseException:
            self._end(process)
            raise
        return process, head

    def _end(self, process: _Process) -> None:
        with self._lock:
            self._running.discard(process)
        process.end()

    def close(self) -> None:
        """Ends the processes, at once."""
        with self._lock:
            self._closed = True
            running = list(self._running)
            self._running.clear()
        for process in running:
            process.end()


def _result(future: Future[Sheet]) -> Sheet:
    # In turns: a Ctrl-C that comes just before a wait without end would be heard only after it.
    while not wait([future], timeout=0.5).done:
        pass
    return future.result()


class _Process:
    def __init__(self) -> None:
        # Not the current folder, where anybody may have put a numpy.py, but else the places that this process imports
        # from; and a session of its own, so that Ctrl-C comes to the parent alone, which then ends it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "microfiche.documents.pdf.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )

    def ask(
        self, head: dict[str, Any], body: list[NDArray[Any]], seconds: float
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """The reply to a message; where there is none within `seconds`, the process is ended, and InputError raised."""
        process, late = self._process, threading.Event()
        assert process.stdin is not None and process.stdout is not None

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            send(process.stdin, head, body)
            reply = receive(process.stdout)
        except (OSError, EOFError, ValueError) as error:
            process.kill()
            code = process.wait()
            if not late.is_set():
                raise InputError(f"the process that opened it died ({_cause(code)})") from error
        finally:
            timer.cancel()
        if late.is_set():  # even if the reply came at the last moment: the process is gone
            raise InputError(f"took longer than {seconds:g} seconds, which is the limit seconds")
        return reply

    def end(self) -> None:
        """Ends it and waits until it is gone."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError, ValueError):
                if stream:
                    stream.close()


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGABRT:
        return "SIGABRT, perhaps because the limit memory is too low"
    return signal.Signals(-code).name


def main() -> None:
    """What a worker process does: takes a job, answers with the number of pages, then with a sheet for each page number
    that comes."""
    from microfiche.documents.pdf.file import PdfFile  # PDFium is loaded in these processes alone

    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no reply
    job, body = receive(requests)
    limits = Limits(**job["limits"])
    source = body.pop().tobytes() if body else Path(job["path"])
    limit_memory(limits.memory)
    try:
        pdf = PdfFile(source, job["password"], limits)
    except InputError as error:
        return send(replies, {"error": str(error)})
    send(replies, {"pages": pdf.pages, "repaired": pdf.repaired})
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, numbers), daemon=True).start()
    while True:
        for _ in range(REOPEN):
            _answer(replies, pdf, numbers.get(), job["dpi"])
        pdf.close()
        pdf = PdfFile(source, job["password"], limits)


def _answer(replies: IO[bytes], pdf: PdfFile, number: int, dpi: float) -> None:
    try:
        sheet, pixels = pdf.sheet(number, dpi)
    except InputError as error:
        return send_sheet(replies, _failed(number, dpi, str(error)))
    except MemoryError:
        return send_sheet(replies, _failed(number, dpi, "needs more memory than the limit memory"))
    except Exception as error:  # whatever a hostile page leads to, it costs this page alone
        return send_sheet(replies, _failed(number, dpi, f"damaged: cannot be read ({type(error).__name__})"))
    send_sheet(replies, sheet, pixels)


def _failed(number: int, dpi: float, error: str) -> Sheet:
    return Sheet(number, None, dpi=dpi, error=error)


def _listen(requests: IO[bytes], numbers: queue.SimpleQueue[int]) -> None:
    with suppress(EOFError):
        while True:
            numbers.put(receive(requests)[0]["page"])
    os._exit(0)


def limit_memory(memory: int) -> None:
    """Holds this process to so many bytes of memory, where the system can, and lets it leave no core."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    for kind, wanted in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(kind)
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


if __name__ == "__main__":
    main()
