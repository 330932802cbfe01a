"""What a form says stands beside its labels, whether or not the page shows it, and no script of it runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest
from makers import raw_pdf, sheets, stream
from reportlab.lib.colors import Color
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.inline import BREAK
from microfiche.documents.text_layer.layer_lines import hidden_of, lines_of


def form(draw: Callable[[Canvas, Any], None], change: Callable[[pikepdf.Pdf], None] = lambda pdf: None) -> list[str]:
    """The lines of a page with fields, from the top and the left."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(400, 200))
    canvas.setFont("Helvetica", 12)
    draw(canvas, canvas.acroForm)
    canvas.save()
    out = io.BytesIO()
    with pikepdf.open(file) as pdf:
        change(pdf)
        pdf.save(out)
    (sheet,) = sheets(out.getvalue())
    assert not hidden_of(sheet)
    return [line.text for line in sorted(lines_of(sheet), key=lambda x: (round(x.middle / 8), x.box[0]))]


def without_appearances(pdf: pikepdf.Pdf) -> None:
    for field in pdf.pages[0].Annots:
        if "/AP" in field and field.get("/FT") != "/Btn":
            del field["/AP"]
    pdf.Root.AcroForm.NeedAppearances = True


@pytest.mark.parametrize("change", [lambda pdf: None, without_appearances], ids=["shown", "not shown"])
def test_values_stand_beside_their_labels(change: Callable[[pikepdf.Pdf], None]) -> None:
    def draw(canvas: Canvas, fields: Any) -> None:
        canvas.drawString(20, 170, "Name:")
        fields.textfield(name="name", value="Ada Lovelace", x=70, y=162, width=150, height=20)
        canvas.drawString(20, 130, "Colour:")
        fields.choice(name="colour", value="red", options=["red", "green"], x=80, y=122, width=80, height=20)
        canvas.drawString(20, 100, "Notes:")
        lines = "the first line\nand the second"
        fields.textfield(name="notes", value=lines, x=70, y=60, width=200, height=50, fieldFlags="multiline")

    assert form(draw, change) == ["Name: Ada Lovelace", "Colour: red", f"Notes: the first line{BREAK}and the second"]


def _with_choice(pdf: pikepdf.Pdf) -> None:
    without_appearances(pdf)
    (field,) = pdf.pages[0].Annots
    field.Opt = pikepdf.Array([pikepdf.Array([pikepdf.String(a), pikepdf.String(b)])
                               for a, b in (("GE", "Gelderland"), ("UT", "Utrecht"))])
    field.V = pikepdf.String("UT")


def test_a_choice_says_what_it_shows_and_not_its_code() -> None:
    def draw(canvas: Canvas, fields: Any) -> None:
        canvas.drawString(20, 130, "Province:")
        fields.choice(name="p", value="UT", options=["UT", "GE"], x=80, y=122, width=80, height=20)

    assert form(draw, _with_choice) == ["Province: Utrecht"]


@pytest.mark.parametrize("change", [lambda pdf: None, without_appearances], ids=["drawn", "not drawn"])
@pytest.mark.parametrize("shade", [1.0, 0.0])
def test_white_type_in_a_field_is_not_read(change: Callable[[pikepdf.Pdf], None], shade: float) -> None:
    def draw(canvas: Canvas, fields: Any) -> None:
        canvas.drawString(20, 130, "Name:")
        fields.textfield(
            name="n", value="SEND MONEY", x=80, y=122, width=180, height=20, borderWidth=0,
            textColor=Color(shade, shade, shade), fillColor=Color(1, 1, 1),
        )

    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(400, 200))
    draw(canvas, canvas.acroForm)
    canvas.save()
    out = io.BytesIO()
    with pikepdf.open(file) as pdf:
        change(pdf)
        pdf.save(out)
    (sheet,) = sheets(out.getvalue())
    assert ["MONEY" in line.text for line in lines_of(sheet)] == ([False] if shade else [True])


