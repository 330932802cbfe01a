"""HTML becomes blocks: what is seen, in its order, as safe Markdown; what is not read is counted."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from microfiche.documents.document import Block
from microfiche.documents.texts.hypertext import Hypertext


def parsed(source: str, formulas: bool = False) -> Hypertext:
    made = Hypertext(formulas)
    made.feed(source)
    made.close()
    return made


def told(blocks: list[Block]) -> list[tuple[str, str]]:
    return [(block.kind, block.markdown()) for block in blocks]


@pytest.mark.parametrize(("source", "blocks"), [
    ("<h2>A <em>b</em></h2><p>c", [("title", "## A b"), ("text", "c")]),
    ("<h1><div>A</div></h1>b", [("title", "# A"), ("text", "b")]),
    ("<p>one<p>two<br>three  four\n", [("text", "one"), ("text", "two  \nthree four")]),
    ("a<div>b<p>c</div>d", [("text", one) for one in "abcd"]),
    ("<ul><li>a<ol start=3><li>b<li>c</ol><li>d<p>e</ul>", [("list", "- a\n   3. b\n   4. c\n- d\n  e")]),
    ("<ul><li><input type=checkbox checked> a<li>[x] b", [("list", "- [x] a\n- [x] b")]),
    ("<dl><dt>a<dd>b<dt>c</dl>", [("text", one) for one in "abc"]),
    ("<pre>\n x\n  <b>y</b>\n</pre>", [("code", "```\n x\n  y\n```")]),
    ("<table><tr><th>h<th>i<tr><td>1<td>2|3<br>4<tr><td></table>",
     [("table", "| h | i |\n| --- | --- |\n| 1 | 2\\|3<br>4 |")]),
    ("<table><tr><th>h<th colspan=2>w<tr><td>1<td>2<td>3</table>",
     [("table", '<table><tr><th>h</th><th colspan="2">w</th></tr><tr><td>1</td><td>2</td><td>3</td></tr></table>')]),
    ("<table><tr><td>a<table><tr><td>b<td>c</table></table>", [("table", "| a<br>b c |\n| --- |")]),
    ("<table><tr><td></table>", []),
    ("<figure><img alt='a cat' src='http://10.0.0.1/x'><figcaption>seen</figcaption></figure>",
     [("figure", "![a cat]()"), ("caption", "*seen*")]),
    ("H<sub>2</sub>O <del>x</del> &amp; 1 &lt; 2", [("text", "H<sub>2</sub>O ~~x~~ & 1 < 2")]),
    ("<p>a <span style='display: none'>b</span>c<div hidden>d<p>e</div>", [("text", "a c"), ("hidden", "b"),
                                                                         ("hidden", "d"), ("hidden", "e")]),
    ("<script>x</script><style>y</style><noscript>z</noscript><template>t</template>a", [("text", "a")]),
    ("</p></li></table>a</b>", [("text", "a")]),
])  # fmt: skip
def test_what_is_seen_stands_in_its_order(source: str, blocks: list[tuple[str, str]]) -> None:
    assert told(parsed(source).blocks) == blocks


@pytest.mark.parametrize(("address", "kept"), [
    ("https://e.org/a?b=c&d", True), ("HTTP://e.org", True), ("mailto:a@e.org", True), ("javascript:alert(1)", False),
    (" java\nscript:alert(1)", False), ("data:text/html,x", False), ("file:///etc/passwd", False), ("#top", False),
    ("other.html", False),
])  # fmt: skip
def test_links_lead_to_pages_and_letters_alone(address: str, kept: bool) -> None:
    (block,) = parsed(f'<p>see <a href="{address}">this</a>').blocks
    rendered = MarkdownIt().render(block.markdown())
    assert ("<a " in rendered) is kept and "this" in rendered


@pytest.mark.parametrize("words", [
    "<script>alert(1)</script>", "<img src=x onerror=y>", "[a](javascript:x)", "![a](http://e.org/x.png)", "# a",
    "* * *", "| a |\n|---|", "<!-- c -->", "&lt;b&gt;", "```", "[a]: http://e.org", "1. a", "\ufdd6x\ufdd7http://e.org\ufdd8",
])  # fmt: skip
def test_words_stay_words(words: str) -> None:
    escaped = words.replace("&", "&amp;").replace("<", "&lt;")
    for source in (f"<p>{escaped}</p>", f"<li>{escaped}", f"<h1>{escaped}</h1>", f"<td>{escaped}",
                   f"<table><tr><td>{escaped}<td rowspan=2>x</table>"):  # fmt: skip
        for block in parsed(source).blocks:
            rendered = MarkdownIt("commonmark").enable("table").render(block.markdown())
            assert not any(tag in rendered for tag in ("<script", "<img", "<a ", "<hr", "<!--", "<code")), rendered


def test_what_is_not_read_is_counted() -> None:
    made = parsed("<img><img alt=x><svg><text>a</text></svg><iframe>b</iframe><video></video><embed><div hidden><img>")
    assert made.lost == {"picture": 2, "drawing": 1, "frame": 1, "film": 1, "embedded object": 1}
    assert [block.kind for block in made.blocks] == ["figure", "figure"]


def test_formulas_are_kept_where_they_are_meant() -> None:
    assert parsed("<p>so $x_1 < y$ costs $5", True).blocks[0].markdown() == r"so $x_1 < y$ costs \$5"


def test_depth_and_length_do_no_harm() -> None:
    deep = 20_000
    assert told(parsed("<div>" * deep + "a" + "</div>" * deep).blocks) == [("text", "a")]
    assert len(parsed("<ul><li>a" * 500).blocks[0].text.split("\n")) == 500
    assert parsed("<b>" * deep + "a").blocks[0].text == "a"
    assert parsed("<" * deep).blocks[0].kind == "text"
