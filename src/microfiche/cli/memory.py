"""memory add, ask, search, index, history, and the options that they share with the commands in memory_tuning."""

from __future__ import annotations

import json as jsons
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microfiche.cli.codec import DensityName, JsonOption, LayoutName, ModeName
from microfiche.cli.console import err, progress, reported
from microfiche.endpoint import Endpoint
from microfiche.errors import InputError
from microfiche.files import plain
from microfiche.sources import decoded, named, standard_input

if TYPE_CHECKING:
    from microfiche.memory import Memory
    from microfiche.memory.finding import CitingAnswer, Hit
    from microfiche.memory.messages import Message
    from microfiche.memory.records import Version
    from microfiche.memory.writer import Added

app = typer.Typer(no_args_is_help=True, help="The optical memory, which keeps texts as pages that fade.")


class By(StrEnum):
    """How pages are found."""

    text = "text"
    pixels = "pixels"
    both = "both"


MemoryOption = Annotated[Path, typer.Option("--memory", "-m", envvar="MICROFICHE_MEMORY", help="The memory's file.")]
BudgetOption = Annotated[int, typer.Option("--budget", min=1, help="The most tokens that a context may take.")]
ProviderOption = Annotated[
    str,
    typer.Option("--billing", help="The provider whose formula counts a picture: openai-tiles, anthropic, gemini, …"),
]
EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", envvar="MICROFICHE_ENDPOINT", help="An OpenAI-compatible server, up to /v1."),
]
EndpointModelOption = Annotated[str, typer.Option("--endpoint-model", help="The name of the model at that server.")]
ByOption = Annotated[
    By, typer.Option("--by", help="Find pages by their words (BM25), their pixels (the lightning indexer) or both.")
]
IndexOption = Annotated[
    Path | None,
    typer.Option("--index", envvar="MICROFICHE_INDEX", help="Weights of the indexer, instead of those that ship."),
]
CountOption = Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="The most passages to show.")]
DEFAULT = Path("microfiche.memory")


@app.command()
def add(
    what: Annotated[
        list[str],
        typer.Argument(help="Files, folders, PDF, pictures, chats as .jsonl (role, content, time), or - for stdin."),
    ],
    memory: MemoryOption = DEFAULT,
    name: Annotated[str | None, typer.Option("--name", help="The name of the chat, or of the text on stdin.")] = None,
    density: Annotated[
        DensityName | None, typer.Option("--density", help="How densely pages are set from now on.")
    ] = None,
    mode: Annotated[ModeName | None, typer.Option("--mode", help="How large pages are from now on.")] = None,
    layout: Annotated[
        LayoutName | None, typer.Option("--layout", help="How lines are broken on pages from now on.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Remembers texts. Of one that changed only the changes are added, with a page that shows them."""
    from microfiche.memory import Memory
    from microfiche.memory.writer import Added

    with reported():
        total = Added()
        with (
            Memory(memory, density=density, mode=mode, layout=layout.value if layout else None) as opened,
            progress("pages") as done,
        ):

            def say(added: Added) -> None:
                done(total.pages_set + added.pages_set)

            for one in what:
                taken, called = _taken(one, name)
                total += opened.add(taken, called, say)
        for where, why in total.left_out:
            err.print(f"{where}: left out: {why}", markup=False)
        if json:
            print(jsons.dumps(asdict(total)))
        else:
            err.print(f"{memory}: {_summary(total)}", markup=False)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    memory: MemoryOption = DEFAULT,
    endpoint: EndpointOption = None,
    endpoint_model: EndpointModelOption = "default",
    budget: BudgetOption = 16_000,
    provider: ProviderOption = "openai-tiles",
    by: ByOption = By.text,
    index: IndexOption = None,
    count: CountOption = 3,
    json: JsonOption = False,
) -> None:
    """Answers from what is remembered and cites pages; without --endpoint, shows the passages that speak of it.

    The key for the endpoint is taken from MICROFICHE_ENDPOINT_KEY.
    """
    from microfiche.memory import finding

    with reported(), opened_memory(memory) as opened:
        if not endpoint:
            _print_hits(finding.passages(opened, question, count, by.value, index), json)
            return
        answer = finding.ask(opened, question, server_at(endpoint), endpoint_model, budget, provider)
        if answer.cited and not opened.read_only:
            opened.recall(answer.cited)
        _print_answer(answer, json)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="The words to look for.")],
    memory: MemoryOption = DEFAULT,
    by: ByOption = By.text,
    index: IndexOption = None,
    count: CountOption = 10,
    json: JsonOption = False,
) -> None:
    """Shows passages as they are read from the vision tokens, with page and line."""
    with reported(), opened_memory(memory) as opened:
        _print_hits(opened.search(query, count, by.value, index), json)


