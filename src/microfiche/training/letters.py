"""The stage that trains nano's readout of letters beyond the alphabet, on the tokens of a finished codec.

The codec's encoder and its own readout stay as they are, so that tokens and readings that exist stay valid. Half of the
trunk's start is copied from the codec's readout; the classes of the letters are new.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple
from unicodedata import category, name

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.devices import fast_autocast
from microfiche.nano.cells import NANO, Nano
from microfiche.nano.letters import LETTERS, LetterConfig, LetterReadout
from microfiche.nano.readout import HALF_CLASSES
from microfiche.page import TOKEN_SIDE
from microfiche.training.cell_pages import LARGEST, Batch, CellPages
from microfiche.training.codec import ink_of
from microfiche.training.optimisers import muon_and_adamw
from microfiche.training.recipe import Choice, Schedule, Shares, check_names, check_sides
from microfiche.training.stage import Loss, Stage
from microfiche.typesetting.alphabet import HALF, N_GLYPHS, N_HALF
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, Density
from microfiche.typesetting.repertoire import repertoire
from microfiche.weights import stored


class Block(NamedTuple):
    """Code points from `first` to `last`, and their share of the pages that hold one block's letters."""

    first: int
    last: int
    share: float
    script: bool = False  #: whether words are written in it


#: What is learned of what the largest density draws.
BLOCKS = (
    Block(0x0100, 0x017F, 0.14), Block(0x0180, 0x024F, 0.05), Block(0x0250, 0x02FF, 0.05),
    Block(0x0370, 0x03FF, 0.05, True), Block(0x0400, 0x045F, 0.08, True), Block(0x0460, 0x052F, 0.06, True),
    Block(0x0530, 0x058F, 0.04, True), Block(0x10A0, 0x10FF, 0.04, True), Block(0x1E00, 0x1E9F, 0.04),
    Block(0x1EA0, 0x1EFF, 0.09), Block(0x1F00, 0x1FFF, 0.08, True), Block(0x2000, 0x206F, 0.03),
    Block(0x2070, 0x218F, 0.05), Block(0x2190, 0x21FF, 0.04), Block(0x2200, 0x22FF, 0.06), Block(0x2300, 0x23FF, 0.03),
    Block(0x2500, 0x259F, 0.05), Block(0x25A0, 0x25FF, 0.03), Block(0x2600, 0x27BF, 0.04), Block(0x2800, 0x28FF, 0.03),
    Block(0xFB00, 0xFB06, 0.005),
)  # fmt: skip
_MARKED = re.compile(r"LATIN (SMALL|CAPITAL) LETTER ([A-Z]) WITH .*")  #: the names of Latin letters with marks
_PRINTED = 7  #: the first id in the alphabet that has ink of its own, behind spaces, END, FILL and the control marks


@cache
def letters() -> str:
    """All half-width characters of the BLOCKS that the largest density draws and the alphabet has not."""
    drawn = repertoire(DENSITIES["8x16"])
    points = [p for block in BLOCKS for p in range(block.first, block.last + 1)]
    return "".join(chr(p) for p in points if drawn.widths[p] == 1 and chr(p) not in HALF)


class Recipe(Schedule):
    """What makes a readout of letters; training/recipes has the one that ships.

    The learning rate is that of the classes; the trunk learns at `trunk_share` of it.
    """

    start: str = "nano"  #: the codec on whose tokens it is trained, and whose readout its trunk starts as
    readout: str = ""  #: a readout of letters that it goes on from; new if empty
    trunk_share: float = Field(0.3, ge=0, le=1)
    page_sides: Shares[int]  #: side of a square training page in px → its share of the batches
    densities: Shares[str]  #: density → its share of the pages
    scales: Shares[float] = Field(default_factory=lambda: {1.0: 1.0})  #: what pages are shrunk to → their shares
    random_share: float = Field(0.4, ge=0, le=1)  #: pages of the alphabet that hold random strings
    letter_share: float = Field(0.7, ge=0, le=1)  #: pages with letters beyond the alphabet
    samples: int = Field(32, ge=1)  #: characters that are supervised for each vision token

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        check_names(self.densities, DENSITIES)
        check_sides(self.page_sides, LARGEST)
        return self


