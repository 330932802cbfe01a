"""Lines are found where squares see their middles, and a reading has a box for each of its characters."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.nano.readout import SQUARE
from microfiche.nano.tracing import PrintedLine, TracedLine, reading_of, trace, with_boxes
from microfiche.typesetting.alphabet import HALF

SIDE = 512


def seen(lines: list[TracedLine]) -> np.ndarray:
    """(rows of squares, columns, 8) certainty that the lines' middles run where they do."""
    chance = np.zeros((SIDE // SQUARE, SIDE // SQUARE, SQUARE))
    for line in lines:
        columns = np.arange(int(line.left) // SQUARE, int(line.right) // SQUARE)
        y = np.floor(line.at((columns + 0.5) * SQUARE)).astype(int)
        chance[y // SQUARE, columns, y % SQUARE] = 1
    return chance


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(9, 30), min_size=1, max_size=14), st.floats(-0.035, 0.035), st.integers(0, 30),
    st.integers(33, 60),
)  # fmt: skip
def test_lines_are_found_where_they_run(gaps: list[int], slope: float, left: int, right: int) -> None:
    ys = [y for y in 30 + np.cumsum(gaps).astype(float) if y < SIDE - 30]
    lines = [TracedLine(float(left * SQUARE), float(right * SQUARE), float(y), slope, 10.0) for y in ys]
    found = trace(seen(lines), np.full((SIDE // SQUARE, SIDE // SQUARE), 12.0))
    assert len(found) == len(lines)
    for line, truth in zip(found, lines, strict=True):
        x = np.array([truth.left, truth.right])
        assert abs(line.at(x) - truth.at(x)).max() < 2 and (line.left, line.right) == (truth.left, truth.right)
        assert line.size == 12


def test_lines_of_two_columns_stay_apart() -> None:
    lines = [TracedLine(left, left + 200, y, 0.0, 10.0) for y in (100.0, 114.0) for left in (16.0, 232.0)]
    assert len(trace(seen(lines), np.ones((SIDE // SQUARE, SIDE // SQUARE)))) == 4


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.02, 0.02), st.integers(5, 40))
def test_a_title_with_a_leader_has_the_size_and_the_height_of_its_type(slope: float, wide: int) -> None:
    line = TracedLine(16.0, 480.0, 200.0, slope, 14.0)
    columns = np.arange(2, 60)
    y = line.at((columns + 0.5) * SQUARE) + np.clip(columns - 1 - wide, 0, 2)
    chance = np.zeros((SIDE // SQUARE, SIDE // SQUARE, SQUARE))
    chance[np.floor(y).astype(int) // SQUARE, columns, np.floor(y).astype(int) % SQUARE] = 1
    sizes = np.full(chance.shape[:2], 14.0)
    sizes[:, 2 + wide :] = 8.0
    (found,) = trace(chance, sizes)
    x = np.array([line.left, line.right])
    assert found.size == 14 and abs(found.at(x) - line.at(x)).max() < 2


def test_a_large_initial_does_not_say_how_large_a_line_is() -> None:
    line = TracedLine(16.0, 480.0, 200.0, 0.0, 10.0)
    sizes = np.full((SIDE // SQUARE, SIDE // SQUARE), 10.0)
    sizes[:, 2:5] = 20.0
    (found,) = trace(seen([line]), sizes)
    assert found.size == 10


def test_a_line_begins_only_where_it_is_likely_and_goes_on_where_it_may_be() -> None:
    chance = 0.3 * seen([TracedLine(64.0, 256.0, 100.0, 0.0, 10.0)])
    sizes = np.ones(chance.shape[:2])
    assert trace(chance, sizes) == []
    chance[:, 8] *= 3
    (line,) = trace(chance, sizes)
    assert (line.left, line.right) == (64, 256)


def test_a_reading_has_a_box_and_a_probability_for_every_character_and_newline() -> None:
    ids, sure, places = np.array([HALF.index(c) for c in " ab "]), np.full(4, 0.75, np.float32), np.arange(4) * 5.0
    lines = [with_boxes(TracedLine(0.0, 18.0, y, 0.0, 10.0), ids, sure, places) for y in (20.0, 40.0)]
    reading = reading_of(lines)
    assert reading.text == "ab\nab\n"
    assert len(reading.boxes) == len(reading.confidence) == 6 and reading.confidence[2] == 1
    assert (reading.boxes[2, :2] == reading.boxes[2, 2:]).all() and (reading.boxes[2, 2:] == reading.boxes[1, 2:]).all()
    assert reading_of([]).boxes.shape == (0, 4)
    empty = with_boxes(lines[0].line, np.zeros(3, np.int64), np.ones(3, np.float32), np.arange(3.0))
    assert empty.text == "" and empty.boxes.shape == (0, 4)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60))
def test_the_least_sure_fifth_lies_between_the_least_and_the_mean(values: list[float]) -> None:
    sure = np.array(values, np.float32)
    nowhere = TracedLine(0.0, 1.0, 0.0, 0.0, 1.0)
    line = PrintedLine("x" * len(sure), sure, np.zeros((len(sure), 4), np.int32), nowhere)
    assert sure.min() - 1e-6 <= line.least_sure <= sure.mean() + 1e-6
    assert PrintedLine("", sure[:0], np.zeros((0, 4), np.int32), nowhere).least_sure == 0
