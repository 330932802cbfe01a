"""What several readings of one line agree on, character by character.

One line that is set with type of several sizes is misread in another place each time. So the readings are laid beside
the surest of them, and at each place the character counts that they give the most chance together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from microfiche.nano.tracing import PrintedLine

Box = NDArray[np.int32]


@dataclass
class _Place:
    """A place of the surest reading, or one between two of its characters: what chance the readings give, in all, to
    each text there (a character or none; between two, any number), and whose reading of it is surest."""

    chances: dict[str, float] = field(default_factory=dict)
    surest: dict[str, tuple[float, PrintedLine, int]] = field(default_factory=dict)

    def add(self, text: str, chance: float, line: PrintedLine, first: int) -> None:
        self.chances[text] = self.chances.get(text, 0.0) + chance
        if chance > self.surest.get(text, (-1.0,))[0]:
            self.surest[text] = chance, line, first

    def best(self) -> str:
        return max(self.chances, key=self.chances.__getitem__)


def agreed(readings: Sequence[PrintedLine]) -> PrintedLine:
    """The line that `readings` of it, of which there is at least one, agree on most. The confidence of a character is
    the mean chance that they give it: one that reads something else gives it none. Each box is of the reading that is
    surest of its character, and the `line` that of the surest reading."""
    first, *others = sorted(readings, key=lambda one: -float(one.confidence.mean()) if one.text else 0.0)
    if not others or all(one.text == first.text for one in others):
        sure = np.mean([one.confidence for one in readings], axis=0)
        return replace(first, confidence=np.asarray(sure, np.float32))
    length = len(first.text)
    at, between = [_Place() for _ in range(length)], [_Place() for _ in range(length + 1)]
    for i, character in enumerate(first.text):
        at[i].add(character, float(first.confidence[i]), first, i)
    for i in range(length + 1):
        between[i].add("", _chance_of_nothing(first, i), first, i)
    for other in others:
        inserted = set()
        for op in Levenshtein.opcodes(first.text, other.text):
            if op.tag == "insert":
                inserted.add(op.src_start)
                chance = float(other.confidence[op.dest_start : op.dest_end].mean())
                between[op.src_start].add(other.text[op.dest_start : op.dest_end], chance, other, op.dest_start)
            elif op.tag == "delete":
                for i in range(op.src_start, op.src_end):
                    at[i].add("", _chance_of_nothing(other, op.dest_start), other, op.dest_start)
            else:
                for i, j in zip(range(op.src_start, op.src_end), range(op.dest_start, op.dest_end), strict=True):
                    at[i].add(other.text[j], float(other.confidence[j]), other, j)
        for i in set(range(length + 1)) - inserted:
            between[i].add("", _chance_of_nothing(first, i), first, i)
    places = [place for pair in zip(between, [*at, _Place()], strict=True) for place in pair]
    return _put_together(places, len(readings))


def likeness(text: str, wanted: str) -> float:
    """The share of the characters of the longer of two texts that is the same in both, in order; 1 for two that are
    empty."""
    return Levenshtein.normalized_similarity(text, wanted)


def _chance_of_nothing(line: PrintedLine, at: int) -> float:
    """How sure a reading is that nothing stands before its character `at`: as sure as of the less sure of the two
    beside that place."""
    beside = line.confidence[max(at - 1, 0) : at + 1]
    return float(beside.min()) if len(beside) else 0.0


def _put_together(places: Sequence[_Place], readings: int) -> PrintedLine:
    text, sure, boxes = "", [], []
    for place in places:
        if place.chances and (best := place.best()):
            _, line, first = place.surest[best]
            text += best
            sure += [place.chances[best] / readings] * len(best)
            boxes.append(line.boxes[first : first + len(best)])
    line = places[0].surest[""][1]
    return PrintedLine(
        text, np.array(sure, np.float32), np.concatenate([np.empty((0, 4), np.int32), *boxes]), line.line
    )
