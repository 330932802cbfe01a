"""From the rows of one column to paragraphs: where one ends, and which line ends stay.

Knows neither titles nor regions. What is measured in ems is measured in the size of a line's own type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from microfiche.documents.document import CJK
from microfiche.documents.inline import BREAK, continued, unmarked
from microfiche.documents.layout.gaps import ENTRY, LEADER
from microfiche.documents.layout.lists import Marker, markers
from microfiche.documents.layout.mirrored import runs_backward
from microfiche.documents.layout.rows import Row
from microfiche.documents.text_lines import TICKS, TextLine, letters
from microfiche.page import Box

FEW = 3  #: a column with fewer steps from line to line does not show how far apart its lines stand
LAST = 6  #: lines above one that tell how far apart those of its paragraph stand, …
LOOSER = 1.2  #: … up to so many times as far as others in its column
WIDER = 1.28  #: times the step from line to line: a step that is wider parts two paragraphs
INDENT = 0.8  #: ems by which the first line of a paragraph begins further in, at least
HEAD = re.compile(r"^\d{1,2}(\.\d{1,2})+\.?\s+[^\W\d_]")  #: the number of a part of a document
SHORT = 26  #: letters of a line that may be one of an address
ENTRIES, UNEVEN = 3, 0.8  #: lines that are entries, at least; of the width of the widest, the width of some of them
CONTACT = re.compile(r"\S+@\S+\.\w+|(?:https?://|www\.)\S+|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,4}(?:/\S*)?|\+?[\d\s()./-]{7,}")
SAID = re.compile(r"\w[^:：—–.,;]{0,24}?(\s?[:：]|\s[—–])\s\S")  #: a label or a name, and what is said of it
SPEAKER = re.compile(r"^(\w[\w. -]{0,20}?)\s?[:：]\s")
ENDS = (".", "!", "?", ":", "。", "！", "？", "：", ";", "؟", "।", "…")
CLOSING = "\"'”’»)]）」』“"


@dataclass(frozen=True)
class Paragraph:
    """Lines that belong together. `kept` says of each line but the last whether its end stays a line end; `listed` is
    the mark that makes it an item of a list."""

    rows: tuple[Row, ...]
    kept: tuple[bool, ...]
    listed: Marker | None = None

    @property
    def lines(self) -> list[TextLine]:
        """Its lines, from the top."""
        return [row.line for row in self.rows]

    @property
    def size(self) -> float:
        """The median size of its type, px."""
        return median(line.size for line in self.lines)

    @property
    def bold(self) -> bool:
        """Whether all of its lines are bold."""
        return all(line.bold for line in self.lines)

    @property
    def text(self) -> str:
        """Its lines as running text, with marks."""
        return joined([line.text for line in self.lines], self.kept)


def joined(lines: Sequence[str], kept: Sequence[bool] = ()) -> str:
    """The lines as running text: no space between Chinese characters, U+00AD where a word may be divided at a line's
    end, and BREAK where a line end is `kept`."""
    text = ""
    for i, line in enumerate(lines):
        if not text:
            text = line
        elif i <= len(kept) and kept[i - 1]:
            text += BREAK + line
        elif (whole := continued(text, line)) is not None:
            text = whole
        elif text.endswith("\u00ad") or divides(text, line):
            text = text[:-1] + "\u00ad" + line
        elif text.endswith("-") or (CJK.match(text[-1]) and CJK.match(line[:1])):
            text += line
        else:
            text = f"{text} {line}"
    return text


def divides(before: str, after: str) -> bool:
    """Whether the hyphen at the end of `before` may divide a word that goes on in `after`."""
    return before[-1:] in ("-", "‐") and before[-2:-1].isalpha() and after[:1].islower()


def paragraphs(column: Sequence[Row], edges: tuple[float, float, float], pitch: float) -> list[Paragraph]:
    """The paragraphs that rows make, which come from the top in a column with these `edges`: left, right, and the width
    that its lines could have. Its lines stand `pitch` apart, in ems."""
    marks = markers(column)
    out: list[Paragraph] = []
    start = 0
    for run in _runs(column, pitch):
        out += _Run(run, marks[start : start + len(run)], edges).paragraphs()
        start += len(run)
    return out


def _runs(column: Sequence[Row], pitch: float) -> list[list[Row]]:
    """The rows in runs of lines of one type that stand equally far apart."""
    lines = [row.line for row in column]
    steps = [b.middle - a.middle if _alike(a, b) else 0.0 for a, b in pairwise(lines)]
    runs = [[column[0]]]
    for k, (before, row) in enumerate(pairwise(column)):
        if _parts(before, row, pitch, runs[-1], _even(steps, k)):
            runs.append([])
        runs[-1].append(row)
    return runs


def _alike(a: TextLine, b: TextLine) -> bool:
    """Whether two lines are of one size; that of recognised ones is known less well."""
    return abs(a.size - b.size) <= (0.075 if a.confidence == b.confidence == 1 else 0.17) * max(a.size, b.size)


def pitch_of(lines: Sequence[TextLine]) -> float:
    """The step from line to line in a column, in ems: that of the lower quarter, as wider steps part paragraphs."""
    steps = sorted(
        step for a, b in pairwise(lines) if _alike(a, b) and 0.6 < (step := (b.middle - a.middle) / b.size) < 3
    ) or [1.3]
    pitch = steps[len(steps) // 4]
    return min(pitch, 1.45) if len(steps) < FEW else pitch


def _even(steps: Sequence[float], k: int) -> bool:
    """Whether step `k` is one of at least three of the same width that follow each other."""
    same = [abs(step - steps[k]) < 0.06 * steps[k] for step in steps[max(0, k - 2) : k + 3]]
    at = min(k, 2)
    return any(all(same[i : i + 3]) for i in range(max(0, at - 2), at + 1) if i + 3 <= len(same))


def _parts(before: Row, row: Row, pitch: float, run: Sequence[Row], even: bool) -> bool:
    """Whether a run ends between two rows; `even` says that several steps of this width follow each other."""
    a, b = before.line, row.line
    larger = max(a.size, b.size)
    if not _alike(a, b):
        return True
    step = b.middle - a.middle
    if step < 0.4 * b.size:
        return False
    wider = WIDER if a.confidence == b.confidence == 1 else 1.1 * WIDER
    own = sorted(y.line.middle - x.line.middle for x, y in pairwise(run[-LAST:]))
    typical = min(own[len(own) // 2], LOOSER * pitch * larger) if len(own) > 1 else 0.0
    if step > wider * max(pitch * larger, typical):
        return not even or step > 2.9 * larger
    if a.bold == b.bold:
        return False
    full = a.box[2] > max(r.line.box[2] for r in run) - a.size and not a.text.endswith(ENDS)
    return not (step < 1.15 * pitch * larger and full and b.text[:1].islower())


class _Run:
    """Lines of one type that stand equally far apart, in a column from `left` to `right`."""

    def __init__(self, rows: Sequence[Row], marks: Sequence[Marker | None], edges: tuple[float, float, float]) -> None:
        self.rows, self.marks = list(rows), list(marks)
        self.lines = [row.line for row in rows]
        self.size = median(line.size for line in self.lines)
        left, right, width = edges
        begin, end = min(x.box[0] for x in self.lines), max(x.box[2] for x in self.lines)
        self.free = width if median(map(letters, self.lines)) < SHORT and end - begin < 0.55 * width else None
        if end - begin < 0.75 * (right - left) or len(self.lines) < 3:
            end = max(end, right)
        self.width = self.free or max(end, right) - left
        self.left, self.right = begin, end
        self.centred = _centred([line.box for line in self.lines], self.size)
        self.ranged = _ranged([line.box for line in self.lines], self.size)
        self.backward = sum(runs_backward([x]) != x.mirrored for x in self.lines) > 0.5 * len(self.lines)
        self.speakers = _speakers(self.lines)
        self.entries = _entries(self.lines)
        self.early = [self._early(a, b) for a, b in pairwise(self.rows)]
        steps = [b.middle - a.middle for a, b in pairwise(self.lines)]
        least = min((step for step in steps if step > 0.4 * self.size), default=0.0)
        self.apart = [False, *(step > WIDER * least > 0 for step in steps)]

    def paragraphs(self) -> list[Paragraph]:
        """The paragraphs of the run."""
        verse = self._verse()
        out: list[tuple[list[Row], list[bool], Marker | None]] = []
        for i, row in enumerate(self.rows):
            if i == 0 or self._begins(i, out[-1], verse):
                mark = self.marks[i]
                out.append(([row], [], mark if mark and mark.listed else None))
            else:
                out[-1][0].append(row)
                out[-1][1].append(self._kept(i, verse, out[-1][2]))
        return [Paragraph(tuple(rows), tuple(kept), mark) for rows, kept, mark in out]

    def _start(self, box: Box) -> float:
        """How far from the column's beginning a line begins, px."""
        return self.right - box[2] if self.backward else box[0] - self.left

    def _room(self, box: Box) -> float:
        """How much of the column a line leaves empty at its end, px."""
        if self.free:
            return self.free - (box[2] - box[0])
        if self.centred:
            return (self.right - self.left) - (box[2] - box[0])
        return box[0] - self.left if self.backward else self.right - box[2]

    def _early(self, a: Row, b: Row) -> bool:
        """Whether a line ends though the first word of the next would have fitted."""
        if b.line.middle - a.line.middle < 0.4 * b.line.size:
            return False
        text = unmarked(b.line.text)
        word = text[:1] if CJK.match(text) else text.split(maxsplit=1)[0] if text.strip() else ""
        width = len(word) / max(1, len(text)) * (b.line.box[2] - b.line.box[0])
        slack = 1.2 if a.line.confidence == 1 else 1.6
        return width + slack * b.line.size < self._room(a.tail if len(a.pieces) > 1 else a.line.box)

    def _verse(self) -> bool:
        """Whether the line ends of the run stay: most come before the line is full."""
        ends = [e for e, mark in zip(self.early, self.marks[1:], strict=True) if mark is None]
        if len(self.rows) < 2 or not ends:
            return False
        if sum(len(row.pieces) > 1 for row in self.rows) >= 0.3 * len(self.rows) or self.ranged:
            return True
        if self.entries:
            return True
        rights = [line.box[2] for line in self.lines[:-1]]
        even = sum(abs(a - b) < 0.15 * self.size for a, b in pairwise(rights))
        justified = not self.free and len(rights) > 2 and even > 0.4 * len(rights)
        if justified or any(line.text.endswith("\u00ad") for line in self.lines[:-1]):
            return False
        if len(ends) == 1:
            return ends[0] and all(x.box[2] - x.box[0] < 0.6 * self.width for x in self.lines)
        return sum(ends) >= max(2, 0.5 * len(ends))

    def _kept(self, i: int, verse: bool, mark: Marker | None) -> bool:
        """Whether the line end before row `i`, within a paragraph (of a list, if there is a `mark`), stays."""
        a, b = self.rows[i - 1], self.rows[i]
        if b.line.middle - a.line.middle < 0.4 * b.line.size:
            return False
        if b.line.text.startswith(TICKS):
            return True
        if mark:
            return False
        out = self._start(b.line.box) < self._start(a.line.box) - self.size
        if len(b.pieces) > 1 and (len(a.pieces) > 1 or self.early[i - 1] or out):
            return True
        return (verse and (self.early[i - 1] or self.ranged or self.entries)) or LEADER.search(a.line.text) is not None

    def _begins(self, i: int, group: tuple[list[Row], list[bool], Marker | None], verse: bool) -> bool:
        """Whether a paragraph begins at row `i`, after the rows of `group`."""
        a, b = self.rows[i - 1], self.rows[i]
        if b.line.middle - a.line.middle < 0.4 * b.line.size:
            return False
        if self.marks[i] or self.speakers[i] or b.line.begins:
            return True
        rows, _, mark = group
        start = self._start(b.line.box)
        if len(a.pieces) > 1 and len(b.pieces) == 1 and abs(start - self._start(a.tail)) < 0.6 * self.size:
            return False
        if mark:
            if ENTRY.search(unmarked(a.line.text)):
                return True
            first = self._start(rows[0].line.box)
            if start > first + 0.3 * self.size:
                return self.early[i - 1] and start < self._start(rows[-1].line.box) - 0.5 * self.size
            if start < first - 0.5 * self.size and (len(b.pieces) > 1 or b.line.bold != rows[0].line.bold):
                return True
            return self.early[i - 1] or (len(rows) > 1 and self._start(rows[-1].line.box) > start + 0.5 * self.size)
        if self.early[i - 1] and (HEAD.match(b.line.text) or (len(rows) == 1 and HEAD.match(a.line.text))):
            return True
        ended = a.line.text.rstrip(CLOSING).endswith(ENDS)
        if self.apart[i] and ended and not self.early[i - 1] and unmarked(b.line.text)[:1].isupper():
            return True
        if verse:
            return not self.early[i - 1] and ended and self._indented(i, rows)
        if not self.centred and self._indented(i, rows):
            return True
        if not self.early[i - 1]:
            return False
        following = i < len(self.early) and self.early[i]
        return ended or not following

    def _indented(self, i: int, rows: Sequence[Row]) -> bool:
        """Whether the indent of row `i` begins a paragraph: it goes in, or comes back after lines that hung in."""
        before, start = self._start(self.rows[i - 1].line.box), self._start(self.rows[i].line.box)
        after = self._start(self.rows[i + 1].line.box) if i + 1 < len(self.rows) else None
        indent = INDENT * self.size
        if start > before + indent:
            if len(rows) == 1 and not self.early[i - 1] and after is not None and abs(after - start) < 0.3 * self.size:
                return False  # the entry of a list of literature, whose further lines hang in
            return after is None or after < start - indent or self.early[i - 1] or len(rows) > 1
        if start < before - indent and len(rows) > 1:
            return self._start(rows[0].line.box) < before - indent or (after is not None and after > start + indent)
        return False


