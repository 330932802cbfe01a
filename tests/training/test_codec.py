"""The codec's stage: its batches, its loss, and a checkpoint that loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from microfiche.readers import load
from microfiche.training.codec import CodecStage, start_compressor
from microfiche.typesetting.alphabet import N_HALF

RECIPE = """
steps = 6
local_steps = 2
decay_steps = 3
tokens_per_step = 4
save_every = 3
validate_every = 6
page_sides = {64 = 0.5, 128 = 0.5}
densities = {7x13 = 0.5, 16x16 = 0.5}
scales = {"1.0" = 0.6, "0.8" = 0.4}
[model]
stem = [8, 8, 16, 32]
local_layers = 1
token_width = 64
global_width = 64
global_layers = 1
readout_layers = 1
square_width = 16
hidden = 32
"""


def test_a_batch_follows_from_its_number(build, same_batches) -> None:
    one, other = build(CodecStage, RECIPE), build(CodecStage, RECIPE)
    same_batches(one, other)
    batches = [one.batch(number) for number in range(12)]
    assert {batch.ink.shape for batch in batches} == {(4, 64, 64), (1, 128, 128)}
    for batch in batches:
        squares, place, target = batch.half
        assert squares.shape == (len(place), 4) and len(place) == len(target) > 0
        assert squares.max() < batch.ink.size // 8**2 and target.max() < N_HALF + 2


def compressor(stage: CodecStage) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in stage.model.encoder.compressor.state_dict().items()}


def test_the_compressor_comes_between_after_the_local_steps(build) -> None:
    stage = build(CodecStage, RECIPE)
    before = compressor(stage)
    for number, begun in ((1, False), (2, True)):
        batch = stage.batch(number)
        loss = stage.loss(number, batch)
        loss.total.backward()
        found = compressor(stage)
        assert any(not torch.equal(found[name], before[name]) for name in before) == begun
        used = any(p.grad is not None and p.grad.any() for p in stage.model.encoder.compressor.parameters())
        assert used == begun
        assert loss.count == len(batch.half[0]) + len(batch.full[0]) and 0 <= loss.right <= loss.count
        assert loss.tokens == 4 and loss.total.item() / loss.count < 12
    start_compressor(stage.model, stage.pages.batch(np.random.default_rng(0), 32, 256), torch.device("cpu"))
    assert all(torch.equal(found[name], value) for name, value in compressor(stage).items())


def test_a_training_writes_a_checkpoint_that_loads_and_goes_on_from(train, tmp_path: Path) -> None:
    train(CodecStage, RECIPE, "out")
    model = load(tmp_path / "out/model.safetensors")
    assert model.config.token_width == 64
    last = json.loads((tmp_path / "out/log.jsonl").read_text().splitlines()[-1])
    assert set(last["held_out"]) == {"7x13", "7x13 random", "7x13 at 0.8", "16x16", "16x16 random", "16x16 at 0.8"}
    on = f'start = "{tmp_path}/out/model.safetensors"\nsteps = 1\ndecay_steps = 1\ntokens_per_step = 1\n'
    train(CodecStage, on + "page_sides = {64 = 1}\ndensities = {7x13 = 1}", "on")
    assert load(tmp_path / "on/model.safetensors").config == model.config
