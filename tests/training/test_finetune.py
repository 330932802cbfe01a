"""The stage that tunes PIXEL for a task: the best is kept, and a training that is broken off knows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from microfiche.errors import CheckpointError, UsageError
from microfiche.pixel import checkpoint as pixel
from microfiche.pixel.checkpoint import load_tuned
from microfiche.pixel.heads import Tagger
from microfiche.pixel.model import SMALL, Pixel, PixelConfig, PixelEncoder
from microfiche.pixel.tuned import Setup, Tuned
from microfiche.training.finetune import (
    FinetuneStage,
    Recipe,
    Result,
    encoder,
    evaluate,
    optimisers,
    predictions,
    recipe_of,
    train,
)

RECIPE = """
task = "tag"
steps = 12
decay_steps = 12
warmup_steps = 2
learning_rate = 2e-2
batch = 4
longest = 24
save_every = 5
validate_every = 3
"""
TAGS = {"the": "DET", "a": "DET", "dog": "NOUN", "cat": "NOUN", "runs": "VERB", "eats": "VERB"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    pixel.save(Pixel(PixelConfig(32, 1, 2, 64, 8, 1, 2, 16, channels=1)), tmp_path / "small.safetensors")
    sentences = [f"{a} {n} {v}" for a in ("the", "a") for n in ("dog", "cat") for v in ("runs", "eats")] * 3
    for name, some in (("train", sentences), ("dev", [*sentences[:5], "ouch"])):
        rows = ["".join(f"{i}\t{w}\t_\t{TAGS.get(w, 'INTJ')}\t_\t_\t_\t_\t_\t_\n" for i, w in enumerate(s.split(), 1))
                for s in some]  # fmt: skip
        (tmp_path / f"{name}.conllu").write_text("\n".join(rows))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def run(folder: Path, out: str, stop_at: int = 99, **changes: Any) -> tuple[Result, list[str]]:
    said: list[str] = []
    result = train(
        folder / "recipe.toml", folder / "train.conllu", folder / "dev.conllu", folder / out, torch.device("cpu"),
        lambda line: None, lambda step: step >= stop_at, said.append,
        {"encoder": str(folder / "small.safetensors"), **changes},
    )  # fmt: skip
    return result, said


def test_what_was_broken_off_ends_the_same(folder: Path) -> None:
    result, said = run(folder, "unbroken")
    assert said == [f"{folder / 'dev.conllu'}: labels never seen in training, so always wrong in dev: INTJ"]
    assert [run(folder, "broken", stop)[0].step for stop in (4, 7)] == [4, 7]
    assert run(folder, "broken")[0] == result and result.step == 12
    for name in ("state.safetensors", "model.safetensors", "metrics.json", "recipe.toml"):
        assert (folder / "broken" / name).read_bytes() == (folder / "unbroken" / name).read_bytes()


def test_the_best_on_dev_is_kept_and_read_back(folder: Path) -> None:
    result, _ = run(folder, "out", steps=40, decay_steps=40)
    log = [json.loads(line) for line in (folder / "out/log.jsonl").read_text().splitlines()]
    held = {line["step"]: line["held_out"]["accuracy"] for line in log if "held_out" in line}
    assert result.scores["accuracy"] == max(held.values()) == held[result.best]
    assert result.best == min(step for step, score in held.items() if score == max(held.values()))
    assert result.scores["accuracy"] >= 12 / 16
    model, scores = load_tuned(folder / "out/model.safetensors")
    assert model.setup.labels == ("DET", "NOUN", "VERB") and not model.training
    assert scores == {**result.scores, "step": result.best}
    assert evaluate(folder / "out/model.safetensors", folder / "dev.conllu") == pytest.approx(result.scores, abs=1e-5)
    told = json.loads((folder / "out/metrics.json").read_text())
    assert told["scores"] == result.scores and told["dev_examples"] == 6 and told["step"] == result.best
    (folder / "x").write_text("the dog runs\n")
    (rows,) = predictions(folder / "out/model.safetensors", folder / "x")
    assert [row.split("\t")[1] for row in rows.splitlines()] == ["the", "dog", "runs"]


def test_a_batch_and_its_dropout_follow_from_the_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[FinetuneStage] = []
    ours = FinetuneStage.__init__
    monkeypatch.setattr(FinetuneStage, "__init__", lambda self, *args: stages.append(self) or ours(self, *args))
    run(folder, "out", stop_at=0)
    run(folder, "other", stop_at=0)
    one, other = stages
    one.batch(9)
    for number in (0, 7):
        assert [str(e) for e in one.batch(number)] == [str(e) for e in other.batch(number)]
    assert [str(e) for e in one.batch(0)] != [str(e) for e in one.batch(1)]
    batch = one.batch(3)
    totals = [one.loss(number, batch).total.item() for number in (3, 4, 3)]
    assert totals[0] == totals[2] != totals[1]
    assert one.loss(3, batch).count == 3 * one.recipe.batch == 12


def test_a_matrix_that_pretraining_made_larger_learns_faster() -> None:
    torch.manual_seed(0)
    model = Tuned(PixelEncoder(replace(SMALL, layers=1)), Tagger(SMALL.width, 3), Setup("tag", ("A", "B", "C"), 32))
    large = model.encoder.blocks[0].fc1.weight
    with torch.no_grad():
        large *= 5
    shares = {p: group["share"] for o in optimisers(model, 0.01) for group in o.param_groups for p in group["params"]}
    assert set(shares) == set(model.parameters())
    assert shares[large] == pytest.approx(5, rel=0.05)
    assert shares[model.encoder.blocks[0].query.weight] == pytest.approx(1, rel=0.05)
    assert shares[model.head.classes.weight] == 2 * shares[model.encoder.patch.weight] == 0.4


def test_what_comes_from_pretraining_is_there(folder: Path) -> None:
    recipe = Recipe.read(folder / "recipe.toml").model_copy(update={"encoder": str(folder / "small.safetensors")})
    begun, weights = encoder(recipe).state_dict(), pixel.load(folder / "small.safetensors").encoder.state_dict()
    assert all(torch.equal(begun[name], value) for name, value in weights.items())
    fresh = encoder(recipe.model_copy(update={"encoder": "random"}))
    assert fresh.config == replace(SMALL, dropout=0.1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"longest": 3}, "longest 3: Input should be greater than or equal to 16"),
        ({"task": "read"}, "task 'read': Input should be 'classify'"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_what_cannot_be_is_said(folder: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run(folder, "out", **changes)


def test_other_data_or_another_seed_is_another_training(folder: Path) -> None:
    run(folder, "out", stop_at=4)
    with pytest.raises(UsageError, match="was begun by another recipe"):
        run(folder, "out", seed=1)
    with (folder / "dev.conllu").open("a") as file:
        file.write("\n1\ta\t_\tDET\t_\t_\t_\t_\t_\t_\n")
    with pytest.raises(UsageError, match="was begun by another recipe"):
        run(folder, "out")


def test_files_that_are_no_tuned_model_are_named(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="not a fine-tuned PIXEL of this version"):
        load_tuned(folder / "small.safetensors")
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        load_tuned(folder / "none")
    run(folder, "out", steps=3, decay_steps=3)
    path = folder / "out/model.safetensors"
    with safe_open(path, "pt") as file:
        head = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for changed, said in (
        ({**tensors, "head.more": torch.zeros(1)}, "head.more belongs to no part"),
        ({k: v for k, v in tensors.items() if k != "head.classes.bias"}, "head.classes.bias is missing"),
        ({**tensors, "head.classes.bias": torch.zeros(9)}, r"head.classes.bias is \(9,\)"),
    ):
        save_file(changed, path, head)
        with pytest.raises(CheckpointError, match=said):
            load_tuned(path)
    for setup in ({"longest": 10**9}, {"task": "x"}, {"labels": 5}):
        said = json.loads(head["microfiche"])
        save_file(tensors, path, {"microfiche": json.dumps({**said, "setup": {**said["setup"], **setup}})})
        with pytest.raises(CheckpointError, match="its configuration cannot be used"):
            load_tuned(path)


def test_recipes_that_ship() -> None:
    for task in ("classify", "tag", "ner", "parse", "answer"):
        assert Recipe.read(recipe_of(task, None)).task == task
    with pytest.raises(UsageError, match="no task 'read'"):
        recipe_of("read", None)
