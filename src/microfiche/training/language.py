"""The stage that trains the language pass: on what a reader saw of pages, and on texts as it might see them.

A text is put together from pieces: for each of its characters, frames in which the reader saw such a character on a
page of one quality, if possible between the same neighbours. Random strings, read and put together, teach where not to
believe the language.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.devices import fast_autocast
from microfiche.nano.language import GAP, LANGUAGE, WINDOW, LanguageConfig, LanguagePass, gaps
from microfiche.training.corpus import Texts, sorted_texts
from microfiche.training.optimisers import optimisers_of
from microfiche.training.recipe import Plan, check_names
from microfiche.training.sights import Sights, unpacked
from microfiche.training.stage import Loss, Stage
from microfiche.typesetting.alphabet import N_HALF, NO_GLYPH, glyphs
from microfiche.weights import stored

HELD_OUT = "held-out-"  #: how the names of shards of held-out pages begin
_BESIDE = 0.2  #: the weight of a character in frames that are not its centre
_QUALITIES = 8  #: into how many kinds pages are divided by how sure the reader was of them
_TRIED = 6  #: pieces of which the one is taken whose neighbours fit best
_LINES = (15, 110)  #: characters in a line that is put together
_LEAD = 3  #: frames before a line's first character
_MEASURED = 128  #: windows to measure on, of each kind
_LEARNED_APART = ("likely.weight", "possible.weight", "head.weight")


class Recipe(Plan):
    """What makes a language pass; training/recipes has the one that ships."""

    model: dict[str, Any] = Field(default_factory=dict)  #: fields of LanguageConfig that differ from its defaults
    start: str = ""  #: a language pass that it goes on from
    windows: int = Field(16, ge=1)  #: in a batch
    read_share: float = Field(0.7, ge=0, le=1)  #: windows of pages as they were read; the others are put together
    random_share: float = Field(0.25, ge=0, le=1)  #: of those put together, windows of random strings

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        try:
            check_names(self.model, asdict(LanguageConfig()))
            LanguageConfig.of(self.model)
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise ValueError(f"model: {error}") from error
        return self


@dataclass(frozen=True)
class Batch:
    """Windows of frames, (B, WINDOW) each, as the language pass takes them, and the truth as in Sights, int64."""

    kinds: Tensor
    chances: Tensor
    centre: Tensor
    character: Tensor
    stands: Tensor


class Windows:
    """Windows of the pages of Sights, with gaps between lines."""

    def __init__(self, sights: Sights) -> None:
        self.sights = sights
        lengths = np.diff(sights.lines)
        #: where each line of a page begins in it, with its gaps
        self._begins = np.cumsum(lengths + GAP) - lengths
        self._first = np.append(0, np.cumsum(lengths + GAP))[sights.pages]  # frames with gaps before each page
        self.lengths = np.diff(self._first)
        page = np.repeat(np.arange(len(self.lengths)), np.diff(sights.lines[sights.pages]))
        self._doubt = np.bincount(page, sights.chances[:, 0], len(self.lengths)) / np.bincount(page)
        self._alike = [np.flatnonzero(sights.random == kind) for kind in (0, 1)]

    def at(self, page: int, start: int) -> NDArray[np.int64]:
        """(WINDOW,) the frames of a page from frame `start` on, counted with gaps; −1 for gaps and beyond the end."""
        first, last = self.sights.pages[page : page + 2].tolist()
        frames = np.full(WINDOW, -1)
        begin = self._begins[first:last] - self._first[page] - start
        begun = self.sights.lines[first:last]
        lengths = self.sights.lines[first + 1 : last + 1] - begun
        for at, frame, length in zip(begin.tolist(), begun.tolist(), lengths.tolist(), strict=True):
            low, high = max(0, -at), min(length, WINDOW - at)
            if low < high:
                frames[at + low : at + high] = np.arange(frame + low, frame + high)
        return frames

    def one(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """A window of a page, by chance: of two pages of a kind, the one of which the reader was less sure."""
        alike = self._alike[int(self.sights.random[int(rng.integers(len(self.lengths)))])]
        two = alike[rng.integers(len(alike), size=2)]
        page = int(two[self._doubt[two].argmax()])
        return self.at(page, int(rng.integers(max(1, int(self.lengths[page]) - WINDOW + 1))))


class Pieces:
    """The frames of each character that a reader saw, by the quality of its page."""

    def __init__(self, sights: Sights) -> None:
        line = np.repeat(np.arange(len(sights.lines) - 1), np.diff(sights.lines))
        known = sights.character >= 0
        centre = np.flatnonzero(known & (sights.stands == 1))
        # A piece ends in the middle between two centres of the same character, or else where the character changes.
        change = np.flatnonzero((np.diff(sights.character) != 0) | (np.diff(line) != 0)) + 1
        alike = np.flatnonzero((sights.character[centre[1:]] == sights.character[centre[:-1]])
                               & (np.searchsorted(change, centre[1:], "right")
                                  == np.searchsorted(change, centre[:-1], "right")))  # fmt: skip
        cuts = np.sort(np.concatenate([[0], change, (centre[alike] + centre[alike + 1]) // 2 + 1, [len(sights)]]))
        part = np.searchsorted(cuts, centre, "right") - 1
        first, last = cuts[part], cuts[part + 1]
        whole = (last - first < 40) & (first <= centre) & (centre < last)
        self.first, self.length = first[whole], (last - first)[whole]
        character = sights.character[centre].astype(np.int64)
        same = np.diff(line[centre]) == 0
        before = np.append(-1, np.where(same, character[:-1], -1))[whole]
        behind = np.append(np.where(same, character[1:], -1), -1)[whole]
        character = character[whole]
        page = np.searchsorted(sights.pages, line[centre][whole], "right") - 1
        quality = _qualities(sights, page, centre[whole])[page]
        self.qualities = np.unique(quality)
        key = quality * N_HALF + character
        order = np.argsort(key, kind="stable")
        self.first, self.length = self.first[order], self.length[order]
        self._before, self._behind = before[order], behind[order]
        self._bounds = np.searchsorted(key[order], np.arange(_QUALITIES * N_HALF + 1)).reshape(-1)
        begins = sights.lines[:-1]
        led = np.array([(sights.stands[begins + i] == 0) & (sights.character[begins + i] < 0) for i in range(_LEAD)])
        long = np.diff(sights.lines) > 2 * _LEAD
        self._leads = begins[led.all(0) & long]

    def of(self, rng: np.random.Generator, ids: NDArray[np.int64], quality: int) -> tuple[NDArray[np.int64], list[int]]:
        """The frames of pieces for the characters `ids` (T,), one after another, and how many each character has. What
        the reader never saw on pages of that quality has none."""
        low, high = self._bounds[quality * N_HALF + ids], self._bounds[quality * N_HALF + ids + 1]
        tried = low[:, None] + (rng.random((len(ids), _TRIED)) * (high - low)[:, None]).astype(np.int64)
        tried = tried.clip(0, len(self.first) - 1)
        before, behind = np.append(-1, ids[:-1]), np.append(ids[1:], -1)
        fits = (self._before[tried] == before[:, None]).astype(int) + (self._behind[tried] == behind[:, None])
        best = tried[np.arange(len(ids)), fits.argmax(1)]
        length = np.where(high > low, self.length[best], 0)
        start = np.cumsum(length) - length
        frames = np.arange(length.sum()) + np.repeat(self.first[best] - start, length)
        return frames, length.tolist()

    def lead(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """The frames before the first character of some line."""
        if not len(self._leads):
            return np.empty(0, np.int64)
        return self._leads[int(rng.integers(len(self._leads)))] + np.arange(_LEAD)


def _qualities(sights: Sights, page: NDArray[np.int64], centre: NDArray[np.int64]) -> NDArray[np.int64]:
    """(P,) the quality of each page, by its reader's mean doubt at the `centre` of characters, which are on `page`."""
    pages = len(sights.pages) - 1
    doubt = np.bincount(page, sights.chances[centre, 0], pages) / np.maximum(np.bincount(page, minlength=pages), 1)
    return np.searchsorted(np.quantile(doubt, np.arange(1, _QUALITIES) / _QUALITIES), doubt)


