"""From the lines on a page to blocks in reading order: columns, paragraphs, headings, lists, tables, figures, formulas.

The same for a PDF's own text and for what OCR found. Regions are hints; without them the shapes of lines decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice, pairwise, zip_longest
from math import inf
from statistics import median

from PIL import Image

from microfiche.documents import inline
from microfiche.documents.boxes import rounded, share, union
from microfiche.documents.boxes import within as around
from microfiche.documents.document import Block, Kind
from microfiche.documents.layout.bullets import with_bullets
from microfiche.documents.layout.chats import bubbles
from microfiche.documents.layout.code_rows import with_code_rows
from microfiche.documents.layout.contents import with_entries
from microfiche.documents.layout.crowds import CROWD, crowd
from microfiche.documents.layout.gutters import divided
from microfiche.documents.layout.initials import with_capitals
from microfiche.documents.layout.items import Column, ordered_items
from microfiche.documents.layout.line_numbers import without_numbers
from microfiche.documents.layout.listings import listed_rows, listing, typewritten
from microfiche.documents.layout.lists import Marker, list_text
from microfiche.documents.layout.panels import headed, panels
from microfiche.documents.layout.paragraphs import Paragraph, joined, paragraphs, pitch_of
from microfiche.documents.layout.sidebars import sidebar, within
from microfiche.documents.layout.stacks import stack_rows
from microfiche.documents.layout.titles import NUMBERED, Surroundings, is_capital, is_title
from microfiche.documents.tables.aligned import underlined
from microfiche.documents.tables.solids import solids
from microfiche.documents.text_lines import AROUND, BLANK, Region, TextLine, letters, read_by
from microfiche.page import Box

AMOUNT = re.compile(r"\d[.,]\d\d(?:\s*[^\W\d]{1,3}|\s*[€$£¥₹])?$")  #: at the end of a total, not of a caption
CAPTION = re.compile(
    r"^(figures?|figs?\.|tables?|tab\.|plate|chart|scheme|photo|listing|algorithm|box|exhibit|abbildung|abb\.|tabelle"
    r"|tableau|figura|fig\.|tabla|tabella|рис\.|рисунок|таблица|图|圖|表|図)\s*([A-Z]?\d+([.\-–]\d+)*[a-z]?|[IVX]+)\s*"
    r"([.:：|—–]|\s|$)",
    re.IGNORECASE,
)
NOTE = re.compile(rf"^({inline.RAISED[0]}|[*†‡§¶]|\d{{1,3}}\s|\[\d+\]\s)")
WORDS = re.compile(r"[^\W\d_]{3,}")
FUNCTIONS = {"sin", "cos", "tan", "log", "exp", "lim", "max", "min", "det", "mod", "arg", "sup", "inf", "dim", "deg"}
MATHEMATICS = re.compile(r"[=≠<>≤≥≈∼≡±×÷∑∏∫√∂∇∞∈∉⊂⊆∪∩∀∃→⇒⇔↦Α-Ωα-ω\U0001d400-\U0001d7ff]")
DISPLAY = 1.5  #: ems that a formula is indented, at least
LONG = 12  #: letters of a line whose width tells the size of its type
FRAME = 1.2  #: ems from a picture to the rules that frame it, at most
PROSE, FEW = 45, 2  #: letters of a line of running text, and lines of it on a page with code, at least
SMALL = 0.93  #: of the size of running text: that of a footnote is not larger


#: The lines, regions, picture, rules and images of a page, or of a part of it.
_Page = tuple[Sequence[TextLine], Sequence[Region], Image.Image, Sequence[Box], Sequence[Box]]


@dataclass(frozen=True)
class _Part:
    """What becomes a block, or an item of a list: a paragraph, a listing, or a table, figure or formula; and the edges
    of its column."""

    kind: Kind
    box: Box
    lines: tuple[TextLine, ...]
    column: tuple[float, float, float]
    paragraph: Paragraph | None = None
    text: str = ""


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
    if len(lines) > CROWD:
        return crowd(lines)
    lines, numbers = without_numbers(with_bullets(with_code_rows(lines), picture))
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


def _with_notes(found: Sequence[Block], notes: Sequence[TextLine], page: _Page) -> list[Block]:
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


def _taken(page: _Page, boxes: Sequence[Box], wanted: bool) -> _Page:
    """What stands in any of the boxes, or, if that is not `wanted`, all else."""
    lines, regions, picture, rules, images = page

    def own(box: Box) -> bool:
        return any(within(box, other) for other in boxes) is wanted

    return (
        [line for line in lines if own(line.box)], [region for region in regions if own(region.box)], picture,
        [rule for rule in rules if own(rule)], [image for image in images if own(image)],
    )


def _with_panels(page: _Page, ground: Box | None = None) -> list[Block]:
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


def _chat(page: _Page, messages: Sequence[Box], body: float) -> list[Block]:
    """The blocks of a chat: those of each of its messages, and of what stands between them, from the top."""
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
    head = messages[0][1]
    return [
        block.model_copy(update={"kind": "text", "size": None})
        if block.kind == "title" and block.where[1] > head else block for block in out
    ]


def _laid(page: _Page, body: float, held: Sequence[Box] = (), ground: Box | None = None) -> list[Block]:
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
    parts = [part for column in found for part in _parts(column, typed, regions)]
    return _blocks(_kinds(parts, lines, regions, picture.height, body), body)


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


def _parts(column: Column, typed: bool, regions: Sequence[Region]) -> list[_Part]:
    """The parts of one column, from the top; none goes on from within a region of a title to without."""
    heads = [region.box for region in regions if region.kind == "title"]
    edges = column.left, column.right, column.width
    pitch = pitch_of([item.row.line for item in column.items if item.row])
    out: list[_Part] = []
    for alone, several in groupby(column.items, key=lambda item: item.row is None):
        if alone:
            for item in several:
                if item.kind == "text":
                    out += [_Part("text", line.box, (line,), edges) for line in item.lines]
                else:
                    out.append(_Part(item.kind, item.box, item.lines, edges))
            continue
        free = [item.row for item in several if item.row]
        code = listed_rows(free, typed, edges[1])
        within = [next((k for k, box in enumerate(heads) if share(row.line.box, box) > 0.6), -1) for row in free]
        for (is_code, _), run in groupby(zip(free, code, within, strict=True), key=lambda row: row[1:]):
            its = [row for row, _, _ in run]
            if is_code:
                found = tuple(row.line for row in its)
                out.append(_Part("code", union([x.box for x in found]), found, edges, text=listing(its)))
            else:
                for paragraph in paragraphs(its, edges, pitch):
                    box = union([x.box for x in paragraph.lines])
                    out.append(_Part("text", box, tuple(paragraph.lines), edges, paragraph))
    return out


def _kinds(
    parts: Sequence[_Part], lines: Sequence[TextLine], regions: Sequence[Region], height: int, body: float
) -> list[_Part]:
    """The parts, with each paragraph called what it is: caption, footnote, title, list or text."""
    count = max(1, sum(len(line.text) for line in lines))
    bold = sum(len(line.text) for line in lines if line.bold) > 0.5 * count
    capital = sum(len(line.text) for line in lines if is_capital(line.text)) > 0.5 * count
    floats = [part.box for part in parts if part.kind in ("figure", "table")]
    out: list[_Part] = []
    for k, part in enumerate(parts):
        paragraph = part.paragraph
        if paragraph is None:
            out.append(part)
            continue
        before = next((x for x in reversed(out) if _over(x.box, part.box)), None)
        after = parts[k + 1] if k + 1 < len(parts) and parts[k + 1].box[1] > part.box[1] else None
        kind: Kind = "list" if paragraph.listed else "text"
        around = _surroundings(part, before, after, body, bold, capital)
        if _caption(part, floats, regions):
            kind = "caption"
        elif _footnote(part, height, body, islice(parts, k + 1, None)):
            kind = "footnote"
        elif is_title(paragraph, around, regions):
            kind = "title"
        out.append(replace(part, kind=kind))
    return out


def _over(a: Box, b: Box) -> bool:
    """Whether box `a` stands above box `b`."""
    return a[0] < b[2] and b[0] < a[2] and a[1] + a[3] < b[1] + b[3]


def _surroundings(
    part: _Part, before: _Part | None, after: _Part | None, body: float, bold: bool, capital: bool
) -> Surroundings:
    paragraph = part.paragraph
    assert paragraph is not None

    def same(other: _Part | None) -> bool:
        its = other.paragraph if other else None
        return (
            its is not None and abs(its.size - paragraph.size) < 0.08 * paragraph.size and its.bold == paragraph.bold
            and is_capital(its.text) == is_capital(paragraph.text)
        )

    size = paragraph.size
    prose = (
        after is not None and after.kind not in ("formula", "code")
        and not (after.paragraph and after.paragraph.listed and paragraph.listed)
        and sum(map(letters, after.lines)) > 1.5 * sum(map(letters, part.lines))
        and (len(after.lines) > 1 or not same(after))
    )
    return Surroundings(
        body, bold, capital, part.column[:2],
        (part.box[1] - before.box[3]) / size if before else None,
        (after.box[1] - part.box[3]) / size if after else None,
        same(before), same(after), prose, before is not None and before.kind == "title" and before.lines[0].size > size,
    )


def _caption(part: _Part, floats: Sequence[Box], regions: Sequence[Region]) -> bool:
    """Whether a paragraph is the caption of a figure or a table."""
    first, size = part.lines[0], part.lines[0].size
    text = inline.unmarked(first.text)
    near = any(
        box[0] < part.box[2] + 2 * size and part.box[0] - 2 * size < box[2]
        and box[1] - 3 * size < part.box[3] and part.box[1] < box[3] + 3 * size
        for box in floats
    )
    match = CAPTION.match(text)
    if match:
        rest = text[match.end() :].strip()
        return match[4] not in ("", " ") or not rest or (near and not rest[:1].islower())
    over = [r for r in regions if r.kind in ("caption", "text") and share(part.box, r.box) > 0.5]
    said = bool(over) and max(over, key=lambda r: r.score).kind == "caption"
    return said and near and len(part.lines) < 8 and not AMOUNT.search(inline.unmarked(part.lines[-1].text))


def _footnote(part: _Part, height: int, body: float, below: Iterable[_Part]) -> bool:
    """Whether a paragraph is a footnote: small type at the page's foot, and no running text below."""
    paragraph = part.paragraph
    assert paragraph is not None
    if paragraph.size > SMALL * body or part.box[1] < 0.5 * height or not NOTE.match(paragraph.lines[0].text):
        return False
    lower = (x for x in below if x.box[1] > part.box[3] and x.box[0] < part.box[2] and part.box[0] < x.box[2])
    return not any(x.paragraph is None or (x.paragraph.size > SMALL * body and x.box[3] < 0.9 * height) for x in lower)


