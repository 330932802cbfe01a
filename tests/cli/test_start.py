"""What a command imports before it works: help waits for nothing heavy, and no command loads torch's compiler."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import json, sys
from microfiche.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules(*arguments: str) -> set[str]:
    """The modules that `microfiche` with these arguments has imported when it ends."""
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "command",
    [[], ["measure"], ["read"], ["train", "codec"], ["pixel", "fill"], ["memory"],
     ["memory", "fade"], ["serve"]],
)
def test_help_imports_neither_torch_nor_numpy_nor_matplotlib(command: list[str]) -> None:
    assert not modules(*command, "--help") & {"torch", "numpy", "matplotlib", "PIL"}


def test_measuring_imports_neither_plots_nor_the_compiler(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("It was the best of times.")
    found = modules("measure", str(tmp_path / "a.txt"))
    assert "torch" in found
    assert not found & {"matplotlib", "sympy", "torch._dynamo", "jieba", "onnxruntime"}
