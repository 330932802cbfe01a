"""The sessions at hand: what the ledger has decided of each, so that a request need not wait for the disk.

Other processes write to the ledger too, and several requests of one session may be under way at once. What is at hand
is never behind what this process has kept itself, and what others have kept is read anew. This module knows nothing of
requests.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Set
from dataclasses import dataclass

from microfiche.errors import StoreError
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.verdict import Verdict

SESSIONS, HELD = 64, 256 << 20  #: sessions that are at hand, and bytes of their pages
NOTED = 300.0  #: seconds after which the ledger is told anew that a session goes on
AGAIN = 30.0  #: seconds after which a ledger that could not be opened is tried again


@dataclass
class Session:
    """The verdicts of a session, as they were when the ledger had so many changes of others; why nothing more of it is
    drawn, if that is so; when it was last seen, in seconds since 1970, None before the first time; and when the ledger
    was last told that. `verdicts` is never changed, but made anew, so that whoever reads it is not disturbed."""

    verdicts: dict[bytes, Verdict]
    pinned: str
    changes: int
    seen: float | None
    noted: float

    @property
    def size(self) -> int:
        """The bytes of all pages."""
        blocks = [verdict.block for verdict in self.verdicts.values() if verdict.block]
        return sum(len(page.png) for block in blocks for page in block.pages)


class Sessions:
    """The sessions of a ledger, which is opened when it is first needed. Many threads may use them."""

    def __init__(self, open_ledger: Callable[[], Ledger]) -> None:
        self._open = open_ledger
        self._ledger: Ledger | None = None
        self._lock = threading.RLock()  # held from what the ledger says or keeps until what is at hand has it
        self._held: OrderedDict[bytes, Session] = OrderedDict()
        self._failed, self._trouble = 0.0, ""

    def ledger(self) -> Ledger:
        """The ledger; StoreError where it cannot be opened, or could not be a short while ago."""
        with self._lock:
            if self._ledger is None:
                if self._trouble and time.monotonic() - self._failed < AGAIN:
                    raise StoreError(self._trouble)
                try:
                    self._ledger = self._open()
                except StoreError as error:
                    self._failed, self._trouble = time.monotonic(), str(error)
                    raise
            return self._ledger

    def at(self, head: bytes, name: str, now: float) -> Session:
        """The session with this head, which the account calls by a `name`, at second `now`. StoreError where it is not
        at hand and the ledger cannot be used."""
        with self._lock:
            found = self._held.get(head)
            try:
                ledger = self.ledger()
                changes = ledger.changes
                if found is None:
                    seen = _latest(ledger.seen(head))
                    found = Session(ledger.verdicts(head), ledger.pinned(head), changes, seen, 0.0)
                elif found.changes != changes:
                    found.verdicts, found.pinned = ledger.verdicts(head), ledger.pinned(head)
                    found.changes = changes
                if abs(now - found.noted) > NOTED:
                    ledger.touch(head, name, now)
                    found.noted = now
            except StoreError:
                if found is None:
                    raise
            self._held[head] = found
            self._held.move_to_end(head)
            while len(self._held) > 1 and (
                len(self._held) > SESSIONS or sum(one.size for one in self._held.values()) > HELD
            ):
                self._held.popitem(last=False)
            return found

    def keep(
        self, head: bytes, name: str, session: Session, new: dict[bytes, Verdict], now: float
    ) -> dict[bytes, Verdict]:
        """Keeps verdicts on a session in the ledger, and gives what holds from now on. The session has them then, also
        where another request has put it at hand anew meanwhile."""
        with self._lock:
            kept = self.ledger().keep(head, new, name, now)
            for held in (session, self._held.get(head)):
                if held is not None:
                    held.verdicts = {**held.verdicts, **kept}
        return kept

    def refuse(self, head: bytes, drawn: Set[bytes], kept: Set[bytes], reason: str) -> None:
        """Draws nothing more of a session of which pages were refused, and takes what was `drawn` for text, but for
        what is `kept`, unless that is refused as well."""
        with self._lock:
            session = self._held.get(head)
            gone = drawn if session is not None and session.pinned else drawn - kept
            if session is not None:
                session.pinned = reason
                session.verdicts = {**session.verdicts, **{digest: Verdict(reason) for digest in gone}}
            self.ledger().pin(head, reason, gone)


def _latest(noted: float | None) -> float | None:
    """When a session was last seen at the latest, by when the ledger was told."""
    return None if noted is None else noted + NOTED
