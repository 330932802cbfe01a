"""The proxy's own pages: what each request cost, what became a picture and why, switches, and figures for Prometheus.

They are on no vendor's path, hold nothing of what was said except the pages drawn last, and answer only who calls them
by an address of this machine, or by the token.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files
from typing import Any, Protocol
from urllib.parse import urlsplit

from microfiche.proxy.account import KINDS, Account, registered
from microfiche.proxy.settings import Settings, is_loopback
from microfiche.proxy.upstreams import Headers
from microfiche.proxy.verdict import Draw

ROOT = b"/microfiche"
_JSON, _TEXT = b"application/json", b"text/plain; charset=utf-8"
_SAFE: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                                 b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
]  # fmt: skip
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z.-]+))(?::[0-9]{1,5})?")  #: RFC 9110, section 7.2
_FILES = {b"/": ("panel.html", b"text/html; charset=utf-8"), b"/panel.js": ("panel.js", b"text/javascript"),
          b"/panel.css": ("panel.css", b"text/css"), b"/panel.svg": ("panel.svg", b"image/svg+xml")}  # fmt: skip


class Choices(Protocol):
    """What may become pages from now on: these `kinds`, but nothing more for the models that are read `as_text`."""

    kinds: Draw
    as_text: set[str]


class Panel:
    """Answers for the pages. `draws` is the switch: whether anything may become a picture at all. With `choices`, what
    is new may be chosen."""

    def __init__(self, account: Account, settings: Settings, choices: Choices | None = None) -> None:
        self.account, self.settings, self.choices = account, settings, choices
        self.draws = settings.draw != "off"

    def owns(self, path: bytes) -> bool:
        """Whether a path is one of these pages'."""
        return path in (ROOT, b"/metrics", b"/healthz") or path.startswith(ROOT + b"/")

    async def answer(
        self, method: str, path: bytes, headers: dict[str, str], body: bytes
    ) -> tuple[int, Headers, bytes]:
        """The answer to a request for one of them: status, headers, body."""
        if self.settings.token is None and not _called_here(headers.get("host", "")):
            return _said(403, _TEXT, b"call this page by an address of this machine\n")
        page = path[len(ROOT) :] if path.startswith(ROOT) else path
        if method == "POST" and page == b"/switch":
            return self._switch(headers, body)
        if method not in ("GET", "HEAD"):
            return _said(405, _TEXT, b"only GET here\n")
        if page == b"":
            return 302, [*_SAFE, (b"location", b"microfiche/")], b""
        if page in _FILES:
            name, kind = _FILES[page]
            return _said(200, kind, (files(__package__) / name).read_bytes())
        if page == b"/status.json":
            await asyncio.to_thread(self.account.flush, 0.5)  # so that it says whether the log is written
            return _said(200, _JSON, json.dumps(self.status()).encode())
        if page == b"/metrics":
            return _said(200, b"text/plain; version=0.0.4; charset=utf-8", metrics(self.account).encode())
        if page == b"/healthz":
            return _said(200, _JSON, b'{"status": "ok"}')
        png = self.account.pages.get(page.removeprefix(b"/pages/").removesuffix(b".png").decode("latin-1"))
        if png is not None:
            return _said(200, b"image/png", png)
        return _said(404, _TEXT, b"there is no such page\n")

    def status(self) -> dict[str, object]:
        """All that the page shows."""
        upstreams = self.settings.upstreams
        return {
            "draws": self.draws,
            "draw": self.settings.draw.value if self.choices is None else self.choices.kinds.value,
            "kinds": [] if self.choices is None else [kind.value for kind in Draw if kind != Draw.off],
            "models": self._models(),
            "log": self.account.trouble or str(self.settings.log_path),
            "trouble": bool(self.account.trouble),
            "vendors": {name: urlsplit(upstreams.address(name)).netloc for name in upstreams.all()},
            "total": self.account.total.as_json(),
            "sessions": [{"session": name, **one.as_json()} for name, one in reversed(self.account.sessions.items())],
            "requests": [{**asdict(record), "saved": record.saved} for record in reversed(self.account.recent)],
        }

    def _models(self) -> dict[str, bool]:
        """The models that were asked or switched off, and whether what is new may be drawn for them."""
        if self.choices is None:
            return {}
        as_text = self.choices.as_text
        return {name: name not in as_text for name in sorted(as_text | set(self.account.by_model) - {"other"})}

    def _switch(self, headers: dict[str, str], body: bytes) -> tuple[int, Headers, bytes]:
        """Turns drawing on or off for all requests, or for what is new of one model, or chooses what may be drawn from
        now on. Only a page of ours may ask for it, and not one of elsewhere."""
        origin = headers.get("origin")
        if not headers.get("content-type", "").startswith("application/json") or (
            origin is not None and urlsplit(origin).netloc != headers.get("host")
        ):
            return _said(403, _TEXT, b"only the proxy's own page may switch\n")
        try:
            wanted = json.loads(body)
        except (ValueError, RecursionError):
            wanted = None
        if not self._set(wanted):
            return _said(400, _TEXT, b'send {"draws": true}, with a "model" or without, or {"draw": "slab"}\n')
        return _said(200, _JSON, json.dumps(wanted).encode())

    def _set(self, wanted: Any) -> bool:
        """Sets a switch; whether there is such a one."""
        match wanted:
            case {"draws": bool(on), "model": str(name), **rest} if not rest and self.choices is not None:
                model = registered(name[:400])
                if model.guess:
                    return False
                (self.choices.as_text.discard if on else self.choices.as_text.add)(model.name)
            case {"draws": bool(on), **rest} if not rest:
                self.draws = on
            case {"draw": "safe" | "slab" | "full" as kind, **rest} if not rest and self.choices is not None:
                self.choices.kinds = Draw(kind)
            case _:
                return False
        return True


