"""What a picture costs in tokens by each provider's published formula, and at which size the provider's model sees it.

A formula may change from model to model, so each names its source and the models for which it holds. Prices stand in
economics.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from microfiche.errors import UsageError

Shape = Literal["openai", "anthropic"]


@dataclass(frozen=True)
class Cost:
    """The tokens that a picture costs, and the `width` × `height` px at which the model sees it."""

    tokens: int
    width: int
    height: int


Formula = Callable[[int, int], Cost]


def openai_tiles(base: int, tile: int) -> Formula:
    """OpenAI's models that see tiles, in high detail: a picture is fitted into 2048 × 2048 px, then its shorter side is
    brought to 768 px if it is longer, and it costs `base` and, for every 512-px square begun, `tile` tokens. Those are
    85 and 170 for gpt-4o, gpt-4.1 and gpt-4.5; 2833 and 5667 for gpt-4o-mini; 75 and 150 for o1 and o3; 70 and 140 for
    gpt-5.

    Source: OpenAI API documentation, guide "Images and vision", section "Calculating costs". Its examples: 1024 × 1024
    costs 765, 2048 × 4096 costs 1105 (gpt-4o).
    """

    def cost(width: int, height: int) -> Cost:
        w, h = _within(width, height, 2048)
        if min(w, h) > 768:
            w, h = w * 768 / min(w, h), h * 768 / min(w, h)
        tiles = math.ceil(round(w, 6) / 512) * math.ceil(round(h, 6) / 512)
        return Cost(base + tile * tiles, round(w), round(h))

    return cost


def openai_patches(factor: float, most: int = 1536) -> Formula:
    """OpenAI's models that see patches: a token for every 32-px square begun, times `factor`; a picture with more than
    `most` patches is shrunk until it has no more, and to whole patches. The factor is 1.62 for gpt-4.1-mini and
    gpt-5-mini, 2.46 for gpt-4.1-nano and gpt-5-nano, 1.72 for o4-mini.

    Source: OpenAI API documentation, guide "Images and vision", section "Calculating costs". Its examples, before the
    factor: 1024 × 1024 is 1024 patches, 1800 × 2400 is shrunk to 1056 × 1408 and 1452 patches.
    """

    def cost(width: int, height: int) -> Cost:
        w, h = float(width), float(height)
        patches = math.ceil(w / 32) * math.ceil(h / 32)
        if patches > most:
            shrink = math.sqrt(32 * 32 * most / (w * h))
            across, down = w * shrink / 32, h * shrink / 32
            shrink *= min(math.floor(across) / across, math.floor(down) / down)
            w, h = w * shrink, h * shrink
            patches = math.ceil(round(w / 32, 6)) * math.ceil(round(h / 32, 6))
        return Cost(math.ceil(round(min(patches, most) * factor, 6)), round(w), round(h))

    return cost


def anthropic(width: int, height: int) -> Cost:
    """Anthropic's Claude: width · height / 750 tokens, after the longer side was brought to 1568 px, and the whole to
    about 1,600 tokens, where they are more.

    Source: Anthropic documentation, "Vision", sections "Evaluate image size" and "Calculate image costs". Its examples:
    200 × 200 is about 54 tokens, 1000 × 1000 about 1334, 1092 × 1092 about 1590.
    """
    w, h = _within(width, height, 1568)
    most = 1600 * 750
    if w * h > most:
        w, h = w * math.sqrt(most / (w * h)), h * math.sqrt(most / (w * h))
    return Cost(math.ceil(round(w * h / 750, 6)), round(w), round(h))


def gemini(width: int, height: int) -> Cost:
    """Google's Gemini 2.0 and 2.5: 258 tokens where both sides are at most 384 px; a larger picture is cut into tiles,
    each scaled to 768 × 768 px, of 258 tokens. A tile is the shorter side / 1.5 wide, at least 256 and at most 768 px.

    Source: Gemini API documentation, "Image understanding", section on token counts, and Vertex AI, "Understand token
    counts for images". Their example: 960 × 540 is cut into six tiles of 360 px, 1548 tokens.
    """
    if max(width, height) <= 384:
        return Cost(258, width, height)
    tile = min(768, max(256, math.floor(min(width, height) / 1.5)))
    across, down = math.ceil(width / tile), math.ceil(height / tile)
    return Cost(258 * across * down, width, height)


def qwen(factor: int, least: int, most: int) -> Formula:
    """Qwen-VL: sides are rounded to multiples of `factor` px and the whole is scaled to between `least` and `most` px;
    every square of `factor` px is a token, and two more mark where the picture begins and ends.

    Qwen2-VL and Qwen2.5-VL: 28, 56 · 56, 28 · 28 · 1280; Qwen3-VL: 32. Source: `smart_resize` in Qwen's
    qwen-vl-utils, and Alibaba Cloud's documentation of Qwen-VL ("each 28 × 28 px are one token, at least 4 tokens").
    """

    def cost(width: int, height: int) -> Cost:
        h, w = (max(factor, round(side / factor) * factor) for side in (height, width))
        if h * w > most:
            shrink = math.sqrt(height * width / most)
            h, w = (max(factor, math.floor(side / shrink / factor) * factor) for side in (height, width))
        elif h * w < least:
            grow = math.sqrt(least / (height * width))
            h, w = (math.ceil(side * grow / factor) * factor for side in (height, width))
        return Cost(h * w // factor**2 + 2, w, h)

    return cost


def deepseek_ocr(width: int, height: int) -> Cost:
    """DeepSeek-OCR in the smallest native mode into which a picture fits: 64 tokens at 512 px, 100 at 640, 256 at 1024
    and 400 at 1280; with the newline at each row's end and the separator that the published code adds, these are 73,
    111, 273 and 421.

    Source: DeepSeek-OCR (arXiv 2510.18234), Table 1, and `modeling_deepseekocr.py` of its checkpoint.
    """
    side = next((s for s in (512, 640, 1024, 1280) if max(width, height) <= s), 1280)
    n = side // 64
    w, h = _within(width, height, side)
    return Cost(n * (n + 1) + 1, round(w), round(h))


def nano(width: int, height: int) -> Cost:
    """Microfiche's own model: a token for every square of 64 × 64 px begun."""
    return Cost(math.ceil(width / 64) * math.ceil(height / 64), width, height)


