"""--device on every command that has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from microfiche.cli import app

COMMANDS = [
    "pack a.txt -o x.fiche", "unpack a.fiche", "measure a.txt", "read a.txt", "read a.txt --weights .",
    "pixel fill words -o x.png", "pixel predict --checkpoint a.txt a.txt",
    "pixel finetune --task classify --train a.txt --dev a.txt --out out",
    *(f"train {stage} --text . --out out"
      for stage in ("codec", "lines", "reader", "print", "index", "pixel")),
    "train deepseek-ocr --pages . --out out --weights .",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("device")
    (path / "a.txt").write_text("Some words.\n" * 200)
    done = CliRunner().invoke(app, ["pack", str(path / "a.txt"), "-o", str(path / "a.fiche"), "--mode", "tiny"])
    assert done.exit_code == 0, done.output
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_one_that_there_is_not_is_refused_in_one_line(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    done = CliRunner().invoke(app, [*command.split(), "--device", "bogus"])
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("microfiche: ") and done.stderr.count("\n") == 1
    assert "device" in done.stderr
    assert sorted(folder.iterdir()) == before
