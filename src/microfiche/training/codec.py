"""Trains the nano codec: dense supervision of every character on pages that we set ourselves.

One stage, one loss: cross-entropy of the character at each place. A training is a folder: recipe.toml,
log.jsonl, curve.png, state.safetensors (weights, optimiser, step) and, when done, model.safetensors.
"""

from __future__ import annotations

import json
import math
import time
import tomllib
from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor
from torch.nn import functional as F

from microfiche.checkpoints import save
from microfiche.encoder.windows import PATCHES
from microfiche.errors import CheckpointError, TrainingError, UsageError
from microfiche.files import whole_file
from microfiche.models.nano import Nano, NanoConfig
from microfiche.training.data import LARGEST, Batch, Cells, Corpus, Pages
from microfiche.typesetting.alphabet import N_FULL, N_HALF
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, TOKEN_SIDE


class Recipe(BaseModel):
    """What makes a checkpoint; see training/recipes for those that ship."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    steps: int  #: optimiser steps in all
    decay_steps: int  #: the last of them, in which the learning rate falls to nothing
    warmup_steps: int = 100
    local_steps: int  #: the first of them, which train the local stage and the readout without compressing
    learning_rate: float = 5e-3  #: of the local stage and the readout; the rest learns at a tenth of it
    weight_decay: float = 0.01
    tokens_per_step: int = 256
    page_sides: dict[int, float]  #: side of a square training page in px → its share of the steps
    densities: dict[str, float]  #: density → its share of the pages
    random_share: float = 0.4  #: pages that hold random strings
    save_every: int = 250
    validate_every: int = 250
    model: dict[str, Any] = {}  #: fields of NanoConfig that differ from its defaults

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """The recipe in a TOML file; UsageError if it is none."""
        try:
            return cls(**tomllib.loads(path.read_text()))
        except ValidationError as error:
            raise UsageError(f"{path}: not a recipe: {_first(error, list(cls.model_fields))}") from error
        except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: not a recipe: {error}") from error

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        known = {f.name for f in fields(NanoConfig)}
        for given, right in ((self.densities, set(DENSITIES)), (self.model, known)):
            for name in given:
                if name not in right:
                    raise ValueError(f"{name!r} is none of {', '.join(sorted(right))}")
        for side in self.page_sides:
            if side % TOKEN_SIDE or not 0 < side <= LARGEST:
                raise ValueError(f"a page side of {side} px: sides are multiples of {TOKEN_SIDE}, at most {LARGEST}")
        for name in ("densities", "page_sides"):
            shares = getattr(self, name).values()
            if min(shares, default=0) < 0 or not sum(shares):
                raise ValueError(f"{name}: the shares are not all ≥ 0 with one above")
        if not 0 <= self.random_share <= 1:
            raise ValueError(f"random_share is {self.random_share}, not from 0 to 1")
        if not 0 <= self.local_steps < self.steps or not 0 <= self.decay_steps <= self.steps:
            raise ValueError("local_steps and decay_steps must lie within steps")
        return self

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, a plateau, and a fall along 1 − √t over the last `decay_steps`."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        into_decay = max(0.0, (step - (self.steps - self.decay_steps)) / max(1, self.decay_steps))
        return self.learning_rate * warm * (1 - math.sqrt(into_decay))


def _first(error: ValidationError, known: list[str]) -> str:
    """What is wrong first, in words, with the key that was likely meant."""
    found = error.errors()[0]
    key = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        near = get_close_matches(key, known, 1)
        return f"{key!r} is no key" + (f"; {near[0]!r} is" if near else f"; there are {', '.join(known)}")
    return f"{key}: {found['msg']}" if key else str(found["msg"]).removeprefix("Value error, ")


def recipe_file(name: str) -> Path:
    """The file of a recipe that ships, or the file `name`; UsageError if there is neither."""
    shipped = Path(__file__).parent / "recipes" / f"{name}.toml"
    if shipped.is_file() or Path(name).is_file():
        return shipped if shipped.is_file() else Path(name)
    raise UsageError(f"no recipe {name!r}; give a TOML file or one of "
                     + ", ".join(sorted(p.stem for p in shipped.parent.glob("*.toml"))))


def new_model(config: NanoConfig, seed: int) -> Nano:
    """A nano model with weights drawn from `seed`; its full-width classes start as pictures of their glyphs.

    A class's weights are the whitened principal components of its 16×16 glyph, so that what is learned of common
    characters holds for rare ones.
    """
    torch.manual_seed(seed)
    model = Nano(config)
    cells = atlas(DENSITIES["16x16"]).cells[N_HALF:].astype(np.float32)
    glyph = cells.reshape(N_FULL, 2, 16, 8).transpose(0, 2, 1, 3).reshape(N_FULL, 256)
    left, _, _ = np.linalg.svd(glyph - glyph.mean(0), full_matrices=False)
    width = model.readout.full_head.in_features
    components = torch.from_numpy(left[:, :width] * math.sqrt(N_FULL))[:, :256]
    with torch.no_grad():
        model.readout.full_head.weight.normal_(std=0.02)
        model.readout.full_head.weight[:, : components.shape[1]] = components / math.sqrt(width)
        model.readout.full_head.bias.zero_()
    return model


@torch.no_grad()
def start_compressor(model: Nano, batch: Batch, device: torch.device) -> None:
    """Starts compressor and decompressor as the principal components of the local stage's patches on `batch`.

    From a random start the two stay for thousands of steps where only spaces are read.
    """
    patches = model.encoder.patches(torch.from_numpy(batch.ink).to(device, torch.float32)).flatten(0, 1)
    mean = patches.mean(0)
    _, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean))
    kept = vectors[:, -model.config.token_width // PATCHES :]
    model.encoder.compressor.start_as(kept.T)
    model.readout.decompressor.start_as(kept)
    model.readout.decompressor.deconv1.bias.copy_((mean - kept @ (kept.T @ mean)).repeat(4))


def losses(model: Nano, batch: Batch, device: torch.device, local: bool = False) -> tuple[Tensor, int, Tensor, Tensor]:
    """The summed cross-entropy, the number of characters, and whether each half-width cell (bool) and each
    full-width character (bool) is read right; `local` reads the patches before they are compressed."""
    ink = torch.from_numpy(batch.ink).to(device)
    with torch.autocast(device.type, torch.bfloat16):
        if local:
            squares = model.readout.unfold_patches(model.encoder.patches(ink.to(torch.float32)))
        else:
            squares = model.readout.unfold(model.encoder(ink.to(torch.float32)))
    total = torch.zeros((), device=device)
    right = []
    read: tuple[tuple[Callable[[Tensor, Tensor], Tensor], Cells], ...] = (
        (model.readout.read_half, batch.half),
        (model.readout.read_full, batch.full),
    )
    for head, cells in read:
        square, place, target = (torch.from_numpy(a).to(device) for a in cells)
        with torch.autocast(device.type, torch.bfloat16):
            logits = head(squares.index_select(0, square), place)
        total = total + F.cross_entropy(logits.float(), target, reduction="sum")
        right.append(logits.argmax(-1) == target)
    return total, len(batch.half[0]) + len(batch.full[0]), right[0], right[1]


def optimisers(model: Nano, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the windows' blocks and of the readout, AdamW for everything else.

    What mixes patches and tokens starts as an identity and learns at a tenth of the rate, lest it be shaken apart.
    """
    matrices, others, mixing = [], [], []
    for name, parameter in model.named_parameters():
        if name.startswith(("encoder.compressor", "encoder.page", "readout.decompressor")):
            mixing.append(parameter)
        elif parameter.ndim == 2 and min(parameter.shape) >= 64 and "head" not in name and "table" not in name:
            matrices.append(parameter)
        else:
            others.append(parameter)
    decay = recipe.weight_decay
    groups = [{"params": others, "share": 1.0}, {"params": mixing, "share": 0.1}]
    return [
        torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=decay, fused=True),
        torch.optim.Muon(
            [{"params": matrices, "share": 1.0}],
            momentum=0.95,
            weight_decay=decay,
            adjust_lr_fn="match_rms_adamw",
        ),
    ]


