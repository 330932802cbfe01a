"""Nano for print makes tokens only where there is ink, the same as if it looked everywhere, and reads them in place."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import microfiche
from microfiche.errors import CheckpointError, UsageError
from microfiche.nano.print import PRINT, PrintModel
from microfiche.nano.print_encoder import PATCH, PrintConfig, inked, rectangles
from microfiche.page import UNTRAINED, Checkpoint, Page, VisionTokens
from microfiche.weights import stored

CONFIG = PrintConfig((4, 8, 8, 8), (1, 3, 3, 2), 32, (1, 1, 1), 16, (1,))
Picture = NDArray[np.uint8]


def made(config: PrintConfig = CONFIG) -> PrintModel:
    """A model whose weights are large enough that every part of it tells, and that it finds lines and characters."""
    torch.manual_seed(0)
    model = PrintModel(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    nn.init.normal_(model.readout.frame_head.weight, 0, 3.0)
    return model


MODEL = made()


def picture(height: int, width: int, marks: list[tuple[float, float, float, float, int]]) -> Picture:
    """Paper with rectangles of a grey, at parts of its height and width."""
    image = np.full((height, width), 255, np.uint8)
    for y, x, tall, wide, grey in marks:
        top, left = int(y * height), int(x * width)
        image[top : top + 1 + int(tall * 40), left : left + 1 + int(wide * 200)] = grey
    return image


share = st.floats(0, 0.999)
marks = st.lists(st.tuples(share, share, share, share, st.integers(0, 255)), max_size=5)
pictures = st.builds(picture, st.integers(1, 1100), st.integers(1, 1100), marks)


def cut(image: Picture) -> tuple[Tensor, tuple[int, int]]:
    """(1, H, W) the ink of a picture without margins, in whole squares, and where that begins."""
    ink = 1 - image.astype(np.float32) / 255
    y, x = np.nonzero(ink > 0.1)
    ink = ink[y.min() : y.max() + 1, x.min() : x.max() + 1]
    padded = np.pad(ink, [(0, -n % 64) for n in ink.shape])
    return torch.from_numpy(padded)[None], (int(y.min()), int(x.min()))


def alike(one: VisionTokens, other: VisionTokens) -> bool:
    assert one.places is not None and other.places is not None
    sizes = [(t.height, t.width, t.origin, t.checkpoint) for t in (one, other)]
    return sizes[0] == sizes[1] and np.array_equal(one.places, other.places) and torch.equal(one.values, other.values)


@settings(max_examples=60, deadline=None)
@given(pictures)
def test_tokens_are_those_of_a_model_that_looks_everywhere(image: Picture) -> None:
    (tokens,) = MODEL.encode([Page(image)])
    assert (tokens.height, tokens.width) == (-(-image.shape[0] // 64), -(-image.shape[1] // 64))
    assert tokens.places is not None and len(tokens) == len(tokens.values) == len(tokens.places)
    if image.min() > 229:
        assert len(tokens) == 0 and tokens.origin == (0, 0)
        return
    ink, origin = cut(image)
    there = inked(ink)[0]
    with torch.inference_mode():
        dense = MODEL.encoder(ink)[0]
    assert tokens.origin == origin
    rows, columns = there.view(ink.shape[1] // 64, -1).numpy().nonzero()
    assert (tokens.places == np.stack([0 * rows, rows, columns], axis=1)).all()
    assert (tokens.values - dense[there]).abs().max() < 1e-4 * dense.abs().max()


@pytest.mark.parametrize("blocks", [(1, 3, 3, 2), (0, 0, 0, 0), (2, 0, 1, 1), (0, 5, 0, 3)])
def test_the_local_stage_sees_as_far_as_it_says(blocks: tuple[int, int, int, int]) -> None:
    local = made(replace(CONFIG, blocks=blocks)).encoder.local.double()
    middle = 16  # the patch whose features are asked where they come from
    ink = torch.rand(1, 33 * PATCH, 33 * PATCH, dtype=torch.float64).requires_grad_()
    local(ink)[3][0, :, middle, middle].square().sum().backward()
    assert ink.grad is not None
    for axis in (0, 1):
        at = ink.grad[0].any(axis).nonzero()
        before, behind = middle * PATCH - int(at[0]), int(at[-1]) + 1 - (middle + 1) * PATCH
        assert (local.sees - 1) * PATCH < before <= local.sees * PATCH and behind <= before


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 6), st.data())
def test_rectangles_hold_all_and_nothing_twice(apart: int, data: st.DataObject) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    there = np.zeros((height, width), bool)
    for y, x in data.draw(st.lists(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)), max_size=8)):
        there[y, x] = True
    held = np.zeros(there.shape, int)
    for rows, columns in rectangles(there, apart):
        held[rows, columns] += 1
        assert there[rows].any(1)[[0, -1]].all() and there[rows, columns].any(0)[[0, -1]].all()
    assert (held[there] == 1).all() and held.max() <= 1


@pytest.mark.parametrize("blank", [600, 1500, 3000])
def test_large_blank_areas_cost_nothing(blank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    look = MODEL.encoder.local.forward

    def watched(ink: Tensor, scales: int = 4) -> list[Tensor]:
        seen.append(ink.numel())
        return look(ink, scales)

    monkeypatch.setattr(MODEL.encoder.local, "forward", watched)
    image = np.full((200 + blank, 400), 255, np.uint8)
    image[[0, 99, -100, -1], :300] = 0
    (tokens,) = MODEL.encode([Page(image)])
    assert len(tokens) == 20 and len(seen) == 2
    assert sum(seen) <= 2 * (128 + 2 * 96) * 320


@settings(max_examples=20, deadline=None)
@given(pictures, st.tuples(*[st.integers(0, 150)] * 4))
def test_margins_change_nothing_but_where_lines_stand(image: Picture, margins: tuple[int, ...]) -> None:
    top, bottom, left, right = margins
    framed = np.pad(image, ((top, bottom), (left, right)), constant_values=255)
    (bare,), (wide,) = MODEL.encode([Page(image)]), MODEL.encode([Page(framed)])
    assert torch.equal(bare.values, wide.values) and np.array_equal(bare.places, wide.places)
    (here,), (there,) = MODEL.read([bare]), MODEL.read([wide])
    assert here.text == there.text
    assert (here.boxes + np.array([left, top, left, top]) == there.boxes).all()


def text_of(tokens: VisionTokens) -> str:
    return MODEL.read([tokens])[0].text


def inked_page(seed: int, height: int = 300, width: int = 420) -> Page:
    rng = np.random.default_rng(seed)
    image = np.full((height, width), 255, np.uint8)
    image[17 : height // 2, 9 : width - 40] = rng.integers(0, 256, (height // 2 - 17, width - 49))
    image[height - 20 : height - 9, 150:260] = 0
    return Page(image)


def test_a_page_is_the_same_whatever_stands_beside_it() -> None:
    pages = [inked_page(0), Page(np.full((70, 5), 255, np.uint8)), inked_page(1, 500, 130), inked_page(0)]
    together = MODEL.encode(pages)
    for page, tokens in zip(pages, together, strict=True):
        (alone,) = MODEL.encode([page])
        assert alike(alone, tokens)
        assert text_of(tokens) == text_of(alone)
    assert [one.text for one in MODEL.read(together)] == [text_of(one) for one in together] and text_of(together[0])
    assert MODEL.encode([]) == [] and MODEL.read([]) == []


def test_a_blank_page_has_no_token_and_no_text() -> None:
    for grey in (255, 240):
        (tokens,) = MODEL.encode([Page(np.full((1000, 65), grey, np.uint8))])
        assert tokens.values.shape == (0, 32) and (tokens.height, tokens.width) == (16, 2)
        (reading,) = MODEL.read([tokens])
        assert reading.text == "" and reading.boxes.shape == (0, 4)


def test_grey_and_rgb_of_one_page_are_one() -> None:
    grey = inked_page(3)
    colour = Page(np.repeat(grey.image[..., None], 3, axis=2))
    assert alike(*MODEL.encode([grey, colour]))


@pytest.mark.parametrize("shape", [(4097, 10), (10, 4097, 3), (0, 64), (64, 0)])
def test_pages_of_no_or_too_many_pixels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=f"a page of {shape[1]}×{shape[0]} px: sides must be from 1 to 4096"):
        MODEL.encode([Page(np.zeros(shape, np.uint8))])


def test_tokens_are_read_at_their_places_in_whatever_order() -> None:
    (tokens,) = MODEL.encode([inked_page(4)])
    assert tokens.places is not None
    shuffled = np.random.default_rng(0).permutation(len(tokens))
    other = replace(tokens, values=tokens.values[torch.from_numpy(shuffled)], places=tokens.places[shuffled])
    assert text_of(other) == text_of(tokens) != ""
    height, width = tokens.places[:, 1:].max(0) + 1
    grid = torch.zeros(height, width, 32)
    grid[tokens.places[:, 1], tokens.places[:, 2]] = tokens.values
    every = VisionTokens(grid.flatten(0, 1), int(height), int(width), None, tokens.checkpoint)
    assert text_of(every) == text_of(tokens)


def test_tokens_of_another_kind_are_refused() -> None:
    (tokens,) = MODEL.encode([inked_page(5)])
    assert tokens.places is not None
    for wrong, said in (
        (replace(tokens, checkpoint=Checkpoint("other", "0" * 64)), "checkpoint other .* cannot be read by untrained"),
        (replace(tokens, values=tokens.values[:, :16]), f"tokens of {len(tokens)} × 16 numbers cannot be read"),
        (replace(tokens, places=None), f"makes {tokens.height * tokens.width} × 32 of such a page"),
        (replace(tokens, places=tokens.places + np.int32([1, 0, 0])), "own squares; these stand for something else"),
        (replace(tokens, places=np.full_like(tokens.places, -1)), "own squares; these stand for something else"),
    ):
        with pytest.raises(CheckpointError, match=said):
            MODEL.read([wrong])


def test_a_model_from_a_file_signs_its_tokens(tmp_path: Path) -> None:
    file = tmp_path / "printer.safetensors"
    stored.save(PRINT, MODEL, file)
    model = stored.load(PRINT, file, dtype=torch.float32)
    assert model.checkpoint == ("printer", hashlib.sha256(file.read_bytes()).hexdigest())
    (tokens,) = model.encode([inked_page(6)])
    assert tokens.checkpoint == model.checkpoint and model.read([tokens])[0].text
    with pytest.raises(CheckpointError, match="cannot be read by untrained"):
        MODEL.read([tokens])


LETTER = """Dear Miss Hartley, The films that you asked for arrived on Tuesday. Reels 3 to 9 are in good order. Reel 11
was wound the wrong way and its first forty frames are scratched, but every page of the parish register can be read.
I have put the whole series on fiche, 98 pages to the card, and enclose the first two. Please hold them by the edges.
Card 2, row E, shows the entry for 1794 that your letter mentions. The copies come to 4 pounds 12 shillings, postage
included. Yours faithfully, J. Okafor, Keeper of Films"""


def test_the_weights_that_ship_read_a_scan_that_no_training_saw() -> None:
    nano = stored.load(PRINT, "nano-pages")
    with Image.open(Path(__file__).parents[2] / "examples/scan.jpg") as scan:
        (tokens,) = nano.encode([Page(np.asarray(scan.convert("L")))])
    (reading,) = nano.read([tokens])
    assert len(tokens) < 500 and len(reading.confidence) == len(reading.text)
    read, letter = " ".join(reading.text.split()), " ".join(LETTER.split())
    read = read[read.index("Dear") :]
    alike = SequenceMatcher(None, read, letter, autojunk=False).ratio()
    assert alike > 0.93, read


@pytest.mark.parametrize("head", ["[]", '"x"', "null", "NaN", "3", "{", '{"format": 1}'])
def test_a_file_whose_head_is_of_no_checkpoint_is_refused(head: str, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "bad.safetensors", {"microfiche": head})
    with pytest.raises(CheckpointError, match=r"bad.safetensors: "):
        microfiche.load(tmp_path / "bad.safetensors")


def test_sizes_and_scales_that_cannot_be_are_refused(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    stored.save(PRINT, MODEL, good)
    tensors, head = load_file(good), stored.head_of(good)
    for change in ({"widths": [-8, 8, 8, 8]}, {"widths": [10**18, 8, 8, 8]}):
        save_file(tensors, bad, {"microfiche": json.dumps(head | {"config": head["config"] | change})})
        with pytest.raises(CheckpointError, match="its configuration cannot be used"):
            microfiche.load(bad)
    name = next(name for name in tensors if name.endswith(".scale"))
    for scale in (tensors[name][:-1], tensors[name][None], tensors[name][0]):
        save_file(tensors | {name: scale.contiguous()}, bad, {"microfiche": json.dumps(head)})
        with pytest.raises(CheckpointError, match=rf"{name} is .*, which is of no"):
            microfiche.load(bad)


@pytest.mark.parametrize("ring", [1, 2, 4])
def test_a_ring_of_paper_is_that_of_squares_without_ink(ring: int) -> None:
    tokens = torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(0))
    framed = torch.nn.functional.pad(tokens.view(1, 2, 3, 32), (0, 0, 1, 1, 1, 1)).flatten(1, 2)
    ringed, whole = MODEL.readout.unfold(tokens, 2, 3, ring), MODEL.readout.unfold(framed, 4, 5)
    for one, other, to_patch in zip(ringed, whole, (2, 4), strict=True):
        cut = (4 - ring) * to_patch
        assert one.shape[2:] == tuple(side - 2 * cut for side in other.shape[2:])
        if ring == 4:
            assert torch.allclose(one, other, atol=1e-4)


def test_lines_lie_where_they_lie_without_the_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = VisionTokens(torch.randn(64, 32, generator=torch.Generator().manual_seed(1)), 8, 8, None, UNTRAINED)
    found = []
    for ring in (0, 2):
        monkeypatch.setattr("microfiche.nano.print.RING", ring)
        lines, xs, logits = MODEL.seen(tokens)
        assert len(logits) == sum(map(len, xs))
        inside = [line for line in lines if 64 < line.left < line.right < 448 and 64 < line.y < 448]
        found.append({(line.left, line.right, round(line.y, 3)) for line in inside})
    assert len(found[0]) > 20 and found[0] == found[1]
