"""proxy, run, stats, doctor: the proxy between an agent and its provider, and what it says of itself."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microfiche.cli.console import one_line, reported, say
from microfiche.cli.settings import named_file
from microfiche.errors import require
from microfiche.proxy.verdict import Draw

if TYPE_CHECKING:
    from microfiche.proxy.account import Sum
    from microfiche.proxy.settings import Settings


class By(StrEnum):
    """What sums are grouped by."""

    session = "session"
    model = "model"
    client = "client"
    vendor = "vendor"
    day = "day"


PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        help="The port to listen at, 8765 by default; 0 takes a free one.",
    ),
]
HostOption = Annotated[
    str | None,
    typer.Option(
        "--host",
        help="The address to listen at, 127.0.0.1 by default; one that others can reach asks for a token.",
    ),
]
AnthropicOption = Annotated[
    str | None,
    typer.Option(
        "--anthropic",
        metavar="URL",
        help="Where Anthropic's requests go, instead of api.anthropic.com.",
    ),
]
OpenaiOption = Annotated[
    str | None,
    typer.Option(
        "--openai",
        metavar="URL",
        help="Where OpenAI's requests go, up to /v1, instead of api.openai.com.",
    ),
]
GeminiOption = Annotated[
    str | None,
    typer.Option(
        "--gemini",
        metavar="URL",
        help="Where Gemini's requests go, instead of generativelanguage.googleapis.com.",
    ),
]
DrawOption = Annotated[
    Draw | None,
    typer.Option(
        "--draw",
        help="What may become pictures: nothing; tool results and pastes (safe); also the system prompt and tools "
        "(slab); also old turns (full).",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A TOML file of settings, instead of ~/.config/microfiche/proxy.toml.",
    ),
]
LogOption = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="FILE",
        help="The log, one JSON line a request, without its content.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Prints one JSON object.")]


def proxy(
    port: PortOption = None,
    host: HostOption = None,
    anthropic: AnthropicOption = None,
    openai: OpenaiOption = None,
    gemini: GeminiOption = None,
    draw: DrawOption = None,
    token: Annotated[
        str | None,
        typer.Option("--token", help="What every request has to hold, in the header x-microfiche-token or as /@TOKEN "
                     "in front of its path."),
    ] = None,
    config: ConfigOption = None,
    log: LogOption = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="FILE", help="Writes all that is said to FILE, which --replay reads."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", metavar="FILE", help="Serves nothing, but says what each setting would have saved or "
                     "cost for the requests in FILE, or in standard input (-): JSON lines, an HTTP archive (HAR), a "
                     "transcript of Claude Code, a rollout of Codex, a chat."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Replays for this model instead of the one that was asked.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Stands between agents and their providers, and says what each request cost and would have cost as text.

    Point a client at http://127.0.0.1:8765 (ANTHROPIC_BASE_URL) or http://127.0.0.1:8765/v1 (OPENAI_BASE_URL); its own
    keys stay in use. Its page is http://127.0.0.1:8765/microfiche/.

    Every request and answer passes byte for byte, except for texts that cost less as pages and that the model is known
    to read there. A request with the header "x-microfiche: off" is never drawn.
    """
    with reported():
        server = _needed()
        if replay is not None:
            from microfiche.cli.replay import shown

            shown(replay, model, as_json)
            return
        flags = {"host": host, "port": port, "anthropic": anthropic, "openai": openai, "gemini": gemini, "draw": draw,
                 "token": token, "log": log}  # fmt: skip
        chosen = _settings(config, flags).guarded()
        server.fit(chosen)
        listening = server.bound(chosen.host, chosen.port)
        chosen = chosen.model_copy(update={"port": listening.getsockname()[1]})
        made, _ = server.relay(chosen)
        if record is not None:
            from microfiche.proxy.recorded import Recorder

            made.recorder = Recorder(record)
        say(f"{chosen.url} is ready: ANTHROPIC_BASE_URL={chosen.url} OPENAI_BASE_URL={chosen.url}/v1")
        say(f"{chosen.url}/microfiche/ shows what each request costs")
        server.serve(made, listening)


