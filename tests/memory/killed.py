"""Kills a process that forgets, or that makes a memory of an older format one of today's, and checks that what it was
at is done or not begun: python tests/memory/killed.py FOLDER KILLS
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crowd import inflated
from killing import opened

from microfiche.memory.database import FORMAT, INDEXED, format_of

TEXTS = 12


def text(i: int) -> str:
    return f"secret{i}x " + " ".join(f"w{i}n{j}" for j in range(1500))


def made(path: Path, format: int) -> None:
    """A memory of texts and a chat that says them, too."""
    with opened(path) as memory:
        for i in range(TEXTS):
            memory.add(text(i), name=f"t{i}")
        memory.add([{"role": "user", "content": text(i)} for i in range(TEXTS)], name="chat")
        if format < FORMAT:
            with memory.writing() as connection:
                connection.execute(f"PRAGMA user_version = {format}")


def killed(path: Path, work: Callable[[Path, int], None], seconds: float) -> list[int]:
    """Kills a process so long after it has begun its work; returns what it said was done."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        with suppress(BaseException):
            work(path, theirs)
        os._exit(0)
    os.close(theirs)
    select.select([ours], [], [], 600)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(ours) as pipe:
        return [int(line) for line in pipe.read().splitlines()][1:]


def forget(path: Path, done: int) -> None:
    with opened(path) as memory:
        os.write(done, b"-1\n")
        for i in range(TEXTS):
            assert memory.forget(query=f"secret{i}x", confirm=bool).wiped
            os.write(done, f"{i}\n".encode())


def index(path: Path, done: int) -> None:
    with opened(path) as memory:
        os.write(done, b"-1\n")
        memory.add("more words", name="more")
        os.write(done, b"0\n")


def check(path: Path, forgotten: list[int], added: list[int]) -> None:
    """The texts are there in all places where they stood, or in none, and can go on to be forgotten."""
    with opened(path) as memory:
        assert memory.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        chat = [message["content"] for message in memory.messages("chat")]
        assert not added or memory.version_text("more") == "more words"
        for i in range(TEXTS):
            said = sum(f"secret{i}x" in content for content in [memory.version_text(f"t{i}"), *chat])
            assert said in ((0,) if i in forgotten else (0, 2) if i == len(forgotten) else (2,)), (i, said, forgotten)
            assert {hit.source for hit in memory.search(f"secret{i}x")} == ({f"t{i}", "chat"} if said else set())
        memory.add("yet more", name="yet")
        with memory.reading() as connection:
            assert format_of(connection) == FORMAT and memory.search("words" if added else "yet")
        memory.forget("yet")
        data = inflated(path)
        assert not any(f"secret{i}x".encode() in data for i in forgotten), "it is still in the file"


def main(folder: Path, kills: int) -> None:
    chance = random.Random(0)
    path, base = folder / "m.memory", folder / "base.memory"
    for work, format, longest in ((forget, FORMAT, 1.0), (index, INDEXED - 1, 0.3)):
        base.unlink(missing_ok=True)
        made(base, format)
        ended = []
        for _ in range(kills):
            for file in folder.glob("m.memory*"):
                file.unlink()
            shutil.copy(base, path)
            done = killed(path, work, longest * chance.random())
            check(path, done if work is forget else [], done if work is index else [])
            ended.append(len(done))
        print(f"{work.__name__}: {kills} kills, after {ended}, nothing half done")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
