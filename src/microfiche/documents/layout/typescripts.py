"""Pages that a typewriter or a line printer made, with tables: all in fixed-pitch type, but no code, with rows of
dashes under their columns. Their text is laid out as any other, and the dashes are the rules that they stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from microfiche.documents.layout.listings import CODE, SYNTAX, typewritten
from microfiche.documents.tables.text_grid import text_rows
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

DASHES = re.compile(r"(?:[-–—_]{3,}|={3,})")


def as_typed(lines: Sequence[TextLine]) -> tuple[list[TextLine], list[Box]]:
    """The lines of a page, of a typescript as those of any other page, and the rules that several runs of dashes in one
    row stand for there."""
    dashes = [line for line in lines if DASHES.fullmatch(line.text)]
    rules = [line for row in text_rows(dashes) if len(row) > 1 for line in row]
    text = "".join(line.text for line in lines if not DASHES.fullmatch(line.text))
    code = len(SYNTAX.findall(text)) > CODE * len(text.replace(" ", ""))
    if not rules or code or not typewritten(lines):
        return list(lines), []
    gone = {id(line) for line in rules}
    kept = [replace(line, fixed=False) for line in lines if id(line) not in gone]
    return kept, [(line.box[0], line.middle, line.box[2], line.middle) for line in rules]
