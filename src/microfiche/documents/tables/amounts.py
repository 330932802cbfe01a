"""Tables without rules whose rows end in amounts, as those of invoices do, though what is said of each goes over
several lines that read like running text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.inline import unmarked
from microfiche.documents.tables.text_grid import CLOSE, by_column, first_word, is_value, text_rows
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

AMOUNT = re.compile(r"(?:\d[.,]\d\d|\d[.,][-–—])(?:\s*[^\W\d]{1,3}|\s*[€$£¥₹])?$|^[€$£¥₹]\s*\d")
ALIGNED = 0.6  #: ems between edges that are in line, at most
APART = 3.4  #: ems from one row of a table to the next, at most
ROWS, WRAPPED = 3, 2  #: rows, at least, and how many of them go over several lines
BEGIN = 0.8  #: of the rows that begin as a sentence does, at least


def priced(lines: Sequence[TextLine]) -> list[Box]:
    """The boxes of tables whose rows end in amounts in line, where the text before them goes over several lines."""
    out: list[list[list[TextLine]]] = []
    for row in text_rows(lines):
        if out and _belongs(out[-1], row):
            out[-1].append(row)
        elif _is_priced(row):
            out.append([row])
    return [union(line.box for row in rows for line in row) for rows in map(_whole, out) if _is_table(rows)]


def _is_priced(row: Sequence[TextLine]) -> bool:
    """Whether a row ends in an amount, or in two values, with words before it."""
    texts = [unmarked(line.text).strip() for line in row]
    if len(row) < 2 or not any(c.isalpha() for c in texts[0] + texts[1]) or len(texts[-1]) > 16:
        return False
    values = [bool(re.search(r"\d", text)) and is_value(text) for text in texts[-2:]]
    return (values[1] and AMOUNT.search(texts[-1]) is not None) or (len(row) > 2 and all(values))


def _belongs(rows: Sequence[Sequence[TextLine]], row: Sequence[TextLine]) -> bool:
    """Whether a row is one more of a table, or carries on the text of the last one."""
    last = rows[-1]
    size = max(line.size for line in row)
    step = row[0].middle - last[0].middle
    ends = [line for other in rows if _is_priced(other) for line in other[-1:]]
    if _is_priced(row):
        return step < APART * size and abs(row[-1].box[2] - ends[-1].box[2]) < ALIGNED * size
    starts = [line.box[0] for other in rows if _is_priced(other) for line in other[:-1]]
    return step < CLOSE * size and row[-1].box[2] < min(line.box[0] for line in ends) and all(
        any(abs(line.box[0] - start) < ALIGNED * line.size for start in starts) for line in row
    )


def _whole(rows: list[list[TextLine]]) -> list[list[TextLine]]:
    """The rows without those at the end that stand as far below the last amount as one row below another."""
    priced = [k for k, row in enumerate(rows) if _is_priced(row)]
    steps = [b[0].middle - a[0].middle for a, b in pairwise(rows)]
    inside = [step for k, step in enumerate(steps) if k + 1 not in priced and k < priced[-1]]
    end = priced[-1] + 1
    while end < len(rows) and inside and steps[end - 1] < 1.1 * median(inside):
        end += 1
    return rows[:end]


def _is_table(rows: Sequence[Sequence[TextLine]]) -> bool:
    """Whether rows are those of a table: several amounts, and lines between them that go on in what is said there."""
    priced = [row for row in rows if _is_priced(row)]
    firsts = [next((x for x in row if any(map(str.isalpha, unmarked(x.text)))), row[0]) for row in priced]
    begin = sum(not unmarked(x.text)[:1].islower() for x in firsts)
    if len(priced) < ROWS or begin < BEGIN * len(priced):
        return False
    count = 0
    for above, row in pairwise(rows):
        if not _is_priced(above) or _is_priced(row):
            continue
        words = next((x for x in above[:-1] if any(abs(x.box[0] - y.box[0]) < ALIGNED * y.size for y in row)), None)
        if words is not None:
            right = max(x.box[2] for other in rows for x in other[:-1] or other if x.box[0] < words.box[2])
            count += row[-1].text[:1].islower() or words.box[2] + first_word(row[-1]) > right
    return count >= WRAPPED


def of_values(rows: Sequence[Sequence[TextLine]], columns: Sequence[float]) -> bool:
    """Whether two rows or more each have values of their own in the same two of the columns with these borders, so that
    they are not one."""
    held = [by_column(row, columns) for row in rows]
    return len(rows) > 1 and sum(
        all(k in row and all(is_value(x.text) for x in row[k]) for row in held) for k in range(len(columns) - 1)
    ) >= 2
