"""Preprocessing: the published rules, compared with a straight account of them, on images of any shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from microfiche.deepseek_ocr import views
from microfiche.deepseek_ocr.views import RESOLUTIONS, grid
from microfiche.errors import InputError, UsageError
from microfiche.page import Page

sides = st.integers(1, 1400)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def tensor(image: Image.Image) -> torch.Tensor:
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255) - 0.5) / 0.5


@settings(deadline=None)
@given(st.integers(1, 20000), st.integers(1, 20000))
def test_the_grid_is_the_nearest_in_shape(width: int, height: int) -> None:
    w, h = grid(width, height)
    if max(width, height) <= 640:
        assert (w, h) == (0, 0)
        return
    assert 2 <= w * h <= 9
    nearest = min(abs(width / height - a / b) for a in range(1, 10) for b in range(1, 10) if 2 <= a * b <= 9)
    assert abs(width / height - w / h) == nearest


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 640), (0, 0)),
        ((641, 641), (2, 2)),  # squares: 3×3 only from half of its pixels on
        ((1357, 1357), (2, 2)),
        ((1358, 1358), (3, 3)),
        ((1000, 500), (2, 1)),
        ((800, 1600), (1, 2)),
        ((1300, 2600), (2, 4)),
        ((1240, 1754), (2, 3)),
        ((1754, 1240), (3, 2)),
        ((20000, 10), (9, 1)),
        ((10, 20000), (1, 9)),
        ((641, 1), (9, 1)),
    ],
)
def test_the_grid_of_known_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert grid(*size) == expected


@settings(max_examples=25, deadline=None)
@given(sides, sides, st.sampled_from(sorted(RESOLUTIONS)))
def test_views_are_what_the_rules_say(width: int, height: int, name: str) -> None:
    mode, image = RESOLUTIONS[name], picture(width, height)
    seen = views.views(image, mode)
    fitted = image.resize((mode.side, mode.side)) if name in ("tiny", "small") else image
    assert torch.equal(seen.page, tensor(ImageOps.pad(fitted, (mode.side, mode.side), color=(127, 127, 127))))
    w, h = seen.grid
    assert seen.grid == (views.tiling(mode, width, height) if mode.tile else (0, 0))
    assert seen.tiles.shape == (w * h, 3, mode.tile or mode.side, mode.tile or mode.side)
    if w:
        stretched = image.resize((640 * w, 640 * h))
        for i, tile in enumerate(seen.tiles):
            left, top = 640 * (i % w), 640 * (i // w)
            assert torch.equal(tile, tensor(stretched.crop((left, top, left + 640, top + 640))))
    assert seen.page.dtype == seen.tiles.dtype == torch.float32
    assert seen.page.min() >= -1 and seen.page.max() <= 1
    local = 10 * h * (10 * w + 1) if w else 0
    assert len(seen) == {"tiny": 73, "small": 111, "base": 273, "large": 421, "gundam": 273}[name] + local
    assert len(seen) == views.vectors(mode.side, mode.tile or mode.side, views.tiling(mode, width, height))


def test_every_vector_stands_for_a_square_a_row_s_end_or_the_page_s() -> None:
    seen = views.views(picture(1240, 1754), RESOLUTIONS["gundam"])
    assert len(seen) == 903
    found = views.places(seen)
    assert found.shape == (903, 3) and found.dtype == np.int32
    real = found[found[:, 0] > 0]
    assert len(np.unique(real, axis=0)) == len(real) == 16 * 16 + 10 * 10 * seen.grid[0] * seen.grid[1]
    assert found[0].tolist() == [2, 0, 0] and found[-1].tolist() == [-1, -1, -1]
    assert (found[-2] == -1).all() and found[-3].tolist() == [1, 15, 15]
    assert len(views.places(views.views(picture(300, 200), RESOLUTIONS["gundam"]))) == 273


def test_a_photograph_is_turned_as_its_exif_says() -> None:
    image = picture(300, 200)
    turned = image.copy()
    turned.getexif()[0x0112] = 6
    seen = views.views(turned, RESOLUTIONS["base"]).page
    assert torch.equal(seen, views.views(image.rotate(-90, expand=True), RESOLUTIONS["base"]).page)


def test_grey_palette_and_alpha_become_rgb() -> None:
    image = picture(50, 40)
    for kind in ("L", "1", "P", "RGBA", "CMYK", "LA", "I;16"):
        converted = image.convert("L").convert(kind) if kind in ("LA", "I;16") else image.convert(kind)
        assert views.views(converted, RESOLUTIONS["tiny"]).page.shape == (3, 512, 512)


def test_a_page_is_an_image() -> None:
    array = np.array(picture(128, 64))
    seen = views.views(Page(array), RESOLUTIONS["small"]).page
    assert torch.equal(seen, views.views(Image.fromarray(array), RESOLUTIONS["small"]).page)


def test_what_cannot_be_seen_is_refused() -> None:
    with pytest.raises(UsageError, match="published weights were not trained"):
        views.mode("gundam-m")
    with pytest.raises(UsageError, match="no mode 'huge'; there are tiny, small"):
        views.mode("huge")


def test_a_cut_off_image_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    picture(400, 400).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:5000])
    with Image.open(tmp_path / "cut.png") as image, pytest.raises(InputError, match=r"cut\.png: cannot be decoded"):
        views.views(image, RESOLUTIONS["tiny"])


def test_the_switch_to_six_tiles_cuts_as_the_code_for_vllm_does() -> None:
    for size, grids in (((1240, 1754), [(2, 3), (2, 3)]), ((2000, 2000), [(3, 3), (2, 2)])):
        assert [views.tiling(RESOLUTIONS[name], *size) for name in ("gundam", "gundam-6")] == grids


def test_sixteen_bits_are_scaled_and_transparent_paper_is_white() -> None:
    grey = np.tile(np.linspace(0, 65535, 600).astype(np.uint16), (600, 1))
    page = views.views(Image.fromarray(grey), RESOLUTIONS["base"]).page
    assert page[0, 512, 0] < -0.95 and abs(float(page[0, 512, 512])) < 0.05 and page[0, 512, -1] > 0.95
    clear = Image.new("RGBA", (600, 600), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (100, 100, 200, 200))
    page = views.views(clear, RESOLUTIONS["base"]).page
    assert page[0, 10, 10] == 1 and page[0, 256, 256] == -1
