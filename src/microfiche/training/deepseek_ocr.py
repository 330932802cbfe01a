"""The stage that fine-tunes the published DeepSeek-OCR on a user's own pages: more of stage b of its training.

Published (arXiv 2510.18234, section 3.5): in stage b SAM and the compressor behind it are frozen, CLIP and the decoder
learn; AdamW from a rate of 3e-5 that falls by steps, 640 sequences of up to 8,192 tokens at a time, 70 % of them OCR.
Ours: the projector and the newline and separator vectors learn too (the paper does not say), the loss is of the answer
and its end alone, the schedule and clipping are the loop's, and instead of all this adapters of low rank (LoRA) may
learn on the decoder's attention and MLPs, experts included, beside which everything is frozen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from pydantic import Field, model_validator
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.decoder.moe import balance_loss
from microfiche.deepseek_ocr import adapter, views
from microfiche.deepseek_ocr import checkpoint as deepseek_ocr
from microfiche.deepseek_ocr.configuration import CONFIG, described, said_in
from microfiche.deepseek_ocr.family import MODELS, DeepSeekOCRConfig
from microfiche.deepseek_ocr.model import DeepSeekOCR, Example
from microfiche.devices import fast_autocast, fast_dtype, free_memory
from microfiche.errors import InputError, UsageError
from microfiche.training import parallel
from microfiche.training import taught_pages as pages
from microfiche.training.recipe import Plan
from microfiche.training.stage import Loss, Stage
from microfiche.training.taught_pages import TaughtPage

MEASURED = 64  #: held-out pages at most
ADAPTER, CHECKPOINT = "adapter", "checkpoint"  #: folders, of a training's, for what was learned


class Recipe(Plan):
    """How the model is tuned; training/recipes/deepseek-ocr.toml says why so."""

    mode: str = "gundam"  #: in which pages are shown, and should be read later
    pages_per_batch: int = Field(1, ge=1)  #: padded to the longest; a step has batches_per_step times as many
    held_out: float = Field(0.05, ge=0, lt=1)  #: share of the pages that are only measured on
    balance: float = Field(0.001, ge=0)  #: factor of the experts' balance loss
    adapter_share: float = Field(5.0, gt=0)  #: an adapter's learning rate, in that of the weights
    bf16: bool = True  #: compute in bfloat16 where the device does; what learns is kept in float32 all the same

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        try:
            views.mode(self.mode)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return self


@dataclass(frozen=True)
class Needs:
    """Bytes that training takes on one device, without activations; `loading` while the weights are read."""

    weights: int
    gradients: int
    moments: int
    mean: int
    loading: int

    @property
    def total(self) -> int:
        """The most at any time."""
        return max(self.loading, self.weights + self.gradients + self.moments + self.mean)

    def __str__(self) -> str:
        parts = {name: getattr(self, name) for name in ("weights", "gradients", "moments", "mean")}
        said = ", ".join(f"{size / 1e9:.1f} {name}" for name, size in parts.items() if size)
        return f"{self.total / 1e9:.1f} GB ({said})"


def needs(
    config: DeepSeekOCRConfig, rank: int, processes: int = 1, mean: bool = False, bf16: bool = True
) -> Needs:
    """The memory that each of so many processes takes to train adapters of `rank`, or the whole model if that is 0."""
    model = deepseek_ocr.empty(config)
    everything = sum(p.numel() for p in model.parameters())
    if rank:
        sizes = adapter.adaptable(model).values()
        learned = sum(experts * rank * (rows + columns) for experts, rows, columns in sizes)
        held, loading = everything * (2 if bf16 else 4) + 4 * learned, everything * (2 if bf16 else 4)
    else:
        _free(model)
        shared = sum(p.numel() for p in model.decoder.parameters())
        learned = sum(p.numel() for p in model.encoder.parameters() if p.requires_grad) + -(-shared // processes)
        held, loading = 4 * (everything - shared + -(-shared // processes)), 4 * everything
    return Needs(held, 4 * learned, 8 * learned, 4 * learned if mean else 0, loading)


def _free(model: DeepSeekOCR) -> None:
    """Lets everything learn but SAM and its compressor."""
    model.requires_grad_(True)
    model.encoder.sam.requires_grad_(False)


def _room(needed: Needs, device: torch.device) -> None:
    free = free_memory(device)
    here = parallel.here() if device.type == "cpu" else 1  # processes that share the memory
    if free is not None and needed.total * here > free:
        raise UsageError(
            f"tuning needs {needed} and activations on {device}"
            + (f", {here} times" if here > 1 else "")
            + f"; {free / 1e9:.1f} GB are free; --lora needs less than --full, and --full less on more processes"
        )


def add_adapters(model: DeepSeekOCR, rank: int, weights: Path | None) -> Callable[[Path], None]:
    """Puts adapters of `rank`, which change nothing yet, into a frozen model; gives what writes them to a folder."""
    from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model

    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        target_modules=adapter.LINEAR,
        target_parameters=list(adapter.EXPERTS),
        base_model_name_or_path=str(weights or MODELS["deepseek-ocr"].hub),
    )
    inject_adapter_in_model(config, model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()

    def write(folder: Path) -> None:
        adapter.save(config.to_dict(), get_peft_model_state_dict(model, save_embedding_layers=False), folder)  # type: ignore[no-untyped-call]

    return write


def example(model: DeepSeekOCR, page: TaughtPage, seen: views.Views) -> Example:
    """What the model is taught of a page; InputError, with its name, where the answer holds a token that may not be in
    one."""
    before, after = model.prompt(page.task)
    c = model.config
    answer = model.tokenizer.encode(page.answer, add_special_tokens=False).ids
    if bad := {c.begin, c.end, c.image} & set(answer):
        raise InputError(f"{page.name}: its answer holds the special token {model.tokenizer.id_to_token(min(bad))}")
    return Example(seen, before, after, [*answer, c.end])


def fits(model: DeepSeekOCR, page: TaughtPage, mode: views.Resolution) -> None:
    """InputError, with the page's name, where page and answer do not fit into the context; by its size alone."""
    unseen = views.Views(torch.empty(3, 0, 0), torch.empty(0, 3, 0, 0), (0, 0))
    vectors = views.vectors(mode.side, mode.tile or mode.side, views.tiling(mode, *page.size))
    length = len(example(model, page, unseen)) + 1 - len(unseen) + vectors
    if length > model.config.decoder.context:
        raise InputError(
            f"{page.name}: {length} tokens, {vectors} of them for the page in mode {mode.name}; the context holds "
            f"{model.config.decoder.context}; cut the answer, or take a smaller mode"
        )


