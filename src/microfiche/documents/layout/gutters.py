"""Lines that were recognised across the gutter between two columns, which are divided there.

A line alone does not tell a gutter from a wide space between justified words; the lines above and below it do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import share
from microfiche.documents.text_lines import Region, TextLine

REACH = 10.0  #: ems above and below a line, within which others tell a gutter
EDGE = 0.6  #: ems by which lines end and begin away from the edges of a gutter, at most
BESIDE = 3  #: lines that end at a gutter, and lines that begin behind it, at least


def divided(lines: Sequence[TextLine], regions: Sequence[Region]) -> list[TextLine]:
    """The lines, with each that OCR has read across a gutter divided there: that reaches from one region of text into
    another beside it, or where lines above and below it end and others begin."""
    texts = [r.box for r in regions if r.kind == "text"]
    read = [line for line in lines if line.confidence < 1]
    box = np.array([(*line.box, line.middle) for line in read], float).reshape(-1, 5)
    out = []
    for line in lines:
        over = sorted(b for b in texts if share(line.box, b) > 0.15 and b[1] < line.middle < b[3])
        gutters = _gutters(line, box) if line.gaps and line.confidence < 1 else []
        if gutters:
            out += _parts(line, gutters)
        elif len(over) == 2 and over[0][2] < over[1][0] and " " in line.text:
            out += _parts(line, [(over[0][2], over[1][0])])
        else:
            out.append(line)
    return out


def _gutters(line: TextLine, box: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Those of the wide spaces in a line that are gutters among lines whose boxes and middles are `box`, (n, 5)."""
    left, _, right, _, middle = box[np.abs(box[:, 4] - line.middle) < REACH * line.size].T
    slack = EDGE * line.size
    found = []
    for start, stop in line.gaps:
        ends, begins = np.abs(right - start) < slack, np.abs(left - stop) < slack
        across = (left < start - slack) & (right > stop + slack) & (middle != line.middle)
        if ends.sum() >= BESIDE and begins.sum() >= BESIDE and not across.sum() > 0.2 * min(ends.sum(), begins.sum()):
            found.append((start, stop))
    return found


def _parts(line: TextLine, gutters: Sequence[tuple[float, float]]) -> list[TextLine]:
    """A line in parts, each divided from the next at the space that stands where a gutter does."""
    left, top, right, bottom = line.box
    spaces = [(left, left), *(gap for gap in line.gaps if gap not in gutters), *gutters, (right, right)]
    paper = sum(stop - start for start, stop in spaces)
    cuts: list[tuple[int, float, float]] = []
    for start, stop in gutters:
        before = start - left - sum(b - a for a, b in spaces if b <= start)
        cut = _space_at(line.text, before / max(1.0, right - left - paper))
        if cut is not None and all(cut != other for other, _, _ in cuts):
            cuts.append((cut, start, stop))
    out, begin = [], 0
    for cut, start, stop in [*cuts, (len(line.text), right, right)]:
        gaps = tuple(gap for gap in line.gaps if left <= gap[0] and gap[1] <= start and gap not in gutters)
        out.append(replace(line, text=line.text[begin:cut].strip(), box=(left, top, start, bottom), gaps=gaps))
        begin, left = cut, stop
    return [part for part in out if part.text]


def _space_at(text: str, share_before: float) -> int | None:
    """Where the space in a text is, before which about this share of its letters stands; None where it has none."""
    spaces = [m.start() for m in re.finditer(" ", text)]
    count = len(text) - len(spaces)
    befores = [(abs((at - k) / count - share_before), at) for k, at in enumerate(spaces)]
    return min(befores)[1] if befores else None
