"""A text layer is doubted where it is not what the page shows, and nowhere else."""

from __future__ import annotations

import io
import random
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import img2pdf
import matplotlib
import numpy as np
import pikepdf
import pytest
from makers import drawn, encoded, raw_pdf, sheets, stream
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.boxes import share
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.sheet import Sheet
from microfiche.documents.text_engine import AGREES, DIGITS, TextEngine, judged, layer_of
from microfiche.documents.text_layer.layer_lines import hidden_of, lines_of
from microfiche.documents.text_layer.soundness import Doubts, doubts
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

A4 = (595.0, 842.0)
DEJAVU = matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf"
pdfmetrics.registerFont(TTFont("DejaVu", DEJAVU))
ENGLISH = (
    "When the station was closed the books were sent to the museum in town, where a clerk put them on a shelf",
    "and forgot them. The keeper of the lighthouse wrote down the weather every morning before breakfast and",
    "every evening after the lamp was lit. His notes were short and plain, and he never missed a day of them.",
)


def page_of(texts: Sequence[str], font: str = "Helvetica", size: float = 10) -> Sheet:
    def draw(canvas: Canvas) -> None:
        canvas.setFont(font, size)
        for i, text in enumerate(texts):
            canvas.drawString(40, 780 - 20 * i, text)

    return drawn(draw, A4)


SOUND = {
    "english": ENGLISH,
    "short": ("Page 7",),
    "numbers": ["12.5 100 4,711.00 -3 17 % 2024-03-01"] * 6,
    "part numbers": [f"AX-{i}47 BRKT-{i}Q XJ9-{i} MTR{i}W ZDF-{i}1 KLN-{i} PRT" for i in range(20)],
    "code": ("def f(x, tmp_dir): return str(len(os.listdir(tmp_dir)))", "for cfg in cfgs: run_cmd(ctx, cfg)") * 5,
    "greek": ("Όταν έκλεισε ο σταθμός τα βιβλία στάλθηκαν στο μουσείο της πόλης και ξεχάστηκαν εκεί",) * 3,
    "russian": (
        "Когда станцию закрыли, книги отправили в городской музей, где служащий положил их на полку",
        "и забыл о них. Смотритель маяка каждое утро перед завтраком записывал, какая была погода,",
        "и каждый вечер, после того как лампа была зажжена. Он не пропустил ни одного дня за одиннадцать лет.",
    ),
    "polish": ("Kiedy stację zamknięto, książki wysłano do muzeum w mieście, gdzie urzędnik położył je na półce",) * 3,
    "vietnamese": ("Khi nhà ga đóng cửa, những cuốn sách được gửi đến viện bảo tàng ở thị trấn và bị lãng quên",) * 3,
    "hebrew": ("ןורכזהמ וחכשנו ףדמ לע םתוא םש דיקפ םש ריעב ןואיזומל וחלשנ םירפסה הרגסנ הנחתהשכ",) * 3,
    "capitals": tuple(line.upper() for line in ENGLISH),
    "formulas": ("α + β = γ, x ≤ y, ∑ f(x) dx → ∞, λ ≈ μ",) * 4,
}


@pytest.mark.parametrize("name", SOUND)
def test_text_of_any_kind_is_sound(name: str) -> None:
    assert doubts(page_of(SOUND[name], "DejaVu")) == Doubts()


@pytest.mark.parametrize("name", ["english", "russian", "greek", "polish"])
def test_letters_that_are_not_those_shown_are_doubted(name: str) -> None:
    """Each letter is drawn as another, as a wrong ToUnicode makes it."""
    text = SOUND[name]
    letters = sorted({c for c in "".join(text) if c.isalpha()})
    for seed in range(5):
        others = letters.copy()
        random.Random(seed).shuffle(others)
        assert doubts(mapped(text, dict(zip(letters, others, strict=True)))).compare, (name, seed)


