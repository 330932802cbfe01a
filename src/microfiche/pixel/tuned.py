"""PIXEL with a head for one task, and what every task must provide.

This module knows nothing of files of weights or of training.
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
SHORTEST, LARGEST = 16, 4096  #: bounds for `Setup.longest`, in patches
E = TypeVar("E")
P = TypeVar("P")


@dataclass(frozen=True)
class Setup:
    """What must be stored with a fine-tuned model: its task, the labels in the order of its classes, the most patches
    of a strip (`longest`), how a classifier pools, and whether its head is as `published` or ours."""

    task: TaskName
    labels: tuple[str, ...]
    longest: int = 128
    pooling: Pooling = "mean"
    dropout: float = 0.1
    published: bool = False


class Tuned(nn.Module):
    """PIXEL's encoder with the head of one task."""

    def __init__(self, encoder: PixelEncoder, head: nn.Module, setup: Setup) -> None:
        super().__init__()
        self.encoder, self.head, self.setup = encoder, head, setup

    def __repr__(self) -> str:
        config = self.encoder.config
        return f"{type(self).__name__}({type(self.head).__name__} on {config.layers} layers of {config.width})"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.start.device

    def seen(self, strips: Sequence[Strip]) -> tuple[Tensor, Tensor]:
        """Encodes strips: (B, 1 + N, D) vectors, the class vector first, and (B, N) bool, which patches are
        attended."""
        patches, attended = patches_of(strips, None, self.encoder.config.channels)
        attended = attended.to(self.device)
        return self.encoder(patches.to(self.device), attended), attended


@dataclass(frozen=True)
class TaskLoss:
    """The loss of a batch, summed over `count` things of which `right` were right, and how many patches the batch
    had."""

    total: Tensor
    count: int
    right: int
    patches: int


class Task(ABC, Generic[E, P]):
    """A task on examples `E` for which a model predicts `P`. Strips are drawn in colour if the encoder has 3
    `channels`."""

    score: ClassVar[str]  #: the score that decides which model is the best

    def __init__(self, setup: Setup, channels: int = 1) -> None:
        self.setup = setup
        self.index = {label: i for i, label in enumerate(setup.labels)}
        self.renderer = StripRenderer(colour=channels == 3)

    @staticmethod
    @abstractmethod
    def read(path: Path) -> list[E]:
        """Reads the annotated examples of a file. Raises InputError if it is malformed."""

    @staticmethod
    @abstractmethod
    def plain(path: Path) -> list[E]:
        """Reads the examples of a file without annotation. Raises InputError if it is malformed."""

    @staticmethod
    @abstractmethod
    def labels(examples: Sequence[E]) -> list[str]:
        """All labels in the examples, repeated as they occur."""

    @abstractmethod
    def head(self, width: int) -> nn.Module:
        """A new head of ours for vectors of `width` numbers."""

    @abstractmethod
    def loss(self, model: Tuned, examples: Sequence[E], rng: np.random.Generator) -> TaskLoss:
        """The loss on a batch; `rng` chooses a part of examples that are longer than a strip."""

    @abstractmethod
    def predict(self, model: Tuned, examples: Sequence[E]) -> list[P]:
        """What the model predicts for each example."""

    @abstractmethod
    def scores(self, examples: Sequence[E], found: Sequence[P]) -> dict[str, float]:
        """The scores of predictions, from 0 to 1; `score` comes first."""

    @abstractmethod
    def written(self, example: E, found: P) -> str:
        """A prediction in the task's output format."""

    def cut(self, examples: Sequence[E]) -> int:
        """How many examples are cut because they do not fit on a strip."""
        return 0


def in_batches(
    items: Sequence[E], length: Callable[[E], int], size: int, compute: Callable[[list[E]], Sequence[Any]]
) -> list[Any]:
    """Calls `compute` on batches of items of similar length; returns the results in the order of `items`."""
    order = sorted(range(len(items)), key=lambda i: length(items[i]))
    found: dict[int, Any] = {}
    for first in range(0, len(order), size):
        chosen = order[first : first + size]
        found.update(zip(chosen, compute([items[i] for i in chosen]), strict=True))
    return [found[i] for i in range(len(items))]


def batches(seed: int, count: int, size: int) -> Callable[[int], list[int]]:
    """A function from a batch's number to the indices of its examples, of `count` in all: each occurs once before any
    occurs again."""
    orders: dict[int, list[int]] = {}

    def order(epoch: int) -> list[int]:
        if epoch not in orders:
            while len(orders) > 1:
                del orders[min(orders)]
            orders[epoch] = np.random.default_rng([seed, epoch]).permutation(count).tolist()
        return orders[epoch]

    return lambda number: [order(i // count)[i % count] for i in range(number * size, (number + 1) * size)]


def padded(rows: Sequence[Sequence[int]], fill: int, device: torch.device) -> Tensor:
    """Rows of numbers → (B, longest) int64, with `fill` after the end of shorter rows."""
    most = max(1, *map(len, rows)) if rows else 1
    return torch.tensor([[*row, *[fill] * (most - len(row))] for row in rows], device=device)


@contextmanager
def drawing(text: str) -> Iterator[None]:
    """Adds the beginning of `text` to an InputError that is raised while it is drawn."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{text[:40]!r} …: {error}") from error


def pieces(renderer: StripRenderer, words: Sequence[str], longest: int) -> Iterator[tuple[int, Strip]]:
    """Yields strips that together hold all words, each with the index of its first word."""
    first = 0
    while first < len(words):
        with drawing(" ".join(words)):
            strip = renderer.words(words[first:], longest)
        yield first, strip
        first += len(strip.words)
