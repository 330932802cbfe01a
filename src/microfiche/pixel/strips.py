"""Text → strips one patch high, which PIXEL reads: grey or RGB, with a black patch at the end of each text.

The geometry is that of Language Modelling with Pixels (arXiv 2207.06991): 16 px high, letters of 8 pt at 120 dpi, 3 px
before and after a text, and a black patch at the next boundary. This module knows nothing of models.
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
from microfiche.pixel.shaping import Shaped, Shaper

PATCH = 16  #: px of a patch's side
LONGEST = 529  #: patches of the longest strip, by default
PADDING = 3  #: px before and after a text
SIZE = 8 * 120 / 72  #: px an em: 8 pt at 120 dpi
BASELINE = 12  #: px from the top, where Pango puts Noto Sans of this size when it is centred as the paper does
Overflow = Literal["truncate", "error"]
_NEVER = np.iinfo(np.int64).max
_MOST = 16  # characters that are tried for each patch; more fit only if most of them are marks
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Strip:
    """A text, or a pair of texts, drawn on n patches.

    `image` is (16, 16 · n) uint8 grey or (16, 16 · n, 3) RGB, paper 255; it ends with the last black patch. `offsets`
    (n, 2) int32 are the range of characters that begin in each patch, counted through both texts of a pair; (k, k) for
    patches in which none begins, such as the black ones. If a text runs in both directions, a range may include
    characters that begin in other patches.

    `words` (W, 2) int32 are the first patch of each word and the patch after its last, empty unless the text was a list
    of words. `second` is the patch in which the second text of a pair begins, otherwise None. `whole` says whether all
    of the text is on the strip.
    """

    image: NDArray[np.uint8]
    offsets: NDArray[np.int32]
    words: NDArray[np.int32]
    second: int | None
    whole: bool


@dataclass(frozen=True)
class _Piece:
    """The first `characters` of a text, on `patches` patches; the text begins `left` px after the first patch does."""

    text: Shaped
    characters: int
    patches: int
    left: int


class StripRenderer:
    """Draws strips, and keeps the words and glyphs that it has drawn. `size` is in px an em.

    With `colour` strips are RGB and emoji keep their colours, otherwise strips are grey. All methods raise InputError
    for characters that cannot be drawn and, if `overflow` is "error", for a text that is longer than `longest` patches.
    """

    def __init__(self, colour: bool = False, size: float = SIZE) -> None:
        self.colour = colour
        self._size, self._shaper = size, Shaper(size, BASELINE, PATCH - BASELINE, colour)

    def __reduce__(self) -> tuple[type[StripRenderer], tuple[bool, float]]:
        """Another process starts with no words and glyphs."""
        return StripRenderer, (self.colour, self._size)

    def line(self, text: str, longest: int = LONGEST, overflow: Overflow = "truncate") -> Strip:
        """Draws a text and a black patch."""
        piece = self._fitting(_clean(text), longest - 1)
        return self._drawn([piece], [len(text)], longest, overflow)

    def pair(self, first: str, second: str, longest: int = LONGEST, overflow: Overflow = "truncate") -> Strip:
        """Draws a text, a black patch, another text and a black patch. If both are too long the second is cut, or the
        first if it fills the strip alone."""
        one = self._fitting(_clean(first), longest - 2)
        two = self._fitting(_clean(second), longest - 2 - one.patches)
        return self._drawn([one, two], [len(first), len(second)], longest, overflow)

    def words(self, words: Sequence[str], longest: int = LONGEST, overflow: Overflow = "truncate") -> Strip:
        """Draws words and a black patch; each word begins at a patch boundary, at least a space after the one before.

        Words follow one another from left to right in every script. An empty word takes a patch. Offsets count the
        characters of the words, without spaces between them. Words that do not fit are left out, and the last one on
        the strip may be cut.
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
        """Draws a long text on several strips, each of which begins about `overlap` patches before the end of the one
        before; with a `question` each is a pair of the question and a piece of the text.

        Offsets count from the beginning of the text, after the whole question; the text's direction is the same on all
        strips. Raises UsageError if the overlap is so large that no strip has anything new.
        """
        asked = [] if question is None else [self._fitting(_clean(question), longest - 2)]
        before = len(question or "")
        room = longest - 1 - sum(piece.patches + 1 for piece in asked)
        if not 0 <= overlap < room - 1:
            raise UsageError(f"an overlap of {overlap} patches leaves nothing new on strips of {longest}: choose less")
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
        """As much of a text as fits on `patches` patches with `left` and `right` px free; takes at `least` so many."""
        if patches < 0:
            raise UsageError("a strip needs at least a patch for the end of each text: choose a longer strip")
        rtl = right_to_left(text) if rtl is None else rtl
        room, characters = patches * PATCH - left - right, min(len(text), patches * _MOST)
        line = self._shaper.line(text[:characters], rtl, room)
        while line.advance > max(room, 0):
            firsts, ends = line.ends()
            characters = int(firsts[min(int(np.searchsorted(ends, room, "right")), len(ends) - 1)])
            line = self._shaper.line(text[:characters], rtl, room)
        if not line.advance and not any(len(word.glyphs) for _, word in line.words):
            return _Piece(Shaped([], [], 0), characters, least, left)  # nothing is visible, so nothing begins
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
        """Draws pieces, each with a black patch after it or, if they are words, only the last; the last piece begins
        with character `begun` of its text."""
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
    """(patches, 2) ranges of the characters that begin in each patch, for a text from its character `begun` on."""
    patch = clusters[:, 1].clip(0, None) // PATCH
    first = np.full(patches, _NEVER)
    last = np.full(patches, begun)
    np.minimum.at(first, patch, clusters[:, 0])
    np.maximum.at(last, patch, stops)
    empty = first > last
    last = np.where(empty, np.maximum.accumulate(last), last)
    return np.stack([np.where(empty, last, first), last], 1).astype(np.int32)


def _clean(text: str) -> str:
    """`text` with spaces for control characters; InputError for lone surrogates, which are no characters."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"character {error.start} is a lone surrogate (U+{ord(text[error.start]):04X}); is the text UTF-8?"
        ) from error
    return _CONTROL.sub(" ", text)
