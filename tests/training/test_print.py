"""Print's stage: what it is trained on says all that is needed to read it; its batches, its loss, a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from microfiche.errors import CheckpointError
from microfiche.nano.cells import NANO
from microfiche.nano.print import COLUMN, PRINT, PrintModel
from microfiche.nano.tracing import trace
from microfiche.training import print as stage
from microfiche.training.noise import turned
from microfiche.training.set_pages import SetPages
from microfiche.typesetting.alphabet import HALF
from microfiche.typesetting.fonts import BUNDLED, TYPEFACES
from microfiche.typesetting.print import Print
from microfiche.weights import stored

FACES = [t for t in TYPEFACES.values() if t.package == BUNDLED]
CPU = torch.device("cpu")
RECIPE = """
steps = 6
decay_steps = 3
warmup_steps = 0
tokens_per_step = 8
save_every = 2
validate_every = 6
local_steps = 2
workers = 0
page_sides = {128 = 1}
[model]
widths = [4, 8, 8, 16]
blocks = [0, 1, 1, 1]
token_width = 64
readout_blocks = [1, 1, 1]
hidden = 16
context = [1]
"""


@pytest.fixture(autouse=True)
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are set in the typefaces that ship."""
    monkeypatch.setattr(stage, "typefaces", lambda held_out, for_print: FACES)


@pytest.fixture
def recipe(tmp_path: Path) -> stage.Recipe:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return stage.Recipe.read(tmp_path / "recipe.toml")


def page(text: Path, seed: int, side: int = 384, sizes: range = range(8, 17)) -> Print:
    pages = SetPages(text, faces=FACES, random_share=0.0, wide_share=0.0, sizes=sizes)
    return pages.page(np.random.default_rng(seed), side, side)


