"""A training that was broken off ends where an unbroken one does."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from microfiche.errors import CheckpointError, InputError, TrainingError, UsageError
from microfiche.training import codec
from microfiche.training.codec import Recipe, train
from microfiche.training.data import Corpus, held_out

RECIPE = """
steps = 8
local_steps = 3
decay_steps = 3
tokens_per_step = 4
save_every = 2
validate_every = 4
page_sides = {64 = 0.5, 128 = 0.5}
densities = {7x13 = 0.5, 16x16 = 0.5}
[model]
stem = [8, 8, 16, 32]
local_layers = 1
token_width = 64
global_width = 64
global_layers = 1
readout_layers = 1
square_width = 16
hidden = 32
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("\n\f\n".join(documents))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def run(corpus: Path, out: str, stop_at: int = 8) -> bytes:
    recipe, device = corpus / "recipe.toml", torch.device("cpu")
    train(recipe, corpus / "text", corpus / out, device, lambda line: None, lambda step: step >= stop_at)
    return (corpus / out / "state.safetensors").read_bytes()


def test_resuming_changes_nothing(corpus: Path) -> None:
    unbroken = run(corpus, "unbroken")
    for stop in (2, 3, 4):
        run(corpus, "broken", stop)
    assert run(corpus, "broken") == unbroken
    weights = [(corpus / out / "model.safetensors").read_bytes() for out in ("unbroken", "broken")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_training_that_is_stopped_goes_on_with_the_same_command(corpus: Path, sent: signal.Signals) -> None:
    (corpus / "recipe.toml").write_text(RECIPE.replace("steps = 8", "steps = 60", 1))
    unbroken = run(corpus, "unbroken", 60)
    command = [sys.executable, "-c", "from microfiche.cli import main; main()", "train", "codec"]
    command += ["--recipe", "recipe.toml", "--text", "text", "--out", "broken"]
    with subprocess.Popen(command, cwd=corpus, stderr=subprocess.PIPE, text=True) as process:
        while not (corpus / "broken/state.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(sent)
        _, said = process.communicate(timeout=60)
    assert not (corpus / "broken/model.safetensors").exists()
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on from there" in said.splitlines()[-1]
    subprocess.run(command, cwd=corpus, check=True, capture_output=True)
    assert (corpus / "broken/state.safetensors").read_bytes() == unbroken
    assert not list((corpus / "broken").glob(".*"))


def test_a_damaged_state_is_refused(corpus: Path) -> None:
    data = run(corpus, "out", 2)
    (corpus / "out/state.safetensors").write_bytes(data[:1000])
    with pytest.raises(CheckpointError, match="cannot resume"):
        run(corpus, "out")


def test_held_out_documents_are_never_trained_on(corpus: Path) -> None:
    trained, held = Corpus.load(corpus / "text", False), Corpus.load(corpus / "text", True)
    documents = (corpus / "text/a.txt").read_text().split("\n\f\n")
    kept = [d for d in documents if held_out(d)]
    assert 0 < len(kept) < 40
    assert len(held.narrow[0]) == len("\n".join(kept))
    assert len(trained.narrow[0]) + len(held.narrow[0]) + 1 == len("\n".join(documents))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = 8", "steps = 'many'", "steps: Input should be a valid integer"),
        ("tokens_per_step", "token_per_step", "'token_per_step' is no key; 'tokens_per_step' is"),
        ("7x13", "7x12", "'7x12' is none of"),
        ("stem =", "stems =", "'stems' is none of"),
        ("64 = 0.5", "65 = 0.5", "a page side of 65 px"),
        ("64 = 0.5, 128 = 0.5", "64 = 0", "page_sides: the shares"),
        ("local_steps = 3", "local_steps = 9", "local_steps must lie within steps"),
        ("[model]", "[model", "not a recipe"),
    ],
)
def test_bad_recipes_are_named_with_what_was_meant(corpus: Path, old: str, new: str, said: str) -> None:
    (corpus / "recipe.toml").write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(UsageError, match=re.escape(said)) as error:
        Recipe.read(corpus / "recipe.toml")
    assert "\n" not in str(error.value)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = run(corpus, "out", 4)
    ours = codec.losses

    def losses(*args: Any) -> Any:
        total, *rest = ours(*args)
        return total * float("nan"), *rest

    monkeypatch.setattr(codec, "losses", losses)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 5 .*holds the last good state"):
        run(corpus, "out")
    assert (corpus / "out/state.safetensors").read_bytes() == good


def test_a_training_is_not_resumed_with_another_recipe(corpus: Path) -> None:
    run(corpus, "out", 2)
    (corpus / "recipe.toml").write_text(RECIPE.replace("decay_steps = 3", "decay_steps = 4", 1))
    with pytest.raises(UsageError, match="begun by another recipe"):
        run(corpus, "out")


def test_folders_without_text_are_named(corpus: Path) -> None:
    (corpus / "none").mkdir()
    with pytest.raises(InputError, match="no training text"):
        Corpus.load(corpus / "none", False)
