"""What is still read of pages: the forgetting curve falls."""

from __future__ import annotations

from pathlib import Path

import pytest

from microfiche.memory import Memory
from microfiche.memory.fading import LEVELS, SCHEDULES, SIDES
from microfiche.memory.legibility import measure_levels, plot_levels, sample
from microfiche.nano.cells import Nano


@pytest.mark.parametrize("density", ["7x13", "5x8"])
def test_the_forgetting_curve_falls_at_every_level(density: str, nano: Nano, alice: str, tmp_path: Path) -> None:
    with Memory(tmp_path / "large.memory", density=density, model=nano) as large:
        large.add(alice, name="alice")
        levels = measure_levels(sample(large, 1), nano)
    assert [level.name for level in levels] == list(LEVELS) and [level.side for level in levels] == list(SIDES)
    kept = [level.kept for level in levels]
    assert kept == sorted(kept, reverse=True) and kept[0] > 0.99 and kept[1] > 0.9 and kept[-2] < 0.05
    assert all(level.chance < 0.25 for level in levels) and levels[-1].precision == 0
    plot_levels(levels, SCHEDULES["half-life"], 1280, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    for by in SCHEDULES.values():
        course = [levels[by.level(age)].kept for age in range(0, 600)]
        assert course == sorted(course, reverse=True)
