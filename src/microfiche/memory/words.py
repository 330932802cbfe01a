"""Finding pages by their words: SQLite's FTS5 with BM25, the baseline that pixels stand beside. Knows no pictures."""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable

_HAN = re.compile("([\u3400-\u9fff\uf900-\ufaff])")
_WORD = re.compile(r"\w+")
LONGEST_WORD = 24
MOST = 64  #: words of a query that are looked for
_COMMON = """a an and are as at be by did do does for from had has have how in is it its of on or that the their there
they this to was were what when where which who whom whose why will with you your"""
COMMON = frozenset(_COMMON.split())


def index_words(connection: sqlite3.Connection, page: int, text: str) -> None:
    """Makes a page findable."""
    connection.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (page, _spaced(text)))


def words_of(query: str) -> list[str]:
    """The words of a query that say something, in small letters, each once."""
    found = [w.lower() for w in _WORD.findall(_spaced(query)) if w.strip("_")]
    return list(dict.fromkeys([w for w in found if w not in COMMON] or found))[:MOST]


def find(connection: sqlite3.Connection, query: str, count: int) -> list[tuple[int, float]]:
    """The best pages of what is remembered now, by BM25, with their scores, best first."""
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
    """The stretch of `text`, about `width` characters and to whole words, that says most of the query's words, the
    rarer the more; (0, 0) if it has none."""
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
    # To the nearest space within a word's length: Chinese has none.
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
    """Text with Chinese characters apart, so that each is a word."""
    return _HAN.sub(r" \1 ", text)
