"""Jobs over HTTP: one is begun with a file, followed by events, looked at page by page, and forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.requests import HTTPConnection
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse

from microfiche.documents.opening import page_ranges
from microfiche.errors import UsageError
from microfiche.serving.faults import Fault
from microfiche.serving.forms import Form, Upload, body_in, form_in, shown_name
from microfiche.serving.jobs import ENDED, Job, Jobs, Lane
from microfiche.serving.settings import ServeSettings

QUIET = 10.0  #: seconds after which a stream of events says that it still lives
router = APIRouter(tags=["jobs"])
FORM = "multipart/form-data"
DOING: dict[str, Lane] = {"read": "read", "pack": "codec", "open": "codec"}


def jobs_of(request: HTTPConnection) -> Jobs:
    """The server's jobs."""
    jobs: Jobs = request.app.state.server.jobs
    return jobs


def settings_of(request: Request) -> ServeSettings:
    """The server's settings."""
    settings: ServeSettings = request.app.state.server.settings
    return settings


# --- what other routes share ---


def takes(media: str, **fields: str) -> dict[str, Any]:
    """What OpenAPI says of a request's body: its type, and its fields with what each is; a field is a text unless its
    words begin with the name of another type, such as `array: …`. A body without fields is bytes."""
    schema: dict[str, Any] = {"type": "string", "format": "binary"}
    if fields:
        schema = {"type": "object", "properties": {name: _field(says) for name, says in fields.items()}}
    return {"requestBody": {"required": True, "content": {media: {"schema": schema}}}}


def _field(says: str) -> dict[str, Any]:
    kind, parted, words = says.partition(": ")
    match kind if parted else "":
        case "file":
            return {"type": "string", "format": "binary", "description": words}
        case "files":
            return {"type": "array", "items": {"type": "string", "format": "binary"}, "description": words}
        case "array":
            return {"type": "array", "items": {}, "description": words}
        case "object" | "boolean" | "integer":
            return {"type": kind, "description": words}
    return {"type": "string", "description": says}


@asynccontextmanager
async def opened(request: Request, do: str, lane: Lane = "read", held: bool = False) -> AsyncIterator[Job]:
    """A job to be filled within the context; at its end it is queued, and on any error it is forgotten."""
    jobs = jobs_of(request)
    job = jobs.opened(do, lane, held)
    try:
        yield job
        jobs.queue(job)
    except BaseException:
        jobs.forget(job)
        raise


async def form_of(request: Request, job: Job) -> Form:
    """The form of a request; its files lie in the job's folder."""
    most = settings_of(request).limits.bytes
    return await form_in(request, job.folder, most, lambda count: jobs_of(request).grew(job, count))


async def body_of(request: Request, job: Job, base64: bool = True) -> Path:
    """The body of a request, which may hold files in `base64`, as the file `body` in the job's folder."""
    most = settings_of(request).limits.bytes
    path = job.folder / "body"
    await body_in(request, path, most * 4 // 3 + (1 << 20) if base64 else most,
                  lambda count: jobs_of(request).grew(job, count))  # fmt: skip
    return path


async def waited(request: Request, job: Job, until: Coroutine[Any, Any, None]) -> None:
    """Waits for what is to come of a job. If the client leaves before, the job is forgotten, and Fault 499 raised."""
    wanted, gone = asyncio.ensure_future(until), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((wanted, gone), return_when=asyncio.FIRST_COMPLETED)
        if not wanted.done():
            raise Fault(499, "cancelled", "the client has left")
    except BaseException:
        jobs_of(request).forget(job)
        raise
    finally:
        wanted.cancel()
        gone.cancel()


