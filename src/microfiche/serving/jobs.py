"""Jobs: what clients have asked for, how far it is, and what is kept of it. Each has a folder of its own, which goes
when the job does; what a document says lies there and not in memory.

All of this belongs to one event loop. It knows nothing of HTTP, nor of how the processes do the work.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from microfiche.serving.faults import Fault
from microfiche.serving.settings import ServeSettings

Status = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")
Lane = Literal["read", "codec"]  #: the processes that do a job: those that read documents, or the one for the codec


@dataclass(eq=False)
class Job:
    """One piece of work: `order` is what the process is told to do, `found` what it said when it was done."""

    id: str
    do: str
    name: str
    folder: Path
    lane: Lane = "read"
    order: dict[str, Any] = field(default_factory=dict)
    held: bool = True  #: whether it stays when it has ended, until it is asked for or too old
    status: Status = "queued"
    pages_done: int = 0
    pages: int | None = None
    parts: list[int] = field(default_factory=list)  #: numbers of the files part-N.json that are there
    fault: Fault | None = None
    found: dict[str, Any] = field(default_factory=dict)
    bytes: int = 0
    began: float | None = None
    ended: float | None = None
    stop: Callable[[], None] = lambda: None  #: ends the process that is at it
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    def changed(self) -> None:
        """Wakes all who wait for news."""
        self._bell.set()
        self._bell = asyncio.Event()

    async def news(self, seconds: float) -> bool:
        """Waits for a change; returns whether there was one within so many seconds."""
        if self.status in ENDED:
            return True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), seconds)
            return True
        return False

    async def end(self) -> None:
        """Waits until the job has ended."""
        while self.status not in ENDED:
            await self._bell.wait()

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at the pace until now; None where that is not known."""
        if self.status != "running" or not self.pages or not self.pages_done or self.began is None:
            return None
        return round((time.monotonic() - self.began) / self.pages_done * (self.pages - self.pages_done), 1)


