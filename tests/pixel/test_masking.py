"""Masks have exactly the published share, and spans that are drawn, spaced and placed as published."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.pixel.masking import WEIGHTS, masked_count, spans


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
