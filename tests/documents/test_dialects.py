"""What each kind of server is asked: the bodies of its recipe, for each of the published models."""

from __future__ import annotations

import json
import pickle
import sys
from types import ModuleType
from typing import Any

import pytest

from microfiche.decoder.prompts import BANS, FAMILY, ModelName
from microfiche.documents.dialects import DIALECTS, DRY, PROCESSOR, Manner, dialect_named, published_as
from microfiche.errors import UsageError

MARKDOWN = "<|grounding|>Convert the document to markdown."


def asked(dialect: str, model: ModelName, task: str = "markdown", kind: Any = "image") -> dict[str, Any]:
    body, optional = Manner(DIALECTS[dialect], "served", model).request(b"png", task, kind)
    assert set(body) == {"model", "temperature", "max_tokens", "messages", *optional}
    assert (body["model"], body["temperature"]) == ("served", 0)
    (message,) = body["messages"]
    assert message["role"] == "user"
    return {**body, "content": [part.get("text", "picture") for part in message["content"]]}


@pytest.mark.parametrize(
    ("dialect", "model", "content", "extra"),
    [
        ("vllm", "deepseek-ocr", ["picture", MARKDOWN],
         {"vllm_xargs": {"ngram_size": 30, "window_size": 90, "whitelist_token_ids": [128821, 128822]}}),
        ("vllm", "deepseek-ocr-2", ["picture", MARKDOWN],
         {"vllm_xargs": {"ngram_size": 20, "window_size": 90, "whitelist_token_ids": [128821, 128822]}}),
        ("vllm", "unlimited-ocr", ["<image>document parsing.", "picture"],
         {"vllm_xargs": {"ngram_size": 35, "window_size": 128}}),
        ("sglang", "deepseek-ocr", ["picture", MARKDOWN],
         {"custom_params": {"ngram_size": 30, "window_size": 90, "whitelist_token_ids": [128821, 128822]}}),
        ("sglang", "unlimited-ocr", ["document parsing.", "picture"],
         {"custom_params": {"ngram_size": 35, "window_size": 128}, "images_config": {"image_mode": "gundam"},
          "custom_logit_processor": json.dumps({"callable": PROCESSOR.encode().hex()})}),
        ("llama.cpp", "deepseek-ocr", ["picture", MARKDOWN], DRY),
        ("llama.cpp", "unlimited-ocr", ["picture", "document parsing."], DRY),
        ("ollama", "deepseek-ocr", ["picture", MARKDOWN], {}),
    ],
)  # fmt: skip
def test_a_server_is_asked_as_its_recipe_says(
    dialect: str, model: ModelName, content: list[str], extra: dict[str, Any]
) -> None:
    body = asked(dialect, model)
    assert body["content"] == content
    special = {"skip_special_tokens": False} if dialect in ("vllm", "sglang") else {}
    known = {"model", "temperature", "max_tokens", "messages", "content"}
    assert {key: value for key, value in body.items() if key not in known} == {**special, **extra}


def test_sglangs_processor_is_named_so_that_it_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sglang.srt.sampling.custom_logit_processor")
    module.DeepseekOCRNoRepeatNGramLogitProcessor = type("Processor", (), {})  # type: ignore[attr-defined]
    for name in ("sglang", "sglang.srt", "sglang.srt.sampling"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    sent = bytes.fromhex(json.loads(asked("sglang", "unlimited-ocr")["custom_logit_processor"])["callable"])
    assert pickle.loads(sent) is module.DeepseekOCRNoRepeatNGramLogitProcessor


@pytest.mark.parametrize("model", FAMILY)
def test_the_ban_at_a_server_is_that_of_the_table(model: ModelName) -> None:
    for kind, ban in BANS[model].items():
        xargs = asked("vllm", model, kind=kind)["vllm_xargs"]
        assert (xargs["ngram_size"], xargs["window_size"]) == ban


def test_the_published_bans() -> None:
    assert BANS == {
        "deepseek-ocr": {"image": (30, 90), "pdf": (20, 50)},
        "deepseek-ocr-2": {"image": (20, 90), "pdf": (20, 50)},
        "unlimited-ocr": {"image": (35, 128), "pdf": (35, 128), "pages": (35, 1024)},
    }


def test_a_task_that_the_model_does_not_know_is_refused() -> None:
    assert asked("vllm", "deepseek-ocr", "locate:the seal")["content"][1].startswith("Locate <|ref|>the seal<|/ref|>")
    for model, task in (("unlimited-ocr", "free"), ("deepseek-ocr-2", "figure"), ("deepseek-ocr", "sing")):
        with pytest.raises(UsageError, match=task):
            asked("vllm", model, task)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"no dialect 'tgi'; there are vllm, sglang, llama\.cpp, ollama"):
        dialect_named("tgi")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("deepseek-ai/DeepSeek-OCR", "deepseek-ocr"), ("deepseek-ai/DeepSeek-OCR-2", "deepseek-ocr-2"),
        ("baidu/Unlimited-OCR", "unlimited-ocr"), ("Unlimited-OCR-Q8_0.gguf", "unlimited-ocr"),
        ("deepseek-ocr:3b", "deepseek-ocr"), ("DeepSeek-OCR-Q2_K.gguf", "deepseek-ocr"),
        ("/models/deepseek_ocr2.gguf", "deepseek-ocr-2"), ("qwen3-vl", "deepseek-ocr"),
        ("/models/deepseek-ocr/2025-01", "deepseek-ocr"), ("deepseek-ocr-2025-01", "deepseek-ocr"),
        ("DeepSeek-OCR-v2", "deepseek-ocr-2"), ("DeepSeek-OCR-2-Q8_0.gguf", "deepseek-ocr-2"),
        ("unlimited-7b", "deepseek-ocr"), ("unlimited_ocr:latest", "unlimited-ocr"),
    ],
)  # fmt: skip
def test_a_servers_name_for_a_model_says_which_it_is(name: str, model: str) -> None:
    assert published_as(name) == model
