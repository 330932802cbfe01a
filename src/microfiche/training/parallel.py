"""Training on several processes under torchrun, each with its share of a step's batches; and batches drawn ahead.

Which batches a step has does not depend on how many processes there are, so one recipe gives the same training on
one and on many, up to the order of additions: gradients are summed. A model too large for one device can be sharded
(FSDP2, Zhao et al. 2023, arXiv 2304.11277): each process then holds a part of each sharded parameter, its gradient and
its moments. Without torchrun there is one process, and all of this does nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.data import DataLoader, Dataset

from microfiche.devices import device_named
from microfiche.errors import TrainingError

T = TypeVar("T")


_GLOO = "gloo-in-order"


def _gloo_in_order(store: Any, rank: int, world: int, timeout: timedelta) -> Any:
    """Gloo with one thread, so that where the barrier at the end is passed, all that came before it is let go.

    A thread lets go of the tensors of an exchange some time after it told that it is done, and needs the interpreter
    for that. A sharded model keeps the threads; of several, one might still have that before it while another passes
    the barrier, and where the interpreter ends first, the process is aborted.
    """
    gloo: Any = dist.ProcessGroupGloo
    names = os.environ.get("GLOO_SOCKET_IFNAME", "").split(",")
    options = gloo._Options()
    options._threads, options._timeout = 1, timeout
    options._devices = [gloo.create_device(interface=name) for name in names if name] or [gloo.create_default_device()]
    return gloo(store, rank, world, options)


dist.Backend.register_backend(_GLOO, _gloo_in_order, devices="cpu")


@contextmanager
def processes(device: str) -> Iterator[torch.device]:
    """Joins the processes that torchrun started, if it did; gives the device of this one (cuda: one for each).

    Raises TrainingError if another of them ends while they work together, UsageError for a device that there is not.
    """
    mine = device_named(device)
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield mine
        return
    if device == "cuda":
        mine = torch.device(device, int(os.environ["LOCAL_RANK"]))
    if mine.type == "cuda":
        torch.cuda.set_device(mine)
    dist.init_process_group("nccl" if mine.type == "cuda" else _GLOO)
    try:
        yield mine
        dist.barrier()  # where one leaves while another still works with it, gloo may abort that one
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise TrainingError(
            f"process {rank()} lost another of the {world()}; the same command goes on from the last state saved"
        ) from error
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process; 0 is the one that writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def here() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if dist.is_initialized() else 1


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """The sums of `values` over all processes."""
    if world() == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    dist.all_reduce(total)
    return total.tolist()


def shard(model: nn.Module, blocks: Sequence[nn.Module], kept: nn.Module, device: torch.device) -> None:
    """Shards the parameters of `model` over all processes, those of `kept` excepted: of each of `blocks`, which are
    gathered one after another, and of all that is left, which is gathered for the whole pass."""
    mesh = init_device_mesh(device.type, (world(),))
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh, ignored_params=set(kept.parameters()))
    for module in model.modules():
        if isinstance(module, FSDPModule):  # gradients are sums over all examples, as everywhere here
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def sharded(tensor: Tensor) -> bool:
    """Whether other processes hold parts of it."""
    return isinstance(tensor, DTensor)


def mine(tensor: Tensor) -> Tensor:
    """The part of it that this process holds: all, unless it is sharded."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def sharded_as(value: Tensor, other: Tensor) -> Tensor:
    """`value`, which every process holds whole, sharded as `other` is."""
    if not isinstance(other, DTensor):
        return value
    return distribute_tensor(value, other.device_mesh, other.placements, src_data_rank=None)


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Sums the gradients over all processes, in one message; a parameter without one in any of them keeps none.

    Those of sharded parameters are summed already, as FSDP2 does while it computes them.
    """
    parameters = [p for p in parameters if not sharded(p)]
    if world() == 1 or not parameters:
        return
    has = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=parameters[0].device)
    dist.all_reduce(has)
    used = [p for p, n in zip(parameters, has.tolist(), strict=True) if n]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in used])
    dist.all_reduce(flat)
    parts: Sequence[Tensor] = torch.split(flat, [p.numel() for p in used])
    for parameter, part in zip(used, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def clip(parameters: Sequence[nn.Parameter], largest: float) -> float:
    """Scales the gradients, which are summed, so that their norm is at most `largest`; gives what it was."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([g for g in gradients if not sharded(g)])
    if parts := [mine(g) for g in gradients if sharded(g)]:
        others = torch.nn.utils.get_total_norm(parts).square()
        dist.all_reduce(others)
        norm = (norm.square() + others).sqrt()
    factor = (largest / (norm + 1e-6)).clamp(max=1)
    torch._foreach_mul_([mine(g) for g in gradients], factor)
    return norm.item()


class Ahead(Generic[T]):
    """Batches drawn ahead, so that a fast device does not wait for them: a call with a number gives `make(number)`,
    from `workers` processes, or from this one if there are none.

    A batch is a function of its number alone, so workers change nothing but the time. A step has `parts` batches,
    shared among the processes of a training as `loop.run` does. Asked for another batch than the next one, it begins
    again there. Raises TrainingError where a worker died.
    """

    def __init__(self, make: Callable[[int], T], workers: int, parts: int) -> None:
        self._make, self._workers, self._parts = make, workers, parts
        self._numbers: Iterator[int] = iter(())
        self._batches: Iterator[T] = iter(())

    def __call__(self, number: int) -> T:
        """The batch of that number."""
        if not self._workers:
            return self._make(number)
        if next(self._numbers, None) != number:
            self._numbers = iter(_From(number, self._parts))
            next(self._numbers)
            self._batches = iter(
                DataLoader(
                    _Drawn(self._make),
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
                f"a process that draws batches died before batch {number} (out of memory?); the same command goes on "
                "from the last saved state, with fewer workers in the recipe if need be"
            ) from error


class _Drawn(Dataset[T]):
    def __init__(self, make: Callable[[int], T]) -> None:
        self._make = make

    def __getitem__(self, number: int) -> T:
        return self._make(number)


class _From:
    """The numbers of this process's batches from `first` on, without end."""

    def __init__(self, first: int, parts: int) -> None:
        self._first, self._parts = first, parts

    def __iter__(self) -> Iterator[int]:
        step = self._first // self._parts
        every = (s * self._parts + part for s in count(step) for part in range(rank(), self._parts, world()))
        return (number for number in every if number >= self._first)


def _as_it_is(batch: Any) -> Any:
    return batch


def _deaf(worker: int) -> None:
    """Ctrl-C goes to all processes; the one that trains ends the others when its step is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
