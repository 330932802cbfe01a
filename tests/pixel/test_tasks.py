"""What each task asks of a model and makes of its answers, long texts included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microfiche.errors import InputError
from microfiche.pixel.examples import Labelled, Question, Sentence
from microfiche.pixel.model import PixelConfig, PixelEncoder
from microfiche.pixel.tasks import TASKS
from microfiche.pixel.tuned import Setup, TaskName, Tuned, batches, in_batches

CONFIG = PixelConfig(16, 1, 2, 32, 8, 1, 2, 16, channels=1, dropout=0.0)
WORDS = ("The", "quick", "brown", "fox")
EXAMPLES: dict[TaskName, list[Any]] = {
    "classify": [Labelled(("one text",), "a"), Labelled(("another one, and longer",), "b")],
    "tag": [Sentence(WORDS, ("D", "A", "A", "N")), Sentence(("Go",), ("V",))],
    "ner": [Sentence(WORDS, ("O", "B-X", "I-X", "O")), Sentence(("Go",), ("O",))],
    "parse": [Sentence(WORDS, WORDS, (4, 4, 4, 0), ("det", "amod", "amod", "root")),
              Sentence(("Go",), ("V",), (0,), ("root",))],
    "answer": [Question("1", "Which fox?", " ".join(WORDS), ((4, "quick brown"),)), Question("2", "?", "No.", ())],
}  # fmt: skip


def made(name: TaskName, longest: int = 32) -> tuple[Any, Tuned]:
    torch.manual_seed(0)
    kind = TASKS[name]
    setup = Setup(name, tuple(sorted(set(kind.labels(EXAMPLES[name])))), longest, dropout=0.0)
    task = kind(setup)
    return task, Tuned(PixelEncoder(CONFIG), task.head(CONFIG.width), setup)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_learned_by_heart(name: TaskName) -> None:
    task, model = made(name)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    rng = np.random.default_rng(0)
    for _ in range(120):
        loss = task.loss(model, EXAMPLES[name], rng)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
    assert loss.right == loss.count
    with torch.no_grad():
        found = task.predict(model.eval(), EXAMPLES[name])
    scores = task.scores(EXAMPLES[name], found)
    assert next(iter(scores)) == task.score and scores[task.score] == 1.0
    assert task.written(EXAMPLES[name][0], found[0])


def test_a_sentence_longer_than_a_strip_is_tagged_whole() -> None:
    task, model = made("tag", longest=16)
    long = Sentence(WORDS * 20 + ("x" * 500,), ("D",) * 81)
    with torch.no_grad():
        (found,) = task.predict(model.eval(), [long])
    assert len(found) == 81
    assert task.loss(model, [long], np.random.default_rng(0)).count < 81


def test_a_tree_has_all_words_of_a_longer_sentence() -> None:
    task, model = made("parse", longest=16)
    long = Sentence(WORDS * 9, WORDS * 9, (0, *range(1, 36)), ("root",) + ("det",) * 35)
    assert task.cut([long]) == 1
    with torch.no_grad():
        ((heads, relations),) = task.predict(model.eval(), [long])
    assert len(heads) == len(relations) == 36 and heads.count(0) == 1
    assert heads[-1] == 35 and relations[-1] == "dep"
    rows = task.written(long, (heads, relations)).splitlines()
    assert rows[-1].split("\t") == ["36", "fox", "_", "_", "_", "_", "35", "dep", "_", "_"]
    assert task.loss(model, [long], np.random.default_rng(0)).total.isfinite()


def test_pairs_and_texts_that_are_cut() -> None:
    task, model = made("classify", longest=16)
    with torch.no_grad():
        assert len(task.predict(model.eval(), [Labelled(("one", "two"), ""), Labelled(("",), "")])) == 2
    assert task.cut([Labelled(("long " * 50,), ""), Labelled(("short",), "")]) == 1
    assert json.loads(task.written(Labelled(("一", "b"), ""), "x")) == {"text": "一\tb", "label": "x"}


def test_plain_text(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("a b  c\n\nd\te\n")
    assert [e.words for e in TASKS["tag"].plain(file)] == [("a", "b", "c"), ("d", "e")]
    assert [e.texts for e in TASKS["classify"].plain(file)] == [("a b  c",), ("d", "e")]
    file.write_text("a\tb\tc\n")
    with pytest.raises(InputError, match="text 1 has 3 columns"):
        TASKS["classify"].plain(file)


def test_batches_hold_each_example_once_an_epoch() -> None:
    chosen = batches(3, 10, 4)
    numbers = [i for batch in range(5) for i in chosen(batch)]
    assert sorted(numbers[:10]) == sorted(numbers[10:]) == list(range(10)) and numbers[:10] != numbers[10:]
    assert batches(3, 10, 4)(3) == chosen(3) and [chosen(0), chosen(4)] == [numbers[:4], numbers[16:]]


def test_results_come_back_in_order() -> None:
    assert in_batches([3, 1, 2], lambda n: n, 2, lambda few: [10 * n for n in few]) == [30, 10, 20]
