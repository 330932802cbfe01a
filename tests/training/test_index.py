"""The indexer's stage: its batches, its loss, and weights that load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from microfiche.nano.indexer import CLASSES, LONGEST, IndexerConfig, load_indexer, spelled
from microfiche.readers import load
from microfiche.training.index import IndexStage, Recipe, placed
from microfiche.typesetting.density import DENSITIES, MODES
from microfiche.typesetting.typesetter import Typesetter

RECIPE = """steps = 2
decay_steps = 1
pages = 2
queries = 24
mode = "tiny"
[densities]
7x13 = 1.0
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of letters by chance, some of them in every document, and Chinese."""
    folder: Path = tmp_path_factory.mktemp("words")
    rng, letters = np.random.default_rng(0), list("abcdefghijklmnopqrstuvwxyz")
    words = ["".join(rng.choice(letters, rng.integers(3, 10))) for _ in range(800)]
    (folder / "a.txt").write_text("\n\f\n".join(" ".join(rng.permutation(words)[:400]) for _ in range(60)))
    signs = [chr(0x4E00 + i) for i in range(300)]
    (folder / "zh.txt").write_text("\n\f\n".join("".join(rng.choice(signs, 500)) for _ in range(60)))
    return folder


def test_a_batch_follows_from_its_number(build, same_batches, corpus: Path) -> None:
    one = build(IndexStage, RECIPE, data=corpus)
    same_batches(one, build(IndexStage, RECIPE, data=corpus))
    batch = one.batch(0)
    assert batch.count == 2 * 64 and len(batch.asked) == 24 and batch.spelled.shape[1] == LONGEST
    assert batch.squares.min() < 64 <= batch.squares.max() < batch.count and batch.words.max() < len(batch.spelled)
    wide = build(IndexStage, RECIPE.replace("7x13", "16x16"), data=corpus).batch(0)
    assert (wide.spelled[:, 0] >= CLASSES - 27).all() and not wide.spelled[:, 3:].any()


@pytest.mark.parametrize("density", ["5x8", "7x13", "16x16"])
def test_words_are_placed_where_the_typesetter_sets_them(density: str) -> None:
    text = "\u94a5\u5319" * 60 if density == "16x16" else "".join(f"word{i}, " for i in range(40))
    words, squares = placed(text, DENSITIES[density], 512)
    page = next(Typesetter(DENSITIES[density], MODES["tiny"]).pages([text]))
    middles = spelled(text)[1]
    left, top, _, _ = page.boxes[middles].T
    assert (squares == top // 64 * 8 + left // 64).all() and len(words) == len(middles)
    assert len(placed(text * 300, DENSITIES[density], 512)[0]) < len(spelled(text * 300)[0]), "the page is full"


def test_the_loss_falls_on_a_batch(build, descend, corpus: Path) -> None:
    stage = build(IndexStage, RECIPE, data=corpus)
    batch = stage.batch(0)
    found, stands = stage.scores(batch)
    assert found.shape == stands.shape == (128, 24) and (stands.sum(0) >= 1).all()
    column = int(batch.asked[5])
    assert set(stands[:, 5].nonzero()[:, 0].tolist()) == set(batch.squares[batch.words == column].tolist())
    loss, means = descend(stage, batch, 30, 1e-3)
    assert means[-1] < means[0] / 2 and loss.right >= 22
    assert loss.count == 24 and loss.tokens == 128


def test_texts_shorter_than_a_page_fill_what_they_fill(build, tmp_path: Path) -> None:
    (tmp_path / "short").mkdir()
    documents = [f"Document {i}: the quick brown fox. " * 4 for i in range(220)]
    (tmp_path / "short/a.txt").write_text("\n\f\n".join(documents))
    stage = build(IndexStage, RECIPE, data=tmp_path / "short")
    found = stage.validate(0)
    assert found.keys() == {"7x13, best of 128"} and 0 <= found["7x13, best of 128"] <= 1


def test_a_training_writes_weights_that_load(train, corpus: Path, tmp_path: Path) -> None:
    train(IndexStage, RECIPE, "out", data=corpus)
    loaded = load_indexer(tmp_path / "out/model.safetensors", load("nano").checkpoint)
    assert loaded.config == IndexerConfig()
    last = json.loads((tmp_path / "out/log.jsonl").read_text().splitlines()[-1])
    assert last["held_out"].keys() == {"7x13, best of 128"}


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(train, corpus: Path) -> None:
    whole = train(IndexStage, RECIPE, "whole", data=corpus)
    train(IndexStage, RECIPE, "halves", 1, data=corpus)
    assert train(IndexStage, RECIPE, "halves", data=corpus) == whole


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pages = 2", "pages = 0", "pages: "),
        ("7x13", "7x12", "unknown key '7x12'; did you mean '7x13'?"),
        ('"tiny"', '"tinny"', "unknown key 'tinny'; did you mean 'tiny'?"),
        ("pages = 2", "bank = 8", "unknown key 'bank'"),
        ("1.0", "0", "densities: the shares"),
    ],
)
def test_bad_recipes_are_named(refused, old: str, new: str, said: str) -> None:
    refused(Recipe, RECIPE.replace(old, new, 1), said)
