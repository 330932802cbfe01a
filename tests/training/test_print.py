"""What print is trained on says all that is needed to read it; the stage learns and resumes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from microfiche.checkpoints import nano, save
from microfiche.decoder.prints import NONE, TracedLine, characters, frames, trace
from microfiche.decoder.readout import SQUARE, square_at
from microfiche.errors import CheckpointError, UsageError
from microfiche.models.encoding import NanoConfig
from microfiche.models.nano import Nano
from microfiche.models.prints import NanoPrint
from microfiche.page import Page
from microfiche.training import print as stage
from microfiche.training.noise import turned
from microfiche.training.prints import Prints
from microfiche.typesetting.alphabet import N_HALF
from microfiche.typesetting.fonts import BUNDLED, TYPEFACES
from microfiche.typesetting.printed import Print

FACES = [t for t in TYPEFACES.values() if t.package == BUNDLED]
CONFIG = NanoConfig((8, 8, 16, 32), 1, 64, 64, 1, 1, 16, 32)
RECIPE = """
start = "{start}"
steps = 6
decay_steps = 3
tokens_per_step = 8
save_every = 2
validate_every = 6
page_sides = {{128 = 1}}
"""


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of text, an untrained codec, and a recipe that starts from it; set in the typefaces that are there."""
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("\n\f\n".join(documents))
    torch.manual_seed(0)
    save(Nano(CONFIG), tmp_path / "codec.safetensors")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(start=tmp_path / "codec.safetensors"))
    monkeypatch.setattr(stage, "Prints", partial(Prints, faces=FACES))
    return tmp_path


def run(corpus: Path, out: str, stop_at: int = 6) -> dict[str, torch.Tensor]:
    stage.train(
        corpus / "recipe.toml", corpus / "text", corpus / out, torch.device("cpu"), lambda line: None,
        lambda step: step >= stop_at,
    )  # fmt: skip
    return load_file(corpus / out / "state.safetensors")


def page(corpus: Path, seed: int, side: int = 384) -> Print:
    prints = Prints(corpus / "text", faces=FACES, random_share=0.0, wide_share=0.0)
    return prints.print(np.random.default_rng(seed), side, side)


def read_from_truth(one: Print) -> list[str]:
    """What a readout that is always right would read."""
    height, width = one.page.image.shape
    row, size = stage.middles(one)
    y, x = np.mgrid[:height:SQUARE, :width:SQUARE]
    grid = square_at(y, x, height // 64, width // 64)
    lines = trace(np.eye(SQUARE + 1)[row][:, :SQUARE][grid], size[grid])
    answers = {(y, x): c for y, x, c in zip(*(a.tolist() for a in stage.frames_of(one)), strict=True)}

    def seen(line: TracedLine) -> np.ndarray:
        at = frames(line, width)
        classes = [
            next((c for d in (0, -1, 1, -2, 2) if (c := answers.get((int(y) + d, int(x)), NONE)) != NONE), NONE)
            for y, x in zip(line.at(at), at, strict=True)
        ]
        return np.eye(N_HALF + 1, dtype=np.float32)[classes]

    return [characters(line, frames(line, width), seen(line)).text for line in lines]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_supervised_is_what_stands_on_the_page(corpus: Path, seed: int) -> None:
    one = page(corpus, seed)
    assert one.page.text is not None
    truth = [one.page.text[line.start : line.stop].strip() for line in one.lines]
    assert sorted(read_from_truth(one)) == sorted(t for t in truth if t)


def test_lines_of_a_turned_page_are_followed(corpus: Path) -> None:
    one = page(corpus, 1)

    def turn(picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return turned(picture, 2.0)

    tilted = stage.worn(one, [turn], np.random.default_rng(0))
    wanted, found = "".join(sorted(read_from_truth(one))), "".join(sorted(read_from_truth(tilted)))
    assert abs(len(found) - len(wanted)) < 0.1 * len(wanted)


def test_the_loss_falls_and_what_was_broken_off_ends_the_same(corpus: Path) -> None:
    whole = run(corpus, "whole")
    run(corpus, "broken", 3)
    again = run(corpus, "broken")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    recipe = stage.Recipe.read(corpus / "recipe.toml")
    device = torch.device("cpu")
    batch = stage.batch_of([page(corpus, s, 128) for s in range(2)], np.random.default_rng(0))
    model = stage.new_model(recipe, device)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        total, count, _ = stage.losses(model, batch, device)
        losses.append(total.item() / count)
        optimiser.zero_grad()
        (total / count).backward()
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]


def test_a_model_for_print_comes_back_and_reads_its_own_tokens_alone(corpus: Path) -> None:
    run(corpus, "out")
    model = nano.load(NanoPrint, corpus / "out/model.safetensors", dtype=torch.float32)
    image = page(corpus, 2, 256).page.image
    tokens = model.encode([Page(image), Page(image[:192])])
    assert [len(t) for t in tokens] == [16, 12]
    assert model.read(tokens) == "".join(model.read(t) for t in tokens)
    other = NanoPrint(CONFIG, ("another", "0" * 64)).eval()
    with pytest.raises(CheckpointError, match="cannot be read by another"):
        other.read(tokens)
    with pytest.raises(CheckpointError, match="not a checkpoint of this version and kind"):
        nano.load(Nano, corpus / "out/model.safetensors")


@pytest.mark.parametrize(
    ("more", "said"),
    [("noise = 2", "noise"), ("page_side = 1", "'page_side' is no key; 'page_sides'"), ("random_share = 2", "random")],
)
def test_bad_recipes_are_named(corpus: Path, more: str, said: str) -> None:
    (corpus / "bad.toml").write_text(more + RECIPE.format(start="nano"))
    with pytest.raises(UsageError, match=said):
        stage.Recipe.read(corpus / "bad.toml")
