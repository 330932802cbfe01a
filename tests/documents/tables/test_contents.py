"""Entries of a table of contents are read alike, with dots up to their page numbers or without."""

from __future__ import annotations

from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.text_lines import TextLine

CHAPTERS = (("1 Research question", "3", ("1.1 The datum", "1.2 The method")), ("2 Literature review", "9", ()),
            ("3 Theoretical background", "11", ("3.1 Waves",)), ("4 Conclusion", "15", ()), ("5 Symbols", "17", ()))


def contents(dots: bool) -> list[TextLine]:
    lines, y = [TextLine("Contents", (100, 60, 260, 94), 30, bold=True)], 130.0
    for chapter, page, sections in CHAPTERS:
        lines.append(TextLine(chapter, (100, y, 100 + 9.0 * len(chapter), y + 22), 20, bold=True))
        lines.append(TextLine(page, (900 - 10.0 * len(page), y, 900, y + 22), 20, bold=True))
        for section in sections:
            y += 30
            text = f"{section} {'. ' * 40}{page}" if dots else section
            lines.append(TextLine(text, (130, y, 900 if dots else 130 + 9.0 * len(section), y + 22), 20))
            if not dots:
                lines.append(TextLine(page, (900 - 10.0 * len(page), y, 900, y + 22), 20))
        y += 40
    return lines


def test_entries_without_dots_are_read_as_those_with_dots() -> None:
    found = blocks(contents(True), [], Image.new("RGB", (1000, 1400), "white"))
    text = "\n".join(block.text for block in found)
    assert not [block for block in found if block.kind == "table"]
    assert all(f"{page}" in text.split(chapter.split(" ", 1)[1], 1)[1][:8] for chapter, page, _ in CHAPTERS)


def test_contents_without_any_dots_are_lines() -> None:
    found = blocks(contents(False), [], Image.new("RGB", (1000, 1400), "white"))
    assert "table" not in {block.kind for block in found}
    assert "2 Literature review … 9" in "\n".join(block.text for block in found)
