"""What only all pages of a document together tell: running heads, and the levels of titles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from microfiche.documents.document import Block, PageRead

NUMBERED = re.compile(r"^(\d+(?:\.\d+)*)\.?\s+\S")


def finish(pages: Sequence[PageRead]) -> list[PageRead]:
    """The pages of a document, running heads told from text and titles levelled."""
    return _levelled(_headed(pages))


def _headed(pages: Sequence[PageRead]) -> list[PageRead]:
    def key(block: Block, height: int) -> str | None:
        top, bottom = block.box[1] < 0.12 * height, block.box[3] > 0.88 * height
        if block.kind in ("text", "title") and (top or bottom) and len(block.text) < 120:
            return ("top " if top else "bottom ") + re.sub(r"\d+", "0", block.text)
        return None

    seen = Counter(k for page in pages for k in {key(b, page.height) for b in page.blocks} if k)
    out = []
    for page in pages:
        found = []
        for block in page.blocks:
            k = key(block, page.height)
            if k and seen[k] >= 3:
                block = block.model_copy(update={"kind": "header" if k.startswith("top") else "footer"})
            found.append(block)
        out.append(page.model_copy(update={"blocks": found}))
    return out


def _levelled(pages: Sequence[PageRead]) -> list[PageRead]:
    """Titles by size: the largest is level 1, a tenth smaller the next; a number such as 2.1 says its level itself."""
    sizes = sorted({b.size for p in pages for b in p.blocks if b.kind == "title" and b.size}, reverse=True)
    ranks: dict[float, int] = {}
    rank, start = 0, 0.0
    for size in sizes:
        if size < 0.9 * start or not rank:
            rank, start = rank + 1, size
        ranks[size] = rank

    def level(block: Block) -> int:
        numbered = NUMBERED.match(block.text)
        if numbered and rank > 1:
            return min(6, 2 + numbered[1].count("."))
        return min(6, ranks.get(block.size or 0, 2))

    return [
        page.model_copy(update={"blocks": [
            b.model_copy(update={"level": level(b)}) if b.kind == "title" and b.level is None else b
            for b in page.blocks
        ]})
        for page in pages
    ]
