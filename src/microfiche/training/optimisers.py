"""The pair of optimisers that most stages train with: Muon for what mixes features, AdamW for everything else.

Which parameters are which is a stage's own affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def muon_and_adamw(
    matrices: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024, its steps as large as AdamW's) for the groups of `matrices`, AdamW for those of
    `others`, each {"params": …, "share": its share of the learning rate}."""
    return [
        torch.optim.AdamW(list(others), betas=(0.9, 0.98), weight_decay=weight_decay, fused=True),
        torch.optim.Muon(
            list(matrices),
            momentum=0.95,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
    ]
