"""The vendors' clients for JavaScript, in Node."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from agent import weather
from between import entered


def test_both_vendors_clients(watched: Any) -> None:
    watched.vendor.script = weather
    modules = os.environ["MICROFICHE_NODE_MODULES"]
    script = Path(__file__).with_name("clients.cjs")
    done = subprocess.run(["node", script, watched.url], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "NODE_PATH": modules})  # fmt: skip
    assert done.returncode == 0 and "all well" in done.stdout, done.stderr
    entered(watched.account, 11)
    assert sorted(watched.bodies) == sorted(r.body for r in watched.vendor.requests)
