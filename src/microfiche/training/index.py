"""Trains the lightning indexer on nano's frozen tokens: words of a page must find it among the others of its batch.

One loss, the cross-entropy of the right page for each query. A query is a few words that stand near each other on a
page, as a question would name them, sometimes with a code that stands nowhere else.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from microfiche.checkpoints import load
from microfiche.checkpoints.index import save
from microfiche.memory.query import query_words, word_page
from microfiche.models.indexer import Indexer, IndexerConfig, scores
from microfiche.models.nano import Nano
from microfiche.page import Page
from microfiche.training import parallel
from microfiche.training.data import Corpus, Pages
from microfiche.training.loop import Loss, Schedule, run
from microfiche.typesetting.alphabet import NO_GLYPH
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, MODES, Density
from microfiche.typesetting.layout import ids_to_text
from microfiche.typesetting.typesetter import Typesetter

CODE = np.array(list(string.ascii_uppercase + string.digits + "-"))


class Recipe(Schedule):
    """What makes an indexer; see training/recipes for the one that ships."""

    encoder: str = "nano"  #: the checkpoint whose tokens it is for
    densities: dict[str, float]  #: density → its share of the batches
    mode: str = "small"  #: of the pages
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
        if not 1 <= self.words[0] <= self.words[1]:
            raise ValueError("words: the fewest come first, and are at least 1")
        return self


def sample(
    pages: Pages, rng: np.random.Generator, recipe: Recipe, density: Density, count: int
) -> tuple[list[Page], list[list[str]]]:
    """`count` full pages and for each the words of a query."""
    typesetter = Typesetter(density, MODES[recipe.mode])
    made: list[Page] = []
    queries: list[list[str]] = []
    while len(made) < count:
        size = typesetter.columns * typesetter.rows
        text = ids_to_text(pages.language(rng, density, size))
        at = int(rng.integers(max(1, len(text) - recipe.near)))
        if rng.random() < recipe.code_share:
            code = "".join(rng.choice(CODE, rng.integers(4, 11))).strip("-")
            space = text.find(" ", at)
            text = f"{text[: max(0, space)]} {code} {text[max(0, space) :]}"[:size]
        page = next(typesetter.pages([_drawable(text, density)]))
        # Whole words only: the first and the last may be cut.
        near = [w for w in query_words(" ".join(text[at : at + recipe.near].split()[1:-1])) if len(w) > 1]
        if len(near) < recipe.words[0]:
            continue
        few = int(rng.integers(recipe.words[0], min(len(near), recipe.words[1]) + 1))
        chosen = sorted(rng.choice(len(near), few, replace=False))
        made.append(page)
        queries.append([near[i] for i in chosen])
    return made, queries


def _drawable(text: str, density: Density) -> str:
    missing = atlas(density).glyphs(text) == NO_GLYPH
    return "".join(" " if gone else c for c, gone in zip(text, missing, strict=True)) if missing.any() else text


@torch.no_grad()
def tokens_of(nano: Nano, pages: list[Page]) -> Tensor:
    """(B · N, token width) tokens of pages of one size."""
    ink = 1 - torch.from_numpy(np.stack([page.image for page in pages])).to(nano.readout.table) / 255
    return nano.encoder(ink).flatten(0, 1).float()


def page_scores(model: Indexer, keys: Tensor, words: Tensor, owners: Tensor, pages: int) -> Tensor:
    """(pages · N, token width) tokens of pages and (S, token width) of words, of which word i is of query owners[i]
    → (queries, pages) scores."""
    q, w = model.queries(words)
    found = scores(q, w, model.keys(keys)).view(pages, -1, len(words)).amax(1)  # (pages, S)
    return torch.zeros(int(owners.max()) + 1, pages, device=keys.device).index_add(0, owners, found.T)


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
    config = IndexerConfig(**{"token_width": nano.config.token_width, **recipe.indexer})
    model = Indexer(config).to(device)
    corpora = (Corpus.load(text, validation) for validation in (False, True))
    pages, held = (Pages(corpus, recipe.densities, 0.0) for corpus in corpora)
    count = max(2, round(recipe.tokens_per_batch / MODES[recipe.mode].tokens))

    def logits_of(source: Pages, rng: np.random.Generator, density: Density, several: int) -> Tensor:
        made, queries = sample(source, rng, recipe, density, several)
        owners = torch.tensor([i for i, words in enumerate(queries) for _ in words], device=device)
        words = tokens_of(nano, [word_page(word, density) for query in queries for word in query])
        return page_scores(model, tokens_of(nano, made), words, owners, several) / recipe.temperature

    def losses(number: int) -> Loss:
        rng = np.random.default_rng([recipe.seed, number])
        density = pages.densities[rng.choice(len(pages.densities), p=pages.weights)]
        logits = logits_of(pages, rng, density, count)
        target = torch.arange(count, device=device)
        total = F.cross_entropy(logits, target, reduction="sum")
        return Loss(total, count, int((logits.argmax(1) == target).sum()), count * MODES[recipe.mode].tokens)

    @torch.no_grad()
    def measured(step: int) -> dict[str, float]:
        found = {}
        for density in held.densities:
            logits = logits_of(held, np.random.default_rng(1), density, 32)
            right = (logits.argmax(1) == torch.arange(32, device=device)).float().mean()
            found[f"{density.name}, first of 32"] = round(right.item(), 4)
        return found

    matrices = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "share": 1.0}, {"params": others, "share": 1.0, "weight_decay": 0.0}],
        betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True,
    )  # fmt: skip
    step = run(recipe_file, recipe, out, model, [optimiser], losses, measured, progress, stop)
    if step == recipe.steps and parallel.rank() == 0:
        save(model, nano.checkpoint, out / "model.safetensors")
    return step
