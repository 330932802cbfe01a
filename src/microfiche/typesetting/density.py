"""How closely text is set (densities) and how large a page is (modes).

A density is the size of a cell and the font that is drawn in it. A mode is the side of a page in pixels and so, with a
vision token for every 64×64 px, the number of tokens that a full page costs (DeepSeek-OCR, Table 1).
"""

from __future__ import annotations

from dataclasses import dataclass

from microfiche.errors import UsageError


@dataclass(frozen=True)
class Density:
    """A half-width cell of `width` × `height` px. `wide` says whether models that read cells know full-width characters
    in it, and `read_as` the density as which they read it, where it is not one of its own."""

    name: str
    width: int
    height: int
    wide: bool = False
    read_as: str = ""


@dataclass(frozen=True)
class Mode:
    """A page is `side` px wide and at most as high, or at most `height` px high; both are multiples of 64.

    With a `tile` a reader sees the page once at `side` and again in squares of `tile` px (Gundam in the paper).
    """

    name: str
    side: int
    tile: int | None = None
    height: int | None = None

    @property
    def tokens(self) -> int:
        """How many vision tokens a full page has, tiles not counted."""
        from microfiche.page import TOKEN_SIDE  # which needs NumPy, and the names here are asked for without

        return (self.side // TOKEN_SIDE) ** 2


#: In a fixed order on which checkpoints rely: density i has index i among those that are read as themselves.
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
        Density("8x16", 8, 16, wide=True, read_as="16x16"),
    )
}
#: The densities that models which read cells were trained on.
LEARNED = tuple(d for d in DENSITIES.values() if not d.read_as)
DEFAULT_DENSITY = "5x8"  #: the best compromise of ratio and precision for nano (docs/nano.md)
#: Sizes of pages that can be typeset.
MODES = {m.name: m for m in (Mode("tiny", 512), Mode("small", 640), Mode("base", 1024), Mode("large", 1280))}


def density(name: str) -> Density:
    """The density called `name`, for example "7x13" or "7×13". Raises UsageError if there is none."""
    found = DENSITIES.get(name.replace("×", "x"))
    if found is None:
        raise UsageError(f"no density {name!r}; there are {', '.join(DENSITIES)}")
    return found


def mode(name: str) -> Mode:
    """The mode called `name`. Raises UsageError if there is none."""
    found = MODES.get(name.lower())
    if found is None:
        raise UsageError(f"no mode {name!r}; there are {', '.join(MODES)}")
    return found
