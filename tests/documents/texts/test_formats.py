"""Files that hold their own text become documents like all others, within the limits and without the network."""

from __future__ import annotations

import datetime
import io
import socket
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from microfiche.documents import opening
from microfiche.documents.document import Document
from microfiche.documents.opening import DocumentSource, documents_in, open_document
from microfiche.documents.reading import read, read_to
from microfiche.documents.texts import worker
from microfiche.errors import InputError
from microfiche.limits import Limits

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TYPES = ('<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
         'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
         'ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.'
         'openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>')  # fmt: skip
RELATIONS = ('<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
             'Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
             'Target="word/document.xml"/></Relationships>')  # fmt: skip


def zipped(parts: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def docx(body: str, **parts: str) -> bytes:
    """A Word document whose body is this XML."""
    whole = (f'<w:document xmlns:w="{WORD}" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math">'
             f"<w:body>{body}</w:body></w:document>")  # fmt: skip
    return zipped({"[Content_Types].xml": TYPES, "_rels/.rels": RELATIONS, "word/document.xml": whole,
                   **{f"word/{name}.xml": text for name, text in parts.items()}})  # fmt: skip


def paragraph(text: str, style: str = "") -> str:
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{styled}<w:r><w:t>{text}</w:t></w:r></w:p>"


def epub(chapters: dict[str, str], order: list[str]) -> bytes:
    items = "".join(f'<item id="{n}" href="{n}" media-type="application/xhtml+xml"/>' for n in chapters)
    spine = "".join(f'<itemref idref="{name}"/>' for name in order)
    return zipped({
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
                                  '<rootfile full-path="in/a.opf"/></rootfiles></container>',
        "in/a.opf": f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest>'
                    f"<spine>{spine}</spine></package>",
        **{f"in/{name}": text for name, text in chapters.items()},
    })  # fmt: skip


def saved(folder: Path, name: str, data: bytes | str) -> Document:
    """The document that a file of this name and content is read to."""
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return read(folder / name)


@pytest.mark.parametrize(("name", "data", "markdown", "reason"), [
    ("a.md", "---\nt: x\n---\n# A *b*\n\nc\nd <b> [x](javascript:y) $z_1$\n\n- e\n  - f\n\n~~g~~ ![h](http://e.org/i.png)",
     "```\nt: x\n```\n\n# A b\n\nc d &lt;b> [x]\\(javascript:y) $z_1$\n\n- e\n   - f\n\n~~g~~\n\n![h]()\n",
     "not read: 1 picture"),
    ("a.MD", "a.\n\nb without an end\n\nand c", "a.\n\nb without an end\n\nand c\n", ""),
    ("a.txt", "\ufeffa *b*\r\n# c\r\n\r\nx   1\r\ny   2\r\n", "a \\*b\\*  \n\\# c\n\n```\nx   1\ny   2\n```\n", ""),
    ("a.txt", "é\n".encode("utf-16"), "é\n", ""),
    ("a.txt", b"caf\xe9", "café\n", "its encoding is not declared and was taken for Windows-1252"),
    ("a.csv", 'a;b\n1;"x|y\nz"\n;\n', "| a | b |\n| --- | --- |\n| 1 | x\\|y<br>z |\n", ""),
    ("a.htm", '<meta charset="iso-8859-2"><p>\xb1</p>'.encode("latin-1"), "ą\n", ""),
    ("a.html", b"<html><img alt='x'><p>b", "![x]()\n\nb\n", "not read: 1 picture"),
    ("a.epub", epub({"1.xhtml": "<h1>A</h1>", "2.xhtml": "<p>b", "3.xhtml": "no"}, ["2.xhtml", "1.xhtml"]),
     "b\n\n# A\n", ""),
])  # fmt: skip
def test_a_file_without_an_extra(tmp_path: Path, name: str, data: bytes | str, markdown: str, reason: str) -> None:
    document = saved(tmp_path, name, data)
    shown = document.markdown()
    for page in document.pages:
        assert (page.status, page.reason) == ("partial" if reason else "ok", reason)
        assert page.engine == "text" and page.chosen == "the file's own text"
        shown = shown.replace(f"<!-- page {page.number} partial: {reason} -->\n\n", "")
    assert shown == markdown


@pytest.mark.parametrize(("data", "rows"), [
    ("a, b\n1, 'x'\n", [["a", "b"], ["1", "'x'"]]),
    ("1,5;2,5\n3,5;4,5\n", [["1,5", "2,5"], ["3,5", "4,5"]]),
    ("a\tb, c\n1\t2\n", [["a", "b, c"], ["1", "2"]]),
    ("it's\nnot\n", [["it's"], ["not"]]),
    ('a,"b;c"\nd,"e\n', [["a", "b;c"], ["d", "e"]]),
])  # fmt: skip
def test_the_separator_is_that_of_the_rows(tmp_path: Path, data: str, rows: list[list[str]]) -> None:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    assert saved(tmp_path, "a.csv", data).markdown().splitlines() == [
        lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]
    ]


