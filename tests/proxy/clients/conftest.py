"""Real clients at a proxy, which is watched from both sides: what the client sent is what the provider got."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from between import entered, proxying
from provider.server import Provider, provider

from microfiche.proxy import server
from microfiche.proxy.account import Account
from microfiche.proxy.settings import Settings


@dataclass
class Watched:
    """The proxy at `url`, the provider behind it, the account, and the bodies that clients sent."""

    url: str
    vendor: Provider
    account: Account
    bodies: list[bytes] = field(default_factory=list)

    def same_on_both_sides(self, least: int = 1) -> None:
        """Each request went up byte for byte and was answered well, and the account is the bill."""
        sent = [body for body in self.bodies if body]
        assert len(sent) >= least and sorted(sent) == sorted(r.body for r in self.vendor.requests if r.body)
        entered(self.account, len(self.vendor.requests))
        assert self.account.total.failed == 0 and self.account.total.unpriced == 0
        assert self.account.total.dollars == pytest.approx(float(self.vendor.cache.bill.dollars), abs=1e-9)


class Watcher:
    """Notes bodies in front of the application."""

    def __init__(self, inner: Any, bodies: list[bytes]) -> None:
        self.inner, self.bodies, self.books = inner, bodies, inner.books

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        pieces: list[bytes] = []

        async def heard() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                pieces.append(message.get("body", b""))
                if not message.get("more_body"):
                    self.bodies.append(b"".join(pieces))
            return message

        await self.inner(scope, heard if scope["type"] == "http" else receive, send)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "not-a-key")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with provider() as vendor:
        chosen = Settings(anthropic=vendor.url, openai=vendor.url, gemini=vendor.url, log=tmp_path / "log",
                          ledger=tmp_path / "ledger")  # fmt: skip
        relay, account = server.relay(chosen)
        bodies: list[bytes] = []
        with proxying(Watcher(relay, bodies)) as url:
            yield Watched(url, vendor, account, bodies)
