"""The engine deepseek-ocr hands pages to the model and says how each ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.deepseek_ocr.model import DeepSeekOCR, Reading
from microfiche.devices import DTYPE
from microfiche.documents.document import Document
from microfiche.documents.engines import DeepSeekEngine
from microfiche.documents.sheet import Sheet


def test_readings_become_pages_with_their_status(monkeypatch: pytest.MonkeyPatch, model: DeepSeekOCR) -> None:
    marked = "<|ref|>title<|/ref|><|det|>[[0, 0, 999, 100]]<|/det|>\n# Head"
    readings = [
        Reading(marked, "ok", "", "gundam", ()),
        Reading("cut", "looped", "looped in gundam, looped in large as well", "gundam", ()),
        Reading("<|det|>broken", "ok", "", "gundam", ()),
    ]
    asked: list[Any] = []

    def read(self: Any, images: Any, mode: str, task: str, **_: Any) -> list[Reading]:
        asked.append((mode, task))
        return readings

    monkeypatch.setattr(DeepSeekOCR, "read", read)
    sheets = [Sheet(n, Image.new("RGB", (100, 200))) for n in (3, 4, 5)]
    pages = DeepSeekEngine(model, task="ocr").read(sheets)
    assert asked == [("gundam", "ocr")]
    assert [(p.number, p.status) for p in pages] == [(3, "ok"), (4, "partial"), (5, "partial")]
    (head,) = pages[0].blocks
    assert (head.kind, head.box, head.text) == ("title", (0, 0, 100, 20), "Head")
    assert pages[1].reason.startswith("looped in gundam") and "grammar" in pages[2].reason


def test_a_small_model_of_random_weights_reads_something_from_a_real_page(model: DeepSeekOCR) -> None:
    (page,) = DeepSeekEngine(model, mode="tiny").read([Sheet(1, Image.effect_noise((300, 200), 80).convert("RGB"))])
    assert (page.engine, page.width, page.height) == ("deepseek-ocr", 300, 200)
    assert page.status in ("ok", "partial") and (page.status == "ok" or page.reason)


@pytest.mark.parametrize(("fast", "size"), [("bfloat16", "3.5 GB"), ("float32", "3.9 GB")])
def test_the_command_reads_with_weights_and_says_what_they_need(
    model: DeepSeekOCR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: str, size: str
) -> None:
    monkeypatch.setenv(DTYPE, fast)
    loaded: list[Any] = []

    def load(*given: Any) -> DeepSeekOCR:
        loaded.append(given)
        return model

    monkeypatch.setattr("microfiche.readers.load", load)
    Image.effect_noise((300, 200), 80).save(tmp_path / "x.png")
    options = ["--weights", "deepseek-ai/DeepSeek-OCR", "--dtype", "int8", "--mode", "tiny", "--format", "json"]
    result = CliRunner().invoke(app, ["read", str(tmp_path / "x.png"), *options])
    assert result.exit_code == 0, result.output
    assert loaded == [("deepseek-ocr", "cpu", torch.int8, "deepseek-ai/DeepSeek-OCR", None)]
    assert f"deepseek-ocr: {size} of weights on cpu" in result.stderr
    (page,) = Document.model_validate_json(result.stdout).pages
    assert (page.engine, page.chosen) == ("deepseek-ocr", "no text layer")