@app.command("index")
def make_index(memory: MemoryOption = DEFAULT, index: IndexOption = None) -> None:
    """Makes the keys by which pages are found by their pixels."""
    from microfiche.memory.indexer import keys_file, update
    from microfiche.nano.indexer import load_indexer

    with reported(), opened_memory(memory) as opened, progress("pages") as done:
        indexer = load_indexer(index, opened.model.checkpoint)
        pages = update(opened, indexer, lambda n, of: done(n))
        err.print(f"{keys_file(opened, indexer)}: keys of {pages} pages made", markup=False)


@app.command()
def history(
    name: Annotated[
        str | None, typer.Argument(help="The name of a text or the path of a file; without it, all names are listed.")
    ] = None,
    memory: MemoryOption = DEFAULT,
    version: Annotated[int | None, typer.Option("--version", help="Print the exact text of this version.")] = None,
    json: JsonOption = False,
) -> None:
    """Shows the versions of a text and the pages on which each stands."""
    with reported(), opened_memory(memory) as opened:
        if name is None:
            for one, kind in opened.names():
                print(f"{kind}\t{one}")
        elif version is not None:
            sys.stdout.buffer.write(opened.version_text(name, version).encode("utf-8", "surrogatepass"))
        elif json:
            print(jsons.dumps([asdict(v) for v in opened.history(name)]))
        else:
            for one_version in opened.history(name):
                print(_version_line(one_version))


def opened_memory(path: Path) -> Memory:
    """The memory at `path`; InputError if there is none."""
    from microfiche.memory import Memory

    if not path.exists():
        raise InputError(f"{path}: there is no memory there; microfiche memory add makes one")
    return Memory(path)


def server_at(url: str) -> Endpoint:
    """The server at `url`, with the key that the environment holds for it."""
    return Endpoint(url, os.environ.get("MICROFICHE_ENDPOINT_KEY"))


def _taken(one: str, name: str | None) -> tuple[str | Path | list[Message], str | None]:
    """What an argument stands for, and the name under which it is added."""
    from microfiche.memory.messages import chat_in

    if one == "-":
        return decoded("-", standard_input().read()), name or "stdin"
    path = named(one)
    if path.suffix != ".jsonl":
        return path, None
    return chat_in(path), name or path.stem


def _summary(added: Added) -> str:
    counts = {"new": added.new, "changed": added.changed, "unchanged": added.unchanged, "gone": added.gone,
              "messages": added.messages}
    parts = [
        ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing",
        f"{added.pages_set} page{'s' * (added.pages_set != 1)} set, {added.pages_kept} kept, "
        f"{added.text_tokens:,} text tokens as {added.vision_tokens:,} vision tokens",
    ]
    if added.undrawn:
        parts.append(f"{added.undrawn} characters cannot be drawn and are kept as text only")
    return "; ".join(parts)


def _version_line(version: Version) -> str:
    since = datetime.fromtimestamp(version.added).isoformat(" ", "seconds")
    until = "current"
    if version.retired:
        until = f"retired {datetime.fromtimestamp(version.retired).isoformat(' ', 'seconds')}"
    changed = f"; what changed: {', '.join(map(str, version.diff))}" if version.diff else ""
    pages = ", ".join(map(str, version.pages))
    return f"version {version.number}, {since}, {until}: {version.characters:,} characters on pages {pages}{changed}"


def _print_answer(answer: CitingAnswer, json: bool) -> None:
    sent = answer.context
    for note in sent.notes:
        err.print(note, markup=False)
    cited = {page: f"{place.source}, page {place.number}" for page, place in answer.cited.items()}
    if json:
        print(jsons.dumps({"answer": answer.text, "cut": answer.cut, "cited": cited, "unknown": answer.unknown,
                           "tokens": sent.tokens, "text_tokens": sent.text_tokens}))
        return
    print(plain(answer.text))
    for page, where in cited.items():
        print(f"[page {page}] {where}")
    if answer.unknown:
        err.print(f"it cites pages that it was not shown: {', '.join(map(str, answer.unknown))}", markup=False)
    err.print(f"{sent.tokens:,} tokens; as text it would be {sent.text_tokens:,}", markup=False)


def _print_hits(hits: Sequence[Hit], json: bool) -> None:
    if json:
        print(jsons.dumps([asdict(hit) for hit in hits]))
        return
    for hit in hits:
        where = f"page {hit.page}: " if hit.page else ""
        sure = "" if hit.exact else "  (read with errors)"
        print(f"{where}{hit.source}, page {hit.number}, line {hit.line}{sure}")
        print(f"    {plain(' '.join(hit.text.split()))}")
    if not hits:
        err.print("nothing found", markup=False)
