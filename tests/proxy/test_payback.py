"""No session is dearer with pages than without, by more than a hundredth, for any model of the registry, and those of
long texts are much cheaper."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from random import Random
from typing import Any

import pytest
from agent import listing
from provider.server import Provider, Recorded
from test_drawing import perfect, prose

from microfiche.memory.billing import Above, Prices, Usage
from microfiche.memory.exact import KINDS
from microfiche.memory.models import HostedModel, models
from microfiche.memory.profiles import Profile, Row, Score, store_profile
from microfiche.proxy.drawer import LedgerDrawer
from microfiche.proxy.history import is_near, turns_to_pay
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.protocols import asked, route
from microfiche.proxy.splice import Body
from microfiche.proxy.verdict import Draw

TURNS = 7
LONG = ["\n".join(prose(lines, Random(lines))) for lines in (150, 30, 400, 90)]
MIXED = [listing(3, 40), LONG[0], listing(4, 150), "ok", *LONG[1:3]]


def bodies(model: HostedModel, results: list[str]) -> Iterator[tuple[str, Any]]:
    """The requests of a session in the shape of a model's provider, each with its path."""
    said: list[Any] = []
    for turn in range(TURNS):
        text, call = results[turn % len(results)] + f"\n{turn}", f"call_{turn}"
        match model.shape:
            case "anthropic":
                said += [{"role": "user", "content": [{"type": "text", "text": "Go."}]}] if not turn else [
                    {"role": "assistant", "content": [{"type": "tool_use", "id": call, "name": "R", "input": {}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": text}]}]
                marked = [*said[:-1], {**said[-1], "content": [
                    {**said[-1]["content"][0], "cache_control": {"type": "ephemeral"}}]}]  # fmt: skip
                yield "/v1/messages", {"model": model.name, "max_tokens": 9, "messages": marked}
            case "gemini":
                said += [{"role": "user", "parts": [{"text": "Go."}]}] if not turn else [
                    {"role": "model", "parts": [{"functionCall": {"name": "R", "args": {}}}]},
                    {"role": "user", "parts": [{"functionResponse": {"name": "R", "response": {"output": text}}}]}]
                yield f"/v1beta/models/{model.name}:generateContent", {"contents": said}
            case "responses":
                said += [{"role": "user", "content": "Go."}] if not turn else [
                    {"type": "function_call", "call_id": call, "name": "R", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": call, "output": text}]  # fmt: skip
                yield "/v1/responses", {"model": model.name, "input": said}
            case _:
                calls = [{"id": call, "type": "function", "function": {"name": "R", "arguments": "{}"}}]
                said += [{"role": "user", "content": "Go."}] if not turn else [
                    {"role": "assistant", "tool_calls": calls}, {"role": "tool", "tool_call_id": call, "content": text}]
                yield "/v1/chat/completions", {"model": model.name, "messages": said}


def charged(model: HostedModel, results: list[str], drawer: LedgerDrawer | None) -> tuple[float, Usage]:
    """What a provider charges for a session: dollars, or the input's tokens where no price is known, and the usage."""
    vendor = Provider()
    for path, given in bodies(model, results):
        data = json.dumps(given).encode()
        if drawer is not None:
            body, where = Body.read(data), route("POST", path.encode())
            assert where is not None
            data = body.spliced(drawer.draw(where, body, asked(where, body, {})).replacements)
        reply = vendor._answer(Recorded(f"POST {path} HTTP/1.1".encode(), [], data))
        assert reply.status == 200, reply.pieces
    lines = vendor.cache.bill.lines
    dollars = [float(cost) for _, _, cost in lines if cost is not None]
    usage = sum((used for _, used, _ in lines), Usage())
    return (sum(dollars) if len(dollars) == TURNS else usage.input), usage


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(tmp_path_factory.mktemp("state") / "ledger")


@pytest.fixture(scope="module")
def reads_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every model has a profile by which it reads 5x8 and is trusted with everything."""
    right = Score(right=48, asked=48)
    scores = dict.fromkeys(KINDS, right)
    row = Row(density="5x8", side=1024, scale=1.0, tokens=1, ratio=5.0, scores=scores, absent=right)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MICROFICHE_CONFIG", str(tmp_path_factory.mktemp("config")))
        for name in models():
            store_profile(Profile(model=name, measured=date(2026, 11, 20), rows=(row,)))
        yield


#: One model of all that count pictures, charge, and are asked alike.
KINDS_OF_MODELS = {(m.shape, m.pictures.source, m.limits.source, repr(m.prices)): name for name, m in models().items()}


@pytest.mark.parametrize("name", sorted(KINDS_OF_MODELS.values()))
def test_no_model_is_dearer_with_pages(name: str, ledger: Ledger, reads_all: None) -> None:
    model = models()[name]
    text, _ = charged(model, MIXED, None)
    pages, _ = charged(model, MIXED, LedgerDrawer(lambda: ledger, Draw.safe, perfect))
    assert pages <= 1.01 * text


@pytest.mark.parametrize("name", ["claude-fable-5-2", "claude-opus-5-5", "gpt-6.2-sol", "gemini-4-neon"])
def test_long_results_cost_less_than_half(name: str, ledger: Ledger, reads_all: None) -> None:
    model = models()[name]
    pages, usage = charged(model, LONG[2:], LedgerDrawer(lambda: ledger, Draw.safe, perfect))
    text, plain = charged(model, LONG[2:], None)
    assert pages < 0.5 * text and usage.input < 0.5 * plain.input


def test_old_turns_pay_by_the_worked_examples() -> None:
    """The cases of the reference: a dense page, and what was cached stands as it is."""
    rates = {"input": 1.0, "write_5m": 1.25, "output": 5.0, "dated": "2026-11", "source": "x"}
    for read, turns in ((0.025, 11.4), (0.05, 5.6), (0.10, 2.7)):
        found = turns_to_pay(Prices(read=read, **rates), 1000, 5280, 0, 5280, cold=False)  # type: ignore[arg-type]
        assert found == pytest.approx(turns, abs=0.1)
    prices = Prices(read=0.1, above=Above(tokens=100_000, input=2, read=0.2), **rates)  # type: ignore[arg-type]
    assert turns_to_pay(prices, 5000, 1000, 0, 9000, cold=True) is None
    assert turns_to_pay(None, 1000, 5000, 0, 9000, cold=True) is None
    assert turns_to_pay(prices, 1000, 5000, 90_000, 96_000, cold=True) == 0
    warm = turns_to_pay(prices, 1000, 9000, 1000, 104_000, cold=False)
    far = turns_to_pay(prices, 1000, 9000, 1000, 150_000, cold=False)
    assert warm is not None and far is not None and warm < far, "a price step that is no longer reached is worth more"
    assert is_near(prices, None, 95_000) and not is_near(prices, None, 80_000) and is_near(None, 200_000, 190_000)
