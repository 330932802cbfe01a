"""The model computes what transformers' ViTMAE does, at reduced size, and does not see what is not attended."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from microfiche.errors import UsageError
from microfiche.pixel.model import BASE, SMALL, Pixel, PixelConfig, attention, fitted, patches_of, positions, targets
from microfiche.pixel.painting import spans

REDUCED = PixelConfig(48, 3, 4, 96, 32, 2, 2, 64, patches=25, channels=3, dropout=0.1)
THEIRS = (
    ("encoder.start", "vit.embeddings.cls_token"),
    ("encoder.places", "vit.embeddings.position_embeddings"),
    ("encoder.patch.", "vit.embeddings.patch_embeddings.projection."),
    ("encoder.blocks.", "vit.layers."),
    ("encoder.norm.", "vit.layernorm."),
    ("decoder.embed.", "decoder.decoder_embed."),
    ("decoder.mask", "decoder.mask_token"),
    ("decoder.places", "decoder.decoder_pos_embed"),
    ("decoder.blocks.", "decoder.decoder_layers."),
    ("decoder.norm.", "decoder.decoder_norm."),
    ("decoder.paint.", "decoder.decoder_pred."),
    (".norm1.", ".layernorm_before."),
    (".norm2.", ".layernorm_after."),
    (".query.", ".attention.q_proj."),
    (".key.", ".attention.k_proj."),
    (".value.", ".attention.v_proj."),
    (".proj.", ".attention.o_proj."),
    (".fc", ".mlp.fc"),
)


def theirs_name(name: str) -> str:
    for ours, theirs in THEIRS:
        name = name.replace(ours, theirs) if ours.startswith(".") or name.startswith(ours) else name
    return name


@pytest.fixture(scope="module")
def model() -> Pixel:
    torch.manual_seed(0)
    model = Pixel(REDUCED).eval()
    for name, parameter in model.named_parameters():  # so large that every part matters
        parameter.data = torch.randn_like(parameter) * 0.2 + ("norm" in name and "weight" in name)
    return model


@pytest.fixture(scope="module")
def oracle(model: Pixel) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import ViTMAEConfig, ViTMAEForPreTraining

        theirs = ViTMAEForPreTraining(
            ViTMAEConfig(
                hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, image_size=80,
                decoder_hidden_size=32, decoder_num_hidden_layers=2, decoder_num_attention_heads=2,
                decoder_intermediate_size=64, mask_ratio=0.25, norm_pix_loss=True,
            )
        )  # fmt: skip
    theirs.load_state_dict({theirs_name(name): value for name, value in model.state_dict().items()})
    return theirs.eval()


def picture(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(2, 3, 80, 80) pixels, the same as (2, 25, 768) patches, and (2, 25) bool masks."""
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.random((2, 3, 80, 80), dtype=np.float32))
    patches = image.view(2, 3, 5, 16, 5, 16).permute(0, 2, 4, 3, 5, 1).reshape(2, 25, 768)
    return image, patches, torch.from_numpy(np.stack([spans(rng, 25) for _ in range(2)]))


@torch.no_grad()
def test_it_computes_what_transformers_does(model: Pixel, oracle: Any) -> None:
    image, patches, masked = picture()
    attended = torch.ones(2, 25, dtype=torch.bool)
    noise = masked + torch.arange(25) / 100  # their argsort then keeps ours, in order
    found = oracle(image, noise=noise, output_hidden_states=True)
    assert torch.equal(found.mask.bool(), masked)

    kept = (~masked).nonzero()[:, 1].view(2, -1)
    encoded = model.encoder(patches, attended, kept)
    theirs = oracle.vit(image, noise=noise).last_hidden_state
    assert (encoded - theirs).abs().max() < 1e-4 and theirs.std() > 0.1
    assert (model(patches, attended, masked) - found.logits).abs().max() < 1e-4 and found.logits.std() > 0.1
    assert abs(model.errors(patches, attended, masked)[masked].mean().item() - found.loss.item()) < 1e-4


@torch.no_grad()
def test_every_layer_computes_what_transformers_does(model: Pixel, oracle: Any) -> None:
    for ours, theirs, width in (
        (model.encoder.blocks, oracle.vit.layers, 48), (model.decoder.blocks, oracle.decoder.decoder_layers, 32)
    ):  # fmt: skip
        for block, layer in zip(ours, theirs, strict=True):
            x = torch.randn(2, 19, width, generator=torch.Generator().manual_seed(1))
            assert (block(x, None) - layer(x)).abs().max() < 1e-4
            assert (block(x, None) - x).abs().max() > 0.1


@torch.no_grad()
def test_what_is_not_attended_changes_nothing(model: Pixel) -> None:
    _, patches, masked = picture()
    attended = torch.arange(25) < torch.tensor([[25], [14]])
    other = torch.where(attended[..., None], patches, 1 - patches)
    assert not torch.equal(other, patches)
    painted, same = (model(p, attended, masked)[attended] for p in (patches, other))
    assert torch.equal(painted, same)
    kept = (~masked).nonzero()[:, 1].view(2, -1)
    seen, seen_same = (model.encoder(p, attended, kept) for p in (patches, other))
    told = torch.cat([torch.ones(2, 1, dtype=torch.bool), attended.gather(1, kept)], 1)
    assert torch.equal(seen[told], seen_same[told])
    wanted = masked & attended
    one, two = (model.errors(p, attended, masked) for p in (patches, other))
    assert torch.equal(one[wanted], two[wanted]) and one.shape == masked.shape


