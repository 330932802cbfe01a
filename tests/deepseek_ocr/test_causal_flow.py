"""DeepSeek-OCR 2 against the oracle: its tensors, its encoder with the causal queries, its views and what it reads."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from microfiche.deepseek_ocr import views
from microfiche.deepseek_ocr.checkpoint import empty
from microfiche.deepseek_ocr.family import MODELS
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.deepseek_ocr.slots import official_tensors, slots
from microfiche.deepseek_ocr.views import RESOLUTIONS_2, Views
from microfiche.errors import UsageError

CLOSE = 1e-4
PROMPT = "<image>\nw5 w6 w7"
NO_END = 1000
GUNDAM = RESOLUTIONS_2["gundam"]
sides = st.integers(1, 1600)


def pixels(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (-(-height // 20), -(-width // 20), 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height))


def test_the_full_model_has_the_published_tensors() -> None:
    config = MODELS["deepseek-ocr-2"].config
    official = official_tensors(config)
    assert len(official) == 2707
    assert sum(math.prod(shape) for shape in official.values()) == 3_389_119_360
    assert sum(p.numel() for p in empty(config).parameters()) == 3_389_119_360
    assert official["model.qwen2_model.query_768.weight"] == (144, 896)
    assert official["model.qwen2_model.query_1024.weight"] == (256, 896)
    assert official["model.qwen2_model.model.model.layers.23.self_attn.k_proj.bias"] == (128,)
    assert official["model.sam_model.net_3.weight"] == (896, 512, 3, 3)
    assert official["model.projector.layers.weight"] == (1280, 896)
    assert "model.image_newline" not in official and all(slot.parameter for slot in slots(config).values())


@pytest.mark.parametrize("side", [768, 1024])
@torch.inference_mode()
def test_every_part_gives_the_oracles_numbers(model_2: DeepSeekOCR, oracle_2: Any, side: int) -> None:
    x = pixels(2, 3, side, side)
    tower = oracle_2.model.vision_tower
    local = tower.sam_encoder(x).last_hidden_state
    torch.testing.assert_close(model_2.encoder.sam(x), local, atol=CLOSE, rtol=0)
    seen = tower(x).last_hidden_state
    ours = model_2.encoder.qwen(local)
    assert seen.shape == ours.shape == (2, (side // 64) ** 2, 56) and seen.std() > 0.1
    torch.testing.assert_close(ours, seen, atol=CLOSE, rtol=0)


@torch.inference_mode()
def test_no_vector_sees_a_query_and_no_query_sees_a_later_one(model_2: DeepSeekOCR) -> None:
    qwen = model_2.encoder.qwen
    features = pixels(1, 56, 12, 12)
    before = qwen(features)
    table = qwen.query_768.clone()
    try:
        qwen.query_768[100:] += 1
        after = qwen(features)
    finally:
        qwen.query_768.copy_(table)
    torch.testing.assert_close(after[:, :100], before[:, :100], atol=1e-6, rtol=0)
    assert ((after[:, 100:] - before[:, 100:]).abs().amax(-1) > 1e-3).all()


@torch.inference_mode()
def test_a_view_of_a_size_without_queries_is_refused(model_2: DeepSeekOCR) -> None:
    with pytest.raises(UsageError, match="queries for 144 and 256 vectors a view, not for 64"):
        model_2.encoder.features(pixels(1, 3, 512, 512))


@pytest.mark.parametrize("count", [0, 3])
@torch.inference_mode()
def test_a_page_gives_the_oracles_sequence(model_2: DeepSeekOCR, oracle_2: Any, count: int) -> None:
    page, tiles = pixels(3, 1024, 1024), pixels(count, 3, 768, 768, seed=1)
    grid = (1, 3) if count else (0, 0)
    (sequence,) = model_2.encoder([Views(page, tiles, grid, newlines=False)])
    local = {"pixel_values_local": tiles, "num_local_patches": [count]} if count else {}
    theirs = oracle_2.model.get_image_features(page[None], **local).pooler_output
    theirs = theirs[0] if isinstance(theirs, list | tuple) else theirs.view(-1, theirs.shape[-1])
    assert len(sequence) == 144 * count + 257 and sequence.std() > 0.1
    torch.testing.assert_close(sequence, theirs, atol=CLOSE, rtol=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("size", "mode"), [((1000, 500), "gundam"), ((700, 300), "gundam")])
@torch.inference_mode()
def test_the_tokens_read_are_the_oracles(
    model_2: DeepSeekOCR, oracle_2: Any, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], mode: str
) -> None:
    monkeypatch.setattr(model_2, "config", replace(model_2.config, end=NO_END))
    image = picture(*size)
    seen = views.views(image, RESOLUTIONS_2[mode])
    ids = torch.tensor([[0, *[500] * len(seen), 5, 6, 7]])
    local = {"pixel_values_local": seen.tiles, "num_local_patches": [len(seen.tiles)]} if len(seen.tiles) else {}
    theirs = oracle_2.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=seen.page[None],
        max_new_tokens=64,
        do_sample=False,
        eos_token_id=NO_END,
        pad_token_id=510,
        **local,
    )[0, ids.shape[1] :].tolist()
    tokens = model_2.encode([image], mode)
    assert len(tokens[0]) == len(seen)
    (ours,) = model_2.generate(tokens, prompt=PROMPT, limit=64, no_repeat=None)
    assert len(set(theirs)) > 5
    assert list(ours.tokens) == theirs


@pytest.mark.parametrize(
    ("size", "expected", "count"),
    [
        ((768, 768), (0, 0), 257),
        ((300, 200), (0, 0), 257),
        ((769, 768), (2, 2), 833),
        ((1191, 1684), (2, 3), 1121),
        ((1684, 1191), (3, 2), 1121),
        ((1224, 1584), (2, 3), 1121),
        ((800, 1600), (1, 2), 545),
        ((20000, 10), (6, 1), 1121),
        ((1000, 3000), (1, 3), 689),
    ],
)
def test_known_sizes_are_cut_as_published(size: tuple[int, int], expected: tuple[int, int], count: int) -> None:
    assert views.tiling(GUNDAM, *size) == expected
    assert views.vectors(1024, 768, expected, newlines=False) == count


@settings(max_examples=6, deadline=None)
@given(sides, sides)
def test_views_are_what_the_rules_say(width: int, height: int) -> None:
    image = picture(width, height)
    seen = views.views(image, GUNDAM)
    w, h = seen.grid
    assert (w * h == 0) == (max(width, height) <= 768) and w * h <= 6
    assert torch.equal(seen.page, tensor(ImageOps.pad(image, (1024, 1024), color=(127, 127, 127))))
    if w:
        stretched = image.resize((768 * w, 768 * h))
        for i, tile in enumerate(seen.tiles):
            left, top = 768 * (i % w), 768 * (i // w)
            assert torch.equal(tile, tensor(stretched.crop((left, top, left + 768, top + 768))))
    assert len(seen) == 144 * w * h + 257
    assert (views.places(seen) == -1).all() and views.places(seen).shape == (len(seen), 3)


def tensor(image: Image.Image) -> torch.Tensor:
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255) - 0.5) / 0.5


def test_only_what_was_published_is_asked(model_2: DeepSeekOCR) -> None:
    for task in ("ocr", "figure", "describe", "locate:it"):
        with pytest.raises(UsageError, match=r"deepseek-ocr-2 was published without a task .*; there is markdown and"):
            model_2.asking("gundam", task)
    with pytest.raises(UsageError, match="no mode 'tiny'; there are base, gundam"):
        model_2.encode([picture(40, 40)], "tiny")
    assert model_2.prompt("free", PROMPT) == ([0], [5, 6, 7])
    assert model_2.asking("base", "free").checkpoint.name == "deepseek-ocr-2"
