"""Is optical compression bad autoencoding? Text encoders beside nano's, at equal tokens, width, readout and training.

    python benchmarks/autoencoding.py CORPUS --out runs/ablations [--steps 800] [--characters 6000]

arXiv 2512.03643 says that mean pooling or a small Conv1d over text embeddings keeps as much in as many tokens, and
arXiv 2601.03714 that optical reading leans on the language. So three encoders are trained alike, each with the readout
of a small nano: pixels at 7×13 (the base of benchmarks/ablations.py), the mean of 45 characters' embeddings, and two
strided Conv1d over these embeddings. In each of them a token holds 45 characters. They are measured on prose and on
texts in which no language helps, beside the nano that ships, Tesseract and RapidOCR on the same pixels, and zstd.
"""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ablations import DENSITY, VARIANTS, held_text, trained
from codec import others_on
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.codec import measure
from microfiche.devices import fast_autocast
from microfiche.nano.cells import NANO
from microfiche.nano.readout import Readout, around_centres
from microfiche.page import TOKEN_SIDE
from microfiche.precision import errors, random_twin
from microfiche.training import loop
from microfiche.training.cell_pages import CellPages
from microfiche.training.codec import Recipe
from microfiche.training.optimisers import muon_and_adamw
from microfiche.training.stage import Loss, Stage
from microfiche.typesetting import typeset
from microfiche.typesetting.alphabet import N_HALF, glyphs
from microfiche.typesetting.typesetter import ids_to_text
from microfiche.weights.stored import load

HELD = 45  #: characters of a token: 9 × 5 cells of 7×13 px
WIDTH = 768
CONVOLUTIONS = 0.1  #: of the learning rate, as for the pixels' compressor: at all of it they do not train
CHARACTER = 192  #: width of a character's embedding under the convolutions


