"""Lists keep their marks and levels, and what only looks like a mark makes no list."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.document import Block
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.lists import marker_of
from microfiche.documents.text_lines import TextLine

SIZE, PITCH = 20.0, 28.0
PAGE = Image.new("RGB", (1000, 1400), "white")
FULL = "a line of running text that fills the whole of its column up to its very end"


def read(*texts: str) -> list[Block]:
    """The blocks that lines make; each space in front is an indent of 10 px, an empty text a gap."""
    lines = []
    for i, text in enumerate(texts):
        words = text.lstrip(" ")
        left = 100 + 10 * (len(text) - len(words))
        right = 900 if len(words) > 70 else left + 9 * len(words)
        if words:
            lines.append(TextLine(words, (left, 100 + PITCH * i, right, 122 + PITCH * i), SIZE))
    return blocks(lines, [], PAGE)


def test_levels_are_those_of_the_indents() -> None:
    (block,) = read("• Fruit", "    – Apples", "        • Red ones", "    – Pears", "• Bread")
    assert block.kind == "list"
    assert block.text == "- Fruit\n  - Apples\n    - Red ones\n  - Pears\n- Bread"


def test_numbers_stay_and_other_marks_stand_behind_a_dash() -> None:
    (block,) = read("1. Saw", "    (a) along", "    (b) across", "        i) fine", "        ii) rough",
                    "2. Glue", "10. Wait", "11. Paint")
    assert block.text == (
        "1. Saw\n   - (a) along\n   - (b) across\n     - i) fine\n     - ii) rough\n2. Glue\n10. Wait\n11. Paint"
    )


@pytest.mark.parametrize("sign", ["•", "►", "▪", "✓", "o", "-", "–", "*"])
def test_signs_become_dashes(sign: str) -> None:
    assert read(f"{sign} Apples", f"{sign} Pears")[0].text == "- Apples\n- Pears"


def test_boxes_that_are_ticked_or_not() -> None:
    assert read("☐ Rent", "☒ Heat")[0].text == "- [ ] Rent\n- [x] Heat"


def test_an_item_goes_on_where_its_text_begins() -> None:
    (block,) = read("- first, which goes on", "  over a line", "- second")
    assert block.text == "- first, which goes on over a line\n- second"


@pytest.mark.parametrize(
    "lines",
    [
        ("A. Smith was the first who saw it and wrote about it in all of his many letters", FULL),
        ("1999 was a good year for the town and for all who lived there up to the very end", FULL),
        ("– I do not know, he said, and went to the window to look at the sea and the ship", FULL[:40]),
        (FULL, "5. Mai aber kam er zurück und erzählte allen, was er in der Stadt gesehen hatte"),
        (FULL, "- if he had one - and the house and the boat and the nets and the men and all of it"),
    ],
)
def test_years_initials_speech_and_dashes_in_running_text_are_no_items(lines: tuple[str, ...]) -> None:
    assert [block.kind for block in read(*lines)].count("list") == 0


def test_marks_have_the_values_that_they_may_stand_for() -> None:
    found = {text: marker.values for text in ("3. x", "(b) x", "iv) x", "1.2 x") if (marker := marker_of(text))}
    assert found == {"3. x": (3,), "(b) x": (2,), "iv) x": (4,), "1.2 x": (2,)}
    assert marker_of("i) x") and marker_of("i) x").values == (9, 1)  # type: ignore[union-attr]
    assert marker_of("well-known") is None


def test_numbered_paragraphs_whose_first_line_alone_is_indented_are_no_list() -> None:
    found = read("  1. " + FULL, "and goes on.", "", "  2. " + FULL, "and goes on as well.")
    assert [block.kind for block in found] == ["text", "text"]
    assert found[1].text.replace("\\", "").startswith("2. a line")


def test_the_sign_of_a_section_stays_before_its_number() -> None:
    (block, *_) = read("§ 1 The stairs are swept on Saturdays", "§ 2 Bicycles belong in the cellar")
    assert block.text.startswith("§ 1 The stairs") and "§ 2 Bicycles" in " ".join(x.text for x in read(block.text))
    assert marker_of("§ an item after a sign of Wingdings") is not None


def test_marks_with_nothing_behind_them_are_items_to_be_filled_in() -> None:
    (block,) = read("1. Name three of them:", "    (a)", "    (b)", "    (c)", "2. And one more:")
    assert block.text.splitlines() == ["1. Name three of them:", "   - (a)", "   - (b)", "   - (c)", "2. And one more:"]


@pytest.mark.parametrize("sign", ["→", "✓", "★"])
def test_a_sign_that_stands_alone_is_no_item(sign: str) -> None:
    assert [(block.kind, block.text) for block in read("Payment check", "", sign, "", "Picking")][1] == ("text", sign)


def test_a_row_of_dots_is_no_item() -> None:
    assert [(block.kind, block.text) for block in read("●●●○○", "●○○○○")] == [("text", "●●●○○ ●○○○○")]


def test_a_clause_alone_whose_lines_hang_is_an_item_and_a_heading_with_a_number_is_none() -> None:
    clause = "3.1 The Landlord keeps roof, walls, and pipes in repair, and is told of it at once"
    (block,) = read(clause, "    if there is any damage.")
    assert block.text == f"- {clause} if there is any damage."
    assert [block.kind for block in read("3.1 Repairs", "    The Landlord keeps roof and walls in repair.")] != ["list"]
