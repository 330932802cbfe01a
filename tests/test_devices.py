"""What torch is allowed on the device, and what it computes in."""

from __future__ import annotations

import pytest
import torch

from microfiche.devices import DTYPE, device_named, fast_autocast, fast_dtype, keep_to_thread_limit
from microfiche.errors import UsageError


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


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_the_dtype_follows_one_switch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DTYPE, name)
    dtype = getattr(torch, name)
    assert fast_dtype("cpu") is dtype and fast_dtype("cuda") is dtype
    weight = torch.ones(2, 2)
    with fast_autocast("cpu"):
        assert (weight @ weight).dtype is dtype
    with fast_autocast("cpu", enabled=False):
        assert (weight @ weight).dtype is torch.float32


def test_without_the_switch_a_processor_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DTYPE, raising=False)
    for offered in (True, False):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda offered=offered: offered)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda offered=offered: offered)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, offered=offered: offered)
        for device in ("cpu", "cuda"):
            assert fast_dtype(device) is (torch.bfloat16 if offered else torch.float32)
    assert fast_dtype("mps") is torch.bfloat16


def test_a_dtype_that_is_none_of_the_two_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DTYPE, "float16")
    with pytest.raises(UsageError, match=r"MICROFICHE_DTYPE=float16: it must be one of bfloat16, float32"):
        fast_dtype("cpu")


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
            with pytest.raises(UsageError, match="finds no such device on this machine"):
                device_named(name)
