"""What torch is allowed on the device."""

from __future__ import annotations

import pytest
import torch

from microfiche.errors import UsageError
from microfiche.models.devices import device_named, keep_to_thread_limit


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


@pytest.mark.parametrize("name", ["bogus", "", "meta", "cpu:1", "cuda:x", "cuda:-1", "CPU", "xpu", "cuda:9999"])
def test_a_device_that_there_is_not_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match=f"device '{name}'"):
        device_named(name)


def test_the_devices_that_there_are() -> None:
    assert device_named("cpu") == torch.device("cpu")
    for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if there:
            assert device_named(name).type == name
        else:
            with pytest.raises(UsageError, match="finds none of that name here"):
                device_named(name)
