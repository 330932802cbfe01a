"""PIXEL with a head for one task, and what every task must say of itself.

It knows nothing of files of weights, nor of how a model is trained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from microfiche.errors import InputError
from microfiche.pixel.heads import Pooling
from microfiche.pixel.model import PixelEncoder, patches_of
from microfiche.pixel.strips import Strip, StripRenderer

TaskName = Literal["classify", "tag", "ner", "parse", "answer"]
SHORTEST, LARGEST = 16, 4096  #: patches of the strips that a task may be given
E = TypeVar("E")
P = TypeVar("P")


@dataclass(frozen=True)
class Setup:
    """What a tuned model must be kept with: its task, the labels in the order of its classes, the patches of the
    longest strip, and how a classifier pools."""

    task: TaskName
    labels: tuple[str, ...]
    longest: int = 128
    pooling: Pooling = "mean"
    dropout: float = 0.1


class Tuned(nn.Module):
    """An encoder and a head that was made for what it gives."""

    def __init__(self, encoder: PixelEncoder, head: nn.Module, setup: Setup) -> None:
        super().__init__()
        self.encoder, self.head, self.setup = encoder, head, setup

    @property
    def device(self) -> torch.device:
        return self.encoder.start.device

    def seen(self, strips: Sequence[Strip]) -> tuple[Tensor, Tensor]:
        """Strips → (B, 1 + N, D) vectors, the class vector first, and (B, N) bool attended."""
        patches, attended = patches_of(strips, None, self.encoder.config.channels)
        attended = attended.to(self.device)
        return self.encoder(patches.to(self.device), attended), attended


@dataclass(frozen=True)
class TaskLoss:
    """The summed loss of a batch, over how many things, how many of them were right, and how many patches it took."""

    total: Tensor
    count: int
    right: int
    patches: int


class Task(ABC, Generic[E, P]):
    """A task on examples `E`, for which a model predicts `P`; strips are drawn as the encoder was trained on them."""

    score: ClassVar[str]  #: by which the best model is kept

    def __init__(self, setup: Setup, channels: int = 1) -> None:
        self.setup = setup
        self.index = {label: i for i, label in enumerate(setup.labels)}
        self.renderer = StripRenderer(colour=channels == 3)

    @staticmethod
    @abstractmethod
    def read(path: Path) -> list[E]:
        """The annotated examples of a file."""

    @staticmethod
    @abstractmethod
    def plain(path: Path) -> list[E]:
        """The examples of a file without annotation."""

    @staticmethod
    @abstractmethod
    def labels(examples: Sequence[E]) -> list[str]:
        """Every label in them."""

    @abstractmethod
    def head(self, width: int) -> nn.Module:
        """A new head on vectors of `width`."""

    @abstractmethod
    def loss(self, model: Tuned, examples: Sequence[E], rng: np.random.Generator) -> TaskLoss:
        """The loss on a batch; `rng` chooses where an example is longer than a strip."""

    @abstractmethod
    def predict(self, model: Tuned, examples: Sequence[E]) -> list[P]:
        """What the model finds."""

    @abstractmethod
    def scores(self, examples: Sequence[E], found: Sequence[P]) -> dict[str, float]:
        """How right that is, the score that counts first."""

    @abstractmethod
    def written(self, example: E, found: P) -> str:
        """A prediction in the task's format."""

    def cut(self, examples: Sequence[E]) -> int:
        """Of how many examples a strip does not hold all."""
        return 0


def in_batches(
    items: Sequence[E], length: Callable[[E], int], size: int, compute: Callable[[list[E]], Sequence[Any]]
) -> list[Any]:
    """`compute` on items of about one length together, its results in the order of `items`."""
    order = sorted(range(len(items)), key=lambda i: length(items[i]))
    found: dict[int, Any] = {}
    for first in range(0, len(order), size):
        chosen = order[first : first + size]
        found.update(zip(chosen, compute([items[i] for i in chosen]), strict=True))
    return [found[i] for i in range(len(items))]


def batches(seed: int, count: int, size: int) -> Callable[[int], list[int]]:
    """Which of `count` examples are in a batch, by its number alone: each once before any comes again."""
    orders: dict[int, list[int]] = {}

    def order(epoch: int) -> list[int]:
        if epoch not in orders:
            while len(orders) > 1:
                del orders[min(orders)]
            orders[epoch] = np.random.default_rng([seed, epoch]).permutation(count).tolist()
        return orders[epoch]

    return lambda number: [order(i // count)[i % count] for i in range(number * size, (number + 1) * size)]


def padded(rows: Sequence[Sequence[int]], fill: int, device: torch.device) -> Tensor:
    """Rows of numbers → (B, longest) int64."""
    most = max(1, *map(len, rows)) if rows else 1
    return torch.tensor([[*row, *[fill] * (most - len(row))] for row in rows], device=device)


@contextmanager
def drawing(text: str) -> Iterator[None]:
    """Names the text that a renderer's error, raised in it, is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{text[:40]!r} …: {error}") from error


def pieces(renderer: StripRenderer, words: Sequence[str], longest: int) -> Iterator[tuple[int, Strip]]:
    """Strips that hold all words, one after another, each with the number of its first word."""
    first = 0
    while first < len(words):
        with drawing(" ".join(words)):
            strip = renderer.words(words[first:], longest)
        yield first, strip
        first += len(strip.words)
