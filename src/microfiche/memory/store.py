"""Memory: what a user holds. Adds texts, chats, files, folders and documents; gives pages back; each verb its module.

    with Memory("history.memory") as memory:
        memory.add(Path("src"))
        memory.add([{"role": "user", "content": "…"}], name="chat")
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from microfiche.errors import InputError, UsageError
from microfiche.files import bytes_of, plain, shown
from microfiche.memory.archive import Archive
from microfiche.memory.billing import Shape
from microfiche.memory.context import Context, context, schedule_of
from microfiche.memory.fading import Faded, fade
from microfiche.memory.finding import By, Hit, search
from microfiche.memory.folders import files_in
from microfiche.memory.messages import Message, message_of
from microfiche.memory.paper import encoded
from microfiche.memory.reading import read_document
from microfiche.memory.records import Clock, Version
from microfiche.memory.schedules import HalfLife, Pinned, Steps
from microfiche.memory.writer import Added, Writer
from microfiche.sources import DOCUMENTS, decoded

LARGEST = 1 << 30  #: bytes of one text


class Memory(Archive):
    """A memory in one file, made if it is not there.

    `density_name`, `mode_name` and `layout` say how its pages are set from now on; those set before stay as they are.
    Many may read while one writes; another writer waits `timeout` seconds for it.
    """

    def add(
        self,
        what: str | Path | Sequence[Message | Mapping[str, Any]],
        name: str | None = None,
        progress: Callable[[Added], None] = lambda added: None,
    ) -> Added:
        """Adds a text (str, under `name`), messages (to the chat `name`), or a file, document or folder (Path).

        What stands there already is not set again; of a text that changed, only what did. What a folder holds that
        cannot be taken is in the result's `left_out`; InputError for a single file that cannot.
        """
        with self.writing() as connection:
            writer = Writer(connection, self.manner, lambda: self.model, progress)
            if isinstance(what, Path):
                self._add_path(writer, what)
            elif isinstance(what, str):
                text = what
                if not text:
                    raise InputError(f"{name or 'the text'}: empty")
                digest = hashlib.sha256(encoded(text)).hexdigest()
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
            raise InputError(f"{folder}: nothing in this folder that can be remembered")
        below = self.connection.execute(
            "SELECT name FROM source JOIN version ON version.source = source.id"
            " WHERE kind IN ('file', 'document') AND retired IS NULL"
        )
        for (name,) in below.fetchall():
            if name not in seen and Path(name).is_relative_to(home) and not Path(name).exists():
                writer.retire(name)

    def history(self, name: str) -> list[Version]:
        """The versions of a text, oldest first; UsageError if there is none of that name."""
        name = plain(name)
        with self.reading() as connection:
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
        """The exact text of a version (the newest, if None), or of a chat with its open page."""
        with self.reading():
            versions = self.history(name)
            chosen = [v for v in versions if v.number == (number or versions[-1].number)]
            if not chosen:
                raise UsageError(f"{name}: has no version {number}")
            kept = "".join(self.text(page) for page in chosen[0].pages)
            return kept + "".join(page.text for page in self.open_pages() if page.source == plain(name))

    def names(self) -> list[tuple[str, str]]:
        """Name and kind (text, file, document, chat) of everything that is remembered now."""
        with self.reading() as connection:
            return connection.execute(
                "SELECT name, kind FROM source WHERE id IN (SELECT source FROM version WHERE retired IS NULL)"
                " ORDER BY id"
            ).fetchall()

    def context(
        self, budget: int, query: str = "", model: str = "openai-tiles", shape: Shape | None = None
    ) -> Context:
        """Messages of at most `budget` tokens, recent pages first and what `query` needs sharp; see context.py."""
        return context(self, budget, query, model, shape)

    def fade(self, by: HalfLife | Steps | Pinned | None = None, now: Clock | None = None) -> Faded:
        """Gives pages the size due to their age by a schedule, the memory's own if None; see fades.py."""
        return fade(self, by or schedule_of(self), now)

    def search(self, query: str, count: int = 10, by: By = "text", index: Path | None = None) -> list[Hit]:
        """The best passages for a query, read from the tokens, with page and line; see finding.py."""
        return search(self, query, count, by, index)

    def recall(self, pages: Iterable[int]) -> None:
        """Pages that were needed: they age from now on, and are sharp again in the next fading."""
        now = self.clock()
        self._set(pages, "since_page = ?, since_turn = ?, since_time = ?", now.pages, now.turns, now.seconds)

    def pin(self, pages: Iterable[int], pinned: bool = True) -> None:
        """Pages that never fade, or may again."""
        self._set(pages, "pinned = ?", int(pinned))

    def weigh(self, pages: Iterable[int], importance: float) -> None:
        """Pages that age `importance` times as slowly."""
        if not 0.01 <= importance <= 1e6:
            raise UsageError(f"an importance of {importance:g}: give 0.01 to 1,000,000")
        self._set(pages, "importance = ?", importance)

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
