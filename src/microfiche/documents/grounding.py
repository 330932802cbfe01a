"""A parser for what DeepSeek-OCR writes with <|grounding|>: a strict grammar; nothing in the text is evaluated.

    <|ref|>LABEL<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|> content, to the next <|ref|>

Coordinates are integers from 0 to 999 over the original page (reference: DeepSeek-OCR's own post-processing).
"""

from __future__ import annotations

import re

from microfiche.documents.boxes import WholeBox, rounded, scaled, union
from microfiche.documents.document import Block, Kind

MARK = re.compile(
    r"<\|ref\|>(?P<label>[^<>|]{1,200}?)<\|/ref\|>\s*<\|det\|>\s*\[(?P<boxes>\s*\[[\d,\s]{7,80}\]"
    r"(?:\s*,\s*\[[\d,\s]{7,80}\])*\s*)\]\s*<\|/det\|>"
)
BOX = re.compile(r"\[\s*(\d{1,4})\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\]")
TAG = re.compile(r"<\|/?(?:ref|det|grounding)\|>")
CENTRE = re.compile(r"</?center>")
LABELS: dict[str, tuple[Kind, int | None]] = {
    "title": ("title", 1),
    "sub_title": ("title", 2),
    "text": ("text", None),
    "list": ("list", None),
    "image": ("figure", None),
    "figure": ("figure", None),
    "table": ("table", None),
    "equation": ("formula", None),
    "formula": ("formula", None),
    "image_caption": ("caption", None),
    "figure_caption": ("caption", None),
    "table_caption": ("caption", None),
    "table_footnote": ("footnote", None),
    "image_footnote": ("footnote", None),
    "page_footnote": ("footnote", None),
    "header": ("header", None),
    "footer": ("footer", None),
    "page_number": ("footer", None),
}
FULL = 999
REPEATS, LEAST, REACH = 4, 400, 16384  #: of a loop: repetitions, characters, and how many of the last are searched


def parse(output: str, width: int, height: int) -> tuple[list[Block], str]:
    """The blocks of a page of `width` × `height` px that a model's `output` describes, and what is wrong with it ("" if
    nothing is).

    Text outside all marks becomes blocks over the whole page. A mark with several boxes gives a figure for each box, or
    one block around all of them. Marks that do not follow the grammar are taken out, and their text is kept.
    """
    blocks: list[Block] = []
    page = (0, 0, width, height)
    marks = list(MARK.finditer(output))
    ends = [*(m.start() for m in marks), len(output)][1:]
    wrong = 0

    def clean(text: str) -> str:
        nonlocal wrong
        wrong += len(TAG.findall(text))
        return tidy(TAG.sub("", text))

    before = clean(output[: marks[0].start()] if marks else output)
    blocks += [Block(kind="text", box=page, text=part) for part in before.split("\n\n") if part]
    for mark, end in zip(marks, ends, strict=True):
        boxes = [_pixels(box, width, height) for box in BOX.findall(mark["boxes"])]
        good = [box for box in boxes if box is not None]
        if len(good) < len(boxes) or not boxes:
            wrong += 1
        label = mark["label"].strip()
        kind, level = LABELS.get(label, ("text", None))
        text = clean(output[mark.end() : end])
        if label not in LABELS and not text:
            text = label  # <|ref|> also names what was located: its words are the content
        if kind == "figure":
            blocks += [Block(kind=kind, box=box) for box in good]
            if text:
                blocks.append(Block(kind="text", box=good[0] if good else page, text=text))
            continue
        around = rounded(union(good)) if good else page
        if kind == "title":
            text = text.lstrip("#").strip()
        blocks.append(Block(kind=kind, box=around, text=text, level=level))
    return blocks, f"{wrong} marks of its output do not follow the grammar" if wrong else ""


def loop(output: str) -> int | None:
    """Where to cut an output that ends by repeating a block of any length at least REPEATS times, over at least LEAST
    characters: after the block's first occurrence. None if it does not end so."""
    backwards = output[: -REACH - 1 : -1]
    matched = [0] * len(backwards)  # the prefix function: how much of the start each position ends with
    found, k = None, 0
    for i in range(1, len(backwards)):
        while k and backwards[i] != backwards[k]:
            k = matched[k - 1]
        k += backwards[i] == backwards[k]
        matched[i] = k
        period, length = i + 1 - k, i + 1
        if length >= LEAST and length >= REPEATS * period:
            found = len(output) - length + period
    return found


def tidy(text: str) -> str:
    """Text as the official post-processing leaves it."""
    text = CENTRE.sub("", text).replace("\\coloneqq", ":=").replace("\\eqqcolon", "=:")
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _pixels(numbers: tuple[str, ...], width: int, height: int) -> WholeBox | None:
    left, top, right, bottom = map(int, numbers)
    if not (left <= right <= FULL and top <= bottom <= FULL):
        return None
    return rounded(scaled((left, top, right, bottom), width / FULL, height / FULL))
