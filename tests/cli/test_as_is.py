"""--as-is: pages of PDFs and pictures are measured, packed and unpacked as they are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfgen.canvas import Canvas
from typer.testing import CliRunner, Result

from microfiche.cli import app
from microfiche.cli.as_is import zooming
from microfiche.codec import read_back
from microfiche.documents.as_is import pages_as_is
from microfiche.errors import UsageError
from microfiche.fiche import Fiche
from microfiche.readers import load

Colour = str | tuple[int, ...]
FACES = Path(matplotlib.get_data_path()) / "fonts/ttf"
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
    ((_, page),) = pages_as_is(Path(pdf), 320)
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


def test_lines_alone_cost_fewer_tokens(pdf: str, tmp_path: Path) -> None:
    whole, alone = measured(pdf, "--mode", "large"), measured(pdf, "--sure", "0.98")
    assert alone["sure"] == 0.98 and whole["sure"] is None
    assert alone["vision_tokens"] < 0.7 * whole["vision_tokens"]
    assert alone["fox_precision"] > 0.8 and alone["recall"] > 0.8
    out = str(tmp_path / "x.fiche")
    run("pack", pdf, "--as-is", "--sure", "0.98", "-o", out)
    words = set(" ".join(LINES).split())
    assert len(words & set(run("unpack", out).stdout.split())) > 0.8 * len(words)
    with Fiche(out) as fiche:
        assert fiche.manifest.format == "microfiche-5" and fiche.manifest.mode == "sure 0.98"
        tokens = fiche.tokens(1)
        assert tokens.pieces is not None and tokens.pieces.lines.max() == len(LINES) - 1


def test_doubted_words_are_marked_and_count_as_not_read(pdf: str, tmp_path: Path) -> None:
    plain, sure = measured(pdf, "--mode", "320"), measured(pdf, "--mode", "320", "--doubt", "0.9")
    assert sure["fox_precision"] >= plain["fox_precision"] and sure["recall"] <= plain["recall"]
    assert sure["precision"] == plain["precision"] and 0 < sure["doubted"] < 1 and plain["doubted"] is None
    assert measured(pdf, "--mode", "320", "--doubt", "1")["recall"] < plain["recall"]
    out = str(tmp_path / "x.fiche")
    run("pack", pdf, "--as-is", "--mode", "320", "-o", out)
    whole, marked = run("unpack", out).stdout, run("unpack", out, "--doubt", "0.9").stdout
    assert marked.count("[?]") > 0 and marked.replace("[?]", "") == whole
    assert "--doubt goes only with --as-is" in run("measure", pdf, "--doubt", "0.9", code=2).stderr


@pytest.mark.parametrize("degrees", [90, 180])
def test_a_turned_page_is_set_upright_and_named(degrees: int, tmp_path: Path) -> None:
    scan = Path(__file__).parent.parent.parent / "examples/scan.jpg"
    with Image.open(scan) as picture:
        picture.rotate(degrees, expand=True).save(tmp_path / "turned.png")
    out = str(tmp_path / "x.fiche")
    said = run("pack", str(tmp_path / "turned.png"), "--as-is", "--sure", "0.9", "-o", out).stderr
    assert f"page 1 is turned by {360 - degrees}°, so that it is upright" in said
    assert "Reading Room" in run("unpack", out).stdout


@pytest.mark.parametrize("shade", [255, 128, 0])
def test_a_page_of_one_shade_has_no_tokens_and_no_text(shade: int, tmp_path: Path) -> None:
    Image.new("L", (300, 200), shade).save(tmp_path / "blank.png")
    out = str(tmp_path / "x.fiche")
    said = run("pack", str(tmp_path / "blank.png"), "--as-is", "-o", out).stderr
    assert " 0 vision tokens" in said and "page 1: no text is found on it, so only its picture is stored" in said
    assert run("unpack", out).stdout.strip() == ""


def drawn(lines: tuple[str, ...], size: int, paper: Colour = "white", ink: Colour = "black") -> Image.Image:
    """Lines below one another on a page, 2 ems apart."""
    font = ImageFont.truetype(str(FACES / "DejaVuSerif.ttf"), size)
    picture = Image.new("RGB", (int(max(map(font.getlength, lines))) + 4 * size, 2 * size * (len(lines) + 2)), paper)
    for i, line in enumerate(lines):
        ImageDraw.Draw(picture).text((2 * size, 2 * size * (i + 1)), line, ink, font)
    return picture


def photograph(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(5).integers(30, 225, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def poster() -> Image.Image:
    """Text on the sky of a photograph."""
    picture = photograph(900, 600)
    sky = np.linspace(250, 170, 400)[:, None].repeat(900, 1).astype(np.uint8)
    picture.paste(Image.fromarray(sky), (0, 0))
    for i, line in enumerate(LINES):
        font = ImageFont.truetype(str(FACES / "DejaVuSans-Bold.ttf"), 30)
        ImageDraw.Draw(picture).text((40, 60 + 100 * i), line, "navy", font)
    return picture


#: Pages of which nothing can be read, and others of which most can.
NOTHING = {
    "blank": Image.new("L", (300, 200), 255),
    "black": Image.new("L", (300, 200), 0),
    "photograph": photograph(600, 400),
    "two pixels": drawn(12 * LINES, 40).resize((104, 208), Image.Resampling.BOX),
}
SOMETHING = {
    "light on dark": drawn(LINES, 24, (20, 20, 40), (230, 230, 230)),
    "on a colour": drawn(LINES, 24, (250, 200, 60), (120, 0, 0)),
    "on a photograph": poster(),
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """What `pack --sure` says of all of them, and what is read of each."""
    folder = tmp_path_factory.mktemp("pages")
    files = []
    for name, picture in {**NOTHING, **SOMETHING}.items():
        files.append(str(folder / f"{name}.png"))
        picture.save(files[-1])
    said = run("pack", *files, "--as-is", "--sure", "0.9", "-o", str(folder / "x.fiche")).stderr
    with Fiche(folder / "x.fiche") as fiche:
        texts = [text for text, _ in read_back(fiche)]
        assert [len(fiche.tokens(n)) > 0 for n in range(1, 8)] == [False] * 4 + [True] * 3
    return said, dict(zip([*NOTHING, *SOMETHING], texts, strict=True))


@pytest.mark.parametrize("name", NOTHING)
def test_pages_of_which_nothing_can_be_read_are_named(name: str, packed: tuple[str, dict[str, str]]) -> None:
    said, texts = packed
    assert texts[name].strip() == ""
    assert f"{name}.png: page 1: no text is found on it" in said
    assert (f"{name}.png: page 1 has" in said and "px high, too small to be read" in said) == (name == "two pixels")


@pytest.mark.parametrize("name", SOMETHING)
def test_type_on_any_ground_is_read(name: str, packed: tuple[str, dict[str, str]]) -> None:
    said, texts = packed
    words = " ".join(LINES).split()
    assert sum(word in texts[name].split() for word in words) > 0.7 * len(words)
    assert f"{name}.png: page 1" not in said


def test_a_page_on_its_side_is_turned_when_it_is_kept_whole_as_well(tmp_path: Path) -> None:
    drawn(LINES, 24).rotate(90, expand=True).save(tmp_path / "turned.png")
    out = str(tmp_path / "x.fiche")
    said = run("pack", str(tmp_path / "turned.png"), "--as-is", "--mode", "base", "-o", out).stderr
    assert "page 1 is turned by 270°, so that it is upright" in said
    assert "weather" in run("unpack", out).stdout


def test_a_scan_20_000_px_wide_comes_in_parts(tmp_path: Path) -> None:
    wide = Image.new("L", (20_000, 260), 255)
    for left in (150, 6_000, 19_100):
        wide.paste(drawn(LINES, 24).convert("L"), (left, 0))
    wide.save(tmp_path / "wide.png")
    ((name, first), *others) = pages_as_is(tmp_path / "wide.png", 1024)
    assert name.endswith("wide.png: page 1, part 1") and len(others) == 19
    assert first.image.shape[0] > 200 and max(max(page.image.shape) for _, page in others) <= 1024
    out = str(tmp_path / "x.fiche")
    said = run("pack", str(tmp_path / "wide.png"), "--as-is", "--sure", "0.9", "-o", out).stderr
    assert "page 1 has 20000×260 px and is taken in 10 parts" in said and "part 3: no text is found" in said
    assert run("unpack", out).stdout.count("weather") == 3


def test_a_large_page_of_small_type_comes_in_parts_where_lines_alone_are_kept(tmp_path: Path) -> None:
    one = drawn(LINES, 12)
    large = Image.new("RGB", (5 * one.width, 16 * one.height), "white")
    for i in range(80):
        large.paste(one, (i % 5 * one.width, i // 5 * one.height))
    large.save(tmp_path / "large.png")
    said: list[str] = []
    parts = list(pages_as_is(tmp_path / "large.png", 640, lines=True, say=said.append))
    assert len(parts) > 1 and any("is taken in" in line for line in said)
    assert not any("too small" in line for line in said)
    ((_, whole),) = pages_as_is(tmp_path / "large.png", 400, say=said.append)
    assert max(whole.image.shape) == 400 and "too small to be read" in said[-1]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("measure", "{pdf}", "--as-is", "--density", "5x8"), "--density goes only without --as-is"),
        (("measure", "{pdf}", "--truth", "x"), "--truth goes only with --as-is"),
        (("pack", "{pdf}", "-o", "x", "--pages", "1"), "--pages goes only with --as-is"),
        (("measure", "{pdf}", "--as-is", "--mode", "huge"), "no mode 'huge'; there are tiny"),
        (("measure", "{pdf}", "--as-is", "--mode", "9999999999"), "must have 64 to 4096 px"),
        (("measure", "{pdf}", "--sure", "0.9"), "--sure goes only with --as-is"),
        (("measure", "{pdf}", "--as-is", "--sure", "0.9", "--mode", "base"), "--mode goes only without --sure"),
        (("measure", "{pdf}", "--as-is", "--sure", "0.9", "--engine", "nano-lines"), "nano reads only pages"),
        (("measure", "{pdf}", "--mode", "700"), "no mode '700'"),
        (("measure", "{pdf}", "--as-is", "--engine", "nano"), "nano reads only pages that Microfiche"),
    ],
)
def test_what_does_not_go_together_is_refused(args: tuple[str, ...], said: str, pdf: str) -> None:
    assert said in run(*(arg.format(pdf=pdf) for arg in args), code=2).stderr


def test_only_a_reader_that_glances_keeps_lines_alone() -> None:
    with pytest.raises(UsageError, match=r"--sure goes with nano-pages, not with nano$"):
        zooming(load("nano"), 0.9)


def test_a_text_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    assert "not a PDF or a picture" in run("measure", str(tmp_path / "a.txt"), "--as-is", code=1).stderr
    assert "no such file" in run("measure", str(tmp_path / "b.pdf"), "--as-is", code=1).stderr


def test_the_curve_of_real_pages_is_drawn(pdf: str, tmp_path: Path) -> None:
    run("measure", pdf, "--as-is", "--mode", "256", "--plot", str(tmp_path / "curve.png"))
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (960, 600)
