"""What a reader saw, with the truth: the truth of traced lines is what stands on the page; shards come back whole."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from microfiche.errors import InputError
from microfiche.nano.language import LIKELIEST
from microfiche.nano.print import FRAME, MIDDLE, PrintModel
from microfiche.nano.print_encoder import PrintConfig
from microfiche.nano.tracing import TracedLine
from microfiche.page import Page
from microfiche.training.set_pages import SetPages
from microfiche.training.sights import Sights, seen, truth_of, unpacked
from microfiche.typesetting.alphabet import HALF
from microfiche.typesetting.fonts import BUNDLED, TYPEFACES
from microfiche.typesetting.print import Line, Print

FACES = [t for t in TYPEFACES.values() if t.package == BUNDLED]


def page(text: Path, seed: int, side: int = 256) -> Print:
    pages = SetPages(text, faces=FACES, random_share=0.0, wide_share=0.0, sizes=range(8, 13))
    return pages.page(np.random.default_rng(seed), side, side)


def traced(line: Line, down: float = 0.0) -> tuple[TracedLine, np.ndarray]:
    """A line as it might be traced, a little beyond its ends and `down` em too low; and its frames."""
    x0, y0, x1, y1 = line.baseline
    slope = (y1 - y0) / max(x1 - x0, 1e-6)
    left, right = x0 - 0.4 * line.size, x1 + 0.4 * line.size
    y = y0 + (left - x0) * slope - (MIDDLE - down) * line.size
    pitch = FRAME * line.size
    return TracedLine(left, right, y, slope, line.size), left + (np.arange((right - left) / pitch) + 0.5) * pitch


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("down", [0.0, 0.15])
def test_the_truth_of_a_traced_line_is_its_text(text: Path, seed: int, down: float) -> None:
    one = page(text, seed)
    lines, xs = zip(*(traced(line, down) for line in one.lines), strict=True)
    character, stands = truth_of(one, lines, xs)
    assert len(character) == len(stands) == sum(map(len, xs))
    ends = np.cumsum([len(x) for x in xs])[:-1]
    for line, letters, centres in zip(one.lines, np.split(character, ends), np.split(stands, ends), strict=True):
        assert "".join(HALF[i] for i in letters[centres == 1]) == one.page.text[line.start : line.stop].strip()
        assert centres[0] == 0 and letters[0] == -1


def test_what_is_not_known_is_not_said(text: Path) -> None:
    one = page(text, 1)
    letters = "".join("\ufffd" if c == "o" else c for c in one.page.text or "")
    unsure = replace(one, page=replace(one.page, text=letters))
    lines, xs = zip(*(traced(line) for line in one.lines), strict=True)
    character, stands = truth_of(unsure, lines, xs)
    before, _ = truth_of(one, lines, xs)
    assert (stands == -1).any() and (before[stands == -1] == HALF.index("o")).all()
    assert HALF.index("o") not in character
    beside = TracedLine(0.0, 200.0, 1000.0, 0.0, 10.0)
    x = np.arange(0, 200, 2.0)
    hidden = replace(one, unknown=((50, 900, 100, 1100),))
    character, stands = truth_of(hidden, [beside], [x])
    assert (character == -1).all() and ((stands == -1) == ((x > 50) & (x < 100))).all() and (stands <= 0).all()
    nothing = replace(one, lines=())
    assert (truth_of(nothing, lines, xs)[1] == 0).all()


@pytest.fixture(scope="module")
def model() -> PrintModel:
    torch.manual_seed(0)
    model = PrintModel(PrintConfig((4, 8, 8, 8), (1, 1, 1, 1), 32, (1, 1, 1), 16, (1,))).eval().requires_grad_(False)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    return model


def test_shards_are_read_one_after_another(text: Path, model: PrintModel, tmp_path: Path) -> None:
    parts = [seen(model, [(page(text, seed, 128), seed == 1) for seed in seeds]) for seeds in ((0, 1), (2,))]
    for number, part in enumerate(parts):
        part.write(tmp_path / f"{number}.safetensors")
    both = Sights.read([tmp_path / "0.safetensors", tmp_path / "1.safetensors"])
    assert len(both) == sum(map(len, parts)) == both.lines[-1] and both.pages[-1] == len(both.lines) - 1
    assert both.random.tolist() == [0, 1, 0] and (np.diff(both.lines) > 0).all() and (np.diff(both.pages) > 0).all()
    assert (both.kinds == np.concatenate([part.kinds for part in parts])).all()
    assert both.kinds.shape == (len(both), LIKELIEST) and (np.diff(both.chances.astype(int), axis=1) >= 0).all()
    kinds, chances, centre = unpacked(both, np.arange(10).reshape(2, 5))
    assert kinds.shape == chances.shape == (2, 5, LIKELIEST) and centre.shape == (2, 5)
    assert (chances <= 0).all() and kinds.dtype == torch.int64


def test_quantised_sights_are_near_what_was_seen(text: Path, model: PrintModel) -> None:
    one = page(text, 3, 128)
    found = seen(model, [(one, False)])
    (tokens,) = model.encode([Page(one.page.image)])
    logits = model.seen(tokens)[2]
    expected = logits[:, :-1].log_softmax(-1).topk(LIKELIEST).values.clamp(min=-255 / 16)
    _, chances, centre = unpacked(found, np.arange(len(found)))
    assert (chances - expected).abs().max() < 0.04
    assert (centre - logits[:, -1].clamp(-127 / 8, 127 / 8)).abs().max() < 0.07


def test_what_is_no_shard_is_refused(text: Path, model: PrintModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="collect_sights"):
        Sights.read([])
    with pytest.raises(InputError, match="no shard"):
        Sights.read([tmp_path / "missing.safetensors"])
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"bad.safetensors: no shard"):
        Sights.read([tmp_path / "bad.safetensors"])
    good = seen(model, [(page(text, 0, 128), False)])
    changed = replace(good, kinds=good.kinds[:, :4])
    changed.write(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="another version"):
        Sights.read([tmp_path / "other.safetensors"])
    blank = replace(page(text, 0, 128))
    blank.page.image[:] = 255
    with pytest.raises(InputError, match="no line was found"):
        seen(model, [(blank, False)])
    assert [f.name for f in fields(Sights)][:3] == ["kinds", "chances", "centre"]
