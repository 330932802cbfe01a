"""Words are found however they are composed and accented, whole, and with what stands together as a whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.memory import Memory
from microfiche.memory.database import INDEX
from microfiche.memory.letters import compared, compared_with_places, runs_on
from microfiche.memory.words import find, index_words, match_of, passage, places_of, words_of

AROUND = " ".join(f"party{i} starting 17 of 10 and 0" for i in range(200))
ANDREI, LOGOS, LETTERS = "\u0410\u043d\u0434\u0440\u0435\u0439", "\u039b\u039f\u0393\u039f\u03a3", "\ubb38\uc7a5"
THAI = "\u0e09\u0e31\u0e19\u0e23\u0e31\u0e01\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22"
TOWER, LIBRARY = "\u30bf\u30ef\u30fc", "\u56fe\u4e66\u9986"
WORDS = [
    ("the caf\u00e9 opens", "cafe"), ("the cafe opens", "CAF\u00c9"), ("the cafe\u0301 opens", "caf\u00e9"),
    (normalize("NFD", "Ti\u1ebfng Vi\u1ec7t"), "Vi\u1ec7t"), ("Ti\u1ebfng Vi\u1ec7t", normalize("NFD", "Vi\u1ec7t")),
    (normalize("NFD", LETTERS), LETTERS), (normalize("NFD", ANDREI), ANDREI.lower()),
    (LOGOS, "\u03bb\u03cc\u03b3\u03bf\u03c2"), ("\u0130stanbul", "istanbul"), ("the ART of it", "art"),
    ("ping 10.0.0.17", "10.0.0.17"), (f"{LETTERS}\uc740 \uae38\ub2e4", LETTERS),
    (f"\u6771\u4eac{TOWER}\u306b\u884c\u304f", TOWER), (f"\u5979\u5728{LIBRARY}\u91cc", LIBRARY),
    ("q\u0308u is no letter", "q\u0308u"), ("see __init__ there", "__init__"), ("don\u2019t panic", "don't panic"),
    ("\u8fd9\u628a\u94a5\n\u5319", "\u94a5\u5319"), ("\uc11c\uc6b8\ub300\ud559\uad50\ub294", "\ub300\ud559\uad50"),
    ("\u3059\u3057\u3092\u305f\u3079\u308b", "\u305f\u3079\u308b"), (f"x{THAI}x", THAI[-7:]), (f"{THAI}{THAI}", THAI),
    ("\u179f\u17bd\u179f\u17d2\u178f\u17b8\u1796\u17b7\u1797\u1796\u179b\u17c4\u1780", "\u1796\u17b7\u1797\u1796"),
    ("\u13e3\u13b3\u13a9", "\uabb3\uab83\uab79"),
    ("\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902", "\u0939\u093f\u0928\u094d\u0926\u0940"),
]  # fmt: skip
#: Two ways to write a word, each of which finds the other.
ALIKE = [
    ("Stra\u00dfe", "STRASSE"), ("Stra\u00dfe", "STRA\u1e9eE"),
    ("\u0451\u043b\u043a\u0430", "\u0435\u043b\u043a\u0430"),
    ("\u0131s\u0131", "ISI"), ("\u0130zmir", "izmir"), ("sm\u00f8rrebr\u00f8d", "smorrebrod"), ("\u00c6sop", "aesop"),
    ("\u0153uvre", "OEUVRE"), ("\u0141\u00f3d\u017a", "lodz"), ("\u0110\u1eb7ng", "dang"), ("\ufb01ne", "fine"),
    ("\uff26\uff55\uff4c\uff4c", "full"), ("\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
    ("\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f", "\u0645\u062d\u0645\u062f"),
    ("\u0623\u062d\u0645\u062f", "\u0627\u062d\u0645\u062f"),
    ("\u0645\u062d\u0640\u0645\u062f", "\u0645\u062d\u0645\u062f"),
    ("\u039b\u03cc\u03b3\u03bf\u03c2", "\u039b\u039f\u0393\u039f\u03a3"), ("don\u2019t", "don't"),
    ("don\u02bct", "don't"),
    ("e\u2011mail", "e-mail"), ("pass\u00adword", "password"), ("zero\u200bwidth", "zerowidth"),
    ("\u0437\u0430\u0301\u043c\u043e\u043a", "\u0437\u0430\u043c\u043e\u043a"), ("CO\u2082", "co2"),
    ("\u0663\u0664", "34"),
    ("\uff76\uff9e\uff72\uff84\uff9e", "\u30ac\u30a4\u30c9"),
    ("\u304b\u3099\u3044\u3053\u304f", "\u304c\u3044\u3053\u304f"),
    (normalize("NFD", LETTERS), LETTERS), ("\U0001d41b\U0001d428\U0001d425\U0001d41d", "bold"), ("na\u00efve", "NAIVE"),
]  # fmt: skip
BOTH_WAYS = [*ALIKE, *((other, one) for one, other in ALIKE)]


@pytest.mark.parametrize(("said", "query"), [*WORDS, *BOTH_WAYS])
def test_a_word_is_found_and_its_passage_shown(memory: Memory, said: str, query: str) -> None:
    memory.add_text(f"{AROUND} {said} {AROUND}", "notes")
    assert said in memory.search(query)[0].text


@pytest.mark.parametrize(("said", "query"), [*BOTH_WAYS, ("\u8fd9\u628a\u94a5\n\u5319", "\u94a5\u5319")])
def test_what_is_found_is_forgotten_by_the_same_query(memory: Memory, said: str, query: str) -> None:
    memory.add_text(f"one line\nhere {said} stands\nthe last line\n", "notes")
    memory.forget(query=query, confirm=lambda passages: len(passages) == 1)
    left = memory.version_text("notes")
    assert said not in left and left.startswith("one line\n") and left.endswith("the last line\n")
    assert not memory.search(query)


@pytest.mark.parametrize(("text", "query"), [
    ("ab" * 50_000, ""), ("x " + "ab" * 5_000 + " y " + "cd" * 5_000, "y"),
    (" ".join(f"w{number:x}q" for number in range(20_000)), "wfffq"), ("word " * 20_000, "word"),
    ("a" + "\u0301" * 50_000, ""), ("before " + "a\u0301\u0323" * 20_000 + " after", "before"),
    ("\u00df" * 50_000, ""), ("x\u200b" * 30_000 + " end", "end"), ("\u56fe" * 50_000, "\u56fe\u56fe"),
    ("\u1112\u1161\u11ab" * 20_000, "\ud55c\ud55c"), ("\u0e01\u0e31\u0e49" * 20_000, "\u0e01\u0e31\u0e49" * 2),
    ("a-" * 30_000, "a-a"), ("\n" * 50_000 + "end", "end"),
])  # fmt: skip
def test_no_text_of_strange_words_is_too_much(memory: Memory, text: str, query: str) -> None:
    memory.add_text(text, "strange")
    assert memory.version_text("strange") == text
    if query:
        assert memory.search(query) and all(hit.text in text for hit in memory.search(query))
    assert len(words_of(text)) <= 64 and match_of(text).count(" OR ") < 256
    memory.forget("strange")
    assert not memory.names() and not memory.search(query or "ab")


def test_what_stands_together_is_found_before_its_parts() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(INDEX)
        texts = ["17 0 10 10 0 17 0 0", "on 10.0.0.17 here, and more of it there", "0.17 10.0",
                 "\u9986\u4e66\u56fe\u4e66", "\u56fe\u4e66\u9986\u5728"]
        for number, text in enumerate(texts):
            index_words(connection, number, text)
        for query, best in (("10.0.0.17", 1), (LIBRARY, 4)):
            (found,) = connection.execute(
                "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT 1", (match_of(query),)
            ).fetchone()
            assert found == best


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    """A memory of 60 texts, each of some of WORDS and ALIKE, of which the first stand in nearly all."""
    chance = np.random.default_rng(0)
    every = [said for said, _ in [*WORDS, *ALIKE]]
    with Memory(tmp_path_factory.mktemp("crowded") / "m.memory", mode="tiny", density="7x13") as memory:
        for number in range(60):
            some = chance.geometric(0.08, 40) - 1
            memory.add_text(" ".join(every[i] for i in some if i < len(every)), f"text {number}")
        yield memory


@given(st.lists(st.sampled_from([query for _, query in [*WORDS, *BOTH_WAYS]]), min_size=1, max_size=6))
def test_common_words_are_left_out_without_another_result(crowded: Memory, words: list[str]) -> None:
    query = " ".join(words)
    every = crowded.connection.execute(
        "SELECT rowid, -rank FROM words WHERE words MATCH ? ORDER BY rank, rowid", (match_of(query),)
    ).fetchall()
    scores = dict(every)
    for count in (1, 5, 20, 1000):
        found = find(crowded.connection, query, count, pieces=True)
        assert len(found) == min(count, len(every))
        for (page, score), (_, best) in zip(found, every, strict=False):
            assert score == pytest.approx(scores[page], abs=1e-3) == pytest.approx(best, abs=1e-3)


@given(st.text())
def test_what_is_compared_has_its_places_in_the_text(text: str) -> None:
    low, places = compared_with_places(text)
    assert low == compared(text) and compared(low) == low
    assert len(places) == len(low) + 1 and places[-1] == len(text)
    assert (np.diff(places) >= 0).all()


@given(st.text(), st.text() | st.text("abc xyz\u0301"), st.integers(1, 50))
def test_a_passage_lies_in_its_text(text: str, query: str, width: int) -> None:
    start, end = passage(text, query, width)
    assert 0 <= start <= end <= len(text)
    assert all(0 <= at < until <= len(text) for at, until in places_of(text, query))


@given(st.text())
def test_whatever_is_asked_for_is_a_question_to_fts5(query: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(INDEX)
        assert bool(match_of(query)) == bool(words_of(query))
        if match_of(query):
            connection.execute("SELECT rowid FROM words WHERE words MATCH ?", (match_of(query),)).fetchall()


def test_a_letter_is_compared_alike_alone_and_among_all_others() -> None:
    letters = [*map(chr, range(0x20, 0x1100)), *map(chr, range(0x1200, 0x3400))]  # parts of Korean syllables compose
    assert compared("".join(reversed(letters))) == "".join(map(compared, reversed(letters)))
    assert all(runs_on(letter) == runs_on(f"a{letter}") for letter in letters)
