"""The command `microfiche serve`: it says where it is, answers, ends by a signal, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from microfiche.cli import app


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "MICROFICHE_SERVE_TOKEN": "a-token-of-tests"}
    command = [sys.executable, "-m", "microfiche", "serve", "--port", "0", "--jobs", "1", "--engine", "text"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("http://127.0.0.1:") and line.endswith(" is ready\n"), line
    yield process, line.split()[0]
    process.kill()
    process.wait()
    process.stderr.close()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_answers_and_leaves_nothing_behind(
    started: tuple[subprocess.Popen[str], str], tmp_path: Path, end: signal.Signals
) -> None:
    process, url = started
    with urllib.request.urlopen(f"{url}/health") as answer:
        assert answer.status == 200
    while True:  # from then on there is a process that would remove what a killed server leaves
        try:
            with urllib.request.urlopen(f"{url}/ready") as answer:
                assert answer.status == 200
                break
        except urllib.error.HTTPError as error:
            assert error.code == 503
            error.close()
            time.sleep(0.05)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("microfiche-serve-")]
    process.send_signal(end)
    process.wait()
    while [path for path in tmp_path.iterdir() if path.name.startswith("microfiche-serve-")]:
        time.sleep(0.05)


@pytest.mark.parametrize(("arguments", "said", "code"), [
    (["--host", "0.0.0.0"], "give a token", 2), (["--token", "short"], "8 printable", 2),
    (["--memories", "no-such-folder"], "no folder of memories", 1), (["--limit", "pages=many"], "give NAME=NUMBER", 2),
    (["--weights", "none", "--jobs", "2"], "none", 1), (["--port", "99999"], "65535", 2),
])  # fmt: skip
def test_what_cannot_be_served_is_one_line(arguments: list[str], said: str, code: int) -> None:
    result = CliRunner(env={"MICROFICHE_SERVE_TOKEN": ""}).invoke(app, ["serve", *arguments])
    assert result.exit_code == code and said in result.stderr, result.stderr


def test_a_port_that_is_taken_is_said() -> None:
    from microfiche.proxy.server import bound

    taken = bound("127.0.0.1", 0)
    result = CliRunner(env={"MICROFICHE_SERVE_TOKEN": ""}).invoke(app, ["serve", "--port", str(taken.getsockname()[1])])
    taken.close()
    assert result.exit_code == 1 and "cannot be had" in result.stderr
