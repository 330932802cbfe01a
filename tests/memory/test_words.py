"""Words are found however they are composed and accented, whole, and with what stands together as a whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.memory import Memory
from microfiche.memory.words import match_of, passage, places_of, words_of

AROUND = " ".join(f"party{i} starting 17 of 10 and 0" for i in range(200))
ANDREI, LOGOS, LETTERS = "\u0410\u043d\u0434\u0440\u0435\u0439", "\u039b\u039f\u0393\u039f\u03a3", "\ubb38\uc7a5"
TOWER, LIBRARY = "\u30bf\u30ef\u30fc", "\u56fe\u4e66\u9986"
WORDS = [
    ("the caf\u00e9 opens", "cafe"), ("the cafe opens", "CAF\u00c9"), ("the cafe\u0301 opens", "caf\u00e9"),
    (normalize("NFD", "Ti\u1ebfng Vi\u1ec7t"), "Vi\u1ec7t"), ("Ti\u1ebfng Vi\u1ec7t", normalize("NFD", "Vi\u1ec7t")),
    (normalize("NFD", LETTERS), LETTERS), (normalize("NFD", ANDREI), ANDREI.lower()),
    (LOGOS, "\u03bb\u03cc\u03b3\u03bf\u03c2"), ("\u0130stanbul", "istanbul"), ("the ART of it", "art"),
    ("ping 10.0.0.17", "10.0.0.17"), (f"{LETTERS}\uc740 \uae38\ub2e4", LETTERS),
    (f"\u6771\u4eac{TOWER}\u306b\u884c\u304f", TOWER), (f"\u5979\u5728{LIBRARY}\u91cc", LIBRARY),
    ("q\u0308u is no letter", "q\u0308u"), ("see __init__ there", "__init__"), ("don\u2019t panic", "don't panic"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "query"), WORDS)
def test_a_word_is_found_and_its_passage_shown(memory: Memory, said: str, query: str) -> None:
    memory.add_text(f"{AROUND} {said} {AROUND}", "notes")
    assert said in memory.search(query)[0].text


def test_what_stands_together_is_found_before_its_parts() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(text, tokenize='unicode61 remove_diacritics 2')")
        texts = ["17 0 10 10 0 17 0 0", "on 10.0.0.17 here, and more of it there", "0.17 10.0",
                 "\u9986 \u4e66 \u56fe \u4e66", "\u56fe \u4e66 \u9986 \u5728"]
        connection.executemany("INSERT INTO words VALUES (?)", [(text,) for text in texts])
        for query, best in (("10.0.0.17", texts[1]), (LIBRARY, texts[4])):
            (found,) = connection.execute(
                "SELECT text FROM words WHERE words MATCH ? ORDER BY rank LIMIT 1", (match_of(query),)
            ).fetchone()
            assert found == best


@given(st.text(), st.text() | st.text("abc xyz\u0301"), st.integers(1, 50))
def test_a_passage_lies_in_its_text(text: str, query: str, width: int) -> None:
    start, end = passage(text, query, width)
    assert 0 <= start <= end <= len(text)
    assert all(0 <= at < until <= len(text) for at, until in places_of(text, query))


@given(st.text())
def test_whatever_is_asked_for_is_a_question_to_fts5(query: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
        assert bool(match_of(query)) == bool(words_of(query))
        if match_of(query):
            connection.execute("SELECT rowid FROM words WHERE words MATCH ?", (match_of(query),)).fetchall()
