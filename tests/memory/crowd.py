"""Many readers and one writer at one memory: python tests/memory/crowd.py FOLDER READERS SECONDS [--forget]

Every add writes a chat message and a new version of a text with the same number; a reader must never see a page of
one version among another's, nor go back to an older state. With --forget another process adds secrets and forgets each
while they read.
"""

from __future__ import annotations

import os
import re
import sys
import time
import traceback
import zlib
from contextlib import suppress
from pathlib import Path

from killing import opened

PIECE = 64  #: bytes that are inflated at a time


def text(i: int) -> str:
    return f"number {i} " * 1500


def write(path: Path, until: float) -> None:
    i = 0
    with opened(path) as memory:
        while time.monotonic() < until:
            i += 1
            memory.add(text(i), name="text")
    print(f"{i} versions written")


def forget(path: Path, until: float) -> None:
    """Of what is forgotten not a byte may be left in the files, whoever reads them."""
    i = 0
    with opened(path) as memory:
        while time.monotonic() < until or not i:
            i += 1
            secret = f"xylophone{i}q{os.getpid()}"
            memory.add(f"{secret} " * 2000, name="secret")
            assert inflated(path).count(secret.encode()) > 100, "it was not there"
            assert memory.forget("secret").wiped, "it could not be wiped"
            assert secret.encode() not in inflated(path), "it is still there"
    print(f"{i} secrets forgotten while they read")


def inflated(path: Path) -> bytes:
    """The bytes of a memory's files and, behind them, whatever in these can be inflated, wherever it begins and as far
    as it goes before it is broken off by another page of the file."""
    found = [file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")) if file.is_file()]
    for data in list(found):
        for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data):
            unpacker = zlib.decompressobj()
            with suppress(zlib.error):
                for at in range(match.start(), match.start() + (1 << 16), PIECE):
                    found.append(unpacker.decompress(data[at : at + PIECE]))
    return b"".join(found)


def read(path: Path, until: float) -> None:
    seen = looked = 0
    with opened(path) as memory:
        while time.monotonic() < until or not looked:
            with memory.reading():
                versions = memory.history("text")
                number = versions[-1].number
                assert memory.version_text("text") == text(number), "a page of another version"
                assert sum(v.retired is None for v in versions) == 1
                for record in memory.records():
                    memory.tokens(record)
            assert number >= seen, "an older state"
            seen, looked = number, looked + 1


def main(folder: Path, readers: int, seconds: float, forgetting: bool) -> None:
    path = folder / "crowd.memory"
    with opened(path) as memory:
        memory.add(text(1), name="text")
    until = time.monotonic() + seconds
    children = []
    for work in [write, *[forget] * forgetting, *[read] * readers]:
        child = os.fork()
        if not child:
            try:
                work(path, until)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            sys.stdout.flush()
            os._exit(0)
        children.append(child)
    bad = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    print(f"{readers} readers: " + ("no error, no stale page" if not bad else f"{bad} failed"))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), "--forget" in sys.argv)
