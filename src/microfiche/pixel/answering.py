"""Answers questions with a span of their context, which the model reads in overlapping windows.

An answer consists of whole words of the context: if it begins or ends within a patch, the nearest end of a word counts.
After the published question answering of arXiv 2207.06991 (run_qa), which follows BERT's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.pixel import metrics
from microfiche.pixel.examples import Question, read_squad
from microfiche.pixel.heads import AnswerFinder
from microfiche.pixel.strips import Strip
from microfiche.pixel.tuned import Task, TaskLoss, Tuned

UNANSWERABLE = "unanswerable"  #: the only label, present if training had questions without answers
LONGEST = 40  #: patches of the longest answer
_BATCH = 16  # windows that are read together
_CJK = "\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff"
_WORDS = re.compile(f"[{_CJK}]|[^\\W{_CJK}]+")


@dataclass(frozen=True)
class Window:
    """A strip with a question and a piece of its context; `ranges` (N, 2) are the characters of the context that begin
    in each patch, empty for patches with none."""

    strip: Strip
    ranges: np.ndarray

    def place(self, first: int, stop: int) -> tuple[int, int]:
        """The first and last patch, counted from 1, of characters `first` to `stop` of the context; (0, 0) if the
        window does not hold all of them."""
        begin, end = self.ranges.T
        within = np.flatnonzero((begin < end) & (begin < stop) & (end > first))
        if not len(within) or begin[within].min() > first or end[within].max() < stop:
            return 0, 0
        return int(within[0]) + 1, int(within[-1]) + 1


class Answering(Task[Question, str]):
    """Predicts the words of the answer, or "" if there is none."""

    score = "f1"

    @staticmethod
    def read(path: Path) -> list[Question]:
        """Reads SQuAD's JSON."""
        return read_squad(path)

    @staticmethod
    def plain(path: Path) -> list[Question]:
        """Reads SQuAD's JSON, of which answers may be missing."""
        return read_squad(path)

    @staticmethod
    def labels(examples: Sequence[Question]) -> list[str]:
        """UNANSWERABLE for each question without an answer."""
        return [UNANSWERABLE for example in examples if not example.answers]

    def head(self, width: int) -> nn.Module:
        """A new head for vectors of `width` numbers."""
        return AnswerFinder(width)

    def windows(self, example: Question) -> list[Window]:
        """Windows over the context, each after the question, which is cut to half a strip."""
        longest = self.setup.longest
        question = " ".join(example.question.split())
        kept = question[: int(self.renderer.line(question, longest // 2).offsets[-1, 1])]
        overlap = max(0, min(64, longest // 8))
        found = []
        for strip in self.renderer.slide(example.context, longest, overlap, question=kept):
            ranges = np.where((np.arange(len(strip.offsets)) >= (strip.second or 0))[:, None], strip.offsets, 0)
            found.append(Window(strip, np.maximum(ranges - len(kept), 0)))
        return found

    def loss(self, model: Tuned, examples: Sequence[Question], rng: np.random.Generator) -> TaskLoss:
        """The loss on one window of each question; in half of the cases it is one with the answer, if there is any."""
        chosen, places = [], []
        for example in examples:
            windows = self.windows(example)
            first, text = example.answers[0] if example.answers else (0, "")
            found = [window.place(first, first + len(text)) for window in windows]
            holding = [i for i, (start, _) in enumerate(found) if start]
            within = holding if holding and rng.random() < 0.5 else range(len(windows))
            at = within[int(rng.integers(len(within)))]
            chosen.append(windows[at])
            places.append(found[at])
        logits, attended = self._logits(model, chosen)
        target = torch.tensor(places, device=model.device)
        total = F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), reduction="sum") / 2
        right = (logits.argmax(-1) == target).all(1)
        return TaskLoss(total, len(examples), int(right.sum()), int(attended.sum()))

    def _logits(self, model: Tuned, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
        seen, attended = model.seen([window.strip for window in windows])
        possible = torch.zeros_like(attended)
        for row, window in zip(possible, windows, strict=True):
            begin, end = window.ranges.T
            row[: len(begin)] = torch.from_numpy(begin < end)
        return model.head(seen, possible), attended

    def predict(self, model: Tuned, examples: Sequence[Question]) -> list[str]:
        """The answer to each question, the best of all windows."""
        return [self._answer(model, example) for example in examples]

    def _answer(self, model: Tuned, example: Question) -> str:
        windows, best, none, text = self.windows(example), -np.inf, np.inf, ""
        for i in range(0, len(windows), _BATCH):
            few = windows[i : i + _BATCH]
            logits = self._logits(model, few)[0].float().cpu().numpy()
            for window, (starts, ends) in zip(few, logits, strict=True):
                none = min(none, float(starts[0] + ends[0]))
                score, first, last = best_span(starts[1:], ends[1:])
                if score > best:
                    best, text = score, answer_text(example.context, window.ranges[first : last + 1])
        return "" if self.setup.labels and none >= best else text

    def scores(self, examples: Sequence[Question], found: Sequence[str]) -> dict[str, float]:
        """SQuAD's F1 and exact match."""
        exact, f1 = metrics.squad_scores([[text for _, text in example.answers] for example in examples], found)
        return {"f1": f1, "exact": exact}

    def written(self, example: Question, found: str) -> str:
        """A JSON object with the question's id and the answer."""
        return json.dumps({"id": example.id, "answer": found}, ensure_ascii=False)


def best_span(starts: np.ndarray, ends: np.ndarray, longest: int = LONGEST) -> tuple[float, int, int]:
    """The greatest starts[i] + ends[j] with i ≤ j < i + longest, i and j; −inf, 0 and 0 if none is possible."""
    sums = starts[:, None] + ends[None]
    at = np.arange(len(starts))
    sums = np.where((at[:, None] <= at) & (at < at[:, None] + longest) & np.isfinite(sums), sums, -np.inf)
    i, j = np.unravel_index(int(sums.argmax()), sums.shape)
    return float(sums[i, j]), int(i), int(j)


def answer_text(context: str, ranges: np.ndarray) -> str:
    """The text of `context` in patches with these (N, 2) ranges: from the first word that begins in the first patch to
    the last word that ends in the last one, or the words of which these patches hold a part."""
    filled = ranges[ranges[:, 0] < ranges[:, 1]]
    if not len(filled):
        return ""
    left, right = filled[filled[:, 0].argmin()], filled[filled[:, 1].argmax()]
    words = [match.span() for match in _WORDS.finditer(context)]
    first = [start for start, _ in words if left[0] <= start < left[1]]
    last = [end for _, end in words if right[0] < end <= right[1]]
    begin = first[0] if first else max((start for start, _ in words if start <= left[0]), default=0)
    stop = last[-1] if last else min((end for _, end in words if end >= right[1]), default=len(context))
    return context[begin:stop].strip() if begin < stop else context[left[0] : right[1]].strip()
