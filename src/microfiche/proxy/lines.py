"""The connections to vendors, as httpcore2 opens them, with two things more: a vendor that answers before it has read
the whole request is heard at once, and the ends of all that are open are known, so that the proxy knows its own calls.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterable
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2
from httpcore2._async.http11 import AsyncHTTP11Connection

from microfiche.proxy.upstreams import LOOPBACK

End = tuple[Any, ...]  #: a host and a port, or nothing where a connection does not say it

QUIET = 16 << 10  #: bytes of a request that are sent before the vendor is listened to; they fit into any buffer
READ = 64 << 10  #: bytes that are read at one time
#: Seconds for which a connection that nobody uses is kept. A server that ends it just as the next request goes up looks
#: like one that took the request and broke off, and a proxy may not ask twice: so it has to go before the server ends
#: it. Those of one's own, without TLS, do so after 2 to 5 seconds, and a new one costs nothing; vendors after minutes.
KEPT = {"http": 1.0, "https": 20.0}
HEADERS = 1 << 20  #: bytes of an answer's headers; httpcore2 itself takes a tenth of them, and has no setting for it
_HINTS = re.compile(rb"(?:HTTP/1\.[01] 1\d\d[^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n)*")


class Lines(httpcore2.AsyncNetworkBackend):
    """Opens connections. `ours` holds both ends of each, the near one first: a request that came over such a one is
    one of our own. The near end alone would not say so, for two connections to different places may have the same."""

    def __init__(self) -> None:
        self.ours: set[tuple[End, End]] = set()
        self._clients: dict[tuple[bool, str], httpx2.AsyncClient] = {}
        self._inner = httpcore2.AnyIOBackend()

    def client(self, url: httpx2.URL) -> httpx2.AsyncClient:
        """A client for an address. What goes to this machine goes past a proxy that the environment names."""
        outside, kept = url.host not in LOOPBACK, KEPT[url.scheme]
        AsyncHTTP11Connection.MAX_INCOMPLETE_EVENT_SIZE = HEADERS
        if (outside, url.scheme) not in self._clients:
            client = httpx2.AsyncClient(
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=kept),
                trust_env=outside,
                verify=outside,  # a certificate says nothing of this machine
            )
            client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
            for transport in (client._transport, *client._mounts.values()):
                if isinstance(transport, httpx2.AsyncHTTPTransport):  # it takes no backend of one's own
                    transport._pool._network_backend = self
            self._clients[outside, url.scheme] = client
        return self._clients[outside, url.scheme]

    async def close(self) -> None:
        """Closes all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Opens a connection to a host."""
        inner = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        ends = (inner.get_extra_info("client_addr"), inner.get_extra_info("server_addr"))
        near, far = (tuple(end[:2]) if isinstance(end, tuple) else () for end in ends)
        self.ours.add((near, far))
        return _Line(inner, self, (near, far))

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await self._inner.sleep(seconds)


class _Line(httpcore2.AsyncNetworkStream):
    """A connection that listens while it speaks. An answer that comes before all was said ends the speaking, as an
    error in writing does, after which httpcore2 reads the answer."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream, lines: Lines, ends: tuple[End, End]) -> None:
        self._inner, self._lines, self._ends = inner, lines, ends
        self._said = 0
        self._early = b""
        self._hearing: asyncio.Task[bytes] | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Reads what has come."""
        self._said = 0
        if self._early:
            data, self._early = self._early[:max_bytes], self._early[max_bytes:]
            return data
        if self._hearing is not None:
            hearing, self._hearing = self._hearing, None
            return await hearing
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Writes; httpcore2.WriteError where the vendor has answered already."""
        self._said += len(buffer)
        if self._said <= QUIET:
            await self._inner.write(buffer, timeout)
            return
        writing = asyncio.ensure_future(self._inner.write(buffer, timeout))
        try:
            while not writing.done():
                hearing = self._hearing = self._hearing or asyncio.ensure_future(self._inner.read(READ))
                await asyncio.wait({writing, hearing}, return_when=asyncio.FIRST_COMPLETED)
                if hearing.done() and not self._is_hint(hearing):
                    raise httpcore2.WriteError("the vendor answered before it had read all")
        finally:
            if not writing.done():
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
        writing.result()

    def _is_hint(self, hearing: asyncio.Task[bytes]) -> bool:
        """Whether what was heard is an interim answer (1xx), after which the request goes on."""
        if hearing.exception() is not None or not hearing.result():
            return False
        self._early, self._hearing = self._early + hearing.result(), None
        hints = _HINTS.match(self._early)
        return hints is not None and len(self._early) - hints.end() < len(b"HTTP/1.1 2")

    async def aclose(self) -> None:
        """Closes the connection."""
        self._lines.ours.discard(self._ends)
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
            self._hearing = None
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """The same connection, from here on by TLS."""
        return _Line(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._lines, self._ends)

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection."""
        return self._inner.get_extra_info(info)
