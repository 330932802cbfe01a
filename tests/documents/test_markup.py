"""Markdown that a model wrote does no harm, and the words that Markdown shows are found again."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from microfiche.documents import inline
from microfiche.documents.inline import LOWERED, RAISED, STRUCK, cell, linked, markdown, marked
from microfiche.documents.markup import code, guarded, plain

SHOW = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SHOW.validateLink = lambda url: True  # type: ignore[method-assign]
HOSTILE = [
    *"\\`*_~<>&[]()!|#$\"' \n1a:",
    "<script>",
    "<img src=x onerror=y>",
    "[a](javascript:b)",
    "](javascript:c)",
    "![p](http://q)",
    "[a]: javascript:d",
    "<javascript:e>",
    "<https://f>",
    "<!--",
    "-->",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "$$",
    "``",
    "```\n",
    "    ",
    "- ",
    "> ",
    "<sup>",
    "</sup>",
    "<div>",
    "\n\n",
    "<a href='",
    "http://",
    "[x](https://y)",
    "&#60;",
    "<?",
    "<![CDATA[",
]


def tokens(found: list[Token]) -> list[Token]:
    return [t for token in found for t in (token, *tokens(token.children or []))]


@settings(max_examples=1500)
@given(st.lists(st.sampled_from(HOSTILE), max_size=16).map("".join))
@example("`a\n\nb` <script> `c`")
@example("\\\\(<script>\\\\)")
@example("[a\n]: javascript:x\n\n[a]")
@example("> [a]: javascript:x\n\n[a]")
def test_no_markup_of_a_model_does_harm(text: str) -> None:
    for token in tokens(SHOW.parse(guarded(text))):
        assert token.type not in ("html_block", "image")
        if token.type == "html_inline":
            assert re.fullmatch(r"</?(sup|sub|del)>|<br ?/?>", token.content)
        if token.type == "link_open":
            assert re.match("https?://|mailto:", str(token.attrs["href"]), re.IGNORECASE)


@pytest.mark.parametrize(
    "text",
    [
        "**bold** and *thin*, `code`, ~~out~~",
        "[a](https://b.c/d_(e))",
        "[a](<mailto:b@c.d>)",
        "10<sup>6</sup>, a<br>b",
        r"\(x_1 < y\) and \[\frac{a}{b}\] and $a \le b$",
        "- a\n- b",
        "| a | b |\n| --- | --- |\n| c | d |",
        "5 < 6",
        "# Title",
        "<https://a.b/c>",
    ],
)
def test_what_does_no_harm_stays(text: str) -> None:
    assert guarded(text) == text


def test_pictures_become_their_words_and_tags_are_shown() -> None:
    assert guarded("![the door](http://spy.example/x.png)") == "the door"
    assert guarded("<b>bold</b>") == "&lt;b>bold&lt;/b>"
    assert guarded("H<sub>2") == "H&lt;sub>2"


def test_the_words_of_markdown_are_found_again() -> None:
    text = f"10{marked('6', RAISED)} H{marked('2', LOWERED)}O {marked('40', STRUCK)} <b> *a* {linked('b', 'https://c')}"
    assert plain(inline.markdown(text)) == "106 H2O 40 <b> *a* b"
    assert plain("**bold** _thin_ `co*de` snake_case ~~x~~ a  \nb") == "bold thin co*de snake_case x a\nb"
    assert plain(r"at \$5, $a_1 \cdot b$ and \(c\)") == r"at $5, a_1 \cdot b and c"
    assert code("```python\na = 1\n  b\n```") == "a = 1\n  b"
    assert code("````\n```\n````") == "```"


@settings(max_examples=400)
@given(st.text("\\`*_~<>&[]()!#+-=:.1a b\"'", max_size=30))
def test_plain_undoes_markdown(text: str) -> None:
    assert " ".join(plain(inline.markdown(text)).split()) == " ".join(text.split())


def test_long_hostile_text_takes_no_time() -> None:
    start = time.process_time()
    for piece in ("\\(", "\\[", "[", "`", "$", "![", "[a](", "$$", "*", "<", "``` "):
        guarded(piece * 3000 + "<a>")
        plain(piece * 3000 + "<a>")
    assert time.process_time() - start < 20


@pytest.mark.parametrize("text", [
    "<script>alert(1)</script>", "a \\<b>", "x <!-- y -->", "<9a@example.org>", "&lt;script&gt;", "<<i>",
    "# <img src=x onerror=y>",
])
def test_no_element_begins_even_where_a_backslash_does_not_count_before_it(text: str) -> None:
    """As in Python-Markdown, whose escapes leave out `<` and `&`."""
    for out in (markdown(text), cell(text), guarded(text)):
        assert not re.search("<[A-Za-z/!?]", out), out
        assert plain(cell(text)) == plain(markdown(text)) == text
    assert markdown("&lt;b&gt;") == "&amp;lt;b&amp;gt;"


def test_braces_begin_no_attributes() -> None:
    assert markdown("Title {: onclick=x }") == "Title \\{: onclick=x }"
    assert markdown("the set {a, b}") == "the set {a, b}"
