"""The whole street with the weights that ship: a page's text comes back from its tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import microfiche
from microfiche.codec import measure
from microfiche.errors import CheckpointError
from microfiche.nano.cells import NANO, Nano
from microfiche.precision import fox_precision, precision
from microfiche.readers import load
from microfiche.typesetting.shrink import shrink
from microfiche.weights.stored import save

CHAPTER = (Path(__file__).parent.parent / "examples/alice-1.txt").read_text()


@pytest.fixture(scope="module")
def nano() -> Nano:
    return microfiche.load()


@pytest.mark.parametrize(
    ("density", "wanted"), [("7x13", 0.995), ("6x12", 0.995), ("6x10", 0.995), ("5x8", 0.995), ("4x6", 0.99)]
)
def test_a_book_chapter_comes_back(nano: Nano, density: str, wanted: float) -> None:
    tokens = nano.encode(microfiche.typeset(CHAPTER, density))
    assert precision("".join(one.text for one in nano.read(tokens)), CHAPTER) >= wanted


def test_a_chapter_shrunk_and_saved_as_jpeg_comes_back(nano: Nano) -> None:
    result = measure(CHAPTER, nano, "7x13", shrunk_to=512, jpeg=70)
    assert result.precision >= 0.95 and result.ratio >= 15
    assert result.shrunk_to == 512 and result.vision_tokens < measure(CHAPTER, nano, "7x13").vision_tokens


@pytest.mark.parametrize("side", [512, 384])
def test_what_is_read_of_a_shrunk_page_has_its_place_there(nano: Nano, side: int) -> None:
    page = shrink(microfiche.typeset(CHAPTER, "7x13")[0], side)
    (tokens,) = nano.encode([page])
    assert (tokens.height, tokens.width) == (page.image.shape[0] // 64, side // 64)
    (reading,) = nano.read([tokens])
    assert (reading.boxes[:, :2] >= 0).all() and (reading.boxes[:, 2] <= side).all()
    assert (reading.boxes[:, 3] <= page.image.shape[0]).all()


def test_a_page_reads_the_same_whatever_stands_beside_it(nano: Nano) -> None:
    pages = microfiche.typeset(CHAPTER, mode="tiny")
    together = [reading.text for reading in nano.read(nano.encode(pages))]
    apart = [nano.read(nano.encode([page]))[0].text for page in reversed(pages)][::-1]
    assert together == apart


def test_every_character_has_a_probability_and_a_box(nano: Nano) -> None:
    (reading,) = nano.read(nano.encode(microfiche.typeset("One line.")))
    assert len(reading.text) == len(reading.confidence) == len(reading.boxes)
    assert ((reading.confidence > 0) & (reading.confidence <= 1)).all()


def test_tokens_of_other_weights_are_refused(nano: Nano, tmp_path: Path) -> None:
    other = load(dtype=torch.float32)
    with torch.no_grad():
        other.readout.half_head.bias.add_(1)
    save(NANO, other, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read by nano"):
        nano.read(load(tmp_path / "other.safetensors").encode(microfiche.typeset("x")))


def test_a_damaged_checkpoint_is_refused(nano: Nano, tmp_path: Path) -> None:
    save(NANO, load(dtype=torch.float32), tmp_path / "whole.safetensors")
    data = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load(tmp_path / "cut.safetensors")
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        load(tmp_path / "none.safetensors")


def test_precision_counts_characters_and_fox_counts_words() -> None:
    assert precision("abcd", "abcd") == 1
    assert precision("abxd", "abcd") == 0.75
    assert precision("ab  \ncd", "ab\ncd") == 1
    assert fox_precision("one two too", "one two two") == pytest.approx(2 / 3)
