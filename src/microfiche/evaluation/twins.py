"""Turns a page of a PDF into pictures to measure readers on: as it is, scanned, and with random strings in its lines.

The same page, side and kind always give the same picture, if the same typefaces are installed (fonts.py).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from ctypes import c_double, create_string_buffer
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.documents.pdf.plane import page_to_picture
from microfiche.evaluation.pages import UNKNOWN
from microfiche.page import INK, PAPER, TOKEN_SIDE
from microfiche.training.noise import scan, some, worn
from microfiche.training.real_pages import draw
from microfiche.training.real_text import page_truth
from microfiche.typesetting.alphabet import code_points
from microfiche.typesetting.fonts import TYPEFACES, Style, Typeface
from microfiche.typesetting.outline import face
from microfiche.typesetting.print import Print

Kind = Literal["clean", "scanned", "random"]
KINDS: tuple[Kind, ...] = ("clean", "scanned", "random")
_FINER = 4  #: text is drawn this much larger and then reduced, so that sizes of type need not be whole px
_CJK = 0x2E80
_COMPUTER_MODERN = re.compile("^(cm|sf|ec|tc|la|cs|pl)[a-z]{1,6}\\d|^cmu|^lm|latinmodern|computermodern", re.I)
_MONO = re.compile("mono|monl|courier|typewriter|consol|fixed|iosevka|(cm|sf|ec|lm)[a-z]*tt\\d", re.I)
_SANS = re.compile(
    "sans|helvet|heros|arial|frutiger|roboto(?!slab)|gothic|fira|carlito|calibri|verdana|avant|^bera|cabin|biolin|andika|"
    "atkinson|hei|(cm|sf|ec|lm)ss", re.I,
)  # fmt: skip
_BOLD = re.compile("bold|black|heavy|demi|semib|medi(?!um)|(cm|sf|ec|lm|cmss)bx|cmb\\d|sx\\d", re.I)
_ITALIC = re.compile("ital|obli|slant|(cm|sf|ec)(ti|sl|ssi|itt|bxti|sltt)\\d", re.I)


@dataclass(frozen=True)
class Twin:
    """A `picture` (H, W) uint8, whose sides are multiples of 64, and the text of its `lines`, with U+FFFD for unknown
    characters."""

    picture: NDArray[np.uint8]
    lines: list[str]

    @property
    def squares(self) -> int:
        """How many squares of 64 px the picture has."""
        return self.picture.size // TOKEN_SIDE**2

    @property
    def inked(self) -> int:
        """How many of these squares have a pixel with more than a tenth of full ink."""
        height, width = (side // TOKEN_SIDE for side in self.picture.shape)
        squares = self.picture.reshape(height, TOKEN_SIDE, width, TOKEN_SIDE)
        return int((squares.min((1, 3)) < 0.9 * PAPER).sum())


def twin(page: Any, side: int, kind: Kind, name: str) -> Twin:
    """Draws an open PDFium page with its longer side at `side` px, padded with white on the right and below to whole
    squares of 64 px. All randomness is seeded by `name`. Raises Refused (real_glyphs.py) for a page without a sound
    text layer."""
    truth = page_truth(page)
    truth = replace(truth, bad=truth.bad & (truth.points != ord(" ")))  # bad spaces are not compared (pages.py)
    scale = side / max(truth.size)
    print_ = draw(page, truth, scale)
    rng = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
    if kind == "scanned":
        print_ = worn(print_, [*(step for step in some(rng) if step is not scan), scan], rng)
    if kind == "random":
        print_ = refilled(print_, _fonts_of_lines(page, print_, scale), rng)
    picture = print_.page.image
    missing = [(0, -length % TOKEN_SIDE) for length in picture.shape]
    text = print_.page.text or ""
    lines = [text[line.start : line.stop] for line in print_.lines]
    return Twin(np.pad(picture, missing, constant_values=PAPER), lines)


def refilled(print_: Print, fonts: list[str], rng: np.random.Generator) -> Print:
    """Replaces the words of each line by random ones of the same length, drawn evenly from the page's own characters.
    The lines' boxes are filled with their background. The words are then set in a typeface of the kind that the name of
    each line's font suggests, at the line's size, from its beginning up to its end. A line stays empty if the typeface
    has none of the characters."""
    text, boxes = print_.page.text, print_.page.boxes
    picture = print_.page.image.copy()
    grounds = []
    for line in print_.lines:
        around = boxes[line.start : line.stop].astype(np.float64)
        left, top = np.floor(around[:, :2].min(0)).astype(int).clip(0).tolist()
        right, bottom = np.ceil(around[:, 2:].max(0)).astype(int).tolist()
        ground = int(np.bincount(print_.page.image[top:bottom, left:right].ravel(), minlength=256).argmax())
        picture[top:bottom, left:right] = ground
        grounds.append((ground, right))
    alphabet = "".join(sorted({c for c in text if not c.isspace() and c != UNKNOWN}))
    found, at = [], 0
    lines = []
    for line, font, (ground, right) in zip(print_.lines, fonts, grounds, strict=True):
        old = text[line.start : line.stop]
        typeface, style = like(font, old)
        letters = [c for c, there in zip(alphabet, typeface.draws(alphabet), strict=True) if there]
        if not letters:
            continue
        one = face(typeface.file(style), max(round(line.size * _FINER), 4), True)
        new = " ".join("".join(letters[i] for i in rng.integers(len(letters), size=len(w))) for w in old.split())
        x, y = line.baseline[0], (line.baseline[1] + line.baseline[3]) / 2
        points = code_points(new)
        pens = np.cumsum(np.append(0.0, one.advances(points))) / _FINER
        new = new[: int((pens[1:] <= max(right - x, line.size)).sum())].rstrip()
        if not new:
            continue
        whole_x, whole_y = int(np.floor(x)), int(np.floor(y))
        above, below = -(-one.ascent // _FINER) + 1, -(-one.descent // _FINER) + 2
        wide = int(pens[len(new)] + 2 * line.size) + 2
        large = np.full(((above + below) * _FINER, wide * _FINER), PAPER, np.uint8)
        across = (pens[: len(new)] + x - whole_x) * _FINER
        one.draw(large, points[: len(new)], across, np.full(len(new), round((above + y - whole_y) * _FINER)))
        small = large.reshape(above + below, _FINER, wide, _FINER).mean((1, 3))
        _ink(picture, small, whole_x, whole_y - above, ground)
        lines.append(replace(line, start=at, stop=at + len(new)))
        found.append(new)
        at += len(new) + 1
    page = replace(print_.page, image=picture, text="\n".join(found), boxes=np.empty((0, 4), np.int32))
    return replace(print_, page=page, lines=tuple(lines))


def _ink(picture: NDArray[np.uint8], drawn: NDArray[np.float64], left: int, top: int, ground: int) -> None:
    """Draws black-on-white text onto a picture; in white if the background is dark."""
    up, back = max(-top, 0), max(-left, 0)
    part = picture[top + up : max(top + len(drawn), 0), left + back : max(left + drawn.shape[1], 0)]
    paper = drawn[up : up + part.shape[0], back : back + part.shape[1]] / PAPER
    ink = INK if ground > PAPER // 2 else PAPER
    part[:] = np.rint(part * paper + ink * (1 - paper))


def like(font: str, text: str) -> tuple[Typeface, Style]:
    """Returns a typeface of fonts.py, and its style, that looks like a font of this name. Text that is more than 30 %
    Chinese, Japanese or Korean gets a typeface that has such characters."""
    name = font.split("+")[-1]
    style: Style = "bold" if _BOLD.search(name) else "italic" if _ITALIC.search(name) else "regular"
    if sum(ord(c) >= _CJK for c in text if c != UNKNOWN) > 0.3 * len(text):
        return TYPEFACES["WenQuanYi Micro Hei"], style
    kind = "Mono" if _MONO.search(name) else "Sans" if _SANS.search(name) else "Serif"
    if _COMPUTER_MODERN.search(name):
        kind = {"Mono": "Typewriter", "Sans": "Sans Serif"}.get(kind, kind)
        return TYPEFACES[f"CMU {kind}"], style
    return TYPEFACES[f"Liberation {kind}"], style


def _fonts_of_lines(page: Any, print_: Print, scale: float) -> list[str]:
    """Returns the name of the font in which most of each line is set, or "" if there is none."""
    ends = np.array([line.baseline for line in print_.lines])
    sizes = np.array([line.size for line in print_.lines])
    counted: list[Counter[str]] = [Counter() for _ in print_.lines]
    text = pdfium.FPDFText_LoadPage(page)
    try:
        width, height = pdfium.FPDF_GetPageWidthF(page), pdfium.FPDF_GetPageHeightF(page)
        to_points = page_to_picture(page, width, height)
        x, y, name = c_double(), c_double(), create_string_buffer(256)
        for i in range(pdfium.FPDFText_CountChars(text) if len(ends) else 0):
            if not pdfium.FPDFText_GetCharOrigin(text, i, x, y) or pdfium.FPDFText_IsGenerated(text, i) == 1:
                continue
            across, down = (float(one) * scale for one in to_points(x.value, y.value))
            off = np.abs(ends[:, [1, 3]].mean(1) - down) / sizes
            off[(across < ends[:, 0] - 1) | (across > ends[:, 2] + 1)] = np.inf
            best = int(off.argmin())
            if off[best] < 0.5 and pdfium.FPDFText_GetFontInfo(text, i, name, len(name), None):
                counted[best][name.value.decode("utf-8", "replace")] += 1
    finally:
        pdfium.FPDFText_ClosePage(text)
    return [max(sorted(fonts), key=fonts.__getitem__) if fonts else "" for fonts in counted]
