"""What tests of training share: folders of text, and stages that are run on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microfiche.errors import UsageError
from microfiche.training import loop
from microfiche.training.recipe import Plan
from microfiche.training.stage import Loss, Stage

CPU = torch.device("cpu")
Train = Callable[..., bytes]
Build = Callable[..., Any]


def write_text(folder: Path) -> Path:
    """A folder of a text of 200 short documents, of which some are held out."""
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.txt").write_text("\n\f\n".join(documents))
    return folder


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("corpus") / "text")


@pytest.fixture
def train(tmp_path: Path, text: Path) -> Train:
    """Runs a stage by the text of a recipe into a folder of `tmp_path`, up to a step; gives the bytes of its state."""

    def run(
        stage: type[Stage[Any, Any]], recipe: str, out: str, stop_at: int = 999, data: Path = text, **options: Any
    ) -> bytes:
        file = tmp_path / f"{out}.toml"
        file.write_text(recipe)
        loop.train(stage, file, data, tmp_path / out, CPU, stop=lambda step: step >= stop_at, **options)
        return (tmp_path / out / "state.safetensors").read_bytes()

    return run


@pytest.fixture
def build(tmp_path: Path, text: Path) -> Build:
    """Builds a stage by the text of a recipe."""

    def stage_of(stage: type[Stage[Any, Any]], recipe: str, data: Path = text, **options: Any) -> Any:
        (tmp_path / "built.toml").write_text(recipe)
        return stage(stage.recipe_type.read(tmp_path / "built.toml"), data, CPU, **options)

    return stage_of


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[type[Plan], str, str], None]:
    """Asserts that the text of a recipe is refused, in one line that names its file and says a thing."""

    def check(recipe_type: type[Plan], recipe: str, said: str) -> None:
        file = tmp_path / "bad.toml"
        file.write_text(recipe)
        with pytest.raises(UsageError, match=re.escape(said)) as error:
            recipe_type.read(file)
        assert "\n" not in str(error.value) and str(error.value).startswith(f"{file}: not a recipe: ")

    return check


@pytest.fixture
def descend() -> Callable[..., tuple[Loss, list[float]]]:
    """Takes steps of AdamW on one batch; gives the last loss, and the mean of each."""

    def steps(stage: Stage[Any, Any], batch: Any, count: int, rate: float = 1e-2) -> tuple[Loss, list[float]]:
        optimiser, means = torch.optim.AdamW(stage.model.parameters(), rate), []
        for number in range(count):
            loss = stage.loss(number, batch)
            mean = loss.total / loss.count
            means.append(mean.item())
            optimiser.zero_grad()
            mean.backward()
            optimiser.step()
        return loss, means

    return steps


@pytest.fixture
def same_batches() -> Callable[..., None]:
    """Asserts that two stages draw the same batch of a number, whatever each has drawn before, and another of another
    number."""

    def check(one: Stage[Any, Any], other: Stage[Any, Any], number: int = 3) -> None:
        one.batch(number + 1)
        first, second = one.batch(number), other.batch(number)
        assert _same(first, second) and not _same(first, other.batch(number + 1))

    return check


def _same(one: Any, other: Any) -> bool:
    """Whether two batches hold the same numbers and words."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and bool((one == other).all())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if is_dataclass(one):
        return _same([getattr(one, f.name) for f in fields(one)], [getattr(other, f.name) for f in fields(other)])
    return bool(one == other)
