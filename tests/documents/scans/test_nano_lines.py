"""Scans read by nano-pages, line by line, alone or with RapidOCR for the lines of which it is unsure."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scenes import RUSSIAN, Colour, page

from microfiche.documents.document import PageRead
from microfiche.documents.engines import engines
from microfiche.documents.scans.nano_lines import CascadeEngine, NanoEngine, recogniser_of
from microfiche.documents.scans.recognition import Recognised, recognise
from microfiche.documents.sheet import Sheet
from microfiche.nano.print import PrintModel
from microfiche.readers import load

PROSE = (
    "The harbour was quiet when the boats came in",
    "and the men went home along the narrow road.",
    "Nobody had seen the ship since the storm of May,",
    "but the letters of her owner were found in time.",
)
POLISH = (
    "Wszyscy ludzie rodzą się wolni i równi pod względem",
    "swej godności i swych praw. Są oni obdarzeni rozumem",
    "i sumieniem i powinni postępować wobec innych",
    "w duchu braterstwa, że nie jest to dla nich za mało",
)


@pytest.fixture(scope="module")
def nano() -> NanoEngine:
    return NanoEngine()


@pytest.fixture(scope="module")
def both() -> CascadeEngine:
    return CascadeEngine()


def read(engine: NanoEngine, picture: Image.Image) -> PageRead:
    (found,) = engine.read([Sheet(1, picture)])
    return found


def share(found: PageRead, lines: tuple[str, ...]) -> float:
    """The share of the words of some lines that were read."""
    there = Counter(" ".join(lines).split())
    return (there & Counter(" ".join(block.text for block in found.blocks).split())).total() / there.total()


@pytest.mark.parametrize("degrees", [0, 90, 180])
def test_nano_alone_reads_a_page_whichever_way_up_it_lies(nano: NanoEngine, degrees: int) -> None:
    picture = page(PROSE).rotate(degrees, expand=True)
    found = read(nano, picture)
    assert (found.engine, found.status, found.width, found.height) == ("nano", "ok", *picture.size)
    assert share(found, PROSE) > 0.9 and {block.engine for block in found.blocks} == {None}
    ink = np.asarray(picture.convert("L")) < 128
    for block in found.blocks:
        left, top, right, bottom = block.box
        ink[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = False
    assert not ink.any(), "the boxes lie where the text stood before the page was turned"


@pytest.mark.parametrize(("paper", "ink"), [("black", "white"), ((0, 0, 160), (255, 255, 0)), ("white", (205,) * 3)])
def test_any_ink_on_any_ground_is_read(nano: NanoEngine, paper: Colour, ink: Colour) -> None:
    assert share(read(nano, page(PROSE, paper=paper, ink=ink)), PROSE) > 0.85


def test_two_columns_are_read_one_after_the_other(nano: NanoEngine) -> None:
    one = page(PROSE)
    picture = Image.new("RGB", (2 * one.width, one.height), "white")
    picture.paste(one, (0, 0))
    picture.paste(page(tuple(line.upper() for line in PROSE)), (one.width, 0))
    text = " ".join(block.text for block in read(nano, picture).blocks)
    assert text.index("narrow") < text.index("HARBOUR") and text.index("HARBOUR") < text.index("NARROW")


def test_the_blocks_name_who_read_them(both: CascadeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(parts: list[np.ndarray]) -> list[Recognised]:
        asked.append(len(parts))
        return recognise(parts)

    monkeypatch.setattr("microfiche.documents.scans.nano_lines.recognise", counted)
    picture = page((*PROSE, "", "x≈y²·z₁ ⇒ ∑ñ≥½†"))
    found = read(both, picture)
    assert found.engine == "nano-rapid" and share(found, PROSE) > 0.9
    assert {block.engine for block in found.blocks} >= {"nano", "rapid"}
    assert sum(asked) < len(PROSE) + 1, "only the lines that nano was unsure of"


def test_what_neither_nano_nor_the_page_is_sure_of_is_said(nano: NanoEngine) -> None:
    found = read(nano, page(RUSSIAN))
    assert found.status == "partial" and "low confidence" in found.reason
    found = read(nano, page(POLISH))
    assert found.status == "partial" and "does not know" in found.reason and "(pl)" in found.reason


def test_a_language_that_nano_does_not_know_is_read_by_rapidocr(both: CascadeEngine) -> None:
    found = read(both, page(POLISH))
    assert found.status == "ok" and share(found, POLISH) == 1
    assert {block.engine for block in found.blocks} == {"rapid"}


def test_what_has_no_text_is_empty(nano: NanoEngine) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    photograph = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)
    for picture in (Image.new("RGB", (600, 400), "white"), Image.new("RGB", (600, 400)), photograph):
        found = read(nano, picture)
        assert (found.status, "".join(block.text for block in found.blocks)) == ("ok", "")


@pytest.mark.parametrize("size", [1.5, 2.0, 3.0])
def test_type_that_is_too_small_is_said_to_be(nano: NanoEngine, size: float) -> None:
    large = page(4 * PROSE, size=40)
    small = large.resize((round(large.width * size / 40), round(large.height * size / 40)), Image.Resampling.BOX)
    found = read(nano, small)
    assert found.status == "partial" and "too small to be read" in found.reason


def test_dotted_rules_are_no_small_type(nano: NanoEngine) -> None:
    form = page(("Name", "Street", "Town", "Country", "Date"))
    picture = Image.new("RGB", (900, form.height + 400), "white")
    picture.paste(form, (0, 0))
    for y in range(form.height, picture.height, 50):
        for x in range(40, 860, 5):
            ImageDraw.Draw(picture).rectangle((x, y, x + 1, y + 1), "black")
    assert "too small" not in read(nano, picture).reason


def test_many_lines_take_several_galleys(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("nano-pages")
    assert isinstance(model, PrintModel)
    parts = [np.asarray(page((line,)))[10:60] for line in PROSE]
    together = recogniser_of(model)(parts)
    monkeypatch.setattr("microfiche.documents.scans.nano_lines.LONGEST", 300)
    apart = recogniser_of(model)(parts)
    for one, other, line in zip(together, apart, PROSE, strict=True):
        assert len(set(one.text.split()) & set(line.split())) > 5 and len(other.text) > 30


def test_pictures_without_a_line_are_read_as_nothing() -> None:
    model = load("nano-pages")
    assert isinstance(model, PrintModel)
    ruled = Image.new("RGB", (200, 40), "white")
    ImageDraw.Draw(ruled).line((0, 20, 200, 20), "black", 2)
    shapes = [np.zeros((2, 2, 3), np.uint8), np.full((40, 1, 3), 255, np.uint8), np.asarray(ruled)]
    assert [one.text for one in recogniser_of(model)(shapes)] == ["", "", ""]
    assert recogniser_of(model)([]) == []


def test_both_are_found_by_their_names() -> None:
    for name, kind in (("nano", NanoEngine), ("nano-rapid", CascadeEngine)):
        found = engines(name)
        assert type(found.pictures) is kind and found.forced and found.text is None
