"""How close text stands (densities) and how large a page is (modes).

A density is a cell size with the font that fills it; a mode is the side of a page in pixels and so, at one
vision token for 64×64 px, the tokens a full page costs (DeepSeek-OCR, Table 1: Tiny, Small, Base, Large).
"""

from __future__ import annotations

from dataclasses import dataclass

from microfiche.errors import UsageError


@dataclass(frozen=True)
class Density:
    """A half-width cell of `width` × `height` px; `wide` where full-width characters are drawn too."""

    name: str
    width: int
    height: int
    wide: bool = False


@dataclass(frozen=True)
class Mode:
    """A page `side` px wide and at most as high; `side` is a multiple of 64."""

    name: str
    side: int

    @property
    def tokens(self) -> int:
        """Vision tokens of a full page."""
        from microfiche.page import TOKEN_SIDE  # which needs NumPy, and the names here are asked for without

        return (self.side // TOKEN_SIDE) ** 2


#: In a fixed order, which checkpoints rely on: density i has index i.
DENSITIES = {
    d.name: d
    for d in (
        Density("7x13", 7, 13),
        Density("6x12", 6, 12),
        Density("6x10", 6, 10),
        Density("5x8", 5, 8),
        Density("4x6", 4, 6),
        Density("16x16", 8, 16, wide=True),
        Density("12x12", 6, 12, wide=True),
    )
}
DEFAULT_DENSITY = "5x8"  #: what nano reads best for its ratio (docs/nano.md)
MODES = {m.name: m for m in (Mode("tiny", 512), Mode("small", 640), Mode("base", 1024), Mode("large", 1280))}


def density(name: str) -> Density:
    """The density called `name`, for example "7x13" or "7×13"; UsageError if there is none."""
    found = DENSITIES.get(name.replace("×", "x"))
    if found is None:
        raise UsageError(f"no density {name!r}; there are {', '.join(DENSITIES)}")
    return found


def mode(name: str) -> Mode:
    """The page mode called `name`; UsageError if there is none."""
    found = MODES.get(name.lower())
    if found is None:
        raise UsageError(f"no mode {name!r}; there are {', '.join(MODES)}")
    return found
