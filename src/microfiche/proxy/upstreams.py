"""Where a request goes: to which vendor, to which address there, with which headers. A key goes to its own vendor only.

A path that names a dialect, or one of a vendor's own, says the vendor; for any other path the key and the headers do,
and a key of which nothing tells whose it is goes nowhere. Paths and queries are passed on byte for byte. Sources: RFC
9110, section 7.6.1, for the headers that end at each hop.
"""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

from microfiche.errors import UsageError
from microfiche.proxy.protocols import VENDORS, Route, Vendor

Headers = list[tuple[bytes, bytes]]

HOMES: Mapping[Vendor, str] = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
    "chatgpt": "https://chatgpt.com/backend-api/codex",
    "gemini": "https://generativelanguage.googleapis.com",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OWN = b"x-microfiche"  #: what our own headers begin with; they end here

_HOP = frozenset((
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
))  # fmt: skip
_ENDS_HERE = frozenset((b"host", b"content-length", b"expect"))
#: how the keys of each vendor look, wherever in a request they stand
_KEYS: tuple[tuple[re.Pattern[str], Vendor], ...] = (
    (re.compile(r"(?<![A-Za-z0-9])sk-ant-"), "anthropic"),
    (re.compile(r"(?<![A-Za-z0-9])sk-(?:proj|svcacct|admin)-"), "openai"),
    (re.compile(r"(?<![A-Za-z0-9])AIza[\w-]|(?<![A-Za-z0-9])ya29\."), "gemini"),
)
_CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
#: what only one vendor has below /v1, or at the root for OpenAI's, whose addresses hold the version
_FAMILIES: tuple[tuple[re.Pattern[bytes], Vendor], ...] = (
    (re.compile(rb"(?:/v1)?/(?:messages|complete)(?:/|$)"), "anthropic"),
    (re.compile(rb"/(?:upload/|download/)?v1(?:beta|alpha)\d*(?:/|$)|/v1/(?:tunedModels|models/[^/]*:)"), "gemini"),
    (re.compile(rb"(?:/v1)?/(?:responses|chat|completions|embeddings|images|audio|videos|moderations|assistants|threads|"
                rb"vector_stores|fine_tuning|realtime|conversations|evals|containers|uploads)(?:/|$)"), "openai"),
)
_AGENTS: tuple[tuple[str, Vendor], ...] = (
    ("claude", "anthropic"), ("anthropic", "anthropic"), ("openai", "openai"), ("codex", "openai"),
    ("google-genai", "gemini"), ("geminicli", "gemini"),
)  # fmt: skip
_OPENAI_SIGNS = ("openai-", "x-openai-")
_ANTHROPIC_SIGNS = ("anthropic-", "x-claude-")


class Misdirected(Exception):
    """A key would go to a vendor that did not give it, or perhaps did not; the message does not repeat it."""


@dataclass(frozen=True)
class Target:
    """Where a request goes: the vendor, the `address` to connect to, and the `target` of the request line; and whether
    the address was `named`, so that it is not the vendor's own."""

    vendor: Vendor
    address: str
    target: bytes
    named: bool = False


