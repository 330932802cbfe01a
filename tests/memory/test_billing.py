"""What a request costs: every kind of token at its rate, steps, what is not known, and usage as servers report it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.memory.billing import Usage, usage_in
from microfiche.memory.models import hosted, models

DAY = date(2026, 11, 26)
counts = st.integers(0, 2_000_000)
usages = st.builds(Usage, counts, counts, counts, counts, counts)


def dollars(name: str, usage: Usage) -> float | None:
    money = hosted(name).cost(usage, DAY)
    return None if money is None else money.dollars


@pytest.mark.parametrize(("name", "usage", "wanted"), [
    ("claude-fable-5-2", Usage(written=7589), 7589 * 10e-6),
    ("claude-fable-5-2", Usage(read=20 * 7589), 20 * 7589 * 0.2e-6),
    ("claude-fable-5-2", Usage(written=1460), 0.0146),
    ("claude-fable-5-2", Usage(read=20 * 1460), 0.00584),
    ("gpt-6.2-sol", Usage(written=1786), 0.004465),
    ("gpt-6.2-sol", Usage(read=1786), 0.0001786),
    ("claude-opus-5-5", Usage(1, 2, 3, 4, 5), (4 + 2 * 5 + 3 * 8 + 4 * 0.2 + 5 * 20) / 1e6),
    ("gpt-5.4", Usage(written=100_000), 0.25),
    ("gpt-5.4", Usage(written_hour=1), None),
    ("gemini-4-argon", Usage(read=1), None),
    ("kimi-k3", Usage(output=1), None),
    ("gpt-5.6-sol", Usage(uncached=100_000, output=1000), 0.42),
    ("gpt-6-luna", Usage(1, 2, 0, 300_000, 5), (0.2 + 2 * 0.25 + 300_000 * 0.02 + 5 * 0.75) / 1e6),
    ("nano", Usage(uncached=1), None),
])  # fmt: skip
def test_worked_examples(name: str, usage: Usage, wanted: float | None) -> None:
    assert dollars(name, usage) == (None if wanted is None else pytest.approx(wanted, rel=1e-12))


@pytest.mark.parametrize(("name", "step", "below", "above"), [
    ("gpt-6.2-sol", 272_000, 2.0, 4.0), ("gpt-6.2-astra", 272_000, 8.0, 16.0), ("gpt-6-astra", 272_000, 10.0, 20.0),
    ("claude-haiku-5-5", 100_000, 0.10, 0.50), ("gpt-6.1-sol", 272_000, 2.0, 4.0), ("gpt-6-sol", 272_000, 2.0, 4.0),
    ("gpt-6-luna", 272_000, 0.10, 0.20), ("gpt-5.6-sol", 272_000, 4.0, 8.0), ("gpt-5.6-terra", 272_000, 2.0, 4.0),
    ("gpt-5.6-luna", 272_000, 0.20, 0.40), ("gpt-5.5", 272_000, 5.0, 10.0), ("gpt-5.4", 272_000, 2.5, 5.0),
])  # fmt: skip
def test_a_step_is_of_the_whole_request(name: str, step: int, below: float, above: float) -> None:
    assert dollars(name, Usage(uncached=step)) == pytest.approx(step * below / 1e6)
    assert dollars(name, Usage(uncached=step + 1)) == pytest.approx((step + 1) * above / 1e6)
    low, high = hosted(name).cost(Usage(step, output=1000), DAY), hosted(name).cost(Usage(0, 0, 0, step + 1, 0), DAY)
    assert low is not None and high is not None, "what is read from a cache counts towards the step"


def test_openai_s_step_is_twice_the_input_and_half_as_much_output_more() -> None:
    for name, model in models().items():
        for prices in model.prices:
            if (prices.above and name.startswith("gpt-5.")) or name in ("gpt-6-sol", "gpt-6-luna", "gpt-6-astra"):
                step = prices.above
                assert step is not None and prices.output is not None and step.input == 2 * prices.input
                assert step.output == pytest.approx(1.5 * prices.output) and step.read == 2 * (prices.read or 0)
                assert step.write_5m == (prices.write_5m and 2 * prices.write_5m)


@given(st.sampled_from(sorted(models())), usages, usages)
def test_more_tokens_never_cost_less(name: str, a: Usage, b: Usage) -> None:
    both, one = dollars(name, a + b), dollars(name, a)
    assert both is None or one is None or both >= one
    assert (a + b).input == a.input + b.input


def test_a_sum_shows_the_date_of_its_prices() -> None:
    assert str(hosted("claude-opus-5-5").cost(Usage(uncached=26_550), DAY)) == "$0.1062 (prices of 2026-09-22)"
    assert "off-peak" in str(hosted("deepseek-v4-pro").cost(Usage(uncached=1), DAY))


@pytest.mark.parametrize(("answer", "wanted"), [
    ({"usage": {"input_tokens": 5, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000,
                "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 70},
                "output_tokens": 9}}, Usage(5, 30, 70, 1000, 9)),
    ({"type": "message_start", "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 0,
                                                     "output_tokens": 1}}}, Usage(5, 0, 0, 0, 1)),
    ({"usage": {"input_tokens": 1200, "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 150},
                "output_tokens": 7, "total_tokens": 1207}}, Usage(50, 150, 0, 1000, 7)),
    ({"type": "response.completed", "response": {"usage": {"input_tokens": 12, "output_tokens": 3}}},
     Usage(12, 0, 0, 0, 3)),
    ({"usage": {"prompt_tokens": 20, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}},
     Usage(12, 0, 0, 8, 4)),
    ({"usageMetadata": {"promptTokenCount": 500, "cachedContentTokenCount": 100, "candidatesTokenCount": 10,
                        "thoughtsTokenCount": 30}}, Usage(400, 0, 0, 100, 40)),
    ({"choices": []}, None), ({"usage": None}, None), ({"usage": 3}, None), ({"usage": {}}, Usage()),
    ({"usage": {"prompt_tokens": True, "completion_tokens": -4, "prompt_tokens_details": []}}, Usage()),
    ({"usage": {"prompt_tokens": 10**400, "completion_tokens": 3}}, None),
])  # fmt: skip
def test_usage_as_each_server_reports_it(answer: dict[str, Any], wanted: Usage | None) -> None:
    assert usage_in(answer) == wanted
