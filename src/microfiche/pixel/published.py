"""The heads of the published fine-tuned models, as in the code of xplip/pixel, and how their files are read.

They differ from ours in heads.py: every patch goes through a layer before the mean over them, a root or a class vector
goes through ViT's pooler, and a parser sees the mean of a word's patches without layers of its own. This module knows
nothing of text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.errors import CheckpointError
from microfiche.pixel.heads import AnswerFinder, Pooling, Tagger
from microfiche.pixel.model import PixelConfig
from microfiche.pixel.tuned import LARGEST, SHORTEST, Setup, TaskName
from microfiche.weights.tensors import json_of

#: How names of heads begin here → how the published ones do.
NAMES = {
    "head.linear.": "pooler.linear.",
    "head.norm.": "pooler.ln.",
    "head.classes.": "classifier.",
    "head.pooler.": "vit.pooler.dense.",
    "head.ends.": "qa_outputs.",
    "head.arc": "biaffine_arcs.weight",
    "head.relation": "biaffine_rels.weight",
}
#: What a config.json may say of the computation, and what is computed.
COMPUTED = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "qkv_bias": True, "patch_size": 16}
UNUSED = ("pooler.",)  #: tensors that the published classifier by the class vector has and does not use


class PublishedClassifier(nn.Module):
    """Gives a strip one of `classes`. By "mean" or "max", each patch goes through linear, GELU, layer norm and dropout,
    and the attended ones are pooled; by "cls", the class vector goes through ViT's pooler."""

    def __init__(self, width: int, classes: int, pooling: Pooling = "mean", dropout: float = 0.1) -> None:
        super().__init__()
        self.pooling, self.dropout = pooling, dropout
        if pooling == "cls":
            self.pooler = nn.Linear(width, width)
        else:
            self.linear, self.norm = nn.Linear(width, width), nn.LayerNorm(width, eps=1e-12)
        self.classes = nn.Linear(width, classes)

    def forward(self, seen: Tensor, attended: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors, the class vector first, and (B, N) bool → (B, classes) logits."""
        if self.pooling == "cls":
            return self.classes(torch.tanh(self.pooler(seen[:, 0])))
        patches = F.dropout(self.norm(F.gelu(self.linear(seen[:, 1:]))), self.dropout, self.training)
        if self.pooling == "max":
            return self.classes(patches.masked_fill(~attended[..., None], -torch.inf).amax(1))
        weights = attended[..., None].to(patches)
        return self.classes((patches * weights).sum(1) / weights.sum(1))


class PublishedParser(nn.Module):
    """Biaffine scores of each word's head and relation, from the means of the words' patches and, as the root, the
    class vector after ViT's pooler."""

    def __init__(self, width: int, relations: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = dropout
        self.pooler = nn.Linear(width, width)
        self.arc = nn.Parameter(torch.zeros(1, width + 1, width))
        self.relation = nn.Parameter(torch.zeros(relations, width + 1, width + 1))

    def forward(self, seen: Tensor, words: Tensor, present: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors, (B, W, 2) int64 first patches of words and those after their last, and (B, W) bool,
        which words exist → (B, W, 1 + W) scores of each word's heads, the root first; words that do not exist have
        −inf."""
        dependents, nodes = self._nodes(seen, words)
        scores = F.pad(dependents, (0, 1), value=1.0) @ self.arc[0] @ nodes.transpose(1, 2)
        return scores.masked_fill(~F.pad(present, (1, 0), value=True)[:, None], -torch.inf)

    def relations(self, seen: Tensor, words: Tensor, heads: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors, (B, W, 2) int64 patches of words and (B, W) int64 heads, 0 the root → (B, W, R) scores
        of each word's relation to its head."""
        dependents, nodes = self._nodes(seen, words)
        chosen = nodes.gather(1, heads[..., None].expand(-1, -1, nodes.shape[-1]))
        one = F.pad(dependents, (0, 1), value=1.0), F.pad(chosen, (0, 1), value=1.0)
        return torch.einsum("bwi,rij,bwj->bwr", one[0], self.relation.to(one[0]), one[1])

    def _nodes(self, seen: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        patches = F.dropout(seen[:, 1:], self.dropout, self.training)
        sums = F.pad(patches.cumsum(1), (0, 0, 1, 0))
        first, after = words.unbind(-1)
        after = torch.maximum(after, first + 1).clamp(max=patches.shape[1])
        means = at(sums, after) - at(sums, first)
        dependents = means / (after - first).clamp(min=1)[..., None]
        return dependents, torch.cat([torch.tanh(self.pooler(seen[:, :1])), dependents], 1)


def at(vectors: Tensor, places: Tensor) -> Tensor:
    """(B, N, D) vectors and (B, W) int64 places → (B, W, D) vectors there."""
    return vectors.gather(1, places[..., None].expand(-1, -1, vectors.shape[-1]))


def published_head(setup: Setup, width: int) -> nn.Module:
    """The published head of a task; those of words and answers are ours."""
    classes = len(setup.labels)
    match setup.task:
        case "classify":
            return PublishedClassifier(width, classes, setup.pooling, setup.dropout)
        case "parse":
            return PublishedParser(width, classes, setup.dropout)
        case "answer":
            return AnswerFinder(width)
        case _:
            return Tagger(width, classes, setup.dropout)


def class_last(logits: Tensor) -> Tensor:
    """(…, 1 + N) logits of the places of an answer, the class vector's first → the same with it last, as published."""
    return torch.cat([logits[..., 1:], logits[..., :1]], -1)


def published_name(name: str) -> str:
    """The published name of a tensor of a head."""
    ours = next(part for part in NAMES if name.startswith(part))
    return NAMES[ours] + name.removeprefix(ours)


def described(path: Path, tensors: Mapping[str, Tensor]) -> tuple[PixelConfig, Setup]:
    """The sizes and the task of a published fine-tuned model: from the tensors of its file and the config.json beside
    it, which has the names of the classes. Raises CheckpointError if they do not say it."""
    config = path.parent / "config.json"
    try:
        said: dict[str, Any] = json_of(config)
        labels = _labels(said, tensors)
        for key, value in COMPUTED.items():
            if said.get(key, value) != value:
                raise ValueError(f"{key} is {said[key]!r}, and only {value!r} is computed here")
        sizes = PixelConfig(
            width=said["hidden_size"], layers=said["num_hidden_layers"], heads=said["num_attention_heads"],
            mlp=said["intermediate_size"], channels=said.get("num_channels", 3),
            patches=tensors["vit.embeddings.position_embeddings"].shape[1] - 1,
            dropout=said.get("hidden_dropout_prob", 0.1),
        )  # fmt: skip
    except (CheckpointError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(
            f"{path}: neither a model that `pixel finetune` wrote nor, with a config.json beside it, a published one "
            f"({type(error).__name__}: {error})"
        ) from error
    task = _task(tensors, labels, str(said.get("architectures")))
    if task is None:
        raise CheckpointError(f"{path}: has no head of a published fine-tuned PIXEL (classifier, biaffine, qa_outputs)")
    pooling: Pooling = "mean" if task != "classify" else _pooling(said, tensors, config)
    longest = min(max(sizes.patches, SHORTEST), LARGEST)
    known = () if task == "answer" else labels
    return sizes, Setup(task, known, longest, pooling, sizes.dropout, published=True)


def _labels(said: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The names of the classes. transformers leaves the two that it gives by itself, LABEL_0 and LABEL_1, out of
    config.json; answers need none."""
    rows = next((len(tensors[name]) for name in ("classifier.weight", "biaffine_rels.weight") if name in tensors), 0)
    if said.get("id2label") is None and ("qa_outputs.weight" in tensors or rows in (2, said.get("num_labels"))):
        return tuple(f"LABEL_{i}" for i in range(rows))
    names = {int(number): str(label) for number, label in said["id2label"].items()}
    return tuple(names[i] for i in range(len(names)))


def _pooling(said: Mapping[str, Any], tensors: Mapping[str, Tensor], config: Path) -> Pooling:
    """How a classifier pools: as config.json says, or, if it does not, by the poolers that its file has: the published
    code makes ViT's only for the class vector. Raises CheckpointError if it says another way."""
    stated = said.get("pooling_mode", said.get("pooling"))
    if stated is None:
        return "cls" if "vit.pooler.dense.weight" in tensors else "mean"
    known: tuple[Pooling, ...] = get_args(Pooling)
    for mode in known:
        if mode == str(stated).lower():
            return mode
    raise CheckpointError(f"{config}: says that it pools by {stated!r}; only {', '.join(known)} are computed here")


def _task(tensors: Mapping[str, Tensor], labels: tuple[str, ...], architectures: str) -> TaskName | None:
    """The task of a published model, or None if it has none of the published heads. A linear layer alone classifies
    words, or, in other models than PIXEL, whole pictures."""
    if "qa_outputs.weight" in tensors:
        return "answer"
    if "biaffine_arcs.weight" in tensors:
        return "parse"
    if "classifier.weight" not in tensors:
        return None
    if "pooler.linear.weight" in tensors:
        return "classify"
    if "SequenceClassification" in architectures or "ImageClassification" in architectures:
        return None
    return "ner" if any(label.startswith(("B-", "I-")) for label in labels) else "tag"