@dataclass(frozen=True)
class Upstreams:
    """The address of each vendor: its own, unless `named` has another."""

    named: Mapping[Vendor, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for vendor, address in self.named.items():
            try:
                parts = urlsplit(address)
                right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:  # a port that is no number or too large, a bracket that stays open
                right = False
            if not right or not re.fullmatch(r"[!-~]+", address) or re.search(r"[\"<>\\^`{|}]", address):
                raise UsageError(f"{vendor}: {_shown(address)!r} is not an http:// or https:// address")
            if parts.username is not None or parts.query or parts.fragment:
                raise UsageError(f"{vendor}: {_shown(address)!r} must have only a scheme, a host and a path")

    def leading_to(self, host: str, port: int) -> Vendor | None:
        """The vendor whose address is that of a server at `host` and `port` on this machine, if there is one."""
        here = {"127.0.0.1", "localhost", "::1", "0.0.0.0", "::"}
        here = here | {socket.gethostname().lower()} if host in here else {host}
        for vendor, address in self.named.items():
            parts = urlsplit(address)
            if (parts.port or {"http": 80, "https": 443}[parts.scheme]) == port and parts.hostname in here:
                return vendor
        return None

    def address(self, vendor: Vendor) -> str:
        """The address of a vendor, without a slash at its end."""
        return self.named.get(vendor, HOMES[vendor]).rstrip("/")

    def all(self) -> tuple[Vendor, ...]:
        """All vendors."""
        return VENDORS

    def target(self, route: Route | None, path: bytes, query: bytes, headers: Mapping[str, str]) -> Target:
        """Where a request goes. Misdirected where it holds a key of another vendor."""
        owners = set(_owners(path, headers, query))
        vendor = route.vendor if route else self._vendor(path, query, headers, owners)
        if vendor == "openai" and "chatgpt-account-id" in headers:
            vendor = "chatgpt"
        host = urlsplit(self.address(vendor)).hostname
        for owner in owners:
            if owner != vendor and host != urlsplit(HOMES[owner]).hostname:
                raise Misdirected(f"the key is one of {owner}, and this path goes to {vendor}: nothing was sent")
        whole = urlsplit(self.address(vendor))
        address, target = f"{whole.scheme}://{whole.netloc}", _joined(vendor, whole.path, path) + _asking(query)
        return Target(vendor, address, target, vendor in self.named)

    def _vendor(self, path: bytes, query: bytes, headers: Mapping[str, str], owners: set[Vendor]) -> Vendor:
        """The vendor to whom a path belongs that names no dialect. Misdirected where nothing tells, and there is a
        key."""
        plain = re.sub(rb"/+", b"/", unquote_to_bytes(path))
        for pattern, vendor in _FAMILIES:
            if pattern.match(plain):
                return vendor
        if "x-goog-api-key" in headers:
            return "gemini"
        if len(owners) == 1:
            return next(iter(owners))
        if "x-api-key" in headers or any(name.startswith(_ANTHROPIC_SIGNS) for name in headers):
            return "anthropic"
        if any(name.startswith(_OPENAI_SIGNS) for name in headers) or "api-key" in headers:
            return "openai"
        agent = headers.get("user-agent", "").lower()
        for start, owner in _AGENTS:
            if agent.startswith(start):
                return owner
        bearer = headers.get("authorization", "")
        if not bearer and not re.search(rb"(?:^|&)key=", unquote_to_bytes(query)):
            if len(self.named) == 1:
                return next(iter(self.named))
            return "openai" if path.startswith(b"/v1/") else "anthropic"
        if re.match(r"(?i:bearer\s+)?sk-", bearer):
            return "openai"
        raise Misdirected("nothing tells whose key this is: send one of the vendor's own headers too, such as "
                          "anthropic-version or openai-organization; nothing was sent")  # fmt: skip


def _shown(address: str) -> str:
    """An address without what may be a password or a key in it."""
    return re.sub(r"[?#].*", "…", re.sub(r"//[^/]*@", "//…@", address))


def _owners(path: bytes, headers: Mapping[str, str], query: bytes) -> Iterable[Vendor]:
    """The vendors whose keys a request holds, wherever in it they stand, where they can be told."""
    words = [unquote_to_bytes(path + b"?" + query).decode("latin-1"), *headers.values()]
    scheme, _, packed = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            words.append(base64.b64decode(packed + "==").decode("latin-1"))
    said = "\n".join(words)
    for pattern, vendor in _KEYS:
        if pattern.search(said):
            yield vendor
    if "x-goog-api-key" in headers or any(re.search(r"(?:^|\s)AQ\.", headers.get(name, "")) for name in _CREDENTIALS):
        yield "gemini"


def _joined(vendor: Vendor, base: str, path: bytes) -> bytes:
    """A client's path below the path of an address.

    OpenAI's addresses hold the version, as its clients' do, so that the address's path stands for the client's /v1.
    Those of the others do not; where one does, it is not said twice.
    """
    start = base.rstrip("/").encode()
    if not start:
        return path
    if vendor in ("openai", "chatgpt"):
        return start + (path[3:] if re.match(rb"/v1(?:/|$)", path) else path)
    version = re.search(rb"/v1(?:beta|alpha)?$", start)
    if version and (path == version[0] or path.startswith(version[0] + b"/")):
        return start + path[len(version[0]) :]
    return start + path


def _asking(query: bytes) -> bytes:
    return b"?" + query if query else b""


def together(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their names in lower case. One that stands twice has both values, as RFC 9110, section 5.3, reads it,
    so that none of them is overlooked."""
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def upward(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a request that go on: all but those of this hop, those that are written anew, and our own."""
    return [(name, value) for name, value in _beyond(headers)
            if name.lower() not in _ENDS_HERE and not name.lower().startswith(OWN)]  # fmt: skip


def downward(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The headers of an answer that go on: all but those of this hop, and a length where chunks say it otherwise."""
    chunked = any(name.lower() == b"transfer-encoding" for name, _ in headers)
    return [(name, value) for name, value in _beyond(headers) if not (chunked and name.lower() == b"content-length")]


def _beyond(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    kept = list(headers)
    lists = [value.lower() for name, value in kept if name.lower() == b"connection"]
    named = {part.strip() for value in lists for part in value.split(b",")}
    return ((n, v) for n, v in kept if n.lower() not in _HOP and n.lower() not in named)


def known(vendor: str) -> Vendor:
    """The vendor of this name; UsageError if there is none."""
    for one in VENDORS:
        if one == vendor:
            return one
    raise UsageError(f"no vendor {vendor!r}; there are {', '.join(VENDORS)}")


def auth_kind(headers: Mapping[str, str], query: bytes) -> str:
    """How a request proves who sends it, without saying with what."""
    bearer = headers.get("authorization", "")
    kinds = []
    if "x-api-key" in headers:
        kinds.append("x-api-key")
    if "sk-ant-oat" in bearer or "oauth-" in headers.get("anthropic-beta", ""):
        kinds.append("OAuth")
    elif bearer:
        kinds.append("ChatGPT login" if "chatgpt-account-id" in headers else "Bearer")
    if "x-goog-api-key" in headers or re.search(rb"(?:^|&)key=", query):
        kinds.append("Google key")
    if "api-key" in headers:
        kinds.append("api-key")
    return " and ".join(kinds) or "none"
