"""Fetches a file from an http or https address, within limits, and never from an inner address that nobody named.

An inner address is one of this machine or of a network that is not public. A user who writes such an address is taken
at his word, unless the caller wants public ones alone, but no redirect leads there. A name is resolved once, all its
addresses are checked, and the connection goes to exactly these. Where the environment names a proxy, the proxy
resolves the names.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import urllib.request
from contextlib import closing, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from microfiche.errors import InputError
from microfiche.limits import Limits

PORTS = {"http": 80, "https": 443}  #: by the schemes that are fetched
PIECE = 1 << 16  #: bytes that are taken from the network at a time
REDIRECTS = (301, 302, 303, 307, 308)
HOPS = 10  #: redirects that are followed
LONGEST = 100  #: characters of a server's own words that are shown
INNER = ("loopback", "unspecified", "link_local", "multicast", "site_local", "reserved", "private")
TRANSLATED = [ipaddress.ip_network("64:ff9b::/96")]  #: IPv6 addresses whose last four bytes are an IPv4 one (RFC 6052)
KEPT = "%/:=&?~+!$,;'@()*[]"  #: signs of a path or query that are sent as they are


def is_url(name: str) -> bool:
    """Whether `name` is an address that `fetched` takes."""
    return name.lower().startswith(tuple(f"{scheme}://" for scheme in PORTS))


def without_secrets(url: str) -> str:
    """Returns an address without the user's name and password, if it contains any."""
    return re.sub(r"^(\w+://)[^/?#]*@", r"\1", url)


def path_in(url: str) -> str:
    """Returns the path in an address, decoded, or "" if the address cannot be understood."""
    try:
        return unquote(urlsplit(url).path)
    except ValueError:
        return ""


@dataclass(frozen=True)
class _Target:
    """Where one request goes. `login` is the value of an Authorization header, or empty."""

    scheme: str
    host: str
    port: int
    path: str
    login: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def _target(url: str) -> _Target:
    """Raises InputError, without the address, if it is none of http or https."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
        if ":" in host:
            ipaddress.ip_address(host)
        else:
            host = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except ValueError as error:
        reason = error.__cause__ if isinstance(error, UnicodeError) and error.__cause__ else error
        raise InputError(f"cannot be fetched (not an address: {without_secrets(str(reason))})") from None
    if parts.scheme not in PORTS:
        raise InputError(f"cannot be fetched (unknown url type: {parts.scheme})")
    if not host or (":" not in host and not re.fullmatch(r"[\w.-]+", host, re.ASCII)):
        raise InputError("cannot be fetched (not an address: it names no server)")
    path = quote(parts.path, KEPT) or "/"
    query = f"?{quote(parts.query, KEPT)}" if parts.query else ""
    login = ""
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return _Target(parts.scheme, host, PORTS[parts.scheme] if port is None else port, path + query, login)


def fetched(url: str, limits: Limits = Limits(), public: bool = False) -> bytes:
    """Returns the bytes at `url`. A name and password in the address are sent to its server, and not after a redirect.

    With `public`, for an address that a model or a stranger has written, inner ones are refused even where they are
    named. Raises InputError, without the address, if the bytes do not come whole and within `limits`, or if the address
    or a redirect leads to where nothing is fetched from.
    """
    target = named = _target(url)
    with _Clock(limits) as clock:
        for _ in range(HOPS + 1):
            with (
                closing(_connected(target, named, clock, public)) as connection,
                _answer(connection, target, named) as answer,
            ):
                location = answer.headers.get("Location")
                if answer.status in REDIRECTS and location:
                    target = _sent_on(target, location)
                elif answer.status // 100 != 2:
                    raise InputError(f"the server answered {answer.status} {answer.reason[:LONGEST]}".strip())
                else:
                    return _body(answer, limits, clock)
    raise InputError(f"cannot be fetched (the server sends on more than {HOPS} times)")


class _Clock:
    """Ends the connection that it watches when the time is over. As a context, it makes InputErrors of all errors that
    a connection meets."""

    def __init__(self, limits: Limits) -> None:
        self.seconds, self.late = limits.seconds, False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(limits.seconds, self._end)
        self._timer.daemon = True

    def watch(self, connection: socket.socket) -> None:
        self._socket = connection
        if self.late:
            self._end()

    def check(self) -> None:
        if self.late:
            raise TimeoutError

    def _end(self) -> None:
        self.late = True
        with suppress(OSError):
            if self._socket:
                self._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> _Clock:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if not isinstance(error, OSError | http.client.HTTPException | ValueError):
            return
        if self.late or isinstance(error, TimeoutError):
            raise InputError(f"did not come within {self.seconds:g} seconds, which is the limit seconds") from error
        reason = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        raise InputError(f"cannot be fetched ({reason.splitlines()[0]})") from error


def _connected(target: _Target, named: _Target, clock: _Clock, public: bool) -> http.client.HTTPConnection:
    """An open connection to `target`, or to the proxy for it, after its addresses have been checked."""
    kind: Any = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    proxy = _proxy(target)
    if proxy:
        if target != named or public:
            with suppress(socket.gaierror):  # the proxy knows names that are not known here
                _checked(target, named, public)
        connection: http.client.HTTPConnection = kind(proxy.host, proxy.port, timeout=clock.seconds)
        if target.scheme == "https":
            connection.set_tunnel(target.host, target.port, _login("Proxy-Authorization", proxy))
        connection.connect()
    else:
        connection = kind(target.host, target.port)
        connection.sock = _dialled(_checked(target, named, public), clock)
        if target.scheme == "https":
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(connection.sock, server_hostname=target.host)
    assert connection.sock is not None
    clock.watch(connection.sock)
    return connection


def _answer(connection: http.client.HTTPConnection, target: _Target, named: _Target) -> http.client.HTTPResponse:
    headers = {"User-Agent": "microfiche", "Accept-Encoding": "identity"}
    if (target.scheme, target.host, target.port) == (named.scheme, named.host, named.port):
        headers |= _login("Authorization", named)
    where = target.path
    proxy = _proxy(target)
    if proxy and target.scheme == "http":
        headers |= _login("Proxy-Authorization", proxy)
        where = target.url
    connection.request("GET", where, headers=headers)
    return connection.getresponse()


def _login(header: str, target: _Target) -> dict[str, str]:
    return {header: target.login} if target.login else {}


def _proxy(target: _Target) -> _Target | None:
    """The proxy that the environment names for `target`."""
    given = urllib.request.getproxies().get(target.scheme)
    if not given or urllib.request.proxy_bypass(f"{target.host}:{target.port}"):
        return None
    scheme, _, address = given.rpartition("://")
    if scheme.lower() not in ("", "http"):
        raise InputError(f"cannot be fetched (the proxy in the environment must be http://, not {scheme}://)")
    return _target(f"http://{address}")


def _checked(target: _Target, named: _Target, public: bool) -> list[tuple[Any, ...]]:
    """The addresses of the host of `target`, as getaddrinfo gives them. Raises InputError if one of them is inner and
    was not named, or, with `public`, if one is inner."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    ports = (named.port, target.port)
    own = target.host == named.host and (ports[0] == ports[1] or ports == (PORTS["http"], PORTS["https"]))
    for *_, address in found:
        kind = inner(str(address[0]))
        if not kind:
            continue
        what = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} address"
        if public and target == named:
            raise InputError(f"cannot be fetched ({target.host} leads to {what}; only public ones are allowed here)")
        if public or not own:
            leads = "" if address[0] == target.host else f", which leads to {address[0]}"
            raise InputError(f"cannot be fetched (the server sends on to {target.host}{leads}, {what})")
        if kind != "private" and not _written_out(target.host):
            raise InputError(f"cannot be fetched ({target.host} leads to {address[0]}, {what}; "
                             f"write {address[0]} in its place if you mean it)")  # fmt: skip
    return list(found)


