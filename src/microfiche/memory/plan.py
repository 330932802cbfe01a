"""Which page goes into a context at which size, under a budget that is never passed. Pure: numbers in, numbers out.

The history, older than the last block of pages, is planned by itself, so that it stays the same, byte for byte, until
the next block is full, and a provider's cached prefix holds. If it is too long, time runs faster for it until it fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FASTER = 25  #: steps by which time may run faster; each is a factor of √2
HISTORY, WANTED = 0.5, 0.25  #: shares of the budget for the history and, of the rest, for pages that are wanted sharp


@dataclass(frozen=True)
class Candidate:
    """A page: `costs` in tokens at each level, its own size first and the last, gone, 0; and `levels`, its level as
    time runs faster and faster, first as it is now."""

    id: int
    costs: tuple[int, ...]
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """`levels` of the pages of the history and after it that go in, by id; pages `sharp` once more at the end; how many
    steps `faster` time ran for the history; and the `tokens` of all."""

    levels: dict[int, int]
    sharp: tuple[int, ...]
    faster: int
    tokens: int


def plan(
    history: Sequence[Candidate],
    recent: Sequence[Candidate],
    wanted: Sequence[Candidate],
    budget: int,
) -> Plan:
    """The plan for pages in their order, oldest first; `wanted` in the order of their worth.

    The history gets at most HISTORY of the budget; of the rest wanted pages get WANTED, recent ones what is left, the
    newest first; each at the sharpest of its levels that fits.
    """
    levels, faster, used = _history(history, int(budget * HISTORY))
    left = budget - used
    kept: dict[int, int] = {}
    sharp: list[int] = []
    share = int(left * WANTED)
    for page in wanted:
        if page.costs[0] <= share:
            sharp.append(page.id)
            share -= page.costs[0]
            left -= page.costs[0]
    for page in reversed(recent):
        level = next(i for i in range(page.levels[0], len(page.costs)) if page.costs[i] <= left)
        kept[page.id] = level
        left -= page.costs[level]
    # A page that is whole already need not come again.
    again = [page for page in wanted if page.id in sharp and {**levels, **kept}.get(page.id, -1) == 0]
    left += sum(page.costs[0] for page in again)
    doubled = {page.id for page in again}
    shown = {**levels, **{page.id: kept[page.id] for page in recent}}
    return Plan(shown, tuple(i for i in sharp if i not in doubled), faster, budget - left)


def _history(pages: Sequence[Candidate], budget: int) -> tuple[dict[int, int], int, int]:
    """Levels, the steps that time runs faster, and the tokens used; the oldest are left out if no speed is enough."""
    for faster in range(FASTER):
        levels = {page.id: page.levels[min(faster, len(page.levels) - 1)] for page in pages}
        used = sum(page.costs[levels[page.id]] for page in pages)
        if used <= budget:
            return levels, faster, used
    left = budget
    for page in reversed(pages):
        if page.costs[levels[page.id]] > left:
            levels[page.id] = len(page.costs) - 1
        left -= page.costs[levels[page.id]]
    return levels, FASTER, budget - left


def block(page_cost: int, budget: int) -> int:
    """How many pages make a block: the largest power of two of them that, whole, take a quarter of the budget."""
    pages = 1
    while 2 * pages * page_cost <= budget // 4 and pages < 4096:
        pages *= 2
    return pages


def shared(before: Sequence[tuple[object, int]], after: Sequence[tuple[object, int]]) -> float:
    """The share of the tokens of `after`, a list of (what stands there, tokens), that a cache of `before` holds: those
    up to the first difference; 1 where there are none."""
    same = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        same += new[1]
    total = sum(tokens for _, tokens in after)
    return same / total if total else 1.0
