"""Sessions of coding agents as text, cached, cut, and through the proxy in each setting, for every model: the bill.

    python benchmarks/agents.py --json agents.json
    python benchmarks/agents.py --model claude-fable-5-2 --model gpt-6.2-sol --sessions 4 --profile

The sessions are those of agent_sessions.py, as Claude Code, Codex, OpenCode and Gemini CLI send them, by the shape in
which a model is asked. Every request goes through the proxy's own drawing and is charged by the rules of the providers'
caches and the prices of the registry. The answers are the same in every way, and so is their length; what it costs that
a model asks for a page again is not in these figures. Beside the proxy stand two ways to shorten text: "cut", in which
every result keeps its first 4,000 characters, and "cleared", in which results older than ten turns are taken out, at
every tenth turn.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from agent_sessions import Session, Step, requests, sessions
from rich.console import Console
from rich.table import Table

from microfiche.memory.billing import Usage
from microfiche.memory.exact import KINDS
from microfiche.memory.models import HostedModel, models
from microfiche.memory.profiles import Profile, Row, Score, store_profile
from microfiche.proxy.account import kept_by
from microfiche.proxy.exchange import Drawer
from microfiche.proxy.replay import Bill, Opened, Prompt, drawers, opened
from microfiche.proxy.sight import sight_of
from microfiche.proxy.transcripts import Recorded
from microfiche.proxy.twin import CHARACTERS, Manner

CUT, JUMP = 4_000, 10  #: characters that a cut result keeps; turns after which old results are cleared
CLEARED = "[Old tool result content cleared]"
TEXTS = ("text, never cached", "text", "cut", "cleared")


def with_results(session: Session, change: Callable[[int, str], str]) -> Session:
    """The session with its results changed, each by the turn in which it came."""
    def changed(turn: int, step: Step) -> Step:
        calls = [call if call.error else replace(call, result=change(turn, call.result)) for call in step.calls]
        return replace(step, calls=calls)

    return replace(session, steps=[changed(turn, step) for turn, step in enumerate(session.steps)])


def recorded(session: Session, shape: str, model: str, first: int = 0, last: int | None = None) -> Iterator[Recorded]:
    """The requests of some turns of a session."""
    for sent in islice(requests(session, shape, model), first, last):
        output = round(sent.output / CHARACTERS)
        yield Recorded(sent.at, sent.path.partition("?")[0].encode(), sent.body, sent.headers, output)


def cleared(session: Session, shape: str, model: str) -> Iterator[Recorded]:
    """The requests of a session whose client takes old results out, at every tenth turn all but those of ten turns."""
    for start in range(0, len(session.steps), JUMP):
        kept = replace(session, steps=session.steps[: start + JUMP])
        bare = with_results(kept, lambda turn, text: CLEARED if turn < start - JUMP else text)  # noqa: B023
        yield from recorded(bare, shape, model, start, start + JUMP)


def read(every: Iterator[Recorded]) -> list[Opened]:
    """Requests as they are read by the proxy."""
    return [one for made in every if (one := opened(made)) is not None]


def texts(session: Session, shape: str, asked: list[Opened]) -> dict[str, list[Prompt]]:
    """The prompts of the ways without pictures, of which the first is what is `asked`."""
    whole = [one.prompt() for one in asked]
    cut = with_results(session, lambda _, text: text[:CUT])
    return {"text, never cached": whole, "text": whole,
            "cut": [one.prompt() for one in read(recorded(cut, shape, "MODEL"))],
            "cleared": [one.prompt() for one in read(cleared(session, shape, "MODEL"))]}  # fmt: skip


def measured(
    every: list[Session],
    chosen: list[HostedModel],
    ways: dict[str, Callable[[], Drawer | None]],
    say: Callable[[str], None],
) -> dict[str, dict[str, list[Bill]]]:
    """For each model and way the bills of the sessions."""
    found: dict[str, dict[str, list[Bill]]] = {model.name: {} for model in chosen}
    made = {name: make() for name, make in ways.items()}  # what was drawn for one model need not be drawn for another
    for session in every:
        known: dict[tuple[str, str, Manner], list[Usage]] = {}
        for shape in dict.fromkeys(model.shape for model in chosen):
            asked = read(recorded(session, shape, "MODEL"))
            plain = texts(session, shape, asked)
            for model in (model for model in chosen if model.shape == shape):
                started = time.perf_counter()
                reads = sight_of(model.name)[0] is not None
                own = [replace(one, asked=replace(one.asked, model=model.name)) for one in asked] if reads else []
                for name in (*plain, *made):
                    bill = Bill(model, caches=name != "text, never cached")
                    drawer = made.get(name)
                    if drawer is not None and reads:
                        for one in own:
                            bill.add(one.drawn(drawer)[0])
                    else:  # text is charged alike for all models whose provider keeps prompts in one manner
                        way = name if name in plain else "text"
                        manner = (shape, way, kept_by(asked[0].route.dialect, model))
                        if manner not in known:
                            alike = Bill(model, caches=bill.caches)
                            known[manner] = [alike.add(prompt) for prompt in plain[way]]
                        for used in known[manner]:
                            bill.charge(used)
                    found[model.name].setdefault(name, []).append(bill)
                say(f"session {session.number}, {model.name}: {time.perf_counter() - started:.1f} s")
    return found


def trust(model: HostedModel) -> None:
    """Keeps a profile by which a model reads every kind of string at 5x8."""
    right = Score(right=48, asked=48)
    row = Row(density="5x8", side=1280, scale=1.0, tokens=model.tokens(1280, 1280), ratio=5.0,
              scores=dict.fromkeys(KINDS, right), absent=right)  # fmt: skip
    store_profile(Profile(model=model.name, measured=date(2026, 11, 1), rows=(row,)))


def shares(every: list[Session]) -> dict[str, float]:
    """What the requests consist of, in parts of all characters that are sent, over all turns."""
    parts = {"results": 0, "system prompt and tools": 0, "the user": 0, "the model": 0}
    for session in every:
        slab = sum(map(len, session.system)) + len(json.dumps(session.tools))
        results = said = 0
        words = len(session.opening)
        for step in session.steps:
            if step.fresh:
                results = said = 0
                words = len(session.opening) + len(step.fresh)
            words += len(step.asks)
            for name, size in zip(parts, (results, slab, words, said), strict=True):
                parts[name] += size
            results += sum(len(call.result) for call in step.calls)
            said += len(step.thought) + len(step.said) + sum(len(json.dumps(call.given)) for call in step.calls)
    whole = sum(parts.values())
    return {name: size / whole for name, size in parts.items()}


def row(bills: list[Bill]) -> dict[str, Any]:
    """The bills of all sessions in one."""
    dollars = [bill.dollars for bill in bills]
    known = [one for one in dollars if one is not None]
    return {
        "input": sum(bill.usage.input for bill in bills),
        "read": sum(bill.usage.read for bill in bills),
        "pictures": sum(bill.pictures for bill in bills),
        "dollars": sum(known) if len(known) == len(dollars) else None,
        "sessions": dollars,
    }


def shown(found: dict[str, dict[str, Any]]) -> None:
    """Prints the table: tokens and money of each way, beside those of cached text."""
    names = list(next(iter(found.values())))
    table = Table(box=None, title="millions of input tokens; dollars; dollars against cached text")
    table.add_column("model", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    for model, ways in found.items():
        base = ways["text"]["dollars"]
        cells = []
        for one in ways.values():
            money = "" if one["dollars"] is None else f"${one['dollars']:.2f}"
            more = "" if base is None or one["dollars"] is None else f"{100 * (one['dollars'] / base - 1):+.1f}%"
            cells.append(f"{one['input'] / 1e6:.2f}\n{money}\n{more}")
        table.add_row(model, *cells)
    Console(width=max(100, 26 + 14 * len(names))).print(table)


def markdown(found: dict[str, dict[str, Any]]) -> str:
    """The same as a table for a document: tokens and dollars of each way, in parts of those of cached text."""
    names = [name for name in next(iter(found.values())) if name not in ("text, never cached", "text", "off")]
    lines = ["| model | as text, cached | never cached | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    for model, ways in found.items():
        base = ways["text"]
        money = "" if base["dollars"] is None else f", ${base['dollars']:.2f}"
        bare = ways["text, never cached"]["dollars"]
        cells = [model, f"{base['input'] / 1e6:.1f} M{money}", "" if bare is None else f"${bare:.2f}"]
        for name in names:
            tokens = f"{100 * (ways[name]['input'] / base['input'] - 1):+.0f} %"
            dollars = ways[name]["dollars"]
            known = dollars is not None and base["dollars"]
            more = f", {100 * (dollars / base['dollars'] - 1):+.0f} %" if known else ""
            cells.append("text" if ways[name] == base else (tokens + more).replace("-", "−"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Replays and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="a model of the registry; all of them if none is named")
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw", action="append", help="a setting of the proxy; all of them if none is named")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--profile", action="store_true", help="as if each model had been measured to read all at 5x8")
    parser.add_argument("--markdown", type=Path, help="where the table is written for a document")
    given = parser.parse_args()
    known = models()
    chosen = [known[name] for name in given.model or known if known[name].pictures.source != "docs/nano.md"]
    if given.profile:
        os.environ["MICROFICHE_CONFIG"] = tempfile.mkdtemp(prefix="microfiche-agents-")
        for model in chosen:
            trust(model)
    every = sessions(given.seed, given.sessions)
    ways = {name: make for name, make in drawers().items() if not given.draw or name in given.draw}
    parts = shares(every)
    count = sum(len(session.steps) for session in every)
    print(f"{count} requests in {len(every)} sessions, seed {given.seed}, code of Python {sys.version.split()[0]};")
    print("of all characters that are sent, over all turns, are")
    for name, share in parts.items():
        print(f"  {name}: {100 * share:.1f} %")
    found = measured(every, chosen, ways, lambda line: print(line, file=sys.stderr))
    rows = {model: {name: row(bills) for name, bills in ways.items()} for model, ways in found.items()}
    shown(rows)
    if given.markdown:
        given.markdown.write_text(markdown(rows), "utf-8")
    if given.json:
        given.json.write_text(json.dumps({"seed": given.seed, "shares": parts, "models": rows}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
