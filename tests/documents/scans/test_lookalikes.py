"""Digits and letters that look alike are told by what stands beside them, where the recogniser is unsure."""

from __future__ import annotations

import pytest

from microfiche.documents.scans.lookalikes import settled


@pytest.mark.parametrize(
    ("read", "second", "right"),
    [
        ("Reel 1l was wound", {6: ("l", "1")}, "Reel 11 was wound"),
        ("No. S05, 0il", {4: ("S", "5"), 9: ("0", "O")}, "No. 505, Oil"),
        ("Royal8lue", {5: ("8", "B")}, "RoyalBlue"),
        ("l3regex, A0 1 B", {0: ("l", "1")}, "l3regex, A0 1 B"),
        ("a10b51e", {1: ("1", "l"), 5: ("1", "l")}, "a10b51e"),
    ],
)
def test_a_sign_that_may_be_another_is_what_its_word_says(
    read: str, second: dict[int, tuple[str, str]], right: str
) -> None:
    def likely(k: int, sign: str) -> float:
        first, other = second.get(k, (read[k], ""))
        return 0.6 if sign == first else 0.35 if sign == other else 0.001

    assert settled(read, likely) == right


def test_a_sign_that_is_surely_read_stays() -> None:
    text = "5S, 1l of milk, v1, M8, B12, 2nd"
    assert settled(text, lambda k, sign: 0.95 if text[k] == sign else 0.04) == text


def test_litres_are_told_where_nothing_else_can_stand() -> None:
    def settle(text: str) -> str:
        return settled(text, lambda k, sign: float(text[k] == sign))

    for sign in "I|":
        assert settle(f"5.8 {sign}/100 km, 12 {sign}/m2, oil 4.5 {sign}, 0.7 {sign} jars") == (
            "5.8 l/100 km, 12 l/m2, oil 4.5 l, 0.7 l jars")
    assert settle("flow 3 1/s or 5,8 1/100 km") == "flow 3 l/s or 5,8 l/100 km"
    for text in ("add 3 1/2 cups", "on May 3 I went", "§ 823 I, II BGB", "at 5.30 I left", "chapter 3 I", "1 1/8 in"):
        assert settle(text) == text
