"""What is drawn on an open PDF page beside its text: images, rules, grounds and drawings; and what lies over what.

Knows nothing of characters. All boxes are in pixels of the page's picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from ctypes import addressof, byref, c_float, c_int, c_size_t, c_ulong, c_ushort, c_void_p, cast, sizeof
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pypdfium2.raw as pdfium

from microfiche.documents.boxes import area, around, clipped, touch, union
from microfiche.documents.pdf.characters import quick
from microfiche.documents.pdf.plane import Affine
from microfiche.page import Box

Point = tuple[float, float]

THIN = 2.5  #: points: what is drawn thicker than this is no rule
SHORT = 4.0  #: points: what is shorter is no rule
BAR = 1.5  #: points: what is level and shorter is no bar of a fraction
DRAWING = 1000  #: a path of more segments is a drawing, not a table
SEGMENTS = 40_000  #: of a page, after which a path counts only by its box
DEPTH = 15  #: forms within forms
WHOLE = 0.85  #: of the page: what is larger is a background or a frame around everything
BULLET = 7.0  #: points: a drawing that is smaller is a sign
CELLS = 400_000  #: of the grid, after which all drawings count as one
GRID = 4.0  #: points: drawings are joined that lie less than two of these apart
STRAIGHT = 0.4  #: of each side of a frame with rounded corners, at least
CORNERS = 8  #: points of a circle, at least
DISC = 5.0, 18.0  #: points across of a circle to tick
ASKEW = 3.0  #: times its thickness that a rule is long whose ends may be cut askew, at least
ROUNDED = 0.3  #: of a path's outline that may be curves where it is a box with rounded corners

_count_marks = quick(pdfium.FPDFPageObj_CountMarks, c_int, c_size_t)
_kind_of = quick(pdfium.FPDFPageObj_GetType, c_int, c_size_t)
_matrix_of = quick(pdfium.FPDFPageObj_GetMatrix, c_int, c_size_t, c_size_t)
_clip_of = quick(pdfium.FPDFPageObj_GetClipPath, c_size_t, c_size_t)
_clips = quick(pdfium.FPDFClipPath_CountPaths, c_int, c_size_t)
_clip_segments = quick(pdfium.FPDFClipPath_CountPathSegments, c_int, c_size_t, c_int)
_clip_segment = quick(pdfium.FPDFClipPath_GetPathSegment, c_size_t, c_size_t, c_int, c_int)
_path_segments = quick(pdfium.FPDFPath_CountSegments, c_int, c_size_t)
_path_segment = quick(pdfium.FPDFPath_GetPathSegment, c_size_t, c_size_t, c_int)
_segment_kind = quick(pdfium.FPDFPathSegment_GetType, c_int, c_size_t)
_segment_point = quick(pdfium.FPDFPathSegment_GetPoint, c_int, c_size_t, c_size_t, c_size_t)
_segment_close = quick(pdfium.FPDFPathSegment_GetClose, c_int, c_size_t)
_draw_mode = quick(pdfium.FPDFPath_GetDrawMode, c_int, c_size_t, c_size_t, c_size_t)
_stroke_width = quick(pdfium.FPDFPageObj_GetStrokeWidth, c_int, c_size_t, c_size_t)
_bounds = quick(pdfium.FPDFPageObj_GetBounds, c_int, c_size_t, *[c_size_t] * 4)
_count_on_page = quick(pdfium.FPDFPage_CountObjects, c_int, c_size_t)
_get_on_page = quick(pdfium.FPDFPage_GetObject, c_size_t, c_size_t, c_int)
_count_in_form = quick(pdfium.FPDFFormObj_CountObjects, c_int, c_size_t)
_get_in_form = quick(pdfium.FPDFFormObj_GetObject, c_size_t, c_size_t, c_ulong)


@dataclass
class Drawn:
    """What stands on a page. `strings` has, for the address of each string of text, its place in the order of drawing,
    the box that it is clipped to (None for none), and whether it belongs to a layer that can be switched off; `covers`
    are the places and boxes of what may hide text that was drawn before; `bars` are level lines that are too short for
    rules, `rounds` circles of the size of letters."""

    images: list[Box] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    bars: list[Box] = field(default_factory=list)
    rounds: list[Box] = field(default_factory=list)
    drawings: list[Box] = field(default_factory=list)
    grounds: list[Box] = field(default_factory=list)
    strings: dict[int, tuple[int, Box | None, bool]] = field(default_factory=dict)
    covers: list[tuple[int, Box]] = field(default_factory=list)


def drawn_on(page: Any, to_picture: Affine, scale: float, size: tuple[int, int]) -> Drawn:
    """What is drawn on an open page, clipped to its picture of `size` px at `scale` px a point."""
    out, bent, left = Drawn(), list[Box](), SEGMENTS
    whole = WHOLE * size[0] * size[1]
    for place, (obj, kind, matrix, outer) in enumerate(_walk(page, to_picture)):
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            out.strings[obj] = place, _clip_box(obj, outer), _optional(obj)
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            box = clipped(around([matrix(x, y) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1))]), size)
            if box[0] < box[2] and box[1] < box[3]:
                out.images.append(box)
                out.covers.append((place, box))
        elif kind == pdfium.FPDF_PAGEOBJ_SHADING:
            out.covers.append((place, clipped(_box_of(obj, outer), size)))
        else:
            path = _Path(obj, matrix, outer, scale, left)
            left -= path.segments
            for rule in path.rules:
                if (r := clipped(rule, size))[:2] != r[2:]:
                    (out.bars if max(r[2] - r[0], r[3] - r[1]) < SHORT * scale else out.rules).append(r)
            box = clipped(path.box, size)
            if path.round:
                out.rounds.append(box)
            if path.bent and area(box) < whole:
                bent.append(box)
            if path.filled and min(box[2] - box[0], box[3] - box[1]) > THIN * scale:
                out.covers.append((place, box))
                if not path.bent:
                    out.grounds.append(box)
    out.drawings = [
        box for box in _clusters(bent, GRID * scale) if max(box[2] - box[0], box[3] - box[1]) > BULLET * scale
    ]
    return out


def _walk(page: Any, to_picture: Affine) -> Iterator[tuple[int, int, Affine, Affine]]:
    """The address of each object in the order of drawing, its kind, the matrix that maps it to the picture, and that of
    the page or form that holds it; those inside forms too."""
    own = (c_float * 6)()
    at = cast(own, c_void_p).value
    todo = [_holding(cast(page, c_void_p).value or 0, to_picture, 0)]
    while todo:
        holder, outer, depth, get, i, count = todo.pop()
        while i < count:
            obj = get(holder, i)
            i += 1
            kind = _kind_of(obj)
            if kind == pdfium.FPDF_PAGEOBJ_TEXT:
                yield obj, kind, outer, outer
                continue
            _matrix_of(obj, at)
            matrix = outer.after(Affine(*own))
            if kind != pdfium.FPDF_PAGEOBJ_FORM:
                yield obj, kind, matrix, outer
            elif depth < DEPTH:
                todo.append((holder, outer, depth, get, i, count))
                todo.append(_holding(obj, matrix, depth + 1))
                break


def _holding(holder: int, outer: Affine, depth: int) -> tuple[int, Affine, int, Any, int, int]:
    count, get = (_count_in_form, _get_in_form) if depth else (_count_on_page, _get_on_page)
    return holder, outer, depth, get, 0, count(holder)


def _box_of(obj: int, outer: Affine) -> Box:
    edges = (c_float * 4)()  # left, bottom, right, top
    at = cast(edges, c_void_p).value or 0
    if not _bounds(obj, at, at + 4, at + 8, at + 12):
        return 0.0, 0.0, 0.0, 0.0
    left, bottom, right, top = edges
    return around([outer(left, bottom), outer(right, top)])


def _optional(obj: int) -> bool:
    """Whether an object is marked as part of an optional layer (PDF 32000-1, 8.11)."""
    for i in range(_count_marks(obj)):
        mark = pdfium.FPDFPageObj_GetMark(cast(obj, pdfium.FPDF_PAGEOBJECT), i)
        name, length = (c_ushort * 16)(), c_ulong()
        if pdfium.FPDFPageObjMark_GetName(mark, name, sizeof(name), byref(length)) and name[:3] == [0x4F, 0x43, 0]:
            return True
    return False


def _clip_box(obj: int, outer: Affine) -> Box | None:
    """The smallest box around what an object is clipped to, None where it is not clipped."""
    clip = _clip_of(obj)
    box: Box | None = None
    for i in range(_clips(clip) if clip else 0):
        count = _clip_segments(clip, i)
        if not 0 < count <= DRAWING:
            continue
        points = [_point(_clip_segment(clip, i, k), outer) for k in range(count)]
        found = around(points)
        box = found if box is None else (
            max(box[0], found[0]), max(box[1], found[1]), min(box[2], found[2]), min(box[3], found[3]),
        )  # fmt: skip
    return box


_XY = (c_float * 2)()
_X, _Y = addressof(_XY), addressof(_XY) + 4


def _point(segment: int, matrix: Affine) -> Point:
    _segment_point(segment, _X, _Y)
    return matrix(_XY[0], _XY[1])


class _Path:
    """A path: its box, the number of its segments, its rules, whether it is filled, and whether it is `bent`: drawn
    with curves (more than those of rounded corners) or strokes that are not upright, as figures are."""

    def __init__(self, obj: int, matrix: Affine, outer: Affine, scale: float, left: int) -> None:
        fill, stroke, width = c_int(), c_int(), c_float()
        _draw_mode(obj, addressof(fill), addressof(stroke))
        self.segments, self.box, self.rules = _path_segments(obj), _box_of(obj, outer), list[Box]()
        self.filled, self.round = fill.value != 0, False
        self.bent = self.segments > min(DRAWING, left)
        if self.bent:
            return
        _stroke_width(obj, addressof(width))
        ruled = bool(stroke.value) and width.value * math.hypot(*matrix.direction(1, 0)) <= THIN * scale
        straight = skewed = 0.0
        for points, kinds in _outlines(obj, self.segments, matrix):
            for (x0, y0), (x1, y1), curved in zip(points, points[1:], kinds, strict=False):
                length = abs(x1 - x0) + abs(y1 - y0)
                if curved or min(abs(x1 - x0), abs(y1 - y0)) > 0.5:
                    skewed += length
                else:
                    straight += length
            if any(kinds):
                small = max(self.box[2] - self.box[0], self.box[3] - self.box[1]) < DISC[1] * scale
                if ruled or (self.filled and small):
                    self.rules += _rounded(points, kinds, scale)
                if len(kinds) >= CORNERS and sum(kinds) > len(kinds) - 2:
                    self.round = self.round or _circle(points, scale)
                continue
            if ruled:
                for (x0, y0), (x1, y1) in pairwise(points):
                    self.rules += _line(x0, y0, x1, y1, scale)
            elif self.filled and len(points) in (4, 5):
                self.rules += _bar(points, scale)
        drawn = self.filled or bool(stroke.value)
        self.bent = drawn and skewed > ROUNDED * (straight + skewed)


def _rounded(points: Sequence[Point], kinds: Sequence[bool], scale: float) -> list[Box]:
    """The sides of a frame with rounded corners; none of another outline."""
    box = around(points)
    along = [0.0] * 4  # how far the outline runs along each side
    for (x0, y0), (x1, y1), curved in zip(points, points[1:], kinds, strict=False):
        for k, (a, b) in enumerate(((x0, x1), (y0, y1)) * 2):
            if not curved and abs(a - b) < 0.5 and abs(a - box[k]) < 0.5:
                along[k] += abs(y1 - y0) if k % 2 == 0 else abs(x1 - x0)
    left, top, right, bottom = box
    sides = [bottom - top, right - left] * 2
    if any(its < STRAIGHT * side for its, side in zip(along, sides, strict=True)):
        return []
    return [
        rule for x0, y0, x1, y1 in ((left, top, right, top), (left, bottom, right, bottom), (left, top, left, bottom),
                                    (right, top, right, bottom))
        for rule in _line(x0, y0, x1, y1, scale)
    ]


def _circle(points: Sequence[Point], scale: float) -> bool:
    """Whether an outline is a circle of the size of a letter."""
    left, top, right, bottom = around(points)
    wide, high = right - left, bottom - top
    x, y = (left + right) / 2, (top + bottom) / 2
    radii = [math.hypot(a - x, b - y) for a, b in points]
    small = DISC[0] * scale <= wide <= DISC[1] * scale
    # The points that bend a curve lie a little outside the circle.
    return small and abs(wide - high) < 1 and min(radii) > 0.45 * wide and max(radii) < 0.6 * wide


def _bar(points: Sequence[Point], scale: float) -> list[Box]:
    """The rule that a filled shape of four corners is, whose ends may be cut askew as those of a frame's sides are."""
    x0, y0, x1, y1 = around(points)
    level = x1 - x0 >= y1 - y0
    (a0, a1), (b0, b1) = ((x0, x1), (y0, y1)) if level else ((y0, y1), (x0, x1))
    askew = b1 - b0 if a1 - a0 > ASKEW * (b1 - b0) else 0.0
    corners = [point if level else point[::-1] for point in points]
    if any(min(b - b0, b1 - b) >= 0.5 or min(a - a0, a1 - a) >= askew + 0.5 for a, b in corners):
        return []
    if b1 - b0 > THIN * scale:
        return []
    middle = (b0 + b1) / 2
    return _line(x0, middle, x1, middle, scale) if level else _line(middle, y0, middle, y1, scale)


