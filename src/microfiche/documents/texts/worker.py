"""A file that holds its own text, opened: in this process where its format is simple, in one of its own elsewhere.

That process has the memory and the seconds that the limits allow, reaches no network and starts no program; it runs
`python -m microfiche.documents.texts.worker`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from microfiche.documents.document import PageRead
from microfiche.documents.pdf.worker import limit_memory
from microfiche.documents.sheet import Sheet
from microfiche.documents.texts.formats import pages_of
from microfiche.errors import InputError
from microfiche.limits import Limits

HERE = ("markdown", "plain", "csv")  #: kinds that are read in this process
NEEDED = {"docx": "mammoth", "pptx": "pptx", "xlsx": "openpyxl"}  #: the package that reads a kind
WHAT = {"docx": "a Word document", "pptx": "a PowerPoint presentation", "xlsx": "an Excel workbook"}
REFUSED = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system", "os.exec",
           "os.posix_spawn", "os.fork")  #: audit events of what the process may not do  # fmt: skip
PAGES = TypeAdapter(list[PageRead])


class TextFile:
    """A file of a `kind` that holds its own text: `read` are its pages, `pages` how many they are."""

    def __init__(self, source: Path | bytes, kind: str, limits: Limits) -> None:
        """Reads it. Raises InputError, without the file's name, where it cannot be read."""
        if not can_read(kind):
            raise InputError(f"{WHAT[kind]} needs {NEEDED[kind]}: pip install 'microfiche[office]'")
        data = source if isinstance(source, bytes) else source.read_bytes()
        self.read = pages_of(kind, data, limits) if kind in HERE else _apart(data, kind, limits)
        self.pages = len(self.read)
        self._kind = kind

    def sheets(self, numbers: Sequence[int]) -> Iterator[Sheet]:
        """A sheet without a picture for each page, since nothing of such a file is drawn."""
        for number in numbers:
            yield Sheet(number, None, error=f"a file of the kind {self._kind} has text and no picture of its pages")

    def close(self) -> None:
        """Does nothing: the file is closed."""


def can_read(kind: str) -> bool:
    """Whether the package that reads a kind is installed."""
    return kind not in NEEDED or find_spec(NEEDED[kind]) is not None


def _apart(data: bytes, kind: str, limits: Limits) -> list[PageRead]:
    head = json.dumps({"kind": kind, "limits": asdict(limits)}).encode() + b"\n"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "microfiche.documents.texts.worker"],
            input=head + data,
            capture_output=True,
            timeout=limits.seconds,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"took longer than {limits.seconds:g} seconds, which is the limit seconds") from error
    if done.returncode:
        raise InputError(f"damaged: the process that read it died (exit code {done.returncode})")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise InputError(answer["error"])
    return PAGES.validate_python(answer["pages"])


def main() -> None:
    """What the process does: takes a file on standard input, after a line that says what it is, and prints its pages
    or the error as JSON."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no reply
    head = json.loads(sys.stdin.buffer.readline())
    limits = Limits(**head["limits"])
    data = sys.stdin.buffer.read()
    limit_memory(limits.memory)
    sys.addaudithook(_refuse)
    answer: dict[str, Any]
    try:
        answer = {"pages": [page.model_dump() for page in pages_of(head["kind"], data, limits)]}
    except InputError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "needs more memory than the limit memory"}
    except Exception as error:  # whatever a damaged or hostile file leads a library to
        answer = {"error": f"damaged: cannot be read ({type(error).__name__})"}
    replies.write(json.dumps(answer).encode())
    replies.flush()


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in REFUSED:
        raise PermissionError(f"{event} is not allowed here")


if __name__ == "__main__":
    main()
