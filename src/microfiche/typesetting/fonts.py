"""The typefaces that printed pages are set in: the list of fonts.toml, and where the files of fonts are.

Only DejaVu and STIX are in the package; tools/fetch_fonts.py fetches the others from Debian. The list is fixed and a
missing font is an error, so that a seed means the same pages everywhere. This module knows nothing of pages.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import freetype
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont
from pydantic import BaseModel, ValidationError

from microfiche.errors import InputError, UsageError, first_of
from microfiche.typesetting.alphabet import code_points

Kind = Literal["sans", "serif", "mono", "cjk"]
Style = Literal["regular", "bold", "italic"]
BUNDLED = "microfiche"  #: the package whose fonts are always there
FETCHED = Path("~/.local/share/microfiche/fonts").expanduser()  #: where tools/fetch_fonts.py puts fonts
_TYPEFACES = Path(__file__).with_name("typefaces")
#: Where Debian's packages put fonts, TeX's among them.
INSTALLED = tuple(map(Path, ("/usr/share/fonts", "/usr/share/texmf/fonts", "/usr/share/texlive/texmf-dist/fonts")))


@dataclass(frozen=True)
class Typeface:
    """A family of fonts from a Debian `package`. `regular`, `bold` and `italic` are paths of files below a folder of
    fonts; where a family has no bold or italic, they repeat the regular one.

    Families that are `held_out` serve for validation alone, and no family for training has the same design.
    """

    name: str
    kind: Kind
    package: str
    licence: str
    regular: str
    bold: str
    italic: str
    held_out: bool = False

    def file(self, style: Style) -> Path:
        """The file of a style. Raises InputError, which names the package to install, if it is missing."""
        name = {"regular": self.regular, "bold": self.bold, "italic": self.italic}[style]
        if (file := font_file(name, self.package)) is not None:
            return file
        raise InputError(
            f"the font {self.name} is missing ({name}): apt-get install {self.package}, or python "
            f"tools/fetch_fonts.py{' --print' if self.name in PRINT_TYPEFACES else ''} for all fonts"
        )

    def draws(self, text: str) -> NDArray[np.bool_]:
        """(T,) bool, which characters of `text` can be set: the space, and those of SETTABLE for which all three styles
        have a glyph with ink."""
        points, places = np.unique(code_points(text), return_inverse=True)
        files = sorted({str(self.file(style)) for style in STYLES})
        known = np.isin(points, _mapped(*files))
        known[known] = [point == SPACE or _inked(point, *files) for point in points[known].tolist()]
        return known[places]


def font_file(name: str, package: str) -> Path | None:
    """The path of a package's file `name`, or None if it is missing; fetched files come before installed ones."""
    folders = (_TYPEFACES,) if package == BUNDLED else (FETCHED, *INSTALLED)
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


SPACE = 0x20
STYLES: tuple[Style, ...] = ("regular", "bold", "italic")
#: Ranges of code points that run from left to right and need neither shaping nor combining: Latin, Greek, Cyrillic,
#: Armenian; punctuation, letter-like signs, arrows, mathematics, boxes; Chinese, kana, Hangul, full-width forms.
SETTABLE = (
    (0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0x2FF), (0x370, 0x482), (0x48A, 0x58F), (0x1E00, 0x1FFF), (0x2010, 0x2027),
    (0x2030, 0x205E), (0x2070, 0x20BF), (0x2100, 0x2BFF), (0x2E80, 0x2FFB), (0x3001, 0x3029), (0x3030, 0x30FF),
    (0x3105, 0x312F), (0x3131, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE30, 0xFE4F),
    (0xFF01, 0xFFE6),
)  # fmt: skip


def settable(points: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(T,) bool, which of (T,) code points are in the ranges of SETTABLE."""
    starts, ends = np.array(SETTABLE).T
    at = np.searchsorted(starts, points, "right") - 1
    return (at >= 0) & (points <= ends[np.maximum(at, 0)])


@cache
def _mapped(*files: str) -> NDArray[np.uint32]:
    """The settable code points, in order, for which all `files` have a glyph."""
    points = None
    for file in files:
        glyphs = freetype.Face(file).get_chars()
        here = np.array(sorted(point for point, glyph in glyphs if glyph), np.uint32)
        points = here if points is None else np.intersect1d(points, here, assume_unique=True)
    assert points is not None
    return points[settable(points)]


@cache
def _inked(point: int, *files: str) -> bool:
    """Whether the glyph of a code point has ink in all `files`."""
    return all(_at_32(file).getmask(chr(point)).getbbox() is not None for file in files)


@cache
def _at_32(file: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, 32, layout_engine=ImageFont.Layout.BASIC)


def typefaces(held_out: bool = False, for_print: bool = False) -> list[Typeface]:
    """The families for training in the order of the list, with those for `train print` alone if `for_print`; or the
    families that are held out."""
    faces = [*TYPEFACES.values(), *(PRINT_TYPEFACES.values() if for_print else ())]
    return [t for t in faces if t.held_out == held_out]


def named(names: Sequence[str]) -> list[Typeface]:
    """The families of these names. Raises UsageError for a name that is not in the list."""
    for name in names:
        if name not in TYPEFACES:
            raise UsageError(f"no font {name!r}; there are {', '.join(TYPEFACES)}")
    return [TYPEFACES[name] for name in names]


class _Entry(BaseModel, extra="forbid"):
    """A line of fonts.toml: each of the `styles` takes the place of the * in `files`."""

    name: str
    kind: Kind
    package: str
    licence: str
    files: str
    styles: tuple[str, str, str] = ("Regular", "Bold", "Italic")

    def typeface(self, held_out: bool) -> Typeface:
        regular, bold, italic = (self.files.replace("*", style) for style in self.styles)
        return Typeface(self.name, self.kind, self.package, self.licence, regular, bold, italic, held_out)


class _List(BaseModel, extra="forbid"):
    training: list[_Entry]
    unseen: list[_Entry]
    print: list[_Entry]


def listed(toml: str) -> tuple[dict[str, Typeface], dict[str, Typeface]]:
    """Reads a text like fonts.toml: by their names the typefaces for training and those held out, in this order, and
    those for `train print` alone. Raises InputError for a malformed text or a name that occurs twice."""
    try:
        found = _List.model_validate(tomllib.loads(toml))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the list of fonts is not TOML: {error}") from error
    except ValidationError as error:
        raise InputError(f"the list of fonts: {first_of(error)}") from error
    name, times = Counter(entry.name for entry in [*found.training, *found.unseen, *found.print]).most_common(1)[0]
    if times > 1:
        raise InputError(f"the list of fonts: {name!r} occurs {times} times")
    training = {entry.name: entry.typeface(held_out=False) for entry in found.training}
    unseen = {entry.name: entry.typeface(held_out=True) for entry in found.unseen}
    return training | unseen, {entry.name: entry.typeface(held_out=False) for entry in found.print}


#: The families for training and those held out; and the families that `train print` uses as well.
TYPEFACES, PRINT_TYPEFACES = listed((files(__package__) / "fonts.toml").read_text("utf-8"))
