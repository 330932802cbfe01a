"""The proxy on a port: in the foreground until it is stopped, or in a thread beside a command that uses it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http import h11_impl

from microfiche.errors import InputError, UsageError
from microfiche.proxy.account import Account
from microfiche.proxy.exchange import Drawer
from microfiche.proxy.log import usable
from microfiche.proxy.panel import Panel
from microfiche.proxy.relay import Relay
from microfiche.proxy.settings import Settings
from microfiche.proxy.verdict import Draw

BACKLOG = 2048  #: connections that may wait to be taken
GRACE = 3  #: seconds that open answers have to end when the proxy is stopped
END = 10.0  #: seconds for which a proxy in a thread is waited for when it is stopped
MESSAGE = 1 << 16  #: bytes of a WebSocket's message
IDLE = 300  #: seconds that a client's connection may be idle, longer than clients themselves keep one


def fit(settings: Settings) -> None:
    """UsageError where a vendor's address is that of the proxy itself, or its log can be none."""
    usable(settings.log_path)
    leads_here(settings)


def leads_here(settings: Settings) -> None:
    """UsageError where a vendor's address is that of the proxy itself."""
    vendor = settings.upstreams.leading_to(settings.host, settings.port)
    if vendor is not None:
        where = f"{settings.host}:{settings.port}"
        raise UsageError(f"{vendor}: {where} is this proxy itself; name where its requests are to go, or unset the "
                         "base URL that names it")  # fmt: skip


def relay(settings: Settings, drawer: Drawer | None = None) -> tuple[Relay, Account]:
    """The application by these settings, with its pages, and the account that it keeps. It draws with a `drawer`, or as
    the settings say. UsageError where a vendor's address is that of the proxy itself."""
    leads_here(settings)
    account = Account(settings.log_path)
    drawer = drawer or drawer_of(settings)
    choices: Any = drawer if hasattr(drawer, "as_text") else None
    panel = Panel(account, settings, choices)
    made = Relay(
        settings.upstreams, books=account, pages=panel, drawer=drawer, draws=lambda: panel.draws, token=settings.token
    )
    return made, account


def drawer_of(settings: Settings) -> Drawer | None:
    """What draws by these settings; None where nothing is drawn."""
    if settings.draw == Draw.off:
        return None
    from microfiche.proxy.drawer import LedgerDrawer
    from microfiche.proxy.ledger import Ledger

    def ledger() -> Ledger:
        opened = Ledger(settings.ledger_path)
        opened.age(settings.keep_days, settings.keep_megabytes << 20)
        return opened

    return LedgerDrawer(ledger, settings.draw)


class _Connection(h11.Connection):
    """A client's connection that keeps the target of a request as it came, and says the vendor's own reason phrase."""

    state: dict[str, Any]
    hop: dict[str, Any]

    def next_event(self) -> Any:
        """The next event; that of a request is noted."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.hop = self.state["hop"] = {"target": event.target}
        return event

    def send(self, event: Any) -> Any:
        """The bytes of an event."""
        if isinstance(event, h11.Response) and (reason := self.hop.get("reason")) is not None:
            event = h11.Response(status_code=event.status_code, headers=event.headers, reason=reason)
        return super().send(event)


class _Protocol(h11_impl.H11Protocol):
    """uvicorn's protocol on such connections."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn = _Connection(h11.SERVER, self.config.h11_max_incomplete_event_size or 1 << 16)
        self.conn.state, self.conn.hop = self.app_state, {}


h11_impl.STATUS_PHRASES.update({status: b"" for status in range(600, 1000)})  # a vendor's odd status passes


class _Server(uvicorn.Server):
    """Says when it is ready to be asked."""

    ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen."""
        await super().startup(sockets)
        self.ready()


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0 takes one that is free. InputError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # only so asyncio sends without delay
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise InputError(f"port {port} of {host} cannot be had: {error.strerror or error}; try --port 0") from error
    return made


def _server(application: Any, sockets: bool) -> _Server:
    # What uvicorn would log names paths, in which there may be keys; the proxy has a log of its own.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return _Server(uvicorn.Config(
        application, log_config=None, access_log=False, server_header=False, date_header=False, proxy_headers=False,
        http=_Protocol, ws="auto" if sockets else "none", ws_max_size=MESSAGE, backlog=BACKLOG,
        timeout_keep_alive=IDLE, timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=1 << 20,
    ))  # fmt: skip


def serve(application: Any, listening: socket.socket, sockets: bool = False) -> None:
    """Serves at a bound socket until the process is told to stop, and WebSockets too if the application knows them."""
    _server(application, sockets).run([listening])


@contextmanager
def served(application: Any, listening: socket.socket, sockets: bool = False) -> Iterator[None]:
    """Serves at a bound socket in a thread of this process, as long as the context lasts; `sockets` as in `serve`."""
    server, ready = _server(application, sockets), threading.Event()
    server.ready = ready.set
    thread = threading.Thread(target=server.run, args=([listening],), name="proxy", daemon=True)
    thread.start()
    while not ready.wait(0.1):
        if not thread.is_alive():
            raise InputError("the proxy did not start")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(END)
