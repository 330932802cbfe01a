"""A paragraph that flows around something set into its edge is one paragraph, and that follows it."""

from __future__ import annotations

from textwrap import wrap

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.text_lines import TextLine

PAGE = Image.new("RGB", (1200, 900), "white")
BESIDE = (
    "When the new ferry came into the harbour on Tuesday,", "nobody on the quay had expected it before Friday, as",
    "the wind had been against her from the Azores on, and", "she had needed twice as much coal as the old one; her",
)
BELOW = ("captain had bought with her own money in the islands. The harbour master noted the time, 6:42 in",
         "the morning, and went back to his tea, as he did on every day since he had been called to the post.")
QUOTE = ("“The tide does not", "ask who owns", "the boat.”")


def line(text: str, x: float, y: float) -> TextLine:
    return TextLine(text, (x, y, x + 10 * len(text), y + 22), 20.0)


def flowing(right: bool, beside: tuple[str, ...] = BESIDE, below: tuple[str, ...] = BELOW) -> list[str]:
    """What is read of a paragraph with a quotation to its right or its left."""
    x, quote = (80, 720) if right else (340, 80)
    text = [line(said, x, 200 + 26 * k) for k, said in enumerate(beside)]
    text += [line(said, 80, 200 + 26 * (len(beside) + k)) for k, said in enumerate(below)]
    text += [line(said, quote, 206 + 26 * k) for k, said in enumerate(QUOTE)]
    words = "The council met to speak of the new breakwater, whose cost has risen again since May."
    after = [line(words, 80, 420 + 40 * k) for k in range(2)]
    return [block.text for block in blocks([*text, *after], [], PAGE)]


def test_a_quotation_at_the_right_parts_no_sentence() -> None:
    said = flowing(True)
    assert said[0] == " ".join((*BESIDE, *BELOW))
    assert said[1].split() == " ".join(QUOTE).split()


def test_a_quotation_at_the_left_parts_no_sentence() -> None:
    below = tuple(wrap(" ".join(BELOW), 79))
    assert " ".join((*BESIDE, *BELOW)) in flowing(False, below=below)


@pytest.mark.parametrize("ends", ["islands.", "islands?"])
def test_what_begins_below_a_float_after_a_sentence_is_a_paragraph_of_its_own(ends: str) -> None:
    below = tuple(x[0].upper() + x[1:] for x in BELOW)
    said = flowing(True, (*BESIDE[:3], f"had bought more coal in the {ends}"), below)
    assert not any(f"coal in the {ends}" in text and "Captain" in text for text in said)


@pytest.mark.parametrize("right", [True, False])
def test_a_float_that_begins_below_the_first_line_parts_no_sentence(right: bool) -> None:
    x, quote = (80, 720) if right else (340, 80)
    text = [line(said, x, 200 + 26 * k) for k, said in enumerate((*BESIDE, *BESIDE[1:]))]
    boxed = [line(said, quote, 222 + 30 * k) for k, said in enumerate(QUOTE)]
    after = line("The council met to speak of the new breakwater, whose cost has risen again.", 80, 420)
    said = [block.text for block in blocks([*text, *boxed, after], [], PAGE)]
    assert " ".join((*BESIDE, *BESIDE[1:])) in said


def test_columns_below_which_a_line_goes_on_stay_columns() -> None:
    """The second column is as long as the first: it is none that stands in the edge of a paragraph."""
    left = [line("words of the first column here", 80, 200 + 26 * k) for k in range(8)]
    right = [line("and of the second one as well", 620, 200 + 26 * k) for k in range(8)]
    said = [block.text for block in blocks([*left, *right], [], PAGE)]
    assert len(said) == 2 and "second" not in said[0]
