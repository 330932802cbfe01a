"""How well a page of the world was read: words and lines that are there against those that were read.

A truth is the page's lines of text, a reading the lines of a reader, in any order; a U+FFFD in the truth stands for a
character that nobody knows. Lines are compared as plain() has them, for readers differ in how they write what looks all
but alike. Nothing here knows of pictures, boxes or readers.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from rapidfuzz.distance import Levenshtein
from rapidfuzz.fuzz import partial_ratio, partial_ratio_alignment, ratio
from rapidfuzz.process import extract

from microfiche.precision import HAN, words

UNKNOWN = "\ufffd"
HELD_BACK = 0.05  #: so much may recall lie below Fox precision, which can be had by withholding words
_TRIED = 8  #: pieces of the reading that a line is compared with as wholes, and as many in part
_ALIKE = str.maketrans(dict.fromkeys("‘’‚‛′", "'") | dict.fromkeys("“”„‟″", '"') | dict.fromkeys("‐‑‒–—―−", "-"))
_CJK = "[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]"
_LEADER = re.compile(r"(?:\s?[.·…]){4,}\s?")
_BETWEEN_WORDS = re.compile(f" |(?<={_CJK})|(?={_CJK})")
_NO_SPACE = re.compile(f"(?<={_CJK}) | (?={_CJK})")


@dataclass(frozen=True)
class Words:
    """How many distinct words there are on a page (`true`), were read (`read`), and both (`right`)."""

    true: int
    read: int
    right: int

    @property
    def fox_precision(self) -> float:
        """The share of the words read that are there; 0 where none was read though some are there."""
        return self.right / self.read if self.read else float(not self.true)

    @property
    def recall(self) -> float:
        """The share of the words that are there that were read."""
        return self.right / self.true if self.true else 1.0


def word_counts(truth: Sequence[str], read: Sequence[str]) -> Words:
    """Counts words of plain lines as precision.words does, both sides by jieba where the truth has Chinese.

    A word of the truth with an unknown character is left out; a word that was read and could be one is, too, once for
    each.
    """
    whole, given = ("\n".join(map(plain, lines)) for lines in (truth, read))
    chinese = HAN.search(whole) is not None
    wanted, found = words(whole, chinese), words(given, chinese)
    masked = {word for word in wanted if UNKNOWN in word}
    wanted -= masked
    wrong = sorted(found - wanted)
    for pattern in (re.compile(".{0,2}".join(map(re.escape, word.split(UNKNOWN)))) for word in sorted(masked)):
        if (word := next((word for word in wrong if pattern.fullmatch(word)), None)) is not None:
            wrong.remove(word)
    right = len(found & wanted)
    return Words(len(wanted), right + len(wrong), right)


def line_errors(truth: Sequence[str], read: Sequence[str]) -> tuple[int, int]:
    """Errors in characters and the lengths that they are of: both summed over the lines of the truth, each compared
    with the piece of the reading that is most like it.

    Distances are Levenshtein's, lengths those of the longer of the two. Lines are served longest first, and a piece
    that is at least half right no other line gets. A piece is a line that was read, or what is left of it, or words
    within it, or Chinese signs: a reader may run lines together that stand beside one another. An unknown character
    may be anything.
    """
    pieces = [piece for line in read if (piece := plain(line))]
    errors = lengths = 0
    for line in sorted(filter(None, map(plain, truth)), key=len, reverse=True):
        distance, length = len(line), len(line)
        taken, rest = None, 0
        alike = (extract(line, pieces, scorer=scorer, limit=_TRIED) for scorer in (ratio, partial_ratio))
        for piece, _, at in chain(*alike):
            for start, stop in _spans(line, piece):
                apart = Levenshtein.distance(line, piece[start:stop])
                longer = max(len(line), stop - start)
                left = len(piece) - (stop - start)
                if (apart / longer, left) < (distance / length, rest):
                    distance, length, taken, rest = apart, longer, (at, start, stop), left
        if taken is not None and 2 * distance <= length:
            at, start, stop = taken
            piece = pieces[at]
            pieces[at : at + 1] = filter(None, (piece[:start].strip(), piece[stop:].strip()))
        unknown = line.count(UNKNOWN)
        errors += max(0, distance - unknown)
        lengths += length - unknown
    return errors, lengths


def plain(line: str) -> str:
    """A line as it is compared: one space for white space and none beside Chinese signs, quotation marks and dashes of
    one shape each, and three dots for the many that lead to a page's number."""
    return _NO_SPACE.sub("", " ".join(_LEADER.sub(" ... ", line.translate(_ALIKE)).split()))


def _spans(line: str, piece: str) -> set[tuple[int, int]]:
    """From where to where in a piece a line may stand: all of it, and about where it matches best, between words."""
    spans = {(0, len(piece))}
    if len(piece) > len(line) and (found := partial_ratio_alignment(line, piece)):
        first, last = found.dest_start, found.dest_end
        cuts = [0, *(cut.start() for cut in _BETWEEN_WORDS.finditer(piece)), len(piece)]
        starts, stops = _nearest(cuts, first), _nearest(cuts, last)
        spans |= {
            (start + (piece[start : start + 1] == " "), stop) for start in starts for stop in stops if start < stop
        }
    return spans


def _nearest(cuts: list[int], at: int) -> set[int]:
    """Of the cuts, which are in order, the first that is not before a place and the last before that."""
    i = bisect_left(cuts, at)
    return {cuts[i], cuts[max(i - 1, 0)]}
