"""proxy --replay: what each setting of the proxy would have saved or cost in a session that was recorded."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from microfiche.cli.console import counted, one_line, progress, say

if TYPE_CHECKING:
    from microfiche.proxy.replay import Replayed

SHOWN = 6  #: reasons that are shown of each setting


def shown(path: Path, model: str | None, as_json: bool) -> None:
    """Replays the requests in a file, asks nobody, and prints the bill of each way."""
    from microfiche.proxy.recorded import recorded_in
    from microfiche.proxy.replay import drawers, replay

    with progress("requests") as done:
        found = replay(recorded_in(path, model), drawers(), model, progress=lambda at, of: done(at, "", of))
    if as_json:
        typer.echo(json.dumps([one.as_json() for one in found]))
        return
    for one in found:
        _print(one)


def _print(one: Replayed) -> None:
    from rich.console import Console
    from rich.table import Table

    text = one.bills["text"]
    table = Table(box=None)
    table.add_column(one_line(one.model) or "no model is named")
    for name in ("prompt", "cached", "pictures", "tokens", "cost", "dollars"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, bill in one.bills.items():
        cost = "" if bill.dollars is None else f"${bill.dollars:,.4f}"
        tokens = _against(bill.usage.input, text.usage.input) if bill is not text else ""
        dollars = _against(bill.dollars, text.dollars) if bill is not text else ""
        figures = (f"{count:,}" for count in (bill.usage.input, bill.usage.read, bill.pictures))
        table.add_row(name, *figures, tokens, cost, dollars)
    Console().print(table)
    priced = f"prices of {one.dated}" if one.dated else "the registry has no prices of this model"
    requests, sessions = counted(text.requests, "request"), counted(one.sessions, "session")
    say(f"{requests} of {sessions}; {priced}; tokens are counted by characters; shares are "
        "against text that is cached")  # fmt: skip
    for setting, reasons in one.reasons.items():
        known: Counter[str] = Counter()
        for reason, times in reasons.items():
            sized = " characters: " in reason
            known[re.sub(r"\d[\d,]*", "…", reason) if sized else reason] += times
        for reason, times in known.most_common(SHOWN):
            say(f"  {setting}: {one_line(reason)} ({times})")


def _against(one: float | None, other: float | None) -> str:
    """A share more or less, in colour."""
    if one is None or not other:
        return ""
    share = 100 * (one / other - 1)
    colour = "red" if share > 0.05 else "green" if share < -0.05 else "default"
    return f"[{colour}]{share:+.1f} %[/]"
