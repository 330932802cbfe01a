"""The lines of a text layer say what a person sees: marks within words, hyphens, accents, spaces, every script."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

import matplotlib
import numpy as np
import pikepdf
import pytest
from makers import drawn, raw_pdf, sheets, stream, text_pdf
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.inline import LOWERED, RAISED, STRUCK, linked, marked
from microfiche.documents.layout.initials import with_capitals
from microfiche.documents.text_layer.layer_lines import lines_of
from microfiche.documents.text_lines import TextLine, with_markers

WIDE = (400.0, 150.0)
pdfmetrics.registerFont(TTFont("DejaVu", matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf"))


def lines(draw: Callable[[Canvas], None], size: tuple[float, float] = WIDE) -> list[TextLine]:
    return lines_of(drawn(draw, size))


def texts(draw: Callable[[Canvas], None], size: tuple[float, float] = WIDE) -> list[str]:
    return [line.text for line in lines(draw, size)]


def parts(*pieces: tuple[str, float, float] | str, font: str = "Helvetica") -> Callable[[Canvas], None]:
    """Draws a line of pieces, each with its size and its rise in points, 12 and 0 if it is a text alone."""

    def draw(canvas: Canvas) -> None:
        x = 20.0
        for piece in pieces:
            text, size, rise = (piece, 12.0, 0.0) if isinstance(piece, str) else piece
            canvas.setFont(font, size)
            canvas.drawString(x, 60 + rise, text)
            x += canvas.stringWidth(text, font, size)

    return draw


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (("3.2 x 10", ("6", 8, 4), " cells"), f"3.2 x 10{marked('6', RAISED)} cells"),
        (("H", ("2", 8, -2), "O"), f"H{marked('2', LOWERED)}O"),
        (("as he said", ("12, 13", 7, 5), " in 1998"), f"as he said{marked('12, 13', RAISED)} in 1998"),
        (("x", ("i", 8, -2), ("2", 8, 5), " + 1"), f"x{marked('i', LOWERED)}{marked('2', RAISED)} + 1"),
        ((("1", 6, 4), ("A note below the page", 9, 0)), f"{marked('1', RAISED)}A note below the page"),
        (("the brand", ("TM", 12, 4), " is ours"), f"the brand{marked('TM', RAISED)} is ours"),
    ],
)
def test_what_is_raised_or_lowered_is_marked(pieces: Sequence[tuple[str, float, float] | str], said: str) -> None:
    assert texts(parts(*pieces)) == [said]


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (("N", ("EXT DAY", 9, 0)), "NEXT DAY"),  # small capitals
        (("25 ", ("*", 8, 4), "C"), "25 *C"),  # a sign that stands high by nature
        (("Large", (" and small", 8, 0)), "Large and small"),
    ],
)
def test_small_capitals_and_signs_that_stand_high_are_not_marked(
    pieces: Sequence[tuple[str, float, float] | str], said: str
) -> None:
    assert texts(parts(*pieces)) == [said]


def test_lines_below_one_another_are_not_raised() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 16)
        canvas.drawString(20, 100, "A heading")
        canvas.setFont("Helvetica", 9)
        canvas.drawString(20, 88, "and small type close below it")
        canvas.drawString(20, 79, "on two lines")

    assert texts(draw) == ["A heading", "and small type close below it", "on two lines"]


def struck_by_a_line(canvas: Canvas, left: float, right: float, y: float) -> None:
    canvas.line(left, y, right, y)


def struck_by_a_bar(canvas: Canvas, left: float, right: float, y: float) -> None:
    canvas.rect(left, y - 0.4, right - left, 0.8, stroke=0, fill=1)


@pytest.mark.parametrize("strike", [struck_by_a_line, struck_by_a_bar])
def test_words_with_a_rule_through_them_are_struck_out(strike: Callable[[Canvas, float, float, float], None]) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        canvas.drawString(20, 60, "The fee is 40 euros 55 euros a month")
        left = 20 + canvas.stringWidth("The fee is ", "Helvetica", 12)
        strike(canvas, left, left + canvas.stringWidth("40 euros", "Helvetica", 12), 63.5)

    assert texts(draw) == [f"The fee is {marked('40 euros', STRUCK)} 55 euros a month"]


def test_underlined_words_and_the_rules_of_a_table_strike_nothing_out() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        canvas.drawString(20, 100, "An underlined word")
        canvas.line(20, 98.5, 60, 98.5)
        canvas.grid([20, 120, 220], [20, 40, 60])
        for x in (25, 125):
            for y in (26, 46):
                canvas.drawString(x, y, "cell")

    assert texts(draw) == ["An underlined word", *["cell"] * 4]


def with_annotations(*annotations: pikepdf.Dictionary, text: str = "See the manual\nfor details of it") -> list[str]:
    file = io.BytesIO()
    with pikepdf.open(io.BytesIO(text_pdf([text]))) as pdf:
        pdf.pages[0].Annots = pikepdf.Array([pdf.make_indirect(annotation) for annotation in annotations])
        pdf.save(file)
    (sheet,) = sheets(file.getvalue())
    return [line.text for line in lines_of(sheet)]


def link(box: Sequence[float], address: str, **more: object) -> pikepdf.Dictionary:
    action = pikepdf.Dictionary(S=pikepdf.Name.URI, URI=pikepdf.String(address))
    return pikepdf.Dictionary(
        Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, Rect=list(box), Border=[0, 0, 0], A=action, **more
    )


MANUAL = "https://example.org/manual"


def test_the_words_under_a_link_lead_to_its_address() -> None:
    # "See " is 26 points wide in Helvetica 12, "the manual" 59.
    found = with_annotations(link((45, 66, 106, 82), MANUAL))
    assert found == [f"See {linked('the manual', MANUAL)}", "for details of it"]


def test_a_link_over_two_lines_marks_both() -> None:
    quads = [45, 82, 106, 82, 45, 66, 106, 66, 20, 66, 77, 66, 20, 51, 77, 51]
    both = link((20, 51, 106, 82), MANUAL, QuadPoints=quads)
    assert with_annotations(both) == [f"See {linked('the manual', MANUAL)}", f"{linked('for details', MANUAL)} of it"]


def test_an_address_that_is_its_own_link_stays_as_it_is() -> None:
    address = link((15, 60, 190, 90), "https://example.org/manual")
    assert with_annotations(address, text="https://example.org/manual") == ["https://example.org/manual"]


def test_links_within_the_document_mark_nothing() -> None:
    inner = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, Rect=[45, 66, 106, 82], Dest="there")
    assert with_annotations(inner)[0] == "See the manual"


def test_text_that_a_reader_has_struck_out_is_marked() -> None:
    strike = pikepdf.Dictionary(
        Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.StrikeOut, Rect=[45, 66, 106, 82],
        QuadPoints=[45, 82, 106, 82, 45, 66, 106, 66],
    )  # fmt: skip
    assert with_annotations(strike)[0] == f"See {marked('the manual', STRUCK)}"


def test_a_hyphen_stays_within_a_line_and_is_soft_at_its_end() -> None:
    text = "This well-known, self-\nadjusting e-mail of 1999-2004 was re-\nwritten, and - of course -"
    (sheet,) = sheets(text_pdf([text], size=(300, 100)))
    assert [line.text for line in lines_of(sheet)] == [
        "This well-known, self\u00ad",
        "adjusting e-mail of 1999-2004 was re\u00ad",
        "written, and - of course -",
    ]


def test_noncharacters_of_a_file_are_no_marks() -> None:
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>"
    to_unicode = stream(
        b"begincmap 1 begincodespacerange <00> <FF> endcodespacerange "
        b"2 beginbfchar <41> <FDD0> <42> <0042> endbfchar endcmap"
    )
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    content = stream(b"BT /F 20 Tf 20 20 Td (BAB) Tj ET")
    (sheet,) = sheets(raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", kids, page, content, font, to_unicode))
    assert [line.text for line in lines_of(sheet)] == ["B B"]


def placed(*signs: tuple[str, float]) -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("DejaVu", 12)
        for sign, x in signs:
            canvas.drawString(x, 60, sign)

    return draw


def test_an_accent_drawn_over_a_letter_belongs_to_it() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("DejaVu", 12)
        width = canvas.stringWidth
        canvas.drawString(20, 60, "f")
        at = 20 + width("f", "DejaVu", 12)
        canvas.drawString(at + (width("u", "DejaVu", 12) - width("¨", "DejaVu", 12)) / 2, 60, "¨")
        canvas.drawString(at, 60, "ur alle")

    assert texts(draw) == ["für alle"]


VIETNAMESE = ("Tiếng Việt được viết bằng chữ", "Những người nghèo ở Huế", "Đường phố rất đông vào buổi tối")


@pytest.mark.parametrize("text", VIETNAMESE)
@pytest.mark.parametrize("marks", ["decomposed", "after", "before", "second"])
def test_stacked_accents_are_on_their_letters(text: str, marks: str) -> None:
    def wide(sign: str) -> float:
        return float(pdfmetrics.stringWidth(sign, "DejaVu", 12))

    def draw(canvas: Canvas) -> None:
        canvas.setFont("DejaVu", 12)
        if marks == "decomposed":
            canvas.drawString(20, 60, unicodedata.normalize("NFD", text))
            return
        x = 20.0
        for sign in text:
            letter, *accents = unicodedata.normalize("NFD", sign)
            if marks == "second" and accents:  # the first one is a part of its letter
                letter = unicodedata.normalize("NFC", letter + accents.pop(0))
            parts = [(letter, x, 60.0)]
            for k, accent in enumerate(accents, marks == "second"):
                left = x + wide(letter) - (0 if wide(accent) == 0 else (wide(letter) + wide(accent)) / 2)
                parts.append((accent, left, 60.0 if unicodedata.combining(accent) == 220 else 60 + 2.0 * k))
            for part, left, foot in [*parts[1:], parts[0]] if marks == "before" else parts:
                canvas.drawString(left, foot, part)
            x += wide(letter)

    assert texts(draw) == [text]


def test_accents_that_stand_alone_stay() -> None:
    assert texts(parts("see `code` and ~/home", font="DejaVu")) == ["see `code` and ~/home"]


def test_a_shadow_or_type_drawn_twice_is_read_once() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        for shift in (0, 0.4):
            canvas.drawString(20 + shift, 60, "Shadowed still well")
        canvas.drawString(20, 30, "Shadowed still well")

    assert texts(draw) == ["Shadowed still well"] * 2


def test_letters_set_apart_are_words() -> None:
    def draw(canvas: Canvas) -> None:
        text = canvas.beginText(20, 60)
        text.setFont("Helvetica", 12)
        text.setCharSpace(3)
        text.textLine("TITLE OF BOOK")
        text.setCharSpace(0)
        canvas.drawText(text)
        canvas.drawString(20, 30, "T I T L E   P A G E")

    assert texts(draw) == ["TITLE OF BOOK", "TITLE PAGE"]


def test_words_that_only_a_gap_divides_are_divided() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        x = 20.0
        for word in ("three", "words", "here"):
            canvas.drawString(x, 60, word)
            x += canvas.stringWidth(word, "Helvetica", 12) + 2.5

    assert texts(draw) == ["three words here"]


def test_kerned_letters_are_one_word() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        canvas.drawString(20, 60, "A")
        canvas.drawString(20 + canvas.stringWidth("A", "Helvetica", 12) - 1, 60, "V")
        canvas.drawString(20 + canvas.stringWidth("AV", "Helvetica", 12) - 0.5, 60, "ENUE")

    assert texts(draw) == ["AVENUE"]


def test_words_drawn_out_of_turn_stand_where_they_are_seen() -> None:
    def draw(canvas: Canvas) -> None:
        width = canvas.stringWidth
        canvas.setFont("Helvetica", 12)
        canvas.drawString(20, 60, "some words in")
        after = 20 + width("some words in ", "Helvetica", 12) + width("bold ", "Helvetica-Bold", 12)
        canvas.drawString(after, 60, "type stand here")
        canvas.drawString(20, 40, "and the next line")
        canvas.setFont("Helvetica-Bold", 12)
        canvas.drawString(20 + width("some words in ", "Helvetica", 12), 60, "bold")

    assert texts(draw) == ["some words in bold type stand here", "and the next line"]


def test_an_upright_rule_divides_cells_however_close() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        canvas.line(46, 20, 46, 80)
        canvas.drawString(20, 60, "left")
        canvas.drawString(48, 60, "right")

    assert texts(draw) == ["left", "right"]


def test_type_of_one_width_is_fixed_and_keeps_its_spaces() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Courier", 10)
        canvas.drawString(20, 60, "x  = 1   # one")
        canvas.setFont("Helvetica", 10)
        canvas.drawString(20, 30, "not fixed, will it")

    code, prose = lines(draw)
    assert code.text == "x  = 1   # one" and code.fixed and prose.text == "not fixed, will it" and not prose.fixed


@pytest.mark.parametrize("deep", [2, 3])
@pytest.mark.parametrize("cap", ["O", "“O"])
def test_a_large_first_letter_belongs_to_its_first_line(deep: int, cap: str) -> None:
    rest = ["nce upon a time there was a", "miller who had three sons,", "and when he died he left it", "to them all."]

    def draw(canvas: Canvas) -> None:
        size = 14 * deep * 1.3
        canvas.setFont("DejaVu", size)
        canvas.drawString(20, 108 - 14 * deep, cap)
        left = 20 + canvas.stringWidth(cap, "DejaVu", size) + 3
        canvas.setFont("DejaVu", 11)
        for i, line in enumerate(rest):
            canvas.drawString(left if i < deep else 20, 94 - 14 * i, line)

    found = with_capitals(lines(draw))
    assert [line.text for line in found] == [cap + rest[0], *rest[1:]]
    assert all(line.size == pytest.approx(22, rel=0.02) for line in found)
    assert {round(line.box[0], -1) for line in found} == {40}


HEBREW = {
    "הדוח לשנת 2024 כולל 15 עמודים": "םידומע 15 ללוכ 2024 תנשל חודה",
    "המחיר הוא 120.50 שקלים": "םילקש 120.50 אוה ריחמה",
    "גרסה Windows 11 חדשה": "השדח Windows 11 הסרג",
    "שלום (עולם) ועוד": "דועו (םלוע) םולש",
    "הטלפון הוא 03-555 1234 כאן": "ןאכ 1234 03-555 אוה ןופלטה",
    "הטלפון 03-555 1234": "03-555 1234 ןופלטה",  # set as one number from the left
    "כרטיס 4580 1111 2222 3333 פג": "גפ 4580 1111 2222 3333 סיטרכ",
    "בשנים 1998 2004 נבנו": "ונבנ 2004 1998 םינשב",
    "עלה ב-12% עד 1,204.5": "1,204.5 דע 12%-ב הלע",
    "מחיר 50 USD בלבד": "דבלב 50 USD ריחמ",
}
ARABIC = {
    "سنة 1998 في القاهرة": "ةرهاقلا يف 1998 ةنس",
    "رقم 02-555 1234 هنا": "انه 1234 555-02 مقر",
    "رقم 02-555 1234 فقط": "طقف 02-555 1234 مقر",  # set as one number from the left
    "بلغت 45% من (1,204)": "(1,204) نم %45 تغلب",
    "من 12/05/2021 في 10:30": "10:30 يف 12/05/2021 نم",
    "طبعة 2020-2021 عن Oxford دار": "راد Oxford نع 2021-2020 ةعبط",
    "سعر ٧٫٥ أو ٪٢٠": "٢٠٪ وأ ٧٫٥ رعس",
}


@pytest.mark.parametrize(("logical", "visual"), HEBREW.items())
def test_lines_from_the_right_are_in_the_order_of_reading(logical: str, visual: str) -> None:
    assert texts(parts(visual, font="DejaVu")) == [logical]


@pytest.mark.parametrize(("logical", "visual"), (HEBREW | ARABIC).items())
@pytest.mark.parametrize("order", ["from the left", "from the right", "mixed"])
def test_signs_that_are_drawn_one_by_one_are_read_as_a_line(logical: str, visual: str, order: str) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("DejaVu", 12)
        at = [20 + pdfmetrics.stringWidth(visual[:k], "DejaVu", 12) for k in range(len(visual))]
        places = [(x, sign) for x, sign in zip(at, visual, strict=True) if sign != " "]
        if order != "from the left":
            places = places[::-1] if order == "from the right" else places[::2] + places[1::2]
        for x, sign in places:
            canvas.drawString(x, 100, sign)

    assert texts(draw) == [logical]


def test_brackets_that_were_not_mirrored_embrace_their_words_all_the_same() -> None:
    assert texts(parts("(םלוע( םולש".replace("((", "("), font="DejaVu"))[0].startswith("שלום")
    assert texts(parts(")םלוע( םולש", font="DejaVu")) == ["שלום (עולם)"]


def test_words_from_the_right_within_a_latin_line_keep_its_direction() -> None:
    assert texts(parts("The word םולש means peace", font="DejaVu")) == ["The word שלום means peace"]
    assert texts(parts("The word םולש (peace) is old", font="DejaVu")) == ["The word שלום (peace) is old"]


@pytest.mark.parametrize(("logical", "visual"), ARABIC.items())
def test_numbers_in_arabic_lines_are_in_the_order_of_reading(logical: str, visual: str) -> None:
    assert texts(parts(visual, font="DejaVu")) == [logical]


def test_arabic_forms_are_letters() -> None:
    visual = "\ufee1\ufefc\ufeb4\ufedf\ufe8d 123"  # from the left: mim, lam-alef, sin, lam, alef
    (line,) = texts(parts(visual, font="DejaVu"))
    assert line == "123 السلام"


@pytest.mark.parametrize(
    ("font", "said"), [("Wingdings", "✓ ok"), ("ABCDEF+Wingdings-Regular", "✓ ok"), ("Times", "ü ok")]
)
def test_a_sign_in_a_symbol_font_is_what_it_shows(font: str, said: str) -> None:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R/H 6 0 R>>>>>>"
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    symbols = b"<</Type/Font/Subtype/TrueType/BaseFont/%s/Encoding/WinAnsiEncoding>>" % font.encode()
    plain = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    content = stream(b"BT /F 12 Tf 20 20 Td <FC> Tj /H 12 Tf ( ok) Tj ET")
    (sheet,) = sheets(raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", kids, page, content, symbols, plain))
    assert [line.text for line in lines_of(sheet)] == [said]


def test_a_dash_that_begins_a_line_is_a_mark_and_one_in_a_row_of_cells_is_none() -> None:
    def piece(text: str, left: float, right: float) -> TextLine:
        return TextLine(text, (left, 100, right, 120), 18)

    cells = [piece("Town Hall", 20, 110), piece("6.27", 140, 180), piece("–", 230, 240), piece("18.57", 290, 340)]
    assert [line.text for line in with_markers(cells)] == ["Town Hall", "6.27", "18.57", "–"]
    assert [line.text for line in with_markers([piece("–", 20, 30), piece("an item", 50, 130)])] == ["– an item"]


def _rows_of_two(rows: Sequence[tuple[str, str]], end: float = 80.0, start: float = 92.0) -> Callable[[Canvas], None]:
    """Draws rows of which the first part ends and the second begins at one place, in Helvetica 11."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for i, (first, second) in enumerate(rows):
            canvas.drawRightString(end, 120 - 14 * i, first)
            canvas.drawString(start, 120 - 14 * i, second)

    return draw


