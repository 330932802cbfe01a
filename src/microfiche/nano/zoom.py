"""Glance, then zoom: a page is looked at as a whole, and then its lines alone are encoded, each as small as it can be
read rightly.

The lines that the glance found (glance.py) are set on galleys (galley.py) with type of several sizes and read. What
these readings agree on (agreement.py) is the best that the reader can say of a line. A small size costs few tokens, and
often says the same by itself. So what is kept are the tokens of one galley on which each line has the smallest size
that says so. How much of it that has to say is the one dial; near its end, lines of which no size says enough are kept
several times, with other sizes, and what these agree on is read. It knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from microfiche.errors import UsageError
from microfiche.nano.agreement import agreed, likeness
from microfiche.nano.galley import Picture, Strip, galley, on_page, stacked, strip
from microfiche.nano.glance import lines_of, on_white
from microfiche.nano.print import PrintModel
from microfiche.nano.tracing import PrintedLine
from microfiche.page import TOKEN_SIDE, Checkpoint, Page, Pieces, Reading, VisionTokens

FIRST = (10.0, 12.0, 14.0)  #: px an em at which each line is read
MORE = (11.0, 13.0, 15.0)  #: px an em at which a line is read, too, that does not read alike at these
MOST = (11.5, 12.5, 13.5)  #: px an em at which a line is read, too, that still fewer than three sizes agree on
SMALL = (8.0, 9.0)  #: px an em that do for many lines, but are not asked what a line says
_ALIKE = 3  #: sizes that say the same are enough
_NOISE = 0.65  #: what the readings of a line give their characters on average, at least; ink that is no text has less
_ROUNDS = 4  #: galleys that are set, at most, because some lines are read worse on them than by themselves
_ALONE = 0.98  #: up to here each line is kept once; who wants to be surer has some kept several times
_COPIES = 5  #: times that a line is kept, at most, by one who wants to be quite sure


class Zoom:
    """A Reader: `model` reads, and each line is kept with type of the smallest size at which the share `sure`, between
    0 and 1, is read of what its readings at all sizes agree on; above 0.98, also several times, with other sizes that
    together read so much. What reads as something else at each size is noise and left out."""

    def __init__(self, model: PrintModel, sure: float) -> None:
        if not 0 <= sure <= 1:
            raise UsageError(f"sure is {sure}; it must be between 0 and 1")
        self.model, self.sure = model, sure
        self.copies = 1 + round((_COPIES - 1) * max(0.0, sure - _ALONE) / (1 - _ALONE))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.checkpoint}, sure {self.sure:g})"

    @property
    def checkpoint(self) -> Checkpoint:
        """The weights that make the tokens."""
        return self.model.checkpoint

    @torch.inference_mode()
    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the tokens of a galley for each page; a page without type has none."""
        return [self._encoded(page) for page in pages]

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        """Returns the reading of each page, as `model` reads its galley. Raises CheckpointError for tokens of another
        checkpoint."""
        return self.model.read(tokens)

    def _encoded(self, page: Page) -> VisionTokens:
        picture = page.image if page.image.ndim == 2 else page.image.mean(axis=-1).astype(np.uint8)
        lines = _looked_at(self.model, on_white(picture))
        height, width = (-(-side // TOKEN_SIDE) for side in page.image.shape[:2])
        if not lines:
            nothing = torch.zeros(0, self.model.config.token_width)
            return VisionTokens(
                nothing, height, width, page.setting, self.checkpoint, np.zeros((0, 3), np.int32), pieces=_NOTHING
            )
        tokens, pieces = self._set(lines)
        return replace(tokens, height=height, width=width, setting=page.setting, pieces=pieces)

    def _set(self, lines: Sequence[_Line]) -> tuple[VisionTokens, Pieces]:
        """The galley on which the lines are read as it is wanted. Where less of a line is read there than the share
        `sure`, the galley is set anew with type of another size for it, a few times. Lines that are read worse still
        stand again below, up to `copies` times in all, with other sizes, so that what these agree on is read."""
        sizes = [one.sizes(self.sure) for one in lines]
        chosen = {i: next(its) for i, its in enumerate(sizes)}
        blocks: list[tuple[Picture, Pieces]] = []
        for turn in range(_ROUNDS + self.copies - 1):
            anew = turn < _ROUNDS
            block = galley({i: lines[i].strips[size] for i, size in chosen.items()})
            try:
                tokens, pieces = encoded(self.model, [block] if anew else [*blocks, block])
            except UsageError:  # which does not fit on the largest picture
                if not blocks:
                    raise
                break
            blocks = [block] if anew else [*blocks, block]
            found = on_page(self.model.lines(tokens), pieces)
            said = {i: likeness(found[i].text if i in found else "", one.wanted) for i, one in enumerate(lines)}
            others = {i: size for i, share in said.items() if share < self.sure and (size := next(sizes[i], None))}
            if not others:
                break
            chosen = {**chosen, **others} if turn + 1 < _ROUNDS else others
        return tokens, pieces


@dataclass
class _Line:
    """A line of a page: its strips, and what was read of those in which something was, by the size of their type in px
    an em; and what is `wanted`, which is what the readings agree on."""

    strips: dict[float, Strip] = field(default_factory=dict)
    read: dict[float, PrintedLine] = field(default_factory=dict)
    wanted: str = ""

    def alike(self) -> int:
        """How many of its readings say just the same, at most."""
        texts = [found.text for found in self.read.values()]
        return max(map(texts.count, texts), default=0)

    def agree(self) -> float:
        """Decides what is wanted. Returns what chance all strips give to its characters on average, one in which
        nothing was read none."""
        if not self.read:
            return 0.0
        together = agreed(list(self.read.values()))
        self.wanted = together.text
        return float(together.confidence.sum()) / max(1, len(together.text)) * len(self.read) / len(self.strips)

    def sizes(self, sure: float) -> Iterator[float]:
        """The sizes at which something was read, in px an em: the smallest first at which, and at the next larger one,
        the share `sure` of what is wanted is read on average, since among other lines it may be read otherwise; then
        the others, the one that says most first."""
        share = {size: likeness(self.read[size].text, self.wanted) for size in sorted(self.read)}
        larger = [*share.values()][1:] + [*share.values()][-1:]
        promise = {size: (own + next_) / 2 for (size, own), next_ in zip(share.items(), larger, strict=True)}
        return iter(sorted(promise, key=lambda size: (-min(promise[size], sure), size)))


def _looked_at(model: PrintModel, picture: Picture) -> list[_Line]:
    """The lines of type on a page, (H, W) uint8 with dark type, from the top down, read at several sizes."""
    seen = lines_of(model, picture)
    lines = [_Line() for _ in seen]

    def read(some: Iterable[int], sizes: Iterable[float]) -> None:
        for size in sizes:
            cut = ((i, strip(picture, seen[i].line, size, seen[i].spaces)) for i in some)
            tried = {i: one for i, one in cut if one is not None}
            found = read_strips(model, tried) if tried else {}
            for i, one in tried.items():
                lines[i].strips[size] = one
                if i in found:
                    lines[i].read[size] = found[i]

    every = range(len(lines))
    read(every, FIRST)
    read([i for i in every if len({found.text for found in lines[i].read.values()}) > 1], MORE)
    read([i for i in every if len(lines[i].read) > 1 and lines[i].alike() < _ALIKE], MOST)
    kept = [i for i in every if lines[i].agree() >= _NOISE]
    read(kept, SMALL)
    return [lines[i] for i in kept]


def encoded(model: PrintModel, galleys: Sequence[tuple[Picture, Pieces]]) -> tuple[VisionTokens, Pieces]:
    """The tokens that `model` makes of some galleys, one below another, as view 1, and their pieces."""
    picture, pieces = stacked(galleys)
    (tokens,) = model.encode([Page(picture)])
    top, left = tokens.origin
    moved = pieces.boxes - np.array([left, top, left, top], np.int32)
    boxes = np.maximum(moved, 0)
    sources = pieces.sources.copy()
    sources[:, :2] += (boxes - moved)[:, :2] * sources[:, 2:3]
    assert tokens.places is not None
    places = tokens.places + np.array([1, 0, 0], np.int32)
    return replace(tokens, places=places, origin=(0, 0)), replace(pieces, boxes=boxes, sources=sources)


def read_strips(model: PrintModel, strips: Mapping[int, Strip]) -> dict[int, PrintedLine]:
    """What `model` reads on one galley of the strips of some lines, by the numbers of the lines; those of which it
    reads nothing are left out."""
    tokens, pieces = encoded(model, [galley(strips)])
    return on_page(model.lines(tokens), pieces)


_NOTHING = Pieces(np.empty((0, 4), np.int32), np.empty((0, 4), np.float32), np.empty(0, np.int32))
