"""What tests in several folders share: the published family in small, as checkpoints on disk, as our models and as the
oracles.

The oracles are transformers' classes, which have the published modules and read the tensors under their own names:
`deepseek_ocr2`, `unlimited_ocr`, and the latter with full attention for DeepSeek-OCR.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, and for every process begun: no test waits for cores
os.environ["MICROFICHE_CONFIG"] = tempfile.mkdtemp(prefix="microfiche-config-")  # not what the user measured

from jaxtyping import install_import_hook

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # on a busy machine it tells of its cache

# Shapes and dtypes in signatures are checked in tests alone, and so before the modules are imported.
install_import_hook(["microfiche.decoder", "microfiche.nano", "microfiche.deepseek_ocr"], "beartype.beartype")

import pytest
import torch
from hypothesis import HealthCheck, settings
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from microfiche.decoder.moe import MoEConfig
from microfiche.deepseek_ocr import checkpoint as deepseek_ocr
from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.family import DeepSeekOCRConfig
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.deepseek_ocr.qwen import QwenConfig
from microfiche.deepseek_ocr.sam import SAMConfig
from microfiche.deepseek_ocr.slots import official_tensors
from microfiche.pixel.shaping import STRIP_FONTS, strip_fonts

IMAGE, END = 500, 511

# No test waits for a busy machine, and none fails by chance; HYPOTHESIS_PROFILE=explore seeks new examples.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("explore", **PATIENT)
settings.register_profile("same", derandomize=True, **PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fetched_fonts: needs fonts that do not ship; python tools/fetch_fonts.py")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, Ctrl-C may be ignored: inherited


def pytest_runtest_setup(item: pytest.Item) -> None:
    torch.manual_seed(0)  # what a test draws does not depend on those before it
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
        special=(),
    )


@pytest.fixture(scope="session")
def small_2(small: DeepSeekOCRConfig) -> DeepSeekOCRConfig:
    """DeepSeek-OCR 2 in small: as many queries as published, of heads that share keys and values."""
    qwen = QwenConfig(width=56, layers=3, heads=14, shared=2, mlp=96)
    sam = SAMConfig(width=32, layers=2, heads=2, mlp=64, global_layers=(1,), neck=32, out=(48, 56))
    return replace(small, sam=sam, second=qwen, name="deepseek-ocr-2")


@pytest.fixture(scope="session")
def small_unlimited(small: DeepSeekOCRConfig) -> DeepSeekOCRConfig:
    """Unlimited-OCR in small; its window is passed by the 64 tokens that are compared."""
    return replace(small, decoder=replace(small.decoder, context=8192, window=24), name="unlimited-ocr")


def random_tensors(config: DeepSeekOCRConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights under the published names, large enough that what is read depends on what is seen."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in official_tensors(config).items():
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 10
        spread = (4.0 if ".layers." in name and "o_proj" in name else 1.5) * fan_in**-0.5
        tensors[name] = torch.randn(shape, generator=generator) * spread + ("norm" in name and "weight" in name)
    return tensors


@pytest.fixture(scope="session")
def tensors(small: DeepSeekOCRConfig) -> dict[str, torch.Tensor]:
    return random_tensors(small)


@pytest.fixture(scope="session")
def folder(small: DeepSeekOCRConfig, tensors: dict[str, torch.Tensor], tmp_path_factory: Any) -> Path:
    """A checkpoint with a tokenizer of words w0 to w511, and without config.json."""
    return checkpoint_of(small, tensors, tmp_path_factory.mktemp("deepseek-ocr"))


def checkpoint_of(config: DeepSeekOCRConfig, tensors: dict[str, torch.Tensor], path: Path) -> Path:
    save_file(tensors, path / "model.safetensors")
    words = {f"w{i}": i for i in range(config.decoder.vocabulary)}
    del words[f"w{IMAGE}"]
    tokenizer = Tokenizer(WordLevel({**words, "<image>": IMAGE}, unk_token="w3"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "generation_config.json").write_text(json.dumps({}))
    return path


@pytest.fixture(scope="session")
def folder_2(small_2: DeepSeekOCRConfig, tmp_path_factory: Any) -> Path:
    return checkpoint_of(small_2, random_tensors(small_2, seed=13), tmp_path_factory.mktemp("deepseek-ocr-2"))


@pytest.fixture(scope="session")
def model(folder: Path, small: DeepSeekOCRConfig) -> DeepSeekOCR:
    return deepseek_ocr.load(folder, dtype=torch.float32, config=small)


@pytest.fixture(scope="session")
def model_2(folder_2: Path, small_2: DeepSeekOCRConfig) -> DeepSeekOCR:
    return deepseek_ocr.load(folder_2, dtype=torch.float32, config=small_2)


@pytest.fixture(scope="session")
def model_unlimited(folder: Path, small_unlimited: DeepSeekOCRConfig) -> DeepSeekOCR:
    return deepseek_ocr.load(folder, dtype=torch.float32, config=small_unlimited)


@pytest.fixture(scope="session")
def oracle(folder: Path, small: DeepSeekOCRConfig) -> Any:
    return oracle_of(folder, small)


@pytest.fixture(scope="session")
def oracle_2(folder_2: Path, small_2: DeepSeekOCRConfig) -> Any:
    return oracle_of(folder_2, small_2)


@pytest.fixture(scope="session")
def oracle_unlimited(folder: Path, small_unlimited: DeepSeekOCRConfig) -> Any:
    return oracle_of(folder, small_unlimited)


def oracle_of(folder: Path, config: DeepSeekOCRConfig, dtype: torch.dtype = torch.float32) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        kind = "DeepseekOcr2" if isinstance(config.second, QwenConfig) else "UnlimitedOcr"
        theirs, info = getattr(transformers, f"{kind}ForConditionalGeneration").from_pretrained(
            folder,
            config=getattr(transformers, f"{kind}Config")(**oracle_config(config)),
            dtype=dtype,
            output_loading_info=True,
        )
    assert not any(info.values()), info
    return theirs.eval()


def oracle_config(config: DeepSeekOCRConfig) -> dict[str, Any]:
    sam, second, text = config.sam, config.second, config.decoder
    encoder = {
        "hidden_size": second.width,
        "num_hidden_layers": second.layers,
        "num_attention_heads": second.heads,
        "intermediate_size": second.mlp,
    }
    decoder = {
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
        "eos_token_id": config.end,
    }
    if isinstance(second, QwenConfig):  # whose class has defaults of another model
        rope = {"rope_type": "default", "rope_theta": second.theta}
        encoder |= {"num_key_value_heads": second.shared, "rope_parameters": rope, "vocab_size": 1}
        sparse = ["dense"] * text.dense_layers + ["sparse"] * (text.layers - text.dense_layers)
        decoder |= {"mlp_layer_types": sparse, "n_group": 1, "topk_group": 1, "bos_token_id": config.begin}
    elif text.window is None:
        decoder["layer_types"] = ["full_attention"] * text.layers
    else:
        decoder["layer_types"] = ["reference_sliding_attention"] * text.layers
        decoder["sliding_window"] = text.window
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
            "encoder_config": encoder,
        },
        "text_config": decoder,
    }
