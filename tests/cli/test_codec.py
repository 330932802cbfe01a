"""The codec's commands on what people give them, and on what goes wrong while they run."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

import microfiche
from microfiche.cli import app
from microfiche.fiche import Fiche
from microfiche.nano.cells import NANO
from microfiche.typesetting.density import DENSITIES
from microfiche.weights.stored import save

COMMAND = [sys.executable, "-c", "from microfiche.cli import main; main()"]
LONG = "The quick brown fox jumps over the lazy dog. " * 40_000


def run(*args: str, code: int = 0, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(app, list(args), input=stdin)
    assert result.exit_code == code, result.output
    return result


def test_a_pdf_is_read_and_packed(tmp_path: Path) -> None:
    paper = Path(__file__).parent.parent.parent / "examples/paper.pdf"
    run("pack", str(paper), "-o", str(tmp_path / "x.fiche"), "--text")
    assert "## 2. What a card holds" in run("unpack", str(tmp_path / "x.fiche"), "--text").stdout


def test_help_names_every_command() -> None:
    shown = run("--help").output
    text, more = ("render", "pack", "unpack", "measure", "read"), ("train", "memory", "pixel")
    for command in (*text, *more, "run", "proxy", "stats", "doctor"):
        assert command in shown
        assert run(command, "--help").output


@pytest.mark.parametrize("density", list(DENSITIES))
def test_a_text_from_standard_input_comes_back(density: str, tmp_path: Path) -> None:
    out = tmp_path / "x.fiche"
    run("pack", "-", "-o", str(out), "--density", density, "--mode", "tiny", "--text", stdin=b"One line.\n")
    assert run("unpack", str(out), "--text").stdout == "One line.\n"


def test_a_folder_is_packed_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "in/deeper").mkdir(parents=True)
    (tmp_path / "in/a.txt").write_text("first")
    (tmp_path / "in/deeper/b.md").write_text("second")
    (tmp_path / "in/picture.png").write_bytes(b"\x89PNG")
    run("pack", str(tmp_path / "in"), "-o", str(tmp_path / "x.fiche"), "--text")
    assert run("unpack", str(tmp_path / "x.fiche"), "--text").stdout == "firstsecond"
    run("render", str(tmp_path / "in"), "-o", str(tmp_path / "pages"))
    assert sorted(p.name for p in (tmp_path / "pages").iterdir()) == ["a-0001.png", "b-0001.png"]


def test_what_of_a_folder_is_no_file_in_it_is_left_out_and_said(tmp_path: Path) -> None:
    folder, away = tmp_path / "in", tmp_path / "away"
    for name in (folder, away):
        name.mkdir()
    (folder / "a.txt").write_text("taken")
    (away / "b.txt").write_text("of no concern")
    (folder / "b.txt").symlink_to(away / "b.txt")
    (folder / "away").symlink_to(away)
    (folder / "back").symlink_to(folder)
    (folder / "picture.png").symlink_to(away)
    os.mkfifo(folder / "c.txt")
    os.mkfifo(folder / "pipe")
    packed = run("pack", str(folder), "-o", str(tmp_path / "x.fiche"), "--text")
    outside = "left out: a link to somewhere outside the folder"
    assert packed.stderr.splitlines()[:-1] == [
        f"{folder}/away: {outside}", f"{folder}/b.txt: {outside}", f"{folder}/c.txt: left out: neither file nor folder",
        f"{folder}/picture.png: {outside}",
    ]  # fmt: skip
    assert run("unpack", str(tmp_path / "x.fiche"), "--text").stdout == "taken"
    (folder / "a.txt").unlink()
    assert "no text files in this folder" in run("pack", str(folder), "-o", str(tmp_path / "y"), code=1).stderr


@pytest.mark.parametrize("command", [("pack", "-o", "x.fiche"), ("render", "-o", "pages"), ("measure",)])
def test_a_pipe_or_a_device_is_not_opened(command: tuple[str, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    os.mkfifo(tmp_path / "pipe.pdf")
    for name in (str(tmp_path / "pipe.txt"), str(tmp_path / "pipe.pdf"), "/dev/zero"):
        refused = run(*command, name, code=1)
        assert refused.stderr.startswith(f"microfiche: {name}: neither file nor folder;")


def test_a_name_that_is_no_utf_8_is_packed_and_shown(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    name = os.fsdecode(os.fsencode(tmp_path) + b"/in/caf\xe9.txt")
    Path(name).write_text("words")
    for given in (name, str(tmp_path / "in")):
        run("pack", given, "-o", str(tmp_path / "x.fiche"))
        with Fiche(tmp_path / "x.fiche") as fiche:
            assert [source.name for source in fiche.manifest.sources] == [f"{tmp_path}/in/caf\\udce9.txt"]
    Path(name).write_text("\U0001f600")
    assert "caf\\udce9.txt: 5x8 cannot draw U+1F600" in run("measure", name, code=1).stderr
    (tmp_path / "in" / ("a" * 251 + ".txt")).write_text("words")
    run("render", str(tmp_path / "in"), "-o", str(tmp_path / "pages"), "--replace", "?")
    assert len(list((tmp_path / "pages").iterdir())) == 2


def test_a_device_is_not_replaced_by_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    refused = run("pack", str(tmp_path / "a.txt"), "-o", "/dev/null", code=1)
    assert refused.stderr == "microfiche: /dev/null: cannot be written: it is not a regular file\n"


def test_replacing_is_said_and_only_on_demand(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("caf\u00e9 \U0001f600")
    out = str(tmp_path / "x.fiche")
    for command in (("measure",), ("render", "-o", str(tmp_path / "pages"))):
        refused = run(command[0], str(tmp_path / "a.txt"), *command[1:], code=1)
        assert "U+1F600" in refused.stderr and "first at character 5" in refused.stderr
    assert not (tmp_path / "pages").exists()
    kept = run("pack", str(tmp_path / "a.txt"), "-o", out)
    assert "1 character that 5x8 cannot draw kept as text" in kept.stderr
    assert run("unpack", out).stdout == "caf\u00e9 \U0001f600"
    replaced = run("pack", str(tmp_path / "a.txt"), "-o", out, "--replace", "?", "--text")
    assert "1 character drawn as '?'" in replaced.stderr
    assert run("unpack", out, "--text").stdout == "caf\u00e9 ?"
    assert "give one character" in run("pack", str(tmp_path / "a.txt"), "-o", out, "--replace", "??", code=1).stderr


def test_another_encoding_has_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("caf\u00e9".encode("latin-1"))
    assert "byte 3" in run("measure", str(tmp_path / "a.txt"), code=1).stderr
    result = json.loads(run("measure", str(tmp_path / "a.txt"), "--encoding", "latin-1", "--json").stdout)
    assert result["characters"] == 4
    assert "not an encoding" in run("measure", str(tmp_path / "a.txt"), "--encoding", "nonsense", code=2).stderr


def test_a_byte_order_mark_and_letters_with_marks_apart_pack_as_without(tmp_path: Path) -> None:
    text = "\u00dcber na\u00efve caf\u00e9s, \u0439\n"
    forms = {"nfc": text, "nfd": normalize("NFD", text), "bom": "\ufeff" + text}
    for name, form in forms.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(form)
        run("pack", str(tmp_path / name / "a.txt"), "-o", str(tmp_path / name / "x.fiche"), "--text")
        assert run("unpack", str(tmp_path / name / "x.fiche"), "--text").stdout == form.removeprefix("\ufeff")
        with Fiche(tmp_path / name / "x.fiche") as fiche:
            assert fiche.manifest.pages[0].text == sha256(text.encode()).hexdigest(), "composed on the page"
    apart = run("pack", str(tmp_path / "nfd/a.txt"), "-o", str(tmp_path / "y.fiche"), "--text")
    assert "4 marks composed with the letters before them (NFC); the stored text has them as they were" in apart.stderr
    run("pack", "-", "-o", str(tmp_path / "y.fiche"), stdin="q\u0308".encode())
    assert run("unpack", str(tmp_path / "y.fiche")).stdout == "q\u0308", "what has no composed form is drawn, too"


@pytest.mark.parametrize("name", ["rot13", "hex", "nonsense"])
@pytest.mark.parametrize("command", [("pack", "-o", "x.fiche"), ("render", "-o", "pages"), ("measure",)])
def test_what_is_no_encoding_of_text_ends_in_one_line(name: str, command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    refused = run(*command, str(tmp_path / "a.txt"), "--encoding", name, code=2)
    assert refused.stderr == f"microfiche: {name!r} is not an encoding of text\n"


def test_random_strings_are_measured_beside_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcdefgh " * 50)
    result = json.loads(run("measure", str(tmp_path / "a.txt"), "--random", "--json").stdout)
    assert result["random"] is True and result["characters"] == 450


def test_pages_can_be_shrunk_and_saved_as_jpeg_before(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcdefgh " * 50)
    whole = json.loads(run("measure", str(tmp_path / "a.txt"), "--json").stdout)
    result = json.loads(run("measure", str(tmp_path / "a.txt"), "--shrink", "512", "--jpeg", "70", "--json").stdout)
    assert (result["shrunk_to"], result["jpeg"]) == (512, 70)
    assert result["vision_tokens"] < whole["vision_tokens"] and whole["shrunk_to"] is None
    assert "multiple of 64" in run("measure", str(tmp_path / "a.txt"), "--shrink", "500", code=2).stderr


def test_pictures_of_a_measurement(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcdefgh " * 20)
    for option, least in (("--plot", (600, 400)), ("--show", (2 * (2 * 512 + 24), 2 * 64))):
        run("measure", str(tmp_path / "a.txt"), "--mode", "tiny", option, str(tmp_path / "out.png"))
        with Image.open(tmp_path / "out.png") as picture:
            assert picture.width >= least[0] and picture.height >= least[1]
            assert len(picture.convert("L").getcolors() or ()) > 2
        (tmp_path / "out.png").unlink()


@pytest.mark.parametrize("options", [(), ("--random",), ("--jpeg", "75")])
def test_the_picture_shows_the_errors_that_were_counted(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "a.txt").write_text((Path(__file__).parents[2] / "examples/alice-1.txt").read_text()[:1500])
    asked = ("measure", str(tmp_path / "a.txt"), "--density", "4x6", "--mode", "tiny", *options)
    counted = json.loads(run(*asked, "--show", str(tmp_path / "out.png"), "--json").stdout)
    with Image.open(tmp_path / "out.png") as picture:
        right = np.asarray(picture)[:, picture.width // 2 + 24 :]
    cells = right[: len(right) // 12 * 12, : right.shape[1] // 8 * 8].reshape(-1, 12, right.shape[1] // 8, 8, 3)
    red = (cells == (255, 150, 150)).all(-1).any(axis=(1, 3)).sum()
    assert counted["pages"] == 1 and red == counted["errors"] > 0
    assert "leave out --shrink" in run(*asked, "--show", str(tmp_path / "x.png"), "--shrink", "256", code=2).stderr


def test_whoever_is_asked_encodes_and_reads(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("It was the best of times, it was the worst of times. " * 5)
    for engine in ("nano", "nano-lines", "nano-pages"):
        out = str(tmp_path / f"{engine}.fiche")
        run("pack", str(tmp_path / "a.txt"), "-o", out, "--engine", engine, "--density", "7x13", "--mode", "tiny")
        read = run("unpack", out, "--engine", engine, "--allow-errors").stdout
        assert "best" in read
        assert run("unpack", out, "--allow-errors").stdout == read
        result = json.loads(run("measure", str(tmp_path / "a.txt"), "--engine", engine, "--json").stdout)
        classes = {"nano": "Nano", "nano-lines": "NanoLines", "nano-pages": "PrintModel"}
        assert result["read_by"] == classes[engine]
    refused = run("unpack", out, "--engine", "nano", code=1).stderr
    assert "tokens of checkpoint nano-pages" in refused and "cannot be read by nano (" in refused
    shown = ("--engine", "nano-pages", "--show", str(tmp_path / "x.png"))
    assert "does not read cell by cell" in run("measure", str(tmp_path / "a.txt"), *shown, code=2).stderr
    for more in ([], ["--weights", "x", "--checkpoint", "y"]):
        refused = run("measure", str(tmp_path / "a.txt"), "--engine", "deepseek-ocr", *more, code=2).stderr
        assert "takes its weights by --weights" in refused


def test_options_that_nobody_would_heed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("It was the best of times.")
    text, out, mine = str(tmp_path / "a.txt"), str(tmp_path / "x.fiche"), str(tmp_path / "mine.safetensors")
    monkeypatch.setenv("MICROFICHE_WEIGHTS", str(tmp_path / "nothing"))
    run("pack", text, "-o", out)
    assert run("unpack", out).stdout == "It was the best of times."
    assert run("measure", text, "--json").stdout
    for command in (("pack", text, "-o", out), ("unpack", out), ("measure", text)):
        for more in ([], ["--engine", "nano-pages"], ["--checkpoint", mine]):
            refused = run(*command, "--weights", "x", *more, code=2).stderr
            assert refused == "microfiche: --weights goes with --engine deepseek-ocr, deepseek-ocr-2, unlimited-ocr\n"
        refused = run(*command, "--engine", "nano-lines", "--checkpoint", mine, code=2).stderr
        assert refused == "microfiche: --checkpoint says who encodes and reads; leave --engine out\n"


def test_tokens_of_own_weights_are_unpacked_by_naming_those(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("It was the best of times.")
    out, mine = str(tmp_path / "x.fiche"), str(tmp_path / "mine.safetensors")
    model = microfiche.load(dtype=torch.float32)
    with torch.no_grad():
        model.readout.half_head.bias.add_(1)
    save(NANO, model, Path(mine))
    run("pack", str(tmp_path / "a.txt"), "-o", out, "--checkpoint", mine)
    assert run("unpack", out, "--checkpoint", mine).stdout == "It was the best of times."
    refused = run("unpack", out, code=1).stderr
    assert "tokens of checkpoint mine" in refused and "--checkpoint FILE" in refused
    assert refused.count("\n") == 1


def pack_until(folder: Path, stop: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Starts to pack a long text over an old file, and stops it by a signal once it writes."""
    (folder / "long.txt").write_text(LONG * 10)  # so long that it is stopped in the middle on any machine
    (folder / "x.fiche").write_bytes(b"what stood here before")
    command = [*COMMAND, "pack", "long.txt", "-o", "x.fiche"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        while not any(p.stat().st_size > 1000 for p in folder.glob(".x.fiche.*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(stop)
        _, said = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, "", said)


def test_ctrl_c_while_packing_leaves_what_was_there(tmp_path: Path) -> None:
    stopped = pack_until(tmp_path, signal.SIGINT)
    assert stopped.returncode == 130
    assert stopped.stderr == "microfiche: stopped; nothing half-written was left\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["long.txt", "x.fiche"]
    assert (tmp_path / "x.fiche").read_bytes() == b"what stood here before"


def test_a_kill_while_packing_leaves_what_was_there_and_the_next_run_tidies_up(tmp_path: Path) -> None:
    pack_until(tmp_path, signal.SIGKILL)
    assert (tmp_path / "x.fiche").read_bytes() == b"what stood here before"
    (tmp_path / "short.txt").write_text("short")
    run("pack", str(tmp_path / "short.txt"), "-o", str(tmp_path / "x.fiche"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["long.txt", "short.txt", "x.fiche"]


def test_a_full_disk_ends_in_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text(LONG)
    (tmp_path / "x.fiche").write_bytes(b"what stood here before")
    done = subprocess.run(
        [*COMMAND, "pack", "long.txt", "-o", "x.fiche"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("microfiche: x.fiche: cannot be written")
    assert done.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["long.txt", "x.fiche"]
    assert (tmp_path / "x.fiche").read_bytes() == b"what stood here before"


def test_memory_stays_bounded_however_long_the_text(tmp_path: Path) -> None:
    """The address space is limited to little more than the program itself takes; the text is 200 MB."""
    with (tmp_path / "long.txt").open("w") as file:
        for _ in range(200_000_000 // len(LONG)):
            file.write(LONG)
        file.write("\U0001f600")
    program = (
        "import resource; from microfiche.cli import main; import microfiche.cli.codec, numpy\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, 400 << 20)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "render", "long.txt", "-o", "pages"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 1
    assert "U+1F600" in done.stderr and f"first at character {len(LONG) * (200_000_000 // len(LONG)):}" in done.stderr
    assert not (tmp_path / "pages").exists()
