"""LaTeX for rows of parts, as KaTeX can read it: all braces closed, no command that it does not know.

Knows nothing of a page but the gaps between parts of one row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from microfiche.documents.formulas.parts import Part, letters_of
from microfiche.documents.formulas.symbols import BARS, UNDER, said

QUAD = 0.85  #: ems of empty space that are written as \quad
SPACE = 0.18  #: ems that part a word from a formula
TALL = 1.3  #: ems: brackets that are higher grow with what they hold
COMMAND = re.compile(r"\\[A-Za-z]+$")
PRIME = "′"


class Unsure(Exception):
    """What stands there cannot be written without guessing."""


def written(row: Sequence[Part], script: bool = False) -> str:
    """The LaTeX of a row; Unsure where one of its parts cannot be written. `script` leaves out spaces around
    operators."""
    size = max(part.size for part in row)
    sides = _sides(row, size)
    out = ""
    words: list[str] = []
    for k, part in enumerate(row):
        before = row[k - 1] if k else None
        start = part.whole()[0] if part.over or part.under else part.start
        gap = (start - max(before.end, before.whole()[2])) / size if before else 0.0
        if _is_text(part, row, k) and not (script and len(row) == 1):
            lead = " " if (words or out) and gap > SPACE else ""
            words.append(lead + said(part.sign))
            if part.raised or part.lowered or part.over or part.under:
                raise Unsure
            continue
        if words:
            out = _joined(out, _text(words, gap > SPACE))
            words = []
        if gap > QUAD and out:
            out = f"{out.rstrip()} \\quad "
        piece = _with_scripts(part, sides.get(k, ""), script)
        if part.sign == PRIME and piece == "\\prime":
            out = out.rstrip() + "'"
        elif part.role == "binary" and before is not None and before.role in ("relation", "binary", "open"):
            out += piece if piece in "+-" else f"{piece} "  # a sign of what follows
        elif part.role in ("relation", "binary") and not script and k and piece != "/":
            out = f"{out.rstrip()} {piece} "
        elif part.role == "mark" and part.sign in ",;" and not script:
            out = f"{out.rstrip()}{piece} "
        else:
            out = _joined(out, piece)
    if words:
        out = _joined(out, _text(words, False))
    return out.strip()


def _joined(out: str, piece: str) -> str:
    return f"{out} {piece}" if piece[:1].isalpha() and COMMAND.search(out) else out + piece


def _text(words: Sequence[str], after: bool) -> str:
    return f"\\text{{{''.join(words)}{' ' if after else ''}}}"


def _is_text(part: Part, row: Sequence[Part], k: int) -> bool:
    """Whether a part is a word of a sentence rather than the name of something."""
    if part.role != "word" or letters_of(part) or part.sign in UNDER:
        return False
    return not (part.raised or part.lowered or part.under) and not is_name(row, k)


def is_name(row: Sequence[Part], k: int) -> bool:
    """Whether a word is a name that a bracket or a factor follows closely."""
    part = row[k]
    if not part.sign.isalpha():
        return False
    before = (part.start - row[k - 1].end) / part.size if k else 1.0
    after = (row[k + 1].start - part.end) / part.size if k + 1 < len(row) else 1.0
    beside = row[k + 1] if k + 1 < len(row) else None
    return (after < SPACE and beside is not None and beside.role in ("open", "letter")) or (
        before < SPACE and after < SPACE
    )


def _with_scripts(part: Part, side: str, script: bool) -> str:
    r"""A part with what stands about it; `side` is \left or \right, for a bracket that grows."""
    piece = _bare(part, script)
    if side:
        piece = f"{side}{'' if piece.startswith(chr(92)) or not piece[:1].isalpha() else ' '}{piece}"
    over, under = part.over, part.under
    raised, lowered = part.raised, part.lowered
    if part.role == "relation" and over:
        piece, over = f"\\overset{{{written(over, True)}}}{{{piece}}}", []
    if (over and raised) or (under and lowered):
        raise Unsure
    up, down = over or raised, under or lowered
    primes = 0
    while primes < len(up) and up[primes].sign == PRIME and not up[primes].raised and not up[primes].lowered:
        primes += 1
    if primes and primes == len(up):
        piece, up = piece + "'" * primes, []
    if (up or down) and part.role not in ("large", "function", "letter", "digit", "close", "sign", "word", "whole"):
        raise Unsure
    if down:
        piece += f"_{_braced(_row(down))}"
    if up:
        piece += f"^{_braced(_row(up))}"
    return piece


def _row(parts: Sequence[Part]) -> str:
    """A script, whose parts must stand in one row."""
    ordered = sorted(parts, key=lambda p: p.start)
    based = [p for p in ordered if p.base is not None]
    size = max(p.size for p in ordered)
    if based and max(p.base or 0 for p in based) - min(p.base or 0 for p in based) > 0.3 * size:
        raise Unsure
    return written(ordered, True)


def _braced(latex: str) -> str:
    if not latex:
        raise Unsure
    return latex if len(latex) == 1 else f"{{{latex}}}"


def _bare(part: Part, script: bool) -> str:
    """A part without what stands about it."""
    if part.role == "bad" or part.role == "wide" or not part.latex:
        raise Unsure
    if part.role == "word" and not letters_of(part):
        if part.sign in UNDER:
            return f"\\operatorname*{{{part.sign}}}"
        if not part.sign.isalpha():
            return f"\\text{{{said(part.sign)}}}"
        name = "mathrm" if script else "operatorname"
        return f"\\{name}{{{part.sign}}}" if part.sign.isascii() and not part.italic else f"\\text{{{part.sign}}}"
    return part.latex


def _sides(row: Sequence[Part], size: float) -> dict[int, str]:
    r"""\left and \right for the places in a row of brackets that grow and have partners."""
    out: dict[int, str] = {}
    waiting: list[tuple[int, str]] = []
    for k, part in enumerate(row):
        tall = part.height > TALL * size and part.base is None
        if part.role == "open" and tall:
            waiting.append((k, "open"))
        elif part.role == "close" and tall:
            while waiting and waiting[-1][1] != "open":
                waiting.pop()
            if waiting:
                out[waiting.pop()[0]], out[k] = "\\left", "\\right"
        elif part.sign in BARS and tall and part.sign != "\\":
            if waiting and waiting[-1][1] == part.sign:
                out[waiting.pop()[0]], out[k] = "\\left", "\\right"
            else:
                waiting.append((k, part.sign))
    return out
