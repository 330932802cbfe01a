"""The language pass's stage: its windows are of pages that were read, its pieces of the characters they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from microfiche.errors import InputError
from microfiche.nano.language import GAP, LANGUAGE, LIKELIEST, WINDOW, LanguageConfig
from microfiche.training.language import LanguageStage, Pieces, Recipe, Source, Windows, batch_of
from microfiche.training.sights import Sights
from microfiche.typesetting.alphabet import HALF, glyphs
from microfiche.weights import stored

RECIPE = """
steps = 6
decay_steps = 3
warmup_steps = 0
save_every = 2
validate_every = 3
windows = 3
read_share = 0.5
[model]
code = 8
width = 24
layers = 1
heads = 3
hidden = 16
"""
LINES = ("the quick brown fox", "and the lazy dog.", "ssss mississippi", "0123456789 xyz") * 4


def frame(character: int, centre: bool, rng: np.random.Generator) -> tuple[list[int], list[int], int]:
    """What a reader may see in a frame: mostly what stands there."""
    others = rng.permutation(np.arange(7, 100))[: LIKELIEST - 1].tolist()
    kinds = [character, *others] if rng.random() < 0.9 else [*others, character]
    return kinds, sorted(rng.integers(0, 100, LIKELIEST).tolist()), int(rng.integers(8, 40)) * (1 if centre else -1)


def sights(pages: int = 4, seed: int = 0) -> Sights:
    """Pages of LINES, three frames of each character, the middle one its centre, and three frames before each line."""
    rng = np.random.default_rng(seed)
    kinds, chances, centre, character, stands, lengths = [], [], [], [], [], []
    for _ in range(pages):
        for line in LINES:
            ids = [-1, *(int(i) for i in glyphs(line))]
            for one in ids:
                for part in range(3):
                    k, c, z = frame(max(one, 0), one >= 0 and part == 1, rng)
                    kinds.append(k)
                    chances.append(c)
                    centre.append(z)
                    character.append(one)
                    stands.append(int(one >= 0 and part == 1))
            lengths.append(3 * len(ids))
    return Sights(
        np.array(kinds, np.int16), np.array(chances, np.uint8), np.array(centre, np.int8),
        np.array(character, np.int16), np.array(stands, np.int8), np.cumsum([0, *lengths], dtype=np.int64),
        np.arange(0, len(LINES) * pages + 1, len(LINES), dtype=np.int64), np.arange(pages, dtype=np.uint8) % 2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sights")
    sights().write(folder / "0000.safetensors")
    sights(2, 1).write(folder / "held-out-0001.safetensors")
    return folder


def text_of(character: np.ndarray, stands: np.ndarray) -> str:
    return "".join(HALF[i] for i in character[stands == 1])


def test_windows_hold_a_page_with_its_gaps() -> None:
    of = sights()
    windows = Windows(of)
    for page in range(2):
        first, last = of.pages[page : page + 2]
        begin, end = int(of.lines[first]), int(of.lines[last])
        length = end - begin + GAP * len(LINES)
        assert windows.lengths[page] == length
        whole = np.concatenate([windows.at(page, start) for start in range(0, length, WINDOW)])
        assert (whole[whole >= 0] == np.arange(begin, end)).all()
        assert (whole[:GAP] == -1).all() and whole[GAP] == begin and (whole[length:] == -1).all()
        second = int(of.lines[first + 1]) - begin
        assert (whole[GAP + second : 2 * GAP + second] == -1).all() and whole[2 * GAP + second] == begin + second
        assert (windows.at(page, 100) == whole[100 : 100 + WINDOW]).all()


def test_pieces_are_of_their_characters() -> None:
    of = sights()
    pieces = Pieces(of)
    assert len(pieces.first) == (of.stands == 1).sum()
    ids = glyphs("the lazy dog mississippi").astype(np.int64)
    for quality in range(8):
        frames, lengths = pieces.of(np.random.default_rng(quality), ids, quality)
        parts = np.split(frames, np.cumsum(lengths)[:-1])
        for character, part in zip(ids.tolist(), parts, strict=True):
            if len(part):
                assert (of.character[part] == character).all() and (of.stands[part] == 1).sum() == 1
    assert (np.array([of.character[pieces.lead(np.random.default_rng(i))] for i in range(5)]) == -1).all()


def test_neighbours_are_kept_where_there_are_such() -> None:
    of = sights()
    pieces = Pieces(of)
    ids = glyphs("the lazy dog.").astype(np.int64)
    kept = total = 0
    for seed in range(40):
        frames, lengths = pieces.of(np.random.default_rng(seed), ids, seed % 8)
        ends = np.cumsum(lengths)
        for i in range(1, len(ids) - 1):
            if lengths[i]:
                at = int(frames[ends[i] - lengths[i]])
                kept += of.character[at - 1] == ids[i - 1] and of.character[at + lengths[i]] == ids[i + 1]
                total += 1
    assert total > 200 and kept > 0.6 * total


def test_what_is_put_together_is_text(shards: Path, text: Path) -> None:
    source = Source(Recipe(steps=1, decay_steps=0, random_share=0.0), text, shards)
    frames = source.made(np.random.default_rng(0))
    batch = batch_of(source.sights, frames[None])
    read = text_of(batch.character[0].numpy(), batch.stands[0].numpy())
    known = set("".join(LINES))
    assert len(read) > 60 and set(read) <= known and "the" in read
    assert (frames[:GAP] == -1).all() and (batch.stands[0][torch.from_numpy(frames < 0)] == -1).all()
    mixed = Source(Recipe(steps=1, decay_steps=0, random_share=1.0), text, shards)
    batch = batch_of(mixed.sights, mixed.made(np.random.default_rng(0))[None])
    assert "the" not in text_of(batch.character[0].numpy(), batch.stands[0].numpy())


def test_a_batch_follows_from_its_number(build, same_batches, shards: Path) -> None:
    one = build(LanguageStage, RECIPE, sights=shards)
    same_batches(one, build(LanguageStage, RECIPE, sights=shards))
    assert one.batch(0).kinds.shape == (3, WINDOW, LIKELIEST)


def test_the_loss_falls(build, descend, shards: Path) -> None:
    stage = build(LanguageStage, RECIPE, sights=shards)
    assert descend(stage, stage.batch(0), 1)[0].count > 100
    last, means = descend(stage, stage.batch(0), 40)
    assert means[-1] < 0.5 * means[0] and last.right > 0.9 * last.count
    scores = stage.validate(0)
    assert set(scores) == {"pages", "pages, seen", "random", "random, seen"}
    assert scores["pages, seen"] == pytest.approx(0.9, abs=0.05) and scores["pages"] > 0.6


def test_a_training_writes_a_pass_that_loads_and_goes_on_from(train, build, shards: Path, tmp_path: Path) -> None:
    whole = train(LanguageStage, RECIPE, "whole", sights=shards)
    train(LanguageStage, RECIPE, "parts", stop_at=3, sights=shards)
    assert train(LanguageStage, RECIPE, "parts", sights=shards) == whole
    model = stored.load(LANGUAGE, tmp_path / "whole/model.safetensors", dtype=torch.float32)
    assert model.config == LanguageConfig(8, 24, 1, 3, 16)
    on = build(LanguageStage, f'start = "{tmp_path}/whole/model.safetensors"\n' + RECIPE, sights=shards)
    assert torch.equal(on.model.head.weight, model.head.weight)


def test_a_folder_without_shards_is_refused(build, text: Path) -> None:
    with pytest.raises(InputError, match="no shards of what a reader saw"):
        build(LanguageStage, RECIPE, sights=text)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("read_share = 2", "read_share"),
        ("window = 1", "unknown key 'window'; did you mean 'windows'"),
        ("model = {depth = 3}", "model: unknown key 'depth'; did you mean 'width'"),
        ("model = {width = 30}", "model: width is 30; it must be a multiple of 4 · heads, 12"),
    ],
)
def test_bad_recipes_are_named(refused, more: str, said: str) -> None:
    recipe = RECIPE.split("[model]")[0].replace("read_share = 0.5\n", "")
    refused(Recipe, more + recipe, said)
