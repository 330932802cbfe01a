"""What every stage's loop does: mean weights, parts of a step, processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from microfiche.devices import DTYPE
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


def test_two_processes_train_as_one(corpus: Path) -> None:
    one = run(corpus, "one", "batches_per_step = 2\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "microfiche"]
    command += ["train", "codec", "--recipe", str(corpus / "one.toml"), "--text", str(corpus / "text")]
    done = subprocess.run([*command, "--out", str(corpus / "two")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is done") == 1
    assert far(one, load_file(corpus / "two/state.safetensors")) < 1e-4
    assert (corpus / "two/log.jsonl").read_text().count("\n") == 1


#: The command line, of whose processes the second dies before it makes batch 7, in the step after that of state 2.
DIES = """
import os, signal
from microfiche.cli import main
from microfiche.training import codec
batch_at = codec.batch_at
def batch(pages, recipe, number):
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch_at(pages, recipe, number)
codec.batch_at = batch
main()
"""


def test_a_process_that_dies_ends_all_and_the_last_state_goes_on(corpus: Path) -> None:
    more = "batches_per_step = 2\nlog_every = 2\n"
    (corpus / "out.toml").write_text(more + RECIPE)
    (corpus / "dies.py").write_text(DIES)
    # The launcher looks after them seldom enough for the first to say itself that it lost the second.
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command += ["--monitor-interval=5", "dies.py", "train", "codec", "--recipe", "out.toml", "--text", "text"]
    done = subprocess.run([*command, "--out", "out"], cwd=corpus, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    line = r"^microfiche: process 0 lost another of the 2; the same command goes on from the last state saved$"
    assert re.search(line, done.stderr, re.M), done.stderr
    with safe_open(corpus / "out/state.safetensors", "pt") as state:
        assert state.metadata()["step"] == "2"
    assert not [p for p in (corpus / "out").glob(".*")]
    again = run(corpus, "out", more)
    unbroken = run(corpus, "unbroken", more)
    assert far(again, unbroken) < 1e-4
    ours, theirs = ((corpus / out / "log.jsonl").read_text().splitlines() for out in ("out", "unbroken"))
    assert [json.loads(line)["loss"] for line in ours] == pytest.approx(
        [json.loads(line)["loss"] for line in theirs], rel=1e-3
    )


@pytest.mark.parametrize(("first", "then"), [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_what_one_processor_began_another_goes_on_with(
    corpus: Path, first: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = RECIPE.replace("steps = 6", "steps = 16", 1).replace("local_steps = 2", "local_steps = 4", 1)
    found = {}
    for out, dtypes in {first: (first, first), then: (then, then), "mixed": (first, then)}.items():
        for dtype, stop_at in zip(dtypes, (8, 16), strict=True):
            monkeypatch.setenv(DTYPE, dtype)
            run(corpus, out, "log_every = 1\n", stop_at, longer)
        found[out] = [json.loads(line)["loss"] for line in (corpus / out / "log.jsonl").read_text().splitlines()]
    assert len(found["mixed"]) == 16 and found["mixed"][:8] == found[first][:8]
    assert found["mixed"][8:] != found[first][8:], "the dtype did not change"
    for other in (first, then):
        assert found["mixed"] == pytest.approx(found[other], rel=0.01)


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
