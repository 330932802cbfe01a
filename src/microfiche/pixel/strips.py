"""Text → a strip one patch high, as PIXEL reads it: grey or RGB, a black patch at the end, characters of each patch.

The geometry of Language Modelling with Pixels (arXiv 2207.06991): 16 px high, letters of 8 pt at 120 dpi, 3 px before
and after a text, and a black patch at the next boundary. `bigrams` is the rendering of Text Rendering Strategies for
Pixel Language Models (EMNLP 2023): two characters a patch. Knows nothing of models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import InputError, UsageError
from microfiche.page import PAPER
from microfiche.pixel.bidi import right_to_left
from microfiche.pixel.glyphs import Word, joined
from microfiche.pixel.shaping import Line, Shaper

PATCH = 16  #: px, side of a patch
LONGEST = 529  #: patches of a strip
PADDING = 3  #: px before and after a text
SIZE = 8 * 120 / 72  #: px an em: 8 pt at 120 dpi
BASELINE = 12  #: px from the top, where Pango puts Noto Sans of this size when it is centred as the paper does
Overflow = Literal["truncate", "error"]
_NEVER = np.iinfo(np.int64).max
_MOST = 16  # characters looked at for each patch: more stand on one only where most of them are marks
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Strip:
    """`image` is (16, 16 · n) uint8 grey or (16, 16 · n, 3) RGB, paper 255, with the black patches and nothing after
    the last. `offsets` (n, 2) int32 are the range of characters of the text (of both texts one after another, for a
    pair) that begin in each patch; (k, k) for black patches and those in which none begins. Where a text has both
    directions a patch's range may span characters that stand elsewhere.

    `words` (W, 2) int32 are the first patch of each word and the one after its last; empty where the text was no list
    of words. `second` is the patch at which the second text of a pair begins, else None. `whole` says whether all of
    the text is on the strip.
    """

    image: NDArray[np.uint8]
    offsets: NDArray[np.int32]
    words: NDArray[np.int32]
    second: int | None
    whole: bool


@dataclass(frozen=True)
class _Piece:
    """`characters` of a text, `patches` wide, whose left end stands `left` px from its first patch's."""

    text: Line
    characters: int
    patches: int
    left: int