@pytest.mark.parametrize("part", [',"', '"\n', "'a ", ";'", '"a";'])
def test_quotes_without_end_take_no_time(tmp_path: Path, part: str) -> None:
    """A search for pairs of them would take minutes."""
    assert saved(tmp_path, "a.csv", part * 30_000).pages[0].status == "ok"


def test_a_word_document(tmp_path: Path) -> None:
    pytest.importorskip("mammoth", reason="needs the extra office")
    body = (paragraph("Title", "Heading1") + paragraph("a &lt;b&gt; *c*") + paragraph("no end") + paragraph("lower")
            + "<w:tbl><w:tr><w:tc>" + paragraph("x") + "</w:tc><w:tc>" + paragraph("y") + "</w:tc></w:tr></w:tbl>"
            + "<w:p><m:oMath><m:r><m:t>z</m:t></m:r></m:oMath></w:p>")  # fmt: skip
    head = f'<w:hdr xmlns:w="{WORD}">{paragraph("Running")}</w:hdr>'
    document = saved(tmp_path, "a.docx", docx(body, header1=head, header2=head))
    (page,) = document.pages
    assert [block.kind for block in page.blocks] == ["header", "title", "text", "text", "text", "table"]
    assert (page.status, page.reason) == ("partial", "not read: 1 formula")
    assert document.markdown().endswith(
        "# Title\n\na &lt;b> \\*c\\*\n\nno end\n\nlower\n\n| x | y |\n| --- | --- |\n"
    ), document.markdown()


def test_slides(tmp_path: Path) -> None:
    pptx = pytest.importorskip("pptx", reason="needs the extra office")
    deck: Any = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "One <b>", "first\nsecond"
    slide.placeholders[1].text_frame.paragraphs[1].level = 1
    slide.notes_slide.notes_text_frame.text = "a note"
    other = deck.slides.add_slide(deck.slide_layouts[6])
    table = other.shapes.add_table(2, 2, 0, 0, 10**6, 10**6).table
    table.cell(0, 0).text, table.cell(1, 1).text = "a", "b|c"
    picture = io.BytesIO()
    Image.new("RGB", (9, 9)).save(picture, "PNG")
    other.shapes.add_picture(picture, 0, 2 * 10**6)
    deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text = "Hidden"
    deck.slides[2]._element.set("show", "0")
    deck.save(tmp_path / "a.pptx")
    document = read(tmp_path / "a.pptx")
    first, second, third = document.pages
    assert [b.markdown() for b in first.blocks] == ["# One &lt;b>", "- first\n   - second", "a note"]
    assert (first.status, second.reason) == ("ok", "not read: 1 picture")
    assert second.blocks[0].markdown() == "| a |  |\n| --- | --- |\n|  | b\\|c |"
    assert [block.kind for block in third.blocks] == ["hidden"]
    assert [page.number for page in read(tmp_path / "a.pptx", pages="2-").pages] == [2, 3]


def test_a_workbook(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="needs the extra office")
    book: Any = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "S_1_"
    sheet["B2"], sheet["C2"], sheet["B3"], sheet["C3"] = "when", "share", datetime.date(2024, 1, 2), 0.125
    sheet["C3"].number_format = "0.0%"
    sheet["D3"] = "=C3*2"
    other = book.create_sheet("Same")
    other.append(["when", "share"])
    other.append([True, 3.0])
    other.merge_cells("A3:B3")
    other["A3"] = datetime.datetime(2024, 1, 2, 3, 4)
    book.create_sheet("Away").sheet_state = "hidden"
    book.save(tmp_path / "a.xlsx")
    first, second, third = read(tmp_path / "a.xlsx").pages
    shares = "| when | share |\n| --- | --- |\n| 2024-01-02 | 12.5% |"
    assert [b.markdown() for b in first.blocks] == ["## S_1_", shares]
    assert first.reason == "not read: 1 formula without a stored value"
    grid = "<table><tr><td>when</td><td>share</td></tr><tr><td>TRUE</td><td>3</td></tr>"
    assert second.blocks[1].markdown().startswith(grid)
    assert '<td colspan="2">2024-01-02 03:04:00</td>' in second.blocks[1].text and second.status == "ok"
    assert [block.kind for block in third.blocks] == ["hidden"]


def test_a_sheet_of_two_cells_far_apart_is_a_small_table(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="needs the extra office")
    book: Any = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "first", "last"
    book.save(tmp_path / "a.xlsx")
    (page,) = read(tmp_path / "a.xlsx").pages
    assert page.status == "ok" and page.blocks[1].markdown() == "| first |  |\n| --- | --- |\n|  | last |"
    for n in range(1, 3002):
        book.active.cell(n, n).value = "x"
    book.save(tmp_path / "b.xlsx")
    with pytest.raises(InputError, match=r"b\.xlsx: the sheet 'Sheet' spreads over 9,\d{3},\d{3} cells"):
        read(tmp_path / "b.xlsx")


BOMB = "<w:p/>" * (20 << 20)


