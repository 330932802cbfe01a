"""DeepSeek-OCR whole: images in, the oracle's tokens out; precisions; pages that loop or do not end."""

from __future__ import annotations

from dataclasses import replace
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
from microfiche.deepseek_ocr.family import DeepSeekOCRConfig
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.deepseek_ocr.views import RESOLUTIONS, views
from microfiche.errors import CheckpointError, UsageError
from microfiche.page import Checkpoint, Page

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
@pytest.mark.parametrize("name", sorted({*RESOLUTIONS} - {"gundam-6"}))  # of which only the tiles are fewer
@torch.inference_mode()
def test_the_tokens_read_are_the_oracles_in_every_mode(endless: DeepSeekOCR, oracle: Any, name: str) -> None:
    image = picture(1000, 600)
    seen = views(image, RESOLUTIONS[name])
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
    tokens = endless.encode([image], name)
    assert len(tokens[0]) == len(seen) and (tokens[0].height, tokens[0].width) == (10, 16)
    (generated,) = endless.generate(tokens, prompt=PROMPT, limit=64, no_repeat=None)
    (reading,) = endless.read(tokens, prompt=PROMPT, limit=64, no_repeat=None)
    assert len(set(theirs)) > 5
    assert list(generated.tokens) == theirs
    assert (reading.status, reading.reason) == ("truncated", "truncated")
    assert reading.text == " ".join(f"w{token}" if token != 500 else "<image>" for token in theirs)


def test_pages_read_together_are_read_as_alone(endless: DeepSeekOCR) -> None:
    images = [picture(700, 300), picture(200, 300, 1), picture(300, 700, 2)]
    together = endless.generate(endless.encode(images), prompt=PROMPT, limit=20)
    alone = [endless.generate(endless.encode([image]), prompt=PROMPT, limit=20)[0] for image in images]
    assert together == alone
    assert len({one.tokens for one in together}) == 3
    assert endless.read(endless.encode([])) == []


@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.06), (torch.int8, 0.09)])
@torch.inference_mode()
def test_lower_precisions_stay_near(
    folder: Path, model: DeepSeekOCR, small: DeepSeekOCRConfig, dtype: torch.dtype, close: float
) -> None:
    low = load(folder, dtype=dtype, config=small)
    image = picture(600, 600)
    exact, near = (one.encode([image], "tiny")[0].values for one in (model, low))
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


def test_a_page_is_encoded_once_and_asked_often(model: DeepSeekOCR, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = model.encode([Page(np.asarray(picture(200, 300)))], "tiny")
    monkeypatch.setattr(model.encoder, "forward", lambda *_: pytest.fail("encoded again"))
    first, second = (model.read(tokens, prompt=f"<image>w{i} w6", limit=12)[0].text for i in (5, 400))
    assert first != second and first == model.read(tokens, prompt="<image>w5 w6", limit=12)[0].text


def test_who_is_asked_in_a_mode_says_in_which_it_failed(model: DeepSeekOCR, monkeypatch: pytest.MonkeyPatch) -> None:
    looped, ok = Generated((1, 2), "looped"), Generated((4,), "ok")
    reader = model.asking("base", "free")
    tokens = reader.encode([Page(np.asarray(picture(40, 40))), Page(np.asarray(picture(80, 40)))])
    assert [len(one) for one in tokens] == [273, 273] and tokens[0].checkpoint == reader.checkpoint
    monkeypatch.setattr(DeepSeekOCR, "generate", lambda *_, **__: [looped, ok])
    first, second = reader.read(tokens)
    assert (first.text, first.status, first.reason) == ("w1 w2", "looped", "looped in base")
    assert (second.text, second.status, second.reason) == ("w4", "ok", "")


def test_tokens_of_other_weights_are_refused(model: DeepSeekOCR) -> None:
    (tokens,) = model.encode([picture(40, 40)], "tiny")
    with pytest.raises(CheckpointError, match=r"tokens of checkpoint other .* cannot be read by deepseek-ocr"):
        model.read([replace(tokens, checkpoint=Checkpoint("other", "0" * 64))])


def test_prompts_begin_once_and_are_split_at_the_image(model: DeepSeekOCR) -> None:
    assert model.prompt("markdown", " w4 <image>\nw5 w6 ") == ([0, 4], [5, 6])
    assert model.prompt("free", None)[0] == [0]


def test_what_cannot_be_read_is_refused(model: DeepSeekOCR) -> None:
    tokens = model.encode([picture(40, 40)], "tiny")
    with pytest.raises(UsageError, match="no task 'poem'; there are markdown"):
        model.read(tokens, task="poem")
    with pytest.raises(UsageError, match="locate:WORDS"):
        model.asking("tiny", "locate")
    with pytest.raises(UsageError, match="holds <image> once, this one 0 times"):
        model.read(tokens, prompt="Free OCR.")
    for refused in (lambda: model.encode([picture(40, 40)], "gundam-m"), lambda: model.asking("gundam-m")):
        with pytest.raises(UsageError, match="gundam-m"):
            refused()


def test_what_is_no_limit_or_no_prompt_is_refused(model: DeepSeekOCR) -> None:
    tokens = model.encode([Image.new("RGB", (60, 60))], "tiny")
    for limit in (-1, True):
        with pytest.raises(UsageError, match="number of tokens"):
            model.read(tokens, limit=limit)
    for prompt in ("", "w5", "<image><image>", "\ud800<image>"):
        with pytest.raises(UsageError, match="a prompt h"):
            model.read(tokens, prompt=prompt)
    assert model.read(tokens, limit=0)[0].text == ""
