"""The glance at a page: paper becomes white, and lines of any size are found."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from written import written

from microfiche.nano.glance import lines_of, on_white
from microfiche.nano.print import PrintModel
from microfiche.readers import load

Picture = NDArray[np.uint8]
@pytest.fixture(scope="module")
def model() -> PrintModel:
    return load("nano-pages")


def test_light_type_on_dark_paper_becomes_dark_on_white() -> None:
    picture = np.full((200, 300), 255, np.uint8)
    picture[50:150] = 30
    picture[90:96, 100:120] = 240
    picture[20:24, 100:120] = 0
    found = on_white(picture)
    assert found[70, 50] > 240 and found[93, 110] < 60
    assert (found[22, 110], found[10, 10]) == (0, 255)


@given(st.integers(128, 255))
@settings(max_examples=20, deadline=None)
def test_light_paper_stays_as_it_is(shade: int) -> None:
    picture = np.full((120, 160), shade, np.uint8)
    picture[50:54, 60:64] = 0
    assert (on_white(picture) == picture).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3)])
def test_the_smallest_pictures_are_looked_at(shape: tuple[int, int], model: PrintModel) -> None:
    picture = np.full(shape, 255, np.uint8)
    assert on_white(picture).shape == shape
    assert lines_of(model, picture) == []


def test_lines_of_all_sizes_are_found_once(model: PrintModel) -> None:
    sizes = [9, 14, 22, 40]
    found = lines_of(model, written(sizes))
    assert len(found) == len(sizes)
    for line, size in zip([one.line for one in found], sizes, strict=True):
        assert 0.7 * size < line.size < 1.4 * size
        assert abs(line.left - 20) < size and abs(line.slope) < 0.02


def test_type_on_a_dark_ground_is_found(model: PrintModel) -> None:
    picture = written([20])
    assert len(lines_of(model, on_white(255 - picture))) == 1


def test_where_there_is_no_type_there_are_no_lines(model: PrintModel, tmp_path: Path) -> None:
    for shade in (0, 128, 255):
        assert lines_of(model, np.full((640, 480), shade, np.uint8)) == []


def test_spaces_lie_between_the_words(model: PrintModel) -> None:
    picture = written([20])
    (one,) = lines_of(model, picture)
    columns = np.flatnonzero((picture < 128).any(0))
    white = [(a, b) for a, b in pairwise(columns) if b - a > 0.3 * 20]
    assert len(one.spaces) == len(white)
    assert all(a < x < b for (a, b), x in zip(white, one.spaces, strict=True))
