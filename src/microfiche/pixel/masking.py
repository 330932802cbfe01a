"""Which patches of a strip are masked: spans, apart from each other, of exactly a share of the strip.

It knows nothing of models or pictures. After Language Modelling with Pixels (arXiv 2207.06991, section 2.3) and the
published SpanMaskingGenerator with spacing "span", whose choices it follows one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import numpy as np
from numpy.typing import NDArray

WEIGHTS = (0.2, 0.2, 0.2, 0.2, 0.1, 0.1)  #: of spans of 1, 2, … patches
TRIES = 100  #: for each span; where none of them fits, no more are tried
_AHEAD = 64  #: random numbers drawn at a time


def masked_count(patches: int, ratio: float) -> int:
    """How many of a strip's patches are masked: all but the ⌊patches · (1 − ratio)⌋ that are kept."""
    return patches - floor(patches * (1 - ratio))


def spans(
    rng: np.random.Generator, patches: int, ratio: float = 0.25, text: int | None = None,
    weights: Sequence[float] = WEIGHTS,
) -> NDArray[np.bool_]:
    """(patches,) bool, True where a patch is masked: `masked_count` of them.

    A span is as long as `weights` draw it and has as many unmasked patches on both sides, or up to the strip's end. The
    first lies in the first `text` patches (all if None), so that something that is written is masked; the others lie
    anywhere. What is missing when no further span fits is masked at random.
    """
    wanted = masked_count(patches, ratio)
    up_to = np.cumsum(weights) / np.sum(weights)
    mask = count = 0  # the mask as the bits of a number
    written = text
    lengths: list[int] = []
    lefts: list[float] = []
    tries = 0
    while count < wanted and tries < TRIES:
        if not lengths:
            lengths = (1 + np.searchsorted(up_to, rng.random(_AHEAD), "right")).tolist()
            lefts = rng.random(_AHEAD).tolist()
        span, place = lengths.pop(), lefts.pop()
        tries += 1
        if span >= patches:
            continue
        left = int(place * (1 + max(0, (patches if written is None else written) - span)))
        left, written = min(left, patches - span), None
        inside = ((1 << span) - 1) << left
        around = ((1 << 3 * span) - 1) << left >> span
        new = span - (mask & inside).bit_count()
        if mask & around & ~inside or not 0 < new <= min(wanted - count, len(weights)):
            continue
        mask |= inside
        count += new
        tries = 0
    found = _bits(mask, patches)
    if count < wanted:
        found[rng.choice(np.flatnonzero(~found), wanted - count, replace=False)] = True
    return found


def _bits(number: int, count: int) -> NDArray[np.bool_]:
    data = np.frombuffer(number.to_bytes(-(-count // 8), "little"), np.uint8)
    return np.unpackbits(data, count=count, bitorder="little").astype(bool)
