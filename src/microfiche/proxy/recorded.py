"""Requests as they were recorded: by the proxy, as bodies in a file, or told again by the transcript of an agent.

A file is JSON lines, or one value or list in JSON, in any of Unicode's encodings, packed by gzip or not, and known by
what stands in it: lines of this proxy's recorder (`body`, with `at` and `path`), bare bodies of requests, HTTP archives
(HAR 1.2, as mitmproxy, browsers and other tools that watch traffic save them), logs of Bedrock's and of gateways,
exports of Langfuse's, transcripts, and chats. Bedrock, Vertex and Azure name the model in the path.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from microfiche.errors import InputError
from microfiche.proxy.chats import ANSWERS, PATHS, are_bodies, of_chat, of_opencode, shape_of
from microfiche.proxy.exports import is_langfuse, of_gateway, of_langfuse, why_not
from microfiche.proxy.protocols import Asked, Route, route
from microfiche.proxy.splice import Body
from microfiche.proxy.transcripts import (
    Json,
    Recorded,
    as_bytes,
    dicts,
    gemini_session,
    of_claude_code,
    of_codex,
    of_gemini_cli,
    second,
    whole,
)
from microfiche.proxy.usage import Listener
from microfiche.sources import MARK, standard_input

LINE = 256 << 20  #: bytes of a line, and of a value in several lines
_WANTED = (
    "give request bodies as JSON lines, an HTTP archive (HAR), a transcript of Claude Code or Gemini CLI, a rollout of"
    " Codex, what `opencode export` wrote, or what `microfiche proxy --record FILE` wrote of any other client"
)
#: where the path names a model of Anthropic's at Bedrock, one at Vertex, or what Azure calls one of OpenAI's
_NAMED = re.compile(
    r"/model/(.+)/invoke(?:-with-response-stream)?$|/publishers/anthropic/models/([^/:]+):(?:r|streamR)awPredict$"
    r"|/deployments/([^/]+)/(?:chat/completions|responses)$"
)
_CONVERSE = re.compile(r"/converse(?:-stream)?$")
#: files that hold no requests, by how they begin, and what to do
_OTHER = {
    b"SQLite format 3": "is a database; of OpenCode's, give what `opencode export` writes",
    b"PK\x03\x04": "is a zip archive; unpack it", b"\x28\xb5\x2f\xfd": "is packed by zstd; unpack it",
    b"\xfd7zXZ": "is packed by xz; unpack it",
    b"# aider chat": "is Aider's history, without the files and prompts that it sent; have these written by `microfiche"
                     " proxy --record FILE`",
}  # fmt: skip
_FLOWS = re.compile(rb"\d+:\d+:")  #: how a file of mitmproxy's own begins
#: what stands in a request, and not in a chat
_OF_REQUEST = {"max_tokens", "max_completion_tokens", "anthropic_version", "stream", "stream_options", "temperature",
               "generationConfig"}  # fmt: skip
_GZIP = b"\x1f\x8b"


class Recorder:
    """Writes each request that asks a model for an answer to a file, as it came and whatever is drawn of it. The file
    then holds all that was said.

    It is readable by its owner alone. What cannot be written is left out; `trouble` says why.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.trouble = path, ""

    def record(self, route: Route, body: Body, asked: Asked) -> None:
        """Records a request."""
        if route.purpose != "answer":
            return
        path = (PATHS[route.dialect].decode() if route.dialect in PATHS
                else f"/v1beta/models/{asked.model}:generateContent")
        head = json.dumps({"at": time.time(), "path": path, "session": asked.session})
        text = body.text.replace("\n", " ").replace("\r", " ")  # which stand between values only
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(file, "ab") as opened:
                opened.write(f'{head[:-1]},"body":{text}}}\n'.encode())
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror or error}"