def _blocks(parts: Sequence[_Part], body: float) -> list[Block]:
    """The blocks that parts become, with items of a list that follow each other joined."""
    out: list[Block] = []
    k = 0
    while k < len(parts):
        run = [parts[k]]
        if run[0].kind in ("list", "title"):
            while k + len(run) < len(parts) and _goes_on(run[-1], parts[k + len(run)]):
                run.append(parts[k + len(run)])
        k += len(run)
        out.append(_block(run, body))
    return out


def _goes_on(part: _Part, after: _Part) -> bool:
    """Whether two parts are items of one list, or lines of one title."""
    if part.kind != after.kind:
        return False
    if part.kind == "list":  # in the next column, what begins further in is no item of an item
        return after.box[0] < part.box[2] or after.box[1] >= part.box[1]
    a, b = part.lines[-1], after.lines[0]
    return (
        _over(part.box, after.box) and after.box[1] - part.box[3] < 0.5 * a.size and a.bold == b.bold
        and abs(a.size - b.size) < 0.07 * a.size and not NUMBERED.match(b.text)
    )


def _block(run: Sequence[_Part], body: float) -> Block:
    part = run[0]
    lines = [line for x in run for line in x.lines]
    match part.kind:
        case "list":
            text = list_text([_entry(x) for x in run], body)
        case "code":
            text = part.text
        case "table":
            text = part.lines[0].text
        case "title" if part.paragraph:
            text = inline.markdown(joined([line.text for line in lines]))
        case _ if part.paragraph:
            text = inline.markdown(part.paragraph.text)
        case _:
            text = inline.markdown(joined([line.text for line in part.lines]))
    count = sum(len(line.text) for line in lines)
    sure = sum(line.confidence * len(line.text) for line in lines) / max(1, count)
    left, top, right, bottom = union(x.box for x in run)
    if part.paragraph and sure < 1:  # what `_measured` took off
        around = AROUND * lines[0].size
        left, top, right, bottom = left - around, top - 0.6 * around, right + around, bottom + 0.6 * around
    return Block(
        kind=part.kind,
        box=rounded((max(0.0, left), max(0.0, top), right, bottom)),
        text=text,
        confidence=round(sure, 4) if lines else None,
        size=round(part.paragraph.size / body, 3) if part.kind == "title" and part.paragraph else None,
        engine=read_by(lines),
    )


def _entry(part: _Part) -> tuple[Marker, float, str]:
    assert part.paragraph is not None and part.paragraph.listed is not None
    mark = part.paragraph.listed
    return mark, part.box[0], inline.markdown(part.paragraph.text[mark.length :])
