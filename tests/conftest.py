"""What tests in several folders share: DeepSeek-OCR in small, as a checkpoint on disk, as our model and as the oracle.

The oracle is transformers' unlimited_ocr with full attention, which has the published model's modules and reads its
tensors under their own names.
"""

from __future__ import annotations

import json
import math
import os
import signal
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, and for every process begun: no test waits for cores

from jaxtyping import install_import_hook

# Shapes and dtypes in signatures are checked in tests alone, and so before the modules are imported.
install_import_hook(["microfiche.decoder", "microfiche.nano", "microfiche.deepseek_ocr"], "beartype.beartype")

import pytest
import torch
from hypothesis import settings
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from microfiche.decoder.moe import MoEConfig
from microfiche.deepseek_ocr import checkpoint as deepseek_ocr
from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.model import DeepSeekOCR, DeepSeekOCRConfig
from microfiche.deepseek_ocr.sam import SAMConfig
from microfiche.pixel.shaping import STRIP_FONTS, strip_fonts

IMAGE, END = 500, 511

# No test waits for a busy machine, and none fails by chance; HYPOTHESIS_PROFILE=explore seeks new examples.
settings.register_profile("explore", deadline=None)
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fetched_fonts: needs fonts that do not ship; python tools/fetch_fonts.py")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, Ctrl-C may be ignored: inherited


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("fetched_fonts") and len(strip_fonts()) < len(STRIP_FONTS):
        pytest.skip("needs fonts that do not ship: python tools/fetch_fonts.py")


@pytest.fixture(scope="session")
def small() -> DeepSeekOCRConfig:
    """Reduced widths; the position tables, windows and kernels are of their published size."""
    return DeepSeekOCRConfig(
        SAMConfig(width=64, layers=4, heads=4, mlp=96, global_layers=(1, 3), neck=32, out=(48, 64)),
        CLIPConfig(width=64, layers=2, heads=4, mlp=96),
        MoEConfig(512, width=64, layers=3, heads=4, dense=96, experts=16, chosen=3, expert=32, context=2048),
        end=END,
        image=IMAGE,
    )


def random_tensors(config: DeepSeekOCRConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights under the published names, large enough that what is read depends on what is seen."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in deepseek_ocr.official_tensors(config).items():
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 10
        spread = (4.0 if ".layers." in name and "o_proj" in name else 1.5) * fan_in**-0.5
        tensors[name] = torch.randn(shape, generator=generator) * spread + ("norm" in name and "weight" in name)
    return tensors


@pytest.fixture(scope="session")
def tensors(small: DeepSeekOCRConfig) -> dict[str, torch.Tensor]:
    return random_tensors(small)


@pytest.fixture(scope="session")
def folder(small: DeepSeekOCRConfig, tensors: dict[str, torch.Tensor], tmp_path_factory: Any) -> Path:
    """A checkpoint with a tokenizer of words w0 to w511."""
    path: Path = tmp_path_factory.mktemp("deepseek-ocr")
    save_file(tensors, path / "model.safetensors")
    words = {f"w{i}": i for i in range(small.decoder.vocabulary)}
    del words[f"w{IMAGE}"]
    tokenizer = Tokenizer(WordLevel({**words, "<image>": IMAGE}, unk_token="w3"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "generation_config.json").write_text(json.dumps({}))
    return path


@pytest.fixture(scope="session")
def model(folder: Path, small: DeepSeekOCRConfig) -> DeepSeekOCR:
    return deepseek_ocr.load(folder, dtype=torch.float32, config=small)


@pytest.fixture(scope="session")
def oracle(folder: Path, small: DeepSeekOCRConfig) -> Any:
    return oracle_of(folder, small)


def oracle_of(folder: Path, config: DeepSeekOCRConfig, dtype: torch.dtype = torch.float32) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import UnlimitedOcrConfig, UnlimitedOcrForConditionalGeneration

        theirs, info = UnlimitedOcrForConditionalGeneration.from_pretrained(
            folder,
            config=UnlimitedOcrConfig(**oracle_config(config)),
            dtype=dtype,
            output_loading_info=True,
        )
    assert not any(info.values()), info
    return theirs.eval()


def oracle_config(config: DeepSeekOCRConfig) -> dict[str, Any]:
    sam, clip, text = config.sam, config.clip, config.decoder
    return {
        "image_token_id": config.image,
        "vision_config": {
            "sam_config": {
                "hidden_size": sam.width,
                "num_hidden_layers": sam.layers,
                "num_attention_heads": sam.heads,
                "mlp_dim": sam.mlp,
                "global_attn_indexes": list(sam.global_layers),
                "output_channels": sam.neck,
                "downsample_channels": list(sam.out),
            },
            "encoder_config": {
                "hidden_size": clip.width,
                "num_hidden_layers": clip.layers,
                "num_attention_heads": clip.heads,
                "intermediate_size": clip.mlp,
            },
        },
        "text_config": {
            "vocab_size": text.vocabulary,
            "hidden_size": text.width,
            "intermediate_size": text.dense,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "num_key_value_heads": text.heads,
            "moe_intermediate_size": text.expert,
            "n_routed_experts": text.experts,
            "num_experts_per_tok": text.chosen,
            "n_shared_experts": text.shared,
            "max_position_embeddings": text.context,
            "layer_types": ["full_attention"] * text.layers,
            "eos_token_id": config.end,
        },
    }
