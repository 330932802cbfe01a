"""What a PDF gives: pages as they are asked for, their text, and where everything stands."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import img2pdf
import makers
import numpy as np
import pikepdf
import pytest
from makers import drawn, encoded, pixels, raw_pdf, sheets, stream, text_pdf, turned_pdf
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.opening import open_document
from microfiche.documents.pdf import worker

DPI = 144
POINT = DPI / 72


def test_a_pdf_is_a_stream_of_pages_with_their_text() -> None:
    data = text_pdf()
    with open_document(data, "x.pdf", dpi=DPI) as document:
        assert (document.kind, document.pages, document.repaired) == ("pdf", 3, False)
        assert len(document.sha256) == 64
        found = list(document.sheets())
    assert [sheet.number for sheet in found] == [1, 2, 3]
    assert [sheet.text and sheet.text.text for sheet in found] == ["First page", "Second page", "Third page"]
    assert all(sheet.picture and sheet.picture.size == (400, 200) and sheet.dpi == DPI for sheet in found)


def test_a_file_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    data = text_pdf()
    (tmp_path / "ü x.pdf").write_bytes(data)
    with open_document(tmp_path / "ü x.pdf", "x") as a, open_document(data, "x") as b:
        assert a.sha256 == b.sha256
        for one, other in zip(a.sheets(), b.sheets(), strict=True):
            assert (pixels(one) == pixels(other)).all() and one.text and other.text
            assert one.text.text == other.text.text


def test_pages_come_in_the_order_asked_for_and_may_be_asked_for_again() -> None:
    with open_document(text_pdf([f"Page {i}" for i in range(1, 21)]), "x") as document:
        for _ in range(2):
            found = [sheet.text.text for sheet in document.sheets([7, 2, 20]) if sheet.text]
            assert found == ["Page 7", "Page 2", "Page 20"]


def test_two_workers_give_what_one_gives() -> None:
    data = text_pdf([f"Page {i}" for i in range(30)])
    for one, two in zip(sheets(data, workers=1), sheets(data, workers=2), strict=True):
        assert one.number == two.number and (pixels(one) == pixels(two)).all()


def test_no_more_pages_are_drawn_than_will_soon_be_taken() -> None:
    class Watched(list[int]):
        taken = 0

        def __iter__(self) -> Iterator[int]:
            for number in super().__iter__():
                self.taken += 1
                yield number

    with open_document(text_pdf(["x"] * 40), "x") as document:
        numbers = Watched(range(1, 41))
        stream = document.sheets(numbers)
        next(stream)
        assert numbers.taken <= 5


def test_a_thousand_pages_open_without_being_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    ask = worker._Process.ask

    def told(process: Any, head: dict[str, Any], *rest: Any) -> Any:
        asked.append(head)
        return ask(process, head, *rest)

    monkeypatch.setattr(worker._Process, "ask", told)
    file = io.BytesIO()
    with pikepdf.open(io.BytesIO(text_pdf(["x"]))) as pdf:
        for _ in range(999):
            pdf.pages.append(pdf.pages[0])
        pdf.save(file)
    with open_document(file.getvalue(), "x") as document:
        assert document.pages == 1000 and len(asked) == 1
        assert next(document.sheets()).error is None
    assert {head["page"] for head in asked if "page" in head} <= set(range(1, 7))


@pytest.mark.parametrize("crop", [None, (10, 20, 190, 95)], ids=["whole", "cropped"])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_the_boxes_lie_over_the_ink_however_a_page_is_turned_and_cropped(
    rotate: int, crop: tuple[int, int, int, int] | None
) -> None:
    (sheet,) = sheets(turned_pdf(text_pdf(["Over its ink\njumps, quickly"]), rotate, crop))
    image, text = pixels(sheet), sheet.text
    assert text and sheet.picture
    size = (180, 75) if crop else (200, 100)
    assert sheet.picture.size == tuple(int(side * POINT) for side in (size if rotate % 180 == 0 else size[::-1]))
    covered = np.zeros(image.shape[:2], bool)
    for character, (left, top, right, bottom) in zip(text.text, text.boxes.round().astype(int), strict=True):
        if not character.isspace():
            assert image[top : bottom + 1, left : right + 1].min() < 128, character
            covered[top - 1 : bottom + 1, left - 1 : right + 1] = True
    assert image[~covered].min() == 255
    assert np.allclose(text.sizes[text.font >= 0], 12 * POINT, rtol=0.02)
    turned = (text.angles[text.font >= 0] - rotate) % 360
    assert np.allclose(np.minimum(turned, 360 - turned), 0, atol=0.1)


def test_a_page_whose_box_does_not_begin_at_zero_is_whole() -> None:
    content = b"BT /F 12 Tf -90 -50 Td (Ink) Tj ET"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[-100 -60 100 40]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    (sheet,) = sheets(raw_pdf(makers.CATALOG, kids, page, stream(content), font))
    assert sheet.text and sheet.text.text == "Ink"
    left, top, right, bottom = sheet.text.boxes[0].astype(int)
    assert pixels(sheet)[top:bottom, left : right + 1].min() < 128
    assert left == pytest.approx(10 * POINT, abs=2) and bottom == pytest.approx(93 * POINT, abs=4)


def test_a_text_layer_tells_fonts_sizes_and_what_cannot_be_seen() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Times-Bold", 20)
        canvas.drawString(20, 60, "Big")
        text = canvas.beginText(20, 20)
        text.setFont("Courier", 10)
        text.setTextRenderMode(3)
        text.textLine("hidden")
        canvas.drawText(text)

    sheet = drawn(draw)
    text = sheet.text
    assert text
    big, hidden = text.text.index("Big"), text.text.index("hidden")
    assert text.fonts[text.font[big]].name == "Times-Bold" and text.fonts[text.font[hidden]].name == "Courier"
    assert text.sizes[big] == pytest.approx(40, rel=0.02) and text.sizes[hidden] == pytest.approx(20, rel=0.02)
    assert not text.invisible[big] and text.invisible[hidden : hidden + 6].all()
    assert text.mapped.all()
    columns = text.boxes, text.sizes, text.angles, text.font, text.mapped, text.generated, text.invisible
    assert {len(column) for column in columns} == {len(text.text)}


def test_spaces_that_follow_from_gaps_are_marked_as_generated() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(20, 60, "one")
        canvas.drawString(80, 60, "two")
        canvas.drawString(20, 30, "three")

    text = drawn(draw).text
    assert text and text.text == "one two\nthree"
    assert text.generated.tolist() == [c in " \n" for c in text.text]


def test_a_character_without_a_unicode_value_is_marked() -> None:
    glyph = stream(b"500 0 0 0 500 500 d1 0 0 500 500 re f")
    font = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 500 500]/FontMatrix[.001 0 0 .001 0 0]/CharProcs<</g1 6 0 R>>"
        b"/Encoding<</Type/Encoding/Differences[1/g1]>>/FirstChar 1/LastChar 1/Widths[500]>>"
    )
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    (sheet,) = sheets(raw_pdf(makers.CATALOG, kids, page, stream(b"BT /F 20 Tf 20 20 Td <01> Tj ET"), font, glyph))
    assert sheet.text and len(sheet.text.text) == 1 and not sheet.text.mapped.any()


def test_a_character_beyond_the_first_plane_is_one_character() -> None:
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>"
    to_unicode = stream(
        b"begincmap 1 begincodespacerange <00> <FF> endcodespacerange "
        b"2 beginbfchar <41> <D83DDE00> <42> <0042> endbfchar endcmap"
    )
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    content = stream(b"BT /F 20 Tf 20 20 Td (BAB) Tj ET")
    (sheet,) = sheets(raw_pdf(makers.CATALOG, kids, page, content, font, to_unicode))
    assert sheet.text and sheet.text.text == "B😀B"
    assert sheet.text.boxes.shape == (3, 4) and (np.diff(sheet.text.boxes[:, 0]) > 10).all()


def test_a_hyphen_that_divides_a_word_at_a_line_end_is_told_from_others() -> None:
    (sheet,) = sheets(text_pdf(["A well-known divi-\nsion"]))
    assert sheet.text and sheet.text.text == "A well-known divi\u00adsion"


def test_thin_lines_and_borders_are_rules_and_shading_and_curves_are_not() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.line(20, 80, 120, 80)
        canvas.rect(20, 20, 50, 30)
        canvas.rect(100, 20, 60, 0.5, stroke=0, fill=1)
        canvas.rect(100, 40, 60, 20, stroke=0, fill=1)
        canvas.circle(150, 80, 10)
        canvas.line(20, 10, 60, 19)

    rules = np.array(drawn(draw).rules) / POINT
    wanted = [
        (20, 20, 120, 20),
        (20, 80, 70, 80),
        (20, 50, 20, 80),
        (20, 50, 70, 50),
        (70, 50, 70, 80),
        (100, 79.75, 160, 79.75),
    ]
    assert len(rules) == len(wanted)
    assert all(np.abs(rules - rule).max(axis=1).min() < 0.5 for rule in wanted)


@pytest.mark.parametrize("rotate", [0, 90])
def test_image_boxes_tell_where_pictures_stand(rotate: int) -> None:
    def pdf() -> bytes:
        file = io.BytesIO()
        canvas = Canvas(file, pagesize=(200, 100))
        canvas.drawInlineImage(Image.new("RGB", (10, 10), "black"), 30, 20, 40, 50)
        canvas.save()
        return turned_pdf(file.getvalue(), rotate)

    (sheet,) = sheets(pdf())
    (box,) = sheet.image_boxes
    ys, xs = np.nonzero(pixels(sheet).max(axis=2) < 128)
    assert box == pytest.approx((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), abs=1.5)


def test_a_scan_in_a_pdf_is_one_image_and_no_text() -> None:
    scan = encoded(Image.new("L", (400, 200), 128), "PNG", dpi=(144, 144))
    (sheet,) = sheets(img2pdf.convert(scan))
    assert sheet.text and sheet.text.text == ""
    assert sheet.text.boxes.shape == (0, 4)
    assert sheet.image_boxes == [pytest.approx((0, 0, 400, 200), abs=1)]


def test_the_scan_of_a_small_page_is_drawn_at_its_own_resolution_up_to_a_usual_size() -> None:
    def size(points: float, side: int) -> tuple[int, float | None]:
        file = io.BytesIO()
        canvas = Canvas(file, pagesize=(points, points))
        canvas.drawImage(ImageReader(Image.new("L", (side, side), 128)), 0, 0, points, points)
        canvas.showPage()
        canvas.save()
        with open_document(file.getvalue(), "a.pdf", workers=1) as opened:
            (sheet,) = opened.sheets()
        assert sheet.picture is not None
        return sheet.picture.width, sheet.dpi

    assert size(72, 600) == (600, 600)
    assert size(72, 40) == (144, 144)
    assert size(144, 6000) == (1584, 792)
    assert size(800, 6000) == (1600, 144)


def test_a_font_of_bitmaps_names_ligatures_by_their_codes_where_its_letters_have_eight_bits() -> None:
    procs = b"<</g 6 0 R>>"
    names = b" ".join(b"/g" for _ in range(228))
    font = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 500 500]/FontMatrix[.001 0 0 .001 0 0]/CharProcs%s/FirstChar 1"
        b"/LastChar 228/Widths[%s]/Encoding<</Differences[1 %s]>>>>" % (procs, b"500 " * 228, names)
    )
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    glyph = stream(b"500 0 0 0 450 450 d1 0 0 450 450 re f")
    for codes, shown in ((b"<6e1c72e4>", "nﬁrä"), (b"<6e1c72>", "n\ufffdr")):
        content = stream(b"BT /F 12 Tf 20 50 Td %s Tj ET" % codes)
        (sheet,) = sheets(raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", kids, page, content, font, glyph))
        assert sheet.text is not None and sheet.text.text == shown
