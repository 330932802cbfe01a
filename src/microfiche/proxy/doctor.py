"""What the log and the environment say of how clients are connected: by which key, with which betas and versions, and
what stands in the way. It asks nobody but the proxy on this machine."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from microfiche.errors import StoreError, UsageError
from microfiche.proxy.account import Record, registered
from microfiche.proxy.clients import VARIABLES, claude_variables
from microfiche.proxy.exchange import LEDGER
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.settings import Settings
from microfiche.proxy.upstreams import Upstreams

SECONDS = 2.0  #: for the proxy to say that it is there, and for who writes to the ledger to end
KEPT = " characters: "  #: what stands in the reason of a text of which the ledger has kept what became
_WHY = {
    401: ": the vendor does not accept its key",
    421: ": its key is another vendor's",
    502: ": the vendor could not be reached",
    508: ": the proxy was led to itself",
}


@dataclass
class Client:
    """What was seen of one client: how it proves itself, and with what it asks."""

    name: str
    requests: int = 0
    last: str = ""
    auth: set[str] = field(default_factory=set)
    vendors: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    betas: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    trouble: str = ""  #: what was wrong with the ledger at last, unless it has kept something since

    def add(self, record: Record) -> None:
        """Adds what one request shows."""
        self.requests, self.last = self.requests + 1, record.time
        self.auth.add(record.auth)
        self.vendors.add(record.vendor)
        self.models |= {record.model} if record.model else set()
        self.betas |= set(record.betas)
        self.versions |= record.versions
        if record.status >= 400:
            self.refused[record.status] = self.refused.get(record.status, 0) + 1
        for reason in record.reasons:
            if reason.startswith(LEDGER):
                self.trouble = f"{reason} ({record.time})"
            elif KEPT in reason:
                self.trouble = ""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is right, and what to know or do."""

    right: bool
    said: str


def clients(records: Iterable[Record]) -> list[Client]:
    """The clients that a log names, the last one first."""
    found: dict[str, Client] = {}
    for record in records:
        found.setdefault(record.client or "unnamed", Client(record.client or "unnamed")).add(record)
    return sorted(found.values(), key=lambda client: client.last, reverse=True)


def findings(
    settings: Settings, environment: Mapping[str, str], seen: Iterable[Client], skipped: int = 0
) -> list[Finding]:
    """All that was looked at; of the log, so many lines were `skipped`."""
    alive = is_alive(settings.url)
    where = f"{settings.host}:{settings.port}"
    found = [Finding(alive, f"a proxy answers at {where}" if alive else
                     f"no proxy answers at {where}: start one with `microfiche proxy`, or use `microfiche run`")]
    named = {name: environment.get(name, "") for name in VARIABLES}
    named["the base URL in Claude Code's settings"] = claude_variables(environment).get("ANTHROPIC_BASE_URL", "")
    for name, address in named.items():
        if address and _leads_here(address, settings):
            found.append(Finding(alive, f"{name} leads to the proxy"))
        elif address:
            found.append(Finding(True, f"{name} leads elsewhere; `microfiche run` passes requests on to there"))
    if skipped:
        found.append(Finding(False, f"{skipped} lines of the log are no records, and were passed over"))
    found += _of_ledger(settings.ledger_path)
    for client in seen:
        found += _of_client(client)
    return found


def _of_ledger(path: Path) -> Iterable[Finding]:
    if not path.exists():
        return
    try:
        with closing(Ledger(path, SECONDS)) as ledger:
            yield Finding(True, f"the ledger {path} holds {ledger.examined()} sessions")
    except StoreError as error:
        yield Finding(False, f"{LEDGER}{error}; what is new goes up as text")


def _leads_here(address: str, settings: Settings) -> bool:
    """Whether a base URL is that of the proxy, by whatever name of this machine, with its token or without."""
    try:
        return Upstreams({"anthropic": address}).leading_to(settings.host, settings.port) is not None
    except UsageError:
        return False


def _of_client(client: Client) -> Iterable[Finding]:
    for status, number in sorted(client.refused.items()):
        yield Finding(status in (429, 529), f"{client.name}: {number} answers {status}{_WHY.get(status, '')}")
    if client.trouble:
        yield Finding(False, f"{client.name}: {client.trouble}")
    if "none" in client.auth:
        yield Finding(True, f"{client.name}: some requests held no key")
    for model in sorted(client.models):
        if registered(model).prices_at() is None:
            yield Finding(True, f"{client.name}: no price is known for {model}; only its tokens are counted")


def is_alive(url: str) -> bool:
    """Whether a proxy answers there, if only that it needs a token."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/healthz", timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 401 and "x-microfiche-error" in error.headers
    except (OSError, ValueError):
        return False
