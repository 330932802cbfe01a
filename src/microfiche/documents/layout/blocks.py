"""From the lines on a page to blocks in reading order: columns, paragraphs, headings, lists, tables, figures, formulas.

The same for a PDF's own text and for what OCR found. Regions are hints; without them the shapes of lines decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise, zip_longest
from math import inf
from statistics import median

from PIL import Image

from microfiche.documents import inline
from microfiche.documents.boxes import rounded, share, union
from microfiche.documents.boxes import within as around
from microfiche.documents.document import Block
from microfiche.documents.layout.bullets import with_bullets
from microfiche.documents.layout.chats import bubbles, wordless
from microfiche.documents.layout.code_rows import with_code_rows
from microfiche.documents.layout.contents import with_entries
from microfiche.documents.layout.crowds import CROWD, crowd
from microfiche.documents.layout.floats import around_floats
from microfiche.documents.layout.gutters import divided
from microfiche.documents.layout.initials import with_capitals
from microfiche.documents.layout.items import Column, ordered_items
from microfiche.documents.layout.line_numbers import without_numbers
from microfiche.documents.layout.listings import typewritten
from microfiche.documents.layout.mirrored import Page, mirrored, restored, runs_backward
from microfiche.documents.layout.panels import headed, panels
from microfiche.documents.layout.parts import SMALL, blocks_of, parts_of, with_kinds
from microfiche.documents.layout.sidebars import sidebar, within
from microfiche.documents.layout.stacks import stack_rows
from microfiche.documents.layout.typescripts import as_typed
from microfiche.documents.tables.aligned import underlined
from microfiche.documents.tables.solids import solids
from microfiche.documents.text_lines import AROUND, BLANK, Region, TextLine, letters, read_by
from microfiche.page import Box

WORDS = re.compile(r"[^\W\d_]{3,}")
FUNCTIONS = {"sin", "cos", "tan", "log", "exp", "lim", "max", "min", "det", "mod", "arg", "sup", "inf", "dim", "deg"}
MATHEMATICS = re.compile(r"[=≠<>≤≥≈∼≡±×÷∑∏∫√∂∇∞∈∉⊂⊆∪∩∀∃→⇒⇔↦Α-Ωα-ω\U0001d400-\U0001d7ff]")
DISPLAY = 1.5  #: ems that a formula is indented, at least
LONG = 12  #: letters of a line whose width tells the size of its type
FRAME = 1.2  #: ems from a picture to the rules that frame it, at most
PROSE, FEW = 45, 2  #: letters of a line of running text, and lines of it on a page with code, at least


def blocks(
    lines: Sequence[TextLine],
    regions: Sequence[Region],
    picture: Image.Image,
    rules: Sequence[Box] = (),
    images: Sequence[Box] = (),
) -> list[Block]:
    """The blocks of a page that looks like `picture` and on which `lines` stand.

    Every line is in one of them. Heads and feet are blocks like others, in their place: what they are is seen from all
    pages. `regions` may be empty.
    """
    page = lines, regions, picture, rules, images
    if runs_backward(lines):
        return restored(_blocks(mirrored(page)), picture.width)
    return _blocks(page)


def _blocks(page: Page) -> list[Block]:
    """The blocks of a page whose columns are read from left to right."""
    lines, regions, picture, rules, images = page
    if len(lines) > CROWD:
        return crowd(lines)
    lines, numbers = without_numbers(with_bullets(with_code_rows(lines), picture))
    lines, typed = as_typed(lines)
    rules = [*rules, *typed]
    counts = [_counting(column) for column in numbers]
    notes = [line for line in lines if line.note]
    lines = _headed([line for line in lines if not line.note], notes)
    page = lines, regions, picture, rules, images
    side = sidebar(picture, lines, rules)
    if side is None:
        found = _with_panels(page)
    else:
        inside = _with_panels(_taken(page, [side], True), side)
        beside = _with_panels(_taken(page, [side], False))
        found = [*inside, *beside] if side[0] < picture.width - side[2] else [*beside, *inside]
    return (_with_notes(found, notes, page) if notes else found) + counts


def _headed(lines: Sequence[TextLine], notes: Sequence[TextLine]) -> list[TextLine]:
    """The lines, with those marked as the first of a paragraph that stand behind the first line of a note in the
    margin, where the line above has ended before."""
    out = list(lines)
    for first in (next(groups) for _, groups in groupby(notes, key=lambda line: line.note)):
        level = [
            k for k, x in enumerate(out) if abs(x.middle - first.middle) < 0.4 * x.size and x.box[0] > first.box[2]
        ]
        if not level:
            continue
        k = min(level, key=lambda k: out[k].box[0])
        above = [x for x in out if x.middle < out[k].middle - 0.5 * x.size and x.box[0] < out[k].box[2]]
        last = max((x for x in above if out[k].box[0] < x.box[2]), key=lambda x: x.middle, default=None)
        if last is None or last.box[2] < max(x.box[2] for x in above) - 2 * last.size:
            out[k] = replace(out[k], begins=True)
    return out


def _with_notes(found: Sequence[Block], notes: Sequence[TextLine], page: Page) -> list[Block]:
    """The blocks of a page, with its notes in the margin: each after the block beside which it begins, or before one
    with the first line of which it is level, to the left of it."""
    body, out = body_size(page[0]), list(found)
    for number in sorted({line.note for line in notes}, reverse=True):
        own = [line for line in notes if line.note == number]
        left, _, right, _ = union(line.box for line in own)
        its = [
            block.model_copy(update={"kind": "footnote", "size": None}) if block.kind in ("text", "title") else block
            for block in _laid((own, [], page[2], [], []), body)
        ]
        first = own[0]
        above = [k for k, block in enumerate(out) if block.where[1] < first.middle]
        level = [k for k in above if first.middle < out[k].where[3]]

        def away(k: int, left: float = left, right: float = right) -> float:
            return max(out[k].where[0] - right, left - out[k].where[2])

        if level:
            k = min(level, key=away)
            before = out[k].where[0] >= right and first.middle < out[k].where[1] + 1.5 * first.size
            at = k if before else k + 1
        else:
            at = max(above, key=lambda k: out[k].where[3], default=-1) + 1
        out[at:at] = its
    return out


def _counting(column: Sequence[TextLine]) -> Block:
    """The block of a column of line numbers."""
    return Block(
        kind="number", box=rounded(union(line.box for line in column)), text="\n".join(line.text for line in column),
        confidence=round(min(line.confidence for line in column), 4), engine=read_by(column),
    )


def _taken(page: Page, boxes: Sequence[Box], wanted: bool) -> Page:
    """What stands in any of the boxes, or, if that is not `wanted`, all else."""
    lines, regions, picture, rules, images = page

    def own(box: Box) -> bool:
        return any(within(box, other) for other in boxes) is wanted

    return (
        [line for line in lines if own(line.box)], [region for region in regions if own(region.box)], picture,
        [rule for rule in rules if own(rule)], [image for image in images if own(image)],
    )


def _with_panels(page: Page, ground: Box | None = None) -> list[Block]:
    """The blocks of a page, or of its sidebar, which fills its `ground`, or of what is beside that: those of a panel
    together, in its place."""
    lines, regions, picture, rules, images = page
    body = body_size(lines)
    if messages := bubbles(picture, lines):
        return _chat(page, messages, body)
    held = panels(picture, lines, rules)
    regions = [*regions, *(title for box in held for title in headed(box, lines, picture))]
    page = lines, regions, picture, rules, images
    inside = {rounded(box): _laid(_taken(page, [box], True), body, ground=box) for box in held}
    around = _laid(_taken(page, held, False), body, held, ground)
    return [
        block for whole in around
        for block in (inside.get(whole.where, [whole]) if whole.kind == "figure" else [whole])
    ]


def _chat(page: Page, messages: Sequence[Box], body: float) -> list[Block]:
    """The blocks of a chat: those of each of its messages, of what stands between them, and of bubbles without words,
    from the top."""
    lines, _, picture, _, _ = page
    inside = [[line for line in lines if within(line.box, box)] for box in messages]
    free = [line for line in lines if not any(within(line.box, box) for box in messages)]
    between = [
        [line for line in free if above < line.middle <= below]
        for above, below in pairwise([-inf, *((box[1] + box[3]) / 2 for box in messages), inf])
    ]
    out = list[Block]()
    for k, (apart, own) in enumerate(zip_longest(between, inside, fillvalue=list[TextLine]())):
        for part in [*([[line] for line in apart] if k else [apart]), own]:
            out += _laid((part, [], picture, [], []), body) if part else []
    for box in wordless(picture, lines, messages):
        at = next((k for k, block in enumerate(out) if block.where[1] > box[1]), len(out))
        out.insert(at, Block(kind="figure", box=rounded(box), text=""))
    head = messages[0][1]
    return [
        block.model_copy(update={"kind": "text", "size": None})
        if block.kind == "title" and block.where[1] > head else block for block in out
    ]


def _laid(page: Page, body: float, held: Sequence[Box] = (), ground: Box | None = None) -> list[Block]:
    """The blocks of a page whose running text has the size `body`, or of a part of it, which may fill a `ground`. What
    is `held` is a figure."""
    lines, regions, picture, rules, images = page
    rules = [rule for rule in rules if not any(around(rule, image, FRAME * body) for image in images)]
    shown = [line for line in lines if line.displayed]
    regions = [r for r in regions if r.kind != "formula" or not any(share(line.box, r.box) > 0.5 for line in shown)]
    lines = divided(with_capitals(_measured([line for line in lines if not line.displayed])), regions)
    lines = with_entries(lines, rules)
    stacked = stack_rows(lines, rules)
    standing = {id(line) for row in stacked for stack in row.stacks for line in stack}
    lines = [line for line in lines if id(line) not in standing]
    regions = [*regions, *_over_rules(lines, rules, body)]
    solid = solids(lines, regions, rules, images, picture, body)
    solid += [("formula", line.box) for line in shown if not any(share(line.box, box) > 0.5 for _, box in solid)]
    solid += [("figure", box) for box in held]
    lines = [*lines, *shown]
    typed = typewritten(lines)
    found = ordered_items(lines, solid, rules, picture, body, stacked)
    found = _over_ground(found, ground) if ground else found
    parts = [part for column in found for part in parts_of(column, typed, regions)]
    return blocks_of(around_floats(with_kinds(parts, lines, regions, picture.height, body)), body)


def _over_ground(found: Sequence[Column], ground: Box) -> list[Column]:
    """The columns, with those beside which nothing stands to their right reaching as close to the right edge of the
    `ground` that they stand on as the first does to the left one."""
    right = ground[2] - max(0.0, min((column.left for column in found), default=ground[0]) - ground[0])
    return [
        column if any(other.left >= column.right for other in found)
        else replace(column, right=max(column.right, right), width=max(column.width, right - column.left))
        for column in found
    ]


def _over_rules(lines: Sequence[TextLine], rules: Sequence[Box], body: float) -> list[Region]:
    """Regions of titles: lines that stand alone on rules which go on far to their right, but for the first of all."""
    level = [rule for rule in rules if rule[1] == rule[3]]
    top = min((line.middle for line in lines), default=0.0)
    return [
        Region("title", line.box, 1.0) for line in lines
        if underlined(line, level) and line.size > SMALL * body and line.middle > top + line.size
        and not any(abs(x.middle - line.middle) < 0.5 * line.size for x in lines if x is not line)
    ] if level else []


def _measured(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines, those that were recognised with their boxes as wide as their ink, about, and with type no larger than
    the width of their letters allows: a detector draws boxes that are wider, and now and then much too high."""
    long = [line for line in lines if letters(line) >= LONG and BLANK not in line.text]
    wide = [(line, (line.box[2] - line.box[0]) / letters(line)) for line in long]
    usual = median(width / line.size for line, width in wide) if wide else 0.0
    out = []
    for line in lines:
        left, top, right, bottom = line.box
        if line.confidence < 1 and right - left > line.size:
            around, size = AROUND * line.size, line.size
            if letters(line) >= LONG and BLANK not in line.text:
                size = min(size, 1.2 * (right - left) / letters(line) / usual)
            box = left + around, top + 0.6 * around, right - around, bottom - 0.6 * around
            line = replace(line, box=box, size=size)
        out.append(line)
    return out


