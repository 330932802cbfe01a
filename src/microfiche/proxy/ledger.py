"""The ledger: what the proxy decided of each block of each session, and what it drew, so that the same block always
goes up as the same bytes, also after a restart.

One SQLite file in the user's state folder, for the user alone (mode 0600). A session is known by the head of its
conversation, and a block by the SHA-256 of its text and its place. A block that was drawn keeps its text, its pages as
PNG, and the lines that stand on each; they are found by their words. This module knows nothing of protocols.
"""

from __future__ import annotations

import io
import threading
import time
import zlib
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from PIL import Image

from microfiche.errors import StoreError
from microfiche.files import plain
from microfiche.memory.database import wipe
from microfiche.memory.letters import compared
from microfiche.memory.paper import from_bytes, to_bytes
from microfiche.memory.words import index_words, match_of, passage, pattern_of, places_of, unindex_words
from microfiche.proxy.ledger_file import EXCERPT, LedgerFile
from microfiche.proxy.verdict import DrawnBlock, DrawnPage, Erased, Hit, LedgerPage, Line, Verdict

WAIT, PATIENCE = 0.25, 5.0  #: seconds that a request, and the forgetting of what is old, wait for who writes
DAYS, BYTES = 30.0, 1 << 30  #: for how long, and up to which size, a ledger is kept
FREE = 0.5  #: the share of the file that may stand empty before it is written anew
DAY = 86_400.0  #: seconds after which what is too old or too much is forgotten anew
LEAP = 7 * DAY  #: seconds between two requests that are taken for a jump of the clock


