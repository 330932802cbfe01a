"""The stage that trains the prompted reader on the tokens of a finished encoder, which does not learn.

One loss, the cross-entropy of an answer's tokens after the true ones before them, plus the experts' balance. Pages and
tasks are the stream's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from microfiche.decoder.moe import Routing, balance_loss
from microfiche.devices import fast_autocast, fast_dtype
from microfiche.errors import UsageError
from microfiche.nano import vocabulary
from microfiche.nano.cells import Nano
from microfiche.nano.print import PrintModel
from microfiche.nano.prompted import NANO_READER, READER, AnswerDecoder, question
from microfiche.page import TOKEN_SIDE
from microfiche.readers import load
from microfiche.training.optimisers import decoder_optimisers
from microfiche.training.recipe import Schedule, Shares, decoder_sizes
from microfiche.training.stage import Loss, Stage, Use
from microfiche.training.stream import EVEN, Example, Stream
from microfiche.training.tasks import Name
from microfiche.typesetting.fonts import named
from microfiche.weights import stored

_HELD = 48  #: held-out examples that are measured, and a third as many about random strings
_SPREAD = 1.5  #: of lengths that are padded to one


class Recipe(Schedule):
    """What makes a reader; training/recipes has one that is written for a GPU."""

    encoder: str = "nano-pages"  #: the checkpoint whose tokens it reads, of the codec or for print
    page_sides: Shares[int]  #: side of a square training page in px → its share of the pages
    tasks: Shares[Name] = Field(default_factory=lambda: dict(EVEN))  #: task → its share of the questions
    dense_share: float = Field(0.0, ge=0, le=1)  #: pages in cells of a bitmap font, as the codec's
    random_share: float = Field(0.3, ge=0, le=1)  #: pages that hold random strings
    noise: float = Field(0.25, ge=0, le=1)  #: the chance of each step of noise on a page
    fonts: list[str] = Field(default_factory=list)  #: typefaces; the fixed lists if there are none
    longest: int = Field(1024, ge=256)  #: characters and marks of a question and its answer; more are cut off
    balance: float = Field(0.001, ge=0)  #: factor of the experts' balance loss
    workers: int = Field(0, ge=0)  #: processes that draw pages ahead; 0: the one that trains
    decoder: dict[str, Any] = Field(default_factory=dict)  #: fields of NANO_READER that differ

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        decoder_sizes(NANO_READER, self.decoder)
        return self

    @property
    def questions_per_batch(self) -> int:
        """As many as give a batch about its share of vision tokens."""
        shares = self.page_sides
        mean = sum((side // TOKEN_SIDE) ** 2 * share for side, share in shares.items()) / sum(shares.values())
        return max(1, round(self.tokens_per_batch / max(mean, 1)))

    def stream(self, text: Path, held_out: bool = False) -> Stream:
        """The examples it is trained on, or those held out, which are clean."""
        return Stream(
            text,
            self.seed,
            held_out,
            {(side, side): share for side, share in self.page_sides.items()},
            self.tasks,
            self.dense_share,
            0.0 if held_out else self.noise,
            self.random_share,
            named(self.fonts) if self.fonts else None,
        )


@dataclass(frozen=True)
class Asked:
    """A page's `ink` (H, W) uint8, 255 where it is black, the ids of a `question` (Q,) and of its `answer` (A,)."""

    task: Name
    ink: NDArray[np.uint8]
    question: NDArray[np.int64]
    answer: NDArray[np.int64]

    @classmethod
    def of(cls, example: Example, longest: int) -> Asked:
        """An example; of a prefix the end is kept, and of an answer the beginning, so that both and the prompt are no
        longer than `longest`. An answer that is whole ends with END."""
        task = example.task
        asked = question(task.prompt, task.prefix[-(longest // 2) :], torch.device("cpu")).numpy()
        answer = np.append(vocabulary.encode(task.answer), vocabulary.END)
        ink = 255 - example.page.image
        return cls(task.name, ink, asked, answer[: max(1, longest - len(asked))])

    @property
    def length(self) -> int:
        """Positions that the decoder goes over, nearly."""
        return self.ink.size // TOKEN_SIDE**2 + len(self.question) + len(self.answer)


@torch.no_grad()
def seen(nano: Nano | PrintModel, asked: Sequence[Asked]) -> list[Tensor]:
    """The (N, token width) tokens of each page; those of one size go through together."""
    weight = next(nano.parameters())
    values: dict[int, Tensor] = {}
    for shape in {one.ink.shape for one in asked}:
        alike = [i for i, one in enumerate(asked) if one.ink.shape == shape]
        ink = torch.from_numpy(np.stack([asked[i].ink for i in alike])).to(weight.device).to(weight.dtype) / 255
        values.update(zip(alike, nano.encoder(ink), strict=True))
    return [values[i] for i in range(len(asked))]


def groups(asked: Sequence[Asked]) -> Iterator[list[int]]:
    """The numbers of those that are about as long, so that little is padded."""
    order = sorted(range(len(asked)), key=lambda i: asked[i].length)
    while order:
        some = [i for i in order if asked[i].length <= _SPREAD * asked[order[0]].length]
        yield some
        order = order[len(some) :]


def losses(
    nano: Nano | PrintModel, reader: AnswerDecoder, asked: Sequence[Asked], balance: float, device: torch.device
) -> Loss:
    """The loss on some questions, each about a page of its own."""
    values = seen(nano, asked)
    total, tokens, right = torch.zeros((), device=device), 0, 0
    use: Use | None = None
    for some in groups(asked):
        pages, questions, answers = given(reader, asked, values, some, device)
        routings: list[Routing] = []
        with fast_autocast(device):
            logits, real = reader(pages, questions, answers, routings)
        target = torch.cat(answers)
        total = total + F.cross_entropy(logits.float(), target, reduction="sum")
        if routings:
            uneven = balance_loss(routings, real)
            total = total + balance * len(target) * uneven
            use = Use.of(routings, uneven, real) + use
        tokens += len(target)
        right += int((logits.argmax(-1) == target).sum())
    return Loss(total, tokens, right, sum(map(len, values)), use=use)


def given(
    reader: AnswerDecoder, asked: Sequence[Asked], values: Sequence[Tensor], some: Sequence[int], device: torch.device
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The vectors of pages, and the ids of questions and answers, of `some` of those asked."""
    pages = []
    for i in some:
        height, width = (n // TOKEN_SIDE for n in asked[i].ink.shape)
        with fast_autocast(device, enabled=reader.training):
            pages.append(reader.arranged(values[i], height, width))
    ids = [[torch.from_numpy(a).to(device) for a in (asked[i].question, asked[i].answer)] for i in some]
    return pages, [q for q, _ in ids], [a for _, a in ids]


class ReaderStage(Stage[Recipe, list[Asked]]):
    """The prompted reader on pages of the text of the folder `data`."""

    recipe_type = Recipe
    unit = "token"
    model: AnswerDecoder

    def __init__(self, recipe: Recipe, data: Path, device: torch.device) -> None:
        self.recipe, self.device, self.workers = recipe, device, recipe.workers
        encoder = load(recipe.encoder, str(device))
        if not isinstance(encoder, (Nano, PrintModel)):
            raise UsageError(f"encoder {recipe.encoder!r}: the reader learns on the tokens of nano or nano-pages")
        self.nano = encoder
        torch.manual_seed(recipe.seed)
        config = decoder_sizes(NANO_READER, recipe.decoder)
        self.model = AnswerDecoder(config, self.nano.config.token_width).to(device)
        self.optimisers = decoder_optimisers(self.model, recipe.weight_decay)
        self.stream = recipe.stream(data)
        self.held: dict[str, list[Asked]] = {}  #: held-out questions by task, and about random strings as "random"
        both = recipe.stream(data, held_out=True)
        for name, stream, count in (("", both.with_random(0.0), _HELD), ("random", both.with_random(1.0), _HELD // 3)):
            for number in range(count):
                asked = Asked.of(stream[number], recipe.longest)
                self.held.setdefault(name or asked.task, []).append(asked)

    def batch(self, number: int) -> list[Asked]:
        """The stream's next questions, each about a page of its own."""
        size = self.recipe.questions_per_batch
        return [Asked.of(self.stream[i], self.recipe.longest) for i in range(number * size, (number + 1) * size)]

    def loss(self, number: int, batch: list[Asked]) -> Loss:
        """The loss of every token of the answers, and of how unevenly the experts are used."""
        return losses(self.nano, self.model, batch, self.recipe.balance, self.device)

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """By task the share of held-out answers' tokens that are right after the true ones before them, in which a
        guesser of language comes far; and the share of lines that the reader reads right as a whole by itself."""
        scores = {}
        for name, asked in self.held.items():
            found = losses(self.nano, self.model, asked, self.recipe.balance, self.device)
            scores[name] = round(found.right / found.count, 5)
        if lines := self.held.get("line"):
            alone = deepcopy(self.model).to(fast_dtype(str(self.device))).eval()
            values = seen(self.nano, lines)
            pages, asking, answers = given(alone, lines, values, range(len(lines)), self.device)
            read = alone.generate(pages, asking, max(map(len, answers)))
            whole = [(*one.tokens, vocabulary.END) == tuple(a.tolist()) for one, a in zip(read, answers, strict=True)]
            scores["line, whole"] = round(sum(whole) / len(whole), 5)
        return scores

    def write(self, out: Path) -> None:
        """Writes out/model.safetensors, which names the encoder."""
        stored.save(READER, self.model, out / "model.safetensors", self.nano.checkpoint)
