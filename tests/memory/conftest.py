"""What the memory's tests share: nano, and memories of small pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from microfiche.memory import Memory
from microfiche.nano.cells import Nano
from microfiche.readers import load

ALICE = (Path(__file__).parent.parent.parent / "examples/alice-1.txt").read_text()


@pytest.fixture(scope="session")
def nano() -> Nano:
    return load()


@pytest.fixture
def alice() -> str:
    return ALICE


@pytest.fixture
def opened(tmp_path: Path, nano: Nano) -> Iterator[Callable[..., Memory]]:
    """Opens memories of Tiny pages (64 tokens, some 850 characters at 7x13 … 6,500 at 5x8), and closes them."""
    made: list[Memory] = []

    def open_memory(name: str = "m.memory", **options: object) -> Memory:
        settings = {"mode": "tiny", "density": "7x13", "model": nano, "timeout": 0.2, **options}
        made.append(Memory(tmp_path / name, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield open_memory
    for memory in made:
        memory.close()


@pytest.fixture
def memory(opened: Callable[..., Memory]) -> Memory:
    return opened()
