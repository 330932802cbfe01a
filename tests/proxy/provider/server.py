"""The stand-in as an HTTP server: it reads requests byte by byte, records them, and answers as it is told to."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from microfiche.memory.billing import Usage
from microfiche.memory.models import hosted
from provider import answers
from provider.answers import Turn
from provider.cache import Json, Marked, PromptCache, tokens_of
from provider.checks import Refused, check_messages, in_order, signature

Script = Callable[[Json], Turn]


@dataclass
class Recorded:
    """A request as it came: its line, its headers as bytes and in order, its body; whether the client left."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    left: bool = False
    usage: Usage | None = None

    @property
    def path(self) -> str:
        return self.line.split(b" ")[1].decode("latin-1")

    @property
    def method(self) -> str:
        return self.line.split(b" ")[0].decode()

    def header(self, name: str) -> str | None:
        found = [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode().lower()]
        return ", ".join(found) if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def bytes(self) -> bytes:
        """All of it, to look for what should not be there."""
        return b"\n".join([self.line, *(b": ".join(header) for header in self.headers), self.body])


@dataclass
class Reply:
    """An answer of the test's own: its pieces go out one after another, each after `pause` seconds; where it `breaks`,
    the connection ends before the answer does."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    pieces: Iterable[bytes] = ()
    pause: float = 0.0
    breaks: bool = False
    length: int | None = None
    waits: threading.Event | None = None  #: before each piece but the first


class Provider:
    """The server at `url`. `script` says what the model does in a turn, and `reply`, where a test sets one, what is
    answered instead. `faults` are answered first, one a request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests: list[Recorded] = []
        self.cache = PromptCache(clock)
        self.script: Script = lambda body: Turn()
        self.reply: Callable[[Recorded], Reply | None] = lambda recorded: None
        self.faults: list[Reply] = []
        self.packs = False
        self.url = ""
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection."""
        self.open += 1
        try:
            begun: bytes | None = b""
            while begun is not None:
                begun = await self._one(reader, writer, begun)
        except asyncio.CancelledError:
            writer.transport.abort()  # what nobody reads any more would keep it open
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(Exception, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: bytes) -> bytes | None:
        """Answers a request of which `begun` was read already. Returns what was read of the next; None at the end."""
        head = begun + await reader.readuntil(b"\r\n\r\n")
        line, *rest = head[:-4].split(b"\r\n")
        pairs = [one.partition(b":") for one in rest]
        recorded = Recorded(line, [(key, value.strip()) for key, _, value in pairs])
        self.requests.append(recorded)
        if recorded.header("transfer-encoding"):
            recorded.body = b"".join([piece async for piece in _chunks(reader)])
        elif length := int(recorded.header("content-length") or 0):
            recorded.body = await reader.readexactly(length)
        reply = self.faults.pop(0) if self.faults else self.reply(recorded) or self._answer(recorded)
        left = asyncio.ensure_future(reader.read(1))
        stays = "close" not in (recorded.header("connection") or "")
        after = b""
        try:
            stays = await self._send(recorded, reply, writer, left) and stays
        except ConnectionError:
            recorded.left = True
            stays = False
        finally:
            if not left.done():
                left.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                after = await left
        return after if stays else None

    async def _send(
        self, recorded: Recorded, reply: Reply, writer: asyncio.StreamWriter, left: asyncio.Future[bytes]
    ) -> bool:
        chunked = reply.length is None
        length = ("transfer-encoding", "chunked") if chunked else ("content-length", str(reply.length))
        headers = [*reply.headers, length]
        head = f"HTTP/1.1 {reply.status} X\r\n" + "".join(f"{key}: {value}\r\n" for key, value in headers) + "\r\n"
        writer.write(head.encode("latin-1"))
        await writer.drain()
        if recorded.method == "HEAD" or reply.status in (204, 304):
            return True
        for number, piece in enumerate(reply.pieces):
            if number and reply.waits is not None:
                while not reply.waits.is_set() and not left.done():
                    await asyncio.sleep(0.05)
            if reply.pause:
                await asyncio.wait({left}, timeout=reply.pause)
            if left.done():
                recorded.left = True
                return False
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked and piece else piece)
            await writer.drain()
        if reply.breaks:
            writer.transport.abort() if reply.length is None else writer.close()
            return False
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    # --- what a vendor answers ---

    def _answer(self, recorded: Recorded) -> Reply:
        path = recorded.path.partition("?")[0]
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in recorded.headers}
        try:
            body = json.loads(recorded.body) if recorded.body else {}
            if recorded.method == "POST" and path.endswith("/messages"):
                return self._messages(recorded, body, headers)
            if recorded.method == "POST" and path.endswith("/messages/count_tokens"):
                check_messages(body, headers)
                return _whole({"input_tokens": sum(tokens_of(body["model"], b) for b in in_order(body))})
            if recorded.method == "POST" and path.endswith("/responses"):
                return self._responses(recorded, body)
            if recorded.method == "POST" and path.endswith("/responses/input_tokens"):
                count = sum(tokens_of(body["model"], one.block) for one in _responses_prompt(body))
                return _whole({"object": "response.input_tokens", "input_tokens": count})
            if recorded.method == "POST" and path.endswith("/chat/completions"):
                return self._chat(recorded, body)
            if recorded.method == "POST" and ":" in path:
                return self._gemini(recorded, body, path)
        except Refused as error:
            said = {"type": "error", "error": {"type": error.kind, "message": str(error)}, "request_id": "req_x"}
            return _whole(said, error.status, [("request-id", "req_x")])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            said = {"type": "error", "error": {"type": "invalid_request_error", "message": "malformed"}}
            return _whole(said, 400)
        return _whole({"object": "list", "data": [{"id": "stand-in", "object": "model", "created": 1}]})

    def _charged(self, recorded: Recorded, model: str, used: Usage) -> Usage:
        recorded.usage = used
        return self.cache.charge(model, used, tier=_tier(recorded.json))

    def _messages(self, recorded: Recorded, body: Json, headers: dict[str, str]) -> Reply:
        dropped = check_messages(body, headers)
        turn, model = self.script(body), body["model"]
        prompt = [Marked(block, _kept(block)) for block in in_order(body)]
        if body.get("cache_control") and prompt:
            prompt[-1].kept = _kept(body)
        output = tokens_of(model, [turn.thought, turn.text, [list(call) for call in turn.calls]])
        used = self._charged(recorded, model, self.cache.marked(model, prompt, output))
        answer = answers.messages_answer(model, turn, used, signature(body, body["messages"], turn.thought))
        fast = _tier(body) == "fast"
        answer["usage"] |= {"service_tier": "standard" if fast else _tier(body) or "standard"}
        answer["usage"] |= {"speed": "fast"} if fast else {}
        if dropped:
            answer["input_transformations"] = dropped
        more = [("request-id", answers.name("req")), ("anthropic-ratelimit-requests-remaining", "99")]
        return self._said(recorded, body, answer, answers.messages_events(answer), more)

    def _responses(self, recorded: Recorded, body: Json) -> Reply:
        turn, model, prompt = self.script(body), body["model"], _responses_prompt(body)
        output = tokens_of(model, [turn.thought, turn.text, [list(call) for call in turn.calls]])
        used = self.cache.automatic(model, prompt, output, _writes(model))
        answer = answers.responses_answer(model, turn, self._charged(recorded, model, used), body)
        answer["service_tier"] = _tier(body) or "default"
        return self._said(recorded, body, answer, answers.responses_events(answer), [("x-request-id", "r")])

    def _chat(self, recorded: Recorded, body: Json) -> Reply:
        turn, model = self.script(body), body["model"]
        prompt = [Marked(one) for one in [*body.get("tools", []), *body["messages"]]]
        output = tokens_of(model, [turn.text, [list(call) for call in turn.calls]])
        used = self._charged(recorded, model, self.cache.automatic(model, prompt, output, _writes(model)))
        answer = answers.chat_answer(model, turn, used) | {"service_tier": _tier(body) or "default"}
        wanted = bool((body.get("stream_options") or {}).get("include_usage"))
        return self._said(recorded, body, answer, answers.chat_events(answer, wanted), [("x-request-id", "r")])

    def _gemini(self, recorded: Recorded, body: Json, path: str) -> Reply:
        model, _, action = path.rpartition("/")[2].partition(":")
        system = (body.get("systemInstruction") or {}).get("parts", [])
        prompt = [Marked(one) for one in [*system, *body.get("tools", [])]]
        prompt += [Marked(part) for content in body["contents"] for part in content["parts"]]
        if action == "countTokens":
            return _whole({"totalTokens": sum(tokens_of(model, one.block) for one in prompt)})
        turn = self.script(body)
        output = tokens_of(model, [turn.text, [list(call) for call in turn.calls]])
        used = self._charged(recorded, model, self.cache.automatic(model, prompt, output, False))
        answer = answers.gemini_answer(model, turn, used)
        more = [("x-gemini-service-tier", _tier(body) or "standard")]
        if action == "streamGenerateContent" and "alt=sse" not in recorded.path:
            return self._said(recorded, {}, [answer], iter(()), more)
        streams = {"stream": action == "streamGenerateContent"}
        return self._said(recorded, streams, answer, answers.gemini_events(answer), more)

    def _said(
        self, recorded: Recorded, body: Json, answer: Any, events: Iterator[bytes], more: list[tuple[str, str]]
    ) -> Reply:
        stream = bool(body.get("stream"))
        kind = "text/event-stream; charset=utf-8" if stream else "application/json"
        parts = list(events) if stream else [json.dumps(answer).encode()]
        coding = recorded.header("accept-encoding") or ""
        for name in ("zstd", "br", "gzip", "deflate") if self.packs else ():
            if name in coding:
                headers = [("content-type", kind), ("content-encoding", name), *more]
                return Reply(200, headers, list(packed(name, parts)))
        length = None if stream else len(parts[0])
        return Reply(200, [("content-type", kind), *more], parts, length=length)


def packed(coding: str, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of an answer in a content coding, each flushed so that it can be read at once."""
    if coding == "gzip":
        yield gzip.compress(b"".join(parts))
        return
    if coding == "deflate":
        packer = zlib.compressobj()
        for part in parts:
            yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield packer.flush()
        return
    if coding == "br":
        import brotli

        brotli_packer = brotli.Compressor()
        for part in parts:
            yield brotli_packer.process(part) + brotli_packer.flush()
        yield brotli_packer.finish()
        return
    import zstandard

    zstd = zstandard.ZstdCompressor().compressobj()
    for part in parts:
        yield zstd.compress(part) + zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    yield zstd.flush()


