"""The registry of hosted models: what the providers' own examples count, and names as catalogues write them."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.errors import UsageError
from microfiche.memory.billing import Usage
from microfiche.memory.models import HostedModel, hosted, models

KNOWN = models()
HIGH, STANDARD = "claude-opus-5", "claude-opus-4-5"
SEEN = [  # (model, manner, width, height, tokens), from the documents that models.toml names
    (HIGH, None, 200, 200, 64),
    (HIGH, None, 1000, 1000, 1296),
    (HIGH, None, 1024, 1024, 1369),
    (HIGH, None, 1568, 728, 1456),
    (HIGH, None, 1920, 1080, 2691),
    (HIGH, None, 2000, 1500, 3888),
    (HIGH, None, 3840, 2160, 4784),
    (HIGH, None, 1932, 1932, 4761),
    (HIGH, None, 1933, 1933, 4761),
    (HIGH, None, 768, 1932, 1932),
    (HIGH, None, 2576, 1204, 3956),
    (HIGH, None, 4032, 3024, 4740),
    (STANDARD, None, 1092, 1092, 1521),
    (STANDARD, None, 1920, 1080, 1560),
    (STANDARD, None, 2000, 1500, 1564),
    (STANDARD, None, 3840, 2160, 1560),
    (STANDARD, None, 1075, 1520, 1551),
    (STANDARD, None, 768, 1932, 1288),
    (STANDARD, None, 2576, 1204, 1512),
    ("gpt-6-sol", None, 640, 480, 360),
    ("gpt-6-sol", None, 1024, 1024, 1229),
    ("gpt-6-sol", None, 1280, 720, 1104),
    ("gpt-6-sol", None, 1920, 1080, 2448),
    ("gpt-6-sol", "auto", 2560, 1440, 4320),
    ("gpt-6-sol", "high", 2560, 1440, 2931),
    ("gpt-6-sol", "auto", 4032, 3024, 14364),
    ("gpt-6-sol", "high", 4032, 3024, 2942),
    ("gpt-6-sol", "low", 4032, 3024, 231),
    ("gpt-5.5", "original", 4032, 3024, 11868),
    ("gpt-5.6-sol", None, 764, 1954, 1786),
    ("gpt-5.6-sol", None, 768, 1932, 1757),
    ("gpt-5-mini", None, 1800, 2400, 2353),
    ("o4-mini", None, 1024, 1024, 1762),
    ("gpt-4o", None, 1024, 1024, 765),
    ("gpt-4o", None, 2048, 4096, 1105),
    ("gpt-4o", None, 4096, 8192, 1105),
    ("gpt-4o", "low", 4096, 8192, 85),
    ("gpt-4o-mini", None, 1024, 1024, 25501),
    ("gpt-5", None, 1024, 1024, 630),
    ("gemini-2.5-pro", None, 384, 384, 258),
    ("gemini-2.5-pro", None, 960, 540, 1548),
    ("gemini-2.5-pro", "low", 960, 540, 64),
    ("gemini-4-neon", None, 1568, 728, 1120),
    ("gemini-3.8-flash", "low", 1568, 728, 280),
    ("qwen2.5-vl", None, 280, 560, 202),
    ("qwen2.5-vl", None, 10, 10, 6),
    ("qwen3-vl", None, 1024, 1024, 1026),
    ("qwen3-vl", None, 1568, 728, 1129),
    ("glm-4.6v", None, 1568, 728, 1456),
    ("glm-4.6v", None, 1024, 1024, 1369),
    ("glm-4.6v", None, 1920, 1080, 2691),
    ("glm-4.6v", None, 640, 480, 391),
    ("glm-4.6v", None, 3840, 2160, 6032),
    ("kimi-k2.5", None, 1568, 728, 1456),
    ("kimi-k2.5", None, 1932, 1932, 4096),
    ("kimi-k2.5", None, 3840, 2160, 4214),
    ("kimi-k3", None, 3840, 2160, 10764),
    ("deepseek-ocr", None, 512, 512, 73),
    ("deepseek-ocr", None, 1024, 1024, 273),
    ("deepseek-ocr", None, 1280, 1280, 421),
    ("nano", None, 1280, 1280, 400),
]


@pytest.mark.parametrize(("name", "manner", "width", "height", "tokens"), SEEN)
def test_published_examples(name: str, manner: str | None, width: int, height: int, tokens: int) -> None:
    assert hosted(name).seen(width, height, manner).tokens == tokens


@pytest.mark.parametrize(("width", "height", "charged"), [
    (1092, 1092, 1525), (1000, 1000, 1300), (1568, 728, 1460), (768, 1932, 1936), (2576, 1204, 3960),
])  # fmt: skip
def test_what_stands_around_a_picture_is_charged_too(width: int, height: int, charged: int) -> None:
    """OmniGlyph's sweep of what Claude billed; it found one token less for some sizes."""
    assert charged - hosted(HIGH).tokens(width, height) in (0, -1)


