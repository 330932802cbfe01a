"""How the parts of a formula stand to each other: limits over and under large signs, scripts beside what they belong
to, and the rows that remain.

Sizes and baselines are those that the text layer gives, so that nothing has to be guessed from ink alone. After
R. Zanibbi, D. Blostein, J. R. Cordy, Recognizing mathematical expressions using tree transformation (2002).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from microfiche.documents.formulas.parts import AXIS, Part
from microfiche.documents.formulas.symbols import UNDER

SMALLER = 0.92  #: the size of a script over that of what it belongs to, at most
RISE = 0.14, 0.95  #: ems by which a superscript is raised, at least and at most
FALL = 0.05, 0.62  #: the same of a subscript
RAISED_AXIS = 0.25, 1.1  #: ems by which a fraction in an exponent is raised
BESIDE = 0.34  #: ems between a script and what it belongs to, at most
RUN = 0.45  #: ems between two parts of one script, at most
STACK = 0.62  #: ems between a large sign and its limits, at most
CENTRE = 0.35  #: ems by which the middles of a large sign and its limit differ, at most
SAME_ROW = 0.12  #: ems by which the baselines of one row differ, at most
SAME_AXIS = 0.3  #: ems by which what stands about the axis lies off it, at most
TALL = 1.3  #: ems: what is higher has its scripts at its ends
NO_SCRIPTS = ("relation", "binary", "mark", "open", "bad", "wide")
LONGEST = 60.0  #: ems of the scripts of one letter, at most
REACH = 2.2  #: ems up and down in which the holder of a script is looked for


def rows_of(parts: Sequence[Part]) -> list[list[Part]]:
    """The rows that parts make, each from the left, when limits and scripts stand with what they belong to."""
    free = _without_limits(list(parts))
    free = _without_scripts(free, parts)
    return _clusters(free)


def _without_limits(parts: list[Part]) -> list[Part]:
    """The parts, without those that stand over or under large signs, functions and relations, to which they go."""
    holders = [
        m for m in parts if m.role in ("large", "relation") or (m.role in ("function", "word") and m.sign in UNDER)
    ]
    if not holders:
        return parts
    held: set[int] = set()
    dividers = [m.glyphs[0] for m in holders if m.role != "relation" and m.glyphs]
    runs = _runs([p for p in parts if p.role not in ("large", "bad")], dividers)
    for m in holders:
        for run in runs:
            if abs(run[0].axis - m.axis) > m.height + 2 * m.size or id(run[0]) in held or any(p is m for p in run):
                continue
            left, right = min(p.box[0] for p in run), max(p.box[2] for p in run)
            small = max(p.size for p in run) <= SMALLER * m.size
            if not small or abs((left + right) / 2 - m.middle) > max(CENTRE * m.size, 0.12 * (right - left)):
                continue
            if m.role == "relation" and (right - left > 5 * m.size or right < m.box[0] or left > m.box[2]):
                continue
            top, bottom = min(p.box[1] for p in run), max(p.box[3] for p in run)
            if -0.15 * m.size < m.box[1] - bottom < STACK * m.size:
                m.over += run
            elif -0.15 * m.size < top - m.box[3] < STACK * m.size and m.role != "relation":
                m.under += run
            else:
                continue
            held.update(map(id, run))
    return [p for p in parts if id(p) not in held]


def _runs(parts: Sequence[Part], dividers: list[int]) -> list[list[Part]]:
    """The parts in runs on one baseline; what was drawn before and after one of the `dividers` is not in one run."""
    out: list[list[Part]] = []
    marks = sorted(dividers)
    level = sorted((p for p in parts if p.base is not None), key=lambda p: p.base or 0.0)
    rows: list[list[Part]] = []
    for p in level:
        if rows and (p.base or 0.0) - (rows[-1][-1].base or 0.0) < 0.03 * p.size:
            rows[-1].append(p)
        else:
            rows.append([p])
    for p in [p for row in rows for p in sorted(row, key=lambda p: p.start)]:
        q = out[-1][-1] if out else None
        if q is not None and q.base is not None and p.base is not None and q.glyphs and p.glyphs:
            low, high = sorted((q.glyphs[-1], p.glyphs[0]))
            near = abs(p.base - q.base) < 0.1 * p.size and -0.3 * p.size < p.start - q.end < 2 * RUN * p.size
            if near and abs(p.size - q.size) < 0.1 * p.size and bisect_left(marks, low) == bisect_right(marks, high):
                out[-1].append(p)
                continue
        out.append([p])
    return out


def _without_scripts(free: list[Part], parts: Sequence[Part]) -> list[Part]:
    """The parts that are no scripts of others; each script goes to what it stands beside, of all `parts`."""
    if len({round(p.size, 1) for p in parts}) < 2 and len({round(p.axis, 0) for p in parts}) < 2:
        return free
    order = sorted(parts, key=lambda p: p.axis)
    places = [p.axis for p in order]
    most = max(p.size for p in parts)
    out: list[Part] = []
    for e in sorted(free, key=lambda p: p.start):
        low = bisect_left(places, e.axis - REACH * most)
        high = bisect_right(places, e.axis + REACH * most)
        best: tuple[float, float] | None = None
        into: list[Part] | None = None
        for m in order[low:high]:
            if m.start > e.start + 0.1 * e.size or m is e or e.start - m.end > LONGEST * m.size or m.role in NO_SCRIPTS:
                continue
            if m.size * SMALLER < e.size and not _in_smallest_type(m, e):
                continue
            group = _group(m, e)
            if group is None:
                continue
            gap = (e.start - max([m.end, *(p.whole()[2] for p in group)])) / m.size
            if gap > (RUN if group else BESIDE) or (not group and e.middle < m.middle):
                continue
            if not group and gap < (-0.9 if m.role == "large" else -0.45):
                continue
            if best is None or (m.size, abs(gap)) < best:
                best, into = (m.size, abs(gap)), group
        if into is None:
            out.append(e)
        else:
            into.append(e)
    return out


def _in_smallest_type(m: Part, e: Part) -> bool:
    """Whether `e` may be an index of the letter `m` though it is no smaller, as in an index of an index."""
    if m.base is None or e.base is None or not m.italic or m.role != "letter" or e.role not in ("letter", "digit"):
        return False
    rise, gap = abs(m.base - e.base) / m.size, (e.start - m.end) / m.size
    return e.size < 1.02 * m.size and 0.1 < rise < 0.55 and -0.1 < gap < 0.15


def _group(m: Part, e: Part) -> list[Part] | None:
    """The scripts of `m` among which `e` stands by its height; None if it is no script of it."""
    if m.base is None or m.height > TALL * m.size:
        middle = (m.box[1] + m.box[3]) / 2
        centre = (e.box[1] + e.box[3]) / 2
        if centre < middle - 0.2 * m.height and e.box[3] > m.box[1] - 0.45 * m.size:
            return m.raised
        if centre > middle + 0.2 * m.height and e.box[1] < m.box[3] + 0.45 * m.size:
            return m.lowered
        return None
    if e.base is None:
        rise = (m.axis - e.axis) / m.size
        fits = m.role != "word" and e.size < 0.8 * m.size and RAISED_AXIS[0] < rise < RAISED_AXIS[1]
        return m.raised if fits else None
    rise = (m.base - e.base) / m.size
    if RISE[0] <= rise <= RISE[1]:
        return m.raised
    return m.lowered if FALL[0] <= -rise <= FALL[1] else None


def _clusters(parts: Sequence[Part]) -> list[list[Part]]:
    """The parts in rows from the top, each from the left."""
    rows: list[list[Part]] = []
    bases: list[float] = []
    for p in sorted((p for p in parts if p.base is not None), key=lambda p: p.base or 0.0):
        assert p.base is not None
        if rows and p.base - bases[-1] <= SAME_ROW * max(p.size, rows[-1][0].size):
            rows[-1].append(p)
        else:
            rows.append([p])
            bases.append(p.base)
    axes = [base - AXIS * _size(row) for base, row in zip(bases, rows, strict=True)]
    for p in sorted((p for p in parts if p.base is None), key=lambda p: p.axis):
        near = [
            (_distance(p, row), k) for k, row in enumerate(rows)
            if abs(axes[k] - p.axis) < SAME_AXIS * max(_size(row), 0.7 * p.size)
        ]
        near = [(gap, k) for gap, k in near if gap < 6 * p.size]
        if near:
            rows[min(near)[1]].append(p)
        else:
            rows.append([p])
            axes.append(p.axis)
    order = sorted(range(len(rows)), key=lambda k: axes[k])
    return [sorted(rows[k], key=lambda p: p.start) for k in order]


def _size(row: Sequence[Part]) -> float:
    """The size of a row's type, px."""
    based = [p.size for p in row if p.base is not None] or [p.size for p in row]
    return max(based)


def _distance(p: Part, row: Sequence[Part]) -> float:
    return min(max(q.start - p.end, p.start - q.end, 0.0) for q in row)


def divided(row: Sequence[Part], gap: float, apart: float) -> list[list[Part]]:
    """A row in pieces: cut at gaps of more than `gap` ems, and at those of more than `apart` ems between parts that
    were not drawn one after the other."""
    out = [[row[0]]]
    reach = row[0].end
    for a, b in pairwise(row):
        wide = (b.start - max(reach, a.whole()[2])) / max(_size([a]), _size([b]))
        last = max([*a.glyphs, *(i for part in a.held() for i in part.glyphs)], default=-2)
        first = min([*b.glyphs, *(i for part in b.held() for i in part.glyphs)], default=-9)
        if wide > gap or (wide > apart and not 0 < first - last < 3):
            out.append([])
            reach = b.end
        out[-1].append(b)
        reach = max(reach, b.whole()[2])
    return out
