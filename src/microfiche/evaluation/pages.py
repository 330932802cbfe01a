"""How well a real page was read: compares the words and lines on it with those that were read.

The truth is the page's lines of text and a reading is a reader's lines, both in any order. U+FFFD in the truth stands
for an unknown character. Lines are compared after plain(), because readers differ in how they write what looks almost
the same. Nothing here knows of pictures, boxes or readers.
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
HELD_BACK = 0.05  #: how far recall may lie below Fox precision, which a reader could raise by withholding words
_TRIED = 8  #: how many pieces of the reading a line is compared with as wholes, and how many in part
_ALIKE = str.maketrans(dict.fromkeys("‘’‚‛′", "'") | dict.fromkeys("“”„‟″", '"') | dict.fromkeys("‐‑‒–—―−", "-"))
_CJK = "[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]"
_LEADER = re.compile(r"(?:\s?[.·…]){4,}\s?")
_BETWEEN_WORDS = re.compile(f" |(?<={_CJK})|(?={_CJK})")
_NO_SPACE = re.compile(f"(?<={_CJK}) | (?={_CJK})")


@dataclass(frozen=True)
class Words:
    """How many distinct words are on a page (`true`), were read (`read`), and are both (`right`)."""

    true: int
    read: int
    right: int

    @property
    def fox_precision(self) -> float:
        """The share of the words read that are on the page; 0 if none was read although there are some."""
        return self.right / self.read if self.read else float(not self.true)

    @property
    def recall(self) -> float:
        """The share of the words on the page that were read."""
        return self.right / self.true if self.true else 1.0


def word_counts(truth: Sequence[str], read: Sequence[str]) -> Words:
    """Counts the words of plain lines as precision.words does; both sides are split by jieba if the truth has Chinese.

    A word of the truth with an unknown character is not counted. For each such word, one wrong word that could be it is
    not counted either.
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
    """Returns the errors in characters and the length they are out of. Both are sums over the lines of the truth, each
    of which is compared with the piece of the reading that is most like it.

    Errors are Levenshtein distances, and lengths are those of the longer of the two. The longest lines choose first,
    and a piece that is at least half right is taken from the others. A piece is a line that was read, or what is left
    of it, or some words or Chinese characters of it, because a reader may join lines that stand side by side. An
    unknown character matches anything.
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
    """Normalises a line for comparison: single spaces, and none beside Chinese characters; one form of quotation marks
    and of dashes; and three dots in place of the leader before a page number."""
    return _NO_SPACE.sub("", " ".join(_LEADER.sub(" ... ", line.translate(_ALIKE)).split()))


def _spans(line: str, piece: str) -> set[tuple[int, int]]:
    """Returns the ranges of a piece where a line may stand: all of it, and those around the best match, cut between
    words."""
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
    """Returns, of cuts in ascending order, the first that is not before a position, and the one before that."""
    i = bisect_left(cuts, at)
    return {cuts[i], cuts[max(i - 1, 0)]}
