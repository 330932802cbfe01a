"""The model's grounding output is parsed by a strict grammar, and whatever it writes is survived."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
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
        left, top, right, bottom = block.box
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
        assert "<script" not in text.replace("\\<", "") and "http://spy" not in text
        assert "](javascript" not in text


def test_long_hostile_outputs_take_no_time() -> None:
    start = time.process_time()
    pieces = ["[[", "text[[", "<|ref|>a<|/ref|><|det|>[[1,2,3,", "[1,2,3,4],", "```\n", "<table", "# ", " ", "\n ", "<"]
    for piece in pieces:
        parse(piece * 3000 + json.dumps(FOUND), 100, 100)
    assert time.process_time() - start < 20