@pytest.mark.parametrize(("name", "data", "said"), [
    ("a.docx", zipped({"word/document.xml": BOMB}), "to 125,829,120 bytes, over 67,108,864; the limit ratio is 5"),
    ("a.docx", docx("x").replace(b"PK\x01\x02", b"PK\x09\x09"), "damaged"),
    ("a.epub", epub({"1.xhtml": '<!DOCTYPE x [<!ENTITY a "b">]><p>&a;'}, ["1.xhtml"]), "entities in 'in/1.xhtml'"),
    ("a.epub", epub({"1.xhtml": "x"}, ["1.xhtml"])[:-30], "damaged"),
    ("a.epub", zipped({"META-INF/container.xml": "<a/>"}), "damaged"),
    ("a.epub", epub({"1.xhtml": "x"}, ["1.xhtml"] * 9), "9 pages; the limit pages is 8"),
    ("a.txt", b"ab\0c", "not a PDF"), ("a.txt", b"a" * 2000 + b"\0", "NUL at character 2000; this is not a text file"),
    ("a.txt", b"", "empty"), ("a.pdf", b"<!doctype html><p>gone", "an HTML page, whatever its name says"),
    ("a.zip", zipped({"a": "b"}), "a ZIP archive; unpack it"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    if name.endswith("docx"):
        pytest.importorskip("mammoth", reason="needs the extra office")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as error:
        read(tmp_path / name, limits=Limits(ratio=5, pages=8))
    assert str(error.value).startswith(f"{tmp_path / name}: ") and said in str(error.value)
    assert "\n" not in str(error.value)


def test_entities_in_a_word_document_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("mammoth", reason="needs the extra office")
    bad = zipped({"word/document.xml": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'})
    wide = zipped({"word/document.xml": '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16").decode("latin-1")})
    for data in (bad, wide):
        (tmp_path / "a.docx").write_bytes(data)
        with pytest.raises(InputError, match=r"a\.docx: (declares entities|damaged)"):
            read(tmp_path / "a.docx")


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>a")
    with pytest.raises(InputError, match=r"a\.html: took longer than 0\.001 seconds, which is the limit seconds"):
        read(tmp_path / "a.html", limits=Limits(seconds=0.001))


@pytest.mark.parametrize("attempt", [
    "socket.create_connection(('127.0.0.1', {port}))", "subprocess.run(['true'])", "os.system('true')",
    "socket.getaddrinfo('localhost', 80)",
])  # fmt: skip
def test_the_process_reaches_no_network_and_starts_no_program(attempt: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    code = ("import os, socket, subprocess, sys\nfrom microfiche.documents.texts.worker import _refuse\n"
            f"sys.addaudithook(_refuse)\n{attempt.format(port=listening.getsockname()[1])}")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    listening.close()
    assert done.returncode == 1 and "is not allowed here" in done.stderr


def test_pictures_of_a_page_are_not_fetched(tmp_path: Path) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def answer() -> None:
            with listening.accept()[0] as one:
                asked.append(one.recv(99))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/a.png"
        for name, data in (("a.html", f"<img src='{address}'><link rel=stylesheet href='{address}'>"),
                           ("a.md", f"![x]({address})")):  # fmt: skip
            saved(tmp_path, name, data)
        assert not asked
        with socket.create_connection(listening.getsockname()) as own:
            own.sendall(b"end")
        thread.join()
    assert asked == [b"end"]


def test_a_mixed_folder_is_read_and_what_lacks_the_extra_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    for name in ("a.md", "b.txt", "c.html", "d.csv", "e.docx", "f.docx", "g.pptx", "h.rtf"):
        (inside / name).write_text("x")
    monkeypatch.setattr(worker, "find_spec", lambda name: None)
    said: list[str] = []
    found = documents_in([str(inside)], say=said.append, texts=True)
    assert [Path(one.name).name for one in found] == ["a.md", "b.txt", "c.html", "d.csv"]
    assert documents_in([str(inside), str(inside / "a.md")])[1:] == found[:1]
    assert said == [f"{inside}: not read: 2 .docx, 1 .pptx; pip install 'microfiche[office]' reads them",
                    f"{inside}: not read: 1 .rtf; save them as PDF"]  # fmt: skip
    assert not read_to(tmp_path / "out", found)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.md.json", "a.md.md", "b.txt.json", "b.txt.md", "c.json", "c.md", "d.json", "d.md"
    ]  # fmt: skip
    (inside / "i.docx").write_bytes(docx("x"))
    with pytest.raises(InputError, match=r"i\.docx: a Word document needs mammoth: pip install 'microfiche\[office\]'"):
        read(inside / "i.docx")


def test_what_was_written_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "notes.md").write_text("x")
    for _ in range(2):
        assert not read_to(tmp_path, documents_in([str(tmp_path)], texts=True), resume=True)
        found = sorted(path.name for path in tmp_path.iterdir())
        assert found == ["a.csv", "a.json", "a.md", "notes.md", "notes.md.json", "notes.md.md"]
    assert (tmp_path / "notes.md").read_text() == "x"


def test_pages_of_such_a_file_have_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    with open_document(tmp_path / "a.md", "a.md") as opened:
        (sheet,) = opened.sheets()
    assert sheet.picture is None and "has text and no picture" in (sheet.error or "")
    assert DocumentSource("a.md", tmp_path / "a.md") and opening.TEXTS[".md"] == "markdown"
