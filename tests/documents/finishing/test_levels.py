"""Titles are of three levels at most, the largest first; numbers give more."""

from __future__ import annotations

import random

from microfiche.documents.document import Block, PageRead
from microfiche.documents.finishing.finish import finish


def levels(*titles: tuple[str, float], sure: float = 1.0) -> list[int | None]:
    pages = [
        PageRead(
            number=n,
            width=1000,
            height=1400,
            blocks=[Block(kind="title", box=(100, 700, 300, 740), text=text, size=size, confidence=sure)],
        )
        for n, (text, size) in enumerate(titles, 1)
    ]
    return [page.blocks[0].level for page in finish(pages)]


def test_the_largest_is_first_and_three_is_the_last() -> None:
    assert levels(("A", 1.2), ("B", 2.0), ("C", 1.5), ("D", 1.0), ("E", 1.1)) == [3, 1, 2, 3, 3]
    assert levels(("A", 1.3)) == levels(("A", 1.05)) == [1]
    assert levels(("A", 1.4), ("B", 1.3)) == [1, 2]


def test_sizes_that_ocr_measures_are_near_each_other() -> None:
    draw = random.Random(1)
    wanted = [draw.choice([1, 2, 3]) for _ in range(40)]
    titles = [(f"Words {n}", {1: 2.4, 2: 1.7, 3: 1.2}[n] * draw.uniform(0.94, 1.06)) for n in wanted]
    assert levels(*titles, sure=0.9) == wanted
    assert levels(("A", 1.5), ("B", 1.4), ("C", 1.45), sure=0.95) == [1, 1, 1]


def test_numbers_give_levels() -> None:
    assert levels(
        ("The Whole", 2.0),
        ("2 A Part", 1.4),
        ("2.1 A Smaller", 1.4),
        ("2.1.1 Smaller yet", 1.1),
        ("2.1.1.1 The smallest", 1.0),
        ("References", 1.4),
        ("An Aside", 1.1),
    ) == [1, 2, 3, 4, 5, 2, 4]
    assert levels(("1. Lamps", 1.5), ("1.1. Oil", 1.2), ("2. Rivers", 1.5), ("Sources", 1.5)) == [1, 2, 1, 1]
    assert levels(("1 Lamps", 1.0), ("2 Rivers", 1.0), ("2.1 Ulm", 1.0), ("2.10 Ulm", 1.0)) == [1, 1, 2, 2]


def test_a_year_and_one_number_alone_are_no_numbering() -> None:
    assert levels(("Report", 2.0), ("2024 in Review", 1.5), ("12 Lamps", 1.2)) == [1, 2, 3]


def test_titles_of_unknown_size_keep_the_level_that_they_have() -> None:
    blocks = [Block(kind="title", box=(0, 0, 1, 1), text=f"A{n}", level=n) for n in (1, 4)]
    blocks.append(Block(kind="title", box=(0, 0, 1, 1), text="B"))
    assert [b.level for b in finish([PageRead(number=1, blocks=blocks)])[0].blocks] == [1, 4, 2]
