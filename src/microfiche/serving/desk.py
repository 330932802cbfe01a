"""The desk: a document read to Markdown in pieces that a model can take in, and a text packed as pages.

Ten pages are read at a time, so that the first of a long document come soon. What pages show together, such as running
heads, is found among those ten. Nothing here knows of MCP.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from microfiche.documents.engines import Engines, engines
from microfiche.documents.fetching import without_secrets
from microfiche.documents.opening import OpenFile, open_document, page_numbers
from microfiche.documents.pages import document_of, read_pages
from microfiche.errors import InputError, UsageError
from microfiche.files import bytes_of, plain
from microfiche.limits import Limits
from microfiche.precision import text_tokens
from microfiche.serving.allowed import Allowed
from microfiche.serving.recall import CHARACTERS
from microfiche.sources import DOCUMENTS, Source, decoded

GROUP = 10  #: pages that are read together
HELD = 8  #: groups whose Markdown is held for the next call
TEXT = 2_000_000  #: characters of a text that is packed
FILE = 8 << 20  #: bytes of a text file that is packed
NAMED = 20  #: characters and pages that are listed
RANGE = 400  #: characters that say which pages are read
NO_CURSOR = "no cursor of this document's: copy the one that the last piece ended with, unchanged"
Engine = Literal["text", "rapid", "tesseract", "nano", "nano-rapid", "nano-pages"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
_CURSOR = re.compile(r"pages=([\d,-]{0,400});engine=([a-z-]{0,20});at=(\d{1,9})\+(\d{1,9});sha=([0-9a-f]{16})")
#: Is called before and after each page; what it raises, because nobody waits any longer, ends the work.
Tick = Callable[[], None]


class Cursor(NamedTuple):
    """Where the next piece begins: at a `character`, from 0, of a `page`, from 1, of the file whose SHA-256 begins so,
    read by `engine`, of which `pages` were asked for."""

    pages: str
    engine: str
    page: int
    character: int
    sha256: str

    def __str__(self) -> str:
        return f"pages={self.pages};engine={self.engine};at={self.page}+{self.character};sha={self.sha256}"

    @classmethod
    def of(cls, cursor: str) -> Cursor:
        """The cursor that was written so; UsageError where none was."""
        found = _CURSOR.fullmatch(cursor.strip())
        if found is None:
            raise UsageError(NO_CURSOR)
        pages, engine, page, character, sha256 = found.groups()
        return cls(pages, engine, int(page), int(character), sha256)


@dataclass(frozen=True)
class Piece:
    """A part of a document as Markdown, which begins with a line about the document, and a comment before each page.

    `unread` are numbers and statuses of its pages that were not read whole. `next` is the cursor of the piece that
    follows, or None.
    """

    text: str
    unread: tuple[tuple[int, str], ...]
    next: Cursor | None

    def __str__(self) -> str:
        if self.next is None:
            return f"{self.text}\n\n(This is the end.)"
        return f'{self.text}\n\n(There is more. Call read_document with the same source and cursor="{self.next}".)'


class _PageText(NamedTuple):
    status: str  # ok, partial or failed, and why
    markdown: str


class Desk:
    """Reads and packs, one thing at a time; what it holds of documents is bounded."""

    def __init__(self, limits: Limits = Limits(bytes=256 << 20)) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._engines: dict[str, Engines] = {}
        self._held: OrderedDict[tuple[str, str, tuple[int, ...]], dict[int, _PageText]] = OrderedDict()
        self._downloaded: tuple[str, bytes] = ("", b"")

    # --- reading ---

    def read(
        self,
        allowed: Allowed,
        source: str,
        pages: str | None = None,
        engine: str | None = None,
        cursor: str | None = None,
        tick: Tick = lambda: None,
    ) -> Piece:
        """The next piece, of about CHARACTERS characters, of a file or address: from the first of `pages` on, or from
        where `cursor` says. `tick` is called for each page that is read.

        Raises UsageError for what is asked wrongly or not allowed, and InputError for what cannot be opened or has
        changed since the cursor was given. A page that cannot be read has the status failed.
        """
        at = None
        if cursor is not None:
            if pages is not None or engine is not None:
                raise UsageError("the cursor goes on with the pages and the engine that were asked for: leave them out")
            at = Cursor.of(cursor)
            pages, engine = at.pages or None, at.engine or None
        if engine is not None and engine not in ENGINES:
            raise UsageError(f"no engine {engine!r} here; there are {', '.join(ENGINES)}")
        if pages is not None and len(pages) > RANGE:
            raise UsageError("pages are too many parts; ask for a range such as 1-20")
        with self._lock, self._opened(allowed, source, going_on=at is not None) as opened:
            if at is not None and not opened.sha256.startswith(at.sha256):
                raise InputError(f"{opened.name}: has changed since its last piece; begin again without a cursor")
            numbers = page_numbers(pages, opened.pages) if pages else list(range(1, opened.pages + 1))
            if at is not None and at.page not in numbers:
                raise UsageError(NO_CURSOR)
            asked = re.sub(r"\s", "", pages or "")
            start = at or Cursor(asked, engine or "", numbers[0], 0, opened.sha256[:16])
            return self._piece(opened, numbers, start, tick)

    def _opened(self, allowed: Allowed, source: str, going_on: bool = False) -> OpenFile:
        if not allowed.is_url(source):
            return open_document(allowed.file(source), plain(source), limits=self._limits)
        if not going_on or self._downloaded[0] != source:
            self._downloaded = (source, allowed.fetched(source, self._limits))
        return open_document(self._downloaded[1], plain(without_secrets(source)), limits=self._limits)

    def _piece(self, opened: OpenFile, numbers: list[int], at: Cursor, tick: Tick) -> Piece:
        parts: list[str] = []
        unread: list[tuple[int, str]] = []
        left, begin, following = CHARACTERS, at.character, None
        read: dict[int, _PageText] = {}
        for number in numbers[numbers.index(at.page) :]:
            group = [one for one in numbers if (one - 1) // GROUP == (number - 1) // GROUP]
            if number not in read:
                enough = bool(parts) and left < CHARACTERS // 2  # to read ten pages more would only make it wait
                read = {} if enough else self._group(opened, group, at.engine, tick)
            page = read.get(number)
            if page is None or (parts and len(page.markdown) > left):
                following = at._replace(page=number, character=0)
                break
            if begin > len(page.markdown):
                raise UsageError(NO_CURSOR)
            body = page.markdown[begin : begin + _cut(page.markdown[begin : begin + left + 1], left)]
            on = f", from character {begin + 1:,} on" if begin else ""
            parts.append(f"<!-- page {number} of {opened.pages}: {page.status}{on} -->")
            parts += [body.strip("\n")] if body.strip() else []
            if not page.status.startswith("ok"):
                unread.append((number, page.status))
            left -= len(parts[-1])
            end, begin = begin + len(body), 0
            if end < len(page.markdown):
                following = at._replace(page=number, character=end)
                break
        head = [f"{opened.name}: {opened.kind}, {_pages(opened.pages)}", *opened.notes]
        if unread:
            more = ", …" if len(unread) > NAMED else ""
            head.append(f"not read whole: {', '.join(f'page {n}' for n, _ in unread[:NAMED])}{more}")
        return Piece("\n\n".join(["; ".join(head), *parts]), tuple(unread), following)

    def _group(self, opened: OpenFile, group: list[int], engine: str, tick: Tick) -> dict[int, _PageText]:
        key = opened.sha256, engine, tuple(group)
        if key not in self._held:
            if engine not in self._engines:
                self._engines[engine] = engines(engine or None)
            found = []
            tick()
            for page, _ in read_pages(opened, self._engines[engine], group):
                found.append(page)
                tick()
            document = document_of(opened, {}, found)
            self._held[key] = {}
            for page in document.pages:
                alone = document.model_copy(update={"pages": [page.model_copy(update={"status": "ok"})]})
                by = f"read by {page.engine}" if page.engine else "blank" if page.status == "ok" else "not opened"
                why = f"{page.status}: {_in_a_comment(page.reason)}" if page.status != "ok" else "ok"
                self._held[key][page.number] = _PageText(f"{why}, {by}", alone.markdown().rstrip("\n"))
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]

    # --- packing ---

    def pack(
        self,
        allowed: Allowed,
        output: str,
        text: str | None = None,
        source: str | None = None,
        density: str = "5x8",
        tick: Tick = lambda: None,
    ) -> str:
        """Sets a text, or the file `source` (a text in UTF-8, or a document that is read first), on pages, writes their
        tokens with the text to the .fiche file `output`, and says what that costs, what cannot be drawn and is kept as
        text, and how much of it is read back right.

        Raises UsageError for what is asked wrongly or not allowed, and InputError for a text that is too long or none,
        for a document that cannot be read whole, and where `output` is there already.
        """
        from microfiche import codec
        from microfiche.fiche import Fiche
        from microfiche.readers import load
        from microfiche.typesetting import density as densities
        from microfiche.typesetting.typesetter import unreadable

        if (text is None) == (source is None):
            raise UsageError("give either the text or the source of a file, and not both")
        at = densities.density(density)
        path = allowed.new_file(output, ".fiche")
        with self._lock:
            notes: list[str] = []
            given = self._given(allowed, text, source, notes, tick)
            whole = "".join(given.chunks(composed=False))
            counts, first = unreadable(given.chunks(), at)
            reader = load()
            packed = codec.pack([given], path, reader, at.name, keep_text=True, say=notes.append,
                                progress=lambda pages: tick())  # fmt: skip
            with Fiche(path) as fiche:
                wrong = [number for number, (_, right) in enumerate(codec.read_back(fiche, reader), 1) if not right]
                settings = [fiche.tokens(number).setting for number in range(1, len(fiche) + 1)]
        beside = "".join(codec.text_beside(setting) for setting in settings if setting)
        tokens = text_tokens(whole)
        spent = packed.vision_tokens + (text_tokens(beside) if beside else 0)
        kept = f", and the text of {packed.kept:,} characters that would be misread" if packed.kept else ""
        said = [
            f"{plain(output)}: {packed.characters:,} characters on {_pages(packed.pages)} of {at.name}",
            f"{tokens:,} text tokens became {spent:,} tokens ({packed.vision_tokens:,} vision tokens{kept}): "
            f"ratio {tokens / max(1, spent):.1f}",
        ]
        if counts:
            listed = [f"U+{ord(c):04X} {c if c.isprintable() else ''} ×{n}, first at character {first[c] + 1:,}"
                      for c, n in counts.most_common(NAMED)]  # fmt: skip
            more = f"; and {len(counts) - NAMED:,} others" if len(counts) > NAMED else ""
            said.append(f"cannot be drawn: {'; '.join(listed)}{more}")
        if wrong:
            listed = [*map(str, wrong[:NAMED]), *(["…"] if len(wrong) > NAMED else [])]
            said.append(f"read back with errors: {', '.join(listed)} of {_pages(packed.pages)}")
        else:
            said.append("every page is read back exactly")
        return "\n".join([*said, "the file holds the exact text as well", *notes])

    def _given(
        self, allowed: Allowed, text: str | None, source: str | None, notes: list[str], tick: Tick
    ) -> Source:
        """The text to pack; what is to be known of a document that was read for it goes to `notes`."""
        if text is not None:
            if not 0 < len(text) <= TEXT:
                raise InputError(f"a text has 1 to {TEXT:,} characters, and not {len(text):,}; pack it in parts")
            try:
                return Source("text", text.encode())
            except UnicodeEncodeError as error:
                raise InputError(f"text: character {error.start + 1} is half of a surrogate pair") from error
        assert source is not None
        if allowed.is_url(source) or Path(source).suffix.lower() in DOCUMENTS:
            return Source(plain(source), self._document(allowed, source, notes, tick).encode())
        return Source(plain(source), decoded(plain(source), bytes_of(allowed.file(source), FILE)).encode())

    def _document(self, allowed: Allowed, source: str, notes: list[str], tick: Tick) -> str:
        with self._opened(allowed, source) as opened:
            if "" not in self._engines:
                self._engines[""] = engines()
            found = []
            for page, _ in read_pages(opened, self._engines[""]):
                found.append(page)
                tick()
            document = document_of(opened, {}, found)
        if document.failed:
            page = document.failed[0]
            raise InputError(f"{opened.name}: page {page.number} could not be read ({page.reason}); nothing was packed")
        notes += [f"{opened.name}: page {page.number} {page.status}: {page.reason}"
                  for page in document.pages if page.status != "ok"]  # fmt: skip
        return document.markdown()


def _pages(count: int) -> str:
    return f"{count:,} page{'s' * (count != 1)}"


def _cut(text: str, most: int) -> int:
    """How many characters of a text to give at once, at most so many: all, or up to the end of a paragraph, of a line
    or of a word in its second half."""
    if len(text) <= most:
        return len(text)
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, most // 2, most)
        if at > 0:
            return at + len(mark)
    return most


def _in_a_comment(reason: str) -> str:
    """A reason in words that end no comment."""
    return re.sub(r"-(?=-)", "- ", " ".join(reason.split())).replace("<", "‹").replace(">", "›")