def mapped(text: Sequence[str], claims: dict[str, str]) -> Sheet:
    """A page that shows `text` and whose file says that each letter is what it `claims`."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4)
    canvas.setFont("DejaVu", 10)
    for i, line in enumerate(text):
        canvas.drawString(40, 780 - 20 * i, line)
    canvas.save()
    out = io.BytesIO()
    with pikepdf.open(file) as pdf:
        for obj in pdf.objects:
            if isinstance(obj, pikepdf.Dictionary) and "/ToUnicode" in obj:
                lines = obj.ToUnicode.read_bytes().decode().splitlines()
                said = [claimed(line, claims) for line in lines]
                obj.ToUnicode.write("\n".join(said).encode())
        pdf.save(out)
    (sheet,) = sheets(out.getvalue())
    return sheet


def claimed(line: str, claims: dict[str, str]) -> str:
    match = re.fullmatch(r"(<..> )<(....)>", line)
    if not match:
        return line
    shown = chr(int(match[2], 16))
    return f"{match[1]}<{ord(claims.get(shown, shown)):04X}>"


def test_letters_that_were_shifted_are_doubted_though_the_picture_shows_them() -> None:
    shifted = ["".join(chr(ord(c) - 29) if c.isalpha() else c for c in line) for line in ENGLISH]
    said = doubts(page_of(shifted))
    assert said.compare and "no language" in said.why


@pytest.mark.parametrize("pair", ["ae", "nt"])
def test_two_letters_that_are_exchanged_are_doubted(pair: str) -> None:
    a, b = pair
    said = doubts(mapped(ENGLISH, {a: b, b: a}))
    assert said.compare and f"{a} and {b}" in said.why


def test_small_letters_with_accents_they_should_not_have_are_doubted() -> None:
    broken = str.maketrans(string.ascii_lowercase, "".join(chr(0xE0 + i) for i in range(26)))
    said = doubts(page_of([line.translate(broken) for line in ENGLISH], "DejaVu"))
    assert said.compare and "accents" in said.why


def test_only_the_lines_in_the_doubtful_font_are_to_be_compared() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        for i in range(12):
            canvas.drawString(40, 780 - 20 * i, ENGLISH[i % 3])
        canvas.setFont("Times-Roman", 10)
        for i, line in enumerate(ENGLISH):
            canvas.drawString(40, 300 - 20 * i, "".join(chr(ord(c) - 29) if c.isalpha() else c for c in line))

    said = doubts(drawn(draw, A4))
    assert not said.unusable and said.why and not said.unread
    (area,) = said.compare
    assert 2 * (842 - 320) < area[1] < area[3] < 2 * (842 - 250)


@cache
def scan(lines: int = 12) -> Image.Image:
    """A picture of typed lines."""
    picture = Image.new("L", (1190, 1684), 245)
    pen, font = ImageDraw.Draw(picture), ImageFont.truetype(DEJAVU, 20)
    for i in range(lines):
        pen.text((120, 300 + 40 * i), ENGLISH[i % 3][:70], 30, font)
    return picture


def on_scan(draw: Callable[[Canvas], None], picture: Image.Image | None = None, box: Box = (0, 0, *A4)) -> Sheet:
    def both(canvas: Canvas) -> None:
        image = ImageReader(picture or scan())
        canvas.drawImage(image, box[0], box[1], box[2] - box[0], box[3] - box[1])
        canvas.setFont("Helvetica", 10)
        draw(canvas)

    return drawn(both, A4)


def covered(place: Box, areas: Sequence[Box]) -> bool:
    return any(share(place, area) > 0.8 for area in areas)


def test_a_stamp_on_a_scan_leaves_the_scan_unread() -> None:
    stamp = "Downloaded from a library on 3 March 2024 by user 4711; subject to its terms of use"

    def draw(canvas: Canvas) -> None:
        for i in range(4):
            canvas.drawString(20, 20 + 12 * i, stamp)

    said = doubts(on_scan(draw))
    assert not said.unusable and covered((120, 300, 800, 760), said.unread)
    assert not covered((40, 1550, 600, 1650), said.unread), "the stamp is known"


def test_a_picture_of_text_within_a_page_is_unread_and_one_without_is_not() -> None:
    def draw(canvas: Canvas) -> None:
        for i in range(6):
            canvas.drawString(40, 780 - 20 * i, ENGLISH[i % 3])

    half = scan().crop((100, 280, 1100, 800))
    assert doubts(on_scan(draw, half, (50, 100, 550, 360))).unread
    grain = np.random.default_rng(0).normal(128, 90, (200, 300)).clip(0, 255)
    noise = Image.fromarray(grain.astype(np.uint8))
    sky = Image.fromarray(np.linspace(80, 220, 60000).reshape(200, 300).astype(np.uint8))
    for picture in (noise, sky, Image.new("L", (300, 200), 128)):
        found = doubts(on_scan(draw, picture, (50, 100, 550, 360)))
        assert replace(found, perhaps=[]) == Doubts()  # grain may be looked at, where it has the shape of a line


def test_light_text_in_a_dark_picture_is_unread() -> None:
    dark = Image.eval(scan().crop((100, 280, 1100, 800)), lambda v: 255 - v)
    assert doubts(on_scan(lambda canvas: canvas.drawString(40, 780, "A caption"), dark, (50, 100, 550, 360))).unread


def test_a_layer_that_lies_over_its_scan_leaves_nothing_unread() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("DejaVu", 10)
        for i in range(12):
            canvas.drawString(60, 842 - 150 - 9.5 - 20 * i, ENGLISH[i % 3][:70])

    assert doubts(on_scan(draw)).unread == []


@pytest.mark.parametrize("how", ["invisible", "under the scan"])
def test_text_behind_a_scan_can_be_compared_and_taken(how: str) -> None:
    def draw(canvas: Canvas) -> None:
        text = canvas.beginText(60, 842 - 166)
        text.setFont("Helvetica", 10)
        text.setLeading(20)
        text.setTextRenderMode(3 if how == "invisible" else 0)
        for i in range(12):
            text.textLine(ENGLISH[i % 3][:70])
        canvas.drawText(text)
        if how != "invisible":
            canvas.drawImage(ImageReader(scan()), 0, 0, *A4)

    sheet = on_scan(draw)
    said = doubts(sheet)
    assert said.behind and "behind a scan" in said.unusable and covered((120, 300, 800, 760), said.compare)
    assert lines_of(sheet) == [] and [line.text for line in hidden_of(sheet)][:2] == [ENGLISH[0][:70], ENGLISH[1][:70]]


def test_lines_that_a_layer_behind_a_scan_lacks_are_read_from_the_picture() -> None:
    def draw(canvas: Canvas) -> None:
        text = canvas.beginText(60, 842 - 160)
        text.setFont("DejaVu", 10)
        text.setLeading(20)
        text.setTextRenderMode(3)
        for i in range(12):
            text.textLine("" if i in (4, 5) else ENGLISH[i % 3][:70])
        canvas.drawText(text)

    sheet = on_scan(draw)
    engine = TextEngine(RapidEngine())
    assert judged(layer_of(sheet), engine.scans) == ("", AGREES)
    (page,) = engine.read([sheet])
    words = " ".join(block.text for block in page.blocks).split()
    assert page.status == "ok" and words == [word for i in range(12) for word in ENGLISH[i % 3][:70].split()]


def test_pages_without_text_say_so() -> None:
    (picture,) = sheets(img2pdf.convert(encoded(scan(), "PNG", dpi=(144, 144))))
    assert doubts(picture).unusable == "no text in the text layer"
    assert doubts(Sheet(1, Image.new("RGB", (10, 10)))).unusable == "no text layer"


def unnamed(share: float) -> Sheet:
    """A page in a font of which a share of the letters has no Unicode value."""
    known = [c for i, c in enumerate(string.ascii_letters + ",.") if i >= share * 54]
    pairs = b"\n".join(b"<%02X> <%04X>" % (ord(c), ord(c)) for c in known)
    rest = b"\n".join(b"<%02X> <E0%02X>" % (ord(c), ord(c)) for c in string.ascii_letters if c not in known)
    to_unicode = stream(
        b"begincmap 1 begincodespacerange <00> <FF> endcodespacerange %d beginbfchar\n%s\n%s\nendbfchar endcmap"
        % (len(string.ascii_letters + ",."), pairs, rest)
    )
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    lines = b" ".join(b"(%s) Tj 0 -20 Td" % line.encode() for line in ENGLISH)
    content = stream(b"BT /F 10 Tf 20 780 Td %s ET" % lines)
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    (sheet,) = sheets(raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", kids, page, content, font, to_unicode))
    return sheet


def test_characters_that_nobody_can_name_are_doubted() -> None:
    assert doubts(unnamed(0)) == Doubts()
    assert "no Unicode value" in doubts(unnamed(0.5)).unusable
    assert "no Unicode value" in doubts(unnamed(0.04)).unusable


def test_type_in_a_font_that_is_missing_is_kept_and_said_to_be_blank() -> None:
    font = (
        b"<</Type/Font/Subtype/Type0/BaseFont/Ryumin-Light/Encoding/UniJIS-UTF16-H/DescendantFonts[<</Type/Font"
        b"/Subtype/CIDFontType0/BaseFont/Ryumin-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 4>>"
        b"/FontDescriptor<</Type/FontDescriptor/FontName/Ryumin-Light/Flags 4/ItalicAngle 0/Ascent 700/Descent -100"
        b"/CapHeight 700/StemV 80/FontBBox[0 -100 1000 800]>>/DW 1000>>]>>"
    )
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    content = stream(b"BT /F 12 Tf 20 50 Td <%s> Tj ET" % "日本語の文字".encode("utf-16-be").hex().encode())
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    (sheet,) = sheets(raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", kids, page, content, font))
    assert [line.text for line in lines_of(sheet)] == ["日本語の文字"]
    inked = sheet.picture is not None and np.asarray(sheet.picture).min() < 128
    assert bool(doubts(sheet).blank) is not inked, "where a font of the machine has drawn it, nothing is blank"


class _Reads:
    """Reads the same lines on any picture."""

    name = "scripted"

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def lines(self, picture: Image.Image) -> list[TextLine]:
        return [TextLine(text, (0, 20 * i, 500, 20 * i + 20), 20) for i, text in enumerate(self.texts)]


def _without_names(texts: Sequence[str]) -> Sheet:
    """A page in a font whose signs are only known by their codes, as TeX's bitmaps are."""
    sheet = page_of(texts)
    assert sheet.text is not None
    return replace(sheet, text=replace(sheet.text, mapped=np.zeros(len(sheet.text.text), bool)))


