"""memory add, ask, search, index, history; what they share with the commands in memory_tuning."""

from __future__ import annotations

import dataclasses
import json as jsons
import os
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microfiche.cli.codec import DensityName, JsonOption, LayoutName, ModeName
from microfiche.cli.console import err, progress, reported
from microfiche.errors import InputError
from microfiche.files import bytes_of, plain
from microfiche.sources import decoded, named, standard_input

if TYPE_CHECKING:
    from microfiche.memory import Memory
    from microfiche.memory.messages import Message

app = typer.Typer(no_args_is_help=True, help="The optical memory: texts kept as pages that fade.")


class By(StrEnum):
    """How pages are found."""

    text = "text"
    pixels = "pixels"
    both = "both"


MemoryOption = Annotated[
    Path, typer.Option("--memory", "-m", envvar="MICROFICHE_MEMORY", help="The memory's file; made if it is not there.")
]
BudgetOption = Annotated[int, typer.Option("--budget", min=1, help="Tokens that a context may take.")]
ModelOption = Annotated[
    str, typer.Option("--billing", help="Whose formula counts a picture's tokens: openai-tiles, anthropic, gemini, …")
]
EndpointOption = Annotated[
    str | None, typer.Option("--endpoint", envvar="MICROFICHE_ENDPOINT", help="OpenAI-compatible server, up to /v1.")
]
EndpointModelOption = Annotated[str, typer.Option("--endpoint-model", help="The model's name there.")]
ByOption = Annotated[By, typer.Option("--by", help="Words (BM25), pixels (the lightning indexer), or both.")]
IndexOption = Annotated[
    Path | None, typer.Option("--index", envvar="MICROFICHE_INDEX", help="Weights of the indexer, if none ship.")
]
CountOption = Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="How many passages.")]
DEFAULT = Path("microfiche.memory")


@app.command()
def add(
    what: Annotated[
        list[str], typer.Argument(help="Files, folders, PDF, a chat as .jsonl (role, content, time), or - for text.")
    ],
    memory: MemoryOption = DEFAULT,
    name: Annotated[str | None, typer.Option("--name", help="Of the text on stdin, or of the chat.")] = None,
    density: Annotated[DensityName | None, typer.Option("--density", help="How close text stands from now on.")] = None,
    mode: Annotated[ModeName | None, typer.Option("--mode", help="How large pages are from now on.")] = None,
    layout: Annotated[LayoutName | None, typer.Option("--layout", help="dense or lines, from now on.")] = None,
    json: JsonOption = False,
) -> None:
    """Remembers texts; what is unchanged is left alone, what changed is appended with a page that shows it."""
    from microfiche.memory import Memory
    from microfiche.memory.writer import Added

    with reported():
        total = Added()
        with (
            Memory(memory, density_name=density, mode_name=mode,
                   layout="lines" if layout is LayoutName.lines else "dense" if layout else None) as opened,
            progress("pages") as done,
        ):  # fmt: skip
            for one in what:
                taken, called = _taken(one, name)
                added = opened.add(taken, called, lambda a: done(total.pages_set + a.pages_set))
                for field in dataclasses.fields(Added):
                    setattr(total, field.name, getattr(total, field.name) + getattr(added, field.name))
        for where, why in total.left_out:
            err.print(f"{where}: left out: {why}", markup=False)
        if json:
            print(jsons.dumps(dataclasses.asdict(total)))
            return
        told = {"new": total.new, "changed": total.changed, "unchanged": total.unchanged, "gone": total.gone,
                "messages": total.messages}
        err.print(
            f"{memory}: " + (", ".join(f"{n} {what}" for what, n in told.items() if n) or "nothing")
            + f"; {total.pages_set} pages set, {total.pages_kept} kept, {total.text_tokens:,} text tokens as "
            f"{total.vision_tokens:,} vision tokens"
            + (f"; {total.undrawn} characters kept as text only" if total.undrawn else ""),
            markup=False,
        )


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    memory: MemoryOption = DEFAULT,
    endpoint: EndpointOption = None,
    endpoint_model: EndpointModelOption = "default",
    budget: BudgetOption = 16_000,
    billing: ModelOption = "openai-tiles",
    by: ByOption = By.text,
    index: IndexOption = None,
    count: CountOption = 3,
    json: JsonOption = False,
) -> None:
    """Answers from what is remembered, citing pages; without --endpoint, shows the passages that speak of it.

    The key for an endpoint comes from MICROFICHE_ENDPOINT_KEY.
    """
    from microfiche.memory.asking import ask as asked
    from microfiche.memory.asking import passages

    with reported(), opened_memory(memory) as opened:
        if not endpoint:
            hits = passages(opened, question, count, by.value, index)
            _hits([dataclasses.asdict(hit) for hit in hits], json)
            return
        server = server_at(endpoint)
        answer = asked(opened, question, server, endpoint_model, budget, billing)
        for note in answer.context.notes:
            err.print(note, markup=False)
        if answer.cited and not opened.read_only:
            opened.recall(answer.cited)
        cited = {page: f"{place.source}, page {place.number}" for page, place in answer.cited.items()}
        if json:
            print(jsons.dumps({"answer": answer.text, "cut": answer.cut, "cited": cited, "unknown": answer.unknown,
                               "tokens": answer.context.tokens, "text_tokens": answer.context.text_tokens}))
            return
        print(plain(answer.text))
        for page, where in cited.items():
            print(f"[page {page}] {where}")
        if answer.unknown:
            err.print(f"it cites pages that it was not shown: {', '.join(map(str, answer.unknown))}", markup=False)
        err.print(f"{answer.context.tokens:,} tokens, {answer.context.text_tokens:,} as text", markup=False)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="Words to look for.")],
    memory: MemoryOption = DEFAULT,
    by: ByOption = By.text,
    index: IndexOption = None,
    count: CountOption = 10,
    json: JsonOption = False,
) -> None:
    """Passages, as they are read from the vision tokens, with page and line."""
    with reported(), opened_memory(memory) as opened:
        _hits([dataclasses.asdict(hit) for hit in opened.search(query, count, by.value, index)], json)


