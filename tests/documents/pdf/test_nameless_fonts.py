"""Fonts without names, as TeX's bitmaps are: their codes are read by the encodings of TeX."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from makers import raw_pdf, sheets, stream

from microfiche.documents.pdf.nameless_fonts import decode_text
from microfiche.documents.sheet import Font
from microfiche.documents.text_layer.layer_lines import lines_of

NAMELESS, NAMED = Font("", 400, 0), Font("CMR10", 400, 0)


def said(*texts: bytes, fonts: tuple[Font, ...] = ()) -> list[str]:
    """What codes say, those of each text in a font of their own."""
    codes = np.concatenate([np.frombuffer(text, np.uint8) for text in texts]).astype(np.int64)
    font = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    decode_text(codes, codes != 0x20, font, list(fonts) or [NAMELESS] * len(texts))
    whole = "".join(map(chr, codes.tolist()))
    ends = np.cumsum([0, *map(len, texts)]).tolist()
    return [whole[a:b] for a, b in pairwise(ends)]


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        (b"the \x0duffy o\x0eces of the \x0cfth \x0dag", "the ﬂuffy oﬃces of the ﬁfth ﬂag"),  # OT1
        (b"\\o\x0bered\" on pages 3{5 | na\x10ve", "“oﬀered” on pages 3–5 — naıve"),
        (b"the \x1dag of the o\x1ece, \x1crst \x15 \x10ever\x11", "the ﬂag of the oﬃce, ﬁrst – “ever”"),  # T1
        (b"sze\xb1ciok\xa1ty maj\xa1 napr\xa6\xbbenia", "sześciokąty mają naprężenia"),
        (b"\x13napr\xa6\xbbenia\x14 Pocz\xa1tek", "«naprężenia» Początek"),
        (b"Stra\xffe, \xfcber die Gr\xf6\xffe \x12hier\x10", "Straße, über die Größe „hier“"),
        (b"no ligature at all {here}", "no ligature at all {here}"),
    ],
)
def test_codes_without_names_follow_one_of_the_encodings_of_tex(codes: bytes, text: str) -> None:
    assert said(codes) == [text]


def test_the_fonts_of_one_page_are_told_apart() -> None:
    text = b"the \x0crst office"
    assert said(text, b"\x0b x \x0c") == ["the ﬁrst office", "\x0b x \x0c"], "one without words may be of mathematics"
    assert said(text, b"int {main} \"a\"") == ["the ﬁrst office", 'int {main} "a"'], "one for code has no ligatures"
    assert said(text, fonts=(NAMED,)) == [text.decode()]
    assert said(b"d\xe9j\xe0 la langue", b"the \x1crst flag") == ["déjà la langue", "the ﬁrst flag"]


def test_no_letter_of_a_bitmap_font_is_lost() -> None:
    """0x0D, which is "fl" there, ends a line elsewhere."""
    text = b"where the \x0dag of the \x0deet was"
    glyph = stream(b"500 0 0 0 500 700 d1 0 0 400 600 re f")
    names = sorted(set(text) - {0x20})
    procs = b" ".join(b"/g%d 6 0 R" % code for code in names)
    coded = b" ".join(b"%d/g%d" % (code, code) for code in names)
    font = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 500 700]/FontMatrix[.001 0 0 .001 0 0]/CharProcs<<%s>>"
        b"/Encoding<</Differences[%s]>>/FirstChar 0/LastChar 127/Widths[%s]>>" % (procs, coded, b"500 " * 128)
    )
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    content = stream(b"BT /F 12 Tf 20 50 Td <%s> Tj ET" % text.hex().encode())
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    (sheet,) = sheets(raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", kids, page, content, font, glyph))
    assert [line.text for line in lines_of(sheet)] == ["where the flag of the fleet was"]
