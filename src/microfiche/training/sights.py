"""What a reader of print saw along the lines of many pages, with the truth: all that a language pass learns from.

A shard is a safetensors file of concatenated frames. Of each frame it has the likeliest characters with their
probabilities, which takes 29 bytes, so that reading a page once serves many steps of training. It knows nothing of the
model that learns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from microfiche.errors import InputError
from microfiche.files import whole_file
from microfiche.nano.language import LIKELIEST
from microfiche.nano.print import PrintModel
from microfiche.nano.tracing import MIDDLE, TracedLine
from microfiche.page import Page
from microfiche.typesetting.alphabet import N_HALF, NO_GLYPH, glyphs
from microfiche.typesetting.print import Print

_STEP = 16  #: parts of a nat that a probability's logarithm is stored in
_CENTRE_STEP = 8  #: the same of the logit of a character's centre
_NEAR = 0.35  #: em between a traced line and one of the truth, at most, where they are the same
_OUTSIDE = 0.1  #: em beyond the ends of a line in which its first and last character still stand


@dataclass(frozen=True)
class Sights:
    """Frames, line after line and page after page.

    `kinds` (F, LIKELIEST) int16 are the likeliest characters at each frame, the likeliest first, and `chances` of the
    same shape uint8 their probabilities p, as −16 · ln p up to 255; `centre` (F,) int8 is eight times the logit that
    the character's centre is there. The truth: `character` (F,) int16 stands there, −1 where none does or it is not
    known; `stands` (F,) int8 says whether its centre does: 1, 0, or −1 where that is not known. `lines` (L + 1,) int64
    are the frames with which lines begin, and `pages` (P + 1,) the lines with which pages begin, each with the end.
    `random` (P,) uint8 is 1 for pages of random strings.
    """

    kinds: NDArray[np.int16]
    chances: NDArray[np.uint8]
    centre: NDArray[np.int8]
    character: NDArray[np.int16]
    stands: NDArray[np.int8]
    lines: NDArray[np.int64]
    pages: NDArray[np.int64]
    random: NDArray[np.uint8]

    def write(self, path: Path) -> None:
        """Writes a shard, whole or not at all."""
        with whole_file(path) as beside:
            beside.write_bytes(save({f.name: getattr(self, f.name) for f in fields(self)}))

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Self:
        """Reads shards, one after another. Raises InputError if there is none or one of them is damaged."""
        parts = [_shard(path) for path in paths]
        if not parts:
            raise InputError("no shards of what a reader saw; tools/collect_sights.py makes some")
        joined: dict[str, NDArray[Any]] = {
            f.name: np.concatenate([part[f.name] for part in parts])
            for f in fields(cls)
            if f.name not in ("lines", "pages")
        }
        for name in ("lines", "pages"):
            sizes = np.concatenate([np.diff(part[name]) for part in parts])
            joined[name] = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        return cls(**joined)

    def __len__(self) -> int:
        return len(self.kinds)


def _shard(path: Path) -> dict[str, NDArray[Any]]:
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: no shard of what a reader saw ({error})") from error
    names = [f.name for f in fields(Sights)]
    if sorted(found) != sorted(names) or found["kinds"].shape[1:] != (LIKELIEST,):
        raise InputError(f"{path}: no shard of what a reader saw, or one of another version; collect them again")
    return found


def seen(model: PrintModel, pages: Iterable[tuple[Print, bool]]) -> Sights:
    """Reads pages, each with whether it holds random strings. A page on which no line is found is left out."""
    frames: list[tuple[NDArray[Any], ...]] = []
    lengths: list[int] = []
    counts: list[int] = []
    random: list[int] = []
    for one, strings in pages:
        (tokens,) = model.encode([Page(one.page.image)])
        lines, xs, logits = model.seen(tokens)
        if not lines:
            continue
        chances, kinds = logits[:, :-1].log_softmax(-1).topk(LIKELIEST, dim=-1)
        quantised = np.rint(-_STEP * chances.numpy()).clip(0, 255).astype(np.uint8)
        centre = np.rint(_CENTRE_STEP * logits[:, -1].numpy()).clip(-127, 127).astype(np.int8)
        top, left = tokens.origin
        lines = [replace(line, left=line.left + left, right=line.right + left, y=line.y + top) for line in lines]
        truth = truth_of(one, lines, [x + left for x in xs])
        frames.append((kinds.numpy().astype(np.int16), quantised, centre, *truth))
        lengths += map(len, xs)
        counts.append(len(lines))
        random.append(int(strings))
    if not frames:
        raise InputError("no line was found on any of the pages")
    kinds_, chances_, centre_, character, stands = (np.concatenate(part) for part in zip(*frames, strict=True))
    lines_, pages_ = (np.cumsum([0, *sizes], dtype=np.int64) for sizes in (lengths, counts))
    return Sights(kinds_, chances_, centre_, character, stands, lines_, pages_, np.array(random, np.uint8))


def truth_of(
    one: Print, lines: Sequence[TracedLine], xs: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.int16], NDArray[np.int8]]:
    """Returns `character` and `stands` as in Sights, of the frames of lines as they were traced, (F,) each, by the
    page's own lines: the nearest one within _NEAR em."""
    ids = glyphs(one.page.text or "").astype(np.int64)
    ids[(ids >= N_HALF) | (ids == NO_GLYPH)] = -1
    boxes = one.page.boxes
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    printed = boxes[:, 2] > boxes[:, 0]
    ends = np.array([line.baseline for line in one.lines]).reshape(-1, 4)
    sizes = np.array([line.size for line in one.lines])
    found = []
    for traced, x in zip(lines, xs, strict=True):
        character, stands = np.full(len(x), -1, np.int16), np.zeros(len(x), np.int8)
        y = traced.at(x)
        for left, top, right, bottom in one.unknown:
            stands[(x > left) & (x < right) & (y > top) & (y < bottom)] = -1
        apart = np.full((len(sizes), len(x)), np.inf)
        slope = (ends[:, 3] - ends[:, 1]) / np.maximum(ends[:, 2] - ends[:, 0], 1e-6)
        around = (ends[:, 0] - traced.right < traced.size) & (traced.left - ends[:, 2] < traced.size)
        for i in np.flatnonzero(around).tolist():
            inside = (x > ends[i, 0] - _OUTSIDE * sizes[i]) & (x < ends[i, 2] + _OUTSIDE * sizes[i])
            down = ends[i, 1] + slope[i] * (x - ends[i, 0]) - MIDDLE * sizes[i]
            apart[i, inside] = np.abs(down - y)[inside] / sizes[i]
        nearest = apart.argmin(0) if len(sizes) else np.zeros(len(x), np.int64)
        near = apart.min(0, initial=np.inf) < _NEAR
        pitch = (x[-1] - x[0]) / max(len(x) - 1, 1)
        for i in np.unique(nearest[near]).tolist():
            line = one.lines[i]
            chosen = line.start + np.flatnonzero(printed[line.start : line.stop])
            if not len(chosen):
                continue
            chosen = chosen[np.argsort(middle[chosen], kind="stable")]
            here = np.flatnonzero(near & (nearest == i))
            at = middle[chosen]
            letter = ids[chosen[np.searchsorted((at[1:] + at[:-1]) / 2, x[here])]]
            frame = np.rint((at - x[0]) / max(pitch, 1e-6)).astype(np.int64)
            centre = np.zeros(len(x), np.int8)
            centre[frame[(frame >= 0) & (frame < len(x))]] = 1
            character[here] = letter
            stands[here] = np.where(letter < 0, -1, centre[here])
        found.append((character, stands))
    character, stands = (np.concatenate(part) for part in zip(*found, strict=True))
    return character, stands


def unpacked(sights: Sights, frames: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    """Returns `kinds`, `chances` and `centre` of these frames (of any shape), as the language pass is given them."""
    return (
        torch.from_numpy(sights.kinds[frames].astype(np.int64)),
        torch.from_numpy(sights.chances[frames].astype(np.float32)) / -_STEP,
        torch.from_numpy(sights.centre[frames].astype(np.float32)) / _CENTRE_STEP,
    )
