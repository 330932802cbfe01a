"""The tasks for which PIXEL is fine-tuned: labels of texts, tags and entities of words, dependency trees, answers.

This module knows nothing of files of weights or of training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.errors import InputError
from microfiche.pixel import metrics
from microfiche.pixel.answering import Answering
from microfiche.pixel.examples import Labelled, Sentence, read_conllu, read_lines, read_ner, read_tsv
from microfiche.pixel.heads import Classifier, Parser, Tagger, best_tree
from microfiche.pixel.published import published_head
from microfiche.pixel.strips import Strip
from microfiche.pixel.tuned import Setup, Task, TaskLoss, TaskName, Tuned, drawing, in_batches, padded, pieces

_BATCH = 32  # strips that are predicted together
_NONE = -100  # the class without a loss
Tree = tuple[list[int], list[str]]  #: heads and relations of a sentence


class Classify(Task[Labelled, str]):
    """Gives a label to a text, or to two that belong together."""

    score = "accuracy"

    @staticmethod
    def read(path: Path) -> list[Labelled]:
        """Reads a TSV file of labels and texts."""
        return read_tsv(path)

    @staticmethod
    def plain(path: Path) -> list[Labelled]:
        """Reads a text a line, or two that are separated by a tab."""
        found = [Labelled(tuple(line.split("\t")), "") for line in read_lines(path)]
        for i, example in enumerate(found, 1):
            if len(example.texts) > 2:
                raise InputError(f"{path}: text {i} has {len(example.texts)} columns; a line has one or two texts")
        return found

    @staticmethod
    def labels(examples: Sequence[Labelled]) -> list[str]:
        """The label of each example."""
        return [example.label for example in examples]

    def head(self, width: int) -> nn.Module:
        """A new classifier for vectors of `width` numbers."""
        return Classifier(width, len(self.setup.labels), self.setup.pooling, self.setup.dropout)

    def strip(self, example: Labelled) -> Strip:
        """The strip of one or both texts."""
        first, *second = example.texts
        with drawing(first):
            if second:
                return self.renderer.pair(first, second[0], self.setup.longest)
            return self.renderer.line(first, self.setup.longest)

    def cut(self, examples: Sequence[Labelled]) -> int:
        """How many texts do not fit on a strip."""
        return sum(not self.strip(example).whole for example in examples)

    def loss(self, model: Tuned, examples: Sequence[Labelled], rng: np.random.Generator) -> TaskLoss:
        """The cross-entropy of the labels."""
        seen, attended = model.seen([self.strip(example) for example in examples])
        logits = model.head(seen, attended)
        target = torch.tensor([self.index[example.label] for example in examples], device=model.device)
        return _loss(logits, target, attended)

    def predict(self, model: Tuned, examples: Sequence[Labelled]) -> list[str]:
        """The most probable label of each text."""

        def compute(batch: list[Labelled]) -> list[str]:
            logits = model.head(*model.seen([self.strip(example) for example in batch]))
            return [self.setup.labels[i] for i in logits.argmax(-1).tolist()]

        return in_batches(examples, lambda e: sum(map(len, e.texts)), _BATCH, compute)

    def scores(self, examples: Sequence[Labelled], found: Sequence[str]) -> dict[str, float]:
        """Accuracy and macro F1."""
        gold = self.labels(examples)
        return {"accuracy": metrics.accuracy(gold, found), "macro_f1": metrics.macro_f1(gold, found)}

    def written(self, example: Labelled, found: str) -> str:
        """A JSON object with the text and its label."""
        return json.dumps({"text": "\t".join(example.texts), "label": found}, ensure_ascii=False)


class _Words(Task[Sentence, Any]):
    """A task on sentences, which without annotation are words separated by spaces."""

    @staticmethod
    def plain(path: Path) -> list[Sentence]:
        """Reads a sentence a line, of words separated by spaces."""
        return [Sentence(tuple(line.split()), ()) for line in read_lines(path)]


class Tag(_Words):
    """Tags each word; a sentence that is longer than a strip is tagged in pieces."""

    score = "accuracy"

    @staticmethod
    def read(path: Path) -> list[Sentence]:
        """Reads a CoNLL-U file."""
        return read_conllu(path, trees=False)

    @staticmethod
    def labels(examples: Sequence[Sentence]) -> list[str]:
        """The tags of all words."""
        return [tag for example in examples for tag in example.tags]

    def head(self, width: int) -> nn.Module:
        """A new tagger for vectors of `width` numbers."""
        return Tagger(width, len(self.setup.labels), self.setup.dropout)

    def loss(self, model: Tuned, examples: Sequence[Sentence], rng: np.random.Generator) -> TaskLoss:
        """The cross-entropy of the tags, for one piece of each sentence."""
        strips, tags = [], []
        for example in examples:
            found = list(pieces(self.renderer, example.words, self.setup.longest))
            first, strip = found[rng.integers(len(found))]
            strips.append(strip)
            tags.append([self.index[tag] for tag in example.tags[first : first + len(strip.words)]])
        seen, attended = model.seen(strips)
        return _loss(model.head(seen, _first_patches(strips, model)), padded(tags, _NONE, model.device), attended)

    def predict(self, model: Tuned, examples: Sequence[Sentence]) -> list[list[str]]:
        """The most probable tags of the words of each sentence."""

        def compute(batch: list[tuple[int, Strip]]) -> list[list[str]]:
            strips = [strip for _, strip in batch]
            best = model.head(model.seen(strips)[0], _first_patches(strips, model)).argmax(-1).tolist()
            return [
                [self.setup.labels[i] for i in row[: len(strip.words)]] for row, strip in zip(best, strips, strict=True)
            ]

        found: list[list[str]] = []
        for few in _few(examples):
            drawn = [
                (i, strip)
                for i, example in enumerate(few)
                for _, strip in pieces(self.renderer, example.words, self.setup.longest)
            ]
            tags: list[list[str]] = [[] for _ in few]
            tagged = in_batches(drawn, lambda piece: piece[1].image.shape[1], _BATCH, compute)
            for (i, _), row in zip(drawn, tagged, strict=True):
                tags[i] += row
            found += tags
        return found

    def scores(self, examples: Sequence[Sentence], found: Sequence[Any]) -> dict[str, float]:
        """Accuracy and macro F1 over all words."""
        gold, ours = self.labels(examples), [tag for row in found for tag in row]
        return {"accuracy": metrics.accuracy(gold, ours), "macro_f1": metrics.macro_f1(gold, ours)}

    def written(self, example: Sentence, found: Any) -> str:
        """The sentence as CoNLL-U, with tags."""
        rows = zip(example.words, found, strict=True)
        return "".join(f"{i}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n" for i, (word, tag) in enumerate(rows, 1))


class Ner(Tag):
    """Finds entities, as tags of their words."""

    score = "f1"

    @staticmethod
    def read(path: Path) -> list[Sentence]:
        """Reads a CoNLL file of entities."""
        return read_ner(path)

    def scores(self, examples: Sequence[Sentence], found: Sequence[Any]) -> dict[str, float]:
        """F1, precision and recall of entities as conlleval finds them, and F1 of what the scheme allows."""
        gold = [example.tags for example in examples]
        precision, recall, f1 = metrics.entity_scores(gold, found)
        scheme: metrics.Scheme = "IOBES" if any(label[0] in "ES" for label in self.setup.labels) else "IOB2"
        strict = metrics.entity_scores(gold, found, scheme)[2]
        return {"f1": f1, "precision": precision, "recall": recall, "strict_f1": strict}

    def written(self, example: Sentence, found: Any) -> str:
        """A word and its tag a line."""
        return "".join(f"{word}\t{tag}\n" for word, tag in zip(example.words, found, strict=True))


class Parse(_Words):
    """Finds each word's head and relation, as the best tree with one root. Words that are not on the strip hang from
    the word before them, with the relation `dep`."""

    score = "las"

    @staticmethod
    def read(path: Path) -> list[Sentence]:
        """Reads a CoNLL-U file with trees."""
        return read_conllu(path, trees=True)

    @staticmethod
    def labels(examples: Sequence[Sentence]) -> list[str]:
        """The relations of all words."""
        return [relation for example in examples for relation in example.relations]

    def head(self, width: int) -> nn.Module:
        """A new parser for vectors of `width` numbers."""
        return Parser(width, len(self.setup.labels), self.setup.dropout)

    def strip(self, example: Sentence) -> Strip:
        """The words that fit on one strip."""
        with drawing(" ".join(example.words)):
            return self.renderer.words(example.words, self.setup.longest)

    def cut(self, examples: Sequence[Sentence]) -> int:
        """How many sentences do not fit on a strip."""
        return sum(not self.strip(example).whole for example in examples)

    def loss(self, model: Tuned, examples: Sequence[Sentence], rng: np.random.Generator) -> TaskLoss:
        """The cross-entropy of heads plus that of relations, for words whose heads are on the strip."""
        strips = [self.strip(example) for example in examples]
        seen, attended = model.seen(strips)
        words, present = self._patches(strips, model), _present(strips, model)
        heads = padded([example.heads[: len(s.words)] for example, s in zip(examples, strips, strict=True)], 0,
                       model.device)  # fmt: skip
        named = padded([[self.index[name] for name in example.relations[: len(s.words)]]
                        for example, s in zip(examples, strips, strict=True)], 0, model.device)  # fmt: skip
        inside = present & (heads <= present.sum(1, keepdim=True))  # heads beyond the strip cannot be learned
        heads, named = heads.masked_fill(~inside, 0), named.masked_fill(~inside, _NONE)
        relations = model.head.relations(seen, words, heads).float()  # type: ignore[operator]
        arcs = _loss(model.head(seen, words, present), heads.masked_fill(~inside, _NONE), attended)
        labelled = F.cross_entropy(relations.flatten(0, 1), named.flatten(), ignore_index=_NONE, reduction="sum")
        return TaskLoss(arcs.total + labelled, arcs.count, arcs.right, arcs.patches)

    def predict(self, model: Tuned, examples: Sequence[Sentence]) -> list[Tree]:
        """The best tree of each sentence, with the most probable relations."""

        def compute(batch: list[Sentence]) -> list[Tree]:
            strips = [self.strip(example) for example in batch]
            seen, _ = model.seen(strips)
            words, present = self._patches(strips, model), _present(strips, model)
            scores = model.head(seen, words, present).float().log_softmax(-1).cpu().numpy()
            counts = [len(strip.words) for strip in strips]
            trees = [best_tree(s[:n, : n + 1]).tolist() for s, n in zip(scores, counts, strict=True)]
            heads = padded(trees, 0, model.device)
            named = model.head.relations(seen, words, heads).argmax(-1).tolist()  # type: ignore[operator]
            return [
                self._whole(tree, row[:n], len(example.words))
                for tree, row, n, example in zip(trees, named, counts, batch, strict=True)
            ]

        return in_batches(examples, lambda e: sum(map(len, e.words)), _BATCH, compute)

    def _patches(self, strips: Sequence[Strip], model: Tuned) -> Tensor:
        """Where words stand: (B, W) first patches or, for a published head, (B, W, 2), with that of the next word."""
        first = _first_patches(strips, model)
        if not self.setup.published:
            return first
        after = padded([[*s.words[1:, 0].tolist(), *s.words[-1:, 1].tolist()] for s in strips], 0, model.device)
        return torch.stack([first, after], -1)

    def _whole(self, tree: list[int], named: list[int], words: int) -> Tree:
        beyond = range(len(tree), words)
        return [*tree, *beyond], [*(self.setup.labels[i] for i in named), *("dep" for _ in beyond)]

    def scores(self, examples: Sequence[Sentence], found: Sequence[Any]) -> dict[str, float]:
        """LAS and UAS."""
        uas, las = metrics.attachment(((e.heads, e.relations) for e in examples), found)
        return {"las": las, "uas": uas}

    def written(self, example: Sentence, found: Any) -> str:
        """The sentence as CoNLL-U, with heads and relations."""
        rows = zip(example.words, *found, strict=True)
        return "".join(f"{i}\t{w}\t_\t_\t_\t_\t{head}\t{name}\t_\t_\n" for i, (w, head, name) in enumerate(rows, 1))


#: All tasks by their names on the command line.
TASKS: dict[TaskName, type[Task[Any, Any]]] = {
    "classify": Classify, "tag": Tag, "ner": Ner, "parse": Parse, "answer": Answering,
}  # fmt: skip


def head_of(setup: Setup, width: int) -> nn.Module:
    """A new head for a task, ours or the published one, for vectors of `width` numbers."""
    return published_head(setup, width) if setup.published else TASKS[setup.task](setup).head(width)


def _loss(logits: Tensor, target: Tensor, attended: Tensor) -> TaskLoss:
    """The summed cross-entropy of (B, classes) or (B, W, classes) logits on (B,) or (B, W) classes, without _NONE."""
    flat, wanted = logits.float().reshape(-1, logits.shape[-1]), target.flatten()
    total = F.cross_entropy(flat, wanted, ignore_index=_NONE, reduction="sum")
    there = wanted != _NONE
    right = (flat.argmax(-1) == wanted) & there
    return TaskLoss(total, int(there.sum()), int(right.sum()), int(attended.sum()))


def _first_patches(strips: Sequence[Strip], model: Tuned) -> Tensor:
    """(B, W) int64 first patches of words; 0 after the last word of a strip."""
    return padded([strip.words[:, 0].tolist() for strip in strips], 0, model.device)


def _present(strips: Sequence[Strip], model: Tuned) -> Tensor:
    """(B, W) bool, which words a strip has."""
    return padded([[1] * len(strip.words) for strip in strips], 0, model.device).bool()


def _few(examples: Sequence[Sentence], most: int = 1024) -> list[Sequence[Sentence]]:
    """Splits examples into parts whose strips fit into memory together."""
    return [examples[i : i + most] for i in range(0, len(examples), most)]
