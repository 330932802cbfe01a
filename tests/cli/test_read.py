"""`microfiche read` on files as people have them."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from makers import CATALOG, encrypted_pdf, endless_second_page, raw_pdf, second_page_hurried, text_pdf
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner, Result

import microfiche
from microfiche.cli import app, console
from microfiche.cli.read import NAMED
from microfiche.documents import reading
from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.job import Outcome
from microfiche.documents.writing import Shelf, names_for
from microfiche.nano.cells import NANO
from microfiche.nano.print import PRINT, PrintModel
from microfiche.nano.print_encoder import PrintConfig
from microfiche.weights import stored

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


def test_weights_of_the_codec_read_no_documents(tmp_path: Path) -> None:
    said = "reads only pages that Microfiche set (pack, unpack, measure), not documents\n"
    stored.save(NANO, microfiche.load(), tmp_path / "mine.safetensors")
    mine = ("--checkpoint", str(tmp_path / "mine.safetensors"))
    for name, options in (("mine", mine), ("nano-lines", ("--engine", "nano-lines"))):
        refused = run(PAPER, str(EXAMPLES / "scan.jpg"), "-o", str(tmp_path / "out"), *options, code=2)
        assert refused.stderr == f"microfiche: {name} {said}"
        assert not (tmp_path / "out").exists()


def test_a_folder_of_output_holds_markdown_json_figures_and_overlays(tmp_path: Path) -> None:
    run(PAPER, "-o", str(tmp_path), "--overlay")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "paper.json", "paper.md", "paper/figures/page-0001-1.png", "paper/overlay-0001.png",
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
    assert "1 of 2 documents were not read whole: " in result.stderr
    assert (tmp_path / "out/good.md").exists() and not (tmp_path / "out/bad.md").exists()


def test_the_last_lines_name_what_is_partial_and_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def outcome(name: str, *statuses: Literal["ok", "partial", "failed"]) -> Outcome:
        pages = [PageRead(number=number, status=status) for number, status in enumerate(statuses, 1)]
        return Outcome(name, Document(name=name, sha256="", pages=pages))

    def read_to(*given: Any, each: Callable[[Outcome], None], **more: Any) -> list[Outcome]:
        for one in outcomes:
            each(one)
        return [one for one in outcomes if one.failure]

    monkeypatch.setattr(reading, "read_to", read_to)
    outcomes = [outcome("a.pdf", "ok"), outcome("b.pdf", "partial", "ok", "failed", "partial"), outcome("c", "partial")]
    assert run(PAPER, "-o", str(tmp_path), code=1).stderr.splitlines()[-2:] == [
        "look at what is partial: b.pdf (pages 1, 4), c (page 1)",
        "microfiche: 1 of 1 document was not read whole: b.pdf (page 3)",
    ]
    outcomes = [outcome(f"{number}.pdf", "partial") for number in range(NAMED + 1_200)]
    assert run(PAPER, "-o", str(tmp_path)).stderr.endswith(f" {NAMED - 1}.pdf (page 1) and 1,200 more\n")
    outcomes = [outcome("a.pdf", "ok")]
    assert "look at" not in run(PAPER, "-o", str(tmp_path)).stderr


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


def test_resuming_reads_again_only_the_pages_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second_page_hurried(monkeypatch, 4)
    out = tmp_path / "out"
    (tmp_path / "x.pdf").write_bytes(endless_second_page())
    command = [str(tmp_path / "x.pdf"), "-o", str(out), "--engine", "text"]
    result = run(*command, "--limit", "seconds=4", code=1)
    assert "page 2 failed: took longer than 4 seconds, which is the limit seconds" in result.stderr
    assert result.stderr.splitlines()[-1] == (
        f"microfiche: 1 of 1 document was not read whole: {tmp_path / 'x.pdf'} (page 2)"
    )
    saved = Document.model_validate_json((out / "x.json").read_bytes())
    assert [page.status for page in saved.pages] == ["ok", "failed", "ok"]
    assert "<!-- page 2 failed: took longer" in (out / "x.md").read_text()
    marked = saved.model_copy(update={"pages": [p.model_copy(update={"chosen": "before"}) for p in saved.pages]})
    (out / "x.json").write_text(marked.model_dump_json())
    run(*command, "--limit", "seconds=4", "--resume", code=1)
    again = Document.model_validate_json((out / "x.json").read_bytes())
    assert [page.chosen for page in again.pages] == ["before", "", "before"]


def test_resuming_writes_another_form_from_what_was_read(tmp_path: Path) -> None:
    run(PAPER, "-o", str(tmp_path))
    assert "read before" in run(PAPER, "-o", str(tmp_path), "--resume", "--format", "text").stderr
    assert (tmp_path / "paper.txt").read_text() == run(PAPER, "--format", "text").stdout


def test_a_run_that_broke_off_goes_on_after_its_last_page(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "x", "a" * 64, {"dpi": "144"})
    picture = Image.new("RGB", (100, 100), "white")
    pages = [PageRead(number=n, blocks=[Block(kind="figure", box=(10, 10, 50, 50))]) for n in (1, 2, 3)]
    pages[1] = pages[1].model_copy(update={"status": "failed", "reason": "a power cut"})
    kept = shelf.kept(((page, picture) for page in pages), {})
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


def test_no_name_of_a_file_ends_the_run(tmp_path: Path) -> None:
    """Names as long as there are, alike until they are cut, and one that is no UTF-8; one cannot be written to."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out/b.md").mkdir(parents=True)
    names = [b"a" * 249 + b".pdf", b"a" * 251 + b".pdf", "\u00e9".encode() * 125 + b".pdf", b"caf\xe9.pdf", b"b.pdf"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name)).write_bytes(text_pdf(["words"]))
    command = (str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--engine", "text", "--overlay", "--resume")
    failed = f"1 of 5 documents were not read whole: {tmp_path}/in/b.pdf"
    for _ in range(2):
        assert failed in run(*command, code=1).stderr
    (tmp_path / "out/b.md").rmdir()
    run(*command)
    assert len(list((tmp_path / "out").glob("*.md"))) == 5
    assert (tmp_path / "out/caf_udce9.md").read_text() == "words\n"


def test_a_range_of_pages_goes_as_far_as_each_document(tmp_path: Path) -> None:
    for count in (1, 3):
        (tmp_path / f"{count}.pdf").write_bytes(text_pdf([f"page {n}" for n in range(1, count + 1)]))
    files = [str(tmp_path / f"{count}.pdf") for count in (1, 3)]
    run(*files, "-o", str(tmp_path), "--engine", "text", "--pages", "1-2")
    assert [(tmp_path / f"{count}.md").read_text().count("page") for count in (1, 3)] == [1, 2]


def test_a_document_that_lacks_the_pages_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    for count in (2, 1, 4):
        (tmp_path / f"{count}.pdf").write_bytes(text_pdf([f"page {n}" for n in range(1, count + 1)]))
    files = [str(tmp_path / f"{count}.pdf") for count in (2, 1, 4)]
    result = run(*files, "-o", str(tmp_path), "--engine", "text", "--pages", "3-5", code=1)
    for count in (2, 1):
        said = f"microfiche: {tmp_path}/{count}.pdf: pages '3-5': there is no page 3; the document has {count}\n"
        assert said in result.stderr
    assert (tmp_path / "4.md").read_text().split() == ["page", "3", "page", "4"]
    assert run(files[0], "--pages", "3-5", code=2).stderr.count("\n") == 1
    assert run(*files, "-o", str(tmp_path), "--pages", "5-3", code=2).stderr == (
        "microfiche: pages '5-3': '5-3' runs backwards\n"
    )


def test_names_do_nothing_to_a_terminal_and_end_no_run(tmp_path: Path) -> None:
    names = ["\x1b[2J.pdf", "new\nline.pdf", "[red]x[bold].pdf", "dot..pdf", " .pdf", "\u202egnp.pdf", "a.pdf", "A.pdf"]
    (tmp_path / "in").mkdir()
    for name in names:
        (tmp_path / "in" / name).write_bytes(text_pdf(["words"]))
    (tmp_path / "in/\x07.pdf").write_bytes(b"")
    result = run(str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--engine", "text", code=1)
    assert result.stderr.isascii() and all(line.isprintable() for line in result.stderr.splitlines())
    assert f"{tmp_path}/in/\\x07.pdf: empty" in result.stderr
    assert len(list((tmp_path / "out").glob("*.md"))) == len(names)
    single = run(str(tmp_path / "in/[red]x[bold].pdf"), "--engine", "text")
    assert "[red]x[bold].pdf: 1 page in" in single.stderr


def test_names_are_safe_and_differ() -> None:
    assert names_for(["b.md.pdf", "b.pdf", "B.json.png", "e\u0301.pdf", "\u00e9.pdf", "http://[::1"]) == [
        "b.md", "b-2", "B.json", "\u00e9", "\u00e9-2", "document",
    ]
    assert names_for(["a/b.pdf", "c/b.png", "../../etc/passwd", "-", "x/.pdf", "a*b?.pdf", "B.pdf"]) == [
        "b", "b-2", "passwd", "stdin", "pdf", "a_b_", "B-3",
    ]


def test_an_output_that_can_be_no_folder_is_said_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "file/x/y", "link/x"):
        result = run(PAPER, PAPER, "-o", str(tmp_path / name), code=1)
        base = tmp_path / name.split("/")[0]
        assert result.stderr == f"microfiche: {tmp_path / name}: cannot be the output folder: {base} is not a folder\n"
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("full", [".a.journal", ".a.md.PID.part", ".a.json.PID.part"])
def test_a_full_disk_costs_what_could_not_be_written_in_one_line(full: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.pdf").write_bytes(text_pdf(["words"]))
    out = tmp_path / "out"
    out.mkdir()
    full = full.replace("PID", str(os.getpid()))
    (out / full).symlink_to("/dev/full")
    command = (str(tmp_path / "in"), "-o", str(out), "--engine", "text")
    result = run(*command, code=1)
    (line,) = (line for line in result.stderr.splitlines() if "No space left on device" in line)
    assert line.startswith("microfiche: ")
    assert (out / "b.md").read_text() == "words\n" and not (out / "a.json").exists()
    (out / full).unlink(missing_ok=True)
    run(*command, "--resume")
    assert (out / "a.md").read_text() == "words\n" and not list(out.glob(".*"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((PAPER, PAPER), "need a folder"),
        ((PAPER, "--overlay"), "need a folder"),
        ((PAPER, "--pages", "2"), "there is no page 2"),
        ((PAPER, "--pages", "x"), "not a page or a range"),
        ((PAPER, "--engine", "endpoint"), "--endpoint URL"),
        ((PAPER, "--engine", "deepseek-ocr"), "--weights FOLDER"),
        ((PAPER, "--engine", "unlimited-ocr"), "--weights FOLDER"),
        ((PAPER, "--together"), "--together needs --weights"),
        ((PAPER, "--together", "--endpoint", "http://127.0.0.1:9/v1"), "leave --endpoint out"),
        *(
            ((PAPER, "--endpoint", "http://127.0.0.1:9/v1", *option), "goes with --weights; leave it out")
            for option in (("--mode", "tiny"), ("--dtype", "int8"), ("--adapter", "x"), ("--device", "cuda"))
        ),
        ((PAPER, "--endpoint", "http://127.0.0.1:9/v1", "--weights", "x"), "both say who reads scans"),
        ((PAPER, "--weights", "nowhere", "--dialect", "vllm"), "--dialect goes with --endpoint; leave it out"),
        ((PAPER, "--dialect", "vllm"), "--dialect needs --endpoint"),
        ((PAPER, "--endpoint-model", "x"), "--endpoint-model needs --endpoint"),
        ((PAPER, "--dtype", "int8"), "--dtype needs --weights"),
        ((PAPER, "--mode", "tiny"), "--mode needs --weights"),
        ((PAPER, "--adapter", "x"), "--adapter needs --weights"),
        ((PAPER, "--weights", ""), "--weights is given without a value"),
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


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("encrypted.pdf", encrypted_pdf("sesame"), "encrypted; give its password"),
        ("truncated.pdf", text_pdf()[:400], "damaged or cut short: not a whole PDF"),
        ("no-pages.pdf", raw_pdf(CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"), "has no pages"),
        (
            "million.pdf",
            raw_pdf(CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1000000>>", b"<</Type/Page/Parent 2 0 R>>"),
            "says it has 1,000,000 pages; the limit pages is 10,000",
        ),
        ("empty.png", b"", "empty"),
        ("cut.jpg", b"\xff\xd8\xff\xe0", "damaged or cut short: not a whole JPEG picture"),
        ("page.pdf", b"<html><body>Sign in", "an HTML page, whatever its name says"),
        ("words.tif", b"Dear Sir or Madam", "not a PDF, picture, .md, "),
    ],
)
def test_what_cannot_be_opened_is_one_line_and_leaves_no_file(
    name: str, data: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    for given, stdin in ((str(tmp_path / name), None), ("-", data)):
        result = run(given, "-o", str(tmp_path / "out"), code=1, stdin=stdin)
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"microfiche: {given}: {message}")
        assert not (tmp_path / "out").exists()


def test_an_encrypted_pdf_opens_with_its_password_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pdf").write_bytes(encrypted_pdf("sesame"))
    assert "not its password" in run(str(tmp_path / "x.pdf"), "--password", "open", code=1).stderr
    assert "First page" in run(str(tmp_path / "x.pdf"), "--password", "sesame", "--engine", "text").stdout
    monkeypatch.setenv("MICROFICHE_PASSWORD", "sesame")
    run(str(tmp_path / "x.pdf"), "--engine", "text")


def test_pages_and_dpi_are_those_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(text_pdf([f"Page {n}" for n in range(1, 10)]))
    options = ["--pages", "7,1-3", "--dpi", "72", "--format", "json", "--engine", "text"]
    found = Document.model_validate_json(run(str(tmp_path / "x.pdf"), *options).stdout)
    assert [(p.number, p.width, p.height) for p in found.pages] == [(n, 200, 100) for n in (1, 2, 3, 7)]


def test_without_a_terminal_nothing_but_what_was_done_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(text_pdf())
    told = run(str(tmp_path / "x.pdf"), "--engine", "text").stderr
    assert re.fullmatch(r".*x\.pdf: 3 pages in [\d.]+ s, read by text \(3\)\n", told)


def test_on_a_terminal_progress_is_over_all_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=shown, force_terminal=True, width=100, color_system=None))
    for number in range(3):
        (tmp_path / f"{number}.pdf").write_bytes(text_pdf())
    run(str(tmp_path), "-o", str(tmp_path / "out"), "--engine", "text")
    assert re.search(r"documents .* 3 of 3, 0 s left, [\d.e+]+ pages/s", shown.getvalue())


def test_quiet_says_errors_alone_and_verbose_who_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.pdf").write_bytes(text_pdf(["words"]))
    (tmp_path / "in/b.pdf").write_bytes(b"")
    for flag, lines in (("-q", 2), ("--quiet", 2), ("-v", 5), ("--verbose", 5)):
        for place in (0, 1, 2):
            arguments = ["read", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--engine", "text"]
            arguments.insert(place, flag)
            command = [sys.executable, "-m", "microfiche", *arguments]
            done = subprocess.run(command, capture_output=True, text=True)
            told = done.stderr.splitlines()
            assert done.returncode == 1 and f"microfiche: {tmp_path}/in/b.pdf: empty" in told
            assert told[-1].startswith("microfiche: 1 of 2 documents were not read whole")
            assert (len(told) == 2) is (lines == 2)
            assert any("page 1 by text: " in line for line in told) is (lines == 5)


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


def test_weights_of_ones_own_read_scans(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = PrintModel(PrintConfig((8, 8, 8, 8), (1, 1, 1, 1), 64, (1, 1, 1), 16, (1,)))
    stored.save(PRINT, model, tmp_path / "mine.safetensors")
    Image.effect_noise((300, 200), 80).save(tmp_path / "x.png")
    mine = ["read", str(tmp_path / "x.png"), "--checkpoint", str(tmp_path / "mine.safetensors")]
    result = CliRunner().invoke(app, [*mine, "--format", "json"])
    assert result.exit_code == 0, result.output
    document = Document.model_validate_json(result.stdout)
    assert [page.engine for page in document.pages] == ["mine"]
    assert document.settings["model"] == sha256((tmp_path / "mine.safetensors").read_bytes()).hexdigest()
    refused = CliRunner().invoke(app, [*mine, "--engine", "rapid"])
    assert refused.exit_code == 2 and "leave --engine out" in refused.stderr
    named = CliRunner().invoke(app, mine, env={"MICROFICHE_WEIGHTS": "/none", "MICROFICHE_ENDPOINT": "http://none"})
    assert named.exit_code == 0 and named.stdout == CliRunner().invoke(app, mine).stdout
    for option, value in (("--weights", "/none"), ("--adapter", "/none"), ("--mode", "tiny"), ("--dtype", "int8"),
                          ("--endpoint", "http://none"), ("--task", "ocr")):  # fmt: skip
        for reader in (mine, [*mine[:2], "--engine", "rapid"], [*mine[:2], "--engine", "text"]):
            refused = CliRunner().invoke(app, [*reader, option, value])
            assert refused.exit_code == 2 and f"{option} says how another engine reads" in refused.stderr
    os.mkfifo(tmp_path / "pipe")
    for name in ("deepseek-ocr", "nano-pages", str(tmp_path / "pipe")):  # a checkpoint is a file, never a name
        refused = CliRunner().invoke(app, [*mine[:2], "--checkpoint", name])
        assert refused.exit_code == 1 and f"{name}: no checkpoint there" in refused.stderr
    refused = CliRunner().invoke(app, ["read", str(tmp_path / "x.png"), "--engine", "nano-lines"])
    assert refused.exit_code == 2 and "reads only pages that Microfiche set" in refused.stderr
