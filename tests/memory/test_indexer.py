"""The indexer's formula, its keys on disk, and an exact search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from microfiche.errors import CheckpointError, StoreError
from microfiche.memory import Memory
from microfiche.memory.indexer import keys_file, search, update, word_page
from microfiche.memory.words import query_words
from microfiche.nano.cells import Nano
from microfiche.nano.indexer import INDEX, KEY_STEP, Indexer, IndexerConfig, load_indexer, scores, to_int8
from microfiche.nano.readout import HALF_CLASSES
from microfiche.page import Checkpoint
from microfiche.typesetting.density import DENSITIES
from microfiche.weights import stored

SMALL = IndexerConfig(hidden=64, width=32, heads=4)


@pytest.fixture(scope="module")
def indexer() -> Indexer:
    torch.manual_seed(0)
    return Indexer(SMALL, Checkpoint("small", "1" * 64)).eval().requires_grad_(False)


def test_the_score_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    q, w, keys = torch.randn(3, 4, 8), torch.randn(3, 4), torch.randn(5, 8)
    wanted = [[sum(w[s, h] * max(0.0, float(q[s, h] @ keys[t])) for h in range(4)) for s in range(3)] for t in range(5)]
    torch.testing.assert_close(scores(q, w, keys), torch.tensor(wanted))


def test_keys_are_normalised_and_int8_loses_little(indexer: Indexer) -> None:
    keys = indexer.keys(torch.randn(5, 80, 128, HALF_CLASSES).softmax(-1), 10, 10)
    torch.testing.assert_close(keys.mean(1), torch.zeros(500), atol=1e-5, rtol=0)
    stored = to_int8(keys)
    assert stored.dtype == torch.int8
    assert (stored.float() * KEY_STEP - keys).abs().median() < KEY_STEP / 2


def test_a_stretch_counts_the_same_wherever_it_stands(nano: Nano, indexer: Indexer) -> None:
    seen = torch.zeros(3, 16, 24, HALF_CLASSES)
    word = torch.randn(3, HALF_CLASSES).softmax(-1)
    for page, (row, column) in enumerate([(1, 4), (6, 5), (10, 16)]):
        seen[page, row, column : column + 3] = word
    keys = indexer.keys(seen, 2, 2).view(3, 4, -1)
    for page, token in ((0, 0), (1, 0), (2, 3)):
        torch.testing.assert_close(keys[page, token], keys[0, 0], atol=0.01, rtol=0)
    assert not torch.allclose(keys[0, 0], keys[0, 1], atol=0.1)
    (tokens,) = nano.encode([word_page("lantern", DENSITIES["5x8"])])
    assert nano.likely(tokens.values[None], 1, 1, DENSITIES["5x8"]).shape == (1, 8, 12, HALF_CLASSES)


def test_a_word_stands_on_every_line_at_another_place() -> None:
    page = word_page("lantern", DENSITIES["5x8"])
    assert page.image.shape == (64, 64)
    lines = page.image.reshape(8, 8, 64).min(1)
    left = [int(np.flatnonzero(line == 0)[0]) for line in lines]
    assert left == sorted(left) and left[0] < 5 and left[-1] >= 25
    assert (word_page("incomprehensibilities", DENSITIES["7x13"]).image < 255).any()
    assert query_words("What is the code of Mr. Grey's lantern?") == ["code", "Mr", "Grey's", "lantern"]
    assert query_words("is it") == ["is", "it"] and query_words(" ?! ") == []


def test_search_looks_at_every_key(memory: Memory, alice: str, indexer: Indexer) -> None:
    memory.add(alice * 3, name="alice")
    with pytest.raises(StoreError, match="has no keys"):
        search(memory, indexer, ["rabbit"])
    assert update(memory, indexer) == len(memory.records()) and update(memory, indexer) == 0
    both = search(memory, indexer, ["rabbit hole", "", "orange marmalade jar"], 4)
    assert [len(found) for found in both] == [4, 0, 4]
    for query, found in (("rabbit hole", both[0]), ("orange marmalade jar", both[2])):
        tokens = memory.model.encode([word_page(word, DENSITIES["7x13"]) for word in query.split()])
        q, w = indexer.queries(memory.model.likely(torch.stack([t.values for t in tokens]), 1, 1, DENSITIES["7x13"]))
        wanted = {}
        for record in memory.records():
            page = memory.tokens(record)
            seen = memory.model.likely(page.values[None], page.height, page.width, DENSITIES["7x13"])
            keys = to_int8(indexer.keys(seen, page.height, page.width)).float() * KEY_STEP
            wanted[record.id] = float(scores(q, w, keys).amax(0).sum())
        best = sorted(wanted, key=lambda page: -wanted[page])[:4]
        assert [match.page for match in found] == best
        assert found[0].score == pytest.approx(wanted[best[0]], rel=1e-4)


def test_what_is_added_is_appended_and_another_indexer_begins_anew(
    memory: Memory, alice: str, indexer: Indexer
) -> None:
    memory.add(alice, name="alice")
    update(memory, indexer)
    file = keys_file(memory, indexer)
    before = file.read_bytes()
    file.write_bytes(before + b"what a killed writer left")
    memory.add("A new text. " * 300, name="new")
    assert update(memory, indexer) == 2
    after = file.read_bytes()
    assert after.startswith(before) and len(after) % SMALL.width == 0 and b"killed" not in after
    other = Indexer(SMALL, Checkpoint("other", "2" * 64)).eval()
    with pytest.raises(StoreError, match="has no keys"):
        search(memory, other, ["x"])
    assert update(memory, other) == len(memory.records()) and not file.exists()
    assert len(keys_file(memory, other).read_bytes()) == len(after)
    keys_file(memory, other).write_bytes(after[: len(after) // 2])
    with pytest.raises(StoreError, match="keys are missing"):
        search(memory, other, ["x"])


def test_weights_are_kept_with_their_encoder(nano: Nano, indexer: Indexer, tmp_path: Path) -> None:
    stored.save(INDEX, indexer, tmp_path / "i.safetensors", nano.checkpoint)
    loaded = load_indexer(tmp_path / "i.safetensors", nano.checkpoint)
    seen = torch.randn(1, 20, 30, HALF_CLASSES).softmax(-1)
    torch.testing.assert_close(loaded.keys(seen, 2, 3), indexer.keys(seen, 2, 3), atol=0.1, rtol=0.1)
    with pytest.raises(CheckpointError, match="another checkpoint"):
        load_indexer(tmp_path / "i.safetensors", Checkpoint("other", "3" * 64))


def test_the_weights_that_ship_are_for_the_encoder_that_ships(
    nano: Nano, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert load_indexer(None, nano.checkpoint).config.width == 128
    monkeypatch.setattr("microfiche.weights.__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(CheckpointError, match="microfiche train index"):
        load_indexer(None, nano.checkpoint)
