"""pixel fill on what people give it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from microfiche.cli import app
from microfiche.pixel.checkpoint import save
from microfiche.pixel.model import Pixel, PixelConfig


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(0)
    save(Pixel(PixelConfig(16, 1, 2, 32, 8, 1, 2, 16, channels=1)), tmp_path / "w.safetensors")
    return str(tmp_path / "w.safetensors")


def test_fill_writes_a_picture_and_a_page(tmp_path: Path, weights: str) -> None:
    out, page = tmp_path / "x.png", tmp_path / "x.html"
    said = run("pixel", "fill", "The quick brown fox", "-o", str(out), "--html", str(page), "--checkpoint", weights)
    assert "patches painted, error" in said.output
    first = out.read_bytes()
    with Image.open(out) as picture:
        assert picture.height > 3 * 48
    assert "The quick brown fox" in page.read_text()
    run("pixel", "fill", "The quick brown fox", "-o", str(out), "--checkpoint", weights)
    assert out.read_bytes() == first
    run("pixel", "fill", "The quick brown fox", "-o", str(out), "--checkpoint", weights, "--seed", "5")
    assert out.read_bytes() != first


def test_a_text_that_is_too_long_is_cut_and_said(tmp_path: Path, weights: str) -> None:
    said = run("pixel", "fill", "word " * 2000, "-o", str(tmp_path / "x.png"), "--checkpoint", weights)
    assert "133 of 529 patches" in said.output and "was cut" in said.output


def test_what_cannot_be_is_one_line(tmp_path: Path, weights: str) -> None:
    out = ("-o", str(tmp_path / "x.png"))
    assert "--ratio 1: give a share" in run("pixel", "fill", "a", *out, "--ratio", "1", code=2).output
    assert "nothing to mask" in run("pixel", "fill", " \n", *out, code=2).output
    missing = run("pixel", "fill", "a", *out, "--checkpoint", str(tmp_path / "none"), code=1).output
    assert "no checkpoint there" in missing
    assert not (tmp_path / "x.png").exists()


RECIPE = """
task = "classify"
steps = 4
decay_steps = 4
batch = 2
longest = 16
validate_every = 2
"""


def test_finetune_and_predict(tmp_path: Path, weights: str) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    (tmp_path / "train.tsv").write_text("good\tI like it\nbad\tI do not\n")
    (tmp_path / "dev.tsv").write_text("good\tIt is fine\nugly\tHm\n")
    files = ["--train", str(tmp_path / "train.tsv"), "--dev", str(tmp_path / "dev.tsv"), "--encoder", weights]
    command = ["pixel", "finetune", "--task", "classify", *files, "--recipe", str(tmp_path / "r.toml")]
    said = run(*command, "--out", str(tmp_path / "out"), "--seed", "3").output
    assert "never seen in training, so always wrong in dev: ugly" in said
    assert "best at step" in said and "accuracy" in said
    assert json.loads((tmp_path / "out/metrics.json").read_text())["seed"] == 3
    (tmp_path / "text").write_text("So so\nIt is good\n")
    lines = run("pixel", "predict", "--checkpoint", str(tmp_path / "out"), str(tmp_path / "text")).output.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["So so", "It is good"]
    assert {json.loads(line)["label"] for line in lines} <= {"good", "bad"}


@pytest.mark.parametrize(
    ("task", "content", "said"),
    [
        ("read", "", "no task 'read'; there are classify, tag, ner, parse, answer"),
        ("tag", "1\ta\n", "train:1: 2 columns where a word has 10"),
        ("classify", "a\tone\n", "dev: cannot be read (No such file"),
    ],
)
def test_finetune_says_what_is_wrong(tmp_path: Path, weights: str, task: str, content: str, said: str) -> None:
    (tmp_path / "train").write_text(content)
    files = ["--train", str(tmp_path / "train"), "--dev", str(tmp_path / "dev"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["pixel", "finetune", "--task", task, *files, "--encoder", weights])
    assert result.exit_code in (1, 2) and said in result.output and "Traceback" not in result.output


def test_predict_wants_a_tuned_model(tmp_path: Path, weights: str) -> None:
    (tmp_path / "text").write_text("x")
    said = run("pixel", "predict", "--checkpoint", weights, str(tmp_path / "text"), code=1).output
    assert "not a fine-tuned PIXEL" in said
