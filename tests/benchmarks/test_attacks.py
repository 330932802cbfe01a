"""benchmarks/attacks.py: attacks change as much as their rate says, the same for a seed, and words stay words."""

from __future__ import annotations

import importlib.util
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.errors import UsageError
from microfiche.pixel.strips import StripRenderer

_spec = importlib.util.spec_from_file_location("attacks", Path(__file__).parents[2] / "benchmarks/attacks.py")
assert _spec is not None and _spec.loader is not None
attacks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(attacks)
ATTACKS, CONFUSABLES = attacks.ATTACKS, attacks.CONFUSABLES
attacked, attacked_words = attacks.attacked, attacks.attacked_words
TEXT = "The quick brown fox jumps over the lazy dog, 12 times. " * 40


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("kind", ATTACKS)
def test_none_at_nought_and_the_same_for_a_seed(kind: str) -> None:
    assert attacked(TEXT, kind, 0, rng()) == TEXT
    once = attacked(TEXT, kind, 0.5, rng())
    assert once == attacked(TEXT, kind, 0.5, rng()) != TEXT


def test_all_at_one() -> None:
    assert attacked("a ship, 12", "leet", 1, rng()) == "4 5h1p, 12"
    assert attacked("abcd ef g", "swaps", 1, rng()) == "badc fe g"
    assert attacked("a b, 12", "deletions", 1, rng()) == " , 12"
    assert attacked("a b  c", "spaces", 1, rng()) == "abc"
    assert len(attacked("abc שלום 12", "insertions", 1, rng())) == 11 + 7
    alike = attacked("peas", "confusables", 1, rng())
    assert all(new in CONFUSABLES[old] for new, old in zip(alike, "peas", strict=True))


def test_the_rate_is_a_share_of_the_letters() -> None:
    letters = sum(char.isalpha() for char in TEXT)
    assert len(TEXT) - len(attacked(TEXT, "deletions", 0.3, rng())) == pytest.approx(0.3 * letters, rel=0.1)


def test_look_alikes_are_letters_that_can_be_drawn() -> None:
    renderer = StripRenderer()
    for latin, others in CONFUSABLES.items():
        for other in others:
            assert unicodedata.category(other)[0] == "L" and other != latin
            renderer.line(other)


@given(st.lists(st.text(min_size=1), max_size=6), st.sampled_from(ATTACKS[:-1]), st.floats(0, 1))
def test_words_stay_words(words: list[str], kind: str, rate: float) -> None:
    changed = attacked_words(words, kind, rate, rng())
    assert len(changed) == len(words) and all(changed)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(UsageError, match="no attack 'typos'"):
        attacked("a", "typos", 0.1, rng())
    with pytest.raises(UsageError, match="from 0 to 1"):
        attacked("a", "leet", 1.5, rng())
    with pytest.raises(UsageError, match="no spaces"):
        attacked_words(["a"], "spaces", 0.5, rng())