def _line(x0: float, y0: float, x1: float, y1: float, scale: float) -> list[Box]:
    if abs(y0 - y1) < 0.5 and abs(x0 - x1) >= BAR * scale:
        return [(min(x0, x1), (y0 + y1) / 2, max(x0, x1), (y0 + y1) / 2)]
    if abs(x0 - x1) < 0.5 and abs(y0 - y1) >= SHORT * scale:
        return [((x0 + x1) / 2, min(y0, y1), (x0 + x1) / 2, max(y0, y1))]
    return []


def _outlines(path: int, segments: int, matrix: Affine) -> Iterator[tuple[list[Point], list[bool]]]:
    """The points of each stretch of a path that is drawn without lifting the pen, and whether the way from each point
    to the next bends."""
    points: list[Point] = []
    kinds: list[bool] = []
    for i in range(segments):
        segment = _path_segment(path, i)
        kind = _segment_kind(segment)
        point = _point(segment, matrix)
        if kind == pdfium.FPDF_SEGMENT_MOVETO and points:
            yield points, kinds
            points, kinds = [], []
        if points:
            kinds.append(kind == pdfium.FPDF_SEGMENT_BEZIERTO)
        points.append(point)
        if _segment_close(segment) and points[-1] != points[0]:
            points.append(points[0])
            kinds.append(False)
    if points:
        yield points, kinds


