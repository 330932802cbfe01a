"""Linear layers whose weights are int8 with one scale for each output row. Sums are in the precision of the input.

It knows only layers, and nothing of checkpoints.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.decoder.moe import GroupedLinear

FEW = 4  #: the CPU multiplies up to this many rows in int8; for more, converting the matrix to floats pays


def quantised(weight: Float[Tensor, "*e out d"]) -> tuple[Int8[Tensor, "*e out d"], Float[Tensor, "*e out"]]:
    """(…, out, in) float → the same in int8, and (…, out) float32 scales."""
    wide = weight.to(torch.float32, copy=True)
    scale = (torch.linalg.vector_norm(wide, torch.inf, dim=-1) / 127).clamp(min=1e-12)
    return wide.div_(scale[..., None]).round_().to(torch.int8), scale


def product(
    x: Float[Tensor, "n d"], weight: Int8[Tensor, "out d"], scale: Float[Tensor, " out"]
) -> Float[Tensor, "n out"]:
    """(N, in) × (out, in) int8 with (out,) float32 scales → (N, out)."""
    if x.device.type == "cpu" and len(x) <= FEW:
        return torch._weight_int8pack_mm(x, weight, scale.to(x.dtype))
    return F.linear(x, weight.to(x.dtype)) * scale.to(x.dtype)


class Int8Linear(nn.Module):
    """Replaces an nn.Linear."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty_like(linear.weight, dtype=torch.int8), requires_grad=False)
        self.scale = nn.Parameter(torch.empty(linear.out_features, device=linear.weight.device), requires_grad=False)
        self.bias = linear.bias

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n out"]:
        """(…, in) → (…, out): the product with the matrix, plus the bias if there is one."""
        y = product(x.reshape(-1, x.shape[-1]), self.weight, self.scale).view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias


class Int8GroupedLinear(nn.Module):
    """Replaces a GroupedLinear; loops over the experts that have rows."""

    def __init__(self, linear: GroupedLinear) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty_like(linear.weight, dtype=torch.int8), requires_grad=False)
        scale = torch.empty(linear.weight.shape[:2], device=linear.weight.device)
        self.scale = nn.Parameter(scale, requires_grad=False)

    def forward(self, x: Float[Tensor, "n d"], ends: Int[Tensor, " experts"]) -> Float[Tensor, "n out"]:
        """(N, in) rows, (experts,) ends → (N, out); see GroupedLinear."""
        y = x.new_empty(len(x), self.weight.shape[1])
        first = 0
        for expert, end in enumerate(ends.tolist()):
            if end > first:
                y[first:end] = product(x[first:end], self.weight[expert], self.scale[expert])
            first = end
        return y


def hold_in_int8(model: nn.Module) -> None:
    """Replaces all linear layers of `model` by int8 layers, whose weights are not filled in."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, Int8Linear(child))
            elif isinstance(child, GroupedLinear):
                setattr(parent, name, Int8GroupedLinear(child))