def test_columns_that_stand_close_together_are_divided_where_text_begins_at_one_place() -> None:
    rows = [("988", "good"), ("402", "spring"), ("1", "autumn"), ("77", "none")]
    assert sorted(texts(_rows_of_two(rows))) == sorted(word for row in rows for word in row)


@pytest.mark.parametrize("rows", [
    [("1.1", "Aims of the work"), ("1.2", "What was done"), ("1.3", "What came of it"), ("1.4", "Thanks")],
    [("(a)", "the first of them"), ("(b)", "the second"), ("(c)", "the third")],
])  # fmt: skip
def test_the_numbers_of_headings_stay_with_them(rows: list[tuple[str, str]]) -> None:
    assert texts(_rows_of_two(rows)) == [f"{number} {text}" for number, text in rows]


@pytest.mark.parametrize("size", [8, 10, 17])
def test_low_lines_that_are_drawn_are_signs(size: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", size)
        x = 20.0
        for word, count in (("EXEC", 1), ("PATH and a", 2), ("b is", 0)):
            canvas.drawString(x, 60, word)
            x += canvas.stringWidth(word) + 0.06 * size
            for _ in range(count):
                canvas.rect(x, 60, 0.3 * size, 0.04 * size, stroke=0, fill=1)
                x += 0.36 * size
        canvas.rect(x + 0.5 * size, 60, 3 * size, 0.4, stroke=0, fill=1)  # to write on
        canvas.drawString(x + 4 * size, 60, "end")

    assert " ".join(texts(draw)) == "EXEC_PATH and a__b is ____ end"


def test_a_variant_of_a_sign_is_the_sign() -> None:
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=WIDE)
    canvas.setFont("DejaVu", 12)
    canvas.drawString(20, 60, "the sum \u2211 of all")
    canvas.save()
    with pikepdf.open(file) as pdf:
        for obj in pdf.objects:
            if isinstance(obj, pikepdf.Dictionary) and "/ToUnicode" in obj:
                obj.ToUnicode.write(obj.ToUnicode.read_bytes().replace(b"<2211>", b"<2211FE01>"))
        pdf.save(changed := io.BytesIO())
    (sheet,) = sheets(changed.getvalue())
    assert [line.text for line in lines_of(sheet)] == ["the sum \u2211 of all"]


