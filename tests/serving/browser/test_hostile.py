"""Names, texts and errors that would be markup, scripts or addresses are shown as the words that they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from page_server import StandIn, block, page, picture
from playwright.sync_api import expect

TAG = '<img src=x onerror="window.struck=1">'
SCRIPT = "<script>window.struck=1</script>"
BLOCKS = {
    "a tag": ("text", TAG + SCRIPT),
    "a title": ("title", f"# {TAG} </h1><iframe src=//evil.example>"),
    "a link that runs": ("text", "[press](javascript:window.struck=1) [data](data:text/html,x) [odd](JaVa\tScript:x)"),
    "entities": ("text", "[press](&#106;avascript:struck=1) &lt;script&gt; &#x3C;b&#x3E; &#0; &#xD800; &#99999999;"),
    "a picture from elsewhere": ("text", "![spy](https://evil.example/spy.png) ![spy](//evil.example/spy.png)"),
    "a style": ("text", "<style>body{display:none}</style><link rel=stylesheet href=//evil.example/x.css>"),
    "a table": ("table", f"<table onclick='window.struck=1'><tr><td style='position:fixed' colspan=99999>{TAG}{SCRIPT}"
                         "<svg onload='window.struck=1'></svg></td></tr></table><base href='//evil.example/'>"),
    "a table of pipes": ("table", f"| {TAG} | [x](javascript:1) |\n| --- | --- |\n| {SCRIPT} | a \\| b |"),
    "a table unclosed": ("table", "<table><tr><td>one<td><!-- two <tr><th>" + TAG),
    "a list": ("list", f"- {TAG}\n" + "\n".join(" " * n + f"- {n}" for n in range(200))),
    "code": ("code", f"```html\n{SCRIPT}\n```"),
    "code unclosed": ("code", "````\n" + SCRIPT),
    "a formula": ("formula", f"$\\href{{javascript:window.struck=1}}{{x}}{TAG}$"),
    "a caption": ("caption", f"*{TAG}*"),
    "a figure": ("figure", "](x) " + TAG),
    "hidden text": ("hidden", "Ignore what was said before " + TAG),
    "marks within marks": ("text", "**" * 3000 + "*a" * 3000 + "[" * 3000 + "`" * 3001 + "<sup>" * 2000),
    "a long text": ("text", "*a **b `c [d](e " * 40_000),
    "blanks": ("table", "| a |\n" + " " * 300_000 + "x"),
    "blank code": ("code", "```\n" + "\n " * 30_000 + "x"),
    "blank lists": ("list", "- a\n" + " " * 300_000 + "x"),
    "directions": ("text", "\u202egpj.exe \u2066\u2069 \ufeff\u200b"),
}  # fmt: skip


def unharmed(visit: Any) -> None:
    """Nothing ran, nothing was framed, and every link leads to the web, apart from this page."""
    assert visit.script("typeof window.struck") == "undefined"
    assert (
        visit.script("document.querySelectorAll('iframe, object, embed, base, style, main script, main link').length")
        == 0
    )
    assert visit.script("[...document.querySelectorAll('main img')].every(i => !i.src || i.src.startsWith('blob:'))")
    assert visit.script("[...document.querySelectorAll('.prose a')].every(a => /^https?:|^mailto:/.test(a.href)"
                        " && a.rel.includes('noopener'))")  # fmt: skip


@pytest.mark.parametrize("kind", BLOCKS)
def test_markdown_that_would_run(visiting: Callable[..., Any], stand_in: StandIn, kind: str) -> None:
    what, text = BLOCKS[kind]
    harmless = block("text", [60, 200, 540, 240], "The end of the page.")
    stand_in.document = [page(1, [block(what, [60, 40, 540, 90], text), harmless])]
    visit = visiting()
    where = visit.open()
    where.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture(9, 9)})
    expect(where.locator("#read-copy")).to_be_enabled()
    shown = where.locator('.prose [data-piece="1-0"]')
    expect(where.locator('.prose [data-piece="1-1"]')).to_have_text("The end of the page.")
    if TAG in text:
        expect(shown).to_contain_text(TAG)
    if kind == "a table":
        expect(shown.locator("td").first).to_have_attribute("colspan", "1000")
    unharmed(visit)


def test_links_to_the_web_stay_links(visiting: Callable[..., Any], stand_in: StandIn) -> None:
    table = '<table><tr><td rowspan="2">A&amp;B<sup>2</sup></td><td><a href="https://t.example/?a=1&amp;b=2">three</a></td></tr></table>'
    stand_in.document = [page(1, [block("text", None, "[one](https://a.example/b?c=d) and [two](mailto:x@a.example)"),
                                  block("table", None, table)])]  # fmt: skip
    visit = visiting()
    where = visit.open()
    where.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture(9, 9)})
    expect(where.locator(".prose a")).to_have_text(["one", "two", "three"])
    expect(where.locator(".prose a").first).to_have_attribute("href", "https://a.example/b?c=d")
    expect(where.locator(".prose a").last).to_have_attribute("href", "https://t.example/?a=1&b=2")
    expect(where.locator(".prose td").first).to_have_text("A&B2")
    unharmed(visit)


@pytest.mark.parametrize(
    "name", [TAG + ".png", "../../etc/passwd.png", "a" * 240 + ".png", "\u202egnp.exe.png", "'\"`.png"]
)
def test_names_are_words(visiting: Callable[..., Any], stand_in: StandIn, name: str) -> None:
    visit = visiting("phone")
    where = visit.open()
    given = {"name": name, "type": "image/png"}
    visit.script("(given => { const data = new DataTransfer(); data.items.add(new File([new Uint8Array(9)], given.name,"
                 " { type: given.type })); document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data,"
                 f" bubbles: true, cancelable: true }})); }})({json.dumps(given)})")  # fmt: skip
    expect(where.locator("#read-copy")).to_be_enabled()
    expect(where.locator("#read-name")).to_have_text(name)
    assert visit.script("document.documentElement.scrollWidth <= innerWidth")
    with where.expect_download() as waiting:
        where.locator("#read-md").click()
    assert "/" not in waiting.value.suggested_filename
    unharmed(visit)


def test_errors_and_reasons_are_words(visiting: Callable[..., Any], stand_in: StandIn) -> None:
    stand_in.document[1]["reason"] = TAG
    stand_in.failure = SCRIPT + TAG
    visit = visiting()
    where = visit.open()
    where.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture(9, 9)})
    expect(where.locator("#read-trouble")).to_have_text(SCRIPT + TAG)
    expect(where.locator(".prose .leaf-head").nth(1)).to_contain_text(TAG)
    unharmed(visit)


def test_memories_are_words(visiting: Callable[..., Any], stand_in: StandIn) -> None:
    pages = [{"key": TAG, "number": 1, "of": 1, "width": 640, "height": 64, "level": 640}]
    stand_in.memories = {TAG: {"sources": [{"source": SCRIPT, "pages": pages}], "texts": {TAG: TAG + SCRIPT}}}
    stand_in.about["memories"] = [TAG]
    visit = visiting()
    where = visit.open("#open")
    expect(where.locator("#memories b")).to_have_text(TAG)
    where.locator("#memories button").click()
    expect(where.locator("#one .says")).to_have_text(TAG + SCRIPT)
    where.locator("#query").fill("<script>")
    where.locator("#query").press("Enter")
    expect(where.locator("#contents h2")).to_have_text("1 place with “<script>”")
    unharmed(visit)


def test_answers_that_are_no_answers_are_a_line(visiting: Callable[..., Any], stand_in: StandIn) -> None:
    stand_in.about["limits"] = None
    stand_in.about["engines"] = [{"name": TAG, "says": SCRIPT}]
    visit = visiting()
    where = visit.open()
    expect(where.locator("#engine option").nth(1)).to_have_text(f"{SCRIPT} ({TAG})")
    unharmed(visit)
