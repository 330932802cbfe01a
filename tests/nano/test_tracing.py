"""Lines are found where squares see their middles, and characters where frames see their centres."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.nano.first_print import FRAME, frames
from microfiche.nano.readout import SQUARE
from microfiche.nano.tracing import FIRST_PRINTED, NONE, TracedLine, characters, reading_of, trace
from microfiche.typesetting.alphabet import HALF, N_HALF

SIDE = 512
texts = st.text(st.sampled_from([HALF[0], *HALF[FIRST_PRINTED:]]), min_size=1, max_size=40).map(str.strip).filter(bool)


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


def test_a_line_begins_only_where_it_is_likely_and_goes_on_where_it_may_be() -> None:
    chance = 0.3 * seen([TracedLine(64.0, 256.0, 100.0, 0.0, 10.0)])
    sizes = np.ones(chance.shape[:2])
    assert trace(chance, sizes) == []
    chance[:, 8] *= 3
    (line,) = trace(chance, sizes)
    assert (line.left, line.right) == (64, 256)


@settings(max_examples=60, deadline=None)
@given(texts, st.data())
def test_characters_are_read_whether_one_frame_sees_them_or_two(text: str, data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(3, 6), min_size=len(text), max_size=len(text)))
    places = np.cumsum(steps)
    shares = data.draw(st.lists(st.floats(0, 1), min_size=len(text), max_size=len(text)))
    probability = np.zeros((int(places[-1]) + 4, N_HALF + 1), np.float32)
    for char, place, share in zip(text, places, shares, strict=True):
        probability[place, HALF.index(char)] = share
        probability[place + 1, HALF.index(char)] = 1 - share
    probability[:, NONE] = 1 - probability.sum(-1)
    x = np.arange(len(probability)) * float(FRAME) + FRAME / 2
    read = characters(TracedLine(0.0, float(len(x) * FRAME), 100.0, 0.0, 10.0), x, probability)
    assert read.text == text
    assert read.confidence.shape == (len(text),) and (read.confidence > 0.5).all()
    assert (np.diff(read.boxes[:, 0]) > 0).all() and (read.boxes[:, 0] < read.boxes[:, 2]).all()
    assert (read.boxes[:, 1] < 100).all() and (read.boxes[:, 3] > 100).all()


def row(*seen: tuple[str, float]) -> str:
    """What is read where neighbouring frames see these characters, so sure."""
    probability = np.zeros((len(seen), N_HALF + 1), np.float32)
    for i, (char, share) in enumerate(seen):
        probability[i, HALF.index(char)] = share
    probability[:, NONE] = 1 - probability.sum(-1)
    x = np.arange(len(seen)) * float(FRAME) + FRAME / 2
    return characters(TracedLine(0.0, float(len(x) * FRAME), 100.0, 0.0, 10.0), x, probability).text


def test_neighbouring_frames_that_are_both_likely_hold_one_character_unless_all_but_certain() -> None:
    nothing = ("a", 0.0)
    assert row(nothing, ("i", 0.74), ("i", 0.88), nothing) == "i"
    assert row(nothing, ("l", 0.99), ("l", 0.98), nothing) == "ll"
    assert row(nothing, ("w", 0.55), ("v", 0.6), nothing) == "v"
    assert row(nothing, ("r", 0.9), ("i", 0.9), nothing) == "ri"
    assert row(nothing, ("e", 0.2), ("e", 0.15), nothing) == "e"
    assert row(nothing, ("e", 0.1), ("e", 0.1), nothing) == ""


def test_an_empty_line_holds_nothing() -> None:
    line = TracedLine(0.0, 100.0, 50.0, 0.0, 10.0)
    x = frames(line, SIDE)
    probability = np.zeros((len(x), N_HALF + 1), np.float32)
    probability[:, NONE] = 1
    read = characters(line, x, probability)
    assert read.text == "" and read.boxes.shape == (0, 4)


def test_a_reading_has_a_box_and_a_probability_for_every_character_and_newline() -> None:
    probability = np.zeros((9, N_HALF + 1), np.float32)
    probability[:, NONE] = 1
    for frame, char in ((2, "a"), (6, "b")):
        probability[frame, [HALF.index(char), NONE]] = 0.75, 0.25
    x = np.arange(9) * float(FRAME) + FRAME / 2
    lines = [characters(TracedLine(0.0, 18.0, y, 0.0, 10.0), x, probability) for y in (20.0, 40.0)]
    reading = reading_of(lines)
    assert reading.text == "ab\nab\n"
    assert len(reading.boxes) == len(reading.confidence) == 6 and reading.confidence[2] == 1
    assert (reading.boxes[2, :2] == reading.boxes[2, 2:]).all() and (reading.boxes[2, 2:] == reading.boxes[1, 2:]).all()
    assert reading_of([]).boxes.shape == (0, 4)
