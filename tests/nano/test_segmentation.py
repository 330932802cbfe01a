"""Parting a line of frames into characters: what is certain is read as it is, and no other chain is likelier."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from microfiche.nano import segmentation
from microfiche.nano.segmentation import parted
from microfiche.nano.tracing import TracedLine
from microfiche.typesetting.alphabet import N_HALF, glyphs

SIZE = 10.0


def seen(text: str, widths: list[int], lead: int = 3, sure: float = 9.0) -> NDArray[np.float32]:
    """The frames of a text whose characters take so many frames each, with a centre in the middle; `lead` frames of
    nothing around it."""
    logits = np.zeros((sum(widths) + 2 * lead, N_HALF + 1), np.float32)
    logits[:, N_HALF] = -sure
    at = lead
    for kind, width in zip(glyphs(text).tolist(), widths, strict=True):
        logits[at : at + width, kind] = sure
        logits[at + width // 2, N_HALF] = sure
        at += width
    return logits


def line(count: int, y: float = 20.0) -> tuple[TracedLine, NDArray[np.float64]]:
    return TracedLine(0.0, 2.0 * count, y, 0.0, SIZE), np.arange(count) * 2.0 + 1


@pytest.mark.parametrize("text", ["it is filled, still.", "lllll", "a b  c", "MMWW mm", "x", "..,,ii", "œ–Ωя"])
def test_what_is_certain_is_read_however_narrow(text: str) -> None:
    rng = np.random.default_rng(len(text))
    widths = rng.integers(1, 6, len(text)).tolist()
    logits = seen(text, widths)
    one, x = line(len(logits))
    (read,) = parted([one], [x], logits)
    assert read.text == text and read.line.size == SIZE and (read.confidence > 0.85).all()
    middles = 2.0 * (3 + np.cumsum([0, *widths[:-1]]) + np.array(widths) // 2) + 1
    found = (read.boxes[:, 0] + read.boxes[:, 2]) / 2
    assert np.abs(found - middles).max() <= 2.0 * max(widths)
    assert (read.boxes[1:, 0] == read.boxes[:-1, 2]).all()
    assert ((read.boxes[:, 0] <= middles + 0.5) & (middles <= read.boxes[:, 2] + 0.5)).all()


def test_two_letters_side_by_side_are_two_though_each_centre_is_unsure() -> None:
    logits = seen("al", [2, 1], sure=4.0)
    one, x = line(len(logits))
    logits[:, N_HALF] = [-4, -4, -4, -1, 0.8, 0.8, -4, -4, -4]
    (read,) = parted([one], [x], logits)
    assert read.text == "al"
    logits[3:6, :N_HALF] = 0
    logits[3:6, glyphs("a")[0]] = 4
    logits[:, N_HALF] = [-4, -4, -4, -4, 0, 0, -4, -4, -4]
    (read,) = parted([one], [x], logits)
    assert read.text == "a" and len(read.confidence) == 1


def test_nothing_is_read_where_nothing_stands() -> None:
    logits = seen("", [], lead=20)
    one, x = line(40)
    assert parted([one], [x], logits) == []
    assert parted([], [], logits[:0]) == []
    spaces = seen("   ", [2, 2, 2])
    one, x = line(len(spaces))
    assert parted([one], [x], spaces) == []


def test_lines_are_read_each_for_itself() -> None:
    texts = ["the first line", "a", "and the second one."]
    parts = [seen(text, [2] * len(text)) for text in texts]
    lines, xs = zip(*(line(len(part), 10.0 * i) for i, part in enumerate(parts)), strict=True)
    together = parted(lines, xs, np.concatenate(parts))
    assert [one.text for one in together] == texts
    for one, traced, x, part in zip(together, lines, xs, parts, strict=True):
        (alone,) = parted([traced], [x], part)
        assert alone.text == one.text and (alone.boxes == one.boxes).all()
        assert np.allclose(alone.confidence, one.confidence, atol=0.01)


def worth(chain: list[tuple[int, int]], score: NDArray[np.float64], nothing: NDArray[np.float64]) -> float:
    covered = np.zeros(len(nothing), bool)
    total = 0.0
    for first, last in chain:
        covered[first:last] = True
        total += score[first, last - first - 1]
    return total + float(nothing[~covered].sum())


def chains(count: int, at: int = 0) -> list[list[tuple[int, int]]]:
    """All chains of the frames from `at` on."""
    if at == count:
        return [[]]
    widest = min(segmentation._FRAMES, count - at)
    parts = [[(at, at + w), *rest] for w in range(1, widest + 1) for rest in chains(count, at + w)]
    return parts + chains(count, at + 1)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(0, 1000))
def test_no_chain_is_likelier(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = sum(lengths)
    score, nothing = rng.normal(0, 2, (count, segmentation._FRAMES)), rng.normal(0, 1, count)
    found = segmentation._chains(score, nothing, lengths)
    edges = np.cumsum([0, *lengths]).tolist()
    for chain, (first, last) in zip(found, pairwise(edges), strict=True):
        assert all(a < b for a, b in chain) and all(one[1] <= two[0] for one, two in pairwise(chain))
        here = score[first:last], nothing[first:last]
        assert worth(chain, *here) == pytest.approx(max(worth(other, *here) for other in chains(last - first)))
