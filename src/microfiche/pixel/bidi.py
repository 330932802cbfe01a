"""Which way text runs: the direction of a paragraph, and the levels of the bidirectional algorithm.

Three letters vote on the direction, as in the paper's renderer (Language Modelling with Pixels, arXiv 2207.06991). The
levels are python-bidi's (Unicode annex 9); the rule for paired brackets, which its Python part lacks, is ours. This
module knows nothing of fonts.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any
from unicodedata import bidirectional

from bidi import algorithm

_RIGHT = ("R", "AL")
_OPENING = "([{༺༼᚛⁅⁽₍⌈⌊\u2329❨❪❬❮❰❲❴⟅⟦⟨⟪⟬⟮⦃⦅⦇⦉⦋⦍⦏⦑⦓⦕⦗⧘⧚⧼⸢⸤⸦⸨⹕⹗⹙⹛〈《「『【〔〖〘〚﹙﹛﹝（［｛｟｢"
_CLOSING = ")]}༻༽᚜⁆⁾₎⌉⌋\u232a❩❫❭❯❱❳❵⟆⟧⟩⟫⟭⟯⦄⦆⦈⦊⦌⦐⦎⦒⦔⦖⦘⧙⧛⧽⸣⸥⸧⸩⹖⹘⹚⹜〉》」』】〕〗〙〛﹚﹜﹞）］｝｠｣"
_BRACKETS = {c: i for side in (_OPENING, _CLOSING) for i, c in enumerate(side)}  # the same number in a pair
_BRACKETS |= {"\u2329": _BRACKETS["\u3008"], "\u232a": _BRACKETS["\u3009"]}  # the same brackets by another code
_PENDING = 63  # brackets that wait for their partner at most (BD16)
_SINGLE = ("ES", "CS", "ET", "NSM", "B", "S", "bracket")  # classes whose rules count characters: never taken together
_NEUTRAL = "\ufffc"  # replaces characters that the algorithm does not know
_ISOLATES = dict.fromkeys(range(0x2066, 0x206A), _NEUTRAL)
_UNCOUNTED = str.maketrans("", "", string.whitespace + string.punctuation + string.digits)
#: Finds characters that make a paragraph bidirectional: letters of scripts that run to the left, marks, overrides.
RIGHTWARD = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff\u200f\u202b\u202e\u2067]"
)


def right_to_left(text: str) -> bool:
    """Whether at least two of the first, middle and last letter of a text are of a script that runs to the left."""
    letters = "" if text.isascii() else text.translate(_UNCOUNTED)
    if not letters:
        return False
    return sum(bidirectional(c) in _RIGHT for c in (letters[0], letters[len(letters) // 2], letters[-1])) >= 2


def runs(text: str, rtl: bool) -> list[tuple[int, int, int]]:
    """The (start, stop, level) of stretches of one level, in the order of the text; odd levels run to the left.

    `rtl` says whether the paragraph runs to the left. Isolates (U+2066 to U+2069) count as neutral characters.
    """
    # Neighbours of one class have the same level, so the slow algorithm gets only one of them.
    pieces: list[int] = []
    start = 0
    for kind, group in groupby(text, key=lambda c: "bracket" if c in _BRACKETS else bidirectional(c)):
        stop = start + sum(1 for _ in group)
        step = 1 if kind in _SINGLE else stop - start
        pieces.extend(range(start, stop, step))
        start = stop
    storage: dict[str, Any] = algorithm.get_empty_storage()
    storage["base_level"], storage["base_dir"] = int(rtl), "R" if rtl else "L"
    shown = (text[at] if bidirectional(text[at]) else _NEUTRAL for at in pieces)
    algorithm.get_embedding_levels("".join(shown).translate(_ISOLATES), storage)
    for character, at in zip(storage["chars"], pieces, strict=True):
        character["at"] = at
    algorithm.explicit_embed_and_overrides(storage, False)  # takes out marks that have no width
    algorithm.resolve_weak_types(storage, False)
    for run in storage["runs"]:
        _resolve_brackets(storage["chars"][run["start"] : run["start"] + run["length"]], run["sor"])
    algorithm.resolve_neutral_types(storage, False)
    algorithm.resolve_implicit_levels(storage, False)
    end = len(text.rstrip())  # spaces at the end have the paragraph's level
    found = [(c["at"], c["level"]) for c in storage["chars"] if c["at"] < end]
    starts = [0, *(at for (at, level), (_, last) in zip(found[1:], found, strict=False) if level != last), end]
    levels = dict(found)
    out = [(a, b, levels.get(a, int(rtl))) for a, b in pairwise(starts) if a < b]
    return [*out, (end, len(text), int(rtl))] if end < len(text) else out


def _resolve_brackets(run: list[dict[str, Any]], before: str) -> None:
    """Gives both brackets of each pair in a run of one level the same direction (rule N0); `before` is the direction
    before the run."""
    pairs: list[tuple[int, int]] = []
    openers: list[tuple[int, int]] = []
    for at, character in enumerate(run):
        number = _BRACKETS.get(character["ch"]) if character["type"] == "ON" else None
        if number is None:
            continue
        if character["ch"] in _OPENING:
            if len(openers) == _PENDING:
                break
            openers.append((number, at))
            continue
        for i, (waiting, opened) in reversed(list(enumerate(openers))):
            if waiting == number:
                pairs.append((opened, at))
                del openers[i:]
                break
    for start, stop in sorted(pairs):
        along = "R" if run[start]["level"] % 2 else "L"
        inside = {_strong(character["type"]) for character in run[start + 1 : stop]} - {None}
        if not inside:
            continue
        if along not in inside:
            along = next((found for c in reversed(run[:start]) if (found := _strong(c["type"]))), before)
        for at in (start, stop):
            run[at]["type"] = along
            for mark in run[at + 1 :]:  # and the marks on it
                if bidirectional(mark["ch"]) != "NSM":
                    break
                mark["type"] = along


def _strong(kind: str) -> str | None:
    """The direction of a class for paired brackets, for which numbers run to the left."""
    return {"L": "L", "R": "R", "EN": "R", "AN": "R"}.get(kind)


def visual(levels: Sequence[int]) -> list[int]:
    """The order from left to right of pieces with these levels (rule L2)."""
    order = list(range(len(levels)))
    for level in range(max(levels, default=0), 0, -1):
        at = 0
        for high, group in groupby([levels[i] >= level for i in order]):
            stop = at + sum(1 for _ in group)
            if high:
                order[at:stop] = order[at:stop][::-1]
            at = stop
    return order
