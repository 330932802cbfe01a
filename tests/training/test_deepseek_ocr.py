"""DeepSeek-OCR tuned on pages at reduced size: what learns, what is saved, what loads back, on one process and two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from microfiche.checkpoints import deepseek_ocr
from microfiche.checkpoints.adapter import CONFIG, WEIGHTS
from microfiche.encoder import views
from microfiche.errors import CheckpointError, InputError, UsageError
from microfiche.models.deepseek_ocr import DeepSeekOCR, DeepSeekOCRConfig
from microfiche.training import deepseek_ocr as tuning
from microfiche.training.deepseek_ocr import Needs, Recipe, example, needs, train
from microfiche.training.loop import recipe_file
from microfiche.training.pages import TaughtPage, taught_pages

RECIPE = """
steps = 4
decay_steps = 2
warmup_steps = 1
learning_rate = 2e-3
mode = "tiny"
pages_per_batch = 2
batches_per_step = 2
held_out = 0.0
save_every = 100
log_every = 2
bf16 = false
"""

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    for i in range(5):
        values = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(values).resize((160, 120)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(" ".join(f"w{20 * i + j}" for j in range(5, 9 + i)))
    return folder


@pytest.fixture
def tune(pages: Path, folder: Path, small: DeepSeekOCRConfig) -> Run:
    def run(out: str, rank: int, more: str = "", stop_at: int = 999, recipe: str = RECIPE) -> dict[str, Any]:
        file = pages.parent / f"{out}.toml"
        file.write_text(more + recipe)
        train(file, pages, pages.parent / out, torch.device("cpu"), lambda line: None, lambda step: step >= stop_at,
              rank=rank, weights=folder, config=small)  # fmt: skip
        return load_file(pages.parent / out / "state.safetensors")

    return run


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@torch.inference_mode()
def logits(model: DeepSeekOCR, pages: Path) -> torch.Tensor:
    mode = views.mode("tiny")
    return model([example(model, page, views.views(page.picture(), mode)) for page in taught_pages(pages)])


def test_an_adapter_learns_is_written_and_loads_back(
    tune: Run, pages: Path, folder: Path, small: DeepSeekOCRConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned: list[DeepSeekOCR] = []
    ours = tuning.add_adapters
    monkeypatch.setattr(tuning, "add_adapters", lambda model, *args: tuned.append(model) or ours(model, *args))
    state = tune("out", 4, recipe=RECIPE.replace("steps = 4", "steps = 16", 1))
    out = pages.parent / "out"
    found = losses(out)
    assert found[-1] < 0.5 * found[0]
    assert all(".lora_" in name for name in state)
    assert {p.split(".layers.")[1].split(".lora")[0] for p in state if ".layers.1." in p} == {
        f"1.{name}" for name in ("self_attn.qkv", "self_attn.o_proj", "mlp.experts.gate_up", "mlp.experts.down",
                                 "mlp.shared_experts.gate_up", "mlp.shared_experts.down")
    }  # fmt: skip
    loaded = deepseek_ocr.load(folder, dtype=torch.float32, config=small, adapter=out / "adapter")
    before = deepseek_ocr.load(folder, dtype=torch.float32, config=small)
    print(found)
    expected = logits(tuned[0].eval(), pages)
    assert (logits(loaded, pages) - expected).abs().max() < 1e-3 * expected.abs().max()
    assert (logits(before, pages) - expected).abs().max() > 0.1 * expected.abs().max()

    from peft import PeftModel

    theirs = PeftModel.from_pretrained(before, out / "adapter")  # type: ignore[arg-type]
    assert (logits(theirs, pages) - expected).abs().max() < 1e-3 * expected.abs().max()
