"""The kind of a file is that of its content; what is not read is named, with what to do instead."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Sequence
from email.message import EmailMessage

import numpy as np
import pytest
from makers import encoded, text_pdf
from PIL import Image, features

from microfiche.documents.kinds import HEAD, TAIL, kind_of
from microfiche.documents.opening import open_document
from microfiche.errors import InputError

PICTURE = Image.merge("RGB", [Image.linear_gradient("L").rotate(turn).resize((64, 64)) for turn in (0, 90, 180)])


def archive(names: Sequence[str], mimetype: str = "") -> bytes:
    """A ZIP archive with these entries, large ones in front, after an entry that says what all of it is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        if mimetype:
            file.writestr("mimetype", mimetype)
        file.writestr("[Content_Types].xml", "x" * 5000)
        for name in names:
            file.writestr(name, "x")
    return out.getvalue()


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        file.addfile(tarfile.TarInfo("scan.pdf"))
    return out.getvalue()


def mail() -> bytes:
    message = EmailMessage()
    message["Received"] = "from there"
    message.set_content("hello")
    return message.as_bytes()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (archive(["META-INF/container.xml"], "application/epub+zip"), "damaged: it cannot be opened"),
        (archive(["xl/workbook.bin"]), "a binary Excel workbook; save it as .xlsx"),
        (archive(["content.xml"], "application/vnd.oasis.opendocument.text"), "an OpenDocument file; save it as PDF"),
        (archive(["scan.pdf"]), "a ZIP archive; unpack it"),
        (b"PK\3\4", "a ZIP archive; unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document or an Outlook message; save it as PDF"),
        (rb"{\rtf1\ansi Hello}", "an RTF document; save it as PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript file; save it as PDF"),
        (b"AT&TFORM\0\0\0\0DJVM", "a DjVu document; save it as PDF"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg">', "an SVG drawing; save it"),
        (b"\xef\xbb\xbf  <HTML><body>", "an HTML page, whatever its name says; save the document itself"),
        (gzip.compress(text_pdf()), "an archive; unpack it"),
        (tar(), "an archive; unpack it"),
        (b"Rar!\x1a\x07\x01\0", "an archive; unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "an archive; unpack it"),
        (mail(), "an e-mail; print it to PDF"),
        (b"From: a@b.c\nSubject: x\n\nx", "an e-mail; print it to PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture; save it as JPEG or PNG"),
        (b"8BPS\0\1", "a Photoshop picture; save it as PNG"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL picture; save it as PNG"),
        (b"Dear Sir or Madam", "not a PDF, picture, .md, "),
        (b"BM is a company", "not a PDF, picture, .md, "),
        (b"From here to there", "not a PDF, picture, .md, "),
        (b"\0" * 2000, "not a PDF, picture, .md, "),
        (b"", "empty"),
    ],
)
def test_what_is_not_read_is_named_with_what_to_do(data: bytes, said: str) -> None:
    with pytest.raises(InputError) as error:
        open_document(data, "x.pdf")
    assert str(error.value).startswith(f"x.pdf: {said}") and "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "JPEG2000"])
def test_pictures_that_are_read_are_known_by_their_content(kind: str) -> None:
    data = encoded(PICTURE, kind)
    with open_document(data, "x") as document:
        (sheet,) = document.sheets()
        assert (document.kind, document.notes, sheet.error) == ({"PPM": "pnm"}.get(kind, kind.lower()), [], None)
    assert sheet.picture is not None
    assert np.abs(np.asarray(sheet.picture).astype(int) - np.asarray(PICTURE)).mean() < 8


@pytest.mark.parametrize("kind", ["GIF", "BMP", "PPM", "JPEG2000"])
def test_pictures_that_are_cut_short_are_said_to_be(kind: str) -> None:
    data = encoded(PICTURE, kind)
    for end in (13, len(data) // 2):
        try:
            with open_document(data[:end], "x") as document:
                errors = [str(sheet.error) for sheet in document.sheets()]
        except InputError as error:
            errors = [str(error).removeprefix("x: ")]
        assert len(errors) == 1 and errors[0].startswith("damaged or cut short")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
def test_an_avif_picture_is_named() -> None:
    with pytest.raises(InputError, match=r"^an AVIF picture; save it as PNG or TIFF and read that$"):
        kind_of(encoded(PICTURE, "AVIF")[:HEAD])


def test_a_pdf_may_begin_after_other_bytes() -> None:
    assert kind_of(b"junk before it\n%PDF-1.4") == "pdf"


def test_an_archive_is_known_by_the_list_at_its_end() -> None:
    data = archive([f"{n}.bin" for n in range(50)] + ["word/document.xml"])
    assert len(data) < TAIL
    assert kind_of(data[:HEAD], data[-TAIL:]) == "docx"


@pytest.mark.parametrize(("names", "kind"), [
    (["word/document.xml"], "docx"), (["word/document2.xml"], "docx"), (["ppt/presentation.xml"], "pptx"),
    (["xl/workbook.xml", "xl/sharedStrings.xml"], "xlsx"), (["META-INF/container.xml", "a.xhtml"], "epub"),
])  # fmt: skip
def test_archives_that_hold_their_own_text_are_known_whatever_their_name_says(names: list[str], kind: str) -> None:
    data = archive(names)
    for suffix in ("", ".pdf", ".txt", ".zip"):
        assert kind_of(data[:HEAD], data[-TAIL:], suffix) == kind
    with pytest.raises(InputError, match=r"^x: (damaged: |.* needs \w+: pip install 'microfiche\[office\]'$)"):
        open_document(data, "x")


@pytest.mark.parametrize(("suffix", "kind"), [
    (".md", "markdown"), (".TXT", "plain"), (".htm", "html"), (".csv", "csv"), (".tsv", "csv"),
])  # fmt: skip
def test_plain_text_is_known_by_its_name(suffix: str, kind: str) -> None:
    for head in (b"From here to there", b"<html>", b"%!PS", b"\xff\xfea\0"):
        assert kind_of(head, head, suffix) == kind
    assert kind_of(b"%PDF-1.4", b"", suffix) == "pdf" and kind_of(b"\x89PNG\r\n\x1a\n", b"", suffix) == "png"
    for head in (b"a\0b", b"Rar!\x1a\x07\x01\0"):
        with pytest.raises(InputError):
            kind_of(head, head, suffix)


@pytest.mark.parametrize("suffix", [".docx", ".PPTX", ".xlsx", ".epub"])
@pytest.mark.parametrize("data", [b"PK\x03\x04 cut off", b"nothing of the kind", b"\0" * 2000])
def test_what_is_left_of_a_file_that_was_cut_short_is_called_damaged(suffix: str, data: bytes) -> None:
    with pytest.raises(InputError, match=f"^x{suffix}: damaged or cut short: not a whole {suffix.lower()} file$"):
        open_document(data, f"x{suffix}")
