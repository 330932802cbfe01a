"""Networks of others, which ONNX Runtime runs on the CPU."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any


def network(path: Path) -> Any:
    """The network in a file, on as many threads as OMP_NUM_THREADS says; its memory goes back after each page."""
    onnxruntime = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
