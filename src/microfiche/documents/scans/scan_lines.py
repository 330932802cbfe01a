"""The lines on a page that was set upright and straight: each box of text is read, turned where it has to be, and what
it says is placed on the page, with the weight of its type and the boxes to tick.

Knows no networks: a recogniser is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import around, rounded, share
from microfiche.documents.finishing.languages import language_of
from microfiche.documents.scans.first_letters import initial_apart
from microfiche.documents.scans.ink import SPREAD, empty_runs, walls
from microfiche.documents.scans.line_pieces import CAPITAL, TYPE, X_HEIGHT, Piece, pieces, wide_sign
from microfiche.documents.scans.lone_signs import DASHES, is_dash
from microfiche.documents.scans.lone_signs import said as said_alone
from microfiche.documents.scans.lost_signs import text_of, with_carons, with_signs
from microfiche.documents.scans.orientation import TALL, Seen
from microfiche.documents.scans.recognition import Found, Pixels, Recognised, Recogniser, cut, recognise
from microfiche.documents.scans.screen_ticks import is_hook, largest
from microfiche.documents.scans.ticks import Tick, boxes_and_bullets, without
from microfiche.documents.scans.underscores import with_underscores
from microfiche.documents.text_lines import TICKS, TextLine, labelled
from microfiche.page import Box

BOLDER = 1.22  #: times the page's usual stroke, in ems, that bold type has at least
LONGEST = 45.0  #: times its height, that a line is read in one piece
BEFORE = 0.3  #: of its height, of paper before a line whose first letter the recogniser took for a space
DOUBTFUL, CERTAIN = 0.6, 0.85  #: confidence below which a line is tried upside down, and what it must have then
NARROW_BOX = 1.5  #: times its height, that the box of a single sign is wide, at most
IDEOGRAPHIC = str.maketrans("一－", "——")  #: as which dashes are read that no letter joins
DASH, EM_DASH = 0.36, 0.66  #: ems from which on a dash is no hyphen, and is "—"
SEEN_BOXES = frozenset("□☐☑☒■")  #: as which the ground of a box that was painted over is read
ALIKE_CAPITALS = tuple("COSUVWXZ")  #: that differ from their small letters by size alone
BESIDE = ("cs", "sk")  #: languages with carons that stand beside their letters


def lines_of(seen: Seen, recogniser: Recogniser = recognise) -> list[TextLine]:
    """The lines of a page that was set upright and straight, as `recogniser` reads them, from top to bottom; those that
    it was unsure of as well."""
    ticks, bullets = boxes_and_bullets(np.asarray(seen.picture), seen.ink)
    if ticks or bullets:
        seen = _unticked(seen, [*ticks, *bullets])
    best = _read(seen, recogniser)
    uprights = _uprights(seen)
    parted = {box: walls(cut(uprights, box)) if not quarters else [] for box, (_, quarters) in best.items()}
    masks = {box: _without(cut(seen.ink.mask, box), parted[box]) for box in best}
    for box, found in parted.items():
        if found:
            best[box] = _without_bars(best[box][0], masks[box].shape, found), best[box][1]
    clear = seen.ink.without(seen.rules)
    for box in [box for box in best if not box.score or box.width < NARROW_BOX * box.height]:
        mask = cut(clear.mask, box)
        alone = not box.score or is_dash(mask) or is_hook(largest(mask))
        line = said_alone(best[box][0], mask) if alone else best[box][0]
        if line is None:
            del best[box]
        elif line is not best[box][0]:
            best[box] = line, 0
    masks = {box: np.rot90(masks[box], quarters) for box, (_, quarters) in best.items()}
    said = {box: with_signs(line, masks[box]) for box, (line, _) in best.items()}
    if not any(wide_sign(c) and c not in DASHES for line in said.values() for c in line.text):
        said = {box: replace(x, text=x.text.translate(IDEOGRAPHIC)) if len(x.text) > 1 else x
                for box, x in said.items()}
    if language_of(text_of(list(said.values()))) in BESIDE:
        said = {box: with_carons(line, masks[box]) for box, line in said.items()}
    for box, line in list(said.items()):
        faint = np.rot90(cut(seen.ink.faint, box), best[box][1])
        said[box], masks[box] = with_underscores(line, masks[box], faint)
    out: list[TextLine] = []
    strokes: list[float] = []
    for box in sorted(best, key=lambda one: (one.y, one.x)):
        marks = _across(box, ticks) if not best[box][1] else []
        for piece in pieces(said[box], masks[box], [*((a + b) / 2 for a, b in parted[box]), *marks]):
            out.append(replace(_placed(piece, box, best[box][1]), engine=said[box].engine))
            strokes.append(piece.stroke)
    return _with_ticks(_beginning(_settled(_weighed(out, strokes)), seen.ink.dark), ticks)


def _beginning(lines: Sequence[TextLine], grounds: Sequence[Box]) -> list[TextLine]:
    """The lines, those that stand in the first row on one of the `grounds` as lines with which something begins."""
    first = set[int]()
    for ground in grounds:
        inside = [k for k, line in enumerate(lines) if share(line.box, ground) > 0.7]
        top = min((lines[k].middle for k in inside), default=0.0)
        first |= {k for k in inside if lines[k].middle < top + 0.5 * lines[k].size}
    return [replace(line, begins=True) if k in first else line for k, line in enumerate(lines)]


def _uprights(seen: Seen) -> NDArray[np.uint8]:
    """The upright rules of a page, as a mask of its size."""
    mask = np.zeros_like(seen.ink.mask)
    for left, top, _, bottom in (rounded(rule) for rule in seen.rules if rule[0] == rule[2]):
        mask[top:bottom, max(0, left - 1) : left + 2] = 1
    return mask


def _without(mask: NDArray[np.uint8], rules: Sequence[tuple[int, int]]) -> NDArray[np.uint8]:
    """The ink (H, W) of a line's box without the upright rules in it."""
    mask = mask.copy() if rules else mask
    for start, stop in rules:
        mask[:, max(0, start - SPREAD) : stop + SPREAD] = 0
    return mask


