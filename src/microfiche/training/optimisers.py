"""The pair of optimisers that most stages train with: Muon for what mixes features, AdamW for everything else.

Which parameters are which a stage says by their names and shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from microfiche.devices import fast_dtype

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_EPSILON = 1e-7


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for matrices, and for convolutions as matrices (out, in · kernel), with updates as
    large as AdamW's (Liu et al., arXiv 2502.16982, section 2.2).

    It does what `torch.optim.Muon` does, but multiplies matrices in the dtype that is fast on the device. That one
    always multiplies in bfloat16, which takes many times as long on a processor without it.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(list(groups), {"lr": 0.0, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients; parameters without one stay."""
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for matrix in (p for p in group["params"] if p.grad is not None):
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                mean = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
                update = orthogonalised(matrix.grad.lerp(mean, momentum).flatten(1), fast_dtype(matrix.device))
                matrix.mul_(1 - lr * group["weight_decay"])
                matrix.add_(update.view_as(matrix), alpha=-lr * 0.2 * math.sqrt(max(update.shape)))


def orthogonalised(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """(m, n) → about U·Vᵀ of its singular value decomposition U·S·Vᵀ: singular values come to lie between 0.5 and 1.5,
    by five Newton-Schulz iterations in `dtype`."""
    a, b, c = _QUINTIC
    x = matrix.to(dtype)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    x = x / x.norm().clamp(min=_EPSILON)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def muon_and_adamw(
    matrices: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Muon for the groups of `matrices`, AdamW for those of `others`, each {"params": …, "share": its share of the
    learning rate}."""
    return [
        torch.optim.AdamW(list(others), betas=(0.9, 0.98), weight_decay=weight_decay, fused=True),
        Muon(matrices, weight_decay=weight_decay),
    ]


def optimisers_of(
    model: nn.Module,
    weight_decay: float,
    is_matrix: Callable[[str, nn.Parameter], bool],
    share: float = 1.0,
    mixing: tuple[str, ...] = (),
) -> list[torch.optim.Optimizer]:
    """Muon for the parameters of which `is_matrix(name, parameter)` is true, AdamW for the others, at `share` of the
    rate.

    Those whose names begin with one of `mixing` learn by AdamW at a tenth of the rate, lest they be shaken apart: what
    folds patches into tokens and back starts as an identity or a projection.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    mixed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if name.startswith(mixing):
            mixed.append(parameter)
        else:
            (matrices if is_matrix(name, parameter) else others).append(parameter)
    groups = [{"params": others, "share": share}, {"params": mixed, "share": 0.1}]
    return muon_and_adamw([{"params": matrices, "share": 1.0}], groups[: 1 + bool(mixing)], weight_decay)


def decoder_optimisers(model: nn.Module, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Optimisers of a mixture-of-experts decoder: Muon for its blocks' matrices but those that route."""

    def is_matrix(name: str, parameter: nn.Parameter) -> bool:
        return parameter.ndim == 2 and "layers" in name and not name.endswith("mlp.gate")

    return optimisers_of(model, weight_decay, is_matrix, share=0.4)