def batch_at(pages: Pages, recipe: Recipe, step: int) -> Batch:
    """The training batch of `step`: a function of the recipe, the corpus and nothing else."""
    rng = np.random.default_rng([recipe.seed, step])
    sides = list(recipe.page_sides)
    shares = np.array(list(recipe.page_sides.values()))
    side = sides[rng.choice(len(sides), p=shares / shares.sum())]
    return pages.batch(rng, max(1, round(recipe.tokens_per_step / (side // TOKEN_SIDE) ** 2)), side)


@torch.no_grad()
def validate(model: Nano, pages: Pages, device: torch.device, local: bool = False) -> dict[str, float]:
    """Share of characters read right on held-out pages of 256 px, by density, on language and random strings."""
    model.eval()
    scores = {}
    for density in pages.densities:
        for random in (False, True):
            batch = pages.batch(
                np.random.default_rng(1), 4, 256, density=density, random=random, samples=None
            )
            _, _, half, full = losses(model, batch, device, local)
            right = torch.cat([half, full]) if not density.wide else full
            scores[f"{density.name}{' random' if random else ''}"] = round(right.float().mean().item(), 5)
    model.train()
    return scores


def save_state(path: Path, model: Nano, optimisers: list[torch.optim.Optimizer], step: int) -> None:
    """Writes weights and the optimisers' moments after `step` steps to one safetensors file."""
    moments = {p: state for optimiser in optimisers for p, state in optimiser.state.items()}
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"model/{name}"] = parameter.detach().contiguous()
        for key, value in moments.get(parameter, {}).items():
            tensors[f"{key}/{name}"] = value.contiguous()
    with whole_file(path) as beside:
        beside.write_bytes(to_bytes(tensors, {"step": str(step)}))


def load_state(path: Path, model: Nano, optimisers: list[torch.optim.Optimizer]) -> int:
    """Reads what `save_state` wrote into `model` and `optimisers`; returns the step. CheckpointError if it is
    damaged or of another model."""
    owner = {p: o for o in optimisers for group in o.param_groups for p in group["params"]}
    parameters = dict(model.named_parameters())
    try:
        with safe_open(path, "pt") as file, torch.no_grad():
            for key in file.keys():  # noqa: SIM118
                kind, name = key.split("/")
                value, parameter = file.get_tensor(key), parameters[name]
                if kind == "model":
                    parameter.copy_(value)
                else:
                    value = value if kind == "step" else value.to(parameter.device)
                    owner[parameter].state[parameter][kind] = value
            return int(file.metadata()["step"])
    except Exception as error:
        raise CheckpointError(f"{path}: cannot resume from it: {error}") from error


def train(
    recipe_file: Path,
    text: Path,
    out: Path,
    device: torch.device,
    progress: Callable[[dict[str, Any]], None],
    stop: Callable[[int], bool] = lambda step: False,
) -> int:
    """Trains by the recipe on the text under `text`, into `out`; goes on from out/state.safetensors if it is
    there. `progress` gets each logged line: step, loss, tokens a second, seconds left.

    `stop` is asked after each step whether to end there, to go on another time. Returns the steps done so far.
    """
    recipe = Recipe.read(recipe_file)
    state, log, kept = out / "state.safetensors", out / "log.jsonl", out / "recipe.toml"
    if state.exists() and kept.exists() and Recipe.read(kept) != recipe:
        raise UsageError(f"{out} was begun by another recipe, {kept}; go on with that one, or give another --out")
    with whole_file(kept) as beside:
        beside.write_bytes(recipe_file.read_bytes())
    model = new_model(NanoConfig(**recipe.model), recipe.seed).to(device)
    optimiser = optimisers(model, recipe)
    step = load_state(state, model, optimiser) if state.exists() else 0
    lines = [line for line in _read_log(log) if line["step"] <= step]
    with whole_file(log) as beside:
        beside.write_text("".join(json.dumps(line) + "\n" for line in lines))
    pages = Pages(Corpus.load(text, validation=False), recipe.densities, recipe.random_share)
    held = Pages(Corpus.load(text, validation=True), recipe.densities, recipe.random_share)
    since, seen = time.perf_counter(), 0
    loss_sum, characters, correct = 0.0, 0, 0
    end = recipe.steps
    while step < end and not stop(step):
        local = step < recipe.local_steps
        if step == recipe.local_steps:
            start_compressor(model, pages.batch(np.random.default_rng(recipe.seed), 32, 256), device)
        batch = batch_at(pages, recipe, step)
        for group in (g for o in optimiser for g in o.param_groups):
            group["lr"] = recipe.learning_rate_at(step) * group["share"]
        total, count, half, full = losses(model, batch, device, local)
        if not torch.isfinite(total):
            last = f"{state} holds the last good state" if state.exists() else "no state was saved yet"
            raise TrainingError(
                f"the loss is {total.item()} at step {step + 1} (batch of seed {recipe.seed}, step {step}); {last}"
            )
        model.zero_grad()
        (total / count).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for each in optimiser:
            each.step()
        step += 1
        seen += batch.ink.size // TOKEN_SIDE**2
        loss_sum, characters = loss_sum + total.item(), characters + count
        correct += int(half.sum()) + int(full.sum())
        if step % 25 == 0 or step == end:
            seconds = time.perf_counter() - since
            line: dict[str, Any] = {
                "step": step,
                "loss": round(loss_sum / characters, 5),
                "right": round(correct / characters, 5),
                "lr": recipe.learning_rate_at(step - 1),
                "tokens_per_second": round(seen / seconds, 1),
            }
            if step % recipe.validate_every == 0 or step == end:
                line["held_out"] = validate(model, held, device, local)
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            left = (end - step) * recipe.tokens_per_step / line["tokens_per_second"]
            progress({**line, "seconds_left": round(left)})
            since, seen, loss_sum, characters, correct = time.perf_counter(), 0, 0.0, 0, 0
        if step % recipe.save_every == 0:
            save_state(state, model, optimiser, step)
    save_state(state, model, optimiser, step)
    if step == end:
        save(model, out / "model.safetensors")
    return step


def _read_log(log: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a kill may have cut the last one short."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]
