"""OpenAI's shape over HTTP: chat completions about pictures and files, models, and the codec: typeset, encode, read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from microfiche.serving.faults import Fault
from microfiche.serving.job_routes import (
    Parting,
    body_of,
    ended,
    jobs_of,
    opened,
    settings_of,
    takes,
    waited,
)
from microfiche.serving.jobs import ENDED, Job
from microfiche.serving.settings import engine_names

WAITED = 15.0  #: seconds that the head of a streamed answer waits for the first piece, so that an error has its status
router = APIRouter(tags=["OpenAI"])


@router.get("/v1/models", summary="The models: microfiche, which chooses for each page, and each engine")
async def models(request: Request) -> dict[str, Any]:
    """OpenAI's list."""
    settings = settings_of(request)
    listed = ["microfiche", *engine_names(settings.engine, settings.scans)]
    return {"object": "list", "data": [
        {"id": name, "object": "model", "created": 0, "owned_by": "microfiche"} for name in listed]}  # fmt: skip


@router.get("/v1/models/{name:path}", summary="One model")
async def model(request: Request, name: str) -> dict[str, Any]:
    """OpenAI's object of a model."""
    for one in (await models(request))["data"]:
        if one["id"] == name:
            return dict(one)
    raise Fault(404, "model_not_found", f"there is no model {name[:80]!r}; /v1/models lists them")


@router.post("/v1/chat/completions", summary="Read pictures and files, asked as DeepSeek-OCR is", response_model=None,
             openapi_extra=takes(
    "application/json", model="microfiche, or one of /v1/models", messages="array: the last of the user is answered",
    stream="boolean: piece by piece, as server-sent events", stream_options="object: include_usage",
    max_tokens="integer: of the answer", max_completion_tokens="integer: the same",
))  # fmt: skip
async def chat(request: Request) -> Response:
    """The last message of the user holds image_url parts (data: URLs, and http where allowed) or file parts, and one of
    DeepSeek-OCR's prompts."""
    jobs = jobs_of(request)
    async with opened(request, "chat") as job:
        await body_of(request, job)
        job.order = {"do": "chat", "folder": str(job.folder)}
    await waited(request, job, _decided(job))
    if job.fault is None and job.found.get("stream"):
        streamed = StreamingResponse(
            _streamed(job), media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )  # fmt: skip
        return Parting(streamed, lambda: jobs.forget(job))
    await ended(request, job)
    try:
        text = "".join(await asyncio.to_thread(_pieces, job, job.parts))
    finally:
        jobs.forget(job)
    message = {"role": "assistant", "content": text, "refusal": None}
    return JSONResponse(_head(job, "chat.completion") | {
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": job.found["finish"]}],
        "usage": job.found["usage"], "microfiche": {"pages": job.found["pages"]},
    })  # fmt: skip


async def _decided(job: Job) -> None:
    """Waits until it is known how to answer: that it streams, and then for the first piece, but not for long."""
    while job.status not in ENDED and "stream" not in job.found:
        await job.news(3600.0)
    until = time.monotonic() + WAITED
    while (
        job.status not in ENDED
        and not (job.found["stream"] and job.parts)
        and (not job.found["stream"] or time.monotonic() < until)
    ):
        await job.news(max(0.1, until - time.monotonic()) if job.found["stream"] else 3600.0)


def _head(job: Job, kind: str) -> dict[str, Any]:
    names = ", ".join(job.found.get("engines", [])) or "microfiche"
    return {"id": f"chatcmpl-{job.id}", "object": kind, "created": int(time.time()), "model": names}


def _pieces(job: Job, numbers: list[int]) -> list[str]:
    return [piece for number in numbers for piece in json.loads((job.folder / f"part-{number}.json").read_bytes())]


async def _streamed(job: Job) -> AsyncIterator[str]:
    usage = job.found["include_usage"]

    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        more = {"usage": None} if usage else {}
        return f"data: {json.dumps(_head(job, 'chat.completion.chunk') | {'choices': [choice]} | more)}\n\n"

    said = 0
    yield chunk({"role": "assistant", "content": ""})
    while True:
        ends, numbers = job.status in ENDED, job.parts[said:]
        for piece in await asyncio.to_thread(_pieces, job, numbers):
            yield chunk({"content": piece})
        said += len(numbers)
        if ends:
            break
        if said == len(job.parts) and not await job.news(WAITED):
            yield ": still reading\n\n"
    if job.status != "done":
        fault = job.fault or Fault(410, "cancelled", "the job was cancelled")
        yield f"data: {json.dumps(fault.body)}\n\ndata: [DONE]\n\n"
        return
    yield chunk({}, job.found["finish"])
    if usage:
        last = _head(job, "chat.completion.chunk") | {"choices": [], "usage": job.found["usage"]}
        yield f"data: {json.dumps(last)}\n\n"
    yield "data: [DONE]\n\n"
