"""The lines of a PDF page's text layer: those that a person sees, upright or turned, and those that nobody sees.

Joins what stands on the page as glyphs, rules, links and fields; the shapes of lines are `pieces`' business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import area, union
from microfiche.documents.formulas.finding import formulas_in, in_place
from microfiche.documents.inline import FORMULA, LOWERED, RAISED, STRUCK, linked, marked, names
from microfiche.documents.sheet import Link, Sheet, TextLayer
from microfiche.documents.text_layer.blanks import with_blanks
from microfiche.documents.text_layer.glyphs import FIXED_PITCH, MONOSPACED, REPLACEMENT, Glyphs, glyphs_of, median
from microfiche.documents.text_layer.margin_notes import notes_in
from microfiche.documents.text_layer.numbered import numbers_apart
from microfiche.documents.text_layer.pieces import Piece, low_lines, pieces_of, spaces_after
from microfiche.documents.text_layer.tick_boxes import tick_boxes
from microfiche.documents.text_layer.turning import Turn
from microfiche.documents.text_lines import BOXES, WIDE, TextLine, with_fields, with_markers
from microfiche.page import Box

BOLD_WEIGHT = 600
#: In names of fonts; TeX's have BX, and give a weight that is too small.
HEAVY = re.compile(r"bold|black|heavy|demi|^(?:[A-Z]{6}\+)?(?:cm|sf|ec|lh|tc)(?:ss|cs|c)?bx", re.IGNORECASE)
FORCED_BOLD = 1 << 18
UPRIGHT = 8.0  #: degrees by which upright text leans, at most
SLANT = 1.0  #: degrees between angles that count as different
BASE = 0.25  #: the share of a line's signs that are of its own size, at least
UP, DOWN = 0.15, 0.07  #: ems by which a small sign is raised or lowered, at least
SAME_SIZE = 0.25  #: ems by which a sign of the line's own size is raised or lowered, at least
TIGHT = -0.08  #: ems: letters that are moved and pushed into one another are a logo, as those of TeX
RISEN = "*∗⁎†‡°′″‴®™©℠◦∘○ªº''\"\u201c\u201d\u2018\u2019"  #: signs that stand high by nature
DEGREE = str.maketrans("◦∘○", "°°°")
MIDDLE = 0.08, 0.48  #: ems above the baseline between which a rule strikes letters out
WORD = 0.6  #: the share of a sign's width that a rule or a link covers, at least
FRAME = 2.0  #: ems: upright rules that are lower are part of a frame around words
LINKS = 2000  #: of a page that are looked at
COLUMN = 3  #: steps down from sign to sign that make a column
CARD = 0.2  #: of the page: a link that is larger is no link of words
OPERATORS = "=+<>≤≥≠≈∼−×∈⊂→"  #: what follows something that nobody can name in a formula rather than in a list
HYPHENS = "-\u2010\u00ad"
SOFT = "\u00ad"


def lines_of(sheet: Sheet) -> list[TextLine]:
    """The upright lines of a page's text layer that can be seen on its picture, with the marks of `inline`.

    A hyphen at the end of a line stays as U+00AD. Empty where there is no text layer or no picture.
    """
    if sheet.text is None or sheet.picture is None:
        return []
    layer = sheet.text
    sheet = replace(sheet, fields=[*sheet.fields, *tick_boxes(sheet)])
    chosen = layer.seen & ~layer.invisible & _upright(layer) & ~_vertical(layer)
    chosen &= ~_ticked(sheet, layer)
    lines = _lines(sheet, layer, chosen, _commonest(layer.angles[chosen]))
    return with_markers(with_fields(with_blanks(lines, sheet.rules), sheet.fields))


def sideways(sheet: Sheet) -> list[Turn]:
    """The quarters by which text stands turned that can be seen beside the upright text of a page."""
    if sheet.text is None or sheet.picture is None:
        return []
    layer = sheet.text
    spaces = np.array([c.isspace() for c in layer.text], bool)
    angles = layer.angles[layer.seen & ~layer.invisible & ~spaces & ~_vertical(layer)]
    turns: tuple[Turn, ...] = (90, 180, 270)
    return [turn for turn in turns if (_apart(angles, turn) <= UPRIGHT).any()]


def turned_lines(sheet: Sheet) -> list[TextLine]:
    """The lines that can be seen and stand neither upright nor turned by a quarter, with their boxes on the page as it
    is; and columns of upright signs.

    Their text is whole, but what belongs before and after them is unknown.
    """
    if sheet.text is None or sheet.picture is None:
        return []
    layer = sheet.text
    out: list[TextLine] = []
    spaces = np.array([c.isspace() for c in layer.text], bool)
    seen, vertical = layer.seen & ~layer.invisible & ~spaces, _vertical(layer)
    if (seen & vertical).any():
        out += sorted(_lines(sheet, layer, seen & vertical, vertical=True), key=lambda line: -line.box[2])
    quarters = np.min([_apart(layer.angles, turn) for turn in (0, 90, 180, 270)], axis=0) <= UPRIGHT
    return out + _by_angle(sheet, layer, seen & ~vertical & ~quarters)


def hidden_of(sheet: Sheet) -> list[TextLine]:
    """The lines of a page's text layer that nobody sees: without ink, white on white, too small, covered, clipped away,
    on a layer that is off, or outside the page. Of what was drawn behind a scan, too."""
    if sheet.text is None:
        return []
    layer = sheet.text
    hidden = ~layer.seen | layer.invisible
    return _by_angle(sheet, layer, hidden & ~np.array([c.isspace() for c in layer.text], bool))


def _by_angle(sheet: Sheet, layer: TextLayer, rest: NDArray[np.bool_]) -> list[TextLine]:
    """The lines that the signs `rest` (T,) make, those of the commonest angle first."""
    out: list[TextLine] = []
    while rest.any():
        angle = _commonest(layer.angles[rest])
        now = rest & (_apart(layer.angles, angle) <= SLANT)
        out += _lines(sheet, layer, now, angle)
        rest = rest & ~now
    return out


def _upright(layer: TextLayer) -> NDArray[np.bool_]:
    return _apart(layer.angles, 0.0) <= UPRIGHT


def _apart(angles: NDArray[np.float32], angle: float) -> NDArray[np.float32]:
    return np.abs(((angles - angle + 180) % 360) - 180)


def _commonest(angles: NDArray[np.float32]) -> float:
    if not len(angles):
        return 0.0
    values, counts = np.unique(np.round(angles.astype(float), 1) + 0.0, return_counts=True)
    return float(values[counts.argmax()])


def _vertical(layer: TextLayer) -> NDArray[np.bool_]:
    """(T,) whether a character is one of a column of upright characters, as East Asian text may be set."""
    out = np.zeros(len(layer.text), bool)
    east = np.array([c >= "\u2e80" for c in layer.text], bool)
    if east.sum() < 3:
        return out
    at = np.flatnonzero(~np.array([c.isspace() for c in layer.text], bool))
    middle = (layer.boxes[at, 0] + layer.boxes[at, 2]) / 2
    size = np.maximum(layer.sizes[at[1:]], 1)
    down = (layer.boxes[at[1:], 1] - layer.boxes[at[:-1], 1]) / size
    below = (np.abs(np.diff(middle)) < 0.3 * size) & (down > 0.4) & (down < 1.6)
    below &= east[at[1:]] | east[at[:-1]]
    starts = np.flatnonzero(np.diff(np.append(False, below).astype(int)) == 1)
    for start in starts.tolist():  # of signs drawn one by one, only a long column is one
        stop = start + int(np.argmin(np.append(below[start:], False)))
        if stop - start < COLUMN:
            below[start:stop] &= layer.run[at[start : stop]] == layer.run[at[start + 1 : stop + 1]]
    out[at[1:][below]] = True
    out[at[:-1][below]] = True
    return out


def _ticked(sheet: Sheet, layer: TextLayer) -> NDArray[np.bool_]:
    """(T,) whether a character is the tick of a field: the field says so itself."""
    out = np.zeros(len(layer.text), bool)
    x, y = (layer.ink[:, 0] + layer.ink[:, 2]) / 2, (layer.ink[:, 1] + layer.ink[:, 3]) / 2
    for box, text, *_ in sheet.fields:
        if text in ("[x]", "[ ]"):
            out |= (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])
    return out


def _lines(
    sheet: Sheet, layer: TextLayer, chosen: NDArray[np.bool_], angle: float = 0.0, vertical: bool = False
) -> list[TextLine]:
    """The lines that the `chosen` (T,) characters make, whose baselines run at `angle`."""
    if not chosen.any():
        return []
    glyphs = glyphs_of(layer, chosen, angle, vertical)
    if not len(glyphs):
        return []
    upright = not vertical and angle == 0
    bold, fixed = _bold(layer), _fixed(layer)
    rules = sheet.rules if upright else []
    formulas = formulas_in(glyphs, layer.fonts, fixed, [*rules, *sheet.bars]) if upright else []
    out = [
        TextLine(marked(one.latex, FORMULA), one.box, one.size, displayed=True) for one in formulas if one.displayed
    ]
    glyphs = in_place(glyphs, formulas)
    if not len(glyphs):
        return out
    struck = _struck(glyphs, rules, sheet.struck if upright else [])
    bars = [bar for bar in (*sheet.bars, *rules) if bar[1] == bar[3]]
    links = _linked(glyphs, sheet.links, CARD * (area((0, 0, *sheet.picture.size)) if sheet.picture else 1))
    pieces = pieces_of(glyphs, fixed[glyphs.font], _dividers(rules, median(glyphs.size)), _opens(sheet, glyphs))
    pieces = numbers_apart(glyphs, pieces, fixed[glyphs.font])
    pieces, notes = notes_in(glyphs, pieces, fixed[glyphs.font]) if upright else (pieces, {})
    if angle:
        pieces = sorted(pieces, key=lambda piece: (float(glyphs.y[piece].min()), float(glyphs.x[piece].min())))
    for number, piece in enumerate(pieces):
        at = np.array(piece)
        same = bool(np.count_nonzero(fixed[glyphs.font[at]]) > 0.8 * len(at))
        size, levels = (median(glyphs.size[at]), []) if vertical else _levels(glyphs, at)
        spaces = spaces_after(glyphs, piece, same)
        low = low_lines(glyphs, at, bars) if bars and upright else {}
        text = _text(glyphs, piece, spaces, levels, struck[at], links[at], sheet.links, same, low)
        if text:
            box = union(tuple(b) for b in glyphs.box[at].tolist())
            heavy = bool(np.count_nonzero(bold[glyphs.font[at]]) > 0.5 * len(at))
            gaps = _gaps(glyphs, at, size) if any(spaces) and not (same or vertical) else ()
            out.append(TextLine(text, box, size, heavy, fixed=same, gaps=gaps, note=notes.get(number, 0)))
    return out


def _gaps(glyphs: Glyphs, at: NDArray[np.int64], size: float) -> tuple[tuple[float, float], ...]:
    """The wide spaces in a piece."""
    order = at[np.argsort(glyphs.x[at], kind="stable")]
    ends, starts = np.maximum.accumulate(glyphs.end[order])[:-1], glyphs.x[order][1:]
    return tuple((float(ends[k]), float(starts[k])) for k in np.flatnonzero(starts - ends > WIDE * size).tolist())


def _dividers(rules: Sequence[Box], size: float) -> list[Box]:
    """The upright rules that divide cells, whole; those that are lower than a row of a table frame a word."""
    out: list[Box] = []
    for x, top, over, bottom in sorted(rule for rule in rules if rule[0] == rule[2]):
        if out and abs(out[-1][0] - x) < 1 and top <= out[-1][3] + 3:
            out[-1] = (x, min(top, out[-1][1]), x, max(bottom, out[-1][3]))
        else:
            out.append((x, top, over, bottom))
    return [rule for rule in out if rule[3] - rule[1] > FRAME * size]


def _bold(layer: TextLayer) -> NDArray[np.bool_]:
    return np.array([
        font.weight >= BOLD_WEIGHT or bool(font.flags & FORCED_BOLD) or HEAVY.search(font.name) is not None
        for font in layer.fonts
    ] + [False])  # fmt: skip


def _fixed(layer: TextLayer) -> NDArray[np.bool_]:
    """Whether all letters of each font are of one width: by its name and flags, and where narrow and broad letters are
    there, by their widths; not of one that most East Asian characters are set in, which are so in any type."""
    out = [bool(font.flags & FIXED_PITCH) or bool(MONOSPACED.search(font.name)) for font in layer.fonts] + [False]
    width = layer.advances / np.maximum(layer.sizes, 1e-6)
    narrow = np.array([c in "iljtf.,'" for c in layer.text], bool)
    wide = np.array([c in "abdeghmnopquwMWO@%" for c in layer.text], bool)
    east = np.array([c >= "\u2e80" for c in layer.text], bool)
    for number in range(len(layer.fonts)):
        own = layer.font == number
        out[number] &= bool(2 * np.count_nonzero(own & east) <= np.count_nonzero(own))
        a, b = width[own & narrow], width[own & wide]
        if len(a) > 2 and len(b) > 2:
            out[number] = abs(median(a) - median(b)) < 0.02 and float(np.percentile(b, 95) - np.percentile(a, 5)) < 0.05
    return np.array(out, bool)


def _levels(glyphs: Glyphs, at: NDArray[np.int64]) -> tuple[float, list[int]]:
    """The size of a line's type, and whether each sign is raised (1), lowered (-1) or neither (0)."""
    sizes, bases = glyphs.size[at], glyphs.y[at]
    size = median(sizes)
    if len(at) < 2 or (np.ptp(bases) <= DOWN * size):
        return size, []
    own = sizes >= 0.999 * np.quantile(sizes, 1 - (BASE if len(at) > 4 else 0.0))
    size = median(sizes[own])
    own = np.abs(sizes - size) < 0.08 * size
    base = median(bases[own])
    rise, less = (base - bases) / size, sizes <= 0.87 * size
    tight = _tight(glyphs, at, size)
    up = (less & (rise > UP)) | (~less & (rise > SAME_SIZE))
    down = (less & (rise < -DOWN)) | (~less & (rise < -SAME_SIZE))
    levels = np.where(tight, 0, up.astype(int) - down.astype(int))
    if np.count_nonzero(levels) > 0.75 * len(levels):
        return median(sizes), []
    return size, levels.tolist()


