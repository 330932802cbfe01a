"""Muon: its updates, and the dtype of its matrix products."""

from __future__ import annotations

import pytest
import torch

from microfiche.devices import DTYPE
from microfiche.training.optimisers import Muon, muon_and_adamw, orthogonalised


def gradients(shape: tuple[int, int], steps: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for _ in range(steps)]


@pytest.mark.parametrize("shape", [(24, 64), (64, 24), (40, 40), (1, 8)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    found = orthogonalised(gradients(shape)[0], torch.float32)
    values = torch.linalg.svdvals(found)
    assert found.shape == shape and found.dtype == torch.float32
    assert ((values > 0.5) & (values < 1.5)).float().mean() > 0.9
    u, _, v = torch.linalg.svd(gradients(shape)[0], full_matrices=False)
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.93


@pytest.mark.parametrize("shape", [(24, 64), (64, 24)])
def test_steps_are_those_of_torch_which_multiplies_in_bfloat16(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(1)
    ours, theirs = (torch.nn.Parameter(w) for w in torch.randn(shape, generator=generator).expand(2, -1, -1).clone())
    muon = Muon([{"params": [ours], "share": 1.0}], weight_decay=0.1)
    oracle = torch.optim.Muon([theirs], momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    begun = ours.detach().clone()
    for dtype, close in (("bfloat16", 1e-6), ("float32", 0.03)):
        monkeypatch.setenv(DTYPE, dtype)
        for gradient in gradients(shape):
            for parameter, optimiser in ((ours, muon), (theirs, oracle)):
                parameter.grad = gradient.clone()
                optimiser.param_groups[0]["lr"] = 0.01
                optimiser.step()
        apart = (ours - theirs).norm() / (theirs - begun).norm()
        assert apart < close, dtype


def test_what_has_no_gradient_stays() -> None:
    matrix, bias = torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(3))
    for optimiser in muon_and_adamw([{"params": [matrix]}], [{"params": [bias]}], 0.1):
        optimiser.param_groups[0]["lr"] = 1.0
        optimiser.step()
    assert (matrix == 1).all() and (bias == 1).all()


def test_a_gradient_of_nothing_moves_nothing() -> None:
    assert not orthogonalised(torch.zeros(4, 6), torch.float32).any()
