"""Fractions, roots, lines and braces over and under formulas, and matrices: parts that hold rows of their own.

Bars show the first; brackets that grow show the last. What is inside is reduced before what is around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import median

from microfiche.documents.formulas.encodings import BRACES, WIDE_HAT, WIDE_TILDE
from microfiche.documents.formulas.latex import Unsure, written
from microfiche.documents.formulas.parts import Part, letters_of
from microfiche.documents.formulas.structure import divided, rows_of
from microfiche.documents.formulas.symbols import BARS
from microfiche.page import Box

TALLEST = 25.0  #: ems over and under a bar in which its formula stands
LONGEST = 45.0  #: ems: a bar that is longer is no fraction's
NEAR = 0.75  #: ems between a bar and what stands over or under it, at most
STACK = 0.22  #: ems between two parts of one numerator, at most
BEYOND = 0.3  #: ems by which a numerator is wider than its bar, at most
SHORTER = 1.3  #: ems by which both are narrower than it, at most
OVER = 0.5  #: ems between a line and what stands under it, at most
TALL = 1.7  #: ems: brackets around a matrix are higher
COLUMN = 0.55  #: ems between two columns of a matrix, at least
WIDEST = 4.5  #: ems between two columns of a matrix, at most
#: The number of a formula, which stands beside it.
NUMBER = re.compile(r"^\(([A-Z]?\.?\d{1,4}(?:[.-]\d{1,3})*[a-z]?[′']{0,2}|[ivx]{1,4})\)$")
MATRICES = {"()": "pmatrix", "[]": "bmatrix", "{}": "Bmatrix", "||": "vmatrix", "∥∥": "Vmatrix"}


def reduced(parts: Sequence[Part], bars: Sequence[Box]) -> list[Part]:
    """The parts, with those that bars, braces and brackets hold together made one."""
    out = _with_braces(list(parts))
    for bar in sorted(bars, key=lambda bar: bar[2] - bar[0]):
        y = bar[1]
        beside = [p for p in out if p.box[1] < y + TALLEST * p.size and p.box[3] > y - TALLEST * p.size]
        found = _with_root(beside, bar) or _with_fraction(beside, bar) or _with_line(beside, bar)
        if found is not None:
            kept = {id(p) for p in found}
            gone = {id(p) for p in beside} - kept
            out = _exchanged(out, gone, next(p for p in found if not any(p is q for q in beside)))
    for part in [p for p in out if p.role == "wide" and p.sign in (WIDE_HAT, WIDE_TILDE)]:
        out = _with_accent(out, part)
    return with_matrices(out)


def content(parts: Sequence[Part]) -> tuple[str, list[Part]]:
    """The LaTeX of parts that make one row, and the row; Unsure where they do not."""
    rows = rows_of(with_matrices(list(parts)))
    if len(rows) != 1:
        raise Unsure
    return written(rows[0]), rows[0]


def _whole(inside: Sequence[Part], box: Box, latex: str, base: float | None, size: float, sign: str) -> Part:
    """A part that holds others."""
    glyphs = sorted({i for part in inside for i in _glyphs(part)})
    sure = any(part.sure or any(p.sure for p in part.held()) for part in inside)
    italic = any(part.italic and (part.role != "word" or letters_of(part)) for part in inside)
    role = "whole" if latex else "bad"
    return Part(box[0], box[2], box, size, base, latex, role, glyphs, sign, sure, italic)


def _glyphs(part: Part) -> list[int]:
    return part.glyphs + [i for held in part.held() for i in held.glyphs]


def _latex(parts: Sequence[Part], write: Callable[[str], str]) -> tuple[str, list[Part]]:
    """What `write` makes of the LaTeX of parts, "" where that is unsure, and their row."""
    try:
        latex, row = content(parts)
    except Unsure:
        return "", list(parts)
    return write(latex), row


def _around(parts: Sequence[Part], *more: Box) -> Box:
    left, top, right, bottom = zip(*(part.whole() for part in parts), *more, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _side(parts: Sequence[Part], bar: Box, above: bool) -> list[Part]:
    """What stands over or under a bar, within its ends, as far up or down as it hangs together."""
    left, y, right, _ = bar
    found: list[Part] = []
    edge = y
    inside = [
        p for p in parts
        if p.box[0] > left - BEYOND * p.size and p.box[2] < right + BEYOND * p.size and left < p.middle < right
        and (p.box[3] < y + 0.12 * p.size if above else p.box[1] > y - 0.12 * p.size)
    ]
    inside.sort(key=lambda p: -p.box[3] if above else p.box[1])
    for p in inside:
        gap = edge - p.box[3] if above else p.box[1] - edge
        if gap > (STACK if found else NEAR) * p.size:
            break
        found.append(p)
        edge = min(edge, p.box[1]) if above else max(edge, p.box[3])
    return found


def _crossed(parts: Sequence[Part], bar: Box, found: Sequence[Part]) -> bool:
    """Whether anything that is level with what was found goes on beyond an end of the bar."""
    left, _, right, _ = bar
    top, bottom = min(p.box[1] for p in found), max(p.box[3] for p in found)
    for p in parts:
        if p.box[1] < bottom and top < p.box[3] and p not in found:
            reach = 0.1 * p.size
            if p.box[0] < right - reach and p.box[2] > right + 2 * reach:
                return True
            if p.box[0] < left - 2 * reach and p.box[2] > left + reach:
                return True
    return False


def _replaced(parts: Sequence[Part], gone: Sequence[Part], new: Part) -> list[Part]:
    return _exchanged(parts, {id(p) for p in gone}, new)


def _exchanged(parts: Sequence[Part], ids: set[int], new: Part) -> list[Part]:
    at = next(k for k, p in enumerate(parts) if id(p) in ids)
    rest = [p for p in parts if id(p) not in ids]
    return [*rest[:at], new, *rest[at:]]


def _with_fraction(parts: list[Part], bar: Box) -> list[Part] | None:
    over, under = _side(parts, bar, True), _side(parts, bar, False)
    if not over or not under:
        return None
    size = max(p.size for p in (*over, *under))
    width = bar[2] - bar[0]
    spans = [max(p.box[2] for p in side) - min(p.box[0] for p in side) for side in (over, under)]
    if width > LONGEST * size or max(spans) < width - SHORTER * size:
        return None
    if any(_off(side, bar, size) or _crossed(parts, bar, side) or _prose(side) for side in (over, under)):
        return None
    above, first = _latex(over, str)
    below, second = _latex(under, str)
    box = _around([*over, *under], bar)
    box = min(bar[0], box[0]), box[1], max(bar[2], box[2]), box[3]
    latex = f"\\frac{{{above}}}{{{below}}}" if above and below else ""
    new = _whole([*first, *second], box, latex, None, max(p.size for p in (*first, *second)), "/")
    new.bar = bar[1]
    return _replaced(parts, [*over, *under], new)


def _prose(side: Sequence[Part]) -> bool:
    """Whether what stands over or under a bar is plain text: more than three words, or words with marks."""
    words = sum(p.role == "word" and not letters_of(p) for p in side)
    return words > 3 or (words > 0 and any(p.role in ("mark", "bad") for p in side))


def _off(side: Sequence[Part], bar: Box, size: float) -> bool:
    """Whether what stands over or under a bar is not in its middle, or has gaps as the cells of a table have."""
    left, right = min(p.box[0] for p in side), max(p.box[2] for p in side)
    if abs((left + right) - (bar[0] + bar[2])) / 2 > 0.6 * size + 0.02 * (bar[2] - bar[0]):
        return True
    ordered = sorted(side, key=lambda p: p.start)
    return any(len(row) > 1 for row in [divided(ordered, 2.2, 2.2)])


def _with_root(parts: list[Part], bar: Box) -> list[Part] | None:
    left, y, right, _ = bar
    sign = next((
        p for p in parts
        if p.sign == "√" and abs(p.box[2] - left) < 0.35 * p.size and abs(p.box[1] - y) < 0.2 * p.size
    ), None)  # fmt: skip
    if sign is None:
        return None
    inside = [
        p for p in parts
        if p is not sign and left - 1 < p.middle < right + 1 and p.box[1] > y - 1
        and p.box[3] < sign.box[3] + 0.6 * sign.size and p.box[2] < right + 0.35 * p.size
    ]
    if not inside:
        return None
    size = max(p.size for p in inside)
    degree = [
        p for p in parts
        if p.size < 0.8 * size and p.box[2] < sign.box[0] + 0.75 * (sign.box[2] - sign.box[0])
        and p.box[0] > sign.box[0] - 0.5 * size and sign.box[1] - 0.4 * size < p.box[3] < sign.box[3] - 0.3 * size
        and p.role in ("digit", "letter")
    ]
    number = "".join(p.latex for p in degree)
    latex, row = _latex(inside, lambda held: f"\\sqrt[{number}]{{{held}}}" if number else f"\\sqrt{{{held}}}")
    base = next((p.base for p in row if p.base is not None), None)
    box = _around([*inside, sign, *degree], (left, y, right, y))
    new = _whole([*row, sign, *degree], box, latex, base, size, "√")
    new.sure = True
    return _replaced(parts, [*inside, sign, *degree], new)


def _with_line(parts: list[Part], bar: Box) -> list[Part] | None:
    """A line over a formula."""
    under = _side(parts, bar, False)
    if not under or any(p.role == "word" for p in under):
        return None
    size = max(p.size for p in under)
    left, top, right, _ = _around(under)
    fits = abs(left - bar[0]) < 0.25 * size and abs(right - bar[2]) < 0.25 * size and top - bar[1] < OVER * size
    if not fits or not any(p.sure or (p.italic and p.role == "letter") for p in under) or _crossed(parts, bar, under):
        return None
    latex, row = _latex(under, lambda held: f"\\overline{{{held}}}")
    base = next((p.base for p in row if p.base is not None), None)
    return _replaced(parts, under, _whole(row, _around(under, bar), latex, base, size, "‾"))


def _with_accent(parts: list[Part], accent: Part) -> list[Part]:
    """A hat or a tilde over several letters."""
    y = accent.box[3]
    under = [p for p in _side(parts, (accent.box[0], y, accent.box[2], y), False) if p is not accent]
    name = "widehat" if accent.sign == WIDE_HAT else "widetilde"
    latex, row = _latex(under, lambda held: f"\\{name}{{{held}}}") if under else ("", [])
    base = next((p.base for p in row if p.base is not None), None)
    size = max((p.size for p in under), default=accent.size)
    box = _around(under, accent.box) if under else accent.box
    return _replaced(parts, [accent, *under], _whole([*row, accent], box, latex, base, size, accent.sign))


def _with_braces(parts: list[Part]) -> list[Part]:
    """The parts, with what braces over or under them hold made one, the label of the brace included."""
    pieces = [p for p in parts if p.sign and p.sign in BRACES]
    for k in range(0, len(pieces) - 3, 4):
        four = pieces[k : k + 4]
        name = {"╭╯╰╮": "overbrace", "╰╮╭╯": "underbrace"}.get("".join(p.sign for p in four))
        if name is None:
            continue
        left, top, right, bottom = _around(four)
        above = name == "underbrace"
        rest = [p for p in parts if p not in four]
        held = _side(rest, (left, top if above else bottom, right, 0.0), above)
        beyond = right - left  # a label may be wider than its brace
        label = [
            p for p in _side(rest, (left - beyond, bottom if above else top, right + beyond, 0.0), not above)
            if p.size < 0.9 * max((q.size for q in held), default=0.0)
        ]
        if not held:
            continue
        said = _latex(label, str)[0] if label else ""
        mark = f"{'_' if above else '^'}{{{said}}}" if label else ""
        latex, row = _latex(held, lambda inside, mark=mark, name=name: f"\\{name}{{{inside}}}{mark}")  # type: ignore[misc]
        base = next((p.base for p in row if p.base is not None), None)
        box = _around([*held, *four, *label])
        size = max(p.size for p in held)
        new = _whole([*row, *four, *label], box, latex if said or not label else "", base, size, name)
        new.sure = True
        parts = _replaced(parts, [*held, *four, *label], new)
    return parts


def with_matrices(parts: list[Part]) -> list[Part]:
    """The parts, with several rows between brackets that grow made one matrix, and those after a brace one of cases."""
    tall = [p for p in parts if p.base is None and p.height > TALL * p.size and (p.role == "open" or p.sign in BARS)]
    for opening in sorted(tall, key=lambda p: (p.height, -p.start)):
        if not any(p is opening for p in parts):
            continue
        _, top, _, bottom = opening.box
        level = [
            p for p in parts
            if p is not opening and p.start > opening.middle and p.box[3] < bottom + 0.5 * opening.size
            and p.box[1] > top - 0.5 * opening.size
        ]
        closing = min((
            p for p in level
            if (p.role == "close" or p.sign == opening.sign) and p.base is None
            and abs(p.box[1] - top) < 0.2 * opening.size and abs(p.box[3] - bottom) < 0.2 * opening.size
        ), key=lambda p: p.start, default=None)  # fmt: skip
        if closing is not None:
            inside = [p for p in level if p.middle < closing.box[0] + 1 and p is not closing]
            name = MATRICES.get(opening.sign + closing.sign, "")
        else:
            inside = _cases(level, opening)
            name = "cases" if opening.sign == "{" else ""
        rows = rows_of(inside) if len(inside) > 1 else []
        if name == "cases":
            numbers = [p for row in rows if NUMBER.match("".join(p.sign for p in row)) for p in row]
            rows = [row for row in rows if row[0] not in numbers]
            inside = [p for p in inside if p not in numbers]
        if len(rows) < 2:
            for row in rows:
                for part in row:  # what was put together belongs to the formula around it
                    _scatter(part)
            continue
        latex = _matrix(rows, name) if name else ""
        ends = [opening, closing] if closing is not None else [opening]
        held = [p for row in rows for p in row]
        size = max(p.size for p in held)
        new = _whole([*held, *ends], _around([*held, *ends]), latex, None, size, "matrix")
        new.box = new.box[0], top, new.box[2], bottom
        new.sure = True
        parts = _replaced(parts, [*inside, *ends], new)
    return parts


def _scatter(part: Part) -> None:
    for held in (part.raised, part.lowered, part.over, part.under):
        for inner in held:
            _scatter(inner)
        held.clear()


def _cases(level: Sequence[Part], opening: Part) -> list[Part]:
    """What stands to the right of a brace, up to a gap that goes through all rows."""
    out: list[Part] = []
    reach = opening.box[2]
    for p in sorted(level, key=lambda p: p.box[0]):
        if p.box[0] - reach > WIDEST * opening.size:
            break
        out.append(p)
        reach = max(reach, p.box[2])
    return out


def _dotted(row: Sequence[Part]) -> bool:
    """Whether a row is dots alone."""
    return len(row) > 2 and all(p.sign and p.sign in ".…⋯" for p in row)


def _matrix(rows: Sequence[Sequence[Part]], name: str) -> str:
    """The LaTeX of a matrix; "" where that is unsure."""
    size = median(p.size for row in rows for p in row)
    if any(all(p.role == "mark" for p in row) and not _dotted(row) for row in rows):
        return ""
    spans = sorted((p.whole()[0], p.whole()[2]) for row in rows if not _dotted(row) for p in row)
    if not spans:
        return ""
    borders: list[float] = []
    reach = spans[0][1]
    for left, right in spans[1:]:
        if left - reach > COLUMN * size:
            borders.append((left + reach) / 2)
        reach = max(reach, right)
    if name == "cases":
        borders = borders[:1]
    lines = []
    for row in rows:
        if _dotted(row):
            lines.append(" & ".join(["\\dots"] * (len(borders) + 1)))
            continue
        cells: list[list[Part]] = [[] for _ in range(len(borders) + 1)]
        for part in row:
            cells[sum(part.middle > border for border in borders)].append(part)
        try:
            lines.append(" & ".join(written(cell) if cell else "" for cell in cells))
        except Unsure:
            return ""
    inside = " \\\\ ".join(lines)
    return f"\\begin{{{name}}} {inside} \\end{{{name}}}"
