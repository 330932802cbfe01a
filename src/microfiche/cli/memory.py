"""memory add, ask, search, index, history, forget, and options that they share with the commands in memory_tuning."""

from __future__ import annotations

import json as jsons
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from microfiche.cli.codec import DensityName, JsonOption, LayoutName, ModeName
from microfiche.cli.console import counted, err, fail, one_line, out, progress, reported, say
from microfiche.errors import InputError
from microfiche.files import plain, shown
from microfiche.sources import decoded, named, standard_input

if TYPE_CHECKING:
    from microfiche.endpoint import Endpoint
    from microfiche.memory import Memory
    from microfiche.memory.finding import CitingAnswer, Hit
    from microfiche.memory.messages import Message
    from microfiche.memory.records import Version
    from microfiche.memory.redaction import Passage
    from microfiche.memory.writer import Added

app = typer.Typer(no_args_is_help=True, help="Remembers texts as pages that fade: the optical memory.")


class By(StrEnum):
    """How pages are found."""

    text = "text"
    pixels = "pixels"
    both = "both"


MemoryOption = Annotated[Path, typer.Option("--memory", "-m", envvar="MICROFICHE_MEMORY", help="The memory's file.")]
BudgetOption = Annotated[int, typer.Option("--budget", min=1, help="The most tokens that a context may take.")]
ModelOption = Annotated[
    str, typer.Option("--model", help="The model for which tokens and money are counted, by its provider's name.")
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
        typer.Argument(help="Files, folders, PDF, pictures, chats as .jsonl or .json, or - for stdin."),
    ],
    memory: MemoryOption = DEFAULT,
    name: Annotated[str | None, typer.Option("--name", help="The name of the chat, or of the text on stdin.")] = None,
    density: Annotated[
        DensityName | None, typer.Option("--density", help="How densely pages are set from now on.")
    ] = None,
    mode: Annotated[ModeName | None, typer.Option("--mode", help="How large pages are from now on.")] = None,
    layout: Annotated[
        LayoutName | None, typer.Option(
            "--layout", help="How lines of texts are broken from now on; those of chats always break between words."
        ),
    ] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Make and store vision tokens now, and not when they are asked for.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Take likely secrets and what git ignores in folders as well.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Remembers texts. Of one that changed only the changes are added, with a page that shows them; a chat is then as
    its file says."""
    from microfiche.memory import Memory
    from microfiche.memory.writer import Added, Progress

    with reported():
        total = Added()
        with (
            Memory(memory, density=density, mode=mode, layout=layout.value if layout else None) as opened,
            progress("reading") as done,
        ):

            def tell(at: Progress) -> None:
                done(at.done, at.now and shown(Path(at.now)), at.total)

            every = [_taken(one, name) for one in what]
            chats: dict[str | None, list[Message]] = {}
            for taken, called in every:
                if isinstance(taken, list):
                    chats.setdefault(called, []).extend(taken)
            for taken, called in every:
                if not isinstance(taken, list):
                    total += opened.add(taken, called, tell, tokens=tokens, everything=everything)
                elif called in chats:
                    total += opened.sync_chat(called or "chat", chats.pop(called), tell, tokens=tokens)
        for chat, turn in total.rewritten:
            err.print(f"{one_line(chat)}: changed from message {turn:,} on; history keeps what it was", markup=False)
        for where, why in total.left_out:
            err.print(one_line(f"{where}: left out: {why}"), markup=False)
        if json:
            print(jsons.dumps(asdict(total)))
        else:
            err.print(f"{memory}: {_summary(total, tokens)}", markup=False)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    memory: MemoryOption = DEFAULT,
    endpoint: EndpointOption = None,
    endpoint_model: EndpointModelOption = "default",
    budget: BudgetOption = 16_000,
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
            _print_hits(opened, opened.search(question, count, by.value, index), question, json)
            return
        answer = finding.ask(opened, question, server_at(endpoint), endpoint_model, budget)
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
    read: Annotated[
        bool, typer.Option("--read", help="Show beside each passage what is read there from the vision tokens.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Shows passages as they were added, with the line of a text or the message of a chat, and the memory's page."""
    with reported(), opened_memory(memory) as opened:
        _print_hits(opened, opened.search(query, count, by.value, index, read=read), query, json)


@app.command()
def forget(
    name: Annotated[str | None, typer.Argument(help="The name of a text or chat, or the path of a file.")] = None,
    memory: MemoryOption = DEFAULT,
    page: Annotated[int | None, typer.Option("--page", help="Forget what stands on this page.")] = None,
    before: Annotated[str | None, typer.Option("--before", help="Forget what is from before this ISO date.")] = None,
    after: Annotated[str | None, typer.Option("--after", help="Forget what is from this ISO date on.")] = None,
    query: Annotated[
        str | None, typer.Option("--query", help="Forget the messages and lines that say this, in every version.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before what a query finds is forgotten.")] = False,
    json: JsonOption = False,
) -> None:
    """Forgets for ever: a text by its name, a page, a time or what says a query, out of all versions and the file."""
    with reported(), opened_memory(memory) as opened:

        def confirmed(passages: Sequence[Passage]) -> bool:
            for one in passages:
                err.print(one_line(f"{one.source}, version {one.version}: {' '.join(one.text.split())}"), markup=False)
            return yes or typer.confirm(
                f"Forget {'this passage' if len(passages) == 1 else f'these {len(passages):,} passages'}?", err=True)

        done = opened.forget(name, page=page, before=before, after=after, query=query, confirm=confirmed)
        if json:
            print(jsons.dumps(asdict(done)))
        else:
            texts = f"{', '.join(done.names)}; " if done.names else ""
            counts = [(done.versions, "version"), (done.messages, "message"), (done.characters, "character")]
            say(f"{memory}: forgotten: {one_line(texts)}{', '.join(counted(*one) for one in counts)}; "
                f"{counted(done.pages, 'page')} {'is' if done.pages == 1 else 'are'} gone or changed")
            if done.shared:
                say(f"these have pages of it as well and keep them: {one_line(', '.join(done.shared))}")
        if not done.wiped:
            fail(f"{memory}: forgotten, but somebody still reads an older state of the file or writes to it; forget "
                 "again when they have ended, or use Memory.wipe", 1)


