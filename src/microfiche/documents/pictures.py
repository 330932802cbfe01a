"""Picture files as pages, by Pillow. The header's size is checked before anything is decoded."""

from __future__ import annotations

import io
import math
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from microfiche.documents.sheet import Sheet
from microfiche.errors import InputError
from microfiche.limits import Limits

# The plug-ins themselves, not Image.open, which has a limit of its own that warns.
READERS: dict[str, Callable[[IO[bytes]], Image.Image]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "tiff": TiffImageFile,
    "webp": WebPImageFile,
    "gif": GifImageFile,
    "bmp": BmpImageFile,
    "pnm": PpmImageFile,
    "jpeg2000": Jpeg2KImageFile,
}
OPAQUE = 64  #: of 255, from which on a pixel counts as ink
LIGHT, DARK = 170, 100  #: grey levels of ink that cannot be read on white, or on black
SOME = 0.1  #: the share of the ink that has to be so
BEYOND = 20  #: times the range of nearly all values, that all of them span where a few are wrong
PHOTOMETRIC = 262  #: the number of TIFF's tag that says whether 0 is black or white


class PictureFile:
    """An open picture; `pages` is 1, or the number of frames of a TIFF; `moving` says that it is an animation."""

    def __init__(self, source: Path | bytes, kind: str, limits: Limits) -> None:
        """Raises InputError, without the file's name: damaged, too many pages."""
        self._limits = limits
        self._file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        try:
            with warnings.catch_warnings(action="ignore"):
                self._image = READERS[kind](self._file)
                self.pages = self._count() if kind == "tiff" else 1
                self.moving = self.pages == 1 and getattr(self._image, "n_frames", 1) > 1
        except InputError:
            self._file.close()
            raise
        except Exception as error:  # a reader meets a hostile file with any exception there is
            self._file.close()
            raise InputError(f"damaged or cut short: not a whole {kind.upper()} picture") from error

    def _count(self) -> int:
        number = 1
        try:
            while True:
                self._image.seek(number)
                number += 1
                if number > self._limits.pages:
                    raise InputError(f"has more than {self._limits.pages:,} pages, which is the limit pages")
        except EOFError:
            return number

    def sheets(self, numbers: Sequence[int]) -> Iterator[Sheet]:
        """The pages `numbers`, from 1, in that order; a page that cannot be decoded is a Sheet with an error."""
        return map(self._sheet, numbers)

    def _sheet(self, number: int) -> Sheet:
        try:
            with warnings.catch_warnings(action="ignore"), faults_printed() as faults:
                self._image.seek(number - 1)
                width, height = self._image.size
                if width * height > self._limits.pixels:
                    error = f"{width:,} × {height:,} pixels; the limit pixels is {self._limits.pixels:,}"
                    return Sheet(number, None, error=error)
                dpi = _dpi(self._image)
                picture = upright_rgb(self._image)
            return Sheet(number, picture, dpi=dpi, error=f"damaged: {faults[0]}" if faults else None)
        except Exception:  # as above
            return Sheet(number, None, error="damaged or cut short: the picture cannot be decoded")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@contextmanager
def faults_printed() -> Iterator[list[str]]:
    """Collects the faults in a picture that libtiff prints on standard error, which is all that it says of them.

    They are in the list when the block has ended. What others print meanwhile is printed then; what libtiff says of
    tags that it does not know is dropped.
    """
    faults: list[str] = []
    try:
        printed = os.dup(2)
    except OSError:  # standard error is closed
        yield faults
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield faults
        finally:
            os.dup2(printed, 2)
            os.close(printed)
            caught.seek(0)
            for line in caught:
                if re.match(rb"\w*(Decode|JPEG)\w*: ", line):
                    faults.append(line.decode("utf-8", "replace").replace("Warning, ", "").strip().rstrip("."))
                elif not re.match(rb"(\w*TIFF\w*|tempfile\.tif): |Apparently should be ", line):
                    os.write(2, line)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Any picture as RGB of 8 bit: turned as its EXIF data says, scaled to 8 bit from any other range, and where it is
    transparent on paper that its ink stands out from: white if it can be."""
    zero_is_white = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0  # Pillow heeds it in 1 and 8 bit only
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = _eight_bit(image)
        return Image.fromarray(255 - grey if zero_is_white else grey).convert("RGB")
    if image.mode == "LAB":
        return image.getchannel("L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _ground(image)), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _ground(image: Image.Image) -> tuple[int, int, int, int]:
    """The paper for a picture (RGBA) that is partly transparent: white, unless its ink is so light that it would not be
    seen there; grey, if it is both light and dark."""
    ink = np.asarray(image.convert("L"))[np.asarray(image.getchannel("A")) > OPAQUE]
    light, dark = (ink > LIGHT).mean() if len(ink) else 0.0, (ink < DARK).mean() if len(ink) else 0.0
    shade = 255 if light < SOME else 128 if dark >= SOME else 0
    return shade, shade, shade, 255


def _eight_bit(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W): the values of a picture of one channel of 16 or 32 bit, or of floating point, from 0 to 255.

    Whole numbers keep their range if they fill it (16 bit, or 8 in more). Otherwise the least value becomes black and
    the greatest white, without the few that lie far beyond all others; what is not a number is white.
    """
    values = np.asarray(image, np.float64)
    known = np.isfinite(values)
    if not known.any():
        return np.full(values.shape, 255, np.uint8)
    low, high = float(values[known].min()), float(values[known].max())
    if image.mode != "F" and low >= 0 and 0x8000 <= high <= 0xFFFF:
        low, high = (0.0, 0xFFFF) if high - low > 0x1000 else (low, high)
    elif image.mode != "F" and low >= 0 and 0x80 <= high <= 0xFF:
        low, high = 0.0, 0xFF
    else:
        inner = np.quantile(values[known], (0.0001, 0.9999))
        if high - low > BEYOND * (inner[1] - inner[0]) > 0:
            low, high = inner
    scaled = (np.where(known, values, high) - low) * (255 / max(high - low, 1e-9))
    return scaled.clip(0, 255).astype(np.uint8)


def _dpi(image: Image.Image) -> float | None:
    try:
        dpi = float(image.info["dpi"][0])
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return None
    return dpi if math.isfinite(dpi) and dpi > 1 else None
