"""PIXEL learns to paint what is masked, and a training that is broken off goes on as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microfiche.errors import InputError, UsageError
from microfiche.pixel.checkpoint import load
from microfiche.pixel.strips import Strip, StripRenderer
from microfiche.training.pixel import Recipe, batch_at, train
from microfiche.training.strip_batches import Strips, texts

RECIPE = """
steps = 12
decay_steps = 4
warmup_steps = 2
learning_rate = 1e-2
tokens_per_step = 128
held_out_strips = 2
ema = 0.5
save_every = 5
validate_every = 6
strips = {16 = 0.5, 32 = 0.5}
[model]
width = 32
layers = 2
heads = 2
mlp = 64
decoder_width = 16
decoder_layers = 1
decoder_heads = 2
decoder_mlp = 32
dropout = 0.1
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    (tmp_path / "text").mkdir()
    (tmp_path / "text/en-a.txt").write_text("\n\f\n".join(documents))
    (tmp_path / "text/en-b.txt").write_text("\n\f\n".join(documents[:100]))
    (tmp_path / "text/de-a.txt").write_text("\n\f\n".join(d.replace("the", "der") for d in documents))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def run(corpus: Path, out: str, stop_at: int = 999) -> bytes:
    recipe, device = corpus / "recipe.toml", torch.device("cpu")
    train(recipe, corpus / "text", corpus / out, device, lambda line: None, lambda step: step >= stop_at)
    return (corpus / out / "state.safetensors").read_bytes()


def test_what_was_broken_off_ends_the_same(corpus: Path) -> None:
    unbroken = run(corpus, "unbroken")
    for stop in (3, 7):
        run(corpus, "broken", stop)
    assert run(corpus, "broken") == unbroken
    assert load(corpus / "broken/model.safetensors").config.width == 32
    log = [json.loads(line) for line in (corpus / "unbroken/log.jsonl").read_text().splitlines()]
    assert set(log[-1]["held_out"]) == {"en", "de"}


def test_the_loss_falls(corpus: Path) -> None:
    longer = RECIPE.replace("steps = 12", "steps = 150", 1).replace("validate_every = 6", "validate_every = 75")
    (corpus / "recipe.toml").write_text(longer.replace("tokens_per_step = 128", "tokens_per_step = 512"))
    run(corpus, "longer")
    log = [json.loads(line) for line in (corpus / "longer/log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < 0.92 * log[0]["loss"]
    assert log[-1]["held_out"]["en"] < 0.92


def test_batches_depend_on_their_number_alone(corpus: Path) -> None:
    recipe = Recipe.read(corpus / "recipe.toml")
    drawn = [Strips(texts(corpus / "text", False), StripRenderer(), recipe.ratio) for _ in range(2)]
    batch_at(drawn[0], recipe, 3)
    batches = [batch_at(strips, recipe, 7) for strips in drawn]
    for name in ("patches", "attended", "masked"):
        assert torch.equal(*(getattr(batch, name) for batch in batches))
    shapes = {tuple(batch_at(drawn[0], recipe, n).masked.shape) for n in range(12)}
    assert shapes == {(8, 16), (4, 32)}


def test_strips_hold_text_of_their_language_and_some_end_early(corpus: Path) -> None:
    strips = Strips(texts(corpus / "text", False), StripRenderer(), 0.25)
    rng = np.random.default_rng(0)
    assert "der" in strips.piece(rng, "de", 64) and "der" not in strips.piece(rng, "en", 64)
    batch = strips.batch(rng, 60, 32, "en")
    whole = batch.attended.all(1)
    assert 40 < whole.sum() < 60
    assert (batch.masked.sum(1) == 8).all() and (batch.masked & batch.attended).any(1).all()
    last = batch.attended.sum(1) - 1
    assert (batch.patches[torch.arange(60), last] == 0).all()  # the black patch
    assert (batch.patches[~batch.attended] == 1).all()


def test_what_no_font_draws_is_passed_over(corpus: Path) -> None:
    class Poor(StripRenderer):
        def line(self, text: str, *args: Any, **options: Any) -> Strip:
            if "7" in text or "der" in text:
                raise InputError("no installed font draws it")
            return super().line(text, *args, **options)

    strips = Strips(texts(corpus / "text", False), Poor(), 0.25)
    assert strips.batch(np.random.default_rng(0), 30, 16, "en").patches.shape == (30, 16, 256)
    with pytest.raises(InputError, match="no installed font"):
        strips.batch(np.random.default_rng(0), 30, 32, "de")


def test_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("short")
    with pytest.raises(InputError, match="no training text in it"):
        texts(tmp_path, False)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("width =", "widths =", "'widths' is no key; 'width' is"),
        ("ema", "emma", "'emma' is no key; 'ema' is"),
        ("heads = 2", "heads = 3", "width is 32; it must be a multiple of its 3 heads, and of 4"),
        ("layers = 2", "layers = 0", "layers is 0; whole numbers from 1 to 64 are possible"),
        ("mlp = 64", "mlp = 'wide'", "mlp is 'wide'; whole numbers"),
        ("dropout = 0.1", "dropout = 2", "dropout is 2; it is a share"),
        ("{16 = 0.5", "{600 = 0.5", "strips of 600 patches; 16 to 529 are possible"),
        ("{16 = 0.5", "{16 = -1", "strips: the shares"),
        ("ema = 0.5", "ratio = 0.99", "ratio is 0.99; of 16 patches it masks none or all"),
    ],
)
def test_bad_recipes_are_named(corpus: Path, old: str, new: str, said: str) -> None:
    (corpus / "recipe.toml").write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(UsageError, match=re.escape(said)):
        Recipe.read(corpus / "recipe.toml")
