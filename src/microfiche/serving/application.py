"""The application that `microfiche serve` runs: its routes, and what guards all of them.

Who may ask is decided here, before any route: by the Host header (against DNS rebinding), by the Origin that a browser
names, and by the token. Reading is done in other processes.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from microfiche import __version__
from microfiche.errors import MicroficheError
from microfiche.serving import codec_routes, convert_routes, job_routes, memory_routes, openai_routes, page_routes
from microfiche.serving.faults import Fault
from microfiche.serving.jobs import Jobs
from microfiche.serving.processes import Processes
from microfiche.serving.settings import ServeSettings

LOCAL = ("localhost", "127.0.0.1", "::1")
#: Paths that answer without a token: nothing of anybody's is in them.
OPEN = re.compile(
    r"/(|page/[^/]+|health|ready|livez|readyz|docs|docs\.css|openapi\.json|favicon\.ico|version|v1/about)"
)
HEADERS = {
    b"content-security-policy": b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; "
                                b"base-uri 'none'; form-action 'self'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}  # fmt: skip


class Server:
    """What the routes share: the settings, the jobs, the processes that do them, and counts for /metrics."""

    def __init__(self, settings: ServeSettings, say: Callable[[str], None]) -> None:
        self.settings, self.answers = settings, Counter[str]()
        self.folder = Path(tempfile.mkdtemp(prefix="microfiche-serve-", dir=settings.folder))
        self.jobs = Jobs(settings, self.folder)
        self.processes = Processes(self.jobs, say)

    async def tidy(self) -> None:
        """Forgets jobs that are too old, as time goes on."""
        while True:
            await asyncio.sleep(min(30.0, self.settings.kept_seconds))
            self.jobs.tidy()

    def close(self) -> None:
        """Removes all files of all jobs."""
        shutil.rmtree(self.folder, ignore_errors=True)


def application(settings: ServeSettings, say: Callable[[str], None] = lambda line: None) -> Any:
    """The ASGI application by these settings, which have been guarded; it runs its processes as long as it lives.
    `say` is called with a line where a process died."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        server = app.state.server = Server(settings, say)
        server.processes.start()
        tidying = asyncio.create_task(server.tidy())
        try:
            yield
        finally:
            tidying.cancel()
            await server.processes.close()
            server.close()

    made = FastAPI(
        title="Microfiche", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="Documents to Markdown, pages to vision tokens and back.", openapi_url="/openapi.json",
    )  # fmt: skip
    for routes in (page_routes, job_routes, openai_routes, convert_routes, codec_routes, memory_routes):
        made.include_router(routes.router)
    for kind in (MicroficheError, OSError, Exception):
        made.add_exception_handler(kind, _fault)
    made.add_exception_handler(RequestValidationError, _invalid)
    made.add_exception_handler(HTTPException, _http)
    return Guard(made, settings)


async def _fault(request: Request, error: Exception) -> JSONResponse:
    fault = Fault.of(error)
    return JSONResponse(fault.body, fault.status, fault.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return await _fault(request, Fault(400, "bad_request", f"{where}: {first['msg']}"))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    said = {404: "there is nothing at this path; /docs lists what there is"}.get(error.status_code, str(error.detail))
    return await _fault(request, Fault(error.status_code, code, said, dict(error.headers or {})))


class Guard:
    """Lets only those ask who may, adds the headers that every answer has, and counts answers."""

    def __init__(self, app: FastAPI, settings: ServeSettings) -> None:
        self.app, self._settings = app, settings
        self._hosts = {*settings.hosts, settings.host, *(LOCAL if settings.is_local else ())}
        self._any_host = not settings.is_local and not settings.hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        if scope["type"] == "websocket":
            return await self._socket(scope, receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        began = whole = False

        async def sending(message: Any) -> None:
            nonlocal began, whole
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)
            if message["type"] == "http.response.start":
                began = True
                status = message["status"]
                self.app.state.server.answers[str(status)] += 1
                named = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in HEADERS.items() if name not in named),
                ]
            await send(message)

        if scope["method"] == "HEAD" and not scope["path"].endswith("/events"):  # uvicorn leaves the body out
            scope = scope | {"method": "GET"}
        try:
            self._check(scope)
            await self.app(scope, receive, sending)
        except Exception as error:
            if whole:  # it was answered, and the error is only told on
                return
            if began:
                raise
            fault = Fault.of(error)
            await JSONResponse(fault.body, fault.status, fault.headers)(scope, receive, sending)

    async def _socket(self, scope: Any, receive: Any, send: Any) -> None:
        """Lets a WebSocket through, or closes it before it is open, which clients see as 403."""
        try:
            self._check(scope)
        except Fault:
            await receive()
            return await send({"type": "websocket.close", "code": 1008})
        await self.app(scope, receive, send)

    def _check(self, scope: Any) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = _name(headers.get(b"host", ""))
        if not self._any_host and host not in self._hosts:
            raise Fault(421, "wrong_host", "this server is not called by this name; start it with --allow-host NAME")
        origin = headers.get(b"origin")
        if origin not in (None, "") and urlsplit(origin).netloc.lower() != headers.get(b"host", "").lower():
            raise Fault(403, "other_origin", "pages of other sites may not ask this server")
        token = self._settings.token
        if token is None or OPEN.fullmatch(scope["path"]):
            return
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        given = given.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "").strip()
        if scope["type"] == "websocket" and not given:  # where docling's client has its key
            given = parse_qs(scope["query_string"].decode("latin-1")).get("api_key", [""])[0]
        if not hmac.compare_digest(given.encode("latin-1"), token.encode()):
            raise Fault(401, "invalid_api_key", "this server asks for its token, as Authorization: Bearer TOKEN",
                        {"WWW-Authenticate": "Bearer"})  # fmt: skip


def _name(host: str) -> str:
    """The name in a Host header, without its port; "" where it is none."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@\[\]]+))(?::\d{1,5})?", host)
    return (found[1] or found[2]).lower() if found else ""
