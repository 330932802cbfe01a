"""Text → pages: the one place where glyphs, lines and pictures come together.

Streams: it holds the text of a page or two, however long the whole is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import UnreadableCharacters, UsageError
from microfiche.page import INK, PAPER, TOKEN_SIDE, Layout, Setting, TypesetPage
from microfiche.sources import Source
from microfiche.typesetting import density as densities
from microfiche.typesetting.alphabet import END, NO_GLYPH
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.cells import boxes, break_lines, expand, ids_to_text, text_cells
from microfiche.typesetting.density import DEFAULT_DENSITY, Density, Mode
from microfiche.typesetting.draw import draw


def typeset(
    text: str, density: str = DEFAULT_DENSITY, mode: str = "small", layout: Layout = "dense"
) -> list[TypesetPage]:
    """The pages of `text`; each but the last full, the last as high as it must be in steps of 64 px.

    Raises UnreadableCharacters where the density cannot draw a character, UsageError for an unknown name.
    """
    return list(Typesetter(densities.density(density), densities.mode(mode), layout).pages([text]))


class Typesetter:
    """Sets text at a density on pages of a mode."""

    def __init__(self, density: Density, mode: Mode, layout: Layout = "dense") -> None:
        if layout not in ("dense", "lines"):
            raise UsageError(f"no layout {layout!r}; there are dense, lines")
        self.density, self.mode, self.layout = density, mode, layout
        self.setting = Setting(density.name, layout)
        self.atlas = atlas(density)
        self.columns = mode.side // density.width
        self.rows = mode.side // density.height
        self._pictures = np.where(self.atlas.cells == 1, np.uint8(INK), np.uint8(PAPER))

    def pages(self, chunks: Iterable[str]) -> Iterator[TypesetPage]:
        """The pages of the text that `chunks` make up, one after another as they fill."""
        rest = np.empty(0, np.uint16)
        at = 0
        for chunk in chunks:
            for first in range(0, len(chunk), 1 << 16):
                part = chunk[first : first + (1 << 16)]
                rest = np.concatenate([rest, expand(self._glyphs(part, at))])
                at += len(part)
                lines, bounds = break_lines(rest, self.columns, self.layout)
                # The last line may yet grow; what stands before it is settled.
                full = (len(lines) - 1) // self.rows
                for i in range(full):
                    yield self._page(lines[i * self.rows : (i + 1) * self.rows])
                rest = rest[bounds[full * self.rows] :] if full > 0 else rest
        lines, _ = break_lines(np.append(rest, np.uint16(END)), self.columns, self.layout)
        for i in range(0, len(lines), self.rows):
            yield self._page(lines[i : i + self.rows])

    def _glyphs(self, text: str, at: int) -> NDArray[np.uint16]:
        ids = self.atlas.glyphs(text)
        missing = np.flatnonzero(ids == NO_GLYPH)
        if len(missing):
            i = int(missing[0])
            raise UnreadableCharacters(
                f"U+{ord(text[i]):04X} at character {at + i} cannot be drawn at {self.density.name}"
            )
        return ids

    def _page(self, lines: NDArray[np.uint16]) -> TypesetPage:
        density, side = self.density, self.mode.side
        height = -(-len(lines) * density.height // TOKEN_SIDE) * TOKEN_SIDE
        height = min(height, side)
        image = draw(lines, self._pictures, height, side)
        where = text_cells(lines, self.layout)
        ids = lines.reshape(-1)[where]
        return TypesetPage(image, self.setting, ids_to_text(ids), boxes(where, ids, self.columns, density))


def unreadable(chunks: Iterable[str], density: Density) -> tuple[Counter[str], dict[str, int]]:
    """The characters of a text that `density` cannot draw, with their counts and first places."""
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    glyphs, at = atlas(density).glyphs, 0
    for chunk in chunks:
        for i in np.flatnonzero(glyphs(chunk) == NO_GLYPH):
            char = chunk[i]
            counts[char] += 1
            first.setdefault(char, at + int(i))
        at += len(chunk)
    return counts, first


def drawable(
    source: Source, at: Density, replacement: str | None = None, say: Callable[[str], None] = lambda line: None
) -> Iterator[str]:
    """The text of a source in pieces, each character of which a density can draw: as it stands, or with `replacement`
    in the place of those that it cannot, whose number `say` is told. UnreadableCharacters names them otherwise."""
    counts, first = unreadable(source.chunks(), at)
    if counts and replacement is None:
        shown = ", ".join(
            f"U+{ord(c):04X} {c if c.isprintable() else ''} ×{n} first at character {first[c]}"
            for c, n in counts.most_common(10)
        )
        more = f", and {len(counts) - 10} more" if len(counts) > 10 else ""
        raise UnreadableCharacters(
            f"{source.name}: {at.name} cannot draw {shown}{more}; use --replace C to draw C for them"
            + ("" if at.wide else ", or a Chinese density (16x16, 12x12)")
        )
    if replacement is not None and (len(replacement) != 1 or unreadable([replacement], at)[0]):
        raise UnreadableCharacters(f"--replace {replacement!r}: give one character that {at.name} can draw")
    if not counts:
        return source.chunks()
    table = {ord(c): replacement for c in counts}
    count = counts.total()
    say(f"{source.name}: {count} character{'s' * (count != 1)} drawn as {replacement!r}")
    return (chunk.translate(table) for chunk in source.chunks())
