"""Strips: their geometry, what stands in which patch, and what is said of text that cannot stand on one."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from microfiche.errors import InputError, UsageError
from microfiche.typesetting.strip import LONGEST, PATCH, Strip, StripRenderer

#: Text in scripts of DejaVu Sans, which is on every machine.
TEXT = st.text(
    st.sampled_from("abcfilWM Ämß.,()-0189 жщΩλאבגשםلاعربي٣ e\u0301\u05bc\u200d\u200f\t\n\x00") | st.just(" "),
    max_size=80,
)


@cache
def renderer(bigrams: bool = False, colour: bool = False) -> StripRenderer:
    return StripRenderer(bigrams, colour)


def black(strip: Strip) -> list[int]:
    patches = strip.image.reshape(PATCH, -1, PATCH, *strip.image.shape[2:])
    return [i for i in range(patches.shape[1]) if (patches[:, i] == 0).all()]


def covers(offsets: NDArray[np.int32], length: int) -> bool:
    """Whether ranges hold every character from 0 to `length` once."""
    ranges = sorted((a, b) for a, b in offsets.tolist() if b > a)
    edges = [0, *(b for _, b in ranges)]
    return [a for a, _ in ranges] == edges[:-1] and edges[-1] == length


@given(TEXT, st.booleans(), st.booleans())
@settings(deadline=None)
def test_a_line_is_whole_patches_one_black_and_holds_every_character(text: str, bigrams: bool, colour: bool) -> None:
    strip = renderer(bigrams, colour).line(text)
    n = len(strip.offsets)
    assert strip.image.shape == (PATCH, PATCH * n, 3)[: 2 + colour] and strip.image.dtype == np.uint8
    assert strip.offsets.dtype == np.int32 and strip.whole and strip.second is None and len(strip.words) == 0
    assert black(strip)[-1] == n - 1 and strip.offsets[-1, 0] == strip.offsets[-1, 1]
    assert covers(strip.offsets, len(text) if n > 1 else 0)
    again = StripRenderer(bigrams, colour).line(text)
    np.testing.assert_array_equal(strip.image, again.image)
    np.testing.assert_array_equal(strip.offsets, again.offsets)


@given(st.text(st.sampled_from("abcdefg hij."), max_size=60))
@settings(deadline=None)
def test_ranges_run_up_from_left_to_right(text: str) -> None:
    offsets = renderer().line(text).offsets
    assert (np.diff(offsets.reshape(-1)) >= 0).all() and offsets[-1, 1] == len(text)


@given(TEXT, TEXT, st.integers(2, 20))
@settings(deadline=None)
def test_a_pair_is_text_black_text_black_and_never_too_long(first: str, second: str, longest: int) -> None:
    strip = renderer().pair(first, second, longest)
    n = len(strip.offsets)
    assert strip.second is not None and strip.image.shape == (PATCH, PATCH * n) and n <= longest
    assert {strip.second - 1, n - 1} <= set(black(strip))
    if strip.whole:
        assert covers(strip.offsets, len(first) + len(second))


@given(st.lists(TEXT, max_size=8), st.booleans(), st.integers(2, 40))
@settings(deadline=None)
def test_words_begin_at_patches_of_their_own(words: list[str], bigrams: bool, longest: int) -> None:
    strip = renderer(bigrams).words(words, longest)
    assert len(strip.offsets) <= longest and (len(strip.words) == len(words) or not strip.whole)
    assert (strip.words[:, 0] < strip.words[:, 1]).all() and (strip.words[1:, 0] >= strip.words[:-1, 1]).all()
    if strip.whole:
        assert covers(strip.offsets, sum(map(len, words)))
        begins = np.cumsum([0, *map(len, words)])
        for (start, stop), a, b in zip(strip.words, begins[:-1], begins[1:], strict=True):
            held = strip.offsets[start:stop]
            held = held[held[:, 1] > held[:, 0]]
            assert b == a or (held.min(), held.max()) == (a, b)


def test_empty_text_is_one_black_patch() -> None:
    assert renderer().line("").image.tolist() == [[0] * PATCH] * PATCH
    assert black(renderer().pair("", "")) == [0, 1]
    assert black(renderer().words([])) == [0]


def test_a_word_of_ten_thousand_letters_is_cut_said_or_slid_over() -> None:
    word = "word" * 2500
    strip = renderer().line(word)
    assert not strip.whole and len(strip.offsets) == LONGEST and black(strip) == [LONGEST - 1]
    with pytest.raises(InputError, match="10,000 characters is longer than 529 patches"):
        renderer().line(word, overflow="error")
    with pytest.raises(InputError, match="longer than 529"):
        renderer().words([word], overflow="error")
    assert renderer().words(["a", word, "b"]).words.tolist() == [[0, 1]]
    windows = list(renderer().slide(word, longest=100, overlap=10))
    assert [window.whole for window in windows] == [False] * (len(windows) - 1) + [True]
    ends = [(w.offsets[0, 0], w.offsets[:-1].max()) for w in windows]
    assert ends[0][0] == 0 and ends[-1][1] == len(word)
    assert all(start < end for (_, end), (start, _) in pairwise(ends))


@pytest.mark.parametrize("bad", ["a \ud800 b", "\udfff"])
def test_a_lone_surrogate_is_named(bad: str) -> None:
    with pytest.raises(InputError, match=r"lone surrogate \(U\+D"):
        renderer().line(bad)


def test_sizes_and_lengths_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="px an em"):
        StripRenderer(size=40)
    with pytest.raises(UsageError, match="no room"):
        renderer().line("a", longest=0)
