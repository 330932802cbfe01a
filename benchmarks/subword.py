"""The subword model that PIXEL is measured against: the same blocks, fed with pieces of words instead of patches.

    python benchmarks/subword.py CORPUS --out FOLDER

This command pretrains it as a masked language model, as BERT was (15 % of the pieces; of these 80 % are hidden and 10 %
replaced), on the text and with the recipe, steps, batches and lengths of `microfiche train pixel --recipe pixel-small`.
The vocabulary is 8,192 byte-level pieces learned from the corpus, so that no text is unknown to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as Decoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.devices import fast_autocast
from microfiche.errors import InputError
from microfiche.pixel.model import SMALL, Block, attention_mask, positions
from microfiche.pixel.strips import Strip, StripRenderer
from microfiche.pixel.tuned import Tuned
from microfiche.training import loop
from microfiche.training.pixel import Recipe, Strips, pixel_optimisers, texts_by_language
from microfiche.training.recipe import Choice, recipe_file
from microfiche.training.stage import Loss, Stage

VOCABULARY, END, MASK = 8192, 0, 1
LEARNED_FROM = 2_000_000  #: characters of each language that the vocabulary is learned from


def vocabulary(found: dict[str, str]) -> Tokenizer:
    """A vocabulary of byte-level pieces, learned from texts by language."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    tokenizer.decoder = Decoder()
    trainer = BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<end>", "<mask>"], show_progress=False,
                         initial_alphabet=ByteLevel.alphabet())  # fmt: skip

    def lines() -> Iterator[str]:
        for text in found.values():
            yield from text[:LEARNED_FROM].split("\n")

    tokenizer.train_from_iterator(lines(), trainer)
    return tokenizer


