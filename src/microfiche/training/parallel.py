"""Data-parallel training under torchrun: every process takes its share of a step's batches, and gradients are summed.

Which batches a step has does not depend on how many processes there are, so one recipe gives the same training on
one and on many, up to the order of additions. Without torchrun there is one process, and all of this does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch import distributed as dist


@contextmanager
def processes(device: str) -> Iterator[torch.device]:
    """Joins the processes that torchrun started, if it did; gives the device of this one (cuda: one for each)."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield torch.device(device)
        return
    mine = torch.device(device, int(os.environ["LOCAL_RANK"])) if device == "cuda" else torch.device(device)
    if mine.type == "cuda":
        torch.cuda.set_device(mine)
    dist.init_process_group("nccl" if mine.type == "cuda" else "gloo")
    try:
        yield mine
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process; 0 is the one that writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """The sums of `values` over all processes."""
    if world() == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    dist.all_reduce(total)
    return total.tolist()


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Sums the gradients over all processes, in one message; a parameter without one in any of them keeps none."""
    if world() == 1:
        return
    has = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=parameters[0].device)
    dist.all_reduce(has)
    used = [p for p, n in zip(parameters, has.tolist(), strict=True) if n]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in used])
    dist.all_reduce(flat)
    parts: Sequence[Tensor] = torch.split(flat, [p.numel() for p in used])
    for parameter, part in zip(used, parts, strict=True):
        parameter.grad = part.view_as(parameter)
