"""PIXEL's stage: its strips, its loss, and a checkpoint that loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microfiche.errors import InputError
from microfiche.pixel.checkpoint import load
from microfiche.pixel.strips import Strip, StripRenderer
from microfiche.training.pixel import PixelStage, Recipe, Strips, texts_by_language

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


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text in two languages."""
    folder: Path = tmp_path_factory.mktemp("languages")
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    (folder / "en-a.txt").write_text("\n\f\n".join(documents))
    (folder / "en-b.txt").write_text("\n\f\n".join(documents[:100]))
    (folder / "de-a.txt").write_text("\n\f\n".join(d.replace("the", "der") for d in documents))
    return folder


def test_a_training_writes_a_checkpoint_that_loads(train, corpus: Path, tmp_path: Path) -> None:
    train(PixelStage, RECIPE, "out", data=corpus)
    assert load(tmp_path / "out/model.safetensors").config.width == 32
    last = json.loads((tmp_path / "out/log.jsonl").read_text().splitlines()[-1])
    assert set(last["held_out"]) == {"en", "de"}


def test_the_loss_falls(build, descend, corpus: Path) -> None:
    stage = build(PixelStage, RECIPE.replace("tokens_per_step = 128", "tokens_per_step = 512"), data=corpus)
    batch = stage.batch(0)
    _, found = descend(stage, batch, 60, 1e-2)
    assert found[-1] < 0.9 * found[0]


def test_a_batch_follows_from_its_number(build, same_batches, corpus: Path) -> None:
    one = build(PixelStage, RECIPE, data=corpus)
    same_batches(one, build(PixelStage, RECIPE, data=corpus))
    assert {tuple(one.batch(n).masked.shape) for n in range(12)} == {(8, 16), (4, 32)}


def test_dropout_too_follows_from_the_number(build, corpus: Path) -> None:
    stage = build(PixelStage, RECIPE, data=corpus)
    batch = stage.batch(3)
    totals = [stage.loss(number, batch).total.item() for number in (3, 4, 3)]
    assert totals[0] == totals[2] != totals[1]
    loss = stage.loss(3, batch)
    assert loss.count == (batch.masked & batch.attended).sum() and loss.tokens == batch.masked.numel()


def test_strips_hold_text_of_their_language_and_some_end_early(corpus: Path) -> None:
    strips = Strips(texts_by_language(corpus, False), StripRenderer(), 0.25)
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

    strips = Strips(texts_by_language(corpus, False), Poor(), 0.25)
    assert strips.batch(np.random.default_rng(0), 30, 16, "en").patches.shape == (30, 16, 256)
    with pytest.raises(InputError, match="no installed font"):
        strips.batch(np.random.default_rng(0), 30, 32, "de")


def test_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("short")
    with pytest.raises(InputError, match="no training text in it"):
        texts_by_language(tmp_path, False)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("width =", "widths =", "unknown key 'widths'; did you mean 'width'?"),
        ("ema", "emma", "unknown key 'emma'; did you mean 'ema'?"),
        ("heads = 2", "heads = 3", "width is 32; it must be a multiple of its 3 heads, and of 4"),
        ("layers = 2", "layers = 0", "layers is 0; whole numbers from 1 to 64 are possible"),
        ("mlp = 64", "mlp = 'wide'", "mlp is 'wide'; whole numbers"),
        ("dropout = 0.1", "dropout = 2", "dropout is 2; it is a share"),
        ("{16 = 0.5", "{600 = 0.5", "strips of 600 patches; 16 to 529 are possible"),
        ("{16 = 0.5", "{16 = -1", "strips: the shares"),
        ("ema = 0.5", "ratio = 0.99", "ratio is 0.99; of 16 patches it masks none or all"),
    ],
)
def test_bad_recipes_are_named(refused, old: str, new: str, said: str) -> None:
    refused(Recipe, RECIPE.replace(old, new, 1), said)
