"""A page's twins are the same every time, and what they say of their lines is what stands there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
import pytest
from reportlab.pdfgen.canvas import Canvas

from microfiche.evaluation import twins
from microfiche.evaluation.twins import Twin, like, twin
from microfiche.typesetting.fonts import TYPEFACES

WORDS = ["The quick brown fox jumps", "over the lazy dog, and runs", "away from all that it saw."]


@pytest.fixture(autouse=True)
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The typeface that is always there, for random twins."""
    monkeypatch.setattr(twins, "like", lambda font, text: (TYPEFACES["DejaVu Sans"], "regular"))


@contextmanager
def opened(path: Path, draw: Callable[[Canvas], None]) -> Iterator[Any]:
    canvas = Canvas(str(path / "a.pdf"), (300, 200))
    draw(canvas)
    canvas.save()
    pdf = pdfium.FPDF_LoadDocument(os.fsencode(path / "a.pdf"), None)
    page = pdfium.FPDF_LoadPage(pdf, 0)
    yield page
    pdfium.FPDF_ClosePage(page)
    pdfium.FPDF_CloseDocument(pdf)


def prose(canvas: Canvas) -> None:
    canvas.setFont("Helvetica", 12)
    for i, line in enumerate(WORDS):
        canvas.drawString(20, 160 - 20 * i, line)


def twins_of(path: Path, kind: twins.Kind, draw: Callable[[Canvas], None] = prose, name: str = "a") -> Twin:
    with opened(path, draw) as page:
        return twin(page, 640, kind, name)


def test_clean(tmp_path: Path) -> None:
    one = twins_of(tmp_path, "clean")
    assert one.picture.shape == (448, 640)  # 427 px high, so padded
    assert (one.picture[427:] == 255).all() and one.picture.min() < 50
    assert one.lines == WORDS
    assert one.squares == 70
    dark = {(y // 64, x // 64) for y, x in zip(*np.nonzero(one.picture < 0.9 * 255), strict=True)}
    assert one.inked == len(dark) and 0 < one.inked < 35


@pytest.mark.parametrize("kind", twins.KINDS)
def test_the_same_every_time(tmp_path: Path, kind: twins.Kind) -> None:
    first, again = (twins_of(tmp_path, kind) for _ in range(2))
    assert (first.picture == again.picture).all() and first.lines == again.lines
    other = twins_of(tmp_path, kind, name="b")
    assert (first.picture != other.picture).any() == (kind != "clean")


def test_scanned_has_the_same_lines_on_other_pixels(tmp_path: Path) -> None:
    clean, scanned = twins_of(tmp_path, "clean"), twins_of(tmp_path, "scanned")
    assert scanned.lines == clean.lines and (scanned.picture != clean.picture).mean() > 0.5


def test_random_strings_of_the_pages_own_characters_in_the_same_places(tmp_path: Path) -> None:
    clean, one = twins_of(tmp_path, "clean"), twins_of(tmp_path, "random")
    assert len(one.lines) == len(WORDS)
    assert set("".join(one.lines)) <= set("".join(WORDS))
    assert not set(one.lines) & set(WORDS)
    for new, old in zip(one.lines, WORDS, strict=True):
        lengths = [len(word) for word in new.split()]
        assert lengths[:-1] == [len(word) for word in old.split()][: len(lengths) - 1]  # the last may be cut
    rows, new_rows = ((picture < 128).any(1) for picture in (clean.picture, one.picture))
    inside = np.flatnonzero(rows)
    assert set(np.flatnonzero(new_rows)) <= set(range(inside[0] - 8, inside[-1] + 8))
    across = np.flatnonzero((one.picture < 128).any(0))
    right = np.flatnonzero((clean.picture < 128).any(0)).max()
    assert across.max() <= right + 2  # no line is longer than it was


def test_random_strings_on_dark_ground_are_light(tmp_path: Path) -> None:
    def dark(canvas: Canvas) -> None:
        canvas.rect(0, 0, 300, 200, stroke=0, fill=1)
        canvas.setFillColorRGB(1, 1, 1)
        prose(canvas)

    one = twins_of(tmp_path, "random", dark)
    assert np.median(one.picture[:427]) < 10 and (one.picture[:427] > 200).mean() > 0.005


@pytest.mark.parametrize(
    ("font", "typeface", "style"),
    [
        ("CMR10", "CMU Serif", "regular"), ("CMBX12", "CMU Serif", "bold"), ("ABCDEF+CMTI10", "CMU Serif", "italic"),
        ("CMTT9", "CMU Typewriter", "regular"), ("SFSS1000", "CMU Sans Serif", "regular"),
        ("LMRoman10-Italic", "CMU Serif", "italic"), ("LMMono10-Regular", "CMU Typewriter", "regular"),
        ("Arial-BoldMT", "Liberation Sans", "bold"), ("LiberationSerif", "Liberation Serif", "regular"),
        ("TimesNewRomanPS-ItalicMT", "Liberation Serif", "italic"), ("NimbusMonL-Regu", "Liberation Mono", "regular"),
        ("DejaVuSansMono", "Liberation Mono", "regular"), ("", "Liberation Serif", "regular"),
    ],
)  # fmt: skip
def test_typefaces_are_like_the_fonts(font: str, typeface: str, style: str) -> None:
    assert (like(font, "abc")[0].name, like(font, "abc")[1]) == (typeface, style)
    assert like(font, "中文 abc")[0].kind == "cjk"
