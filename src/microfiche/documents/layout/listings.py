"""Code: lines of fixed-pitch type that were set as code, with their line ends, indents and blank lines.

A page that is typewritten from top to bottom is no code, nor is running text in such type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby, pairwise
from statistics import median

from microfiche.documents.inline import unmarked
from microfiche.documents.layout.rows import Row
from microfiche.documents.text_lines import TICKS, TextLine, letters

SYMBOLS = re.compile(r"[{}()\[\]<>=;#$\\_|&*+%@^~`/]")
SYNTAX = re.compile(r"[{}()\[\]<>=;#$\\_|&^~`]")  #: those that receipts and typed letters do not have
ADDRESS = re.compile(r"[({<\[]?[\w.+{},-]+@[\w.-]+[)}>\]]?[.,]?|(?:https?://|www\.)\S+")
CODE = 0.05  #: of the characters of code are symbols, at least
TYPED = 0.9  #: of a page's characters in fixed-pitch type make it a typewritten page
BLANK = 1.6  #: steps from line to line, from which there is a blank line between
APART, PAIRS = 8, 3  #: characters by which two pieces differ that tell a pitch, and such pairs, at least
MOST = 60  #: pieces that are looked at for it
MOST_BLANK = 2  #: blank lines that follow each other, at most


def typewritten(lines: Sequence[TextLine]) -> bool:
    """Whether nearly all of a page is in fixed-pitch type."""
    fixed = sum(len(line.text) for line in lines if line.fixed)
    return fixed >= TYPED * sum(len(line.text) for line in lines)


def listed_rows(rows: Sequence[Row], typed: bool, right: float) -> list[bool]:
    """For each row of a column that ends at `right`, whether it is code; `typed` says that all of the page is in
    fixed-pitch type."""
    out: list[bool] = []
    for fixed, run in groupby(rows, key=lambda row: row.line.fixed):
        its = list(run)
        before = rows[len(out) - 1].line if out else None
        code = fixed and _is_listing(its, typed) and (its[0].line.confidence == 1 or _surely(its))
        if code and len(its) < 3 and (_is_address(its) or (before and _flows(before, its[0].line, right))):
            code = False
        out += [code] * len(its)
    return out


def _is_address(rows: Sequence[Row]) -> bool:
    """Whether rows are addresses of mail or of the web, which are often set in such type."""
    return all(ADDRESS.fullmatch(unmarked(row.line.text).strip()) for row in rows)


def _flows(before: TextLine, line: TextLine, right: float) -> bool:
    """Whether a line of running text goes on in `line`, which happens to be in fixed-pitch type alone."""
    full = before.box[2] > right - 2.5 * before.size
    ends = before.text.endswith((",", " the")) and line.text.rstrip().endswith(".") and " " not in line.text.strip()
    return (
        (full or ends)
        and not before.text.endswith((".", ":"))
        and line.middle - before.middle < 1.6 * before.size
        and abs(line.box[0] - before.box[0]) < 2 * before.size
    )


def _is_listing(rows: Sequence[Row], typed: bool) -> bool:
    lines = [row.line for row in rows]
    text = "".join(unmarked(line.text) for line in lines)
    symbols = len(SYMBOLS.findall(text)) / max(1, len(text.replace(" ", "")))
    if typed:
        return symbols > CODE and len(lines) > 1
    long = sum(letters(line) > 45 for line in lines) > 0.5 * len(lines)
    return not (long and symbols < CODE and len(lines) > 2 and _even(lines))


def _surely(rows: Sequence[Row]) -> bool:
    """Whether rows that were recognised, which may seem to be in fixed-pitch type by chance, are code."""
    text = "".join(row.line.text for row in rows)
    for tick in TICKS:
        text = text.replace(tick, "")
    text = text.replace(" ", "")
    return len(SYNTAX.findall(text)) > CODE * len(text)


def _even(lines: Sequence[TextLine]) -> bool:
    """Whether most lines begin at one place, as those of a paragraph do."""
    left = median(line.box[0] for line in lines)
    return sum(abs(line.box[0] - left) < 0.5 * line.size for line in lines) > 0.6 * len(lines)


def slope(pieces: Sequence[tuple[float, int]], otherwise: float) -> float:
    """The px from one character to the next in pieces of fixed pitch, by their widths and numbers of characters,
    whatever a detector adds at either end of each; `otherwise` where they are too few or too much alike to tell."""
    known = sorted(pieces, key=lambda piece: piece[1])[-MOST:]
    found = [(a - b) / (m - n) for k, (a, m) in enumerate(known) for b, n in known[:k] if m - n >= APART]
    return median(found) if len(found) >= PAIRS else otherwise


def listing(rows: Sequence[Row]) -> str:
    """The code that rows show, as a fenced block of Markdown."""
    lines = [row.line for row in rows]
    left = min(line.box[0] for line in lines)
    pieces = [(piece.box[2] - piece.box[0], len(unmarked(piece.text))) for row in rows for piece in row.pieces]
    wide = [wide / count for wide, count in pieces if count > 3]
    width = median(wide) if wide else 0.6 * lines[0].size
    if lines[0].confidence < 1:
        width = slope(pieces, width)
    steps = sorted(b.middle - a.middle for a, b in pairwise(lines))
    pitch = steps[len(steps) // 4] if steps else lines[0].size
    out: list[str] = []
    for k, row in enumerate(rows):
        if k and pitch > 0 and (step := lines[k].middle - lines[k - 1].middle) > BLANK * pitch:
            out += [""] * min(MOST_BLANK, round(step / pitch) - 1)
        text = ""
        for piece in row.pieces:
            at = round((piece.box[0] - left) / width)
            text += " " * max(at - len(text), 1 if text else 0) + unmarked(piece.text).replace("\u00ad", "-")
        out.append(text)
    longest = max((len(run) for run in re.findall("`+", "\n".join(out))), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence, *out, fence])
