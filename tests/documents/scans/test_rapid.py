"""Pictures read by RapidOCR's networks: whichever way up, however large, on every ground; what is not read is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scenes import FACES, LINES, RUSSIAN, Colour, page

from microfiche.documents.boxes import union
from microfiche.documents.document import Kind
from microfiche.documents.scans import rapid, recognition, tesseract, tiles
from microfiche.documents.scans.ink import empty_runs, ink_of
from microfiche.documents.scans.line_pieces import pieces
from microfiche.documents.scans.orientation import look, straight, tilt, upright
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.scans.recognition import Recognised
from microfiche.documents.scans.scan_lines import lines_of
from microfiche.documents.scans.unread import wrong
from microfiche.documents.sheet import Sheet
from microfiche.documents.text_lines import Region, TextLine
from microfiche.errors import SetUpError


def read(picture: Image.Image) -> list[TextLine]:
    return lines_of(look(picture))


def words(lines: list[TextLine] | list[str] | tuple[str, ...]) -> Counter[str]:
    texts = [line.text if isinstance(line, TextLine) else line for line in lines]
    return Counter(" ".join(texts).split())


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_page_is_read_whichever_way_up_it_lies(degrees: int) -> None:
    picture = page().rotate(degrees, expand=True)
    straightened, turned = upright(picture)
    assert (turned + degrees) % 360 == 0 and straightened.size == page().size
    engine, heard = RapidEngine(), list[tuple[int, Any]]()
    engine.heard = lambda number, lines: heard.append((number, lines))
    (read_page,) = engine.read([Sheet(1, picture)])
    assert read_page.status == "ok" and (read_page.width, read_page.height) == picture.size
    assert Counter(" ".join(block.text for block in read_page.blocks).split()) == words(LINES)
    ((number, lines),) = heard
    assert number == 1 and words([text for _, _, text in lines]) == words(LINES)
    assert all(0.5 < sure <= 1 for _, sure, _ in lines)
    for boxes in ([block.box for block in read_page.blocks], [box for box, _, _ in lines]):
        ink = np.asarray(picture.convert("L")) < 128
        for left, top, right, bottom in boxes:
            ink[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = False
        assert not ink.any(), "the boxes lie where the text stood before the page was turned"


@pytest.mark.parametrize("degrees", [90, 270])
def test_lines_that_run_up_or_down_beside_the_text_are_read_in_their_order(degrees: int) -> None:
    beside = ("Printed in the year 1924", "All rights are reserved", "No copies without consent")
    text = page(LINES * 2)
    picture = Image.new("RGB", (text.width + 180, text.height), "white")
    picture.paste(text, (180, 0))
    picture.paste(page(beside, size=18).crop((20, 0, 400, 150)).rotate(degrees, expand=True), (20, 20))
    (read_page,) = RapidEngine().read([Sheet(1, picture)])
    found = " ".join(" ".join(block.text for block in read_page.blocks).split())
    assert read_page.status == "ok" and found == " ".join((*LINES, *LINES, *beside))
    assert all(block.box[2] < 180 for block in read_page.blocks if "copies" in block.text)


@pytest.mark.parametrize("degrees", [-12.0, -0.5, 0.0, 1.3, 14.0])
def test_tilt_is_found_up_to_fifteen_degrees(degrees: float) -> None:
    turned = page(LINES * 2).rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white", expand=True)
    assert tilt(turned) == pytest.approx(-degrees, abs=0.3)
    assert words(read(turned)) == words(LINES * 2)


def test_a_picture_without_text_is_neither_turned_nor_read() -> None:
    for picture in (Image.new("RGB", (300, 200), "white"), Image.new("RGB", (3, 2)), Image.new("RGB", (40, 1))):
        assert upright(picture) == (picture, 0.0)
        assert read(picture) == [] and wrong([], picture) == ""


def test_a_tall_screenshot_is_read_line_by_line() -> None:
    lines = tuple(f"Message {i}: town number {7 * i}" for i in range(110))
    picture = page(lines)
    assert picture.height > 6000
    found = read(picture)
    assert [line.text for line in found] == list(lines)
    assert all(a.box[3] <= b.box[3] for a, b in pairwise(found))


def test_tiles_that_must_cut_through_ink_lose_and_double_nothing() -> None:
    lines = tuple(f"Line {i} of the long chat, told by {i}" for i in range(90))
    picture = page(lines)
    ImageDraw.Draw(picture).line((6, 0, 6, picture.height), "black", 3)
    assert words(read(picture)) == words(lines)
    one = (" ".join(f"word {i} follows" for i in range(10, 70)),)
    assert words(read(page(one))) == words(one), "a line of 10,000 px"


@pytest.mark.parametrize("size", [9, 60])
def test_tiny_and_huge_type_are_read(size: int) -> None:
    assert words(read(page(size=size))) == words(LINES)


@pytest.mark.parametrize(
    ("paper", "ink"),
    [("black", "white"), ((20, 20, 30), (0, 220, 0)), ("white", (205, 205, 205)), ((0, 0, 160), (255, 255, 0)),
     ((60, 150, 60), (200, 40, 40))],
)  # fmt: skip
def test_any_ink_on_any_ground_is_read(paper: Colour, ink: Colour) -> None:
    assert words(read(page(paper=paper, ink=ink))) == words(LINES)


def test_a_light_heading_on_a_dark_band_is_read() -> None:
    picture = page((*LINES, ""))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 235, picture.width, 300), (30, 40, 90))
    draw.text((30, 248), "White on a band", "white", ImageFont.truetype(str(FACES / "DejaVuSans-Bold.ttf"), 32))
    found = read(picture)
    assert words(found) == words((*LINES, "White on a band"))
    (head,) = (line for line in found if line.text == "White on a band")
    others = [line for line in found if line is not head]
    assert head.bold and head.size == pytest.approx(32 / 22 * np.median([line.size for line in others]), rel=0.05)
    assert all(not line.bold and line.size == pytest.approx(22, rel=0.2) for line in others)


def test_code_is_known_by_letters_of_one_width() -> None:
    code = ("def total(items: list[int]) -> int:", "    return sum(i for i in items if i > 0)")
    found = read(page(code, face="DejaVuSansMono"))
    assert all(line.fixed for line in found) and not any(line.fixed for line in read(page()))


def recognised(text: str, places: list[float]) -> Recognised:
    return Recognised(text, np.full(len(text), 0.99, np.float32), np.array(places, np.float32))


def drawn(text: str, gaps: dict[int, int], letter: int = 10, height: int = 30) -> tuple[np.ndarray, list[float]]:
    """The ink of a line whose characters are blocks, 2 px apart or as far as `gaps` says after each, and their
    places."""
    columns, middles = [np.zeros(4)], []
    for i in range(len(text)):
        middles.append(sum(map(len, columns)) + letter / 2)
        columns += [np.ones(letter), np.zeros(gaps.get(i, 2))]
    row = np.concatenate(columns).astype(np.uint8)
    mask = np.zeros((height, len(row)), np.uint8)
    mask[7:23] = row
    return mask, [m / len(row) for m in middles]


def test_a_space_that_the_picture_shows_is_put_in() -> None:
    mask, places = drawn("onetwo(three)", {2: 8, 5: 8})
    assert [piece.text for piece in pieces(recognised("onetwo(three)", places), mask)] == ["one two (three)"]
    mask, places = drawn("OPENING", dict.fromkeys(range(6), 8))
    assert [piece.text for piece in pieces(recognised("OPENING", places), mask)] == ["OPENING"], "wide-set capitals"
    mask, places = drawn("日本語文", {1: 8})
    assert [piece.text for piece in pieces(recognised("日本語文", places), mask)] == ["日本語文"]


def test_a_gap_within_a_word_is_no_space() -> None:
    text = "ae elit. bc de fg"
    mask, places = drawn(text.replace(" ", ""), {1: 10, 5: 7, 6: 14, 8: 10, 10: 10})
    signs = iter(places)
    known = [0.0 if sign == " " else next(signs) for sign in text]
    known = [(known[i - 1] + known[i + 1]) / 2 if sign == " " else known[i] for i, sign in enumerate(text)]
    known[6] += 2 / mask.shape[1]  # places are only right to about half of a width
    assert [piece.text for piece in pieces(recognised(text, known), mask)] == [text], "narrower than the line's spaces"
    mask, places = drawn("pages47–53", {})
    left, right = (round((places[k] + shift / mask.shape[1]) * mask.shape[1]) for k, shift in ((7, -6), (7, 6)))
    mask[:, left:right] = 0
    assert [piece.text for piece in pieces(recognised("pages47–53", places), mask)] == ["pages47–53"], "a pale dash"


def test_a_wide_gap_divides_a_line() -> None:
    mask, places = drawn("leftright", {3: 60})
    found = pieces(recognised("leftright", places), mask)
    assert [piece.text for piece in found] == ["left", "right"]
    assert found[0].stop <= 54 and found[1].start >= 108


def test_empty_runs() -> None:
    filled = np.array([0, 1, 1, 0, 0, 1], bool)
    assert empty_runs(filled).tolist() == [[0, 1], [3, 5]]
    assert empty_runs(np.ones(3, bool)).tolist() == [] and empty_runs(np.zeros(2, bool)).tolist() == [[0, 2]]


def test_ink_is_found_on_light_and_on_dark_paper() -> None:
    dark, light = ink_of(page()), ink_of(page(paper="black", ink="white"))
    assert dark.type == light.type > 0 and abs(dark.mask.mean() - light.mask.mean()) < 0.01


def test_a_line_that_seems_to_begin_with_a_space_is_read_again_with_paper_before_it() -> None:
    seen = straight(page(("I have read the rules",)))
    (box,) = seen.boxes

    def recogniser(parts: Sequence[recognition.Pixels]) -> list[Recognised]:
        whole = [part.shape[1] > box.width + 2 for part in parts]
        return [replace(line, text=line.text if all_ else " have read the rules", sure=line.sure if all_ else
                        line.sure[1:], places=line.places if all_ else line.places[1:])
                for line, all_ in zip(recognition.recognise(parts), whole, strict=True)]

    assert [line.text for line in lines_of(seen, recogniser)] == ["I have read the rules"]


def test_rows_that_the_detector_takes_for_one_are_read_each(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = page(("5.10", "0.51", "1.00"), size=30)
    ink = ink_of(picture)
    rows = np.flatnonzero(ink.mask.any(1))
    columns = np.flatnonzero(ink.mask.any(0))
    high, wide = rows[-1] - rows[0] + 20, columns[-1] - columns[0] + 20
    whole = recognition.Found(columns.mean(), rows.mean(), wide, high, 0.0, 1.0)
    monkeypatch.setattr(tiles, "detect", lambda pixels, scale: [whole])
    assert [line.text for line in lines_of(straight(picture))] == ["5.10", "0.51", "1.00"]


@pytest.mark.parametrize("kind", ["figure", "formula"])
def test_text_that_a_network_takes_for_a_picture_stays_text(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = straight(page())
    lines = lines_of(seen)
    box = union(line.box for line in lines[:3])
    monkeypatch.setattr(rapid, "regions", lambda picture: [Region(kind, box, 0.9)])
    read_page = rapid.page_of_lines(1, "rapid", lines, seen.picture, seen.ink)
    assert {block.kind for block in read_page.blocks} <= {"text", "title"}


def test_clean_scans_are_ok_and_what_was_not_read_is_said() -> None:
    picture = page(LINES * 3)
    found = read(picture)
    assert wrong(found, picture) == ""
    assert "of the ink that looks like letters was not read" in wrong(found[:8], picture)
    assert wrong(found[:8], picture, figures=[(0, 430, picture.width, picture.height)]) == ""
    unsure = [TextLine(line.text, line.box, line.size, confidence=0.83 if i == 11 else 0.99)
              for i, line in enumerate(found)]
    assert wrong(unsure, picture) == "low confidence, 0.83 on average, in 1 line of 12"
    said = ("12.50 I D7", 0.87), ("6.90", 1.0), ("(3%) 17n", 0.95), ("'on PDF nIT", 0.92)
    short = [TextLine(text, line.box, line.size, confidence=sure)
             for (text, sure), line in zip(said, found, strict=False)]
    assert "a script that the reader lacks?" in wrong(short, page(LINES[:4]))
    hollow = [TextLine(", .", line.box, line.size) for line in found]
    assert wrong(hollow, picture) == "12 lines of 12 could not be read: a script that the reader lacks?"


def test_a_logo_rules_and_noise_are_no_text_that_was_missed() -> None:
    picture = page(LINES * 3)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((330, 470, 420, 560), outline="black", width=6)
    draw.line((20, 600, 400, 600), "black", 3)
    grain = np.random.default_rng(0).normal(0, 12, (picture.height, picture.width, 3))
    noisy = Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))
    for one in (picture, noisy, picture.filter(ImageFilter.GaussianBlur(0.8))):
        assert wrong(read(one), one) == ""


def test_a_script_that_no_reader_has_makes_the_page_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tesseract, "languages", lambda: ())
    (read_page,) = RapidEngine().read([Sheet(1, page(RUSSIAN))])
    assert read_page.status == "partial" and "could not be read" in read_page.reason


def test_a_script_that_tesseract_has_is_read_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def second(picture: Image.Image, language: str, mode: int = 3) -> list[TextLine]:
        assert language == "rus"
        return [TextLine(line, (44, 30 + 55 * i, 600, 60 + 55 * i), 22, confidence=0.96, engine="tesseract")
                for i, line in enumerate(RUSSIAN)]

    monkeypatch.setattr(tesseract, "languages", lambda: ("eng", "rus"))
    monkeypatch.setattr(tesseract, "turn", lambda picture: 0)
    monkeypatch.setattr(tesseract, "language_of", lambda seen: "rus")
    monkeypatch.setattr(tesseract, "read_in", second)
    (read_page,) = RapidEngine().read([Sheet(1, page(RUSSIAN))])
    assert read_page.status == "ok"
    assert Counter(" ".join(block.text for block in read_page.blocks).split()) == words(RUSSIAN)
    assert [line.text for line in RapidEngine().lines(page(RUSSIAN))] == list(RUSSIAN)


def test_a_picture_that_is_straight_is_taken_as_it_is() -> None:
    seen = straight(page().rotate(180))
    assert seen.degrees == 0 and seen.picture.size == page().size and len(seen.boxes) == len(LINES)


def test_a_model_that_is_missing_or_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = SimpleNamespace(__file__=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(recognition, "import_module", lambda n: package if n == "rapidocr" else import_module(n))
    recognition._detector.cache_clear()
    for name in ("", "models/any_det_small.onnx"):
        if name:
            (tmp_path / "models").mkdir()
            (tmp_path / name).write_bytes(b"no model")
        with pytest.raises(SetUpError, match=r"rapidocr: \S+\.onnx is missing or damaged, and nothing is downloaded"):
            recognition.detect(np.zeros((64, 64, 3), np.uint8))
    recognition._detector.cache_clear()
