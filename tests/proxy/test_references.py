"""Responses that go on from what the provider keeps: answers that stand there by reference, and requests that hold only
what is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agent import listing
from between import post
from provider.cache import pictures_in
from provider.server import Provider, Reply
from test_drawing import drawing, measured  # noqa: F401

REFUSED = Reply(400, [("content-type", "application/json")], [b'{"error":{"message":"image"}}'], length=29)
KEY = {"authorization": "Bearer sk-proj-x"}


def items(results: int, how: str) -> list[Any]:
    """A conversation in which files were read; the calls stand there as they are, or by reference."""
    found: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "Go."}]}]
    for n in range(results):
        if how == "whole":
            found.append({"type": "function_call", "call_id": f"c{n}", "name": "Read", "arguments": "{}"})
        else:
            made = ("rs", "fc") if how == "references" else ("fc",)
            found += [{"type": "item_reference", "id": f"{kind}_{n}"} for kind in made]
        found.append({"type": "function_call_output", "call_id": f"c{n}", "output": listing(n, 200)})
    return found


@pytest.mark.parametrize("how", ["whole", "references", "one reference"])
def test_what_an_answer_by_reference_follows_is_not_new(vendor: Provider, tmp_path: Path, how: str) -> None:
    """What went up as text stays text; what comes is drawn."""
    with drawing(vendor, tmp_path / "ledger") as (url, _):
        for results, off in ((3, True), (4, False), (5, False)):
            body = {"model": "gpt-6.2-sol", "store": True, "input": items(results, how)}
            headers = {**KEY, **({"x-microfiche": "off"} if off else {})}
            assert post(url + "/v1/responses", json=body, headers=headers).status_code == 200
    outputs = [i for i in vendor.requests[-1].json["input"] if i.get("type") == "function_call_output"]
    assert [bool(pictures_in(one)) for one in outputs] == [False, False, False, True, True]


@pytest.mark.parametrize("named", [True, False])
def test_sessions_that_only_send_what_is_new_are_told_apart(vendor: Provider, tmp_path: Path, named: bool) -> None:
    """By the name that the client gives them, or by the response that each goes on from."""
    with drawing(vendor, tmp_path / "ledger") as (url, account):

        def goes_on(session: str, response: str, **more: Any) -> int:
            result = {"type": "function_call_output", "call_id": f"call_{response}", "output": listing(1, 200)}
            body = {"model": "gpt-6.2-sol", "store": True, "previous_response_id": response, "input": [result], **more}
            key = {"prompt_cache_key": session} if named else {}
            assert post(url + "/v1/responses", json=body | key, headers=KEY).status_code == 200
            return len(pictures_in(vendor.requests[-1].json))

        assert goes_on("a", "resp_a1") == goes_on("b", "resp_b1") == 1
        vendor.faults.append(REFUSED)
        assert goes_on("a", "resp_a2") == 0 and "asked again as text" in account.recent[-1].note
        assert goes_on("a", "resp_a2") == 0, "the same request once more"
        assert goes_on("b", "resp_b2") == goes_on("c", "resp_c1") == 1
        assert goes_on("a", "resp_a3") == (0 if named else 1)
        conversation = {"conversation": {"id": "conv_1"}, "previous_response_id": None}
        assert goes_on("d", "resp_d", **conversation) == 1
