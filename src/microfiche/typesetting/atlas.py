"""The glyph atlases that ship: what each glyph id looks like at each density.

Built by tools/build_atlases.py from named font packages; the licences lie beside the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from microfiche.typesetting.alphabet import CODE_POINT_OF_GLYPH, END, FILL, N_HALF, NO_GLYPH, glyphs
from microfiche.typesetting.density import Density


@dataclass(frozen=True)
class Atlas:
    """`cells` (G, H, W) uint8, ink 1 on paper 0; `drawn` (G,) bool, whether the density has that glyph."""

    cells: NDArray[np.uint8]
    drawn: NDArray[np.bool_]

    def glyphs(self, text: str) -> NDArray[np.uint16]:
        """(T,) glyph ids of `text`, NO_GLYPH where this density cannot draw the character."""
        ids = glyphs(text)
        known = np.append(self.drawn, False)[np.minimum(ids, len(self.drawn))]
        return np.where(known, ids, np.uint16(NO_GLYPH))

    @property
    def characters(self) -> str:
        """Every character this density can draw, in the order of their ids."""
        ids = np.flatnonzero(self.drawn)
        ids = ids[(ids != END) & (ids != FILL) & ((ids < N_HALF) | ((ids - N_HALF) % 2 == 0))]
        return "".join(map(chr, CODE_POINT_OF_GLYPH[ids]))


@cache
def atlas(density: Density) -> Atlas:
    """The shipped atlas of `density`."""
    with (files(__package__) / "atlases" / f"{density.name}.npz").open("rb") as file, np.load(file) as stored:
        bits, drawn = stored["bits"], stored["drawn"]
    pixels = np.unpackbits(bits, axis=1)[:, : density.height * density.width]
    return Atlas(pixels.reshape(-1, density.height, density.width), drawn)