async def ended(request: Request, job: Job) -> None:
    """Waits until a job has ended well; otherwise it is forgotten, and its Fault raised."""
    await waited(request, job, job.end())
    if job.status != "done":
        jobs_of(request).forget(job)
        raise job.fault or Fault(410, "cancelled", "the job was cancelled")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Parting(Response):
    """An answer after which something is done, even where the client does not take it."""

    def __init__(self, answer: Response, after: Callable[[], None]) -> None:
        self.background = None
        self._answer, self._after = answer, after

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Sends the answer."""
        try:
            await self._answer(scope, receive, send)
        finally:
            self._after()


def document_in(job: Job) -> Job:
    """The job, if what it is to make is there; Fault otherwise."""
    if job.fault is not None:
        raise job.fault
    if job.status != "done":
        raise Fault(409, "not_ready", f"the job is {job.status}; ask again when it is done")
    return job


def sent(path: Path, media: str, name: str = "") -> FileResponse:
    """A file of a job as an answer, to be saved under a name if there is one; Fault 404 where it is not there."""
    if not path.is_file():
        raise Fault(404, "not_found", "there is no such file of this job")
    return FileResponse(path, media_type=media, filename=name or None, headers={"Cache-Control": "private, no-store"})


# --- the routes ---


@router.post("/v1/jobs", status_code=202, summary="Begin a job: a form with a file, and `do`: read, pack or open",
             openapi_extra=takes(
    FORM, file="file: a PDF, a picture, a text to pack, or a .fiche to open", do="read, pack or open",
    url="an address in place of the file, where the server fetches them", engine="who reads",
    pages="1-3,7; all where it is left out", password="of a locked PDF", dpi="from 18 to 600",
    density="for pack, such as 5x8"))  # fmt: skip
async def begin(request: Request) -> JSONResponse:
    """The fields beside `file` are `do`, `engine`, `pages` (1-3,7), `password`, `dpi`, and `density` for pack."""
    async with opened(request, "read", held=True) as job:
        _order(job, await form_of(request, job))
    return JSONResponse(jobs_of(request).state(job), 202, {"Location": f"/v1/jobs/{job.id}"})


def _order(job: Job, form: Form) -> None:
    do = form.first("do") or "read"
    if do not in DOING:
        raise Fault(400, "bad_request", f"do: {do[:40]!r} is not known; there are {', '.join(DOING)}")
    address = form.first("url")
    if len(form.files) != (0 if address else 1):
        raise Fault(400, "bad_request", f"{len(form.files)} files in the form; send one as `file`, or its `url`")
    upload = form.files[0] if form.files else Upload(job.folder, shown_name(address))
    pages = form.first("pages")
    if pages:
        try:
            page_ranges(pages)
        except UsageError as error:
            raise Fault(400, "bad_request", str(error)) from error
    job.do, job.name, job.lane = do, upload.name, DOING[do]
    job.order = {
        "do": do, "folder": str(job.folder), "name": upload.name, "url": address,
        "engine": form.first("engine") or None,
        "pages": pages or None, "password": form.first("password") or None, "dpi": _dpi(form.first("dpi")),
        "density": form.first("density") or None,
    }  # fmt: skip


def _dpi(given: str) -> float | None:
    if not given:
        return None
    try:
        dpi = float(given)
    except ValueError:
        dpi = 0.0
    if not 18 <= dpi <= 600:
        raise Fault(400, "bad_request", "dpi: give a number from 18 to 600")
    return dpi


@router.get("/v1/jobs/{job_id}", summary="How far a job is")
async def state(request: Request, job_id: str) -> dict[str, Any]:
    """Its status, its place in the queue, its pages, the seconds that are left, and its error."""
    return jobs_of(request).state(jobs_of(request).get(job_id))


@router.delete("/v1/jobs/{job_id}", status_code=204, summary="Cancel a job, and remove all that is held of it")
async def forget(request: Request, job_id: str) -> Response:
    """Cancels the job if it has not ended, and removes its files."""
    jobs_of(request).forget(jobs_of(request).get(job_id))
    return Response(status_code=204)


@router.get("/v1/jobs/{job_id}/events", summary="What happens to a job, as server-sent events")
async def events(request: Request, job_id: str) -> StreamingResponse:
    """`progress` is the job's state, `page` a page that was read, and `end`, the last, the state again."""
    job = jobs_of(request).get(job_id)
    return StreamingResponse(
        _events(jobs_of(request), job), media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )  # fmt: skip


async def _events(jobs: Jobs, job: Job) -> AsyncIterator[str]:
    said, last = 0, ""
    while True:
        ends = job.status in ENDED
        for number in job.parts[said:]:
            said += 1
            text = await asyncio.to_thread(_text_of, job.folder / f"part-{number}.json")
            if text:
                yield f"event: page\ndata: {text}\n\n"
        state = json.dumps(jobs.state(job))
        if ends:
            yield f"event: progress\ndata: {state}\n\nevent: end\ndata: {state}\n\n"
            return
        if state != last:
            yield f"event: progress\ndata: {state}\n\n"
            last = state
        if said == len(job.parts) and not await job.news(QUIET):
            yield ": still here\n\n"


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:  # the job was forgotten meanwhile
        return ""


@router.get("/v1/jobs/{job_id}/document", summary="What was read, with boxes, statuses and Markdown")
async def document(request: Request, job_id: str) -> FileResponse:
    """What `microfiche read` writes as NAME.json, with the Markdown beside, and by pages the lines that are `unsure`,
    where lines were recognised: `box`, `confidence` and `text` of each."""
    return sent(document_in(jobs_of(request).get(job_id)).folder / "document.json", "application/json")


@router.get("/v1/jobs/{job_id}/markdown", summary="What was read, as a Markdown file")
async def markdown(request: Request, job_id: str) -> FileResponse:
    """Its figures are at figures/NAME beside it."""
    job = document_in(jobs_of(request).get(job_id))
    return sent(job.folder / "document.md", "text/markdown; charset=utf-8", f"{_stem(job.name)}.md")


@router.get("/v1/jobs/{job_id}/fiche", summary="What `pack` made, as a .fiche file")
async def fiche(request: Request, job_id: str) -> FileResponse:
    """The .fiche file of a job that packs."""
    job = document_in(jobs_of(request).get(job_id))
    return sent(job.folder / "packed.fiche", "application/zip", f"{_stem(job.name)}.fiche")


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


@router.get("/v1/jobs/{job_id}/pages/{number}", summary="The picture of a page")
async def picture(request: Request, job_id: str, number: int) -> Response:
    """WebP, at most 1,600 px long; boxes are in pixels of the page as the document gives its size."""
    job = jobs_of(request).get(job_id)
    for suffix, media in (("webp", "image/webp"), ("png", "image/png")):
        if (path := job.folder / f"page-{number}.{suffix}").is_file():
            return sent(path, media)
    raise Fault(404, "not_found", "there is no picture of this page")


@router.get("/v1/jobs/{job_id}/figures/{name}", summary="A figure that was cut from a page")
async def figure(request: Request, job_id: str, name: str) -> FileResponse:
    """PNG, by the name that its block has."""
    job = jobs_of(request).get(job_id)
    folder = job.folder / "document" / "figures"
    if name not in _names_in(folder):
        raise Fault(404, "not_found", "there is no such figure of this job")
    return sent(folder / name, "image/png")


def _names_in(folder: Path) -> Iterable[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
