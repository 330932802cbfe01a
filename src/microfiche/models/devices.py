"""What a device says of itself. It knows nothing of models."""

from __future__ import annotations

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


def fast_dtype(device: str | torch.device) -> torch.dtype:
    """bfloat16 where the device computes in it, else float32."""
    fast = torch.device(device).type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32
