"""The line decoder learns on a finished encoder's tokens, and a training that is broken off goes on as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from microfiche.errors import UsageError
from microfiche.nano import lines_checkpoint as stored
from microfiche.readers import load
from microfiche.training.lines import Recipe, train

RECIPE = """
steps = 12
decay_steps = 4
warmup_steps = 2
learning_rate = 1e-2
tokens_per_step = 4
save_every = 5
validate_every = 6
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


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("\n\f\n".join(documents))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def run(corpus: Path, out: str, stop_at: int = 99) -> bytes:
    recipe, device = corpus / "recipe.toml", torch.device("cpu")
    train(recipe, corpus / "text", corpus / out, device, lambda line: None, lambda step: step >= stop_at)
    return (corpus / out / "state.safetensors").read_bytes()


def test_the_loss_falls_and_what_was_broken_off_ends_the_same(corpus: Path) -> None:
    unbroken = run(corpus, "unbroken")
    for stop in (3, 7):
        run(corpus, "broken", stop)
    assert run(corpus, "broken") == unbroken
    stored.load(load("nano"), corpus / "broken/model.safetensors")
    (corpus / "recipe.toml").write_text(RECIPE.replace("steps = 12", "steps = 75", 1).replace("= 6", "= 75", 1))
    run(corpus, "longer")
    log = [json.loads(line) for line in (corpus / "longer/log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]
    assert [len(layer) for layer in log[-1]["experts"]] == [4] and 0.9 < log[-1]["balance"] < 4
    assert sum(log[-1]["experts"][0]) == pytest.approx(1, abs=1e-3)
    assert {"4x6", "4x6, readout", "4x6 random", "12x12"} <= set(log[-1]["held_out"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("width =", "widths =", "'widths' is no key; 'width' is"),
        ("4x6", "4x7", "'4x7' is no key; '4x6' is"),
        ("0.7", "-1", "shares"),
        ("width = 32", "width = 33", "width is 33; it must be a multiple of 4"),
        ("experts = 4", "experts = 1", "chosen is 2 of 1 experts"),
        ("[1, 2]", "[0, 2]", "strip is (0, 2); its sides are from 1 to 20 vision tokens"),
    ],
)
def test_bad_recipes_are_named(corpus: Path, old: str, new: str, said: str) -> None:
    (corpus / "recipe.toml").write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(UsageError, match=re.escape(said)):
        Recipe.read(corpus / "recipe.toml")
