"""The ledger: what it keeps, what is found in it, what it forgets, and what happens where its file is no good."""

from __future__ import annotations

import gc
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from between import PATIENCE

from microfiche.errors import StoreError
from microfiche.memory.paper import png
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.ledger_file import APPLICATION
from microfiche.proxy.verdict import DrawnBlock, DrawnPage, Verdict

HEAD, OTHER = b"h" * 16, b"o" * 16
ONE, TWO = (png(np.full((64, width), 255, np.uint8)) for width in (128, 64))
LINES = [f"line {n} of the listing, zebra {n:05d}" if n == 17 else f"line {n} of it" for n in range(1, 41)]


def block(name: str = "b1", lines: list[str] = LINES, digest: bytes = b"d" * 32) -> DrawnBlock:
    text = "\n".join(lines)
    half = len("\n".join(lines[:20])) + 1
    pages = (DrawnPage(1, 1, 20, 0, half, 64, 128, 9, "the first", ONE),
             DrawnPage(2, 21, len(lines), half, len(text), 64, 64, 5, "then \udc80", TWO))  # fmt: skip
    return DrawnBlock(name, digest, "tool result x", text, pages)


def test_a_verdict_stays_also_in_another_process_and_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    ledger = Ledger(path)
    drawn, text = Verdict("it pays", block(), True), Verdict("it is short")
    assert ledger.keep(HEAD, {b"d" * 32: drawn, b"t": text}) == {b"d" * 32: drawn, b"t": text}
    assert ledger.keep(HEAD, {b"t": Verdict("too late", block())}) == {b"t": text}, "the first verdict holds"
    assert ledger.verdict(HEAD, b"t") == text and ledger.verdict(OTHER, b"t") is None
    code = f"from pathlib import Path\nfrom microfiche.proxy.ledger import *\nl = Ledger(Path({str(path)!r}))\n" \
           f"v = l.verdicts({HEAD!r})\nassert v[b't'].block is None and v[{b'd' * 32!r}].banner\n" \
           f"l.refuse({HEAD!r}, 'no')"
    before = ledger.changes
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
    assert ledger.changes != before and ledger.pinned(HEAD) == "no" and ledger.pinned(OTHER) == ""
    ledger.close()
    again = Ledger(path)
    assert again.verdicts(HEAD) == {b"d" * 32: drawn, b"t": text} and again.drawn(b"d" * 32) == drawn.block
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_pages_and_lines_come_back_exactly(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    odd = ["\tодин\r", "два \ud800", "", "שלום", *LINES]
    ledger.keep(HEAD, {b"d" * 32: Verdict("", block(lines=odd))})
    page = ledger.page("b1-2")
    assert page is not None and page.png == TWO and (page.first, page.last, page.of) == (21, 44, 44)
    assert page.text == "\n".join(odd[20:]) and page.pages == 2
    assert [line.text for line in ledger.lines("b1-1")] == odd[:20]
    assert [line.text for line in ledger.lines("b1")] == odd
    assert ledger.lines("b1-1", 43, 99) == [(43, odd[42]), (44, odd[43])] and ledger.lines("b1-2", 22, 22)[0][0] == 22
    assert ledger.lines("b1", 9, 3) == [] and ledger.lines("zz-1") == [] and ledger.lines("b1-3") == []
    assert ledger.page("b1") is None and ledger.page("b1-9") is None and ledger.page("") is None


def test_what_was_drawn_is_found_by_its_words(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.keep(HEAD, {b"d" * 32: Verdict("", block())})
    ledger.keep(OTHER, {b"e" * 32: Verdict("", block("b2", ["nothing"] * 30, b"e" * 32))})
    ledger.keep(OTHER, {b"f" * 32: Verdict("", block("b4", ["\u9986, \u4e66"] * 30, b"f" * 32))})
    assert "b4-1" in {hit.page for hit in ledger.search("\u56fe\u4e66\u9986")}  # by signs of the word, too
    (hit,) = ledger.search("where is the zebra 00017?", 5)
    assert (hit.page, hit.line) == ("b1-1", 17) and "zebra" in hit.text
    assert ledger.search("") == [] and ledger.search('"; DROP TABLE page') == []


def test_what_is_forgotten_is_gone_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path)
    secret = block("b3", ["quagga canary 77"] * 25, b"f" * 32)
    ledger.keep(HEAD, {b"d" * 32: Verdict("", block()), b"f" * 32: Verdict("", secret)})
    erased = ledger.forget(text="canary 77")
    assert (erased.blocks, erased.sessions, erased.wiped) == (1, 0, True)
    assert ledger.page("b3-1") is None and ledger.search("quagga") == [] and ledger.verdict(HEAD, b"f" * 32) is None
    assert b"quagga" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert ledger.page("b1-1") is not None and ledger.forget(page="b1-2").blocks == 1 and ledger.page("b1-1") is None
    ledger.keep(OTHER, {b"d" * 32: Verdict("", block())})
    assert ledger.forget(before=0.0).sessions == 0 and ledger.forget(everything=True).sessions == 2
    assert ledger.verdicts(OTHER) == {} and ledger.forget(text="").blocks == 0


def test_a_session_is_forgotten_by_its_name_and_what_others_hold_too_is_left(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for head, name in ((HEAD, "one"), (b"sub" * 5, "one"), (OTHER, "other")):
        ledger.keep(head, {b"d" * 32: Verdict("", block())}, name)
    ledger.keep(HEAD, {b"e" * 32: Verdict("", block("b2", ["a canary"] * 30, b"e" * 32))}, "one")
    assert ledger.forget(session="none").sessions == 0
    erased = ledger.forget(session="one")
    assert (erased.sessions, erased.blocks, erased.wiped) == (1, 1, True), "counted as the account calls them"
    assert ledger.page("b1-1") is not None and ledger.page("b2-1") is None and ledger.verdicts(HEAD) == {}
    assert ledger.search("canary") == [] and ledger.forget(session="other").blocks == 1


def test_pages_that_were_refused_are_text_from_then_on(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    drawn = {b"d" * 32: Verdict("it pays", block(), True), b"e" * 32: Verdict("", block("b2", digest=b"e" * 32))}
    ledger.keep(HEAD, drawn)
    ledger.keep(OTHER, drawn)
    ledger.refuse(HEAD, "no pictures", [b"d" * 32])
    assert ledger.verdict(HEAD, b"d" * 32) == Verdict("no pictures") and ledger.pinned(HEAD) == "no pictures"
    assert ledger.verdict(HEAD, b"e" * 32) == drawn[b"e" * 32] and ledger.verdicts(OTHER) == drawn


def test_a_ledger_of_format_1_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path)
    ledger.keep(HEAD, {b"d" * 32: Verdict("", block())})
    ledger.close()
    with sqlite3.connect(path) as connection:  # as it was before sessions had names, with no words in its index
        connection.execute("INSERT INTO words(words) VALUES ('delete-all')")
        connection.execute("ALTER TABLE session DROP COLUMN name")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    ledger = Ledger(path)
    assert ledger.verdict(HEAD, b"d" * 32) == Verdict("", block()) and ledger.forget(session="one").sessions == 0
    assert {hit.page for hit in ledger.search(block().text.split()[0])} == {"b1-1", "b1-2"}
    ledger.touch(HEAD, "one", 5.0)
    assert ledger.seen(HEAD) == 5.0 and ledger.seen(OTHER) is None
    assert ledger.forget(session="one") == (1, 1, len(block().text), True)


def test_old_and_large_sessions_go_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for number in range(3):
        name = bytes([number]) * 16
        ledger.keep(name, {name * 2: Verdict("", block(f"b{number}", digest=name * 2))})
        ledger._connection.execute("UPDATE session SET seen = ? WHERE head = ?", (1e9 + number, name))
    with pytest.raises(StoreError):
        Ledger(tmp_path)
    assert ledger.retain(days=1e6, size=1 << 30).blocks == 0
    held = sum(len(one.png) for one in block().pages) + len(ledger._connection.execute(
        "SELECT text FROM block").fetchone()[0])  # fmt: skip
    assert ledger.retain(days=1e6, size=2 * held).blocks == 1 and ledger.page("b0-1") is None
    ledger.touch(b"\1" * 16)
    assert ledger.retain(days=1.0, size=1 << 30).blocks == 1 and ledger.page("b1-1") is not None


def aged(ledger: Ledger) -> Ledger:
    """The same, once what was to be forgotten is."""
    if ledger.ageing is not None:
        ledger.ageing.join()
    return ledger


def test_a_proxy_that_runs_for_long_forgets_what_is_old_once_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1e9]
    monkeypatch.setattr("microfiche.proxy.ledger.time.time", lambda: now[0])
    ledger = Ledger(tmp_path / "ledger")
    ledger.age(days=2.0)
    aged(ledger).keep(HEAD, {b"d" * 32: Verdict("", block())})
    for hours, left in ((1, True), (26, True), (30, False)):
        now[0] += hours * 3600
        ledger.keep(OTHER, {bytes([hours]) * 32: Verdict("it is short")})
        assert (aged(ledger).page("b1-1") is not None) is left
    assert len(ledger.verdicts(OTHER)) == 3


def test_a_clock_that_jumps_and_comes_back_makes_nobody_forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1e9]
    monkeypatch.setattr("microfiche.proxy.ledger.time.time", lambda: now[0])
    ledger = Ledger(tmp_path / "ledger")
    ledger.age(days=30.0)
    aged(ledger).keep(HEAD, {b"d" * 32: Verdict("", block())})
    for number, at in enumerate((2e9, 2e9 + 3600, 1e9 + 7200, 0.0, 1e9 + 9000)):
        now[0] = at
        ledger.keep(OTHER, {bytes([number]) * 32: Verdict("it is short")})
        assert aged(ledger).page("b1-1") is not None and ledger.verdict(HEAD, b"d" * 32)
    for hours in (0, 30, 60):  # and where it stays so, what is old is forgotten
        now[0] = 2e9 + hours * 3600
        aged(ledger).keep(OTHER, {bytes([hours + 9]) * 32: Verdict("it is short")})
    assert aged(ledger).page("b1-1") is None


