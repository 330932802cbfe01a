"""Text comes back from the pixels of its pages, exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.errors import UnreadableCharacters
from microfiche.page import Layout, Page
from microfiche.typesetting import Typesetter, typeset, unreadable
from microfiche.typesetting.alphabet import FULL
from microfiche.typesetting.atlas import atlas, draw, draw_torch
from microfiche.typesetting.density import DENSITIES, MODES, Density
from microfiche.typesetting.typesetter import ids_to_text, text_cells


def read_pixels(page: Page, density: Density, layout: Layout) -> str:
    """What stands on a page, told by its pixels alone: each cell is looked up among the glyphs' pictures."""
    drawn = np.flatnonzero(atlas(density).drawn)
    pictures: dict[bytes, list[int]] = {}
    for i in drawn:
        pictures.setdefault(atlas(density).cells[i].tobytes(), []).append(int(i))
    h, w = density.height, density.width
    rows, columns = page.image.shape[0] // h, page.image.shape[1] // w
    ink = (page.image[: rows * h, : columns * w] == 0).astype(np.uint8)
    blocks = ink.reshape(rows, h, columns, w).swapaxes(1, 2)
    half = np.zeros((rows, columns), np.uint16)
    pairs = {}
    n_half = len(atlas(density).cells) - 2 * len(FULL) * density.wide
    for k in range(len(FULL) * density.wide):
        i = n_half + 2 * k
        if atlas(density).drawn[i]:
            pairs[atlas(density).cells[i].tobytes() + atlas(density).cells[i + 1].tobytes()] = i
    for y in range(rows):
        x = 0
        while x < columns:
            one = blocks[y, x].tobytes()
            narrow = [i for i in pictures.get(one, []) if i < n_half]
            wide = pairs.get(one + blocks[y, x + 1].tobytes()) if x + 1 < columns else None
            if wide is not None and not narrow:
                half[y, x], half[y, x + 1] = wide, wide + 1
                x += 2
            else:
                half[y, x] = narrow[0]
                x += 1
    return ids_to_text(half.reshape(-1)[text_cells(half, layout)])


def texts(density: Density) -> st.SearchStrategy[str]:
    alphabet = "".join(c for c in atlas(density).characters if c < "\u3000")
    runs = st.one_of(st.text(alphabet, max_size=60), st.sampled_from([" " * 9, "\n\n", "\t\t", "\r\n", "  \n"]))
    return st.lists(runs, max_size=12).map("".join)


@pytest.mark.parametrize("layout", ["dense", "lines"])
@pytest.mark.parametrize("name", [d.name for d in DENSITIES.values() if not d.wide])
def test_round_trip_by_pixels(name: str, layout: Layout) -> None:
    density = DENSITIES[name]

    @settings(max_examples=15, deadline=None)
    @given(texts(density))
    def holds(text: str) -> None:
        pages = typeset(text, name, "tiny", layout)
        assert "".join(page.text or "" for page in pages) == text
        assert "".join(read_pixels(page, density, layout) for page in pages) == text

    holds()


@pytest.mark.parametrize("layout", ["dense", "lines"])
@pytest.mark.parametrize("name", ["16x16", "12x12"])
def test_round_trip_of_mixed_scripts(name: str, layout: Layout) -> None:
    @settings(max_examples=30, deadline=None)
    @given(st.text("天地玄黄，。「」 a1é\n\t", max_size=400))
    def holds(text: str) -> None:
        pages = typeset(text, name, "tiny", layout)
        assert "".join(page.text or "" for page in pages) == text

    holds()
    text = "天地a玄黄，宇宙\n洪荒 b " * 30
    pages = typeset(text, name, "tiny", layout)
    assert "".join(read_pixels(page, DENSITIES[name], layout) for page in pages) == text


def test_feeding_in_pieces_changes_nothing() -> None:
    text = "A line, and 中文 with it.\n" * 900
    typesetter = Typesetter(DENSITIES["16x16"], MODES["tiny"])
    whole = list(typesetter.pages([text]))
    pieces = list(typesetter.pages(text[i : i + 777] for i in range(0, len(text), 777)))
    assert [p.text for p in whole] == [p.text for p in pieces]
    assert all((a.image == b.image).all() for a, b in zip(whole, pieces, strict=True))


def test_the_last_page_is_only_as_high_as_its_text() -> None:
    assert [page.image.shape for page in typeset("short")] == [(64, 640)]
    assert [page.image.shape for page in typeset("x" * 5000, "7x13")] == [(640, 640), (128, 640)]


def test_boxes_hold_the_characters() -> None:
    (page,) = typeset("a中b", "16x16")
    assert page.boxes is not None
    assert page.boxes.tolist() == [[0, 0, 8, 16], [8, 0, 24, 16], [24, 0, 32, 16]]


@pytest.mark.parametrize("density", DENSITIES.values(), ids=lambda d: d.name)
def test_required_characters_are_drawn(density: Density) -> None:
    needed = "".join(map(chr, [*range(32, 127), *range(160, 256)])) + "‘’“”–—…•\n\t"
    assert set(needed) <= set(atlas(density).characters)
    if density.wide:
        gb2312 = {bytes([r, c]).decode("gb2312", "ignore") for r in range(0xA1, 0xF8) for c in range(0xA1, 0xFF)}
        assert gb2312 - {""} <= set(atlas(density).characters)


def test_what_cannot_be_drawn_is_named() -> None:
    counts, first = unreadable(["ab😀", "c😀中"], DENSITIES["7x13"])
    assert counts == {"😀": 2} and first == {"😀": 2}
    with pytest.raises(UnreadableCharacters, match=r"U\+D800 at character 1"):
        typeset("a\ud800")


def test_torch_draws_what_numpy_draws() -> None:
    pictures = atlas(DENSITIES["6x10"]).cells
    cells = np.random.default_rng(0).integers(len(pictures), size=(3, 12, 21)).astype(np.uint16)
    by_torch = draw_torch(torch.from_numpy(cells.astype(np.int64)), torch.from_numpy(pictures), 128, 128)
    assert (by_torch.numpy() == draw(cells, pictures, 128, 128)).all()