def _without_bars(line: Recognised, shape: tuple[int, ...], rules: Sequence[tuple[int, int]]) -> Recognised:
    """The line without the bars that were read for upright rules in its box, whose ink has this shape."""
    near = 0.25 * TYPE * shape[0]
    places = (line.places * shape[1]).tolist()
    bars = [sign == "|" and any(start - near < place < stop + near for start, stop in rules)
            for sign, place in zip(line.text, places, strict=True)]
    if not any(bars):
        return line
    keep = ~np.array(bars, bool)
    text = "".join(sign for sign, bar in zip(line.text, bars, strict=True) if not bar)
    return replace(line, text=text, sure=line.sure[keep], places=line.places[keep])


def _with_ticks(lines: Sequence[TextLine], ticks: Sequence[Tick]) -> list[TextLine]:
    """The lines, each box to tick as `[x]` or `[ ]` with its label."""
    sure = min((line.confidence for line in lines), default=CERTAIN)
    marks = [TextLine(TICKS[not x.ticked], x.box, x.box[3] - x.box[1], confidence=sure) for x in ticks]
    free = [x for x in lines if len(x.text) > 1 or not any(share(x.box, mark.box) > 0.3 for mark in marks)]
    free = [
        replace(x, text=x.text[1:].lstrip())
        if x.text[0] in SEEN_BOXES and any(_precedes(mark, x) for mark in marks) else x for x in free
    ]
    return labelled([*free, *marks]) if marks else list(lines)


def _precedes(mark: TextLine, line: TextLine) -> bool:
    """Whether a box to tick stands level with a line, close before it or at its beginning."""
    level = line.box[1] < mark.middle < line.box[3]
    return level and mark.box[0] - mark.size < line.box[0] < mark.box[2] + mark.size


def _across(box: Found, ticks: Sequence[Tick]) -> list[float]:
    """Where across a box of text boxes to tick stand in it, px."""
    cos, sin = math.cos(math.radians(box.angle)), math.sin(math.radians(box.angle))
    middles = [((tick.box[0] + tick.box[2]) / 2 - box.x, (tick.box[1] + tick.box[3]) / 2 - box.y) for tick in ticks]
    return [
        x * cos + y * sin + box.width / 2 for x, y in middles
        if abs(x * cos + y * sin) < box.width / 2 and abs(y * cos - x * sin) < box.height / 2
    ]


def _unticked(seen: Seen, ticks: Sequence[Tick]) -> Seen:
    """The page without its boxes to tick, so that they are not read as letters."""
    mask = seen.ink.mask.copy()
    for left, top, right, bottom in (rounded(x.whole) for x in ticks):
        mask[top:bottom, left:right] = 0
    picture = Image.fromarray(without(np.asarray(seen.picture), ticks))
    known = {i: line for i, line in seen.known.items() if not any(_meets(seen.boxes[i], x.box) for x in ticks)}
    return replace(seen, picture=picture, ink=replace(seen.ink, mask=mask), known=known)


def _meets(box: Found, tick: Box) -> bool:
    x, y = (tick[0] + tick[2]) / 2, (tick[1] + tick[3]) / 2
    return abs(box.x - x) < (box.width + tick[2] - tick[0]) / 2 and abs(box.y - y) < box.height / 2


