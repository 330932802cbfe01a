"""Orthographic attacks for benchmarks/pixel.py: text misspelled or disguised. The same seed gives the same attacks.

The kinds are those of Zeroé (Eger and Benz 2020, arXiv 2010.05648), with which arXiv 2207.06991 (section 4.2) tests
PIXEL. Look-alikes come from Unicode's confusables.txt (UTS 39): Latin, Greek, Cyrillic and Armenian letters that DejaVu
Sans has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from microfiche.errors import UsageError

Attack = Literal["confusables", "swaps", "deletions", "insertions", "leet", "spaces"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)
LEET = dict(zip("aAbBeEgGiIlLoOsStTzZ", "44883399111100557722", strict=True))
CONFUSABLES = {
    "a": "ɑαа", "c": "ϲс", "d": "ԁ", "e": "еҽ", "g": "ɡց", "h": "һհ", "i": "ıіι", "j": "ϳј", "l": "ӀΙІ", "n": "ո",
    "o": "οоօ", "p": "ρр", "q": "ԛզ", "r": "г", "s": "ѕ", "u": "υս", "v": "νѵ", "w": "ԝա", "x": "х", "y": "уγү",
    "A": "ΑА", "B": "ΒВ", "C": "СϹ", "E": "ΕЕ", "G": "Ԍ", "H": "ΗН", "I": "ΙІ", "J": "Ј", "K": "ΚК", "M": "ΜМ",
    "N": "Ν", "O": "ΟО", "P": "ΡР", "S": "ЅՏ", "T": "ΤТ", "U": "Ս", "V": "Ѵ", "W": "Ԝ", "X": "ΧХ", "Y": "ΥУҮ",
    "Z": "Ζ",
}  # fmt: skip


def attacked(text: str, kind: Attack, rate: float, rng: np.random.Generator) -> str:
    """The text with an attack at every possible place, each with the probability `rate`: a letter is replaced by a
    look-alike (`confusables`) or a digit (`leet`), swapped with the next letter, left out, or followed by another
    letter of the text; or a space is left out. Raises UsageError for an unknown kind or an impossible rate."""
    if kind not in ATTACKS:
        raise UsageError(f"no attack {kind!r}; there are {', '.join(ATTACKS)}")
    if not 0 <= rate <= 1:
        raise UsageError(f"the rate of an attack must be from 0 to 1, not {rate:g}")
    hit = rng.random(len(text)) < rate
    letters = [char for char in text if char.isalpha()]
    out: list[str] = []
    i = 0
    while i < len(text):
        char = text[i]
        i += 1
        if not hit[i - 1] or not (char.isalpha() or (kind == "spaces" and char == " ")):
            out.append(char)
        elif kind == "confusables":
            out.append(_one(CONFUSABLES.get(char, char), rng))
        elif kind == "leet":
            out.append(LEET.get(char, char))
        elif kind == "swaps" and i < len(text) and text[i].isalpha():
            out += text[i], char
            i += 1
        elif kind == "insertions":
            out += char, _one(letters, rng)
        elif kind == "swaps" or (kind == "spaces" and char != " "):
            out.append(char)
    return "".join(out)


def attacked_words(words: Sequence[str], kind: Attack, rate: float, rng: np.random.Generator) -> tuple[str, ...]:
    """Attacks each word alone; one that would become empty keeps its first letter. Raises UsageError for `spaces`."""
    if kind == "spaces":
        raise UsageError("words that are given one by one have no spaces to leave out")
    return tuple(attacked(word, kind, rate, rng) or word[:1] for word in words)


def _one(letters: Sequence[str], rng: np.random.Generator) -> str:
    return letters[int(rng.integers(len(letters)))]
