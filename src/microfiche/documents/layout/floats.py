"""Paragraphs that flow around something set into their edge, as a quotation or a box in a magazine is, are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from microfiche.documents.boxes import union
from microfiche.documents.layout.parts import Part
from microfiche.documents.tables.text_grid import END

STEP = 1.7  #: ems from the last line beside a float to the first line below it, at most
OFF = 0.6  #: ems by which the two begin at different places, at most
OVER = 1.0  #: ems by which a float may reach above or below the lines beside it
ALIKE = 0.07  #: by which the sizes of their type differ, at most
SEVERAL = 2  #: lines beside a float, at least


def around_floats(parts: Sequence[Part]) -> list[Part]:
    """The parts of a page in reading order, with each paragraph joined that goes on with its sentence below what stands
    beside its first lines; what stands to their right follows it."""
    out = list(parts)
    k = 0
    while k < len(out):
        end = k + 1
        while end < len(out) and _beside(out[end], out[k]):
            end += 1
        before = k
        while before and _beside(out[before - 1], out[k]):
            before -= 1
        floats = [*out[before:k], *out[k + 1 : end]]
        if floats and end < len(out) and _flows(out[k], out[end], floats):
            out[k : end + 1] = [_whole(out[k], out[end]), *out[k + 1 : end]]
        else:
            k += 1
    return out


def _beside(part: Part, first: Part) -> bool:
    """Whether a part stands beside the lines of another, within their heights."""
    em = first.lines[0].size if first.lines else 0.0
    left, top, right, bottom = first.box
    apart = part.box[2] <= left or right <= part.box[0]
    return apart and top - OVER * em < part.box[1] and part.box[3] < bottom + OVER * em


def _flows(first: Part, rest: Part, floats: Sequence[Part]) -> bool:
    """Whether the `rest` of a paragraph stands close below its `first` lines, under the `floats` beside these as well,
    and goes on with their sentence."""
    if first.kind != "text" or rest.kind != "text" or not first.paragraph or not rest.paragraph:
        return False
    a, b = first.lines[-1], rest.lines[0]
    step, around = b.middle - a.middle, union([first.box, *(x.box for x in floats)])
    return (
        len(first.lines) >= SEVERAL
        and 0.7 * a.size < step < STEP * a.size and abs(a.size - b.size) < ALIKE * a.size and a.bold == b.bold
        and min(abs(x - b.box[0]) for x in (around[0], first.box[0], a.box[0])) < OFF * a.size
        and (len(rest.lines) == 1 or rest.box[2] > first.box[2] + a.size or b.box[0] < a.box[0] - a.size)
        and not END.search(a.text) and (b.text[:1].islower() or a.text[-1:] in "-\u00ad,;")
    )


def _whole(first: Part, rest: Part) -> Part:
    """The two as one paragraph."""
    assert first.paragraph is not None and rest.paragraph is not None
    both = replace(
        first.paragraph, rows=first.paragraph.rows + rest.paragraph.rows,
        kept=(*first.paragraph.kept, False, *rest.paragraph.kept),
    )
    return replace(first, box=union([first.box, rest.box]), lines=first.lines + rest.lines, paragraph=both)
