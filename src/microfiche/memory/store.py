"""Memory, which users hold: texts, chats, files, folders and documents go in; pages, passages and contexts come out.

    with Memory("history.memory") as memory:
        memory.add_folder("src")
        memory.sync_chat("support 4711", [{"role": "user", "content": "…"}])
        memory.search("refund")[0].text
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from html import escape
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote

from microfiche.errors import InputError, StoreError, UsageError
from microfiche.files import Found, bytes_of, plain, shown
from microfiche.memory import chats
from microfiche.memory.archive import Archive
from microfiche.memory.billing import Shape
from microfiche.memory.chats import Given
from microfiche.memory.context import Context, context
from microfiche.memory.database import adding, format_of
from microfiche.memory.fading import Faded, Schedule, fade, schedule, schedule_of
from microfiche.memory.finding import By, Hit, search
from microfiche.memory.folders import files_in
from microfiche.memory.forgetting import forget, wiped
from microfiche.memory.messages import as_read
from microfiche.memory.paper import faded, png, to_bytes
from microfiche.memory.records import Clock, Version, how_many, newest_first
from microfiche.memory.redaction import Forgotten, Passage
from microfiche.memory.writer import Added, Meter, Progress, Writer
from microfiche.page import Layout
from microfiche.sources import DOCUMENTS, decoded

LARGEST = 1 << 30  #: bytes of one text
SPACE = 200  #: bytes of a namespace's name at most, quoted as in a URL
LOOKED_AT = 1000  #: files of a folder that are looked at between two calls of `progress`
OWN = re.compile(r"(-wal|-shm|-journal|-writer|\..+\.keys)?\Z|\.spaces(/|\Z)")  #: what a memory's own files end with
SHOWN, THUMB = 6, 256  #: pages that a notebook shows, and their width in px
Say = Callable[[Progress], None]


def _silent(progress: Progress) -> None:
    pass


class Memory(Archive):
    """A memory in one file, which is made if it is not there.

    `density`, `mode` and `layout` say how its pages are set from now on; those that were set before stay as
    they are. It may be used from any thread. Many processes and threads may read it while one writes; another writer
    waits up to `timeout` seconds for that one.

    What adds takes `tokens`, whether vision tokens are made and stored at once instead of when they are asked for,
    and `progress`, which is called with what was done so far, of how much, and the time that is left.
    """

    def add(
        self,
        what: str | Path | Sequence[Given],
        name: str | None = None,
        progress: Say = _silent,
        *,
        tokens: bool = False,
        everything: bool = False,
    ) -> Added:
        """Adds a text (str, under `name`), messages (to the end of the chat `name`), or a file, document or folder
        (Path), as `add_text`, `add_messages`, `add_file` and `add_folder` do. UsageError for anything else."""
        if isinstance(what, Path):
            if what.is_dir():
                return self.add_folder(what, progress, tokens=tokens, everything=everything)
            return self.add_file(what, progress, tokens=tokens)
        if isinstance(what, str):
            return self.add_text(what, name, progress, tokens=tokens)
        if isinstance(what, bytes | bytearray | dict) or not isinstance(what, Iterable):
            raise UsageError(f"a memory takes a text, a Path or a list of messages, no {type(what).__name__}")
        return self.add_messages(name or "chat", what, progress, tokens=tokens)

    def add_text(self, text: str, name: str | None = None, progress: Say = _silent, *, tokens: bool = False) -> Added:
        """Adds a text under a name. Of one that changed only the changes are set; one that did not is left as it is."""
        if not isinstance(text, str) or not text:
            raise InputError(f"{name or 'the text'}: {'empty' if text == '' else 'is no text (str)'}")
        digest = hashlib.sha256(to_bytes(text)).hexdigest()
        with self._adding(progress, tokens, {"characters": len(text)}) as (writer, _):
            writer.text(name or f"text {digest[:12]}", "text", digest, lambda: (text, ""))
            return writer.added

    def add_messages(
        self, name: str, messages: Iterable[Given], progress: Say = _silent, *, tokens: bool = False
    ) -> Added:
        """Adds messages to the end of a chat, as often as they come; `sync_chat` makes it hold just its messages."""
        every = chats.listed(messages)
        with self._adding(progress, tokens, {"messages": len(every)}) as (writer, _):
            chats.append(writer, name, every)
            return writer.added

    def sync_chat(
        self, name: str, messages: Sequence[Given], progress: Say = _silent, *, tokens: bool = False
    ) -> Added:
        """Makes a chat hold just `messages`, all of it from the first turn on, and adds only what is new.

        Where a turn that it holds is another now or missing, the chat begins a new version (the old one stays in its
        history); the result's `rewritten` names the first such turn, and `removed` counts the turns from there on.
        """
        every = chats.listed(messages)
        with self._adding(progress, tokens, {"messages": len(every)}) as (writer, _):
            chats.sync(writer, name, every)
            return writer.added

    def add_file(self, path: str | Path, progress: Say = _silent, *, tokens: bool = False) -> Added:
        """Adds a text file, PDF or picture, under its whole path. InputError if it cannot be read."""
        path = Path(path)
        if not os.path.lexists(path):
            raise InputError(f"{shown(path)}: no such file")
        size = path.stat().st_size if path.is_file() else 0
        with self._adding(progress, tokens, {_kind(path): size}) as (writer, meter):
            meter.begin(_kind(path), size, str(path))
            _add_file(writer, path.resolve())
            return writer.added

    def add_folder(
        self, folder: str | Path, progress: Say = _silent, *, tokens: bool = False, everything: bool = False
    ) -> Added:
        """Adds the files in a folder, at any depth, and retires those that are no longer there.

        What git ignores is left out, and so are likely secrets, unless `everything` is taken. Files that cannot be
        taken and secrets are in the result's `left_out`, each with the reason.
        """
        folder = Path(folder)
        home = folder.resolve()
        total = self._sizes(folder, everything, progress)
        with self._adding(progress, tokens, total) as (writer, meter):
            taken, odd = 0, set()
            for one in self._files_in(folder, everything):
                if one.left_out:
                    writer.added.left_out.append((shown(one.path), one.left_out))
                    continue
                taken += 1
                if (name := plain(str(one.path))) != str(one.path):
                    odd.add(name)  # it is not UTF-8, so that no file has the name under which it is kept
                meter.begin(_kind(one.path), _size(one.path), str(one.path))
                try:
                    _add_file(writer, one.path)
                except StoreError:
                    raise
                except InputError as error:
                    why = str(error).removeprefix(f"{one.path}: ").removeprefix(f"{name}: ")
                    writer.added.left_out.append((name, why))
            if not taken:
                raise InputError(f"{folder}: there is nothing in this folder that can be remembered")
            held = writer.connection.execute(
                "SELECT name FROM source JOIN version ON version.source = source.id"
                " WHERE kind IN ('file', 'document') AND retired IS NULL"
            )
            below = os.path.join(plain(str(home)), "")
            for name in [name for (name,) in held if name.startswith(below)
                         and name not in odd and (self._is_own(name) or not os.path.exists(name))]:
                writer.retire(name)
            return writer.added

    def _sizes(self, folder: Path, everything: bool, say: Say) -> dict[str, int]:
        """How many bytes of each kind the files of a folder have that are taken; `say` is called now and then with how
        many files were found. They are not kept in memory, since a folder may hold millions."""
        total: dict[str, int] = {}
        for number, one in enumerate(self._files_in(folder, everything)):
            if number and number % LOOKED_AT == 0:
                say(Progress(Added(), number, 0, "files", str(one.path), None))
            total[_kind(one.path)] = total.get(_kind(one.path), 0) + (0 if one.left_out else _size(one.path))
        return total

    def _files_in(self, folder: Path, everything: bool) -> Iterator[Found]:
        """The files of a folder, but for those that make up this memory."""
        return (one for one in files_in(folder, everything) if not self._is_own(str(one.path)))

    def _is_own(self, path: str) -> bool:
        own = str(self.path.resolve())
        return path.startswith(own) and bool(OWN.match(path[len(own) :]))

    @contextmanager
    def _adding(self, say: Say, tokens: bool, total: dict[str, int]) -> Iterator[tuple[Writer, Meter]]:
        model, begun = self.model if tokens else None, False
        try:
            with self.writing() as connection:
                meter, begun = Meter(say, total), True
                yield Writer(connection, self.manner, model, meter, self._room), meter
                meter.end()
                adding(connection, False)
        except BaseException:
            if begun:
                with suppress(StoreError), self.writing() as connection:
                    adding(connection, False)
            raise

    def messages(self, name: str, version: int | None = None) -> list[dict[str, Any]]:
        """The messages of a chat as they were added: role, content, name, tool calls, whatever they held."""
        with self.reading() as connection:
            chosen = self._version(name, version)
            row = connection.execute(
                "SELECT version.id, kind FROM version JOIN source ON source.id = source WHERE name = ? AND number = ?",
                (chosen.source, chosen.number),
            ).fetchone()
            if row[1] != "chat":
                raise UsageError(f"{name!r} is a {row[1]} and no chat")
            return chats.messages_of(connection, row[0])

    def history(self, name: str) -> list[Version]:
        """The versions of a text, oldest first; UsageError if there is none of that name.

        A file may be named by any path that leads to it.
        """
        with self.reading() as connection:
            name = self.known_as(name)
            rows = connection.execute(
                "SELECT version.id, number, added, retired, characters,"
                f" {'forgotten' if format_of(connection) > 1 else '0'}"
                " FROM version JOIN source ON source.id = source WHERE name = ? ORDER BY number",
                (name,),
            ).fetchall()
            if not rows:
                raise UsageError(f"{self.path}: holds nothing named {name!r}")

            def pages(version: int, part: str) -> tuple[int, ...]:
                return tuple(row[0] for row in connection.execute(
                    "SELECT page FROM place WHERE version = ? AND part = ? ORDER BY number", (version, part)))

            return [
                Version(
                    name, number, added, retired, characters, pages(version, "text"), pages(version, "diff"), forgotten
                )
                for version, number, added, retired, characters, forgotten in rows
            ]

    def version_text(self, name: str, number: int | None = None) -> str:
        """The exact text of a version, the newest if `number` is None, or of a chat with its open page."""
        with self.reading():
            chosen = self._version(name, number)
            records = [self.record(page) for page in chosen.pages]
            parts: list[tuple[Layout, str]] = [(record.layout, self.text(record)) for record in records]
            if chosen.retired is None:
                parts += [("turns", page.text) for page in self.open_pages() if page.source == chosen.source]
            return "".join(
                as_read("".join(text for _, text in together), layout)
                for layout, together in groupby(parts, key=lambda part: part[0])
            )

    def _version(self, name: str, number: int | None) -> Version:
        versions = self.history(name)
        chosen = [v for v in versions if v.number == (versions[-1].number if number is None else number)]
        if not chosen:
            raise UsageError(f"{self.known_as(name)}: has no version {number}")
        return chosen[0]

    def names(self) -> list[tuple[str, str]]:
        """The name and kind (text, file, document or chat) of everything that is remembered now."""
        with self.reading() as connection:
            return connection.execute(  # of what was forgotten all of it, the count of its turns is left
                "SELECT name, kind FROM source WHERE id IN (SELECT source FROM version WHERE retired IS NULL"
                " AND characters) ORDER BY id").fetchall()

    def context(self, budget: int, query: str = "", model: str = "", shape: Shape | None = None) -> Context:
        """Messages of at most `budget` tokens with the history as pages, and those that `query` needs sharp.

        `model` says how pictures are counted and which `shape` messages have, unless one is given; see context.py.
        """
        return context(self, budget, query, model, shape)

    def fade(self, by: Schedule | dict[str, Any] | str | None = None, now: Clock | None = None) -> Faded:
        """Gives each page the size that is due by a schedule, a dict of one or its name, the memory's own if None."""
        return fade(self, schedule_of(self) if by is None else schedule(by), now)

    def search(
        self, query: str, count: int = 10, by: By = "text", index: Path | None = None, *, read: bool = False
    ) -> list[Hit]:
        """The best passages for a query, exactly as they were added, with page and line.

        With `read`, each has beside it what the model reads there from the vision tokens; see finding.py.
        """
        return search(self, query, count, by, index, read)

    def namespace(self, name: str) -> Self:
        """The memory of a namespace: a file of its own, in the folder FILE.spaces beside this memory's.

        Nothing of one namespace is found, sent or counted in another. It is opened as this one is, and closed by who
        asked for it. UsageError for a name that is empty or longer than SPACE bytes once it is quoted as in a URL.
        """
        file = quote(plain(name), safe=" ").replace(".", "%2E") if isinstance(name, str) else ""
        if not 0 < len(file) <= SPACE:
            raise UsageError(f"{name!r} cannot name a namespace: give 1 to {SPACE} bytes")
        folder = self._spaces()
        if not self.read_only:
            folder.mkdir(exist_ok=True)
        return type(self)(
            folder / f"{file}.memory", density=self.manner.density, mode=self.manner.mode, layout=self.manner.layout,
            model=self._model, read_only=self.read_only, timeout=self.timeout,
        )  # fmt: skip

    def namespaces(self) -> list[str]:
        """The names of this memory's namespaces."""
        return sorted(unquote(file.stem) for file in self._spaces().glob("*.memory"))

    def _spaces(self) -> Path:
        return self.path.with_name(f"{self.path.name}.spaces")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """For notebooks: what is remembered, and the newest pages as pictures, the open pages of chats last."""
        with self.reading() as connection:
            opened, names, pages = self.open_pages(), len(self.names()), how_many(connection)
            records = list(islice(newest_first(connection, sys.maxsize), SHOWN))[::-1]
            where = self.places([record.id for record in records])
            records = [record for record in records if record.id in where]
            shown = [(f"page {record.id}: {where[record.id].source}, page {where[record.id].number}",
                      self.png(record, THUMB)) for record in records]
            shown += [(f"{one.source}, page {one.number}, still open", png(faded(self.set_open(one).page, THUMB).image))
                      for one in opened[-SHOWN:]]
        figures = []
        for said, picture in shown[-SHOWN:]:
            caption, data = escape(said), base64.b64encode(picture).decode()
            figures.append(
                f'<figure style="display:inline-block;margin:4px"><img width="{THUMB}" alt="{caption}"'
                f' src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
            )
        held = f"{names} text{'s' * (names != 1)} on {(on := pages + len(opened))} page{'s' * (on != 1)}"
        return f"<p>{escape(repr(self))}: {held}</p>{''.join(figures)}"

    def forget(
        self,
        name: str | None = None,
        *,
        page: int | None = None,
        before: float | str | datetime | None = None,
        after: float | str | datetime | None = None,
        query: str | None = None,
        confirm: Callable[[Sequence[Passage]], bool] | None = None,
    ) -> Forgotten:
        """Forgets on purpose and for ever: a text by its name, a page, what is from a time, or what says a query, which
        `confirm` must agree to once it is shown every passage. See forgetting.py."""
        return forget(self, name, page, before, after, query, confirm)

    def wipe(self) -> bool:
        """Finishes a forgetting whose result is not `wiped`; returns whether nothing of it is left in the files."""
        return wiped(self)

    def recall(self, pages: Iterable[int]) -> None:
        """Marks pages that were needed: they age from now on and become sharp again with the next fading."""
        now = self.clock()
        self._set(pages, "since_page = ?, since_turn = ?, since_time = ?", now.pages, now.turns, now.seconds)

    def pin(self, pages: Iterable[int], pinned: bool = True) -> None:
        """Keeps pages from fading, or lets them fade again."""
        self._set(pages, "pinned = ?", int(pinned))

    def weigh(self, pages: Iterable[int], importance: float) -> None:
        """Makes pages age `importance` times as slowly."""
        if not isinstance(importance, int | float) or not 0.01 <= importance <= 1e6:
            raise UsageError(f"an importance of {importance!r} is no number between 0.01 and 1,000,000")
        self._set(pages, "importance = ?", importance)

    def _set(self, pages: Iterable[int], assignment: str, *values: object) -> None:
        with self.writing() as connection:
            for page in pages:
                if not connection.execute(f"UPDATE page SET {assignment} WHERE id = ?", (*values, page)).rowcount:
                    raise UsageError(f"{self.path}: there is no page {page}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # that it is gone is said when it is to be read


def _kind(path: Path) -> str:
    return "bytes of documents" if path.suffix.lower() in DOCUMENTS else "bytes"


def _add_file(writer: Writer, path: Path) -> None:
    data = bytes_of(path, LARGEST)
    digest = hashlib.sha256(data).hexdigest()
    if path.suffix.lower() in DOCUMENTS:
        from microfiche.memory.intake import read_document  # here, because texts and chats take none of its engines

        writer.text(str(path), "document", digest, lambda: read_document(path))
        return
    if not data.removeprefix(codecs.BOM_UTF8):
        raise InputError(f"{path}: empty")
    writer.text(str(path), "file", digest, lambda: (decoded(str(path), data), ""))
