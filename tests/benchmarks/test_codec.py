"""Speculative reading is measured as what it is: passes, accepted cells, and the same cells as greedy decoding."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import codec
import numpy as np
import pytest
import torch
from codec import rate, speculative
from rivals import joined

import microfiche
from microfiche.nano.cells import Nano, line_decoder
from microfiche.nano.lines import LineDecoder
from microfiche.readers import load

SIZES = {"width": 16, "layers": 2, "heads": 2, "dense": 16, "experts": 4, "expert": 8}


@pytest.fixture(scope="module")
def nano() -> Nano:
    return load("nano", dtype=torch.float32)


def decoder(nano: Nano, spread: float) -> LineDecoder:
    torch.manual_seed(0)
    made = LineDecoder.for_nano(nano.config.hidden, nano.config.token_width, **SIZES).eval()
    torch.nn.init.normal_(made.decoder.lm_head.weight, std=spread)
    return made


@pytest.mark.parametrize("spread", [0.0, 5.0])
def test_speculative_reading_is_measured(nano: Nano, spread: float) -> None:
    tokens = nano.encode(microfiche.typeset("It was the best of times. " * 20, "7x13", "tiny"))
    result = speculative(nano, tokens, decoder(nano, spread), encode=10.0, seconds=0)
    assert result.as_greedy == 1
    assert result.read > 0 and result.times_faster > 0
    assert 0 < result.pages_per_day < 86400 * min(result.read, 10)
    if spread:
        assert result.accepted < 1 and result.passes > 1
    else:  # it reads what the readout reads
        assert result.accepted == 1 and result.passes == 1


def test_a_rate_counts_what_was_done() -> None:
    done: list[int] = []
    assert rate(lambda: done.append(3) or 3, seconds=0) > 0  # type: ignore[func-returns-value]
    assert len(done) == 2  # one call to warm up, one that counts


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def test_boxes_beside_one_another_are_a_line() -> None:
    boxes = [box(100, 12, 150, 22), box(0, 30, 80, 40), box(0, 10, 95, 20), box(300, 11, 340, 21)]
    assert joined(np.array(boxes), ["two", "three", "one", "far"]) == ["one two", "far", "three"]


def test_bench_says_rates_and_the_share_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(0, 4).__next__  # whatever is timed takes four seconds
    monkeypatch.setattr(codec, "time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr(codec, "_SIDE", 100)
    nano = load("nano")
    result = codec.bench("The quick brown fox. " * 250, nano, 0, line_decoder(nano)).model_dump()
    assert "encoder and readout: " in codec.shown(codec.Bench(**result))
    assert result["typeset_one"] == result["encode"] == result["read"] == 2 / 4
    assert result["typeset_numpy"] == result["typeset_torch"] == 64 / 4
    assert result["machine_gflops"] == pytest.approx(2 * 100**3 / 4 / 1e9)
    assert result["share"] == pytest.approx(result["encoder_gflops"] / result["machine_gflops"])
    assert 1 < result["encoder_gflops"] * 4 / 2 < 100  # of one page
    assert result["pages_per_day"] == 86400 / result["readers"][0]["seconds_per_page"] == 86400 / 4
    assert 0 <= result["readers"][0]["error"] < 0.01 and result["times_faster"] is None
    lines = result["speculative"]
    assert lines["times_faster"] == 1 and lines["read"] == 2 / 4 and lines["as_greedy"] > 0.999
