"""Pages are measured by their words and lines, whatever the order and the cuts that a reader gives them in."""

from __future__ import annotations

import pytest

from microfiche.evaluation.pages import Words, line_errors, word_counts

LINES = ["The quick brown fox jumps", "over the lazy dog", "Option", "what the option does", "12"]


def test_words_are_distinct_and_by_spaces() -> None:
    counted = word_counts(["one two two", "three"], ["two one", "one four"])
    assert counted == Words(true=3, read=3, right=2)
    assert counted.fox_precision == pytest.approx(2 / 3) and counted.recall == pytest.approx(2 / 3)


def test_withholding_words_shows_in_recall_alone() -> None:
    counted = word_counts(["one two three four"], ["one"])
    assert counted.fox_precision == 1 and counted.recall == 0.25


def test_nothing_read_and_nothing_there() -> None:
    assert word_counts(["one"], []).fox_precision == 0 and word_counts(["one"], []).recall == 0
    assert word_counts([], []).fox_precision == 1 and word_counts([], []).recall == 1


def test_what_stands_at_an_unknown_character_is_neither_right_nor_wrong() -> None:
    truth = ["L\ufffdTeX is here"]
    assert word_counts(truth, ["LaTeX is here"]) == Words(true=2, read=2, right=2)
    assert word_counts(truth, ["LTeX LaTeX is here"]) == Words(true=2, read=3, right=2)  # once, not twice
    assert word_counts(truth, ["Latin is here"]) == Words(true=2, read=3, right=2)
    assert line_errors(truth, ["LaTeX is here"]) == (0, 12)
    assert line_errors(truth, ["LaTeX is hare"]) == (1, 12)


def test_signs_of_a_pattern_are_themselves() -> None:
    assert word_counts(["a.(\ufffd b"], ["a.(x b"]) == Words(true=1, read=1, right=1)
    assert word_counts(["a.\ufffd b"], ["axx b"]) == Words(true=1, read=2, right=1)


def test_chinese_is_cut_alike_on_both_sides() -> None:
    """A reader that saw no Chinese sign is cut by jieba, too, so that its words are those of the truth."""
    counted = word_counts(["我们使用 LaTeX, TeX"], ["LaTeX, TeX"])
    assert counted.fox_precision == 1 and 0 < counted.recall < 1


@pytest.mark.parametrize(
    "read",
    [
        LINES,
        LINES[::-1],
        ["The quick brown fox jumps", "over the lazy dog", "Option what the option does 12"],
        ["12 Option what the option does", "The quick brown fox jumps over the lazy dog"],
        ["The  quick brown fox jumps ", "", "over the lazy dog", "Option", "what the option does", " 12"],
    ],
)
def test_order_and_lines_run_together_cost_nothing(read: list[str]) -> None:
    assert line_errors(LINES, read) == (0, sum(map(len, LINES)))


def test_errors_are_levenshteins_over_the_longer() -> None:
    assert line_errors(["abcdef"], ["abxdef"]) == (1, 6)
    assert line_errors(["abcdef"], ["abcdefgh"]) == (2, 8)
    assert line_errors(["abcdef"], []) == (6, 6)
    assert line_errors([], ["abc"]) == (0, 0)
    assert line_errors(["a word", "  "], ["aword"]) == (1, 6)


def test_short_lines_find_themselves_among_many_that_hold_them() -> None:
    truth = [f"page 1{i} of 1" for i in range(20)] + ["1"]
    assert line_errors(truth, truth)[0] == 0


def test_what_was_read_once_serves_once() -> None:
    assert line_errors(["the same line", "the same line"], ["the same line"]) == (13, 26)
    assert line_errors(["the same line", "the same line"], ["the same line the same line"]) == (0, 26)


def test_a_line_that_was_not_read_takes_no_others_piece() -> None:
    """The longer line is served first, but what is like the other by less than half is left for that."""
    assert line_errors(["zzzzzzzzzz qq", "ab cd"], ["ab cd"])[0] <= 13
    assert line_errors(["zzzzzzzzzz qq", "ab cd"], ["ab cd"])[1] == 18


def test_spaces_beside_chinese_signs_do_not_count() -> None:
    assert line_errors(["使用 LaTeX 排版"], ["使用LaTeX排版"]) == (0, 9)


def test_quotes_and_dashes_are_of_one_shape_each() -> None:
    truth, read = ["‘It’s” – 3−2"], ["'It's\" - 3-2"]
    assert word_counts(truth, read) == Words(true=3, read=3, right=3)
    assert line_errors(truth, read) == (0, 12)
    assert line_errors(["a-b"], ["a_b"]) == (1, 3)


def test_dots_that_lead_to_a_number_are_three() -> None:
    truth = ["1 Contents . . . . . . . . . 12", "Index......................13", "and so on ..."]
    read = ["1 Contents ......... 12", "Index ..... 13", "and so on ..."]
    assert word_counts(truth, read) == Words(true=9, read=9, right=9)
    assert line_errors(truth, read) == (0, 42)
    assert line_errors(["1 Contents . . . . . . 12"], ["1 Contents 12"]) == (4, 17)
