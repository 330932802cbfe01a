"""Tables in two columns of which an upright rule between them is all that is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from microfiche.documents.boxes import union
from microfiche.documents.layout.gaps import ITEM, addresses
from microfiche.documents.layout.walls import NARROW, standing_free
from microfiche.documents.tables.text_grid import reads_down, text_rows
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

ROWS, WHOLE = 3, 0.9  #: rows, at least, and the share of them that have a piece on either side of the rule
WORDS = 8  #: of a cell, on average, at most


def halves(lines: Sequence[TextLine], rules: Sequence[Box]) -> list[Box]:
    """The boxes of tables of which each row has a cell on either side of one of the upright `rules`, which touches no
    other; columns of text, lists, addresses, and labels beside what is said of them are none."""
    found = []
    for x, low, _, high in standing_free(lines, rules):
        level = [line for line in lines if low < line.middle < high]
        rows = text_rows(level)
        both = [row for row in rows if len(row) == 2 and row[0].box[2] < x < row[1].box[0]]
        if len(rows) < ROWS or len(both) < WHOLE * len(rows) or any(ITEM.match(line.text) for line in level):
            continue
        if addresses(*([row[k] for row in both] for k in (0, 1))):
            continue
        widths = sorted(box[2] - box[0] for box in (union(row[k].box for row in both) for k in (0, 1)))
        words = sum(len(line.text.split()) for line in level) / len(level)
        box = union(line.box for line in level)
        if widths[0] >= NARROW * widths[1] and words <= WORDS and not reads_down(level, box):
            found.append(box)
    return found
