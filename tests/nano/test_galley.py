"""Lines cut out of a page are set anew without loss, and what is read there goes back to where it came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from written import written

from microfiche.errors import UsageError
from microfiche.nano.galley import DOWN, UP, Strip, galley, on_page, stacked, strip
from microfiche.nano.tracing import PrintedLine, TracedLine
from microfiche.page import TOKEN_SIDE, Pieces

Picture = NDArray[np.uint8]


def words(widths: list[int], size: int, rng: np.random.Generator) -> Strip:
    """A strip of words of some widths in px, each of noise with a dark frame, with white of half an em between two."""
    height, gap = round((UP + DOWN) * size), size // 2
    parts, gaps, x = [], [], 0
    for i, width in enumerate(widths):
        word = rng.integers(0, 200, (height, width), dtype=np.uint8)
        parts.append(word)
        x += width
        if i + 1 < len(widths):
            parts.append(np.full((height, gap), 255, np.uint8))
            gaps.append((x, x + gap))
            x += gap
    line = TracedLine(7.0, 7.0 + x, 50.0, 0.01, float(size))
    return Strip(np.hstack(parts), line, float(size), 7.0, np.array(gaps, np.int64).reshape(-1, 2))


@given(
    st.lists(st.tuples(st.lists(st.integers(3, 90), min_size=1, max_size=12), st.sampled_from([8, 10, 14])),
             min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_every_word_is_on_the_galley_once_and_knows_its_place(lines: list[tuple[list[int], int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    strips = [words(widths, size, rng) for widths, size in lines]
    picture, pieces = galley(dict(enumerate(strips)))
    covered = np.zeros(picture.shape, int)
    found: list[list[Picture]] = [[] for _ in strips]
    for (left, top, right, bottom), source, number in zip(pieces.boxes, pieces.sources, pieces.lines, strict=True):
        covered[top:bottom, left:right] += 1
        found[number].append(picture[top:bottom, left:right])
        assert source[2] == strips[number].line.size / strips[number].size
    assert covered.max() == 1 and (picture[covered == 0] == 255).all()
    for own, parts in zip(strips, found, strict=True):
        ink = own.picture[:, (own.picture < 255).any(0)]
        whole = np.hstack(parts)
        assert (whole[:, (whole < 255).any(0)] == ink).all()


def test_a_galley_wastes_little() -> None:
    rng = np.random.default_rng(0)
    strips = [words([40] * 11, 10, rng) for _ in range(60)]
    picture, _ = galley(dict(enumerate(strips)))
    area = sum(one.picture.size for one in strips)
    squares = -(-picture.shape[0] // TOKEN_SIDE) * -(-picture.shape[1] // TOKEN_SIDE)
    assert squares * TOKEN_SIDE**2 < 1.15 * area


def test_no_strips_make_an_empty_galley() -> None:
    picture, pieces = galley({})
    assert picture.shape == (1, 1) and len(pieces) == 0


def test_what_does_not_fit_is_refused() -> None:
    one = words([4000], 100, np.random.default_rng(0))
    with pytest.raises(UsageError, match="60 lines of type do not fit on a picture of 4096×4096 px"):
        galley(dict.fromkeys(range(60), one))


@pytest.mark.parametrize("slope", [0.0, 0.02, -0.02])
def test_a_strip_follows_its_line(slope: float) -> None:
    picture = np.full((200, 400), 255, np.uint8)
    line = TracedLine(30.0, 330.0, 100.0, slope, 20.0)
    for x in (x for x in range(30, 330) if x % 20 < 12):
        y = round(100 + slope * (x - 30))
        picture[y - 2 : y + 2, x] = 90
    one = strip(picture, line, 10.0)
    assert one is not None
    middle = (one.picture < 128).nonzero()[0]
    assert abs(middle.mean() - UP * 10) < 1 and middle.std() < 1.5
    assert one.picture.min() < 5 and abs(one.left - 30) < 3  # faint ink becomes black


def test_a_grey_ground_becomes_white() -> None:
    picture = np.full((60, 400), 190, np.uint8)
    picture[28:34, 100:200:10] = 20
    one = strip(picture, TracedLine(100.0, 200.0, 30.0, 0.0, 20.0), 10.0)
    assert one is not None and np.median(one.picture) == 255


def test_a_strip_without_ink_is_none() -> None:
    assert strip(np.full((60, 400), 255, np.uint8), TracedLine(10.0, 200.0, 30.0, 0.0, 20.0), 10.0) is None
    assert strip(np.full((60, 400), 0, np.uint8), TracedLine(500.0, 501.0, 30.0, 0.0, 20.0), 10.0) is None


def bars(*xs: int, low: bool = False) -> NDArray[np.uint8]:
    """A page of 60×600 px with the middle of a line at 30, and on it bars, or dots at its foot, at some x."""
    picture = np.full((60, 600), 255, np.uint8)
    for x in xs:
        picture[(33 if low else 22) : 36, x : x + (2 if low else 8)] = 0
    return picture


LINE = TracedLine(10.0, 590.0, 30.0, 0.0, 20.0)


def test_of_a_leader_three_dots_stay_and_its_page_number_does() -> None:
    words, dots = [10, 20, 30], range(60, 500, 8)
    led = np.minimum(bars(*words, 520, 530), bars(*dots, low=True))
    one = strip(led, LINE, 20.0)
    assert one is not None and len(one.wide) == 1
    picture, pieces = galley({0: one})
    inked = (picture < 128).any(0)
    assert np.diff(np.pad(inked, 1).astype(np.int8)).clip(0).sum() == len(words) + 3 + 2
    first, last = pieces.sources[:, 0].tolist()
    assert abs(first - 10) < 3 and abs(last - 520) < 3  # each part knows where on the page it stood


def test_an_ellipsis_is_no_leader() -> None:
    one = strip(np.minimum(bars(10, 20, 30, 70, 80), bars(42, 48, 54, low=True)), LINE, 20.0)
    assert one is not None and not len(one.wide)
    assert np.diff(np.pad((one.picture < 128).any(0), 1).astype(np.int8)).clip(0).sum() == 8


def test_white_parts_words_only_where_a_space_was_read() -> None:
    picture = bars(10, 30, 50, 70, 300)
    every, some = strip(picture, LINE, 20.0), strip(picture, LINE, 20.0, np.array([24.0, 64.0]))
    assert every is not None and some is not None
    assert len(every.gaps) == 4 and some.gaps[:, 0].tolist() == every.gaps[[0, 2, 3], 0].tolist()


def read(text: str, x: int, y: int, size: float = 10.0) -> PrintedLine:
    """A line of a galley as it was read, with characters 5 px wide."""
    left = x + 5 * np.arange(len(text))
    boxes = np.stack([left, np.full(len(text), y - 6), left + 5, np.full(len(text), y + 6)], 1).astype(np.int32)
    line = TracedLine(float(x), float(x + 5 * len(text)), float(y), 0.0, size)
    return PrintedLine(text, np.full(len(text), 0.9, np.float32), boxes, line)


def test_what_was_read_goes_back_to_the_page() -> None:
    pieces = Pieces(
        np.array([[0, 0, 50, 12], [60, 0, 100, 12], [0, 12, 30, 24]], np.int32),
        np.array([[100, 40, 2, 0], [100, 80, 2, 0], [180, 80, 2, 0]], np.float32),
        np.array([0, 1, 1], np.int32),
    )
    found = on_page([read("first line  second", 0, 6), read("goes on", 0, 18)], pieces)
    assert [(number, line.text) for number, line in found.items()] == [(0, "first line"), (1, "second goes on")]
    first, second = found.values()
    assert first.boxes[0].tolist() == [100, 40, 110, 64] and first.line.size == 20
    assert second.boxes[0].tolist() == [100, 80, 110, 104]
    assert second.boxes[-7].tolist()[:2] == [180, 80]  # "goes on" begins where its piece comes from
    assert len(second.text) == len(second.boxes) == len(second.confidence)


def test_galleys_stand_one_below_another_from_squares_edges() -> None:
    rng = np.random.default_rng(0)
    first, second = galley({4: words([30, 40], 10, rng)}), galley({4: words([300], 14, rng), 7: words([20], 8, rng)})
    picture, pieces = stacked([first, second])
    assert pieces.lines.tolist() == [4, 4, 4, 7]
    assert (picture[: len(first[0]), : first[0].shape[1]] == first[0]).all()
    assert (picture[TOKEN_SIDE:, : second[0].shape[1]] == second[0]).all()
    assert pieces.boxes[: len(first[1])].tolist() == first[1].boxes.tolist()
    assert (pieces.boxes[len(first[1]) :, 1] >= TOKEN_SIDE).all()
    with pytest.raises(UsageError, match="do not fit on a picture"):
        stacked([galley({0: words([900], 100, rng)})] * 40)


def test_a_line_that_stands_there_twice_is_read_as_both_agree() -> None:
    pieces = Pieces(
        np.array([[0, 0, 60, 12], [0, 12, 60, 24], [0, 24, 60, 36], [0, 36, 60, 48]], np.int32),
        np.array([[100, 40, 2, 0], [100, 40, 1.5, 0], [100, 40, 1, 0], [100, 80, 1, 0]], np.float32),
        np.array([0, 0, 0, 1], np.int32),
    )
    lines = [read("first Iine", 0, 6), read("fist line", 0, 18), read("first lines", 0, 30), read("second", 0, 42)]
    found = on_page(lines, pieces)
    assert [line.text for line in found.values()] == ["first line", "second"]
    assert len(found[0].boxes) == len(found[0].confidence) == len("first line")
    assert found[0].boxes[0, 0] == 100


def test_rules_go_and_letters_stay() -> None:
    picture = written([40], 1000)
    (middle,) = {int((picture < 128).nonzero()[0].mean())}
    line = TracedLine(20.0, 800.0, float(middle), 0.0, 40.0)
    ruled = picture.copy()
    ruled[:, 18:20] = ruled[:, 900:902] = 0  # at both ends of the line, from far above to far below
    ruled[middle + 20 : middle + 22] = 0  # under it
    clean, found = strip(picture, line, 10.0), strip(ruled, line, 10.0)
    assert clean is not None and found is not None
    assert clean.picture.shape[0] == found.picture.shape[0]
    assert abs(int((clean.picture < 128).sum()) - int((found.picture < 128).sum())) < 0.1 * (clean.picture < 128).sum()
