"""A ligature that only its font names, by the names of its parts, is read as its letters."""

from __future__ import annotations

import io

import pikepdf
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.ttLib import TTFont
from makers import sheets

from microfiche.documents.pdf.ligatures import said_by


@pytest.mark.parametrize(("name", "said"), [
    ("f_i", "fi"), ("f_f_i", "ffi"), ("T_h", "Th"), ("f_i.alt", "fi"), ("c_t", "ct"), ("uni0066_uni0069", "fi"),
    ("one_two.oldstyle", "12"), ("f", ""), ("one.oldstyle", ""), ("left_arrow", ""), ("_i", ""), (".notdef", ""),
])  # fmt: skip
def test_a_name_of_several_parts_says_its_letters(name: str, said: str) -> None:
    assert said_by(name) == said


def page_in(glyphs: dict[str, tuple[int, int]], names: list[str]) -> bytes:
    """A page that shows glyphs by their `names`, each a box so wide and so high, in a font without /ToUnicode."""
    shapes = {".notdef": T2CharStringPen(500, None).getCharString()}
    for name, (width, height) in glyphs.items():
        pen = T2CharStringPen(width + 50, None)
        for k, (x, y) in enumerate([(20, 0), (20 + width, 0), (20 + width, height), (20, height)]):
            (pen.lineTo if k else pen.moveTo)((x, y))
        pen.closePath()
        shapes[name] = pen.getCharString()
    font = FontBuilder(1000, isTTF=False)
    font.setupGlyphOrder(list(shapes))
    font.setupCharacterMap({})
    font.setupCFF("Test", {}, shapes, {})
    font.setupHorizontalMetrics({name: (glyphs.get(name, (450, 0))[0] + 50, 0) for name in shapes})
    font.setupHorizontalHeader()
    font.setupPost()
    file = io.BytesIO()
    font.save(file)
    pdf = pikepdf.new()
    program = pdf.make_stream(TTFont(io.BytesIO(file.getvalue())).getTableData("CFF "), Subtype=pikepdf.Name.Type1C)
    descriptor = pikepdf.Dictionary(
        Type=pikepdf.Name.FontDescriptor, FontName=pikepdf.Name("/AAAAAA+Test"), Flags=4, FontBBox=[0, -200, 1000, 900],
        ItalicAngle=0, Ascent=800, Descent=-200, CapHeight=700, StemV=80, FontFile3=program,
    )
    order = list(glyphs)
    differences = pikepdf.Array([65, *(pikepdf.Name(f"/{name}") for name in order)])
    resource = pikepdf.Dictionary(
        Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name("/AAAAAA+Test"), FirstChar=65,
        LastChar=64 + len(order), Widths=[glyphs[name][0] + 50 for name in order], FontDescriptor=descriptor,
        Encoding=pikepdf.Dictionary(Type=pikepdf.Name.Encoding, Differences=differences),
    )
    page = pdf.add_blank_page(page_size=(300, 100))
    page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F=resource))
    codes = bytes(65 + order.index(name) for name in names).hex()
    page.Contents = pdf.make_stream(f"BT /F 12 Tf 20 50 Td <{codes}> Tj ET".encode())
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def test_its_shape_tells_which_of_the_named_glyphs_a_sign_is() -> None:
    glyphs = {"o": (400, 450), "f_f": (500, 700), "f_i": (460, 700), "c": (380, 450), "e": (390, 450)}
    (sheet,) = sheets(page_in(glyphs, ["o", "f_f", "f_i", "c", "e"]))
    assert sheet.text is not None
    assert sheet.text.text == "offfice" and sheet.text.mapped.all()


def test_two_ligatures_of_one_shape_are_not_told_apart() -> None:
    (sheet,) = sheets(page_in({"o": (400, 450), "f_f": (500, 700), "f_i": (500, 700)}, ["o", "f_i", "o"]))
    assert sheet.text is not None
    assert len(sheet.text.text) == 3 and not sheet.text.mapped[1]
