"""config.json of a published checkpoint: which model it describes, whether it describes the computation that we do, and
how ours is written.

Publishers and transformers put the same settings in different places; all places are compared, so that none of them can
contradict what is computed. Sources: the config.json files of the three models, and transformers' `deepseek_ocr2` and
`unlimited_ocr`. It knows nothing of tensors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from microfiche.decoder.prompts import ModelName
from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.family import MODELS, NAMES, DeepSeekOCRConfig
from microfiche.errors import CheckpointError
from microfiche.weights.tensors import json_of

CONFIG = "config.json"
SAID = 80  #: the most characters of a value that a message repeats
#: Where a config.json may describe each part of a model. Within a place, rope_parameters and the like belong to it.
PLACES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "decoder": ((), ("language_config",), ("text_config",)),
    "sam": (("vision_config", "width", "sam_vit_b"), ("vision_config", "sam_config")),
    "second": (
        ("vision_config", "width", "clip-l-14-224"),
        ("vision_config", "width", "qwen2-0-5b"),
        ("vision_config", "encoder_config"),
    ),
    "projector": (("projector_config",),),
}
NESTED = ("rope_parameters", "rope_scaling")
QUANTISED = ("quantization_config", "compression_config")
#: What the published files say of the decoder besides its sizes; it switches off parts that other models have.
CONSTANT: Mapping[str, Any] = {
    "kv_lora_rank": None, "q_lora_rank": None, "qk_nope_head_dim": 0, "qk_rope_head_dim": 0, "v_head_dim": 0,
    "lm_head": True, "rm_head": False, "n_group": 1, "topk_group": 1,
}  # fmt: skip
#: What only transformers' own classes say of it.
UNPUBLISHED = (
    "head_dim", "num_experts", "mlp_layer_types", "layer_types", "mlp_bias", "image_token_id", "image_token_index",
    "rope_type", "type",
)  # fmt: skip
#: The number of channels that DeepSeek-OCR 2's config.json states for SAM; its tensors have others.
MISSTATED = [512, 1024]


def said_in(folder: Path) -> dict[str, Any] | None:
    """Returns the content of a folder's config.json, or None if it has none. Raises CheckpointError if it cannot be
    read or is no JSON object."""
    said = json_of(folder / CONFIG)
    if said is None and not os.path.lexists(folder / CONFIG):
        return None
    if not isinstance(said, dict):
        raise CheckpointError(f"{folder / CONFIG}: not the configuration of a model")
    return said


def described(said: Mapping[str, Any], where: Path) -> ModelName | None:
    """Returns the name of the model that a config.json describes by its architectures and its model type, or None if it
    names neither. Raises CheckpointError if it names a model that is none of the family, or two of them."""
    given = said.get("architectures")
    kinds = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    found = {name for name, model in MODELS.items() if any(kind in model.architectures for kind in kinds)}
    if kinds and not found:
        raise CheckpointError(f"{where}: says that these weights are {_shown(given)}, which is none of {NAMES}")
    if found and said.get("sliding_window_size"):  # Unlimited-OCR's alone
        found.add("unlimited-ocr")
    found |= {name for name, model in MODELS.items() if said.get("model_type") in model.types}
    if "unlimited-ocr" in found:
        text = said.get("text_config")
        types = text.get("layer_types") if isinstance(text, dict) else None
        # transformers has no class for DeepSeek-OCR: it is Unlimited-OCR's, attending to all that was generated
        if isinstance(types, list) and types and all(one == "full_attention" for one in types):
            found = found - {"unlimited-ocr"} | {"deepseek-ocr"}
    if len(found) > 1:
        raise CheckpointError(f"{where}: says that these weights are both {' and '.join(sorted(found))}; correct it")
    return next(iter(found), None)


def check_described(said: Mapping[str, Any], config: DeepSeekOCRConfig, where: Path) -> None:
    """Raises CheckpointError, with the key, both values and the place, if a config.json says of anything that changes
    what is computed that it is other than in `config`."""
    for part, allowed in computation(config).items():
        for place in PLACES[part]:
            for key, value, inner in _settings(said, place):
                if key in QUANTISED and value:
                    raise CheckpointError(
                        f"{where}: says {key} {_shown(value)}: quantised weights cannot be read; take those that they "
                        "were made of, with dtype int8 if memory is short"
                    )
                if key in allowed and value is not None and not any(_same(value, one) for one in allowed[key]):
                    raise CheckpointError(
                        f"{where}: says {key} {_shown(value)}, but {config.name} has {_shown(allowed[key][0])}; these "
                        f"weights are of another model (in {'.'.join(inner) or 'the file itself'})"
                    )


def computation(config: DeepSeekOCRConfig) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Returns for each part of a model the settings that change what it computes, by all names that they have in a
    config.json, and the values that mean our computation."""
    text, sam, second = config.decoder, config.sam, config.second
    decoder: dict[str, tuple[Any, ...]] = {
        "vocab_size": (text.vocabulary,),
        "hidden_size": (text.width,),
        "num_hidden_layers": (text.layers,),
        "num_attention_heads": (text.heads,),
        "num_key_value_heads": (text.heads,),
        "head_dim": (text.head_width,),
        "intermediate_size": (text.dense,),
        "moe_intermediate_size": (text.expert,),
        "n_routed_experts": (text.experts,),
        "num_experts": (text.experts,),
        "n_shared_experts": (text.shared,),
        "num_experts_per_tok": (text.chosen,),
        "first_k_dense_replace": (text.dense_layers,),
        "mlp_layer_types": (["dense"] * text.dense_layers + ["sparse"] * (text.layers - text.dense_layers),),
        "layer_types": (["reference_sliding_attention" if text.window else "full_attention"] * text.layers,),
        "moe_layer_freq": (1,),
        "max_position_embeddings": (text.context, range(text.context, 1 << 31)),  # a longer context is not used
        "rms_norm_eps": (text.epsilon,),
        "topk_method": ("greedy", "gready"),  # as DeepSeek's own class spells its default
        "scoring_func": ("softmax",),
        "norm_topk_prob": (False,),
        "routed_scaling_factor": (1.0,),
        "use_mla": (False,),
        "hidden_act": ("silu",),
        "attention_bias": (False,),
        "mlp_bias": (False,),
        "tie_word_embeddings": (False,),
        "bos_token_id": (config.begin, [config.begin]),
        "eos_token_id": (config.end, [config.end]),
        "image_token_id": (config.image,),
        "image_token_index": (config.image,),
        **_rotary(text.theta),
    }
    if text.window:
        decoder |= {"sliding_window": (text.window,), "sliding_window_size": (text.window,)}
    clip = isinstance(second, CLIPConfig)
    patches: dict[str, tuple[Any, ...]] = {
        "width": (sam.width,), "hidden_size": (sam.width,), "layers": (sam.layers,), "num_hidden_layers": (sam.layers,),
        "heads": (sam.heads,), "num_attention_heads": (sam.heads,), "mlp_dim": (sam.mlp,),
        "global_attn_indexes": (list(sam.global_layers),), "output_channels": (sam.neck,),
        "downsample_channels": (list(sam.out),) if clip else (list(sam.out), MISSTATED),
        "window_size": (sam.window,), **_square(sam.grid, sam.patch), "num_channels": (3,),
        "hidden_act": ("gelu",), "layer_norm_eps": (1e-6,),
        "qkv_bias": (True,), "use_abs_pos": (True,), "use_rel_pos": (True,),
    }  # fmt: skip
    views: dict[str, tuple[Any, ...]] = {
        "width": (second.width,), "dim": (second.width,), "hidden_size": (second.width,),
        "layers": (second.layers,), "num_hidden_layers": (second.layers,),
        "heads": (second.heads,), "num_attention_heads": (second.heads,), "intermediate_size": (second.mlp,),
    }  # fmt: skip
    if isinstance(second, CLIPConfig):
        views |= {**_square(second.grid, 14), "hidden_act": ("quick_gelu",), "layer_norm_eps": (1e-5,)}
    else:
        views |= {
            "num_key_value_heads": (second.shared,), "rms_norm_eps": (second.epsilon,), "hidden_act": ("silu",),
            "use_sliding_window": (False,), "layer_types": (["full_attention"] * second.layers,),
            **_rotary(second.theta),
        }  # fmt: skip
    features = second.width + (sam.out[1] if clip else 0)
    return {
        "decoder": decoder,
        "sam": patches,
        "second": views,
        "projector": {"input_dim": (features,), "n_embed": (text.width,), "projector_type": ("linear",)},
    }


