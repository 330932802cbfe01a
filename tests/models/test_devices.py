"""What torch is allowed on the device."""

from __future__ import annotations

import pytest
import torch

from microfiche.models.devices import keep_to_thread_limit


def test_torch_has_no_more_threads_than_openmp_may_start(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        monkeypatch.setenv("OMP_THREAD_LIMIT", "many")
        keep_to_thread_limit()
        assert torch.get_num_threads() == 2
        monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
        keep_to_thread_limit()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
