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

from PIL import Image
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
from microfiche.page import upright_rgb

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
        except MemoryError:
            return Sheet(number, None, error="there is not enough memory to decode the picture")
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


def _dpi(image: Image.Image) -> float | None:
    try:
        dpi = float(image.info["dpi"][0])
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return None
    return dpi if math.isfinite(dpi) and dpi > 1 else None