@dataclass(frozen=True)
class Provider:
    """How a provider takes and charges pictures: the `shape` of its messages and its formula for the `cost`."""

    name: str
    shape: Shape
    cost: Formula


PROVIDERS = {p.name: p for p in (
    Provider("openai-tiles", "openai", openai_tiles(85, 170)),
    Provider("openai-gpt-4o-mini", "openai", openai_tiles(2833, 5667)),
    Provider("openai-gpt-5", "openai", openai_tiles(70, 140)),
    Provider("openai-o-series", "openai", openai_tiles(75, 150)),
    Provider("openai-patches-mini", "openai", openai_patches(1.62)),
    Provider("openai-patches-nano", "openai", openai_patches(2.46)),
    Provider("openai-o4-mini", "openai", openai_patches(1.72)),
    Provider("anthropic", "anthropic", anthropic),
    Provider("gemini", "openai", gemini),
    Provider("qwen2.5-vl", "openai", qwen(28, 4 * 28 * 28, 1280 * 28 * 28)),
    Provider("qwen3-vl", "openai", qwen(32, 4 * 32 * 32, 16384 * 32 * 32)),
    Provider("deepseek-ocr", "openai", deepseek_ocr),
    Provider("nano", "openai", nano),
)}  # fmt: skip


def provider(name: str) -> Provider:
    """The provider called `name`; UsageError if there is none."""
    found = PROVIDERS.get(name)
    if found is None:
        raise UsageError(f"no provider {name!r}; there are {', '.join(PROVIDERS)}")
    return found


def _within(width: float, height: float, most: float) -> tuple[float, float]:
    """The sides scaled down so that the longer one is at most `most`."""
    scale = min(1.0, most / max(width, height))
    return width * scale, height * scale
