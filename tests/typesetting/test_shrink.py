import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.errors import UsageError
from microfiche.page import PAPER
from microfiche.typesetting.shrink import shrink, shrink_picture
from microfiche.typesetting.typesetter import typeset


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_each_pixel_is_the_mean_of_the_area_it_covers(n: int, height: int, width: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (n, n), np.uint8)
    fine = picture.repeat(height, 0).repeat(width, 1).astype(float)
    mean = fine.reshape(height, n, width, n).mean(axis=(1, 3))
    assert np.abs(shrink_picture(picture, height, width) - mean).max() <= 0.5 + 1e-3


def test_the_mean_of_a_picture_stays() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (640, 640, 3), np.uint8)
    assert np.allclose(shrink_picture(picture, 256, 256).mean((0, 1)), picture.mean((0, 1)), atol=0.1)


def test_a_shrunk_page_says_so_and_keeps_its_text_and_boxes() -> None:
    page = typeset("Once more, smaller.\n" * 30, "7x13", "small")[0]
    small = shrink(page, 512)
    assert small.setting is not None and small.setting.scale == 0.8
    assert small.text == page.text
    assert small.image.shape == (-(-page.image.shape[0] * 4 // 5 // 64) * 64, 512)
    assert page.boxes is not None and small.boxes is not None
    assert np.abs(small.boxes - page.boxes * 0.8).max() <= 0.5
    below = round(page.image.shape[0] * 0.8)
    assert (small.image[below:] == PAPER).all()
    assert shrink(page, 640) is page


@pytest.mark.parametrize("side", [0, 100, 704, -64])
def test_a_page_is_shrunk_to_a_multiple_of_64_or_not_at_all(side: int) -> None:
    with pytest.raises(UsageError, match="multiple of 64"):
        shrink(typeset("a", "7x13", "small")[0], side)
