"""What cells can hold: every letter that is promised, no two alike, and the old ones as they always were."""

from __future__ import annotations

import itertools
from hashlib import sha256
from unicodedata import category, name

import numpy as np
import pytest

from microfiche.typesetting import typeset, unreadable
from microfiche.typesetting.alphabet import FULL, HALF, N_HALF, code_points
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, LEARNED, Density
from microfiche.typesetting.repertoire import APART, LABEL, NONE, all_marks, ladder, repertoire
from microfiche.typesetting.typesetter import unlearned

LARGER = ("7x13", "6x12", "8x16")  #: the densities that hold all that is promised
EVERY = [d.name for d in DENSITIES.values()]
PROMISED = {
    "Latin-1": (0xA0, 0xFF), "Latin Extended-A and -B": (0x100, 0x24F), "Vietnamese and more": (0x1E00, 0x1EFF),
    "Greek": (0x370, 0x3FF), "polytonic Greek": (0x1F00, 0x1FFF), "Cyrillic and its supplement": (0x400, 0x52F),
    "Cyrillic Extended-A": (0x2DE0, 0x2DFF), "Cyrillic Extended-B": (0xA640, 0xA69F),
    "Cyrillic Extended-C": (0x1C80, 0x1C88), "currency": (0x20A0, 0x20CF), "arrows": (0x2190, 0x21FF),
    "mathematics": (0x2200, 0x22FF), "box drawing and blocks": (0x2500, 0x259F), "Braille": (0x2800, 0x28FF),
}  # fmt: skip
#: Of the pictures in the atlases with which the weights that ship were trained.
SHA256 = {
    "7x13": "e80e3d38edfbce558a6ffcd0cde78de6e748c1fd76719d64ad3e5d207308b9c8",
    "6x12": "7eecc2185132c3e139a95d6213228e35c078b60e9469e3f42db4b8a4fdd5b5a2",
    "6x10": "28be9f0a29b7368198e1eae553e7f422b835f56ac55a28d4f3e40fa9a15856d2",
    "5x8": "0737bcc945d5d7882695233f1ed115c5d8f22f48a20ff5d7b1836e5e38f2f35a",
    "4x6": "23d3cfc386553a15eee22bec13bcef400b7aeb5466f6b7260bfc07f11a04d4a0",
    "16x16": "a55862cd79149cffaee564b3c4708f9e5ef55371f730ce7e5c9a0deef8d56674",
    "12x12": "fce874e2431d887bbc3f03ac261673889153857c94f0d49f087744be6a2819b9",
}


def assigned(first: int, last: int) -> str:
    return "".join(chr(point) for point in range(first, last + 1) if category(chr(point)) != "Cn")


@pytest.mark.parametrize("density", LARGER)
@pytest.mark.parametrize("what", PROMISED)
def test_what_is_promised_is_drawn(what: str, density: str) -> None:
    text = assigned(*PROMISED[what])
    missing = code_points(text)[~repertoire(DENSITIES[density]).draws(code_points(text))]
    assert [name(chr(point), f"U+{point:04X}") for point in missing] == []


@pytest.mark.parametrize("density", EVERY)
def test_a_line_of_anything_promised_can_be_set_at_every_density(density: str) -> None:
    text = "".join(assigned(*PROMISED[what]) for what in PROMISED)
    assert "".join(page.text for page in typeset(text, density)) == text
    assert not unreadable([text], DENSITIES[density])[0] and LABEL not in text


def test_what_needs_shaping_is_not_drawn() -> None:
    for char in "אعनܐ😀\ud800\ue000\ufdd0\ufdd1\0":
        assert unreadable([char], DENSITIES["8x16"])[0] == {char: 1}, char


@pytest.mark.parametrize("density", LEARNED, ids=lambda d: d.name)
def test_the_pictures_that_models_know_never_change(density: Density) -> None:
    cells = atlas(density)
    assert sha256(np.packbits(cells.cells).tobytes() + cells.drawn.tobytes()).hexdigest() == SHA256[density.name]
    known = repertoire(density).known_of(code_points(HALF.replace("\0", "") + FULL))
    assert known.sum() == len(cells.characters) and not unlearned([cells.characters], density)


@pytest.mark.parametrize("density", EVERY)
def test_no_two_characters_of_a_density_look_alike(density: str) -> None:
    own = repertoire(DENSITIES[density])
    apart = set(range(APART, APART + len(all_marks())))
    for width, pictures in ((1, own.half), (2, own.wide)):
        points = [p for p in np.flatnonzero(own.widths == width) if p not in apart]
        looks = {pictures[own.places[p]].tobytes() for p in points}
        assert len(looks) == len(points)


@pytest.mark.parametrize("density", EVERY)
def test_a_larger_density_draws_all_that_a_smaller_one_does(density: str) -> None:
    rungs = [repertoire(d).widths != NONE for d in ladder(DENSITIES[density])]
    assert all((~lower | higher).all() for lower, higher in itertools.pairwise(rungs))
    assert ladder(DENSITIES[density])[0].name == density


def test_models_that_read_cells_know_at_8x16_what_they_know_at_16x16() -> None:
    narrow, wide = repertoire(DENSITIES["8x16"]), repertoire(DENSITIES["16x16"])
    known = np.flatnonzero(narrow.known)
    assert wide.known[known].all() and set(map(ord, HALF[3:])) <= set(known.tolist())
    for point in known:
        pictures = [(one.wide if one.widths[point] == 2 else one.half)[one.places[point]] for one in (narrow, wide)]
        assert (pictures[0] == pictures[1]).all()
    arrow = ord("→")
    assert (narrow.widths[arrow], wide.widths[arrow]) == (1, 2) and not narrow.known[arrow]
    assert narrow.half.shape[1:] == (16, 8) and len(narrow.half) > N_HALF
