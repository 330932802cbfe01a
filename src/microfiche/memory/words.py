"""The words of texts and queries: pages found by them with SQLite's FTS5 and BM25, and passages that speak of a query.

This module knows nothing of pictures.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterable
from functools import cache
from unicodedata import normalize

from microfiche.sources import composed_with_places

_HAN = re.compile("([\u3400-\u9fff\uf900-\ufaff])")
_HAN_PAIR = re.compile("(?=([\u3400-\u9fff\uf900-\ufaff]{2}))")
_MARKS = "\u0300-\u036f"  #: the accents that FTS5 leaves out
_WORD = re.compile(rf"[\w{_MARKS}]+")
#: Letters of scripts without spaces between words, or, as Korean, with particles at their ends: kana, Hangul, Thai,
#: Lao, Burmese, Khmer. A word of these is found where another goes on after it.
_RUNNING = re.compile("[\u3040-\u30ff\u31f0-\u31ff\uac00-\ud7a3\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
LONGEST_WORD = 24
LONGEST_PHRASE = 16  #: words of what stands in a query without spaces, as a path or an address, to be found as a whole
MOST = 64  #: words of a query that are looked for, and phrases
_COMMON = """a an and are as at be by did do does for from had has have how in is it its of on or that the their there
they this to was were what when where which who whom whose why will with you your"""
COMMON = frozenset(_COMMON.split())


def index_words(connection: sqlite3.Connection, page: int, text: str) -> None:
    """Adds a page to the index, to be found by the words of `text`."""
    connection.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (page, _spaced(text)))


def unindex_words(connection: sqlite3.Connection, page: int, text: str) -> None:
    """Takes a page out of the index; `text` is what it was added with."""
    connection.execute("INSERT INTO words(words, rowid, text) VALUES ('delete', ?, ?)", (page, _spaced(text)))


def words_of(query: str) -> list[str]:
    """The words of a query, each once and in small letters, without common ones where there are others."""
    found = [w.lower() for w in _WORD.findall(_spaced(normalize("NFC", query))) if any(map(str.isalnum, w))]
    return list(dict.fromkeys([w for w in found if w not in COMMON] or found))[:MOST]


def match_of(query: str) -> str:
    """What FTS5 is asked for to find what says any word of a query; empty where it has none.

    What stands together in it, such as the parts of an address or two Chinese characters, counts once more as a phrase.
    """
    words, running = words_of(query), normalize("NFC", query)
    terms = [f'"{word}" *' if len(word) > 1 and _RUNNING.search(word) else f'"{word}"' for word in words]
    for word in words:  # as it stands in texts whose letters are not composed, where FTS5 leaves marks out
        apart = normalize("NFD", word)
        if apart != word and not any(letter.isascii() for letter in apart):
            terms.append(f'"{apart}"')
    phrases = [" ".join(pair) for pair in _HAN_PAIR.findall(running)]
    for run in running.split():
        parts = _WORD.findall(_spaced(run))
        phrases += [" ".join(parts)] if 1 < len(parts) <= LONGEST_PHRASE else []
    return " OR ".join([*terms, *(f'"{phrase}"' for phrase in list(dict.fromkeys(phrases))[:MOST])])


def find(connection: sqlite3.Connection, query: str, count: int, pieces: bool = False) -> list[tuple[int, float]]:
    """The best `count` of the pages that are remembered now, by BM25, best first, each with its score.

    With `pieces`, those of open pages are among them, piece n as −n.
    """
    match = match_of(query)
    if not match or count < 1:
        return []
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

    It has about `width` characters and ends at whole words; (0, 0) where `text` has none of the query's words. Words
    are compared as FTS5 does, without capitals and accents.
    """
    shown, places = composed_with_places(text)
    start, end = _passage(shown, _plain(shown), query, width)
    return (start, end) if places is None else (int(places[start]), int(places[end]))


def _passage(text: str, low: str, query: str, width: int) -> tuple[int, int]:
    composed = normalize("NFC", query)
    words = [_plain(word) for word in words_of(query)]
    runs = [_plain(run) for run in composed.split() if 1 < len(_WORD.findall(_spaced(run))) <= LONGEST_PHRASE]
    words = list(dict.fromkeys([*words, *runs]))
    places = {word: _places(low, word) for word in words}
    if not any(places.values()):
        places = {word: _places(low, word, within=True) for word in words}
    hits = sorted((at, word) for word, found in places.items() for at in found)
    if not hits:
        return 0, 0
    worth = {w: math.log1p(len(text) / len(at)) * len(w) ** 0.5 for w, at in places.items() if at}
    best, found, first, score = 0.0, (hits[0][0], hits[0][0] + len(hits[0][1])), 0, 0.0
    held = dict.fromkeys(words, 0)  # how often each word stands between the first hit and this one
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
    shown, places = composed_with_places(text)
    low = _plain(shown)
    found = sorted((at, at + len(word)) for word in map(_plain, words_of(query)) for at in _places(low, word))
    return found if places is None else [(int(places[start]), int(places[end])) for start, end in found]


def _plain(text: str) -> str:
    """A composed text in small letters and without accents, each letter in its place."""
    low = text.replace("\u0130", "i").lower()  # the one letter that takes two places as a small one
    if not low.isascii():
        for letter in set(low):
            if not letter.isascii() and (bare := _bare(letter)) != letter:
                low = low.replace(letter, bare)
    return low


@cache
def _bare(letter: str) -> str:
    apart = normalize("NFD", letter)
    bare = len(apart) == 1 or re.fullmatch(f"[{_MARKS}]+", apart[1:])
    return {"\u03c2": "\u03c3"}.get(apart[0], apart[0]) if bare else letter


def _places(text: str, word: str, within: bool = False) -> list[int]:
    """Where a word stands in a text, without overlap; `within` others, too, as words of scripts without spaces do."""
    found, at = [], text.find(word)
    within = within or bool(_HAN.search(word) or _RUNNING.search(word))
    while at >= 0:
        end = at + len(word)
        begins = within or not (text[at - 1 : at].isalnum() and word[0].isalnum())
        if begins and (within or not (text[end : end + 1].isalnum() and word[-1].isalnum())):
            found.append(at)
        at = text.find(word, end)
    return found


def score_of(text: str, words: Iterable[str]) -> float:
    """The share of `words` that stand in a text."""
    low, every = text.lower(), list(words)
    return sum(w in low for w in every) / len(every) if every else 0.0


def _spaced(text: str) -> str:
    """The text with spaces around Chinese characters, so that each is a word."""
    return _HAN.sub(r" \1 ", text)
