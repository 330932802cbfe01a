"""What a device says of itself, and the dtype that is fast on it. It knows nothing of models."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from microfiche.errors import UsageError

DTYPE = "MICROFICHE_DTYPE"  #: the environment variable that chooses `fast_dtype`
_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def device_named(name: str) -> torch.device:
    """The device of that name: cpu, cuda (cuda:1, …) or mps. UsageError where there is none of it here."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device {name!r}; there are cpu, cuda and mps") from error
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if device.type not in there:
        raise UsageError(f"no device {name!r}; there are cpu, cuda and mps")
    if (device.index or 0) >= there[device.type]:
        raise UsageError(f"device {name!r}: torch finds none of that name here")
    return device


def free_memory(device: str | torch.device) -> int | None:
    """Bytes free on the device, None where it does not say."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def keep_to_thread_limit() -> None:
    """Lets torch use no more threads than OMP_THREAD_LIMIT allows: its kernels leave the share of those undone that do
    not start, without an error."""
    limit = os.environ.get("OMP_THREAD_LIMIT", "")
    if limit.isdecimal() and 0 < int(limit) < torch.get_num_threads():
        torch.set_num_threads(int(limit))


def fast_dtype(device: str | torch.device) -> torch.dtype:
    """What networks compute in on the device: bfloat16 where it has instructions for that, else float32.

    The environment variable MICROFICHE_DTYPE, `bfloat16` or `float32`, decides instead where it is set, so that one
    processor can stand for another; UsageError if it holds anything else.
    """
    chosen = os.environ.get(DTYPE, "")
    if chosen and chosen not in _DTYPES:
        raise UsageError(f"{DTYPE}={chosen}: it is one of {', '.join(_DTYPES)}")
    if chosen:
        return _DTYPES[chosen]
    fast = {"cpu": _bfloat16_on_cpu, "cuda": _bfloat16_on_cuda}.get(torch.device(device).type, lambda: True)
    return torch.bfloat16 if fast() else torch.float32


def fast_autocast(device: str | torch.device, enabled: bool = True, cache: bool = True) -> torch.autocast:
    """A context in which a network whose weights are float32 computes in `fast_dtype`: autocast where that is bfloat16,
    nothing where it is float32 or `enabled` is false. Without `cache`, a weight's copy is made again at each use."""
    bfloat16 = fast_dtype(device) is torch.bfloat16
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled and bfloat16, cache)


def _bfloat16_on_cpu() -> bool:
    """Whether the processor multiplies in bfloat16; on those with AVX-512 alone, oneDNN offers it and emulates it."""
    offered = torch._C._has_mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return offered and (platform.machine() not in ("x86_64", "AMD64") or torch.cpu._is_avx512_bf16_supported())


def _bfloat16_on_cuda() -> bool:
    """Whether the card multiplies in bfloat16; older ones emulate it."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