def test_a_file_that_is_no_good_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    for content, said in ((b"what is this" * 999, "is not a ledger"), (None, "is not a ledger"), (1, "a newer")):
        path.unlink(missing_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            made = sqlite3.connect(path)
            made.execute("CREATE TABLE t(x)")
            if content:
                made.execute(f"PRAGMA application_id = {APPLICATION}")
                made.execute("PRAGMA user_version = 99")
            made.commit()
            made.close()
        with pytest.raises(StoreError, match=said) as error:
            Ledger(path)
        assert "\n" not in str(error.value)
    path.unlink()
    ledger = Ledger(path, timeout=0.01)
    ledger.keep(HEAD, {b"d" * 32: Verdict("", block())})
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is writing to it"):
        ledger.keep(HEAD, {b"u": Verdict("")})
    assert ledger.verdict(HEAD, b"d" * 32) is not None, "whoever only reads need not wait"
    holder.execute("ROLLBACK")
    holder.close()
    ledger._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match="full"):
        ledger.keep(HEAD, {bytes([n]) * 32: Verdict("x" * 5000) for n in range(9)})
    assert ledger.verdict(HEAD, b"\1" * 32) is None
    ledger.close()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\x55" * (len(data) - 4096))
    with pytest.raises(StoreError):
        Ledger(path).verdict(HEAD, b"d" * 32)


