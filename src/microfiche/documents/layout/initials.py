"""Initials: large letters that begin a chapter over several lines, which are put before the first of these."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from microfiche.documents.text_lines import TextLine

CAP = re.compile(r"^[\"'“„«‘]?[^\W\d_]$")  #: a letter at the beginning of a chapter, over several lines
WORD = re.compile(r"\w+")
ONSET = re.compile(r"([bcdfghjklmnprstvwyz]|[bcfgps]l|[bcdfgpt]r|[cstpw]h|s[cklmnpqtw]|tw|qu)[aeiouy]")
BEGIN_A = re.compile(r"a(bout|bove|gain|head|long|lone|lso|mid|mong|part|round|side|way|merica|sia)$")
AFTER_I = re.compile(r"(am|was|have|had|do|did|will|would|can|could|must|may|never|first|once|always|know|saw|went)$")


def with_capitals(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines, each large letter that stands over several lines put before the first of them."""
    caps = [k for k, line in enumerate(lines) if CAP.match(line.text)]
    if not caps:
        return list(lines)
    words = Counter(word.lower() for line in lines for word in WORD.findall(line.text))
    out: dict[int, TextLine] = dict(enumerate(lines))
    size, middle, left = np.array([(x.size, x.middle, x.box[0]) for x in lines], float).T
    slack = np.where([x.confidence == 1 for x in lines], -0.3, -1.2) * size
    for k in caps:
        cap = out[k]
        if 0.67 * cap.size <= size.min():
            continue
        gap = left - cap.box[2]
        near = (size < 0.67 * cap.size) & (cap.box[1] - 0.5 * size < middle) & (middle < cap.box[3])
        beside = np.flatnonzero(near & (gap >= slack) & (gap < 1.5 * size)).tolist()
        if len(beside) < 2 and not (beside and cap.confidence < 1 and _level(cap, out[beside[0]])):
            continue
        first = min(beside, key=lambda i: middle[i])
        begin = WORD.match(out[first].text)
        alone = begin is not None and _word_alone(cap.text[-1], begin[0].lower(), words)
        for i in beside:
            # Its edge may have been read with the line.
            again = cap.confidence < 1 and left[i] < cap.box[2] and out[i].text.startswith(cap.text)
            text = f"{cap.text}{' ' * alone}{out[i].text}" if i == first and not again else out[i].text
            out[i] = replace(out[i], text=text, box=(cap.box[0], *out[i].box[1:]))
            left[i] = cap.box[0]
        del out[k]
        middle[k] = np.inf
    return list(out.values())


def _level(cap: TextLine, line: TextLine) -> bool:
    """Whether a large letter stands on the same line as what follows it closely, and rises above it."""
    return abs(cap.box[3] - line.box[3]) < 0.6 * line.size and line.box[0] - cap.box[2] < 0.5 * line.size


def _word_alone(letter: str, rest: str, words: Mapping[str, int]) -> bool:
    """Whether a large letter is a word, rather than the first letter of one that goes on with `rest`; `words` are those
    of the page, and how often each is there."""
    if letter not in "AIO" or words[letter.lower() + rest]:
        return False
    if words[rest] > 1:
        return True
    if letter == "I":
        return AFTER_I.match(rest) is not None
    return letter == "A" and ONSET.match(rest) is not None and not BEGIN_A.match(f"a{rest}")