class MeanPool(nn.Module):
    """(N, 45) characters → (N, 768): the mean of their embeddings; if `bound`, each times that of its place."""

    def __init__(self, bound: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(N_HALF, WIDTH)
        self.place = nn.Parameter(torch.randn(HELD, WIDTH), requires_grad=bound)
        self.bound = bound

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        return (x * self.place if self.bound else x).mean(1) * HELD**0.5


class Convolved(nn.Module):
    """(N, 45) characters → (N, 768): two strided Conv1d, over 9 characters and then over 5 outputs of those."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(N_HALF, CHARACTER)
        self.conv1 = nn.Conv1d(CHARACTER, WIDTH // 2, 9, stride=9)
        self.conv2 = nn.Conv1d(WIDTH // 2, WIDTH, 5, stride=5)

    def forward(self, ids: Tensor) -> Tensor:
        x = F.gelu(self.conv1(self.embedding(ids).transpose(1, 2)))
        return self.conv2(x)[..., 0]


class TextCodec(nn.Module):
    """A text encoder with the readout of a small nano, which looks for characters where they would stand on a page."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.readout = Readout(128, WIDTH, 2, 96, 192)
        for name, parameter in self.readout.named_parameters():
            parameter.requires_grad_(not name.startswith(("full_head", "fc2")))

    def forward(self, ids: Tensor) -> Tensor:
        """(N, 45) → (N · 45, HALF_CLASSES) logits."""
        squares = self.readout.unfold(self.encoder(ids)[None])
        row, column = np.divmod(np.arange(HELD), 9)
        x = np.arange(len(ids))[:, None] * TOKEN_SIDE + column * DENSITY.width + DENSITY.width // 2
        y = np.broadcast_to(row * DENSITY.height + DENSITY.height // 2, x.shape)
        at, place = (torch.from_numpy(np.ascontiguousarray(a)) for a in around_centres(y, x, 1, len(ids)))
        return self.readout.half_logits(self.readout.see(squares, at.view(-1, 4), place.view(-1)))


ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "mean of 45 embeddings": lambda: MeanPool(bound=False),
    "mean of 45 embeddings, each times its place's": lambda: MeanPool(bound=True),
    "two strided Conv1d over embeddings": Convolved,
}


class TextStage(Stage[Recipe, Tensor]):
    """A text codec on running text and random strings."""

    recipe_type = Recipe
    model: TextCodec

    def __init__(self, recipe: Recipe, data: Path, device: torch.device, *, encoder: str) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        self.model = TextCodec(ENCODERS[encoder]())
        self.pages = CellPages(data, False, recipe.densities, recipe.random_share)
        matrices, others, convolutions = [], [], []
        for key, parameter in self.model.named_parameters():
            if parameter.requires_grad and key.startswith("encoder.conv"):
                convolutions.append(parameter)
            elif parameter.requires_grad:
                block = parameter.ndim == 2 and min(parameter.shape) >= 64 and key.startswith("readout.blocks")
                (matrices if block else others).append(parameter)
        self.optimisers = muon_and_adamw(
            [{"params": matrices, "share": 1.0}],
            [{"params": others, "share": 1.0}, {"params": convolutions, "share": CONVOLUTIONS}],
            weight_decay=0.01,
        )

    def batch(self, number: int) -> Tensor:
        """(N, 45) int64 ids of characters."""
        rng = np.random.default_rng([self.recipe.seed, number])
        draw = self.pages.random if rng.random() < self.recipe.random_share else self.pages.language
        return torch.from_numpy(draw(rng, DENSITY, self.recipe.tokens_per_step * HELD).astype(np.int64)).view(-1, HELD)

    def loss(self, number: int, batch: Tensor) -> Loss:
        with fast_autocast("cpu"):
            logits = self.model(batch)
        target = batch.flatten()
        total = F.cross_entropy(logits.float(), target, reduction="sum")
        return Loss(total, len(target), int((logits.argmax(-1) == target).sum()), len(batch))


def train_text(name: str, folder: Path, out: Path, steps: int) -> TextCodec:
    """A text codec after as many steps of 128 tokens as the pixels' had, goes on from what stands in `out`."""
    stem = name.replace(" ", "-").replace(",", "").replace("'", "")
    recipe_file = out / f"{stem}.toml"
    recipe_file.parent.mkdir(parents=True, exist_ok=True)
    recipe_file.write_text(
        f"steps = {steps}\ndecay_steps = {steps // 2}\nwarmup_steps = 50\ntokens_per_step = 128\n"
        f"validate_every = {steps}\npage_sides = {{128 = 1}}\ndensities = {{7x13 = 1}}\nrandom_share = 0.3\n"
    )
    stage = TextStage(Recipe.read(recipe_file), folder, torch.device("cpu"), encoder=name)
    loop.run(stage, recipe_file, out / stem)
    return stage.model.eval()


@torch.inference_mode()
def precision_of(model: TextCodec, text: str) -> float:
    """Strict precision of what a text codec gives back."""
    ids = glyphs(text)
    padded = np.pad(ids, (0, -len(ids) % HELD)).astype(np.int64)
    read = model(torch.from_numpy(padded).view(-1, HELD))[:, :N_HALF].argmax(-1).numpy()[: len(ids)]
    wrong, length = errors(ids_to_text(read.astype(np.uint16)), text)
    return 1 - wrong / length


def texts(folder: Path, count: int) -> dict[str, str]:
    """The texts that are read: prose, and texts in which no language helps."""
    prose = held_text(folder, count)
    rng = np.random.default_rng(0)
    words = prose.split()
    return {
        "prose": prose,
        "shuffled words": " ".join(words[i] for i in rng.permutation(len(words)))[:count],
        "random strings": random_twin(prose),
        "UUIDs": " ".join(str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(count // 37 + 1))[:count],
        "numbers": " ".join(map(str, rng.integers(0, 10**9, count // 9)))[:count],
    }


def zstd_bytes(text: str) -> int:
    import zstandard

    return len(zstandard.ZstdCompressor(level=19).compress(text.encode()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--characters", type=int, default=6_000)
    args = parser.parse_args()
    read = texts(args.folder, args.characters)
    print(f"| trained on {args.steps:,} steps | {' | '.join(read)} |\n{'|---' * (len(read) + 1)}|", flush=True)

    def row(name: str, scores: list[str]) -> None:
        print(f"| {name} | " + " | ".join(scores) + " |", flush=True)

    for name in ENCODERS:
        model = train_text(name, args.folder, args.out, args.steps)
        row(name, [f"{precision_of(model, text):.4f}" for text in read.values()])
    small = load(NANO, trained(VARIANTS["base"], "base", args.folder, args.out, args.steps))
    for name, nano in (("pixels, the same readout", small), ("nano as it ships", load(NANO, "nano"))):
        row(name, [f"{measure(text, nano, '7x13').precision:.4f}" for text in read.values()])
    found = {name: others_on(typeset(text, "7x13")) for name, text in read.items()}
    for i, reader in enumerate(next(iter(found.values()))):
        row(reader.name, [f"{1 - readers[i].error:.4f}" for readers in found.values()])
    row("zstd -19, bytes a character", [f"{zstd_bytes(text) / len(text.encode()):.3f}" for text in read.values()])
    tokens = [len(nano.encode(typeset(text, "7x13"))[0]) for text in read.values()]
    print(json.dumps({"characters": args.characters, "tokens of the first page": tokens}))


if __name__ == "__main__":
    main()
