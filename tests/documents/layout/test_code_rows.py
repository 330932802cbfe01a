"""Code that was recognised in pieces is one listing, with its columns, and prose stays outside of it."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.code_rows import with_code_rows
from microfiche.documents.text_lines import TextLine

SIZE, PITCH, STEP = 20.0, 12.0, 26
CODE = [
    "@Article{Somebody2015,",
    "  author       = {Some Body},",
    "  title        = {The Future of Ports},",
    "  year         = {2015},",
    "  note         = {seen there},",
    "}",
    "def weigh(parts):",
    "    total = 0",
    "    for part in parts:   # each of them",
    "        total += part[0]",
    "    return total",
]
PROSE = [
    "After the definitions there is the block of the entries, which are",
    "written in the section below, each of them.",
]
LETTER = [
    "Dear Madam,",
    "thank you for what you wrote on Monday about the",
    "parcels that were lost, and for the list of them.",
    "We have looked for all twelve and found eleven of",
    "them. The last will be paid for.",
]


def pieces(rows: list[str], x: float, y: float, pitch: float = PITCH, code: bool = True) -> list[TextLine]:
    """Rows as a recogniser gives them: parted at wide spaces; of a short piece the pitch is not known."""
    out = []
    for k, row in enumerate(rows):
        at = 0
        for part in row.split("  "):
            if text := part.strip():
                start = row.index(text, at)
                at = start + len(text)
                box = x + pitch * start - 4, y + STEP * k, x + pitch * at + 4, y + STEP * k + 22
                fixed = code and len(text) > 11
                out.append(TextLine(text, box, SIZE, confidence=0.98, fixed=fixed))
    return out


def prose(y: float) -> list[TextLine]:
    return pieces(PROSE, 100, y, 0.45 * SIZE, code=False)


def test_a_listing_is_whole_with_its_columns() -> None:
    lines = [*prose(60), *pieces(CODE, 110, 130), *prose(430)]
    found = blocks(lines, [], Image.new("RGB", (1000, 600), "white"))
    (code,) = (block for block in found if block.kind == "code")
    assert code.text.split("\n")[1:-1] == CODE
    assert [block.kind for block in found] == ["text", "code", "text"]


@pytest.mark.parametrize("confidence", [1.0, 0.98])
def test_lines_are_as_they_were_where_none_or_few_are_code(confidence: float) -> None:
    two = [TextLine(x.text, x.box, SIZE, confidence=confidence, fixed=x.fixed) for x in pieces(CODE[:2], 110, 130)]
    lines = [*prose(60), *two]
    assert with_code_rows(lines) == lines
    assert with_code_rows([]) == []
    known = [TextLine(x.text, x.box, SIZE, fixed=True) for x in pieces(CODE, 110, 130)]
    assert with_code_rows(known) == known, "a text layer knows its pieces"


def test_a_typed_letter_is_no_code() -> None:
    lines = pieces(LETTER, 110, 130)
    assert with_code_rows(lines) == lines


def test_prose_between_two_listings_stays_prose() -> None:
    between = "which is then called once for each of the ships"
    lines = [*pieces(CODE[6:], 110, 100), *pieces([between], 110, 234, 0.45 * SIZE, code=False),
             *pieces(CODE[:6], 110, 264)]  # fmt: skip
    found = with_code_rows(lines)
    assert [x.text for x in found if not x.fixed] == [between]
    assert sum(x.fixed for x in found) == len(CODE)
