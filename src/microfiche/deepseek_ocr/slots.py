"""Where each tensor of a published checkpoint goes in our modules: its name, its shape and its place.

Names and shapes are those of the published indices of deepseek-ai/DeepSeek-OCR, deepseek-ai/DeepSeek-OCR-2 and
baidu/Unlimited-OCR, the last of which has the same as the first. It knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.family import DeepSeekOCRConfig
from microfiche.deepseek_ocr.qwen import QwenConfig


@dataclass(frozen=True)
class Slot:
    """Where a tensor of the checkpoint goes: to `parameter`, or to its matrix `expert`, or to the rows of that from
    `rows[0]` up to `rows[1]`. If `parameter` is None, the checkpoint has the tensor but no computation uses it."""

    shape: tuple[int, ...]
    parameter: str | None
    expert: int | None = None
    rows: tuple[int, int] | None = None


def slots(config: DeepSeekOCRConfig) -> dict[str, Slot]:
    """Returns the Slot of every tensor of a checkpoint of these sizes, by its published name."""
    match config.second:
        case CLIPConfig():
            second = _clip(config.second)
        case QwenConfig():
            second = _qwen(config.second)
    return dict(chain(_sam(config), second, _around(config), _decoder(config)))


def official_tensors(config: DeepSeekOCRConfig | None = None) -> dict[str, tuple[int, ...]]:
    """Returns the name and shape of every tensor; by default, DeepSeek-OCR's 2,710."""
    return {name: slot.shape for name, slot in slots(config or DeepSeekOCRConfig()).items()}


def _layer_norm(official: str, ours: str, width: int) -> Iterator[tuple[str, Slot]]:
    for part in ("weight", "bias"):
        yield f"{official}.{part}", Slot((width,), f"{ours}.{part}")


def _linear(official: str, ours: str, out: int, width: int) -> Iterator[tuple[str, Slot]]:
    yield f"{official}.weight", Slot((out, width), f"{ours}.weight")
    yield f"{official}.bias", Slot((out,), f"{ours}.bias")


