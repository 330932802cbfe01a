"""Memory, which users hold: texts, chats, files, folders and documents go in; pages, passages and contexts come out.

    with Memory("history.memory") as memory:
        memory.add(Path("src"))
        memory.add([{"role": "user", "content": "…"}], name="chat")
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from microfiche.errors import InputError, UsageError
from microfiche.files import bytes_of, plain, shown
from microfiche.memory.archive import Archive
from microfiche.memory.billing import Shape
from microfiche.memory.context import Context, context
from microfiche.memory.fading import Faded, Schedule, fade, schedule_of
from microfiche.memory.finding import By, Hit, search
from microfiche.memory.intake import files_in, read_document
from microfiche.memory.messages import Message, message_of
from microfiche.memory.paper import to_bytes
from microfiche.memory.records import Clock, Version
from microfiche.memory.writer import Added, Writer
from microfiche.sources import DOCUMENTS, decoded

LARGEST = 1 << 30  #: bytes of one text


class Memory(Archive):
    """A memory in one file, which is made if it is not there.

    `density`, `mode` and `layout` say how its pages are set from now on; those that were set before stay as
    they are. Many processes may read it while one writes; another writer waits up to `timeout` seconds for that one.
    """

    def add(
        self,
        what: str | Path | Sequence[Message | Mapping[str, Any]],
        name: str | None = None,
        progress: Callable[[Added], None] = lambda added: None,
    ) -> Added:
        """Adds a text (str, under `name`), messages (to the chat `name`), or a file, document or folder (Path).

        What is remembered already is not set again, and of a text that changed only the changes are. Files of a folder
        that cannot be taken are in the result's `left_out`; for a single one there is an InputError. `progress` is
        called with what was added so far.
        """
        with self.writing() as connection:
            writer = Writer(connection, self.manner, lambda: self.model, progress)
            if isinstance(what, Path):
                self._add_path(writer, what)
            elif isinstance(what, str):
                text = what
                if not text:
                    raise InputError(f"{name or 'the text'}: empty")
                digest = hashlib.sha256(to_bytes(text)).hexdigest()
                writer.text(name or f"text {digest[:12]}", "text", digest, lambda: (text, ""))
            else:
                writer.chat(name or "chat", [message_of(m) for m in what])
            progress(writer.added)
            return writer.added

    def _add_path(self, writer: Writer, path: Path) -> None:
        if path.is_dir():
            self._add_folder(writer, path)
        elif path.exists():
            _add_file(writer, path.resolve())
        else:
            raise InputError(f"{path}: no such file")

    def _add_folder(self, writer: Writer, folder: Path) -> None:
        seen = set()
        home = folder.resolve()
        for found in files_in(folder):
            if found.left_out:
                writer.added.left_out.append((shown(found.path), found.left_out))
                continue
            try:
                seen.add(plain(str(found.path)))
                _add_file(writer, found.path)
            except InputError as error:
                writer.added.left_out.append((str(found.path), str(error).removeprefix(f"{found.path}: ")))
        if not seen:
            raise InputError(f"{folder}: there is nothing in this folder that can be remembered")
        below = self.connection.execute(
            "SELECT name FROM source JOIN version ON version.source = source.id"
            " WHERE kind IN ('file', 'document') AND retired IS NULL"
        )
        for (name,) in below.fetchall():
            if name not in seen and Path(name).is_relative_to(home) and not Path(name).exists():
                writer.retire(name)

    def history(self, name: str) -> list[Version]:
        """The versions of a text, oldest first; UsageError if there is none of that name.

        A file may be named by any path that leads to it.
        """
        with self.reading() as connection:
            name = self._known_as(name)
            rows = connection.execute(
                "SELECT version.id, number, added, retired, characters FROM version JOIN source ON source.id = source"
                " WHERE name = ? ORDER BY number",
                (name,),
            ).fetchall()
            if not rows:
                raise UsageError(f"{self.path}: holds nothing named {name!r}")

            def pages(version: int, part: str) -> tuple[int, ...]:
                return tuple(row[0] for row in connection.execute(
                    "SELECT page FROM place WHERE version = ? AND part = ? ORDER BY number", (version, part)))

            return [
                Version(name, number, added, retired, characters, pages(version, "text"), pages(version, "diff"))
                for version, number, added, retired, characters in rows
            ]

    def version_text(self, name: str, number: int | None = None) -> str:
        """The exact text of a version, the newest if `number` is None, or of a chat with its open page."""
        with self.reading():
            name = self._known_as(name)
            versions = self.history(name)
            chosen = [v for v in versions if v.number == (versions[-1].number if number is None else number)]
            if not chosen:
                raise UsageError(f"{name}: has no version {number}")
            kept = "".join(self.text(page) for page in chosen[0].pages)
            return kept + "".join(page.text for page in self.open_pages() if page.source == name)

    def names(self) -> list[tuple[str, str]]:
        """The name and kind (text, file, document or chat) of everything that is remembered now."""
        with self.reading() as connection:
            return connection.execute(
                "SELECT name, kind FROM source WHERE id IN (SELECT source FROM version WHERE retired IS NULL)"
                " ORDER BY id"
            ).fetchall()

    def context(
        self, budget: int, query: str = "", provider: str = "openai-tiles", shape: Shape | None = None
    ) -> Context:
        """Messages of at most `budget` tokens with the history as pages, and those that `query` needs sharp.

        `provider`, one of billing.py, says how pictures are counted and which `shape` messages have; see context.py.
        """
        return context(self, budget, query, provider, shape)

    def fade(self, by: Schedule | None = None, now: Clock | None = None) -> Faded:
        """Gives each page the size that is due to its age by a schedule, the memory's own if None; see fading.py."""
        return fade(self, by or schedule_of(self), now)

    def search(self, query: str, count: int = 10, by: By = "text", index: Path | None = None) -> list[Hit]:
        """The best passages for a query, read from the vision tokens, with page and line; see finding.py."""
        return search(self, query, count, by, index)

    def recall(self, pages: Iterable[int]) -> None:
        """Marks pages that were needed: they age from now on and become sharp again with the next fading."""
        now = self.clock()
        self._set(pages, "since_page = ?, since_turn = ?, since_time = ?", now.pages, now.turns, now.seconds)

    def pin(self, pages: Iterable[int], pinned: bool = True) -> None:
        """Keeps pages from fading, or lets them fade again."""
        self._set(pages, "pinned = ?", int(pinned))

    def weigh(self, pages: Iterable[int], importance: float) -> None:
        """Makes pages age `importance` times as slowly."""
        if not 0.01 <= importance <= 1e6:
            raise UsageError(f"an importance of {importance:g} is not between 0.01 and 1,000,000")
        self._set(pages, "importance = ?", importance)

    def _known_as(self, name: str) -> str:
        """The name under which a text is remembered: a file is by its whole path."""
        name = plain(name)
        held = self.connection.execute("SELECT count(*) FROM source WHERE name = ?", (name,)).fetchone()[0]
        return name if held or not os.path.exists(name) else plain(str(Path(name).resolve()))

    def _set(self, pages: Iterable[int], assignment: str, *values: object) -> None:
        with self.writing() as connection:
            for page in pages:
                if not connection.execute(f"UPDATE page SET {assignment} WHERE id = ?", (*values, page)).rowcount:
                    raise UsageError(f"{self.path}: there is no page {page}")


def _add_file(writer: Writer, path: Path) -> None:
    data = bytes_of(path, LARGEST)
    digest = hashlib.sha256(data).hexdigest()
    if path.suffix.lower() in DOCUMENTS:
        writer.text(str(path), "document", digest, lambda: read_document(path))
        return
    if not data.removeprefix(codecs.BOM_UTF8):
        raise InputError(f"{path}: empty")
    writer.text(str(path), "file", digest, lambda: (decoded(str(path), data), ""))
