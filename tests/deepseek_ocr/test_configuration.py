"""config.json is compared with what we compute in every place where publishers and transformers describe it."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from microfiche.deepseek_ocr.configuration import check_described, described, said_in, written
from microfiche.deepseek_ocr.family import MODELS, DeepSeekOCRConfig
from microfiche.errors import CheckpointError

WHERE = Path("config.json")
TEXT: dict[str, Any] = {
    "bos_token_id": 0, "eos_token_id": 1, "first_k_dense_replace": 1, "hidden_size": 1280, "intermediate_size": 6848,
    "kv_lora_rank": None, "lm_head": True, "max_position_embeddings": 8192, "moe_intermediate_size": 896, "n_group": 1,
    "n_routed_experts": 64, "n_shared_experts": 2, "num_attention_heads": 10, "num_experts_per_tok": 6,
    "num_hidden_layers": 12, "num_key_value_heads": 10, "q_lora_rank": None, "qk_nope_head_dim": 0,
    "qk_rope_head_dim": 0, "rm_head": False, "topk_group": 1, "topk_method": "greedy", "use_mla": False,
    "v_head_dim": 0, "vocab_size": 129280,
}  # fmt: skip
SAM = {
    "downsample_channels": [512, 1024], "global_attn_indexes": [2, 5, 8, 11], "heads": 12, "layers": 12, "width": 768,
}  # fmt: skip
CLIP = {"heads": 16, "image_size": 224, "layers": 24, "patch_size": 14, "width": 1024}


def published(name: str) -> dict[str, Any]:
    """The config.json of a published model, as far as it is known."""
    second = {"qwen2-0-5b": {"dim": 896}} if name == "deepseek-ocr-2" else {"clip-l-14-224": CLIP}
    text = TEXT | ({"max_position_embeddings": 32768, "sliding_window_size": 128} if name == "unlimited-ocr" else {})
    return {
        "architectures": [MODELS[name].architectures[0]],  # type: ignore[index]
        "model_type": "unlimited-ocr" if name == "unlimited-ocr" else "deepseek_vl_v2",
        "candidate_resolutions": [[1024, 1024]], "tile_tag": "2D", "torch_dtype": "bfloat16",
        "language_config": text, **text,
        "projector_config": {
            "input_dim": 896 if name == "deepseek-ocr-2" else 2048, "model_type": "mlp_projector", "n_embed": 1280,
            "projector_type": "linear",
        },
        "vision_config": {
            "image_size": 1024, "mlp_ratio": 3.7362, "model_name": "deeplip_b_l", "model_type": "vision",
            "width": {"sam_vit_b": SAM, **second},
        },
    }  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_published_config_and_ours_describe_the_model(name: Any) -> None:
    config = MODELS[name].config
    for said in (published(name), json.loads(json.dumps(written(config, torch.bfloat16)))):
        assert described(said, WHERE) == name
        check_described(said, config, WHERE)


def test_what_transformers_writes_describes_the_model(
    oracle: Any, oracle_2: Any, oracle_unlimited: Any, small: DeepSeekOCRConfig, small_2: DeepSeekOCRConfig,
    small_unlimited: DeepSeekOCRConfig,
) -> None:  # fmt: skip
    theirs = (oracle, oracle_2, oracle_unlimited)
    for config, one in zip((small, small_2, small_unlimited), theirs, strict=True):
        said = json.loads(json.dumps(one.config.to_dict(), default=str))
        said["architectures"] = [type(one).__name__]
        assert described(said, WHERE) == config.name
        check_described(said, config, WHERE)
    check_described(type(oracle.config)().to_dict(), MODELS["unlimited-ocr"].config, WHERE)


CONTRADICTIONS = [
    (("text_config", "rope_parameters", "rope_theta"), 1e6),
    (("text_config", "rope_parameters", "rope_type"), "yarn"),
    (("language_config", "rope_scaling", "type"), "yarn"),
    (("rope_scaling", "rope_type"), "linear"),
    (("language_config", "norm_topk_prob"), True),
    (("scoring_func",), "sigmoid"),
    (("language_config", "routed_scaling_factor"), 16.0),
    (("use_mla",), True),
    (("text_config", "hidden_act"), "gelu"),
    (("text_config", "max_position_embeddings"), 512),
    (("image_token_id",), 7),
    (("language_config", "eos_token_id"), 7),
    (("text_config", "eos_token_id"), [1, 7]),
    (("vocab_size",), 102400),
    (("language_config", "vocab_size"), "129280"),
    (("language_config", "n_routed_experts"), True),
    (("text_config", "mlp_layer_types"), ["sparse"] * 12),
    (("text_config", "layer_types"), [[]]),
    (("language_config", "tie_word_embeddings"), True),
    (("vision_config", "width", "clip-l-14-224", "layers"), 99),
    (("vision_config", "width", "sam_vit_b", "global_attn_indexes"), [1]),
    (("vision_config", "sam_config", "window_size"), 7),
    (("vision_config", "encoder_config", "hidden_act"), "relu"),
    (("projector_config", "input_dim"), 5),
    (("quantization_config", "quant_method"), "fp8"),
    (("language_config", "rope_theta"), float("nan")),
    (("language_config", "hidden_size"), int("9" * 4000)),
]


@pytest.mark.parametrize(("place", "value"), CONTRADICTIONS, ids=lambda one: str(one)[:40])
@pytest.mark.parametrize("beside", [True, False])
def test_a_contradiction_is_found_wherever_it_stands(place: tuple[str, ...], value: object, beside: bool) -> None:
    said: dict[str, Any] = deepcopy(published("deepseek-ocr")) if beside else {"language_config": None}
    inside = said
    for key in place[:-1]:
        if not isinstance(inside.get(key), dict):
            inside[key] = {}
        inside = inside[key]
    inside[place[-1]] = value
    key = "quantization_config" if "quantization_config" in place else place[-1]
    with pytest.raises(CheckpointError, match=f"says {key} ") as error:
        check_described(said, MODELS["deepseek-ocr"].config, WHERE)
    assert len(str(error.value)) < 400


def test_models_are_told_apart_by_architecture_and_type() -> None:
    one, two, unlimited = (model.architectures[0] for model in MODELS.values())
    assert described({"architectures": one}, WHERE) == "deepseek-ocr"
    assert described({"model_type": "unlimited_ocr"}, WHERE) == "unlimited-ocr"
    assert described({"model_type": "deepseek_vl_v2"}, WHERE) is None
    for both in ([one, unlimited], [unlimited, one], [two, one]):
        with pytest.raises(CheckpointError, match=r"both \S+ and "):
            described({"architectures": both}, WHERE)
    with pytest.raises(CheckpointError, match="both deepseek-ocr and unlimited-ocr"):
        described({"architectures": [one], "model_type": "unlimited-ocr"}, WHERE)
    for kind, window in ((one, None), (one, 0), (unlimited, 128)):
        described({"architectures": [kind], "sliding_window_size": window}, WHERE)
    for kind in (one, two):
        with pytest.raises(CheckpointError, match=r"both \S+ and unlimited-ocr"):
            described({"architectures": [kind], "sliding_window_size": 128}, WHERE)
    for other in ([{}], [["x"]], ["Qwen2ForCausalLM"], [None], "x"):
        with pytest.raises(CheckpointError, match="none of deepseek-ocr"):
            described({"architectures": other}, WHERE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "cannot be read"), ("{", "cannot be read"), ("[]", "not the configuration"),
        ("null", "not the configuration"), ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (None, "cannot be read"), ("folder", "cannot be read"),
    ],
    ids=["deep", "half", "list", "null", "digits", "pointer", "dangling", "folder"],
)  # fmt: skip
def test_a_file_that_is_no_configuration_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    assert said_in(tmp_path) is None
    if content is None:
        (tmp_path / "config.json").symlink_to("nowhere")
    elif content == "folder":
        (tmp_path / "config.json").mkdir()
    else:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        said_in(tmp_path)