def _clusters(boxes: Sequence[Box], cell: float) -> list[Box]:
    """The boxes around groups of `boxes`; those of a group lie less than two cells of a grid apart."""
    cells: dict[tuple[int, int], list[Box]] = {}
    count = 0
    for box in boxes:
        left, top, right, bottom = (int(v // cell) for v in box)
        count += 2 * (right - left + bottom - top) + 4
        if count > CELLS:
            return [union(boxes)]
        # The outline is enough: what lies inside a figure belongs to it by the boxes' overlap below.
        for x in range(left, right + 1):
            for y in {top, bottom} if left < x < right else range(top, bottom + 1):
                cells.setdefault((x, y), []).append(box)
    out: list[Box] = []
    while cells:
        at, own = cells.popitem()
        todo, found = [at], list(own)
        while todo:
            x, y = todo.pop()
            for near in [(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if near in cells:
                    found += cells.pop(near)
                    todo.append(near)
        out.append(union(found))
    return _merged(out)


def _merged(boxes: list[Box]) -> list[Box]:
    """The boxes, with those that overlap joined, largest first."""
    out: list[Box] = []
    for box in sorted(boxes, key=area, reverse=True):
        over = next((i for i, other in enumerate(out) if touch(box, other, 0)), None)
        if over is None:
            out.append(box)
        else:
            out[over] = union([box, out[over]])
    return out
