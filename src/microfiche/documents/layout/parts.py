"""The parts of a page's columns, each called what it is (a title, a list, a caption, a footnote), and the blocks that
they become.

Knows nothing of how lines are put in columns, nor how paragraphs are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

from microfiche.documents import inline
from microfiche.documents.boxes import rounded, share, union
from microfiche.documents.document import Block, Kind
from microfiche.documents.layout.items import Column
from microfiche.documents.layout.listings import listed_rows, listing
from microfiche.documents.layout.lists import Marker, list_text
from microfiche.documents.layout.paragraphs import Paragraph, joined, paragraphs, pitch_of
from microfiche.documents.layout.titles import NUMBERED, Surroundings, is_capital, is_title
from microfiche.documents.text_lines import AROUND, Region, TextLine, letters, read_by
from microfiche.page import Box

AMOUNT = re.compile(r"\d[.,]\d\d(?:\s*[^\W\d]{1,3}|\s*[€$£¥₹])?$")  #: at the end of a total, not of a caption
CAPTION = re.compile(
    r"^(figures?|figs?\.|tables?|tab\.|plate|chart|scheme|photo|listing|algorithm|box|exhibit|abbildung|abb\.|tabelle"
    r"|tableau|figura|fig\.|tabla|tabella|рис\.|рисунок|таблица|图|圖|表|図)\s*([A-Z]?\d+([.\-–]\d+)*[a-z]?|[IVX]+)\s*"
    r"([.:：|—–]|\s|$)",
    re.IGNORECASE,
)
NOTE = re.compile(rf"^({inline.RAISED[0]}|[*†‡§¶]|\d{{1,3}}\s|\[\d+\]\s)")
SMALL = 0.93  #: of the size of running text: that of a footnote is not larger


@dataclass(frozen=True)
class Part:
    """What becomes a block, or an item of a list: a paragraph, a listing, or a table, figure or formula; and the edges
    of its column."""

    kind: Kind
    box: Box
    lines: tuple[TextLine, ...]
    column: tuple[float, float, float]
    paragraph: Paragraph | None = None
    text: str = ""


def parts_of(column: Column, typed: bool, regions: Sequence[Region]) -> list[Part]:
    """The parts of one column, from the top; none goes on from within a region of a title to without."""
    heads = [region.box for region in regions if region.kind == "title"]
    edges = column.left, column.right, column.width
    pitch = pitch_of([item.row.line for item in column.items if item.row])
    out: list[Part] = []
    for alone, several in groupby(column.items, key=lambda item: item.row is None):
        if alone:
            for item in several:
                if item.kind == "text":
                    out += [Part("text", line.box, (line,), edges) for line in item.lines]
                else:
                    out.append(Part(item.kind, item.box, item.lines, edges))
            continue
        free = [item.row for item in several if item.row]
        code = listed_rows(free, typed, edges[1])
        within = [next((k for k, box in enumerate(heads) if share(row.line.box, box) > 0.6), -1) for row in free]
        for (is_code, _), run in groupby(zip(free, code, within, strict=True), key=lambda row: row[1:]):
            its = [row for row, _, _ in run]
            if is_code:
                found = tuple(row.line for row in its)
                out.append(Part("code", union([x.box for x in found]), found, edges, text=listing(its)))
            else:
                for paragraph in paragraphs(its, edges, pitch):
                    box = union([x.box for x in paragraph.lines])
                    out.append(Part("text", box, tuple(paragraph.lines), edges, paragraph))
    return out


def with_kinds(
    parts: Sequence[Part], lines: Sequence[TextLine], regions: Sequence[Region], height: int, body: float
) -> list[Part]:
    """The parts, with each paragraph called what it is: caption, footnote, title, list or text."""
    count = max(1, sum(len(line.text) for line in lines))
    bold = sum(len(line.text) for line in lines if line.bold) > 0.5 * count
    capital = sum(len(line.text) for line in lines if is_capital(line.text)) > 0.5 * count
    floats = [part.box for part in parts if part.kind in ("figure", "table")]
    out: list[Part] = []
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
    part: Part, before: Part | None, after: Part | None, body: float, bold: bool, capital: bool
) -> Surroundings:
    paragraph = part.paragraph
    assert paragraph is not None

    def same(other: Part | None) -> bool:
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


def _caption(part: Part, floats: Sequence[Box], regions: Sequence[Region]) -> bool:
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


def _footnote(part: Part, height: int, body: float, below: Iterable[Part]) -> bool:
    """Whether a paragraph is a footnote: small type at the page's foot, and no running text below."""
    paragraph = part.paragraph
    assert paragraph is not None
    if paragraph.size > SMALL * body or part.box[1] < 0.5 * height or not NOTE.match(paragraph.lines[0].text):
        return False
    lower = (x for x in below if x.box[1] > part.box[3] and x.box[0] < part.box[2] and part.box[0] < x.box[2])
    return not any(x.paragraph is None or (x.paragraph.size > SMALL * body and x.box[3] < 0.9 * height) for x in lower)


def blocks_of(parts: Sequence[Part], body: float) -> list[Block]:
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


def _goes_on(part: Part, after: Part) -> bool:
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


def _block(run: Sequence[Part], body: float) -> Block:
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


def _entry(part: Part) -> tuple[Marker, float, str]:
    assert part.paragraph is not None and part.paragraph.listed is not None
    mark = part.paragraph.listed
    return mark, part.box[0], inline.markdown(part.paragraph.text[mark.length :])
