"""Paragraphs that flow around something set into their edge, as a quotation or a box in a magazine is, are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.layout.parts import Part
from microfiche.documents.tables.text_grid import END, first_word

STEP, EVEN = 1.7, 0.15  #: ems from line to line of such a paragraph, at most, and by how much of that it varies
OFF = 0.6  #: ems by which its two halves begin at different places, at most
MARGIN = 3.0  #: ems between a float and the lines to its left, at most
ALIKE = 0.07  #: by which the sizes of their type differ, at most
NEAR = 6  #: parts before and after it, among which a float is


def around_floats(parts: Sequence[Part]) -> list[Part]:
    """The parts of a page in reading order, with each paragraph joined that goes on with its sentence below the first
    line, or the last, beside which something stands; what is read between its halves follows it."""
    out = list(parts)
    k = 0
    while k < len(out):
        end = k + 1
        while end < len(out) and _beside(out[end], out[k]):
            end += 1
        if end < len(out) and _flows(out[k], out[end], [*out[max(0, k - NEAR) : k], *out[k + 1 : k + NEAR]]):
            out[k : end + 1] = [_whole(out[k], out[end]), *out[k + 1 : end]]
        else:
            k += 1
    return out


def _beside(part: Part, other: Part) -> bool:
    """Whether two parts stand beside each other, neither above the other."""
    (a, top, b, bottom), (c, low, d, high) = part.box, other.box
    em = other.lines[0].size if other.lines else 0.0
    return (b <= c or d <= a) and top < high + em and low - em < bottom


def _flows(first: Part, rest: Part, near: Sequence[Part]) -> bool:
    """Whether the `rest` of a paragraph stands close below its `first` lines, goes on with their sentence, and one of
    the parts `near` it stands beside either."""
    if first.kind != "text" or rest.kind != "text" or not first.paragraph or not rest.paragraph:
        return False
    floats = [part for part in near if part is not rest and (_level(part, first) or _level(part, rest))]
    if not floats or any(first.paragraph.kept) or any(rest.paragraph.kept):
        return False
    a, b = first.lines[-1], rest.lines[0]
    step = b.middle - a.middle
    own = [y.middle - x.middle for its in (first.lines, rest.lines) for x, y in pairwise(its)]
    starts = first.box[0], a.box[0], min(part.box[0] for part in floats)
    return (
        0.7 * a.size < step < STEP * a.size and len(own) > 0 and abs(step - median(own)) < EVEN * step
        and abs(a.size - b.size) < ALIKE * a.size and a.bold == b.bold
        and min(abs(x - b.box[0]) for x in starts) < OFF * a.size
        and _full(first, rest, floats)
        and not END.search(a.text) and (b.text[:1].islower() or a.text[-1:] in "-\u00ad,;")
    )


def _full(first: Part, rest: Part, floats: Sequence[Part]) -> bool:
    """Whether the first word of the `rest` would not have fitted into the last of the `first` lines, before the float
    to its right or the end of its column."""
    a, b = first.lines[-1], rest.lines[0]
    edges = [part.box[0] - MARGIN * a.size for part in floats if part.box[0] >= a.box[2] and _level(part, first)]
    return a.box[2] + first_word(b) > min(edges, default=max(first.box[2], rest.box[2])) - a.size


def _level(part: Part, other: Part) -> bool:
    """Whether two parts stand beside each other at one height."""
    return _beside(part, other) and part.box[1] < other.box[3] and other.box[1] < part.box[3]


def _whole(first: Part, rest: Part) -> Part:
    """The two as one paragraph."""
    assert first.paragraph is not None and rest.paragraph is not None
    both = replace(
        first.paragraph, rows=first.paragraph.rows + rest.paragraph.rows,
        kept=(*first.paragraph.kept, False, *rest.paragraph.kept),
    )
    return replace(first, box=union([first.box, rest.box]), lines=first.lines + rest.lines, paragraph=both)