class Source:
    """Windows by chance from a folder of shards and a folder of text, as the recipe shares them."""

    def __init__(self, recipe: Recipe, text: Path, sights: Path) -> None:
        self.recipe = recipe
        self.sights = Sights.read([p for p in sorted(sights.glob("*.safetensors")) if not p.name.startswith(HELD_OUT)])
        self.windows, self.pieces = Windows(self.sights), Pieces(self.sights)
        self.texts = Texts(sorted_texts(text, False, _narrow)["narrow"])

    def batch(self, rng: np.random.Generator) -> Batch:
        """`windows` windows."""
        recipe = self.recipe
        chosen = [
            self.windows.one(rng) if rng.random() < recipe.read_share else self.made(rng) for _ in range(recipe.windows)
        ]
        return batch_of(self.sights, np.stack(chosen))

    def made(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(WINDOW,) frames that are put together; −1 for gaps."""
        text = self.texts.one(rng)
        start = int(rng.integers(max(1, len(text) - WINDOW)))
        ids = text[start : start + WINDOW].astype(np.int64)
        if rng.random() < self.recipe.random_share:
            alphabet = np.unique(ids[ids > 0]) if (ids > 0).any() else np.arange(1)
            ids = np.where(ids > 0, alphabet[rng.integers(len(alphabet), size=len(ids))], 0)
        quality = int(self.pieces.qualities[int(rng.integers(len(self.pieces.qualities)))])
        frames, lengths = self.pieces.of(rng, ids, quality)
        ends = np.cumsum(lengths)
        longest = int(rng.integers(*_LINES))
        found: list[NDArray[np.int64]] = []
        at = count = 0
        gap = np.full(GAP, -1)
        while at < len(ids) and count < WINDOW:
            stop = min(len(ids), at + longest)
            spaces = np.flatnonzero(ids[at:stop] == 0)
            if stop < len(ids) and len(spaces) and spaces[-1] > 0:
                stop = at + int(spaces[-1])
            begin = int(ends[at - 1]) if at else 0
            found += [gap, self.pieces.lead(rng), frames[begin : int(ends[stop - 1])]]
            count += sum(map(len, found[-3:]))
            at = stop + (stop < len(ids) and ids[stop] == 0)
        made = np.concatenate(found)[:WINDOW]
        return np.pad(made, (0, WINDOW - len(made)), constant_values=-1)


def _narrow(file: Path, text: str) -> tuple[str, NDArray[np.uint16]]:
    """The half-width characters of a text, with a space for each run of white space."""
    ids = glyphs(" ".join(text.split()))
    return "narrow", ids[(ids < N_HALF) & (ids != NO_GLYPH)]


def batch_of(sights: Sights, frames: NDArray[np.int64]) -> Batch:
    """The windows of these (B, WINDOW) frames; −1 for gaps."""
    gap = torch.from_numpy(frames < 0)
    kinds, chances, centre = unpacked(sights, frames.clip(0))
    no_kinds, no_chances, no_centre = gaps(WINDOW)
    character, stands = (
        torch.from_numpy(np.where(frames < 0, none, values[frames.clip(0)]).astype(np.int64))
        for values, none in ((sights.character, -1), (sights.stands, -1))
    )
    return Batch(
        torch.where(gap[..., None], no_kinds, kinds), torch.where(gap[..., None], no_chances, chances),
        torch.where(gap, no_centre, centre), character, stands,
    )  # fmt: skip


def loss_of(logits: Tensor, batch: Batch) -> tuple[Tensor, int, int]:
    """The summed loss of (B, WINDOW, N_HALF + 1) logits, how many characters it is over, and how many of those are
    read right at their centres."""
    character, stands = (part.to(logits.device) for part in (batch.character, batch.stands))
    centre = (character >= 0) & (stands == 1)
    others = (character >= 0) & (stands != 1)
    sure = stands >= 0
    count = max(1, int(centre.sum()))
    total = F.cross_entropy(logits[centre][:, :-1], character[centre], reduction="sum")
    total = total + _BESIDE * F.cross_entropy(logits[others][:, :-1], character[others], reduction="sum")
    total = total + F.binary_cross_entropy_with_logits(logits[..., -1][sure], stands[sure].float(), reduction="sum")
    return total, count, int((logits[centre][:, :-1].argmax(-1) == character[centre]).sum())


class LanguageStage(Stage[Recipe, Batch]):
    """The language pass, on the text of the folder `data` and the shards of the folder `sights`."""

    recipe_type = Recipe
    model: LanguagePass

    def __init__(self, recipe: Recipe, data: Path, device: torch.device, sights: Path) -> None:
        self.recipe, self.device = recipe, device
        self.source = Source(recipe, data, sights)
        torch.manual_seed(recipe.seed)
        config = LanguageConfig.of(recipe.model)
        if recipe.start:
            self.model = stored.load(LANGUAGE, recipe.start, device, torch.float32).train().requires_grad_(True)
        else:
            self.model = LanguagePass(config).to(device)
        self.optimisers = optimisers_of(self.model, recipe.weight_decay, _is_matrix)
        held = Sights.read(sorted(sights.glob(f"{HELD_OUT}*.safetensors")))
        self.held = dict(_measured(held))

    def batch(self, number: int) -> Batch:
        """The batch of that number, by the recipe's seed."""
        return self.source.batch(np.random.default_rng([self.recipe.seed, number]))

    def loss(self, number: int, batch: Batch) -> Loss:
        """The cross-entropy of characters, and of where their centres are."""
        total, count, right = loss_of(self._logits(batch), batch)
        return Loss(total, count, right, batch.character.numel() // 2)

    def _logits(self, batch: Batch) -> Tensor:
        with fast_autocast(self.device):
            parts = (part.to(self.device) for part in (batch.kinds, batch.chances, batch.centre))
            logits: Tensor = self.model(*parts)
        return logits.float()

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """The share of characters read right at their centres on held-out pages, by kind, with the pass, and as they
        were seen."""
        self.model.eval()
        scores: dict[str, float] = {}
        for name, batches in self.held.items():
            right = seen = count = 0
            for batch in batches:
                _, of_batch, found = loss_of(self._logits(batch), batch)
                right, count = right + found, count + of_batch
                there = (batch.character >= 0) & (batch.stands == 1)
                seen += int((batch.kinds[there][:, 0] == batch.character[there]).sum())
            scores |= {name: round(right / count, 5), f"{name}, seen": round(seen / count, 5)}
        self.model.train()
        return scores

    def write(self, out: Path) -> None:
        """Writes out/model.safetensors."""
        stored.save(LANGUAGE, self.model, out / "model.safetensors")


def _measured(sights: Sights) -> dict[str, list[Batch]]:
    """Windows of held-out pages to measure on, by kind."""
    windows = Windows(sights)
    found = {}
    for name, random in (("pages", 0), ("random", 1)):
        pages = np.flatnonzero(sights.random == random)[:_MEASURED].tolist()
        frames = [windows.at(page, 0) for page in pages]
        if frames:
            found[name] = [batch_of(sights, np.stack(frames[i : i + 16])) for i in range(0, len(frames), 16)]
    return found


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and min(parameter.shape) >= 32 and not name.endswith(_LEARNED_APART)
