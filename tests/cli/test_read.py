"""`microfiche read` on files as people have them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from microfiche.cli import app
from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.reading import Leaf
from microfiche.documents.writing import Shelf, names_for

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PAPER = str(EXAMPLES / "paper.pdf")


def run(*args: str, code: int = 0, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(app, ["read", *args], input=stdin)
    assert result.exit_code == code, result.output
    return result


def test_one_document_goes_to_standard_output() -> None:
    assert run(PAPER).stdout.startswith("# Notes on Small Pages\n\n")
    assert run("-", stdin=Path(PAPER).read_bytes()).stdout == run(PAPER).stdout
    assert "#" not in run(PAPER, "--format", "text").stdout
    found = Document.model_validate_json(run(PAPER, "--format", "json").stdout)
    assert (found.pages[0].number, found.pages[0].engine) == (1, "text")


def test_a_folder_of_output_holds_markdown_json_figures_and_overlays(tmp_path: Path) -> None:
    run(PAPER, "-o", str(tmp_path), "--overlay")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "paper.json", "paper.md", "paper/figures/page-0001-1.png", "paper/figures/page-0001-2.png",
        "paper/overlay-0001.png",
    ]
    text = (tmp_path / "paper.md").read_text()
    for block in json.loads((tmp_path / "paper.json").read_text())["pages"][0]["blocks"]:
        if block["figure"]:
            assert f"]({block['figure']})" in text
            with Image.open(tmp_path / block["figure"]) as picture:
                assert abs(picture.width - (block["box"][2] - block["box"][0])) <= 8


def test_a_bad_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(PAPER, folder / "good.pdf")
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7\nnothing follows")
    result = run(str(folder), "-o", str(tmp_path / "out"), code=1)
    assert "bad.pdf: damaged or cut short" in result.stderr
    assert "1 of 2 documents were not read whole" in result.stderr
    assert (tmp_path / "out/good.md").exists() and not (tmp_path / "out/bad.md").exists()


def test_resuming_reads_only_what_changed(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(PAPER, folder / "a.pdf")
    run(str(folder), "-o", str(out))
    before = (out / "a.md").stat().st_mtime_ns
    assert "a.pdf: read before" in run(str(folder), "-o", str(out), "--resume").stderr
    assert (out / "a.md").stat().st_mtime_ns == before
    assert "read before" not in run(str(folder), "-o", str(out), "--resume", "--dpi", "100").stderr
    (folder / "a.pdf").write_bytes(Path(PAPER).read_bytes() + b"\n% changed\n")
    assert "read before" not in run(str(folder), "-o", str(out), "--resume", "--dpi", "100").stderr


def test_a_run_that_broke_off_goes_on_after_its_last_page(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "x", "a" * 64, {"dpi": "144"})
    picture = Image.new("RGB", (100, 100), "white")
    pages = [PageRead(number=n, blocks=[Block(kind="figure", box=(10, 10, 50, 50))]) for n in (1, 2, 3)]
    pages[1] = pages[1].model_copy(update={"status": "failed", "reason": "a power cut"})
    kept = shelf.kept((Leaf(page, picture) for page in pages), {})
    for _ in range(3):
        next(kept)
    kept.close()
    with (tmp_path / ".x.journal").open("a") as journal:
        journal.write('{"number": 4, "blo')
    again = Shelf(tmp_path, "x", "a" * 64, {"dpi": "144"})
    assert sorted(again.begun()) == [1, 3]
    assert again.begun()[1].blocks[0].figure == "x/figures/page-0001-1.png"
    assert Shelf(tmp_path, "x", "b" * 64, {"dpi": "144"}).begun() == {}
    assert Shelf(tmp_path, "x", "a" * 64, {"dpi": "72"}).begun() == {}
    assert again.finished() is None
    again.write(Document(name="x", sha256="a" * 64, settings={"dpi": "144"}, pages=[pages[0]]), "md")
    assert again.finished() is not None
    assert not (tmp_path / ".x.journal").exists()


def test_names_are_safe_and_differ() -> None:
    assert names_for(["a/b.pdf", "c/b.png", "../../etc/passwd", "-", "x/.pdf", "a*b?.pdf", "B.pdf"]) == [
        "b", "b-2", "passwd", "stdin", "pdf", "a_b_", "B-3",
    ]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((PAPER, PAPER), "need a folder"),
        ((PAPER, "--overlay"), "need a folder"),
        ((PAPER, "--pages", "2"), "there is no page 2"),
        ((PAPER, "--pages", "x"), "not a page or a range"),
        ((PAPER, "--engine", "endpoint"), "--endpoint URL"),
        ((PAPER, "--engine", "deepseek-ocr"), "--weights FOLDER"),
        ((PAPER, "--weights", "nowhere", "--task", "sing"), "no task 'sing'"),
        ((PAPER, "--weights", "nowhere", "--mode", "gundam-m"), "gundam-m"),
        ((PAPER, "--task", "describe"), "--endpoint URL"),
        ((PAPER, "--endpoint", "here"), "not an http"),
        ((PAPER, "--engine", "tea"), "tea"),
        ((PAPER, "--limit", "patience=3"), "NAME one of pixels, pages"),
    ],
)
def test_what_does_not_fit_together_is_said(args: tuple[str, ...], message: str) -> None:
    assert message in run(*args, code=2).stderr


def test_limits_are_on_and_can_be_raised(tmp_path: Path) -> None:
    Image.new("1", (12_000, 9_000), 1).save(tmp_path / "large.png")
    assert "12,000 × 9,000" in run(str(tmp_path / "large.png"), code=1).stdout
    run(str(tmp_path / "large.png"), "--limit", "pixels=200_000_000")


def test_reading_pipes_into_packing(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from microfiche.cli import main; main()"]
    out = tmp_path / "paper.fiche"
    command = [*program, "read", PAPER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as read:
        subprocess.run([*program, "pack", "-", "-o", out, "--text"], stdin=read.stdout, check=True, capture_output=True)
    text = subprocess.run([*program, "unpack", out, "--text"], check=True, capture_output=True).stdout
    assert text.decode() == run(PAPER).stdout
