"""The indexer's formula, its words, its keys on disk, and an exact search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from microfiche.errors import CheckpointError, StoreError
from microfiche.memory import Memory
from microfiche.memory.indexer import NEAR, keys_file, keys_of, near, search, update
from microfiche.nano.cells import Nano
from microfiche.nano.indexer import (
    INDEX,
    KEY_STEP,
    LONGEST,
    Indexer,
    IndexerConfig,
    load_indexer,
    scores,
    spelled,
    to_int8,
)
from microfiche.page import Checkpoint, Kept
from microfiche.weights import stored

SMALL = IndexerConfig(spelling=64, width=32, heads=4, buckets=101)


@pytest.fixture(scope="module")
def indexer() -> Indexer:
    torch.manual_seed(0)
    return Indexer(SMALL, Checkpoint("small", "1" * 64)).eval().requires_grad_(False)


def words_in(text: str) -> torch.Tensor:
    return torch.from_numpy(spelled(text)[0])


def test_the_score_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    q, w, keys = torch.randn(3, 4, 8), torch.randn(3, 4), torch.randn(5, 8)
    wanted = [[sum(w[s, h] * max(0.0, float(q[s, h] @ keys[t])) for h in range(4)) for s in range(3)] for t in range(5)]
    torch.testing.assert_close(scores(q, w, keys), torch.tensor(wanted))


def test_words_are_spelled_without_case_and_accents_where_they_stand() -> None:
    text = "Die Straße, (Zażółć_7f) \u94a5\u5319 ok"
    words, middles = spelled(text)
    assert [text[at] for at in middles] == ["i", "r", "ż", "7", "\u94a5", "\u5319", "o"]
    same, _ = spelled("die stra\u1e9ee zazołc 7F \u94a5\u5319 OK")
    assert (words == same).all() and not (words[4] == words[5]).all()
    long, _ = spelled("incomprehensibilities incomprehensibility")
    assert long.shape == (2, LONGEST) and (long[0] == long[1]).all() and long.min() > 0
    for empty in ("", " ?! ", "\U0001f407\ud800"):
        assert spelled(empty)[0].shape == (0, LONGEST) and not len(spelled(empty)[1])


def test_keys_are_normalised_and_int8_loses_little(indexer: Indexer) -> None:
    words = torch.arange(500)
    every = torch.randint(0, 64, (500, LONGEST), generator=torch.Generator().manual_seed(0))
    keys = indexer.keys(every, words, words // 5, 100)
    torch.testing.assert_close(keys.mean(1), torch.zeros(100), atol=1e-5, rtol=0)
    stored = to_int8(keys)
    assert stored.dtype == torch.int8
    assert (stored.float() * KEY_STEP - keys).abs().median() < KEY_STEP / 2


def test_a_square_is_its_words_in_any_order_and_knows_them_untrained(indexer: Indexer) -> None:
    words = words_in("lantern quarry Anselm brickyard granary weir")
    stands = torch.tensor([0, 1, 1, 0, 2, 3])
    keys = indexer.keys(words, torch.tensor([0, 1, 0, 1, 2, 3]), stands, 5)
    torch.testing.assert_close(keys[0], keys[1])
    assert not keys[4].any(), "nothing stands there"
    best = scores(*indexer.queries(words), keys).argmax(0).tolist()
    assert best[2:4] == [2, 3] and set(best[:2]) <= {0, 1}
    near, far = indexer.spelling(words_in("lantern lanterns lantern")), indexer.spelling(words_in("lantern wallpaper"))
    assert (near[0] == near[2]).all()
    assert abs(torch.cosine_similarity(near[0], near[1], 0)) < 0.5 > abs(torch.cosine_similarity(far[0], far[1], 0))


def test_search_looks_at_every_key(memory: Memory, alice: str, indexer: Indexer) -> None:
    memory.add(alice * 3, name="alice")
    with pytest.raises(StoreError, match="has no keys"):
        search(memory, indexer, ["rabbit"])
    assert update(memory, indexer) == len(memory.records()) and update(memory, indexer) == 0
    both = search(memory, indexer, ["Rabbit hole", "", "orange the marmalade jar"], 4)
    assert [len(found) for found in both] == [4, 0, 4]
    for query, found in (("rabbit hole", both[0]), ("orange marmalade jar", both[2])):
        q, w = indexer.queries(words_in(query))
        wanted, where = {}, {}
        for record in memory.records():
            keys = to_int8(keys_of(memory, indexer, memory.tokens(record))).float() * KEY_STEP
            each = near(scores(q, w, keys).numpy(), record.side // 64).sum(1)
            wanted[record.id], where[record.id] = float(each.max()), int(each.argmax())
        best = sorted(wanted, key=lambda page: -wanted[page])[:4]
        assert [match.page for match in found] == best and found[0].token == where[best[0]]
        assert found[0].score == pytest.approx(wanted[best[0]], rel=1e-4)


def test_a_stretch_goes_on_at_the_other_edge_of_its_row_or_of_the_next() -> None:
    each = np.random.default_rng(0).random((6 * 8, 3), np.float32)
    rows, found = each.reshape(6, 8, 3), near(each, 8).reshape(6, 8, 3)
    for row in range(6):
        for column in range(8):
            squares = []
            for at in range(column - NEAR, column + NEAR + 1):
                squares.append(rows[row, at % 8])
                beside = row + (at >= 8) - (at < 0)
                squares += [rows[beside, at % 8]] if 0 <= beside < 6 else []
            np.testing.assert_array_equal(found[row, column], np.max(squares, 0))


def test_a_key_is_made_of_the_words_that_stand_in_its_square(memory: Memory, alice: str, indexer: Indexer) -> None:
    memory.add(alice, name="alice")
    record = memory.records()[0]
    page = memory.tokens(record)
    keys = keys_of(memory, indexer, page)
    assert keys.shape == (len(page), SMALL.width)
    words, middles = spelled(memory.text(record))
    boxes = memory.model.read([page])[0].boxes[middles]
    square = (boxes[:, 1] + boxes[:, 3]) // 128 * page.width + (boxes[:, 0] + boxes[:, 2]) // 128
    mine = torch.from_numpy(np.flatnonzero(square == 9))
    alone = indexer.keys(torch.from_numpy(words), mine, torch.zeros_like(mine), 1)
    torch.testing.assert_close(keys[9], alone[0], atol=1e-4, rtol=1e-4)
    assert page.setting
    kept = replace(page, setting=replace(page.setting, kept=(Kept(0, 30, "xylophone " * 9),)))
    torch.testing.assert_close(keys_of(memory, indexer, kept), keys)


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
    words = "the orange marmalade"
    wanted = indexer.queries(words_in(words))[0]
    torch.testing.assert_close(loaded.queries(words_in(words))[0], wanted, atol=0.1, rtol=0.1)
    with pytest.raises(CheckpointError, match="another checkpoint"):
        load_indexer(tmp_path / "i.safetensors", Checkpoint("other", "3" * 64))


def test_the_weights_that_ship_are_for_the_encoder_that_ships(
    nano: Nano, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert load_indexer(None, nano.checkpoint).config.width == 256
    monkeypatch.setattr("microfiche.weights.__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(CheckpointError, match="microfiche train index"):
        load_indexer(None, nano.checkpoint)
