"""The indexer's stage: its bank and batches, its loss, and weights that load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from microfiche.nano.indexer import IndexerConfig, load_indexer
from microfiche.nano.readout import HALF_CLASSES
from microfiche.readers import load
from microfiche.training import index
from microfiche.training.index import IndexStage, Recipe, query_of

RECIPE = """steps = 2
decay_steps = 1
queries = 6
bank = 8
mode = "tiny"
[densities]
7x13 = 1.0
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of letters by chance, some of them in every document."""
    folder: Path = tmp_path_factory.mktemp("words")
    rng, letters = np.random.default_rng(0), list("abcdefghijklmnopqrstuvwxyz")
    words = ["".join(rng.choice(letters, rng.integers(3, 10))) for _ in range(800)]
    (folder / "a.txt").write_text("\n\f\n".join(" ".join(rng.permutation(words)[:400]) for _ in range(60)))
    return folder


def test_a_batch_follows_from_its_number(build, same_batches, corpus: Path) -> None:
    one = build(IndexStage, RECIPE, data=corpus)
    same_batches(one, build(IndexStage, RECIPE, data=corpus))
    batch = one.batch(0)
    assert batch.pages.shape == (6, 39, 73, HALF_CLASSES) and all(2 <= len(words) <= 6 for words in batch.queries)


def test_the_loss_falls_on_a_batch(build, descend, corpus: Path) -> None:
    stage = build(IndexStage, RECIPE, data=corpus)
    batch = stage.batch(0)
    loss, found = descend(stage, batch, 12, 1e-3)
    assert found[-1] < 0.3 < found[0] and loss.right == 6
    assert loss.count == 6 and loss.tokens == 6 * 64


def test_a_bank_changes_slowly_and_follows_from_the_number(
    build, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "FRESH", 0.5)
    bank = build(IndexStage, RECIPE, data=corpus).bank
    (density,) = bank.pages.densities
    first, later = bank.at(0, density), bank.at(4, density)
    assert len(first) == len(later) == 8 and all(a is b for a, b in zip(first[2:], later[:6], strict=True))
    again = build(IndexStage, RECIPE, data=corpus).bank.at(4, density)
    assert [page.text for page in again] == [page.text for page in later]
    for page, same in zip(later, again, strict=True):
        torch.testing.assert_close(page.cells, same.cells)
        words = query_of(np.random.default_rng(0), page)
        assert words and all(word in page.text for word in words)


def test_a_text_shorter_than_a_page_leaves_the_rest_of_it_empty(build, tmp_path: Path) -> None:
    (tmp_path / "short").mkdir()
    documents = [f"Document {i}: the quick brown fox. " * 4 for i in range(220)]
    (tmp_path / "short/a.txt").write_text("\n\f\n".join(documents))
    stage = build(IndexStage, RECIPE, data=tmp_path / "short")
    pages = stage.held.at(0, stage.held.pages.densities[0])
    assert min(len(page.text) for page in pages) < 2847 and {page.cells.shape[:2] for page in pages} == {(39, 73)}
    assert stage.validate(0).keys() == {"7x13, first of 6"}


def test_a_training_writes_weights_that_load(train, corpus: Path, tmp_path: Path) -> None:
    train(IndexStage, RECIPE, "out", data=corpus)
    loaded = load_indexer(tmp_path / "out/model.safetensors", load("nano").checkpoint)
    assert loaded.config == IndexerConfig()
    last = json.loads((tmp_path / "out/log.jsonl").read_text().splitlines()[-1])
    assert last["held_out"].keys() == {"7x13, first of 6"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bank = 8", "bank = 5", "a bank of 5 pages has no 6 for a batch"),
        ("7x13", "7x12", "unknown key '7x12'; did you mean '7x13'?"),
        ('"tiny"', '"tinny"', "unknown key 'tinny'; did you mean 'tiny'?"),
        ("bank = 8", "words = [3, 2]", "unknown key 'words'"),
        ("1.0", "0", "densities: the shares"),
    ],
)
def test_bad_recipes_are_named(refused, old: str, new: str, said: str) -> None:
    refused(Recipe, RECIPE.replace(old, new, 1), said)
