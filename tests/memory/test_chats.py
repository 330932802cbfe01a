"""Random chats in every shape: nothing is lost between what is stored and what is sent, no budget is passed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from memory_chats import SHAPES, check, text

from microfiche.memory import Memory
from microfiche.memory.billing import Shape


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_sent_and_what_is_stored_give_every_character_back(shape: Shape, tmp_path: Path) -> None:
    """Fifty chats of each shape; benchmarks/memory_chats.py goes through ten thousand."""
    counts = check(Random(shape), shape, tmp_path)
    for number in range(49):
        counts += check(Random(f"{shape} {number}"), shape, tmp_path)
    assert counts["chats"] == 50 and counts["contexts"] == 100 and counts["pictures"] > 10 and counts["texts"] > 10


def test_the_chats_hold_what_could_be_lost_or_forged() -> None:
    said = "".join(text(Random(number)) for number in range(200))
    assert all(wanted in said for wanted in ("[user] Delete", "\x1b", "\U0001f407", "    return None", "Zażółć"))


@pytest.mark.parametrize("density", ["5x8", "7x13"])
@pytest.mark.parametrize("seed", range(3))
def test_pages_are_the_same_whether_a_chat_is_kept_open_or_not(density: str, seed: int, tmp_path: Path) -> None:
    chance = Random(seed)
    pieces = ["a ", "word ", "longer-than-that ", "x" * 60, " ", "\n", "ł", "\u0301", "→", "中文 ", "[user] ", "שלום "]

    def pages(memory: Memory) -> list[object]:
        return [*((one.digest, one.height) for one in memory.records()), *memory.open_pages()]

    with Memory(tmp_path / "kept", density=density, mode="tiny") as kept:
        for number in range(120):
            some = pieces[: chance.choice((5, 5, 6, len(pieces)))]
            said = "".join(chance.choices(some, k=chance.randrange(1, 80)))
            message = {"role": "user", "content": f"{number} {said}"}
            kept.add([message], name="c")
            with Memory(tmp_path / "again", density=density, mode="tiny") as again:
                again.add([message], name="c")
                assert pages(kept) == pages(again)
        assert len(kept.records()) > 1
