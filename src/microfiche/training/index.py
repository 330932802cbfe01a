"""The stage that trains the lightning indexer: each word must find the squares in which it stands.

What the indexer learns to attend to is known, since the text of every page is: a word's attention is shared evenly by
the squares where it stands. The loss is the divergence of the scores' softmax over all squares of a batch from that, as
in the dense stage of DeepSeek-V3.2-Exp's indexer. Words are drawn evenly from the different ones of a batch, so that
rare words count as much as common ones. Pages are not drawn: nano's readout reads 0.9998 of their characters, so that
the letters are taken from the text itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from microfiche.nano.indexer import INDEX, Indexer, IndexerConfig, scores, spelled
from microfiche.page import TOKEN_SIDE
from microfiche.readers import load
from microfiche.training.corpus import CJK, Texts, sorted_texts
from microfiche.training.recipe import Choice, Plan, Shares, check_names
from microfiche.training.stage import Loss, Stage
from microfiche.typesetting.density import DENSITIES, MODES, Density
from microfiche.weights import stored

COUNTED = 1 << 16  #: characters whose words are counted at a time
COMMON, RARE = 4.0, 10.0  #: the natural logarithms of how rare the words are that weigh 0 and 1 to begin with


class Recipe(Plan):
    """What makes an indexer; training/recipes has the one that ships."""

    densities: Shares[str]  #: density → its share of the batches; wide ones hold Chinese, if there is any
    mode: str = "large"  #: of the pages
    pages: int = Field(8, ge=1)  #: of a batch
    queries: int = Field(256, ge=1)  #: words of a batch that must find their squares

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        check_names(self.densities, DENSITIES)
        check_names([self.mode], MODES)
        return self


@dataclass(frozen=True)
class Batch:
    """The (U, LONGEST) different words on the pages of a batch; for each of the N that stand there, `words` (N,) which
    it is and `squares` (N,) where, of `count` squares in all; and `asked` (Q,), those that must find their squares."""

    spelled: NDArray[np.uint8]
    words: NDArray[np.int64]
    squares: NDArray[np.int64]
    count: int
    asked: NDArray[np.int64]


def _kind(file: Path, text: str) -> tuple[str, str]:
    """ "wide" for a text most of which is Chinese, else "narrow"."""
    sample = text[:: max(1, len(text) // 1000)]
    return ("wide" if sum(ord(c) >= CJK for c in sample) > 0.3 * len(sample) else "narrow"), text


def placed(text: str, density: Density, side: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The W words of a text as `spelled` gives them, and (W,) the square of a page of `side` px in which the middle of
    each stands; words beyond the page's end are left out."""
    words, middles = spelled(text)
    cells = np.cumsum([0, *(1 + (ord(c) >= CJK) for c in text)])[middles]
    columns, across = side // density.width, side // TOKEN_SIDE
    y, x = cells // columns * density.height // TOKEN_SIDE, cells % columns * density.width // TOKEN_SIDE
    on = y < across
    return words[on], (y * across + x)[on]


class IndexStage(Stage[Recipe, Batch]):
    """The indexer on pages of the text of the folder `data`, for the codec that ships."""

    recipe_type = Recipe
    unit = "word"
    model: Indexer

    def __init__(self, recipe: Recipe, data: Path, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        torch.manual_seed(recipe.seed)
        self.model = Indexer(IndexerConfig()).to(device)
        matrices, others = ([p for p in self.model.parameters() if (p.ndim > 1) == large] for large in (True, False))
        groups = [{"params": matrices, "share": 1.0}, {"params": others, "share": 1.0, "weight_decay": 0.0}]
        self.optimisers = [
            torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True)
        ]
        self._density = Choice.of({DENSITIES[name]: share for name, share in recipe.densities.items()})
        texts, held = (sorted_texts(data, held, _kind) for held in (False, True))
        self._count_words([text for kind in texts.values() for text in kind])
        self._texts, self._held = ({kind: Texts(some[kind]) for kind in some} for some in (texts, held))

    @torch.no_grad()
    def _count_words(self, texts: list[str]) -> None:
        """Sets how much a word weighs, to begin with, by how rare the words of its bucket are."""
        counts = torch.zeros(self.model.config.buckets)
        for text in texts:
            for at in range(0, len(text), COUNTED):
                words = torch.from_numpy(spelled(text[at : at + COUNTED])[0]).to(self.device)
                counts += self.model.bucket(words).bincount(minlength=len(counts)).cpu()
        rarity = ((counts.sum() + 1) / (counts + 0.5)).log()
        self.model.rarity.weight.copy_(((rarity - COMMON) / (RARE - COMMON)).clamp(min=0)[:, None])

    def batch(self, number: int) -> Batch:
        """Pages of one density, which is drawn by their shares."""
        rng = np.random.default_rng([self.recipe.seed, number])
        return self._batch(rng, self._density.one(rng), self._texts)

    def _batch(self, rng: np.random.Generator, density: Density, texts: dict[str, Texts[str]]) -> Batch:
        side = MODES[self.recipe.mode].side
        size = (side // density.width) * (side // density.height)
        source = texts.get("wide" if density.wide else "narrow") or next(iter(texts.values()))
        every, squares, tokens = [], [], (side // TOKEN_SIDE) ** 2
        for page in range(self.recipe.pages):
            text = source.one(rng)
            start = int(rng.integers(max(1, len(text) - size)))
            words, where = placed(text[start : start + size], density, side)
            every.append(words)
            squares.append(page * tokens + where)
        different, index = np.unique(np.concatenate(every), axis=0, return_inverse=True)
        asked = rng.permutation(len(different))[: self.recipe.queries]
        return Batch(different, index.reshape(-1), np.concatenate(squares), self.recipe.pages * tokens, asked)

    def scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(count, Q) how well each square answers each word that is asked for, and (count, Q) float32 whether the word
        stands there."""
        spelled, words, squares = (
            torch.from_numpy(a).to(self.device) for a in (batch.spelled, batch.words, batch.squares)
        )
        keys = self.model.keys(spelled, words, squares, batch.count)
        found = scores(*self.model.queries(spelled[batch.asked]), keys)
        column = torch.full((len(spelled),), -1, device=self.device)
        column[batch.asked] = torch.arange(len(batch.asked), device=self.device)
        mine = column[words] >= 0
        stands = torch.zeros_like(found)
        stands[squares[mine], column[words[mine]]] = 1
        return found, stands

    def loss(self, number: int, batch: Batch) -> Loss:
        """The loss of sharing each word's attention as the squares do in which it stands."""
        found, stands = self.scores(batch)
        total = -(stands / stands.sum(0) * found.log_softmax(0)).sum()
        right = int(stands.gather(0, found.argmax(0, keepdim=True)).sum())
        return Loss(total, found.shape[1], right, batch.count)

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """The share of words on held-out pages for which the best square is one in which they stand, by density."""
        right = {}
        for density in self._density.things:
            found, stands = self.scores(self._batch(np.random.default_rng(1), density, self._held))
            share = stands.gather(0, found.argmax(0, keepdim=True)).mean().item()
            right[f"{density.name}, best of {len(found)}"] = round(share, 4)
        return right

    def write(self, out: Path) -> None:
        """Writes out/model.safetensors, which names the encoder whose tokens are read."""
        stored.save(INDEX, self.model, out / "model.safetensors", load("nano", "cpu").checkpoint)