def run(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND…", help="The command to run, with its arguments.")
    ],
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port to listen at; 0 takes a free one.")
    ] = 0,
    anthropic: AnthropicOption = None,
    openai: OpenaiOption = None,
    gemini: GeminiOption = None,
    draw: DrawOption = None,
    config: ConfigOption = None,
    log: LogOption = None,
) -> None:
    """Runs an agent with a proxy of its own: microfiche run -- claude, codex, opencode, gemini, or any command.

    The command's environment leads Anthropic's, OpenAI's and Gemini's clients to the proxy, which goes where they would
    have gone. It ends with the command, says what that cost, and exits with the command's code.
    """
    with reported():
        server = _needed()
        from microfiche.proxy import clients

        flags: dict[str, Any] = {"port": port, "anthropic": anthropic, "openai": openai, "gemini": gemini, "draw": draw,
                                 "log": log, "host": "127.0.0.1"}  # fmt: skip
        chosen = _settings(config, flags)
        leading = clients.leading(command, os.environ, chosen.upstreams.named)
        chosen = _settings(config, flags | dict(leading.addresses.items()))
        server.fit(chosen)
        listening = server.bound(chosen.host, chosen.port)
        chosen = chosen.model_copy(update={"port": listening.getsockname()[1]})
        made, account = server.relay(chosen)
        with server.served(made, listening):
            say(f"{chosen.url}/microfiche/ shows what each request of {one_line(command[0])} costs")
            for line in leading.said:
                say(one_line(line))
            code = clients.run(command, chosen.url, leading.apart, leading.settings)
        total = account.total
        say(f"requests: {total.requests}; cost: {_money(total)}", "red" if total.saved < -5e-5 else None)
        if not total.requests:
            say(f"nothing of {one_line(command[0])} passed the proxy: see `microfiche doctor`")
        for line in _unread(account.total, chosen):
            say(line)
        if account.trouble:
            say(one_line(account.trouble))
    raise typer.Exit(code)


def _unread(total: Sum, chosen: Settings) -> list[str]:
    """For each model that was sent text because nobody has measured it, how to measure it and what that costs."""
    if chosen.draw == Draw.off:
        return []
    from microfiche.proxy.sight import calibration_of

    return [f"{one_line(model)} is not known to read pages and was sent text: {one_line(said)}"
            for model in sorted(total.models) if (said := calibration_of(model))]  # fmt: skip


