"""Glance, then zoom: a page is looked at as a whole, and then its lines alone are encoded, each as small as it can be
read surely.

Reading small costs few tokens and is often right. So the lines that the glance found (glance.py) are set on a galley
(galley.py) with small type and read; those of which the reader is not sure enough are set again with larger type, and
so on. What is kept are the tokens of one galley on which each line has the size that it needs. How sure is enough is
the one dial: less sure costs fewer tokens. It knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from rapidfuzz.fuzz import ratio

from microfiche.errors import UsageError
from microfiche.nano.galley import Picture, Strip, galley, on_page, strip
from microfiche.nano.glance import lines_of, on_white
from microfiche.nano.print import PrintModel
from microfiche.nano.tracing import PrintedLine, TracedLine
from microfiche.page import TOKEN_SIDE, Checkpoint, Page, Pieces, Reading, VisionTokens

SIZES = (8.0, 9.0, 10.0, 11.0, 12.0, 14.0)  #: px an em at which lines are tried, in this order
_NOISE = 0.8  #: how sure a line is on average, at least: of what is read in others, hardly a tenth is right
_FEW = 40  #: characters of a page with next to no text, which is read again until no noise is left
_ALIKE = 70  #: of 100, how alike two readings of a text are, at least


class Zoom:
    """A Reader: `model` reads, and each line is kept with the smallest type at which `model` is as sure of it as
    `sure`, between 0 and 1, on average over its characters; or with the type at which it is surest. What reads as
    noise at every size is left out."""

    def __init__(self, model: PrintModel, sure: float) -> None:
        if not 0 <= sure <= 1:
            raise UsageError(f"sure is {sure}; it must be between 0 and 1")
        self.model, self.sure = model, sure

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
        picture = on_white(picture)
        lines = lines_of(self.model, picture)
        best: dict[int, tuple[float, Strip]] = {}
        known: dict[int, list[PrintedLine]] = {}  # what was read of each line, at each size
        unsure = list(range(len(lines)))
        for size in SIZES:
            tried = {i: one for i in unsure if (one := strip(picture, lines[i], size)) is not None}
            if not tried:
                break
            found = read_strips(self.model, list(tried.values()))
            for k, i in enumerate(tried):
                value = float(found[k].confidence.mean()) if k in found else 0.0
                known.setdefault(i, []).extend([found[k]] if k in found else [])
                if i not in best or value > best[i][0]:
                    best[i] = value, tried[i]
            unsure = [i for i in tried if best[i][0] < self.sure]
        kept = _text_in(known, unsure)
        if sum(max(len(one.text) for one in known[i]) for i in kept) < _FEW:
            kept = self._read_alike(picture, {i: best[i][1].line for i in kept})
        while 0 < sum(max(len(one.text) for one in known[i]) for i in kept) < _FEW:
            found = read_strips(self.model, [best[i][1] for i in kept])
            still = [i for k, i in enumerate(kept) if k in found and _sure_alone(found[k]) >= _NOISE]
            if still == kept:
                break
            kept = still
        height, width = (-(-side // TOKEN_SIDE) for side in page.image.shape[:2])
        if not kept:
            nothing = torch.zeros(0, self.model.config.token_width)
            return VisionTokens(
                nothing, height, width, page.setting, self.checkpoint, np.zeros((0, 3), np.int32), pieces=_NOTHING
            )
        tokens, pieces = set_anew(self.model, [best[i][1] for i in kept])
        return replace(tokens, height=height, width=width, setting=page.setting, pieces=pieces)


    def _read_alike(self, picture: Picture, lines: dict[int, TracedLine]) -> list[int]:
        """The numbers of the lines that say nearly the same at two sizes that follow each other: noise says something
        else each time."""
        said: list[dict[int, str]] = []
        for size in SIZES[2:]:
            tried = {i: one for i, line in lines.items() if (one := strip(picture, line, size)) is not None}
            found = read_strips(self.model, list(tried.values()))
            said.append({i: found[k].text for k, i in enumerate(tried) if k in found})
        pairs = list(pairwise(said))
        return [i for i in lines if any(ratio(one.get(i, ""), other.get(i, "?")) >= _ALIKE for one, other in pairs)]


def _text_in(known: dict[int, list[PrintedLine]], unsure: Sequence[int]) -> list[int]:
    """The numbers of the lines that are text and no noise, by what was read of each at several sizes. Noise may be read
    surely at one size by chance, so a line that stays `unsure` must be at two."""
    sure = {i: sorted(float(one.confidence.mean()) for one in read) for i, read in known.items() if read}
    return [i for i in sorted(sure) if i not in unsure or sure[i][-2:][0] >= _NOISE]


def _sure_alone(line: PrintedLine) -> float:
    """How sure a line is that hardly any other text supports: the mean of its characters and of half a one at 0.5, so
    that the fewer it has, the surer they must be."""
    return (float(line.confidence.sum()) + 0.25) / (len(line.confidence) + 0.5)


def set_anew(model: PrintModel, strips: Sequence[Strip]) -> tuple[VisionTokens, Pieces]:
    """The tokens that `model` makes of the galley of some strips, as view 1, and the galley's pieces."""
    picture, pieces = galley(strips)
    (tokens,) = model.encode([Page(picture)])
    top, left = tokens.origin
    moved = pieces.boxes - np.array([left, top, left, top], np.int32)
    boxes = np.maximum(moved, 0)
    sources = pieces.sources.copy()
    sources[:, :2] += (boxes - moved)[:, :2] * sources[:, 2:3]
    assert tokens.places is not None
    places = tokens.places + np.array([1, 0, 0], np.int32)
    return replace(tokens, places=places, origin=(0, 0)), replace(pieces, boxes=boxes, sources=sources)


def read_strips(model: PrintModel, strips: Sequence[Strip]) -> dict[int, PrintedLine]:
    """What `model` reads on one galley of some strips, by the number of the strip; strips in which it reads nothing are
    left out."""
    tokens, pieces = set_anew(model, strips)
    return on_page(model.lines(tokens), pieces)


_NOTHING = Pieces(np.empty((0, 4), np.int32), np.empty((0, 4), np.float32), np.empty(0, np.int32))
