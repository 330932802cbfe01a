"""From glyphs to the pieces of lines that they make, each in the order in which it is read.

Knows the places of glyphs and rules; what the pieces say is `text_lines`' business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.text_layer.direction import MIRRORED, backward, is_backward, reading_order
from microfiche.documents.text_layer.glyphs import TYPED, Glyphs, median
from microfiche.page import Box

GAP = 1.2  #: ems of empty space that divide a line into two pieces
COLUMN = 0.9  #: ems that do so where text begins at one place behind it, in several rows
ALIGNED_ROWS = 3  #: of these, at least
ROWS_APART = 2.5  #: ems from one of them to the next, at most
CELLS = 0.7  #: ems that do so between two numbers
FIGURES = "0123456789%€$£+-−–()"  #: what numbers begin and end with
LEVEL = 0.15  #: ems by which the baselines of one line differ, at most
RAISE = 0.75  #: ems by which a sign is raised or lowered, at most
SMALL = 0.87  #: the size of such a sign over that of its line, at most
INITIAL = 0.48  #: the size of a sign over that of a large letter that begins a paragraph, at most
BESIDE = 0.6  #: ems between such a sign and the next, at most
NEAR = 0.35  #: ems between two pieces that were drawn at different times, at most
ROW = 200  #: pieces on one baseline that are compared
SHORT = 15  #: glyphs of a piece that was drawn apart from its line
RULES = 400  #: upright rules that are looked at one by one, at most
WORDS_APART = 0.18  #: ems between two words, at least
LOW = 0.1, 0.22, 0.62  #: ems from the baseline to a low line, at most, and its width, at least and at most
SPACE = -1  #: in place of a glyph: the space between two words
BRACKETS = "()[]{}<>«»‹›"
OPENING = {b: a for a, b in zip("([{<«‹", ")]}>»›", strict=True)} | {a: a for a in "([{<«‹"}

Piece = list[int]


def pieces_of(
    glyphs: Glyphs,
    fixed: NDArray[np.bool_],
    rules: Sequence[Box] = (),
    opens: Callable[[int], bool | None] = lambda i: None,
) -> list[Piece]:
    """The pieces of the lines that `glyphs` stand on, as their indices in reading order.

    The signs that are mirrored within text that runs from right to left are changed in `glyphs`; `opens` tells whether
    the bracket that is glyph i has the shape of an opening one, None if nobody knows. `rules` are those that divide
    cells: with x0 = x1, in the plane of the glyphs. `fixed` (T,) are the glyphs in type for code.
    """
    count = len(glyphs)
    if not count:
        return []
    right = np.array([is_backward(sign) for sign in glyphs.text])
    page_from_right = bool(right.sum() > 0.5 * sum(sign[:1].isalpha() for sign in glyphs.text))
    joined, close = _joined(glyphs, fixed, rules)
    found: list[Piece] = []
    for start, stop in _spans(joined):
        if right[start:stop].any() or _reversed(glyphs, start, stop):
            found += _visual(glyphs, list(range(start, stop)), rules)
            continue
        for a, b in _spans(close[start : stop - 1]):
            found += _cells(glyphs, list(range(start + a, start + b)))
    found = _columns(glyphs, _merged(glyphs, found, rules), right, fixed)
    return [_read(glyphs, piece, right, page_from_right, opens) for piece in found]


def _spans(joined: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(n - 1,) bool, whether each is joined to the next → the ends of the runs of the n."""
    cuts = (np.flatnonzero(~joined) + 1).tolist()
    return list(zip([0, *cuts], [*cuts, len(joined) + 1], strict=True))