class Jobs:
    """All jobs of a server in a `folder`: those that wait, in a bounded queue for each lane, those that run, and those
    that are kept."""

    def __init__(self, settings: ServeSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: dict[Lane, deque[Job]] = {"read": deque(), "codec": deque()}
        self._more = {lane: asyncio.Event() for lane in self._waiting}
        self.counts: Counter[str] = Counter()

    # --- before a job is queued, while what it needs comes in ---

    def opened(self, do: str, lane: Lane = "read", held: bool = True) -> Job:
        """A job with its folder, which is not queued yet. Fault 429 where no more jobs are taken now."""
        self._refuse_where_full(lane)
        job_id = secrets.token_urlsafe(18)
        job = Job(job_id, do, "", self.folder / job_id, lane, held=held)
        job.folder.mkdir(mode=0o700)
        self._jobs[job_id] = job
        return job

    def _refuse_where_full(self, lane: Lane) -> None:
        self.tidy()
        waiting = sum(job.status == "queued" and job.lane == lane for job in self._jobs.values())
        if waiting >= self.settings.queue:
            self.counts["refused"] += 1
            raise _busy(f"{waiting} jobs wait already", max(1, min(60, waiting // max(1, self.settings.jobs))))

    def grew(self, job: Job, count: int) -> None:
        """Notes that bytes of an upload come in. Fault 429 where all uploads and results would have too many."""
        job.bytes += count
        while self.bytes > self.settings.kept_bytes:
            if not self._dropped_one():
                self.counts["refused"] += 1
                raise _busy("the server holds as many bytes as it may", 30)

    def queue(self, job: Job) -> None:
        """Queues a job whose folder holds all that it needs."""
        job.bytes = _size(job.folder)
        self._waiting[job.lane].append(job)
        self._more[job.lane].set()
        self.counts["queued"] += 1
        job.changed()

    # --- for who works ---

    async def next(self, lane: Lane) -> Job:
        """The job that is due in a lane, which is then running."""
        while True:
            while not self._waiting[lane]:
                self._more[lane].clear()
                await self._more[lane].wait()
            job = self._waiting[lane].popleft()
            if job.status == "queued":
                job.status, job.began = "running", time.monotonic()
                job.changed()
                for other in self._waiting[lane]:
                    other.changed()
                return job

    def heard(self, job: Job, event: dict[str, Any]) -> None:
        """Notes what a process said of a job that it is at."""
        if job.status != "running":
            return
        job.pages = event.get("of", job.pages)
        job.pages_done += event.get("pages", 0)
        self.counts["pages"] += event.get("pages", 0)
        if "part" in event:
            job.parts.append(event["part"])
        if "engines" in event:
            job.found["engines"] = event["engines"]
        if "begun" in event:
            job.found = event["begun"]
        job.changed()

    def done(self, job: Job, found: dict[str, Any]) -> None:
        """Ends a job that was done."""
        job.found = found
        self._end(job, "done")

    def failed(self, job: Job, fault: Fault) -> None:
        """Ends a job that could not be done."""
        job.fault = fault
        self._end(job, "failed")

    def _end(self, job: Job, status: Status) -> None:
        if job.status in ENDED:
            return
        job.status, job.ended = status, time.monotonic()
        job.bytes = _size(job.folder)
        self.counts[status] += 1
        self.counts["seconds"] += round(job.ended - (job.began or job.ended))
        job.changed()
        self.tidy()

    # --- for who asks ---

    def get(self, job_id: str) -> Job:
        """The job with this id; Fault 404 where there is none, or none any more."""
        self.tidy()
        job = self._jobs.get(job_id)
        if job is None:
            raise Fault(404, "not_found", "there is no job with this id; those that have ended are kept for a while")
        return job

    def position(self, job: Job) -> int | None:
        """How many jobs come before this one, if it waits."""
        if job.status != "queued":
            return None
        ahead = 0
        for other in self._waiting[job.lane]:
            if other is job:
                return ahead
            ahead += other.status == "queued"
        return ahead

    def forget(self, job: Job) -> None:
        """Cancels a job if it has not ended, and removes all that is held of it."""
        if self._jobs.pop(job.id, None) is None:
            return
        if job.status not in ENDED:
            job.status, job.ended = "cancelled", time.monotonic()
            self.counts["cancelled"] += 1
            with suppress(ValueError):
                self._waiting[job.lane].remove(job)
            job.stop()
            job.changed()
        shutil.rmtree(job.folder, ignore_errors=True)

    def tidy(self) -> None:
        """Forgets the oldest jobs that have ended, as far as there are too many or they are too old."""
        now, most = time.monotonic(), self.settings
        ended = [job for job in self._jobs.values() if job.ended is not None]
        kept = [job for job in ended if job.held]
        for job in kept[: max(0, len(kept) - most.kept)]:
            self.forget(job)
        for job in ended:
            if job.ended is not None and now - job.ended > most.kept_seconds:
                self.forget(job)
        while self.bytes > most.kept_bytes and self._dropped_one():
            pass

    def _dropped_one(self) -> bool:
        """Forgets the oldest job that has ended and is held for who may ask; returns whether there was one."""
        job = next((job for job in self._jobs.values() if job.ended is not None and job.held), None)
        if job is not None:
            self.forget(job)
        return job is not None

    @property
    def bytes(self) -> int:
        """The bytes of all files that are held."""
        return sum(job.bytes for job in self._jobs.values())

    def by_status(self) -> Counter[str]:
        """How many of the jobs that are held have each status."""
        return Counter(job.status for job in self._jobs.values())

    def state(self, job: Job) -> dict[str, Any]:
        """What is said of a job."""
        return {
            "id": job.id, "do": job.do, "name": job.name, "status": job.status, "position": self.position(job),
            "pages_done": job.pages_done, "pages": job.pages, "seconds_left": job.seconds_left,
            "error": job.fault.body["error"] if job.fault else None,
        }  # fmt: skip


def _busy(why: str, seconds: int) -> Fault:
    return Fault(429, "queue_full", f"{why}; try again in {seconds} s", {"Retry-After": str(seconds)})


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return 0
