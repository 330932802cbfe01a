"""A ledger that cannot be written to, is removed, replaced or damaged while a proxy runs: what was decided holds, and
the log and `doctor` say what is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from agent import ClaudeCode, tool_script
from between import all_to, proxying
from provider.cache import pictures_in
from provider.server import Provider, Reply
from test_drawing import asked, drawing, perfect
from test_sessions import bare
from test_siblings import PAGES_NOT_TAKEN, turn

from microfiche.proxy import doctor
from microfiche.proxy.account import Account, records_in
from microfiche.proxy.drawer import LedgerDrawer
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.relay import Relay
from microfiche.proxy.settings import Settings
from microfiche.proxy.verdict import Draw, Verdict


@contextmanager
def logging(vendor: Provider, ledger: Path, log: Path) -> Iterator[tuple[str, Account]]:
    """A proxy that draws and writes a log."""
    account, opened = Account(log), Ledger(ledger, timeout=0.01)
    relay = Relay(all_to(vendor.url), books=account, drawer=LedgerDrawer(lambda: opened, Draw.safe, perfect))
    try:
        with proxying(relay) as url:
            yield url, account
    finally:
        opened.close()


def begun(vendor: Provider, agent: ClaudeCode) -> None:
    vendor.script = tool_script(60)
    agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Go."}]})


def pages(vendor: Provider) -> list[int]:
    return [len(pictures_in(r.json)) for r in asked(vendor)]


def grows(vendor: Provider, first: int = 0) -> bool:
    return all(bare(after.body).startswith(bare(before.body)) for before, after in pairwise(asked(vendor)[first:]))


def said_wrong(settings: Settings, log: Path) -> list[str]:
    """What `doctor` finds wrong, but that no proxy answers at the usual port."""
    found = doctor.findings(settings, {}, doctor.clients(records_in(log)))
    return [one.said for one in found if not one.right and "no proxy answers" not in one.said]


@pytest.mark.parametrize("while_it_runs", [True, False])
def test_a_refusal_that_cannot_be_written_holds_and_is_written_later(
    vendor: Provider, tmp_path: Path, while_it_runs: bool
) -> None:
    """Also where others write meanwhile, and when no request comes before the proxy ends."""
    path = tmp_path / "ledger"
    with ClaudeCode("", "claude-fable-5-1") as agent:
        begun(vendor, agent)
        with logging(vendor, path, tmp_path / "log") as (url, account):
            turn(agent, url, 0)
            turn(agent, url, 1)
            turn(agent, url, 2)
            holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

            def refuses(recorded: Any) -> Reply | None:
                if len(pictures_in(recorded.json)) < 3:
                    return None
                holder.execute("BEGIN IMMEDIATE")
                vendor.reply = lambda recorded: None
                return PAGES_NOT_TAKEN

            vendor.reply = refuses
            turn(agent, url, 3)
            assert "is writing to it" in account.recent[-1].reasons[-1]
            if while_it_runs:
                turn(agent, url, 4)
                holder.execute("ROLLBACK")
                other = Ledger(path)
                other.keep(b"another session.", {b"d" * 32: Verdict("it is short")})
                other.close()
                turn(agent, url, 5)
            else:
                holder.execute("ROLLBACK")
            holder.close()
        with drawing(vendor, path) as (url, _):
            turn(agent, url, 6)
    assert pages(vendor) == ([0, 1, 2, 2, 2, 2, 2] if while_it_runs else [0, 1, 2, 2, 2]) and grows(vendor)


def removed(path: Path) -> None:
    for file in path.parent.glob("ledger*"):
        file.unlink()


def replaced(path: Path) -> None:
    removed(path)
    Ledger(path).close()


def overwritten(path: Path) -> None:
    for file in (path, path.with_name("ledger-wal")):
        file.write_bytes(b"garbage!" * (file.stat().st_size // 8 + 1))


def truncated(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("meanwhile", [removed, replaced, overwritten, truncated])
def test_a_ledger_that_is_lost_takes_no_page_from_a_session(
    vendor: Provider, tmp_path: Path, meanwhile: Callable[[Path], None]
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    path, log = folder / "ledger", tmp_path / "log"
    with ClaudeCode("", "claude-fable-5-1") as agent, logging(vendor, path, log) as (url, account):
        begun(vendor, agent)
        for seed in range(3):
            turn(agent, url, seed)
        settings = Settings.model_validate({"ledger": path, "port": 1})
        assert said_wrong(settings, account.log or log) == []
        meanwhile(path)
        for seed in range(3, 6):
            turn(agent, url, seed)
        told = [reason for record in account.recent for reason in record.reasons if reason.startswith("the ledger: ")]
        wrong = said_wrong(settings, log)
    assert pages(vendor) == [0, 1, 2, 2, 2, 2] and grows(vendor)
    assert len(told) == 1 and str(path) in told[0] and any(told[0] in one for one in wrong)
