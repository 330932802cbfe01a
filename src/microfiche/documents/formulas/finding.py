"""Which glyphs of a page are formulas, and their LaTeX: within lines, and on rows of their own.

A formula needs what belongs to mathematics alone: letters of its fonts, operators with letters in italics, or structure
(a fraction, a root, an index of an italic letter). What is in doubt stays the text that it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.formulas.latex import Unsure, is_name, written
from microfiche.documents.formulas.parts import Part, letters_of, parts_of, types_of
from microfiche.documents.formulas.structure import divided, rows_of
from microfiche.documents.formulas.symbols import BARS, BINARY, LARGE, RELATIONS
from microfiche.documents.formulas.wholes import NUMBER, reduced
from microfiche.documents.formulas.zones import bars, column, near, seeds
from microfiche.documents.inline import FORMULA, marked
from microfiche.documents.sheet import Font
from microfiche.documents.text_layer.glyphs import NO_SPACE, Glyphs
from microfiche.page import Box

MOST = 4000  #: parts of a page near signs of mathematics; no page that is read has as many
PIECE = 1.25  #: ems of empty space that part two pieces of a row
APART = 0.5  #: the same between what was drawn at different times
ROW = 6.0  #: ems between two pieces of a formula that stands alone, at most
OPERATOR = 0.8  #: ems between an operator and what it takes, at most
FACTORS = 0.215  #: ems between two factors, at most: spaces between words are wider
WITHIN = 0.45  #: ems between two parts within brackets, at most
WORDS = 0.5  #: of the characters of a formula that stands alone: more are words only in a sentence
NUMBERED = 0.8  #: the same where the formula has a number
EAST = 3  #: letters for which a Chinese character counts
INDENT = 0.8  #: ems that a formula is set in from the column's edge
OF_NUMBERS = re.compile(r"\\frac\{\d+\}\{\d+\}")
PLAIN = frozenset("=+<>")  #: operators that plain text has, too
COUNTED = frozenset({*RELATIONS, *BINARY, *LARGE}) - frozenset("-–/:*·•∙∗∶") | PLAIN
STRONG = frozenset("∇∂∑∏∫∮∀∃∅∞ℏℓ")  #: signs that with an operator need no letter
SCRIPTS = frozenset({"letter", "digit", "binary", "sign", "mark", "function"})
TIGHT = frozenset({"open", "close", "letter", "digit", "whole", "sign", "function"})


@dataclass(frozen=True)
class Formula:
    """A formula on a page: the indices of its `glyphs`, its `latex`, whether it is `displayed` on a row of its own, the
    box of its ink, its baseline, the size of its type, and where it begins and ends."""

    glyphs: list[int]
    latex: str
    displayed: bool
    box: Box
    base: float
    size: float
    start: float
    end: float


def formulas_in(
    glyphs: Glyphs, fonts: Sequence[Font], fixed: NDArray[np.bool_], rules: Sequence[Box]
) -> list[Formula]:
    """The formulas that upright glyphs and level `rules` make. `fixed` (F + 1,) tells which fonts are for code."""
    types = types_of(fonts, fixed, glyphs)
    found = seeds(glyphs, types, rules)
    if not found.any():
        return []
    parts = parts_of(glyphs, near(glyphs, found), types)
    if len(parts) > MOST:
        return []
    try:
        return _found(reduced(parts, bars(glyphs, found, rules)), glyphs)
    except RecursionError:  # deeper than anybody writes
        return []


def _found(parts: Sequence[Part], glyphs: Glyphs) -> list[Formula]:
    """The formulas that the parts of a page make."""
    out: list[Formula] = []
    numbers: list[list[Part]] = []
    for row in rows_of(parts):
        pieces = _pieces(row)
        tags = [piece for piece in pieces if NUMBER.match(_text(piece))]
        rest = [piece for piece in pieces if piece not in tags]
        shown = [piece for piece in rest if _stands_alone(piece, glyphs, tags)]
        for piece in rest:
            if piece in shown:
                tag = _nearest(piece, tags) if len(shown) == 1 or piece is shown[-1] else None
                if formula := _displayed(piece, tag):
                    out.append(formula)
                    if tag:
                        tags.remove(tag)
                    continue
            out += _inline(piece)
        numbers += tags
    return _with_numbers(out, numbers)


def _pieces(row: Sequence[Part]) -> list[list[Part]]:
    """The pieces of a row; what belongs to one formula that stands alone is one, however wide its gaps are."""
    out: list[list[Part]] = []
    for piece in divided(row, PIECE, APART):
        last = out[-1] if out else None
        if last and not NUMBER.match(_text(piece)) and not NUMBER.match(_text(last)):
            gap = (piece[0].start - last[-1].end) / max(part.size for part in piece)
            follows = 0 < min(_glyphs(piece[:1])) - max(_glyphs(last)) < 3
            if follows and gap < ROW and max(_share(last), _share(piece)) < WORDS and _is_mathematical(last):
                last += piece
                continue
        out.append(piece)
    return out


def _text(piece: Sequence[Part]) -> str:
    return "".join(part.sign for part in piece) if len(piece) < 12 else ""


def _glyphs(parts: Sequence[Part]) -> list[int]:
    return sorted({i for part in parts for one in (part, *part.held()) for i in one.glyphs})


def _is_word(part: Part) -> bool:
    return part.role == "word" and not letters_of(part)


def _share(piece: Sequence[Part]) -> float:
    """The share of the characters of a piece that are words of a sentence."""
    words = sum(sum(1 if c < "\u2e80" else EAST for c in part.sign) for part in piece if _is_word(part))
    return words / max(1, sum(max(1, len(part.glyphs)) for part in piece))


def _is_mathematical(run: Sequence[Part]) -> bool:
    """Whether a run of parts is mathematics, not plain text with a sign in it."""
    every = [one for part in run for one in (part, *part.held())]
    if any(part.role == "bad" for part in every) or _is_logo(run):
        return False
    if any(part.sure and part.role in ("letter", "large", "whole") for part in every):
        return True
    operators = [
        part for k, part in enumerate(run)
        if part.sign in COUNTED and part.role in ("relation", "binary", "large") and _takes(run, k + 1)
    ]
    operands = [part for part in run if _is_operand(part)]
    italics = [part for part in run if part.italic and part.role in ("letter", "word")]
    if any(part.sure for part in operators) and operands and (italics or any(p.sign not in "-−·/" for p in operators)):
        return True
    if operators and any(one.sign in STRONG for one in every):
        return True
    if italics and (operators or (any(part.role == "function" for part in run) and len(run) > 1)):
        return True
    if any(part.role == "whole" and _is_structure(part, bool(operators)) for part in run):
        return True
    return any(
        (part.raised or part.lowered) and all(one.role in SCRIPTS or letters_of(one) for one in part.held())
        and (
            (part.italic and part.role == "letter")
            or (part.role == "digit" and any(one.italic and one.role == "letter" for one in part.held()))
        )
        for part in run
    )


def _is_operand(part: Part) -> bool:
    """Whether a part is what operators take: not a word or a letter of plain text."""
    return part.role in ("digit", "whole", "function") or (
        part.role in ("letter", "sign", "word") and not _is_word(part)
        and (part.italic or part.sure or part.latex != f"\\mathrm{{{part.sign}}}")
    )


def _takes(run: Sequence[Part], k: int) -> bool:
    """Whether an operand begins at place `k` of a run."""
    while k < len(run) and (run[k].sign in "+-−±∓¬" or run[k].role in ("open", "large")):
        k += 1
    return k < len(run) and (_is_operand(run[k]) or run[k].sign in BARS)


def _is_structure(part: Part, operators: bool) -> bool:
    """Whether a part that holds others shows by itself that it is a formula."""
    if part.sign in ("√", "matrix", "‾"):
        return True
    return part.sign == "/" and (part.italic or operators or OF_NUMBERS.fullmatch(part.latex) is not None)


def _is_logo(run: Sequence[Part]) -> bool:
    """Whether a run is the end of LaTeX 2ε."""
    return "".join(one.sign for part in run for one in (part, *part.held())) in ("X2ε", "2ε", "ε")


def _stands_alone(piece: Sequence[Part], glyphs: Glyphs, tags: Sequence[Sequence[Part]]) -> bool:
    """Whether a piece is a formula on a row of its own: set in, with nothing of its column beside it."""
    if _share(piece) > (NUMBERED if tags else WORDS) or not _is_mathematical(piece):
        return False
    if _is_word(piece[0]) and not is_name(piece, 0):
        return False
    if any(_is_word(part) for part in piece) and piece[0].role == "digit" and piece[1].role == "mark":
        return False  # a number in a list
    strong = any(part.role in ("letter", "relation", "large", "whole") for part in piece) and any(
        part.role in ("relation", "large", "whole", "binary", "open") or part.raised or part.lowered for part in piece
    )
    if not strong or len(_glyphs(piece)) < 3:
        return False
    boxes = [part.whole() for part in piece]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    size = max(part.size for part in piece)
    own = np.zeros(len(glyphs), bool)
    own[_glyphs(piece)] = True
    for tag in tags:
        own[_glyphs(tag)] = True
    edges = column(glyphs, own, (left, top, right, bottom), size)
    middle = (glyphs.ink[:, 1] + glyphs.ink[:, 3]) / 2
    level = ~own & (middle > top + 0.1 * size) & (middle < bottom - 0.1 * size)
    if edges is None:
        return not (level & (glyphs.end > left - 9 * size) & (glyphs.x < right + 9 * size)).any()
    beside = level & (glyphs.end > edges[0] - 0.2 * size) & (glyphs.x < edges[1] + 0.2 * size)
    if (beside & ((glyphs.end < left - 0.1 * size) | (glyphs.x > right + 0.1 * size))).any():
        return False
    words = any(_is_word(part) for part in piece)
    return left > edges[0] + (2.2 if words else INDENT) * size


def _nearest(piece: Sequence[Part], tags: Sequence[list[Part]]) -> list[Part] | None:
    """The number that stands beside a formula."""
    middle = (piece[0].start + piece[-1].end) / 2
    return min(tags, key=lambda tag: abs(tag[0].start - middle), default=None)


def _displayed(piece: Sequence[Part], tag: Sequence[Part] | None) -> Formula | None:
    """A formula that stands alone, with its number; None if it cannot be written."""
    try:
        latex = written(piece)
    except Unsure:
        return None
    at = _glyphs(piece)
    if tag and (found := NUMBER.match(_text(tag))):
        latex += f" \\tag{{{found[1]}}}"
        at = sorted({*at, *_glyphs(tag)})
    return _formula(piece, latex, at, True)


def _formula(run: Sequence[Part], latex: str, at: list[int], displayed: bool) -> Formula:
    boxes = [part.whole() for part in run]
    left, top, right, bottom = zip(*boxes, strict=True)
    size = max(part.size for part in run)
    base = next((part.base for part in run if part.base is not None), (min(top) + max(bottom)) / 2 + 0.25 * size)
    box = min(left), min(top), max(right), max(bottom)
    return Formula(at, latex, displayed, box, base, size, run[0].start, max(run[-1].end, run[-1].whole()[2]))


def _inline(piece: Sequence[Part]) -> list[Formula]:
    """The formulas within a line of text."""
    out = []
    for run in _runs_of(piece):
        trimmed = _trimmed(run)
        if not trimmed or not _is_mathematical(trimmed):
            continue
        try:
            latex = written(trimmed)
        except Unsure:
            continue
        out.append(_formula(trimmed, latex, _glyphs(trimmed), False))
    return out


def _runs_of(piece: Sequence[Part]) -> list[list[Part]]:
    """The runs of parts without words, cut where a formula may end; without those beside what cannot be written."""
    out: list[list[Part]] = [[]]
    depth = 0
    spoiled = False
    for part in piece:
        if _is_word(part):
            depth, spoiled = 0, False
            out.append([])
            continue
        if part.role == "bad":
            spoiled = True
            out[-1] = []
            continue
        if out[-1] and not _joins(out[-1][-1], part, depth):
            out.append([])
            depth = 0
        if not spoiled:
            out[-1].append(part)
        depth = max(0, depth + (part.role == "open") - (part.role == "close"))
    return [run for run in out if run]


def _joins(a: Part, b: Part, depth: int) -> bool:
    """Whether two parts beside each other belong to one formula."""
    gap = (b.start - max(a.end, a.whole()[2] if a.raised or a.lowered else a.end)) / max(a.size, b.size)
    if gap > OPERATOR:
        return False
    signs = (a, b)
    if ":" in (a.sign, b.sign):
        return gap < 0.4 and (a.sign == ":" or gap > 0.1)  # in a sentence it follows its word closely
    if any(part.role in ("relation", "binary") and (part.sure or part.sign in COUNTED) for part in signs):
        return True
    if a.role == "mark":
        return gap < (WITHIN if depth or a.sure else FACTORS) and a.sign in ",;"
    if b.role == "mark":
        return gap < FACTORS
    if a.role in ("function", "large") or "…" in (a.sign, b.sign) or "⋯" in (a.sign, b.sign):
        return gap < WITHIN
    return gap < (WITHIN if depth else FACTORS + 0.06 * bool(a.raised or a.lowered))


def _trimmed(run: list[Part]) -> list[Part]:
    """A run without the marks and brackets at its ends that belong to the sentence."""
    run = list(run)
    while run:
        opening, closing = (sum(part.role == role for part in run) for role in ("open", "close"))
        first, last = run[0], run[-1]
        if _belongs_outside(first) or first.role == "close" or (first.role == "open" and opening > closing):
            run = run[1:]
        elif _belongs_outside(last) or last.role == "open" or (last.role == "close" and closing > opening):
            run = run[:-1]
        else:
            break
    return run


def _belongs_outside(part: Part) -> bool:
    """Whether a part at an end of a formula belongs to the sentence around it."""
    return part.role == "mark" or part.sign == ":" or (
        part.role == "binary" and part.sign in "-–/*·•∙∗" and not part.sure
    )


def _with_numbers(formulas: list[Formula], numbers: Sequence[Sequence[Part]]) -> list[Formula]:
    """The formulas, with the numbers that stand between two of their rows at the nearest of these."""
    out = list(formulas)
    for tag in numbers:
        y = tag[0].axis
        near = [
            (min(abs(f.box[1] - y), abs(f.box[3] - y)), k) for k, f in enumerate(out)
            if f.displayed and "\\tag" not in f.latex and f.box[1] - f.size < y < f.box[3] + f.size
            and (f.box[2] < tag[0].start or f.box[0] > tag[-1].end or y > f.box[3])
        ]
        found = NUMBER.match(_text(tag))
        if near and found:
            f = out[min(near)[1]]
            out[min(near)[1]] = Formula(
                sorted({*f.glyphs, *_glyphs(tag)}), f"{f.latex} \\tag{{{found[1]}}}", True, f.box, f.base, f.size,
                f.start, f.end,
            )  # fmt: skip
    return out


def in_place(glyphs: Glyphs, formulas: Sequence[Formula]) -> Glyphs:
    """The glyphs, with those of each formula within a line made one, whose text is its LaTeX with its marks, and
    without those of formulas that stand alone."""
    if not formulas:
        return glyphs
    kept = np.ones(len(glyphs), bool)
    text = list(glyphs.text)
    columns = {name: getattr(glyphs, name).copy() for name in ("x", "end", "y", "size", "ink", "box", "font", "space")}
    for one in formulas:
        kept[one.glyphs] = False
        after = columns["space"][one.glyphs[-1]]
        columns["space"][one.glyphs] = NO_SPACE
        if one.displayed:
            continue
        i = one.glyphs[0]
        kept[i], columns["space"][i] = True, after
        level = [k for k in one.glyphs if abs(glyphs.y[k] - one.base) < 0.1 * one.size]
        boxes = glyphs.box[level] if level else glyphs.box[one.glyphs]
        text[i] = marked(one.latex, FORMULA)
        columns["x"][i], columns["end"][i], columns["y"][i], columns["size"][i] = one.start, one.end, one.base, one.size
        columns["ink"][i] = one.box
        columns["box"][i] = one.box[0], boxes[:, 1].min(), one.box[2], boxes[:, 3].max()
        columns["font"][i] = -1
    return replace(glyphs, text=text, **columns).take(kept)
