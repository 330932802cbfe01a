"""What a process of the server does: it takes one order after another and writes what comes of it into the job's
folder.

Orders come on standard input and events leave on standard output, both as lines of JSON. It ends with its parent, and
then removes the folder of all jobs, which nobody else would.
"""

from __future__ import annotations

import json
import math
import os
import queue
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from microfiche.documents.crew import hold_to
from microfiche.limits import Limits
from microfiche.serving.faults import NO_MEMORY, TOO_MUCH, Fault

Tell = Callable[[dict[str, Any]], None]  #: sends an event to the server
Task = Callable[[dict[str, Any], Tell], dict[str, Any]]  #: does an order, and returns what came of it


def main() -> None:
    """Says that it is ready, and does the orders that come."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no event
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup = json.loads(requests.readline())
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, orders, Path(setup["folder"])), daemon=True).start()

    def tell(event: dict[str, Any]) -> None:
        replies.write(json.dumps(event).encode() + b"\n")
        replies.flush()

    tasks, memory = _tasks(setup)
    tell({"ready": True})
    while True:
        order = orders.get()
        tell({"taken": True})
        try:
            event = {"found": tasks[order["do"]](order, tell)}
        except Exception as error:  # whatever a request leads to, it costs that request alone
            event = Fault.of(error, order["folder"], order.get("name", "")).sent()
        tell(event)
        if memory is not None and memory.is_spent(event):
            os._exit(0)  # another one begins anew


def _by_codec(limits: Limits, name: str) -> Task:
    def task(order: dict[str, Any], tell: Tell) -> dict[str, Any]:
        from microfiche.serving.codec_work import CodecWork  # here, so that who asks is told where it cannot be loaded

        found: dict[str, Any] = getattr(CodecWork(limits), name)(order, tell)
        return found

    return task


def _tasks(setup: dict[str, Any]) -> tuple[dict[str, Task], MemoryLimit | None]:
    """What can be done, by its name, and the limit of memory that holds meanwhile."""
    limits = Limits(**setup["limits"])
    if setup["lane"] == "codec":
        names = {"pack": "pack", "open": "open", "typeset": "typeset", "encode": "encode", "tokens": "read"}
        return {do: _by_codec(limits, name) for do, name in names.items()}, MemoryLimit(limits.memory)
    from microfiche.serving.readers_at_hand import ReadersAtHand
    from microfiche.serving.reading_work import ReadingWork

    hold_to(setup["threads"])
    at_hand = ReadersAtHand(setup["engine"], setup["scans"])
    with suppress(Exception):  # who is asked to read says what is wrong
        at_hand.warm()
    reading = ReadingWork(at_hand, limits, setup["urls"], setup["threads"])
    of_reading: dict[str, Task] = {"read": reading.read, "chat": reading.chat, "convert": reading.convert}
    on_cpu = at_hand.scans.device == "cpu"  # another device's memory is counted in ways of its own
    return of_reading, MemoryLimit(limits.memory) if on_cpu else None


class MemoryLimit:
    """Lets this process, and each that it starts, have so many bytes `more` than it has now, on systems that can
    enforce it. What needs more ends in an error, or in the process's own end."""

    def __init__(self, more: int) -> None:
        self._spent: float = math.inf  #: bytes of which too much has stayed
        with suppress(ImportError, OSError, ValueError, IndexError):
            import resource

            held = _held()
            _, most = resource.getrlimit(resource.RLIMIT_DATA)
            soft = held + more if most == resource.RLIM_INFINITY else min(held + more, most)
            resource.setrlimit(resource.RLIMIT_DATA, (soft, most))
            self._spent = held + (soft - held) / 2

    def is_spent(self, event: dict[str, Any]) -> bool:
        """Whether the next job would find too little: after one that needed too much, as `event` says, what was half
        loaded or half made may stay."""
        pages = event.get("found", {}).get("pages", [])
        reasons = [page["reason"] for page in pages] if isinstance(pages, list) else []
        if event.get("code") == TOO_MUCH or any(map(NO_MEMORY.search, reasons)):
            return True
        with suppress(OSError, ValueError, IndexError):
            return _held() > self._spent
        return False


def _held() -> int:
    """The bytes that this process has for itself."""
    return int(Path("/proc/self/status").read_text("ascii", "replace").partition("VmData:")[2].split()[0]) << 10


def _listen(requests: IO[bytes], orders: queue.SimpleQueue[dict[str, Any]], folder: Path) -> None:
    with suppress(ValueError):
        while line := requests.readline():
            orders.put(json.loads(line))
    shutil.rmtree(folder, ignore_errors=True)  # the server is gone
    os._exit(0)


if __name__ == "__main__":
    main()
