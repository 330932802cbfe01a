"""A document's Markdown and its plain words: what goes on is one, and nothing of a page is markup."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from microfiche.documents import inline
from microfiche.documents.document import Block, Document, Kind, PageRead
from microfiche.documents.finishing.finish import finish

SHOW = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SHOW.validateLink = lambda url: True  # type: ignore[method-assign]


def block(kind: Kind, text: str, y: int = 10, x: int = 10, **more: object) -> Block:
    return Block(kind=kind, box=(x, y, x + 40, y + 8), text=text, **more)  # type: ignore[arg-type]


def document(*pages: list[Block]) -> Document:
    reads = [PageRead(number=n, width=100, height=100, blocks=its) for n, its in enumerate(pages, 1)]
    return Document(name="x", sha256="", pages=finish(reads))


def kinds(markdown: str) -> set[str]:
    def walk(found: list[Token]) -> list[Token]:
        return [t for token in found for t in (token, *walk(token.children or []))]

    return {t.type for t in walk(SHOW.parse(markdown))}


def test_a_paragraph_goes_on_in_the_next_column_and_on_the_next_page() -> None:
    left, right = block("text", "It goes on", 80), block("text", "in the next column,", 10, 55)
    assert document([left, right], [block("text", "and the next page.")]).markdown() == (
        "It goes on in the next column, and the next page.\n"
    )
    assert document([left], [block("text", "12"), block("text", "here.")]).markdown() == "It goes on here.\n\n12\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("It ends.", "another one"),
        ("It ends here", "Another one"),
        ("Is it?", "so it is"),
        ("A list:", "of things"),
        ("It ends.<sup>3</sup>", "so"),
        ("as said,12", "1. One"),
        ("He came", "a) first"),
        ("这是一句话。", "另一句"),
    ],
)
def test_two_paragraphs_stay_two(first: str, second: str) -> None:
    assert document([block("text", first)], [block("text", second)]).markdown().count("\n\n") == 1


def test_two_paragraphs_one_below_the_other_stay_two() -> None:
    below = document([block("text", "subtotal", 10), block("text", "tax", 20)])
    assert below.markdown() == "subtotal\n\ntax\n"
    apart = [block("text", "it broke off", 10), block("figure", "a", 20), block("text", "and went on", 40)]
    assert document(apart).markdown().startswith("it broke off and went on")


def test_what_only_a_name_can_follow_goes_on_with_a_name() -> None:
    first = "The long road, which leads past the old mill and along the river, comes at last to the"
    assert document([block("text", first)], [block("text", "Danube.")]).markdown() == f"{first} Danube.\n"
    assert "\n\n" in document([block("text", "Made by the")], [block("text", "Danube.")]).markdown()


def test_a_paragraph_that_ends_with_an_article_goes_on_right_below() -> None:
    first = "The long road, which leads past the old mill and along the river, comes at last to the"
    assert document([block("text", first, 10), block("text", "old town.", 20)]).markdown() == f"{first} old town.\n"


def test_chinese_goes_on_without_a_space_and_items_of_a_list_go_on() -> None:
    assert (
        document([block("text", "微缩胶片把")], [block("text", "文字存成图像。")]).markdown()
        == "微缩胶片把文字存成图像。\n"
    )
    found = document([block("list", "- one\n- two goes")], [block("text", "on here.")])
    assert found.markdown() == "- one\n- two goes on here.\n"


def test_code_is_never_joined_escaped_or_broken_out_of() -> None:
    lines = "def f(x):\n    return x *y* <b>\n```\n<script>"
    found = document([block("text", "so")], [block("code", f"```py\n{lines}\n```")], [block("text", "it is")])
    assert found.markdown() == f"so\n\n````py\n{lines}\n````\n\nit is\n"
    assert found.plain() == f"so\n\n{lines}\n\nit is\n"
    assert kinds(found.markdown()) == {"paragraph_open", "paragraph_close", "inline", "text", "fence"}


def test_titles_captions_and_lists_show_their_words() -> None:
    assert block("title", "C # #", level=2).markdown() == "## C # \\#"
    assert block("title", "1. Lamps in C#", level=1).markdown() == "# 1. Lamps in C#"
    assert block("title", "#", level=1).markdown() == "# \\#"
    assert block("caption", "5* of *").markdown() == "*5\\* of \\**"
    assert block("list", "- # a\n- 1. b\n  - > c\n1. d").markdown() == "- \\# a\n- 1\\. b\n  - \\> c\n1. d"
    assert block("list", "- [ ] open\n- [x] done").markdown() == "- [ ] open\n- [x] done"
    assert (
        block("text", "1. January").markdown() == "1\\. January" and block("text", "1. January").plain() == "1. January"
    )


def test_plain_words_have_no_marks() -> None:
    text = f"10{inline.marked('6', inline.RAISED)} ~ <b> *x* {inline.linked('a', 'https://b.c')} 5 < 6"
    found = document(
        [block("title", "A \\* b", size=2.0)],
        [block("text", inline.markdown(text))],
        [block("caption", "Figure 1")],
        [block("formula", "\\[a_1 \\frac{b}{c}\\]")],
        [block("list", "- a\\_b\n- c")],
        [block("header", "Seen once"), block("hidden", "not seen")],
    )
    assert (
        found.plain() == "A * b\n\n106 ~ <b> *x* a 5 < 6\n\nFigure 1\n\na_1 \\frac{b}{c}\n\n- a_b\n- c\n\nSeen once\n"
    )
    assert "not seen" not in found.markdown() and "not seen" in found.model_dump_json()


HOSTILE = [
    "<script>a</script>",
    "<b>",
    "[x](javascript:y)",
    "![p](http://q)",
    "<javascript:e>",
    "&lt;",
    "\n",
    "# ",
    "- ",
    "> ",
    "```",
    "---",
    "|",
    "a",
    " ",
    "1. ",
    "[a]: javascript:d",
    "-->",
    "\\",
    "*",
    "`",
    "\u00ad",
    "\u202e",
    "<!--",
    "    ",
]
KINDS: list[Kind] = [
    "title",
    "text",
    "list",
    "code",
    "table",
    "figure",
    "formula",
    "caption",
    "footnote",
    "header",
    "footer",
]


@settings(max_examples=400)
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.lists(st.sampled_from(HOSTILE), max_size=8).map("".join)), max_size=4)
)
def test_no_block_of_any_kind_holds_markup_that_does_harm(found: list[tuple[Kind, str]]) -> None:
    text = document([block(kind, words, 9 * i) for i, (kind, words) in enumerate(found)]).markdown()
    assert not kinds(text) & {"html_inline", "html_block", "link_open"}, text
    assert "\u00ad" not in text and "\u202e" not in text


@settings(max_examples=200)
@given(st.lists(st.lists(st.sampled_from(HOSTILE), max_size=6).map("".join), min_size=1, max_size=4))
def test_paragraphs_come_back_as_they_were(texts: list[str]) -> None:
    blocks = [block("text", inline.markdown(text), 9 * i) for i, text in enumerate(texts)]
    parts = [block.markdown() for block in blocks]
    shown = " ".join(" ".join(block.plain() for block in blocks).split())
    assert kinds("\n\n".join(parts)) <= {
        "paragraph_open",
        "paragraph_close",
        "inline",
        "text",
        "text_special",
        "softbreak",
    }
    assert shown == " ".join(inline.visible("\n".join(texts)).replace("\u00ad", "").split())


def test_a_page_that_was_not_read_whole_says_so_and_its_reason_ends_no_comment() -> None:
    pages = [
        PageRead(
            number=1, status="partial", reason="3 of 9 lines --> <script>\n\nmore--!> --", blocks=[block("text", "a")]
        ),
        PageRead(number=2, status="failed", reason="the engine failed"),
    ]
    text = Document(name="x", sha256="", pages=finish(pages)).markdown()
    assert text == (
        "<!-- page 1 partial: 3 of 9 lines - -› ‹script› more- -!› - - -->\n\na\n\n"
        "<!-- page 2 failed: the engine failed -->\n"
    )
    assert [t.type for t in SHOW.parse(text)] == [
        "html_block",
        "paragraph_open",
        "inline",
        "paragraph_close",
        "html_block",
    ]


def test_the_words_of_a_figure_cannot_leave_its_brackets() -> None:
    figure = block("figure", "a](javascript:b) ![c] <b> *d*", figure="x/figures/page-0001-1.png")
    text = document([figure]).markdown()
    assert text.startswith("![a (javascript:b)") and text.endswith("](x/figures/page-0001-1.png)\n")
    assert not kinds(text) - {"paragraph_open", "paragraph_close", "inline", "image", "text", "text_special"}


def test_front_matter_of_a_page_is_text() -> None:
    text = document([block("text", "---"), block("text", "title: x", 30), block("text", "+++", 60)]).markdown()
    assert text == "\\---\n\ntitle: x\n\n\\+++\n"


def test_a_name_that_is_not_utf_8_can_be_written() -> None:
    found = Document(name="caf\udce9.pdf", sha256="", pages=[])
    assert found.name == "caf\\udce9.pdf" and found.model_dump_json().encode()