class LetterPages(CellPages):
    """Pages as a codec's, of which `letter_share` hold letters beyond the alphabet: drawn at random, or in the place of
    the letters of words."""

    letter_share = 0.7

    def __init__(
        self, folder: Path, held_out: bool, densities: Mapping[str, float], random_share: float,
        scales: Mapping[float, float] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(folder, held_out, densities, random_share, scales)
        self._pools = {d: _Pools(d) for d in self.densities}
        for d in self.densities:
            self.half_ids[replace(d, wide=False)] = self.half_ids[d]

    def pictures(self, density: Density) -> NDArray[np.uint8]:
        """(G, H, W) the pictures of what `cells` gives at a density."""
        return _pictures(density)

    def cells(
        self, rng: np.random.Generator, density: Density, rows: int, columns: int, random: bool
    ) -> NDArray[np.uint16]:
        """(rows, columns) cells of one page."""
        if rng.random() >= self.letter_share:
            return super().cells(rng, density, rows, columns, random)
        kind = "random" if random else ("accents", "accents", "script", "script", "signs")[rng.integers(5)]
        return self.lettered(rng, density, rows, columns, kind)

    def lettered(
        self, rng: np.random.Generator, density: Density, rows: int, columns: int, kind: str
    ) -> NDArray[np.uint16]:
        """(rows, columns) cells of a page with letters beyond the alphabet, by one of the kinds of `validate`."""
        narrow = density if density.wide and rng.random() < 0.2 else replace(density, wide=False)
        grid = super().cells(rng, narrow, rows, columns, kind == "random" and rng.random() < 0.5)
        pools = self._pools[density]
        printed = (grid >= _PRINTED) & (grid < N_HALF)
        if kind == "accents":
            share = rng.uniform(0.2, 1)
            changed = pools.accented(rng)[np.minimum(grid, N_HALF)]
        elif kind == "script":
            share = 1.0
            changed = pools.written(rng)[np.minimum(grid, N_HALF)]
        else:
            share = (0.1, 0.4, 1.0)[rng.integers(3)]
            pool = pools.every if kind == "random" and rng.random() < 0.4 else pools.one(rng, kind == "signs")
            changed = pool[rng.integers(len(pool), size=grid.shape)].astype(np.int64)
            if kind == "signs" and rng.random() < 0.5:  # runs of the same sign, as in rules and boxes
                begins = np.where(rng.random(grid.shape) < 0.4, np.arange(columns), 0)
                changed = np.take_along_axis(changed, np.maximum.accumulate(begins, axis=1), 1)
        return np.where(printed & (rng.random(grid.shape) < share), changed, grid).astype(np.uint16)


class _Pools:
    """The letters that a density draws, as the numbers of their cells."""

    def __init__(self, density: Density) -> None:
        drawn = repertoire(density).widths == 1
        cell = {c: N_GLYPHS + i for i, c in enumerate(letters()) if drawn[ord(c)]}
        self.every = np.array(list(cell.values()), np.uint16)
        alphabet = atlas(density).drawn
        both = {c: i for i, c in enumerate(HALF) if i >= _PRINTED and c != "\0" and alphabet[i]} | cell
        blocks = [[c for c in both if b.first <= ord(c) <= b.last] for b in BLOCKS]
        blocks = [chars if any(c in cell for c in chars) else [] for chars in blocks]
        self._ids = [np.array([both[c] for c in chars], np.uint16) for chars in blocks]
        shares = [b.share * bool(len(ids)) for b, ids in zip(BLOCKS, self._ids, strict=True)]
        self._block = Choice(range(len(BLOCKS)), shares)
        signs = [share * (b.first >= 0x2000) for b, share in zip(BLOCKS, shares, strict=True)]
        self._sign = Choice(range(len(BLOCKS)), signs)
        self._variants: dict[str, tuple[list[int], list[int]]] = {}
        for c, i in cell.items():
            if found := _MARKED.fullmatch(name(c, "")):
                base = found[2] if found[1] == "CAPITAL" else found[2].lower()
                usual = c <= "\u017f" or c >= "\u1ea0"
                self._variants.setdefault(base, ([], []))[usual].append(i)
        self._scripts = []
        for block, chars in zip(BLOCKS, blocks, strict=True):
            cases = [[both[c] for c in chars if category(c) in kinds] for kinds in (("Ll", "Lo"), ("Lu", "Lt", "Lo"))]
            if block.script and all(cases):
                self._scripts.append(cases)

    def one(self, rng: np.random.Generator, sign: bool) -> NDArray[np.uint16]:
        """The numbers of one block's letters, or signs."""
        return self._ids[(self._sign if sign else self._block).one(rng)]

    def accented(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N_HALF + 1,) what stands for each cell of the alphabet: for some letters one with marks."""
        table = np.arange(N_HALF + 1)
        for base, (rare, usual) in self._variants.items():
            if rng.random() < 0.7:
                variants = usual if usual and (not rare or rng.random() < 0.75) else rare
                table[HALF.index(base)] = variants[rng.integers(len(variants))]
        return table

    def written(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N_HALF + 1,) what stands for each cell of the alphabet: for Latin letters those of another script."""
        table = np.arange(N_HALF + 1)
        if self._scripts:
            small, large = self._scripts[rng.integers(len(self._scripts))]
            for i, c in enumerate(HALF):
                if c.isascii() and c.isalpha():
                    case = small if c.islower() else large
                    table[i] = case[rng.integers(len(case))]
        return table


@cache
def _pictures(density: Density) -> NDArray[np.uint8]:
    """(N_GLYPHS + letters, H, W) the pictures of the alphabet and, behind it, those of the letters."""
    own, drawn = atlas(density).cells, repertoire(density)
    found = np.zeros((N_GLYPHS + len(letters()), density.height, density.width), np.uint8)
    found[: len(own)] = own
    for i, c in enumerate(letters()):
        if drawn.widths[ord(c)] == 1:
            found[N_GLYPHS + i] = drawn.half[drawn.places[ord(c)]]
    return found


def new_readout(nano: Nano, seed: int) -> LetterReadout:
    """A readout of letters whose trunk, and whose classes of the alphabet, are those of nano's own."""
    torch.manual_seed(seed)
    c, own = nano.config, nano.readout
    model = LetterReadout(
        LetterConfig(letters(), c.stem[-1], c.token_width, c.readout_layers, c.square_width, c.hidden)
    )
    with torch.no_grad():
        trunk = dict(own.named_parameters())
        for key, parameter in model.named_parameters():
            if key in trunk:
                parameter.copy_(trunk[key])
        nn.init.normal_(model.head.weight, std=0.02)
        nn.init.constant_(model.head.bias, -4.0)
        model.head.weight[:HALF_CLASSES] = own.half_head.weight
        model.head.bias[:HALF_CLASSES] = own.half_head.bias
    return model


def losses(nano: Nano, model: LetterReadout, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """The summed cross-entropy, and whether each half-width cell (bool) is read right."""
    with fast_autocast(device):
        with torch.no_grad():
            patches = nano.readout.decompressor(nano.encoder(ink_of(batch, device)).flatten(0, 1))
        squares = model.unfold_patches(patches)
        at, place, target = (torch.from_numpy(a).to(device) for a in batch.half)
        logits = model.logits(model.see(squares, at, place))
    return F.cross_entropy(logits.float(), target, reduction="sum"), logits.argmax(-1) == target


class LettersStage(Stage[Recipe, Batch]):
    """Nano's readout of letters on the text of the folder `data`, on the tokens of the recipe's `start`."""

    recipe_type = Recipe
    model: LetterReadout

    def __init__(self, recipe: Recipe, data: Path, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.nano = stored.load(NANO, recipe.start, device, torch.float32)
        if recipe.readout:
            self.model = stored.load(LETTERS, recipe.readout, device, torch.float32, self.nano.checkpoint)
        else:
            self.model = new_readout(self.nano, recipe.seed).to(device)
        self.model.train().requires_grad_(True)
        self.optimisers = _optimisers(self.model, recipe)
        self.pages, self.held = LetterPages.both(data, recipe.densities, recipe.random_share, recipe.scales)
        self.pages.letter_share = recipe.letter_share
        self.sides = Choice.of(recipe.page_sides)

    def batch(self, number: int) -> Batch:
        """Square pages of one side, which is drawn by the shares of the sides."""
        rng = np.random.default_rng([self.recipe.seed, number])
        side = self.sides.one(rng)
        return self.pages.batch(rng, self.recipe.pages_per_batch(side), side, samples=self.recipe.samples)

    def loss(self, number: int, batch: Batch) -> Loss:
        """The loss of every supervised half-width cell."""
        total, right = losses(self.nano, self.model, batch, self.device)
        return Loss(total, len(right), int(right.sum()), batch.ink.size // TOKEN_SIDE**2)

    def validate(self, step: int) -> dict[str, float]:
        """The share of half-width cells read right on held-out pages of 256 px, by density: on text of the alphabet, on
        its random strings, and on text and random strings with letters beyond it."""
        self.model.eval()
        scores = {}
        kinds = ("", 0, False), (" random", 0, True), (" letters", 1, False), (" random letters", 1, True)
        for density in self.held.densities:
            for kind, share, random in kinds:
                self.held.letter_share = share
                batch = self.held.batch(
                    np.random.default_rng(1), 4, 256, density=density, random=random, scale=1.0, samples=None
                )
                with torch.no_grad():
                    _, right = losses(self.nano, self.model, batch, self.device)
                ink = batch.half[2] >= _PRINTED  # spaces are too easy to count
                scores[f"{density.name}{kind}"] = round(right[torch.from_numpy(ink)].float().mean().item(), 5)
        self.model.train()
        return scores

    def write(self, out: Path) -> None:
        """Writes out/model.safetensors."""
        stored.save(LETTERS, self.model, out / "model.safetensors", self.nano.checkpoint)


def _optimisers(model: LetterReadout, recipe: Recipe) -> list[torch.optim.Optimizer]:
    matrices, trunk, classes = [], [], []
    for key, parameter in model.named_parameters():
        if key.startswith("head"):
            classes.append(parameter)
        elif parameter.ndim == 2 and min(parameter.shape) >= 64 and "table" not in key:
            matrices.append(parameter)
        else:
            trunk.append(parameter)
    share = recipe.trunk_share
    return muon_and_adamw(
        [{"params": matrices, "share": share}],
        [{"params": classes, "share": 1.0}, {"params": trunk, "share": share}],
        recipe.weight_decay,
    )