def losses(
    model: DeepSeekOCR, examples: Sequence[Example], device: torch.device, bf16: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The summed cross-entropy of the answers' ids, whether each (n,) is the likeliest, and the balance loss."""
    with fast_autocast(device, enabled=bf16, cache=False):  # copies go with their block
        logits, routings = model(examples)
    target = torch.tensor([id for e in examples for id in e.answer], device=device)
    lengths = torch.tensor([len(e) for e in examples], device=device)
    real = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
    return F.cross_entropy(logits, target, reduction="sum"), logits.argmax(-1) == target, balance_loss(routings, real)


def optimiser(model: nn.Module, recipe: Recipe, share: float) -> torch.optim.Optimizer:
    """AdamW for all that learns; what is sharded is a group of its own."""
    learned = [p for p in model.parameters() if p.requires_grad]
    groups = ([p for p in learned if parallel.sharded(p) == sharded] for sharded in (False, True))
    return torch.optim.AdamW(
        [{"params": group, "share": share} for group in groups if group],
        betas=(0.9, 0.95), weight_decay=recipe.weight_decay, fused=True,
    )  # fmt: skip


def _begun_with(state: Path) -> int | None:
    """The rank of the adapters that a training was begun with, 0 for none; None if there is no state to read."""
    try:
        with safe_open(state, "pt") as file:
            ranks = [file.get_slice(k).get_shape()[0] for k in file.keys()  # noqa: SIM118
                     if k.startswith("model/") and ".qkv.lora_A." in k]
            return ranks[0] if ranks else 0
    except (OSError, SafetensorError):
        return None


def _check_rank(out: Path, rank: int) -> None:
    """UsageError where adapters cannot be trained here, or the training in `out` was begun with others."""
    if rank and find_spec("peft") is None:
        raise UsageError("adapters need peft: pip install 'microfiche[train]'; or train the whole model, --full")
    begun = _begun_with(out / "state.safetensors")
    if begun is not None and begun != rank:
        how = f"--lora {begun}" if begun else "--full"
        raise UsageError(f"{out} was begun with {how}; go on with that, or give another --out")


def _refuse_others(weights: Path | None) -> None:
    """Raises UsageError for weights whose config.json says that they are of another model than DeepSeek-OCR."""
    said = said_in(weights) if weights is not None else None
    found = described(said, weights / CONFIG) if said is not None and weights is not None else None
    if found not in (None, "deepseek-ocr"):
        raise UsageError(f"{weights}: these are the weights of {found}; only deepseek-ocr can be tuned")


class DeepSeekStage(Stage[Recipe, list[TaughtPage]]):
    """Adapters of `rank`, or, if that is 0, all but SAM and its compressor, on the pages in the folder `data`.

    `folder` is the training's, `weights` that of the checkpoint (else the hub's), `say` is given what is trained on
    and what memory it will take, before the weights are read. When done there are out/adapter, for
    `load("deepseek-ocr", weights=…, adapter=…)`, or out/checkpoint, for `load("deepseek-ocr", weights=…)`. On several
    processes adapters are trained data-parallel, the whole model sharded.
    """

    recipe_type = Recipe
    unit = "token"
    all_write = True
    model: DeepSeekOCR

    def __init__(
        self,
        recipe: Recipe,
        data: Path,
        device: torch.device,
        *,
        folder: Path,
        rank: int,
        weights: Path | None = None,
        config: DeepSeekOCRConfig | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        config = config or DeepSeekOCRConfig()
        _check_rank(folder, rank)
        _refuse_others(weights)
        known = pages.taught_pages(data)
        self.recipe, self.device = recipe, device
        self.held = [page for page in known if page.held_out(recipe.held_out)]
        self.taught = [page for page in known if not page.held_out(recipe.held_out)]
        if not self.taught:
            raise InputError(f"{data}: all {len(known)} pages are held out; give more, or lower held_out in the recipe")
        nothing = "" if self.held else "; nothing will be measured"
        say(f"{len(self.taught)} pages to learn, {len(self.held)} held out{nothing}")
        self.bf16 = recipe.bf16 and fast_dtype(device) is torch.bfloat16
        needed = needs(config, rank, parallel.world(), recipe.ema > 0, self.bf16)
        say(f"needs {needed} and activations on {device}")
        _room(needed, device)
        dtype = torch.bfloat16 if rank and self.bf16 else torch.float32
        self.model = deepseek_ocr.load(weights, str(device), dtype, config).train()
        self.mode = views.mode(recipe.mode)
        for page in known:
            fits(self.model, page, self.mode)
        torch.manual_seed(recipe.seed)
        self.write_adapters: Callable[[Path], None] | None = None
        if rank:
            self.write_adapters = add_adapters(self.model, rank, weights)
        else:
            _free(self.model)
            if parallel.world() > 1:
                parallel.shard(self.model, list(self.model.decoder.layers), self.model.encoder, device)
        self.optimisers = [optimiser(self.model, recipe, recipe.adapter_share if rank else 1.0)]

    def batch(self, number: int) -> list[TaughtPage]:
        """Pages in an order drawn anew for each time that all have come."""
        return pages.batch(self.taught, number, self.recipe.pages_per_batch, self.recipe.seed)

    def examples(self, some: Sequence[TaughtPage]) -> list[Example]:
        """What the model is taught of some pages."""
        return [example(self.model, page, views.views(page.picture(), self.mode)) for page in some]

    def loss(self, number: int, batch: list[TaughtPage]) -> Loss:
        """The loss of every token of the answers, and of how unevenly the experts are used."""
        examples = self.examples(batch)
        total, right, balance = losses(self.model, examples, self.device, self.bf16)
        total = total + self.recipe.balance * len(right) * balance
        name = ", ".join(page.name for page in batch)
        return Loss(total, len(right), int(right.sum()), sum(map(len, examples)), name)

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Of the held-out pages' tokens, each after the true ones before it, by task: the share that is the likeliest,
        and the geometric mean of their probabilities."""
        sums: dict[str, list[float]] = {}
        for page in self.held[:MEASURED]:
            total, right, _ = losses(self.model, self.examples([page]), self.device, self.bf16)
            task = page.task.partition(":")[0]
            of = sums.setdefault(task, [0.0, 0.0, 0.0])
            sums[task] = [a + b for a, b in zip(of, (total.item(), right.sum().item(), len(right)), strict=True)]
        scores = {}
        for task, (total_loss, right_ones, count) in sums.items():
            scores[task] = round(right_ones / count, 5)
            scores[f"{task}, probability"] = round(math.exp(-total_loss / count), 5)
        return scores

    def write(self, out: Path) -> None:
        """Writes out/adapter or out/checkpoint."""
        if self.write_adapters:
            self.write_adapters(out / ADAPTER)
        else:
            deepseek_ocr.save(self.model, out / CHECKPOINT)
