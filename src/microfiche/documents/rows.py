"""Pieces of text that stand in one row: which of them are read together, and which belong to columns of their own.

Between two pieces beside each other lies a gap, which goes up and down as far as no line crosses it. Where both of its
sides are running text, they are columns. Where what stands on both sides goes together row by row (a label and its
value, a year and what happened then), the pieces are joined.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import share, union
from microfiche.documents.inline import unmarked
from microfiche.documents.text_lines import Region, TextLine
from microfiche.page import Box

LEVEL = 0.3  #: ems that the middles of two pieces of one row differ at most
WIDEST_SPACE = 2.6  #: ems between two words of a justified line, at most
NEAR = 8.0  #: ems that lines of one column begin apart, at most
BLANK = 2.5  #: ems without a line that end a gap
PROSE = 18  #: characters of a line of running text, at least; a letter as wide as it is high counts twice
WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
LEADER = re.compile(r"(\.\s?){5,}|…{2,}|_{4,}")
VALUE = re.compile(r"[\d£$€¥%]")
CAP = re.compile(r"^[\"'“„«‘]?[^\W\d_]$")  #: a letter at the beginning of a chapter, over several lines
WORD = re.compile(r"\w+")
ONSET = re.compile(r"([bcdfghjklmnprstvwyz]|[bcfgps]l|[bcdfgpt]r|[cstpw]h|s[cklmnpqtw]|tw|qu)[aeiouy]")
BEGIN_A = re.compile(r"a(bout|bove|gain|head|long|lone|lso|mid|mong|part|round|side|way|merica|sia)$")
AFTER_I = re.compile(r"(am|was|have|had|do|did|will|would|can|could|must|may|never|first|once|always|know|saw|went)$")


@dataclass(frozen=True)
class Row:
    """What is read as one line: `line`, and the `pieces` from the left that it was joined from."""

    line: TextLine
    pieces: tuple[TextLine, ...]

    @property
    def tail(self) -> Box:
        """The box of the last piece, below which the row may go on."""
        return self.pieces[-1].box


@dataclass
class _Gap:
    """The strip between two pieces of a row, and the lines to its `left` and its `right`; `pairs` stand in one row.
    `ends` are the lines of like type that cross it at its two ends, `others` those of smaller type
    that stand below on either side."""

    left: list[TextLine]
    right: list[TextLine]
    pairs: list[tuple[TextLine, TextLine]] = field(default_factory=list)
    ends: list[TextLine] = field(default_factory=list)
    others: tuple[list[TextLine], list[TextLine]] = field(default_factory=lambda: ([], []))


def rows(lines: Sequence[TextLine]) -> list[Row]:
    """The lines from the top, with those joined that are read across."""
    placed: list[TextLine] = []
    joined = list(lines)
    while len(joined) != len(placed):  # what was joined may frame what lies above and below it
        placed = sorted(joined, key=lambda line: (line.middle, line.box[0]))
        joined = [_joined(pieces) for pieces in _chains(placed, _river)]
    return [Row(_joined(pieces), tuple(pieces)) for pieces in _chains(placed, _together)]


def _chains(placed: Sequence[TextLine], test: Callable[[_Gap], bool]) -> list[list[TextLine]]:
    """The lines, from the top, in groups of those between which, in one row, the gap passes `test`."""
    after: dict[int, TextLine] = {}
    known: set[int] = set()
    taken: set[int] = set()
    beside = _neighbours(placed)
    for k, line in enumerate(placed):
        if id(line) in beside and id(line) not in known:
            gap = _gap(k, placed, beside)
            together = test(gap)
            for x, y in gap.pairs:
                if id(x) not in known:
                    known.add(id(x))
                    if together and id(y) not in taken:
                        taken.add(id(y))
                        after[id(x)] = y
    found = []
    for line in placed:
        if id(line) not in taken:
            found.append([line])
            while id(found[-1][-1]) in after:
                found[-1].append(after[id(found[-1][-1])])
    return found


def _joined(pieces: Sequence[TextLine]) -> TextLine:
    if len(pieces) == 1:
        return pieces[0]
    count = sum(len(piece.text) for piece in pieces)
    return replace(
        pieces[0],
        text=" ".join(piece.text for piece in pieces),
        box=union([piece.box for piece in pieces]),
        size=median(piece.size for piece in pieces),
        bold=all(piece.bold for piece in pieces),
        fixed=all(piece.fixed for piece in pieces),
        confidence=sum(piece.confidence * len(piece.text) for piece in pieces) / max(1, count),
    )


def _neighbours(placed: Sequence[TextLine]) -> dict[int, TextLine]:
    """For each line (by its id) that has others to its right in the same row, the next of them."""
    found = {}
    for k, line in enumerate(placed):
        reach, middle = LEVEL * line.size, line.middle
        level = []
        for step in (1, -1):
            i = k + step
            while 0 <= i < len(placed):
                other = placed[i]
                if abs(other.middle - middle) > max(reach, LEVEL * other.size):
                    break
                if other.box[0] >= line.box[2] - reach and other.box[0] > line.box[0]:
                    level.append(other)
                i += step
        if level:
            found[id(line)] = min(level, key=lambda other: other.box[0])
    return found


def _gap(start: int, placed: Sequence[TextLine], beside: Mapping[int, TextLine]) -> _Gap:
    """The gap between the line numbered `start` and the one beside it, as far up and down as no line crosses it."""
    a = placed[start]
    b = beside[id(a)]
    gap = _Gap([a], [b])
    widths = [[a.box[0], a.box[2]], [b.box[0], b.box[2]]]  # of what stands on either side
    for step in (1, -1):
        low, high = a.box[2], b.box[0]
        end = a.middle
        i = start + step
        while 0 <= i < len(placed):
            line = placed[i]
            i += step
            if line is b:
                continue
            if abs(line.middle - end) > BLANK * max(line.size, a.size):
                break
            left, right = line.box[0], line.box[2]
            middle, slack = (low + high) / 2, (0.35 if line.confidence < 1 else 0.0) * line.size
            before = right <= max(high - 0.1 * line.size, middle + slack)
            behind = left >= min(low + 0.1 * line.size, middle - slack)
            if not before and not behind:
                gap.ends += [line] * (abs(line.size - a.size) < 0.2 * a.size)
                break
            if abs(line.size - a.size) > 0.2 * a.size:
                if step == 1 and line.size < a.size:
                    gap.others[0 if before else 1].append(line)
                continue
            side = 0 if before and (not behind or left - low < high - right) else 1
            first = (a, b)[side].box
            if (right <= first[0] or left >= first[2]) and (
                right <= widths[side][0] or left >= widths[side][1] or abs(left - first[0]) > NEAR * a.size
            ):
                continue  # in another column
            widths[side] = [min(widths[side][0], left), max(widths[side][1], right)]
            if side == 0 and right < high:
                low = max(low, right)
            elif side == 1 and left > low:
                high = min(high, left)
            (gap.right if side else gap.left).append(line)
            end = line.middle
    gap.left.sort(key=lambda line: line.middle)
    gap.right.sort(key=lambda line: line.middle)
    right_ids = {id(line) for line in gap.right}
    gap.pairs = [(x, y) for x in gap.left if (y := beside.get(id(x))) is not None and id(y) in right_ids]
    return gap


def _river(gap: _Gap) -> bool:
    """Whether a gap is no more than wide spaces within justified lines, as lines above and below cross it."""
    size, tall = gap.left[0].size, max(_levels(gap.left), _levels(gap.right))
    spaces = [y.box[0] - x.box[2] for x, y in gap.pairs]
    widest = max(spaces)
    if min(spaces) < 0.1 * size:
        return False  # recognised lines of two columns
    if not gap.ends or widest > 3 * WIDEST_SPACE * size:
        return False
    if tall == 1 and widest < WIDEST_SPACE * size:
        return True
    left, right = min(x.box[0] for x in gap.left), max(y.box[2] for y in gap.right)
    frames = [end.box[0] < left + 0.5 * size and end.box[2] > right - 0.5 * size for end in gap.ends]
    rights: list[float] = []  # of each row
    for k, y in enumerate(gap.right):
        if k and y.middle - gap.right[k - 1].middle <= LEVEL * size:
            rights[-1] = max(rights[-1], y.box[2])
        else:
            rights.append(y.box[2])
    ragged = sum(all(abs(right - end.box[2]) > 0.5 * size for end in gap.ends) for right in rights)
    if tall == 1:
        return any(frames) and not ragged
    if len(frames) == 1:
        return all(frames) and tall < 5 and not ragged and not any(_value(y.text) for _, y in gap.pairs)
    return all(frames) and (tall < 4 or (tall < 9 and ragged <= 0.25 * len(rights)))


def _levels(lines: Sequence[TextLine]) -> int:
    """How many rows lines that come from the top stand in."""
    return 1 + sum(b.middle - a.middle > LEVEL * a.size for a, b in pairwise(lines))


def _together(gap: _Gap) -> bool:
    """Whether what stands on both sides of a gap is read row by row."""
    left, right, pairs = _level(gap.left, gap.right), _level(gap.right, gap.left), gap.pairs
    if len(left) <= 1 and len(right) <= 1:
        (a, b), *_ = pairs
        if _prose(gap.left) or _prose(gap.right):  # only one of its lines is level with what is beside it
            return False
        heads = all(gap.others) and not _value(b.text)  # each of what stands below it
        return not heads and max(a.size, b.size) < 1.25 * min(a.size, b.size)
    if not left or not right or len(pairs) < 0.75 * min(len(left), len(right)) or (_prose(left) and _prose(right)):
        return False

    if all(line.fixed for line in (*left, *right)):
        return True

    def most(signs: Sequence[bool], share: float = 0.6) -> bool:
        return sum(signs) >= share * len(pairs)

    if any(LEADER.search(a.text) for a, _ in pairs) and most([bool(VALUE.search(b.text)) for _, b in pairs]):
        return True
    if most([a.text.rstrip().endswith((":", "：")) for a, _ in pairs], 0.5):
        return True
    if most([_value(b.text) for _, b in pairs]) or most([a.bold and not b.bold for a, b in pairs]):
        return True
    if most([_value(a.text) and len(a.text) < 20 for a, _ in pairs]) and not _prose(left):
        return True
    wide = max(x.box[2] for x in left) - min(x.box[0] for x in left)
    whole = max(x.box[2] for x in right) - min(x.box[0] for x in left)
    near = min(b.box[0] - a.box[2] for a, b in pairs) < (NEAR if wide < 0.3 * whole else 0.5 * NEAR) * pairs[0][0].size
    if len(left) == len(pairs) and wide < 0.4 * whole and near:  # a label for each of what stands to the right
        return len(right) == len(pairs) or most([_begins(b, right) for _, b in pairs], 0.7)
    steps = [y[0].middle - x[0].middle for x, y in pairwise(pairs)]
    return len(left) == len(right) == len(pairs) >= 3 and min(steps) > 1.8 * pairs[0][0].size


def _level(lines: Sequence[TextLine], others: Sequence[TextLine]) -> list[TextLine]:
    """The lines beside which any of the others stands, wholly or in part."""
    spans = [(y.box[1], y.box[3]) for y in others]
    return [
        x for x in lines
        if any(top < x.box[3] - 0.2 * x.size and x.box[1] + 0.2 * x.size < bottom for top, bottom in spans)
    ]


def _begins(line: TextLine, column: Sequence[TextLine]) -> bool:
    """Whether a paragraph of its column may begin with `line`."""
    before = [x for x in column if x.middle < line.middle - LEVEL * line.size]
    if not before:
        return True
    last = before[-1]
    ends = max(x.box[2] for x in column)
    return (
        line.middle - last.middle > 1.6 * line.size
        or last.text.endswith((".", "!", "?", ":", "。"))
        or last.box[2] < ends - 0.25 * (ends - line.box[0])
    )


def _value(text: str) -> bool:
    """Whether a text is a number, a date or an amount rather than words."""
    seen = unmarked(text)
    signs = sum(c.isdigit() or c in "£$€¥%.,/:-–+() " for c in seen)
    few = sum(c.isdigit() for c in seen) > 0.15 * len(seen) and len(seen) < 16 and len(seen.split()) <= 3
    return bool(VALUE.search(seen)) and (signs > 0.5 * len(seen) or few)


def _prose(lines: Sequence[TextLine]) -> bool:
    """Whether lines of one column are running text: three at least, long, and most as long as the column is wide."""
    if len(lines) < 3 or median(map(letters, lines)) < PROSE:
        return False
    right, left = max(x.box[2] for x in lines), min(x.box[0] for x in lines)
    full = sum(x.box[2] > right - 0.15 * (right - left) for x in lines)
    return full >= 0.5 * len(lines)


def letters(line: TextLine) -> int:
    """How many letters of usual width a line is long."""
    return len(line.text) + len(WIDE.findall(line.text))


def with_capitals(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines, each large letter that stands over several lines put before the first of them."""
    out = list(lines)
    words = Counter(word.lower() for line in lines for word in WORD.findall(line.text))
    for cap in lines:
        if not CAP.match(cap.text):
            continue
        beside = [
            x for x in out
            if x.size < 0.67 * cap.size and cap.box[1] - 0.5 * x.size < x.middle < cap.box[3]
            and (-0.3 if x.confidence == 1 else -1.2) * x.size <= x.box[0] - cap.box[2] < 1.5 * x.size
        ]
        if len(beside) < 2:
            continue
        first = min(beside, key=lambda x: x.middle)
        begin = WORD.match(first.text)
        alone = begin is not None and _word_alone(cap.text[-1], begin[0].lower(), words)
        for x in beside:
            text = f"{cap.text}{' ' * alone}{x.text}" if x is first else x.text
            out[out.index(x)] = replace(x, text=text, box=(cap.box[0], *x.box[1:]))
        out.remove(cap)
    return out