def _whole(said: Json, status: int = 200, more: Iterable[tuple[str, str]] = ()) -> Reply:
    data = json.dumps(said).encode()
    return Reply(status, [("content-type", "application/json"), *more], [data], length=len(data))


def _tier(body: Json) -> str:
    """The service tier that a request asks for, "" for the usual one."""
    named = body.get("speed") or body.get("service_tier") or ""
    return "" if named in ("auto", "default", "standard", "standard_only") else named


def _kept(block: Json) -> float:
    mark = block.get("cache_control")
    return 0.0 if not mark else 3600.0 if mark.get("ttl") == "1h" else 300.0


def _writes(model: str) -> bool:
    prices = hosted(model).prices_at()
    return prices is not None and prices.write_5m is not None


def _responses_prompt(body: Json) -> list[Marked]:
    given = body.get("input") or []
    items = [given] if isinstance(given, str) else given
    first = [body["instructions"]] if body.get("instructions") else []
    return [Marked(one) for one in [*body.get("tools", []), *first, *items]]


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass


@contextmanager
def provider(clock: Callable[[], float] = time.monotonic) -> Iterator[Provider]:
    """A stand-in at an address of its own, in a thread of this process."""
    made, ready, loop = Provider(clock), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 20, backlog=1024)
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        server.close()
        tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
