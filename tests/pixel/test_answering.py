"""Answers are found in windows and are whole words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.pixel.answering import Answering, answer_text, best_span
from microfiche.pixel.examples import Question
from microfiche.pixel.tuned import Setup

CONTEXT = "Nikola Tesla (10 July 1856 – 7 January 1943) was a Serbian-American inventor. " * 6
CHINESE = "尼古拉·特斯拉是塞爾維亞裔美籍發明家。" * 5
HEBREW = "ניקולה טסלה היה ממציא ומהנדס חשמל ומכונות, שנולד ב-1856 בכפר סמיליאן. " * 4


def task(longest: int = 64) -> Answering:
    return Answering(Setup("answer", (), longest))


@pytest.mark.parametrize(
    ("context", "answer"),
    [(CONTEXT, "10 July 1856"), (CONTEXT, "Serbian-American"), (CONTEXT, "Nikola"), (HEBREW, "ממציא ומהנדס"),
     (HEBREW, "1856"), pytest.param(CHINESE, "美籍發明家", marks=pytest.mark.fetched_fonts)],
)  # fmt: skip
def test_an_answer_comes_back_from_its_patches(context: str, answer: str) -> None:
    for start in (context.index(answer), context.rindex(answer)):
        windows = task().windows(Question("q", "Who?", context, ()))
        found = [(window, window.place(start, start + len(answer))) for window in windows]
        holding = [(window, place) for window, place in found if place[0]]
        assert holding
        for window, (first, last) in holding:
            text = answer_text(context, window.ranges[first - 1 : last])
            assert answer in text and len(text) <= len(answer) + 2  # a second word may begin in the patch


def test_windows_hold_every_character_and_the_question_stays() -> None:
    windows = task().windows(Question("q", "Who was\n Tesla?", CONTEXT, ()))
    assert len(windows) > 2
    covered = np.zeros(len(CONTEXT), bool)
    for window in windows:
        assert len(window.ranges) == len(window.strip.offsets) <= 64
        assert not (window.ranges[: window.strip.second, 1] > 0).any()
        for begin, end in window.ranges:
            covered[begin:end] = True
    assert covered.all()


def test_a_question_as_long_as_a_book_takes_half_a_strip() -> None:
    windows = task().windows(Question("q", "why " * 9999, "Because.", ()))
    assert len(windows) == 1 and 2 < (windows[0].strip.second or 0) <= 33


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 999))
def test_no_span_is_better(count: int, longest: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts, ends = rng.normal(size=(2, count))
    score, first, last = best_span(starts, ends, longest)
    assert 0 <= last - first < longest and score == starts[first] + ends[last]
    assert score == max(starts[i] + ends[j] for i in range(count) for j in range(i, min(i + longest, count)))


def test_where_nothing_is_possible() -> None:
    assert best_span(np.full(3, -np.inf), np.full(3, -np.inf)) == (-np.inf, 0, 0)
    assert answer_text("abc", np.zeros((2, 2), int)) == ""
