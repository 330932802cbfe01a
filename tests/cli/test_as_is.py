"""--as-is: pages of PDFs and pictures are measured, packed and unpacked as they are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas
from typer.testing import CliRunner, Result

from microfiche.cli import app
from microfiche.documents.as_is import pages_as_is
from microfiche.fiche import Fiche

LINES = (
    "The keeper of the lamp wrote every evening",
    "what the weather was and who came by,",
    "and on the last page there are only numbers.",
)


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, result.output
    return result


def written(path: Path, pages: int = 1) -> str:
    """A PDF with LINES on each page, in large type on a small page."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(320, 200))
    for _ in range(pages):
        canvas.setFont("Times-Roman", 14)
        for i, line in enumerate(LINES):
            canvas.drawString(20, 150 - 24 * i, line)
        canvas.showPage()
    canvas.save()
    path.write_bytes(file.getvalue())
    return str(path)


@pytest.fixture
def pdf(tmp_path: Path) -> str:
    return written(tmp_path / "a.pdf")


def measured(*args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("measure", *args, "--as-is", "--json").stdout)
    return found


def test_a_pdf_is_measured_against_its_own_text(pdf: str) -> None:
    found = measured(pdf, "--mode", "320")
    assert found["pages"] == 1 and found["side"] == 320 and found["vision_tokens"] > 0
    assert found["fox_precision"] > 0.6 and found["recall"] > 0.6 and found["precision"] > 0.8
    assert found["ratio"] == pytest.approx(found["text_tokens"] / found["vision_tokens"], abs=1e-3)


def test_a_smaller_page_costs_fewer_tokens(pdf: str) -> None:
    assert measured(pdf, "--mode", "320")["vision_tokens"] < measured(pdf, "--mode", "large")["vision_tokens"]


def test_a_picture_is_measured_against_a_file(pdf: str, tmp_path: Path) -> None:
    (page,) = pages_as_is(Path(pdf), 320)
    Image.fromarray(page.image).save(tmp_path / "a.png")
    said = run("measure", str(tmp_path / "a.png"), "--as-is", code=1).stderr
    assert "no page has text of its own to compare with; --truth FILE" in said
    (tmp_path / "truth.txt").write_text("\n".join(LINES))
    assert measured(str(tmp_path / "a.png"), "--truth", str(tmp_path / "truth.txt"))["recall"] > 0.6
    (tmp_path / "truth.txt").write_text("other words altogether")
    assert measured(str(tmp_path / "a.png"), "--truth", str(tmp_path / "truth.txt"))["fox_precision"] == 0


def test_pages_are_chosen(tmp_path: Path) -> None:
    pdf = written(tmp_path / "b.pdf", pages=3)
    assert measured(pdf)["pages"] == 3
    assert measured(pdf, "--pages", "2-3")["pages"] == 2


def test_pages_are_packed_and_read_back(pdf: str, tmp_path: Path) -> None:
    out = str(tmp_path / "x.fiche")
    assert "1 page as they are" in run("pack", pdf, "--as-is", "--mode", "320", "--text", "-o", out).stderr
    assert run("unpack", out, "--text").stdout.splitlines() == list(LINES)
    words = set(" ".join(LINES).split())
    assert len(words & set(run("unpack", out).stdout.split())) > 0.6 * len(words)
    with Fiche(out) as fiche:
        assert fiche.manifest.format == "microfiche-3" and fiche.setting is None
        assert fiche.page(1).image.shape == (200, 320)


def test_a_blank_page_has_no_tokens_and_no_text(tmp_path: Path) -> None:
    Image.new("L", (300, 200), 255).save(tmp_path / "blank.png")
    out = str(tmp_path / "x.fiche")
    assert " 0 vision tokens" in run("pack", str(tmp_path / "blank.png"), "--as-is", "-o", out).stderr
    assert run("unpack", out).stdout.strip() == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("measure", "{pdf}", "--as-is", "--density", "5x8"), "--density goes only without --as-is"),
        (("measure", "{pdf}", "--truth", "x"), "--truth goes only with --as-is"),
        (("pack", "{pdf}", "-o", "x", "--pages", "1"), "--pages goes only with --as-is"),
        (("measure", "{pdf}", "--as-is", "--mode", "huge"), "no mode 'huge'; there are tiny"),
        (("measure", "{pdf}", "--as-is", "--mode", "9999999999"), "must have 64 to 4096 px"),
        (("measure", "{pdf}", "--mode", "700"), "no mode '700'"),
        (("measure", "{pdf}", "--as-is", "--engine", "nano"), "nano reads only pages that Microfiche"),
    ],
)
def test_what_does_not_go_together_is_refused(args: tuple[str, ...], said: str, pdf: str) -> None:
    assert said in run(*(arg.format(pdf=pdf) for arg in args), code=2).stderr


def test_a_text_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    assert "not a PDF or a picture" in run("measure", str(tmp_path / "a.txt"), "--as-is", code=1).stderr
    assert "no such file" in run("measure", str(tmp_path / "b.pdf"), "--as-is", code=1).stderr


def test_the_curve_of_real_pages_is_drawn(pdf: str, tmp_path: Path) -> None:
    run("measure", pdf, "--as-is", "--mode", "256", "--plot", str(tmp_path / "curve.png"))
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (960, 600)
