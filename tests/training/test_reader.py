"""The prompted reader's stage: its questions, its loss, and a checkpoint that is one encoder's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from microfiche.decoder.moe import MoEConfig
from microfiche.errors import CheckpointError, TrainingError, UsageError
from microfiche.nano.cells import NANO, Nano
from microfiche.nano.model import NanoConfig
from microfiche.nano.print import PRINT, PrintModel
from microfiche.nano.print_encoder import PrintConfig
from microfiche.nano.prompted import AnswerDecoder, PromptedNano, load_prompted, squares_of
from microfiche.page import Page
from microfiche.readers import load
from microfiche.training import reader
from microfiche.training.parallel import Ahead
from microfiche.training.reader import Asked, ReaderStage, Recipe
from microfiche.weights import stored

TINY = NanoConfig((8, 8, 16, 32), 1, 64, 64, 1, 1, 16, 32)
TINY_PRINT = PrintConfig((8, 8, 16, 16), (1, 1, 1, 1), 64, (1, 1, 1), 16)
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
    """Untrained encoders for print and for cells."""
    found: Path = tmp_path_factory.mktemp("reader")
    torch.manual_seed(0)
    stored.save(PRINT, PrintModel(TINY_PRINT), found / "print.safetensors")
    stored.save(NANO, Nano(TINY), found / "codec.safetensors")
    return found


@pytest.fixture
def recipe(folder: Path) -> str:
    return RECIPE.replace("ENCODER", str(folder / "print.safetensors"))


def test_a_training_writes_a_checkpoint_that_is_one_encoders(train, recipe: str, folder: Path, tmp_path: Path) -> None:
    train(ReaderStage, recipe, "out")
    last = json.loads((tmp_path / "out/log.jsonl").read_text().splitlines()[-1])
    assert {"free", "line", "line, whole", "markdown", "random"} <= set(last["held_out"])
    file = tmp_path / "out/model.safetensors"
    back = load_prompted(stored.load(PRINT, folder / "print.safetensors"), file)
    tokens = back.encode([Page(np.full((64, 128), 255, np.uint8))])[0]
    answers = back.answers([tokens, tokens], ["free", "line:0,0,999,200"], ["", "Doc"], limit=8)
    assert all(len(one.text) <= 8 and one.status in ("ok", "truncated") for one in answers)
    assert back.read([tokens], "free", limit=8)[0].text == answers[0].text
    with pytest.raises(CheckpointError, match="made for the tokens of another checkpoint than codec"):
        load_prompted(stored.load(NANO, folder / "codec.safetensors"), file)
    other = load(folder / "codec.safetensors").encode([Page(np.full((64, 64), 255, np.uint8))])
    with pytest.raises(CheckpointError, match="cannot be read by print"):
        back.read(other)


def test_a_reader_sees_a_page_as_it_did_in_training(folder: Path) -> None:
    encoder = stored.load(PRINT, folder / "print.safetensors")
    page = np.full((128, 192), 255, np.uint8)
    page[100:120, 70:150] = 0  # in the second and third squares of the second row
    (tokens,) = PromptedNano(encoder, AnswerDecoder(MoEConfig(16, 16, 1, 1, 16, 2, 1, 1, 8), 64)).encode([Page(page)])
    assert (tokens.height, tokens.width, len(tokens), tokens.origin) == (2, 3, 2, (0, 0))
    (trained,) = reader.seen(encoder, [Asked("free", 255 - page, np.zeros(1, np.int64), np.zeros(1, np.int64))])
    assert torch.allclose(squares_of(tokens), trained, atol=1e-5) and trained[4].any() and not trained[:4].any()


def test_a_batch_follows_from_its_number(build, same_batches, recipe: str) -> None:
    one = build(ReaderStage, recipe)
    same_batches(one, build(ReaderStage, recipe))
    assert all(len(one.batch(number)) == one.recipe.questions_per_batch == 2 for number in range(3))


def test_the_loss_falls_and_experts_are_logged(build, descend, recipe: str) -> None:
    stage = build(ReaderStage, recipe)
    batch = stage.batch(0) + stage.batch(1)
    loss, found = descend(stage, batch, 8, 1e-2)
    assert found[-1] < 0.85 * found[0]
    assert loss.count == sum(len(asked.answer) for asked in batch)
    assert loss.use.chosen.shape == (1, 4) and loss.use.line(torch.device("cpu"))["balance"] > 0.9


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


def test_questions_fit(build, recipe: str) -> None:
    stream = build(ReaderStage, recipe).stream
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
        ("width =", "widht =", "unknown key 'widht'; did you mean 'width'?"),
        ("heads = 2", "heads = 7", "width is 32; it must be a multiple of 14"),
        ("64 = 0.5", "64 = -1", "shares"),
        ("longest = 256", "longest = 2", "longest: Input should be greater"),
        ("longest = 256", "tasks = {translate = 1.0}", "tasks.translate"),
    ],
)
def test_bad_recipes_are_named(refused, old: str, new: str, said: str) -> None:
    refused(Recipe, RECIPE.replace(old, new, 1), said)


@pytest.mark.parametrize("task", ["translate", "line:1,2,3", "box:1,2,3,1000", "describe", "locate:"])
def test_tasks_that_were_never_trained_are_refused(task: str) -> None:
    from microfiche.nano.prompted import reader_prompt

    with pytest.raises(UsageError, match="no task"):
        reader_prompt(task)


def test_prompts_are_those_of_the_training(build, recipe: str) -> None:
    from microfiche.nano.prompted import reader_prompt

    stream = build(ReaderStage, recipe).stream
    for i in range(40):
        task = stream[i].task
        place = re.search(r"\[\[(.*)\]\]", task.prompt)
        if task.name in ("line", "box"):
            assert place and reader_prompt(f"{task.name}:{place[1]}") == task.prompt
        elif task.name != "locate":
            assert reader_prompt("free" if task.name == "continue" else task.name) == task.prompt
