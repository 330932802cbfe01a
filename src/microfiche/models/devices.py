"""What a device says of itself. It knows nothing of models."""

from __future__ import annotations

import os
from pathlib import Path

import torch


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