def recorded_in(path: Path, model: str | None = None) -> list[Recorded]:
    """The requests that a file holds, or standard input where it is called "-", in their order; chats in the shape of
    no provider are told in that of a `model`. InputError, in one line, where it holds none."""
    try:
        with ExitStack() as opened:
            piped = io.BytesIO(standard_input().read()) if str(path) == "-" else path.open("rb")
            file = cast("BinaryIO", opened.enter_context(piped))
            lines = list(_objects(_unpacked(file, path, opened), path))
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path}: is damaged, or was cut off ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    try:
        found = _told_by(lines, model or "")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not found:
        raise InputError(f"{path}: {_why_not(lines)}")
    return found


def _unpacked(file: BinaryIO, path: Path, opened: ExitStack) -> BinaryIO:
    """A file's lines in UTF-8, whatever it is packed by and written in, until `opened` ends. InputError where it
    cannot hold requests."""
    begins = file.read(64)
    file.seek(0)
    other = next((why for sign, why in _OTHER.items() if begins.lstrip().startswith(sign)), None)
    if other is None and _FLOWS.match(begins):
        other = "looks like mitmproxy's own file; save it as HAR (save.har)"
    if other is not None:
        raise InputError(f"{path}: {other}")
    if begins.startswith(_GZIP):
        file = cast("BinaryIO", opened.enter_context(gzip.GzipFile(fileobj=file)))
        begins = file.read(64)
        file.seek(0)
    encoding = json.detect_encoding(begins)
    if encoding in ("utf-8", "utf-8-sig"):
        return file
    text = opened.enter_context(io.TextIOWrapper(file, encoding, "surrogatepass", newline="\n"))
    return cast("BinaryIO", _Recoded(text))


