"""Schedules fall and never rise; fading makes pages smaller by area, keeps their text, and can be undone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.errors import UsageError
from microfiche.memory import Memory
from microfiche.memory.fading import (
    SCHEDULES,
    TOKENS,
    HalfLife,
    Schedule,
    Steps,
    due,
    fade,
    schedule,
    tokens_at,
)
from microfiche.memory.records import Ageing, Clock

PAGE = Ageing(1, side=1280, level=1280, since_page=1, since_turn=1, since_time=0.0)


@pytest.mark.parametrize("by", SCHEDULES.values(), ids=list(SCHEDULES))
@given(ages=st.lists(st.floats(0, 1e9), min_size=2, max_size=9))
def test_a_page_never_gets_sharper_by_ageing(by: Schedule, ages: list[float]) -> None:
    levels = [by.level(age) for age in sorted(ages)]
    assert levels == sorted(levels) and by.level(0) == 0


def test_a_half_life_gives_each_level_its_share() -> None:
    by = HalfLife(half_life=10)
    first = {level: min(age / 10 for age in range(100) if by.level(age) == level) for level in range(6)}
    assert first == {0: 0.0, 1: 0.7, 2: 2.0, 3: 2.7, 4: 4.7, 5: 6.7}
    assert TOKENS == (400, 256, 100, 64, 16, 0)
    assert by.level(by.horizon()) == 5


def test_importance_makes_time_slower_and_units_differ() -> None:
    now = Clock(101, 51, 7200.0)
    assert HalfLife(half_life=1).age(PAGE, now) == 100
    assert HalfLife(half_life=1, unit="turns").age(PAGE, now) == 50
    assert HalfLife(half_life=1, unit="hours").age(replace(PAGE, importance=4.0), now) == 0.5


def test_schedules_are_data() -> None:
    for by in SCHEDULES.values():
        assert schedule(by.model_dump()) == by
    for data, why in (
        ({"kind": "half-life", "half_life": 0}, "half_life: Input should be greater"),
        ({"kind": "steps", "steps": [(0, "tiny"), (1, "base")]}, "levels fall"),
        ({"kind": "steps", "steps": [(0, "huge")]}, "steps.0.1"),
        ({"kind": "half-life", "half_life": 1, "speed": 2}, "speed"),
        ({"kind": "whim"}, "whim"),
        (7, "not a schedule"), ({"kind": "half-life", "half_life": True}, "half_life: nothing of it is true"),
        ({"kind": "steps", "steps": [[0, "tiny"], [True, "gone"]]}, "steps.1.0: nothing"),
    ):
        with pytest.raises(UsageError, match=why):
            schedule(data)


def test_a_memory_fades_by_a_schedule_a_name_or_a_dict(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice")
    pinned = memory.fade("pinned")
    assert pinned == memory.fade({"kind": "pinned"}) == memory.fade(SCHEDULES["pinned"])
    for wrong in ("no-such", {"kind": "no-such"}, 4):
        with pytest.raises(UsageError, match="not a schedule"):
            memory.fade(wrong)  # type: ignore[arg-type]


def test_a_group_fades_at_once_and_is_as_old_as_its_youngest() -> None:
    pages = [replace(PAGE, id=i, since_page=i) for i in range(1, 11)]
    sides = due(pages, Steps(steps=((0, "large"), (3, "tiny"))), Clock(10, 0, 0.0), group=4)
    assert list(sides.values()) == [512] * 4 + [1280] * 6
    recalled = [replace(p, since_page=10) if p.id == 2 else replace(p, pinned=int(p.id == 3)) for p in pages]
    assert [s for p, s in due(recalled, Steps(steps=((0, "large"), (3, "tiny"))), Clock(10, 0, 0.0), group=4).items()
            if p < 5] == [512, 1280, 1280, 512]  # fmt: skip
    assert due([replace(PAGE, side=640)], Steps(steps=((0, "base"),)), Clock(16, 0, 0.0)) == {1: 640}


def test_pages_fade_keep_their_text_and_sharpen_when_recalled(memory: Memory, alice: str) -> None:
    memory.add(alice * 6, name="alice")
    records = memory.records()
    assert len(records) >= 17
    whole = memory.png(records[0])
    by = Steps(steps=((0, "large"), (1, "half-tiny")))
    done = fade(memory, by)
    assert (done.smaller, done.sharper, done.gone, done.first, done.tokens_kept) == (16, 0, 0, 1, 0)
    assert done.tokens_after == sum(tokens_at(r, r.level) for r in memory.records()) < done.tokens_before
    assert [r.level for r in memory.records()[:17]] == [256] * 16 + [512]
    assert len(memory.tokens(records[0], 256)) == 16
    small = memory.page(records[0], 256).image
    assert small.shape == (256, 256) and abs(small.mean() - memory.page(records[0]).image.mean()) < 2
    assert memory.text(1) == alice[: records[0].characters] and memory.png(1) == whole
    assert fade(memory, by).first is None, "nothing is left to do"
    memory.recall([3])
    again = fade(memory, by)
    assert (again.sharper, again.first, again.tokens_kept) == (1, 3, 32)
    assert memory.record(3).level == 512
    gone = fade(memory, Steps(steps=((0, "gone"),)))
    assert gone.gone == 16 and memory.version_text("alice") == alice * 6
    fade(memory, SCHEDULES["pinned"])
    assert {r.level for r in memory.records()} == {512}
    memory.pin([5])
    fade(memory, Steps(steps=((0, "gone"),)))
    assert next(r.id for r in memory.records() if r.level) == 5
    with pytest.raises(UsageError, match="no page 99999"):
        memory.pin([99999])
