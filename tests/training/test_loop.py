"""What the loop promises to every stage, shown by a toy: exact resume, mean weights, processes, a plain log."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
import toy
from safetensors import safe_open
from safetensors.torch import load, load_file, save
from torch import distributed as dist
from toy import Toy

from microfiche.devices import DTYPE
from microfiche.errors import CheckpointError, TrainingError, UsageError
from microfiche.training import parallel
from microfiche.training.optimisers import optimisers_of
from microfiche.training.state import load_state, save_state

RECIPE = """
steps = 8
decay_steps = 3
warmup_steps = 2
learning_rate = 2e-2
save_every = 2
validate_every = 4
log_every = 1
ema = 0.5
"""
BOTH = RECIPE + "batches_per_step = 2\n"


def program(*arguments: object, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, toy.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    return program(*arguments, launcher=("-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"))


def by_hand(*arguments: object) -> list[subprocess.CompletedProcess[str]]:
    """Two processes as torchrun starts them, which meet at a store of this process, and what becomes of each."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    command = [sys.executable, toy.__file__, *map(str, arguments)]
    names = {"TORCHELASTIC_RUN_ID": "x", "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0",
             "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}  # fmt: skip
    ranks = [{**os.environ, **names, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    with ThreadPoolExecutor() as both:
        run = partial(subprocess.run, command, capture_output=True, text=True)
        return list(both.map(lambda rank: run(env=rank), ranks))


def far(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[name].float() - b[name].float()).abs().max().item() for name in a if name.startswith("model/"))


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


def test_resuming_changes_nothing(train, tmp_path: Path) -> None:
    unbroken = train(Toy, RECIPE, "unbroken")
    for stop in (2, 3, 6):
        train(Toy, RECIPE, "broken", stop)
        assert not (tmp_path / "broken/model.safetensors").exists()
    assert train(Toy, RECIPE, "broken") == unbroken
    for name in ("model.safetensors", "recipe.toml"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    ours, theirs = (
        [{k: v for k, v in json.loads(line).items() if k != "tokens_per_second"}
         for line in (tmp_path / out / "log.jsonl").read_text().splitlines()]
        for out in ("broken", "unbroken")
    )  # fmt: skip
    assert ours == theirs and [line["step"] for line in ours] == list(range(1, 9))
    assert [line["step"] for line in ours if "held_out" in line] == [4, 8]
    assert train(Toy, RECIPE, "broken") == unbroken, "a finished training is run again"


def test_what_a_log_says(train, tmp_path: Path) -> None:
    train(Toy, RECIPE.replace("log_every = 1", "log_every = 3"), "out")
    lines = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 4, 6, 8]
    assert list(lines[1]) == ["step", "loss", "right", "lr", "tokens_per_second", "held_out"]
    train(Toy, RECIPE, "each")
    each = losses(tmp_path / "each")
    assert lines[0]["loss"] == pytest.approx(sum(each[:3]) / 3, abs=1e-4)
    assert lines[3]["loss"] == pytest.approx(sum(each[6:]) / 2, abs=1e-4) and each[-1] < each[0]
    assert lines[0]["lr"] == 0.02 and lines[3]["lr"] == pytest.approx(0.02 * (1 - (2 / 3) ** 0.5))


def test_a_log_that_a_kill_cut_short_is_mended(train, tmp_path: Path) -> None:
    train(Toy, RECIPE, "out", 4)
    log = tmp_path / "out/log.jsonl"
    before = losses(tmp_path / "out")
    log.write_text(log.read_text() + json.dumps({"step": 5, "loss": 0.5}) + '\n{"step": 6, "lo')
    train(Toy, RECIPE, "out", 4)
    assert losses(tmp_path / "out") == before


def test_the_mean_of_the_weights_follows_them_and_is_what_is_measured_and_saved(train, tmp_path: Path) -> None:
    state, half_way = load(train(Toy, RECIPE, "mean")), load(train(Toy, RECIPE, "half", 3))
    names = {name.removeprefix("mean/") for name in state if name.startswith("mean/")}
    assert {f"model/{name}" for name in names} == {name for name in state if name.startswith("model/")}
    assert not any("frozen" in name for name in state)
    for name in names:
        assert not torch.equal(state[f"model/{name}"], half_way[f"model/{name}"]), name
        assert not torch.equal(state[f"mean/{name}"], state[f"model/{name}"]), name
    saved = load_file(tmp_path / "mean/model.safetensors")
    assert all(torch.equal(saved[name], state[f"mean/{name}"]) for name in names)
    last = json.loads((tmp_path / "mean/log.jsonl").read_text().splitlines()[-1])
    assert last["held_out"] == {"slope": round(state["mean/head.weight"][0, 2].item(), 5)}
    plain = load(train(Toy, RECIPE.replace("ema = 0.5", ""), "plain"))
    assert far(plain, {n: t for n, t in state.items() if not n.startswith("mean/")}) == 0


def test_blocks_that_compute_again_and_workers_train_the_same(train) -> None:
    plain = train(Toy, BOTH, "plain")
    assert train(Toy, BOTH + "checkpoint_activations = true\n", "again") == plain
    assert train(Toy, BOTH + "workers = 2\n", "workers") == plain


def test_parts_of_a_step_are_summed(train, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = load(train(Toy, BOTH, "parts"))
    numbers = []
    ours = Toy.batch
    monkeypatch.setattr(Toy, "batch", lambda self, number: numbers.append(number) or ours(self, number))
    assert far(load(train(Toy, BOTH, "again")), parts) == 0 and numbers == list(range(16))
    assert far(load(train(Toy, RECIPE, "whole")), parts) > 0


def test_two_processes_train_as_one(train, tmp_path: Path) -> None:
    one = train(Toy, BOTH, "one")
    done = torchrun(tmp_path / "one.toml", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert far(load(one), load_file(tmp_path / "two/state.safetensors")) < 1e-4
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_one_thread_exchanges_so_that_a_barrier_leaves_nothing_to_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)

    def exchanging() -> int:
        found = 0
        for file in Path("/proc/self/task").glob("*/comm"):
            with suppress(OSError):  # one that ends meanwhile
                found += file.read_text() == "pt_gloo_runloop\n"
        return found

    with parallel.processes("cpu") as device:
        dist.all_reduce(torch.ones(1, device=device))
        assert exchanging() == 1
    end = time.monotonic() + 600
    while exchanging():  # a thread that has ended may still be listed
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_process_that_dies_ends_all_and_the_last_state_goes_on(train, tmp_path: Path) -> None:
    unbroken = load(train(Toy, BOTH, "unbroken"))
    # The second dies before it draws batch 7, in the step after that of state 2. There is no launcher, which might end
    # the first before that has said itself that it lost the second.
    out = tmp_path / "broken"
    first, second = by_hand(tmp_path / "unbroken.toml", out, 7, int(signal.SIGKILL), 1)
    assert first.returncode != 0 and second.returncode == -signal.SIGKILL
    line = r"^microfiche: process 0 lost another of the 2; the same command goes on from the last state saved$"
    assert re.search(line, first.stderr, re.M), first.stderr
    with safe_open(out / "state.safetensors", "pt") as state:
        assert state.metadata()["step"] == "2"
    assert not list(out.glob(".*"))
    assert far(load(train(Toy, BOTH, "broken")), unbroken) < 1e-4


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_training_that_is_stopped_goes_on_where_it_was(train, tmp_path: Path, sent: signal.Signals) -> None:
    unbroken = train(Toy, RECIPE, "unbroken")
    stopped = program(tmp_path / "unbroken.toml", tmp_path / "broken", 5, int(sent))
    assert stopped.returncode == (0 if sent == signal.SIGINT else -sent), stopped.stderr
    with safe_open(tmp_path / "broken/state.safetensors", "pt") as state:
        assert state.metadata()["step"] == ("6" if sent == signal.SIGINT else "4")
    assert not (tmp_path / "broken/model.safetensors").exists()
    assert train(Toy, RECIPE, "broken") == unbroken
    assert not list((tmp_path / "broken").glob(".*"))


@pytest.mark.parametrize(("first", "then"), [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_what_one_processor_began_another_goes_on_with(
    train, tmp_path: Path, first: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for out, dtypes in {first: (first, first), then: (then, then), "mixed": (first, then)}.items():
        for dtype, stop_at in zip(dtypes, (4, 8), strict=True):
            monkeypatch.setenv(DTYPE, dtype)
            train(Toy, RECIPE, out, stop_at)
        found[out] = losses(tmp_path / out)
    assert len(found["mixed"]) == 8 and found["mixed"][:4] == found[first][:4]
    assert found["mixed"][4:] != found[first][4:], "the dtype did not change"
    for other in (first, then):
        assert found["mixed"] == pytest.approx(found[other], rel=0.01)


def test_more_processes_than_batches_are_refused(train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microfiche.training.parallel.world", lambda: 2)
    with pytest.raises(UsageError, match="2 processes cannot share 1 batches a step"):
        train(Toy, RECIPE, "many")


def test_a_damaged_state_is_refused(train, tmp_path: Path) -> None:
    data = train(Toy, RECIPE, "out", 2)
    state = tmp_path / "out/state.safetensors"
    good = load(data)
    for damaged, said in (
        (data[:1000], "cannot resume"),
        (save({key: v[:1] if v.ndim else v for key, v in good.items()}, {"step": "2"}), r"is \(1.*, not \("),
        (save({key: v for key, v in good.items() if not key.startswith("model/")}, {"step": "2"}), "it has no "),
        (save(good, {"step": "-5"}), "of step -5"),
    ):
        state.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=said):
            train(Toy, RECIPE, "out")


@pytest.mark.parametrize(
    "log", [b"x\n", b"\xff\xfe\n", b"\n", b"[1]\n", b'{"a": 1}\n', b'{"step": "a"}\n', b"[" * 9999 + b"\n"]
)
def test_a_log_that_is_none_is_named(train, tmp_path: Path, log: bytes) -> None:
    train(Toy, RECIPE, "out", 2)
    (tmp_path / "out/log.jsonl").write_bytes(log)
    with pytest.raises(TrainingError, match=r"log.jsonl: not the log of a training"):
        train(Toy, RECIPE, "out")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("loss", r"the loss is nan at step 5 \(batch 4\); .*holds the last good state, of step 4"),
        ("gradient", r"its gradient (nan|inf) at step 5 \(batches 4 to 4\); .*of step 4"),
    ],
)
def test_what_is_not_a_number_spoils_no_weight(
    train, tmp_path: Path, bad: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = train(Toy, RECIPE, "out", 4)
    monkeypatch.setattr(Toy, "bad", (4, bad))
    with pytest.raises(TrainingError, match=said):
        train(Toy, RECIPE, "out")
    assert (tmp_path / "out/state.safetensors").read_bytes() == good


def test_a_training_is_not_resumed_with_another_recipe(train) -> None:
    train(Toy, RECIPE, "out", 2)
    with pytest.raises(UsageError, match="begun by another recipe"):
        train(Toy, RECIPE.replace("decay_steps = 3", "decay_steps = 4"), "out")


def test_a_full_disk_keeps_the_last_state_and_the_same_command_goes_on(train, tmp_path: Path) -> None:
    unbroken, good = train(Toy, RECIPE, "unbroken"), train(Toy, RECIPE, "out", 4)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))
    try:
        with pytest.raises(TrainingError, match=r"state\.safetensors: cannot be written .*holds step 4"):
            train(Toy, RECIPE, "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "out/state.safetensors").read_bytes() == good
    assert not list((tmp_path / "out").glob(".*"))
    assert train(Toy, RECIPE, "out") == unbroken


def test_metrics_go_to_tensorboard_where_it_is_installed(train, tmp_path: Path) -> None:
    board = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(Toy, RECIPE, "out")
    events = board.EventAccumulator(str(tmp_path / "out/tensorboard"))
    events.Reload()
    assert {"loss", "right", "lr", "held out/slope"} <= set(events.Tags()["scalars"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, where AdamW is fused")
def test_a_state_is_resumed_on_a_gpu(tmp_path: Path) -> None:
    def trained(steps: int, state: Path | None = None) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2).cuda()
        both = optimisers_of(model, 0.1, lambda name, p: False, 1.0, ())
        first = load_state(state, model, both, {}) if state else 0
        for step in range(first, steps):
            model.zero_grad()
            model(torch.full((4, 3), float(step), device="cuda")).square().sum().backward()
            for each in both:
                each.step()
        save_state(tmp_path / f"{steps}.safetensors", model, both, steps, {})
        return [p.detach().cpu() for p in model.parameters()]

    whole = trained(4)
    trained(2)
    for one, other in zip(whole, trained(4, tmp_path / "2.safetensors"), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
