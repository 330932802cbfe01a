"""Boxes are read in the order of a page's columns, heads, sheets and side bars."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from microfiche.documents.layout.columns import columns
from microfiche.page import Box

GUTTER = 10.0  #: half an em of type of 20 px


def stack(x: float, y: float, count: int, width: float = 200, pitch: float = 24) -> list[Box]:
    """Lines of a column, from its top left corner."""
    return [(x, y + pitch * i, x + width, y + pitch * i + 20) for i in range(count)]


def order(*parts: list[Box], heads: tuple[int, ...] = ()) -> list[int]:
    """For the boxes in reading order, the numbers of the parts that they are of, each once in a row."""
    boxes = [box for part in parts for box in part]
    owner = [k for k, part in enumerate(parts) for _ in part]
    read = [owner[i] for piece in columns(boxes, GUTTER, heads) for i in piece]
    return [k for i, k in enumerate(read) if i == 0 or read[i - 1] != k]


@given(
    st.lists(st.tuples(*[st.floats(0, 900)] * 2, *[st.floats(1, 300)] * 2), max_size=30),
    st.floats(1, 50),
    st.sets(st.integers(0, 29)),
)
def test_every_box_is_read_once(
    shapes: list[tuple[float, float, float, float]], gutter: float, heads: set[int]
) -> None:
    boxes = [(x, y, x + w, y + h) for x, y, w, h in shapes]
    assert sorted(i for column in columns(boxes, gutter, heads) for i in column) == list(range(len(boxes)))


def test_a_gutter_of_a_few_pixels_parts_columns_whose_lines_are_not_level() -> None:
    assert order(stack(0, 0, 12), stack(205, 7, 12), stack(410, 0, 12), stack(615, 3, 12)) == [0, 1, 2, 3]


def test_a_head_over_some_columns_is_read_before_them() -> None:
    head, first, second, third = stack(0, 0, 1, 420), stack(0, 40, 8), stack(220, 40, 8), stack(440, 0, 10)
    assert order(head, first, second, third) == [0, 1, 2, 3]


def test_a_foot_across_columns_is_read_after_them() -> None:
    assert order(stack(0, 0, 8), stack(220, 0, 8), stack(0, 260, 1, 420)) == [0, 1, 2]


def test_an_article_is_read_whole_before_the_next_though_its_headline_is_short() -> None:
    above = [stack(220 * k, 40, 8) for k in range(3)]
    below = [stack(220 * k, 290, 8) for k in range(3)]
    first, second = stack(0, 0, 1, 380), stack(0, 260, 1, 180)
    numbers = (0, 1 + 24)
    assert order(first, *above, second, *below, heads=numbers) == list(range(8))


def test_sheets_on_one_page_are_read_one_after_the_other() -> None:
    sheets = [stack(x, y, 8, 300) for y in (0, 300) for x in (0, 360)]
    assert order(*sheets) == [0, 1, 2, 3]


def test_sections_of_two_columns_do_not_part_the_columns() -> None:
    left = stack(0, 0, 6) + stack(0, 170, 6)
    right = stack(220, 5, 6) + stack(220, 175, 6)
    assert order(left, right) == [0, 1]


def test_short_lines_beside_each_other_are_read_before_what_is_below_them() -> None:
    widths = (90, 150, 170, 130)
    billed = [(0, 20.0 * i, w, 20.0 * i + 18) for i, w in enumerate(widths)]
    shipped = [(400, 20.0 * i, 400 + w - 20, 20.0 * i + 18) for i, w in enumerate(widths)]
    below = [(0, 140 + 20.0 * i, w + 60, 158 + 20.0 * i) for i, w in enumerate((80, 20, 70))]
    assert order(billed, shipped, below) == [0, 1, 2]


def test_a_line_that_juts_into_the_next_column_closes_no_gutter() -> None:
    left, right = stack(0, 0, 12), stack(220, 7, 12)
    left[5] = (0, left[5][1], 330, left[5][3])
    assert order(left, right) == [0, 1]


def test_a_box_in_the_middle_of_two_columns_is_read_between_their_parts() -> None:
    left = stack(0, 0, 5, 300), stack(0, 120, 5, 200), stack(0, 240, 5, 300)
    right = stack(320, 8, 5, 300), stack(420, 128, 5, 200), stack(320, 248, 5, 300)
    note = stack(210, 122, 5, 200)
    read = order(*left, note, *right)
    assert read[0] == 0 and set(read) == set(range(7))
    assert read.index(4) < read.index(5) < read.index(6)


def test_the_head_of_a_section_in_one_column_does_not_part_the_columns() -> None:
    # Beside the head, whose lines are not level with those of the other column, is a gap by chance.
    left, head, under = stack(0, 0, 8), stack(0, 215, 1, 150), stack(0, 250, 8)
    right, lower = stack(220, 5, 8), stack(220, 232, 9)
    assert order(left, head, under, right, lower, heads=(8,)) == [0, 1, 2, 3, 4]


def test_a_column_that_is_longer_than_those_beside_it_goes_on_below_a_gap() -> None:
    assert order(stack(0, 0, 12), stack(0, 400, 12), stack(220, 0, 5)) == [0, 1, 2]


def test_what_stands_nowhere_beside_each_other_is_read_from_the_top() -> None:
    label, title, section = stack(0, 0, 1, 60), stack(220, 30, 3), stack(0, 110, 1, 150)
    assert order(label, title, section) == [0, 1, 2]
    assert order(stack(220, 0, 2), stack(0, 60, 2)) == [0, 1]
    assert order(stack(0, 0, 8, pitch=50), stack(220, 25, 8, pitch=50)) == [0, 1]  # columns of wide spacing


def test_a_tall_box_is_read_after_the_lines_to_its_left_though_none_is_level_with_its_middle() -> None:
    lines = [*stack(0, 0, 5), *stack(0, 180, 5)]
    assert order(lines, [(240, 0, 400, 300)]) == [0, 1]


def test_what_stands_below_three_columns_and_goes_over_one_gutter_ends_them() -> None:
    above = [stack(220 * k, 0, 6) for k in range(3)]
    term, said = stack(0, 190, 1, 80), stack(20, 212, 1, 300)
    assert order(*above, term, said) == [0, 1, 2, 3, 4]


def test_a_head_below_cards_goes_with_the_table_under_it() -> None:
    cards = [stack(220 * k, 0, 1, 200) for k in range(3)]
    head, table = stack(0, 40, 1, 120), stack(0, 80, 4, 640)
    assert order(*cards, head, table, heads=(3,)) == [0, 1, 2, 3, 4]


def test_the_last_lines_of_a_longer_column_stay_in_it() -> None:
    left, right, foot = stack(0, 0, 14), stack(220, 0, 8), stack(0, 360, 1, 420)
    assert order(left, right, foot) == [0, 1, 2]


def test_a_title_and_authors_over_two_short_columns_come_first() -> None:
    """The first heading of the left column and a table in the right one begin beside each other below them."""
    title = [(382.0, 0.0, 842.0, 50.0), (490.0, 80.0, 734.0, 104.0), (506.0, 105.0, 718.0, 129.0)]
    left = [(136.0, 150.0, 245.0, 178.0), *stack(136, 200, 10, 456)]
    right = [(646.0, 150.0, 906.0, 210.0), *stack(632, 230, 10, 456)]
    assert order(title, left, right, heads=(0,)) == [0, 1, 2]