def needs_regions(
    lines: Sequence[TextLine], rules: Sequence[Box], images: Sequence[Box], drawings: Sequence[Box]
) -> bool:
    """Whether a page with a text layer shows what only a detector of regions finds: formulas that stand alone.

    Its figures are `images` and `figures` of its `drawings`, its tables are known by their `rules` and their rows.
    """
    left = min((line.box[0] for line in lines), default=0.0)
    inside = [box for box in (*images, *drawings) if box[0] < box[2]]
    return any(
        not (line.displayed or line.fixed) and _is_formula(inline.unmarked(line.text))
        and line.box[0] > left + DISPLAY * line.size
        and not any(share(line.box, box) > 0.5 for box in inside)
        for line in lines
    )


def _is_formula(text: str) -> bool:
    """Whether a line is signs of mathematics with few words between them."""
    words = [word for word in WORDS.findall(text) if word not in FUNCTIONS]
    return len(text) < 80 and len(words) < 2 and len(MATHEMATICS.findall(text)) > 0


def body_size(lines: Sequence[TextLine]) -> float:
    """The size of running text, px: that which most characters have; sizes that differ by 3 % count as one. Code is
    none, where the page has running text beside it."""
    prose = [line for line in lines if not line.fixed]
    if sum(letters(line) > PROSE for line in prose) >= FEW:
        lines = prose
    sizes = sorted((line.size, len(line.text)) for line in lines)
    best, most, count, first = 20.0, 0, 0, 0
    for size, length in sizes:
        count += length
        while sizes[first][0] < 0.97 * size:
            count -= sizes[first][1]
            first += 1
        if count > most:
            best, most = (sizes[first][0] + size) / 2, count
    return best
