"""docling-serve's doors over HTTP: documents are converted while the client waits, or as tasks that it polls."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.requests import HTTPConnection
from fastapi.responses import FileResponse, Response

from microfiche.serving import docling_shape
from microfiche.serving.faults import Fault, urls_off
from microfiche.serving.job_routes import (
    FORM,
    Parting,
    body_of,
    ended,
    form_of,
    jobs_of,
    opened,
    settings_of,
    takes,
)
from microfiche.serving.jobs import Job

SMALL = 1 << 20  #: bytes of a body that is checked before it is queued
PATIENCE = 60.0  #: seconds that a poll waits at most
STATUSES = {"queued": "pending", "running": "started", "failed": "failure", "cancelled": "failure"}
ENDS = ("success", "partial_success", "failure")  #: statuses of tasks that have ended
FILES = takes(
    FORM, files="files: PDFs and pictures", target_type="inbody or zip",
    to_formats="array: md, json, text, html, doctags", page_range="array: the first and the last page",
    do_ocr="boolean: whether scans are read",
    force_ocr="boolean: whether all pages are read as scans", ocr_engine="rapidocr or tesseract, with force_ocr",
    image_export_mode="embedded or placeholder",
)  # fmt: skip
SOURCES = takes(
    "application/json", sources="array: kind file with base64_string and filename, or kind http with url",
    options="object: to_formats, page_range, do_ocr, force_ocr, ocr_engine, image_export_mode",
    target="object: kind inbody or zip",
)  # fmt: skip
router = APIRouter(tags=["docling"])


async def _of_files(request: Request, held: bool) -> Job:
    async with opened(request, "convert", held=held) as job:
        form = await form_of(request, job)
        most = docling_shape.SOURCES
        if not 1 <= len(form.files) <= most:
            raise Fault(422, "bad_request", f"{len(form.files)} files in the form; send 1 to {most} as `files`")
        options = docling_shape.options_of_form(form)
        target = form.first("target_type") or "inbody"
        docling_shape.checked(options, target)
        job.name = form.files[0].name
        job.order = {"do": "convert", "folder": str(job.folder), "options": options, "target": target,
                     "names": [one.name for one in form.files]}  # fmt: skip
    return job


async def _of_sources(request: Request, held: bool) -> Job:
    async with opened(request, "convert", held=held) as job:
        body = await body_of(request, job)
        if body.stat().st_size <= SMALL:
            found = docling_shape.body_of(body.read_bytes())
            docling_shape.checked(found.get("options") or {}, found.get("target"))
            if settings_of(request).urls == "off" and any(docling_shape.is_address(one) for one in found["sources"]):
                raise urls_off()
        job.order = {"do": "convert", "folder": str(job.folder), "body": True}
    return job


async def _answered(request: Request, job: Job) -> Response:
    await ended(request, job)
    return Parting(_result(job), lambda: jobs_of(request).forget(job))


def _result(job: Job) -> Response:
    if job.found.get("zip"):
        return FileResponse(job.folder / "answer.zip", media_type="application/zip", filename="converted_docs.zip")
    return FileResponse(job.folder / "answer.json", media_type="application/json")


@router.post("/v1/convert/file", summary="Convert files of a form while the client waits", response_model=None,
             openapi_extra=FILES)  # fmt: skip
async def file(request: Request) -> Response:
    """`files` and docling-serve's options: to_formats, page_range, do_ocr, force_ocr, target_type, …"""
    return await _answered(request, await _of_files(request, held=False))


@router.post("/v1/convert/source", summary="Convert files in base64, or at addresses, while the client waits",
             response_model=None, openapi_extra=SOURCES)  # fmt: skip
async def source(request: Request) -> Response:
    """A JSON object with options, sources and target."""
    return await _answered(request, await _of_sources(request, held=False))


@router.post("/v1/convert/file/async", summary="Begin to convert files of a form", openapi_extra=FILES)
async def file_async(request: Request) -> dict[str, Any]:
    """A task, to be polled."""
    return _task(request, await _of_files(request, held=True))


@router.post("/v1/convert/source/async", summary="Begin to convert files in base64, or at addresses",
             openapi_extra=SOURCES)  # fmt: skip
async def source_async(request: Request) -> dict[str, Any]:
    """A task, to be polled."""
    return _task(request, await _of_sources(request, held=True))


def _task(request: HTTPConnection, job: Job) -> dict[str, Any]:
    position = jobs_of(request).position(job)
    status = STATUSES.get(job.status) or job.found.get("status", "success")
    return {
        "task_id": job.id, "task_type": "convert", "task_status": status,
        "task_position": None if position is None else position + 1,
        "task_meta": {"num_docs": max(1, len(job.order.get("names", []))), "num_processed": int(job.status == "done"),
                      "num_succeeded": int(status in ("success", "partial_success")),
                      "num_failed": int(status == "failure")},
        "error_message": str(job.fault) if job.fault else None,
    }  # fmt: skip


@router.get("/v1/status/poll/{task_id}", summary="How far a task is; `wait` seconds for its end")
async def poll(request: Request, task_id: str, wait: float = 0.0) -> dict[str, Any]:
    """docling-serve's status of a task."""
    job = _job(request, task_id)
    if wait > 0:
        end, gone = asyncio.ensure_future(job.end()), asyncio.ensure_future(asyncio.sleep(min(wait, PATIENCE)))
        await asyncio.wait((end, gone), return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        gone.cancel()
    return _task(request, job)


def _job(request: HTTPConnection, task_id: str) -> Job:
    try:
        job = jobs_of(request).get(task_id)
    except Fault as fault:
        raise Fault(404, fault.code, "Task not found.") from fault  # the words that docling's client knows
    if job.do != "convert":
        raise Fault(404, "not_found", "Task not found.")
    return job


@router.websocket("/v1/status/ws/{task_id}")
async def follow(socket: WebSocket, task_id: str) -> None:
    """docling-serve's status of a task, whenever it has changed, until the task has ended or the client leaves."""
    await socket.accept()
    gone = asyncio.ensure_future(_left(socket))
    try:
        job = _job(socket, task_id)
        gone.add_done_callback(lambda _: job.changed())
        kind, said = "connection", dict[str, Any]()
        while said.get("task_status") not in ENDS and not gone.done():
            task = _task(socket, job)
            if task != said:
                await socket.send_json({"message": kind, "task": task})
                kind, said = "update", task
                continue
            await job.news(PATIENCE)
        await socket.close()
    except Fault as fault:
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.send_json({"message": "error", "error": str(fault)})
            await socket.close()
    except (WebSocketDisconnect, RuntimeError):  # the client has left meanwhile
        pass
    finally:
        gone.cancel()


async def _left(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":  # whatever else it says is not waited for
        pass


@router.get("/v1/result/{task_id}", summary="What a task has made", response_model=None)
async def result(request: Request, task_id: str) -> Response:
    """docling-serve's answer, once the task has ended."""
    job = _job(request, task_id)
    if job.fault is not None or job.status != "done":
        said = f"Task result not found: {job.fault or 'the task has not ended; poll its status'}"
        raise Fault(404, "no_result", said)
    return _result(job)
