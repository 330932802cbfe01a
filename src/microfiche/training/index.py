"""The stage that trains the lightning indexer on nano's tokens: words of a page must find it among those of its batch.

One loss, the cross-entropy of the right page for each query among the pages of its batch. A query is a few words that
stand near each other on a page, as a question would name them, sometimes with a code that stands nowhere else. As the
encoder is frozen, pages are encoded once and asked for many times.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from pathlib import Path

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
from microfiche.nano.indexer import INDEX, Indexer, IndexerConfig, scores
from microfiche.page import PAPER, TOKEN_SIDE, Page, TypesetPage
from microfiche.readers import load
from microfiche.training.cell_pages import CellPages
from microfiche.training.recipe import Plan, Shares, check_names
from microfiche.training.stage import Loss, Stage
from microfiche.typesetting.alphabet import NO_GLYPH
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, MODES, Density
from microfiche.typesetting.typesetter import Typesetter, ids_to_text
from microfiche.weights import stored

ENCODED = 16  #: pages that are encoded at a time
CODE = np.array(list(string.ascii_uppercase + string.digits + "-"))


FRESH = 4.0  #: pages of the bank that a batch puts new ones in the place of, the oldest first
CODES = 0.3  #: share of pages with a code that stands nowhere else
WORDS = (2, 6)  #: fewest and most words of a query
NEAR = 240  #: characters within which they stand


class Recipe(Plan):
    """What makes an indexer; training/recipes has the one that ships."""

    densities: Shares[str]  #: density → its share of the batches
    mode: str = "small"  #: of the pages
    queries: int = Field(96, ge=2)  #: pages of a batch, each with a query that must find it among them
    bank: int = Field(384, ge=2)  #: pages of each density whose tokens are held, from which a batch takes its own

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        check_names(self.densities, DENSITIES)
        check_names([self.mode], MODES)
        if self.bank < self.queries:
            raise ValueError(f"a bank of {self.bank} pages has no {self.queries} for a batch")
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

    def __init__(self, nano: Nano, pages: CellPages, recipe: Recipe) -> None:
        self.nano, self.pages, self.recipe = nano, pages, recipe
        self._held: dict[tuple[Density, int], Held] = {}

    def at(self, number: int, density: Density) -> list[Held]:
        """The pages of a density that batch `number` chooses from."""
        place = self.pages.densities.index(density)
        first = int(number * FRESH * self.pages.shares[place])
        wanted = [(density, k) for k in range(first, first + self.recipe.bank)]
        for key in [k for k in self._held if k[0] == density and not first <= k[1] < first + self.recipe.bank]:
            del self._held[key]
        new = [key for key in wanted if key not in self._held]
        for start in range(0, len(new), ENCODED):
            keys = new[start : start + ENCODED]
            made = [self._page(np.random.default_rng([self.recipe.seed, place, k]), density) for _, k in keys]
            cells = cells_of(self.nano, [page for page, _ in made], density).to(torch.bfloat16)
            for key, (page, code), mine in zip(keys, made, cells, strict=True):
                self._held[key] = Held(page.text, code, mine.clone())
        return [self._held[key] for key in wanted]

    def _page(self, rng: np.random.Generator, density: Density) -> tuple[TypesetPage, int | None]:
        typesetter = Typesetter(density, MODES[self.recipe.mode])
        size = typesetter.columns * typesetter.rows
        text, code = _drawable(ids_to_text(self.pages.language(rng, density, size)), density), None
        if rng.random() < CODES:
            code = max(0, text.find(" ", int(rng.integers(max(1, len(text) - NEAR)))))
            letters = "".join(rng.choice(CODE, rng.integers(4, 11))).strip("-")
            text = f"{text[:code]} {letters} {text[code:]}"[:size]
        page = next(typesetter.pages([text]))
        height, width = page.image.shape  # those of a short text are lower
        side = MODES[self.recipe.mode].side
        image = np.pad(page.image, ((0, side - height), (0, side - width)), constant_values=PAPER)
        return replace(page, image=image), code


def query_of(rng: np.random.Generator, page: Held) -> list[str]:
    """Words that stand near each other on a page, near its code every second time; none if there are too few."""
    at = int(rng.integers(max(1, len(page.text) - NEAR)))
    if page.code is not None and rng.random() < 0.5:
        at = max(0, page.code - int(rng.integers(NEAR // 2)))
    # Whole words only: the first and the last may be cut.
    near = [w for w in query_words(" ".join(page.text[at : at + NEAR].split()[1:-1])) if len(w) > 1]
    if len(near) < WORDS[0]:
        return []
    few = int(rng.integers(WORDS[0], min(len(near), WORDS[1]) + 1))
    return [near[i] for i in sorted(rng.choice(len(near), few, replace=False))]


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


@dataclass(frozen=True)
class Batch:
    """`pages` (Q, rows, columns, classes) of a `density`, and for each the words of a query that must find it."""

    density: Density
    pages: Tensor
    queries: list[list[str]]


def batch_of(bank: Bank, number: int, rng: np.random.Generator, density: Density) -> Batch:
    """A batch from the pages that the bank holds for that number; TrainingError where hardly a page has words."""
    held = bank.at(number, density)
    pages: list[Tensor] = []
    queries: list[list[str]] = []
    for i in rng.permutation(len(held)):
        words = query_of(rng, held[i])
        if words:
            pages.append(held[i].cells)
            queries.append(words)
        if len(pages) == bank.recipe.queries:
            break
    if len(pages) < 2:
        raise TrainingError(f"batch {number}: of {len(held)} pages at {density.name} hardly one has words for a query")
    return Batch(density, torch.stack(pages), queries)


class IndexStage(Stage[Recipe, Batch]):
    """The indexer on pages of the text of the folder `data`, for the codec that ships."""

    recipe_type = Recipe
    unit = "query"
    model: Indexer

    def __init__(self, recipe: Recipe, data: Path, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.nano = load("nano", str(device))
        torch.manual_seed(recipe.seed)
        self.model = Indexer(IndexerConfig()).to(device)
        matrices, others = ([p for p in self.model.parameters() if (p.ndim > 1) == large] for large in (True, False))
        groups = [{"params": matrices, "share": 1.0}, {"params": others, "share": 1.0, "weight_decay": 0.0}]
        self.optimisers = [
            torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True)
        ]
        pages, held = CellPages.both(data, recipe.densities, 0.0)
        self.bank = Bank(self.nano, pages, recipe)
        self.held = Bank(self.nano, held, recipe.model_copy(update={"bank": recipe.queries}))

    def batch(self, number: int) -> Batch:
        """Pages of one density, which is drawn by their shares, and a query for each."""
        rng = np.random.default_rng([self.recipe.seed, number])
        return batch_of(self.bank, number, rng, self.bank.pages.density(rng))

    def logits(self, batch: Batch) -> Tensor:
        """(queries, pages) how well each page answers each query."""
        owners = torch.tensor([i for i, words in enumerate(batch.queries) for _ in words], device=self.device)
        pictures = [word_page(word, batch.density) for query in batch.queries for word in query]
        words, side = cells_of(self.nano, pictures, batch.density), MODES[self.recipe.mode].side // TOKEN_SIDE
        with fast_autocast(self.device):
            return page_scores(self.model, batch.pages.float(), side, words, owners)

    def loss(self, number: int, batch: Batch) -> Loss:
        """The loss of finding the right page for each query."""
        logits = self.logits(batch)
        target = torch.arange(len(logits), device=self.device)
        total = F.cross_entropy(logits, target, reduction="sum")
        right = int((logits.argmax(1) == target).sum())
        return Loss(total, len(logits), right, len(logits) * MODES[self.recipe.mode].tokens)

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """The share of held-out queries whose own page comes first among those of their batch, by density."""
        found = {}
        for density in self.held.pages.densities:
            logits = self.logits(batch_of(self.held, 0, np.random.default_rng(1), density))
            right = (logits.argmax(1) == torch.arange(len(logits), device=self.device)).float().mean()
            found[f"{density.name}, first of {len(logits)}"] = round(right.item(), 4)
        return found

    def write(self, out: Path) -> None:
        """Writes out/model.safetensors, which names the encoder."""
        stored.save(INDEX, self.model, out / "model.safetensors", self.nano.checkpoint)
