"""The published checkpoint's tensors, and what is said of checkpoints that are not whole or not it."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE

import microfiche
from microfiche.deepseek_ocr import checkpoint as deepseek_ocr
from microfiche.deepseek_ocr.checkpoint import INDEX, load, memory
from microfiche.deepseek_ocr.family import DeepSeekOCRConfig
from microfiche.deepseek_ocr.int8 import quantised
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.deepseek_ocr.slots import Slot, official_tensors, slots
from microfiche.devices import DTYPE
from microfiche.errors import CheckpointError, UsageError

Tensors = dict[str, torch.Tensor]


def test_the_full_model_has_the_published_tensors() -> None:
    official = official_tensors()
    assert len(official) == 2710
    assert sum(math.prod(shape) for shape in official.values()) == 3_336_106_240
    assert official["model.layers.11.mlp.experts.63.down_proj.weight"] == (1280, 896)
    assert official["model.sam_model.blocks.0.attn.rel_pos_h"] == (27, 64)
    assert official["model.sam_model.blocks.2.attn.rel_pos_w"] == (127, 64)
    assert official["model.vision_model.embeddings.position_embedding.weight"] == (257, 1024)


def test_at_full_size_every_tensor_fits_into_its_place() -> None:
    config = DeepSeekOCRConfig()
    with torch.device("meta"):
        model = DeepSeekOCR(config, Tokenizer(BPE()))
    places = dict(model.named_parameters())
    filled = dict.fromkeys(places, 0)
    for name, slot in slots(config).items():
        if slot.parameter is None:
            assert name == "model.vision_model.embeddings.patch_embedding.weight"
            continue
        assert _place(places, slot).shape == slot.shape, name
        filled[slot.parameter] += math.prod(slot.shape)
    assert filled == {name: p.numel() for name, p in places.items()}
    assert sum(filled.values()) == 3_336_106_240 - 1024 * 3 * 14 * 14


def test_every_place_is_filled_once(small: DeepSeekOCRConfig) -> None:
    model = DeepSeekOCR(small, Tokenizer(BPE()))
    counts = {name: torch.zeros(p.shape) for name, p in model.named_parameters()}
    for slot in slots(small).values():
        if slot.parameter is not None:
            _place(counts, slot).add_(1)
    assert all((count == 1).all() for count in counts.values())


def _place(places: Mapping[str, torch.Tensor], slot: Slot) -> torch.Tensor:
    whole = places[slot.parameter or ""]
    matrix = whole if slot.expert is None else whole[slot.expert]
    return matrix if slot.rows is None else matrix[slot.rows[0] : slot.rows[1]]


def test_memory_is_told_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory(dtype=torch.bfloat16) == 2 * (3_336_106_240 - 602_112)
    assert memory(dtype=torch.float32) == 2 * memory(dtype=torch.bfloat16)
    eighths = []
    for dtype in ("bfloat16", "float32"):  # of what is not held in int8
        monkeypatch.setenv(DTYPE, dtype)
        eighths.append(memory(dtype=torch.int8))
    assert 3.4e9 < eighths[0] < 3.6e9
    assert 2 * 129_280 * 1280 < eighths[1] - eighths[0] < 1.2 * 2 * 129_280 * 1280, "most of it is the words' table"


def test_weights_come_to_their_places(model: DeepSeekOCR, tensors: Tensors) -> None:
    d = model.config.decoder.width
    layer, name = model.decoder.layers[1], "model.layers.1"
    assert torch.equal(layer.self_attn.qkv.weight[d : 2 * d], tensors[f"{name}.self_attn.k_proj.weight"])
    assert torch.equal(layer.mlp.experts.down.weight[3], tensors[f"{name}.mlp.experts.3.down_proj.weight"])
    assert torch.equal(layer.mlp.experts.gate_up.weight[3, 32:], tensors[f"{name}.mlp.experts.3.up_proj.weight"])
    assert torch.equal(model.encoder.separator, tensors["model.view_seperator"])
    assert torch.equal(model.encoder.sam.net_3.weight, tensors["model.sam_model.net_3.weight"])


def test_a_sharded_checkpoint_is_the_same_model(
    folder: Path, tensors: Tensors, model: DeepSeekOCR, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    shards = _shards(folder, tensors, tmp_path)
    sharded = load(tmp_path, dtype=torch.float32, config=small)
    for (name, ours), (_, theirs) in zip(model.named_parameters(), sharded.named_parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=r"model-2\.safetensors: not there, and \S+ should be in it"):
        load(tmp_path, config=small)
    (tmp_path / INDEX).write_text("{]")
    with pytest.raises(CheckpointError, match="not an index"):
        load(tmp_path, config=small)


def _shards(folder: Path, tensors: Tensors, to: Path) -> list[Path]:
    shutil.copy(folder / "tokenizer.json", to)
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, to / file)
    weight_map = {name: file for file, part in parts.items() for name in part}
    (to / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return [to / file for file in parts]


def _changed(folder: Path, to: Path, tensors: Tensors) -> None:
    shutil.copy(folder / "tokenizer.json", to)
    save_file(tensors, to / "model.safetensors")


EXPERT = "model.layers.2.mlp.experts.7.up_proj.weight"


def test_a_missing_extra_misshaped_or_mistyped_tensor_is_named(
    folder: Path, tensors: Tensors, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    _changed(folder, tmp_path, {k: v for k, v in tensors.items() if k != EXPERT})
    with pytest.raises(CheckpointError, match=f"{EXPERT} is missing"):
        load(tmp_path, config=small)
    _changed(folder, tmp_path, {**tensors, "model.layers.9.norm.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError, match=r"model\.layers\.9\.norm\.weight belongs to no part"):
        load(tmp_path, config=small)
    _changed(folder, tmp_path, {**tensors, EXPERT: torch.zeros(64, 32)})
    with pytest.raises(CheckpointError, match=rf"{EXPERT} is \(64, 32\), not \(32, 64\)"):
        load(tmp_path, config=small)
    _changed(folder, tmp_path, {**tensors, EXPERT: torch.zeros(32, 64, dtype=torch.int8)})
    with pytest.raises(CheckpointError, match=f"{EXPERT} is of type I8, not one of BF16, F16, F32"):
        load(tmp_path, config=small)


def test_a_truncated_file_is_refused_by_the_first_tensor_that_is_cut(
    folder: Path, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    shutil.copy(folder / "tokenizer.json", tmp_path)
    data = (folder / "model.safetensors").read_bytes()
    cut = tmp_path / "model.safetensors"
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"tensors: (lm_head|model)\S+ is cut off, the file is not whole"):
        load(tmp_path, config=small)
    for length in (0, 5, 200):
        cut.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match="not a whole safetensors file"):
            load(tmp_path, config=small)
    cut.write_bytes(b"\xff" * 4000)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load(tmp_path, config=small)


def test_a_folder_without_weights_or_tokenizer_is_refused(
    folder: Path, tensors: Tensors, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        load(tmp_path / "none", config=small)
    _changed(folder, tmp_path, tensors)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a tokenizer"):
        load(tmp_path, config=small)
    Tokenizer(BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="<image> is None, not 500"):
        load(tmp_path, config=small)


def test_what_cannot_be_loaded_is_said_before_loading(
    folder: Path, small: DeepSeekOCRConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="float64 is not one of float32, bfloat16, float16, int8"):
        load(folder, dtype=torch.float64, config=small)
    monkeypatch.setattr(deepseek_ocr, "free_memory", lambda device: 1000)
    with pytest.raises(UsageError, match=r"needs 0\.0 GB on cpu, 0\.0 GB are free; dtype=torch\.int8 needs"):
        load(folder, config=small)


def test_microfiche_load_knows_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match=r"pos_embed is \(1, 64, 64, 64\), not \(1, 64, 64, 768\)"):
        microfiche.load("deepseek-ocr", weights=folder)
    with pytest.raises(UsageError, match="goes with load"):
        microfiche.load("nano", weights=folder)


def test_a_name_that_is_no_folder_is_asked_of_the_hub(
    folder: Path, small: DeepSeekOCRConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        asked.append(name)
        if name != "deepseek-ai/DeepSeek-OCR":
            raise OSError("no such repository\nsecond line")
        return str(folder)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    for path in ("deepseek-ai/DeepSeek-OCR", None):
        assert load(path, config=small).config == small
    with pytest.raises(CheckpointError, match=r"some/body cannot be fetched \(no such repository\)$"):
        microfiche.load("deepseek-ocr", weights="some/body")
    assert asked == ["deepseek-ai/DeepSeek-OCR"] * 2 + ["some/body"]
    for path in ("nowhere", "/no/where", "a/b/c"):  # these can be folders only
        with pytest.raises(CheckpointError, match="no checkpoint there"):
            microfiche.load("deepseek-ocr", weights=path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match="pip install huggingface_hub"):
        microfiche.load("deepseek-ocr")


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_other_precisions_are_cast_on_the_way(
    folder: Path, tensors: Tensors, small: DeepSeekOCRConfig, stored: torch.dtype, tmp_path: Path
) -> None:
    _changed(folder, tmp_path, {name: t.to(stored) for name, t in tensors.items()})
    wide = load(tmp_path, dtype=torch.float32, config=small)
    expected = tensors["lm_head.weight"].to(stored).float()
    assert torch.equal(wide.decoder.lm_head.weight, expected)


def test_int8_holds_rows_with_their_scales(
    folder: Path, tensors: Tensors, small: DeepSeekOCRConfig
) -> None:
    model = load(folder, dtype=torch.int8, config=small)
    weight = tensors[EXPERT]
    values, scale = quantised(weight)
    held = model.decoder.layers[2].mlp.experts.gate_up
    assert torch.equal(held.weight[7, 32:], values)
    assert torch.equal(held.scale[7, 32:], scale)
    assert ((values * scale[:, None] - weight).abs() <= scale[:, None] * 0.501).all()
    assert model.decoder.embed_tokens.weight.is_floating_point()
    assert model.encoder.sam.pos_embed.is_floating_point()
