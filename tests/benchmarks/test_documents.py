"""benchmarks/documents.py --folder: its measures can be reckoned by hand; its truths are read as they stand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import document_checks
import document_folder
import document_scores
import document_sheets
import document_truths
from document_scores import Matched

MARKDOWN = r"""# The *first* head

A paragraph of well\-known text, in
two lines with [a link](https://example.org) and 3 \* 4.

- one
- two

| a | b |
| --- | --- |
| 1 | 2 \| 3 |

```
x = 1
```

$$ E = mc^2 $$

<table><tr><td rowspan="2">Port</td><td colspan="2">Ships &amp; tons</td></tr><tr><td>1</td><td>2</td></tr></table>
"""


def test_markdown_in_pieces() -> None:
    found = [(piece.kind, piece.text) for piece in document_scores.pieces(MARKDOWN)]
    assert found == [
        ("title", "The first head"),
        ("text", "A paragraph of well-known text, in\ntwo lines with a link and 3 * 4."),
        ("text", "one\ntwo"),
        ("table", "a b 1 2 | 3"),
        ("code", "x = 1\n"),
        ("formula", "E = mc^2"),
        ("table", "Port Ships & tons 1 2"),
    ]


def test_spans_fill_their_cells() -> None:
    grid = document_scores.html_grid(MARKDOWN[MARKDOWN.index("<table") :])
    assert grid.cells == {
        (0, 0): "Port",
        (1, 0): "Port",
        (0, 1): "Ships & tons",
        (0, 2): "Ships & tons",
        (1, 1): "1",
        (1, 2): "2",
    }
    assert grid.owner[0, 1] == grid.owner[0, 2] != grid.owner[1, 1]
    assert document_scores.html_grid(grid.html).cells == grid.cells


def test_distance_and_words() -> None:
    assert document_scores.distance("a b\nc", "abc") == 0
    assert document_scores.distance("abcd", "abce") == 0.25
    assert document_scores.distance("", "abc") == 1
    assert document_scores.distance("", "") == 0
    assert document_scores.word_scores("the the inspec-\ntor", "the inspector came") == (2, 3, 3)
    assert document_scores.distance("“x” – ﬁ", '"x" - fi') == 0  # one form of quotes, dashes and ligatures


def test_blocks_are_matched_and_joined() -> None:
    truths = ["aaaaaaaaaa", "bbbbbbbbbbcccccccccc", "dddddddddd"]
    reads = ["bbbbbbbbbb", "cccccccccc", "aaaaaaaaaa", "eeee"]
    pairs = document_scores.matched(reads, truths)
    assert sorted(pairs, key=lambda pair: (pair.truths, pair.reads)) == [
        Matched((), (3,), 4, 4),
        Matched((0,), (2,), 0, 10),
        Matched((1,), (0, 1), 0, 20),
        Matched((2,), (), 10, 10),
    ]
    assert document_scores.order_error(pairs) == 1.0  # of the two that were matched, both stand wrong
    assert document_scores.order_error([Matched((k,), (k,), 0, 1) for k in range(4)]) == 0
    assert document_scores.matched([], ["abc"]) == [Matched((0,), (), 3, 3)]


def test_headings_are_paired_one_to_one() -> None:
    assert document_scores.pairs_of(["Method", "Method", "Results"], ["method", "Conclusion"]) == 1
    assert document_scores.pairs_of([], ["Method"]) == 0


def test_teds() -> None:
    pytest.importorskip("table_recognition_metric")
    true = document_scores.html_grid("<table><tr><td>ab</td><td>c</td></tr><tr><td>d</td><td>e</td></tr></table>")
    other = document_scores.html_grid("<table><tr><td>ax</td><td>c</td></tr><tr><td>d</td><td>e</td></tr></table>")
    assert document_scores.teds([other, true], [true]) == [(1.0, 1.0)]
    ((whole, structure),) = document_scores.teds([other], [true])
    assert 0.8 < whole < 1 and structure == 1
    assert document_scores.teds([], [true]) == [(0.0, 0.0)]


TABLE = "| Name | 2022 | 2023 |\n|---|---|---|\n| North | 1,204 | 1,310 |\n| South | 88 | 97 |\n"


@pytest.mark.parametrize(
    ("fact", "markdown", "good"),
    [
        ({"type": "present", "text": "a “quoted” word"}, 'so **a "quoted"** word', True),
        ({"type": "present", "text": "abcdefghij", "max_diffs": 1}, "xx abcdefghix yy", True),
        ({"type": "present", "text": "abcdefghij"}, "xx abcdefghix yy", False),
        ({"type": "present", "text": "a long text that is not there"}, " ", False),
        ({"type": "present", "text": "page", "first_n": 4}, "a page", False),
        ({"type": "absent", "text": "Annual Report", "case_sensitive": False}, "the ANNUAL REPORT of", False),
        ({"type": "absent", "text": "12", "last_n": 5}, "12 in the beginning, none at the end", True),
        ({"type": "order", "before": "first", "after": "second"}, "first, then second", True),
        ({"type": "order", "before": "first", "after": "second"}, "second, then first", False),
        ({"type": "order", "before": "first", "after": "third"}, "first, then second", False),
        ({"type": "table", "cell": "1,310", "left": "1,204", "up": "2023", "left_heading": "North"}, TABLE, True),
        ({"type": "table", "cell": "97", "up": "1,310", "top_heading": "2023", "left": "88"}, TABLE, True),
        ({"type": "table", "cell": "97", "right": "88"}, TABLE, False),
        ({"type": "table", "cell": "97", "top_heading": "2022"}, TABLE, False),
        ({"type": "table", "cell": "97"}, "97 without a table", False),
        ({"type": "math", "math": r"x^{2} + \frac{1}{2}"}, r"so $ x^2 + \frac12 $ and $$y + x^2+\frac{1}{2}$$", True),
        ({"type": "math", "math": r"x^3"}, r"$x^2$", False),
        ({"type": "baseline"}, "Some text.", True),
        ({"type": "baseline"}, " - ", False),
        ({"type": "baseline"}, "Text" + " la" * 40, False),
        ({"type": "baseline"}, "Text 漢", False),
        ({"type": "baseline", "max_length": 3}, "1234", False),
    ],
)
def test_facts(fact: dict[str, object], markdown: str, good: bool) -> None:
    assert document_checks.holds(fact, markdown) is good


def test_a_fact_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        document_checks.holds({"type": "colour"}, "red")


def test_what_a_folder_knows(tmp_path: Path) -> None:
    record = {
        "page_info": {"image_path": "a.png", "page_attribute": {"data_source": "book"}},
        "layout_dets": [
            {"category_type": "text_block", "order": 2, "text": "Second."},
            {"category_type": "title", "order": 1, "text": "First"},
            {"category_type": "text_block", "order": 3, "text": "Not this.", "ignore": True},
            {"category_type": "table", "order": 4, "html": "<table><tr><td>x</td></tr></table>"},
            {"category_type": "table_caption", "order": 5, "text": "Table 1"},
            {"category_type": "equation_isolated", "order": 6, "latex": "$$x^2$$"},
            {"category_type": "page_number", "text": "7"},
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps([record]))
    (tmp_path / "images").mkdir()
    for name in ("images/a.png", "b.jpg", "c.pdf"):
        (tmp_path / name).touch()
    (tmp_path / "b.hocr").write_text(
        '<span class="ocr_line"><span class="ocrx_word" title="bbox 1 2 3 4">R&amp;D</span>\n'
        "<span class='ocrx_word' title='bbox 1 2 3 4'><em>costs</em></span></span>"
    )
    (tmp_path / "facts.jsonl").write_text('{"pdf": "c.pdf", "page": 1, "id": "c1", "type": "baseline"}\n\n')
    page, words, facts = document_truths.known_in(tmp_path)
    assert (page.path, page.kind, page.label) == (tmp_path / "images/a.png", "page", "book")
    assert (page.texts, page.titles, page.formulas) == (["First", "Second."], ["First"], ["x^2"])
    assert (page.aside, page.whole) == (["Table 1", "7"], ["First", "Second.", "Table 1"])
    assert [table.text for table in page.tables] == ["x"]
    assert (words.path, words.words) == (tmp_path / "b.jpg", "R&D\ncosts")
    assert (facts.path, len(facts.facts)) == (tmp_path / "c.pdf", 1)


def test_a_page_is_measured() -> None:
    known = document_truths.Known(
        Path("a.png"),
        "page",
        texts=["Head", "Some text that is read."],
        titles=["Head"],
        aside=["Page 7"],
        whole=["Head", "Some text that is read."],
        formulas=["E=mc^2"],
    )
    page = document_folder.Page(
        known, "# Head\n\nSome text that is read.\n\nPage 7\n\n$$E = mc^2$$\n\n<!-- rapid ok:  -->"
    )
    document_folder.measure(page)
    assert page.figures["blocks"] == page.figures["order"] == 0
    assert page.figures["page"] == pytest.approx(5 / 28)  # a running foot is too much on a page
    assert document_folder.row("page", [page])[4] == "1.000 / 1.000"
    assert document_folder.row("page", [page])[-1] == "1 of 1"
    assert "[rapid ok]" in document_folder.line(page)


def test_facts_are_counted() -> None:
    known = document_truths.Known(
        Path("a.pdf"), "facts", facts=[{"type": "baseline"}, {"type": "present", "text": "nowhere"}]
    )
    page = document_folder.Page(known, "Some text")
    document_folder.measure(page)
    assert document_folder.row("facts", [page]) == ["1 of 2 (baseline 1 of 1, present 0 of 1)"]
    assert page.failed == ['{"type": "present", "text": "nowhere"}']


def test_sheets_say_what_they_show() -> None:
    rows = (
        (document_sheets.Cell("Year", rowspan=2), document_sheets.Cell("Ships & tons", colspan=2)),
        (document_sheets.Cell("1"), document_sheets.Cell("2")),
    )
    block = document_sheets.Block("table", rows=rows)
    assert document_scores.html_grid(block.html).cells[1, 0] == "Year"
    sheet = document_sheets.Sheet("a", "report", (document_sheets.Part((block,), 2),), head="Head & foot")
    assert 'number-rows-spanned="2"' in document_sheets.odf(sheet) and "Head &amp; foot" in document_sheets.odf(sheet)
    assert r"\multicolumn{2}{c}{Ships \& tons}" in document_sheets.tex(
        document_sheets.Sheet(
            "a",
            "report",
            (document_sheets.Part((document_sheets.Block("table", rows=rows, style="three"),)),),
            tex="[11pt]{article}",
        )
    )
