"""Outline fonts: what is drawn stands in its box; lines break where they may."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from microfiche.typesetting.alphabet import code_points
from microfiche.typesetting.fonts import STYLES, TYPEFACES, Style
from microfiche.typesetting.outline import Face, break_lines, face

FAMILIES = st.sampled_from(["DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIX General"])
PENS = st.floats(0, 40)
LATIN = st.text(st.sampled_from("abcxyzfjWQgÀß 0189.,-—()"), min_size=1, max_size=60)


def drawn(face: Face, text: str, x: float, y: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    page = np.full((48, 640), 255, np.uint8)
    points = code_points(text)
    advances = face.advances(points)
    return page, face.draw(page, points, x + np.cumsum(advances) - advances, np.full(len(text), y))


@given(LATIN, FAMILIES, st.sampled_from(STYLES), st.integers(8, 16), st.booleans(), PENS, st.integers(5, 44))
@settings(deadline=None)
def test_every_inked_pixel_is_in_a_box_and_every_letter_has_ink(
    text: str, name: str, style: Style, size: int, hinted: bool, x: float, y: int
) -> None:
    page, boxes = drawn(face(TYPEFACES[name].file(style), size, hinted), text, x, y)
    assert boxes.shape == (len(text), 4) and boxes.dtype == np.int32
    assert (boxes >= 0).all() and (boxes <= [640, 48, 640, 48]).all() and (boxes[:, :2] <= boxes[:, 2:]).all()
    outside = page.copy()
    for left, top, right, bottom in boxes:
        outside[top:bottom, left:right] = 255
    assert (outside == 255).all()
    for character, (left, top, right, bottom) in zip(text, boxes, strict=True):
        if character != " " and right < 640 and 20 < y < 40:
            assert (page[top:bottom, left:right] < 255).any()


def test_a_line_is_the_same_whatever_was_drawn_before() -> None:
    file = TYPEFACES["DejaVu Sans"].file("regular")
    used = Face(file, 12)
    drawn(used, "zebra, quick 中", 3.3, 20)
    for text in ("a quiz", "a 中, 中 or 文"):  # the typeface draws a box for a Chinese sign
        for one, other in zip(drawn(used, text, 0.5, 20), drawn(Face(file, 12), text, 0.5, 20), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("hinted", [False, True])
def test_pens_stand_at_quarters_of_a_pixel_or_at_whole_ones(hinted: bool) -> None:
    chosen = face(TYPEFACES["DejaVu Serif"].file("regular"), 11, hinted)
    pages = [drawn(chosen, "m", x, 20)[0] for x in (4.0, 4.1, 4.25, 5.0)]
    assert (pages[0] == pages[1]).all() and (pages[0] == pages[2]).all() == hinted
    assert (pages[0][:, :-1] == pages[3][:, 1:]).all()


@given(LATIN | st.text(st.sampled_from("中文字，。 ab"), max_size=60), st.floats(5, 200))
def test_lines_fit_and_hold_the_whole_text(text: str, width: float) -> None:
    advances = np.full(len(text), 7.0)
    lines = break_lines(text, advances, width)
    assert "".join(text[a:b] for a, b in lines).replace(" ", "") == text.replace(" ", "")
    for start, stop in lines:
        assert text[start:stop].strip(" ") == text[start:stop] != ""
        assert stop - start == 1 or advances[start:stop].sum() <= width + 1e-6


def test_words_are_kept_whole_and_closing_marks_do_not_begin_a_line() -> None:
    words = "one two three four"
    assert [words[a:b] for a, b in break_lines(words, np.ones(len(words)), 8)] == ["one two", "three", "four"]
    chinese = "天地玄黄，宇宙"
    assert [chinese[a:b] for a, b in break_lines(chinese, np.ones(7), 4)] == ["天地玄", "黄，宇宙"]
