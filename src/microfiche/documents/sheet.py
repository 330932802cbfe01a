"""A Sheet is one page as it was opened: its picture and, from a PDF, the text and lines drawn on it.

It knows nothing of files. Sheets can pass through a pipe: a line of JSON, then arrays as they lie in memory; nothing
that comes in is evaluated. Every coordinate is in pixels of the sheet's picture, from its top left corner.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.page import Box

COLUMNS = ("boxes", "sizes", "angles", "font", "mapped", "generated", "invisible")  #: the arrays of a TextLayer
TYPES = {"uint8", "int16", "float32", "bool"}  #: of the arrays that may pass through the pipe


class Font(NamedTuple):
    """A font as a PDF names it; `weight` 400 is regular, `flags` are those of its descriptor (PDF 32000-1, 9.8.2)."""

    name: str
    weight: int
    flags: int


@dataclass(frozen=True)
class TextLayer:
    r"""The characters of a PDF page in the order of its content, T of them, as columns.

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

    `picture` is RGB, 8 bit, upright, white where it was transparent; None if the page could not be opened. `error` is
    one line that says why not, or what of the picture is damaged.

    `text`, `image_boxes` (where raster images stand) and `rules` (thin lines, drawn alone or as borders, each with
    x0 = x1 or y0 = y1) come from PDF alone.
    """

    number: int  # from 1
    picture: Image.Image | None
    text: TextLayer | None = None
    image_boxes: list[Box] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    dpi: float | None = None
    error: str | None = None


def send(stream: IO[bytes], head: dict[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> None:
    """Writes one message: `head`, which is JSON, and `arrays`, whose types must be among TYPES to be received."""
    shapes = [(array.dtype.name, array.shape) for array in arrays]
    stream.write(json.dumps({"head": head, "arrays": shapes}).encode() + b"\n")
    for array in arrays:
        stream.write(np.ascontiguousarray(array).data)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """The next message; EOFError where the stream ends, ValueError for anything that is not a message."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    message = json.loads(line)
    arrays: list[NDArray[Any]] = []
    for name, shape in message["arrays"]:
        if name not in TYPES:
            raise ValueError(f"an array of {name}")
        array = np.empty(shape, name)
        if array.size and stream.readinto(array.data.cast("B")) != array.nbytes:  # type: ignore[attr-defined]
            raise EOFError
        arrays.append(array)
    return message["head"], arrays


def send_sheet(stream: IO[bytes], sheet: Sheet, pixels: NDArray[np.uint8] | None = None) -> None:
    """Writes a sheet that has no picture yet, and `pixels` (H, W, 3), which its picture will be made of."""
    head = {
        "number": sheet.number,
        "image_boxes": sheet.image_boxes,
        "rules": sheet.rules,
        "dpi": sheet.dpi,
        "error": sheet.error,
        "text": sheet.text and sheet.text.text,
        "fonts": sheet.text and sheet.text.fonts,
    }
    columns = [getattr(sheet.text, name) for name in COLUMNS] if sheet.text else []
    send(stream, head, columns if pixels is None else [pixels, *columns])


def sheet_from(head: dict[str, Any], arrays: list[NDArray[Any]]) -> Sheet:
    """The sheet that `send_sheet` wrote, with its picture."""
    sheet = Sheet(
        head["number"],
        None,
        image_boxes=[tuple(box) for box in head["image_boxes"]],
        rules=[tuple(rule) for rule in head["rules"]],
        dpi=head["dpi"],
        error=head["error"],
    )
    if not arrays:
        return sheet
    pixels, *columns = arrays
    fonts = [Font(*font) for font in head["fonts"]]
    text = TextLayer(text=head["text"], fonts=fonts, **dict(zip(COLUMNS, columns, strict=True)))
    return replace(sheet, picture=Image.fromarray(pixels), text=text)
