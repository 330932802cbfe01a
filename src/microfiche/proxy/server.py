"""The proxy as a server: OpenAI's /v1/chat/completions before any server that has it, with old turns as faded pages.

Everything else below /v1 is passed on as it is. Nothing is stored: the client keeps the chat and sends all of it each
time.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from microfiche.errors import InputError
from microfiche.proxy.turns import Rewriter, Rewritten

LARGEST = 256 << 20  #: bytes of a request or an answer that are taken
TIMEOUT = 600.0  #: seconds without a byte from the server
PASSED = ("authorization", "content-type", "accept", "openai-organization", "openai-project", "x-api-key", "api-key")
SAVED = "X-Microfiche-Saved-Tokens"


def app(upstream: str, rewriter: Rewriter) -> FastAPI:
    """The proxy before the server at `upstream`, which is its address up to /v1 and with that."""
    made = FastAPI(title="Microfiche proxy", docs_url=None, redoc_url=None, openapi_url=None)
    upstream = upstream.rstrip("/")

    @made.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @made.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        data = await _body(request)
        if data is None:
            return _error(413, f"the request is longer than {LARGEST:,} bytes")
        try:
            body = json.loads(data)
            if not isinstance(body, dict):
                raise InputError("the request is no JSON object")
            rewritten = await run_in_threadpool(rewriter.rewrite, body)
        except (ValueError, RecursionError):
            return _error(400, "the request is not JSON")
        except InputError as error:
            return _error(400, str(error))
        ask = _request(f"{upstream}/chat/completions", "POST", request, json.dumps(rewritten.body).encode())
        return await run_in_threadpool(_answered, ask, bool(body.get("stream")), rewritten)

    @made.api_route("/v1/{path:path}", methods=["GET", "POST", "DELETE"])
    async def passed(path: str, request: Request) -> Response:
        data = await _body(request)
        if data is None:
            return _error(413, f"the request is longer than {LARGEST:,} bytes")
        query = f"?{request.url.query}" if request.url.query else ""
        ask = _request(f"{upstream}/{path}{query}", request.method, request, data or None)
        return await run_in_threadpool(_answered, ask, False, None)

    return made


async def _body(request: Request) -> bytes | None:
    """The bytes of a request, or None if there are too many."""
    parts, length = [], 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > LARGEST:
            return None
        parts.append(chunk)
    return b"".join(parts)


def _request(url: str, method: str, request: Request, data: bytes | None) -> urllib.request.Request:
    headers = {name: value for name in PASSED if (value := request.headers.get(name))}
    return urllib.request.Request(url, data, headers, method=method)


def _answered(ask: urllib.request.Request, stream: bool, rewritten: Rewritten | None) -> Response:
    """The server's answer, whatever it is, or a 502 if there is none."""
    try:
        answer = urllib.request.urlopen(ask, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            kind = error.headers.get("Content-Type")
            return Response(error.read(LARGEST), error.code, media_type=kind)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return _error(502, f"the server cannot be reached: {reason}")
    headers = {SAVED: str(rewritten.saved)} if rewritten else {}
    kind = answer.headers.get("Content-Type", "application/json")
    if stream and rewritten and kind.startswith("text/event-stream"):
        return StreamingResponse(_events(answer, rewritten), media_type=kind, headers=headers)
    with answer:
        try:
            data = answer.read(LARGEST)
        except (OSError, http.client.HTTPException) as error:
            return _error(502, f"the server broke off its answer: {error}")
    if rewritten and rewritten.pages:
        data = _with_usage(data, rewritten)
    return Response(data, answer.status, headers, kind)


def _events(answer: Any, rewritten: Rewritten) -> Iterator[bytes]:
    """The lines of a stream as they come; where it breaks off, a last event says so."""
    done = False
    with answer:
        try:
            while line := answer.readline(LARGEST):
                if not line.endswith(b"\n"):
                    break
                done = done or line.strip() == b"data: [DONE]"
                if line.startswith(b"data: {") and b'"usage"' in line:
                    line = b"data: " + _with_usage(line[6:].strip(), rewritten) + b"\n"
                yield line
        except (OSError, http.client.HTTPException):
            pass
    if not done:
        error = {"error": {"message": "the server broke off its answer", "type": "upstream_error", "code": 502}}
        yield b"data: " + json.dumps(error).encode() + b"\n\n"


def _with_usage(data: bytes, rewritten: Rewritten) -> bytes:
    """The answer, whose usage block, if it has one, now says what was saved."""
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or not isinstance(found.get("usage"), dict):
            return data
        found["usage"]["microfiche"] = rewritten.usage()
        return json.dumps(found).encode()
    except (ValueError, RecursionError):  # no JSON, or nested too deep to be read
        return data


def _error(code: int, message: str) -> JSONResponse:
    kind = "invalid_request_error" if code < 500 else "upstream_error"
    return JSONResponse({"error": {"message": message, "type": kind, "code": code}}, code)
