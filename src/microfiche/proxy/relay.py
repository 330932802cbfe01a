"""The proxy as an ASGI application: what a client sends goes to its vendor, and what the vendor answers comes back.

Nothing is re-serialised. A body goes up as it came, but for the values that are replaced; headers pass both ways, but
for those of the hop; an answer is relayed piece by piece as it comes, whatever its status and packing. A client that
leaves ends the call, and a call that breaks off breaks off for the client too. What it cost is read beside the relay.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

import httpx2

from microfiche.proxy.asking import REFUSED, answered, take
from microfiche.proxy.exchange import Books, Drawer, Exchange, Pages, Recording
from microfiche.proxy.lines import Lines
from microfiche.proxy.protocols import asked, route
from microfiche.proxy.splice import Body, Unreadable, spliced
from microfiche.proxy.upstreams import Headers, Misdirected, Target, Upstreams, auth_kind, downward, together, upward
from microfiche.proxy.usage import Listener
from microfiche.proxy.wire import Incoming, Left, Once, Receive, Scope, Send, hop, refuse, sent, target_path, whole

READ = 32 << 20  #: bytes of a body that are held to be read, Anthropic's most; a longer one passes as it comes
HELD = 512 << 20  #: bytes of bodies that are held at one time
SMALL = 128 << 10  #: bytes of a body that is read without a thread of its own
CONNECT = 30.0  #: seconds to connect to a vendor
TINY = 2 << 10  #: bytes of a body in which there is nothing to draw
PATIENCE = 0.5  #: seconds for which the end of an answer waits for its request to be read, if it came sooner
MANY = 64  #: open calls to an address of the user's, beyond which each says who sent it, so that a circle ends
SWITCH = "x-microfiche"  #: a request's own header, "off" of which leaves it as it is
TOKEN = "x-microfiche-token"


class Relay:
    """The application. `drawer` decides what becomes pictures while `draws()` is true, `books` takes the costs down,
    `recorder` what is asked, and `pages` answers what is asked of the proxy itself. With a `token`, each request has to
    hold it."""

    def __init__(
        self,
        upstreams: Upstreams,
        *,
        books: Books | None = None,
        pages: Pages | None = None,
        drawer: Drawer | None = None,
        recorder: Recording | None = None,
        draws: Callable[[], bool] = lambda: True,
        token: str | None = None,
    ) -> None:
        self.upstreams, self.books, self.pages, self.drawer, self.draws = upstreams, books, pages, drawer, draws
        self.recorder, self._token = recorder, token
        self._held = 0
        self._lines, self._name = Lines(), f"microfiche-{secrets.token_hex(8)}"
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, as ASGI 3 has it."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.close()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def close(self) -> None:
        """Closes all connections to vendors, and brings what was taken down into the ledger and the log."""
        await self._lines.close()
        if self.drawer is not None:
            await asyncio.to_thread(self.drawer.flush)
        if self.books is not None:
            await asyncio.to_thread(self.books.flush)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = target_path(scope)
        headers = together(scope["headers"])
        incoming = Incoming(receive)
        if self._token is not None:
            path, right = self._admitted(path, headers)
            if not right:
                await refuse(send, None, 401, f"this proxy needs its token: in the header {TOKEN}, or in front of the "
                              "path as /@TOKEN")  # fmt: skip
                return
        if not path.startswith(b"/"):
            await refuse(send, None, 400, "this proxy is named as a base URL, not as an HTTP proxy")
        elif self.pages is not None and self.pages.owns(path):
            body = (await incoming.start(SMALL))[0]
            await whole(send, *await self.pages.answer(scope["method"], path, headers, body))
        elif "upgrade" in headers and "websocket" in headers["upgrade"].lower():
            await refuse(send, route("POST", path), 426, "no WebSocket here: ask by HTTP", ((b"upgrade", b"HTTP/1.1"),))
        else:
            await self._exchange(scope, path, headers, incoming, send)

    def _admitted(self, path: bytes, headers: dict[str, str]) -> tuple[bytes, bool]:
        """The path without a token in front of it, and whether the right token was there."""
        assert self._token is not None
        given = headers.get(TOKEN, "").encode("latin-1")
        if path.startswith(b"/@"):
            given, slash, rest = path[2:].partition(b"/")
            path = slash + rest or b"/"
        return path, hmac.compare_digest(given, self._token.encode())

    async def _exchange(
        self, scope: Scope, path: bytes, headers: dict[str, str], incoming: Incoming, send: Send
    ) -> None:
        exchange = Exchange(scope["method"], path, route(scope["method"], path), headers=headers)
        exchange.auth = auth_kind(headers, scope["query_string"])
        ends = tuple(scope.get("client") or ()), tuple(scope.get("server") or ())
        if (all(ends) and ends in self._lines.ours) or self._name in headers.get("via", ""):
            await self._refused(exchange, incoming, send, 508, "this proxy was asked by itself: an address that it was "
                                "given for a vendor leads back to it")  # fmt: skip
            self._enter(exchange)
            return
        try:
            target = self.upstreams.target(exchange.route, path, scope["query_string"], headers)
        except Misdirected as error:
            await self._refused(exchange, incoming, send, 421, str(error))
            self._enter(exchange)
            return
        exchange.vendor = target.vendor
        if not scope["query_string"] and hop(scope).get("target", b"").endswith(b"?"):
            target = replace(target, target=target.target + b"?")
        relayed = asyncio.ensure_future(self._relayed(exchange, scope, target, incoming, send))
        gone = asyncio.ensure_future(incoming.gone())
        try:
            await asyncio.wait({relayed, gone}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            exchange.note, exchange.broke = exchange.note or "the proxy was stopped", not exchange.over
            raise
        finally:
            if not exchange.over and not exchange.broke:
                exchange.left = not relayed.done() or incoming.left
            gone.cancel()
            if not exchange.over:  # who has the whole answer may go while it is taken down
                relayed.cancel()
            failed, _ = await asyncio.gather(relayed, gone, return_exceptions=True)
            if isinstance(failed, Exception) and not isinstance(failed, Left):
                exchange.note = f"failed: {type(failed).__name__}"
            await self._read_out(exchange)
            self._enter(exchange)

    async def _refused(self, exchange: Exchange, incoming: Incoming, send: Send, status: int, message: str) -> None:
        """Answers with an error of the proxy's own, and notes it."""
        exchange.status, exchange.note, exchange.left = status, message, incoming.left
        exchange.over = not exchange.left
        await refuse(send, exchange.route, status, message)

    async def _relayed(self, exchange: Exchange, scope: Scope, target: Target, incoming: Incoming, send: Send) -> None:
        """Sends a request up, read and drawn where it is one that is to be answered by a model."""
        streamed = "transfer-encoding" in exchange.headers  # where both are there, the length says nothing
        headers, size = upward(scope["headers"]), None if streamed else exchange.headers.get("content-length")
        body, rest, text, held = b"", None, None, 0

        def hold(length: int) -> bool:
            nonlocal held
            if self._held + length > HELD:
                exchange.note = "too many bodies are under way to read it"
                return False
            self._held, held = self._held + length, held + length
            return True

        def let_go() -> None:
            nonlocal held
            self._held, held = self._held - held, 0

        try:
            if size is None and not streamed:
                incoming.ended.set()
            elif exchange.route is None:
                rest = incoming.rest()
            else:
                body, why = await incoming.start(READ, hold, size)
                if not why:
                    body, text = await self._drawn(exchange, body)
                    size = None
                else:
                    rest, exchange.note = incoming.rest(), exchange.note or why
            if rest is not None and size is None:
                headers.append((b"transfer-encoding", b"chunked"))
            elif size is not None or streamed or body:
                headers.append((b"content-length", (size or str(len(body))).encode("latin-1")))

            def asking(content: AsyncIterator[bytes] | None, headers: Headers = headers) -> httpx2.Request:
                headers = exchange.drawing.headers(headers)
                extensions = {"target": target.target, "timeout": {"connect": CONNECT}}
                return httpx2.Request(
                    scope["method"], target.address, headers=headers, content=content, extensions=extensions
                )

            async def again() -> httpx2.Request:
                assert text is not None
                anew = await asyncio.to_thread(spliced, text, exchange.drawing.replacements)
                kept = [header for header in headers if header[0] != b"content-length"]
                once = sent(exchange, Once(anew), None, let_go)
                return asking(once, [*kept, (b"content-length", str(len(anew)).encode())])

            request = asking(sent(exchange, Once(body), rest, let_go) if body or rest is not None else None)
            del body
            await self._answered(exchange, scope, request, target, incoming, send, None if text is None else again)
        finally:
            let_go()

    async def _drawn(self, exchange: Exchange, data: bytes) -> tuple[bytes, str | None]:
        """A body as it goes up: with pictures in it, and its text, by which it is asked again if the vendor does not
        take that; or the same bytes, and None. The reason why not is noted."""
        if exchange.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            exchange.note = "the body is packed"
            return data, None
        switched_off = "off" in re.split(r"[\s,]+", exchange.headers.get(SWITCH, "").lower())
        draws = self.drawer is not None and self.draws() and not switched_off
        if len(data) <= (TINY if draws else SMALL):
            return self._read(exchange, data, draws)
        exchange.reading = asyncio.ensure_future(asyncio.to_thread(self._read, exchange, data, draws))
        return await exchange.reading if draws else (data, None)

    async def _read_out(self, exchange: Exchange) -> None:
        """Waits until a long body, which was sent on meanwhile, is read."""
        if exchange.reading is not None and not exchange.reading.done():
            await asyncio.wait({exchange.reading})

    def _read(self, exchange: Exchange, data: bytes, draws: bool) -> tuple[bytes, str | None]:
        assert exchange.route is not None
        try:
            body = Body.read(data)
            exchange.asked = asked(exchange.route, body, exchange.headers)
            if self.recorder is not None:
                self.recorder.record(exchange.route, body, exchange.asked)
            if not draws or self.drawer is None or exchange.route.purpose == "compact":
                return data, None
            drawing = self.drawer.draw(exchange.route, body, exchange.asked)
            if not drawing.replacements:
                exchange.drawing = drawing
                return data, None
            changed = spliced(body.text, drawing.replacements)
            exchange.drawing = drawing
            return changed, body.text
        except Unreadable as error:
            exchange.note = str(error)
        except Exception as error:  # whatever fails in reading and drawing, the request passes as it came
            exchange.note = f"not drawn: {type(error).__name__}"
        return data, None

    async def _answered(
        self, exchange: Exchange, scope: Scope, request: httpx2.Request, target: Target, incoming: Incoming, send: Send,
        again: Callable[[], Awaitable[httpx2.Request]] | None,
    ) -> None:  # fmt: skip
        """Asks the vendor, and relays its answer. Where it does not take what was drawn, it is asked `again`."""
        client, address = self._lines.client(request.url), target.address
        self._open[address] += 1
        if self._open[address] > MANY and target.named:
            request.headers["via"] = ", ".join(filter(None, (exchange.headers.get("via"), f"1.1 {self._name}")))
        try:
            response, pieces = await answered(exchange, client, request, again)
        except (httpx2.HTTPError, OSError) as error:
            if incoming.left:
                raise Left from error
            slow = isinstance(error, httpx2.TimeoutException)
            why = f"{urlsplit(address).netloc} {'did not answer in time' if slow else _failure(error)}"
            await self._refused(exchange, incoming, send, 504 if slow else 502, why)
            return
        finally:
            self._open[address] -= 1
        incoming.ended.set()
        exchange.status, exchange.first = response.status_code, exchange.passed()
        headers = downward(response.headers.raw)
        if exchange.drawing.pages:
            headers.append((b"x-microfiche-pictures", str(len(exchange.drawing.pages)).encode()))
        answers = exchange.route is not None and exchange.route.purpose == "answer" and response.status_code == 200
        dialect = exchange.route.dialect if exchange.route is not None and answers else None
        listener = Listener(dict(response.headers.items()), dialect)
        framed = "content-length" in response.headers or "transfer-encoding" in response.headers
        left = response.headers.get("content-length", "")
        missing = int(left) if left.isdecimal() else -1
        try:
            hop(scope)["reason"] = response.extensions.get("reason_phrase")
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            async for piece in pieces:
                missing -= len(piece)
                if missing == 0 and await _is_quick(exchange, listener):
                    listener.hear(piece)  # who has the whole answer finds it in the account
                    await self._settle(exchange, listener, framed, incoming)
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                else:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    listener.hear(piece)
            if await _is_quick(exchange, listener) or (answers and not framed):
                await self._settle(exchange, listener, framed, incoming)
        except httpx2.HTTPError:
            exchange.broke = True  # the server closes the connection of an answer that is not brought to its end
        else:
            if framed or not exchange.broke:
                exchange.left, exchange.over = incoming.left, not incoming.left
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._settle(exchange, listener, framed, incoming)
            await pieces.aclose()
            await response.aclose()

    async def _settle(self, exchange: Exchange, listener: Listener, framed: bool, incoming: Incoming) -> None:
        """Takes down what the answer said of itself, once. An answer without its end was cut short."""
        await self._read_out(exchange)
        if exchange.heard:
            return
        exchange.heard = True
        exchange.said = await asyncio.to_thread(listener.close) if listener.long else listener.close()
        exchange.left = exchange.left or incoming.left
        if exchange.said.whole is False and (listener.streams or not framed) and not exchange.left:
            exchange.broke = True
            exchange.note = exchange.note or "the answer ended before its end"
        exchange.note = exchange.note or listener.silent or ""
        if exchange.drawing.fresh and exchange.said.ended == "refusal":
            await take(exchange, exchange.drawing.instead, REFUSED)
        if not exchange.broke:
            self._enter(exchange)

    def _enter(self, exchange: Exchange) -> None:
        if exchange.entered:
            return
        exchange.entered, exchange.lasted = True, exchange.passed()
        if self.books is not None:
            with suppress(Exception):  # what is noted of a request never hurts it
                self.books.enter(exchange)


async def _is_quick(exchange: Exchange, listener: Listener) -> bool:
    """Whether the account can be kept at once, so that no answer waits for it long."""
    if exchange.reading is not None and not exchange.reading.done():
        await asyncio.wait({exchange.reading}, timeout=PATIENCE)
    return not listener.long and (exchange.reading is None or exchange.reading.done())


def _failure(error: Exception) -> str:
    return "cannot be reached" if isinstance(error, httpx2.ConnectError) else "broke off before it answered"
