"""The language pass: untrained, it changes nothing; what it says of a frame depends on the page's frames alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import microfiche
from microfiche.errors import CheckpointError
from microfiche.nano import language
from microfiche.nano.language import GAP, LANGUAGE, LIKELIEST, WINDOW, LanguageConfig, LanguagePass, frames_between
from microfiche.nano.print import PRINT
from microfiche.page import Page
from microfiche.precision import precision
from microfiche.typesetting.alphabet import N_HALF
from microfiche.weights import stored

CONFIG = LanguageConfig(code=8, width=24, layers=2, heads=3, hidden=16)


def made(config: LanguageConfig = CONFIG) -> LanguagePass:
    """A pass whose weights are large enough that every part of it tells."""
    torch.manual_seed(0)
    model = LanguagePass(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.2)
    return model


def seen(count: int, seed: int = 0) -> Tensor:
    """Logits as a readout gives them, −∞ for two characters."""
    logits = torch.randn(count, N_HALF + 1, generator=torch.Generator().manual_seed(seed)) * 4
    logits[:, 1:3] = -torch.inf
    return logits


def test_an_untrained_pass_keeps_what_was_seen() -> None:
    logits = seen(300)
    given = LanguagePass(CONFIG).corrected(logits, [100, 200])
    chances, kinds = logits[:, :-1].log_softmax(-1).topk(LIKELIEST)
    assert torch.allclose(given.gather(1, kinds), chances, atol=1e-5)
    assert torch.allclose(given[:, -1], logits[:, -1].clamp(-16, 16))
    assert (given[:, 1:3] == -torch.inf).all() and given[:, 3:].isfinite().all()
    assert (given[:, :-1].topk(LIKELIEST).indices == kinds).all()


@pytest.mark.parametrize("lengths", [[1], [3, 5], [WINDOW], [100] * 30, [2000, 1, 700], [WINDOW - 2 * GAP]])
def test_every_frame_is_answered_once(lengths: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    logits = seen(sum(lengths))
    model = made()
    whole = model.corrected(logits, lengths)
    assert whole.shape == logits.shape and not whole.isnan().any()
    monkeypatch.setattr(language, "_BATCH", 1)
    assert torch.allclose(model.corrected(logits, lengths), whole, atol=1e-4)


def test_a_frame_sees_what_stands_around_it_across_lines_and_windows() -> None:
    lengths = [90] * 20
    logits, model = seen(1800), made()
    before = model.corrected(logits, lengths)
    logits[900, 5] += 20
    changed = (model.corrected(logits, lengths) - before).nan_to_num().abs().amax(-1) > 1e-6
    at = changed.nonzero().flatten()
    assert {897, 898, 899, 901, 902, 903} <= set(at.tolist())
    assert int(at[0]) < 810 < 990 < int(at[-1])  # beyond its own line, which are frames 900 to 989, or so
    assert int(at[0]) > 900 - WINDOW and int(at[-1]) < 900 + WINDOW


def test_lines_stand_apart() -> None:
    assert frames_between([2, 3]).tolist() == [GAP, GAP + 1, *(2 * GAP + 2 + i for i in range(3))]
    assert len(frames_between([])) == 0
    _, chances, _ = language.gaps(7)
    assert (chances.exp().sum(-1) - 1).abs().max() < 1e-4


def test_a_file_loads_to_the_same_pass(tmp_path: Path) -> None:
    model = made()
    stored.save(LANGUAGE, model, tmp_path / "l.safetensors")
    loaded = stored.load(LANGUAGE, tmp_path / "l.safetensors", dtype=torch.float32)
    logits = seen(200)
    assert loaded.config == CONFIG and loaded.checkpoint.name == "l"
    one, other = model.corrected(logits, [200]), loaded.corrected(logits, [200])
    assert (one[:, :-1].argmax(-1) == other[:, :-1].argmax(-1)).float().mean() > 0.95


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"width": 30, "heads": 4}, "it must be a multiple of 4 · heads, 16"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be above 0"),
        ({"depth": 3}, "depth"),
        ({"layers": 3}, "blocks.2.norm1.weight is missing"),
        ({"code": 4}, "likely.weight is (348, 8), not (348, 4)"),
    ],
)
def test_a_file_with_an_impossible_configuration_is_refused(
    config: dict[str, float], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "l.safetensors"
    stored.save(LANGUAGE, made(), path)
    with safe_open(path, "pt") as file:
        head = json.loads(file.metadata()["microfiche"])
    head["config"] |= config
    save_file(load_file(path), path, {"microfiche": json.dumps(head)})
    with pytest.raises(CheckpointError) as error:
        stored.load(LANGUAGE, path)
    assert said in str(error.value)


def test_the_pass_that_ships_can_be_switched_off() -> None:
    reader = microfiche.load("nano-pages", dtype=torch.float32)
    with Image.open(Path(__file__).parents[2] / "examples/scan.jpg") as scan:
        tokens = reader.encode([Page(np.asarray(scan.convert("L")))])
    (aided,) = reader.read(tokens)
    assert reader.language is not None and len(aided.confidence) == len(aided.text) == len(aided.boxes)
    assert ((aided.confidence >= 0) & (aided.confidence <= 1)).all()
    reader.language = None
    (unaided,) = reader.read(tokens)
    (plain,) = stored.load(PRINT, "nano-pages", dtype=torch.float32).read(tokens)
    assert unaided.text == plain.text != aided.text
    assert 0.8 < precision(aided.text, unaided.text) < 1


def test_temperature_makes_it_less_sure_and_changes_no_order() -> None:
    logits = seen(100)
    plain = made().corrected(logits, [100])
    model = made(LanguageConfig(**{**CONFIG.__dict__, "temperature": 2.0}))
    milder = model.corrected(logits, [100])
    assert np.allclose(milder[:, 3:] * 2, plain[:, 3:], atol=1e-4)
