"""What services that watch models export: Langfuse's generations as requests, and why those of others are not replayed.

An observation of Langfuse's holds what was asked (`input`), when, of which model, and what was charged for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from microfiche.errors import InputError
from microfiche.proxy.chats import PATHS, of_chat
from microfiche.proxy.transcripts import GAP, Json, Recorded, as_bytes, dicts, second, whole
from microfiche.proxy.twin import CHARACTERS

_KINDS = ("GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL")
_RECORD = "; have the requests themselves written by `microfiche proxy --record FILE`"
#: services whose exports are not replayed, by the members that stand in theirs, and why
_OTHERS: tuple[tuple[set[str], str], ...] = (
    ({"run_type"}, "is an export of LangSmith's, whose runs hold messages as LangChain's objects and not the requests"),
    ({"resourceSpans"}, "holds spans of OpenTelemetry, whose attributes are no requests"),
    ({"scopeSpans"}, "holds spans of OpenTelemetry, whose attributes are no requests"),
    ({"attributes", "name"}, "holds spans of OpenTelemetry, whose attributes are no requests"),
    ({"conversations"}, "holds conversations without the requests"),
)  # fmt: skip


def why_not(lines: Sequence[Json]) -> str:
    """Why the exports of a service are not replayed; empty where it is none that is known."""
    for members, why in _OTHERS:
        if any(members <= line.keys() for line in lines):
            return why + _RECORD
    if any("projectId" in line and ("input" in line or "timestamp" in line) for line in lines):
        return "is an export of Langfuse's traces without their observations; export these"
    return ""


def is_langfuse(lines: Sequence[Json]) -> bool:
    """Whether lines are Langfuse's observations, or traces that hold some."""
    return any(_is_observation(one) for line in lines for one in (line, *dicts(line.get("observations"))))


def _is_observation(line: Json) -> bool:
    traced = "traceId" in line or "trace_id" in line
    return traced and str(line.get("type")).upper() in _KINDS and bool({"startTime", "start_time"} & line.keys())


def of_langfuse(lines: Sequence[Json], model: str = "") -> list[Recorded]:
    """The requests of Langfuse's generations, by their time, those of a session or else of a trace together. InputError
    where one of them does not say what was asked, since a sum without it would be none."""
    every = ((one, line) for line in lines for one in dicts(line.get("observations")) or [line])
    asked = [(one, line) for one, line in every
             if _is_observation(one) and str(one.get("type")).upper() == "GENERATION"]  # fmt: skip
    made = list[Recorded]()
    before = dict[str, int]()
    for number, (one, trace) in enumerate(sorted(asked, key=lambda both: _at(both[0]) or 0.0), 1):
        said = str(_either(one, "model") or _either(one, "providedModelName") or model)
        request = _request(_decoded(one.get("input")), model or said)
        if request is None:
            raise InputError(f"generation {number} of {len(asked)} holds no messages of the prompt; only prompts "
                             "that are whole are replayed")  # fmt: skip
        session = str(trace.get("sessionId") or _either(one, "sessionId") or _either(one, "traceId"))
        read, output = _usage(one)
        first = max(0, read - round(len(request.body) / CHARACTERS)) if read else 0
        at = _at(one)
        made.append(replace(request, at=GAP * number if at is None else at, headers={"x-session-id": session},
                            output=output, before=before.setdefault(session, first)))  # fmt: skip
    return made


def _request(given: Any, model: str) -> Recorded | None:
    """A request for a model with what an observation says was asked; None where that is no prompt."""
    if isinstance(given, str) and given.strip():
        given = [{"role": "user", "content": given}]
    if isinstance(given, list):
        if not given or len(dicts(given)) < len(given):
            return None
        given = {"messages" if all("role" in one for one in given) else "input": given}
    if not isinstance(given, dict):
        return None
    if dicts(given.get("messages")) or dicts(given.get("contents")):
        return of_chat({**given, "model": ""}, model, answers=False)[0]
    if isinstance(given.get("input"), list) and all("role" in one or "type" in one for one in dicts(given["input"])):
        return Recorded(0.0, PATHS["responses"], as_bytes({**given, "model": model}))
    return None


def _usage(one: Json) -> tuple[int, int]:
    """The tokens that were charged for a prompt and for an answer; 0 where it is not known."""
    details = _decoded(_either(one, "usageDetails")) or _decoded(one.get("usage"))
    if isinstance(details, dict) and details:
        ends = [(str(key).lower(), whole(value)) for key, value in details.items()]
        asked = sum(n for key, n in ends if "input" in key or key in ("prompttokens", "prompt_tokens"))
        told = sum(n for key, n in ends if "output" in key or key in ("completiontokens", "completion_tokens"))
        return asked, told
    return whole(_either(one, "promptTokens")), whole(_either(one, "completionTokens"))


def _either(line: Json, key: str) -> Any:
    """What a line says under a name, which may be written in snake case."""
    return line.get(key, line.get("".join(f"_{c.lower()}" if c.isupper() else c for c in key)))


def _at(one: Json) -> float | None:
    return second(_either(one, "startTime"))


def _decoded(value: Any) -> Any:
    """A value, or what it is as JSON."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def of_gateway(line: Json) -> Json:
    """A line of a gateway's log (Helicone's, Portkey's) as its request's `body`, `at` and `path`, and none where it was
    refused; any other line as it is."""
    request, answer = line.get("request"), line.get("response")
    body = line.get("request_body", request.get("body") if isinstance(request, dict) else None)
    if body is None:
        return line
    status = line.get("response_status", answer.get("status") if isinstance(answer, dict) else None)
    if isinstance(status, int) and status >= 400:
        return {"body": None}
    path = line.get("request_path")
    return {"body": body, "at": line.get("request_created_at", line.get("created_at")),
            **({"path": urlsplit(path).path} if isinstance(path, str) and path else {})}  # fmt: skip
