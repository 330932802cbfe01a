"""pixel fill on what people give it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from microfiche.checkpoints.pixel import save
from microfiche.cli import app
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
    missing = run("pixel", "fill", "a", *out, "--checkpoint", str(tmp_path / "none"), code=1).output
    assert "no checkpoint there" in missing
    assert not (tmp_path / "x.png").exists()
