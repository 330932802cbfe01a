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
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from microfiche.errors import StoreError
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.verdict import Verdict

SESSIONS, HELD = 64, 256 << 20  #: sessions that are at hand, and bytes of their pages
NOTED = 300.0  #: seconds after which the ledger is told anew that a session goes on
AGAIN = 30.0  #: seconds after which a ledger that could not be opened is tried again


class Talk(NamedTuple):
    """What a conversation is known by: its `opening`, which it shares with all that begin alike; what its client calls
    it, in the account (`name`) and together with that opening (`named`); and once the model has answered, its `own`
    head, by the first answer, which no other conversation has."""

    opening: bytes
    named: bytes
    own: bytes | None
    name: str

    @property
    def key(self) -> bytes:
        """What tells it from all others, as far as that can be told."""
        return self.own or self.named


@dataclass
class Session:
    """The verdicts of a session, as they were when the ledger had so many changes of others; why nothing more of it is
    drawn, if that is so; when it was last seen, in seconds since 1970, None before the first time; and when the ledger
    was last told that; and how often a provider `failed` over what was new. `verdicts` is never changed, but made anew,
    so that whoever reads it is not disturbed."""

    verdicts: dict[bytes, Verdict]
    pinned: str
    changes: int
    seen: float | None
    noted: float
    failed: int = 0

    @property
    def size(self) -> int:
        """The bytes of all pages."""
        blocks = [verdict.block for verdict in self.verdicts.values() if verdict.block]
        return sum(len(page.png) for block in blocks for page in block.pages)


class Sessions:
    """The sessions of a ledger, which is opened when it is first needed. Many threads may use them.

    What is decided before the model has answered is decided for all conversations that open alike, and never changes.
    From its first answer on each has verdicts of its own, which stand over those. What a provider refuses in one is
    text in that one alone.
    """

    def __init__(self, open_ledger: Callable[[], Ledger]) -> None:
        self._open = open_ledger
        self._ledger: Ledger | None = None
        self._lock = threading.RLock()  # held from what the ledger says or keeps until what is at hand has it
        self._held: OrderedDict[bytes, Session] = OrderedDict()
        self._unwritten: dict[bytes, list[Refusal]] = {}
        self._failed, self._trouble = 0.0, ""
        self.trouble = ""  #: what the ledger could not do last, as long as it cannot

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

    def at(self, talk: Talk, now: float) -> Session:
        """The session of a conversation at second `now`. StoreError where it is not at hand and the ledger cannot be
        used."""
        with self._lock:
            found, ill = self._held.get(talk.key), ""
            try:
                ledger = self.ledger()
                changes = ledger.changes
                if found is None or found.changes != changes:
                    found = self._read(ledger, talk, changes, found)
            except StoreError as error:
                self.trouble = ill = str(error)
                if found is None:
                    raise
            self._held[talk.key] = found
            self._held.move_to_end(talk.key)
            while not ill and len(self._held) > 1 and (  # what cannot be read again is not given away
                len(self._held) > SESSIONS or sum(one.size for one in self._held.values()) > HELD
            ):
                self._held.popitem(last=False)
            try:
                ledger = self.ledger()
                ledger.check()
                self._write()
                if abs(now - found.noted) > NOTED:
                    self._note(ledger, talk, now)
                    found.noted = now
                self.trouble = ill
            except StoreError as error:
                self.trouble = str(error)
            return found

    def _read(self, ledger: Ledger, talk: Talk, changes: int, found: Session | None) -> Session:
        """A session as the ledger has it, with what it could not be told yet."""
        own = talk.own if talk.own is not None and ledger.seen(talk.own) is not None else talk.named
        verdicts = ledger.verdicts(talk.opening) | ledger.verdicts(own)
        pinned = ledger.pinned(own) or ledger.pinned(talk.opening)
        if found is None:
            seen = ledger.seen(own) or ledger.seen(talk.opening)
            found = Session(verdicts, pinned, changes, _latest(seen), -inf)
        found.verdicts, found.pinned, found.changes = verdicts, pinned, changes
        for refusal in self._unwritten.get(talk.key, ()):
            _tell(found, refusal)
        return found

    def _note(self, ledger: Ledger, talk: Talk, now: float) -> None:
        """Tells the ledger that a session goes on, and of one of its own as soon as the model has answered."""
        known = [head for head in (talk.opening, talk.named) if ledger.seen(head) is not None]
        if talk.own is not None and known and ledger.seen(talk.own) is None:
            ledger.begin(talk.own, (talk.opening, talk.named), talk.name, now)
        for head in (*known, talk.own):
            if head is not None:
                ledger.touch(head, talk.name, now)

    def keep(self, talk: Talk, session: Session, new: dict[bytes, Verdict], now: float) -> dict[bytes, Verdict]:
        """Keeps verdicts on a session in the ledger, and gives what holds from now on. The session has them then, also
        where another request has put it at hand anew meanwhile."""
        with self._lock:
            ledger = self.ledger()
            if talk.own is not None and ledger.seen(talk.own) is None:
                ledger.begin(talk.own, (talk.opening, talk.named), talk.name, now)
            head = talk.own or (talk.named if session.pinned else talk.opening)
            kept = ledger.keep(head, new, talk.name, now)
            for held in (session, self._held.get(talk.key)):
                if held is not None:
                    held.verdicts = {**held.verdicts, **kept}
        return kept

    def refuse(self, talk: Talk, gone: Set[bytes], reason: str, pin: bool = True) -> None:
        """Takes what was refused in a conversation for text, in it alone; and where it is to `pin`, or that happens
        again, draws nothing more of it. What the ledger cannot be told now, it is told as soon as it can."""
        with self._lock:
            session = self._held.get(talk.key)
            if session is not None:
                session.failed += 1
                pin = pin or session.failed > 1
            refusal = Refusal(talk, frozenset(gone), reason, pin)
            if session is not None:
                _tell(session, refusal)
            self._unwritten.setdefault(talk.key, []).append(refusal)
            self._write()

    def flush(self, seconds: float = 5.0) -> None:
        """Waits until the ledger knows of all refusals, but not longer than this."""
        end = time.monotonic() + seconds
        while self._unwritten and time.monotonic() < end:
            with suppress(StoreError), self._lock:
                self._write()
            if self._unwritten:
                time.sleep(0.05)

    def _write(self) -> None:
        """Tells the ledger of refusals that it does not know yet."""
        for key, refusals in list(self._unwritten.items()):
            while refusals:
                (talk, gone, reason, pin), ledger = refusals[0], self.ledger()
                if talk.own is not None:
                    ledger.begin(talk.own, (talk.opening, talk.named), talk.name)
                ledger.refuse(talk.key, reason, gone, pin, talk.name)
                del refusals[0]
            del self._unwritten[key]


class Refusal(NamedTuple):
    """What of a conversation is text from now on, and why; and whether all that comes is, too."""

    talk: Talk
    gone: frozenset[bytes]
    reason: str
    pin: bool


def _tell(session: Session, refusal: Refusal) -> None:
    session.pinned = refusal.reason if refusal.pin else session.pinned
    session.verdicts = {**session.verdicts, **{digest: Verdict(refusal.reason) for digest in refusal.gone}}


def _latest(noted: float | None) -> float | None:
    """When a session was last seen at the latest, by when the ledger was told."""
    return None if noted is None else noted + NOTED
