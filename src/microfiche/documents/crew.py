"""Processes that read documents side by side, one document each at a time; one that dies costs the document it was at.

`Crew` begins them; each runs `python -m microfiche.documents.crew`, has engines of its own, and gets its share of the
processor's cores. What a process has written stays on disk; only the document whose turn it is comes back to memory.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from microfiche.documents.document import Document
from microfiche.documents.job import Do, Job, Outcome, Standing
from microfiche.documents.opening import DocumentSource
from microfiche.errors import InputError, UsageError

PATIENCE = 5.0  #: seconds in which a process that is to end can clean up
THREADS = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
Task = tuple[DocumentSource, str]


class Orders(Protocol):
    """What a process of a crew is told to do; it comes to the process pickled."""

    def begin(self) -> Do:
        """Loads what the work needs, and returns the function that does a task."""
        ...


class Crew:
    """`count` processes that do a job; use it in a `with`, at whose end they are gone."""

    def __init__(self, job: Job, count: int) -> None:
        """Raises UsageError if the engine that the job names cannot be sent to another process."""
        self._job, self._count = replace(job, drawing=1), count
        self._threads = max(1, cores() // count)
        try:
            self._orders = pickle.dumps(self._job)
        except Exception as error:
            raise UsageError(f"this engine cannot read in several processes ({error}); leave the jobs at 1") from error
        self._lock, self._running, self._closed = threading.Lock(), set[Process](), False
        self._pool = ThreadPoolExecutor(count)

    def outcomes(self, tasks: Sequence[Task], standing: Standing) -> Iterator[Outcome]:
        """What becomes of each task, in their order; `standing` is told of everything as it happens."""
        events: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()
        numbers = iter(range(len(tasks)))
        for _ in range(self._count):
            self._pool.submit(self._work, tasks, numbers, events.put)
        ended: dict[int, dict[str, Any]] = {}
        due = 0
        while due < len(tasks):
            try:  # in turns: a Ctrl-C that comes just before a wait without end would be heard only after it
                number, event = events.get(timeout=0.5)
            except queue.Empty:
                continue
            if "pages" in event:
                standing.told(number, event["event"], event["pages"])
                continue
            standing.end(number)
            ended[number] = event
            while due in ended:
                yield self._outcome(*tasks[due], ended.pop(due))
                due += 1

    def _work(
        self, tasks: Sequence[Task], numbers: Iterator[int], put: Callable[[tuple[int, dict[str, Any]]], None]
    ) -> None:
        """What one thread does: it hands the tasks that nobody has taken to a process, one by one."""
        process: Process | None = None
        while (number := self._next(numbers)) is not None:
            source, _ = tasks[number]
            try:
                process = process or self._start()
                for event in process.reads(tasks[number]):
                    put((number, event))
            except Exception as error:  # whatever ends a process, it costs this document alone
                cause = self._end(process) if process else f"could not start: {error}"
                process = None
                put((number, {"error": f"{source.name}: the process that read it {cause}", "kind": "input"}))

    def _next(self, numbers: Iterator[int]) -> int | None:
        with self._lock:
            return None if self._closed else next(numbers, None)

    def _start(self) -> Process:
        with self._lock:
            if self._closed:
                raise EOFError
            process = Process(self._orders, self._threads)
            self._running.add(process)
        return process

    def _end(self, process: Process) -> str:
        with self._lock:
            self._running.discard(process)
        cause = process.end(0)
        self._sweep(process.pid)
        return cause

    def _outcome(self, source: DocumentSource, name: str, event: dict[str, Any]) -> Outcome:
        if "error" in event:
            kind = UsageError if event["kind"] == "usage" else InputError
            return Outcome(source.name, error=kind(event["error"]))
        try:
            text = event["document"]
            document = Document.model_validate_json(text) if text else self._job.written(name)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            return Outcome(source.name, error=InputError(f"{source.name}: its output is gone ({reason})"))
        return Outcome(source.name, document, before=event["before"], seconds=event["seconds"])

    def _sweep(self, pid: int) -> None:
        if self._job.folder:
            sweep(self._job.folder, pid)

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            running = list(self._running)
            self._running.clear()
        for process in running:
            process.ask_to_end()
        until = time.monotonic() + PATIENCE
        for process in running:
            if "SIGKILL" in process.end(until - time.monotonic()):
                self._sweep(process.pid)
        self._pool.shutdown()


class Process:
    """A process that does tasks by its `orders`, pickled Orders such as a Job, with this many `threads`."""

    def __init__(self, orders: bytes, threads: int) -> None:
        # As in worker.py: a session of its own, so that Ctrl-C comes to the parent alone, which then ends this process.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "microfiche.documents.crew", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(threads),
            start_new_session=True,
        )
        self.pid = self._process.pid
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._orders = orders

    def reads(self, task: Any) -> Iterator[dict[str, Any]]:
        """What happens as it does a task, up to the end of that; EOFError or OSError if the process dies."""
        self._in.write(self._orders + pickle.dumps(task))
        self._in.flush()
        self._orders = b""
        while True:
            line = self._out.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            event = json.loads(line)
            yield event
            if "pages" not in event:
                return

    def ask_to_end(self) -> None:
        """Asks it to end, so that it can clean up."""
        self._process.terminate()

    def end(self, seconds: float) -> str:
        """Ends it, at once after `seconds`, and says what it died of."""
        try:
            code = self._process.wait(max(0.1, seconds))
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for stream in (self._in, self._out):
            with suppress(OSError, ValueError):
                stream.close()
        return f"died ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"


def sweep(folder: Path, pid: int) -> None:
    """Removes what a process that was killed had half written below a folder."""
    for left in folder.rglob(f".*.{pid}.part"):
        with suppress(OSError):
            left.unlink()


def environment(threads: int) -> dict[str, str]:
    """The environment of a process that has so many threads and imports from where this one does."""
    return (
        os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        | {name: str(_fewer(os.environ.get(name, ""), threads)) for name in THREADS}
    )


def cores() -> int:
    """How many cores of the processor this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fewer(given: str, threads: int) -> int:
    return min(int(given), threads) if given.isdecimal() and int(given) else threads


