"""The raster images and the thin lines that are drawn on a PDF page. Part of pdf.py's process."""

from __future__ import annotations

import math
from collections.abc import Iterator
from ctypes import byref, c_float, c_int
from itertools import pairwise
from typing import Any

import pypdfium2.raw as pdfium

from microfiche.documents.affine import Affine
from microfiche.documents.sheet import Box

THIN = 2.5  # points: what is drawn thicker than this is no rule
SHORT = 4.0  # points: what is shorter is no rule
DRAWING = 1000  # a path of more segments is a drawing, not a table
DEPTH = 15  # forms within forms


def image_boxes_and_rules(
    page: Any, to_picture: Affine, scale: float, size: tuple[int, int]
) -> tuple[list[Box], list[Box]]:
    """The boxes of raster images, cut to the picture of `size` px at `scale` px a point, and the rules."""
    image_boxes: list[Box] = []
    rules: list[Box] = []
    for obj, kind, matrix in _walk(page, to_picture):
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            box = _cut(_around([matrix(x, y) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1))]), size)
            if box[0] < box[2] and box[1] < box[3]:
                image_boxes.append(box)
        elif kind == pdfium.FPDF_PAGEOBJ_PATH:
            rules += [r for rule in _rules(obj, matrix, scale) if (r := _cut(rule, size))[:2] != r[2:]]
    return image_boxes, rules


def _walk(page: Any, to_picture: Affine) -> Iterator[tuple[Any, int, Affine]]:
    """Every image and path with its own matrix to the picture, those inside forms too."""
    count, get = pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject
    holders = [(page, to_picture, count, get, 0)]
    while holders:
        holder, outer, count, get, depth = holders.pop()
        for i in range(count(holder)):
            obj = get(holder, i)
            kind = pdfium.FPDFPageObj_GetType(obj)
            if kind not in (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_FORM):
                continue
            own = pdfium.FS_MATRIX()
            pdfium.FPDFPageObj_GetMatrix(obj, byref(own))
            matrix = outer.after(Affine(own.a, own.b, own.c, own.d, own.e, own.f))
            if kind != pdfium.FPDF_PAGEOBJ_FORM:
                yield obj, kind, matrix
            elif depth < DEPTH:
                inside = pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject
                holders.append((obj, matrix, *inside, depth + 1))


def _rules(path: Any, matrix: Affine, scale: float) -> Iterator[Box]:
    fill, stroke, width = c_int(), c_int(), c_float()
    pdfium.FPDFPath_GetDrawMode(path, byref(fill), byref(stroke))
    segments = pdfium.FPDFPath_CountSegments(path)
    if segments > DRAWING:
        return
    pdfium.FPDFPageObj_GetStrokeWidth(path, byref(width))
    thickness = width.value * math.hypot(*matrix.direction(1, 0))
    for points, curved in _outlines(path, segments, matrix):
        if curved:
            continue
        if stroke.value and thickness <= THIN * scale:
            for (x0, y0), (x1, y1) in pairwise(points):
                yield from _line(x0, y0, x1, y1, scale)
        elif fill.value and len(points) in (4, 5):
            x0, y0, x1, y1 = _around(points)
            if all(min(x - x0, x1 - x) < 0.5 and min(y - y0, y1 - y) < 0.5 for x, y in points):
                if y1 - y0 <= min(THIN * scale, x1 - x0):
                    yield from _line(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, scale)
                elif x1 - x0 <= THIN * scale:
                    yield from _line((x0 + x1) / 2, y0, (x0 + x1) / 2, y1, scale)


def _line(x0: float, y0: float, x1: float, y1: float, scale: float) -> Iterator[Box]:
    if abs(y0 - y1) < 0.5 and abs(x0 - x1) >= SHORT * scale:
        yield min(x0, x1), (y0 + y1) / 2, max(x0, x1), (y0 + y1) / 2
    elif abs(x0 - x1) < 0.5 and abs(y0 - y1) >= SHORT * scale:
        yield (x0 + x1) / 2, min(y0, y1), (x0 + x1) / 2, max(y0, y1)


def _outlines(path: Any, segments: int, matrix: Affine) -> Iterator[tuple[list[tuple[float, float]], bool]]:
    """The points of each stretch of a path that is drawn without lifting the pen, and whether it bends."""
    x, y = c_float(), c_float()
    points: list[tuple[float, float]] = []
    curved = False
    for i in range(segments):
        segment = pdfium.FPDFPath_GetPathSegment(path, i)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        pdfium.FPDFPathSegment_GetPoint(segment, byref(x), byref(y))
        if kind == pdfium.FPDF_SEGMENT_MOVETO and points:
            yield points, curved
            points, curved = [], False
        curved |= kind == pdfium.FPDF_SEGMENT_BEZIERTO
        points.append(matrix(x.value, y.value))
        if pdfium.FPDFPathSegment_GetClose(segment) and points[-1] != points[0]:
            points.append(points[0])
    if points:
        yield points, curved


def _around(points: list[tuple[float, float]]) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _cut(box: Box, size: tuple[int, int]) -> Box:
    width, height = size
    return (
        min(max(box[0], 0.0), width),
        min(max(box[1], 0.0), height),
        min(max(box[2], 0.0), width),
        min(max(box[3], 0.0), height),
    )