def _centred(boxes: Sequence[Box], size: float) -> bool:
    """Whether lines have one middle and neither one left nor one right edge."""
    if len(boxes) < 2:
        return False
    middles = [(box[0] + box[2]) / 2 for box in boxes]
    lefts, rights = [box[0] for box in boxes], [box[2] for box in boxes]
    return (
        max(middles) - min(middles) < 0.8 * size
        and max(lefts) - min(lefts) > 0.8 * size and max(rights) - min(rights) > 0.8 * size
    )


def _ranged(boxes: Sequence[Box], size: float) -> bool:
    """Whether lines have one right edge and no left one, as an address in a letter's head may."""
    lefts, rights = [box[0] for box in boxes], [box[2] for box in boxes]
    apart = sum(left > min(lefts) + size for left in lefts)
    return len(boxes) > 2 and max(rights) - min(rights) < 0.3 * size and apart >= 0.5 * len(boxes)


def _entries(lines: Sequence[TextLine]) -> bool:
    """Whether short lines are entries, one each: all begin as a sentence does, and they are of different lengths; or
    all are a label with what is said of it; or most are addresses of the net or numbers to call."""
    texts = [unmarked(line.text).strip() for line in lines]
    if len(lines) < 2 or median(map(letters, lines)) >= SHORT:
        return False
    if any(text.endswith((",", "\u00ad", "-")) for text in texts):
        return False
    said = [SAID.match(text) for text in texts]
    if all(said) and len({found and found[1].strip() for found in said}) == 1:
        return True
    if sum(CONTACT.fullmatch(text) is not None for text in texts) >= max(2, 0.5 * len(texts)):
        return True
    widths = [line.box[2] - line.box[0] for line in lines]
    return (
        len(lines) >= ENTRIES and min(widths) < UNEVEN * max(widths)
        and all(text[:1].isupper() or text[:1].isdigit() for text in texts) and not any(map(str.isupper, texts))
    )


def _speakers(lines: Sequence[TextLine]) -> list[bool]:
    """For each line whether it begins with who speaks or what is asked ("Q:", "Anna:"), where several lines begin with
    the same."""
    said = [match[1] if (match := SPEAKER.match(line.text)) else "" for line in lines]
    return [bool(who) and said.count(who) > 1 for who in said]
