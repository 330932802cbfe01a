"""mcp, forget: what was drawn is found and read again exactly, documents are read, and what was drawn is forgotten when
that is asked."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from microfiche.cli.console import counted, fail, one_line, reported, say
from microfiche.cli.settings import named_file
from microfiche.errors import UsageError

LedgerOption = Annotated[
    Path | None,
    typer.Option("--ledger", metavar="FILE", help="The proxy's ledger, instead of the one that its settings name."),
]
MemoriesOption = Annotated[
    list[Path] | None, typer.Option("--memory", "-m", metavar="FILE", help="A memory as well; may be given repeatedly.")
]


def mcp(
    memory: MemoriesOption = None,
    ledger: LedgerOption = None,
    http: Annotated[
        bool, typer.Option("--http", help="Answer at http://127.0.0.1:PORT/mcp instead of on standard input.")
    ] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port with --http; 0 takes a free one.")
    ] = 8766,
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            "--folder", "-f", metavar="DIR",
            help="A folder whose files read_document may read and to which pack may write; may be given repeatedly. "
            "Without it, a client on standard input opens the folders that it gives as its roots.",
        ),
    ] = None,
    urls: Annotated[
        bool, typer.Option("--urls", help="Let read_document fetch documents from public http and https addresses.")
    ] = False,
) -> None:
    """Offers tools to a model by MCP: search, read_lines and show_page over drawn pages and memories, so that it need
    not guess, and read_document and pack for files of yours.

    Add it to an agent once, such as by: claude mcp add microfiche -- microfiche mcp
    """
    with reported():
        from microfiche.serving.allowed import Allowed
        from microfiche.serving.desk import Desk
        from microfiche.serving.recall import Recall
        from microfiche.serving.recall_server import serve_http, serve_stdio, server

        allowed = Allowed.at_start(folder or (), urls)
        recall = Recall(_ledger(ledger), memory or ())
        try:
            made = server(recall, Desk(), allowed, roots=not http)
            if http:
                serve_http(made, port, lambda url: say(f"{url} is ready"))
            else:
                serve_stdio(made)
        finally:
            recall.close()


def forget(
    page: Annotated[str | None, typer.Option("--page", help="Forget the result that this page shows.")] = None,
    query: Annotated[str | None, typer.Option("--query", help="Forget all that was drawn and holds this text.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", help="Forget a session, as microfiche stats calls it.")
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", help="Forget the sessions last seen before this ISO date.")
    ] = None,
    days: Annotated[
        float | None, typer.Option("--days", min=0, help="Forget the sessions last seen more than so many days ago.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget all that was ever drawn.")] = False,
    memory: MemoriesOption = None,
    ledger: LedgerOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it is forgotten.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Prints one JSON object.")] = False,
) -> None:
    """Forgets for ever what the proxy drew: by page, text, session, age, or all; with --memory, text and age there too.

    What is forgotten is overwritten in the files. A session that goes on sends it as text from then on.
    """
    with reported():
        from microfiche.cli.memory import opened_memory
        from microfiche.proxy.ledger import Ledger

        if sum(one is not None for one in (page, query, session, before, days)) + everything != 1:
            raise UsageError("say what to forget by one of --page, --query, --session, --before, --days and --all")
        if (query is not None and not query.strip()) or (session is not None and not session.strip()):
            raise UsageError("--query needs a text" if session is None else "--session needs a name")
        if memory and (page is not None or session is not None or everything):
            raise UsageError("of a memory, --query, --before and --days forget; microfiche memory forget does the rest")
        limit = _second(before) if before is not None else time.time() - days * 86400 if days is not None else None
        if not yes:
            typer.confirm("Forget it for ever?", abort=True, err=True)
        found: dict[str, object] = {}
        left = []
        path = _ledger(ledger)
        if path.exists():
            opened = Ledger(path, timeout=1.0)
            try:
                erased = opened.forget(page=page, text=query, session=session, before=limit, everything=everything)
            finally:
                opened.close()
            found[str(path)] = erased._asdict()
            left += [] if erased.wiped else [str(path)]
            _say_forgotten(path, result=erased.blocks, session=erased.sessions, character=erased.characters)
        else:
            say(f"{path}: there is no ledger, and nothing was drawn")
        for one in memory or ():
            with opened_memory(one) as held:
                until = None if limit is None else datetime.fromtimestamp(limit).isoformat()
                done = held.forget(query=query, before=until, confirm=lambda _: True)
            found[str(one)] = asdict(done)
            left += [] if done.wiped else [str(one)]
            _say_forgotten(one, version=done.versions, message=done.messages, character=done.characters)
        if as_json:
            typer.echo(json.dumps(found))
        if left:
            fail(f"{', '.join(left)}: somebody still reads an older state, which holds it; forget again when they have "
                 "ended", 1)  # fmt: skip


def _say_forgotten(path: Path, **counts: int) -> None:
    say(f"{path}: forgotten: {', '.join(counted(count, what) for what, count in counts.items())}")


def _ledger(named: Path | None) -> Path:
    if named is not None:
        return named
    from microfiche.proxy.settings import settings

    return settings(main=named_file()).ledger_path


def _second(date: str) -> float:
    try:
        return datetime.fromisoformat(date).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{one_line(date)} is no ISO date, such as 2026-11-20") from error
