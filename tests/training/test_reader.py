"""The prompted reader learns on a finished encoder's tokens; what was broken off goes on; the checkpoint is one
encoder's.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from microfiche.errors import CheckpointError, TrainingError, UsageError
from microfiche.nano import checkpoint as encoders
from microfiche.nano import prompted_checkpoint as stored
from microfiche.nano.cells import Nano
from microfiche.nano.first_print import NanoPrint
from microfiche.nano.model import NanoConfig
from microfiche.page import Page
from microfiche.training import reader
from microfiche.training.ahead import Ahead
from microfiche.training.reader import Asked, Recipe, train

TINY = NanoConfig((8, 8, 16, 32), 1, 64, 64, 1, 1, 16, 32)
RECIPE = """
encoder = "ENCODER"
steps = 6
decay_steps = 2
warmup_steps = 2
learning_rate = 1e-2
tokens_per_step = 10
batches_per_step = 2
save_every = 3
validate_every = 6
page_sides = {64 = 0.5, 128 = 0.5}
dense_share = 0.2
longest = 256
fonts = ["DejaVu Sans"]
[decoder]
width = 32
layers = 2
heads = 2
dense = 32
experts = 4
chosen = 2
expert = 16
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("reader")
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    (made / "text").mkdir()
    (made / "text/a.txt").write_text("\n\f\n".join(documents))
    torch.manual_seed(0)
    encoders.save(NanoPrint(TINY), made / "print.safetensors")
    encoders.save(Nano(TINY), made / "codec.safetensors")
    (made / "recipe.toml").write_text(RECIPE.replace("ENCODER", str(made / "print.safetensors")))
    return made


def run(folder: Path, out: str, stop_at: int = 999, recipe: str = "recipe.toml") -> bytes:
    device = torch.device("cpu")
    train(folder / recipe, folder / "text", folder / out, device, lambda line: None, lambda step: step >= stop_at)
    return (folder / out / "state.safetensors").read_bytes()


def test_what_was_broken_off_ends_the_same_and_the_checkpoint_is_one_encoders(folder: Path) -> None:
    unbroken = run(folder, "unbroken")
    for stop in (2, 4):
        run(folder, "broken", stop)
    assert run(folder, "broken") == unbroken
    file = folder / "broken/model.safetensors"
    back = stored.load(encoders.load_either(folder / "print.safetensors"), file)
    tokens = back.encode([Page(np.full((64, 128), 255, np.uint8))])[0]
    answers = back.answers([tokens, tokens], ["free", "line:0,0,999,200"], ["", "Doc"], limit=8)
    assert all(len(one.text) <= 8 and one.status in ("ok", "truncated") for one in answers)
    assert back.answer(tokens, "free", limit=8) == answers[0].text
    with pytest.raises(CheckpointError, match="made for the tokens of another checkpoint than codec"):
        stored.load(encoders.load_either(folder / "codec.safetensors"), file)
    other = encoders.load_either(folder / "codec.safetensors").encode([Page(np.full((64, 64), 255, np.uint8))])
    with pytest.raises(CheckpointError, match="cannot be read by print"):
        back.answer(other[0])


def test_the_loss_falls_and_experts_are_logged(folder: Path) -> None:
    text = (folder / "recipe.toml").read_text()
    (folder / "longer.toml").write_text(text.replace("steps = 6", "steps = 30", 1))
    run(folder, "longer", recipe="longer.toml")
    log = [json.loads(line) for line in (folder / "longer/log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < 0.85 * log[0]["loss"]
    assert [len(layer) for layer in log[-1]["experts"]] == [4] and log[-1]["balance"] > 0.9
    assert {"free", "line", "line, whole", "markdown", "random"} <= set(log[-1]["held_out"])


def test_workers_change_nothing(folder: Path) -> None:
    text = (folder / "recipe.toml").read_text()
    (folder / "workers.toml").write_text(text.replace("longest", "workers = 2\nlongest"))
    run(folder, "workers", 3, recipe="workers.toml")
    assert run(folder, "alone", 3) == (folder / "workers/state.safetensors").read_bytes()


def test_numbers_come_in_order_from_anywhere_and_a_dead_worker_is_named() -> None:
    ahead = Ahead(square, 2, 3)
    assert [ahead(n) for n in (4, 5, 6, 9, 10)] == [16, 25, 36, 81, 100]
    with pytest.raises(TrainingError, match="died before batch"):
        for number in range(11, 99):
            ahead(number)


def square(number: int) -> int:
    if number > 20:
        import os

        os._exit(1)
    return number**2


def test_questions_fit(folder: Path) -> None:
    recipe = Recipe.read(folder / "recipe.toml")
    stream = recipe.stream(folder / "text")
    asked = [Asked.of(stream[i], 256) for i in range(60)]
    assert {one.task for one in asked} == {"free", "continue", "line", "box", "markdown", "locate"}
    assert all(len(one.question) + len(one.answer) <= 256 for one in asked)
    some = list(reader.groups(asked))
    assert sorted(i for group in some for i in group) == list(range(60))
    for group in some:
        lengths = [asked[i].length for i in group]
        assert max(lengths) <= 1.5 * min(lengths)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("width =", "widht =", "'widht' is no key; 'width' is"),
        ("heads = 2", "heads = 7", "width is 32; it must be a multiple of 14"),
        ("64 = 0.5", "64 = -1", "shares"),
        ("longest = 256", "longest = 2", "longest: Input should be greater"),
        ("longest = 256", "tasks = {translate = 1.0}", "tasks.translate"),
    ],
)
def test_bad_recipes_are_named(folder: Path, old: str, new: str, said: str) -> None:
    (folder / "bad.toml").write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(UsageError, match=re.escape(said)):
        Recipe.read(folder / "bad.toml")


@pytest.mark.parametrize("task", ["translate", "line:1,2,3", "box:1,2,3,1000", "describe", "locate:"])
def test_tasks_that_were_never_trained_are_refused(folder: Path, task: str) -> None:
    from microfiche.decoder.prompts import reader_prompt

    with pytest.raises(UsageError, match="no task"):
        reader_prompt(task)


def test_prompts_are_those_of_the_training(folder: Path) -> None:
    from microfiche.decoder.prompts import reader_prompt

    stream = Recipe.read(folder / "recipe.toml").stream(folder / "text")
    for i in range(40):
        task = stream[i].task
        place = re.search(r"\[\[(.*)\]\]", task.prompt)
        if task.name in ("line", "box"):
            assert place and reader_prompt(f"{task.name}:{place[1]}") == task.prompt
        elif task.name != "locate":
            assert reader_prompt("free" if task.name == "continue" else task.name) == task.prompt
