"""Pages with their truth: what belongs together, and what is said of folders that are not whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from microfiche.errors import InputError
from microfiche.training.taught_pages import TaughtPage, batch, taught_pages


def picture(path: Path, shade: int = 200) -> Path:
    Image.new("RGB", (40, 30), (shade, shade, shade)).save(path)
    return path


def pdf(path: Path, pages: int) -> Path:
    canvas = Canvas(str(path), pagesize=(100, 50))
    for i in range(pages):
        canvas.drawString(10, 20, f"Page {i + 1}")
        canvas.showPage()
    canvas.save()
    return path


def found(folder: Path) -> list[tuple[str, int, str, str]]:
    return [(page.file.name, page.number, page.task, page.answer) for page in taught_pages(folder)]


def test_truths_stand_beside_pictures_and_pages_of_pdfs(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.md").write_text("# A\r\n\r\ntext\n")
    picture(tmp_path / "b.jpg")
    (tmp_path / "b.txt").write_text("B")
    (tmp_path / "b.md").write_text("**B**")
    pdf(tmp_path / "c.pdf", 1)
    (tmp_path / "c.md").write_text("Page 1")
    pdf(tmp_path / "d.pdf", 2)
    (tmp_path / "d.1.md").write_text("one")
    (tmp_path / "d.2.txt").write_text("two")
    (tmp_path / "more.jsonl").write_text(
        json.dumps({"image": "a.png", "task": "locate:A", "answer": "<|det|>[[1, 2, 3, 4]]<|/det|>"})
        + "\n\n"
        + json.dumps({"image": "d.pdf", "page": 2, "task": "describe", "answer": "Words."})
        + "\n"
    )
    assert found(tmp_path) == [
        ("a.png", 1, "locate:A", "<|det|>[[1, 2, 3, 4]]<|/det|>"),
        ("a.png", 1, "markdown", "# A\n\ntext"),
        ("b.jpg", 1, "markdown", "**B**"),
        ("b.jpg", 1, "free", "B"),
        ("c.pdf", 1, "markdown", "Page 1"),
        ("d.pdf", 1, "markdown", "one"),
        ("d.pdf", 2, "describe", "Words."),
        ("d.pdf", 2, "free", "two"),
    ]
    pages = taught_pages(tmp_path)
    assert pages[0].size == (40, 30) == pages[0].picture().size
    assert pages[-1].size == (200, 100) == pages[-1].picture().size
    assert pages[-1].name.endswith("d.pdf, page 2")
    assert len({page.digest for page in pages}) == 5


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.md", None, "a.png: neither a.md nor a.txt stands beside it, and no line of a .jsonl file names it"),
        ("a.md", b"", "a.md: empty"),
        ("a.md", b" \n \n", "a.md: empty; leave a page without text out"),
        ("a.md", b"\xff\xfe\x00", "a.md: not utf-8 at byte 0"),
        ("a.md", b"text\0", "a.md: NUL at character 4; this is not a text file"),
        ("a.png", b"\x89PNG\r\n\x1a\n cut", "a.png: damaged or cut short"),
        ("a.png", b"", "a.png: empty"),
        ("x.jsonl", b'{"image": "b.png", "task": "free", "answer": "x"}', "l:1: there is no picture or PDF 'b.png' in"),
        ("x.jsonl", b"\n{]", "x.jsonl:2: Invalid JSON"),
        ("x.jsonl", b'{"image": "a.png", "answer": "x"}', "x.jsonl:1: task: Field required"),
        ("x.jsonl", b'{"image": "a.png", "task": "poem", "answer": "x"}', "x.jsonl:1: no task 'poem'; there are"),
        ("x.jsonl", b'{"image": "a.png", "task": "free", "answer": " "}', "x.jsonl:1: empty"),
        ("x.jsonl", b'{"image": "a.png", "page": 2, "task": "free", "answer": "x"}', "has 1 pages; a .jsonl"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_told_in_a_line(tmp_path: Path, name: str, data: bytes | None, said: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.md").write_text("A")
    if data is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=re.escape(said)) as error:
        taught_pages(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_without_pages_and_a_pdf_with_a_page_untaught_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no PDF or pictures in this folder"):
        taught_pages(tmp_path)
    pdf(tmp_path / "d.pdf", 2)
    (tmp_path / "d.1.md").write_text("one")
    with pytest.raises(InputError, match=r"d\.pdf, page 2: neither d\.2\.md nor d\.2\.txt stands beside it"):
        taught_pages(tmp_path)


def test_a_share_is_held_out_by_what_a_page_shows(tmp_path: Path) -> None:
    for i in range(60):
        picture(tmp_path / f"{i}.png", i)
        (tmp_path / f"{i}.md").write_text("A")
    pages = taught_pages(tmp_path)
    held = {page.name for page in pages if page.held_out(0.3)}
    assert 8 < len(held) < 28
    assert not [page for page in pages if page.held_out(0)]
    assert {page.name for page in pages if page.held_out(0.1)} < held


def test_each_page_comes_once_before_any_comes_again(tmp_path: Path) -> None:
    pages = [TaughtPage(str(i), Path(), 1, (1, 1), "", "free", "") for i in range(7)]
    drawn = [page.name for number in range(7) for page in batch(pages, number, 3, 0)]
    rounds = [drawn[first : first + 7] for first in (0, 7, 14)]
    assert all(sorted(one) == [page.name for page in pages] for one in rounds)
    assert rounds[0] != rounds[1]
    assert drawn != [page.name for number in range(7) for page in batch(pages, number, 3, 1)]