@pytest.mark.parametrize(("sign", "said"), [
    ("\uf731", "1"), ("\uf739", "9"), ("\uf761", "a"), ("\uf7e9", "é"), ("\uf6e9", "a"), ("\ue049", "\ufffd"),
])  # fmt: skip
def test_signs_for_private_use_that_adobe_names_are_what_they_are(sign: str, said: str) -> None:
    sheet = drawn(parts("x"), WIDE)
    assert sheet.text is not None
    layer = replace(sheet.text, text=sign)
    assert [line.text for line in lines_of(replace(sheet, text=layer))] == [said]


def test_a_sign_that_the_file_does_not_name_among_signs_that_it_names_is_unknown() -> None:
    sheet = drawn(parts("the Xeld"), WIDE)
    assert sheet.text is not None
    mapped = np.array([c != "X" for c in sheet.text.text])
    layer = replace(sheet.text, mapped=mapped)
    assert [line.text for line in lines_of(replace(sheet, text=layer))] == ["the \ufffdeld"]


def test_a_ligature_that_the_file_spells_out_parts_no_word() -> None:
    """PDFium gives the letters of such a one the ink of it in parts, and no width of their own."""
    spelled = b"""/CIDInit /ProcSet findresource begin begincmap
1 begincodespacerange <00> <FF> endcodespacerange
1 beginbfchar <57> <0066006C> endbfchar endcmap end"""
    with pikepdf.open(io.BytesIO(text_pdf(["How an order Wows, as it Wew"]))) as pdf:
        for font in pdf.pages[0].Resources.Font.values():
            font.ToUnicode = pdf.make_stream(spelled)
        file = io.BytesIO()
        pdf.save(file)
    (sheet,) = sheets(file.getvalue())
    assert [line.text for line in lines_of(sheet)] == ["How an order flows, as it flew"]