def _read(seen: Seen, recogniser: Recogniser) -> dict[Found, tuple[Recognised, int]]:
    """What each box of text on a page says, and by how many quarters it is turned counter-clockwise for that."""
    pixels = np.asarray(seen.picture)
    parts: list[Pixels] = []
    asked: list[tuple[Found, int]] = []  # for each part its box, and how many quarters it is turned
    best: dict[Found, tuple[Recognised, int]] = {}
    for i, whole in sorted(enumerate(seen.boxes), key=lambda one: (one[1].y, one[1].x)):
        for box in [part for half in initial_apart(whole, seen.ink) for part in _shortened(half, seen.ink.mask)]:
            if box is whole and i in seen.known:
                best[box] = (seen.known[i], 0)
                continue
            part = cut(pixels, box)
            parts += [np.rot90(part, quarters) for quarters in _ways(box)]
            asked += [(box, quarters) for quarters in _ways(box)]
    for (box, quarters), line in zip(asked, recogniser(parts), strict=True):
        if box not in best or _sum(line) > _sum(best[box][0]):
            best[box] = (line, quarters)
    doubtful = [box for box, (line, quarters) in best.items() if not quarters and line.confidence < DOUBTFUL]
    for box, line in zip(doubtful, recogniser([np.rot90(cut(pixels, box), 2) for box in doubtful]), strict=True):
        if line.confidence > CERTAIN and _sum(line) > _sum(best[box][0]):
            best[box] = (line, 2)
    cut_short = [box for box, (line, quarters) in best.items() if not quarters and line.text.startswith(" ")]
    wider = [replace(box, x=box.x - BEFORE * box.height / 2, width=box.width + BEFORE * box.height)
             for box in cut_short]
    for box, wide, line in zip(cut_short, wider, recogniser([cut(pixels, box) for box in wider]), strict=True):
        if line.text.endswith(best[box][0].text.strip()) and _sum(line) > _sum(best[box][0]):
            del best[box]
            best[wide] = (line, 0)
    return best


def _sum(line: Recognised) -> float:
    """How much speaks for a line."""
    return float((line.sure - 0.3).sum())


def _ways(box: Found) -> tuple[int, ...]:
    """The quarters by which what stands in a box may have to be turned to be read."""
    if box.height < TALL * box.width or not box.score:
        return (0,)
    return (0, 1, 3) if box.height < 3 * box.width else (1, 3)


def _shortened(box: Found, mask: NDArray[np.uint8]) -> list[Found]:
    """The box, or where it is very long, parts of it, divided where the widest gaps are."""
    if box.width < LONGEST * box.height:
        return [box]
    columns = cut(mask, box).max(0) > 0
    count = int(box.width // (0.7 * LONGEST * box.height)) + 1
    step = len(columns) / count
    cuts = [0]
    for k in range(1, count):
        lowest = int((k - 0.3) * step)
        runs = empty_runs(columns[lowest : int((k + 0.3) * step)])
        start, stop = max(runs.tolist(), key=lambda run: run[1] - run[0], default=(int(0.3 * step), int(0.3 * step)))
        cuts.append(lowest + (start + stop) // 2)
    cuts.append(len(columns))
    cos, sin = np.cos(np.deg2rad(box.angle)), np.sin(np.deg2rad(box.angle))
    out = []
    for start, stop in pairwise(cuts):
        off = (start + stop) / 2 - len(columns) / 2
        out.append(replace(box, x=box.x + off * cos, y=box.y + off * sin, width=stop - start))
    return out


def _placed(piece: Piece, box: Found, quarters: int) -> TextLine:
    """The piece as a line on the page."""
    wide, high = (box.height, box.width) if quarters % 2 else (box.width, box.height)
    start, stop = piece.start - wide / 2, min(piece.stop, wide) - wide / 2
    turn = math.radians(box.angle - 90 * (quarters if quarters < 3 else -1))
    cos, sin = math.cos(turn), math.sin(turn)
    corners = [(box.x + x * cos - y * sin, box.y + x * sin + y * cos)
               for x in (start, stop) for y in (-high / 2, high / 2)]
    gaps = tuple((box.x - wide / 2 + a, box.x - wide / 2 + b) for a, b in piece.gaps) if not quarters else ()
    return TextLine(
        piece.text, around(corners), piece.size, confidence=piece.confidence, fixed=piece.fixed, gaps=gaps,
        turn=90 * quarters,
    )


def _settled(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines, those of one sign as their size among the others has it: X or x, and dashes by their length."""
    usual = [line.size for line in lines if len(line.text) > 2]
    if not usual:
        return list(lines)
    size = float(np.median(usual))
    wide = any(wide_sign(c) and c not in DASHES for line in lines for c in line.text)
    out = []
    for line in lines:
        text, its = line.text, line.size
        if text in DASHES and len(text) == 1 and not (wide and text == "一"):
            wide_by = (line.box[2] - line.box[0]) / size
            text, its = "—" if wide_by > EM_DASH else "–" if text in "一－_" or wide_by > DASH else text, size
        elif text in ALIKE_CAPITALS and its < 0.8 * size and its * CAPITAL / X_HEIGHT < 1.2 * size:
            text, its = text.lower(), its * CAPITAL / X_HEIGHT
        elif text.islower() and text.upper() in ALIKE_CAPITALS and 1.3 * size < its < 1.9 * size:
            text, its = text.upper(), its * X_HEIGHT / CAPITAL
        out.append(replace(line, text=text, size=its))
    return out


def _weighed(lines: Sequence[TextLine], strokes: Sequence[float]) -> list[TextLine]:
    """The lines, those bold whose strokes are much wider than is usual on the page."""
    known = sorted((s, len(line.text)) for line, s in zip(lines, strokes, strict=True) if s and not line.fixed)
    if not known:
        return list(lines)
    counts = np.cumsum([n for _, n in known])
    usual = known[int(np.searchsorted(counts, counts[-1] / 2))][0]
    return [replace(line, bold=bool(s > BOLDER * usual)) for line, s in zip(lines, strokes, strict=True)]