def test_the_size_at_which_a_page_is_seen() -> None:
    assert [hosted(m).seen(1280, 1280).width for m in ("gpt-4o", HIGH, STANDARD, "nano")] == [768, 1280, 1092, 1280]
    shrunk = hosted("gpt-5-mini").seen(1800, 2400)
    assert (shrunk.width, shrunk.height) == (1056, 1408)
    low = hosted(STANDARD).seen(768, 1932)
    assert (low.width, low.height) == (623, 1568)


@pytest.mark.parametrize("name", [*KNOWN, "a model that nobody knows", "claude-9", "gpt-4.9"])
@given(width=st.integers(1, 6000), height=st.integers(1, 6000))
def test_every_size_has_its_tokens_within_what_the_rule_allows(name: str, width: int, height: int) -> None:
    model = hosted(name)
    for manner in model.pictures.manners:
        seen = model.seen(width, height, manner)
        assert seen.tokens >= 1 and seen.width >= 1 and seen.height >= 1
        assert model.tokens(width, height, manner) == seen.tokens + model.pictures.around
    most = {HIGH: 4784, STANDARD: 1568, "gpt-6-sol": 3000, "gpt-5-mini": 2489, "gpt-4o": 85 + 170 * 8, "glm-4.6v": 6144,
            "qwen2.5-vl": 1282, "kimi-k2.5": 4300, "deepseek-ocr": 421}  # fmt: skip
    assert model.seen(width, height).tokens <= most.get(name, 10**6)


@pytest.mark.parametrize(("written", "name"), [
    ("claude-opus-5-5-20260922", "claude-opus-5-5"),
    ("anthropic/claude-opus-5.5", "claude-opus-5-5"),
    ("us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5"),
    ("claude-opus-4-5@20251101", "claude-opus-4-5"),
    ("claude-sonnet-5-5[1m]", "claude-sonnet-5-5"),
    ("models/gemini-4-neon", "gemini-4-neon"),
    ("GPT-6.2-Sol", "gpt-6.2-sol"),
    ("gpt-5.2-2025-12-11", "gpt-5.2"),
    ("gpt-5-chat-latest", "gpt-5-chat"),
])  # fmt: skip
def test_a_model_goes_by_many_names(written: str, name: str) -> None:
    found = hosted(written)
    assert found is KNOWN.get(name) or found.name == name
    assert not found.guess


@pytest.mark.parametrize(("name", "like"), [
    ("claude-opus-5-7", HIGH), ("claude-fable-5-10", HIGH), ("gpt-7", "gpt-6-sol"), ("gemini-5", "gemini-4-neon"),
])  # fmt: skip
def test_an_unknown_model_is_counted_like_its_makers_newest_and_has_no_price(name: str, like: str) -> None:
    made = hosted(name)
    assert name in made.guess and made.tokens(1280, 1280) == hosted(like).tokens(1280, 1280)
    assert made.shape == hosted(like).shape
    assert made.cost(Usage(uncached=1000)) is None and made.prices_at() is None


def test_a_model_of_nobody_costs_at_least_what_any_rule_by_squares_does() -> None:
    for name in ("", "default", "my-own-model"):
        assert "28-px" in hosted(name).guess
        for side in (512, 640, 1024, 1280):
            assert hosted(name).tokens(side, side) >= max(hosted(m).tokens(side, side) for m in (HIGH, "gpt-6-sol"))


def test_every_price_has_a_date_a_source_and_no_gap() -> None:
    for model in KNOWN.values():
        for prices in model.prices:
            assert prices.dated.startswith("2026-") and prices.source
        days = [(p.since, p.until) for p in model.prices]
        for (_, until), (since, _) in pairwise(days):
            assert until is not None and since is not None and (since - until).days == 1
        assert model.pictures.source and model.limits.source


