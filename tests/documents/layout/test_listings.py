"""Code keeps its line ends, indents and blank lines; typewritten pages and running text in such type are no code."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from microfiche.documents.document import Block
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.text_lines import TextLine

SIZE, PITCH, LETTER = 20.0, 25.0, 12.0
PAGE = Image.new("RGB", (1000, 1400), "white")
PROSE = "The keeper of the lighthouse wrote down the weather every morning before he had his breakfast."


def prose(y: float, fixed: bool = False, count: int = 3) -> list[TextLine]:
    """Lines of running text."""
    tops = [y + PITCH * i for i in range(count)]
    return [TextLine(PROSE[:70], (100, top, 940, top + 22), SIZE, fixed=fixed) for top in tops]


def code(*texts: str, y: float = 300, x: float = 100) -> list[TextLine]:
    """Lines of code; an empty one is a blank line."""
    found = []
    for i, text in enumerate(texts):
        if words := text.strip():
            left = x + LETTER * (len(text) - len(text.lstrip()))
            box = left, y + PITCH * i, left + LETTER * len(words), y + PITCH * i + 22
            found.append(TextLine(words, box, SIZE, fixed=True))
    return found


def listings(lines: list[TextLine]) -> list[Block]:
    """The blocks of code that are found."""
    return [block for block in blocks(lines, [], PAGE) if block.kind == "code"]


@pytest.mark.parametrize(
    "text",
    [
        'def area(r):\n    if r < 0:\n        raise ValueError("negative")\n    return r ** 2\n\nprint(area(2))',
        "SELECT name, toll\n  FROM vessels\n WHERE toll > 10",
        "$ make install",
        "*text* _of_ <b>Markdown</b> & more\n# no title",
    ],
)
def test_code_is_fenced_as_it_stands(text: str) -> None:
    (block,) = listings(prose(100) + code(*text.split("\n")) + prose(700))
    assert block.text == f"```\n{text}\n```"


def test_a_fence_is_longer_than_what_is_inside() -> None:
    (block,) = listings(prose(100) + code("```python", "x = 1", "```"))
    assert block.text == "````\n```python\nx = 1\n```\n````"


def test_words_beside_each_other_keep_their_distance() -> None:
    pieces = code("x = 1") + code("# first", x=100 + 20 * LETTER) + code("y = 2", "", y=325)
    (block,) = listings(prose(100) + pieces)
    assert block.text == "```\nx = 1               # first\ny = 2\n```"


def test_a_typewritten_letter_is_no_code() -> None:
    lines = prose(100, fixed=True) + prose(300, fixed=True) + code("Yours sincerely,", y=500)
    assert not listings(lines)


def test_a_page_of_code_is_code() -> None:
    assert len(listings(code("for (i = 0; i < n; i++) {", "    sum += a[i];", "}", y=100))) == 1


def test_a_line_of_running_text_that_happens_to_be_in_fixed_type_is_text() -> None:
    path = TextLine("/usr/share/doc/", (100, 175, 280, 197), SIZE, fixed=True)
    assert not listings([*prose(100), path, *prose(200, count=1)])


@pytest.mark.parametrize(
    "texts", [("Tel. 04 94 00 17 32",), ("dinner on Sunday",), ("OPEN 02/08/2022", "CARD **** **** 4471 20 %")]
)
def test_lines_of_a_scan_that_seem_to_be_in_fixed_type_are_no_code(texts: tuple[str, ...]) -> None:
    lines = [replace(line, confidence=0.98) for line in prose(100) + code(*texts) + prose(700)]
    assert listings(lines) == []


def test_code_on_a_scan_is_fenced() -> None:
    texts = "for (i = 0; i < n; i++) {", "    total += cost[i];", "}"
    (block,) = listings([replace(line, confidence=0.98) for line in prose(100) + code(*texts) + prose(700)])
    assert block.text == "\n".join(["```", *texts, "```"])


def test_a_single_line_that_was_recognised_is_code_where_it_has_the_signs_of_code() -> None:
    def page(confidence: float, text: str) -> list[TextLine]:
        return [replace(line, confidence=confidence) for line in prose(100) + code(text) + prose(700)]

    assert len(listings(page(0.98, "$ make -C /opt install"))) == len(listings(page(1, "make install"))) == 1


ADDRESSES = ("roe@leeds.ac.uk", "{roe,moor}@leeds.ac.uk", "https://example.org/a_b#c", "<li.wei@x.cn>")


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_in_fixed_type_is_no_code(text: str) -> None:
    assert not listings([*prose(100), *code(text, y=300), *prose(450)])


def test_the_last_word_of_a_sentence_in_fixed_type_is_no_code() -> None:
    before = prose(100)
    ended = replace(before[-1], text="For the rules of style, please refer to the manual,", box=(100, 150, 700, 172))
    assert not listings([*before[:-1], ended, *code("manual_v2.pdf.", y=175), *prose(300)])