class _Recoded:
    """The lines of a text in UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def readline(self, size: int) -> bytes:
        """A line, or so many characters of it."""
        return self._text.readline(size).encode("utf-8", "surrogatepass")

    def read(self, size: int) -> bytes:
        """So many characters at most."""
        return self._text.read(size).encode("utf-8", "surrogatepass")


def _told_by(lines: list[Json], model: str) -> list[Recorded]:
    """The requests that the objects of a file tell of, whatever it is."""
    if any("payload" in line and "type" in line for line in lines):
        return list(of_codex(lines))
    if any(isinstance(line.get("message"), dict) and "uuid" in line for line in lines):
        return of_claude_code(lines)
    if any(isinstance(line.get("log"), dict) for line in lines):
        return _of_archive(lines)
    if any(line.get("type") == "function_call_output" for line in lines):  # older rollouts, and lists of items
        return list(of_codex([{"type": "response_item", "payload": line} for line in lines if "type" in line]))
    if lines and all("role" in line and "model" not in line for line in lines):
        return of_chat({"messages": lines}, model)
    if any(line.get("type") == "gemini" and "content" in line for line in lines):
        return list(of_gemini_cli(gemini_session(lines)))
    if is_langfuse(lines):
        return of_langfuse(lines, model)
    found: list[Recorded] = []
    alike = are_bodies(lines)
    for number, line in enumerate(lines):
        if any(one.get("type") == "gemini" for one in dicts(line.get("messages"))):
            found += of_gemini_cli(line)
        elif any(isinstance(one.get("info"), dict) for one in dicts(line.get("messages"))):
            found += of_opencode(line)
        elif not alike and _is_chat(line):
            found += of_chat(line, model)
        elif (made := _of_body(line, number)) is not None:
            found.append(made)
    return found


def _is_chat(line: Json) -> bool:
    """Whether an object is a whole chat rather than a request: it holds answers, and nothing of what only a request
    says; where it names a model, an answer is its end."""
    said = dicts(line.get("messages")) or dicts(line.get("contents"))
    if not said or _OF_REQUEST & line.keys() or not any(one.get("role") in ANSWERS for one in said[1:]):
        return False
    return not line.get("model") or said[-1].get("role") in ANSWERS


def _why_not(lines: list[Json]) -> str:
    """Why there is no request in a file, and what to give instead."""
    if (why := why_not(lines)):
        return why
    kinds = {str(line.get("type")) for line in lines}
    if "thread.started" in kinds or "item.completed" in kinds:
        return "is what `codex exec --json` says, without what tools gave; give the rollout in ~/.codex/sessions"
    paths = [str(line.get("path") or line.get("operation")) for line in lines]
    for log in (line["log"] for line in lines if isinstance(line.get("log"), dict)):
        paths += [urlsplit(str(one["request"].get("url", ""))).path for one in dicts(log.get("entries"))
                  if isinstance(one.get("request"), dict)]  # fmt: skip
    if any(_CONVERSE.search(one) or one.startswith("Converse") for one in paths):
        return "asks by Bedrock's Converse, which the proxy does not speak; requests to invoke a model are replayed"
    return f"holds no request; {_WANTED}"


def _objects(file: BinaryIO, path: Path) -> Iterator[Json]:
    """The objects of JSON lines, or of one value in several lines; those in a list are one after another."""
    number, alone = 0, True
    while line := file.readline(LINE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(MARK.encode())
        if not line.strip():
            continue
        try:
            found = _json(line, file if alone else None)
            alone = False
        except _TooLong as error:
            raise InputError(f"{path}: line {number} and what belongs to it have more than {LINE:,} bytes") from error
        except (ValueError, RecursionError) as error:
            unended = not alone and not line.endswith(b"\n")  # the last line of a session that still runs
            if unended and isinstance(error, json.JSONDecodeError):
                return
            raise InputError(f"{path}: line {number} is no JSON; {_WANTED}") from error
        yield from (one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict))


class _TooLong(Exception):
    """A value is longer than is read."""


def _json(line: bytes, rest: BinaryIO | None = None) -> object:
    """The value of a line, or of a line and the `rest` of its file."""
    if len(line) > LINE:
        raise _TooLong
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        if rest is None:
            raise
        line += rest.read(LINE + 1 - len(line))
        if len(line) > LINE:
            raise _TooLong from None
        return json.loads(line)


def _of_body(line: Json, number: int) -> Recorded | None:
    line = of_gateway(line)
    body = line.get("body", line)
    path, at, output = line.get("path"), line.get("at", line.get("timestamp")), 0
    if line.get("schemaType") == "ModelInvocationLog":  # Bedrock's
        given, answer = line.get("input"), line.get("output")
        body = given.get("inputBodyJson") if isinstance(given, dict) else None
        path = f"/model/{line.get('modelId')}/invoke" if "Invoke" in str(line.get("operation")) else "/converse"
        output = whole(answer.get("outputTokenCount")) if isinstance(answer, dict) else 0
    elif body is line:
        path = at = None
    body = _as_object(body)
    if body is None:
        return None
    if isinstance(path, str):
        path = path.partition("?")[0]
        if _CONVERSE.search(path):
            return None
        path, body = _with_model(path, body)
        way: bytes | None = path.encode()
    elif (way := _way_of(body)) is not None:
        body = body if b"models/" in way or "model" in body else {**body, "model": ""}
    if way is None:
        return None
    session = line.get("session") if body is not line else None
    headers = {"x-session-id": session} if isinstance(session, str) else {}
    when = second(at)
    return Recorded(20.0 * number if when is None else when, way, as_bytes(body), headers, output)


def _way_of(body: Json) -> bytes | None:
    """The path of a bare body; None where it is no request that asks for an answer."""
    model = str(body.get("model") or "")
    if "contents" in body:
        return f"/v1beta/models/{model.removeprefix('models/') or 'gemini'}:generateContent".encode()
    if "messages" in body:
        messages = dicts(body["messages"])
        if not model and not any("role" in one for one in messages):
            return None
        tools, claude = dicts(body.get("tools")), "anthropic_version" in body or "system" in body
        if claude or any("input_schema" in one for one in tools):
            return PATHS["messages"]
        shape = shape_of(messages, "" if any("function" in one for one in tools) else model)
        if shape in ("gemini", "sdk"):
            raise InputError("holds messages of Vercel's AI SDK in a request; give them without the request")
        return PATHS[shape]
    items = body.get("input")
    listed = isinstance(items, list) and all("role" in one or "type" in one for one in dicts(items))
    embeds = {"output", "encoding_format", "dimensions"} & body.keys() or "embed" in model
    return PATHS["responses"] if (listed or isinstance(items, str)) and model and not embeds else None


def _as_object(body: object) -> Json | None:
    """A body that is an object, as such or as JSON; None for any other."""
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return None
    return body if isinstance(body, dict) else None


def _with_model(path: str, body: Json) -> tuple[str, Json]:
    """A path at the maker of a model, and a body that names the model, where another provider's path names it."""
    named = _NAMED.search(path)
    if named is None:
        return path, body
    model = unquote(named[1] or named[2] or named[3]).rpartition("/")[2]  # of an ARN, what it ends with
    at = f"/{path.partition(f'/{named[3]}/')[2]}" if named[3] else "/v1/messages"
    return at, {**body, "model": body.get("model") or model}