def main() -> None:
    """What a process of the crew does: takes a job, and does one task after another that comes on standard input."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no reply
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hold_to(int(sys.argv[1]))
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    with suppress(KeyboardInterrupt):
        orders: Orders = pickle.load(requests)
        threading.Thread(target=_listen, args=(requests, tasks), daemon=True).start()
        do = orders.begin()
        while True:
            _reply(replies, do(tasks.get(), lambda event, pages: _reply(replies, {"event": event, "pages": pages})))
    os._exit(0)


def _reply(replies: IO[bytes], event: dict[str, Any]) -> None:
    replies.write(json.dumps(event).encode() + b"\n")
    replies.flush()


def _listen(requests: IO[bytes], tasks: queue.SimpleQueue[Task]) -> None:
    with suppress(EOFError, pickle.UnpicklingError):
        while True:
            tasks.put(pickle.load(requests))
    os.kill(os.getpid(), signal.SIGTERM)  # the parent is gone
    time.sleep(PATIENCE)
    os._exit(1)


def hold_to(threads: int) -> None:
    """Lets ONNX Runtime, which asks the environment for nothing, use no more threads than this for a model."""
    onnxruntime: Any = import_module("onnxruntime")
    begin = onnxruntime.InferenceSession.__init__

    def held(self: Any, model: Any, sess_options: Any = None, *args: Any, **options: Any) -> None:
        sess_options = sess_options or onnxruntime.SessionOptions()
        if not 0 < sess_options.intra_op_num_threads <= threads:
            sess_options.intra_op_num_threads = threads
        begin(self, model, sess_options, *args, **options)

    onnxruntime.InferenceSession.__init__ = held


if __name__ == "__main__":
    main()
