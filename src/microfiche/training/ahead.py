"""Batches made ahead by worker processes, so that a fast device does not wait for them.

A batch is a function of its number alone, so workers change nothing but the time. It knows nothing of what a batch is.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from microfiche.errors import TrainingError
from microfiche.training import parallel

T = TypeVar("T")


class Ahead(Generic[T]):
    """`batches(number)` is `make(number)`, from `workers` processes (from this one if there are none).

    A step has `parts` batches, shared among the processes of a training as `loop.run` does. Asked for another batch
    than the next one, it begins again there. Raises TrainingError where a worker died.
    """

    def __init__(self, make: Callable[[int], T], workers: int, parts: int) -> None:
        self._make, self._workers, self._parts = make, workers, parts
        self._numbers: Iterator[int] = iter(())
        self._batches: Iterator[T] = iter(())

    def __call__(self, number: int) -> T:
        if not self._workers:
            return self._make(number)
        if next(self._numbers, None) != number:
            self._numbers = iter(_From(number, self._parts))
            next(self._numbers)
            self._batches = iter(
                DataLoader(
                    _Made(self._make),
                    batch_size=None,
                    sampler=_From(number, self._parts),
                    num_workers=self._workers,
                    multiprocessing_context="fork",  # which shares the text, and takes any `make`
                    collate_fn=_as_it_is,
                    worker_init_fn=_deaf,
                    generator=torch.Generator(),  # lest it draw from the model's
                )
            )
        try:
            return next(self._batches)
        except RuntimeError as error:
            if "exited unexpectedly" not in str(error):
                raise
            raise TrainingError(
                f"a process that makes batches died before batch {number} (out of memory?); the same command goes on "
                "from the last saved state, with fewer workers in the recipe if need be"
            ) from error


class _Made(Dataset[T]):
    def __init__(self, make: Callable[[int], T]) -> None:
        self._make = make

    def __getitem__(self, number: int) -> T:
        return self._make(number)


class _From:
    """The numbers of this process's batches from `first` on, without end."""

    def __init__(self, first: int, parts: int) -> None:
        self._first, self._parts = first, parts

    def __iter__(self) -> Iterator[int]:
        rank, world = parallel.rank(), parallel.world()
        step = self._first // self._parts
        every = (s * self._parts + part for s in count(step) for part in range(rank, self._parts, world))
        return (number for number in every if number >= self._first)


def _as_it_is(batch: Any) -> Any:
    return batch


def _deaf(worker: int) -> None:
    """Ctrl-C goes to all processes; the one that trains ends the others when its step is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
