"""The process that holds one PDF open and draws the pages asked for on standard input. Started by workers.py alone.

It ends with its parent, whatever it is doing: a thread waits on standard input and leaves when that closes.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from microfiche.documents.pdf import PdfFile
from microfiche.documents.sheet import Sheet
from microfiche.documents.wire import receive, send, send_sheet
from microfiche.errors import InputError
from microfiche.limits import Limits

REOPEN = 100  # pages, after which the file is opened anew: PDFium keeps what it has read, to the size of the file


def main() -> None:
    """Takes a job, answers with the number of pages, then with a sheet for each page number that comes."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no reply
    job, body = receive(requests)
    limits = Limits(**job["limits"])
    source = body.pop().tobytes() if body else Path(job["path"])
    _hold_to(limits.memory)
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


def _hold_to(memory: int) -> None:
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
