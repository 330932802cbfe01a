"""The codec over HTTP: a text as pages that are read back, pages to tokens, and tokens to text."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from microfiche.serving.faults import Fault
from microfiche.serving.job_routes import FORM, Parting, body_of, ended, form_of, jobs_of, opened, takes
from microfiche.serving.jobs import Job

router = APIRouter(tags=["codec"])


async def _of_body(request: Request, do: str) -> Response:
    async with opened(request, do, "codec") as job:
        await body_of(request, job, base64=False)
        job.order = {"do": do, "folder": str(job.folder), "name": "body"}
    return await _answered(request, job, "answer.json", "application/json")


async def _answered(request: Request, job: Job, name: str, media: str) -> Response:
    await ended(request, job)
    told = {"X-Pages": str(job.found["pages"]), "X-Vision-Tokens": str(job.found["vision_tokens"])} if job.found else {}
    answer = FileResponse(job.folder / name, media_type=media, headers=told)
    return Parting(answer, lambda: jobs_of(request).forget(job))


@router.post("/v1/typeset", summary="Set a text on pages, encode them, and read them back", response_model=None,
             openapi_extra=takes("application/json", text="what is set", density="such as 5x8"))  # fmt: skip
async def typeset(request: Request) -> Response:
    """A JSON object with `text` and, if wanted, `density`. The first pages come with pictures, places of tokens, and
    what was read wrong."""
    return await _of_body(request, "typeset")


@router.post("/v1/encode", summary="Encode pages to vision tokens, as a safetensors file", response_model=None,
             openapi_extra=takes(
    FORM, file="file: a PDF, a picture or a text", reader="nano-pages or nano", mode="the size of pages",
    density="of a text, such as 5x8", pages="1-3,7; all where it is left out", password="of a locked PDF",
))  # fmt: skip
async def encode(request: Request) -> Response:
    """A form with `file`: a PDF or a picture (by nano-pages, in a `mode`), or a text (by nano, at a `density`)."""
    async with opened(request, "encode", "codec") as job:
        form = await form_of(request, job)
        if len(form.files) != 1:
            raise Fault(400, "bad_request", f"{len(form.files)} files in the form; send one as `file`")
        job.name = form.files[0].name
        fields = {name: form.first(name) or None for name in ("reader", "mode", "density", "pages", "password")}
        job.order = {"do": "encode", "folder": str(job.folder), "name": job.name, **fields}
    return await _answered(request, job, "answer.safetensors", "application/octet-stream")


@router.post("/v1/read", summary="Read vision tokens that /v1/encode gave", response_model=None,
             openapi_extra=takes("application/octet-stream"))  # fmt: skip
async def read(request: Request) -> Response:
    """The body is the safetensors file; the answer has the text of each page, and how sure the reader is of it."""
    return await _of_body(request, "tokens")