def _joined(
    glyphs: Glyphs, fixed: NDArray[np.bool_], rules: Sequence[Box]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(T - 1,) whether each glyph stands on one line with the next, and whether it stands close to it as well."""
    x, end, y, size = glyphs.x, glyphs.end, glyphs.y, glyphs.size
    large, small = np.maximum(size[1:], size[:-1]), np.minimum(size[1:], size[:-1])
    step, gap = np.abs(np.diff(y)), x[1:] - end[:-1]
    level = step <= LEVEL * small
    raised = (step <= RAISE * large) & (gap > -0.55 * large) & (gap < BESIDE * large)
    sign = np.array([not text[:1].isalnum() for text in glyphs.text])
    alike = (np.abs(gap) <= 0.2 * large) & (step <= 0.5 * large)
    alike |= (sign[1:] | sign[:-1]) & (step <= 0.35 * large)  # an asterisk, a dash or a bracket set lower or higher
    less = small <= SMALL * large
    raised &= (alike & ~less) | (less & (small > INITIAL * large))
    _stacked(glyphs, level | raised, raised)
    # A line of code is whole, however many spaces are in it.
    code = fixed[1:] & fixed[:-1] & (glyphs.run[1:] == glyphs.run[:-1]) & (glyphs.space[:-1] == TYPED)
    close = ((gap <= GAP * large) | code) & (x[1:] >= x[:-1] - 0.5 * large)
    close &= ~_ruled(end[:-1], x[1:], (y[1:] + y[:-1]) / 2 - 0.25 * large, rules)
    return level | raised, close


def _stacked(glyphs: Glyphs, joined: NDArray[np.bool_], raised: NDArray[np.bool_]) -> None:
    """Sets `raised` where one sign of a pair that is raised and lowered beside a larger one follows the other."""
    size, y, x = glyphs.size, glyphs.y, glyphs.x
    step = np.abs(np.diff(y))
    pairs = ~joined & (np.abs(np.diff(size)) < 0.1 * size[1:]) & (step > 0.4 * size[1:]) & (step < 1.6 * size[1:])
    for k in np.flatnonzero(pairs).tolist():
        base = next((i for i in range(k - 1, max(-1, k - 8), -1) if size[i] * SMALL >= size[k]), None)
        if base is None or not joined[base:k].all() or not min(y[k], y[k + 1]) < y[base] < max(y[k], y[k + 1]) + 1:
            continue
        if -0.1 * size[base] <= x[k + 1] - glyphs.end[base] and x[k + 1] - glyphs.end[k] < 0.3 * size[base]:
            raised[k] = True


def _ruled(
    left: NDArray[np.floating], right: NDArray[np.floating], y: NDArray[np.floating], rules: Sequence[Box]
) -> NDArray[np.bool_]:
    """(n,) whether an upright rule crosses the gap from `left` to `right` at the height `y`."""
    out = np.zeros(len(y), bool)
    for x, top, over, bottom in rules[:RULES]:
        if x == over:
            out |= (left - 2 <= x) & (x <= right + 2) & (top < y) & (y < bottom) & (right > left - 4)
    return out


def _cells(glyphs: Glyphs, piece: Piece) -> list[Piece]:
    """A piece, cut at wide gaps between two numbers, as those between cells are."""
    if sum(glyphs.text[i][:1] in FIGURES for i in piece) < 2:
        return [piece]
    at = np.array(piece)
    gaps = (glyphs.x[at[1:]] - glyphs.end[at[:-1]]) / np.maximum(glyphs.size[at[1:]], glyphs.size[at[:-1]])
    wide = (np.flatnonzero(gaps > CELLS) + 1).tolist()
    cuts = [k for k in wide if glyphs.text[piece[k - 1]][-1:] in FIGURES and glyphs.text[piece[k]][:1] in FIGURES]
    return [piece[a:b] for a, b in zip([0, *cuts], [*cuts, len(piece)], strict=True)]


def _columns(
    glyphs: Glyphs, pieces: list[Piece], right: NDArray[np.bool_], fixed: NDArray[np.bool_]
) -> list[Piece]:
    """The pieces from left to right, cut at wide gaps behind which text begins at one place in several rows, one close
    below the other, as in the columns of a table."""
    order = np.array([i for piece in pieces for i in piece])
    if len(order) < 2 * ALIGNED_ROWS:
        return pieces
    ends = np.cumsum([len(piece) for piece in pieces])
    before, after = order[:-1], order[1:]
    size = np.maximum(glyphs.size[before], glyphs.size[after])
    wide = glyphs.x[after] - glyphs.end[before] > COLUMN * size
    wide[ends[:-1] - 1] = False
    wide &= ~(right[before] | right[after] | fixed[before] | fixed[after])
    at = [k for k in np.flatnonzero(wide).tolist() if glyphs.text[before[k]] not in "._·…" + glyphs.text[after[k]]]
    number = np.searchsorted(ends, at, "right").tolist()  # of the piece that each of these gaps lies in
    cuts: dict[int, list[int]] = {}
    gaps = sorted((glyphs.x[after[k]], glyphs.y[after[k]], size[k], n, k) for k, n in zip(at, number, strict=True))
    while gaps:
        place, em = gaps[0][0], gaps[0][2]
        same = sorted((y, n, k) for x, y, _, n, k in gaps if x - place <= LEVEL * em)
        gaps = [gap for gap in gaps if gap[0] - place > LEVEL * em]
        run = same[:1]
        for gap in [*same[1:], (np.inf, 0, 0)]:
            if gap[0] - run[-1][0] <= ROWS_APART * em:
                run.append(gap)
                continue
            if len(run) >= ALIGNED_ROWS and not _marks(glyphs, [pieces[n] for _, n, _ in run], place):
                for _, n, k in run:
                    cuts.setdefault(n, []).append(k + 1 - int(ends[n] - len(pieces[n])))
            run = [gap]
    out: list[Piece] = []
    for n, piece in enumerate(pieces):
        places = [0, *sorted(cuts.get(n, [])), len(piece)]
        out += [piece[a:b] for a, b in pairwise(places)]
    return out


def _marks(glyphs: Glyphs, pieces: Sequence[Piece], place: float) -> bool:
    """Whether what stands before `place` in the pieces are the marks or numbers of items and headings."""
    parts = ["".join(glyphs.text[i] for i in piece if glyphs.x[i] < place - 1) for piece in pieces]
    marks = [
        (len(part) < 2 and not part.isdigit()) or part[-1] in ".):-–—•" or part[0] in "([•§" for part in parts
    ]
    last = [re.fullmatch(r"(?:\d{1,3}\.)*(\d{1,3})", part) for part in parts]
    counted = sum(bool(a and b and int(b[1]) == int(a[1]) + 1) for a, b in pairwise(last))
    return sum(marks) > 0.3 * len(parts) or counted > 0.5 * len(parts)


def _reversed(glyphs: Glyphs, start: int, stop: int) -> bool:
    """Whether the glyphs of a line were drawn from right to left, one by one."""
    if stop - start < 4:
        return False
    em = NEAR * glyphs.size[start : stop - 1]
    back = np.abs(glyphs.x[start : stop - 1] - glyphs.end[start + 1 : stop]) < em
    return bool((back & (np.diff(glyphs.x[start:stop]) < 0)).mean() > 0.6)


def _visual(glyphs: Glyphs, piece: Piece, rules: Sequence[Box]) -> list[Piece]:
    """The glyphs of a line from left to right, cut at wide gaps."""
    # Signs of one glyph keep their order, whichever way the file gives them: an alef follows its lam.
    order = sorted(piece, key=lambda i: (glyphs.x[i], glyphs.end[i]))
    at = np.array(order)
    size = np.maximum(glyphs.size[at[1:]], glyphs.size[at[:-1]])
    reach = np.maximum.accumulate(glyphs.end[at])[:-1]
    close = glyphs.x[at[1:]] - reach <= GAP * size
    close &= ~_ruled(reach, glyphs.x[at[1:]], glyphs.y[at[1:]] - 0.25 * size, rules)
    return [order[a:b] for a, b in _spans(close)]


def _merged(glyphs: Glyphs, pieces: list[Piece], rules: Sequence[Box]) -> list[Piece]:
    """The pieces, with those joined that stand side by side on one baseline but were drawn at different times."""
    if len(pieces) < 2:
        return pieces
    size = [median(glyphs.size[piece]) for piece in pieces]
    base = [median(glyphs.y[piece]) for piece in pieces]
    left = [float(glyphs.x[piece].min()) for piece in pieces]
    right = [float(glyphs.end[piece].max()) for piece in pieces]
    counts = np.array([len(piece) for piece in pieces])
    pairs = _close_pairs(np.array(size), np.array(base), np.array(left), np.array(right), counts, rules)
    after: dict[int, int] = {}
    before: dict[int, int] = {}
    for a, b in pairs:
        if a not in after and b not in before:
            after[a], before[b] = b, a
    out: list[Piece] = []
    for i in range(len(pieces)):
        if i in before:
            continue
        piece = list(pieces[i])
        while i in after:
            i = after[i]
            piece += pieces[i]
        out.append(piece)
    return sorted(out, key=min) if after else out


def _close_pairs(
    size: NDArray[np.floating], base: NDArray[np.floating], left: NDArray[np.floating], right: NDArray[np.floating],
    count: NDArray[np.integer], rules: Sequence[Box],
) -> list[tuple[int, int]]:
    """The pairs of pieces, of (n,) size, baseline, ends and number of glyphs, that one line may hold beside each other,
    the closest first."""
    order = np.argsort(base, kind="stable")
    found = [np.empty((0, 2), np.int64)]
    for step in range(1, min(ROW, len(order))):
        i, j = order[:-step], order[step:]
        level = base[j] - base[i] <= LEVEL * np.maximum(size[i], 1.0)
        if not level.any():
            break
        i, j = i[level], j[level]
        a, b = np.where(left[i] <= left[j], i, j), np.where(left[i] <= left[j], j, i)
        gap, em = left[b] - right[a], np.minimum(size[a], size[b])
        near = (np.maximum(size[a], size[b]) <= 1.6 * em) & (gap >= -0.3 * em) & (gap <= NEAR * em)
        near &= (gap <= 0.12 * em) | (np.minimum(count[a], count[b]) <= SHORT)
        found.append(np.stack([a[near], b[near]], 1))
    a, b = np.concatenate(found).T
    apart = _ruled(right[a], left[b], base[a] - 0.25 * np.minimum(size[a], size[b]), rules)
    a, b = a[~apart], b[~apart]
    closest = np.lexsort((b, a, np.abs(left[b] - right[a])))
    return list(zip(a[closest].tolist(), b[closest].tolist(), strict=True))


def _read(
    glyphs: Glyphs, piece: Piece, right: NDArray[np.bool_], from_right: bool, opens: Callable[[int], bool | None]
) -> Piece:
    """A piece in the order in which it is read."""
    at = np.array(piece)
    if not right[at].any():
        if len(at) > 1 and (np.diff(glyphs.x[at]) < -0.3 * glyphs.size[at[1:]]).any():
            return at[np.argsort(glyphs.x[at], kind="stable")].tolist()
        return piece
    order = _lam_alef(glyphs, at[np.argsort(glyphs.x[at], kind="stable")].tolist())
    order = _with_spaces(glyphs, order)
    signs = [" " if i == SPACE else glyphs.text[i] for i in order]
    found = zip(*reading_order(signs, from_right or backward(signs)), strict=True)
    indices = [(k, flag) for k, flag in found if order[k] != SPACE]
    brackets: Piece = []
    for k, flag in indices:
        i = order[k]
        if glyphs.text[i] in BRACKETS:
            shape, opening = opens(i), OPENING[glyphs.text[i]]
            if shape is not None:  # what opens to the eye closes what is read from the right
                glyphs.text[i] = opening if shape != flag else opening.translate(MIRRORED)
            brackets.append(i)
    turned = [glyphs.text[i].translate(MIRRORED) for i in brackets]
    if _pairs(turned) > _pairs([glyphs.text[i] for i in brackets]):  # drawn as they are typed, facing away
        for i, sign in zip(brackets, turned, strict=True):
            glyphs.text[i] = sign
    return [order[k] for k, _ in indices]


def _with_spaces(glyphs: Glyphs, order: Piece) -> Piece:
    """Signs from left to right, with SPACE where one word ends and another begins."""
    at = np.array(order)
    gaps = (glyphs.x[at[1:]] - np.maximum.accumulate(glyphs.end[at])[:-1]) / np.maximum(glyphs.size[at[1:]], 1e-6)
    wide = (gaps > WORDS_APART).tolist()
    return [order[0], *(i for k, apart in enumerate(wide, 1) for i in ([SPACE] * apart + [order[k]]))]


def _pairs(brackets: Sequence[str]) -> int:
    """How many opening brackets are closed."""
    found, waiting = 0, list[str]()
    for sign in brackets:
        if OPENING[sign] == sign:
            waiting.append(sign)
        elif waiting and waiting[-1] == OPENING[sign]:
            waiting.pop()
            found += 1
    return found


def _lam_alef(glyphs: Glyphs, order: Piece) -> Piece:
    """Signs from left to right, with the two letters of an Arabic ligature of lam and alef so that lam comes first when
    they are read from the right."""
    for k in range(len(order) - 1):
        a, b = order[k], order[k + 1]
        one = glyphs.run[a] == glyphs.run[b] and abs(a - b) == 1 and (glyphs.box[a] == glyphs.box[b]).all()
        if one and glyphs.text[a] == "ل" and glyphs.text[b] in "اأإآ":
            order[k], order[k + 1] = b, a
    return order


def spaces_after(glyphs: Glyphs, piece: Piece, fixed: bool) -> list[int]:
    """How many spaces follow each glyph of a piece but the last: none, one, or, where all signs are of one width, as
    many as fit."""
    at = np.array(piece)
    if len(at) < 2:
        return []
    a, b = at[:-1], at[1:]
    gap = _gaps(glyphs, at) / np.maximum(np.maximum(glyphs.size[a], glyphs.size[b]), 1e-6)
    # What the file says holds for signs that it gives one after the other.
    typed = np.where(np.abs(a - b) == 1, glyphs.space[np.minimum(a, b)], 0)
    if any("\u0590" <= glyphs.text[i] < "\u0900" for i in piece):  # where text runs from the right, spaces were moved
        typed[(gap < 0.12) | (typed != TYPED)] = 0
    track = median(gap) if len(gap) > 3 else 0.0
    track = min(max(track, 0.0), 0.6)
    if track > 0.12 and _spelled(glyphs, piece):
        wide = gap > max(1.6 * track, track + 0.12)
    else:
        track = min(track, 0.12)
        usual = gap[(gap > 0.12) & (gap < 0.5)]
        least = max(0.06, 0.45 * median(usual)) if len(usual) else 0.1
        wide = (gap > 0.18 + track) | ((typed == TYPED) & (gap > -0.3)) | ((typed > 0) & (gap > least + track))
    if not fixed:
        return wide.astype(int).tolist()
    width = median((glyphs.end - glyphs.x)[at] / np.maximum(glyphs.size[at], 1e-6))
    many = np.floor(gap / max(width, 0.1) + 0.3).clip(1, 200)
    return np.where(wide, many, 0).astype(int).tolist()


def low_lines(glyphs: Glyphs, at: NDArray[np.int64], bars: Sequence[Box]) -> dict[int, int]:
    """After which signs of a piece, by their numbers, how many low lines are drawn as `bars` on the baseline, as TeX
    draws them."""
    x, end, size, base = glyphs.x[at], glyphs.end[at], median(glyphs.size[at]), median(glyphs.y[at])
    out: dict[int, int] = {}
    for left, y, right, _ in bars:
        wide = (right - left) / size
        if abs(y - base) < LOW[0] * size and LOW[1] < wide < LOW[2] and x[0] < left and right < end[-1]:
            k = int(np.searchsorted(end, left + 0.1 * size, "right")) - 1
            if 0 <= k < len(at) - 1 and x[k + 1] > right - 0.1 * size:
                out[k] = out.get(k, 0) + 1
    return out


def _gaps(glyphs: Glyphs, at: NDArray[np.int64]) -> NDArray[np.floating]:
    """(n - 1,) the empty space in px between each glyph of a piece, in reading order, and the next.

    Where a run that is read the other way lies between the two, it is the space at the end of the run.
    """
    x, end = glyphs.x[at], glyphs.end[at]
    direct = x[1:] - end[:-1]
    if (np.diff(x) >= 0).all():
        return direct
    order = np.argsort(x, kind="stable")
    rank = np.empty(len(at), np.int64)
    rank[order] = np.arange(len(at))
    beside = x[order[1:]] - end[order[:-1]]  # between the glyphs of rank k and k + 1
    step = np.diff(rank)
    side = np.sign(step)
    toward = rank[:-1] + side  # the neighbour of each glyph on the side where the next one lies
    for k in np.flatnonzero(order[toward] <= np.arange(len(at) - 1)).tolist():
        while order[toward[k]] <= k:  # that was read before
            toward[k] += side[k]
    return beside[np.minimum(toward, toward - side)]


def _spelled(glyphs: Glyphs, piece: Piece) -> bool:
    """Whether a piece is letters set apart (t i t l e): most gaps between its letters are alike, and wide."""
    signs = [glyphs.text[i] for i in piece]
    return len(signs) > 3 and sum(sign.isalpha() for sign in signs) > 0.8 * len(signs)
