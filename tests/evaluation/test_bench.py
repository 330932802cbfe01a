"""Speculative reading is measured as what it is: passes, accepted cells, and the same cells as greedy decoding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import microfiche
from microfiche.cli.bench import line_decoder
from microfiche.errors import CheckpointError
from microfiche.evaluation.bench import rate, speculative
from microfiche.nano import lines_checkpoint as lines
from microfiche.nano.cells import Nano
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


def test_without_weights_the_line_decoder_is_left_out(
    nano: Nano, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Nano(nano.config, ("other", "0" * 64))  # none ships for it
    assert line_decoder(other, None) is None
    assert "speculative reading is left out" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        line_decoder(nano, tmp_path / "none.safetensors")
    lines.save(decoder(nano, 0.0), nano.checkpoint, tmp_path / "some.safetensors")
    assert isinstance(line_decoder(nano, tmp_path / "some.safetensors"), LineDecoder)