@app.command("index")
def make_index(memory: MemoryOption = DEFAULT, index: IndexOption = None) -> None:
    """Makes the keys by which pages are found by their pixels."""
    from microfiche.memory.indexer import keys_file, update
    from microfiche.nano.indexer_checkpoint import load

    with reported(), opened_memory(memory, read_only=False) as opened, progress("pages") as done:
        indexer = load(index, opened.model.checkpoint)
        pages = update(opened, indexer, lambda n, of: done(n))
        err.print(f"{keys_file(opened, indexer)}: keys of {pages} pages made", markup=False)


@app.command()
def history(
    name: Annotated[str | None, typer.Argument(help="A text's name or a file's path; all names if not given.")] = None,
    memory: MemoryOption = DEFAULT,
    version: Annotated[int | None, typer.Option("--text", help="Print the exact text of this version.")] = None,
    json: JsonOption = False,
) -> None:
    """The versions of a text, and the pages each is on."""
    with reported(), opened_memory(memory) as opened:
        if name is None:
            for one, kind in opened.names():
                print(f"{kind}\t{one}")
            return
        known = {one for one, _ in opened.names()}
        name = name if name in known or not Path(name).exists() else str(Path(name).resolve())
        if version is not None:
            sys.stdout.buffer.write(opened.version_text(name, version).encode("utf-8", "surrogatepass"))
            return
        versions = opened.history(name)
        if json:
            print(jsons.dumps([dataclasses.asdict(v) for v in versions]))
            return
        for v in versions:
            since = datetime.fromtimestamp(v.added).isoformat(" ", "seconds")
            until = f"retired {datetime.fromtimestamp(v.retired).isoformat(' ', 'seconds')}" if v.retired else "current"
            pages = ", ".join(map(str, v.pages))
            shown = f"; what changed: {', '.join(map(str, v.diff))}" if v.diff else ""
            print(f"version {v.number}, {since}, {until}: {v.characters:,} characters on pages {pages}{shown}")


def opened_memory(path: Path, read_only: bool = True) -> Memory:
    """A memory that is there."""
    from microfiche.memory import Memory

    if not path.exists():
        raise InputError(f"{path}: no memory there; microfiche memory add makes one")
    return Memory(path, read_only=read_only and not os.access(path, os.W_OK))


def server_at(url: str) -> Any:
    from microfiche.endpoint import Endpoint

    return Endpoint(url, os.environ.get("MICROFICHE_ENDPOINT_KEY"))


def _taken(one: str, name: str | None) -> tuple[Any, str | None]:
    """What an argument means, and under which name it is added."""
    if one == "-":
        return decoded("-", standard_input().read()), name or "stdin"
    path = named(one)
    if path.suffix != ".jsonl":
        return path, None
    from microfiche.memory.store import LARGEST

    lines = decoded(one, bytes_of(path, LARGEST)).split("\n")
    messages = [_message(line, f"{one}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    return messages, name or path.stem


def _message(line: str, where: str) -> Message:
    from microfiche.memory.messages import message_of

    try:
        return message_of(jsons.loads(line))
    except RecursionError as error:
        raise InputError(f"{where}: nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{where}: not a chat, one JSON message a line ({error})") from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _hits(hits: list[dict[str, Any]], json: bool) -> None:
    if json:
        print(jsons.dumps(hits))
        return
    for hit in hits:
        where = f"page {hit['page']}: " if hit["page"] else ""
        sure = "" if hit["exact"] else "  (read with errors)"
        print(f"{where}{hit['source']}, page {hit['number']}, line {hit['line']}{sure}")
        print(f"    {plain(' '.join(hit['text'].split()))}")
    if not hits:
        err.print("nothing found", markup=False)
