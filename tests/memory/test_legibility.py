"""What is still read of pages: the forgetting curve falls, and the densest print above a wanted precision is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from microfiche.memory import Memory
from microfiche.memory.fading import LEVELS, SCHEDULES, SIDES
from microfiche.memory.legibility import Probe, calibrate, densest, measure_levels, plot_levels, sample
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


def test_the_densest_is_that_with_the_most_text_a_token_above_what_is_wanted() -> None:
    tried = [Probe("5x8", "tiny", 0.99, 0.5, 64, 20.0), Probe("7x13", "tiny", 0.98, 0.97, 64, 10.0),
             Probe("6x10", "tiny", 1.0, 0.99, 64, 15.0), Probe("4x6", "tiny", 1.0, 1.0, 64, 40.0, "failed")]
    best = densest(tried, 0.97)
    assert best is not None and best.density == "6x10" and densest(tried, 0.995) is None


def test_a_memory_is_set_by_the_best_probe_and_stays_where_none_is_good_enough(memory: Memory) -> None:
    tried = [Probe("5x8", "small", 0.99, 0.98, 100, 20.0), Probe("4x6", "small", 0.5, 0.4, 100, 40.0)]
    assert calibrate(memory, tried, 0.99, "other") is None
    assert memory.setting("manner") == {"density": "7x13", "mode": "tiny", "layout": "dense"}
    assert calibrate(memory, tried, 0.97, "other") == tried[0]
    assert memory.setting("manner") == {"density": "5x8", "mode": "small", "layout": "dense"}
    kept = memory.setting("calibration other")
    assert isinstance(kept, list) and [row["density"] for row in kept] == ["5x8", "4x6"]
