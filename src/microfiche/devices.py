"""The devices that torch can use: whether they exist, their free memory, their fast dtype. It knows nothing of
models."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from microfiche.errors import UsageError

DTYPE = "MICROFICHE_DTYPE"  #: the environment variable that chooses `fast_dtype`
_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def device_named(name: str) -> torch.device:
    """Returns the device of that name: cpu, cuda (cuda:1, …) or mps. Raises UsageError if this machine has no such
    device."""
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
        raise UsageError(f"device {name!r}: torch finds no such device on this machine")
    return device


def free_memory(device: str | torch.device) -> int | None:
    """Returns the number of free bytes on the device, or None if it cannot be found out."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def keep_to_thread_limit() -> None:
    """Makes torch use no more threads than OMP_THREAD_LIMIT allows. Otherwise its kernels silently leave out the work
    of the threads that could not start."""
    limit = os.environ.get("OMP_THREAD_LIMIT", "")
    if limit.isdecimal() and 0 < int(limit) < torch.get_num_threads():
        torch.set_num_threads(int(limit))


def fast_dtype(device: str | torch.device) -> torch.dtype:
    """Returns the dtype that models compute in on the device: bfloat16 if it has instructions for that, else float32.

    If the environment variable MICROFICHE_DTYPE is set, to `bfloat16` or `float32`, it decides instead, so that one
    processor can imitate another. Raises UsageError if it has any other value.
    """
    chosen = os.environ.get(DTYPE, "")
    if chosen and chosen not in _DTYPES:
        raise UsageError(f"{DTYPE}={chosen}: it must be one of {', '.join(_DTYPES)}")
    if chosen:
        return _DTYPES[chosen]
    fast = {"cpu": _bfloat16_on_cpu, "cuda": _bfloat16_on_cuda}.get(torch.device(device).type, lambda: True)
    return torch.bfloat16 if fast() else torch.float32


def fast_autocast(device: str | torch.device, enabled: bool = True, cache: bool = True) -> torch.autocast:
    """Returns a context in which a model with float32 weights computes in `fast_dtype`. It is autocast if that is
    bfloat16, and does nothing if that is float32 or `enabled` is false. Without `cache`, weights are converted again at
    each use."""
    bfloat16 = fast_dtype(device) is torch.bfloat16
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled and bfloat16, cache)


def _bfloat16_on_cpu() -> bool:
    """Whether the processor multiplies in bfloat16. On processors with plain AVX-512, oneDNN offers bfloat16 but
    emulates it."""
    offered = torch._C._has_mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return offered and (platform.machine() not in ("x86_64", "AMD64") or torch.cpu._is_avx512_bf16_supported())


def _bfloat16_on_cuda() -> bool:
    """Whether the GPU multiplies in bfloat16; older ones emulate it."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
