"""A page as it was understood: the boxes of its blocks, their kinds and their order, drawn on its picture."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from microfiche.documents.document import PageRead

COLOURS = {
    "title": "#c0392b",
    "text": "#2c6fbb",
    "list": "#1b998b",
    "table": "#8e44ad",
    "figure": "#d68910",
    "formula": "#7d6608",
    "caption": "#148f77",
    "footnote": "#616a6b",
    "header": "#909497",
    "footer": "#909497",
}


def overlay(picture: Image.Image, page: PageRead) -> Image.Image:
    """RGB copy of `picture` with each block's box, its number in reading order and its kind."""
    sheet = picture.convert("RGB")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=max(12, sheet.height // 100))
    for number, block in enumerate(page.blocks, 1):
        colour = COLOURS[block.kind]
        draw.rectangle(block.box, outline=colour, width=2)
        label = f"{number} {block.kind}" + (f" {block.level}" if block.level else "")
        left, top, right, bottom = draw.textbbox((block.box[0], block.box[1]), label, font=font, anchor="lb")
        draw.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=colour)
        draw.text((block.box[0], block.box[1]), label, fill="white", font=font, anchor="lb")
    return sheet
