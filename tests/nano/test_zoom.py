"""Glance, then zoom: lines are kept alone, as small as they can be read surely."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from written import WORDS, written

from microfiche.errors import CheckpointError, UsageError
from microfiche.nano.agreement import likeness
from microfiche.nano.print import PrintModel
from microfiche.nano.zoom import Zoom
from microfiche.page import Page, VisionTokens
from microfiche.readers import load

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def model() -> PrintModel:
    return load("nano-pages")


def tokens_of(model: PrintModel, picture: Picture, sure: float = 0.98) -> VisionTokens:
    (tokens,) = Zoom(model, sure).encode([Page(picture)])
    return tokens


def test_lines_are_read_with_far_fewer_tokens(model: PrintModel) -> None:
    picture = written([16, 24, 48])
    tokens = tokens_of(model, picture)
    (whole,) = model.encode([Page(picture)])
    assert 0 < len(tokens) < 0.4 * len(whole)
    (reading,) = model.read([tokens])
    right = sum(word in reading.text.split("\n")[i].split() for i in range(3) for word in WORDS.split())
    assert right >= 0.8 * 3 * len(WORDS.split())


def test_boxes_lie_where_the_words_stand(model: PrintModel) -> None:
    (reading,) = model.read([tokens_of(model, written([20, 40]))])
    ends = [i for i, c in enumerate(reading.text) if c == "\n"]
    first, second = reading.boxes[0], reading.boxes[ends[0] + 1]
    assert abs(int(first[0]) - 20) < 12 and first[1] < 50 < first[3] + 10
    assert abs(int(second[0]) - 20) < 24 and second[1] < 150 < second[3] + 20


def test_less_sure_costs_no_more(model: PrintModel) -> None:
    picture = written([12, 16, 24, 32])
    costs = [len(tokens_of(model, picture, sure)) for sure in (0.0, 0.9, 0.98, 1.0)]
    assert costs == sorted(costs)


def test_worn_type_is_read_better_where_lines_are_kept_more_than_once(model: PrintModel) -> None:
    picture = written([10, 11, 12, 13])
    noise = np.random.default_rng(0).normal(0, 60, picture.shape)
    worn = (picture + noise).clip(0, 255).astype(np.uint8)
    read, kept = {}, {}
    for sure in (0.5, 0.98, 0.99, 1.0):
        tokens = tokens_of(model, worn, sure)
        assert tokens.pieces is not None
        lines = tokens.pieces.lines.tolist()
        kept[sure] = len(set(zip(lines, tokens.pieces.sources[:, 2].tolist(), strict=True))) / len(set(lines))
        read[sure] = likeness(model.read([tokens])[0].text, 4 * f"{WORDS}\n")
    assert read[1.0] > read[0.5]
    assert kept[0.5] == kept[0.98] == 1 < kept[0.99] <= min(3, kept[1.0]) and kept[1.0] <= 5


def test_light_type_on_dark_is_read_as_well(model: PrintModel) -> None:
    picture = written([24])
    (reading,) = model.read([tokens_of(model, 255 - picture)])
    assert sum(word in reading.text.split() for word in WORDS.split()) >= 6


@pytest.mark.parametrize("shade", [0, 120, 255])
def test_a_page_without_type_has_no_tokens(model: PrintModel, shade: int) -> None:
    tokens = tokens_of(model, np.full((300, 200), shade, np.uint8))
    assert len(tokens) == 0 and (tokens.height, tokens.width) == (5, 4)
    assert model.read([tokens])[0].text == ""


def test_what_is_encoded_does_not_depend_on_other_pages(model: PrintModel) -> None:
    pages = [Page(written([12])), Page(written([20, 30]))]
    together = Zoom(model, 0.95).encode(pages)
    for page, tokens in zip(pages, together, strict=True):
        (alone,) = Zoom(model, 0.95).encode([page])
        assert torch.equal(alone.values, tokens.values)


def test_colour_is_taken_as_grey(model: PrintModel) -> None:
    grey = written([16])
    assert len(tokens_of(model, np.stack([grey] * 3, 2))) == len(tokens_of(model, grey))


@pytest.mark.parametrize("sure", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(model: PrintModel, sure: float) -> None:
    with pytest.raises(UsageError, match="it must be between 0 and 1"):
        Zoom(model, sure)


def test_tokens_of_squares_are_not_those_of_a_galley(model: PrintModel) -> None:
    tokens = tokens_of(model, written([16]))
    bare = VisionTokens(tokens.values, tokens.height, tokens.width, None, tokens.checkpoint, tokens.places)
    with pytest.raises(CheckpointError, match="these stand for something else"):
        model.read([bare])
