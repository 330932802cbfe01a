"""Which page goes into a context in which form, within a budget of tokens.

A page has forms, the best first, each cheaper than the one before it: as text, as pictures of several sizes, and last
not at all. The history is planned by itself, so that what was appended since does not change it; then what is left is
spent. This module knows nothing of what a form is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FASTER = 25  #: steps by which time may run faster; each is a factor of √2
#: Shares: of the budget for a history as old as it is, and for one for which time runs faster; of the rest for pages
#: that are wanted sharp.
WHOLE, HISTORY, SHARP = 0.75, 0.5, 0.25


@dataclass(frozen=True)
class Candidate:
    """A page that may go in: the `costs` in tokens of its forms, the best first and each less than the one before, the
    last 0 for none; and `levels`, the best form that it may have now, then those as time runs faster and faster."""

    id: int
    costs: tuple[int, ...]
    levels: tuple[int, ...]

    @property
    def gone(self) -> int:
        """The form in which the page does not go in."""
        return len(self.costs) - 1

    def best(self, first: int, room: int) -> int:
        """The best form from `first` on that costs at most `room`."""
        return next(i for i in range(first, len(self.costs)) if self.costs[i] <= room)


@dataclass(frozen=True)
class Plan:
    """The form of every page by its number (`levels`), and the pages that come once more at the end in a better form
    (`again`).

    `faster` is how many steps faster time ran for the history, and `tokens` is what all of it costs.
    """

    levels: dict[int, int]
    again: dict[int, int]
    faster: int
    tokens: int


def plan(
    history: Sequence[Candidate], recent: Sequence[Candidate], wanted: Sequence[Candidate], budget: int
) -> Plan:
    """Decides which page goes in in which form; what it takes is never more than `budget`, and no page is left that
    could have a better form for what remains.

    `history` and `recent` are in their order, oldest first, and `wanted` in the order of their worth. The history gets
    at most WHOLE of the budget, which leaves room for a block of recent pages, or if that is not enough at most
    HISTORY, so that its forms hold for longer; of the rest, wanted pages get SHARP and recent ones, the newest first,
    what is left. What then remains goes to wanted pages, to recent ones, and to those of the history, which come once
    more at the end, so that its own part of the prefix stays.
    """
    levels, faster, used = _history(history, int(budget * WHOLE), int(budget * HISTORY))
    left = budget - used
    again: dict[int, int] = {}
    share = int(left * SHARP)
    for page in wanted:
        if page.costs[0] <= share and page.costs[0] and levels.get(page.id) != 0:
            again[page.id] = 0
            share -= page.costs[0]
            left -= page.costs[0]
    for page in reversed(recent):
        levels[page.id] = page.best(page.levels[0], left)
        left -= page.costs[levels[page.id]]
    for page in wanted:  # a page that goes in in its best form need not come again
        if page.id in again and levels[page.id] == 0:
            del again[page.id]
            left += page.costs[0]
    while True:
        before = left
        for page in reversed(recent):
            best = page.best(page.levels[0], left + page.costs[levels[page.id]])
            left += page.costs[levels[page.id]] - page.costs[best]
            levels[page.id] = best
            if best == 0 and page.id in again:
                left += page.costs[again.pop(page.id)]
        if left == before:
            break
    more = [(page, 0) for page in wanted] + [(page, page.levels[0]) for page in reversed(history)]
    for page, first in more:
        shown = min(levels[page.id], again.get(page.id, page.gone))
        best = page.best(first, left)
        if best < shown and page.id not in again:
            again[page.id] = best
            left -= page.costs[best]
    order = [page.id for page in (*history, *recent)]
    return Plan({i: levels[i] for i in order}, again, faster, budget - left)


def _history(pages: Sequence[Candidate], whole: int, budget: int) -> tuple[dict[int, int], int, int]:
    """The forms, how many steps faster time runs, and the tokens, at most `whole` where it runs no faster, and else at
    most `budget`. The oldest pages are left out if no speed is enough, and what is left of the budget makes the newest
    pages better again."""
    for faster in range(FASTER):
        levels = {page.id: page.levels[min(faster, len(page.levels) - 1)] for page in pages}
        used = sum(page.costs[levels[page.id]] for page in pages)
        if used <= (budget if faster else whole):
            break
    else:
        faster, used = FASTER, 0
        for page in reversed(pages):
            if page.costs[levels[page.id]] > budget - used:
                levels[page.id] = page.gone
            used += page.costs[levels[page.id]]
    for page in reversed(pages if faster else ()):
        before = levels[page.id]
        levels[page.id] = page.best(page.levels[0], budget - used + page.costs[before])
        used += page.costs[levels[page.id]] - page.costs[before]
    return levels, faster, used


def block(page_cost: int, budget: int) -> int:
    """The pages of a block: the largest power of two that, at full size, take a quarter of the budget at most."""
    pages = 1
    while 2 * pages * page_cost <= budget // 4 and pages < 4096:
        pages *= 2
    return pages


def shared(before: Sequence[tuple[object, int]], after: Sequence[tuple[object, int]]) -> float:
    """The share of the tokens of `after`, a list of (what stands there, its tokens), that a cache of `before` holds.

    Those are the tokens up to the first difference; the share is 1 where there are no tokens.
    """
    same = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        same += new[1]
    total = sum(tokens for _, tokens in after)
    return same / total if total else 1.0
