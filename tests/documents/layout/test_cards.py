"""Reference cards: tables under heads of their own in columns beside each other, and several pages on one sheet."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.document import Block
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

TOPICS = [
    ("Files", ["ls", "cp", "mv", "rm"]), ("Search", ["grep", "find", "locate"]),
    ("Network", ["ping", "ssh", "scp", "curl"]), ("Processes", ["ps", "kill", "top"]),
    ("Archives", ["tar", "gzip", "zip"]), ("Users", ["id", "su", "passwd"]),
]  # fmt: skip


def line(text: str, x: float, y: float, size: float = 18, bold: bool = False) -> TextLine:
    return TextLine(text, (x, y, x + 0.5 * size * len(text), y + 1.15 * size), size, bold)


def card(count: int, style: str) -> tuple[list[TextLine], list[Box]]:
    """TOPICS in `count` columns; `style` says which rules are drawn: all, those within, level ones, or one upright."""
    lines: list[TextLine] = []
    rules: list[Box] = []
    each = len(TOPICS) // count
    for k in range(count):
        x, y = 60 + 520.0 * k, 80.0
        for topic, commands in TOPICS[each * k : each * (k + 1)]:
            lines.append(line(topic, x, y, 26, True))
            top = y + 40
            for i, command in enumerate(commands):
                lines += [
                    line(command, x + 10, top + 30 * i + 6),
                    line(f"What {command} does to {topic.lower()}", x + 130, top + 30 * i + 6),
                ]
            foot, right = top + 30 * len(commands), x + 460
            first = style in ("within", "upright")  # no rule over the first row and under the last
            rows = range(1 if first else 0, len(commands) + (0 if first else 1))
            rules += [(x, top + 30 * i, right, top + 30 * i) for i in rows]
            if style != "level":
                rules.append((x + 120, top, x + 120, foot))
            if style == "all":
                rules += [(x, top, x, foot), (right, top, right, foot)]
            y = foot + 40
    return lines, rules


def read(lines: list[TextLine], rules: list[Box] = []) -> list[Block]:  # noqa: B006
    return blocks(lines, [], Image.new("RGB", (1700, 1100), "white"), rules)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("style", ["all", "within", "upright", "level"])
def test_each_table_of_a_card_is_one_under_its_head(count: int, style: str) -> None:
    found = read(*card(count, style))
    assert [block.kind for block in found] == ["title", "table"] * 6
    assert [block.text for block in found[::2]] == [topic for topic, _ in TOPICS]
    for block, (topic, commands) in zip(found[1::2], TOPICS, strict=True):
        rows = [row for row in block.text.splitlines() if "---" not in row]
        assert rows == [f"| {command} | What {command} does to {topic.lower()} |" for command in commands]


def test_a_cross_of_two_axes_is_no_table() -> None:
    words = [line("north", 420, 200), line("east", 700, 420), line("south", 420, 700), line("west", 120, 420)]
    found = read(words, [(100, 450, 800, 450), (450, 100, 450, 800)])
    assert all(block.kind != "table" for block in found)


@pytest.mark.parametrize("size", [24.0, 18.0])
def test_pages_on_one_sheet_are_read_one_after_the_other(size: float) -> None:
    lines = []
    for k, (x, y) in enumerate([(60, 30), (880, 30), (60, 600), (880, 600)], 1):
        lines.append(line(f"Slide {k}", x, y, size, True))
        lines += [line(f"Words of the slide {k} in line {i}, which is as long as it is wide", x, y + 42 + 24 * i)
                  for i in range(4)]
    texts = " ".join(block.text for block in read(lines))
    heads = [texts.index(f"Slide {k}") for k in (1, 2, 3, 4)]
    assert heads == sorted(heads)
    assert all(texts.index(f"Slide {k}") < texts.index(f"slide {k} in line 0") for k in (1, 2, 3, 4))
    assert texts.index("slide 1 in line 3") < texts.index("Slide 2")
