"""The processes that do jobs, each one job at a time; one that dies, hangs or is stopped costs that job alone.

Each runs `python -m microfiche.serving.work`, gets its share of the processor's cores, and ends with its parent. Orders
and events are lines of JSON; what a document says is in files.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from microfiche.documents.crew import environment
from microfiche.serving.faults import Fault
from microfiche.serving.jobs import Job, Jobs, Lane

EVENT = 1 << 20  #: bytes of an event, at most
LEFT = "exit code 0"  #: of one that made room for another
STARTING = 300.0  #: seconds in which a process has to be ready
AGAIN = 10.0  #: seconds after which one that could not be started is tried again
TRIES = 3  #: processes that may die one after the other before they have taken a job


class Processes:
    """The processes of a server: `settings.jobs` that read documents, and one for the codec, started when it is asked
    for. `say` is called with a line where one of them died."""

    def __init__(self, jobs: Jobs, say: Callable[[str], None] = lambda line: None) -> None:
        self._jobs, self._say = jobs, say
        count = jobs.settings.jobs
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads: dict[Lane, int] = {"read": max(1, cores // count), "codec": cores}
        reading: list[Lane] = ["read"] * count
        self._lanes: list[Lane] = [*reading, "codec"]
        self._tasks: list[asyncio.Task[None]] = []
        self.running: dict[int, _Process] = {}  #: by the number of the place
        self.ready = 0  #: how many of those that read are ready

    def start(self) -> None:
        """Begins to work."""
        self._tasks = [asyncio.create_task(self._work(place, lane)) for place, lane in enumerate(self._lanes)]

    async def close(self) -> None:
        """Ends all processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self.running.values():
            await process.end()
        self.running.clear()

    async def _work(self, place: int, lane: Lane) -> None:
        process: _Process | None = None
        while True:
            if process is None and lane == "read":  # the next job finds it warm
                process = await self._started(place, lane)
            job = await self._due(lane, process)
            if job is not None:
                try:
                    process = await self._does(place, lane, process, job)
                except Exception as error:
                    self._jobs.failed(job, Fault.of(error, str(job.folder), job.name))
                    process = self.running.get(place)
                finally:
                    job.stop = lambda: None
            if process is not None and process.ended:
                await self._gone(place, lane, process)
                process = None

    async def _due(self, lane: Lane, process: _Process | None) -> Job | None:
        """The next job of a lane; None where the process that would do it dies before one comes, or where none could be
        started and it is time to try again."""
        due = asyncio.ensure_future(self._jobs.next(lane))
        dying = asyncio.ensure_future(process.died()) if process else None
        try:
            pause = AGAIN if process is None and lane == "read" else None
            ends = [one for one in (due, dying) if one is not None]
            await asyncio.wait(ends, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            return due.result() if due.done() else None
        finally:
            due.cancel()
            if dying:
                dying.cancel()

    async def _does(self, place: int, lane: Lane, process: _Process | None, job: Job) -> _Process | None:
        """Has a job done, by a process that is started where there is none; returns it. One that had died already when
        the job came is replaced."""
        for _ in range(TRIES):
            process = process or await self._started(place, lane)
            if process is None or job.status != "running":
                break
            job.stop = process.kill
            if await process.takes(job.order, self._jobs.settings.silence):
                await self._follow(process, job)
                return process
            await self._gone(place, lane, process)
            process = None
        if job.status == "running":
            raise Fault(503, "not_ready", "no process could be started to do it; try again later")
        return process

    async def _follow(self, process: _Process, job: Job) -> None:
        while True:
            event = await process.event(self._jobs.settings.silence)
            if job.status != "running":  # it was stopped
                process.kill()
                return
            if "error" in event:
                return self._jobs.failed(job, Fault.received(event))
            if "found" in event:
                return self._jobs.done(job, event["found"])
            self._jobs.heard(job, event)

    async def _started(self, place: int, lane: Lane) -> _Process | None:
        try:
            process = await _Process.begin(self._threads[lane])
        except OSError as error:
            self._say(f"a process could not start: {error.strerror}")
            return None
        self.running[place] = process
        try:
            process.send(self._jobs.settings.orders(self._jobs.folder, self._threads[lane]) | {"lane": lane})
            await process.event(STARTING)
        except Fault as fault:
            await self._gone(place, lane, process, ready=False)
            self._say(f"a process could not start: {fault}")
            return None
        self.ready += lane == "read"
        return process

    async def _gone(self, place: int, lane: Lane, process: _Process, ready: bool = True) -> None:
        cause = await process.end()
        self.running.pop(place, None)
        self.ready -= ready and lane == "read"
        if not process.killed and cause != LEFT:
            self._say(f"a process that did a job died ({cause})")


class _Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.killed = False  #: by us

    @classmethod
    async def begin(cls, threads: int) -> _Process:
        return cls(await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "microfiche.serving.work", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, limit=EVENT, env=environment(threads),
            start_new_session=True,
        ))  # fmt: skip

    @property
    def ended(self) -> bool:
        return self.killed or self._process.returncode is not None

    def send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, RuntimeError):  # it is dead, and `event` says so
            self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def takes(self, order: dict[str, Any], seconds: float) -> bool:
        """Sends an order; returns whether the process has taken it, or had died already."""
        self.send(order)
        try:
            return "taken" in await self.event(seconds)
        except Fault as fault:
            if fault.code == "process_died":
                return False
            raise

    async def died(self) -> None:
        """Waits until it has died."""
        await self._process.wait()

    async def event(self, seconds: float) -> dict[str, Any]:
        """What it says next; Fault where it dies or says nothing for so many seconds, which is its end."""
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        except TimeoutError:
            self.kill()
            raise Fault(504, "timed_out", f"nothing was done for {seconds:g} s, so it was given up") from None
        if not line.endswith(b"\n"):
            cause = await self.end()
            if self.killed:
                raise Fault(499, "cancelled", "it was cancelled")
            raise Fault(500, "process_died", f"the process that did it died ({cause}); other jobs are not concerned")
        event: dict[str, Any] = json.loads(line)
        return event

    def kill(self) -> None:
        self.killed = True
        with suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> str:
        """Ends it at once, and says what it died of."""
        if self._process.returncode is None and not self._process.stdout.at_eof():  # type: ignore[union-attr]
            with suppress(ProcessLookupError):
                self._process.kill()
        code = await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
