"""A crowd: so many pieces of text on one page that no layout is looked for. They are read row by row, as those of a
large sheet of cells are, in a time that grows with their number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from microfiche.documents import inline
from microfiche.documents.boxes import rounded, union
from microfiche.documents.document import Block
from microfiche.documents.text_lines import TextLine

CROWD = 10_000  #: pieces of text on a page; those of a newspaper's pages of figures are fewer
ROW = 0.5  #: ems between the middles of the first and the last piece of a row, at most
APART = 2.5  #: ems from one row to the next, at most, in one block


def crowd(lines: Sequence[TextLine]) -> list[Block]:
    """The blocks of a crowd: each piece with those to its left and right, one row below the other."""
    em = float(np.median([line.size for line in lines]))
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: line.middle):
        if rows and line.middle - rows[-1][0].middle <= ROW * em:
            rows[-1].append(line)
        else:
            rows.append([line])
    ends = [k for k, (a, b) in enumerate(pairwise(rows), 1) if b[0].middle - a[0].middle > APART * em]
    return [_block(rows[a:b]) for a, b in zip([0, *ends], [*ends, len(rows)], strict=True)]


def _block(rows: Sequence[Sequence[TextLine]]) -> Block:
    lines = [line for row in rows for line in row]
    count = sum(len(line.text) for line in lines)
    texts = [" ".join(line.text for line in sorted(row, key=lambda line: line.box[0])) for row in rows]
    return Block(
        kind="text",
        box=rounded(union(line.box for line in lines)),
        text=inline.markdown(inline.BREAK.join(texts)),
        confidence=round(sum(line.confidence * len(line.text) for line in lines) / max(1, count), 4),
        engine=next((line.engine for line in lines if line.engine), None),
    )
