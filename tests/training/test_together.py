"""Encoder, readout and line decoder learn together, and what is written is a pair."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from microfiche.errors import CheckpointError, UsageError
from microfiche.nano import lines_checkpoint as line_decoders
from microfiche.nano.lines import LineDecoder
from microfiche.nano.model import NanoConfig
from microfiche.readers import load, save
from microfiche.training.codec import new_model
from microfiche.training.together import Recipe, train

TINY = NanoConfig((8, 8, 16, 32), 1, 64, 64, 1, 1, 16, 32)
SIZES = {"width": 32, "layers": 2, "heads": 2, "dense": 32, "experts": 4, "expert": 16}
RECIPE = """
start = "FOLDER/codec.safetensors"
decoder = "FOLDER/codec-lines.safetensors"
steps = 6
decay_steps = 2
warmup_steps = 2
learning_rate = 5e-3
tokens_per_step = 4
save_every = 3
validate_every = 6
random_share = 0.0
strip = [1, 2]
strips = 1
page_sides = {64 = 1.0}
densities = {4x6 = 0.7, 12x12 = 0.3}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("together")
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    (made / "text").mkdir()
    (made / "text/a.txt").write_text("\n\f\n".join(documents))
    save(new_model(TINY, 0), made / "codec.safetensors")
    save(new_model(TINY, 1), made / "other.safetensors")
    codec = load(made / "codec.safetensors")
    decoder = LineDecoder.for_nano(TINY.hidden, TINY.token_width, **SIZES)
    line_decoders.save(decoder, codec.checkpoint, made / "codec-lines.safetensors")
    (made / "recipe.toml").write_text(RECIPE.replace("FOLDER", str(made)))
    return made


def run(folder: Path, out: str, stop_at: int = 999, recipe: str = "recipe.toml") -> bytes:
    device = torch.device("cpu")
    train(folder / recipe, folder / "text", folder / out, device, lambda line: None, lambda step: step >= stop_at)
    return (folder / out / "state.safetensors").read_bytes()


def test_what_was_broken_off_ends_the_same_and_in_a_pair(folder: Path) -> None:
    unbroken = run(folder, "unbroken")
    run(folder, "broken", 4)
    assert not (folder / "broken/model.safetensors").exists()
    assert run(folder, "broken") == unbroken
    new = load(folder / "broken/model.safetensors")
    line_decoders.load(new, folder / "broken/lines.safetensors")
    with pytest.raises(CheckpointError, match="another checkpoint than codec"):
        line_decoders.load(load(folder / "codec.safetensors"), folder / "broken/lines.safetensors")
    with pytest.raises(CheckpointError, match="another checkpoint than model"):
        line_decoders.load(new, folder / "codec-lines.safetensors")


def test_all_parts_learn_and_the_loss_falls(folder: Path) -> None:
    text = (folder / "recipe.toml").read_text()
    for old, new in (("steps = 6", "steps = 50"), ("every = 6", "every = 50"), ("rate = 5e-3", "rate = 1e-2")):
        text = text.replace(old, new, 1)
    (folder / "longer.toml").write_text(text)
    run(folder, "longer", recipe="longer.toml")
    log = [json.loads(line) for line in (folder / "longer/log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]
    assert {"4x6", "12x12", "4x6, lines", "12x12 random, lines"} <= set(log[-1]["held_out"])
    assert [len(layer) for layer in log[-1]["experts"]] == [4]
    before, after = load_file(folder / "codec.safetensors"), load_file(folder / "longer/model.safetensors")
    parts = ("encoder.stem", "encoder.compressor", "encoder.page", "readout.decompressor", "readout.half_head")
    for part in parts:
        assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith(part)), part


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"FOLDER/codec.safetensors"', '""', "start: there is no training together without"),
        ("strip = [1, 2]", "strip = [1, 200]", "strip is (1, 200)"),
        ("steps = 6", "steps = 6\nlocal_steps = 2", "with start there are no local_steps"),
    ],
)
def test_bad_recipes_are_named(folder: Path, old: str, new: str, said: str) -> None:
    (folder / "bad.toml").write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(UsageError, match=re.escape(said)):
        Recipe.read(folder / "bad.toml")


def test_two_that_do_not_belong_to_each_other_are_refused(folder: Path) -> None:
    (folder / "mixed.toml").write_text((folder / "recipe.toml").read_text().replace("codec.safe", "other.safe"))
    with pytest.raises(CheckpointError, match="made for the tokens of another checkpoint than other"):
        run(folder, "mixed", recipe="mixed.toml")
