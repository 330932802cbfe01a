"""The line decoder reads as greedy decoding does, whatever the draft, and begins as the readout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import microfiche
from microfiche.errors import CheckpointError
from microfiche.nano.cells import NanoLines, line_decoder
from microfiche.nano.lines import BEGIN, CLASSES, LINES, LineDecoder, Lines
from microfiche.nano.readout import HALF_CLASSES, RIGHT
from microfiche.page import Checkpoint, Layout
from microfiche.readers import load
from microfiche.weights import stored

SIZES = {"width": 16, "layers": 2, "heads": 2, "dense": 16, "experts": 4, "expert": 8}


def decoder(seed: int, spread: float) -> LineDecoder:
    torch.manual_seed(seed)
    made = LineDecoder.for_nano(8, 12, **SIZES).eval()
    torch.nn.init.normal_(made.decoder.lm_head.weight, std=spread)
    return made


def some_lines(seed: int, count: int, cells: int, wide: bool) -> Lines:
    generator = torch.Generator().manual_seed(seed)
    base = 3 * torch.randn(count, cells, CLASSES if wide else HALF_CLASSES, generator=generator)
    base[..., BEGIN] = -torch.inf
    base[:, -1, HALF_CLASSES:] = -torch.inf
    tokens = torch.randn(count, 3, 12, generator=generator)
    return Lines(tokens, torch.randn(count, cells, 16, generator=generator), base)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(1, 5), st.integers(1, 12), st.booleans(), st.sampled_from([0.0, 0.5, 2.0]))
def test_a_checked_draft_is_what_greedy_decoding_reads(
    seed: int, count: int, cells: int, wide: bool, spread: float
) -> None:
    model, lines = decoder(seed, spread), some_lines(seed, count, cells, wide)
    read = model.greedy(lines)
    for draft in (lines.base.argmax(-1), torch.zeros_like(read), read):
        found, sure, passes = model.verified(lines, draft)
        assert torch.equal(found, read)
        assert ((sure > 0) & (sure <= 1)).all()
        assert passes[0] == count and len(passes) <= cells
    assert passes == [count]  # the draft was right, so that one pass was enough


def test_full_width_characters_take_two_cells() -> None:
    model, lines = decoder(1, 2.0), some_lines(1, 6, 15, wide=True)
    read = model.greedy(lines)
    assert (read >= HALF_CLASSES).any()
    assert torch.equal(read[:, 1:] == RIGHT, read[:, :-1] >= HALF_CLASSES)
    assert not (read[:, -1] >= HALF_CLASSES).any() and not (read == BEGIN).any()


@pytest.mark.parametrize("density", ["7x13", "16x16"])
def test_before_training_it_reads_what_the_readout_reads(density: str) -> None:
    nano = load("nano", dtype=torch.float32)
    made = LineDecoder.for_nano(nano.config.hidden, nano.config.token_width).eval()
    text = "It was the best of times,\n\tit was the worst of times. " * 4
    text += "\u8fd9\u662f\u4e2d\u6587\u3002" * 9 if density == "16x16" else ""
    tokens = nano.encode(microfiche.typeset(text, density, "tiny"))
    assert [one.text for one in nano.read(tokens, made)] == [one.text for one in nano.read(tokens)]


@pytest.mark.parametrize("layout", ["dense", "words"])
def test_lines_that_are_kept_as_text_are_not_read(layout: Layout) -> None:
    nano = load("nano", dtype=torch.float32)
    made = LineDecoder.for_nano(nano.config.hidden, nano.config.token_width).eval()
    text = "It was the best of times, " * 5 + "Việt Nam 한국어 → ├─ " + "it was the worst of times. " * 9
    tokens = nano.encode(microfiche.typeset(text, "5x8", "tiny", layout))
    for decoder in (None, made):
        (reading,) = nano.read(tokens, decoder)
        assert "Việt Nam 한국어 → ├─" in reading.text and abs(len(reading.text) - len(text)) < 3
        assert reading.confidence[reading.text.index("한")] == 1


def test_lines_can_be_read_alone() -> None:
    nano = load("nano", dtype=torch.float32)
    made = LineDecoder.for_nano(nano.config.hidden, nano.config.token_width).eval()
    tokens = nano.encode(microfiche.typeset("".join(f"{i:073}" for i in range(12)), "7x13", "tiny"))
    (some,), (every,) = nano.read(tokens, made, lines=range(3, 5)), nano.read(tokens, made)
    assert some.text == every.text[3 * 73 : 5 * 73]


def test_a_checkpoint_comes_back_and_belongs_to_one_encoder(tmp_path: Path) -> None:
    nano = load("nano", dtype=torch.float32)
    made = LineDecoder.for_nano(nano.config.hidden, nano.config.token_width, **SIZES)
    stored.save(LINES, made, tmp_path / "a.safetensors", nano.checkpoint)
    back = line_decoder(nano, tmp_path / "a.safetensors")
    assert isinstance(load(tmp_path / "a.safetensors"), NanoLines)
    assert back.config == made.config
    for (name, old), new in zip(made.named_parameters(), back.parameters(), strict=True):
        assert (old - new).abs().max() <= old.abs().max() / 120, name
    stored.save(LINES, made, tmp_path / "b.safetensors", Checkpoint("other", "0" * 64))
    with pytest.raises(CheckpointError, match="made for the tokens of another checkpoint"):
        line_decoder(nano, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="a checkpoint that does not ship"):
        load(tmp_path / "b.safetensors")
