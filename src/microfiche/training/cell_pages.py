"""Pages of cells, as the codec reads them, drawn by chance from folders of text, with the answer for every character.

All chance comes from the caller's generator: the same state gives the same pages, whatever was drawn before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from microfiche.nano.readout import HALF_CLASSES, LEFT, RIGHT, SQUARES, centres, places_at
from microfiche.page import TOKEN_SIDE
from microfiche.training.corpus import FEWEST, Texts, sorted_texts
from microfiche.training.recipe import Choice
from microfiche.typesetting.alphabet import END, N_FULL, N_GLYPHS, N_HALF, NO_GLYPH, glyphs
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import DENSITIES, Density
from microfiche.typesetting.shrink import as_jpeg, shrink_picture
from microfiche.typesetting.typesetter import break_lines, expand

_N_HANZI = 6763
SMALLEST, SMALLEST_WIDE = 6, 12  #: pixels in the height of a cell, half-width and full-width
LARGEST = 1280  #: pixels along the side of the largest page
#: Indices (n, 4) of squares, place (n,), and class (n,) of some characters.
Cells = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _glyph_ids(file: Path, text: str) -> tuple[str, NDArray[np.uint16]] | None:
    """The glyph ids of a file, "narrow" or "wide" by what most of its characters are."""
    ids = glyphs(text)
    ids = ids[ids != NO_GLYPH]
    if len(ids) < FEWEST:
        return None
    return ("wide", ids) if (ids >= N_HALF).mean() > 0.3 else ("narrow", ids[ids < N_HALF])


@dataclass(frozen=True)
class Batch:
    """`ink` (B, H, W) uint8, 255 where it is black; and for half-width cells and full-width characters the flat
    index of the square, the place, and the class."""

    ink: NDArray[np.uint8]
    half: Cells
    full: Cells


class CellPages:
    """Pages from the training documents of every text file under `folder`, or from those held out.

    `densities` are their densities with their shares; `random_share` of the pages hold random strings instead of
    language; `scales` are what pages are shrunk to, with their shares, where that leaves their characters large enough.
    InputError where there is no text.
    """

    def __init__(
        self,
        folder: Path,
        held_out: bool,
        densities: Mapping[str, float],
        random_share: float,
        scales: Mapping[float, float] | None = None,
    ) -> None:
        texts = sorted_texts(folder, held_out, _glyph_ids)
        found = {kind: Texts(texts[kind]) for kind in texts}
        self._narrow, self._wide = (found.get(kind) or next(iter(found.values())) for kind in ("narrow", "wide"))
        self._choice = Choice.of({DENSITIES[name]: share for name, share in densities.items()})
        self.densities, self.shares = self._choice.things, self._choice.shares
        self.random_share = random_share
        self.scales = dict(scales or {1.0: 1.0})
        self._scale = Choice.of(self.scales)
        drawn = {d: np.flatnonzero(atlas(d).drawn) for d in self.densities}
        self.half_ids = {d: ids[(ids < N_HALF) & (ids > END + 1)].astype(np.uint16) for d, ids in drawn.items()}

    @classmethod
    def both(
        cls,
        folder: Path,
        densities: Mapping[str, float],
        random_share: float,
        scales: Mapping[float, float] | None = None,
    ) -> tuple[Self, Self]:
        """The pages to train on, and those held out."""
        return cls(folder, False, densities, random_share, scales), cls(folder, True, densities, random_share, scales)

    def density(self, rng: np.random.Generator) -> Density:
        """One of the densities, by their shares."""
        return self._choice.one(rng)

    def language(self, rng: np.random.Generator, density: Density, count: int) -> NDArray[np.uint16]:
        """`count` glyph ids of running text, from a file chosen by the root of its length."""
        text = (self._wide if density.wide and rng.random() < 0.85 else self._narrow).one(rng)
        start = rng.integers(max(1, len(text) - count))
        ids = text[start : start + count]
        return np.where(np.append(atlas(density).drawn, False)[np.minimum(ids, len(atlas(density).drawn))], ids, 0)

    def random(self, rng: np.random.Generator, density: Density, count: int) -> NDArray[np.uint16]:
        """`count` glyph ids drawn evenly: from all half-width ones, from ASCII, from those of some text, or,
        where there are full-width ones, from those."""
        kind = rng.random()
        if density.wide and kind < 0.8:
            first = N_FULL - _N_HANZI if kind < 0.65 else 0
            return (N_HALF + 2 * rng.integers(first, N_FULL, count)).astype(np.uint16)
        if kind < 0.3:
            alphabet = self.half_ids[density]
        elif kind < 0.5:
            alphabet = np.arange(7, 7 + 94, dtype=np.uint16)
        else:
            alphabet = np.unique(self.language(rng, density, 3000))
        return alphabet[rng.integers(len(alphabet), size=count)]

    def cells(
        self, rng: np.random.Generator, density: Density, rows: int, columns: int, random: bool
    ) -> NDArray[np.uint16]:
        """(rows, columns) cells of one page."""
        count = rows * columns
        ids = self.random(rng, density, count) if random else self.language(rng, density, count)
        if rng.random() < 0.1:
            ids = np.append(ids[: rng.integers(len(ids))], np.uint16(END))
        lines, _ = break_lines(expand(ids), columns, "lines" if rng.random() < 0.1 else "dense")
        lines = lines[:rows]
        return np.pad(lines, ((0, rows - len(lines)), (0, 0)))

    def pictures(self, density: Density) -> NDArray[np.uint8]:
        """(G, H, W) the pictures of what `cells` gives at a density."""
        return atlas(density).cells

    def scale(self, rng: np.random.Generator, density: Density) -> float:
        """What a page of `density` is shrunk to."""
        scale = self._scale.one(rng)
        return scale if self.large_enough(density, scale) else 1.0

    def large_enough(self, density: Density, scale: float) -> bool:
        """Whether a cell of `density` is still worth reading when shrunk to `scale`."""
        return density.height * scale >= (SMALLEST_WIDE if density.wide else SMALLEST)

    def batch(
        self,
        rng: np.random.Generator,
        pages: int,
        side: int,
        *,
        density: Density | None = None,
        random: bool | None = None,
        scale: float | None = None,
        samples: int | None = 48,
    ) -> Batch:
        """`pages` square pieces of `side` px, cut at token borders out of pages of up to LARGEST px, so that a
        character may stand anywhere in a token; each of its own density, kind and scale unless those are given, with
        `samples` supervised characters for each vision token (all if None)."""
        across = side // TOKEN_SIDE
        ink: list[NDArray[np.uint8]] = []
        half: list[Cells] = []
        full: list[Cells] = []
        for b in range(pages):
            d = density or self.density(rng)
            is_random = rng.random() < self.random_share if random is None else random
            s = self.scale(rng, d) if scale is None else scale
            down, right = rng.integers((LARGEST - side) // TOKEN_SIDE + 1, size=2) * round(TOKEN_SIDE / s)
            down, right = int(down) % d.height, int(right) % d.width  # what is cut off the first row and column
            whole = round(side / s)
            rows, columns = -(-(whole + down) // d.height), -(-(whole + right) // d.width)
            cells = self.cells(rng, d, rows, columns, is_random)
            sheet = draw(cells, self.pictures(d), rows * d.height, columns * d.width)
            ink.append(shrunk(sheet[down : down + whole, right : right + whole] * np.uint8(255), side, rng))
            flat = cells.reshape(-1).astype(np.int64)
            whole_width = (flat >= N_HALF) & (flat < N_GLYPHS)
            left, tail = whole_width & ((flat - N_HALF) % 2 == 0), whole_width & ((flat - N_HALF) % 2 == 1)
            wanted = np.where(flat < N_GLYPHS, flat, HALF_CLASSES + flat - N_GLYPHS)
            wanted = np.where(left, LEFT, np.where(tail, RIGHT, wanted))
            limit = None if samples is None else samples * across * across // (4 if d.wide else 1)
            for kind, candidates, target in (
                (half, np.ones(len(flat), bool), wanted),
                (full, left, (flat - N_HALF) // 2),
            ):
                y, x = np.broadcast_arrays(*centres(d, rows, columns, kind is full, s, down, right))
                y, x = y.reshape(-1), x.reshape(-1)
                chosen = np.flatnonzero(candidates & (y >= 0) & (y < side) & (x >= 0) & (x < side))
                if limit is not None and len(chosen) > limit:
                    chosen = rng.choice(chosen, limit, replace=False)
                if len(chosen):
                    at = places_at(d, y[chosen], x[chosen], across, across, kind is full, s)
                    squares = np.where(at.squares < 0, -1, at.squares + b * across * across * SQUARES)
                    kind.append((squares, at.place, target[chosen]))
        return Batch(np.stack(ink), _joined(half), _joined(full))


def shrunk(ink: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square of ink at `side` px, half of those that are made smaller saved as a JPEG in between."""
    if ink.shape[0] == side:
        return ink
    small = shrink_picture(ink, side, side)
    if rng.random() < 0.5:
        small = 255 - as_jpeg(255 - small, int(rng.integers(50, 96)))
    return small


def _joined(parts: list[Cells]) -> Cells:
    if not parts:
        return np.empty((0, 4), np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    square, place, target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return square, place, target