@torch.no_grad()
def test_a_strip_alone_is_seen_as_beside_a_longer_one(model: Pixel) -> None:
    _, patches, _ = picture()
    attended = torch.arange(25) < torch.tensor([[25], [14]])
    alone = model.encoder(patches[1:, :14], attended[1:, :14])
    assert (model.encoder(patches, attended)[1, :15] - alone[0]).abs().max() < 1e-5
    assert model.encoder(patches, attended).shape == (2, 26, 48)


def test_training_on_the_cpu_attends_as_elsewhere() -> None:
    q, k, v = torch.randn(3, 2, 4, 9, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    attended = (torch.arange(9) < torch.tensor([[9], [5]]))[:, None, None]
    for mask in (None, attended):
        expected = attention(q, k, v, mask, 0.0)
        found = attention(q.requires_grad_(), k, v, mask, 0.0)
        assert (found - expected).abs().max() < 0.02 and found.dtype == torch.bfloat16
        q = q.detach()


def test_dropout_is_for_training_alone(model: Pixel) -> None:
    _, patches, masked = picture()
    attended = torch.ones(2, 25, dtype=torch.bool)
    with torch.no_grad():
        assert torch.equal(model(patches, attended, masked), model(patches, attended, masked))
        model.train()
        assert not torch.equal(model(patches, attended, masked), model(patches, attended, masked))
    model.eval()


def test_the_published_shape_has_the_published_size() -> None:
    with torch.device("meta"):
        model = Pixel(BASE)
    count = sum(value.numel() for value in model.state_dict().values())
    encoder = sum(value.numel() for value in model.encoder.state_dict().values())
    assert round(count / 1e6) == 112 and round(encoder / 1e6) == 86
    assert model.encoder.places.shape == (1, 530, 768) and model.decoder.places.shape == (1, 530, 512)


def test_positions_are_a_square_read_row_by_row() -> None:
    from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

    rows_first = build_2d_sinusoidal_position_embedding(height=23, width=23, embed_dim=64, cls_token=True)
    assert positions(529, 64)[0] == pytest.approx(rows_first.roll(32, dims=1), abs=1e-6)  # MAE has columns first
    table = positions(529, 16)[0, 1:]
    assert torch.equal(table[0, :8], table[23, :8]) and torch.equal(table[0, 8:], table[22, 8:])
    assert torch.equal(table[24, :8], table[24, 8:])  # column 1 of row 1
    assert len(torch.unique(table, dim=0)) == 529


def test_position_tables_are_cut_or_interpolated() -> None:
    table = positions(25, 16)
    assert torch.equal(fitted(table, 25), table) and torch.equal(fitted(table, 9), table[:, :10])
    longer = fitted(table, 49)
    assert longer.shape == (1, 50, 16) and torch.equal(longer[:, 0], table[:, 0])
    assert longer[0, 25] == pytest.approx(table[0, 13].tolist(), abs=1e-5)  # the middle stays the middle
    assert fitted(positions(20, 16), 60).shape == (1, 61, 16)


@dataclass
class Strip:
    image: np.ndarray


def test_patches_hold_the_strips_pixels_and_white() -> None:
    rng = np.random.default_rng(0)
    grey = Strip(rng.integers(0, 256, (16, 48), np.uint8))
    colour = Strip(rng.integers(0, 256, (16, 32, 3), np.uint8))
    patches, attended = patches_of([grey], 5)
    assert patches.shape == (1, 5, 256) and attended.tolist() == [[True] * 3 + [False] * 2]
    assert torch.equal((patches[0, 1] * 255).round().to(torch.uint8).view(16, 16), torch.tensor(grey.image[:, 16:32]))
    assert (patches[0, 3:] == 1).all()
    patches, attended = patches_of([grey, colour], channels=3)
    assert patches.shape == (2, 3, 768)
    second = (patches[1, 1] * 255).round().to(torch.uint8).view(16, 16, 3)
    assert torch.equal(second, torch.tensor(colour.image[:, 16:]))
    assert torch.equal(patches[0, :, 0], patches[0, :, 2])
    with pytest.raises(UsageError, match="3 patches where 2"):
        patches_of([grey], 2)


def test_targets_are_normalised_patch_by_patch() -> None:
    patches = torch.rand(3, 256, generator=torch.Generator().manual_seed(0))
    assert targets(patches).mean(-1) == pytest.approx([0, 0, 0], abs=1e-5)
    assert targets(patches).std(-1) == pytest.approx([1, 1, 1], abs=1e-3)
    assert (targets(torch.ones(1, 256)) == 0).all()


def test_masks_of_different_size_are_refused(model: Pixel) -> None:
    _, patches, masked = picture()
    masked[0] = False
    with pytest.raises(UsageError, match="the same number of patches"):
        model(patches, torch.ones(2, 25, dtype=torch.bool), masked)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"heads": 5}, "width is 256; it must be a multiple of its 5 heads"),
        ({"decoder_heads": 3}, "decoder_width is 128"),
        ({"channels": 2}, "channels is 2"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_impossible_sizes_are_named(sizes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PixelConfig(**{**SMALL.__dict__, **sizes})