def test_a_users_table_stands_in_front(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[pictures.mine]\nmanners.high = {rule = "squares", side = 16}\nsource = "us"\ndated = "2026-11"\n'
        '[models.mine]\npictures = "mine"\nprices = [{input = 1, dated = "2026-11-01", source = "us"}]\n'
        '[models.gpt-6-sol]\npictures = "mine"\n'
    )
    table = models(own)
    assert hosted("mine", table).tokens(160, 160) == 100 and str(hosted("mine", table).cost(Usage(uncached=10**6)))
    assert hosted("gpt-6-sol", table).tokens(160, 160) == 100 and hosted("gpt-6-sol", table).prices == ()
    assert hosted("claude-opus-5", table) == KNOWN["claude-opus-5"]


@pytest.mark.parametrize("text", [
    "[models.x]\npictures = 3", "[models.x]\npictures = 'none'", "no toml", "x = 3", "models = 3", "[models]\nx = 3",
    "[models.x]\npictures = 'nano'\nprices = [{input = -1, dated = '2026-11', source = 'x'}]",
    "[models.x]\npictures = 'nano'\nprices = [{input = 1, dated = 'soon', source = 'x'}]",
    "[models.x]\npictures = 'nano'\nprices = [{input = 1, source = 'x'}]",
    "[models.x]\npictures = 'nano'\nprices = [{input = true, dated = '2026-11-01', source = 'x'}]",
    "[models.x]\npictures = 'nano'\nwindow = true",
    "[models.x]\npictures = 'nano'\nlimits = 'none'", "a = " + 100_000 * "[", "\udcff",
])  # fmt: skip
def test_a_users_table_is_checked(tmp_path: Path, text: str) -> None:
    own = tmp_path / "own.toml"
    own.write_bytes(text.encode("utf-8", "surrogateescape"))
    for path in (own, tmp_path / "none.toml"):
        with pytest.raises(UsageError, match=r"toml: not a table of models: [^\n]+$"):
            models(path)


def test_limits_name_what_is_too_much() -> None:
    limits = hosted(HIGH).limits
    assert limits.refusal([(1932, 1932, 10_000)] * 600) == ""
    assert limits.refusal([(10, 10, 10)] * 601) == "601 pictures; at most 600 are taken"
    assert "at most 100" in hosted("claude-haiku-4-5").limits.refusal([(10, 10, 10)] * 101)
    assert limits.refusal([(8000, 10, 10)] * 20) == "" and "8001 × 10 px" in limits.refusal([(8001, 10, 10)])
    assert "at most 2000 px" in limits.refusal([(2001, 10, 10)] * 21)
    assert "of base64" in limits.refusal([(10, 10, 7_900_000)])
    assert "bytes of pictures" in limits.refusal([(10, 10, 2_000_000)] * 10)
    assert "at most 33,554,432" in limits.refusal([(10, 10, 10)], 33_554_432)
    patches = hosted("gpt-6-sol").limits
    assert patches.refusal([(5536, 5536, 10)]) == "" and "30,000 squares" in patches.refusal([(5600, 5600, 10)])
    assert hosted("nano").limits.refusal([(10**5, 10**5, 10**9)] * 10_000) == ""


def test_a_price_holds_from_day_to_day() -> None:
    argon, flash = hosted("gemini-4-argon"), hosted("gemini-3.8-flash")
    usage = Usage(uncached=1_000_000, output=1_000_000)

    def at(model: HostedModel, *day: int) -> float | None:
        money = model.cost(usage, date(*day))
        return None if money is None else round(money.dollars, 6)

    assert (at(argon, 2026, 11, 30), at(argon, 2026, 12, 1)) == (12, 24)
    assert (at(flash, 2026, 12, 31), at(flash, 2027, 1, 1)) == (4.5, 9.0)
    assert at(hosted("claude-fable-5-2"), 2026, 11, 8) is None, "it was not there yet"


def test_a_part_of_a_page_is_seen_at_the_scale_of_the_page_in_a_resolution_that_costs_less() -> None:
    """The squares are those that others counted of Gemini 3."""
    grades = KNOWN["gemini-4-neon"].pictures.grades
    assert list(grades) == ["low", "medium", "high"]
    counted = {(1568, 728): 1078, (1024, 1024): 1089, (64, 64): 1089, (1024, 512): 1081, (2048, 512): 1056}
    for size, tokens in counted.items():
        across, down = grades["high"].squares(*size)
        assert across * down == tokens
    for grade, height in (("low", 224), ("medium", 448), ("high", 896)):
        assert grades[grade].coarseness(1280, height) == 32 < grades[grade].coarseness(1280, height + 8)
    assert not any(KNOWN[name].pictures.grades for name in ("claude-fable-5", "gpt-6-sol", "gemini-2.5-pro"))