def stats(
    by: Annotated[By, typer.Option("--by", help="What sums are grouped by.")] = By.session,
    last: Annotated[int, typer.Option("--last", min=1, help="How many groups are shown, the newest ones.")] = 20,
    log: LogOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Says what the requests through the proxy cost, beside what they would have cost as text; losses are red."""
    with reported():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        from microfiche.proxy.account import Sum, records_in, summed

        skipped: Counter[str] = Counter()
        records = list(records_in(_settings(config, {"log": log}).log_path, skipped))
        sums = summed(records, by.value)
        whole = Sum()
        for record in records:
            whole.add(record)
        shown = sorted(sums.items(), key=lambda item: item[1].last)[-last:]
        if as_json:
            typer.echo(json.dumps({"total": whole.as_json(), by.value: {key: one.as_json() for key, one in shown},
                                   "skipped": skipped["lines"]}))  # fmt: skip
            return
        table = Table(box=None)
        table.add_column(by.value, overflow="fold")
        for name in ("requests", "prompt", "cached", "output", "cost", "as text", "saved"):
            table.add_column(name, justify="right", no_wrap=True)
        for key, one in [*shown, ("all", whole)]:
            tokens = sum(one.tokens.values()) - one.tokens["output"]
            table.add_row(Text(one_line(key)), f"{one.requests:,}", f"{tokens:,}", f"{one.tokens['read']:,}",
                          f"{one.tokens['output']:,}", *_columns(one))  # fmt: skip
        Console().print(table)
        for line in _notes(whole, skipped["lines"]):
            say(line)


def doctor(config: ConfigOption = None, log: LogOption = None, as_json: JsonOption = False) -> None:
    """Says how clients are connected: by which kind of key, with which betas and versions, to which vendor.

    It reads the log and the environment, asks nobody but the proxy on this machine, and exits 1 if something is wrong.
    """
    with reported():
        from microfiche.errors import InputError
        from microfiche.proxy import doctor as examined
        from microfiche.proxy.account import records_in

        chosen = _settings(config, {"log": log})
        skipped: Counter[str] = Counter()
        try:
            seen = examined.clients(records_in(chosen.log_path, skipped))
        except InputError as error:
            seen = []
            say(str(error))
        found = examined.findings(chosen, os.environ, seen, skipped["lines"])
        if as_json:
            told = [{key: sorted(value) if isinstance(value, set) else value for key, value in asdict(one).items()}
                    for one in seen]  # fmt: skip
            typer.echo(json.dumps({"clients": told, "findings": [asdict(one) for one in found]}))
        else:
            lines = []
            for one in seen:
                lines.append(f"{one.name}: {one.requests} requests, the last {one.last}")
                lines.append(f"  key {', '.join(sorted(one.auth))}; vendors {', '.join(sorted(one.vendors))}")
                for model in sorted(one.models):
                    lines.append(f"  model {model}: {_read_how(model)}")
                if one.betas:
                    lines.append(f"  betas {', '.join(sorted(one.betas))}")
                if one.versions:
                    lines.append(f"  {', '.join(f'{name} {value}' for name, value in sorted(one.versions.items()))}")
            for line in lines:
                typer.echo(one_line(line))
            for finding in found:
                typer.echo(f"{'ok     ' if finding.right else 'problem'}  {one_line(finding.said)}")
    if not all(finding.right for finding in found):
        raise typer.Exit(1)


def _read_how(model: str) -> str:
    """How it is known what a model reads on pages, or that it is sent text."""
    from microfiche.errors import InputError
    from microfiche.proxy.sight import sight_of

    try:
        sight, known = sight_of(model)
    except InputError as error:
        return f"text, {error}"
    return f"text, {known}" if sight is None else f"pages at {sight.density}, {known}"


def _needed() -> Any:
    require("the proxy", "serve", "uvicorn", "httpx2")
    from microfiche.proxy import server

    return server


def _settings(config: Path | None, flags: dict[str, Any]) -> Settings:
    from microfiche.proxy.settings import settings

    return settings(config, flags, named_file())


def _money(one: Sum) -> str:
    """A sum in words: what it cost, what it would have cost as text, and by prices of which date."""
    if not one.tokens:
        return "nothing was charged"
    if not one.priced:
        return "the price is not known"
    dated = ", ".join(sorted(one.priced))
    more = f"; {one.unpriced} answers have no known price" if one.unpriced else ""
    more += f"; {one.inexact} answers were cut, and may have cost more" if one.inexact else ""
    more += f"; without {', '.join(sorted(one.besides))}" if one.besides else ""
    kept = "" if abs(one.saved) < 5e-5 else f": {'lost' if one.saved < 0 else 'saved'} ${abs(one.saved):,.4f}"
    return f"${one.dollars:,.4f}, as text ${one.text_dollars:,.4f}{kept} (prices of {dated}{more})"


def _columns(one: Sum) -> tuple[str, str, str]:
    if not one.priced:
        return "", "", ""
    colour = "red" if one.saved < 0 else "green" if one.saved > 0 else "default"
    saved = f"{'−' if one.saved < 0 else ''}${abs(one.saved):,.4f}"
    return f"${one.dollars:,.4f}", f"${one.text_dollars:,.4f}", f"[{colour}]{saved}[/]"


def _notes(whole: Sum, skipped: int) -> list[str]:
    notes = [f"prices of {', '.join(sorted(whole.priced))}"] if whole.priced else []
    if whole.unpriced:
        notes.append(f"{whole.unpriced} answers are of models without a known price and in no sum of money")
    if whole.inexact:
        notes.append(f"{whole.inexact} answers were cut, and may have cost more than they could say")
    if whole.besides:
        notes.append(f"not in the sums: {', '.join(sorted(whole.besides))}")
    if skipped:
        notes.append(f"{skipped} lines of the log are no records, and were passed over")
    return notes
