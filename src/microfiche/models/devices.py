"""What a device says of itself. It knows nothing of models."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from microfiche.errors import UsageError


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
    """bfloat16 where the device computes in it, else float32."""
    fast = torch.device(device).type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32
