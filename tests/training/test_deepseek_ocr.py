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

from microfiche.cli import app
from microfiche.deepseek_ocr import checkpoint as deepseek_ocr
from microfiche.deepseek_ocr import views
from microfiche.deepseek_ocr.adapter import CONFIG, WEIGHTS
from microfiche.deepseek_ocr.family import DeepSeekOCRConfig
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.devices import DTYPE
from microfiche.errors import CheckpointError, InputError, TrainingError, UsageError
from microfiche.training import deepseek_ocr as tuning
from microfiche.training.deepseek_ocr import DeepSeekStage, Needs, Recipe, example, needs
from microfiche.training.loop import train
from microfiche.training.recipe import recipe_file
from microfiche.training.taught_pages import taught_pages

RECIPE = """
steps = 4
decay_steps = 2
warmup_steps = 1
learning_rate = 4e-3
mode = "tiny"
batches_per_step = 2
held_out = 0.0
save_every = 100
log_every = 1
bf16 = false
"""

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    for i in range(3):
        values = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(values).resize((160, 120)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(" ".join(f"w{20 * i + j}" for j in range(5, 9 + i)))
    return folder


@pytest.fixture
def tune(pages: Path, folder: Path, small: DeepSeekOCRConfig) -> Run:
    def run(out: str, rank: int, more: str = "", stop_at: int = 999, recipe: str = RECIPE) -> dict[str, Any]:
        file = pages.parent / f"{out}.toml"
        file.write_text(more + recipe)
        train(DeepSeekStage, file, pages, pages.parent / out, torch.device("cpu"), stop=lambda step: step >= stop_at,
              folder=pages.parent / out, rank=rank, weights=folder, config=small)  # fmt: skip
        return load_file(pages.parent / out / "state.safetensors")

    return run


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@torch.inference_mode()
def logits(model: DeepSeekOCR, pages: Path) -> torch.Tensor:
    mode = views.mode("tiny")
    given, _ = model([example(model, page, views.views(page.picture(), mode)) for page in taught_pages(pages)])
    return given


def test_an_adapter_learns_is_written_and_loads_back(
    tune: Run, pages: Path, folder: Path, small: DeepSeekOCRConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned: list[DeepSeekOCR] = []
    ours = tuning.add_adapters
    monkeypatch.setattr(tuning, "add_adapters", lambda model, *args: tuned.append(model) or ours(model, *args))
    state = tune("out", 4, recipe=RECIPE.replace("steps = 4", "steps = 12", 1))
    out = pages.parent / "out"
    found = losses(out)
    assert found[-1] < 0.6 * found[0]
    assert all(".lora_" in name for name in state)
    assert {p.split(".layers.")[1].split(".lora")[0] for p in state if ".layers.1." in p} == {
        f"1.{name}" for name in ("self_attn.qkv", "self_attn.o_proj", "mlp.experts.gate_up", "mlp.experts.down",
                                 "mlp.shared_experts.gate_up", "mlp.shared_experts.down")
    }  # fmt: skip
    loaded = deepseek_ocr.load(folder, dtype=torch.float32, config=small, adapter=out / "adapter")
    before = deepseek_ocr.load(folder, dtype=torch.float32, config=small)
    expected = logits(tuned[0].eval(), pages)
    assert (logits(loaded, pages) - expected).abs().max() < 1e-3 * expected.abs().max()
    assert (logits(before, pages) - expected).abs().max() > 0.1 * expected.abs().max()

    from peft import PeftModel

    theirs = PeftModel.from_pretrained(before, out / "adapter")  # type: ignore[arg-type]
    assert (logits(theirs, pages) - expected).abs().max() < 1e-3 * expected.abs().max()


def test_what_was_broken_off_ends_the_same_and_knows_what_it_was(tune: Run, pages: Path) -> None:
    unbroken = tune("unbroken", 2, "ema = 0.5\ncheckpoint_activations = true\n")
    tune("broken", 2, "ema = 0.5\ncheckpoint_activations = true\n", stop_at=3)
    with pytest.raises(UsageError, match="was begun with --lora 2; go on with that"):
        tune("broken", 3, "ema = 0.5\ncheckpoint_activations = true\n")
    again = tune("broken", 2, "ema = 0.5\ncheckpoint_activations = true\n")
    assert unbroken.keys() == again.keys()
    assert all(torch.equal(unbroken[name], again[name]) for name in unbroken)
    assert losses(pages.parent / "broken") == losses(pages.parent / "unbroken")


def test_the_whole_model_learns_but_sam_and_loads_under_the_published_names(
    tune: Run, pages: Path, small: DeepSeekOCRConfig, tensors: dict[str, torch.Tensor]
) -> None:
    state = tune("out", 0)
    out = pages.parent / "out"
    loaded = deepseek_ocr.load(out / "checkpoint", dtype=torch.float32, config=small)
    said = json.loads((out / "checkpoint/config.json").read_text())
    assert said["architectures"] == ["DeepseekOCRForCausalLM"]
    for name, parameter in loaded.named_parameters():
        if ".sam." in name:
            assert f"model/{name}" not in state
        else:
            assert torch.equal(parameter, state[f"model/{name}"].bfloat16().float()), name
    stored = load_file(out / "checkpoint/model.safetensors")
    for name, value in stored.items():
        frozen = "sam_model" in name
        assert torch.equal(value, tensors[name].bfloat16()) == frozen, name
    found = losses(out)
    assert found[-1] < found[0]


SCRIPT = """
import shutil, sys
from pathlib import Path
import torch
from microfiche.decoder.moe import MoEConfig
from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.sam import SAMConfig
from microfiche.deepseek_ocr.family import DeepSeekOCRConfig
from microfiche.training import parallel
from microfiche.training.deepseek_ocr import DeepSeekStage
from microfiche.training.loop import train

here, weights = map(Path, sys.argv[1:])
config = eval(Path(here / "config").read_text())
with parallel.processes("cpu") as device:
    for stop in (1, 4):
        train(DeepSeekStage, here / "one.toml", here / "pages", here / "two", device, print,
              lambda step: step >= stop, folder=here / "two", rank=0, weights=weights, config=config)
        if parallel.rank() == 0 and stop == 1:
            shutil.copytree(here / "two", here / "half")
"""


def test_two_processes_share_the_model_and_train_as_one(
    tune: Run, pages: Path, folder: Path, small: DeepSeekOCRConfig
) -> None:
    here = pages.parent
    # A low rate, for what is rounded otherwise moves a weight by a whole step of AdamW where its gradient is nothing.
    recipe = "ema = 0.5\n" + RECIPE.replace("4e-3", "1e-5")
    first, one = tune("one", 0, recipe=recipe, stop_at=1), tune("one", 0, recipe=recipe)
    (here / "script.py").write_text(SCRIPT)
    (here / "config").write_text(repr(small))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "script.py"]
    done = subprocess.run(
        [*command, str(here), str(folder)],
        cwd=here, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    two = load_file(here / "two/state.safetensors")
    (here / "half.toml").write_bytes((here / "one.toml").read_bytes())
    both_first = load_file(here / "half/state.safetensors")
    half = tune("half", 0, recipe=recipe)
    for ours, theirs, near in ((first, both_first, 1e-4), (one, two, 1e-2), (one, half, 1e-2)):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            far = (theirs[name] - value).abs().max()
            assert far <= near * value.abs().max() + 8e-5 * name.startswith("m"), (name, far)
    assert losses(here / "two") == pytest.approx(losses(here / "one"), rel=1e-4)
    loaded = deepseek_ocr.load(here / "two/checkpoint", dtype=torch.float32, config=small)
    weight = loaded.decoder.layers[1].mlp.experts.down.weight
    assert torch.equal(weight, two["mean/decoder.layers.1.mlp.experts.down.weight"].bfloat16().float())


def test_memory_is_told_and_refused_before_anything_is_loaded(
    tune: Run, small: DeepSeekOCRConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = DeepSeekOCRConfig()
    everything, sam = 3_336_106_240 - 602_112, 95_569_152
    full = needs(published, 0)
    assert full == Needs(4 * everything, 4 * (everything - sam), 8 * (everything - sam), 0, 4 * everything)
    assert str(full) == "52.2 GB (13.3 weights, 13.0 gradients, 25.9 moments)"
    eight = needs(published, 0, processes=8, mean=True)
    assert eight.loading == 4 * everything < eight.total < 14e9
    assert eight.weights < 4e9 and eight.moments < 6e9 and eight.mean == eight.gradients
    lora = needs(published, 16)
    assert 6.6e9 < lora.weights < 7e9 and lora.moments == 2 * lora.gradients < 1e9
    assert needs(published, 32).gradients == 2 * lora.gradients
    monkeypatch.setattr(tuning, "free_memory", lambda device: 1000)
    monkeypatch.setattr(deepseek_ocr, "load", None)
    with pytest.raises(UsageError, match=r"tuning needs 0\.0 GB \(.* weights, .*0\.0 GB are free; --lora needs less"):
        tune("out", 0)


def test_weights_of_another_model_are_refused_before_anything_is_loaded(
    pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepseek_ocr, "load", None)
    weights = tmp_path / "weights"
    weights.mkdir()
    others = {"UnlimitedOCRForCausalLM": "unlimited-ocr", "DeepseekOCR2ForCausalLM": "deepseek-ocr-2"}
    for architecture, name in others.items():
        (weights / "config.json").write_text(json.dumps({"architectures": [architecture]}))
        command = ["train", "deepseek-ocr", "--pages", str(pages), "--out", str(tmp_path / "out"), "--weights"]
        result = CliRunner().invoke(app, [*command, str(weights)])
        assert result.exit_code == 2 and f"weights of {name}; only deepseek-ocr can be tuned" in result.stderr


def test_the_count_of_adapters_is_what_they_hold(tune: Run, small: DeepSeekOCRConfig) -> None:
    state = tune("out", 2, stop_at=1)
    held = sum(value.numel() for name, value in state.items() if name.startswith("model/"))
    assert needs(small, 2).gradients == 4 * held


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("w5 <image>", r"0\.png: its answer holds the special token <image>"),
        ("w5 w511", r"0\.png: its answer holds the special token w511"),
        ("w5 " * 2000, r"0\.png: 2077 tokens, 73 of them for the page in mode tiny; the context holds 2048; cut"),
    ],
)
def test_an_answer_that_cannot_be_taught_is_told_with_its_page(tune: Run, pages: Path, answer: str, said: str) -> None:
    (pages / "0.txt").write_text(answer)
    with pytest.raises(InputError, match=said):
        tune("out", 2)


def test_a_loss_that_is_no_number_names_its_pages(tune: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tune("out", 2, stop_at=2)
    ours = tuning.losses

    def losses(*args: Any) -> Any:
        total, *rest = ours(*args)
        return total * float("nan"), *rest

    monkeypatch.setattr(tuning, "losses", losses)
    with pytest.raises(TrainingError, match=r"loss is nan at step 3 \(batch 4, .*\.png; batch 5, .*of step 2"):
        tune("out", 2)
    monkeypatch.undo()
    again = tune("out", 2, stop_at=2)
    assert all(torch.equal(good[name], again[name]) for name in good)


def test_held_out_pages_are_measured_and_never_all_held(tune: Run, pages: Path) -> None:
    share = "held_out = 0.5"
    held = [page.held_out(0.5) for page in taught_pages(pages)]
    assert 0 < sum(held) < 3
    tune("out", 2, recipe=RECIPE.replace("held_out = 0.0", share))
    last = json.loads((pages.parent / "out/log.jsonl").read_text().splitlines()[-1])
    assert last["held_out"].keys() == {"free", "free, probability"}
    assert 0 < last["held_out"]["free, probability"] < 1
    with pytest.raises(InputError, match="all 3 pages are held out"):
        tune("none", 2, recipe=RECIPE.replace("held_out = 0.0", "held_out = 0.9999"))


@pytest.mark.parametrize("rank", [2, 0])
def test_in_bfloat16_it_learns_as_well(tune: Run, pages: Path, rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for fast, bf16 in (("bfloat16", "true"), ("bfloat16", "false"), ("float32", "true")):
        monkeypatch.setenv(DTYPE, fast)
        out = f"{fast} {bf16}"
        tune(out, rank, "checkpoint_activations = true\n", recipe=RECIPE.replace("bf16 = false", f"bf16 = {bf16}"))
        found[fast, bf16] = losses(pages.parent / out)
    narrow, wide, only = found.values()
    assert narrow == pytest.approx(wide, rel=0.1) and narrow != wide
    assert only == wide, "where bfloat16 is slow, it is not used"


def test_adapters_without_peft_are_refused_at_once(tune: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"adapters need peft: pip install 'microfiche\[train\]'"):
        tune("out", 2)


@pytest.fixture
def adapter(tune: Run, pages: Path) -> Path:
    tune("out", 2, recipe=RECIPE.replace("\nsteps = 4", "\nsteps = 2", 1))
    return pages.parent / "out/adapter"


def test_an_adapter_that_is_damaged_or_anothers_is_refused(
    adapter: Path, folder: Path, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    def refused(said: str) -> None:
        with pytest.raises(CheckpointError, match=said):
            deepseek_ocr.load(folder, config=small, adapter=adapter)

    tensors, config = load_file(adapter / WEIGHTS), json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps({**config, "use_rslora": True}))
    refused("use_rslora is not supported")
    (adapter / CONFIG).write_text(json.dumps({**config, "r": 0}))
    refused("r is 0 and lora_alpha 2; both must be numbers above 0")
    (adapter / CONFIG).write_text(json.dumps({**config, "r": 3}))
    refused(r"lora_A\.weight is \(\d+, 64\) of F32, not \(\d+, 64\) floats")
    (adapter / CONFIG).write_text("[]")
    refused("not the configuration of an adapter")
    (adapter / CONFIG).write_text(json.dumps(config))
    name = "base_model.model.decoder.layers.0.self_attn.qkv.lora_A.weight"
    save_file({key: value for key, value in tensors.items() if key != name}, adapter / WEIGHTS)
    refused(f"{name} is missing")
    save_file({**tensors, "x.lora_A.weight": torch.zeros(2, 2)}, adapter / WEIGHTS)
    refused(r"x\.lora_A\.weight belongs to no part")
    save_file(tensors, adapter / WEIGHTS)
    data = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(data[: len(data) // 2])
    refused("floats|not a whole safetensors file")
    (adapter / WEIGHTS).unlink()
    refused("no adapter there")


def test_an_adapter_merges_into_a_checkpoint(
    adapter: Path, folder: Path, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    changed = deepseek_ocr.load(folder, dtype=torch.float32, config=small, adapter=adapter)
    deepseek_ocr.save(changed, tmp_path / "merged", torch.float32)
    merged = deepseek_ocr.load(tmp_path / "merged", dtype=torch.float32, config=small)
    for (name, ours), theirs in zip(changed.named_parameters(), merged.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    with pytest.raises(UsageError, match="a model in int8 cannot be saved"):
        deepseek_ocr.save(deepseek_ocr.load(folder, dtype=torch.int8, config=small), tmp_path / "none")


def test_an_adapter_is_read_into_int8_weights_too(adapter: Path, folder: Path, small: DeepSeekOCRConfig) -> None:
    tensors = load_file(adapter / WEIGHTS)
    save_file({name: value + 0.1 for name, value in tensors.items()}, adapter / WEIGHTS)
    plain, changed = (
        deepseek_ocr.load(folder, dtype=torch.int8, config=small, adapter=a).decoder.layers[1].mlp.experts.down
        for a in (None, adapter)
    )
    expected = deepseek_ocr.load(folder, dtype=torch.float32, config=small, adapter=adapter)
    weight = expected.decoder.layers[1].mlp.experts.down.weight
    assert not torch.equal(plain.weight, changed.weight)
    assert (changed.weight * changed.scale[..., None] - weight).abs().max() < 1e-2 * weight.abs().max()


def test_the_command_tunes_says_what_it_needs_and_where_it_is(
    pages: Path, folder: Path, small: DeepSeekOCRConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "DeepSeekOCRConfig", lambda: small)
    file, out = pages.parent / "recipe.toml", pages.parent / "out"
    file.write_text(RECIPE.replace("\nsteps = 4", "\nsteps = 2", 1))
    command = ["train", "deepseek-ocr", "--pages", str(pages), "--out", str(out)]
    command += ["--weights", str(folder), "--recipe", str(file)]
    done = CliRunner().invoke(app, [*command, "--lora", "2"])
    assert done.exit_code == 0, done.output
    said = done.stderr.splitlines()
    assert said[0] == "3 pages to learn, 0 held out; nothing will be measured"
    assert said[1].startswith("needs 0.0 GB (") and said[1].endswith("and activations on cpu")
    assert said[-1] == f"{out / 'adapter'} is done"
    assert (out / "curve.png").exists()
    for more, said_instead in (
        (["--full", "--lora", "2"], "--lora and --full exclude each other"),
        (["--pages", "none"], "none: not a folder of pages"),
    ):
        failed = CliRunner().invoke(app, [*command, *more])
        assert failed.exit_code == 2
        assert failed.stderr.strip() == f"microfiche: {said_instead}"


def test_the_recipe_that_ships_is_one() -> None:
    recipe = Recipe.read(recipe_file("deepseek-ocr"))
    assert (recipe.learning_rate, recipe.mode) == (3e-5, "gundam")
