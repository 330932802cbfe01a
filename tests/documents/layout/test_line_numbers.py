"""Numbers in a margin that count the lines of what stands beside them are no part of the text."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.text_lines import TextLine

PROSE = (
    "The committee met on the third of March to consider the accounts of the", "harbour and the state of its walls."
    " Several members held that the repairs", "could wait another winter, since the frost had been mild and the tides",
    "low. Others answered that a single storm might cost more than ten years", "of masonry. After some discussion the"
    " chairman proposed that an engineer", "be asked for his opinion, and that the matter be settled in May. It was",
    "further resolved that the fees for small boats should remain as they were", "although the costs of dredging had"
    " risen by a fifth since last summer.",
)  # fmt: skip
VERSE = ("The lamps are dark along the pier,", "The tide is low and slow,", "And no one comes to mend them here",
         "Who used to, long ago.", "The frost was mild, the walls still hold", "Another winter through,",
         "The masons ask to have their gold", "And leave the stones to you.", "A single storm may cost us more",
         "Than ten years of work in stone.")  # fmt: skip


def line(text: str, x: float, y: float, size: float = 20, right: bool = False, **known: float) -> TextLine:
    width = 0.46 * size * len(text)
    x = x - width if right else x
    return TextLine(text, (x, y, x + width, y + 1.1 * size), size, **known)  # type: ignore[arg-type]


def read(lines: list[TextLine]) -> list[Block]:
    return blocks(lines, [], Image.new("RGB", (1000, 1400), "white"))


def markdown(found: list[Block]) -> str:
    page = PageRead(number=1, width=1000, height=1400, blocks=found)
    return Document(name="x", sha256="0" * 64, pages=[page]).markdown().strip()


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("first", [1, 96])
@pytest.mark.parametrize("right", [False, True])
def test_numbers_of_all_lines_stand_apart(right: bool, first: int, small: bool) -> None:
    size = 12.0 if small else 20.0
    lines = [line(text, 150, 100 + 27 * i) for i, text in enumerate(PROSE)]
    lines += [
        line(str(first + i), 900 if right else 120, 104 + 27 * i, size, right=True) for i in range(len(PROSE))
    ]
    found = read(lines)
    assert [block.kind for block in found] == ["text", "number"]
    assert found[0].text == " ".join(PROSE)
    assert found[1].text.split() == [str(first + i) for i in range(len(PROSE))]
    assert markdown(found) == " ".join(PROSE)


@pytest.mark.parametrize("first", [0, 2])
def test_each_fifth_line_is_numbered(first: int) -> None:
    lines = [line(text, 150, 100 + 27 * i) for i, text in enumerate(VERSE)]
    lines += [line(str(n), 700, 100 + 27 * (n - 1 - first), 16) for n in (5, 10)]
    found = read(lines)
    numbers = [block.text.split() for block in found if block.kind == "number"]
    assert numbers == ([["5", "10"]] if first == 0 else [])  # two numbers that do not count from the top may be others


def test_numbers_of_a_fixed_pitch_count_blank_lines_and_closely_set_ones() -> None:
    lines = [line(str(n), 120, 100 + 40 * n, right=True) for n in range(1, 29)]
    head = ["Jane Roe (SBN 123456)", "ROE & PARTNERS LLP", "1200 Main Street, Suite 40", "Sacramento"]
    lines += [line(text, 150, 140 + 20 * i) for i, text in enumerate(head)]
    lines += [line(text, 150, 340 + 40 * i) for i, text in enumerate(PROSE)]
    found = read(lines)
    assert [block.kind for block in found][-1] == "number"
    assert markdown(found) == "  \n".join(head) + "\n\n" + " ".join(PROSE)


def test_numbers_that_were_recognised_with_their_lines_are_cut_off() -> None:
    lines = []
    for i, text in enumerate(PROSE):
        shown = {3: "s", 5: "|"}.get(i, str(i + 1))
        whole = line(f"{shown} {text}", 150, 100 + 27 * i, confidence=0.95)
        gap = (162.0, 180.0)
        lines.append(TextLine(whole.text, whole.box, whole.size, confidence=0.95, gaps=(gap,) if i % 2 else ()))
    found = read(lines)
    assert markdown(found) == " ".join(PROSE)


@pytest.mark.parametrize(("names", "step"), [
    (("Adam Smith", "Berta Klein", "Carl Moor", "Dora Lind", "Emil Roth", "Fritz Kern", "Gerda Voss"), 27),
    (("apples", "pears", "plums", "quinces", "cherries", "grapes", "currants"), 27),
])  # fmt: skip
def test_what_a_list_counts_keeps_its_numbers(names: tuple[str, ...], step: int) -> None:
    lines = [line(text, 150, 100 + step * i) for i, text in enumerate(names)]
    lines += [line(str(i + 1), 120, 100 + step * i) for i in range(len(names))]
    found = read(lines)
    assert "number" not in [block.kind for block in found]
    assert all(f"{i + 1}" in markdown(found) for i in range(len(names)))


def test_the_pages_of_a_table_of_contents_stay() -> None:
    titles = [name + " ." * 18 for name in ("Walls", "Lamps", "Boats", "Fees", "Tides", "Ice")]
    lines = [line(text, 150, 100 + 27 * i) for i, text in enumerate(titles)]
    lines += [line(str(i + 1), 800, 100 + 27 * i, 16, right=True) for i in range(len(titles))]
    assert "number" not in [block.kind for block in read(lines)]


@pytest.mark.parametrize("right", [False, True])
def test_quantities_between_other_columns_count_no_lines(right: bool) -> None:
    rows = [("1", "Oak desk, delivered and assembled", "2", "698.00"), ("2", "Desk lamp", "4", "158.00")]
    lines = [line("and set up in the third floor of the house", 150, 130)]
    for i, (number, what, count, sum_) in enumerate(rows):
        y = 115.0 + 45 * i
        lines += [line(number, 100, y), line(what, 150, y - 10 * (i == 0)), line(sum_, 900, y, right=True)]
        lines.append(line(count, 720, y, right=right))
    assert not [block for block in read(lines) if block.kind == "number"]
