"""Digits that do not look like what a text layer says they are, as where a font numbers its signs anew and the file
names them wrongly: words look odd then, but a wrong number looks like any other.

Compares the mean picture of each digit of a font with what digits look like in most typefaces. That raises a doubt, no
more; whoever reads the picture settles it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.sheet import TextLayer

GRID = 6, 8  #: columns and rows of a digit's picture
#: The ink of each digit from 0 to 9, row by row, on a scale from 0 to 9: the mean over some 200 typefaces.
SHAPES = (
    "036751272164461057651057740166740174461372157630",
    "225543236752115652115741115831116831116821479975",
    "246762452266231166111373112741126411374233799984",
    "147762352275121284115861111383321175641384377741",
    "111463113672126571153471352471676895222662113873",
    "268884264321263210375672111185320175631383377731",
    "015663164133472210685572761175750075561273157630",
    "699887544594312651114721127421147311267211356211",
    "036761262155273163059850372483640065641163167640",
    "046751472164560057471177176685012273431561376410",
)
LIKE = 0.5  #: the correlation of a digit with what it looks like, at least
MARGIN = 0.35  #: how much farther it is from what it claims to be, of how far these two are apart, at least
NARROW = 0.6  #: of the width of the widest digit: what is narrower looks like a 1
SAMPLE = 8  #: of each digit of a font are looked at
LOWEST = 7.0  #: px: a digit that is lower is not looked at
FEWEST = 2  #: digits of a font that are needed
UPRIGHT = 8.0  #: degrees by which they lean, at most


def misdrawn_digits(layer: TextLayer, picture: Image.Image, shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(T,) whether a character of those `shown` is a digit that does not look like itself on the `picture` of the page
    (RGB), but like another one."""
    out = np.zeros(len(layer.text), bool)
    high = layer.ink[:, 3] - layer.ink[:, 1]
    drawn = shown & (high >= LOWEST) & (np.abs(layer.angles) < UPRIGHT)
    value = np.array([ord(c) - 48 if "0" <= c <= "9" else -1 for c in layer.text])
    digits = np.flatnonzero(drawn & (value >= 0))
    for number in np.unique(layer.font[digits]).tolist():
        own = digits[layer.font[digits] == number]
        if len(own) >= FEWEST:
            for digit in _unlike(layer.ink, picture, own, value[own]):
                out[own[value[own] == digit]] = True
    return out


def _unlike(
    ink: NDArray[np.float32], picture: Image.Image, at: NDArray[np.int64], value: NDArray[np.int64]
) -> list[int]:
    """Which digits among the characters `at` of one font, whose `value` they have, look like others."""
    present = np.unique(value)
    samples = [its[:: -(-len(its) // SAMPLE)] for its in (at[value == digit] for digit in present.tolist())]
    means = np.stack([
        np.mean([_pattern(picture, ink[i]) for i in its.tolist()], axis=0) for its in samples
    ])  # (n, 48)
    shapes = _normed(np.array([list(shape) for shape in SHAPES], float))
    alike = _normed(means) @ shapes.T  # (n, 10)
    if alike.max(axis=1).mean() < -alike.min(axis=1).mean():  # light on dark
        alike = -alike
    wide = np.array([float(np.median(ink[its, 2] - ink[its, 0])) for its in samples])
    narrow = wide < NARROW * wide.max()
    alike[narrow, 1] = 1.0
    apart = 1 - (shapes @ shapes.T)[present]
    nearer = (alike - alike[np.arange(len(present)), present][:, None]) / np.maximum(apart, 0.1)
    return present[(alike.max(axis=1) >= LIKE) & (nearer.max(axis=1) > MARGIN)].tolist()


def _pattern(picture: Image.Image, box: NDArray[np.float32]) -> NDArray[np.floating]:
    """(48,) how dark each part of a box is, whose mean is 0 and whose length is 1."""
    width, height = picture.size
    left, top, right, bottom = box.tolist()
    cut = max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
    if cut[2] - cut[0] < 1 or cut[3] - cut[1] < 1:
        return np.zeros(GRID[0] * GRID[1])
    small = np.asarray(picture.resize(GRID, Image.Resampling.BOX, box=cut), float)
    return _normed(-small.reshape(GRID[0] * GRID[1], -1).sum(axis=1))


def _normed(patterns: NDArray[np.floating]) -> NDArray[np.floating]:
    """Patterns, the last axis of which has the mean 0 and the length 1."""
    apart = patterns - patterns.mean(axis=-1, keepdims=True)
    return np.asarray(apart / np.maximum(np.linalg.norm(apart, axis=-1, keepdims=True), 1e-6))
