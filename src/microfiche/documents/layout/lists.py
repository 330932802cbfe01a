"""Lists: the marks that items begin with, which lines begin an item, and the Markdown of a list by its indents.

A mark alone makes no item: a paragraph may begin with a dash, a year or an initial. Signs that mark nothing else do;
others must have a neighbour of their kind, or text that hangs in behind them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from microfiche.documents.layout.rows import Row
from microfiche.documents.text_lines import TextLine, letters

SIGNS = "•◦▪‣●○■□∙►▶▸➢➤➔→✓✔✗☐☑☒◆◇★⁃\uf0b7\uf0a7"  #: begin an item wherever they begin a line
SAYING = "►▶▸➢➤➔→✓✔✗◆◇★"  #: those that say something where they stand alone, as between the steps of a drawing
DASHES = "-–—*·+o§"  #: may begin an item
MARK = re.compile(
    rf"^(?:([{re.escape(SIGNS)}])(?![●○])\s*|(?!§\s*\d)([{re.escape(DASHES)}])\s+|(\d{{1,3}}(?:\.\d{{1,3}}){{1,4}})\.?\s+"
    r"|([(\[]?)(\d{1,3}|[a-zA-Z]|[ivxlc]{2,6}|[IVXLC]{2,6})([.)\]])(?:\s+|$))(?=\S|$)"
)
ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
SHORT = 25  #: letters: a line that is shorter is no full line of running text
SAME = 0.7  #: ems that the marks of one level differ at most in where they begin


@dataclass(frozen=True)
class Marker:
    """The mark of an item: `text` as it stands, `style` (what marks of one list have in common), the `values` that it
    may stand for ("i" is the first of Roman numbers and the ninth letter), and the `length` of what is no text of the
    item. Where it begins a paragraph that is no item, `listed` is false."""

    text: str
    style: str
    values: tuple[int, ...]
    length: int
    listed: bool = True


def marker_of(text: str) -> Marker | None:
    """The mark that a text begins with."""
    match = MARK.match(text)
    if not match:
        return None
    sign, dash, levels, bracket, number, end = match.groups()
    if sign or dash:
        return Marker(sign or dash, sign or dash, (), match.end())
    if levels:
        parts = levels.split(".")
        return Marker(levels, f"levels {'.'.join(parts[:-1])}", (int(parts[-1]),), match.end())
    if number.isdigit():
        values: tuple[int, ...] = (int(number),)
        kind = "number"
    else:
        kind = "small" if number.islower() else "large"
        values = (ord(number.lower()) - 96,) if len(number) == 1 else ()
        if all(c in ROMAN for c in number.lower()):
            values += (roman(number.lower()),)
    return Marker(f"{bracket}{number}{end}", f"{bracket}{kind}{end}", values, match.end())


def roman(number: str) -> int:
    """The value of a Roman number in small letters of ROMAN."""
    total, largest = 0, 0
    for c in reversed(number):
        value = ROMAN[c]
        total += value if value >= largest else -value
        largest = max(largest, value)
    return total


def markers(column: Sequence[Row]) -> list[Marker | None]:
    """For each row of a column, from the top, the mark that makes it the beginning of an item or of a paragraph."""
    found = [marker_of(row.line.text) for row in column]
    level = [_numbered(i, column, found) for i in range(len(column))]
    return [
        mark and (replace(mark, listed=False) if level[i] else mark if _begins_item(i, column, found) else None)
        for i, mark in enumerate(found)
    ]


def _numbered(i: int, column: Sequence[Row], found: Sequence[Marker | None]) -> bool:
    """Whether row `i` begins a numbered paragraph, or speech: its further lines, or those of one like it, begin further
    out."""
    mark, line = found[i], column[i].line
    if mark is None or not (mark.values or mark.text in "–—"):
        return False
    return any(
        other and other.style == mark.style and _comes_back(k, column, found)
        and abs(column[k].line.box[0] - line.box[0]) < 0.25 * line.size
        for k, other in enumerate(found)
    )


def _begins_item(i: int, column: Sequence[Row], found: Sequence[Marker | None]) -> bool:
    mark, line = found[i], column[i].line
    assert mark is not None
    if mark.style in SIGNS:
        return mark.style not in SAYING or mark.length < len(line.text)
    same = [
        (k, other) for k, other in enumerate(found)
        if other and k != i and other.style == mark.style
        and abs(column[k].line.box[0] - line.box[0]) < SAME * line.size
    ]
    flows = i > 0 and _flows(column[i - 1], column[i], column)
    hangs = i + 1 < len(column) and found[i + 1] is None and _hangs(column[i], column[i + 1])
    if not mark.values:
        return (bool(same) and not flows) or hangs
    near = [other for _, other in same if any(abs(a - b) == 1 for a in other.values for b in mark.values)]
    if near:
        return not flows or any(k < i for k, other in same if other in near)
    if mark.style.startswith(("large", "levels")):
        return mark.style.startswith("levels") and hangs and not line.bold and _is_full(line, column)
    return not flows and (hangs or 1 in mark.values or mark.style == "number.")


def _comes_back(i: int, column: Sequence[Row], found: Sequence[Marker | None]) -> bool:
    """Whether the line below row `i`, close to it, begins further out, as the first line of a paragraph alone is
    indented."""
    if i + 1 == len(column) or found[i + 1] is not None:
        return False
    a, b = column[i].line, column[i + 1].line
    return b.box[0] < a.box[0] - 0.5 * a.size and b.middle - a.middle < 1.6 * a.size


def _is_full(line: TextLine, column: Sequence[Row]) -> bool:
    """Whether a line ends where the longest of its column do."""
    return line.box[2] > max(r.line.box[2] for r in column) - 2.5 * line.size and letters(line) > SHORT


def _flows(before: Row, row: Row, column: Sequence[Row]) -> bool:
    """Whether the line before goes on in `row`: it is full, ends no sentence, and stands close above."""
    a, b = before.line, row.line
    return (
        _is_full(a, column)
        and not a.text.endswith((".", ":", "!", "?", ";", "。"))
        and b.middle - a.middle < 1.6 * b.size
        and -3 * b.size < b.box[0] - a.box[0] < 0.3 * b.size
    )


def _hangs(row: Row, after: Row) -> bool:
    """Whether the line after the first of an item begins where its text begins."""
    a, b = row.line, after.line
    return 0.5 * a.size < b.box[0] - a.box[0] < 4 * a.size and b.middle - a.middle < 1.8 * a.size


def list_text(items: Sequence[tuple[Marker, float, str]], size: float) -> str:
    """The Markdown of a list from its items: each one's mark, where it begins (px), and its text as Markdown, in type
    of `size` px. An item is indented as far as the text of the one that it belongs to."""
    levels: list[tuple[float, int]] = []  # of the items around this one: where each begins, and the indent of its text
    out = []
    for mark, left, text in items:
        while levels and left < levels[-1][0] - SAME * size:
            levels.pop()
        if levels and abs(left - levels[-1][0]) <= SAME * size:
            levels.pop()
        indent = levels[-1][1] if levels else 0
        shown = shown_mark(mark)
        first, *rest = text.lstrip(" ").split("\n")
        out.append(f"{' ' * indent}{shown} {first}".rstrip())
        indent += 2 if shown.startswith("-") else 3
        out += [" " * indent + line for line in rest]
        levels.append((left, indent))
    return "\n".join(out)


def shown_mark(mark: Marker) -> str:
    """A mark as Markdown writes it: a dash for a sign, numbers as they are, and other marks after a dash."""
    if not mark.values:
        return "-" if mark.text not in "☐☑☒" else {"☐": "- [ ]"}.get(mark.text, "- [x]")
    return mark.text if re.fullmatch(r"\d+[.)]", mark.text) else f"- {mark.text}"
