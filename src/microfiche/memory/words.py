"""The words of texts and queries: pages found by them with SQLite's FTS5 and BM25, and passages that speak of a query.

This module knows nothing of pictures.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable

_HAN = re.compile("([\u3400-\u9fff\uf900-\ufaff])")
_WORD = re.compile(r"\w+")
LONGEST_WORD = 24
MOST = 64  #: words of a query that are looked for in texts
MOST_SEEN = 24  #: words of a query that are looked for in pictures
_COMMON = """a an and are as at be by did do does for from had has have how in is it its of on or that the their there
they this to was were what when where which who whom whose why will with you your"""
COMMON = frozenset(_COMMON.split())


def index_words(connection: sqlite3.Connection, page: int, text: str) -> None:
    """Adds a page to the index, to be found by the words of `text`."""
    connection.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (page, _spaced(text)))


def words_of(query: str) -> list[str]:
    """The words of a query, each once and in small letters, without common ones where there are others."""
    found = [w.lower() for w in _WORD.findall(_spaced(query)) if w.strip("_")]
    return list(dict.fromkeys([w for w in found if w not in COMMON] or found))[:MOST]


def query_words(query: str) -> list[str]:
    """The words of a query as they are written, each once, without common ones where there are others."""
    found = [word.strip(".,;:!?\"'()[]{}«»“”‘’") for word in re.findall(r"\S+", query)]
    found = list(dict.fromkeys(word for word in found if word))
    return ([word for word in found if word.lower() not in COMMON] or found)[:MOST_SEEN]


def find(connection: sqlite3.Connection, query: str, count: int) -> list[tuple[int, float]]:
    """The best `count` of the pages that are remembered now, by BM25, best first, each with its score."""
    words = words_of(query)
    if not words:
        return []
    rows = connection.execute(
        "SELECT words.rowid, -bm25(words) AS score FROM words JOIN page ON page.id = words.rowid"
        " WHERE words MATCH ? AND page.retired IS NULL AND EXISTS (SELECT 1 FROM place WHERE page = words.rowid)"
        " ORDER BY score DESC LIMIT ?",
        (" OR ".join(f'"{w}"' for w in words), count),
    )
    return [(int(page), float(score)) for page, score in rows]


def passage(text: str, query: str, width: int = 240) -> tuple[int, int]:
    """Where the passage of `text` that says most of the query begins and ends; rare words count more than common ones.

    It has about `width` characters and ends at whole words; (0, 0) where `text` has none of the query's words.
    """
    words = words_of(query)
    low = text.lower()
    hits = [(m.start(), m.end(), w) for w in words for m in re.finditer(re.escape(w), low)]
    if not hits or len(low) != len(text):
        return (0, 0) if not hits else (0, min(width, len(text)))
    hits.sort()
    often = Counter(w for _, _, w in hits)
    worth = {w: math.log1p(len(text) / n) * len(w) ** 0.5 for w, n in often.items()}
    best, found, first = -1.0, (0, 0), 0
    for last, (_, end, _) in enumerate(hits):
        while end - hits[first][0] > width and first < last:
            first += 1
        score = sum(worth[w] for w in {h[2] for h in hits[first : last + 1]})
        if score > best:
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


def score_of(text: str, words: Iterable[str]) -> float:
    """The share of `words` that stand in a text."""
    low, every = text.lower(), list(words)
    return sum(w in low for w in every) / len(every) if every else 0.0


def _spaced(text: str) -> str:
    """The text with spaces around Chinese characters, so that each is a word."""
    return _HAN.sub(r" \1 ", text)