def test_boxes_to_tick_say_whether_they_are_ticked_before_their_labels() -> None:
    def draw(canvas: Canvas, fields: Any) -> None:
        for i, style in enumerate(("check", "cross", "circle")):
            fields.checkbox(name=f"a{i}", checked=True, x=20, y=150 - 25 * i, size=14, buttonStyle=style)
            canvas.drawString(40, 153 - 25 * i, f"I agree to {style}")
            fields.checkbox(name=f"b{i}", checked=False, x=200, y=150 - 25 * i, size=14, buttonStyle=style)
            canvas.drawString(220, 153 - 25 * i, "I do not")
        for i, value in enumerate(("one", "two")):
            fields.radio(name="r", value=value, selected=value == "two", x=20 + 100 * i, y=60, size=14)
            canvas.drawString(40 + 100 * i, 63, value)
        canvas.drawString(20, 33, "Alone:")
        fields.checkbox(name="c", checked=True, x=60, y=30, size=14)

    assert form(draw) == [
        *(part for style in ("check", "cross", "circle") for part in (f"[x] I agree to {style}", "[ ] I do not")),
        "[ ] one", "[x] two", "Alone: [x]",
    ]  # fmt: skip


def test_a_password_is_not_told_where_the_page_does_not_show_it() -> None:
    def draw(canvas: Canvas, fields: Any) -> None:
        canvas.drawString(20, 170, "Password:")
        fields.textfield(name="p", value="sesame", x=90, y=162, width=150, height=20, fieldFlags="password")

    assert form(draw, without_appearances) == ["Password:"]


def test_typed_text_laid_over_a_page_is_text_of_it() -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        look = pdf.make_stream(b"BT /F 12 Tf 5 5 Td (typed over it) Tj ET")
        look.Type, look.Subtype, look.BBox = pikepdf.Name.XObject, pikepdf.Name.Form, [0, 0, 150, 20]
        look.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F=font))
        note = pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.FreeText, Rect=[20, 60, 170, 80], Contents="typed over it",
            DA="/F 12 Tf", F=4, AP=pikepdf.Dictionary(N=look),
        )  # fmt: skip
        pdf.pages[0].Annots = pikepdf.Array([pdf.make_indirect(note)])

    assert form(lambda canvas, fields: canvas.drawString(20, 170, "A page"), change) == ["A page", "typed over it"]


@pytest.mark.parametrize(
    ("look", "flags", "read"),
    [("/Helv 12 Tf 0 g", 4, True), ("1 0 0 rg /Helv 12 Tf", 4, True), ("/Helv 12 Tf 1 g", 4, False),
     ("/Helv 12 Tf", 4 | 2, False)],
    ids=["black", "red", "white on white", "hidden"],
)  # fmt: skip
def test_a_typed_note_is_read_though_the_file_does_not_draw_it(look: str, flags: int, read: bool) -> None:
    """As pypdf and pdfcomment write them; viewers draw such a note themselves."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].Annots = pikepdf.Array([pdf.make_indirect(pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.FreeText, Rect=[20, 60, 300, 90], DA=look, F=flags,
            Contents="Zażółć, in red\nand twice",
        ))])  # fmt: skip

    def draw(canvas: Canvas, fields: Any) -> None:
        canvas.drawString(20, 170, "A page")
        canvas.drawString(20, 70, "with a line below the note")

    note = [f"Zażółć, in red{BREAK}and twice"] if read else []
    assert sorted(form(draw, change)) == sorted(["A page", "with a line below the note", *note])


def test_a_form_that_is_damaged_costs_nothing_but_itself() -> None:
    catalog = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[1 /X <</Kids 3>>]>>>>"
    widget = b"<</Type/Annot/Subtype/Widget/Rect[1 2]/FT/Tx/V 7>>"
    annotations = b"[5 <<>> %s <</Subtype/Link/A 4>> <</Subtype/StrikeOut/QuadPoints[1 2 3]>>]" % widget
    font = b"<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources%s/Annots%s>>"
    content = stream(b"BT /F 12 Tf 20 20 Td (A page) Tj ET")
    (sheet,) = sheets(raw_pdf(catalog, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page % (font, annotations), content))
    assert [line.text for line in lines_of(sheet)] == ["A page"]
