from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import img2pdf
import makers
import numpy as np
import pikepdf
import pytest
from makers import encoded, encrypted_pdf, one_page, png_header, raw_pdf, stream, text_pdf, turned_pdf
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.opening import Given, Opened, Sheet, documents_in, open_document, page_numbers
from microfiche.errors import InputError, UsageError
from microfiche.limits import Limits

DPI = 144
POINT = DPI / 72


def sheets(data: bytes | Path, **options: object) -> list[Sheet]:
    with open_document(data, "a file", **options) as document:  # type: ignore[arg-type]
        return list(document.sheets())


def drawn(draw: Callable[[Canvas], None], size: tuple[float, float] = (200, 100)) -> Sheet:
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=size)
    draw(canvas)
    canvas.showPage()
    canvas.save()
    return sheets(file.getvalue())[0]


def pixels(sheet: Sheet) -> np.ndarray:
    assert sheet.error is None and sheet.picture is not None and sheet.picture.mode == "RGB"
    return np.asarray(sheet.picture).astype(int)


def workers_of(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in lists for child in children.read_text().split()]


def wait_until(condition: Callable[[], object], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for worker processes in /proc")


# What a PDF gives


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


def test_a_thousand_pages_open_as_quickly_as_three() -> None:
    file = io.BytesIO()
    with pikepdf.open(io.BytesIO(text_pdf(["x"]))) as pdf:
        for _ in range(999):
            pdf.pages.append(pdf.pages[0])
        pdf.save(file)
    began = time.monotonic()
    with open_document(file.getvalue(), "x") as document:
        assert document.pages == 1000
        assert next(document.sheets()).error is None
    assert time.monotonic() - began < 5


# Where things stand


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


# PDFs that are broken or hostile


def test_an_encrypted_pdf_opens_with_its_password_alone() -> None:
    data = encrypted_pdf("sesame")
    with pytest.raises(InputError, match=r"^a file: encrypted; give its password$"):
        sheets(data)
    with pytest.raises(InputError, match=r"^a file: encrypted, and this is not its password$"):
        sheets(data, password="open")
    assert [sheet.error for sheet in sheets(data, password="sesame")] == [None] * 3


def test_a_truncated_pdf_is_an_error_or_is_marked_as_repaired() -> None:
    data = text_pdf()
    with pytest.raises(InputError, match=r"^a file: damaged or cut short"):
        sheets(data[: len(data) // 4])
    with open_document(data[: data.rindex(b"startxref")], "a file") as document:
        assert document.repaired
        assert [sheet.error is None for sheet in document.sheets()] == [True] * 3


def test_a_pdf_without_pages_is_an_error() -> None:
    with pytest.raises(InputError, match=r"^a file: has no pages$"):
        sheets(raw_pdf(makers.CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"))


def test_a_pdf_that_says_it_has_a_million_pages_is_refused() -> None:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>"
    with pytest.raises(InputError, match=r"^a file: says it has 1,000,000 pages; the limit pages is 10,000$"):
        sheets(raw_pdf(makers.CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1000000>>", page))


def test_pages_that_are_counted_but_are_not_there_fail_one_by_one() -> None:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>"
    found = sheets(raw_pdf(makers.CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 3>>", page))
    assert [sheet.error for sheet in found] == [None, *["damaged: this page cannot be found in the file"] * 2]


def test_a_page_of_a_million_points_is_refused_before_it_is_drawn() -> None:
    began = time.monotonic()
    (sheet,) = sheets(one_page(b"[0 0 1000000 1000000]"))
    assert sheet.picture is None and sheet.text is None
    assert sheet.error == (
        "1,000,000 × 1,000,000 points at 144 dpi are 4,000,000,000,000 pixels; the limit pixels is 100,000,000"
    )
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("box", [b"[0 0 0 0]", b"[0 0 nan 10]", b"[0 0 1e39 10]", b"[200 100 0 0]", b"(no box)"])
def test_a_page_with_a_senseless_box_is_drawn_or_refused(box: bytes) -> None:
    (sheet,) = sheets(one_page(box))
    assert (sheet.picture is None) == (sheet.error is not None)


def test_a_page_that_hangs_costs_that_page_alone() -> None:
    found = sheets(makers.endless_second_page(), limits=Limits(seconds=2), workers=1)
    assert [sheet.number for sheet in found] == [1, 2, 3]
    assert [sheet.error for sheet in found] == [None, "took longer than 2 seconds, which is the limit seconds", None]


def test_a_page_that_takes_too_much_memory_costs_that_page_alone() -> None:
    found = sheets(makers.ravenous_second_page(), limits=Limits(memory=1 << 29, seconds=20))
    first, second, third = [sheet.error for sheet in found]
    assert first is None and third is None
    assert second in (
        "the process that opened it died (SIGABRT, perhaps because the limit memory is too low)",
        "took longer than 20 seconds, which is the limit seconds",  # where the system holds no process to its memory
    )


def test_an_image_of_a_gigabyte_in_a_small_file_is_drawn_in_little_memory() -> None:
    data = makers.large_image(20_000)
    assert len(data) < 5000
    found = sheets(data, limits=Limits(memory=1 << 30))
    assert [int(pixels(sheet).max()) for sheet in found] == [255, 0, 255]


@linux
def test_a_worker_that_dies_costs_the_page_it_was_at_alone() -> None:
    with open_document(makers.endless_second_page(), "x", workers=1) as document:
        stream = document.sheets()
        assert next(stream).error is None
        (worker,) = workers_of(os.getpid())
        os.kill(worker, signal.SIGKILL)
        assert next(stream).error == "the process that opened it died (SIGKILL)"
        assert next(stream).error is None
    assert not workers_of(os.getpid())


@linux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_parent(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(makers.endless_second_page())
    program = (
        "import sys, pathlib; from microfiche.documents.opening import open_document\n"
        "with open_document(pathlib.Path(sys.argv[1]), 'x', workers=1) as document:\n"
        "    for sheet in document.sheets(): print(sheet.number, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "x.pdf")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout and parent.stdout.readline() == b"1\n"
        (worker,) = workers_of(parent.pid)
        parent.send_signal(how)
        began = time.monotonic()
        parent.wait(20)
        assert time.monotonic() - began < 5
    assert wait_until(lambda: not runs(worker))


@linux
def test_closing_ends_the_workers_whatever_they_are_doing() -> None:
    document = open_document(makers.endless_second_page(), "x", workers=2)
    stream = document.sheets()
    next(stream)
    assert workers_of(os.getpid())
    began = time.monotonic()
    document.close()
    assert not workers_of(os.getpid())
    assert time.monotonic() - began < 2


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pypdfium2.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert len(sheets(text_pdf())) == 3


def test_a_file_that_is_opened_anew_on_the_way_gives_all_its_pages() -> None:
    found = sheets(text_pdf([f"Page {i}" for i in range(1, 251)]), workers=1)
    assert [sheet.text and sheet.text.text for sheet in found] == [f"Page {i}" for i in range(1, 251)]


def test_javascript_and_embedded_files_are_left_alone() -> None:
    with pikepdf.open(io.BytesIO(text_pdf(["Plain"]))) as pdf:
        pdf.attachments["evil.pdf"] = text_pdf(["Embedded"])
        pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="while (true) app.alert('x')")
        file = io.BytesIO()
        pdf.save(file)
    (sheet,) = sheets(file.getvalue(), limits=Limits(seconds=10))
    assert sheet.text and sheet.text.text == "Plain"


def test_what_was_filled_into_a_form_is_in_picture_and_text() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.acroForm.textfield(name="a", value="FILLED", x=20, y=20, width=150, height=40, borderWidth=0)

    sheet = drawn(draw)
    assert sheet.text and sheet.text.text == "FILLED"
    left, top, right, bottom = sheet.text.boxes[0].astype(int)
    assert pixels(sheet)[top:bottom, left:right].min() < 128


# Pictures


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_picture_is_told_by_its_content_and_is_one_page(kind: str, tmp_path: Path) -> None:
    (tmp_path / "misnamed.pdf").write_bytes(encoded(Image.new("RGB", (30, 20), "red"), kind, dpi=(300, 300)))
    with open_document(tmp_path / "misnamed.pdf", "x") as document:
        (sheet,) = document.sheets()
        assert (document.kind, document.pages) == (kind.lower(), 1)
    assert sheet.text is None and sheet.picture and sheet.picture.size == (30, 20)
    assert np.abs(pixels(sheet)[10, 15] - (255, 0, 0)).max() < 5
    assert sheet.dpi == (None if kind == "WEBP" else pytest.approx(300, abs=0.1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_photo_is_turned_upright(kind: str) -> None:
    image = Image.new("RGB", (40, 20), "white")
    image.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    (sheet,) = sheets(encoded(image, kind, exif=exif))
    assert sheet.picture and sheet.picture.size == (20, 40)
    assert pixels(sheet)[5, 10].max() < 20 and pixels(sheet)[35, 10].min() > 235


def half(mode: str, left: object, right: object) -> Image.Image:
    image = Image.new(mode, (20, 10), right)  # type: ignore[arg-type]
    image.paste(left, (0, 0, 10, 10))  # type: ignore[arg-type]
    return image


def sixteen() -> Image.Image:
    values = np.zeros((10, 20), np.uint16)
    values[:, :10], values[:, 10:] = 0x8080, 0xFFFF
    return Image.fromarray(values)


@pytest.mark.parametrize(
    ("kind", "image", "left", "right"),
    [
        ("PNG", half("1", 0, 1), 0, 255),
        ("PNG", half("L", 128, 255), 128, 255),
        ("PNG", half("LA", (0, 128), (0, 0)), 127, 255),
        ("PNG", half("RGBA", (0, 0, 0, 128), (0, 0, 0, 0)), 127, 255),
        ("WEBP", half("RGBA", (0, 0, 0, 255), (0, 0, 0, 0)), 0, 255),
        ("PNG", half("RGB", (128, 128, 128), (255, 255, 255)).quantize(4), 128, 255),
        ("PNG", sixteen(), 128, 255),
        ("TIFF", sixteen(), 128, 255),
        ("TIFF", half("F", 0.0, 1.0), 0, 255),
        ("TIFF", half("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)), 0, 255),
        ("JPEG", half("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)), 0, 255),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_every_kind_of_pixel_comes_as_rgb_on_white_paper(kind: str, image: Image.Image, left: int, right: int) -> None:
    (sheet,) = sheets(encoded(image, kind))
    assert np.abs(pixels(sheet)[5, 4] - left).max() <= 4 and np.abs(pixels(sheet)[5, 15] - right).max() <= 4


def test_a_palette_with_a_clear_colour_is_white_there() -> None:
    image = half("P", 0, 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    (sheet,) = sheets(encoded(image, "PNG", transparency=1))
    assert pixels(sheet)[5, 4].max() == 0 and pixels(sheet)[5, 15].min() == 255


def test_every_frame_of_a_tiff_is_a_page() -> None:
    frames = [Image.new("L", (20 + i, 10), 40 * i) for i in range(5)]
    data = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with open_document(data, "x") as document:
        assert document.pages == 5
        found = list(document.sheets([4, 2]))
    assert [pixels(sheet)[5, 5, 0] for sheet in found] == [120, 40]
    with pytest.raises(InputError, match=r"^a file: has more than 3 pages, which is the limit pages$"):
        sheets(data, limits=Limits(pages=3))


def test_a_picture_of_20000_by_20000_is_refused_by_its_header() -> None:
    (sheet,) = sheets(png_header(20_000, 20_000))
    assert sheet.error == "20,000 × 20,000 pixels; the limit pixels is 100,000,000"
    (sheet,) = sheets(png_header(20_000, 20_000), limits=Limits(pixels=1 << 30))
    assert sheet.error == "damaged or cut short: the picture cannot be decoded"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_truncated_picture_is_named(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8))
    data = encoded(noise, kind)
    for share in (2, 3, 200):
        try:
            (sheet,) = sheets(data[: len(data) // share])
            assert sheet.error and "cut short" in sheet.error
        except InputError as error:
            assert str(error).startswith("a file: ")


def test_a_hostile_picture_never_ends_in_anything_but_one_of_our_errors() -> None:
    random = np.random.default_rng(2)
    frames = [Image.new("RGB", (20, 20), c) for c in ("red", "white")]
    whole = [encoded(frames[0], kind) for kind in ("PNG", "JPEG", "WEBP")]
    whole.append(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:], compression="tiff_lzw"))
    for data in whole:
        for _ in range(60):
            broken = bytearray(data)
            for at in random.integers(4, len(data), 4):
                broken[at] = random.integers(256)
            try:
                for sheet in sheets(bytes(broken)):
                    assert (sheet.picture is None) == (sheet.error is not None)
            except InputError as error:
                assert str(error).startswith("a file: ") and "\n" not in str(error)


# Files and folders


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.pdf: empty"),
        (b"\n<!DOCTYPE html><html><body>", "x.pdf: an HTML page, whatever its name says; save the document itself"),
        (b"Dear Sir or Madam", "x.pdf: not a PDF, PNG, JPEG, TIFF or WebP file"),
        (b"%PDF-1.7\nnothing follows", "x.pdf: damaged or cut short: not a whole PDF"),
        (b"\x89PNG\r\n\x1a\n", "x.pdf: damaged or cut short: not a whole PNG picture"),
    ],
)
def test_what_is_no_document_is_one_clear_error(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(data)
    for source in (data, tmp_path / "x.pdf"):
        with pytest.raises(InputError) as error:
            open_document(source, "x.pdf")
        assert str(error.value) == message


def test_a_file_that_is_too_large_missing_or_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png_header(1, 1))
    with pytest.raises(InputError, match=r"^x: \d+ bytes; the limit bytes is 10$"):
        open_document(tmp_path / "x.png", "x", limits=Limits(bytes=10))
    for path, message in ((tmp_path, "not a file"), (tmp_path / "none.pdf", "no such file")):
        with pytest.raises(InputError, match=rf"^x: {message}$"):
            open_document(path, "x")


def test_senseless_options_are_usage_errors() -> None:
    for options in ({"dpi": 0}, {"dpi": float("nan")}, {"workers": 0}):
        with pytest.raises(UsageError):
            open_document(text_pdf(), "x", **options)  # type: ignore[arg-type]


def test_a_folder_gives_its_documents_in_the_order_people_count(tmp_path: Path) -> None:
    for name in ("10.png", "2.PNG", "b/1.pdf", "notes.txt", ".hidden.png", ".git/x.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    found = documents_in([str(tmp_path / "in"), str(tmp_path / "in" / "notes.txt")])
    assert [Path(given.name).relative_to(tmp_path / "in").as_posix() for given in found] == [
        "2.PNG",
        "10.png",
        "b/1.pdf",
        "notes.txt",
    ]
    assert all(given.error is None and isinstance(given.origin, Path) for given in found)


def test_links_that_leave_a_folder_are_left_out_and_said(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (outside / "deep").mkdir(parents=True)
    inside.mkdir()
    (outside / "secret.pdf").write_bytes(b"x")
    (inside / "a.pdf").write_bytes(b"x")
    (inside / "b.pdf").symlink_to(outside / "secret.pdf")
    (inside / "c").symlink_to(outside)
    (inside / "d.pdf").symlink_to(inside / "a.pdf")
    (inside / "loop").symlink_to(inside)
    found = {Path(given.name).name: given.error for given in documents_in([str(inside)])}
    left_out = "a link to somewhere outside the folder; left out"
    assert found == {"a.pdf": None, "b.pdf": left_out, "c": left_out, "d.pdf": None}


def test_a_dash_is_standard_input_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def type_in(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    type_in(b"%PDF-")
    assert documents_in(["-"]) == [Given("-", b"%PDF-")]
    with pytest.raises(UsageError):
        documents_in(["-", "-"])
    type_in(bytes(11))
    with pytest.raises(InputError, match=r"^-: more than 10 bytes"):
        documents_in(["-"], Limits(bytes=10))


def test_names_without_documents_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no PDF or pictures in this folder"):
        documents_in([str(tmp_path)])
    with pytest.raises(InputError, match="no such file"):
        documents_in([str(tmp_path / "x.pdf")])


@pytest.mark.parametrize(
    ("spec", "numbers"),
    [("1", [1]), ("1-3,7", [1, 2, 3, 7]), (" 2 - 3 , 1 ", [1, 2, 3]), ("8-", [8, 9]), ("3,3,2-4", [2, 3, 4])],
)
def test_page_numbers(spec: str, numbers: list[int]) -> None:
    assert page_numbers(spec, 9) == numbers


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "'' is not a page"),
        ("1,,2", "'' is not a page"),
        ("a", "'a' is not a page"),
        ("-3", "'-3' is not a page"),
        ("3-1", "'3-1' runs backwards"),
        ("0", "there is no page 0"),
        ("0-2", "there is no page 0"),
        ("8-10", "there is no page 10; the document has 9"),
        ("12-", "there is no page 12; the document has 9"),
    ],
)
def test_page_numbers_that_are_not_there_are_usage_errors(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        page_numbers(spec, 9)


def test_opened_documents_close_twice_without_harm() -> None:
    for data in (text_pdf(), encoded(Image.new("L", (5, 5)), "PNG")):
        document: Opened = open_document(data, "x")
        document.close()
        document.close()