def _said(status: int, kind: bytes, body: bytes) -> tuple[int, Headers, bytes]:
    return status, [*_SAFE, (b"content-type", kind)], body


def _called_here(named: str) -> bool:
    """Whether the Host of a request is an address of this machine, and no other name that was made to lead here."""
    found = _HOST.fullmatch(named)
    return found is not None and is_loopback(found[1] or found[2])


def metrics(account: Account) -> str:
    """The account's figures in Prometheus' text format."""
    return "".join(f"{line}\n" for line in _metrics(account))


def _metrics(account: Account) -> Iterator[str]:
    yield from _head("requests_total", "counter", "Requests that were answered, by vendor and kind of status.")
    for (vendor, status), number in sorted(account.answers.items()):
        yield f'microfiche_requests_total{{vendor="{_label(vendor)}",status="{status}"}} {number}'
    yield from _head("tokens_total", "counter", "Tokens as sent, and as they would have been as text, by their kind.")
    for model, one in sorted(account.by_model.items()):
        for way, tokens in (("sent", one.tokens), ("text", one.text_tokens)):
            for kind in KINDS:
                yield f'microfiche_tokens_total{{model="{_label(model)}",way="{way}",kind="{kind}"}} {tokens[kind]}'
    yield from _head("dollars_total", "counter", "US dollars as sent, and as they would have been as text.")
    for model, one in sorted(account.by_model.items()):
        for way, dollars in (("sent", one.dollars), ("text", one.text_dollars)):
            yield f'microfiche_dollars_total{{model="{_label(model)}",way="{way}"}} {dollars:.9f}'
    yield from _head("unpriced_total", "counter", "Answers of which the money is not known.")
    yield f"microfiche_unpriced_total {account.total.unpriced}"
    yield from _head("inexact_total", "counter", "Answers that were cut, and may have cost more.")
    yield f"microfiche_inexact_total {account.total.inexact}"
    yield from _head("incomplete_total", "counter", "Requests of which not all could be taken down.")
    yield f"microfiche_incomplete_total {account.incomplete}"
    yield from _head("log_lost_total", "counter", "Lines of the log that could not be written.")
    yield f"microfiche_log_lost_total {account.lost}"
    yield from _head("pages_total", "counter", "Pages in requests, a page anew in each of them.")
    yield f"microfiche_pages_total {account.total.pages}"
    yield from _head("first_byte_seconds", "summary", "Seconds until the vendor began to answer.")
    yield f"microfiche_first_byte_seconds_sum {account.waited:.6f}"
    yield f"microfiche_first_byte_seconds_count {account.answered}"


def _label(text: str) -> str:
    """A label's value, escaped as the format asks."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _head(name: str, kind: str, said: str) -> tuple[str, str]:
    return f"# HELP microfiche_{name} {said}", f"# TYPE microfiche_{name} {kind}"
