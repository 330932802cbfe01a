"""The stage that trains nano's readout of letters: what its pages hold, what it starts as, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from microfiche.errors import CheckpointError
from microfiche.nano.cells import NANO, letter_readout
from microfiche.nano.letters import LETTERS
from microfiche.nano.model import NanoConfig
from microfiche.nano.readout import HALF_CLASSES
from microfiche.page import Checkpoint
from microfiche.training.codec import new_model
from microfiche.training.letters import LettersStage, Recipe, letters, losses, new_readout
from microfiche.training.recipe import recipe_file
from microfiche.typesetting.alphabet import HALF, N_GLYPHS
from microfiche.typesetting.density import DENSITIES
from microfiche.typesetting.repertoire import drawn_at
from microfiche.weights import stored

RECIPE = """
steps = 2
decay_steps = 1
tokens_per_step = 4
samples = 8
page_sides = {64 = 0.5, 128 = 0.5}
densities = {6x12 = 0.5, 16x16 = 0.5}
"""


def test_the_letters_are_those_that_people_write() -> None:
    found = letters()
    assert len(set(found)) == len(found) and not set(found) & set(HALF)
    assert set("łęőșğạữїґΆἄβЂѢ→≤├█✓€₴⠿ბԱ") - set(HALF) <= set(found)
    assert Recipe.read(recipe_file("nano-letters")).start == "nano"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> LettersStage:
    folder = tmp_path_factory.mktemp("letters")
    documents = [f"Document {i}: the Quick brown fox, and the lazy dog. " * 6 for i in range(100)]
    (folder / "a.txt").write_text("\n\f\n".join(documents))
    (folder / "r.toml").write_text(RECIPE)
    return LettersStage(Recipe.read(folder / "r.toml"), folder, torch.device("cpu"))


@pytest.mark.parametrize("kind", ["random", "accents", "script", "signs"])
@pytest.mark.parametrize("name", ["6x12", "16x16"])
def test_letters_stand_where_letters_of_the_alphabet_stood(stage: LettersStage, kind: str, name: str) -> None:
    density, rng = DENSITIES[name], np.random.default_rng(0)
    drawn = drawn_at(density, letters())
    seen = set[int]()
    for _ in range(6):
        grid = stage.pages.lettered(rng, density, 12, 30, kind)
        assert grid.dtype == np.uint16 and grid.shape == (12, 30)
        numbers = grid[grid >= N_GLYPHS].astype(np.int64) - N_GLYPHS
        assert (drawn[numbers].all() and (grid == 0).any() == (kind != "random")) or kind == "random"
        seen |= set(numbers.tolist())
    assert len(seen) > 5


def test_it_starts_as_nano_reads_and_the_tokens_stay(stage: LettersStage) -> None:
    batch = stage.batch(0)
    total, right = losses(stage.nano, stage.model, batch, torch.device("cpu"))
    known = torch.from_numpy(batch.half[2] < HALF_CLASSES)
    assert right[known].float().mean() > 0.8 and not right[~known].float().mean() > 0.2
    total.backward()
    assert all(p.grad is not None for p in stage.model.parameters())
    assert all(p.grad is None for p in stage.nano.parameters())
    stage.model.zero_grad()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A codec of few weights."""
    stored.save(NANO, new_model(NanoConfig((8, 8, 16, 32), 1, 64, 64, 1, 1, 16, 32), 0), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_a_batch_follows_from_its_number(build, same_batches, tiny: Path) -> None:
    recipe = f'start = "{tiny}"\n{RECIPE}'
    same_batches(build(LettersStage, recipe), build(LettersStage, recipe))


def test_a_training_writes_a_readout_for_its_encoder_alone(train, build, tiny: Path, tmp_path: Path) -> None:
    train(LettersStage, f'start = "{tiny}"\n{RECIPE}', "out")
    nano = stored.load(NANO, tiny)
    found = letter_readout(nano, tmp_path / "out/model.safetensors")
    assert found.config.letters == letters() and found.head.out_features == HALF_CLASSES + len(letters())
    last = json.loads((tmp_path / "out/log.jsonl").read_text().splitlines()[-1])
    assert {"6x12", "6x12 random", "6x12 letters", "16x16 random letters"} <= set(last["held_out"])
    on = build(LettersStage, f'start = "{tiny}"\nreadout = "{tmp_path}/out/model.safetensors"\n{RECIPE}')
    whole = stored.load(LETTERS, tmp_path / "out/model.safetensors", dtype=torch.float32).head.weight
    assert torch.equal(on.model.head.weight, whole) and on.model.head.weight.requires_grad
    stored.save(LETTERS, new_readout(nano, 0), tmp_path / "other.safetensors", Checkpoint("other", "0" * 64))
    with pytest.raises(CheckpointError, match="made for the tokens of another checkpoint"):
        letter_readout(nano, tmp_path / "other.safetensors")