def read_from_truth(one: Print) -> tuple[list[str], list[bool]]:
    """What a readout that is always right would read in each line, and whether it would find that line."""
    batch = stage.batch_of([one])
    chance = batch.middle[0].reshape(len(batch.middle[0]) // COLUMN, COLUMN, -1).transpose(0, 2, 1)
    traced = trace(chance.astype(float), batch.size[0])
    y, x, character, centre = stage.frames_of(one)
    ends = np.flatnonzero(np.diff(np.isfinite(y)))
    read, seen = [], []
    for start, stop in ends.reshape(-1, 2) + 1:
        read.append("".join(HALF[i] for i in character[start:stop][centre[start:stop] == 1]).strip(" "))
        x_in, y_in = x[start + 10 : stop - 10], y[start + 10 : stop - 10]
        on = [(line.left < x_in) & (x_in < line.right) & (abs(line.at(x_in) - y_in) < 1) for line in traced]
        seen.append(bool(np.any(on, axis=0).all()))
    return read, seen


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sizes", [range(5, 8), range(8, 17)])
def test_what_is_supervised_is_what_stands_on_the_page(text: Path, seed: int, sizes: range) -> None:
    one = page(text, seed, sizes=sizes)
    assert one.page.text is not None
    read, seen = read_from_truth(one)
    assert read == [one.page.text[line.start : line.stop].strip() for line in one.lines]
    assert np.mean(seen) > 0.97


def test_lines_of_a_turned_page_are_followed(text: Path) -> None:
    one = page(text, 1)

    def turn(picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return turned(picture, 2.0)

    tilted = stage.worn(one, [turn], np.random.default_rng(0))
    read, seen = read_from_truth(tilted)
    assert len("".join(read)) > 0.9 * len("".join(read_from_truth(one)[0])) and all(seen)


def test_nothing_is_learned_where_nothing_is_known(text: Path) -> None:
    one = page(text, 1)
    masked = stage.middles(replace(one, unknown=((0, 0, 384, 384),)))
    middle, known, _ = stage.middles(one)
    assert known.all() and (masked[0] == middle).all()
    assert not masked[1].all() and masked[1][middle == 1].all()
    letters = "".join("\ufffd" if c == "q" else c for c in one.page.text or "")
    unsure = replace(one, page=replace(one.page, text=letters))
    _, _, character, centre = stage.frames_of(unsure)
    _, _, before, _ = stage.frames_of(one)
    assert (centre == -1).sum() > (stage.frames_of(one)[3] == -1).sum()
    assert ((character == -1) | (character == before)).all() and (character == -1).sum() > (before == -1).sum()


def test_a_batch_follows_from_its_number(build, same_batches) -> None:
    two_sides = RECIPE.replace("{128 = 1}", "{64 = 0.5, 128 = 0.5}")
    one = build(stage.PrintStage, two_sides)
    same_batches(one, build(stage.PrintStage, two_sides))
    assert {one.batch(number).ink.shape for number in range(8)} == {(8, 64, 64), (2, 128, 128)}
    assert set(one.held) == {"set", "worn", "random"} and all(len(pages) == 24 for pages in one.held.values())


@pytest.mark.parametrize("compressed", [True, False])
def test_the_loss_falls(text: Path, recipe: stage.Recipe, compressed: bool) -> None:
    batch = stage.batch_of([page(text, s, 128) for s in range(2)], np.random.default_rng(0))
    model = stage.new_model(recipe, CPU)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        total, count, _ = stage.losses(model, batch, CPU, compressed, directly=True)
        losses.append(total.item() / count)
        optimiser.zero_grad()
        (total / count).backward()
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]


def test_folding_begun_as_principal_components_keeps_what_fits(text: Path, recipe: stage.Recipe) -> None:
    ink = 255 - np.stack([page(text, s, 256).page.image for s in range(4)])
    unlike = []
    for token_width in (16, 256, 2048):
        changed = recipe.model_copy(update={"model": {**recipe.model, "token_width": token_width}})
        model = stage.new_model(changed, CPU)
        stage.start_folding(model, ink, CPU)
        with torch.no_grad():
            maps = model.encoder.local(torch.from_numpy(ink) / 255)
            tokens = model.encoder.folded(maps, torch.ones(4, 16, dtype=torch.bool))
            at_8, at_4 = model.readout.unfold(tokens, 4, 4)
        unlike.append(((at_4 - maps[1]).square().mean() / maps[1].var()).item())
    assert unlike[0] > unlike[1] > unlike[2] and unlike[2] < 0.02
    assert (at_8 - maps[2]).square().mean() < 0.5 * maps[2].var()


def test_a_training_writes_a_checkpoint_that_loads_and_goes_on_from(
    train, recipe: stage.Recipe, tmp_path: Path
) -> None:
    train(stage.PrintStage, RECIPE, "out")
    model = stored.load(PRINT, tmp_path / "out/model.safetensors", dtype=torch.float32)
    assert isinstance(model, PrintModel) and model.config == recipe.config
    with pytest.raises(CheckpointError, match="a checkpoint of another kind or version"):
        stored.load(NANO, tmp_path / "out/model.safetensors")
    (tmp_path / "on.toml").write_text(f'start = "{tmp_path}/out/model.safetensors"\n' + RECIPE)
    on = stage.new_model(stage.Recipe.read(tmp_path / "on.toml"), CPU)
    assert torch.equal(on.readout.part, model.readout.part)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("noise = 2", "noise"),
        ("page_side = 1", "unknown key 'page_side'; did you mean 'page_sides'"),
        ("random_share = 2", "random"),
        ("em = [8, 6]", "em = [8.0, 6.0]: sizes lie between 5 and 16 px, in order"),
        ("em = [6, 40]", "sizes lie between"),
        ("model = {depth = 3}", "model: unknown key 'depth'; there are blocks"),
    ],
)
def test_bad_recipes_are_named(refused, more: str, said: str) -> None:
    refused(stage.Recipe, more + RECIPE.split("[model]")[0], said)
