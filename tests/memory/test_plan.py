"""Plans: never over the budget, never a better form left for what remains, a history that stays as it was."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.memory.plan import FASTER, Candidate, block, plan, shared


def some(rng: Random, first: int, most: int = 8) -> list[Candidate]:
    """Random pages with up to five forms, each cheaper than the one before."""
    made = []
    for number in range(rng.randint(0, most)):
        costs = (*sorted(rng.sample(range(1, 900), rng.randint(0, 5)), reverse=True), 0)
        levels = sorted(rng.choices(range(len(costs)), k=rng.randint(1, FASTER)))
        made.append(Candidate(first + number, costs, tuple(levels)))
    return made


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 6000))
def test_a_budget_is_never_passed(rng: Random, budget: int) -> None:
    check(some(rng, 0), some(rng, 100), rng, budget)


def test_a_budget_is_never_passed_in_ten_thousand_random_memories() -> None:
    rng = Random(0)
    for _ in range(10_000):
        check(some(rng, 0), some(rng, 100), rng, rng.randint(0, 6000))


def check(history: list[Candidate], recent: list[Candidate], rng: Random, budget: int) -> None:
    every = {page.id: page for page in (*history, *recent)}
    wanted = rng.sample(list(every.values()), rng.randint(0, len(every)))
    made = plan(history, recent, wanted, budget)
    total = sum(every[i].costs[level] for shown in (made.levels, made.again) for i, level in shown.items())
    assert total == made.tokens <= budget
    assert list(made.levels) == list(every)
    assert all(made.levels[i] >= page.levels[0] for i, page in every.items()), "never better than it may be"
    asked = {page.id for page in wanted}
    for i, level in made.again.items():
        assert level < made.levels[i], "nothing comes again that stands there as good"
        assert i in asked or (i < 100 and level >= every[i].levels[0])
    left = budget - made.tokens
    for i, page in every.items():
        shown = min(made.levels[i], made.again.get(i, page.gone))
        for level in range(0 if i in asked else page.levels[0], shown):
            takes = page.costs[level]  # to come once more at the end, or, for a recent page, in its place
            if i in made.again:
                takes -= page.costs[made.again[i]]
            elif i >= 100 and level >= page.levels[0]:
                takes -= page.costs[made.levels[i]]
            assert takes > left, "a whole upgrade is left unspent"


@given(st.integers(1, 5000), st.integers(1, 10**7))
def test_a_block_takes_a_quarter_at_most(cost: int, budget: int) -> None:
    pages = block(cost, budget)
    assert pages == 1 or pages * cost <= budget // 4


def test_the_history_does_not_depend_on_what_came_after() -> None:
    history = [Candidate(i, (400, 256, 100, 64, 16, 0), (0, 0, 1, 2, 3, 4, 5)) for i in range(8)]
    recent = [Candidate(100 + i, (400, 256, 100, 64, 16, 0), (0,)) for i in range(4)]
    alone, followed = plan(history, [], [], 3000), plan(history, recent, recent, 3000)
    assert {i: alone.levels[i] for i in range(8)} == {i: followed.levels[i] for i in range(8)}
    assert alone.faster == 3, "time three steps faster: eight at Small, of which the newest grow until half is spent"
    assert list(alone.levels.values()) == [2] * 6 + [0] * 2 and alone.again == {5: 0, 4: 0, 3: 0, 2: 0}


def test_a_history_that_leaves_room_for_a_block_goes_in_whole_and_once() -> None:
    pages = [Candidate(i, (400, 256, 100, 64, 16, 0), (0, 0, 1, 2, 3, 4, 5)) for i in range(8)]
    history, recent = pages[:6], pages[6:]
    made = plan(history, recent, recent, 3200)
    assert set(made.levels.values()) == {0} and not made.again and made.faster == 0 and made.tokens == 3200
    assert plan(history, recent, [], 3199).faster == 2, "six at their best take more than three quarters"


def test_shared_is_the_part_before_the_first_difference() -> None:
    assert shared([("a", 3), ("b", 1)], [("a", 3), ("b", 1), ("c", 4)]) == 0.5
    assert shared([("a", 3)], [("x", 3), ("a", 3)]) == 0 and shared([], []) == 1


