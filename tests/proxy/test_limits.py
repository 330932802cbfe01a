"""Limits on pictures are counted before anything new is drawn; what was sent as a page stays one."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from agent import ClaudeCode, listing, tool_script
from between import post
from PIL import Image
from provider.cache import pictures_in
from provider.checks import CONTROLS
from provider.server import Provider
from test_drawing import asked, drawing
from test_sessions import bare
from test_siblings import turn

from microfiche.memory.models import Limits, _shipped, hosted


def picture(width: int, height: int = 64) -> dict[str, Any]:
    made = io.BytesIO()
    Image.new("1", (width, height)).save(made, "PNG")
    data = base64.b64encode(made.getvalue()).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


@pytest.mark.parametrize("limit", ["count", "bytes of pictures", "bytes of a request"])
def test_what_comes_again_and_again_is_counted_each_time(
    vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """A log that is looked at again and again: its pages are drawn until there is no more room, and those stay."""
    most = {"count": {"pictures": 10}, "bytes of pictures": {"picture_bytes": 300_000},
            "bytes of a request": {"request_bytes": 420_000}}[limit]  # fmt: skip
    limits = Limits.model_validate({"source": "a test", "dated": "2026-11", **most})
    monkeypatch.setitem(_shipped(), "claude-fable-5-1", replace(hosted("claude-fable-5-1"), limits=limits))
    messages: list[Any] = [{"role": "user", "content": "Watch it."}]
    with drawing(vendor, tmp_path / "ledger") as (url, account):
        for number in range(16):
            call = {"type": "tool_use", "id": "t", "name": "Read", "input": {}}
            result = {"type": "tool_result", "tool_use_id": "t", "content": listing(1, 200)}
            messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
            body = {"model": "claude-fable-5-1", "max_tokens": 9, "messages": messages}
            assert post(url + "/v1/messages", json=body).status_code == 200, (number, account.recent[-1].note)
        assert "more pictures" in account.recent[-1].reasons[-1]
    pages = [len(pictures_in(r.json)) for r in vendor.requests]
    assert 3 < pages[-1] < 16 and pages == sorted(pages)
    for before, after in pairwise(vendor.requests):
        assert after.json["messages"][: len(before.json["messages"])] == before.json["messages"]


@pytest.mark.parametrize("adds", [lambda: [picture(3000)], lambda: [picture(40)] * 590])
def test_a_client_s_pictures_that_leave_no_room_for_pages(
    vendor: Provider, tmp_path: Path, adds: Callable[[], list[Any]]
) -> None:
    """Where pages and they are too much for the vendor, the session goes on as text, without the thoughts that were
    bound to pages, also after a restart."""
    vendor.script = tool_script(60)
    with ClaudeCode("", "claude-fable-5-1") as agent:
        agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Read."}]})
        with drawing(vendor, tmp_path / "ledger") as (url, account):
            for seed in range(23):
                turn(agent, url, seed)
            agent.messages[-1]["content"] += adds()
            turn(agent, url, 30)
            notes = [record.note for record in account.recent if record.note]
            before = len(vendor.requests)
            turn(agent, url, 31)
        with drawing(vendor, tmp_path / "ledger") as (url, _):
            turn(agent, url, 32)
        assert len(vendor.requests) == before + 2, "nobody is asked twice again"
    assert len(notes) == 1 and notes[0].endswith("asked again as text, without thoughts")
    for recorded in asked(vendor)[-3:]:
        assert len(pictures_in(recorded.json)) == len(adds()) and CONTROLS in (recorded.header("anthropic-beta") or "")
        assert recorded.json["thinking"]["block_binding"] == {"prefix_mismatch_behavior": "drop_block"}
    for one, other in pairwise(asked(vendor)[-3:]):
        assert bare(other.body).startswith(bare(one.body))


def test_new_results_stay_text_beside_pictures_that_fill_a_request(vendor: Provider, tmp_path: Path) -> None:
    """And older pages stay pages, as long as the vendor takes them."""
    vendor.script = tool_script(60)
    with drawing(vendor, tmp_path / "ledger") as (url, account), ClaudeCode(url, "claude-fable-5-1") as agent:
        agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Read."}]})
        for seed in range(6):
            turn(agent, url, seed)
        agent.messages[-1]["content"] += [picture(40)] * 500
        turn(agent, url, 9)
        turn(agent, url, 10)
        assert not any(record.note for record in account.recent)
    sent = [json.dumps(r.json) for r in asked(vendor)]
    assert [text.count("[page ") for text in sent] == [0, 1, 2, 3, 4, 5, 5, 5]
