"""The galley of a page: its lines of type, cut out and set anew, each with type of the size that is asked for, without
the white between them.

Lines run on like text: one that does not fit into what is left of a row is cut between two words. The galley is as wide
as makes it take the fewest squares. Pieces (page.py) say where on the page each part of it comes from, and `on_page`
puts what was read on a galley back there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.errors import UsageError
from microfiche.nano.agreement import agreed
from microfiche.nano.encoder import MAX_SIDE
from microfiche.nano.tracing import PrintedLine, TracedLine
from microfiche.page import PAPER, TOKEN_SIDE, Pieces

Picture = NDArray[np.uint8]
UP, DOWN = 0.55, 0.6  #: em of a strip above and below the middle of its line
_BESIDE = 0.5  #: em around a line's ends in which its ink is looked for
_BEYOND = 0.3  #: em by which an upright rule goes on above or below a strip
_LONGEST, _THICKEST = 4.0, 0.15  #: em; a level rule is longer and thinner
_SPACE = 0.2  #: em of white between two words, at least
_WIDE = 1.5  #: em of white, at least, that is left out
_LEADER, _DOTS, _KEPT = 1.6, 5, 3  #: em and dots of a leader, at least, and how many of its dots stay
_NEAR = 0.1  #: em from white in which a space is read to the middle of the space
_APART = 1.2  #: em of white between two lines on one row
_NARROWEST, _WIDEST = 4 * TOKEN_SIDE, 16 * TOKEN_SIDE  #: px of a galley's width; wider if its text needs it
_INKED = 40  #: how much darker than paper ink is
_LIGHTEST = 0.9  #: the share of a row's pixels that are darker than its ground, at the most
_FAINT = 96  #: the least contrast of type that is made black


@dataclass(frozen=True)
class Strip:
    """A line of type cut out of its page: its `picture` (h, w) uint8 with type of `size` px an em, made from `line`;
    its first column lies at `left` on the page, in px; `gaps` (n, 2) are the columns, first and after the last, of the
    white between its words."""

    picture: Picture
    line: TracedLine
    size: float
    left: float
    gaps: NDArray[np.int64]

    @property
    def wide(self) -> NDArray[np.int64]:
        """The gaps that are left out."""
        return self.gaps[_widths(self.gaps) >= _WIDE * self.size]


def strip(
    picture: Picture, line: TracedLine, size: float, spaces: NDArray[np.floating[Any]] | None = None
) -> Strip | None:
    """Cuts a line out of its page, (H, W) uint8 with dark type, and scales it so that its type has `size` px an em. The
    ground of each row of pixels becomes white, the darkest ink black, rules go, and three dots stay of leaders. Where
    the x of its `spaces` on the page are known, in px, other white that is not wide parts no words. Returns None if
    there is no ink."""
    scale = size / line.size
    first = int(max(0, line.left - _BESIDE * line.size))
    last = int(min(picture.shape[1], np.ceil(line.right + _BESIDE * line.size)))
    if last - first < 2:
        return None
    x = np.arange(first, last)
    rows, more = max(1, round((UP + DOWN) * line.size)), round(_BEYOND * line.size)
    top = np.rint(line.y + line.slope * (x - line.left) - UP * line.size).astype(np.int64)
    y = top + np.arange(-more, rows + more)[:, None]
    around = np.where((y >= 0) & (y < len(picture)), picture[y.clip(0, len(picture) - 1), x], np.uint8(PAPER))
    part = _without_rules(around, more, line.size)
    height, width = max(1, round((UP + DOWN) * size)), max(1, round(len(x) * scale))
    small = np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC))
    paper = np.quantile(small, _LIGHTEST, axis=1, keepdims=True)
    ink = (paper - small).clip(0).astype(np.float32)
    ink *= PAPER / max(float(np.quantile(ink, 0.995)), _FAINT)
    dark = np.flatnonzero((ink > _INKED).any(0))
    if not len(dark):
        return None
    begin, end = max(0, int(dark[0]) - 1), min(width, int(dark[-1]) + 2)
    clean = _without_leaders((PAPER - ink[:, begin:end].clip(0, PAPER)).astype(np.uint8), size)
    left = first + begin / scale
    return Strip(clean, line, size, left, _gaps(clean, size, None if spaces is None else (spaces - left) * scale))


def _without_rules(around: Picture, more: int, size: float) -> Picture:
    """The rows of a line, given with `more` rows above and below, without upright rules that go on beyond them, and
    without level rules that are longer than dashes are."""
    part = around[more : len(around) - more]
    dark = around < int(np.median(around)) // 2 + 10
    own = dark[more : len(around) - more]
    upright = own.all(0) & (dark[:more].all(0) | dark[len(around) - more :].all(0))
    level = _runs(own, round(_LONGEST * size)) & ~_runs(own.T, max(2, round(_THICKEST * size)) + 1).T
    rules = level | upright
    if not rules.any():
        return part
    wide = np.pad(rules, 1)
    wide = wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return np.where(wide, np.quantile(part, _LIGHTEST, axis=1, keepdims=True).astype(np.uint8), part)


def _runs(dark: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Those of the True values that stand in runs of at least `length` along their row."""
    if dark.shape[1] < length:
        return np.zeros_like(dark)
    sums = np.pad(np.cumsum(dark, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    begins = np.pad(sums[:, length:] - sums[:, :-length] == length, ((0, 0), (0, length - 1)))
    begun = np.pad(np.cumsum(begins, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    at = np.arange(dark.shape[1])
    found: NDArray[np.bool_] = begun[:, at + 1] > begun[:, np.maximum(at + 1 - length, 0)]
    return found


def _without_leaders(picture: Picture, size: float) -> Picture:
    """A strip without leaders, which go on from words to what belongs to them; their first dots stay."""
    dark = picture < PAPER - _INKED
    low = ~dark[: round(UP * size)].any(0)
    edges = np.flatnonzero(np.diff(np.pad(low, 1).astype(np.int8))).reshape(-1, 2)
    clean = picture
    for first, last in edges[_widths(edges) >= _LEADER * size].tolist():
        dots = first + np.flatnonzero(np.diff(np.pad(dark[:, first:last].any(0), 1).astype(np.int8))).reshape(-1, 2)
        if len(dots) >= _DOTS:
            clean = clean.copy() if clean is picture else clean
            clean[:, dots[_KEPT, 0] : dots[-1, 1]] = PAPER
    return clean


def _gaps(picture: Picture, size: float, spaces: NDArray[np.floating[Any]] | None) -> NDArray[np.int64]:
    """The (n, 2) columns of the white between words; if the columns of `spaces` are known, of that in which one lies,
    or which is wide."""
    blank = np.pad((picture > PAPER - _INKED).all(0), 1)
    edges = np.flatnonzero(np.diff(blank.astype(np.int8))).reshape(-1, 2)
    gaps = edges[(edges[:, 0] > 0) & (edges[:, 1] < picture.shape[1]) & (_widths(edges) >= _SPACE * size)]
    if spaces is None:
        return gaps
    near = np.abs(gaps.mean(1)[:, None] - spaces) <= _widths(gaps)[:, None] / 2 + _NEAR * size
    return gaps[near.any(1) | (_widths(gaps) >= _WIDE * size)]


def _widths(gaps: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 2) first columns and those after the last → (n,) how many they are."""
    return gaps[:, 1] - gaps[:, 0]


@dataclass(frozen=True)
class _Placed:
    """A part of a strip, its columns from `first` up to `last`, with its corner at (`x`, `y`) of the galley."""

    strip: int
    first: int
    last: int
    x: int
    y: int


def galley(lines: Mapping[int, Strip]) -> tuple[Picture, Pieces]:
    """Sets the strips of lines, by their numbers on the page, on the galley that takes the fewest squares. Those of one
    size stand together, in their order. Raises UsageError if they do not fit on the largest picture that a model
    takes."""
    numbers, strips = np.array([*lines], np.int32), [*lines.values()]
    order = sorted(range(len(strips)), key=lambda i: -strips[i].picture.shape[0])
    best: list[_Placed] = []
    fewest = None
    for width in range(_NARROWEST, MAX_SIDE + 1, TOKEN_SIDE):
        if width > _WIDEST and fewest is not None:
            break
        placed = list(_flow(strips, order, width))
        bottom = max((one.y + strips[one.strip].picture.shape[0] for one in placed), default=0)
        taken = _squares(strips, placed)
        if bottom <= MAX_SIDE and (fewest is None or taken < fewest):
            best, fewest = placed, taken
    if fewest is None and strips:
        raise _too_many(len(strips))
    picture, pieces = _drawn(strips, best)
    return picture, replace(pieces, lines=numbers[pieces.lines])


def stacked(galleys: Sequence[tuple[Picture, Pieces]]) -> tuple[Picture, Pieces]:
    """Sets galleys, of which there is at least one, one below another, each from a square's upper edge. Raises
    UsageError if they do not fit on the largest picture that a model takes."""
    tops = [0, *accumulate(-(-len(picture) // TOKEN_SIDE) * TOKEN_SIDE for picture, _ in galleys)]
    height = max(top + len(picture) for top, (picture, _) in zip(tops, galleys, strict=False))
    if height > MAX_SIDE:
        raise _too_many(sum(len(set(pieces.lines.tolist())) for _, pieces in galleys))
    whole = np.full((height, max(picture.shape[1] for picture, _ in galleys)), PAPER, np.uint8)
    for top, (picture, _) in zip(tops, galleys, strict=False):
        whole[top : top + len(picture), : picture.shape[1]] = picture
    boxes = [its.boxes + np.array([0, top, 0, top], np.int32) for top, (_, its) in zip(tops, galleys, strict=False)]
    sources, lines = [its.sources for _, its in galleys], [its.lines for _, its in galleys]
    return whole, Pieces(np.concatenate(boxes), np.concatenate(sources), np.concatenate(lines))


def _too_many(lines: int) -> UsageError:
    """That so many lines do not fit on the largest picture."""
    return UsageError(f"{lines:,} lines of type do not fit on a picture of {MAX_SIDE}×{MAX_SIDE} px")


def _flow(strips: Sequence[Strip], order: Sequence[int], width: int) -> Iterator[_Placed]:
    """Places strips in rows of `width` px. A strip that is cut goes on in the next row."""
    x = y = height = 0
    for i in order:
        one = strips[i]
        high, wide = one.picture.shape
        if x and high != height:
            x, y = 0, y + height
        height = high
        edges = [0, *one.wide.ravel().tolist(), wide]
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            while first < last:
                space = width - x
                if last - first <= space:
                    yield _Placed(i, first, last, x, y)
                    x += last - first + round(_APART * one.size)
                    break
                cuts = one.gaps[(one.gaps[:, 0] - first <= space) & (first < one.gaps[:, 0]) & (one.gaps[:, 1] < last)]
                if len(cuts):
                    yield _Placed(i, first, int(cuts[-1, 0]), x, y)
                    first = int(cuts[-1, 1])
                elif not x:  # a word that is longer than a row
                    yield _Placed(i, first, first + space, x, y)
                    first += space
                x, y = 0, y + height
            if x >= width:
                x, y = 0, y + height


def _squares(strips: Sequence[Strip], placed: Sequence[_Placed]) -> int:
    """How many squares hold a part of a strip."""
    taken = set()
    for one in placed:
        bottom, right = one.y + strips[one.strip].picture.shape[0], one.x + one.last - one.first
        for row in range(one.y // TOKEN_SIDE, (bottom - 1) // TOKEN_SIDE + 1):
            for column in range(one.x // TOKEN_SIDE, (right - 1) // TOKEN_SIDE + 1):
                taken.add((row, column))
    return len(taken)


def _drawn(strips: Sequence[Strip], placed: Sequence[_Placed]) -> tuple[Picture, Pieces]:
    boxes = np.array(
        [[one.x, one.y, one.x + one.last - one.first, one.y + strips[one.strip].picture.shape[0]] for one in placed],
        np.int32,
    ).reshape(-1, 4)
    right, bottom = boxes[:, 2:].max(0, initial=1)
    picture = np.full((bottom, right), PAPER, np.uint8)
    sources = np.empty((len(placed), 4), np.float32)
    for at, one in enumerate(placed):
        its = strips[one.strip]
        left, top, end, below = boxes[at].tolist()
        picture[top:below, left:end] = its.picture[:, one.first : one.last]
        step = its.line.size / its.size
        x = its.left + one.first * step
        sources[at] = x, its.line.y + its.line.slope * (x - its.line.left) - UP * its.line.size, step, its.line.slope
    return picture, Pieces(boxes, sources, np.array([one.strip for one in placed], np.int32))


def on_page(read: Sequence[PrintedLine], pieces: Pieces) -> dict[int, PrintedLine]:
    """What was read on a galley, by the number of the line on the page that it comes from, in their order. Of a line
    that stands there with type of several sizes it is what these agree on."""
    parts: dict[int, list[PrintedLine]] = {}
    for one in read:
        middle = (one.boxes[:, :2] + one.boxes[:, 2:]) / 2
        x, y = middle[:, :1], middle[:, 1:]
        across = np.maximum(pieces.boxes[:, 0] - x, x - pieces.boxes[:, 2])
        within = (pieces.boxes[:, 1] <= y) & (y < pieces.boxes[:, 3])
        owner = np.where(within, across, np.inf).argmin(1)
        owner[~within.any(1)] = -1
        for first, last in _stretches(owner):
            if owner[first] >= 0:
                piece = int(owner[first])
                part = replace(
                    one, text=one.text[first:last], confidence=one.confidence[first:last], boxes=one.boxes[first:last]
                )
                parts.setdefault(piece, []).append(_moved(part, pieces, piece))
    copies: dict[tuple[int, float], list[PrintedLine]] = {}
    for piece in sorted(parts):
        key = int(pieces.lines[piece]), float(pieces.sources[piece, 2])
        copies.setdefault(key, []).extend(parts[piece])
    lines: dict[int, list[PrintedLine]] = {}
    for (number, _), own in copies.items():
        if (copy := _joined(own)).text:
            lines.setdefault(number, []).append(copy)
    return {number: agreed(lines[number]) for number in sorted(lines)}


def _stretches(values: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The first and the one after the last of each stretch of equal values."""
    edges = np.flatnonzero(np.diff(values)) + 1
    return zip([0, *edges.tolist()], [*edges.tolist(), len(values)], strict=True)


def _moved(part: PrintedLine, pieces: Pieces, piece: int) -> PrintedLine:
    """A part of a line, from the galley to the page."""
    left, top, step, slope = pieces.sources[piece].tolist()
    from_left = (part.boxes[:, 0::2] - int(pieces.boxes[piece, 0])) * step
    from_top = (part.boxes[:, 1::2] - int(pieces.boxes[piece, 1])) * step
    drift = slope * from_left.mean(1, keepdims=True)
    boxes = np.stack([from_left + left, from_top + top + drift], axis=2).reshape(-1, 4)
    y = top + UP * part.line.size * step
    line = TracedLine(left, left + float(from_left.max()), y, slope, part.line.size * step)
    return replace(part, boxes=np.rint(boxes).clip(0).astype(np.int32), line=line)


def _joined(parts: Sequence[PrintedLine]) -> PrintedLine:
    """One line of its parts, with a space between two."""
    parts = [part for part in map(_trimmed, parts) if part.text]
    if not parts:
        nothing = TracedLine(0.0, 0.0, 0.0, 0.0, 1.0)
        return PrintedLine("", np.empty(0, np.float32), np.empty((0, 4), np.int32), nothing)
    sure, boxes = [parts[0].confidence], [parts[0].boxes]
    for before, part in pairwise(parts):
        space = np.concatenate([before.boxes[-1, 2:], part.boxes[0, :2]])[[0, 3, 2, 1]]
        sure += [np.minimum(before.confidence[-1:], part.confidence[:1]), part.confidence]
        boxes += [space[None], part.boxes]
    line = replace(parts[0].line, right=parts[-1].line.right)
    return PrintedLine(" ".join(part.text for part in parts), np.concatenate(sure), np.concatenate(boxes), line)


def _trimmed(part: PrintedLine) -> PrintedLine:
    first = len(part.text) - len(part.text.lstrip())
    last = len(part.text.rstrip())
    kept = slice(first, max(first, last))
    return replace(part, text=part.text[kept], confidence=part.confidence[kept], boxes=part.boxes[kept])
