"""Tables of contents without leaders: nothing but paper stands between a title and its page, which are one line.

Known by a head that says so or by the numbers of parts and chapters, and by pages that count up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.inline import unmarked
from microfiche.documents.layout.gaps import ENTRY
from microfiche.documents.tables.text_grid import text_rows
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

CONTENTS = re.compile(
    r"(?:table of )?contents(?: \(continued\))?|in this issue|inhalt(?:sverzeichnis|sübersicht)?|table des matières"
    r"|sommaire|[íi]ndice(?: generale?)?|sum[áa]rio|sommario|inhoud(?:sopgave)?|innehåll(?:sförteckning)?|innhold"
    r"|indhold|sisällys|spis treści|obsah|содержание|оглавление|目\s*[录錄次]|차례|목차",
    re.IGNORECASE,
)  #: what stands over a table of contents
PAGE = re.compile(r"\d{1,4}|[ivxlc]{1,6}")
NUMBER = re.compile(r"(?:[A-Z]|\d{1,2})(?:\.\d{1,2})*\.?(?=\s|$)")  #: of a chapter or a part
PART = re.compile(r"(?:[A-Z]|\d{1,2})(?:\.\d{1,2})+\.?(?=\s|$)")  #: of a part of a chapter
ENTRIES, NUMBERED = 4, 0.5  #: entries, at least, and the share of them that have numbers where no head tells
EDGE = 0.6  #: ems by which pages end or begin apart, at most
BETWEEN, APART = 3, 6.0  #: rows without a page from one entry to the next, and ems between rows, at most
DOTS = re.compile(r"(?:[.·]\s?){3,}$|…\s?$")  #: behind a title
HEAD = 2.5  #: steps from entry to entry, from which on the first is the running head of the page
WIDE = 1.5  #: ems between most titles and their pages, at least
LONGEST = 100  #: letters of a title, at most
VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def with_entries(lines: Sequence[TextLine], rules: Sequence[Box] = ()) -> list[TextLine]:
    """The lines, with each title and its page on the right made one line ("title … page"), where they are entries of a
    table of contents in which no dots lead there and which no upright rule parts."""
    if any(ENTRY.search(unmarked(line.text)) for line in lines):
        return list(lines)
    uprights = [rule for rule in rules if rule[0] == rule[2]]
    rows = text_rows(lines)
    head = next((x.middle for x, *others in rows if not others and CONTENTS.fullmatch(_plain(x).rstrip(":"))), None)
    joined: dict[int, TextLine] = {}
    gone: set[int] = set()
    for run in map(_without_head, _runs(rows)):
        box = union(line.box for row in run for line in row)
        parted = any(box[0] < x < box[2] and top < box[3] and box[1] < bottom for x, top, _, bottom in uprights)
        if not parted and _counts(run) and (_told(head, run) or _numbered(run)):
            for row in run:
                *title, page = row
                said = " ".join(line.text for line in title)
                text = f"{said} {page.text}" if DOTS.search(unmarked(said)) else f"{said} … {page.text}"
                joined[id(row[0])] = replace(row[0], text=text, box=union(line.box for line in row), gaps=())
                gone |= {id(line) for line in row[1:]}
    return [joined.get(id(line), line) for line in lines if id(line) not in gone]


def _plain(line: TextLine) -> str:
    return unmarked(line.text).strip()


def _is_entry(row: Sequence[TextLine]) -> bool:
    """Whether a row is a title, with its number before it, perhaps, and a page."""
    *title, page = row
    text = " ".join(map(_plain, title))
    return (
        1 <= len(title) <= 3 and PAGE.fullmatch(_plain(page)) is not None and len(text) <= LONGEST
        and sum(c.isalpha() for c in text) > 1 and all(NUMBER.fullmatch(_plain(line)) for line in title[:-1])
    )


def _runs(rows: Sequence[Sequence[TextLine]]) -> list[list[Sequence[TextLine]]]:
    """The entries in runs whose pages stand under one another, with few other rows between them."""
    out: list[list[Sequence[TextLine]]] = []
    last = 0
    for k, row in enumerate(rows):
        if not _is_entry(row):
            continue
        page, size = row[-1], row[-1].size
        above = out[-1][-1][-1] if out else None
        if (
            above is not None and k - last <= BETWEEN and page.middle - rows[k - 1][0].middle < APART * size
            and min(abs(page.box[side] - above.box[side]) for side in (0, 2)) < EDGE * size
            and all(len(other) == 1 for other in rows[last + 1 : k])
        ):
            out[-1].append(row)
        else:
            out.append([row])
        last = k
    return out


def _without_head(run: list[Sequence[TextLine]]) -> list[Sequence[TextLine]]:
    """A run without its first row, where that stands far above the others, as a running head with its page does."""
    steps = [b[0].middle - a[0].middle for a, b in pairwise(run)]
    return run[1:] if len(steps) > 1 and steps[0] > HEAD * median(steps[1:]) else run


def _counts(run: Sequence[Sequence[TextLine]]) -> bool:
    """Whether the pages of a run count up, with paper between most of them and their titles."""
    pages = [_number(_plain(row[-1])) for row in run]
    gaps = [(row[-1].box[0] - row[-2].box[2]) / row[-1].size for row in run]
    return (
        len(run) >= ENTRIES and median(gaps) > WIDE and pages[0] < pages[-1]
        and all(a <= b for a, b in pairwise(pages))
    )


def _number(text: str) -> tuple[bool, int]:
    """The page, those in Roman figures before all others."""
    if text.isdigit():
        return True, int(text)
    values = [VALUES[c] for c in text]
    return False, sum(-a if a < b else a for a, b in pairwise([*values, 0]))


def _told(head: float | None, run: Sequence[Sequence[TextLine]]) -> bool:
    return head is not None and head < run[0][0].middle


def _numbered(run: Sequence[Sequence[TextLine]]) -> bool:
    """Whether most titles have the numbers of chapters, and some those of parts of them."""
    titles = [" ".join(map(_plain, row[:-1])) for row in run]
    return (
        sum(bool(NUMBER.match(title)) for title in titles) >= NUMBERED * len(titles)
        and sum(bool(PART.match(title)) for title in titles) > 1
    )
