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


def test_the_geometry_is_that_of_pixel() -> None:
    strip = renderer().line("Hxp")
    ink = np.argwhere(strip.image[:, :-PATCH] < 128)
    assert 3 <= ink[:, 1].min() <= 5, "text begins 3 px from the left"
    assert ink[:, 0].min() == 1 and ink[:, 0].max() == 13, "capitals stand on row 11; what hangs ends in the strip"
    assert strip.offsets.tolist() == [[0, 2], [2, 3], [3, 3]]


@pytest.mark.parametrize("text", ["Ähre Ê", "gjpqy", "Ёлка", "ﬁ (Ç)"])
def test_no_ink_is_cut_where_it_can_all_stand(text: str) -> None:
    shaped = [renderer()._shaper.word(word) for word in text.split()]
    assert max(word.above for word in shaped) + max(word.below for word in shaped) <= PATCH
    ink = renderer()._shaper.ink
    inked = sum(int((ink.extent[word.slots, 3] > ink.extent[word.slots, 1]).sum()) for word in shaped)
    tall = np.full((64, 640), 255, np.uint8)
    pen = 3
    for word in shaped:
        ink.draw(tall, word.slots, word.x + pen, word.y + 32)
        pen += word.width + renderer()._gap
    image = renderer().line(text).image[:, :-PATCH]
    assert inked and (255 - image.astype(int)).sum() == (255 - tall.astype(int)).sum()


def test_right_to_left_text_stands_from_right_to_left_and_numbers_within_it_do_not() -> None:
    strip = renderer().line("אבגדה 123 וזחטי")
    first = [offset for offset, stop in strip.offsets[:-1].tolist() if stop > offset]
    assert first[0] > first[-1] == 0
    digits = renderer().line("123").image[:, 3:27]
    image = strip.image
    assert any((image[:, x : x + 24] == digits).all() for x in range(image.shape[1] - 24))


def test_arabic_letters_join() -> None:
    shaper = renderer()._shaper
    joined = set(shaper.word("محمد", True).slots.tolist())
    assert len(joined - {int(shaper.word(letter, True).slots[0]) for letter in "محد"}) == 4


def test_controls_are_nothing_and_line_ends_are_spaces() -> None:
    np.testing.assert_array_equal(renderer().line("a\x00b\x7f\x85c").image, renderer().line("ab c").image)
    np.testing.assert_array_equal(renderer().line("a\nb\tc\u2028d").image, renderer().line("a b c d").image)


def test_two_characters_stand_in_a_patch_of_bigrams() -> None:
    strip = renderer(bigrams=True).line("abcde fg")
    assert strip.offsets.tolist() == [[0, 2], [2, 4], [4, 6], [6, 8], [8, 8]]
    words = renderer(bigrams=True).words(["abc", "de"])
    assert words.words.tolist() == [[0, 2], [2, 3]]
    np.testing.assert_array_equal(strip.image[:, :PATCH], words.image[:, :PATCH])


def test_windows_of_a_question_begin_with_it_and_overlap() -> None:
    text = "one two three four five six seven eight nine ten " * 4
    windows = list(renderer().slide(text, longest=30, overlap=8, question="what?"))
    assert len(windows) > 2 and all(len(window.offsets) <= 30 for window in windows)
    seen: set[int] = set()
    for window in windows:
        assert window.second == windows[0].second
        for start, stop in window.offsets[window.second :].tolist():
            seen.update(range(start - 5, stop - 5))
    assert seen == set(range(len(text)))
    with pytest.raises(UsageError, match="cannot overlap"):
        list(renderer().slide(text, longest=30, overlap=40))


def test_grey_and_colour_are_the_same_where_nothing_is_coloured() -> None:
    grey, colour = (renderer(colour=colour).line("Grey, и").image for colour in (False, True))
    np.testing.assert_array_equal(np.repeat(grey[..., None], 3, 2), colour)