class Ledger(LedgerFile):
    """The ledger in the file at `path`, made if it is not there. Many processes and threads may use it.

    The file is closed by `close`, or once nothing refers to the ledger any more, or when the process ends.

    Everything raises StoreError, in one line, where the file is damaged, locked for longer than `timeout` seconds,
    full, of a newer version, or no ledger. A file that was removed or replaced can still be read, and is written to no
    more.
    """

    def __init__(self, path: Path, timeout: float = WAIT) -> None:
        super().__init__(path, timeout)
        self._retained: tuple[float, int, float] | None = None  # days, bytes, and when that was last seen to
        self.ageing: threading.Thread | None = None  #: forgets what is old, and keeps no request waiting

    # --- verdicts ---

    def verdicts(self, head: bytes, only: bytes | None = None) -> dict[bytes, Verdict]:
        """All verdicts of the session with this head, by the digests of their blocks, or `only` that of one."""
        with self._using() as connection:
            rows = connection.execute(
                "SELECT verdict.digest, block, banner, stop, reason FROM verdict JOIN session ON session.id = session"
                " WHERE head = ? AND (? IS NULL OR digest = ?)", (head, only, only),
            ).fetchall()  # fmt: skip
            return {bytes(digest): Verdict(reason, None if block is None else self._block(block), bool(banner), stop)
                    for digest, block, banner, stop, reason in rows}  # fmt: skip

    def verdict(self, head: bytes, digest: bytes) -> Verdict | None:
        """The verdict on a block in the session with this head; None if it has none yet."""
        return self.verdicts(head, digest).get(digest)

    def pinned(self, head: bytes) -> str:
        """Why nothing more of a session is drawn; empty where that is not so."""
        with self._using() as connection:
            row = connection.execute("SELECT pinned FROM session WHERE head = ?", (head,)).fetchone()
            return row[0] if row else ""

    def seen(self, head: bytes) -> float | None:
        """When the session with this head was last noted, in seconds since 1970; None for a new one."""
        with self._using() as connection:
            row = connection.execute("SELECT seen FROM session WHERE head = ?", (head,)).fetchone()
            return float(row[0]) if row else None

    def refuse(
        self, head: bytes, reason: str, blocks: Iterable[bytes] = (), pin: bool = True, name: str = "",
        now: float | None = None,
    ) -> None:  # fmt: skip
        """Notes that blocks with these digests are text in a session, and why; and where it is to `pin`, that nothing
        more of it is drawn."""
        now = time.time() if now is None else now
        with self._using(write=True) as connection:
            session = self._session(head, name, now)
            if pin:
                connection.execute("UPDATE session SET pinned = ? WHERE id = ?", (reason, session))
            connection.executemany(
                "INSERT OR REPLACE INTO verdict VALUES (?, ?, NULL, 0, 0, ?, ?)",
                [(session, one, reason, now) for one in blocks],
            )

    def begin(self, head: bytes, before: Iterable[bytes], name: str = "", now: float | None = None) -> None:
        """Begins the session with this head, if it is not there, with all that holds in those of `before`, where the
        later ones stand over the others."""
        now = time.time() if now is None else now
        with self._using(write=True) as connection:
            if self.seen(head) is None:
                session = self._session(head, name, now)
                for one in before:
                    connection.execute(
                        "UPDATE session SET pinned = coalesce((SELECT nullif(pinned, '') FROM session WHERE head = ?),"
                        " pinned) WHERE id = ?", (one, session),
                    )  # fmt: skip
                    connection.execute(
                        "INSERT OR REPLACE INTO verdict SELECT ?, digest, block, banner, stop, reason, time"
                        " FROM verdict WHERE session = (SELECT id FROM session WHERE head = ?)", (session, one),
                    )  # fmt: skip

    def keep(
        self, head: bytes, verdicts: dict[bytes, Verdict], name: str = "", now: float | None = None
    ) -> dict[bytes, Verdict]:
        """Keeps verdicts of the session with this head, all of them or none, and gives what holds from now on: where
        another process was first, its verdict. `name` is what the account calls the session."""
        now = time.time() if now is None else now
        with self._using(write=True) as connection:
            session = self._session(head, name, now)
            for digest, verdict in verdicts.items():
                block = None if verdict.block is None else self._put(verdict.block, now)
                connection.execute(
                    "INSERT OR IGNORE INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (session, digest, block, verdict.banner, verdict.stop, verdict.reason, now),
                )
            found = {digest: self.verdict(head, digest) for digest in verdicts}
        passed = 0.0 if self._retained is None else time.time() - self._retained[2]
        if self._retained is not None and passed > LEAP:  # the clock may have jumped: a day shows whether it stays so
            self._retained = (*self._retained[:2], time.time())
        elif self._retained is not None and abs(passed) > DAY:
            self.age(*self._retained[:2])
        return {digest: verdict for digest, verdict in found.items() if verdict is not None}

    def drawn(self, digest: bytes) -> DrawnBlock | None:
        """A block of any session, by the digest of its text and place, if it was drawn."""
        with self._using() as connection:
            row = connection.execute("SELECT id FROM block WHERE digest = ?", (digest,)).fetchone()
            return self._block(row[0]) if row else None

    def has(self, name: str) -> bool:
        """Whether a block has this name."""
        with self._using() as connection:
            return connection.execute("SELECT 1 FROM block WHERE name = ?", (name,)).fetchone() is not None

    def touch(self, head: bytes, name: str = "", now: float | None = None) -> None:
        """Notes that a session goes on, if the ledger has it."""
        now = time.time() if now is None else now
        with self._using(write=True) as connection:
            connection.execute("UPDATE session SET seen = ?, name = ? WHERE head = ?", (now, name, head))

    def _session(self, head: bytes, name: str, now: float) -> int:
        self._connection.execute(
            "INSERT INTO session(head, began, seen, name) VALUES (?, ?, ?, ?)"
            " ON CONFLICT(head) DO UPDATE SET seen = excluded.seen, name = excluded.name", (head, now, now, name),
        )  # fmt: skip
        (found,) = self._connection.execute("SELECT id FROM session WHERE head = ?", (head,)).fetchone()
        return int(found)

    def _put(self, block: DrawnBlock, now: float) -> int:
        row = self._connection.execute("SELECT id FROM block WHERE digest = ?", (block.digest,)).fetchone()
        if row:
            return int(row[0])
        lines = block.text.count("\n") + 1
        found = self._connection.execute(
            "INSERT INTO block(name, digest, source, characters, lines, made, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (block.name, block.digest, plain(block.source), len(block.text), lines, now,
             zlib.compress(to_bytes(block.text), 6)),
        ).lastrowid  # fmt: skip
        for page in block.pages:
            row_id = self._connection.execute(
                "INSERT INTO page(block, number, first, last, start, stop, width, height, tokens, caption, png)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (found, page.number, page.first, page.last, page.start, page.stop, page.width, page.height,
                 page.tokens, to_bytes(page.caption), page.png),
            ).lastrowid  # fmt: skip
            index_words(self._connection, row_id or 0, plain(block.text[page.start : page.stop]))
        return int(found or 0)

    def _block(self, block: int) -> DrawnBlock:
        name, digest, source, text = self._connection.execute(
            "SELECT name, digest, source, text FROM block WHERE id = ?", (block,)
        ).fetchone()
        pages = self._connection.execute(
            "SELECT number, first, last, start, stop, width, height, tokens, caption, png FROM page WHERE block = ?"
            " ORDER BY number", (block,),
        ).fetchall()  # fmt: skip
        drawn = [(*row[:8], from_bytes(row[8]), self._picture(row[9])) for row in pages]
        return DrawnBlock(name, bytes(digest), source, self._text(text), tuple(DrawnPage(*row) for row in drawn))

    def _picture(self, png: bytes) -> bytes:
        try:
            with Image.open(io.BytesIO(png)) as picture:
                picture.verify()
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise StoreError(f"{self.path}: is damaged (a page's picture)") from error
        return bytes(png)

    def _text(self, packed: bytes) -> str:
        try:
            return from_bytes(zlib.decompress(packed))
        except (zlib.error, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path}: is damaged ({error})") from error

    # --- recall ---

    def page(self, name: str) -> LedgerPage | None:
        """The page of this name, as captions give it; None where there is none."""
        block, number = _parts(name)
        with self._using() as connection:
            row = connection.execute(
                "SELECT page.number, first, last, start, stop, width, height, tokens, png, block.lines, source, made,"
                " text, block.name, (SELECT count(*) FROM page WHERE page.block = block.id)"
                " FROM page JOIN block ON block.id = block WHERE block.name = ? AND page.number = ?", (block, number),
            ).fetchone()  # fmt: skip
            if row is None:
                return None
            n, first, last, start, stop, width, height, tokens, png, lines, source, made, text, block, pages = row
            whole = self._text(text)[start:stop]
            return LedgerPage(f"{block}-{n}", n, pages, first, last, lines, source, made, width, height, tokens,
                              bytes(png), whole)  # fmt: skip

    def lines(self, name: str, first: int | None = None, last: int | None = None) -> list[Line]:
        """The lines `first` to `last` of the block that a page is of, exactly as they came. Where neither is given,
        those that stand on the page, or all of them for the name of a whole block. Empty for an unknown name."""
        block, number = _parts(name)
        with self._using() as connection:
            row = connection.execute("SELECT id, lines, text FROM block WHERE name = ?", (block,)).fetchone()
            if row is None:
                return []
            on = (1, row[1])
            if number:
                on = connection.execute(
                    "SELECT first, last FROM page WHERE block = ? AND number = ?", (row[0], number)
                ).fetchone()
            if on is None:
                return []
            start = max(1, on[0] if first is None else first)
            stop = on[1] if last is None and first is None else row[1] if last is None else last
            every = self._text(row[2]).split("\n")[start - 1 : max(stop, start - 1)]
            return [Line(number, text) for number, text in enumerate(every, start)]

    def search(self, query: str, most: int = 10) -> list[Hit]:
        """The pages, of all sessions, that say most of a query's words, best first."""
        match = match_of(query)
        if not match or most < 1:
            return []
        with self._using() as connection:
            rows = connection.execute(
                "SELECT block.name, page.number, first, start, stop, text, found.score FROM"
                " (SELECT rowid, -rank AS score FROM words WHERE words MATCH ? ORDER BY rank, rowid LIMIT ?) AS found"
                " JOIN page ON page.id = found.rowid JOIN block ON block.id = block ORDER BY score DESC, page.id",
                (match, most),
            ).fetchall()  # fmt: skip
        hits = []
        for name, number, first, start, stop, packed, score in rows:
            text = self._text(packed)[start:stop]
            at, end = passage(text, query, EXCERPT)
            line = first + text.count("\n", 0, _first_of(text, query, at, end))
            hits.append(Hit(f"{name}-{number}", line, text[at:end].strip(), score))
        return hits

    # --- forgetting ---

    def forget(
        self, *, page: str | None = None, text: str | None = None, session: str | None = None,
        before: float | None = None, everything: bool = False, anew: bool = True,
    ) -> Erased:  # fmt: skip
        """Forgets the block of a page, all blocks in which a text stands as a search compares it, a session by its name
        in the account, all sessions last seen before a time (seconds since 1970), or everything. What other sessions
        hold too is left to them. What is forgotten goes up as text from now on, and is overwritten in the file, which
        is written `anew`: that takes a while. Otherwise single words of it may stand there for some time."""
        with self._using(write=True) as connection:
            sessions = blocks = characters = 0
            if page is not None:
                doomed = connection.execute("SELECT id FROM block WHERE name = ?", (_parts(page)[0],)).fetchall()
            elif text and compared(text).strip():
                every, said = connection.execute("SELECT id, text FROM block").fetchall(), pattern_of(text)
                doomed = [(number,) for number, packed in every if said.search(compared(self._text(packed)))]
            else:
                doomed = []
            if session or before is not None or everything:
                wanted = ("name = ?", session) if session else ("seen < ?", float("inf") if before is None else before)
                rows = connection.execute(f"SELECT id, name FROM session WHERE {wanted[0]}", wanted[1:]).fetchall()
                sessions, old = len({name or number for number, name in rows}), [(number,) for number, _ in rows]
                connection.executemany("DELETE FROM verdict WHERE session = ?", old)
                connection.executemany("DELETE FROM session WHERE id = ?", old)
                doomed += connection.execute(_UNUSED).fetchall()
            for (number,) in doomed:
                characters += self._drop(number)
                blocks += 1
            if blocks and anew:
                connection.execute("INSERT INTO words(words) VALUES ('optimize')")
        wiped = anew or not blocks
        if anew and (blocks or sessions):
            with self._lock, self._explained():
                wiped = wipe(self._connection)
        return Erased(blocks, sessions, characters, wiped)

    def retain(self, days: float = DAYS, size: int = BYTES, now: float | None = None) -> Erased:
        """Forgets the sessions that were last seen more than so many days ago, and then the oldest ones while pictures
        and texts together have more than `size` bytes. The file is written anew only where much of it stands empty."""
        with self._using() as connection:
            limit = (time.time() if now is None else now) - days * 86400
            (pages,), (free,) = (connection.execute(f"PRAGMA {count}").fetchone() for count in _PAGES)
            held = connection.execute(
                "SELECT session.seen, sum(length(block.text) + (SELECT sum(length(png)) FROM page WHERE page.block ="
                " block.id)) FROM session LEFT JOIN verdict ON session = session.id LEFT JOIN block ON"
                " block.id = verdict.block GROUP BY session.id ORDER BY session.seen DESC"
            ).fetchall()
        total = 0
        for seen, amount in held:
            total += amount or 0
            if total > size:
                limit = max(limit, seen + 1e-6)
                break
        if not any(seen < limit for seen, _ in held):  # nobody who writes has to wait for nothing
            return Erased(0, 0, 0, True)
        return self.forget(before=limit, anew=free > FREE * pages)

    def age(self, days: float = DAYS, size: int = BYTES) -> None:
        """Does so in a thread with a connection of its own, now, and once a day as long as the ledger is open. Where
        another process writes all that time, it waits for another day."""
        self._retained = given = (days, size, time.time())
        if self.ageing is None or not self.ageing.is_alive():
            self.ageing = threading.Thread(target=_aged, args=(self.path, *given), name="ageing", daemon=True)
            self.ageing.start()

    def _drop(self, block: int) -> int:
        """Deletes a block and all verdicts that draw it; returns its characters."""
        packed, characters = self._connection.execute(
            "SELECT text, characters FROM block WHERE id = ?", (block,)
        ).fetchone()
        with suppress(StoreError):
            text = self._text(packed)
            for row, start, stop in self._connection.execute(
                "SELECT id, start, stop FROM page WHERE block = ?", (block,)
            ).fetchall():
                unindex_words(self._connection, row, plain(text[start:stop]))
        for table, column in (("page", "block"), ("verdict", "block"), ("block", "id")):
            self._connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (block,))
        return int(characters)


def _aged(path: Path, days: float, size: int, now: float) -> None:
    with suppress(StoreError), closing(Ledger(path, PATIENCE)) as ledger:
        ledger.retain(days, size, now)


_PAGES = ("page_count", "freelist_count")
_UNUSED = "SELECT id FROM block WHERE NOT EXISTS (SELECT 1 FROM verdict WHERE verdict.block = block.id)"


def _parts(name: str) -> tuple[str, int]:
    """The name of a block and the number of a page in it, 0 where the name has none."""
    block, _, number = name.strip().partition("-")
    return block, int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0


def _first_of(text: str, query: str, at: int, end: int) -> int:
    """Where in a passage the first word of a query stands."""
    return at + min((start for start, _ in places_of(text[at:end], query)), default=0)
