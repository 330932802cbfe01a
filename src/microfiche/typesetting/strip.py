"""Text → the strip of 16-px patches that PIXEL reads: a line, a pair, a list of words, windows over a long text.

Geometry as of PIXEL's renderer (arXiv 2207.06991; xplip/pixel, PangoCairoTextRenderer): 8 pt at 120 dpi, text begins
3 px from the left, a black patch ends it at the next patch's edge. Bigrams as of "Text Rendering Strategies for Pixel
Language Models" (EMNLP 2023; PangoCairoBigramsRenderer). Knows nothing of models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import InputError, UsageError
from microfiche.page import INK, PAPER
from microfiche.typesetting import bidi
from microfiche.typesetting.coverage import clusters
from microfiche.typesetting.shaping import Shaper, Word

PATCH = 16  #: px, side of a patch
LONGEST = 529  #: patches of a strip
SIZE = 8 * 120 / 72  #: px an em: 8 pt at 120 dpi
SIZES = (4.0, 16.0)  #: px an em, the smallest and largest
Overflow = Literal["truncate", "error"]
_MARGIN = 3  # px left of a text
_BASELINE = 11  # px from the top, where Pango puts it for Noto Sans
_DENSEST = 16  # characters a patch that are looked at
_CJK = "\u2e80-\u2fff\u3001-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
_MARKS = "\u0300-\u036f\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef\u200d"
_WORDS = re.compile(f"[{_CJK}][{_MARKS}]*\\s*|[^\\s{_CJK}]+\\s*|\\s+")
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CLEAN = {point: "\u200b" for point in (*range(0x20), *range(0x7F, 0xA0))} | {
    point: " " for point in (*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85, 0x2028, 0x2029)
}


@dataclass(frozen=True)
class Strip:
    """`image` is (16, 16 · n) uint8 grey or (16, 16 · n, 3) RGB, paper 255, with the black patches and nothing after
    the last.

    `offsets` (n, 2) int32: the range of characters of the text (of both texts, or of all words, one after another)
    that begin in each patch, by grapheme cluster; empty (k, k) for black ones. `words` (W, 2) int32: first patch of
    each word and the one after its last; empty where the text was no list of words. `second`: the patch at which the
    second text of a pair begins, else None. `whole`: whether all of the text is on it.
    """

    image: NDArray[np.uint8]
    offsets: NDArray[np.int32]
    words: NDArray[np.int32]
    second: int | None
    whole: bool


@dataclass(frozen=True)
class _Laid:
    """Words in the order of the text, each at a px and a character; `width` px and `length` characters of all."""

    words: list[Word]
    x: list[int]
    starts: list[int]
    width: int
    length: int


class StripRenderer:
    """Renders text at `size` px an em, in grey or in `colour`; two characters a patch where `bigrams` is set.

    `leading` is the font that is asked first: DejaVu Sans, which is on every machine, or Noto Sans, in which the
    published checkpoint was trained. Characters that are controls are drawn as nothing, line ends and tabs as a space.
    Methods raise InputError for lone surrogates and for scripts that no installed font draws, and with
    `overflow="error"` for a text that is longer than `longest` patches with its black ones.
    """

    def __init__(
        self, bigrams: bool = False, colour: bool = False, size: float = SIZE, leading: str = "DejaVu Sans"
    ) -> None:
        if not SIZES[0] <= size <= SIZES[1]:
            raise UsageError(f"a strip's text is {SIZES[0]:g} to {SIZES[1]:g} px an em, not {size:g}")
        self._bigrams, self._colour = bigrams, colour
        self._shaper = Shaper(size, leading)
        self._margin = 0 if bigrams else _MARGIN
        self._gap = 0 if bigrams else self._shaper.word(" ").width

    def line(self, text: str, longest: int = LONGEST, overflow: Overflow = "truncate") -> Strip:
        """One text and a black patch."""
        _check(longest, 1)
        laid, whole = self._fit(_cleaned(text), longest - 1)
        if not whole and overflow == "error":
            raise _too_long(len(text), longest)
        return self._texts([laid], whole)

    def pair(self, first: str, second: str, longest: int = LONGEST, overflow: Overflow = "truncate") -> Strip:
        """Two texts, a black patch after each; where they are too long, the longer is cut first."""
        _check(longest, 2)
        texts = _cleaned(first), _cleaned(second)
        room = longest - 2
        one, whole_one = self._fit(texts[0], room)
        two, whole_two = self._fit(texts[1], room)
        taken = _patches(one.width), _patches(two.width)
        if sum(taken) > room:
            least = min(taken[0], max(room // 2, room - taken[1]))
            one, whole_one = self._fit(texts[0], least)
            two, whole_two = self._fit(texts[1], room - least)
        if not (whole_one and whole_two) and overflow == "error":
            raise _too_long(len(first) + len(second), longest)
        return self._texts([one, two], whole_one and whole_two)

    def words(self, words: Sequence[str], longest: int = LONGEST, overflow: Overflow = "truncate") -> Strip:
        """Words from left to right, each from a patch's edge and (bigrams aside) a space apart, and a black patch.
        Words that do not fit are left out, but for the first, which is cut; each takes at least one patch."""
        _check(longest, 2)
        placed: list[tuple[int, _Laid]] = []
        edges: list[tuple[int, int]] = []
        patch, whole = 0, True
        for word in words:
            if patch >= longest - 1:
                whole = False
                break
            laid, whole = self._fit(_cleaned(word), longest - 1 - patch, margin=0)
            if not whole and edges:
                break
            placed.append((patch, laid))
            edges.append((patch, patch + max(_patches(laid.width), 1)))
            patch = max(edges[-1][1], patch + _patches(laid.width + self._gap))
            if not whole:
                break
        if not whole and overflow == "error":
            raise _too_long(sum(map(len, words)), longest)
        strip = self._strip(placed, [edges[-1][1] if edges else 0], whole)
        return replace(strip, words=np.array(edges, np.int32).reshape(-1, 2))

    def slide(
        self,
        text: str,
        longest: int = LONGEST,
        overlap: int = 64,
        question: str | None = None,
    ) -> Iterator[Strip]:
        """Windows over a long text that overlap by about `overlap` patches, each a `line`, or where there is a
        `question` a pair of that and the window. Offsets are those of the whole text (after the question's).
        `whole` is whether a window reaches the text's end."""
        cleaned, asked = _cleaned(text), None
        room = longest - 1
        if question is not None:
            asked, whole = self._fit(_cleaned(question), longest - 2)
            if not whole:
                raise _too_long(len(question), longest)
            room -= _patches(asked.width) + 1
        if room < 1 or not 0 <= overlap < room:
            raise UsageError(f"windows of {max(room, 0)} patches cannot overlap by {overlap}")
        leftward, start = bidi.may_turn(cleaned) and bidi.runs_left(cleaned), 0
        while True:
            laid, whole = self._fit(cleaned[start:], room, leftward=leftward)
            if not laid.length and not whole:
                raise InputError(f"a window of {room} patches is too small for what stands at character {start}")
            yield self._texts([laid] if asked is None else [asked, laid], whole, start)
            if whole:
                return
            start += self._step(laid, (_patches(laid.width) - overlap) * PATCH - self._margin)

    def _step(self, laid: _Laid, width: int) -> int:
        """At which character the next window begins, so that about `width` px of this one are not in it: at a word
        where words are not long."""
        reached = 0
        for word, start in zip(laid.words, laid.starts, strict=True):
            if reached + word.width > width:
                fitting = word.fitting(width - reached, bool(word.left[-1] >= word.left[0]))
                inside = start + int(word.starts[min(fitting, len(word.starts) - 1)])
                return (start if start and word.width < 8 * PATCH else inside) or int(word.starts[-1]) or laid.length
            reached += word.width
        return laid.length

    def _fit(
        self, text: str, patches: int, margin: int | None = None, leftward: bool | None = None
    ) -> tuple[_Laid, bool]:
        """As much of a text as stands on so many patches, and whether that is all of it."""
        margin = self._margin if margin is None else margin
        looked_at = text[: max(patches, 1) * _DENSEST]
        turns = bidi.may_turn(looked_at)
        if leftward is None:
            leftward = turns and bidi.runs_left(text)
        left = looked_at
        while True:
            pieces = self._pieces(left, turns, leftward)
            words = [self._word(piece, level % 2 == 1) for _, piece, level in pieces]
            pen = margin if words else 0
            for (start, piece, level), word in zip(pieces, words, strict=True):
                if pen + word.width > patches * PATCH:
                    cut = start + self._cut(piece, word, patches * PATCH - pen, level % 2 == 0)
                    break
                pen += word.width
            else:
                break
            left = left[:cut]
        x, at = [0] * len(words), margin
        for i in bidi.visual([level for _, _, level in pieces]) if turns else range(len(words)):
            x[i] = at
            at += words[i].width
        laid = _Laid(words, x, [start for start, _, _ in pieces], max(pen, 1) if words else 0, len(left))
        return laid, len(left) == len(text)

    def _cut(self, piece: str, word: Word, width: int, rightward: bool) -> int:
        """How many characters of a piece stand within `width` px."""
        if self._bigrams:
            return 0
        fitting = word.fitting(width, rightward)
        return int(word.starts[fitting]) if fitting < len(word.starts) else int(word.starts[-1])

    def _pieces(self, text: str, turns: bool, leftward: bool) -> list[tuple[int, str, int]]:
        """Words with the spaces after them, or with `bigrams` every two characters: (start, text, level)."""
        if not turns:
            found = [(match.start(), match.group(), 0) for match in _WORDS.finditer(text)]
        else:
            found, levels, start = [], bidi.levels(text, int(leftward)), 0
            for stop in range(1, len(text) + 1):
                if stop == len(text) or levels[stop] != levels[start]:
                    level = levels[start]
                    found += [(start + m.start(), m.group(), level) for m in _WORDS.finditer(text[start:stop])]
                    start = stop
        if self._bigrams:
            pairs = [
                (start + at, piece, level) for start, word, level in found for at, piece in _pairs(word.rstrip())
            ]
            return pairs or found[:1]
        return found

    def _word(self, piece: str, leftward: bool) -> Word:
        word = self._shaper.word(piece, leftward)
        if not self._bigrams:
            return word
        return Word(**{**vars(word), "width": max(_patches(word.width), 1) * PATCH})

    def _texts(self, texts: Sequence[_Laid], whole: bool, start: int = 0) -> Strip:
        """Texts with a black patch after each; the last one's characters are counted from `start`."""
        stops = np.cumsum([_patches(laid.width) + 1 for laid in texts]).tolist()
        strip = self._strip(list(zip([0, *stops], texts, strict=False)), [stop - 1 for stop in stops], whole, start)
        return replace(strip, second=stops[0]) if len(texts) == 2 else strip

    def _strip(self, placed: Sequence[tuple[int, _Laid]], black: Sequence[int], whole: bool, start: int = 0) -> Strip:
        """Draws texts, each from a patch on, and the black patches."""
        words: list[Word] = []
        x: list[int] = []
        offsets, length = np.zeros((black[-1] + 1, 2), np.int32), 0
        for i, (patch, laid) in enumerate(placed):
            length += start if i == len(placed) - 1 else 0
            stop = patch + _patches(laid.width)
            offsets[patch:stop] = _ranges(laid, stop - patch) + length
            length += laid.length
            offsets[stop:] = length
            words += laid.words
            x += [patch * PATCH + at for at in laid.x]
        image = self._drawn(words, x, len(offsets) * PATCH)
        for patch in black:
            image[:, patch * PATCH : (patch + 1) * PATCH] = INK
        return Strip(image, offsets, np.empty((0, 2), np.int32), None, whole)

    def _drawn(self, words: Sequence[Word], x: Sequence[int], width: int) -> NDArray[np.uint8]:
        image = np.full((PATCH, width), PAPER, np.uint8)
        if words:
            slots, counts = np.concatenate([word.slots for word in words]), [len(word.slots) for word in words]
            pens = np.concatenate([word.x for word in words]) + np.repeat(np.array(x), counts)
            baseline = _baseline(max(word.above for word in words), max(word.below for word in words))
            down = np.concatenate([word.y for word in words]) + baseline
            coloured = np.concatenate([word.coloured for word in words]) if self._colour else None
            if coloured is not None and coloured.any():
                planes = np.full((3, PATCH, width), PAPER, np.uint8)
                for channel, plane in enumerate(planes, 1):
                    self._shaper.ink.draw(plane, slots + channel * coloured, pens, down)
                return np.ascontiguousarray(np.moveaxis(planes, 0, 2))
            self._shaper.ink.draw(image, slots, pens, down)
        return np.repeat(image[..., None], 3, 2) if self._colour else image


def _ranges(laid: _Laid, patches: int) -> NDArray[np.int64]:
    """(patches, 2) the characters that begin in each patch.

    Where directions meet in a patch it may hold two ranges: it has the longer, the other goes with the characters
    before it. So every character is in one range, and ranges run up in a text from left to right, and down else.
    """
    found = np.zeros((patches, 2), np.int64)
    if not laid.words:
        return found
    counts = [len(word.starts) for word in laid.words]
    starts = np.concatenate([word.starts for word in laid.words]) + np.repeat(np.array(laid.starts), counts)
    left = np.concatenate([word.left for word in laid.words]) + np.repeat(np.array(laid.x), counts)
    starts[0] = 0
    patch = (left // PATCH).clip(0, patches - 1)
    if (patch[1:] >= patch[:-1]).all():
        found[:, 0] = np.append(starts, laid.length)[patch.searchsorted(np.arange(patches))]
        found[:-1, 1], found[-1, 1] = found[1:, 0], laid.length
        return found
    first = np.flatnonzero(np.diff(patch, prepend=-1))
    edges = [*starts[first].tolist(), laid.length]
    pieces = list(zip(patch[first].tolist(), edges[:-1], edges[1:], strict=True))
    best: dict[int, tuple[int, int]] = {}
    for at, begin, end in pieces:
        if at not in best or end - begin > best[at][1] - best[at][0]:
            best[at] = (begin, end)
    kept = sorted((begin, at) for at, (begin, _) in best.items())
    kept[0] = (0, kept[0][1])
    for (begin, at), (end, _) in zip(kept, [*kept[1:], (laid.length, -1)], strict=True):
        found[at] = begin, end
    for at in range(patches):
        if at not in best:
            found[at] = found[at - 1, 0] if at else laid.length
    return found


def _baseline(above: int, below: int) -> int:
    """Rows above the baseline: as Pango has it, moved as little as lets all ink stand in the strip; where that is
    higher than a strip, as much is cut above as below."""
    if above > PATCH - below:
        return (above + PATCH - below) // 2
    return min(max(_BASELINE, above), PATCH - below)


def _pairs(word: str) -> Iterator[tuple[int, str]]:
    """Every two grapheme clusters of a word, and where they begin."""
    edges = [*clusters(word)[::2], len(word)]
    for start, stop in pairwise(edges):
        yield start, word[start:stop]


def _patches(width: int) -> int:
    return -(-width // PATCH)


def _cleaned(text: str) -> str:
    """The text, as long, with spaces for line ends and nothing that is drawn for other controls."""
    if (odd := _ODD.search(text)) is None:
        return text
    surrogate = re.search("[\ud800-\udfff]", text)
    if surrogate:
        raise InputError(
            f"character {surrogate.start()} of the text is a lone surrogate (U+{ord(surrogate.group()):04X}), no "
            "character: decode the text with errors='replace', or take it out"
        )
    return text[: odd.start()] + text[odd.start() :].translate(_CLEAN)


def _check(longest: int, least: int) -> None:
    if longest < least:
        raise UsageError(f"a strip of {longest} patches has no room for text; take at least {least}")


def _too_long(characters: int, longest: int) -> InputError:
    return InputError(
        f"the text of {characters:,} characters is longer than {longest} patches: truncate it, slide over it, or allow "
        "more patches"
    )
