"""How `microfiche serve` is set up: where it listens, who may ask, who reads, and how much is held at a time."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import which
from typing import Any, Literal

from microfiche.errors import InputError, UsageError
from microfiche.limits import Limits

PORT = 8767
MEGABYTE = 1 << 20
#: What one upload may cost; less than a user of the command line allows himself.
LIMITS = Limits(pixels=60_000_000, pages=2_000, bytes=100 * MEGABYTE, seconds=60.0, memory=2 << 30)
TEXT = 100_000  #: characters of a text that is typeset at once
OURS = ("text", "rapid", "nano", "nano-rapid", "nano-pages", "tesseract")  #: engines that need nothing of a user
Urls = Literal["off", "public", "any"]


@dataclass(frozen=True)
class Scans:
    """Who reads scans in place of RapidOCR: the `published` model whose `weights` are in a folder, on a `device`, or
    the server at `endpoint`."""

    weights: str | None = None
    published: str = ""
    device: str = "cpu"
    mode: str = "gundam"
    endpoint: str | None = None
    model: str | None = None
    key: str | None = None

    def __bool__(self) -> bool:
        return bool(self.weights or self.endpoint)

    @property
    def name(self) -> str:
        """What the engine is called; "" where there is none."""
        return "endpoint" if self.endpoint else self.published


def engine_names(engine: str | None, scans: Scans) -> list[str]:
    """The engines that a request may name: those that ship and are installed, and what the server was started with."""
    found = [name for name in OURS if name != "tesseract" or which("tesseract")]
    return list(dict.fromkeys([*filter(None, (engine, scans.name)), *found]))


@dataclass(frozen=True)
class ServeSettings:
    """What a server is started with.

    `urls` says whether addresses in requests are fetched: not at all, public ones alone, or any. `hosts` are further
    names by which the server is reached. `jobs` processes read, and at most `queue` jobs wait for them; `silence` is
    how many seconds a process may work without telling of progress. Of jobs that have ended, the newest `kept` are
    kept, of `kept_bytes` in all with the uploads that wait, for `kept_seconds`.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    urls: Urls = "off"
    memories: Path | None = None
    engine: str | None = None
    scans: Scans = Scans()
    jobs: int = 0
    queue: int = 256
    kept: int = 200
    kept_bytes: int = 2048 * MEGABYTE
    kept_seconds: float = 3600.0
    silence: float = 600.0
    hosts: tuple[str, ...] = ()
    limits: Limits = LIMITS
    folder: Path | None = field(default=None)  #: where the folder for uploads is made; None is the system's

    def guarded(self) -> ServeSettings:
        """These settings, with the number of `jobs` filled in. Raises UsageError where others could reach the server
        without a token, and InputError where the folder of memories is none."""
        if not self.is_local and not self.token:
            raise UsageError(
                f"{self.host} can be reached by others: give a token, by --token or MICROFICHE_SERVE_TOKEN"
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and len(self.token) >= 8):
            raise UsageError("a token has at least 8 printable ASCII characters")
        if self.memories is not None and not self.memories.is_dir():
            raise InputError(f"{self.memories}: is no folder of memories")
        if min(self.queue, self.kept, self.kept_bytes) < 1 or self.jobs < 0:
            raise UsageError("the numbers of jobs that wait, run and are kept must be at least one")
        if self.scans.weights and self.jobs > 1:
            raise UsageError("each of the --jobs would hold a model of its own; with --weights, leave --jobs out")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        jobs = self.jobs or (1 if self.scans.weights else max(1, min(cores, 4)))
        return ServeSettings(**{**self.__dict__, "jobs": jobs})

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def orders(self, folder: Path, threads: int) -> dict[str, Any]:
        """What a process that reads is told as it starts."""
        return {
            "folder": str(folder), "threads": threads, "engine": self.engine, "scans": asdict(self.scans),
            "urls": self.urls, "limits": asdict(self.limits),
        }  # fmt: skip
