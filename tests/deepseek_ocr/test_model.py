"""DeepSeek-OCR whole: images in, the oracle's tokens out; precisions; pages that loop or do not end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from microfiche.decoder.generation import Generated
from microfiche.deepseek_ocr import int8
from microfiche.deepseek_ocr import model as deepseek_ocr
from microfiche.deepseek_ocr.checkpoint import load
from microfiche.deepseek_ocr.model import DeepSeekOCR, DeepSeekOCRConfig
from microfiche.deepseek_ocr.views import MODES, views
from microfiche.errors import UsageError

PROMPT = "<image>\nw5 w6 w7"
NO_END = 1000


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height))


@pytest.fixture
def endless(model: DeepSeekOCR, monkeypatch: pytest.MonkeyPatch) -> DeepSeekOCR:
    monkeypatch.setattr(model, "config", deepseek_ocr.replace(model.config, end=NO_END))
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(MODES))
@torch.inference_mode()
def test_the_tokens_read_are_the_oracles_in_every_mode(endless: DeepSeekOCR, oracle: Any, name: str) -> None:
    image = picture(1000, 600)
    seen = views(image, MODES[name])
    ids = torch.tensor([[0, *[500] * len(seen), 5, 6, 7]])
    tiles: dict[str, Any] = {}
    if len(seen.tiles):
        tiles = {
            "pixel_values_local": seen.tiles,
            "num_local_patches": [len(seen.tiles)],
            "patches_grid": [list(seen.grid)],
        }
    theirs = oracle.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=seen.page[None],
        max_new_tokens=64,
        do_sample=False,
        eos_token_id=NO_END,
        pad_token_id=510,
        **tiles,
    )[0, ids.shape[1] :].tolist()
    (reading,) = endless.read([image], name, prompt=PROMPT, limit=64, no_repeat=None, again=False)
    assert len(set(theirs)) > 5
    assert list(reading.tokens) == theirs
    assert (reading.status, reading.mode, reading.reason) == ("truncated", name, f"truncated in {name}")
    assert reading.text == " ".join(f"w{token}" if token != 500 else "<image>" for token in theirs)


def test_pages_read_together_are_read_as_alone(endless: DeepSeekOCR) -> None:
    images = [picture(700, 300), picture(200, 300, 1), picture(300, 700, 2)]
    arguments: dict[str, Any] = {"prompt": PROMPT, "limit": 20, "again": False}
    together = endless.read(images, "gundam", **arguments)
    assert together == [endless.read([image], "gundam", **arguments)[0] for image in images]
    assert len({reading.tokens for reading in together}) == 3
    assert endless.read([], "gundam") == []


@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.06), (torch.int8, 0.09)])
@torch.inference_mode()
def test_lower_precisions_stay_near(
    folder: Path, model: DeepSeekOCR, small: DeepSeekOCRConfig, dtype: torch.dtype, close: float
) -> None:
    low = load(folder, dtype=dtype, config=small)
    image = picture(600, 600)
    (exact,), (near,) = model.encode([image], "tiny"), low.encode([image], "tiny")
    assert (near.float() - exact).norm() / exact.norm() < close
    ids = torch.arange(400).view(4, 100)
    exact = model.decoder.logits(model.decoder(model.decoder.embed_tokens(ids)))
    near = low.decoder.logits(low.decoder(low.decoder.embed_tokens(ids)))
    assert (near - exact).norm() / exact.norm() < close


@pytest.mark.parametrize("rows", [1, 3, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_int8_product_is_that_of_what_it_holds(rows: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(rows, 64).to(dtype), torch.randn(96, 64)
    values, scale = int8.quantised(weight)
    expected = x.float() @ (values.float() * scale[:, None]).T
    close = 1e-4 if dtype is torch.float32 else 0.3
    torch.testing.assert_close(int8.product(x, values, scale).float(), expected, atol=close, rtol=1e-2)


def generated_in(outcomes: dict[str, Generated], calls: list[str]) -> Any:
    def generate(self: Any, images: list[Any], mode: str, *_: Any) -> list[Generated]:
        calls.append(mode)
        return [outcomes[mode] if i == 0 else Generated((9,), "ok") for i in range(len(images))]

    return generate


def test_a_page_that_fails_is_read_again_and_marked(model: DeepSeekOCR, monkeypatch: pytest.MonkeyPatch) -> None:
    looped, truncated, ok = Generated((1, 2), "looped"), Generated((3,), "truncated"), Generated((4,), "ok")
    images = [picture(40, 40), picture(40, 40)]
    calls: list[str] = []
    monkeypatch.setattr(DeepSeekOCR, "_generate", generated_in({"gundam": looped, "large": ok}, calls))
    first, second = model.read(images)
    assert (first.text, first.status, first.mode) == ("w4", "ok", "large")
    assert first.reason == "looped in gundam, read again in large"
    assert (second.text, second.status, second.mode, second.reason) == ("w9", "ok", "gundam", "")
    assert calls == ["gundam", "large"]
    monkeypatch.setattr(DeepSeekOCR, "_generate", generated_in({"base": looped, "large": truncated}, calls))
    first, _ = model.read(images, "base")
    assert (first.text, first.status, first.mode) == ("w1 w2", "looped", "base")
    assert first.reason == "looped in base, truncated in large as well"


def test_prompts_begin_once_and_are_split_at_the_image(model: DeepSeekOCR) -> None:
    assert model.prompt("markdown", " w4 <image>\nw5 w6 ") == ([0, 4], [5, 6])
    assert model.prompt("free", None)[0] == [0]


def test_what_cannot_be_read_is_refused(model: DeepSeekOCR) -> None:
    image = picture(40, 40)
    with pytest.raises(UsageError, match="no task 'poem'; there are markdown"):
        model.read([image], task="poem")
    with pytest.raises(UsageError, match="locate:WORDS"):
        model.read([image], task="locate")
    with pytest.raises(UsageError, match="holds <image> once, this one 0 times"):
        model.read([image], prompt="Free OCR.")
    with pytest.raises(UsageError, match="gundam-m"):
        model.read([image], "gundam-m")