def test_a_ledger_that_nothing_refers_to_is_closed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    connection = ledger._connection
    ledger.keep(HEAD, {b"d" * 32: Verdict("", block())})
    del ledger
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
    assert not (tmp_path / "ledger-wal").exists(), "the last to close a file folds its log into it"


def test_who_writes_keeps_no_proxy_from_starting_and_what_is_old_is_forgotten_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microfiche.proxy.ledger.PATIENCE", 600.0)
    path = tmp_path / "ledger"
    first = Ledger(path)
    first.keep(HEAD, {b"d" * 32: Verdict("it is long", block())}, now=1.0)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    second = Ledger(path, timeout=0.01)
    second.age(days=1.0)
    verdict = second.verdict(HEAD, b"d" * 32)
    assert verdict is not None and verdict.block == block() and second.ageing is not None
    writer.execute("ROLLBACK")
    writer.close()
    assert aged(second).verdict(HEAD, b"d" * 32) is None and first.page("b1-1") is None


def test_where_nothing_is_old_nobody_is_kept_from_writing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.keep(HEAD, {b"d" * 32: Verdict("it is long", block())})
    writer = sqlite3.connect(tmp_path / "ledger", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert Ledger(tmp_path / "ledger", timeout=0.0).retain() == (0, 0, 0, True)
    writer.execute("ROLLBACK")
    writer.close()


def test_a_file_that_others_may_read_is_its_owners_alone_once_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.touch(0o644)
    path.chmod(0o644)
    Ledger(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
