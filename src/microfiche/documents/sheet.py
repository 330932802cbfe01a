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

COLUMNS = (
    "boxes", "sizes", "angles", "font", "mapped", "generated", "invisible", "ink", "origins", "advances", "run", "seen",
)  #: the arrays of a TextLayer
TYPES = {"uint8", "int16", "int32", "float32", "bool"}  #: of the arrays that may pass through the pipe


class Font(NamedTuple):
    """A font as a PDF names it; `weight` 400 is regular, `flags` are those of its descriptor (PDF 32000-1, 9.8.2).

    What is not `embedded` in the file is drawn with another font, or not at all.
    """

    name: str
    weight: int
    flags: int
    embedded: bool = True


class Link(NamedTuple):
    """A rectangle that leads to an `address` when it is clicked."""

    box: Box
    address: str


class Field(NamedTuple):
    """A field of a form: `text` is its value where the page does not show one, or `[x]` or `[ ]` for a box to tick; or
    a note that is `typed` on the page, of which the file has no drawing, so that each viewer makes its own. `above`
    says that its label stands above its beginning."""

    box: Box
    text: str
    typed: bool = False
    above: bool = False


@dataclass(frozen=True)
class TextLayer:
    r"""The characters of a PDF page in the order of its content, T of them, as columns.

    A line end is "\\n"; what PDFium takes for a hyphen that divides a word at a line's end is U+00AD, and no line end
    follows it; what has no Unicode value is U+FFFD. Characters outside the picture, and those that cannot be seen, are
    here too. The columns from `ink` on may be left out: then they follow from the others.
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
    # (T, 4) around the shape that is drawn
    ink: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 4), np.float32))
    # (T, 2) where it begins on the baseline
    origins: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))
    # (T,) how far along the baseline the next one begins
    advances: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    # (T,) the number of the string that it was drawn with; -1 for none
    run: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    # (T,) the picture shows it
    seen: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def __post_init__(self) -> None:
        boxes = self.boxes
        if len(self.ink) != len(boxes):
            object.__setattr__(self, "ink", boxes)
        if len(self.origins) != len(boxes):
            object.__setattr__(self, "origins", boxes[:, [0, 3]])
        if len(self.advances) != len(boxes):
            object.__setattr__(self, "advances", boxes[:, 2] - boxes[:, 0])
        if len(self.run) != len(boxes):
            object.__setattr__(self, "run", np.zeros(len(boxes), np.int32))
        if len(self.seen) != len(boxes):
            object.__setattr__(self, "seen", ~self.invisible)


@dataclass(frozen=True)
class Sheet:
    """One page as it was opened.

    `picture` is RGB, 8 bit, upright, white where it was transparent; None if the page could not be opened. `error` is
    one line that says why not, or what of the picture is damaged. All else comes from PDF alone: `text`; where raster
    images stand (`image_boxes`); `rules`, thin lines, drawn alone or as borders, each with x0 = x1 or y0 = y1; `bars`,
    level ones too short for these, as in fractions; `rounds`, circles of the size of letters; `drawings`, where curves
    and figures of many strokes stand; `grounds`, areas filled with a colour; `links`; where text is marked as struck
    out (`struck`); and the `fields` of a form.
    """

    number: int  # from 1
    picture: Image.Image | None
    text: TextLayer | None = None
    image_boxes: list[Box] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    dpi: float | None = None
    error: str | None = None
    drawings: list[Box] = field(default_factory=list)
    grounds: list[Box] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    struck: list[Box] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    bars: list[Box] = field(default_factory=list)
    rounds: list[Box] = field(default_factory=list)


#: The lists of boxes that a Sheet has.
BOXES = ("image_boxes", "rules", "bars", "rounds", "drawings", "grounds", "struck")


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
        **{name: getattr(sheet, name) for name in BOXES},
        "links": sheet.links,
        "fields": sheet.fields,
        "dpi": sheet.dpi,
        "error": sheet.error,
        "text": sheet.text and sheet.text.text,
        "fonts": sheet.text and sheet.text.fonts,
    }
    columns = [getattr(sheet.text, name) for name in COLUMNS] if sheet.text else []
    send(stream, head, columns if pixels is None else [pixels, *columns])


def sheet_from(head: dict[str, Any], arrays: list[NDArray[Any]]) -> Sheet:
    """The sheet that `send_sheet` wrote, with its picture."""
    boxes: dict[str, list[Box]] = {name: [(a, b, c, d) for a, b, c, d in head[name]] for name in BOXES}
    sheet = Sheet(
        head["number"],
        None,
        image_boxes=boxes["image_boxes"],
        rules=boxes["rules"],
        bars=boxes["bars"],
        rounds=boxes["rounds"],
        drawings=boxes["drawings"],
        grounds=boxes["grounds"],
        struck=boxes["struck"],
        links=[Link(tuple(box), address) for box, address in head["links"]],
        fields=[Field(tuple(box), *rest) for box, *rest in head["fields"]],
        dpi=head["dpi"],
        error=head["error"],
    )
    if not arrays:
        return sheet
    pixels, *columns = arrays
    fonts = [Font(*font) for font in head["fonts"]]
    text = TextLayer(text=head["text"], fonts=fonts, **dict(zip(COLUMNS, columns, strict=True)))
    return replace(sheet, picture=Image.fromarray(pixels), text=text)
