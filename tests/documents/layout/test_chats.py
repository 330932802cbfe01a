"""Messages in bubbles from both edges of a picture are read one after the other; what is no chat is not."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.chats import bubbles, wordless
from microfiche.documents.text_lines import Region, TextLine

SAID = (
    ("left", "Is the ferry running today?"), ("right", "Yes, at 10:40"), ("right", "The early one is full"),
    ("left", "Good"), ("left", "Then I bring the two boxes and the lamp"), ("right", "ok"),
)
SIZE = 20.0


def chat(said: tuple[tuple[str, str], ...], paper: str, ground: str) -> tuple[Image.Image, list[TextLine]]:
    """A picture of bubbles, each with a time below its message, and the lines in them."""
    wide = 700
    picture = Image.new("RGB", (wide, 60 + 80 * len(said)), paper)
    draw = ImageDraw.Draw(picture)
    lines = []
    for k, (side, text) in enumerate(said):
        broad = 24 + 10 * max(len(text), 5)
        x, y = 16 if side == "left" else wide - 16 - broad, 40 + 80 * k
        draw.rounded_rectangle((x, y, x + broad, y + 64), 8, ground)
        lines.append(TextLine(text, (x + 12, y + 8, x + 12 + 10 * len(text), y + 30), SIZE))
        lines.append(TextLine(f"9:{10 + k}", (x + broad - 48, y + 36, x + broad - 12, y + 56), 0.8 * SIZE))
    return picture, lines


@pytest.mark.parametrize(("paper", "ground"), [("white", "#e9e9eb"), ("#efe7dd", "white"), ("#111111", "#303134")])
def test_messages_are_read_one_after_the_other(paper: str, ground: str) -> None:
    picture, lines = chat(SAID, paper, ground)
    table = [Region("table", (0, 0, *picture.size), 0.9)]
    day = TextLine("Tuesday", (310, 10, 380, 30), SIZE)
    found = blocks([*lines[::-1], day], table, picture)
    assert {block.kind for block in found} == {"text"}
    assert " ".join(block.text for block in found).split() == [
        "Tuesday", *(word for k, (_, text) in enumerate(SAID) for word in [*text.split(), f"9:{10 + k}"])
    ]


def test_bubbles_from_one_edge_and_cards_of_one_width_are_no_chat() -> None:
    assert len(bubbles(*chat(SAID, "white", "#e9e9eb"))) == len(SAID)
    assert bubbles(*chat(tuple(("left", text) for _, text in SAID), "white", "#e9e9eb")) == []
    assert bubbles(*chat(tuple((side, "Twelve words") for side, _ in SAID), "white", "#e9e9eb")) == []


def test_bubbles_with_a_picture_alone_are_known() -> None:
    said = (*SAID[:4], ("left", ""), *SAID[4:], ("right", ""))
    picture, lines = chat(said, "white", "#e9e9eb")
    draw = ImageDraw.Draw(picture)
    for x, y in ((44, 40 + 80 * 4 + 20), (640, 40 + 80 * 7 + 20)):
        draw.ellipse((x, y, x + 24, y + 24), "#ffb000", "#533000")
    words = [line for line in lines if line.text and not line.text.startswith("9:")]
    found = wordless(picture, words, bubbles(picture, words))
    assert [round(box[1]) for box in found] == [40 + 80 * 4, 40 + 80 * 7]
    picture, lines = chat(SAID, "white", "#e9e9eb")
    assert wordless(picture, lines, bubbles(picture, lines)) == []
