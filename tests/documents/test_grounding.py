"""The model's grounding output is parsed by a strict grammar, and whatever it writes is survived."""

from __future__ import annotations

import html
import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.grounding import loop, parse

OUTPUT = """<|ref|>title<|/ref|><|det|>[[100, 50, 900, 100]]<|/det|>
# On Small Pages

<|ref|>text<|/ref|><|det|>[[0, 120, 999, 999]]<|/det|>
A paragraph of \\(x \\coloneqq 1\\).

<|ref|>image<|/ref|><|det|>[[10, 20, 30, 40], [50, 60, 70, 80]]<|/det|>

<|ref|>image_caption<|/ref|><|det|>[[10, 90, 30, 95]]<|/det|>
<center>Figure 1. Two of them.</center>

<|ref|>table<|/ref|><|det|>[[0, 0, 1, 1]]<|/det|>
<table><tr><td rowspan=2>a</td></tr></table>
"""


def test_labels_become_kinds_and_coordinates_pixels_of_the_page() -> None:
    blocks, wrong = parse(OUTPUT, 1998, 999)
    assert wrong == ""
    assert [(b.kind, b.box) for b in blocks] == [
        ("title", (200, 50, 1800, 100)),
        ("text", (0, 120, 1998, 999)),
        ("figure", (20, 20, 60, 40)),
        ("figure", (100, 60, 140, 80)),
        ("caption", (20, 90, 60, 95)),
        ("table", (0, 0, 2, 1)),
    ]
    text = Document(name="x", sha256="", pages=[PageRead(number=1, blocks=blocks)]).markdown()
    assert text.startswith("# On Small Pages\n\nA paragraph of \\(x := 1\\).\n\n*Figure 1. Two of them.*\n\n<table>")


def test_plain_output_is_text() -> None:
    blocks, wrong = parse("First.\n\n\n\nSecond.", 10, 10)
    assert ([b.text for b in blocks], wrong) == (["First.", "Second."], "")


def test_located_words_keep_their_name() -> None:
    (block,), wrong = parse("<|ref|>the red door<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>", 999, 999)
    assert (block.text, block.box, wrong) == ("the red door", (1, 2, 3, 4), "")


def test_nothing_is_evaluated_and_broken_marks_are_told() -> None:
    hostile = "<|ref|>text<|/ref|><|det|>[[__import__('os').system('false'), 1, 2, 3]]<|/det|>\nwords"
    blocks, wrong = parse(hostile, 100, 100)
    assert "grammar" in wrong
    assert "words" in blocks[-1].text and not any("<|" in b.text for b in blocks)
    _, wrong = parse("<|ref|>text<|/ref|><|det|>[[9, 1, 2, 3000]]<|/det|>words", 100, 100)
    assert "grammar" in wrong


