"""Which way text runs: the Unicode Bidirectional Algorithm (UAX #9, rules P to L2) for one line.

Knows characters and their levels; nothing of fonts, widths or glyphs.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from unicodedata import bidirectional, normalize

_DEEPEST = 125
_RIGHT = ("R", "AL")
_EMBEDDING = {"RLE": "R", "LRE": "L", "RLO": "R", "LRO": "L"}
_REMOVED = {"RLE", "LRE", "RLO", "LRO", "PDF", "BN"}
_ISOLATES = {"LRI", "RLI", "FSI"}
_NEUTRAL = {"B", "S", "WS", "ON", "LRI", "RLI", "FSI", "PDI"}
_PAIRS = (
    "()[]{}༺༻༼༽᚛᚜⁅⁆⁽⁾₍₎⌈⌉⌊⌋〈〉❨❩❪❫❬❭❮❯❰❱❲❳❴❵⟅⟆⟦⟧⟨⟩⟪⟫⟬⟭⟮⟯⦃⦄⦅⦆⦇⦈⦉⦊⦋⦌⦍⦎⦏⦐"
    "⦑⦒⦓⦔⦕⦖⦗⦘⧘⧙⧚⧛⧼⧽⸢⸣⸤⸥⸦⸧⸨⸩〈〉《》「」『』【】〔〕〖〗〘〙〚〛﹙﹚﹛﹜﹝﹞（）［］｛｝｟｠｢｣"
)
_CLOSING = {normalize("NFC", a): normalize("NFC", b) for a, b in zip(_PAIRS[::2], _PAIRS[1::2], strict=True)}
_OPENING = {b: a for a, b in _CLOSING.items()}
_MAY_TURN = re.compile(
    "[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_NO_LETTERS = str.maketrans("", "", string.whitespace + string.punctuation + string.digits)


def may_turn(text: str) -> bool:
    """Whether anything in `text` may run from right to left; where nothing does, all levels are 0."""
    return _MAY_TURN.search(text) is not None


def runs_left(text: str) -> bool:
    """Whether a paragraph runs from right to left: as PIXEL's renderer has it (`is_rtl`), by the vote of its first,
    middle and last character that is no space, ASCII punctuation or digit."""
    letters = text.translate(_NO_LETTERS)
    if not letters:
        return False
    return sum(bidirectional(c) in _RIGHT for c in (letters[0], letters[len(letters) // 2], letters[-1])) >= 2


def levels(text: str, base: int) -> list[int]:
    """The embedding level of each character in a paragraph of level `base`, 0 or 1; odd ones run to the left."""
    original = [bidirectional(c) or "L" for c in text]
    types, level = list(original), [base] * len(text)
    matching = _isolates(original)
    _explicit(types, level, base, matching)
    kept = [i for i, kind in enumerate(original) if kind not in _REMOVED]
    for sequence in _sequences(kept, level, original, matching):
        _resolve(text, types, level, sequence, base, kept, original, matching)
    for i in kept:  # I1, I2
        if level[i] % 2:
            level[i] += types[i] in ("L", "EN", "AN")
        else:
            level[i] += {"R": 1, "EN": 2, "AN": 2}.get(types[i], 0)
    trailing = True  # L1
    for i in range(len(text) - 1, -1, -1):
        if original[i] in ("B", "S"):
            trailing = True
        elif original[i] not in ("WS", "LRI", "RLI", "FSI", "PDI") and original[i] not in _REMOVED:
            trailing = False
        if trailing:
            level[i] = base
    for i, kind in enumerate(original):  # what X9 removes goes with the character before
        if kind in _REMOVED and i:
            level[i] = level[i - 1]
    return level


def visual(levels: Sequence[int]) -> list[int]:
    """L2: the order from left to right in which items of these levels stand."""
    order = list(range(len(levels)))
    odd = [level for level in levels if level % 2]
    for floor in range(max(levels, default=0), min(odd, default=1) - 1, -1):
        start = 0
        while start < len(order):
            stop = start
            while stop < len(order) and levels[order[stop]] >= floor:
                stop += 1
            order[start:stop] = order[start:stop][::-1]
            start = max(stop, start + 1)
    return order


def _isolates(types: Sequence[str]) -> dict[int, int]:
    """BD9: initiator → its PDI, and the PDI → its initiator."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for i, kind in enumerate(types):
        if kind in _ISOLATES:
            opened.append(i)
        elif kind == "PDI" and opened:
            start = opened.pop()
            found[start], found[i] = i, start
    return found


def _explicit(types: list[str], level: list[int], base: int, matching: dict[int, int]) -> None:
    """X1 to X8: levels and overridden types, in place."""
    stack: list[tuple[int, str, bool]] = [(base, "", False)]
    over_isolates = over_embeddings = isolates = 0
    original = list(types)
    for i, kind in enumerate(original):
        top, override, _ = stack[-1]
        if kind in _EMBEDDING or kind in _ISOLATES:
            level[i] = top
            if kind in _ISOLATES and override:
                types[i] = override
            left = kind in ("RLE", "RLO", "RLI")
            if kind == "FSI":
                left = _first_strong(original, i + 1, matching.get(i, len(original)), matching)
            new = (top + 1) | 1 if left else (top + 2) & ~1
            if new <= _DEEPEST and not over_isolates and not over_embeddings:
                stack.append((new, _EMBEDDING[kind] if kind in ("RLO", "LRO") else "", kind in _ISOLATES))
                isolates += kind in _ISOLATES
            elif kind in _ISOLATES:
                over_isolates += 1
            elif not over_isolates:
                over_embeddings += 1
        elif kind == "PDI":
            if over_isolates:
                over_isolates -= 1
            elif isolates:
                over_embeddings = 0
                while not stack[-1][2]:
                    stack.pop()
                stack.pop()
                isolates -= 1
            level[i], override, _ = stack[-1]
            types[i] = override or kind
        elif kind == "PDF":
            if not over_isolates:
                if over_embeddings:
                    over_embeddings -= 1
                elif not stack[-1][2] and len(stack) > 1:
                    stack.pop()
            level[i] = stack[-1][0]
        elif kind == "B":
            level[i] = base
        else:
            level[i] = top
            if override and kind != "BN":
                types[i] = override


