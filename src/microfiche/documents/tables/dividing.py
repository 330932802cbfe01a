"""Lines that were read as one piece, divided at the borders of columns that they go over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from microfiche.documents.inline import FORMULAS
from microfiche.documents.tables.text_grid import cjk, is_value
from microfiche.documents.text_lines import TextLine

NARROW = set("iljtfrI1.,;:'|!()[] ")
NARROWEST = 0.45  #: their width, and that of a space, in those of most letters


def divided(line: TextLine, borders: Sequence[float], always: bool = False) -> list[TextLine]:
    """The line in pieces, where it goes over `borders` and has a space there: where the pieces are values, where the
    space is wider than between words, or `always` (where rules stand there)."""
    left, top, right, bottom = line.box
    inner = [b for b in borders if left + 0.3 * line.size < b < right - 0.3 * line.size]
    whole = FORMULAS.sub(lambda found: "x" * len(found[0]), line.text)
    spaces = [m.start() for m in re.finditer(r"\s", whole)]
    if not always and not all(is_value(word) for word in line.text.split()[1:]):
        inner = [b for b in inner if any(a - 0.3 * line.size < b < z + 0.3 * line.size for a, z in line.gaps)]
    if not inner or not spaces:
        return [line]
    at = _offsets(line)
    cuts: list[int] = []
    for border in inner:
        nearest = min(spaces, key=lambda i: abs((at[i] + at[i + 1]) / 2 - border))
        reach = 1.5 if always else 1.0
        if abs((at[nearest] + at[nearest + 1]) / 2 - border) < reach * line.size and nearest not in cuts:
            cuts.append(nearest)
    out, start = [], 0
    for cut in [*sorted(cuts), len(line.text)]:
        text = line.text[start:cut].strip()
        if text:
            x0, x1 = at[start], at[cut]
            inside = [b for b in inner if x0 < b < x1]
            if always and inside:  # what is left of it stands on the side where most of it is
                x0, x1 = (max(x0, inside[0]), x1) if x1 - inside[0] > inside[0] - x0 else (x0, min(x1, inside[0]))
            out.append(replace(line, text=text, box=(x0, top, x1, bottom)))
        start = cut + 1
    return out or [line]


def _offsets(line: TextLine) -> list[float]:
    """Where each character of a line begins, and its end, after the usual widths of letters."""
    widths = [NARROWEST if c in NARROW else 1.45 if c in "mwMW@—" else 2.0 if cjk(c) else 1.2 if c.isupper() else 1.0
              for c in line.text]
    for found in FORMULAS.finditer(line.text):  # LaTeX is longer than what it shows
        shown = len(re.sub(r"\\[A-Za-z]+|[^\w{}^]", "x", found[1]).translate({ord(c): None for c in "{}^_"}))
        widths[found.start() : found.end()] = [shown / len(found[0])] * len(found[0])
    wide = sum(end - start for start, end in line.gaps)
    scale = (line.box[2] - line.box[0] - wide) / max(0.1, sum(widths) - len(line.gaps) * NARROWEST)
    gaps = list(line.gaps)
    out = [line.box[0]]
    for sign, width in zip(line.text, widths, strict=True):
        if sign == " " and gaps and gaps[0][0] - out[-1] < 0.5 * line.size:
            out[-1], end = gaps.pop(0)
            out.append(end)
        else:
            out.append(out[-1] + scale * width)
    return [*out[:-1], line.box[2]]