@given(st.text("ab <", max_size=30), st.text("abc", min_size=1, max_size=400), st.integers(0, 3))
def test_a_loop_is_cut_behind_its_first_round(before: str, block: str, part: int) -> None:
    rounds = max(4, 400 // len(block) + 1)
    output = before + block * rounds + block[: part * len(block) // 4]
    end = loop(output)
    assert end is not None and end <= len(before) + len(block)
    assert output.startswith(output[:end]) and len(output[:end]) >= min(len(before), end)
    assert loop(before + "".join(map(str, range(300)))) is None


MARKS = ["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "[[1, 2, 3, 4]]", "[[", "]]"]
WORDS = ["text", "image", "9" * 30, ",", "\n\n", "a b"]


@given(st.lists(st.sampled_from(MARKS + WORDS)).map("".join))
def test_any_output_gives_blocks_within_the_page(output: str) -> None:
    blocks, _ = parse(output, 640, 480)
    for block in blocks:
        left, top, right, bottom = block.box or (0, 0, 640, 480)
        assert 0 <= left <= right <= 640 and 0 <= top <= bottom <= 480
        assert "<|" not in block.text


SOUND = """<|ref|>title<|/ref|><|det|>[[100, 50, 900, 100]]<|/det|>
# Lamps

<|ref|>text<|/ref|><|det|>[[100, 200, 900, 300]]<|/det|>
Hello there.
"""
FOUND = [("title", (100, 50, 901, 100), "Lamps"), ("text", (100, 200, 901, 300), "Hello there.")]


def found(blocks: list[Block]) -> list[tuple[str, tuple[int, int, int, int], str]]:
    return [(b.kind, b.box, b.text) for b in blocks]


@pytest.mark.parametrize(
    "change",
    {
        "as it is": lambda x: x,
        "tags left out": lambda x: x.replace("<|ref|>", "").replace("<|/ref|>", "").replace("<|det|>", "")
        .replace("<|/det|>", ""),
        "an end mark": lambda x: x + "<｜end▁of▁sentence｜>",
        "another end mark": lambda x: "<s>" + x.rstrip() + "</s>",
        "a mark at either end": lambda x: f"<|im_start|>{x}<|im_end|>",
        "tags escaped": lambda x: x.replace("<|", "&lt;|").replace("|>", "|&gt;"),
        "wide bars": lambda x: x.replace("|", "｜"),
        "one pair of brackets": lambda x: x.replace("[[", "[").replace("]]", "]"),
        "in a fence": lambda x: f"```markdown\n{x}```",
        "line ends of Windows": lambda x: x.replace("\n", "\r\n"),
        "labels in capitals": lambda x: x.replace("title", "Title").replace(">text", ">TEXT"),
        "decimals": lambda x: x.replace("100, 50, 900, 100", "100.2, 50.0, 900.0, 100.1"),
        "no space": lambda x: x.replace(", ", ","),
    }.items(),
    ids=lambda change: change[0],
)  # fmt: skip
def test_what_servers_make_of_it_is_read_all_the_same(change: tuple[str, object]) -> None:
    blocks, wrong = parse(change[1](SOUND), 1000, 1000)  # type: ignore[operator]
    assert (found(blocks), wrong) == (FOUND, "")


def test_a_thousand_is_the_edge_and_shares_are_of_the_page() -> None:
    for box, right in (("[0, 0, 1000, 1000]", (0, 0, 640, 480)), ("[0.25, 0.5, 0.5, 1.0]", (160, 240, 320, 480))):
        (block,), wrong = parse(f"<|ref|>text<|/ref|><|det|>[{box}]<|/det|>a", 640, 480)
        assert (block.box, wrong) == (right, "")


def test_an_output_that_ends_within_a_mark_loses_no_words_and_says_so() -> None:
    for end in range(len(SOUND) - 40, len(SOUND)):
        blocks, wrong = parse(SOUND[:end], 1000, 1000)
        words = " ".join(b.text for b in blocks)
        assert words.startswith("Lamps") and not any(sign in words for sign in ("<|", "|>", "[["))
        assert wrong or words.split()[1:] == "Hello there."[: len(" ".join(words.split()[1:]))].split()


def test_tables_lists_titles_and_code_of_a_model_are_blocks_of_their_kinds() -> None:
    text = "# One\nwords\n\n- a\n- b\n\n| a | b |\n| --- | --- |\n| c | d |\n\n"
    text += "```py\n\n<b>\n```\n\n\\[a<b\\]\n\n---\n\n> said\n\n"
    blocks, _ = parse(text + "<table><tr><td rowspan=9 onclick=x>a<td>b<script></table>", 10, 10)
    assert [(b.kind, b.text) for b in blocks] == [
        ("title", "One"), ("text", "words"), ("list", "- a\n- b"), ("table", "| a | b |\n| --- | --- |\n| c | d |"),
        ("code", "```py\n\n<b>\n```"), ("formula", "\\[a< b\\]"), ("text", "said"),
        ("table", "<table><tr><td>a</td><td>b&lt;script&gt;</td></tr></table>"),
    ]  # fmt: skip
    assert blocks[0].level == 1


def test_nothing_that_a_model_is_made_to_write_is_markup() -> None:
    mark = "<|ref|>{}<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n"
    hostile = mark + "<script>a()</script> ![p](http://spy/) [b](javascript:c) --> <b>"
    for label in ("title", "text", "image", "table", "equation", "list", "image_caption", "page_footnote", "anything"):
        blocks, _ = parse(hostile.format(label), 10, 10)
        text = Document(name="x", sha256="", pages=[PageRead(number=1, blocks=blocks)]).markdown()
        assert "<script" not in text and "http://spy" not in text
        assert "](javascript" not in text


def test_long_hostile_outputs_take_no_time() -> None:
    start = time.process_time()
    pieces = ["[[", "text[[", "<|ref|>a<|/ref|><|det|>[[1,2,3,", "[1,2,3,4],", "```\n", "<table", "# ", " ", "\n ", "<"]
    pieces += ["<d|e|t>", "|<det", "text 101, 102; 103/ 104\n", "text 1. a 2. b 3.", "title ./,./,1./,./,"]
    for piece in pieces:
        parse(piece * 3000 + json.dumps(FOUND), 100, 100)
    assert time.process_time() - start < 20


def mark(label: str, box: str = "[[100, 50, 900, 100]]") -> str:
    return f"<|ref|>{label}<|/ref|><|det|>{box}<|/det|>"


def said(blocks: list[Block]) -> str:
    return " ".join(" ".join(b.text.split()) for b in blocks if b.text)


@pytest.mark.parametrize(
    "box",
    ["[[550, s 331, 652, 345]]", "[[1, 2, 3]]", "[[]]", "", "[[1 2 3 4]]", "[[900, 1, 2, 3]]", "[[1, 2, 3, 4000]]",
     "[[1, 2, 3, 4, 5, 6, 7, 8]]", "[[a, b, c, d]]", "[[1e3, 2, 3, 4]]", "[[-70, 2, 3, 4]]", "none"],
)  # fmt: skip
def test_a_bad_box_costs_its_block_no_word(box: str) -> None:
    blocks, wrong = parse(f"{mark('title')}\n# Lamps\n\n{mark('text', box)}\nHello there.\n", 1000, 1000)
    assert found(blocks)[0] == FOUND[0] and blocks[1].box is None and "grammar" in wrong
    assert blocks[1].text == "Hello there." or (box == "none" and "Hello there." in said(blocks))


def test_of_several_boxes_only_the_good_ones_count() -> None:
    blocks, wrong = parse(mark("image", "[[10, 20, 30, 40], [50, s, 70, 80], [1, 2, 3, 4]]"), 999, 999)
    assert [b.box for b in blocks] == [(10, 20, 30, 40), (1, 2, 3, 4)] and wrong
    (figure,), wrong = parse(mark("image", "[[50, 60, 7"), 999, 999)
    assert (figure.kind, figure.box) == ("figure", None) and wrong


@pytest.mark.parametrize(
    "words",
    ["a < b and c > d", "one | two | three", "<|", "3 <| 4", "x[1] = [2, 3]", "w" * 900, "so it goes, " * 40, "table",
     "\\(x^2\\)", "5 %", "[[sic]]", "text"],
)  # fmt: skip
def test_where_it_reads_line_by_line_the_refs_are_the_text(words: str) -> None:
    output = f"{mark('Dear Ms Lamp')}\n{mark(words, '[[1, 2, 3, 4]]')}\n{mark('')}\n{mark('Yours', '[[5, 6, 7, x]]')}\n"
    blocks, wrong = parse(output, 999, 999)
    assert [b.kind for b in blocks if b.text] == ["text"] * 3 and "1 marks" in wrong
    assert [b.box for b in blocks if b.text] == [(100, 50, 900, 100), (1, 2, 3, 4), None]
    if "<" not in words:
        assert [b.text for b in blocks if b.text] == ["Dear Ms Lamp", words.strip(), "Yours"]
    assert "Dear Ms Lamp" in said(blocks) and "Yours" in said(blocks) and "ref" not in said(blocks)


def test_a_label_that_is_not_known_is_text_only_where_it_reads_like_it() -> None:
    blocks, _ = parse(f"{mark('chart')}\nUp and down.\n\n{mark('Invoice No. 7')} is paid.\n{mark('text')}\nx", 999, 999)
    assert said(blocks) == "Up and down. Invoice No. 7 is paid. x"


UNLIMITED = "<|det|>title [100, 50, 900, 100]<|/det|>Lamps\n<|det|>text [100, 200, 900, 300]<|/det|>Hello there.\n"


@pytest.mark.parametrize(
    "change",
    {
        "as it is": lambda x: x,
        "no spaces": lambda x: x.replace(" [", "[").replace(", ", ","),
        "two brackets": lambda x: x.replace("[", "[[").replace("]", "]]"),
        "a page mark": lambda x: f"<PAGE>{x}",
        "tags left out": lambda x: x.replace("<|det|>", "").replace("<|/det|>", ""),
        "tags left out, a page mark": lambda x: f"<PAGE>\n{x.replace('<|det|>', '').replace('<|/det|>', '')}",
        "an end mark": lambda x: f"{x}<｜end▁of▁sentence｜>",
        "the other grammar": lambda x: re.sub(r"<\|det\|>(\w+) (\[.*?\])", r"<|ref|>\1<|/ref|><|det|>[\2]", x),
    }.items(),
    ids=lambda change: change[0],
)  # fmt: skip
def test_the_grammar_of_unlimited_ocr(change: tuple[str, object]) -> None:
    blocks, wrong = parse(change[1](UNLIMITED), 1000, 1000)  # type: ignore[operator]
    assert (found(blocks), wrong) == (FOUND, "")


def test_a_page_whose_tags_the_server_dropped_is_parsed() -> None:
    dropped = re.sub(r"<\|/?(?:ref|det)\|>", "", SOUND)
    bad = f"{dropped}\nimage[[1, s 2, 3, 4]]\n"
    for output in (dropped, dropped.replace("[[", " [["), dropped.replace("\n", " "), bad):
        blocks, wrong = parse(output, 1000, 1000)
        assert found(blocks)[:2] == FOUND
        assert bool(wrong) == (output == bad)
    lines = "Dear Ms Lamp:[[1, 2, 3, 4]]\nPrice list[[5, 6, 7, 8]]\nx = 3, [[9, 10, 11, 12]]\n"
    blocks, wrong = parse(lines, 999, 999)
    assert ([b.text for b in blocks], wrong) == (["Dear Ms Lamp:", "Price list", "x = 3,"], "")
    (seal,), wrong = parse("the red seal[[1, 2, 3, 4]]", 999, 999)
    assert (seal.text, seal.box, wrong) == ("the red seal", (1, 2, 3, 4), "")


def test_a_table_whose_cells_the_server_dropped_is_said() -> None:
    blocks, wrong = parse("table[[1, 2, 3, 4]]\n<table>LampPrice9</table>\n", 999, 999)
    assert "LampPrice9" in said(blocks)
    assert wrong == "1 tables came without cells, as where a server drops special tokens"


@pytest.mark.parametrize(
    "text",
    ["As others found [1, 2, 3, 4], it works.", "[1, 2, 3, 4] and [5, 6, 7, 8] agree.", "Let A = [[1, 2, 3, 4]]",
     "See\n[1, 2, 3, 4]\nfor more.", "The end is <|endoftext|> and no other.", "f([[1, 2, 3, 4], [5, 6, 7, 8]])",
     "```py\nx[[1, 2, 3, 4]]\n```", "A range [0, 1] and [[sic]] and <PAGE> two.", "a |ref| b <ref>c</ref> |det| d",
     "The next figure\n[10, 20, 30, 40]\nis a list.", "5 < 6 and 7 > 2 | 3"],
)  # fmt: skip
def test_what_only_looks_like_a_mark_stays(text: str) -> None:
    for output in (text, f"{mark('text')}\n{text}\n{mark('text')}\nMore.", f"Before.\n\n{text}\n\nAfter."):
        blocks, wrong = parse(output, 1000, 1000)
        assert html.unescape(" ".join(text.split())) in html.unescape(said(blocks)) and wrong == ""


WORD = st.sampled_from(["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"])
SENTENCE = st.lists(WORD, min_size=1, max_size=6).map(" ".join)
LABEL = st.sampled_from(["title", "text", "sub_title", "image_caption", "list", "equation", "chart"])
COORDINATES = st.sampled_from(
    ["100, 50, 900, 100", "0,0,1000,1000", "0.1, 0.2, 0.5, 0.25", "10.2, 5.0, 90.0, 10", "550, s 331, 652, 345", "1, 2",
     "", "9000, 1, 2, 3", "-1, 2, 3, 4", "5, 6, 7, 8, 9", "900, 1, 2, 3", "1 2 3 4"]
)  # fmt: skip


@st.composite
def damaged_outputs(draw: st.DrawFn) -> tuple[str, list[str]]:
    """An output some of whose tags or brackets are missing, and the words in it that are content."""
    grammar = draw(st.sampled_from(["ref", "det", "lines"]))
    pieces: list[str] = []
    parts: list[int] = []  # the places of tags and brackets among the pieces
    words: list[str] = []
    for sentence in draw(st.lists(SENTENCE, min_size=1, max_size=4)):
        numbers, label = draw(COORDINATES), draw(LABEL)
        first = len(pieces)
        if grammar == "det":
            pieces += ["<|det|>", f"{label} ", "[", numbers, "]", "<|/det|>", f"{sentence}\n"]
            parts += [first + k for k in (0, 2, 4, 5)]
        else:
            label, after = (label, f"\n{sentence}\n\n") if grammar == "ref" else (sentence, "\n")
            pieces += ["<|ref|>", label, "<|/ref|>", "<|det|>", "[[", numbers, "]]", "<|/det|>", after]
            parts += [first + k for k in (0, 2, 3, 4, 6, 7)]
        words += sentence.split()
    match draw(st.sampled_from(["nothing", "a piece", "a sign", "one tag everywhere", "all tags"])):
        case "a piece":
            pieces[draw(st.sampled_from(parts))] = ""
        case "a sign":
            at = draw(st.sampled_from(parts))
            sign = draw(st.integers(0, len(pieces[at]) - 1))
            pieces[at] = pieces[at][:sign] + pieces[at][sign + 1 :]
        case "one tag everywhere":
            tag = draw(st.sampled_from(["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>"]))
            pieces = [piece for piece in pieces if piece != tag]
        case "all tags":
            pieces = [piece for piece in pieces if not piece.startswith("<|")]
    return "".join(pieces), words


@given(damaged_outputs())
@settings(max_examples=400)
def test_a_damaged_mark_gives_up_its_box_and_never_a_word(case: tuple[str, list[str]]) -> None:
    output, words = case
    blocks, wrong = parse(output, 1000, 1000)
    text = said(blocks)
    assert text.split() == words or (wrong and _in_order(words, text.split()))
    assert not any(sign.isdigit() or sign in "[]<>|" or 0xFDD0 <= ord(sign) <= 0xFDEF for sign in text)


def _in_order(words: list[str], among: list[str]) -> bool:
    left = iter(among)
    return all(word in left for word in words)


def test_the_pages_of_several_are_not_one_page() -> None:
    blocks, wrong = parse(f"<PAGE>{UNLIMITED}<PAGE>{UNLIMITED}", 1000, 1000)
    assert said(blocks) == "Lamps Hello there. Lamps Hello there." and "grammar" in wrong


@pytest.mark.parametrize(
    "text",
    ["figure [3] shows the layout.\nMore text", "text [12] is cited", "header [2024]\nx", "table [4]\nx",
     "list [1] one\nlist [2] two", "equation [5] follows", "list [1, 2, 3, 4]\nmore", "Figure [3, 4] and [5]",
     "table 3, 5, 7 and 9 differ.", "The interval [0, 1) and (2, 3].", "[see 12,\n13, 14, 15]", "title [Hello]"],
)  # fmt: skip
def test_a_citation_behind_a_labels_word_is_text(text: str) -> None:
    for output in (text, f"{mark('text')}\n{text}\n{mark('text')}\nMore.", f"Before.\n\n{text}\n\nAfter."):
        blocks, wrong = parse(output, 1000, 1000)
        assert " ".join(text.split()) in said(blocks) and wrong == ""


@pytest.mark.parametrize(
    "output",
    [
        "list[[131, 359, 572, 882]\nHello", "text[[[5, 6, 7, 8]]]\nHello", "**title**[[35, 58, 964, 95]]\nHello",
        "# title [[35, 58, 964, 95]]\nHello", "<|REF|>text<|/REF|><|DET|>[[1,2,3,4]]<|/DET|>\nHello",
        "< |ref| >text< |/ref| >< |det| >[[1,2,3,4]]< |/det| >\nHello",
        "\\<|ref|\\>text\\<|/ref|\\>\\<|det|\\>[[1,2,3,4]]\\<|/det|\\>\nHello",
        *(
            f"{mark('text', box)}\nHello"
            for box in ("x=1,y=2,w=3,h=4", "((1,2),(3,4))", '{"bbox":[1,2,3,4]}', "<1,2,3,4>")
        ),
        "text [135, 206, 502, 396Hello", "text 135, 206, 502, 396]Hello", "text]135, 206, 502, 396]\nHello",
    ],
)  # fmt: skip
def test_a_damaged_mark_leaves_only_the_words(output: str) -> None:
    blocks, wrong = parse(output, 1000, 1000)
    assert [b.text for b in blocks] == ["Hello"]
    assert wrong or blocks[0].box is not None


def test_a_damaged_mark_ends_the_title_before_it() -> None:
    blocks, wrong = parse("title[[1, 2, 3, 4]]\nLamps\n\ntext[[5, 6, 7, 8]\nHello", 1000, 1000)
    assert [(b.kind, b.text) for b in blocks] == [("title", "Lamps"), ("text", "Hello")] and wrong


def test_a_word_of_letters_and_digits_behind_a_wrong_tag_stays_whole() -> None:
    for output in ("<|det|>word29x and more", f"{mark('text')}\n<|det|>word29x and more\n{mark('text')}"):
        blocks, wrong = parse(output, 1000, 1000)
        assert said(blocks) == "word29x and more" and wrong


FORMS = ["<|ref|>{}<|/ref|><|det|>[[{}]]<|/det|>\n{}\n\n", "<|det|>{} [{}]<|/det|>{}\n", "{}[[{}]]\n{}\n\n",
         "{} [{}]{}\n"]  # fmt: skip


@st.composite
def marks_with_wrong_signs(draw: st.DrawFn) -> tuple[str, list[str]]:
    """An output one of whose marks has two or three damaged signs, and the coordinates in it."""
    form, number = draw(st.sampled_from(FORMS)), st.integers(100, 499)
    marks, numbers = [], []
    for sentence in draw(st.lists(SENTENCE, min_size=1, max_size=4)):
        left, top, width, height = (draw(number) for _ in range(4))
        box = [str(n) for n in (left, top, left + width, top + height)]
        label = draw(st.sampled_from(["title", "text", "sub_title", "list", "table_caption", "equation", "header"]))
        marks.append((form.format(label, ", ".join(box), sentence), len(sentence)))
        numbers += box
    chosen = draw(st.integers(0, len(marks) - 1))
    mark, length = marks[chosen]
    for _ in range(draw(st.integers(2, 3))):
        places = [i for i in range(len(mark.rstrip("\n")) - length) if mark[i] in "<>[]|,/"]
        at = draw(st.sampled_from(places or [0]))
        new = draw(st.sampled_from(["", mark[at] * 2, *"<>[]|,/. "]))
        mark = mark[:at] + new + mark[at + 1 :]
    marks[chosen] = mark, length
    return "".join(mark for mark, _ in marks), numbers


@given(marks_with_wrong_signs())
@settings(max_examples=600)
def test_several_wrong_signs_leave_no_number_on_a_page_called_ok(case: tuple[str, list[str]]) -> None:
    output, numbers = case
    blocks, wrong = parse(output, 1000, 1000)
    assert wrong or not set(numbers) & set(re.findall(r"\d+", said(blocks))), output


@st.composite
def lines_with_wrong_signs(draw: st.DrawFn) -> tuple[str, list[str]]:
    """An output read line by line, with or without tags, one of whose marks has two or three damaged signs, and the
    coordinates in it."""
    form, number = draw(st.sampled_from(["<|ref|>{}<|/ref|><|det|>[[{}]]<|/det|>", "{}[[{}]]"])), st.integers(100, 499)
    lines, numbers = [], []
    for sentence in draw(st.lists(SENTENCE, min_size=2, max_size=5)):
        left, top = draw(number), draw(number)
        box = [str(n) for n in (left, top, left + draw(number), top + draw(st.integers(5, 60)))]
        lines.append(form.format(sentence, ", ".join(box)))
        numbers += box
    chosen = draw(st.integers(0, len(lines) - 1))
    for _ in range(draw(st.integers(2, 3))):
        line = lines[chosen]
        at = draw(st.sampled_from([i for i, sign in enumerate(line) if sign in "<>[]|,/"] or [0]))
        new = draw(st.sampled_from(["", line[at] * 2, *"<>[]|,/. "]))
        lines[chosen] = line[:at] + new + line[at + 1 :]
    return "\n".join(lines), numbers


@given(lines_with_wrong_signs())
@settings(max_examples=400)
def test_several_wrong_signs_leave_no_number_in_lines_called_ok(case: tuple[str, list[str]]) -> None:
    output, numbers = case
    blocks, wrong = parse(output, 1000, 1000)
    assert wrong or not set(numbers) & set(re.findall(r"\d+", said(blocks))), output


@pytest.mark.parametrize(
    "line",
    ["alpha.[470, 271, 671, 326|]", "delta[[107, 474, 286, 486]/", "echo[|309, 330, 380, 362]/",
     "alpha>[343, 425, 578, 448]", "delta[]468, 307, 856, 334[]"],
)  # fmt: skip
def test_a_shattered_mark_at_the_end_of_a_line_leaves_only_the_words(line: str) -> None:
    blocks, wrong = parse(f"Dear Ms Lamp[[10, 20, 300, 40]]\n{line}\nYours[[10, 80, 300, 100]]\n", 1000, 1000)
    assert re.fullmatch(r"Dear Ms Lamp [a-z]+ Yours", said(blocks)) and wrong


@pytest.mark.parametrize(
    "line",
    ["text [449, 372/ 838, 688]Hello", "list s489, 307, 688, 629>Hello", "title [136, 187/ 572, 436Hello",
     "header [133] 461, 564, 641[Hello", "equation 160, 167, 506, 448|Hello", "image_caption [297/ 303, 569/ 575]Hello",
     "<.det|>table [148, 384, 275, 596]<d|/et|>Hello", "<d|et|>list [119, 412, 250, 777]<.det|>Hello",
     "<|det|>text [285, 471, 414, 743]<s/det|>Hello",
     "<|detsub_title [241, 130, 414, 428]<||/det>Hello", "table[[392, 123/ 506, 290]\n]Hello"],
)  # fmt: skip
def test_a_shattered_mark_leaves_only_the_words(line: str) -> None:
    blocks, wrong = parse(f"text [10, 20, 300, 400]Before\n{line}\ntext [10, 500, 300, 900]After\n", 1000, 1000)
    assert said(blocks).split()[0] == "Before" and said(blocks).endswith("Hello After") and wrong
    assert not re.search(r"\d|[<>\[|]", said(blocks))


@pytest.mark.parametrize(
    "text",
    ["figure 120 (130, 140) is", "table 101, 102 and 103 show", "list 100/200/300 words", "header 2019/2020/2021",
     "caption 100-200-300", "image 100 200 300", "|<ref>name</ref>| cell", "<ref>|x|</ref>", "the <det> tag and |det|",
     "| det | ref |\n| --- | --- |\n| a | b |", "deterrent <|> ref", "<reference>|a|</reference>", "|<details>|",
     "$|\\det A| < 1$", "|det(A)|<1 and >0"],
)  # fmt: skip
def test_what_only_looks_shattered_stays(text: str) -> None:
    for output in (text, f"{mark('text')}\n{text}\n{mark('text')}\nMore."):
        blocks, wrong = parse(output, 1000, 1000)
        assert " ".join(text.split()) in html.unescape(said(blocks)) and wrong == ""


@st.composite
def marks_with_a_wrong_sign(draw: st.DrawFn) -> tuple[str, list[str], list[str]]:
    """An output without tags, or with them, of whose marks one sign was left out, written twice, or changed places with
    the next one of the mark; the words in it, and its coordinates."""
    form = draw(st.sampled_from(FORMS))
    number = st.integers(100, 499)
    pieces, words, numbers, places, ends = "", [], [], [], set()
    for sentence in draw(st.lists(SENTENCE, min_size=1, max_size=4)):
        left, top, width, height = (draw(number) for _ in range(4))
        box = [str(n) for n in (left, top, left + width, top + height)]
        label = draw(st.sampled_from(["title", "text", "sub_title", "list", "table_caption"]))
        written = form.format(label, ", ".join(box), sentence)
        at = written.rindex(sentence)
        places += [len(pieces) + i for i in range(at) if written[i] in "<>[]|,/"]
        ends.add(len(pieces) + at - 1)
        pieces += written
        words += sentence.split()
        numbers += box
    at = draw(st.sampled_from(places))
    match draw(st.sampled_from(["out", "twice", "swapped"])):
        case "out":
            pieces = pieces[:at] + pieces[at + 1 :]
        case "twice":
            pieces = pieces[:at] + pieces[at] + pieces[at:]
        case "swapped" if at not in ends:
            pieces = pieces[:at] + pieces[at + 1 : at + 2] + pieces[at] + pieces[at + 2 :]
    return pieces, words, numbers


@given(marks_with_a_wrong_sign())
@settings(max_examples=400)
def test_a_wrong_sign_in_a_mark_costs_no_word_and_leaves_no_number_unsaid(
    case: tuple[str, list[str], list[str]],
) -> None:
    output, words, numbers = case
    blocks, wrong = parse(output, 1000, 1000)
    text = said(blocks)
    assert _in_order(words, re.findall(r"[a-z]+", text))
    assert wrong or not any(number in text for number in numbers)
