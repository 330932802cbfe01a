"""Noise: what it does to a picture it does to the truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from microfiche.errors import UsageError
from microfiche.page import PAPER, Page
from microfiche.training.noise import (
    SCANS,
    STEPS,
    STILL,
    WAYS,
    Map,
    Picture,
    after,
    bilevel,
    fax,
    glare,
    gutter,
    ink,
    moire,
    moved,
    moved_boxes,
    perspective,
    rotate,
    scan,
    scanned,
    shade,
    show_through,
    some,
    steps,
    turned,
    worn,
)
from microfiche.typesetting.fonts import TYPEFACES
from microfiche.typesetting.galleys import Look
from microfiche.typesetting.print import Line, Print, printed


def page() -> Print:
    words = "These are words on a page, with some more of them below. " * 12
    return printed(f"# A title\n\n{words}", Look(TYPEFACES["DejaVu Serif"], 12), 256, 320)


def middle(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The (x, y) centre of the ink, in px from the corner: pixel j's centre is at j + 0.5."""
    ink = PAPER - picture.astype(np.float64)
    y, x = np.indices(ink.shape) + 0.5
    return np.array([(ink * x).sum(), (ink * y).sum()]) / ink.sum()


@pytest.mark.parametrize("name", STEPS | SCANS)
def test_each_step_gives_a_picture_of_the_same_size_and_the_same_for_the_same_seed(name: str) -> None:
    (step,), picture = steps([name]), page().page.image
    one, move = step(picture, np.random.default_rng(3))
    other, _ = step(picture, np.random.default_rng(3))
    assert one.shape == picture.shape and one.dtype == np.uint8 and move.shape == (3, 3)
    np.testing.assert_array_equal(one, other)
    assert (one != picture).any() and (one != step(picture, np.random.default_rng(4))[0]).any()
    assert (name in ("rotate", "perspective")) == (move is not STILL)
    assert move is not STILL or np.corrcoef(one.reshape(-1), picture.reshape(-1))[0, 1] > 0.4


@pytest.mark.parametrize("name", ["rotate", "blur", "rescale", "jpeg", "ink", "bilevel", "fax", "perspective"])
def test_ink_stands_where_the_map_says_to_a_tenth_of_a_pixel(name: str) -> None:
    picture = np.full((128, 192), PAPER, np.uint8)
    picture[20:30, 150:164] = 0
    for seed in range(8):
        one, move = steps([name])[0](picture, np.random.default_rng(seed))
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
    move = np.array([[1.0, 0.0, 0.4], [0.0, 1.0, -3.0], [0.0, 0.0, 1.0]])
    boxes = np.array([[0, 0, 10, 10], [90, 40, 100, 50], [5, 5, 5, 9]], np.int32)
    assert moved_boxes(boxes, STILL, 50, 100).tolist()[:2] == boxes.tolist()[:2]
    assert moved_boxes(boxes, move, 50, 100).tolist() == [[0, 0, 11, 7], [90, 37, 100, 47], [5, 4, 5, 4]]


def test_truth_moves_with_a_page_in_perspective() -> None:
    """Squares all over a page are where their boxes and baselines say, though no affine map takes them there."""
    picture, side = np.full((512, 512), PAPER, np.uint8), 8
    places = [(x, y) for y in range(100, 420, 60) for x in range(100, 420, 60)]
    for x, y in places:
        picture[y : y + side, x : x + side] = 0
    boxes = np.array([(x, y, x + side, y + side) for x, y in places], np.float32)
    lines = tuple(Line(i, i + 1, (x, y + side, x + side, y + side), side) for i, (x, y) in enumerate(places))
    print_ = Print(Page(picture, None, "x" * len(places), boxes), lines, (), (), (), ((100, 100, 108, 108),))
    bends = []
    for seed in range(6):
        one = worn(print_, [perspective, rotate], np.random.default_rng(seed))
        new = one.page.boxes
        assert new is not None and new.dtype == np.float32
        for (left, top, right, bottom), line in zip(new, one.lines, strict=True):
            x, y = int(left) - 4, int(top) - 4
            part = one.page.image[y : int(bottom) + 5, x : int(right) + 5]
            found = middle(part) + np.array([x, y])
            np.testing.assert_allclose(found, [(left + right) / 2, (top + bottom) / 2], atol=0.1)
            x0, y0, x1, y1 = line.baseline
            along = np.array([x1 - x0, y1 - y0])
            across = np.array([-along[1], along[0]]) / np.hypot(*along)
            assert np.dot(found - [(x0 + x1) / 2, (y0 + y1) / 2], across) == pytest.approx(-line.size / 2, abs=0.25)
            assert line.size == pytest.approx(np.sqrt((PAPER - part.astype(float)).sum() / PAPER), rel=0.02)
        ((a, b, c, d),) = one.unknown
        np.testing.assert_allclose([a, b, c, d], new[0], atol=1)
        centres = np.c_[(new[:, :2] + new[:, 2:]) / 2, np.ones(len(new))]
        before = np.c_[(boxes[:, :2] + boxes[:, 2:]) / 2, np.ones(len(new))]
        bends.append(np.abs(before @ np.linalg.lstsq(before, centres, rcond=None)[0] - centres).max())
    assert max(bends) > 2


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