def _sam(config: DeepSeekOCRConfig) -> Iterator[tuple[str, Slot]]:
    c, theirs, ours = config.sam, "model.sam_model", "encoder.sam"

    def same(name: str, *shape: int) -> tuple[str, Slot]:
        return f"{theirs}.{name}", Slot(shape, f"{ours}.{name}")

    yield same("pos_embed", 1, c.grid, c.grid, c.width)
    yield same("patch_embed.proj.weight", c.width, 3, c.patch, c.patch)
    yield same("patch_embed.proj.bias", c.width)
    for i in range(c.layers):
        side = c.grid if i in c.global_layers else c.window
        for norm in ("norm1", "norm2"):
            yield from _layer_norm(f"{theirs}.blocks.{i}.{norm}", f"{ours}.blocks.{i}.{norm}", c.width)
        for name, out, width in (
            ("attn.qkv", 3 * c.width, c.width),
            ("attn.proj", c.width, c.width),
            ("mlp.lin1", c.mlp, c.width),
            ("mlp.lin2", c.width, c.mlp),
        ):
            yield from _linear(f"{theirs}.blocks.{i}.{name}", f"{ours}.blocks.{i}.{name}", out, width)
        for axis in "hw":
            yield same(f"blocks.{i}.attn.rel_pos_{axis}", 2 * side - 1, c.width // c.heads)
    yield same("neck.0.weight", c.neck, c.width, 1, 1)
    yield same("neck.2.weight", c.neck, c.neck, 3, 3)
    for norm in ("neck.1", "neck.3"):
        yield from _layer_norm(f"{theirs}.{norm}", f"{ours}.{norm}", c.neck)
    yield same("net_2.weight", c.out[0], c.neck, 3, 3)
    yield same("net_3.weight", c.out[1], c.out[0], 3, 3)


def _clip(c: CLIPConfig) -> Iterator[tuple[str, Slot]]:
    theirs, ours = "model.vision_model", "encoder.clip"
    yield f"{theirs}.embeddings.class_embedding", Slot((c.width,), f"{ours}.embeddings.class_embedding")
    yield f"{theirs}.embeddings.patch_embedding.weight", Slot((c.width, 3, 14, 14), None)
    position = "embeddings.position_embedding.weight"
    yield f"{theirs}.{position}", Slot((c.grid**2 + 1, c.width), f"{ours}.{position}")
    yield from _layer_norm(f"{theirs}.pre_layrnorm", f"{ours}.pre_layrnorm", c.width)
    for i in range(c.layers):
        layer = f"transformer.layers.{i}"
        for norm in ("layer_norm1", "layer_norm2"):
            yield from _layer_norm(f"{theirs}.{layer}.{norm}", f"{ours}.{layer}.{norm}", c.width)
        for name, out, width in (
            ("self_attn.qkv_proj", 3 * c.width, c.width),
            ("self_attn.out_proj", c.width, c.width),
            ("mlp.fc1", c.mlp, c.width),
            ("mlp.fc2", c.width, c.mlp),
        ):
            yield from _linear(f"{theirs}.{layer}.{name}", f"{ours}.{layer}.{name}", out, width)


def _qwen(c: QwenConfig) -> Iterator[tuple[str, Slot]]:
    theirs, ours, d = "model.qwen2_model", "encoder.qwen", c.width
    for name, count in zip(("query_768", "query_1024"), c.tables, strict=True):
        yield f"{theirs}.{name}.weight", Slot((count, d), f"{ours}.{name}")
    body = f"{theirs}.model.model"
    yield f"{body}.norm.weight", Slot((d,), f"{ours}.norm.weight")
    for i in range(c.layers):
        layer, its = f"{body}.layers.{i}", f"{ours}.layers.{i}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{layer}.{norm}.weight", Slot((d,), f"{its}.{norm}.weight")
        first = 0
        for name, heads in (("q", c.heads), ("k", c.shared), ("v", c.shared)):
            out = heads * c.head_width
            for part, shape in (("weight", (out, d)), ("bias", (out,))):
                slot = Slot(shape, f"{its}.self_attn.qkv.{part}", rows=(first, first + out))
                yield f"{layer}.self_attn.{name}_proj.{part}", slot
            first += out
        yield f"{layer}.self_attn.o_proj.weight", Slot((d, d), f"{its}.self_attn.o_proj.weight")
        yield from _gated(f"{layer}.mlp", f"{its}.mlp", d, c.mlp)


def _around(config: DeepSeekOCRConfig) -> Iterator[tuple[str, Slot]]:
    width, vocabulary = config.decoder.width, config.decoder.vocabulary
    beside_sam = isinstance(config.second, CLIPConfig)
    features = config.second.width + (config.sam.out[1] if beside_sam else 0)
    yield from _linear("model.projector.layers", "encoder.projector", width, features)
    if beside_sam:
        yield "model.image_newline", Slot((width,), "encoder.newline")
    yield "model.view_seperator", Slot((width,), "encoder.separator")  # spelled as the checkpoint spells it
    yield "model.embed_tokens.weight", Slot((vocabulary, width), "decoder.embed_tokens.weight")
    yield "model.norm.weight", Slot((width,), "decoder.norm.weight")
    yield "lm_head.weight", Slot((vocabulary, width), "decoder.lm_head.weight")


def _decoder(config: DeepSeekOCRConfig) -> Iterator[tuple[str, Slot]]:
    c = config.decoder
    d = c.width
    for i in range(c.layers):
        theirs, ours = f"model.layers.{i}", f"decoder.layers.{i}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{theirs}.{norm}.weight", Slot((d,), f"{ours}.{norm}.weight")
        for j, name in enumerate("qkv"):
            slot = Slot((d, d), f"{ours}.self_attn.qkv.weight", rows=(j * d, (j + 1) * d))
            yield f"{theirs}.self_attn.{name}_proj.weight", slot
        yield f"{theirs}.self_attn.o_proj.weight", Slot((d, d), f"{ours}.self_attn.o_proj.weight")
        if i < c.dense_layers:
            yield from _gated(f"{theirs}.mlp", f"{ours}.mlp", d, c.dense)
            continue
        yield f"{theirs}.mlp.gate.weight", Slot((c.experts, d), f"{ours}.mlp.gate")
        yield from _gated(f"{theirs}.mlp.shared_experts", f"{ours}.mlp.shared_experts", d, c.shared * c.expert)
        for expert in range(c.experts):
            yield from _gated(f"{theirs}.mlp.experts.{expert}", f"{ours}.mlp.experts", d, c.expert, expert)


def _gated(
    official: str, ours: str, width: int, hidden: int, expert: int | None = None
) -> Iterator[tuple[str, Slot]]:
    shape = (hidden, width)
    yield f"{official}.gate_proj.weight", Slot(shape, f"{ours}.gate_up.weight", expert, (0, hidden))
    yield f"{official}.up_proj.weight", Slot(shape, f"{ours}.gate_up.weight", expert, (hidden, 2 * hidden))
    yield f"{official}.down_proj.weight", Slot((width, hidden), f"{ours}.down.weight", expert)
