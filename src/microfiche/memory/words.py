"""The words of texts and queries: pages found by them with SQLite's FTS5 and BM25, and passages that speak of a query.

This module knows nothing of pictures.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from unicodedata import category, normalize

from microfiche.memory.database import format_of
from microfiche.memory.letters import (
    ALPHABETS,
    CHINESE,
    SYLLABLES,
    compared,
    compared_with_places,
    runs_on,
    signs_apart,
)

FORMAT = 4  #: of a memory's file, from which on its index holds texts as they are compared
LONGEST_WORD = 24
LONGEST_PHRASE = 16  #: words of what stands in a query without spaces, as a path or an address, to be found as a whole
MOST = 64  #: words of a query that are looked for, and phrases
_COMMON = """a an and are as at be by did do does for from had has have how in is it its of on or that the their there
they this to was were what when where which who whom whose why will with you your"""
COMMON = frozenset(_COMMON.split())


def index_words(connection: sqlite3.Connection, page: int, text: str) -> None:
    """Adds a page to the index, to be found by the words of `text`."""
    connection.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (page, _indexed(text)))


def unindex_words(connection: sqlite3.Connection, page: int, text: str) -> None:
    """Takes a page out of the index; `text` is what it was added with."""
    connection.execute("INSERT INTO words(words, rowid, text) VALUES ('delete', ?, ?)", (page, _indexed(text)))


def _indexed(text: str) -> str:
    """A text as the index holds it: as it is compared, each sign of scripts without spaces a word."""
    return signs_apart(compared(text))


@cache
def _pieces() -> re.Pattern[str]:
    """What matches a run of letters of scripts without spaces between words, or else a word."""
    marks = "".join(sign for sign in map(chr, range(0x20000)) if category(sign)[0] == "M")
    return re.compile(rf"(?:[{SYLLABLES}{ALPHABETS}][{marks}]*)+|(?:(?![{SYLLABLES}{ALPHABETS}])[\w{marks}])+")


_CHINESE, _OF_ALPHABET = re.compile(f"([{CHINESE}])"), re.compile(f"[{ALPHABETS}]")
_WRITTEN = re.compile("[\\w\u0300-\u036f]+")


def words_of(query: str) -> list[str]:
    """The words of a query as they are written, each once and in small letters, without common ones where there are
    others; each Chinese character is one."""
    every = _WRITTEN.findall(_CHINESE.sub(r" \1 ", normalize("NFC", query)))
    found = [word.lower() for word in every if any(map(str.isalnum, compared(word)))]
    return list(dict.fromkeys([w for w in found if w not in COMMON] or found))[:MOST]


@dataclass
class _Asked:
    """What a query asks for, as it is compared: `words`, which are found whole; stretches of `signs`, which are found
    anywhere; and what stands together in it (`runs`), with the `phrases` that these are in the index.

    The Chinese signs of longer stretches are looked for alone (`lone`) only where the rest does not find enough: they
    stand on most pages.
    """

    words: list[str] = field(default_factory=list)
    signs: list[tuple[str, ...]] = field(default_factory=list)
    lone: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)


@lru_cache(16)
def _asked(query: str) -> _Asked:
    """A run of Chinese, Japanese or Korean is found by every two of its signs, one of Thai and the like by every three,
    and one that has no more as a whole."""
    asked = _Asked()
    for run in compared(query).split():
        tokens: list[str] = []
        for piece in _pieces().findall(run):
            if not any(map(str.isalnum, piece)):
                continue
            if not runs_on(piece):
                asked.words.append(piece)
                tokens.append(piece)
                continue
            signs = signs_apart(piece).split()
            tokens += signs
            size = min(len(signs), 3 if _OF_ALPHABET.search(piece) else 2)
            asked.signs += [tuple(signs[at : at + size]) for at in range(len(signs) - size + 1)]
            asked.lone += [sign for sign in signs if size > 1 and _CHINESE.match(sign)]
        if 1 < len(tokens) <= LONGEST_PHRASE:
            asked.runs.append(run)
            asked.phrases.append(" ".join(tokens))
    rare = [word for word in asked.words if word not in COMMON]
    asked.words = list(dict.fromkeys(rare if rare or asked.signs else asked.words))[:MOST]
    asked.signs = list(dict.fromkeys(asked.signs))[:MOST]
    asked.lone = list(dict.fromkeys(asked.lone))[: MOST - len(asked.signs)]
    return asked


def match_of(query: str, alone: bool = False) -> str:
    """What FTS5 is asked for to find what says any word of a query; empty where it has none.

    What stands together in it, such as the parts of an address, counts once more as a phrase. `alone`: Chinese signs
    are looked for one by one, too.
    """
    asked = _asked(query)
    terms = [*asked.words, *map(" ".join, asked.signs), *(asked.lone if alone else ()), *asked.phrases[:MOST]]
    return " OR ".join(f'"{term}"' for term in dict.fromkeys(terms))


def _match_of_older(query: str) -> str:
    """What is asked for in the index of an older file, which holds texts as they are written: words by their
    beginnings."""
    words = [form for word in words_of(query) for form in (word, normalize("NFD", word))]
    return " OR ".join([match_of(query, True), *(f'"{word}" *' for word in dict.fromkeys(words))])


def find(connection: sqlite3.Connection, query: str, count: int, pieces: bool = False) -> list[tuple[int, float]]:
    """The best `count` of the pages that are remembered now, by BM25, best first, each with its score.

    With `pieces`, those of open pages are among them, piece n as −n.
    """
    if not words_of(query) or count < 1:
        return []
    if format_of(connection) < FORMAT:
        return _found(connection, _match_of_older(query), count, pieces)
    found = _found(connection, match := match_of(query), count, pieces)
    if len(found) < count and (wider := match_of(query, True)) != match:
        found = _found(connection, wider, count, pieces)
    return found


def _found(connection: sqlite3.Connection, match: str, count: int, pieces: bool) -> list[tuple[int, float]]:
    most = count
    while True:
        # The best rows first, and of these the current ones: asking FTS5 for no more than it sorts by itself is many
        # times faster than a join of all rows that match.
        rows = connection.execute(
            "SELECT rowid, -rank FROM words WHERE words MATCH ? ORDER BY rank, rowid LIMIT ?", (match, most)
        ).fetchall()
        current = _current(connection, [page for page, _ in rows if page > 0])
        found = [(page, score) for page, score in rows if page in current or (pieces and page < 0)]
        if len(found) >= count or len(rows) < most:
            return found[:count]
        most *= 4


def _current(connection: sqlite3.Connection, pages: list[int]) -> set[int]:
    """Those of the pages that stand in what is remembered now."""
    return {page for (page,) in connection.execute(
        "SELECT id FROM page WHERE id IN (SELECT value FROM json_each(?)) AND retired IS NULL"
        " AND EXISTS (SELECT 1 FROM place WHERE place.page = page.id)", (json.dumps(pages),))}


def passage(text: str, query: str, width: int = 240) -> tuple[int, int]:
    """Where the passage of `text` that says most of the query begins and ends; rare words count more than common ones.

    It has about `width` characters and ends at whole words; (0, 0) where `text` has none of the query's words.
    """
    low, places = compared_with_places(text)
    asked = _asked(query)
    start, end = _passage(low, asked, width)
    return int(places[start]), int(places[end])


def _passage(text: str, asked: _Asked, width: int) -> tuple[int, int]:
    words = list(dict.fromkeys([*asked.words, *map("".join, asked.signs), *asked.runs]))
    for sought, within in ((words, False), (asked.lone, True), (words, True)):
        places = {word: _places(text, word, within) for word in sought}
        if any(places.values()):
            break
    hits = sorted((at, word) for word, found in places.items() for at in found)
    if not hits:
        return 0, 0
    worth = {w: math.log1p(len(text) / len(at)) * len(w) ** 0.5 for w, at in places.items() if at}
    best, found, first, score = 0.0, (hits[0][0], hits[0][0] + len(hits[0][1])), 0, 0.0
    held = dict.fromkeys(places, 0)  # how often each word stands between the first hit and this one
    for last, (at, word) in enumerate(hits):
        end = at + len(word)
        score += 0.0 if held[word] else worth[word]
        held[word] += 1
        while end - hits[first][0] > width and first < last:
            gone = hits[first][1]
            held[gone] -= 1
            score -= 0.0 if held[gone] else worth[gone]
            first += 1
        if score > best + 1e-9:
            best, found = score, (hits[first][0], end)
    spare = max(0, width - (found[1] - found[0])) // 2
    start, end = max(0, found[0] - spare), min(len(text), found[1] + spare)
    # Ends are moved to the nearest space, if there is one within a word's length; Chinese has none.
    for at in range(start, min(start + LONGEST_WORD, found[0])):
        if at == 0 or text[at - 1].isspace():
            start = at
            break
    for at in range(end, max(end - LONGEST_WORD, found[1]), -1):
        if at == len(text) or text[at].isspace():
            end = at
            break
    return start, end


def places_of(text: str, query: str) -> list[tuple[int, int]]:
    """Where the words of a query stand in a text, in order, as `passage` compares them."""
    low, places = compared_with_places(text)
    asked = _asked(query)
    for sought in ([*asked.words, *map("".join, asked.signs)], asked.lone):
        if found := [(at, at + len(word)) for word in sought for at in _places(low, word)]:
            break
    return sorted((int(places[start]), int(places[end])) for start, end in found)


def _places(text: str, word: str, within: bool = False) -> list[int]:
    """Where a word stands in a text, without overlap; `within` others, too, as words of scripts without spaces do."""
    found, at = [], text.find(word)
    within = within or runs_on(word)
    while at >= 0:
        end = at + len(word)
        begins = within or not (at and text[at - 1].isalnum() and word[0].isalnum())
        if begins and (within or not (text[end : end + 1].isalnum() and word[-1].isalnum())):
            found.append(at)
        at = text.find(word, end)
    return found


def pattern_of(query: str) -> re.Pattern[str]:
    """What matches a query, as it is written but for line breaks, in a text as it is compared. A line may break
    anywhere between signs of scripts without spaces."""
    return re.compile(r"\s+".join(map(_broken_anywhere, compared(query).split())))


def _broken_anywhere(word: str) -> str:
    parts, at = [], 0
    for piece in _pieces().finditer(word):
        parts += [re.escape(word[at : piece.start()]), r"\s*".join(map(re.escape, signs_apart(piece[0]).split()))]
        at = piece.end()
    return "".join([*parts, re.escape(word[at:])])


def score_of(text: str, words: Iterable[str]) -> float:
    """The share of `words` that stand in a text."""
    low, every = text.lower(), list(words)
    return sum(w in low for w in every) / len(every) if every else 0.0
