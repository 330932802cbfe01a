"""The levels of a document's titles, by the size of their type and by their numbers.

Sizes are ranks: the largest is level 1, and there are three levels at most. What OCR measures differs from page to page
by a tenth or more, so that sizes near to each other count as one. Numbers such as 2.1 give levels of any depth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from microfiche.documents.document import Block, PageRead

NUMBERED = re.compile(r"^(?:§\s?)?(\d{1,3}(?:\.\d{1,3})*|[A-Z](?:\.\d{1,3})+)(?:\.|\\\.)?\s+\S")
LEVELS = 3  #: at most, where numbers give no more
DEEPEST = 6  #: level that Markdown has
EXACT, NOISY = 1.04, 1.15  #: the largest of type sizes that are one over the smallest, in a text layer and by OCR


def levelled(pages: Sequence[PageRead]) -> list[PageRead]:
    """The pages, each title with its level; one whose size is not known keeps its level, or is of level 2."""
    titles = [block for page in pages for block in page.blocks if block.kind == "title"]
    if not titles:
        return list(pages)
    known = [block for block in titles if block.size]
    noisy = any(block.confidence is not None and block.confidence < 1 for block in known)
    ranks = _ranks([block.size or 0.0 for block in known], NOISY if noisy else EXACT)
    level_of = _Levels(known, ranks)

    def level(block: Block) -> int:
        return level_of(block) if block.size else block.level or 2

    return [
        page.model_copy(update={"blocks": [
            block.model_copy(update={"level": level(block)}) if block.kind == "title" else block
            for block in page.blocks
        ]})
        if any(block.kind == "title" for block in page.blocks) else page
        for page in pages
    ]


class _Levels:
    """The level of a title: by its number, or by the rank of its size among those of the numbered titles."""

    def __init__(self, titles: Sequence[Block], ranks: dict[float, int]) -> None:
        self.ranks = ranks
        depths: dict[int, list[int]] = {}
        for block in titles:
            if (depth := depth_of(block.text)) is not None:
                depths.setdefault(ranks[block.size or 0.0], []).append(depth)
        numbered = [depth for found in depths.values() for depth in found]
        self.counts = len(numbered) > 1 or any(numbered)
        self.base = 1
        if self.counts:
            top = min(numbered)
            its = [rank for rank, found in depths.items() if top in found]
            self.base = max(1, min(its) - top)
        self.shift: dict[int, int] = {}
        last = 0
        for rank in sorted(set(ranks.values())):
            found = depths.get(rank, []) if self.counts else []
            last = max(last, self.base + min(found)) if found else max(last, min(rank, LEVELS))
            self.shift[rank] = last

    def __call__(self, block: Block) -> int:
        depth = depth_of(block.text) if self.counts else None
        if depth is not None:
            return min(DEEPEST, self.base + depth)
        return min(DEEPEST, self.shift[self.ranks[block.size or 0.0]])


def depth_of(text: str) -> int | None:
    """How deep the number of a title is: 0 for "2 Name", 1 for "2.1 Name"; None if it has none."""
    found = NUMBERED.match(text)
    return found[1].count(".") if found else None


def _ranks(sizes: Sequence[float], tolerance: float) -> dict[float, int]:
    """The rank of each size from 1, the largest, to LEVELS at most; sizes of one rank differ by `tolerance` at most, if
    there are ranks enough."""
    groups: list[list[float]] = []
    for size in sorted(set(sizes), reverse=True):
        if groups and groups[-1][0] <= size * tolerance:
            groups[-1].append(size)
        else:
            groups.append([size])
    while len(groups) > LEVELS:
        k = min(range(len(groups) - 1), key=lambda k: groups[k][-1] / groups[k + 1][0])
        groups[k : k + 2] = [groups[k] + groups[k + 1]]
    return {size: rank for rank, group in enumerate(groups, 1) for size in group}
