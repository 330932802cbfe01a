"""Marks become Markdown, and any text comes back from it as it was: nothing in it turns into markup."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from microfiche.documents import inline
from microfiche.documents.inline import (
    BREAK,
    FORMULA,
    LOWERED,
    RAISED,
    STRUCK,
    linked,
    marked,
)

SHOW = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SIGNS = [
    *"\\`*_~<>&[]()!|#-+=:$.\"'1a bé。€\n\t",
    "<b>",
    "&amp;",
    "&#60;",
    "](x)",
    "![a](b)",
    "[a]: b",
    "<script>",
    "javascript:",
    "---",
    "```",
    "~~~",
    "    ",
    "1. ",
    "\u00ad",
    "http://x.y",
    "<http://x>",
    "snake_case",
    "$x$",
    "<!--",
    "-->",
    "# ",
    "> ",
    "\u2028",
    "{",
    "a@b.c",
    "***",
]
TEXT = st.text(max_size=40).map(lambda text: inline.NONCHARACTERS.sub("", text))
ANY = st.one_of(TEXT, st.lists(st.sampled_from(SIGNS), max_size=14).map("".join))
PLAIN = {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "softbreak", "hardbreak"}


def tokens(found: list[Token]) -> list[Token]:
    return [t for token in found for t in (token, *tokens(token.children or []))]


def shown(markdown: str) -> str:
    """The text that a browser shows of Markdown, its white space as single spaces."""
    parts = (
        t.content if t.type != "softbreak" and t.type != "hardbreak" else " "
        for t in tokens(SHOW.parse(markdown))
        if t.type != "inline"
    )
    return " ".join("".join(parts).split())


def kinds(markdown: str) -> set[str]:
    return {t.type for t in tokens(SHOW.parse(markdown))}


@settings(max_examples=600)
@given(ANY)
@example("<b>a</b>")
@example("\\")
@example("``` a ``")
@example("a \\`b` c`")
@example("**a**")
@example("[a]: javascript:b")
@example("\\\\`")
def test_any_text_comes_back_and_nothing_in_it_is_markup(text: str) -> None:
    written = inline.opened(inline.markdown(text))
    assert kinds(written) <= PLAIN, written
    assert shown(written.replace("\u00ad", "")) == " ".join(inline.visible(text).replace("\u00ad", "").split())


@settings(max_examples=300)
@given(ANY)
def test_a_word_put_together_at_a_soft_hyphen_is_no_markup_either(text: str) -> None:
    written = inline.opened(inline.markdown(text)).replace("\u00ad", "")
    assert not kinds(written) - PLAIN - {"em_open", "em_close", "strong_open", "strong_close", "code_inline"}


@settings(max_examples=300)
@given(ANY, ANY)
def test_cells_of_a_table_hold_any_text(first: str, second: str) -> None:
    written = f"| {inline.cell(first)} | {inline.cell(second)} |\n| --- | --- |\n| a | b |"
    found = tokens(SHOW.parse(written))
    cells = [t for t in found if t.type == "inline"]
    assert [t.type for t in found].count("th_open") == 2
    assert {t.type for t in found if not t.type.startswith(("t", "inline"))} == set()
    for cell, text in zip(cells, (first, second), strict=False):
        assert " ".join("".join(c.content for c in cell.children or []).replace("\u00ad", "").split()) == " ".join(
            inline.visible(text).replace("\u00ad", "").split()
        )


@settings(max_examples=300)
@given(ANY, st.sampled_from([RAISED, LOWERED, STRUCK]), ANY, ANY)
def test_marked_text_is_marked_and_what_stands_beside_it_is_not(
    before: str, mark: tuple[str, str], words: str, after: str
) -> None:
    text = f"{before}{marked(inline.visible(words).strip() or 'x', mark)}{after}"
    written = inline.opened(inline.markdown(text))
    assert kinds(written) <= PLAIN | {"html_inline", "s_open", "s_close"}
    tags = [t.content for t in tokens(SHOW.parse(written)) if t.type == "html_inline"]
    assert set(tags) <= {"<sup>", "</sup>", "<sub>", "</sub>", "<del>", "</del>"} and len(tags) in (0, 2)
    assert len(tags) == 2 or {"s_open", "s_close"} <= kinds(written)


@settings(max_examples=300)
@given(ANY, ANY, ANY)
def test_links_lead_to_pages_and_letters_alone_and_nothing_breaks_out_of_them(text: str, words: str, tail: str) -> None:
    for scheme in ("https://a.b/", "javascript:alert(1)//", "data:text/html,", "file:///", "JAVASCRIPT:", " mailto:"):
        found = tokens(SHOW.parse(inline.opened(inline.markdown(f"{text}{linked(words, scheme + tail)}{text}"))))
        targets = [str(t.attrs["href"]) for t in found if t.type == "link_open"]
        assert len(targets) <= 1
        assert all(t.startswith(("https://a.b/", "mailto:")) for t in targets)
        assert {t.type for t in found} <= PLAIN | {"link_open", "link_close"}


@pytest.mark.parametrize(
    "text",
    [
        "snake_case and __init__x",
        "2 * 3 * 4",
        "5 < 6 > 4",
        "a lone * star",
        "on 1. January",
        "$5 and $6",
        "R&D, AT&T",
        "[1] and [a b]",
        "x] (y)",
        "~5 to ~6 kg",
        "a#b #tag",
        "C:\\Users",
        "it's ~ 3",
        "f(x) = y[i]",
        "wow!",
        "100 %",
        "www.example.org/a_b",
        "a | b",
        "p<0.05",
        "5*",
        "one` quote",
        "* note",
        "US$",
    ],
)
def test_what_is_no_markup_is_not_escaped(text: str) -> None:
    assert inline.markdown(text) == text


@pytest.mark.parametrize(
    "text", ["1. January", "- 3 -", "# 1", "> 5", "---", "+ 1", "***", "```", "~~~", "3)", "[a]: b", "===", "+++"]
)
def test_what_begins_a_block_is_escaped_only_at_its_start(text: str) -> None:
    assert inline.markdown(text) == text
    assert inline.markdown(f"x {text}") == inline.opened(f"x {text}")
    written = inline.opened(text)
    assert written.replace("\\", "") == text and (written != text or text == "===")
    assert kinds(written) <= PLAIN
    assert kinds(inline.opened(f"a  \n{text}")) <= PLAIN


def test_a_number_other_than_one_begins_no_list_within_a_paragraph() -> None:
    assert inline.opened("Contents  \n7. Lamps  \n1. Oil") == "Contents  \n7. Lamps  \n1\\. Oil"
    assert kinds("Contents  \n7. Lamps  \n1\\. Oil") <= PLAIN


def test_marks_are_written() -> None:
    text = f"10{marked('6', RAISED)} H{marked('2', LOWERED)}O, {marked('40 euros', STRUCK)} 55{BREAK}next"
    assert inline.markdown(text) == "10<sup>6</sup> H<sub>2</sub>O, ~~40 euros~~ 55  \nnext"
    assert inline.cell(text) == "10<sup>6</sup> H<sub>2</sub>O, ~~40 euros~~ 55<br>next"
    assert inline.html(text) == "10<sup>6</sup> H<sub>2</sub>O, <del>40 euros</del> 55<br>next"
    assert inline.unmarked(text) == "106 H2O, 40 euros 55\nnext"
    assert inline.markdown(f"a{marked('(b)', STRUCK)}c") == "a<del>(b)</del>c"
    assert inline.markdown(linked("the [manual]", "https://a.b/c d(e)")) == (
        "[the \\[manual\\]](https://a.b/c%20d%28e%29)"
    )
    assert inline.html(linked("a", 'https://b.c/"x')) == '<a href="https://b.c/%22x">a</a>'


def test_formulas_stay_and_dollars_beside_them_are_no_formulas() -> None:
    formula = marked(r"a_1 * b_2 \le \frac{x}{y} < c", FORMULA)
    assert inline.markdown(f"at $5, {formula} of *x*") == (r"at \$5, $a_1 * b_2 \le \frac{x}{y} < c$ of \*x\*")
    assert inline.markdown("US$ 5 and $x$") == "US\\$ 5 and \\$x\\$"
    assert kinds(inline.markdown(marked("a<b>](javascript:x)&lt;`c`", FORMULA))) <= PLAIN


def test_what_is_not_seen_is_left_out() -> None:
    assert inline.visible("a\x00b\u200bc\u202etxt\u202c\ufeff\ud800d\U000e0041") == "abctxtd"
    assert inline.visible("a\u2028b\r\nc\x0bd") == "a\nb\nc\nd"
    hebrew = "\u05d0\u2067abc\u2069\u200f"
    assert inline.visible(hebrew) == hebrew
    assert inline.visible("\u05d0\u202eabc\u202c") == "\u05d0abc" == inline.visible("\u05d0\u2067abc")
    flag = "\U0001f3f4\U000e0067\U000e0062\U000e007f"
    assert inline.visible(flag) == flag


def test_html_of_any_text_holds_no_other_element() -> None:
    assert inline.html("<b>&amp;\n\n|*") == "&lt;b&gt;&amp;amp; |*"
    assert not re.search(r"<(?!/?su[pb]>)", inline.html(f"<i>{marked('<x>', RAISED)}"))


def test_formulas_beside_each_other_and_in_cells() -> None:
    two = marked("a", FORMULA) + marked("b", FORMULA)
    assert inline.markdown(two) == "$a$ $b$"  # not a formula on a row of its own
    assert inline.cell(marked(r"P(A|B) \| c", FORMULA)) == r"$P(A\vert B) \Vert  c$"


@pytest.mark.parametrize(
    ("above", "below", "whole"),
    [
        ("see https://lists.", "example.org/ for more", "see https://lists.example.org/ for more"),
        ("see https:", "//example.org/doc/", "see https://example.org/doc/"),
        ("at https://example.org/", "CD/live/", "at https://example.org/CD/live/"),
        ("at www.example.org/copyleft/", "gpl.html and", "at www.example.org/copyleft/gpl.html and"),
        ("https://doi.org/10.1145/1188913.", "1188915.", "https://doi.org/10.1145/1188913.1188915."),
        ("https://example.org/un\u00ad", "divided.html", "https://example.org/un-divided.html"),
        ("at https://example.org/", "and elsewhere", None),
        ("at https://example.org/", "e.g. this", None),
        ("at https://example.org/.", "The next", None),
        ("at https://example.org", "and elsewhere", None),
        ("as follows:", "//comment", None),
        ("", "text", None),
        ("text", "", None),
    ],
)
def test_an_address_goes_on_in_the_next_line(above: str, below: str, whole: str | None) -> None:
    assert inline.continued(above, below) == whole


def test_a_link_goes_on_in_the_next_line() -> None:
    there = "https://example.org/tex-archive/data-sets"
    first, second = linked("https://example.org/tex\u00ad", there), linked("archive/data-sets", there)
    assert inline.continued(f"at {first}", f"{second}, too") == f"at {there}, too"
    assert inline.continued(linked("https:", there), "//example.org/tex-archive/data-sets.") == f"{there}."
    assert inline.continued(linked("the sets", there), linked("of data", there)) == linked("the sets of data", there)
    divided = inline.continued(linked("the sam\u00ad", there), linked("ples", there))
    assert divided == linked("the sam\u00adples", there)
    assert inline.continued(linked("a", there), linked("b", "https://example.org/")) is None
    assert inline.continued(linked("a", there), "b") is None
