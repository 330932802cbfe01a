"""Checkpoints as real ones are: saved again by other programs, in several files, with what libraries leave in them and
beside them; and what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from microfiche.decoder.moe import MoEConfig
from microfiche.deepseek_ocr.checkpoint import load, save
from microfiche.deepseek_ocr.family import DeepSeekOCRConfig
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.deepseek_ocr.shards import INDEX
from microfiche.deepseek_ocr.slots import official_tensors
from microfiche.errors import CheckpointError

Tensors = dict[str, torch.Tensor]
SMALL = {
    "model.vision_model.embeddings.position_ids": torch.arange(257)[None],
    "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8),
    "model.rotary_emb.original_inv_freq": torch.ones(8),
    "model.qwen2_model.model.model.rotary_emb.inv_freq": torch.ones(8),
    "model.layers.1.self_attn.rotary_emb.cos_cached": torch.ones(4, 8),
}


def saved(folder: Path, tensors: Tensors, to: Path, shards: int = 1, index: bool = False) -> Path:
    shutil.copy(folder / "tokenizer.json", to)
    names = sorted(tensors)
    files = {"model.safetensors": names} if shards == 1 else {
        f"model-{k + 1:05}-of-{shards:05}.safetensors": names[k::shards] for k in range(shards)
    }  # fmt: skip
    for file, part in files.items():
        save_file({name: tensors[name] for name in part}, to / file, {"format": "pt"})
    if index:
        weight_map = {name: file for file, part in files.items() for name in part}
        (to / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return to


def same(one: DeepSeekOCR, other: DeepSeekOCR) -> bool:
    pairs = zip(one.named_parameters(), other.named_parameters(), strict=True)
    return all(torch.equal(a, b) for (_, a), (_, b) in pairs)


@pytest.mark.parametrize(("shards", "index"), [(1, False), (3, True), (3, False)])
def test_buffers_and_files_that_are_no_shards_are_passed_over(
    shards: int, index: bool, folder: Path, tensors: Tensors, model: DeepSeekOCR, small: DeepSeekOCRConfig,
    tmp_path: Path,
) -> None:  # fmt: skip
    saved(folder, {**tensors, **SMALL}, tmp_path, shards, index)
    adapter = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(2, 64)}
    save_file(adapter, tmp_path / "adapter_model.safetensors")
    save_file({"state.0.exp_avg": torch.ones(3)}, tmp_path / "optimizer.safetensors")
    (tmp_path / "training_args.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "config.json").write_text("{}")
    assert same(load(tmp_path, dtype=torch.float32, config=small), model)


@pytest.mark.parametrize("most", ["50GB", "300KB"])
def test_what_transformers_saved_again_is_the_same_model(
    most: str, oracle: Any, model: DeepSeekOCR, folder: Path, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    oracle.save_pretrained(tmp_path, max_shard_size=most)
    shutil.copy(folder / "tokenizer.json", tmp_path)
    for index in (True, False):
        if not index:
            (tmp_path / INDEX).unlink(missing_ok=True)
        assert same(load(tmp_path, dtype=torch.float32, config=small), model)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (most != "50GB")


def test_a_checkpoint_without_the_convolution_that_nobody_uses_loads(
    folder: Path, tensors: Tensors, model: DeepSeekOCR, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    unused = "model.vision_model.embeddings.patch_embedding.weight"
    saved(folder, {name: tensor for name, tensor in tensors.items() if name != unused}, tmp_path)
    assert same(load(tmp_path, dtype=torch.float32, config=small), model)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32])
def test_float16_holds_and_reads(
    stored: torch.dtype, folder: Path, tensors: Tensors, model: DeepSeekOCR, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    saved(folder, {name: tensor.to(stored) for name, tensor in tensors.items()}, tmp_path)
    half = load(tmp_path, dtype=torch.float16, config=small)
    assert {p.dtype for p in half.parameters()} == {torch.float16}
    page = Image.effect_noise((300, 200), 80).convert("RGB")
    ours, theirs = ((one.encode([page], "tiny")[0].values.float()) for one in (half, model))
    assert (ours - theirs).abs().max() < 0.05 * theirs.abs().max()
    (reading,) = half.read(half.encode([page], "tiny"), limit=8)
    assert len(reading.text.split()) == 8


EXPERT = "model.layers.2.mlp.experts.7.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({EXPERT: None}, rf"{EXPERT} is missing; a shard may be missing"),
        ({EXPERT: None, "model.tower.x": torch.ones(3)}, "missing, and model.tower.x is there, which is no publishe"),
        ({EXPERT: None, f"module.{EXPERT}": torch.ones(32, 64)}, rf"missing; it is called module\.{EXPERT} here"),
        ({EXPERT: None, f"{EXPERT}.lora_A.weight": torch.ones(2, 64)}, "missing, and .*lora_A.* an adapter that"),
        ({"model.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(2, 64)}, "lora_A.* no part .* merge it"),
        ({"model.layers.0.self_attn.q_proj.weight.absmax": torch.ones(2)}, "absmax .* no part .* quantised weights"),
        ({"model.layers.9.norm.weight": torch.ones(3)}, r"layers\.9\.norm\.weight belongs to no part of the model$"),
        ({EXPERT: torch.ones(32, 64).to(torch.float8_e4m3fn)}, f"{EXPERT} is of type F8_E4M3, .* quantised"),
        ({EXPERT: torch.ones(32, 8, dtype=torch.uint8)}, f"{EXPERT} is of type U8, .* quantised"),
        ({EXPERT: torch.ones(32, 64, dtype=torch.float64)}, f"{EXPERT} is of type F64, .* again in float32$"),
        ({EXPERT: None, f"base_model.model.{EXPERT}": torch.ones(32, 64)}, rf"is called base_model\.model\.{EXPERT}"),
    ],
    ids=["missing", "renamed", "prefix", "not merged", "adapter", "bitsandbytes", "unknown", "float8", "4 bits",
         "double", "peft"],
)  # fmt: skip
def test_what_is_refused_is_named_with_what_it_would_take(
    change: dict[str, Any], said: str, folder: Path, tensors: Tensors, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    changed = {name: tensor for name, tensor in {**tensors, **change}.items() if tensor is not None}
    saved(folder, changed, tmp_path)
    with pytest.raises(CheckpointError, match=said):
        load(tmp_path, config=small)


@pytest.mark.parametrize("index", [True, False])
def test_a_shard_that_was_cut_off_or_lost_is_named(
    index: bool, folder: Path, tensors: Tensors, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    saved(folder, tensors, tmp_path, 3, index)
    shard = tmp_path / "model-00002-of-00003.safetensors"
    data = shard.read_bytes()
    shard.write_bytes(data[: -len(data) // 3])
    with pytest.raises(CheckpointError, match=r"model-00002-of-00003\.safetensors: \S+ is cut off"):
        load(tmp_path, config=small)
    shard.write_bytes(data[:50])
    with pytest.raises(CheckpointError, match=r"model-00002-of-00003\.safetensors: not a whole safetensors file"):
        load(tmp_path, config=small)
    shard.unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-of-00003\S+ not there" if index else "a shard may be miss"):
        load(tmp_path, config=small)


def test_one_tensor_in_two_files_is_refused(
    folder: Path, tensors: Tensors, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    saved(folder, tensors, saved(folder, tensors, tmp_path), 2)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: \S+ is also in model-0000\d-of-00002\.safetensors"):
        load(tmp_path, config=small)


def test_what_was_saved_beside_an_older_index_is_read(
    folder: Path, tensors: Tensors, model: DeepSeekOCR, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    saved(folder, {name: tensor + 1 for name, tensor in tensors.items()}, tmp_path, 2, True)
    save(model, tmp_path, torch.float32)  # which writes the index anew
    assert same(load(tmp_path, dtype=torch.float32, config=small), model)
    again = tmp_path / "again"
    again.mkdir()
    saved(folder, {name: tensor + 1 for name, tensor in tensors.items()}, again, 2, True)
    shutil.copy(tmp_path / "model.safetensors", again)  # as transformers saves a model that fits into one file
    assert same(load(again, dtype=torch.float32, config=small), model)
    (again / "model-00001-of-00002.safetensors").unlink()
    assert same(load(again, dtype=torch.float32, config=small), model)


def test_shards_may_lie_in_a_folder_of_the_checkpoint_but_not_outside(
    folder: Path, tensors: Tensors, model: DeepSeekOCR, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    saved(folder, tensors, tmp_path, 2, True)
    (tmp_path / "parts").mkdir()
    index = json.loads((tmp_path / INDEX).read_text())
    for shard in tmp_path.glob("*.safetensors"):
        shard.rename(tmp_path / "parts" / shard.name)
    index["weight_map"] = {name: f"parts/{file}" for name, file in index["weight_map"].items()}
    (tmp_path / INDEX).write_text(json.dumps(index))
    assert same(load(tmp_path, dtype=torch.float32, config=small), model)
    for file, said in (("../x.safetensors", "outside"), ("/x.safetensors", "outside"), ("x" * 5000, "not there")):
        (tmp_path / INDEX).write_text(json.dumps({"weight_map": {EXPERT: file}}))
        with pytest.raises(CheckpointError, match=said):
            load(tmp_path, config=small)
    for odd in ("[" * 100_000, '{"weight_map": 3}', "null", '{"weight_map": {"a": 1}}'):
        (tmp_path / INDEX).write_text(odd)
        with pytest.raises(CheckpointError, match="not an index"):
            load(tmp_path, config=small)


def head(**entries: object) -> bytes:
    data = json.dumps(entries).encode()
    return len(data).to_bytes(8, "little") + data + bytes(64)


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "data",
    [
        head(a={**F32, "data_offsets": [0.0, 8.0]}), head(a={**F32, "shape": [2.0]}), head(a={**F32, "dtype": ["F32"]}),
        head(a={**F32, "shape": [True, 2]}), head(a=F32, b={**F32, "data_offsets": [4, 12]}), head(a=F32, b=F32),
        (200_000).to_bytes(8, "little") + b"[" * 200_000, head(a={**F32, "data_offsets": [-8, 0]}), b"", b"\x01",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    ],
    ids=["offsets", "shape", "dtype", "bool", "overlap", "twice", "deep", "negative", "empty", "byte", "pointer"],
)  # fmt: skip
def test_a_damaged_header_is_refused(data: bytes, small: DeepSeekOCRConfig, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    pointer = data.startswith(b"version")
    with pytest.raises(CheckpointError, match="a pointer of Git LFS" if pointer else "not a whole safetensors file"):
        load(tmp_path, config=small)


def test_what_is_no_file_is_refused(small: DeepSeekOCRConfig, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to("nowhere")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        load(tmp_path, config=small)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        load(tmp_path, config=small)
    (tmp_path / "model.safetensors").rmdir()
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"no checkpoint there .*; there is pytorch_model\.bin, but only safeten"):
        load(tmp_path, config=small)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(
    value: float, folder: Path, tensors: Tensors, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    spoilt = tensors[EXPERT].clone()
    spoilt[3, 4] = value
    saved(folder, {**tensors, EXPERT: spoilt}, tmp_path)
    for dtype in (torch.float32, torch.int8):
        with pytest.raises(CheckpointError, match=rf"{EXPERT} holds .*; these weights are damaged"):
            load(tmp_path, dtype=dtype, config=small)


def test_weights_beyond_float16_are_refused_in_it_alone(
    folder: Path, tensors: Tensors, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    large = tensors[EXPERT].clone()
    large[3, 4] = -70000.0
    saved(folder, {**tensors, EXPERT: large}, tmp_path)
    with pytest.raises(CheckpointError, match=rf"{EXPERT} holds 70000, more than torch\.float16 can"):
        load(tmp_path, dtype=torch.float16, config=small)
    assert load(tmp_path, dtype=torch.bfloat16, config=small).config == small


LOADS = """
import pickle, sys, torch
from resource import RUSAGE_SELF, getrusage
from microfiche.deepseek_ocr import checkpoint as deepseek_ocr
config = pickle.loads(bytes.fromhex(sys.argv[2]))
before = getrusage(RUSAGE_SELF).ru_maxrss
for dtype in (torch.int8, torch.float16, torch.float32):  # each takes more than those before, so its peak is its own
    model = deepseek_ocr.load(sys.argv[1], dtype=dtype, config=config)
    print(1024 * (getrusage(RUSAGE_SELF).ru_maxrss - before) / sum(p.nbytes for p in model.parameters()))
    del model
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is counted in KiB here")
def test_loading_needs_little_more_memory_than_the_model(
    folder: Path, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    sizes = MoEConfig(512, width=256, layers=4, heads=4, dense=96, experts=64, chosen=3, expert=256)
    config = replace(small, decoder=sizes)  # 150 MB in float32
    zeros = {name: torch.zeros(shape, dtype=torch.float16) for name, shape in official_tensors(config).items()}
    saved(folder, zeros, tmp_path, 2)
    command = [sys.executable, "-c", LOADS, str(tmp_path), pickle.dumps(config).hex()]
    peaks = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert len(peaks) == 3 and max(map(float, peaks)) < 1.3, peaks