class StripRenderer:
    """Draws strips; keeps the words and glyphs it has seen.

    With `bigrams` two characters stand in a patch. With `colour` strips are RGB and emoji have their colours; else
    they are grey. `size` is in px an em.
    """

    def __init__(self, bigrams: bool = False, colour: bool = False, size: float = SIZE) -> None:
        self.bigrams, self.colour = bigrams, colour
        self._size, self._shaper = size, Shaper(size, BASELINE, PATCH - BASELINE, colour)

    def __reduce__(self) -> tuple[type[StripRenderer], tuple[bool, bool, float]]:
        """Another process begins with no words and glyphs."""
        return StripRenderer, (self.bigrams, self.colour, self._size)

    def line(self, text: str, longest: int = LONGEST, overflow: Overflow = "truncate") -> Strip:
        """A text and a black patch."""
        piece = self._fitting(_clean(text), longest - 1)
        return self._drawn([piece], [len(text)], longest, overflow)

    def pair(self, first: str, second: str, longest: int = LONGEST, overflow: Overflow = "truncate") -> Strip:
        """A text, a black patch, another text, a black patch. What is too long is cut from the second text, or from
        the first where that alone fills the strip."""
        one = self._fitting(_clean(first), longest - 2)
        two = self._fitting(_clean(second), longest - 2 - one.patches)
        return self._drawn([one, two], [len(first), len(second)], longest, overflow)

    def words(self, words: Sequence[str], longest: int = LONGEST, overflow: Overflow = "truncate") -> Strip:
        """Words, each beginning at a patch boundary and at least a space after the last one, and a black patch.

        They follow one another from left to right in every script. An empty word takes a patch. Offsets count the
        characters of the words, without spaces between them. Words that do not fit are left out, the last one that
        is there may be cut.
        """
        pieces: list[_Piece] = []
        space, room = self._shaper.line(" ", False).advance, longest - 1
        for i, word in enumerate(words):
            if not room:
                break
            left, right = 0 if i else PADDING, space if i + 1 < len(words) else PADDING
            pieces.append(self._fitting(_clean(word), room, left=left, right=right, least=1))
            room -= pieces[-1].patches
        return self._drawn(pieces, [len(word) for word in words], longest, overflow, one_text=False)

    def slide(
        self, text: str, longest: int = LONGEST, overlap: int = 64, question: str | None = None
    ) -> Iterator[Strip]:
        """Strips that hold all of a long text, each beginning about `overlap` patches before the last one's end; with
        a `question` each is a pair of that and a piece of the text.

        Offsets count from the beginning of the text, after all of the question, and its direction is the same on all.
        """
        asked = [] if question is None else [self._fitting(_clean(question), longest - 2)]
        before = len(question or "")
        room = longest - 1 - sum(piece.patches + 1 for piece in asked)
        if not 0 <= overlap < room - 1:
            raise UsageError(f"an overlap of {overlap} patches leaves nothing new on strips of {longest}")
        cleaned, start = _clean(text), 0
        rtl = right_to_left(cleaned)
        while True:
            piece = self._fitting(cleaned[start : start + longest * _MOST], room, rtl)
            lengths = [before, len(text)] if asked else [len(text)]
            yield self._drawn([*asked, piece], lengths, longest, "truncate", start)
            stop = start + piece.characters
            if stop == len(text) or not piece.characters:
                return
            firsts, ends = piece.text.ends()
            again = int(np.searchsorted(ends, piece.text.advance - overlap * PATCH, "left")) + 1
            start += max(int(firsts[again]) if again < len(firsts) else piece.characters, 1)

    def _fitting(
        self,
        text: str,
        patches: int,
        rtl: bool | None = None,
        left: int = PADDING,
        right: int = PADDING,
        least: int = 0,
    ) -> _Piece:
        """As much of a text as stands on `patches` patches with px free at its ends, at `least` so many wide."""
        if patches < 0:
            raise UsageError("a strip needs at least a patch for the end of each text")
        rtl = right_to_left(text) if rtl is None else rtl
        cell, room, characters = 0, patches * PATCH - left - right, min(len(text), patches * _MOST)
        if self.bigrams:
            cell, room, left, right = PATCH, patches * PATCH, 0, 0
        line = self._shaper.line(text[:characters], rtl, room, cell)
        while line.advance > max(room, 0):
            firsts, ends = line.ends()
            characters = int(firsts[min(int(np.searchsorted(ends, room, "right")), len(ends) - 1)])
            line = self._shaper.line(text[:characters], rtl, room, cell)
        if not line.advance and not any(len(word.glyphs) for _, word in line.words):
            return _Piece(Line([], [], [], 0), characters, least, left)  # nothing to be seen, so nothing begins
        return _Piece(line, characters, max(-(-(line.advance + left + right) // PATCH), least), left)

    def _drawn(
        self,
        pieces: list[_Piece],
        lengths: list[int],
        longest: int,
        overflow: Overflow,
        begun: int = 0,
        one_text: bool = True,
    ) -> Strip:
        """The strip of pieces, each followed by a black patch or, where they are words, only the last; the last piece
        begins with character `begun` of its text."""
        characters = np.array([piece.characters for piece in pieces], np.int64)
        whole = characters.tolist() == lengths
        if overflow == "error" and not whole:
            raise InputError(f"the text is longer than {longest} patches: shorten, truncate or slide it")
        wide = np.array([piece.patches + one_text for piece in pieces], np.int64)
        starts, patches = np.cumsum(wide) - wide, int(wide.sum()) + (not one_text)
        words: list[tuple[int, Word]] = []
        pens: list[int] = []
        lasts: list[tuple[int, int]] = []  # of each piece: words up to its end, and its last character's
        first = 0
        for number, (piece, start, length) in enumerate(zip(pieces, starts.tolist(), lengths, strict=False), 1):
            first += begun if number == len(pieces) else 0
            left = start * PATCH + piece.left
            words += [(first + at, word) for at, word in piece.text.words]
            pens += [left + pen for pen in piece.text.pens]
            if piece.text.words:
                lasts.append((len(words), first + piece.characters))
            first += length
        word = joined(words, pens, 0)
        image = np.full((PATCH, patches * PATCH), PAPER, np.uint8)
        black = starts + wide - 1 if one_text else np.array([patches - 1])
        image.reshape(PATCH, patches, PATCH)[:, black] = 0
        image = self._shaper.pictures.draw(image, word.glyphs, BASELINE)
        spans = np.empty((0, 2)) if one_text else np.stack([starts, starts + wide], 1)
        second = int(starts[1]) if one_text and len(pieces) == 2 else None
        least = begun if len(pieces) == 1 else 0
        stops = np.append(word.clusters[1:, 0], least)[: len(word.clusters)]
        counts = np.cumsum([0, *(len(w.clusters) for _, w in words)])
        for number, last in lasts:
            stops[counts[number] - 1 : counts[number]] = last
        offsets = _begun(word.clusters, stops, patches, least)
        return Strip(image, offsets, spans.astype(np.int32), second, whole)


def _begun(clusters: NDArray[np.int64], stops: NDArray[np.int64], patches: int, begun: int) -> NDArray[np.int32]:
    """(patches, 2) the range of characters that begin in each patch, of a text from its character `begun` on."""
    patch = clusters[:, 1].clip(0, None) // PATCH
    first = np.full(patches, _NEVER)
    last = np.full(patches, begun)
    np.minimum.at(first, patch, clusters[:, 0])
    np.maximum.at(last, patch, stops)
    empty = first > last
    last = np.where(empty, np.maximum.accumulate(last), last)
    return np.stack([np.where(empty, last, first), last], 1).astype(np.int32)


def _clean(text: str) -> str:
    """Control characters as spaces; InputError for lone surrogates, which are no characters."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"character {error.start} is a lone surrogate (U+{ord(text[error.start]):04X}); is the text UTF-8?"
        ) from error
    return _CONTROL.sub(" ", text)
