"""Many readers and one writer at one memory: python tests/memory/crowd.py FOLDER READERS SECONDS

Every add writes a chat message and a new version of a text with the same number; a reader must never see a page of
one version among another's, nor go back to an older state.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from killing import opened


def text(i: int) -> str:
    return f"number {i} " * 1500


def write(path: Path, until: float) -> None:
    i = 0
    with opened(path) as memory:
        while time.time() < until:
            i += 1
            memory.add(text(i), name="text")
    print(f"{i} versions written")


def read(path: Path, until: float) -> None:
    seen = looked = 0
    with opened(path) as memory:
        while time.time() < until or not looked:
            with memory.reading():
                versions = memory.history("text")
                number = versions[-1].number
                assert memory.version_text("text") == text(number), "a page of another version"
                assert sum(v.retired is None for v in versions) == 1
                for record in memory.records():
                    memory.tokens(record)
            assert number >= seen, "an older state"
            seen, looked = number, looked + 1


def main(folder: Path, readers: int, seconds: float) -> None:
    path = folder / "crowd.memory"
    with opened(path) as memory:
        memory.add(text(1), name="text")
    until = time.time() + seconds
    children = []
    for i in range(readers + 1):
        child = os.fork()
        if not child:
            write(path, until) if i == 0 else read(path, until)
            sys.stdout.flush()
            os._exit(0)
        children.append(child)
    bad = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    print(f"{readers} readers: " + ("no error, no stale page" if not bad else f"{bad} failed"))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