def _tight(glyphs: Glyphs, at: NDArray[np.int64], size: float) -> NDArray[np.bool_]:
    """(n,) whether a sign is a capital letter that is pushed into the one before it or after it."""
    gaps = (glyphs.x[at[1:]] - glyphs.end[at[:-1]]) / size
    tight = np.append(0.0, gaps) < TIGHT
    tight |= np.append(gaps, 0.0) < TIGHT
    return tight & np.array([len(glyphs.text[i]) == 1 and glyphs.text[i].isupper() for i in at.tolist()])


def _struck(glyphs: Glyphs, rules: Sequence[Box], marks: Sequence[Box]) -> NDArray[np.bool_]:
    """(T,) whether each glyph is struck out, by a rule through words that ends with them, or by a mark."""
    out = np.zeros(len(glyphs), bool)
    width = np.maximum(glyphs.end - glyphs.x, 1e-6)
    upright = np.array([rule for rule in rules if rule[0] == rule[2]] or [(0.0, -1.0, 0.0, -1.0)])
    bases, high = np.sort(glyphs.y), MIDDLE[1] * float(glyphs.size.max())
    level = np.array([rule[1] for rule in rules])
    crossing = np.searchsorted(bases, level + high) > np.searchsorted(bases, level)
    for left, y, right, below in [rule for rule, near in zip(rules, crossing.tolist(), strict=True) if near]:
        ends = np.minimum(np.abs(upright[:, 0] - left), np.abs(upright[:, 0] - right)) < 3
        if y != below or (ends & (upright[:, 1] < y + 3) & (upright[:, 3] > y - 3)).any():
            continue  # upright, or a part of a frame
        over = (np.minimum(glyphs.end, right) - np.maximum(glyphs.x, left)) / width
        high = (glyphs.y - y) / np.maximum(glyphs.size, 1e-6)
        through = (over >= WORD) & (high > MIDDLE[0]) & (high < MIDDLE[1])
        through &= (glyphs.ink[:, 1] < y) & (glyphs.ink[:, 3] > y)
        if any(glyphs.text[i].isalnum() for i in np.flatnonzero(through).tolist()):
            em = median(glyphs.size[through])
            if glyphs.x[through].min() - left < 0.5 * em and right - glyphs.end[through].max() < 0.5 * em:
                out |= through
    middle = (glyphs.ink[:, :2] + glyphs.ink[:, 2:]) / 2
    for mark in marks:
        out |= (middle[:, 0] > mark[0]) & (middle[:, 0] < mark[2]) & (middle[:, 1] > mark[1]) & (middle[:, 1] < mark[3])
    return out


