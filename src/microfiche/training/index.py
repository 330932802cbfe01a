"""Trains the lightning indexer on nano's frozen tokens: words of a page must find it among the others of its batch.

One loss, the cross-entropy of the right page for each query among the pages of its batch. A query is a few words that
stand near each other on a page, as a question would name them, sometimes with a code that stands nowhere else. As the
encoder is frozen, pages are encoded once and asked for many times.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from microfiche.devices import fast_autocast
from microfiche.errors import TrainingError
from microfiche.memory.indexer import word_page
from microfiche.memory.words import query_words
from microfiche.nano.cells import Nano
from microfiche.nano.indexer import Indexer, IndexerConfig, scores
from microfiche.nano.indexer_checkpoint import save
from microfiche.page import TOKEN_SIDE, Page, TypesetPage
from microfiche.readers import load
from microfiche.training.corpus import Corpus, Pages
from microfiche.training.loop import Loss, Plan, run
from microfiche.typesetting.alphabet import NO_GLYPH
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, MODES, Density
from microfiche.typesetting.typesetter import Typesetter, ids_to_text

ENCODED = 16  #: pages that are encoded at a time
CODE = np.array(list(string.ascii_uppercase + string.digits + "-"))


class Recipe(Plan):
    """What makes an indexer; see training/recipes for the one that ships."""

    encoder: str = "nano"  #: the checkpoint whose tokens it is for
    densities: dict[str, float]  #: density → its share of the batches
    mode: str = "small"  #: of the pages
    queries: int = Field(96, ge=2)  #: pages of a batch, each with a query that must find it among them
    bank: int = Field(384, ge=2)  #: pages of each density whose tokens are held, from which a batch takes its own
    fresh: float = Field(4, gt=0)  #: pages of the bank that a batch puts new ones in the place of, the oldest first
    code_share: float = Field(0.3, ge=0, le=1)  #: pages with a code that stands nowhere else
    words: tuple[int, int] = (2, 6)  #: fewest and most words of a query
    near: int = 240  #: characters within which they stand
    temperature: float = Field(1.0, gt=0)  #: that scores are divided by
    indexer: dict[str, int] = Field(default_factory=dict)  #: fields of IndexerConfig that differ

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        known = ((self.densities, DENSITIES), ({self.mode: 0}, MODES))
        for given, right in known:
            for name in given:
                if name not in right:
                    raise ValueError(f"{name!r} is none of {', '.join(right)}")
        if min(self.densities.values(), default=0) < 0 or not sum(self.densities.values()):
            raise ValueError("densities: the shares are not all ≥ 0 with one above")
        if self.bank < self.queries:
            raise ValueError(f"a bank of {self.bank} pages has no {self.queries} for a batch")
        if not 1 <= self.words[0] <= self.words[1]:
            raise ValueError("words: the fewest come first, and are at least 1")
        return self


@dataclass(frozen=True)
class Held:
    """A page of the bank: its text, the place of its code, if it has one, and its (rows, columns, classes) cells
    as `Nano.likely` has them, in bfloat16."""

    text: str
    code: int | None
    cells: Tensor


class Bank:
    """Pages of each density with what their tokens are read as, which change slowly from batch to batch.

    What it holds for a batch follows from the batch's number alone. The encoder is frozen, so that no token ages.
    """

    def __init__(self, nano: Nano, pages: Pages, recipe: Recipe) -> None:
        self._nano, self._pages, self._recipe = nano, pages, recipe
        self._held: dict[tuple[Density, int], Held] = {}

    def at(self, number: int, density: Density) -> list[Held]:
        """The pages of a density that batch `number` chooses from."""
        place = self._pages.densities.index(density)
        first = int(number * self._recipe.fresh * self._pages.weights[place])
        wanted = [(density, k) for k in range(first, first + self._recipe.bank)]
        for key in [k for k in self._held if k[0] == density and not first <= k[1] < first + self._recipe.bank]:
            del self._held[key]
        new = [key for key in wanted if key not in self._held]
        for start in range(0, len(new), ENCODED):
            keys = new[start : start + ENCODED]
            made = [self._page(np.random.default_rng([self._recipe.seed, place, k]), density) for _, k in keys]
            cells = cells_of(self._nano, [page for page, _ in made], density).to(torch.bfloat16)
            for key, (page, code), mine in zip(keys, made, cells, strict=True):
                self._held[key] = Held(page.text, code, mine.clone())
        return [self._held[key] for key in wanted]

    def _page(self, rng: np.random.Generator, density: Density) -> tuple[TypesetPage, int | None]:
        typesetter = Typesetter(density, MODES[self._recipe.mode])
        size = typesetter.columns * typesetter.rows
        text, code = _drawable(ids_to_text(self._pages.language(rng, density, size)), density), None
        if rng.random() < self._recipe.code_share:
            code = max(0, text.find(" ", int(rng.integers(max(1, len(text) - self._recipe.near)))))
            letters = "".join(rng.choice(CODE, rng.integers(4, 11))).strip("-")
            text = f"{text[:code]} {letters} {text[code:]}"[:size]
        return next(typesetter.pages([text])), code


def query_of(rng: np.random.Generator, page: Held, recipe: Recipe) -> list[str]:
    """Words that stand near each other on a page, near its code every second time; none if there are too few."""
    at = int(rng.integers(max(1, len(page.text) - recipe.near)))
    if page.code is not None and rng.random() < 0.5:
        at = max(0, page.code - int(rng.integers(recipe.near // 2)))
    # Whole words only: the first and the last may be cut.
    near = [w for w in query_words(" ".join(page.text[at : at + recipe.near].split()[1:-1])) if len(w) > 1]
    if len(near) < recipe.words[0]:
        return []
    few = int(rng.integers(recipe.words[0], min(len(near), recipe.words[1]) + 1))
    return [near[i] for i in sorted(rng.choice(len(near), few, replace=False))]


def batch(
    bank: Bank, number: int, rng: np.random.Generator, recipe: Recipe, density: Density
) -> tuple[Tensor, list[list[str]]]:
    """(queries, rows, columns, classes) pages drawn from the bank, and for each the words of a query."""
    held = bank.at(number, density)
    pages: list[Tensor] = []
    queries: list[list[str]] = []
    for i in rng.permutation(len(held)):
        words = query_of(rng, held[i], recipe)
        if words:
            pages.append(held[i].cells)
            queries.append(words)
        if len(pages) == recipe.queries:
            break
    if len(pages) < 2:
        raise TrainingError(f"batch {number}: of {len(held)} pages at {density.name} hardly one has words for a query")
    return torch.stack(pages), queries


def _drawable(text: str, density: Density) -> str:
    missing = atlas(density).glyphs(text) == NO_GLYPH
    return "".join(" " if gone else c for c, gone in zip(text, missing, strict=True)) if missing.any() else text


@torch.no_grad()
def cells_of(nano: Nano, pages: list[Page], density: Density) -> Tensor:
    """(B, rows, columns, classes) `Nano.likely` of pages of one size."""
    ink = 1 - torch.from_numpy(np.stack([page.image for page in pages])).to(nano.readout.table) / 255
    _, height, width = (n // TOKEN_SIDE for n in ink.shape)
    return nano.likely(nano.encoder(ink), height, width, density)


def page_scores(model: Indexer, pages: Tensor, side: int, words: Tensor, owners: Tensor) -> Tensor:
    """(pages, rows, columns, classes) pages of `side` tokens a side and (S, …) words, of which word i is
    of query owners[i] → (queries, pages) scores."""
    q, w = model.queries(words)
    found = scores(q, w, model.keys(pages, side, side)).view(len(pages), side * side, -1).amax(1).float()  # (pages, S)
    return torch.zeros(int(owners.max()) + 1, len(pages), device=found.device).index_add(0, owners, found.T)


def train(
    recipe_file: Path,
    text: Path,
    out: Path,
    device: torch.device,
    progress: Callable[[dict[str, Any]], None],
    stop: Callable[[int], bool] = lambda step: False,
) -> int:
    """Trains by the recipe on the text under `text`, into `out`, and writes out/model.safetensors when done; returns
    the steps done. See `loop.run`."""
    recipe = Recipe.read(recipe_file)
    nano = load(recipe.encoder, str(device))
    torch.manual_seed(recipe.seed)
    config = IndexerConfig(**recipe.indexer)
    model = Indexer(config).to(device)
    corpora = (Corpus.load(text, validation) for validation in (False, True))
    pages, held = (Pages(corpus, recipe.densities, 0.0) for corpus in corpora)
    side = MODES[recipe.mode].side // TOKEN_SIDE
    bank, held_bank = Bank(nano, pages, recipe), Bank(nano, held, recipe.model_copy(update={"bank": recipe.queries}))

    def logits_of(source: Bank, number: int, rng: np.random.Generator, density: Density) -> Tensor:
        found, queries = batch(source, number, rng, recipe, density)
        owners = torch.tensor([i for i, words in enumerate(queries) for _ in words], device=device)
        words = cells_of(nano, [word_page(word, density) for query in queries for word in query], density)
        with fast_autocast(device):
            return page_scores(model, found.float(), side, words, owners) / recipe.temperature

    def losses(number: int) -> Loss:
        rng = np.random.default_rng([recipe.seed, number])
        density = pages.densities[rng.choice(len(pages.densities), p=pages.weights)]
        logits = logits_of(bank, number, rng, density)
        target = torch.arange(len(logits), device=device)
        total = F.cross_entropy(logits, target, reduction="sum")
        right = int((logits.argmax(1) == target).sum())
        return Loss(total, len(logits), right, len(logits) * MODES[recipe.mode].tokens)

    @torch.no_grad()
    def measured(step: int) -> dict[str, float]:
        found = {}
        for density in held.densities:
            logits = logits_of(held_bank, 0, np.random.default_rng(1), density)
            right = (logits.argmax(1) == torch.arange(len(logits), device=device)).float().mean()
            found[f"{density.name}, first of {len(logits)}"] = round(right.item(), 4)
        return found

    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "share": 1.0}, {"params": others, "share": 1.0, "weight_decay": 0.0}],
        betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True,
    )  # fmt: skip
    return run(
        recipe_file, recipe, out, model, [optimiser], losses, measured, progress, stop,
        lambda: save(model, nano.checkpoint, out / "model.safetensors"),
    )
