"""Vision tokens say which squares they stand for, and cannot say what no page has; nor can readings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from microfiche.errors import CheckpointError, UsageError
from microfiche.nano.cells import Nano
from microfiche.nano.model import NanoConfig
from microfiche.page import Checkpoint, Page, Reading, Setting, VisionTokens


def tokens(places: Any, origin: tuple[int, int] = (0, 0), count: int | None = None, **more: Any) -> VisionTokens:
    at = None if places is None else np.asarray(places, more.pop("dtype", np.int32))
    values = torch.zeros(len(places) if count is None else count, 8)
    return VisionTokens(values, 3, 2, None, Checkpoint("x", "0"), at, origin)


def test_tokens_are_counted_as_they_are_kept() -> None:
    assert len(tokens([[0, 2, 1], [1, 2, 1], [-1, -1, -1], [-1, -1, -1]], (191, 127))) == 4
    assert len(tokens(np.empty((0, 3)))) == 0
    assert len(tokens(None, count=6)) == 6


@pytest.mark.parametrize(
    ("places", "more", "said"),
    [
        ([[0, 3, 0]], {}, "row 3, column 0 of view 0 lies off a page of 3 × 2 squares"),
        ([[0, 0, 2]], {}, "row 0, column 2 of view 0 lies off"),
        ([[-1, 0, 0]], {}, "row 0, column 0 of view -1 lies off"),
        ([[0, -1, -1]], {}, "row -1, column -1 of view 0 lies off"),
        ([[0, 0, 0], [0, 1, 1], [0, 1, 1]], {}, "2 tokens stand for row 1, column 1 of view 0"),
        ([[0, 0, 0]], {"count": 2}, r"places of 2 tokens are int32 \(1, 3\), not int32 \(2, 3\)"),
        ([[0, 0]], {}, r"are int32 \(1, 2\)"),
        ([[0, 0, 0]], {"dtype": np.int64}, r"are int64 \(1, 3\)"),
        ([[0.0, 0.5, 0.0]], {"dtype": np.float32}, "are float32"),
        ([[0, 0, 0]], {"origin": (192, 0)}, r"origin \(192, 0\) lies off a page of 3 × 2 squares"),
        (None, {"origin": (0, -1), "count": 6}, r"origin \(0, -1\) lies off"),
    ],
)
def test_places_that_no_page_has_are_refused(places: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tokens(places, **more)


def test_the_codec_reads_no_tokens_with_places() -> None:
    nano = Nano(NanoConfig((4, 4, 4, 8), 1, 16, 8, 1, 1, 8, 8))
    setting, places = Setting("7x13"), np.zeros((1, 3), np.int32)
    for given, said in ((places, "makes tokens of every square"), (None, "makes 2 × 16 of such a page")):
        page = VisionTokens(torch.zeros(1, 16), 1, 2, setting, nano.checkpoint, given)
        with pytest.raises(CheckpointError, match=said):
            nano.read([page])


@pytest.mark.parametrize(
    ("confidence", "boxes", "said"),
    [
        ((2,), (3, 4), r"confidence of a text of 3 characters is \(2,\), not \(3,\)"),
        ((3, 1), (3, 4), r"confidence of a text of 3 characters is \(3, 1\)"),
        ((3,), (4, 4), r"boxes of a text of 3 characters is \(4, 4\), not \(3, 4\)"),
        ((0,), (3, 2), r"boxes of a text of 3 characters is \(3, 2\)"),
        ((0,), (0,), r"boxes of a text of 3 characters is \(0,\)"),
    ],
)
def test_a_reading_knows_all_of_its_characters_or_none(
    confidence: tuple[int, ...], boxes: tuple[int, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Reading("abc", np.zeros(confidence, np.float32), np.zeros(boxes, np.int32))


def test_confidence_and_boxes_may_be_unknown() -> None:
    sure, boxes = np.zeros(3, np.float32), np.zeros((3, 4), np.int32)
    for reading in (Reading("abc"), Reading("abc", sure), Reading("abc", boxes=boxes), Reading("abc", sure, boxes)):
        assert reading.text == "abc"
    assert Reading("").boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((64, 64), bool), ((64, 64), np.float32), ((64, 64), np.uint16), ((64,), np.uint8), ((64, 64, 4), np.uint8),
     ((64, 64, 1), np.uint8), ((1, 64, 64, 3), np.uint8)],
)  # fmt: skip
def test_an_image_that_is_no_page_is_refused(shape: tuple[int, ...], kind: type) -> None:
    with pytest.raises(UsageError, match=r"is no page; give \(height, width\) uint8 grey"):
        Page(np.zeros(shape, kind))
    for fits in ((64, 64), (64, 70, 3)):
        assert Page(np.zeros(fits, np.uint8)).image.shape == fits


def test_words_that_are_doubted_are_marked_or_left_out() -> None:
    text = "The cat\n说 it  sat"
    confidence = np.full(len(text), 0.9, np.float32)
    confidence[[text.index("h"), text.index("说"), text.index("s")]] = 0.5
    reading = Reading(text, confidence)
    assert [text[word] for word in reading.words()] == ["The", "cat", "说", "it", "sat"]
    assert [text[word] for word in reading.doubted(0.6)] == ["The", "说", "sat"]
    assert reading.marked(0.6) == "The[?] cat\n说[?] it  sat[?]" and reading.marked(0.5) == text
    assert reading.without(reading.doubted(0.6)) == " cat\n it  " and reading.without([]) == text
    assert Reading(text).marked(1.0) == text and Reading("").marked(1.0) == ""