class Pieces:
    """Stands in for StripRenderer: "strips" whose image is the (1, n) numbers of pieces, END the last."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def line(self, text: str, longest: int) -> Strip:
        return self._strip([self.tokenizer.encode(text).ids], longest)

    def words(self, words: Sequence[str], longest: int) -> Strip:
        found = [encoding.ids or [END] for encoding in self.tokenizer.encode_batch(list(words))]
        return self._strip(found, longest)

    def _strip(self, found: list[list[int]], longest: int) -> Strip:
        edges = np.cumsum([0, *map(len, found)])
        kept = max(1, int((edges[1:] < longest).sum()))
        ids = [*[i for one in found[:kept] for i in one][: longest - 1], END]
        words = np.stack([edges[:kept], edges[1 : kept + 1]], axis=1).astype(np.int32)
        return Strip(np.array([ids]), np.zeros((len(ids), 2), np.int32), words, None, kept == len(found))


class Subword(nn.Module):
    """Pieces → vectors, the class vector first; PixelEncoder's blocks, positions and start."""

    places: Tensor

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = replace(SMALL, dropout=dropout)
        self.start = nn.Parameter(torch.randn(1, 1, SMALL.width) * 0.02)
        self.register_buffer("places", positions(SMALL.patches, SMALL.width))
        self.pieces = nn.Embedding(VOCABULARY, SMALL.width)
        self.blocks = nn.ModuleList(Block(SMALL.width, SMALL.heads, SMALL.mlp, dropout) for _ in range(SMALL.layers))
        self.norm = nn.LayerNorm(SMALL.width, eps=1e-12)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.pieces.weight, std=SMALL.width**-0.5)

    def forward(self, ids: Tensor, attended: Tensor) -> Tensor:
        x = SMALL.width**0.5 * self.pieces(ids) + self.places[:, 1 : ids.shape[1] + 1]
        x = torch.cat([self.start.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x, attention_mask(attended))
        return self.norm(x)


class TunedSubword(Tuned):
    """A subword model with a head, in a tuned PIXEL's place."""

    def seen(self, strips: Sequence[Strip]) -> tuple[Tensor, Tensor]:
        ids, attended = batch([strip.image[0].tolist() for strip in strips])
        return self.encoder(ids, attended), attended


def batch(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Rows of pieces → (B, N) int64, padded, and (B, N) bool, where a piece is."""
    lengths, longest = [len(row) for row in rows], max(map(len, rows))
    ids = torch.tensor([[*row, *[END] * (longest - len(row))] for row in rows])
    return ids, torch.arange(longest) < torch.tensor(lengths)[:, None]


class MaskedLM(nn.Module):
    """The model and its output layer, which shares the pieces' vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Subword()
        self.dense = nn.Linear(SMALL.width, SMALL.width)
        self.norm = nn.LayerNorm(SMALL.width)
        self.bias = nn.Parameter(torch.zeros(VOCABULARY))

    def loss(self, ids: Tensor, attended: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Logits (L, V) of the pieces to be found, and these (L,)."""
        draw = torch.from_numpy(rng.random(ids.shape))
        wanted = attended & (ids != END) & (draw < 0.15)
        wanted[:, 0] |= ~wanted.any(1)
        other = torch.from_numpy(rng.integers(2, VOCABULARY, ids.shape))
        shown = torch.where(wanted & (draw < 0.12), MASK, torch.where(wanted & (draw < 0.135), other, ids))
        x = self.body(shown, attended)[:, 1:][wanted]
        logits = self.norm(F.gelu(self.dense(x))) @ self.body.pieces.weight.T + self.bias
        return logits.float(), ids[wanted]


def rows(strips: Strips, tokenizer: Tokenizer, recipe: Recipe, rng: np.random.Generator) -> list[list[int]]:
    """Pieces of a batch: as many texts as PIXEL's has strips, each what stands on one."""
    patches = Choice.of(recipe.strips).one(rng)
    found: list[list[int]] = []
    while len(found) < max(1, round(recipe.tokens_per_batch / patches)):
        text = strips.piece(rng, strips.language(rng), patches)
        with suppress(InputError):  # characters that no font draws: PIXEL passes these over, too
            text = text[: int(strips.renderer.line(text, patches).offsets[-1, 1])]
            found.append([*tokenizer.encode(text).ids[: SMALL.patches - 1], END])
    return found


class SubwordStage(Stage[Recipe, tuple[Tensor, Tensor, np.random.Generator]]):
    """The masked language model on the text that PIXEL has; a batch's generator goes on with its loss."""

    recipe_type = Recipe
    unit = "piece"
    model: MaskedLM

    def __init__(self, recipe: Recipe, data: Path, device: torch.device, *, tokenizer: Path) -> None:
        self.recipe = recipe
        training, held = texts_by_language(data, False), texts_by_language(data, True)
        if not tokenizer.exists():
            vocabulary(training).save(str(tokenizer))
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        renderer = StripRenderer()
        self.strips, self.held = Strips(training, renderer, recipe.ratio), Strips(held, renderer, recipe.ratio)
        torch.manual_seed(recipe.seed)
        self.model = MaskedLM()
        self.optimisers = pixel_optimisers(self.model, recipe.weight_decay)

    def batch(self, number: int) -> tuple[Tensor, Tensor, np.random.Generator]:
        rng = np.random.default_rng([self.recipe.seed, number])
        return *batch(rows(self.strips, self.tokenizer, self.recipe, rng)), rng

    def logits(self, ids: Tensor, attended: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        with fast_autocast("cpu"):
            return self.model.loss(ids, attended, rng)

    def loss(self, number: int, batch: tuple[Tensor, Tensor, np.random.Generator]) -> Loss:
        logits, wanted = self.logits(*batch)
        total = F.cross_entropy(logits, wanted, reduction="sum")
        return Loss(total, len(wanted), int((logits.argmax(-1) == wanted).sum()), int(batch[1].sum()))

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        rng = np.random.default_rng(1)
        logits, wanted = self.logits(*batch(rows(self.held, self.tokenizer, self.recipe, rng)), rng)
        return {"right": round((logits.argmax(-1) == wanted).float().mean().item(), 4)}

    def write(self, out: Path) -> None:
        weights = {name: value.contiguous() for name, value in self.model.body.state_dict().items()}
        save_file(weights, out / "model.safetensors")


def pretrain(corpus: Path, out: Path) -> None:
    """Trains the masked language model into `out`."""
    out.mkdir(parents=True, exist_ok=True)

    def told(line: dict[str, Any]) -> None:
        print({k: line[k] for k in ("step", "loss", "right", "seconds_left")}, flush=True)

    loop.train(SubwordStage, recipe_file("pixel-small"), corpus, out, torch.device("cpu"), told,
               tokenizer=out / "tokenizer.json")  # fmt: skip


def load(folder: Path, pretrained: bool, dropout: float, seed: int) -> tuple[Subword, Tokenizer]:
    """The model that was pretrained into a folder, or one with the same vocabulary that was not pretrained."""
    torch.manual_seed(seed)
    model = Subword(dropout)
    if pretrained:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def main() -> None:
    parser: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pretrain(options.corpus, options.out)


if __name__ == "__main__":
    main()