@app.command("index")
def make_index(memory: MemoryOption = DEFAULT, index: IndexOption = None) -> None:
    """Makes the keys by which pages are found by their pixels."""
    from microfiche.memory.indexer import keys_file, update
    from microfiche.nano.indexer import load_indexer

    with reported(), opened_memory(memory) as opened, progress("pages") as done:
        indexer = load_indexer(index, opened.model.checkpoint)
        pages = update(opened, indexer, lambda n, of: done(n))
        err.print(f"{keys_file(opened, indexer)}: keys of {counted(pages, 'page')} made", markup=False)


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
                print(f"{kind}\t{one_line(one)}")
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
    from microfiche.endpoint import Endpoint

    return Endpoint(url, os.environ.get("MICROFICHE_ENDPOINT_KEY"))


def _taken(one: str, name: str | None) -> tuple[str | Path | list[Message], str | None]:
    """What an argument stands for, and the name under which it is added."""
    from microfiche.memory.messages import chat_in, chat_in_json

    if one == "-":
        return decoded("-", standard_input().read()), name or "stdin"
    path = named(one)
    chat = None
    if path.suffix == ".jsonl":
        chat = chat_in(path)
    elif path.suffix == ".json" and path.is_file():
        chat = chat_in_json(path)
    return (path, None) if chat is None else (chat, name or path.stem)


def _summary(added: Added, made: bool) -> str:
    counts = {"new": added.new, "changed": added.changed, "unchanged": added.unchanged, "gone": added.gone,
              "message": added.messages, "removed": added.removed}
    parts = [
        ", ".join(counted(n, what) if what == "message" else f"{n:,} {what}" for what, n in counts.items() if n)
        or "nothing",
        f"{counted(added.pages_set, 'page')} set, {added.pages_kept} kept, "
        f"{counted(added.characters, 'character')}" + (f" as {added.vision_tokens:,} vision tokens" if made else ""),
    ]
    if added.undrawn:
        are = "is" if added.undrawn == 1 else "are"
        parts.append(f"{counted(added.undrawn, 'character')} cannot be drawn and {are} kept as text only")
    return "; ".join(parts)


def _version_line(version: Version) -> str:
    since = datetime.fromtimestamp(version.added).isoformat(" ", "seconds")
    until = "current"
    if version.retired:
        until = f"retired {datetime.fromtimestamp(version.retired).isoformat(' ', 'seconds')}"
    changed = f"; what changed: {', '.join(map(str, version.diff))}" if version.diff else ""
    named = f"on page{'s' * (len(version.pages) > 1)} {', '.join(map(str, version.pages))}"
    pages = named if version.pages else "on a page that is not full yet"
    return f"version {version.number}, {since}, {until}: {counted(version.characters, 'character')} {pages}{changed}"


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
        print(f"[page {page}] {one_line(where)}")
    if answer.unknown:
        err.print(f"it cites pages that it was not shown: {', '.join(map(str, answer.unknown))}", markup=False)
    err.print(f"{sent.tokens:,} tokens; as text it would be {sent.text_tokens:,}", markup=False)


def _print_hits(archive: Memory, hits: Sequence[Hit], query: str, json: bool) -> None:
    """Prints each passage below where it stands; on a terminal, the words of the query in it are bold."""
    from microfiche.memory.finding import whereabouts
    from microfiche.memory.words import places_of

    if json:
        print(jsons.dumps([hit.to_dict() for hit in hits]))
        return
    for number, hit in enumerate(hits):
        page = f" (page {hit.page})" if hit.page else ""
        shown, mark = hit.marked
        note = f"; who speaks begins with [{mark}…]" if mark else ""
        out.print(Text(f"{_near(hit.source)}, {one_line(whereabouts(archive, hit, query))}{page}{note}", "cyan"))
        passage = Text(shown)
        for start, end in places_of(shown, query):
            passage.stylize("bold", start, end)
        lines = passage.split("\n")
        for end in (0, -1):
            while len(lines) > 1 and not lines[end].plain.strip():
                lines.pop(end)
        for line in lines:
            out.print(Text("    ").append_text(_harmless(line)) if line.plain.strip() else "")
        if hit.read is not None:
            say_read = "read the same" if hit.exact else f"read as: {one_line(' '.join(hit.read.split()))}"
            out.print(Text(f"    {say_read}"))
        if number < len(hits) - 1:
            out.print()
    if not hits:
        err.print("nothing found", markup=False)


def _near(source: str) -> str:
    """The name of a text, of a file below the folder that one is in from there."""
    here = os.path.join(os.getcwd(), "")
    return one_line(source.removeprefix(here))


def _harmless(line: Text) -> Text:
    """A line of a text that does nothing to a terminal."""
    if all(sign.isprintable() for sign in line.plain):
        return line
    signs = [one_line(sign) if sign != "\t" else "    " for sign in line.plain]
    made, at = Text("".join(signs)), [0, *accumulate(map(len, signs))]
    for span in line.spans:
        made.stylize(span.style, at[span.start], at[span.end])
    return made