def test_signs_without_names_that_make_words_are_compared_with_the_picture() -> None:
    sheet = _without_names(ENGLISH)
    found = doubts(sheet)
    assert found.guessed and "no Unicode value" in found.unusable and found.compare
    assert judged(layer_of(sheet), _Reads(*ENGLISH))[0] == ""
    assert judged(layer_of(sheet), _Reads("something else is written on this page"))[0] == found.unusable
    assert TextEngine(_Reads(*ENGLISH)).read([sheet])[0].status == "ok"
    assert TextEngine().read([sheet])[0].status == "partial"


def test_signs_without_names_that_make_no_words_are_no_text() -> None:
    assert not doubts(_without_names(["Dlaczego sze±ciok¡ty maj¡ napr¦»enia", "w naro»ach"] * 3)).guessed


BILL = ("Received on 17 May 2023 with thanks for the sum", "of 4,906.58 for 29 chairs and 306 yards of rope", *ENGLISH)


@pytest.mark.parametrize("shown", ["0123456789", "12357", "38", "69", "08"])
def test_digits_that_the_file_names_wrongly_are_doubted_though_all_letters_are_right(shown: str) -> None:
    claims = dict(zip(shown, shown[1:] + shown[0], strict=True))
    sheet = mapped(BILL, claims)
    assert sheet.text is not None
    found = doubts(sheet)
    assert set() < {sheet.text.text[i] for i in found.digits} <= set(claims.values())
    assert not found.compare and not found.unusable
    said = [line.text for line in lines_of(sheet)]
    assert judged(layer_of(sheet), _Reads(BILL[1])) == (DIGITS, "")
    assert judged(layer_of(sheet), _Reads(said[1]))[0] == "", "the picture may agree with the layer after all"
    assert judged(layer_of(sheet), _Reads("nothing that has a number"))[0] == ""
    assert judged(layer_of(sheet), None)[0] == DIGITS
    (page,) = TextEngine().read([sheet])
    assert (page.status, page.reason) == ("partial", DIGITS)


@pytest.mark.parametrize("font", ["DejaVu", "Helvetica", "Times-Roman", "Courier-Bold", "Times-BoldItalic"])
def test_digits_of_any_typeface_light_or_dark_are_those_that_they_claim_to_be(font: str) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.rect(0, 0, A4[0], 400, fill=1)
        for size, colour, start in ((9, 0, 800), (14, 0, 700), (10, 1, 350)):
            canvas.setFillGray(colour)
            canvas.setFont(font, size)
            for i, text in enumerate(("Call 0123 456 789 at 10:21", "1111 1717 2 31", "Total 98,765.43")):
                canvas.drawString(40, start - 20 * i, text)

    assert doubts(drawn(draw, A4)).digits == []
