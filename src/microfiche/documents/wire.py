"""Sheets through a pipe: a line of JSON, then arrays as they lie in memory. Nothing that comes in is evaluated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.sheet import Font, Sheet, TextLayer

COLUMNS = ("boxes", "sizes", "angles", "font", "mapped", "generated", "invisible")  # of a TextLayer
TYPES = {"uint8", "int16", "float32", "bool"}


def send(stream: IO[bytes], head: dict[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> None:
    """Writes one message; ValueError for an array of a type that is not among TYPES."""
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
    """Writes a sheet that has no picture yet, and the pixels (H, W, 3) of its picture."""
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
