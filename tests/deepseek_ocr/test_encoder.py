"""The encoder against the oracle: SAM, CLIP, projector and the arrangement of tokens, in every mode's geometry."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from microfiche.deepseek_ocr import sam
from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.encoder import DeepEncoder
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.deepseek_ocr.sam import SAMConfig
from microfiche.deepseek_ocr.views import Views

CLOSE = 1e-4
NO_TILES = torch.empty(0, 3, 640, 640)


def pixels(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)


@torch.inference_mode()
def test_every_part_gives_the_oracles_numbers(model: DeepSeekOCR, oracle: Any) -> None:
    x = pixels(2, 3, 512, 512)
    tower = oracle.model.vision_tower
    local = tower.sam_encoder(x).last_hidden_state
    assert local.std() > 0.1
    torch.testing.assert_close(model.encoder.sam(x), local, atol=CLOSE, rtol=0)
    seen = tower.vision_encoder(local).last_hidden_state[:, 1:]
    torch.testing.assert_close(model.encoder.clip(local), seen, atol=CLOSE, rtol=0)
    both = torch.cat([seen, local.flatten(2).transpose(1, 2)], dim=-1)
    projected = oracle.model.multi_modal_projector(both)
    torch.testing.assert_close(model.encoder.projector(both), projected, atol=CLOSE, rtol=0)
    torch.testing.assert_close(model.encoder.features(x).flatten(1, 2), projected, atol=CLOSE, rtol=0)


@pytest.mark.parametrize(("side", "count"), [(512, 73), (640, 111), (1024, 273), (1280, 421)])
@torch.inference_mode()
def test_a_square_page_gives_the_oracles_sequence(model: DeepSeekOCR, oracle: Any, side: int, count: int) -> None:
    page = pixels(3, side, side)
    (sequence,) = model.encoder([Views(page, NO_TILES, (0, 0))])
    (theirs,) = oracle.model.get_image_features(page[None]).pooler_output
    assert len(sequence) == count
    assert sequence.std() > 0.1
    torch.testing.assert_close(sequence, theirs, atol=CLOSE, rtol=0)


@pytest.mark.parametrize(
    ("side", "tile", "grid"), [(1024, 640, (3, 2)), (256, 128, (3, 3)), (128, 256, (1, 2)), (128, 128, (9, 1))]
)
@torch.inference_mode()
def test_a_tiled_page_gives_the_oracles_sequence(
    model: DeepSeekOCR, oracle: Any, side: int, tile: int, grid: tuple[int, int]
) -> None:
    w, h = grid
    page, tiles = pixels(3, side, side), pixels(w * h, 3, tile, tile, seed=1)
    (sequence,) = model.encoder([Views(page, tiles, grid)])
    theirs = oracle.model.get_image_features(page[None], tiles, [w * h], [[w, h]]).pooler_output[0]
    g, q = side // 64, tile // 64
    assert len(sequence) == q * h * (q * w + 1) + g * (g + 1) + 1
    torch.testing.assert_close(sequence, theirs, atol=CLOSE, rtol=0)


@torch.inference_mode()
def test_pages_of_different_geometry_may_stand_in_one_batch(model: DeepSeekOCR) -> None:
    pages = [
        Views(pixels(3, 192, 192), NO_TILES, (0, 0)),
        Views(pixels(3, 128, 128), pixels(2, 3, 192, 192, seed=1), (2, 1)),
        Views(pixels(3, 128, 128, seed=2), NO_TILES, (0, 0)),
    ]
    together = model.encoder(pages)
    for page, sequence in zip(pages, together, strict=True):
        assert len(sequence) == len(page)
        assert torch.equal(model.encoder([page])[0], sequence)


@torch.inference_mode()
def test_several_views_through_the_network_at_once_give_what_each_gives_alone(model: DeepSeekOCR) -> None:
    x = pixels(3, 3, 256, 256)
    alone = torch.cat([model.encoder.features(one[None]) for one in x])
    torch.testing.assert_close(model.encoder.features(x), alone, atol=CLOSE, rtol=0)


@torch.inference_mode()
def test_the_attention_bias_in_bands_is_the_bias_at_once(model: DeepSeekOCR, monkeypatch: Any) -> None:
    x = pixels(1, 3, 256, 256)
    whole = model.encoder.sam(x)
    monkeypatch.setattr(sam, "BIAS_BYTES", 1)
    torch.testing.assert_close(model.encoder.sam(x), whole, atol=CLOSE, rtol=0)


@pytest.mark.filterwarnings("ignore")
@torch.inference_mode()
def test_at_full_size_the_tower_gives_the_oracles_numbers() -> None:
    from transformers.models.unlimited_ocr import modeling_unlimited_ocr as theirs_module
    from transformers.models.unlimited_ocr.configuration_unlimited_ocr import UnlimitedOcrVisionConfig

    torch.manual_seed(0)
    ours = DeepEncoder(SAMConfig(), CLIPConfig(), 8).eval()
    for parameter in ours.parameters():
        if parameter.ndim < 3 and parameter.std() == 0:  # norms, biases and position tables start as constants
            parameter.add_(torch.randn_like(parameter) * 0.1)
    with torch.device("meta"):
        theirs = theirs_module.UnlimitedOcrVisionModel(UnlimitedOcrVisionConfig()).eval()
    weights = {f"sam_encoder.{sam_name(k)}": v for k, v in ours.sam.state_dict().items()}
    for key, value in ours.clip.state_dict().items():
        name = f"vision_encoder.{key.replace('transformer.', 'encoder.')}"
        if "qkv_proj" in name:
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                weights[name.replace("qkv_proj", f"{letter}_proj")] = part
        else:
            weights[name] = value
    theirs.load_state_dict(weights, assign=True, strict=True)
    theirs.vision_encoder.embeddings.position_ids = torch.arange(257)[None]
    x = pixels(1, 3, 512, 512)
    local = ours.sam(x)
    both = torch.cat([ours.clip(local), local.flatten(2).transpose(1, 2)], dim=-1)
    expected = theirs(x).last_hidden_state
    assert both.shape == (1, 64, 2048)
    assert both.std() > 0.1
    torch.testing.assert_close(both, expected, atol=CLOSE, rtol=0)


def sam_name(key: str) -> str:
    for old, new in (
        ("blocks.", "layers."),
        ("norm1.", "layer_norm1."),
        ("norm2.", "layer_norm2."),
        ("patch_embed.proj.", "patch_embed.projection."),
        ("neck.0.", "neck.conv1."),
        ("neck.1.", "neck.layer_norm1."),
        ("neck.2.", "neck.conv2."),
        ("neck.3.", "neck.layer_norm2."),
        ("net_2.", "proj.conv1."),
        ("net_3.", "proj.conv2."),
    ):
        key = key.replace(old, new)
    return key
