"""The published models of one family: DeepSeek-OCR, DeepSeek-OCR 2 and Unlimited-OCR, their sizes, and what tells them
apart.

They share SAM, the decoder's modules and the tokenizer. It knows nothing of files; checkpoint.py asks it which models
a set of tensors may belong to, and configuration.py compares a config.json with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from microfiche.decoder.moe import MoEConfig
from microfiche.decoder.prompts import ModelName
from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.qwen import QwenConfig
from microfiche.deepseek_ocr.sam import SAMConfig
from microfiche.deepseek_ocr.views import RESOLUTIONS, RESOLUTIONS_2, RESOLUTIONS_UNLIMITED, Resolution

#: The special tokens that must be in a model's tokenizer under these ids.
SPECIAL = (
    ("<｜begin▁of▁sentence｜>", 0),
    ("<｜end▁of▁sentence｜>", 1),
    ("<|ref|>", 128816),
    ("<|/ref|>", 128817),
    ("<|det|>", 128818),
    ("<|/det|>", 128819),
    ("<|grounding|>", 128820),
    ("<td>", 128821),
    ("</td>", 128822),
)


@dataclass(frozen=True)
class DeepSeekOCRConfig:
    """Sizes of the parts of one model, `second` being the encoder after SAM, and ids of the special tokens; the
    defaults are DeepSeek-OCR's. `name` is the published model's, see `MODELS`."""

    sam: SAMConfig = field(default_factory=SAMConfig)
    second: CLIPConfig | QwenConfig = field(default_factory=CLIPConfig)
    decoder: MoEConfig = field(default_factory=MoEConfig)
    begin: int = 0
    end: int = 1
    image: int = 128815
    special: tuple[tuple[str, int], ...] = SPECIAL
    name: ModelName = "deepseek-ocr"

    @property
    def resolutions(self) -> Mapping[str, Resolution]:
        """The modes in which the model can be shown a page, by their names."""
        return MODELS[self.name].resolutions


@dataclass(frozen=True)
class Published:
    """One published model. `architectures` are the names that config.json may give it: the publisher's, and that of
    transformers; `types` are the model types there that mean no other model. `hub` is its name on the hub, and `again`
    the mode in which a page is read a second time if its first reading did not end."""

    architectures: tuple[str, str]
    hub: str
    config: DeepSeekOCRConfig
    resolutions: Mapping[str, Resolution]
    again: Mapping[str, str]
    types: tuple[str, ...] = ()


MODELS: Mapping[ModelName, Published] = {
    "deepseek-ocr": Published(
        ("DeepseekOCRForCausalLM", "DeepseekOcrForConditionalGeneration"),
        "deepseek-ai/DeepSeek-OCR",
        DeepSeekOCRConfig(),
        RESOLUTIONS,
        {"tiny": "small", "small": "base", "base": "large", "large": "base", "gundam": "large", "gundam-6": "large"},
    ),
    "deepseek-ocr-2": Published(
        ("DeepseekOCR2ForCausalLM", "DeepseekOcr2ForConditionalGeneration"),
        "deepseek-ai/DeepSeek-OCR-2",
        DeepSeekOCRConfig(SAMConfig(out=(512, 896)), QwenConfig(), name="deepseek-ocr-2"),
        RESOLUTIONS_2,
        {"base": "gundam", "gundam": "base"},
        ("deepseek_ocr2",),
    ),
    "unlimited-ocr": Published(
        ("UnlimitedOCRForCausalLM", "UnlimitedOcrForConditionalGeneration"),
        "baidu/Unlimited-OCR",
        DeepSeekOCRConfig(decoder=MoEConfig(context=32768, window=128), name="unlimited-ocr"),
        RESOLUTIONS_UNLIMITED,
        {"base": "gundam", "gundam": "base"},
        ("unlimited-ocr", "unlimited_ocr"),
    ),
}
NAMES = ", ".join(MODELS)


def candidates(tensors: Collection[str]) -> list[ModelName]:
    """Returns the names of the models that may have tensors of these names, judged by the encoder after SAM."""
    if any(name.startswith("model.qwen2_model.") for name in tensors):
        return ["deepseek-ocr-2"]
    if any(name.startswith("model.vision_model.") for name in tensors):
        return ["deepseek-ocr", "unlimited-ocr"]
    return []

