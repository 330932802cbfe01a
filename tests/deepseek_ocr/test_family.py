"""Which of the published models a folder holds: what config.json says, what the tensors show, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE

import microfiche
from microfiche.decoder.prompts import FAMILY, PROMPTS_OF
from microfiche.deepseek_ocr import family
from microfiche.deepseek_ocr.checkpoint import described_by, load
from microfiche.deepseek_ocr.family import MODELS, SPECIAL, DeepSeekOCRConfig
from microfiche.errors import CheckpointError, UsageError


@pytest.fixture
def reduced(
    monkeypatch: pytest.MonkeyPatch,
    small: DeepSeekOCRConfig,
    small_2: DeepSeekOCRConfig,
    small_unlimited: DeepSeekOCRConfig,
) -> None:
    """Gives the published models the sizes of the checkpoints in small."""
    sizes = {config.name: config for config in (small, small_2, small_unlimited)}
    models = {name: replace(model, config=sizes[name]) for name, model in MODELS.items()}
    monkeypatch.setattr(family, "MODELS", models)
    monkeypatch.setattr("microfiche.deepseek_ocr.checkpoint.MODELS", models)


def with_config(folder: Path, to: Path, said: object) -> Path:
    for name in ("model.safetensors", "tokenizer.json"):
        (to / name).symlink_to(folder / name)
    (to / "config.json").write_text(said if isinstance(said, str) else json.dumps(said))
    return to


PUBLISHED = ["DeepseekOCRForCausalLM", "DeepseekOCR2ForCausalLM", "UnlimitedOCRForCausalLM"]


@pytest.mark.usefixtures("reduced")
@pytest.mark.parametrize(("name", "architecture"), list(zip(MODELS, PUBLISHED, strict=True)))
def test_config_json_says_which_model_it_is(
    name: Any, architecture: str, folder: Path, folder_2: Path, tmp_path: Path
) -> None:
    weights = folder_2 if name == "deepseek-ocr-2" else folder
    path = with_config(weights, tmp_path, {"architectures": [architecture], "model_type": "deepseek_vl_v2"})
    for loaded in (
        microfiche.load(path=path, dtype=torch.float32),
        microfiche.load(path, dtype=torch.float32),
        microfiche.load(str(path), dtype=torch.float32),
        microfiche.load(name, path=path, dtype=torch.float32),
        microfiche.load(name, weights=path, dtype=torch.float32),
    ):
        assert loaded.config.name == loaded.checkpoint.name == name  # type: ignore[attr-defined]
    for other in set(MODELS) - {name}:
        with pytest.raises(CheckpointError, match=rf"config\.json: says that these weights are {name}, not {other}"):
            microfiche.load(other, path=path)


@pytest.mark.usefixtures("reduced")
def test_without_config_json_the_name_or_the_tensors_decide(folder: Path, folder_2: Path) -> None:
    assert microfiche.load(path=folder_2).config.name == "deepseek-ocr-2"
    with pytest.raises(CheckpointError, match=r"no config\.json, .* those of deepseek-ocr or unlimited-ocr; name the"):
        microfiche.load(path=folder)
    assert microfiche.load("unlimited-ocr", path=folder).config.name == "unlimited-ocr"
    assert microfiche.load("deepseek-ocr", path=folder).config.name == "deepseek-ocr"
    with pytest.raises(CheckpointError, match="asked for deepseek-ocr, but these are the tensors of deepseek-ocr-2"):
        microfiche.load("deepseek-ocr", path=folder_2)
    with pytest.raises(CheckpointError, match=r"asked for deepseek-ocr-2, but .* of deepseek-ocr or unlimited-ocr"):
        microfiche.load("deepseek-ocr-2", path=folder)


@pytest.mark.usefixtures("reduced")
@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"architectures": ["Qwen2ForCausalLM"]}, r"are \['Qwen2ForCausalLM'\], which is none of deepseek-ocr,"),
        ({"model_type": "deepseek_vl_v2"}, r"names no architecture in config\.json, .* deepseek-ocr or unlimited-ocr"),
        ({"architectures": "DeepseekOCRForCausalLM?"}, "which is none of"),
        ("{]", r"config\.json: cannot be read"),
        ("[]", r"config\.json: not the configuration of a model"),
        ({"architectures": ["DeepseekOCR2ForCausalLM"]}, r"says deepseek-ocr-2, but these are the tensors of"),
    ],
)
def test_a_config_json_of_another_model_or_none_is_refused(
    folder: Path, tmp_path: Path, said: object, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        microfiche.load(path=with_config(folder, tmp_path, said))


@pytest.mark.parametrize(
    ("key", "value"),
    [("vocab_size", 102400), ("num_experts_per_tok", 4), ("rope_theta", 1e6), ("n_routed_experts", 160)],
)
@pytest.mark.parametrize("part", ["language_config", "text_config"])
def test_a_config_json_with_other_sizes_than_the_weights_is_refused(
    folder: Path, small: DeepSeekOCRConfig, tmp_path: Path, key: str, value: float, part: str
) -> None:
    decoder = small.decoder
    right = {
        "vocab_size": decoder.vocabulary, "num_experts_per_tok": decoder.chosen,
        "n_routed_experts": decoder.experts, "rope_theta": None, "hidden_size": decoder.width,
    }  # fmt: skip
    said = {"architectures": ["DeepseekOCRForCausalLM"], part: right}
    assert load(with_config(folder, tmp_path, said), config=small).config == small
    said[part] = right | {key: value}
    (tmp_path / "config.json").write_text(json.dumps(said))
    with pytest.raises(CheckpointError, match=rf"config\.json: says {key} {value}, but deepseek-ocr has"):
        load(tmp_path, config=small)


def test_another_window_than_the_models_is_refused(
    folder: Path, small_unlimited: DeepSeekOCRConfig, small: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    for said in ({"sliding_window_size": 256}, {"language_config": {"sliding_window": 256}}):
        path = tmp_path / next(iter(said))
        path.mkdir()
        with_config(folder, path, said)
        with pytest.raises(CheckpointError, match=r"says sliding_window\S* 256, but unlimited-ocr has 24"):
            load(path, config=small_unlimited)
        assert load(path, config=small).config == small  # which has no window


def test_an_adapter_of_deepseek_ocr_is_not_added_to_another_model(
    folder: Path, folder_2: Path, small_unlimited: DeepSeekOCRConfig, small_2: DeepSeekOCRConfig, tmp_path: Path
) -> None:
    for where, config in ((folder, small_unlimited), (folder_2, small_2)):
        with pytest.raises(CheckpointError, match=f"an adapter of deepseek-ocr, and .* is {config.name}; read without"):
            load(where, config=config, adapter=tmp_path)


def test_what_transformers_wrote_is_known(tmp_path: Path) -> None:
    def named(**said: object) -> str:
        (tmp_path / "config.json").write_text(json.dumps(said))
        return described_by(tmp_path)

    assert named(architectures=["DeepseekOcr2ForConditionalGeneration"]) == "deepseek-ocr-2"
    unlimited = ["UnlimitedOcrForConditionalGeneration"]
    for types, name in ((["reference_sliding_attention"] * 12, "unlimited-ocr"), (None, "unlimited-ocr"),
                        (["full_attention"] * 12, "deepseek-ocr")):  # fmt: skip
        assert named(architectures=unlimited, text_config={"layer_types": types}) == name


def test_weights_of_no_model_of_the_family_are_refused(tmp_path: Path) -> None:
    save_file({"bert.embeddings.weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"no config\.json, and its tensors are of none of deepseek-ocr, deepsee"):
        microfiche.load(path=tmp_path)
    for nowhere in (tmp_path / "none", tmp_path / "model.safetensors", "/no/where/at/all"):
        with pytest.raises(CheckpointError, match="no checkpoint there"):
            microfiche.load(path=nowhere)
    with pytest.raises(UsageError, match="two folders"):
        microfiche.load(tmp_path, path=tmp_path)


def test_a_tokenizer_of_another_vocabulary_is_refused(folder: Path, small: DeepSeekOCRConfig, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    shutil.copy(folder / "tokenizer.json", tmp_path)
    with pytest.raises(CheckpointError, match=r"<｜begin▁of▁sentence｜> is None, not 0; it is the tokenizer"):
        load(tmp_path, config=replace(small, special=SPECIAL))
    swapped = (("w5", 5), ("w7", 6))
    with pytest.raises(CheckpointError, match="w7 is 7, not 6"):
        load(tmp_path, config=replace(small, special=swapped))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["one", "more"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="has 514 tokens, and deepseek-ocr knows 512"):
        load(tmp_path, config=small)
    Tokenizer(BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="<image> is None, not 500"):
        load(tmp_path, config=small)


def test_the_hub_is_asked_for_config_json_too(
    folder_2: Path, small_2: DeepSeekOCRConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool]] = []

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, "config.json" in allow_patterns))
        return str(folder_2)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    assert load(config=small_2).config == small_2
    for name in MODELS:
        with pytest.raises(CheckpointError):
            microfiche.load(name)
    published = ["deepseek-ai/DeepSeek-OCR", "deepseek-ai/DeepSeek-OCR-2", "baidu/Unlimited-OCR"]
    assert asked == [(name, True) for name in ("deepseek-ai/DeepSeek-OCR-2", *published)]


def test_every_table_knows_every_model() -> None:
    assert tuple(MODELS) == tuple(PROMPTS_OF) == FAMILY
    for name, model in MODELS.items():
        assert model.config.name == name and model.config.resolutions is model.resolutions
        assert "markdown" in PROMPTS_OF[name] and model.again.keys() == model.resolutions.keys()
        assert set(model.again.values()) <= model.resolutions.keys()


def test_deepseek_ocr_2_is_saved_and_loaded(
    folder_2: Path, small_2: DeepSeekOCRConfig, model_2: Any, tmp_path: Path
) -> None:
    from microfiche.deepseek_ocr.checkpoint import save

    save(model_2, tmp_path, torch.float32)
    saved, published = load_file(tmp_path / "model.safetensors"), load_file(folder_2 / "model.safetensors")
    assert saved.keys() == published.keys()
    assert all(torch.equal(saved[name], published[name]) for name in saved)
    low = load(tmp_path, dtype=torch.int8, config=small_2)
    assert low.encoder.qwen.layers[0].self_attn.qkv.weight.dtype is torch.int8
    x = torch.randn(1, 3, 768, 768).clamp(-1, 1)
    exact, near = (one.encoder.features(x.to(one.encoder.separator)) for one in (model_2, low))
    assert (near.float() - exact).norm() / exact.norm() < 0.1


@pytest.mark.usefixtures("reduced")
def test_what_was_saved_says_which_model_it_is(
    model: Any, model_unlimited: Any, folder: Path, tmp_path: Path, small: DeepSeekOCRConfig
) -> None:
    from microfiche.deepseek_ocr.checkpoint import save

    for one in (model, model_unlimited):
        name = one.config.name
        save(one, tmp_path / name, torch.float32)
        assert microfiche.load(path=tmp_path / name, dtype=torch.float32).config == one.config  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="says that these weights are unlimited-ocr, not deepseek-ocr"):
        load(tmp_path / "unlimited-ocr", config=small)
    mine = {"architectures": ["DeepseekOCRForCausalLM"], "mine": True}
    (tmp_path / "deepseek-ocr" / "config.json").write_text(json.dumps(mine))
    save(model, tmp_path / "deepseek-ocr", torch.float32)  # it describes the model, so it stays
    assert json.loads((tmp_path / "deepseek-ocr" / "config.json").read_text()) == mine
    save(model_unlimited, tmp_path / "deepseek-ocr", torch.float32)
    assert described_by(tmp_path / "deepseek-ocr") == "unlimited-ocr"


def test_a_tokenizer_neither_cuts_nor_pads_prompts(folder: Path, small: DeepSeekOCRConfig, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=50, pad_token="w0")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert load(tmp_path, config=small).prompt("", "<image> w5 w6 w7 w8 w9") == ([0], [5, 6, 7, 8, 9])
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: missing"):
        load(tmp_path, config=small)


def test_a_name_or_a_file_given_in_the_wrong_place_is_said(folder: Path) -> None:
    with pytest.raises(UsageError, match="no model 'deepseek-ocr2'; there are deepseek-ocr, deepseek-ocr-2"):
        microfiche.load("deepseek-ocr2", path=folder)
    with pytest.raises(CheckpointError, match=r"published weights; give its folder, path="):
        microfiche.load(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"nor a reader of that name; .* as path='OWNER/NAME'"):
        microfiche.load("deepseek-ai/DeepSeek-OCR-2")
