"""Kills a writer again and again, and checks what it acknowledged: python tests/memory/killing.py FOLDER KILLS

The writer adds to a chat and texts in turn; its vision tokens are noise, so that it is the store that is tried.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from microfiche.memory import Memory
from microfiche.page import Checkpoint, Page, Reading, VisionTokens

torch.set_num_threads(1)  # its threads would not survive a fork


class Noise:
    """A model whose tokens mean nothing."""

    checkpoint = Checkpoint("noise", "0" * 64)
    letters = None

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        tokens = []
        for page in pages:
            height, width = page.image.shape[0] // 64, page.image.shape[1] // 64
            values = torch.randn(height * width, 64)
            tokens.append(VisionTokens(values, height, width, page.setting, self.checkpoint))
        return tokens

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        return [Reading("") for _ in tokens]


def opened(path: Path) -> Memory:
    return Memory(path, density="5x8", mode="tiny", model=Noise(), timeout=600)  # type: ignore[arg-type]


def message(i: int) -> str:
    return f"message {i} " + "word " * 150


def text(i: int) -> str:
    return f"text {i} " + "something long " * 500 + str(i)


def write(path: Path, first: int, acknowledge: int) -> None:
    memory = opened(path)
    for i in range(first, first + 100_000):
        if i % 3 == 0:
            memory.add(text(i), name=f"text {i // 6}")
        memory.add([{"role": "user", "content": message(i)}])
        os.write(acknowledge, f"{i}\n".encode())


def check(path: Path, last: int) -> int:
    """How many messages there are; at least those up to `last`, each whole and in order, and the texts to them."""
    with opened(path) as memory:
        assert memory.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        said = memory.version_text("chat").splitlines() if memory.names() else []
        assert len(said) > last, f"{last + 1} acknowledged, {len(said)} there"
        assert said == [f"[user] {message(i)}" for i in range(len(said))]
        newest = {i // 6: i for i in range(0, last + 1, 3)}
        for name, i in newest.items():
            assert memory.version_text(f"text {name}") in (text(i), text(i + 3))
        for record in memory.records():
            memory.tokens(record), memory.png(record), memory.text(record)
        return len(said)


def main(folder: Path, kills: int) -> None:
    random.seed(0)
    path, last, there = folder / "killed.memory", -1, 0
    for _ in range(kills):
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            write(path, there, theirs)
        os.close(theirs)
        select.select([ours], [], [], 600)
        time.sleep(random.random() * 0.1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(ours) as pipe:
            acknowledged = pipe.read().splitlines()
        last = int(acknowledged[-1]) if acknowledged else last
        there = check(path, last)
    print(f"{kills} kills, {there} messages, none lost that was acknowledged")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
