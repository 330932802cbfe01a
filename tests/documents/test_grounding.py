"""The model's grounding output is parsed by a strict grammar, and whatever it writes is survived."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from microfiche.documents.document import Document, PageRead
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
