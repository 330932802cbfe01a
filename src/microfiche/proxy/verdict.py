"""What may become of a block of a prompt, and what does: text, or pages with what stands before each of them; and
what the ledger says of it later: such a page as it is found again, its lines, and what was forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Draw(StrEnum):
    """What may become pictures: nothing; tool results and pastes; also the system prompt and tools; also old turns."""

    off = "off"
    safe = "safe"
    slab = "slab"
    full = "full"


@dataclass(frozen=True)
class DrawnPage:
    """A page of a block: its `number`, the lines `first` to `last` of the block that stand on it, all from 1, and its
    characters from `start` to `stop`; the PNG of `width` × `height` px, the `tokens` of the picture, and the `caption`
    that stands before it."""

    number: int
    first: int
    last: int
    start: int
    stop: int
    width: int
    height: int
    tokens: int
    caption: str
    png: bytes


@dataclass(frozen=True)
class DrawnBlock:
    """A block that was drawn: its `name`, the `digest` of its text and place, a word on where it came from, its exact
    `text`, and its pages."""

    name: str
    digest: bytes
    source: str
    text: str
    pages: tuple[DrawnPage, ...]


@dataclass(frozen=True)
class Verdict:
    """What becomes of a block in a session, and why: its pages, the first of them after the banner if it `banner`s, or
    text where `block` is None. For old turns, `stop` is the number of the message before which they end."""

    reason: str
    block: DrawnBlock | None = None
    banner: bool = False
    stop: int = 0


@dataclass(frozen=True)
class LedgerPage:
    """A page as it was drawn, by its name: lines `first` to `last` of the `of` lines of its block are on it, and `text`
    is what they say, exactly, from the page's first character to its last."""

    name: str
    number: int
    pages: int
    first: int
    last: int
    of: int
    source: str
    made: float
    width: int
    height: int
    tokens: int
    png: bytes
    text: str


class Line(NamedTuple):
    """A line of a block, by its number from 1, without its end."""

    number: int
    text: str


class Hit(NamedTuple):
    """A page in which words were found, the line where most of them stand, an excerpt, and BM25's score."""

    page: str
    line: int
    text: str
    score: float


class Erased(NamedTuple):
    """How many blocks, sessions (as the account names them) and characters were forgotten, and whether nothing of them
    is left in the file."""

    blocks: int
    sessions: int
    characters: int
    wiped: bool