def _linked(glyphs: Glyphs, links: Sequence[Link], card: float) -> NDArray[np.int64]:
    """(T,) the link whose rectangle each glyph stands in, by its number; -1 for none."""
    out = np.full(len(glyphs), -1)
    middle = (glyphs.box[:, :2] + glyphs.box[:, 2:]) / 2
    for number, (box, _) in enumerate(links[:LINKS]):
        if area(box) < card:
            inside = (middle[:, 0] > box[0]) & (middle[:, 0] < box[2])
            out[inside & (middle[:, 1] > box[1] - 1) & (middle[:, 1] < box[3] + 1)] = number
    return out


def _opens(sheet: Sheet, glyphs: Glyphs) -> Callable[[int], bool | None]:
    """What tells from the picture whether a bracket is an opening one: its middle lies to the left of its ends."""

    def opens(i: int) -> bool | None:
        if sheet.picture is None:
            return None
        left, top, right, bottom = (round(v) for v in glyphs.ink[i].tolist())
        ink = 255.0 - np.asarray(sheet.picture.convert("L").crop((left - 1, top, right + 1, bottom)), float)
        ink -= ink.min() if ink.size else 0
        if ink.size == 0 or ink.max() < 32 or len(ink) < 4:
            return None
        columns = np.arange(ink.shape[1])
        third = max(1, len(ink) // 4)
        ends, middle = np.concatenate([ink[:third], ink[-third:]]).sum(0), ink[third:-third].sum(0)
        if ends.sum() == 0 or middle.sum() == 0:
            return None
        return bool((middle * columns).sum() / middle.sum() < (ends * columns).sum() / ends.sum())

    return opens


def _text(
    glyphs: Glyphs,
    piece: Piece,
    spaces: Sequence[int],
    levels: Sequence[int],
    struck: NDArray[np.bool_],
    links: NDArray[np.int64],
    known: Sequence[Link],
    code: bool,
    low: Mapping[int, int],
) -> str:
    """What a piece says, with its marks, and with `low` lines instead of the spaces after some of its signs."""
    signs = [glyphs.text[i] for i in piece]
    last = len(signs) - 1
    for k, sign in enumerate(signs):
        if sign == SOFT and k < last:
            signs[k] = "-"
    if signs[last] in HYPHENS:
        divides = last > 0 and signs[last - 1][-1:].isalnum() and not spaces[last - 1] and not code
        signs[last] = SOFT if divides else "-"
    if signs[0] == REPLACEMENT and last > 0 and spaces[0] and signs[1] not in OPERATORS:
        signs[0] = "•"  # what stands alone before a line, and nobody can name, marks an item
    signs[1:] = [BOXES.get(sign, sign) for sign in signs[1:]]  # one at the beginning marks an item
    words = [sign + " " * count for sign, count in zip(signs, [*spaces, 0], strict=True)]
    for k, count in low.items():
        words[k] = signs[k] + "_" * count
    if not levels and not struck.any() and (links < 0).all():
        return "".join(words).strip()
    keys = [
        (known[link].address if link >= 0 else "", out, level)
        for link, out, level in zip(links.tolist(), struck.tolist(), levels or [0] * len(signs), strict=True)
    ]
    return _marked(words, keys).strip()


def _marked(words: Sequence[str], keys: Sequence[tuple[str, bool, int]]) -> str:
    """The words joined, with marks around those that lead somewhere, are struck out, raised or lowered."""

    def each(start: int, stop: int, depth: int) -> str:
        if depth == 3:
            return "".join(words[start:stop])
        parts = []
        for key, run in groupby(range(start, stop), lambda i: keys[i][depth]):
            own = list(run)
            text = each(own[0], own[-1] + 1, depth + 1)
            bare = text.strip(" ")
            before, after = text[: len(text) - len(text.lstrip(" "))], text[len(text.rstrip(" ")) :]
            if key and bare:
                bare = _around(bare, depth, key)
            parts.append(before + bare + after)
        return "".join(parts)

    return each(0, len(words), 0)


def _around(text: str, depth: int, key: str | bool | int) -> str:
    if depth == 0:
        return text if names(text, str(key)) else linked(text, str(key))
    if depth == 1:
        return marked(text, STRUCK)
    if key == 1:
        text = text.translate(DEGREE) if text.strip("◦∘○") == "" else text
        return marked(text, RAISED) if any(c not in RISEN for c in text) else text
    return marked(text, LOWERED) if any(map(str.isalnum, text)) else text
