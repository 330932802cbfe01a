"""Random chats in every shape: nothing is lost between what is stored and what is sent, no budget is passed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from memory_chats import SHAPES, check, text

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
