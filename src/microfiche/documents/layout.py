"""From the lines on a page to blocks in reading order: columns, paragraphs, headings, lists, tables, figures, formulas.

The same for a PDF's own text and for what OCR found. Regions are hints; without them the shapes of lines decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from statistics import median

from PIL import Image

from microfiche.documents.boxes import columns, rounded, share, union
from microfiche.documents.document import FURNITURE, Block, Kind, continued
from microfiche.documents.tables import CAPTION, solids, table, with_fractions
from microfiche.documents.text_lines import BULLETS, MARKER, Region, TextLine
from microfiche.page import Box

PAGE_NUMBER = re.compile(r"^[\W_]*(page\s*)?(\d{1,4}|[ivxlc]{1,6})([\W_]*(of|/)\s*\d{1,4})?[\W_]*$", re.IGNORECASE)
LEADER = re.compile(r"(\.\s?){5,}")
FORMULA_NUMBER = re.compile(r"^\(\s*\d+(\.\d+)*\s*[a-z]?\)$")
WIDEST_SPACE = 2.2  #: ems between two words of a justified line, at most
GUTTER = 0.5  #: ems between two columns, at least
FEW = 3  #: a column with fewer steps from line to line does not show how far apart its lines stand
MARGIN = 0.08  #: of the page's height, in which a number alone is the page's


@dataclass(frozen=True)
class _Item:
    """A line, or a region that is laid out as one: `kind` is what its region says."""

    box: Box
    kind: Kind
    lines: tuple[TextLine, ...]


def blocks(
    lines: Sequence[TextLine],
    regions: Sequence[Region],
    picture: Image.Image,
    rules: Sequence[Box] = (),
    images: Sequence[Box] = (),
) -> list[Block]:
    """The blocks of a page that looks like `picture` and on which `lines` stand."""
    lines = _whole_rows(_divided(lines, regions), regions)
    body, size = _body_size(lines), picture.size
    solid = solids(lines, regions, rules, images, picture, body)
    items = _items(lines, solid, regions, rules, size, body)
    furniture = [_block([item], body) for item in items if item.kind in FURNITURE]
    main = [item for item in items if item.kind not in FURNITURE]
    out: list[Block] = []
    for column in columns([item.box for item in main], gutter=GUTTER * body):
        out += _paragraphs([main[i] for i in column], body)
    heads = [b for b in furniture if b.kind == "header"]
    return [*heads, *_lists(out), *(b for b in furniture if b.kind == "footer")]


def _divided(lines: Sequence[TextLine], regions: Sequence[Region]) -> list[TextLine]:
    """The lines, with each that reaches from one region of text into another beside it, as OCR may across a gutter,
    divided at the space nearest to the gutter."""
    out = []
    texts = [r.box for r in regions if r.kind == "text"]
    for line in lines:
        over = sorted(box for box in texts if share(line.box, box) > 0.15 and box[1] < line.middle < box[3])
        spaces = [m.start() for m in re.finditer(" ", line.text)]
        if len(over) == 2 and over[0][2] < over[1][0] and spaces:
            left, top, right, bottom = line.box
            middle = ((over[0][2] + over[1][0]) / 2 - left) / (right - left)
            at = min(spaces, key=lambda i: abs(i / len(line.text) - middle))
            out.append(replace(line, text=line.text[:at], box=(left, top, over[0][2], bottom)))
            out.append(replace(line, text=line.text[at + 1 :], box=(over[1][0], top, right, bottom)))
        else:
            out.append(line)
    return out


def _whole_rows(lines: Sequence[TextLine], regions: Sequence[Region]) -> list[TextLine]:
    """The lines, with pieces of one row joined where only wide spaces lie between them in a region of running text."""
    out = list(lines)
    for region in regions:
        if region.kind in ("table", "figure", "formula"):
            continue
        inside = sorted((line for line in out if share(line.box, region.box) > 0.5), key=lambda line: line.box[0])
        for line in inside:
            before = [
                x for x in out
                if x in inside and x is not line and abs(x.middle - line.middle) < 0.3 * line.size
                and 0 <= line.box[0] - x.box[2] < WIDEST_SPACE * line.size
            ]
            if before:
                first = before[-1]
                whole = replace(first, text=f"{first.text} {line.text}", box=union([first.box, line.box]),
                                confidence=min(first.confidence, line.confidence))
                out[out.index(first)] = whole
                out.remove(line)
                inside = [whole if x is first else x for x in inside]
    return out


def _body_size(lines: Sequence[TextLine]) -> float:
    """The size that most characters have."""
    sizes = sorted((line.size, len(line.text)) for line in lines)
    half = sum(n for _, n in sizes) / 2
    for size, n in sizes:
        half -= n
        if half <= 0:
            return size
    return 20.0


def _items(
    lines: Sequence[TextLine],
    solid: Sequence[tuple[Kind, Box]],
    regions: Sequence[Region],
    rules: Sequence[Box],
    size: tuple[int, int],
    body: float,
) -> list[_Item]:
    held: list[list[TextLine]] = [[] for _ in solid]
    items: list[_Item] = []
    for line in lines:
        into = [k for k, (_, box) in enumerate(solid) if share(line.box, box) > 0.5]
        beside = [
            k for k, (kind, box) in enumerate(solid)
            if kind == "formula" and FORMULA_NUMBER.match(line.text) and box[1] < line.middle < box[3]
        ]
        if into or beside:
            held[(into or beside)[0]].append(line)
        else:
            items.append(_Item(line.box, _kind(line, regions, solid, size, body), (line,)))
    for (kind, box), inside in zip(solid, held, strict=True):
        around = union([box, *(line.box for line in inside)])
        if kind == "table" and not inside:
            kind = "figure"
        items.append(_Item(around, kind, tuple(inside)))
    return [_arranged(item, rules) for item in items]


def _arranged(item: _Item, rules: Sequence[Box]) -> _Item:
    """The item with its lines in place: those of a table made into one text, those of a formula put in order."""
    match item.kind:
        case "table":
            text = table(item.lines, rules, item.box)
            whole = TextLine(text, item.box, item.lines[0].size, confidence=_confidence(item.lines))
            return replace(item, lines=(whole,))
        case "formula":
            return replace(item, lines=tuple(with_fractions(item.lines, rules)))
        case _:
            return item


def _kind(
    line: TextLine, regions: Sequence[Region], solid: Sequence[tuple[Kind, Box]], size: tuple[int, int], body: float
) -> Kind:
    over = [r for r in regions if share(line.box, r.box) > 0.5]
    said = max(over, key=lambda r: r.score).kind if over else "text"
    edge = line.box[3] < MARGIN * size[1] or line.box[1] > (1 - MARGIN) * size[1]
    outer = line.box[3] < 1.5 * MARGIN * size[1] or line.box[1] > (1 - 1.5 * MARGIN) * size[1]
    if (said in FURNITURE and outer and line.size < 1.15 * body) or (edge and PAGE_NUMBER.match(line.text)):
        return "header" if line.middle < size[1] / 2 else "footer"
    near = [
        box for kind, box in solid
        if kind != "formula" and box[0] < line.box[2] and line.box[0] < box[2]
        and box[1] - 4 * line.size < line.middle < box[3] + 4 * line.size
    ]
    if CAPTION.match(line.text) or (said == "caption" and near):
        return "caption"
    marker = MARKER.match(line.text)
    if marker and line.size < 1.1 * body and not line.bold and (marker[1][0] in BULLETS or said != "title"):
        return "text"
    if LEADER.search(line.text) or not any(c.isalpha() for c in line.text):
        return "text"
    hinted = said == "title" or (line.bold and any(r.kind == "title" for r in over))
    if hinted or line.size > 1.2 * body:
        return "title"
    return "text"


def _paragraphs(column: Sequence[_Item], body: float) -> list[Block]:
    """The blocks of one column, its items from the top."""
    out: list[Block] = []
    group: list[_Item] = []
    left = min(item.box[0] for item in column)
    right = max(item.box[2] for item in column)
    rows = _rows(column)
    texts = [item for item in rows if item.kind == "text"]
    steps = [b.lines[0].middle - a.lines[0].middle for a, b in pairwise(texts)]
    steps = sorted(s for s in steps if 0.5 * body < s < 3 * body) or [1.3 * body]
    pitch = steps[len(steps) // 4]
    if len(steps) < FEW:
        pitch = min(pitch, 1.3 * body)
    for item in rows:
        if group and _breaks(group, item, left, right, pitch):
            out.append(_block(group, body))
            group = []
        group.append(item)
    return [*out, _block(group, body)]


def _rows(column: Sequence[_Item]) -> list[_Item]:
    """The items from the top down, and within a row from the left."""
    rows: list[list[_Item]] = []
    for item in sorted(column, key=lambda item: item.box[1] + item.box[3]):
        last = rows[-1][-1].box if rows else None
        if last and abs(last[1] + last[3] - item.box[1] - item.box[3]) < 0.6 * (last[3] - last[1]):
            rows[-1].append(item)
        else:
            rows.append([item])
    return [item for row in rows for item in sorted(row, key=lambda item: item.box[0])]


def _breaks(group: Sequence[_Item], item: _Item, left: float, right: float, pitch: float) -> bool:
    """Whether a new block begins with `item`, in a column from `left` to `right` whose lines stand `pitch` apart."""
    last = group[-1]
    if item.kind != last.kind or item.kind in ("table", "figure", "formula"):
        return True
    before, line = last.lines[-1], item.lines[0]
    if abs(line.size - before.size) > 0.18 * max(line.size, before.size):
        return True
    step = line.middle - before.middle
    if step < 0.4 * line.size:
        return False
    if item.kind == "caption" and CAPTION.match(line.text):
        return True
    if item.kind != "text":
        return step > 1.8 * max(line.size, before.size)
    if MARKER.match(line.text) or LEADER.search(before.text) or step > 1.28 * pitch:
        return True
    listed = bool(MARKER.match(group[0].lines[0].text))
    if listed and line.box[0] > group[0].box[0] + 0.3 * line.size:
        return False
    if line.box[0] > left + 0.8 * line.size and before.box[0] < left + 0.4 * line.size:
        return True
    word = line.text.split(maxsplit=1)[0]
    fits = len(word) / max(1, len(line.text)) * (line.box[2] - line.box[0]) + 1.2 * line.size < right - before.box[2]
    return fits and before.text.rstrip("\"'”’)")[-1:] in (".", "!", "?", ":", "。", "！", "？", "：")


def _block(group: Sequence[_Item], body: float) -> Block:
    kind, lines = group[0].kind, [line for item in group for line in item.lines]
    text = joined([line.text for line in lines]) if kind != "table" else lines[0].text
    if kind == "text" and text[:1] in ("#", ">"):
        text = "\\" + text
    return Block(
        kind=kind,
        box=rounded(union(item.box for item in group)),
        text=text,
        confidence=round(_confidence(lines), 4) if lines else None,
        size=round(median(line.size for line in lines) / body, 3) if kind == "title" else None,
    )


def _confidence(lines: Sequence[TextLine]) -> float:
    total = sum(len(line.text) for line in lines)
    return sum(line.confidence * len(line.text) for line in lines) / max(1, total)


def _lists(found: Sequence[Block]) -> list[Block]:
    """The blocks, with list items that follow each other joined into one list."""
    out: list[Block] = []
    for block in found:
        match = MARKER.match(block.text) if block.kind == "text" else None
        if not match:
            out.append(block)
            continue
        mark = match[1]
        item = f"{'-' if mark[0] in BULLETS + '-' else mark} {block.text[match.end():]}"
        block = block.model_copy(update={"kind": "list", "text": item})
        if out and out[-1].kind == "list" and block.box[1] >= out[-1].box[1]:
            last = out[-1]
            both = rounded(union([last.box, block.box]))
            out[-1] = last.model_copy(update={"text": f"{last.text}\n{item}", "box": both})
        else:
            out.append(block)
    return out


def joined(lines: Sequence[str]) -> str:
    """The lines as running text."""
    return reduce(continued, lines, "").replace("\u00ad", "")
