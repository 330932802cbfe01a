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
from itertools import islice
from unicodedata import category, normalize

from microfiche.memory.database import INDEXED, format_of
from microfiche.memory.letters import (
    ALPHABETS,
    CHINESE,
    SYLLABLES,
    compared,
    compared_with_places,
    runs_on,
    signs_apart,
)

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
    every = dict.fromkeys(map(str.lower, _WRITTEN.findall(_CHINESE.sub(r" \1 ", normalize("NFC", query)))))

    def first(words: Iterable[str]) -> list[str]:
        return list(islice((word for word in words if any(map(str.isalnum, compared(word)))), MOST))

    return first(word for word in every if word not in COMMON) or first(every)


@dataclass
class _Asked:
    """What a query asks for, as it is compared: `words`, which are found whole; stretches of `signs`, which are found
    anywhere; and what stands together in it (`runs`), with the `phrases` that these are in the index. `sought` is all
    of this as it stands in a text, each with whether it is found within words."""

    words: list[str] = field(default_factory=list)
    signs: list[tuple[str, ...]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)
    sought: dict[str, bool] = field(default_factory=dict)


@lru_cache(64)
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
            asked.signs += [(sign,) for sign in signs if _CHINESE.match(sign)]
        if 1 < len(tokens) <= LONGEST_PHRASE:
            asked.runs.append(run)
            asked.phrases.append(" ".join(tokens))
    rare = [word for word in asked.words if word not in COMMON]
    asked.words = list(dict.fromkeys(rare if rare or asked.signs else asked.words))[:MOST]
    asked.signs = list(dict.fromkeys(asked.signs))[:MOST]
    asked.sought = {text: runs_on(text) for text in (*asked.words, *map("".join, asked.signs), *asked.runs)}
    return asked


def match_of(query: str) -> str:
    """What FTS5 is asked for to find what says any word of a query; empty where it has none.

    What stands together in it, such as the parts of an address, counts once more as a phrase.
    """
    return _any_of(_terms_of(query))


def _terms_of(query: str) -> list[str]:
    asked = _asked(query)
    return list(dict.fromkeys([*asked.words, *map(" ".join, asked.signs), *asked.phrases[:MOST]]))


def _any_of(terms: Iterable[str]) -> str:
    return " OR ".join(f'"{term}"' for term in terms)


def _matches_of(connection: sqlite3.Connection, query: str) -> list[str]:
    """What FTS5 is asked for, one after another until it finds enough: first without the words and signs that stand in
    more than half of the rows, for which BM25 as FTS5 has it gives nothing though they take the most time."""
    terms = _terms_of(query)
    (rows,) = connection.execute(  # or more than there are, where some were forgotten; to count them takes longer
        "SELECT (SELECT max(id) FROM words_docsize) - (SELECT min(id) FROM words_docsize) + 1").fetchone()
    beyond_half = "SELECT 1 FROM words WHERE words MATCH ? LIMIT 1 OFFSET ?"
    rare = [term for term in terms
            if " " in term or not connection.execute(beyond_half, (f'"{term}"', (rows or 0) // 2)).fetchone()]
    return [_any_of(some) for some in (rare, terms) if some and (some is terms or len(rare) < len(terms))]


def _match_of_older(query: str) -> str:
    """What is asked for in the index of an older file, which holds texts as they are written: words by their
    beginnings."""
    words = [form for word in words_of(query) for form in (word, normalize("NFD", word))]
    return " OR ".join([match_of(query), *(f'"{word}" *' for word in dict.fromkeys(words))])


def find(connection: sqlite3.Connection, query: str, count: int, pieces: bool = False) -> list[tuple[int, float]]:
    """The best `count` of the pages that are remembered now, by BM25, best first, each with its score.

    With `pieces`, those of open pages are among them, piece n as −n.
    """
    if not words_of(query) or count < 1:
        return []
    today = format_of(connection) >= INDEXED
    found: list[tuple[int, float]] = []
    for match in _matches_of(connection, query) if today else [_match_of_older(query)]:
        most, behind = count, False
        while len(found) < count and not behind:
            # The best rows first, and of these the current ones: asking FTS5 for no more than it sorts by itself is
            # many times faster than a join of all rows that match.
            rows = connection.execute(
                "SELECT rowid, -rank FROM words WHERE words MATCH ? ORDER BY rank, rowid LIMIT ?", (match, most)
            ).fetchall()
            current = _current(connection, [page for page, _ in rows if page > 0])
            found = [(page, score) for page, score in rows if page in current or (pieces and page < 0)]
            behind = len(rows) < most
            most *= 4
    return found[:count]


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
    start, end = _passage(low, _asked(query).sought, width)
    return int(places[start]), int(places[end])


def _passage(text: str, words: dict[str, bool], width: int) -> tuple[int, int]:
    places = {word: _places(text, word, anywhere) for word, anywhere in words.items()}
    if not any(places.values()):
        places = {word: _places(text, word, True) for word in words}
    there = sorted(word for word, at in places.items() if at)
    if not there:
        return 0, 0
    count, sizes = len(there), [len(word) for word in there]
    worth = [math.log1p(len(text) / len(places[word])) * len(word) ** 0.5 for word in there]
    hits = sorted(at * count + which for which, word in enumerate(there) for at in places[word])
    held = [0] * count  # how often each word stands between the first hit and this one
    begin, which = divmod(hits[0], count)
    best, found, first, score = 0.0, (begin, begin + sizes[which]), 0, 0.0
    for hit in hits:
        at, which = divmod(hit, count)
        end = at + sizes[which]
        if not held[which]:
            score += worth[which]
        held[which] += 1
        while end - begin > width and hits[first] != hit:
            gone = hits[first] % count
            held[gone] -= 1
            if not held[gone]:
                score -= worth[gone]
            first += 1
            begin = hits[first] // count
        if score > best + 1e-9:
            best, found = score, (begin, end)
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
    found = [(at, at + len(word)) for word in (*asked.words, *map("".join, asked.signs))
             for at in _places(low, word, asked.sought[word])]
    return sorted((int(places[start]), int(places[end])) for start, end in found)


def _places(text: str, word: str, anywhere: bool) -> list[int]:
    """Where a word stands in a text, without overlap; within others too, where it is looked for `anywhere`."""
    found, size, at = [], len(word), text.find(word)
    before, after = not anywhere and word[0].isalnum(), not anywhere and word[-1].isalnum()
    while at >= 0:
        end = at + size
        if not ((after and text[end : end + 1].isalnum()) or (before and text[at - 1 : at].isalnum())):
            found.append(at)
        at = text.find(word, end)
    return found


def pattern_of(query: str) -> re.Pattern[str]:
    """What matches a query, as it is written but for line breaks, in a text as it is compared. A line may break
    anywhere between signs of scripts without spaces."""
    return re.compile(r"\s+".join(map(_broken_anywhere, compared(query).split())))


def found_in(text: str, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where a text says what a pattern of `pattern_of` matches: starts and ends."""
    low, places = compared_with_places(text)
    return [(int(places[match.start()]), int(places[match.end()])) for match in pattern.finditer(low)]


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
