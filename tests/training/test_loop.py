"""What every stage's loop does: mean weights, parts of a step, processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from microfiche.errors import UsageError
from microfiche.training.codec import train

RECIPE = """
steps = 6
local_steps = 2
decay_steps = 3
tokens_per_step = 8
save_every = 2
validate_every = 6
page_sides = {64 = 1}
densities = {7x13 = 1}
[model]
stem = [8, 8, 16, 32]
local_layers = 1
token_width = 64
global_width = 64
global_layers = 1
readout_layers = 1
square_width = 16
hidden = 32
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("\n\f\n".join(documents))
    return tmp_path


def run(
    corpus: Path, out: str, more: str = "", stop_at: int = 6, base: str = RECIPE
) -> dict[str, torch.Tensor]:
    recipe = corpus / f"{out}.toml"
    recipe.write_text(more + base)
    train(recipe, corpus / "text", corpus / out, torch.device("cpu"), lambda line: None, lambda step: step >= stop_at)
    return load_file(corpus / out / "state.safetensors")


def far(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[name].float() - b[name].float()).abs().max().item() for name in a if name.startswith("model/"))


def test_the_mean_of_the_weights_follows_them_and_is_what_is_saved(corpus: Path) -> None:
    state = run(corpus, "mean", "ema = 0.5\n")
    half_way = run(corpus, "broken", "ema = 0.5\n", 3)
    again = run(corpus, "broken", "ema = 0.5\n")
    assert all(torch.equal(state[name], again[name]) for name in state)
    names = [name.removeprefix("mean/") for name in state if name.startswith("mean/")]
    assert {f"model/{name}" for name in names} == {name for name in state if name.startswith("model/")}
    moved = [name for name in names if not torch.equal(state[f"model/{name}"], half_way[f"model/{name}"])]
    assert all(not torch.equal(state[f"mean/{name}"], state[f"model/{name}"]) for name in moved)
    saved = load_file(corpus / "mean/model.safetensors")
    name = "readout.half_head.bias"
    assert torch.allclose(saved[name].float(), state[f"mean/{name}"], atol=1e-3)
    plain = run(corpus, "plain")
    assert far(plain, {n: t for n, t in state.items() if not n.startswith("mean/")}) == 0


def test_blocks_that_compute_again_train_the_same(corpus: Path) -> None:
    assert far(run(corpus, "plain"), run(corpus, "again", "checkpoint_activations = true\n")) == 0


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As each of several processes has, so that products are summed in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_two_processes_train_as_one(corpus: Path, one_thread: None) -> None:
    one = run(corpus, "one", "batches_per_step = 2\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "microfiche"]
    command += ["train", "codec", "--recipe", str(corpus / "one.toml"), "--text", str(corpus / "text")]
    done = subprocess.run(
        [*command, "--out", str(corpus / "two")],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is done") == 1
    assert far(one, load_file(corpus / "two/state.safetensors")) < 1e-4
    assert (corpus / "two/log.jsonl").read_text().count("\n") == 1


def test_a_process_that_dies_ends_all_and_the_last_state_goes_on(corpus: Path, one_thread: None) -> None:
    more = "batches_per_step = 2\nlog_every = 2\n"
    long = RECIPE.replace("steps = 6", "steps = 400", 1)
    (corpus / "out.toml").write_text(more + long)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "microfiche"]
    command += ["train", "codec", "--recipe", "out.toml", "--text", "text", "--out", "out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=corpus, env=environment, stderr=subprocess.PIPE, text=True) as launcher:
        while not (corpus / "out/state.safetensors").exists():
            assert launcher.poll() is None
            time.sleep(0.01)
        os.kill(max(children(launcher.pid)), signal.SIGKILL)
        _, said = launcher.communicate(timeout=60)
    assert launcher.returncode != 0
    line = r"^microfiche: process \d lost another of the 2; the same command goes on from the last state saved$"
    assert re.search(line, said, re.M)
    with safe_open(corpus / "out/state.safetensors", "pt") as state:
        step = int(state.metadata()["step"])
    assert 0 < step < 400 and step % 2 == 0
    assert not [p for p in (corpus / "out").glob(".*")]
    again = run(corpus, "out", more, step + 4, long)
    unbroken = run(corpus, "unbroken", more, step + 4, long)
    assert far(again, unbroken) < 1e-4
    ours, theirs = ((corpus / out / "log.jsonl").read_text().splitlines() for out in ("out", "unbroken"))
    assert [json.loads(line)["loss"] for line in ours] == pytest.approx(
        [json.loads(line)["loss"] for line in theirs], rel=1e-3
    )


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    listing = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(line) for line in listing.stdout.split()]


def test_more_processes_than_batches_are_refused(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microfiche.training.parallel.world", lambda: 2)
    with pytest.raises(UsageError, match="2 processes cannot share 1 batches a step"):
        run(corpus, "many")


def test_metrics_go_to_tensorboard_where_it_is_installed(corpus: Path) -> None:
    board = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(corpus, "out")
    events = board.EventAccumulator(str(corpus / "out/tensorboard"))
    events.Reload()
    assert {"loss", "right", "lr", "held out/7x13"} <= set(events.Tags()["scalars"])
