"""Nothing is looked up, sent or fetched by a command that was not given an address."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

SEALED = Path(__file__).parent / "sealed.py"
SCAN = ["read", "scan.png"]
COMMANDS = [
    ["pack", "a.txt", "-o", "a.fiche"],
    ["unpack", "a.fiche", "-o", "b.txt"],
    ["measure", "a.txt"],
    ["memory", "add", "a.txt", "--memory", "m.memory"],
    ["memory", "index", "--memory", "m.memory"],
    ["memory", "search", "parish", "--memory", "m.memory"],
    SCAN,
]
RUN = """
from microfiche.cli import app
for command in {commands}:
    code = app(command, standalone_mode=False)
    assert not code, (command, code)
    print("done", *command)
"""


def sealed(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs it where nothing can be sent, with a home of its own; some libraries keep quieter under CI's variables."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs Linux's seccomp")
    (folder / "home").mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, SEALED, code], cwd=folder, env={**kept, "HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("this kernel filters no calls")
    return done


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.getaddrinfo('example.invalid', 80)",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import ctypes; ctypes.CDLL(None).gethostbyname(b'example.invalid')",
    ],
)
def test_what_looks_up_or_connects_does_not_live(code: str, tmp_path: Path) -> None:
    assert sealed(code, tmp_path).returncode == -signal.SIGSYS


def test_commands_send_nothing_and_leave_nothing_at_home(tmp_path: Path) -> None:
    text = "Every page of the parish register can be read.\n"
    (tmp_path / "a.txt").write_text(text)
    page = Image.new("L", (640, 200), 255)
    ImageDraw.Draw(page).text((20, 80), text.strip(), 0, ImageFont.load_default(24))
    page.save(tmp_path / "scan.png")
    done = sealed(RUN.format(commands=COMMANDS), tmp_path)
    assert not done.returncode, done.stderr
    assert done.stdout.count("done") == len(COMMANDS) and text.strip() in done.stdout.split("done memory search")[1]
    assert (tmp_path / "b.txt").read_text() == text
    assert [path for path in (tmp_path / "home").rglob("*") if not path.is_dir()] == []