def _word_alone(letter: str, rest: str, words: Mapping[str, int]) -> bool:
    """Whether a large letter is a word, rather than the first letter of one that goes on with `rest`; `words` are those
    of the page, and how often each is there."""
    if letter not in "AIO" or words[letter.lower() + rest]:
        return False
    if words[rest] > 1:
        return True
    if letter == "I":
        return AFTER_I.match(rest) is not None
    return letter == "A" and ONSET.match(rest) is not None and not BEGIN_A.match(f"a{rest}")


def divided(lines: Sequence[TextLine], regions: Sequence[Region]) -> list[TextLine]:
    """The lines, with each that reaches from one region of text into another beside it, as OCR may across a gutter,
    divided at the space nearest to the gutter."""
    out = []
    texts = [r.box for r in regions if r.kind == "text"]
    for line in lines:
        over = sorted(box for box in texts if share(line.box, box) > 0.15 and box[1] < line.middle < box[3])
        if len(over) == 2 and over[0][2] < over[1][0] and " " in line.text:
            out += _halves(line, over[0][2], over[1][0])
        else:
            out.append(line)
    return out


def _halves(line: TextLine, end: float, start: float) -> list[TextLine]:
    """A line in two, at the space that is nearest to the gutter from `end` to `start`."""
    left, top, right, bottom = line.box
    middle = ((end + start) / 2 - left) / (right - left)
    spaces = [m.start() for m in re.finditer(" ", line.text)]
    at = min(spaces, key=lambda i: abs(i / len(line.text) - middle))
    return [
        replace(line, text=line.text[:at], box=(left, top, end, bottom)),
        replace(line, text=line.text[at + 1 :], box=(start, top, right, bottom)),
    ]
