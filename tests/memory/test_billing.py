"""One table: what the providers' own examples cost, each within a token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.errors import UsageError
from microfiche.memory.billing import PROVIDERS, openai_patches, provider

EXAMPLES = [
    ("openai-tiles", 1024, 1024, 765),  # OpenAI, "Images and vision": 768², four tiles
    ("openai-tiles", 2048, 4096, 1105),  # same: 768 × 1536, six tiles
    ("openai-tiles", 512, 512, 255),
    ("openai-tiles", 4096, 8192, 1105),
    ("openai-gpt-4o-mini", 1024, 1024, 25501),  # 2833 + 4 · 5667
    ("openai-gpt-5", 1024, 1024, 630),
    ("openai-patches-mini", 1024, 1024, 1659),  # 1024 patches · 1.62
    ("openai-patches-mini", 1800, 2400, 2353),  # 1452 patches · 1.62
    ("openai-o4-mini", 1024, 1024, 1762),
    ("anthropic", 200, 200, 54),  # Anthropic, "Vision": about 54
    ("anthropic", 1000, 1000, 1334),  # about 1334
    ("anthropic", 1092, 1092, 1590),  # about 1590
    ("gemini", 384, 384, 258),
    ("gemini", 300, 100, 258),
    ("gemini", 960, 540, 1548),  # Google: six tiles of 360 px
    ("qwen2.5-vl", 28 * 10, 28 * 20, 202),
    ("qwen2.5-vl", 10, 10, 6),  # at least four tokens and two marks
    ("qwen3-vl", 32 * 10, 32 * 20, 202),
    ("deepseek-ocr", 512, 512, 73),
    ("deepseek-ocr", 640, 640, 111),
    ("deepseek-ocr", 1024, 1024, 273),
    ("deepseek-ocr", 1280, 1280, 421),
    ("nano", 1280, 1280, 400),
]


@pytest.mark.parametrize(("name", "width", "height", "tokens"), EXAMPLES)
def test_published_examples(name: str, width: int, height: int, tokens: int) -> None:
    assert abs(provider(name).cost(width, height).tokens - tokens) <= 1


def test_the_size_at_which_a_page_is_seen() -> None:
    assert [provider(p).cost(1280, 1280).width for p in ("openai-tiles", "anthropic", "nano")] == [768, 1095, 1280]
    shrunk = openai_patches(1.0)(1800, 2400)
    assert (shrunk.width, shrunk.height, shrunk.tokens) == (1056, 1408, 1452)


@pytest.mark.parametrize("name", PROVIDERS)
@given(width=st.integers(1, 6000), height=st.integers(1, 6000))
def test_every_size_has_a_cost_within_what_the_provider_allows(name: str, width: int, height: int) -> None:
    cost = provider(name).cost(width, height)
    most = {"anthropic": 1600, "qwen2.5-vl": 1282, "qwen3-vl": 16386, "deepseek-ocr": 421, "openai-tiles": 85 + 170 * 8}
    assert 1 <= cost.tokens <= most.get(name, 10**6) and cost.width >= 0 and cost.height >= 0


def test_an_unknown_provider() -> None:
    with pytest.raises(UsageError, match="no provider 'x'; there are openai-tiles"):
        provider("x")