def _written_out(host: str) -> bool:
    """Whether whoever writes this host means an inner address: a number as usually written, or a name without dots."""
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return host.endswith(".localhost") or re.fullmatch(r"[a-z][\w-]*", host) is not None


def inner(address: str) -> str:
    """Returns the kind of an IP address that is not public, such as "loopback" or "private", or "" if it is public.

    An IPv6 address that stands for an IPv4 one (mapped, 6to4, NAT64) is judged by that.
    """
    ip: Any = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6:
        low = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        translated = low if any(ip in network for network in TRANSLATED) else None
        ip = ip.ipv4_mapped or ip.sixtofour or translated or ip
    for kind in INNER:
        if getattr(ip, f"is_{kind}", False):
            return kind.replace("_", "-")
    return "" if ip.is_global else "private"


def _dialled(found: list[tuple[Any, ...]], clock: _Clock) -> socket.socket:
    """A connection to the first of these addresses that takes one."""
    fault: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(clock.seconds / len(found))
        clock.watch(connection)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            fault = error
            clock.check()
            continue
        connection.settimeout(clock.seconds)
        return connection
    raise fault


def _sent_on(target: _Target, location: str) -> _Target:
    """Where a redirect leads; InputError for another scheme, and for http after https."""
    with suppress(UnicodeError):
        location = location.encode("latin-1").decode()
    try:
        url = urljoin(target.url, location)
        after = urlsplit(url).scheme
    except ValueError:
        raise InputError("cannot be fetched (the server sends on to what is no address)") from None
    if after not in PORTS or (target.scheme == "https" and after == "http"):
        raise InputError(f"cannot be fetched (the server sends on from {target.scheme} to {after})")
    return _target(url)


def _body(answer: http.client.HTTPResponse, limits: Limits, clock: _Clock) -> bytes:
    length = answer.headers.get("Content-Length", "")
    announced = int(length) if re.fullmatch(r"\d{1,18}", length, re.ASCII) else None
    data = bytearray()
    while True:
        if max(announced or 0, len(data)) > limits.bytes:
            raise InputError(f"more than {limits.bytes:,} bytes, which is the limit bytes")
        piece = answer.read1(PIECE)
        clock.check()
        if not piece:
            break
        data += piece
    if announced is not None and len(data) < announced:
        raise InputError(f"cut short: {len(data):,} of {announced:,} bytes came")
    return bytes(data)
