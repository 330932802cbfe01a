"""Digits and letters that look alike, as 1, l and I do, and hooks and roots: where a recogniser is not sure which it
sees, what stands beside one decides.

Knows one line's text, and how probable each sign is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

ALIKE = {sign: group for group in ("1lI", "0Oo", "5Ss", "8B", "2Zz") for sign in group}
LIKELY = 1 / 6  #: of the probability of what was read, that a sign has at least which its neighbours speak for
WORD = re.compile(r"[^\W_]{2,}")
ROOTS = re.compile(r"(?<!\S)[√✔]+(?!\S)")  #: hooks, read as roots of nothing
#: Litres: before "/" and another unit, and after a decimal number that no word follows, or one below 1.
LITRES = re.compile(
    r"(?<=\d )(?:[1I|](?=/(?:100 ?km|s|h|min|m[23²³]?|d|kg)\b)|(?<=[.,]\d )[I|](?=[,;.)])|(?<=\b0[.,]\d )[I|](?=\s|$))"
)


def settled(text: str, likely: Callable[[int, str], float]) -> str:
    """The text of a line with each digit as a letter that stands beside letters and beside no digit, and each letter as
    a digit that stands in a number, where they look alike and the recogniser thinks it likely: `likely` says how
    probable a sign is at a place. The signs of roots that stand alone are hooks, and what stands like the unit litre is
    that."""
    text = ROOTS.sub(lambda found: "✓" * len(found[0]), text)
    text = LITRES.sub("l", text)
    for word in WORD.finditer(text):
        if word[0].isalpha() or word[0].isdigit():
            continue
        for k in range(word.start(), word.end()):
            sign = text[k]
            beside = text[max(word.start(), k - 1) : k] + text[k + 1 : min(word.end(), k + 2)]
            rest = text[word.start() : k] + text[k + 1 : word.end()]
            if sign not in ALIKE or not (beside.isalpha() if sign.isdigit() else rest.isdigit()):
                continue
            others = [other for other in ALIKE[sign] if other.isdigit() != sign.isdigit()]
            best = max(others, key=partial(likely, k))
            if likely(k, best) > LIKELY * likely(k, sign):
                text = text[:k] + best + text[k + 1 :]
    return text