def _first_strong(types: Sequence[str], start: int, stop: int, matching: dict[int, int]) -> bool:
    """P2, P3: whether the first strong character outside isolates runs to the left."""
    i = start
    while i < stop:
        if types[i] in _ISOLATES:
            i = matching.get(i, stop)
        elif types[i] in ("L", *_RIGHT):
            return types[i] != "L"
        i += 1
    return False


def _sequences(
    kept: Sequence[int], level: Sequence[int], types: Sequence[str], matching: dict[int, int]
) -> list[list[int]]:
    """BD13: the isolating run sequences, each a list of places."""
    runs: list[list[int]] = []
    for i in kept:
        if runs and level[runs[-1][-1]] == level[i]:
            runs[-1].append(i)
        else:
            runs.append([i])
    first = {run[0]: run for run in runs}
    found = []
    for run in runs:
        if types[run[0]] == "PDI" and run[0] in matching:
            continue
        sequence = list(run)
        while types[sequence[-1]] in _ISOLATES and sequence[-1] in matching:
            sequence += first[matching[sequence[-1]]]
        found.append(sequence)
    return found


def _resolve(
    text: str, types: list[str], level: Sequence[int], places: Sequence[int], base: int, kept: Sequence[int],
    original: Sequence[str], matching: dict[int, int],
) -> None:  # fmt: skip
    """X10, W1 to W7, N0 to N2 on one isolating run sequence, in place."""
    own = level[places[0]]
    before = next((level[i] for i in reversed(kept) if i < places[0]), base)
    unmatched = original[places[-1]] in _ISOLATES and places[-1] not in matching
    after = base if unmatched else next((level[i] for i in kept if i > places[-1]), base)
    start, end = ("R" if max(own, other) % 2 else "L" for other in (before, after))
    kinds = [types[i] for i in places]
    _weak(kinds, start)
    direction = "R" if own % 2 else "L"
    _brackets([text[i] for i in places], kinds, [original[i] for i in places], start, direction)
    i = 0
    while i < len(kinds):  # N1, N2
        stop = i
        while stop < len(kinds) and kinds[stop] in _NEUTRAL:
            stop += 1
        if stop > i:
            left = _strong(kinds[i - 1]) if i else start
            right = _strong(kinds[stop]) if stop < len(kinds) else end
            kinds[i:stop] = [left if left == right else direction] * (stop - i)
        i = max(stop, i + 1)
    for i, kind in zip(places, kinds, strict=True):
        types[i] = kind


def _weak(kinds: list[str], start: str) -> None:
    previous = strong = start
    for i, kind in enumerate(kinds):  # W1, W2, W3
        if kind == "NSM":
            kind = "ON" if previous in _ISOLATES or previous == "PDI" else previous
        previous = kind
        if kind in ("L", "R", "AL"):
            strong = kind
        elif kind == "EN" and strong == "AL":
            kind = "AN"
        kinds[i] = kind
    kinds[:] = ["R" if kind == "AL" else kind for kind in kinds]
    for i in range(1, len(kinds) - 1):  # W4
        around = kinds[i - 1], kinds[i + 1]
        if (kinds[i] in ("ES", "CS") and around == ("EN", "EN")) or (kinds[i] == "CS" and around == ("AN", "AN")):
            kinds[i] = around[0]
    i = 0
    while i < len(kinds):  # W5
        stop = i
        while stop < len(kinds) and kinds[stop] == "ET":
            stop += 1
        if stop > i and ((i and kinds[i - 1] == "EN") or (stop < len(kinds) and kinds[stop] == "EN")):
            kinds[i:stop] = ["EN"] * (stop - i)
        i = max(stop, i + 1)
    strong = start
    for i, kind in enumerate(kinds):  # W6, W7
        if kind in ("ES", "ET", "CS"):
            kinds[i] = "ON"
        elif kind in ("L", "R"):
            strong = kind
        elif kind == "EN" and strong == "L":
            kinds[i] = "L"


def _strong(kind: str) -> str:
    return "R" if kind in ("EN", "AN") else kind


def _brackets(text: Sequence[str], kinds: list[str], original: Sequence[str], start: str, direction: str) -> None:
    """N0: a pair of brackets runs as what stands in it."""
    opened: list[tuple[str, int]] = []
    pairs = []
    for i, sign in enumerate(text):
        if kinds[i] != "ON":
            continue
        sign = normalize("NFC", sign)
        if sign in _CLOSING:
            if len(opened) == 63:
                break
            opened.append((_CLOSING[sign], i))
        elif sign in _OPENING:
            for k in range(len(opened) - 1, -1, -1):
                if opened[k][0] == sign:
                    pairs.append((opened[k][1], i))
                    del opened[k:]
                    break
    for first, last in sorted(pairs):
        inside = {_strong(kind) for kind in kinds[first + 1 : last]} & {"L", "R"}
        if not inside:
            continue
        new = direction
        if direction not in inside:
            context = next((_strong(k) for k in reversed(kinds[:first]) if _strong(k) in ("L", "R")), start)
            new = context if context != direction else direction
        for place in (first, last):
            kinds[place] = new
            follow = place + 1
            while follow < len(kinds) and original[follow] == "NSM":
                kinds[follow] = new
                follow += 1
