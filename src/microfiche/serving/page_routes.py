"""The page, and what a server says of itself: about, health, readiness, figures for Prometheus, and its API."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response

from microfiche import __version__
from microfiche.serving.faults import Fault
from microfiche.serving.memory_routes import memories_in
from microfiche.serving.settings import TEXT, engine_names
from microfiche.typesetting.density import DEFAULT_DENSITY, DENSITIES

#: Densities from legible to tiny.
SHOWN = ("16x16", "8x16", "7x13", "12x12", "6x12", "6x10", "5x8", "4x6")
SAYS = {
    "text": "a PDF's own text layer", "rapid": "RapidOCR", "nano": "nano-pages, line by line",
    "nano-rapid": "nano-pages, and RapidOCR where it is unsure", "nano-pages": "nano-pages, by vision tokens",
    "tesseract": "Tesseract", "endpoint": "the model at the server's endpoint",
}  # fmt: skip
TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8", ".json": "application/json", ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".ico": "image/x-icon",
    ".woff2": "font/woff2", ".pdf": "application/pdf", ".fiche": "application/zip",
}  # fmt: skip
router = APIRouter(tags=["about"])


def _page(name: str) -> Response:
    """A file of the page; Fault 404 where there is none of the name."""
    folder = Path(str(files("microfiche.serving"))) / "page"
    found = {path.name: path for path in folder.iterdir() if path.is_file()} if folder.is_dir() else {}
    if name not in found or found[name].suffix not in TYPES:
        raise Fault(404, "not_found", "there is no such file of the page")
    return FileResponse(found[name], media_type=TYPES[found[name].suffix], headers={"Cache-Control": "no-cache"})


@router.get("/", include_in_schema=False)
async def home() -> Response:
    """The page."""
    return _page("index.html")


@router.get("/page/{name}", include_in_schema=False)
async def page(name: str) -> Response:
    """A file of the page."""
    return _page(name)


@router.get("/favicon.ico", include_in_schema=False)
async def icon() -> Response:
    """The page's icon, where it has one."""
    return _page("favicon.ico")


@router.get("/v1/about", summary="What this server is: version, engines, limits, memories, densities")
async def about(request: Request) -> dict[str, Any]:
    """Answers without the token, but names the memories only with it."""
    server = request.app.state.server
    settings = server.settings
    token_needed = settings.token is not None
    memories = [] if token_needed else sorted(memories_in(settings.memories))
    engines = engine_names(settings.engine, settings.scans)
    cells = [DENSITIES[name] for name in SHOWN]
    return {
        "version": __version__, "token_needed": token_needed,
        "engines": [{"name": name, "says": SAYS.get(name, name)} for name in engines],
        "default_engine": settings.engine, "urls": settings.urls,
        "limits": {"upload_bytes": settings.limits.bytes, "pages": settings.limits.pages, "text_characters": TEXT},
        "memories": memories, "default_density": DEFAULT_DENSITY,
        "densities": [{"name": cell.name, "width": cell.width, "height": cell.height} for cell in cells],
    }  # fmt: skip


@router.get("/version", summary="The version of Microfiche")
async def version() -> dict[str, str]:
    """The version of the package."""
    return {"microfiche": __version__}


@router.get("/health", summary="Whether the server runs")
@router.get("/livez", include_in_schema=False)
async def health() -> dict[str, str]:
    """Answers as long as the server does."""
    return {"status": "ok"}


@router.get("/ready", summary="Whether a process is ready to read")
@router.get("/readyz", include_in_schema=False)
async def ready(request: Request) -> JSONResponse:
    """503 until a process that reads has loaded its models."""
    processes = request.app.state.server.processes
    if not processes.ready:
        return JSONResponse(Fault(503, "not_ready", "the processes that read are starting").body, 503,
                            {"Retry-After": "2"})  # fmt: skip
    return JSONResponse({"status": "ok"})


@router.get("/metrics", summary="Figures for Prometheus")
async def metrics(request: Request) -> PlainTextResponse:
    """Counts of jobs, pages and answers since the start, and what is held now."""
    server = request.app.state.server
    jobs, status = server.jobs, server.jobs.by_status()
    rows = [
        ("jobs", "gauge", "Jobs that are held, by status.",
         {f'status="{name}"': status[name] for name in ("queued", "running", "done", "failed")}),
        ("jobs_total", "counter", "Jobs since the start, by how they ended.",
         {f'end="{name}"': jobs.counts[name] for name in ("done", "failed", "cancelled", "refused")}),
        ("pages_total", "counter", "Pages that were read.", {"": jobs.counts["pages"]}),
        ("job_seconds_total", "counter", "Seconds that processes worked on jobs.", {"": jobs.counts["seconds"]}),
        ("held_bytes", "gauge", "Bytes of uploads and results.", {"": jobs.bytes}),
        ("processes_ready", "gauge", "Processes that are ready to read.", {"": server.processes.ready}),
        ("answers_total", "counter", "Answers by HTTP status.",
         {f'status="{name}"': count for name, count in sorted(server.answers.items())}),
    ]  # fmt: skip
    lines = []
    for name, kind, says, values in rows:
        lines += [f"# HELP microfiche_{name} {says}", f"# TYPE microfiche_{name} {kind}"]
        lines += [f"microfiche_{name}{{{label}}} {value}" if label else f"microfiche_{name} {value}"
                  for label, value in values.items()]  # fmt: skip
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The API as a plain page, with nothing fetched from elsewhere."""
    schema = request.app.openapi()
    sections: dict[str, list[str]] = {}
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            names = [one["name"] for one in route.get("parameters", [])]
            for body in route.get("requestBody", {}).get("content", {}).values():
                names += body["schema"].get("properties", {})
            given = ", ".join(f"<code>{escape(name)}</code>" for name in names)
            sections.setdefault(route.get("tags", ["other"])[0], []).append(
                f"<dt><code>{method.upper()} {escape(path)}</code></dt><dd>{escape(route.get('summary', ''))}."
                f" {escape(route.get('description', ''))}{f' Takes {given}.' if given else ''}</dd>"
            )
    body = "".join(f"<h2>{escape(name)}</h2><dl>{''.join(parts)}</dl>" for name, parts in sections.items())
    return HTMLResponse(
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Microfiche: API</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs.css"></head><body><main>'
        f'<h1>Microfiche {__version__}: API</h1><p>The same for programs: <a href="/openapi.json">/openapi.json</a>'
        f" (OpenAPI).</p>{body}</main></body></html>"
    )


@router.get("/docs.css", include_in_schema=False)
async def style() -> Response:
    """How /docs looks."""
    return Response(
        ":root{color-scheme:light dark}main{max-width:52rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,"
        "sans-serif}dt{margin-top:1rem}dd{margin:0 0 0 1rem}",
        media_type="text/css; charset=utf-8",
    )
