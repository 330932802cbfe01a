"""The published checkpoint's names and shapes, ours on disk, and files that are neither."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from microfiche.errors import CheckpointError
from microfiche.pixel.checkpoint import load, official_name, save
from microfiche.pixel.model import BASE, Pixel, PixelConfig

TINY = PixelConfig(16, 2, 2, 32, 8, 1, 2, 16, patches=25, channels=1)


def published(config: PixelConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published file, written out from ViTMAE's of transformers 4.17 (xplip/pixel)."""
    found: dict[str, tuple[int, ...]] = {
        "vit.embeddings.cls_token": (1, 1, config.width),
        "vit.embeddings.position_embeddings": (1, config.patches + 1, config.width),
        "vit.embeddings.patch_embeddings.projection.weight": (config.width, config.channels, 16, 16),
        "vit.embeddings.patch_embeddings.projection.bias": (config.width,),
        "decoder.mask_token": (1, 1, config.decoder_width),
        "decoder.decoder_pos_embed": (1, config.patches + 1, config.decoder_width),
    }
    linears = {
        "decoder.decoder_embed": (config.decoder_width, config.width),
        "decoder.decoder_pred": (256 * config.channels, config.decoder_width),
    }
    norms = {"vit.layernorm": config.width, "decoder.decoder_norm": config.decoder_width}
    for stack, layers, width, mlp in (
        ("vit.encoder.layer", config.layers, config.width, config.mlp),
        ("decoder.decoder_layers", config.decoder_layers, config.decoder_width, config.decoder_mlp),
    ):
        for i in range(layers):
            layer = f"{stack}.{i}"
            for part in ("query", "key", "value"):
                linears[f"{layer}.attention.attention.{part}"] = (width, width)
            linears[f"{layer}.attention.output.dense"] = (width, width)
            linears[f"{layer}.intermediate.dense"] = (mlp, width)
            linears[f"{layer}.output.dense"] = (width, mlp)
            norms |= {f"{layer}.layernorm_before": width, f"{layer}.layernorm_after": width}
    for name, (out, into) in linears.items():
        found |= {f"{name}.weight": (out, into), f"{name}.bias": (out,)}
    for name, width in norms.items():
        found |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return found


def test_the_published_model_has_the_published_tensors() -> None:
    with torch.device("meta"):
        model = Pixel(BASE)
    ours = {official_name(name): tuple(value.shape) for name, value in model.state_dict().items()}
    assert ours == published(BASE)
    assert round(sum(torch.Size(s).numel() for s in ours.values()) / 1e6) == 112
    encoder = sum(torch.Size(s).numel() for name, s in ours.items() if name.startswith("vit."))
    assert round(encoder / 1e6) == 86


@pytest.fixture
def official(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(shape, generator=generator) for name, shape in published(TINY).items()}
    (tmp_path / "pixel").mkdir()
    save_file(weights, tmp_path / "pixel/model.safetensors")
    return tmp_path / "pixel"


def test_the_published_names_are_read_from_file_or_folder(official: Path) -> None:
    weights = load_file(official / "model.safetensors")
    for path in (official, official / "model.safetensors"):
        model = load(path, config=TINY)
        assert not model.training
        for name, value in model.state_dict().items():
            assert torch.equal(value, weights[official_name(name)])


def test_ours_come_back(tmp_path: Path, official: Path) -> None:
    torch.manual_seed(0)
    model = Pixel(TINY)
    save(model, tmp_path / "mine.safetensors")
    back = load(tmp_path / "mine.safetensors")
    assert back.config == TINY
    for name, value in model.state_dict().items():
        expected = value if name.endswith("places") else value.bfloat16().float()
        assert torch.equal(back.state_dict()[name], expected)
    with safe_open(tmp_path / "mine.safetensors", "pt") as file:
        assert set(file.keys()) == set(published(TINY)) - {
            "vit.embeddings.position_embeddings", "decoder.decoder_pos_embed"
        }  # fmt: skip
        assert json.loads(file.metadata()["microfiche"])["config"] == asdict(TINY)
    other = load(official, config=TINY)  # whose tables are not the computed ones
    save(other, tmp_path / "other.safetensors")
    table = load(tmp_path / "other.safetensors").encoder.places
    assert torch.equal(table, other.encoder.places.bfloat16().float())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("vit.encoder.layer.1.output.dense.weight", None, "vit.encoder.layer.1.output.dense.weight is missing"),
        ("vit.layernorm.bias", torch.zeros(3), r"vit.layernorm.bias is \(3,\) torch.float32, not \(16,\) floats"),
        ("vit.layernorm.bias", torch.zeros(16, dtype=torch.int64), "vit.layernorm.bias is .* torch.int64, not"),
        ("vit.embeddings.position_embeddings", None, "vit.embeddings.position_embeddings is missing"),
        ("pooler.weight", torch.zeros(3), "pooler.weight belongs to no part of the model"),
    ],
)
def test_what_does_not_fit_is_named(official: Path, name: str, value: torch.Tensor | None, said: str) -> None:
    weights = load_file(official / "model.safetensors")
    weights.pop(name, None)
    if value is not None:
        weights[name] = value
    save_file(weights, official / "model.safetensors")
    with pytest.raises(CheckpointError, match=said):
        load(official, config=TINY)


def test_loading_waits_for_no_compiler(official: Path, tmp_path: Path) -> None:
    save(Pixel(TINY), tmp_path / "mine.safetensors")
    code = f"""
import sys
from microfiche.pixel.checkpoint import load
load({str(tmp_path / "mine.safetensors")!r})
print(sorted(set(sys.modules) & {{"sympy", "torch._dynamo", "matplotlib"}}))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_files_that_are_no_checkpoints(tmp_path: Path, official: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        load(tmp_path / "none.safetensors")
    (tmp_path / "torn.safetensors").write_bytes((official / "model.safetensors").read_bytes()[:700])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load(tmp_path / "torn.safetensors")
    (official / "model.safetensors").rename(tmp_path / "kept")
    (official / "pytorch_model.bin").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin: .*safetensors only.*save_file\(torch.load"):
        load(official)
    save_file({"x": torch.zeros(1)}, tmp_path / "alien", {"microfiche": json.dumps({"format": "microfiche-nano-1"})})
    with pytest.raises(CheckpointError, match="not a PIXEL checkpoint of this version"):
        load(tmp_path / "alien")
    bad = {"format": "microfiche-pixel-1", "config": {**asdict(TINY), "layers": 10**9}}
    save_file({"x": torch.zeros(1)}, tmp_path / "huge", {"microfiche": json.dumps(bad)})
    with pytest.raises(CheckpointError, match=r"configuration cannot be used .*layers is 1000000000"):
        load(tmp_path / "huge")
