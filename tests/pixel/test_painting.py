"""Masks have exactly the published share, in spans as published; the picture and the page show what was painted."""

from __future__ import annotations

import base64
import io
import itertools
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from microfiche.pixel.model import Pixel, PixelConfig
from microfiche.pixel.painting import HIDDEN, ROW, WEIGHTS, fill, masked_count, page, picture, spans


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First patch and length of every run of masked patches."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(a), int(b - a)) for a, b in edges.reshape(-1, 2)]


@given(st.integers(0, 1000), st.integers(1, 600), st.floats(0, 1))
def test_the_count_is_exact(seed: int, patches: int, ratio: float) -> None:
    mask = spans(np.random.default_rng(seed), patches, ratio, text=max(1, patches // 3))
    assert mask.shape == (patches,) and mask.dtype == bool
    assert mask.sum() == masked_count(patches, ratio) == patches - int(patches * (1 - ratio))


def test_a_full_strip_masks_133_of_529() -> None:
    assert masked_count(529, 0.25) == 133


def test_spans_are_as_long_as_drawn_and_keep_their_distance() -> None:
    rng = np.random.default_rng(0)
    lengths: list[int] = []
    for _ in range(150):
        found = runs(spans(rng, 8000, 0.02))  # so few that a span always fits, and none is filled in at random
        assert all(b - (a + n) >= min(n, m) for (a, n), (b, m) in itertools.pairwise(found))
        lengths += [length for _, length in found]
    share = np.bincount(lengths, minlength=7)[1:7] / len(lengths)
    assert share == pytest.approx(WEIGHTS, abs=0.025)


def test_the_first_span_lies_in_the_text() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        assert spans(rng, 529, 0.25, text=3)[:6].any()
    places = np.stack([spans(rng, 529, 0.25) for _ in range(400)])
    assert places.mean(0) == pytest.approx(0.25, abs=0.14)  # anywhere in the strip


def test_mean_length_agrees_with_the_published_generator() -> None:
    """The published generator, written out patch by patch, gives runs as long as ours."""

    def published(rng: np.random.Generator, patches: int, wanted: int, text: int) -> np.ndarray:
        mask, count, written = np.zeros(patches, int), 0, text
        while count < wanted:
            for _ in range(100):
                span = int(rng.choice(6, p=WEIGHTS)) + 1
                left = int(rng.integers(0, max(0, (written or patches) - span) + 1))
                written = 0
                if mask[max(0, left - span) : left].sum() or mask[left + span : left + 2 * span].sum():
                    continue
                new = span - mask[left : left + span].sum()
                if 0 < new <= min(wanted - count, 6):
                    mask[left : left + span] = 1
                    count += new
                    break
            else:
                break
        noise = mask + rng.random(patches) / 100
        filled = np.zeros(patches, bool)
        filled[np.argsort(noise)[patches - wanted :]] = True
        return filled

    rng = np.random.default_rng(1)
    ours = [length for _ in range(150) for _, length in runs(spans(rng, 128))]
    theirs = [length for _ in range(150) for _, length in runs(published(rng, 128, 32, 128))]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.06)
    a, b = (np.bincount(x, minlength=16)[:16] / len(x) for x in (ours, theirs))
    assert np.abs(a - b).max() < 0.04


@dataclass
class Strip:
    image: np.ndarray


def strip(patches: int) -> Strip:
    image = np.random.default_rng(0).integers(0, 256, (16, 16 * patches), np.uint8)
    image[:, -16:] = 0
    return Strip(image)


@pytest.fixture(scope="module", params=[1, 3])
def model(request: pytest.FixtureRequest) -> Pixel:
    torch.manual_seed(0)
    return Pixel(PixelConfig(16, 1, 2, 32, 8, 1, 2, 16, channels=request.param)).eval()


@pytest.mark.parametrize("patches", [1, 2, 30, ROW + 5])
def test_only_what_is_masked_is_painted(model: Pixel, patches: int) -> None:
    one = strip(patches)
    filled = fill(model, one, seed=3)
    assert filled.masked.sum() == masked_count(patches, 0.25)
    where = filled.masked.repeat(16)
    assert (filled.input == one.image[..., None]).all()
    assert (filled.painted[:, ~where] == filled.input[:, ~where]).all()
    assert (filled.hidden[:, ~where] == filled.input[:, ~where]).all()
    assert (filled.hidden[:, where] == HIDDEN).all()
    assert np.isfinite(filled.loss) and filled.loss > 0


def test_nothing_under_the_mask_is_used(model: Pixel) -> None:
    one = strip(30)
    filled = fill(model, one)
    other = one.image.copy()
    other[:, filled.masked.repeat(16)] = 77
    assert (fill(model, Strip(other)).painted == filled.painted).all()
    assert (fill(model, one, seed=1).masked != filled.masked).any()
    assert fill(model, one, ratio=0.5).masked.sum() == 15


def test_the_picture_goes_on_below_and_the_page_holds_it_all(model: Pixel) -> None:
    short, long = (fill(model, strip(n)) for n in (10, ROW + 5))
    assert picture(long).height > 1.8 * picture(short).height
    assert picture(long).width >= ROW * 16 * 3 > picture(short).width >= 480
    written = page(long, "a <b> & c", "pixel-small")
    assert "a &lt;b&gt; &amp; c" in written and "http" not in written
    pictures = re.findall(r"data:image/png;base64,([\w+/=]+)", written)
    assert len(pictures) == 6
    first = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[2]))))
    assert (first == long.painted[:, : ROW * 16]).all()