# --- HTTP archives ---


def _of_archive(lines: list[Json]) -> list[Recorded]:
    """The requests of HTTP archives that were answered, by their time."""
    logs = (line["log"] for line in lines if isinstance(line.get("log"), dict))
    entries = (one for log in logs if isinstance(log.get("entries"), list) for one in log["entries"])
    found = [made for one in entries if isinstance(one, dict) and (made := _of_entry(one)) is not None]
    return sorted(found, key=lambda one: one.at)


def _of_entry(entry: Json) -> Recorded | None:
    """The request of an entry; None where it asks no model, or was refused or never answered, which costs nothing.
    InputError where its body is not whole."""
    request, response = entry.get("request"), entry.get("response")
    if not isinstance(request, dict) or request.get("method") != "POST":
        return None
    url, posted = str(request.get("url", "")), request.get("postData")
    path, named = _path_in(url), _NAMED.search(url.partition("?")[0]) is not None
    status = response.get("status") if isinstance(response, dict) else None
    if (path is None and not named) or (isinstance(status, int) and (status >= 400 or status <= 0)):
        return None
    said = _posted(posted if isinstance(posted, dict) else {})
    body = _as_object(said)
    if body is None:
        raise InputError(f"the body of the request to {url[:80]!r} at {entry.get('startedDateTime')} is missing or "
                         "cut off; let the browser keep whole bodies, or use `microfiche proxy --record FILE`")
    if named:
        way, body = _with_model(url.partition("?")[0], body)
        path, said = way.encode(), as_bytes(body).decode("utf-8", "surrogatepass")
    headers = {str(one.get("name")).lower(): str(one.get("value"))
               for one in request.get("headers") or () if isinstance(one, dict)}  # fmt: skip
    assert path is not None
    return Recorded(second(entry.get("startedDateTime")) or 0.0, path, said.encode("utf-8", "surrogatepass"), headers,
                    _answered(response))  # fmt: skip


def _posted(data: Json) -> str:
    """A body as an archive has it, which may be in base64."""
    said = data.get("text")
    if isinstance(said, str) and data.get("encoding") == "base64":
        with suppress(binascii.Error):
            return base64.b64decode(said).decode("utf-8", "surrogateescape")
    return said if isinstance(said, str) else ""


def _path_in(url: str) -> bytes | None:
    """The path at a provider that an address ends with, behind whatever a gateway put in front of it."""
    try:
        parts = urlsplit(url).path.encode("utf-8", "surrogatepass").split(b"/")
    except ValueError:
        return None
    for first in range(1, len(parts)):
        rest = b"/" + b"/".join(parts[first:])
        for path in (rest, b"/v1beta" + rest):
            if route("POST", path) is not None:
                return path
    return None


def _answered(response: object) -> int:
    """The tokens of an answer in an archive; 0 where it does not say."""
    content = response.get("content") if isinstance(response, dict) else None
    if not isinstance(content, dict) or not isinstance(content.get("text"), str):
        return 0
    data = content["text"].encode("utf-8", "surrogatepass")
    if content.get("encoding") == "base64":
        try:
            data = base64.b64decode(data)
        except binascii.Error:
            return 0
    listener = Listener({"content-type": str(content.get("mimeType", ""))})
    listener.hear(data)
    usage = listener.close().usage
    return usage.output if usage else 0
