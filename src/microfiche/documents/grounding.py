"""A parser for what DeepSeek-OCR and its family write with <|grounding|>; nothing in the text is evaluated.

grounding_marks.py divides the output by its marks. Their coordinates are numbers from 0 to 999 over the original page
(reference: DeepSeek-OCR's own post-processing); some models and servers give 1000, decimals, or shares of the page. The
content is Markdown of a model, which anyone may have made write anything: it is divided into blocks, and made safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from microfiche.documents.boxes import WholeBox, rounded, scaled, union
from microfiche.documents.document import Block, Kind
from microfiche.documents.grounding_bare import FENCE
from microfiche.documents.grounding_coordinates import NAME
from microfiche.documents.grounding_marks import marks
from microfiche.documents.markup import fenced, guarded
from microfiche.documents.table_markup import TABLE, safe

NUMBER = r"\s*-?\d{1,4}(?:\.\d{1,8})?\s*"
BOX = re.compile(rf"{NUMBER}(?:,{NUMBER}){{3}}")
CENTRE = re.compile(r"</?center>")
HEADING = re.compile(r"(#{1,6})[ \t]+([^\n]*)(?:\n|\Z)")
ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]")
RULE = re.compile(r"[ \t]*([-*_])(?:[ \t]*\1){2,}[ \t]*")
DISPLAY = re.compile(r"\$\$.*\$\$|\\\[.*\\\]", re.DOTALL)
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
    "caption": ("caption", None),
    "image_caption": ("caption", None),
    "figure_caption": ("caption", None),
    "table_caption": ("caption", None),
    "footnote": ("footnote", None),
    "table_footnote": ("footnote", None),
    "image_footnote": ("footnote", None),
    "page_footnote": ("footnote", None),
    "header": ("header", None),
    "footer": ("footer", None),
    "page_number": ("footer", None),
}
FULL = 999
BEYOND = 1010  #: up to which a coordinate is taken for the page's edge
REPEATS, LEAST, REACH = 4, 400, 16384  #: of a loop: repetitions, characters, and how many of the last are searched


def parse(output: str, width: int, height: int) -> tuple[list[Block], str]:
    """The blocks of a page of `width` × `height` px that a model's `output` describes, and what is wrong with it ("" if
    nothing is).

    A block has a box if its mark gives a sound one. A mark with several boxes gives a figure for each, or one block
    around all of them. Where a model reads line by line, with nothing between the marks, the labels are the text.
    """
    blocks: list[Block] = []
    (before, *found), broken = marks(output)
    labels_are_text = bool(found) and not any(mark.text.strip() for mark in found) and not all(
        (mark.label or "text").lower() in LABELS for mark in found
    )  # fmt: skip
    bad = cellless = 0
    for mark in (before, *found):
        label, text = (mark.label or ""), tidy(mark.text)
        boxes = list(_pixels(mark.boxes, width, height))
        good = [box for box in boxes if box is not None]
        bad += mark.label is not None and (not boxes or len(good) < len(boxes))
        cellless += sum("<td" not in table[0].lower() for table in TABLE.finditer(text))
        known = not labels_are_text and label.lower() in LABELS
        kind, level = LABELS[label.lower()] if known else ("text", None)
        if label and not known and (not text or not NAME.fullmatch(label)):
            text = f"{tidy(label)}\n\n{text}"
        if kind == "figure":
            blocks += [Block(kind=kind, box=box) for box in good] or [Block(kind=kind, box=None)]
            kind, around = "text", good[0] if good else None
        else:
            around = rounded(union(good)) if good else None
        blocks += _blocks(text, kind, level, around)
    wrong = max(bad, broken)
    reasons = [f"{wrong} marks of its output do not follow the grammar"] if wrong else []
    if cellless:
        reasons.append(f"{cellless} tables came without cells, as where a server drops special tokens")
    return blocks, ", ".join(reasons)


def _blocks(text: str, kind: Kind, level: int | None, box: WholeBox | None) -> Iterator[Block]:
    """The blocks that the content of one mark makes up, all of them in its box."""
    if kind == "title":
        words = re.sub(r"\A#+\s*", "", " ".join(text.split()))
        bold = re.fullmatch(r"\*\*([^*]+)\*\*", words)
        yield Block(kind=kind, box=box, text=guarded(bold[1] if bold else words), level=level)
        return
    if kind not in ("text", "list", "table"):
        yield Block(kind=kind, box=box, text=guarded(text), level=level)
        return
    for its, part in _parts(text):
        its_level = None
        if its == "title":
            heading = HEADING.match(part)
            assert heading is not None
            part, its_level = re.sub(r"(?<!\S)#+$", "", heading[2].strip()), len(heading[1])
        if part.strip():
            yield Block(kind=kind if its == "text" else its, box=box, text=part, level=its_level)


def _parts(text: str) -> Iterator[tuple[Kind, str]]:
    """Markdown in parts, each with its kind, and each made safe."""
    at = 0
    for found in sorted([*FENCE.finditer(text), *TABLE.finditer(text)], key=lambda found: found.start()):
        if found.start() < at:
            continue
        yield from _paragraphs(text[at : found.start()])
        if found[0][0] == "<":
            yield "table", safe(found[0])
        else:
            yield "code", fenced(found[0])
        at = found.end()
    yield from _paragraphs(text[at:])


def _paragraphs(text: str) -> Iterator[tuple[Kind, str]]:
    for paragraph in re.split(r"\n[ \t]*\n", text):
        part = paragraph.strip("\n").rstrip()
        while heading := HEADING.match(part):
            yield "title", guarded(heading[0].rstrip("\n"))
            part = part[heading.end() :]
        lines = [re.sub(r"^(?:[ \t]*>)+[ \t]?", "", line) for line in part.split("\n") if not RULE.fullmatch(line)]
        part = guarded("\n".join(lines))
        if not part.strip():
            continue
        if ITEM.match(part):
            yield "list", part
        elif len(lines) > 1 and lines[0].lstrip().startswith("|"):
            yield "table", part
        elif DISPLAY.fullmatch(part.strip()):
            yield "formula", part.strip()
        else:
            yield "text", part.strip()


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


def _pixels(written: str, width: int, height: int) -> Iterator[WholeBox | None]:
    """The boxes in the coordinates of a mark, in pixels of the page; None for each that is none."""
    for group in re.findall(r"[^\[\]]*[^\[\]\s,][^\[\]]*", written):
        yield _box(group.strip(" ,\n\t"), width, height)


def _box(written: str, width: int, height: int) -> WholeBox | None:
    if not BOX.fullmatch(written):
        return None
    numbers = [float(number) for number in written.split(",")]
    if "." in written and max(numbers) <= 1:
        numbers = [FULL * number for number in numbers]
    if not all(FULL - BEYOND <= number <= BEYOND for number in numbers):
        return None
    left, top, right, bottom = (min(max(number, 0), FULL) for number in numbers)
    if left > right or top > bottom:
        return None
    return rounded(scaled((left, top, right, bottom), width / FULL, height / FULL))