def written(config: DeepSeekOCRConfig, dtype: torch.dtype) -> dict[str, Any]:
    """Returns the config.json of a checkpoint of these sizes, in the form of the published ones."""
    model, known = MODELS[config.name], computation(config)
    text = {key: values[0] for key, values in known["decoder"].items() if key not in UNPUBLISHED}
    text |= CONSTANT
    clip = isinstance(config.second, CLIPConfig)
    second = ("width", "layers", "heads", "image_size", "patch_size") if clip else ("dim",)
    widths = {
        "sam_vit_b": {
            key: known["sam"][key][0]
            for key in ("width", "layers", "heads", "global_attn_indexes", "downsample_channels")
        },
        "clip-l-14-224" if clip else "qwen2-0-5b": {key: known["second"][key][0] for key in second},
    }
    joined = {"model_type": "mlp_projector", **{key: values[0] for key, values in known["projector"].items()}}
    return {
        "architectures": [model.architectures[0]],
        "model_type": model.types[0] if model.types else "deepseek_vl_v2",
        "torch_dtype": str(dtype).removeprefix("torch."),
        **text,
        "language_config": text,
        "projector_config": joined,
        "vision_config": {
            "image_size": 1024,
            "model_name": "deeplip_b_l" if clip else "deepencoderv2",
            "model_type": "vision",
            "width": widths,
        },
    }


def _rotary(theta: float) -> dict[str, tuple[Any, ...]]:
    return {"rope_theta": (theta,), "rope_type": ("default",), "type": ("default",)}


def _square(grid: int, patch: int) -> dict[str, tuple[Any, ...]]:
    side = grid * patch
    return {"image_size": (side, [side, side]), "patch_size": (patch, [patch, patch])}


def _settings(said: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    """Yields each key at a place of a config.json, its value, and where it stands."""
    inside: Any = said
    for key in place:
        inside = inside.get(key) if isinstance(inside, dict) else None
    if not isinstance(inside, dict):
        return
    for key, value in inside.items():
        if key not in NESTED:
            yield key, value, place
            continue
        for one in [value, *(value.values() if isinstance(value, dict) else ())]:
            for its, setting in one.items() if isinstance(one, dict) else ():
                yield its, setting, (*place, key)


def _same(value: Any, expected: Any) -> bool:
    if isinstance(expected, bool) or isinstance(value, bool):
        return value is expected
    if isinstance(expected, range):
        return isinstance(value, int) and value in expected
    return value == expected and (isinstance(value, (int, float)) or type(value) is type(expected))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SAID else f"{text[:SAID]}…"
