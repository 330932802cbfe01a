"""What only all pages of a document show: running heads, page numbers, words over columns and pages, levels of titles.

A pure function of the pages as they were read, so that they may be read anywhere and in any order.
"""

from __future__ import annotations

from collections.abc import Sequence

from microfiche.documents.document import ASIDE, PageRead
from microfiche.documents.finishing import furniture, hyphens, levels
from microfiche.documents.finishing.languages import language_of
from microfiche.documents.inline import NONCHARACTERS, UNSEEN, markdown, visible


def finish(pages: Sequence[PageRead]) -> list[PageRead]:
    """All pages of a document, in the order of their numbers, as they stand in it: running heads, running feet and page
    numbers marked as such, words that a line's end divides put together, each title with its level, and each page with
    the code of its language where that is plain."""
    ordered = sorted((_clean(page) for page in pages), key=lambda page: page.number)
    done = levels.levelled(hyphens.put_together(furniture.marked(ordered)))
    return [page if page.language else with_language(page) for page in done]


def with_language(page: PageRead) -> PageRead:
    """The page with the code of its text's language, where that is plain."""
    code = language_of(" ".join(block.text for block in page.blocks if block.kind not in ("code", "formula", *ASIDE)))
    return page.model_copy(update={"language": code}) if code else page


def _clean(page: PageRead) -> PageRead:
    """The page without characters that are not seen, and with no mark left that is not Markdown."""
    if not any(UNSEEN.search(block.text) or NONCHARACTERS.search(block.text) for block in page.blocks):
        return page
    return page.model_copy(update={"blocks": [
        block.model_copy(update={
            "text": markdown(block.text) if NONCHARACTERS.search(block.text) else visible(block.text)
        })
        for block in page.blocks
    ]})