def test_bilevel_has_two_values_and_a_fax_the_means_of_four() -> None:
    picture, blank = page().page.image, np.full((64, 64), 230, np.uint8)
    for seed in range(6):
        one, _ = bilevel(picture, np.random.default_rng(seed))
        assert set(np.unique(one)) == {0, 255}
        assert 0.5 < (255 - one.astype(float)).sum() / (255 - picture.astype(float)).sum() < 2
        assert set(np.unique(fax(picture, np.random.default_rng(seed))[0])) == {0, 64, 128, 191, 255}
    grainy = (blank + np.random.default_rng(0).normal(0, 8, blank.shape)).clip(0, 255).astype(np.uint8)
    for step in (bilevel, fax):
        for paper in (blank, grainy):
            assert (step(paper, np.random.default_rng(0))[0] == 255).mean() > 0.99, "grain is not ink"


def test_ink_becomes_thicker_and_thinner() -> None:
    picture = page().page.image
    amounts = [(255.0 - ink(picture, np.random.default_rng(seed))[0]).sum() for seed in range(20)]
    shares = np.array(amounts) / (255.0 - picture).sum()
    assert 0.6 < shares.min() < 0.9 and 1.2 < shares.max() < 2.5


def test_what_shows_through_is_the_page_mirrored_and_pale() -> None:
    picture = np.full((120, 160), PAPER, np.uint8)
    picture[40:60, 30:50] = 0
    picture[40:60, 50:60] = 100  # paler at its right
    for seed in range(8):
        one, _ = show_through(picture, np.random.default_rng(seed))
        assert (one[picture == 0] == 0).all() and (one <= picture).all()
        ghost = np.where(picture == PAPER, 255.0 - one, 0)
        assert 0.04 * 255 < ghost.max() < 0.21 * 255
    back = 255.0 - show_through(picture, np.random.default_rng(1))[0]
    back[picture < PAPER] = 0
    row = np.roll(back.sum(0), 80 - int(back.sum(0).argmax()))
    assert row[:80].sum() != pytest.approx(row[81:].sum(), rel=0.05)


def test_light_falls_as_each_step_says() -> None:
    paper = np.full((200, 240), 240, np.uint8)
    for seed in range(12):
        fold = gutter(paper, np.random.default_rng(seed))[0].astype(float)[0] / 240
        assert 0.24 < fold.min() < 0.7 and fold.min() in (fold[0], fold[-1]) and max(fold[0], fold[-1]) > 0.98
        shadow = shade(paper, np.random.default_rng(seed))[0]
        assert shadow.max() <= 240 and 0.4 * 240 - 1 < shadow.min() < 0.95 * 240
        assert np.abs(np.diff(shadow.astype(float))).max() <= 4, "soft"
    for seed in range(12):
        dark = glare(np.full((200, 240), 20, np.uint8), np.random.default_rng(seed))[0]
        assert dark.min() >= 20 and 20 + 0.29 * 235 < dark.max() < 20 + 0.71 * 235


def test_a_screen_has_fringes_on_paper_and_none_on_ink() -> None:
    paper = np.full((256, 256), PAPER, np.uint8)
    for seed in range(8):
        one = moire(paper, np.random.default_rng(seed))[0].astype(float)
        assert 0.74 * 255 < one.min() < 0.96 * 255 and one.max() > 250
        spectrum = np.abs(np.fft.fft2(one - one.mean())) ** 2
        assert np.sort(spectrum.reshape(-1))[-600:].sum() > 0.9 * spectrum.sum(), "a few waves, not grain"
    assert (moire(np.zeros((64, 64), np.uint8), np.random.default_rng(0))[0] == 0).all()


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (97, 33)])
def test_pictures_of_any_size_and_grey(name: str, shape: tuple[int, int]) -> None:
    for grey in (0, 90, 255):
        one, move = SCANS[name](np.full(shape, grey, np.uint8), np.random.default_rng(0))
        assert one.shape == shape and one.dtype == np.uint8 and np.isfinite(move).all()


def test_a_scanned_page_went_one_way() -> None:
    rng = np.random.default_rng(0)
    drawn = [scanned(rng) for _ in range(600)]
    assert {step for chosen in drawn for step in chosen} >= set(SCANS.values())
    marks = {"flatbed": scan, "fax": fax, "bilevel": bilevel, "screen": moire}
    for name, (share, chances) in WAYS.items():
        always = steps(step for step, chance in chances.items() if chance == 1)
        assert always, f"{name} may do nothing"
        if name in marks and name != "flatbed":
            assert np.mean([marks[name] in chosen for chosen in drawn]) == pytest.approx(share, abs=0.05)
    for chosen in drawn:
        assert any(
            set(chosen) <= set(steps(chances)) and chosen == [step for step in steps(chances) if step in chosen]
            for _, chances in WAYS.values()
        )
    print_ = page()
    one, other = (worn(print_, scanned(r), r).page.image for r in map(np.random.default_rng, (5, 5)))
    np.testing.assert_array_equal(one, other)


def test_steps_are_drawn_each_by_itself() -> None:
    rng = np.random.default_rng(0)
    counts = np.array([len(some(rng, 0.5)) for _ in range(300)])
    assert 2.7 < counts.mean() < 3.3 and counts.min() == 0 and counts.max() == len(STEPS)
    assert some(rng, 0) == [] and some(rng, 1) == list(STEPS.values())
    with pytest.raises(UsageError, match="no noise 'fog'; there are rotate, blur"):
        steps(["fog"])
