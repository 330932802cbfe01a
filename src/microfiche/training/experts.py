"""How evenly a decoder's experts are used while it learns: counted over batches and processes, for the log.

It knows nothing of losses; `decoder/moe.py` routes and balances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from microfiche.decoder.moe import Routing
from microfiche.training import parallel


@dataclass(frozen=True)
class Use:
    """`chosen` (layers, experts) float64, how many choices fell on each expert; `balance`, the balance loss summed
    over `tokens` tokens."""

    chosen: Tensor
    balance: float
    tokens: int

    @classmethod
    def of(cls, routings: Sequence[Routing], balance: Tensor, mask: Tensor | None = None) -> Use:
        """The use that the routings of one pass made, of its (B, T) tokens those that `mask` marks."""
        counts = []
        for routing in routings:
            chosen = routing.chosen if mask is None else routing.chosen[mask]
            counts.append(torch.bincount(chosen.flatten(), minlength=routing.probability.shape[-1]))
        tokens = routings[0].chosen[..., 0].numel() if mask is None else int(mask.sum())
        return cls(torch.stack(counts).cpu().double(), balance.item() * tokens, tokens)

    def __add__(self, other: Use | None) -> Use:
        if other is None:
            return self
        return Use(self.chosen + other.chosen, self.balance + other.balance, self.tokens + other.tokens)

    def line(self, device: torch.device) -> dict[str, Any]:
        """What is logged of it, over all processes: the mean `balance` (1 where even), and `experts`, for each layer
        that has them the share of choices that fell on each."""
        *counts, balance, tokens = parallel.summed([*self.chosen.flatten().tolist(), self.balance, self.tokens], device)
        chosen = torch.tensor(counts, dtype=torch.float64).view_as(self.chosen)
        shares = chosen / chosen.sum(-1, keepdim=True)
        return {
            "balance": round(balance / tokens, 4),
            "experts": [[round(share, 4) for share in layer] for layer in shares.tolist()],
        }
