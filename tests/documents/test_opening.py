"""Files and folders: which documents names mean, and what is no document."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from makers import encoded, png_header, text_pdf
from PIL import Image

from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.kinds import READ
from microfiche.documents.opening import DocumentSource, OpenFile, documents_in, open_document, page_numbers
from microfiche.documents.writing import Shelf
from microfiche.errors import InputError, UsageError
from microfiche.limits import Limits


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.pdf: empty"),
        (b"\n<!DOCTYPE html><html><body>", "x.pdf: an HTML page, whatever its name says; save the document itself"),
        (b"Dear Sir or Madam", f"x.pdf: not a {READ} file"),
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
    for name in ("10.png", "2.PNG", "b/1.pdf", "notes.rst", ".hidden.png", ".git/x.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    found = documents_in([str(tmp_path / "in"), str(tmp_path / "in" / "notes.rst")])
    assert [Path(given.name).relative_to(tmp_path / "in").as_posix() for given in found] == [
        "2.PNG",
        "10.png",
        "b/1.pdf",
        "notes.rst",
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
    (inside / "up").symlink_to("..")
    left_out = "a link to somewhere outside the folder; left out"
    for folder in (inside, outside / ".." / "inside", inside / "loop" / ".." / "inside"):
        found = {Path(given.name).name: given.error for given in documents_in([str(folder)])}
        assert found == {"a.pdf": None, "b.pdf": left_out, "c": left_out, "d.pdf": None, "up": left_out}


def test_links_that_lead_to_themselves_are_named_and_so_is_an_address_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert {given.name: given.error for given in documents_in([str(tmp_path)])} == {
        str(tmp_path / name): "a link that leads to itself; left out" for name in "ab"}
    (given,) = documents_in(["ftp://clerk:secret@example.org/a.pdf"])
    assert given.error and given.error.endswith("only http and https addresses can be read, not ftp")
    assert "secret" not in given.name + given.error


def test_what_is_no_file_and_names_that_are_no_utf_8_in_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pdf")
    os.mkfifo(tmp_path / "pipe")
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.pdf", os.O_CREAT))
    found = {given.name: given.error for given in documents_in([str(tmp_path)])}
    assert found == {f"{tmp_path}/caf\\udce9.pdf": None, f"{tmp_path}/pipe.pdf": "neither file nor folder; left out"}


def test_of_several_names_one_that_is_no_document_is_said_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"x")
    (tmp_path / "none").mkdir()
    names = ["missing.pdf", str(tmp_path / "a.pdf"), "", str(tmp_path / "none"), "x" * 300, str(tmp_path / "a.pdf/b")]
    assert [(given.name, given.error) for given in documents_in(names)] == [
        ("missing.pdf", "no such file"), (names[1], None), ("", "'': no such file"),
        (names[3], "no PDF or pictures in this folder"), (names[4], "File name too long"), (names[5], "no such file"),
    ]  # fmt: skip


def test_documents_of_other_kinds_in_a_folder_are_counted(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.doc", "c.DOC", "d.rtf", "script.py", ".hidden.doc", "in/e.djvu", "f.zip", "g.tar"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    said: list[str] = []
    assert len(documents_in([str(tmp_path)], say=said.append)) == 1
    assert said == [f"{tmp_path}: not read: 1 .djvu, 2 .doc, 1 .rtf; save them as PDF",
                    f"{tmp_path}: not read: 1 .tar, 1 .zip; unpack them"]  # fmt: skip


def test_what_an_earlier_reading_wrote_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "in/mine").mkdir(parents=True)
    (tmp_path / "in/mine.json").write_text('{"title": "an album of my own"}')
    os.mkfifo(tmp_path / "in/pipe.json")
    (tmp_path / "in/pipe").mkdir()
    for name in ("paper.png", "mine/1.png", "pipe/2.png"):
        Image.effect_noise((50, 50), 90).save(tmp_path / "in" / name)
    before = documents_in([str(tmp_path / "in")])
    assert len(before) == 3
    for out in ("in", "in/out", "in/mine"):
        shelf = Shelf(tmp_path / out, "paper", "a" * 64, {"dpi": "144"})
        figure = PageRead(number=1, blocks=[Block(kind="figure", box=(0, 0, 9, 9))])
        pages = shelf.kept([(figure, Image.new("RGB", (20, 20)))], {}, overlays=True)
        assert next(pages).blocks[0].figure and documents_in([str(tmp_path / "in")]) == before
        shelf.write(Document(name="x", sha256="a" * 64, settings={"dpi": "144"}, pages=[figure]), "md")
        pages.close()  # type: ignore[attr-defined]
        assert len(list((tmp_path / out / "paper").rglob("*.png"))) == 2
        assert documents_in([str(tmp_path / "in")]) == before


def test_a_dash_is_standard_input_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def type_in(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    type_in(b"%PDF-")
    assert documents_in(["-"]) == [DocumentSource("-", b"%PDF-")]
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
    [
        ("1", [1]),
        ("1-3,7", [1, 2, 3, 7]),
        (" 2 - 3 , 1 ", [1, 2, 3]),
        ("8-", [8, 9]),
        ("3,3,2-4", [2, 3, 4]),
        ("8-10", [8, 9]),
    ],
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
        ("10", "there is no page 10; the document has 9"),
        ("1,10-12", "there is no page 10; the document has 9"),
        ("12-", "there is no page 12; the document has 9"),
    ],
)
def test_page_numbers_that_are_not_there_are_usage_errors(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        page_numbers(spec, 9)


def test_opened_documents_close_twice_without_harm() -> None:
    for data in (text_pdf(), encoded(Image.new("L", (5, 5)), "PNG")):
        document: OpenFile = open_document(data, "x")
        document.close()
        document.close()
