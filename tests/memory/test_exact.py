"""What must be exact is found in prose and in code; prose is left alone."""

from __future__ import annotations

import string
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.memory.exact import KINDS, exact_list, exact_strings, kind_of


@pytest.mark.parametrize(("word", "kind"), [
    ("3fa9c1d2", "hex"), ("a1b2c3d4-e5f6-7890-abcd-ef1234567890", "hex"), ("00:1a:2b:3c:4d", "hex"),
    ("src/main.py", "paths"), ("C:\\Users\\x", "paths"), ("https://x.org/a?b=1", "paths"), ("zoe@x.org", "paths"),
    ("setup.cfg", "paths"), ("snake_case", "identifiers"), ("camelCase", "identifiers"), ("HTTPServer", "identifiers"),
    ("--dry-run", "identifiers"), ("v1.2.3", "identifiers"), ("x=3", "identifiers"), ("A4", "identifiers"),
    ("2026-11-26", "numbers"), ("$1,250.00", "numbers"), ("12:30", "numbers"), ("1945", "numbers"),
    ("3", "numbers"), ("½", "numbers"), ("\uff11\uff12", "numbers"), ("+48", "numbers"), ("Łódź-2", "identifiers"),
    ("KRK-WAW", "identifiers"),
    ("Alice", "prose"), ("don't", "prose"), ("well-known", "prose"), ("WORD", "prose"), ("e.g.", "prose"),
    ("żółć", "prose"), ("\u4e2d\u6587", "prose"), ("—", "prose"), ("...", "prose"),
])  # fmt: skip
def test_kinds_of_words(word: str, kind: str) -> None:
    for around in ("{}", "({})", "“{},”", "{};"):
        if not word.startswith("-") or not around.startswith("("):
            assert kind_of(around.format(word))[0] == kind


def test_prose_has_nothing_and_what_stands_in_it_is_listed_once(alice: str) -> None:
    assert len(exact_strings(alice)) < 5
    said = "Zofia paid 1,250 to acc_77 on 2026-11-26 and, again, 1,250. See notes/a.md (commit 3fa9c1d2)."
    assert exact_strings(said) == ["1,250", "acc_77", "2026-11-26", "notes/a.md", "3fa9c1d2"]
    assert exact_strings(said, ["numbers", "hex"]) == ["acc_77", "notes/a.md"]
    assert exact_list(said, KINDS) == "" and exact_list(said).startswith("Exactly, in order: 1,250 · acc_77 · ")


CODE = '''Here is what I wrote:

def area(width, height):
    """The area."""
    if width < 0:
        raise ValueError("no width")

    return width * height

Is it right?
'''


def test_code_is_one_string_with_its_indentation() -> None:
    (block,) = exact_strings(CODE)
    assert block == CODE.split("\n\n", 1)[1].removesuffix("\n\nIs it right?\n")
    assert exact_strings(CODE, ["code"]) and all("\n" not in word for word in exact_strings(CODE, ["code"]))


@given(st.text(max_size=400))
def test_every_string_stands_in_the_text(text: str) -> None:
    for found in exact_strings(text):
        assert all(line in text for line in found.split("\n"))


def test_every_random_string_of_a_kind_is_found_in_prose(alice: str) -> None:
    rng = Random(0)
    words = alice.split()[:4000]
    secrets = []
    for i in range(200):
        secrets.append({
            0: "".join(rng.choices("0123456789abcdef", k=12)) + "7f", 1: f"user_{rng.randrange(10**6)}",
            2: str(rng.randrange(10, 10**9)), 3: f"lib/{''.join(rng.choices(string.ascii_lowercase, k=6))}.rs",
        }[i % 4])  # fmt: skip
        words.insert(rng.randrange(len(words)), secrets[-1])
    assert set(secrets) <= set(exact_strings(" ".join(words)))


@pytest.mark.parametrize("piece", [
    "a", "a/", "1", "a_", "(", "aB", "a:", "a.b@", "= ", "0a-", "a.", "-", "\u4e2d1", "\n", "a;\n\n", " a\n",
])  # fmt: skip
def test_no_text_takes_long(piece: str) -> None:
    """Time that grew with the square of a word would be hours for this one."""
    exact_strings(piece * 500_000)
