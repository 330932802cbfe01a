"""What opening gives: a Sheet is one page's picture and, from a PDF, the text and lines that were drawn on it.

Knows nothing of files. Every coordinate is in pixels of the sheet's picture, from its top left corner.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[float, float, float, float]


class Font(NamedTuple):
    """A font as a PDF names it; `weight` 400 is regular, `flags` are those of its descriptor (PDF 32000-1, 9.8.2)."""

    name: str
    weight: int
    flags: int


@dataclass(frozen=True)
class TextLayer:
    """The characters of a PDF page in the order of its content, T of them, as columns.

    A line end is "\\n"; a hyphen that only divides a word at a line's end is U+00AD, and no line end follows it; what
    has no Unicode value is U+FFFD. Characters outside the picture, and those that cannot be seen, are here too.
    """

    text: str
    boxes: NDArray[np.float32]  # (T, 4) left, top, right, bottom: the line's height at this size, and all ink
    sizes: NDArray[np.float32]  # (T,) height of the font in pixels
    angles: NDArray[np.float32]  # (T,) degrees clockwise from upright, as it stands in the picture
    fonts: list[Font]
    font: NDArray[np.int16]  # (T,) index in fonts; -1 for what no font drew
    mapped: NDArray[np.bool_]  # (T,) the file says which Unicode character this is
    generated: NDArray[np.bool_]  # (T,) a space or line end that is not in the file, but follows from the gaps
    invisible: NDArray[np.bool_]  # (T,) drawn without ink, as the text behind a scan is


@dataclass(frozen=True)
class Sheet:
    """One page as it was opened.

    `picture` is RGB, 8 bit, upright, white where it was transparent; None, with one line in `error`, if the page
    could not be opened. `text`, `image_boxes` (where raster images stand) and `rules` (thin lines, drawn alone or as
    borders, each with x0 = x1 or y0 = y1) come from PDF alone.
    """

    number: int  # from 1
    picture: Image.Image | None
    text: TextLayer | None = None
    image_boxes: list[Box] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    dpi: float | None = None
    error: str | None = None
