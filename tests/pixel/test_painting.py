"""A picture and a page of what was masked and painted."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from microfiche.pixel.masking import masked_count
from microfiche.pixel.model import Pixel, PixelConfig
from microfiche.pixel.painting import HIDDEN, ROW, fill, page, picture


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
