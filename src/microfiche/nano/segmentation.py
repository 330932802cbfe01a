"""Frames along lines of print → the characters that they stand for, by the likeliest way of parting each line.

Every character takes the frames that are nearer to its centre than to any other's, so a line is a chain of parts, and
of frames before, behind and between columns in which nothing stands. A part is as likely as that one character is seen
in all of its frames, that exactly one of them has a centre, and that a character is so wide. The best chain is found as
in a semi-Markov model (Sarawagi and Cohen 2004), which takes as long as the line. It knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microfiche.nano.tracing import PrintedLine, TracedLine, with_boxes
from microfiche.typesetting.alphabet import N_HALF

_FRAMES = 8  #: the most frames that a character takes
#: The logarithms of the shares of characters that take so many frames, on pages of the world, and how much they weigh.
_WIDTHS = 0.15 * np.log([0.02, 0.40, 0.42, 0.11, 0.03, 0.012, 0.005, 0.003])
_LIKENESS = 1.0  #: how much the kinds that are seen in the frames of a part weigh; neighbouring frames err together
_TEMPERATURE = 2.0  #: what the logit that a character is the likeliest kind is divided by, to say how sure it is
_FAINTEST = -8.0  #: the logarithm of the least probability of a kind
_LIKELY = -3.0  #: kinds whose probability has a higher logarithm in no frame of a page are not looked at
_NOTHING = float(np.log(0.1))  #: the logarithm of the probability that a frame belongs to no character
_SUREST = 12.0  #: the largest logit of a centre


def parted(
    lines: Sequence[TracedLine], xs: Sequence[NDArray[np.float64]], logits: NDArray[np.float32]
) -> list[PrintedLine]:
    """Reads lines, given the x of each one's frames and (F, N_HALF + 1) logits of all frames, one line after another:
    of the character at each frame, and that the character's centre is there. Lines without text are left out."""
    if not lines:
        return []
    lengths = [len(x) for x in xs]
    kinds = logits[:, :N_HALF]
    kinds = kinds - kinds.max(1, keepdims=True)
    kinds = np.maximum(kinds - np.log(np.exp(kinds).sum(1, keepdims=True)), _FAINTEST)
    named = np.flatnonzero(kinds.max(0) >= min(_LIKELY, float(kinds.max())))
    kinds = kinds[:, named]
    centre = logits[:, N_HALF].astype(np.float64).clip(-_SUREST, _SUREST)
    absent, odds = -np.log1p(np.exp(centre)), np.exp(centre)
    seen = np.concatenate([np.zeros((1, len(named))), np.cumsum(kinds, axis=0, dtype=np.float64)])
    score, best = _scores(seen, absent, odds)
    found = []
    at = 0
    for line, x, parts in zip(lines, xs, _chains(score, absent + _NOTHING, lengths), strict=True):
        if parts:
            first, last = (np.array(ends) + at for ends in zip(*parts, strict=True))
            kind = best[first, last - first - 1]
            likely = _LIKENESS * (seen[last] - seen[first])
            others = np.exp(likely - likely.max(1, keepdims=True)).sum(1) - 1
            sure = 1 / (1 + others.clip(min=0) ** (1 / _TEMPERATURE))
            there = np.sqrt(_sums(odds / (1 + odds), first, last).clip(max=1))
            weight = _sums(odds, first, last)
            place = _sums(odds * np.concatenate([np.zeros(at), x, np.zeros(len(odds) - at - len(x))]), first, last)
            one = with_boxes(line, named[kind], (sure * there).astype(np.float32), place / weight)
            if one.text.strip():
                found.append(one)
        at += len(x)
    return found


def _scores(
    seen: NDArray[np.float64], absent: NDArray[np.float64], odds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns the (F, _FRAMES) logarithms of how likely a part of so many frames begins at each frame, and the kind of
    each. `seen` (F + 1, kinds) are the sums of the kinds' logarithms before each frame."""
    count = len(absent)
    score, best = np.full((count, _FRAMES), -np.inf), np.zeros((count, _FRAMES), np.int64)
    ends = np.arange(count)
    for i in range(min(_FRAMES, count)):
        first = ends[: count - i]
        likely = seen[i + 1 :] - seen[: count - i]
        best[: count - i, i] = likely.argmax(1)
        one = np.log(_sums(odds, first, first + i + 1)) + _sums(absent, first, first + i + 1)
        score[: count - i, i] = _LIKENESS * likely.max(1) + one + _WIDTHS[i]
    return score, best


def _sums(values: NDArray[np.float64], first: NDArray[Any], last: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the sums of `values` from each of `first` up to each of `last`, which are all further right."""
    padded = np.append(values, 0.0)
    return np.add.reduceat(padded, np.stack([first, last], 1).ravel())[::2]


def _chains(
    score: NDArray[np.float64], nothing: NDArray[np.float64], lengths: Sequence[int]
) -> list[list[tuple[int, int]]]:
    """Returns the likeliest chain of each line: its parts' first frames and those after the last, from 0 in each line,
    given the scores of all lines' frames, one line after another."""
    longest = max(lengths)
    begins = np.cumsum([0, *lengths[:-1]])
    rows, steps = np.arange(len(lengths)), np.arange(1, _FRAMES + 1)
    best = np.full((len(lengths), longest + 1), -np.inf)
    best[:, 0] = 0
    came = np.zeros((len(lengths), longest + 1), np.int64)
    for end in range(1, longest + 1):
        frame = np.minimum(begins + end - 1, len(nothing) - 1)
        options = np.full((len(lengths), _FRAMES + 1), -np.inf)
        options[:, 0] = best[:, end - 1] + nothing[frame]
        wide = steps[: min(_FRAMES, end)]
        start = np.minimum(begins[:, None] + end - wide, len(nothing) - 1)
        options[:, 1 : len(wide) + 1] = best[:, end - wide] + score[start, wide - 1]
        came[:, end] = options.argmax(1)
        best[:, end] = options[rows, came[:, end]]
    found = []
    for row, length in enumerate(lengths):
        parts = []
        end = length
        while end > 0:
            width = int(came[row, end])
            if width:
                parts.append((end - width, end))
            end -= width or 1
        found.append(parts[::-1])
    return found
