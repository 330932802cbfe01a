"""The line decoder's stage: its batches, its loss, and a checkpoint that loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from microfiche.nano.cells import line_decoder
from microfiche.readers import load
from microfiche.training.lines import LinesStage, Recipe

RECIPE = """
steps = 4
decay_steps = 2
warmup_steps = 2
learning_rate = 1e-2
tokens_per_step = 4
save_every = 2
validate_every = 4
random_share = 0.0
strip = [1, 2]
densities = {4x6 = 0.7, 12x12 = 0.3}
[decoder]
width = 32
layers = 2
heads = 2
dense = 32
experts = 4
expert = 16
"""


def test_a_batch_follows_from_its_number(build, same_batches) -> None:
    one = build(LinesStage, RECIPE)
    same_batches(one, build(LinesStage, RECIPE))
    strips = [strip for number in range(8) for strip in one.batch(number)]
    assert {(density.name, cells.shape) for density, cells in strips} == {("4x6", (10, 32)), ("12x12", (5, 21))}


def test_the_loss_falls_and_the_encoder_learns_nothing(build, descend) -> None:
    stage = build(LinesStage, RECIPE)
    batch = stage.batch(0)
    loss, found = descend(stage, batch, 12, 1e-2)
    assert found[-1] < 0.8 * found[0]
    assert loss.count == sum(cells.size for _, cells in batch) and loss.tokens == 4 and loss.use.chosen.shape == (1, 4)
    assert not any(p.requires_grad for p in stage.nano.parameters())


def test_a_training_writes_a_checkpoint_that_loads(train, tmp_path: Path) -> None:
    train(LinesStage, RECIPE, "out")
    line_decoder(load("nano"), tmp_path / "out/model.safetensors")
    last = json.loads((tmp_path / "out/log.jsonl").read_text().splitlines()[-1])
    assert [len(layer) for layer in last["experts"]] == [4] and 0.9 < last["balance"] < 4
    assert sum(last["experts"][0]) == pytest.approx(1, abs=1e-3)
    assert {"4x6", "4x6, readout", "4x6 random", "12x12"} <= set(last["held_out"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("width =", "widths =", "unknown key 'widths'; did you mean 'width'?"),
        ("4x6", "4x7", "unknown key '4x7'; did you mean '4x6'?"),
        ("0.7", "-1", "densities: the shares"),
        ("width = 32", "width = 33", "width is 33; it must be a multiple of 4"),
        ("experts = 4", "experts = 1", "chosen is 2 of 1 experts"),
        ("[1, 2]", "[0, 2]", "strip is (0, 2); its sides are from 1 to 20 vision tokens"),
    ],
)
def test_bad_recipes_are_named(refused, old: str, new: str, said: str) -> None:
    refused(Recipe, RECIPE.replace(old, new, 1), said)
