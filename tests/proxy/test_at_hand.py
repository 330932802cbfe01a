"""What is at hand of a session is never behind the ledger, whoever writes to it meanwhile."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from agent import listing
from between import PATIENCE
from test_drawing import perfect

from microfiche.proxy import sessions
from microfiche.proxy.drawer import LedgerDrawer, talk_of
from microfiche.proxy.exchange import Drawing
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.pages import Proofreader
from microfiche.proxy.protocols import asked, route
from microfiche.proxy.splice import Body
from microfiche.proxy.verdict import Draw, Verdict

ASK = {"role": "user", "content": "Read it."}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Read", "input": {}}]}
ON = [{"role": "assistant", "content": "It is read."}, {"role": "user", "content": "Go on."}]


def read(seed: int) -> list[Any]:
    """A conversation in which a file was read."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": listing(seed, 120)}
    return [ASK, CALL, {"role": "user", "content": [result]}]


def drawn(drawer: LedgerDrawer, messages: list[Any]) -> Drawing:
    body = Body.read(json.dumps({"model": "claude-fable-5-1", "messages": messages}).encode())
    asks = route("POST", b"/v1/messages")
    assert asks is not None
    return drawer.draw(asks, body, asked(asks, body, {}))


class Waiting(Proofreader):
    """A reader that waits in the middle of its work."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.goes_on = threading.Event(), threading.Event()

    def load(self) -> None:
        """Is not loaded before."""

    def __call__(self, pages: Sequence[Any]) -> Sequence[Any]:
        self.begun.set()
        assert self.goes_on.wait(PATIENCE)
        return super().__call__(pages)


def another_process_writes(drawer: LedgerDrawer, path: Path) -> None:
    other = Ledger(path)
    other.keep(b"other session..", {b"d" * 32: Verdict("it is short")})
    other.close()


def other_sessions_take_its_room(drawer: LedgerDrawer, path: Path) -> None:
    elsewhere = [{"role": "user", "content": "Another."}, *read(1)[1:], *ON]
    assert not drawn(drawer, elsewhere).pages


@pytest.mark.parametrize("meanwhile", [another_process_writes, other_sessions_take_its_room])
def test_what_was_drawn_stays_drawn_whatever_is_read_from_the_ledger_meanwhile(
    meanwhile: Callable[[LedgerDrawer, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests of one session are under way, and the second has the ledger read anew before the first has kept."""
    monkeypatch.setattr(sessions, "SESSIONS", 1)
    path, reader, found = tmp_path / "ledger", Waiting(), list[Drawing]()
    drawer = LedgerDrawer(lambda: Ledger(path), Draw.safe, reader)
    first = threading.Thread(target=lambda: found.append(drawn(drawer, read(1))))
    first.start()
    assert reader.begun.wait(PATIENCE)
    meanwhile(drawer, path)
    assert not drawn(drawer, [*read(2), *ON]).pages, "what was seen without a verdict is text"
    reader.goes_on.set()
    first.join()
    again = drawn(drawer, [*read(1), *ON])
    assert len(found[0].pages) == 1 and again.pages == found[0].pages
    assert drawn(LedgerDrawer(lambda: Ledger(path), Draw.safe, reader), [*read(1), *ON]).pages == again.pages


def test_a_request_reads_the_same_verdicts_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    """Another one that keeps some meanwhile does not change what it goes through."""
    held = sessions.Sessions(lambda: Ledger(tmp_path / "ledger"))
    talk = sessions.Talk(b"h" * 16, b"n" * 16, None, "s")
    session = held.at(talk, 0.0)
    held.keep(talk, session, {b"a" * 32: Verdict("first")}, 1.0)
    before = session.verdicts
    for number, _ in enumerate(before.values()):
        held.keep(talk, session, {bytes([number]) * 32: Verdict("later")}, 2.0)
    assert list(before) == [b"a" * 32] and len(session.verdicts) == 2 and held.at(talk, 3.0) is session


def test_a_session_of_a_ledger_that_knew_no_calls_goes_on(tmp_path: Path) -> None:
    """There a result was known by its text alone, and a session by how it opens."""
    first = LedgerDrawer(lambda: Ledger(tmp_path / "new"), Draw.safe, perfect)
    (png,) = drawn(first, read(1)).pages
    text = read(1)[2]["content"][0]["content"]
    body = Body.read(json.dumps({"model": "claude-fable-5-1", "messages": read(1)}).encode())
    asks = route("POST", b"/v1/messages")
    assert asks is not None
    head = talk_of(asks, body, asked(asks, body, {})).opening
    alone = hashlib.sha256(f"result\0{text}".encode()).digest()
    path, new = tmp_path / "old", Ledger(tmp_path / "new")
    connection = sqlite3.connect(tmp_path / "new")
    ((digest,),) = connection.execute("SELECT digest FROM block").fetchall()
    connection.close()
    old = Ledger(path)
    old.keep(head, {alone: Verdict("it costs less", new.drawn(digest), True)})
    for ledger in (old, new):
        ledger.close()
    drawer = LedgerDrawer(lambda: Ledger(path), Draw.safe, perfect)
    assert drawn(drawer, [*read(1), *ON]).pages == (png,)
    again = {"role": "user", "content": [{**read(1)[2]["content"][0], "tool_use_id": "t2"}]}
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t2", "name": "Read", "input": {}}]}
    assert drawn(drawer, [*read(1), call, again]).pages == (png, png), "what comes now is known by its call"
    assert drawn(drawer, [*read(1), call, again, *ON]).pages == (png, png)
