"""Noise: what it does to a picture it does to the truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from microfiche.errors import UsageError
from microfiche.page import PAPER
from microfiche.training.noise import (
    STEPS,
    STILL,
    Map,
    Picture,
    after,
    moved,
    moved_boxes,
    rotate,
    scan,
    some,
    steps,
    turned,
    worn,
)
from microfiche.typesetting.fonts import TYPEFACES
from microfiche.typesetting.galleys import Look
from microfiche.typesetting.printed import Print, printed


def page() -> Print:
    words = "These are words on a page, with some more of them below. " * 12
    return printed(f"# A title\n\n{words}", Look(TYPEFACES["DejaVu Serif"], 12), 256, 320)


def middle(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The (x, y) centre of the ink, in px from the corner: pixel j's centre is at j + 0.5."""
    ink = PAPER - picture.astype(np.float64)
    y, x = np.indices(ink.shape) + 0.5
    return np.array([(ink * x).sum(), (ink * y).sum()]) / ink.sum()


@pytest.mark.parametrize("name", STEPS)
def test_each_step_gives_a_picture_of_the_same_size_and_the_same_for_the_same_seed(name: str) -> None:
    (step,), picture = steps([name]), page().page.image
    one, move = step(picture, np.random.default_rng(3))
    other, _ = step(picture, np.random.default_rng(3))
    assert one.shape == picture.shape and one.dtype == np.uint8 and move.shape == (2, 3)
    np.testing.assert_array_equal(one, other)
    assert (one != picture).any() and (one != step(picture, np.random.default_rng(4))[0]).any()
    assert (name == "rotate") == (move is not STILL)
    assert name == "rotate" or np.corrcoef(one.reshape(-1), picture.reshape(-1))[0, 1] > 0.4


@pytest.mark.parametrize("name", [name for name in STEPS if name not in ("gamma", "scan")])
def test_ink_stands_where_the_map_says_to_a_tenth_of_a_pixel(name: str) -> None:
    picture = np.full((128, 192), PAPER, np.uint8)
    picture[20:30, 150:164] = 0
    for seed in range(8):
        one, move = STEPS[name](picture, np.random.default_rng(seed))
        there = moved(middle(picture)[None], move)[0]
        np.testing.assert_allclose(middle(np.where(one > 240, 255, one).astype(np.uint8)), there, atol=0.1)


def test_a_turn_is_clockwise_about_the_centre_and_paper_comes_in() -> None:
    picture = np.full((200, 200), 230, np.uint8)
    picture[98:102, 180:190] = 0  # at the right end
    turned_, move = turned(picture, 2.0)
    np.testing.assert_allclose(moved(np.array([[100.0, 100.0]]), move), [[100, 100]], atol=1e-9)
    assert moved(np.array([[185.0, 100.0]]), move)[0, 1] == pytest.approx(100 + 85 * np.sin(np.deg2rad(2)))
    assert set(turned_[0]) == {230}
    _, back = turned(picture, -2.0)
    np.testing.assert_allclose(after(back, move), STILL, atol=1e-9)
    degrees = [np.rad2deg(np.arcsin(rotate(picture, np.random.default_rng(i))[1][1, 0])) for i in range(50)]
    assert max(degrees) <= 2 and min(degrees) >= -2 and max(degrees) - min(degrees) > 3


def test_truth_moves_with_a_turned_page() -> None:
    print_ = page()
    boxes, text = print_.page.boxes, print_.page.text
    assert boxes is not None and text is not None

    def turn(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
        return turned(picture, 2.0)

    after_ = worn(print_, [turn], np.random.default_rng(0))
    new = after_.page.boxes
    assert new is not None and new.dtype == np.int32 and after_.page.text == text
    outside = after_.page.image.copy()
    for left, top, right, bottom in new:
        outside[top:bottom, left:right] = PAPER
    assert (outside > 225).all()  # an edge's grey reaches a fraction of a pixel farther
    empty = boxes[:, 0] == boxes[:, 2]
    assert (new[empty, 0] == new[empty, 2]).all() and (new[~empty, 0] < new[~empty, 2]).all()
    for line, was in zip(after_.lines, print_.lines, strict=True):
        x0, y0, x1, y1 = line.baseline
        assert y1 - y0 == pytest.approx((x1 - x0) * np.tan(np.deg2rad(2)))
        assert line.size == pytest.approx(was.size) and (line.start, line.stop) == (was.start, was.stop)
    for block in after_.blocks:
        stands = new[block.start : block.stop][~empty[block.start : block.stop]]
        assert (stands[:, :2] >= np.array(block.box[:2])).all() and (stands[:, 2:] <= np.array(block.box[2:])).all()


def test_boxes_are_hulls_of_whole_pixels_within_the_page() -> None:
    move = np.array([[1.0, 0.0, 0.4], [0.0, 1.0, -3.0]])
    boxes = np.array([[0, 0, 10, 10], [90, 40, 100, 50], [5, 5, 5, 9]], np.int32)
    assert moved_boxes(boxes, STILL, 50, 100).tolist()[:2] == boxes.tolist()[:2]
    assert moved_boxes(boxes, move, 50, 100).tolist() == [[0, 0, 11, 7], [90, 37, 100, 47], [5, 4, 5, 4]]


def test_without_a_turn_truth_stays_as_it_is() -> None:
    print_ = page()
    still = worn(print_, steps(["blur", "rescale", "gamma", "scan", "jpeg"]), np.random.default_rng(0))
    assert still.page.boxes is print_.page.boxes and still.lines == print_.lines and still.blocks == print_.blocks
    assert worn(print_, [], np.random.default_rng(0)).page.image is print_.page.image


def test_a_scan_has_grain_and_uneven_light() -> None:
    paper = np.full((256, 256), PAPER, np.uint8)
    pictures = [scan(paper, np.random.default_rng(i))[0].astype(float) for i in range(12)]
    assert all(1 < p[100:140, 100:140].std() < 40 for p in pictures)
    corners = [[p[y : y + 40, x : x + 40].mean() for y in (0, 216) for x in (0, 216)] for p in pictures]
    assert max(max(c) - min(c) for c in corners) > 20


def test_steps_are_drawn_each_by_itself() -> None:
    rng = np.random.default_rng(0)
    counts = np.array([len(some(rng, 0.5)) for _ in range(300)])
    assert 2.7 < counts.mean() < 3.3 and counts.min() == 0 and counts.max() == len(STEPS)
    assert some(rng, 0) == [] and some(rng, 1) == list(STEPS.values())
    with pytest.raises(UsageError, match="no noise 'fog'; there are rotate, blur"):
        steps(["fog"])
