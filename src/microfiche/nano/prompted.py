"""The prompted reader, a small DeepSeek-OCR: it takes nano's vision tokens and a question, and generates an answer.

A linear projector brings a page's tokens to the width of the mixture-of-experts language model. A newline vector ends
each row of tokens and a separator ends the page; then come the question and the answer. After arXiv 2510.18234,
sections 3.2 and 3.3, and the published code. It is trained for the tasks of training/tasks.py: reading a page freely or
as Markdown with boxes, reading the line or the text at a position, locating a phrase, and continuing a text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from microfiche.decoder.generation import Generated, generate
from microfiche.decoder.moe import MoEConfig, MoEDecoder, Routing
from microfiche.decoder.prompts import LOCATE, prompt
from microfiche.errors import UsageError
from microfiche.nano import vocabulary
from microfiche.nano.cells import Nano
from microfiche.nano.print import PrintModel
from microfiche.nano.vocabulary import BEGIN, END, SIZE
from microfiche.page import Page, Reading, VisionTokens
from microfiche.weights.stored import Kind, load

READ = "<image>\nRead the {what} at {place}."  #: our own: no published prompt asks for a part of a page
PARTS = {"line": "line", "box": "text"}  #: what the prompt calls the part to read, by task
_PLACE = re.compile(r"(line|box):(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")
NANO_READER = MoEConfig(
    vocabulary=SIZE, width=256, layers=6, heads=4, dense=704, experts=16, shared=1, chosen=4, expert=128
)


class AnswerDecoder(nn.Module):
    """Answers questions about pages. `config.width` is its width; the vision tokens are `token_width` wide."""

    def __init__(self, config: MoEConfig, token_width: int) -> None:
        super().__init__()
        self.config = config
        self.decoder = MoEDecoder(config)
        self.projector = nn.Linear(token_width, config.width)
        self.newline = nn.Parameter(torch.randn(config.width) * config.width**-0.5)
        self.separator = nn.Parameter(torch.randn(config.width) * config.width**-0.5)
        nn.init.zeros_(self.decoder.lm_head.weight)
        nn.init.normal_(self.decoder.embed_tokens.weight, std=config.width**-0.5)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config.layers} layers of {self.config.width})"

    def arranged(self, values: Float[Tensor, "n width"], height: int, width: int) -> Float[Tensor, "t d"]:
        """(height · width, token width) tokens of a page → its (height · (width + 1) + 1, D) vectors, with newlines and
        separator."""
        rows = self.projector(values.to(self.newline)).to(self.newline).view(height, width, -1)
        newlines = self.newline.expand(height, 1, -1)
        return torch.cat([torch.cat([rows, newlines], dim=1).flatten(0, 1), self.separator[None]])

    def prompt(self, page: Float[Tensor, "n d"], question: Int[Tensor, " q"]) -> Float[Tensor, "t d"]:
        """(n, D) vectors of a page, (Q,) ids of a question → the (1 + n + Q, D) vectors before an answer."""
        embed, begin = self.decoder.embed_tokens, question.new_tensor([BEGIN])
        return torch.cat([embed(begin), page, embed(question)])

    def forward(
        self,
        pages: Sequence[Float[Tensor, "_ d"]],
        questions: Sequence[Int[Tensor, " _"]],
        answers: Sequence[Int[Tensor, " _"]],
        routings: list[Routing] | None = None,
    ) -> tuple[Float[Tensor, "answered v"], Bool[Tensor, "b t"]]:
        """(n, D) vectors of pages, and for each the (Q,) ids of a question and the (A,) ids of its answer → the (ΣA, V)
        float32 logits of all answers' tokens, each given the true ones before it; and (B, T) bool, false at padding."""
        begins = [len(page) + len(question) for page, question in zip(pages, questions, strict=True)]
        given = [
            torch.cat([self.prompt(page, question), self.decoder.embed_tokens(answer[:-1])])
            for page, question, answer in zip(pages, questions, answers, strict=True)
        ]
        x = nn.utils.rnn.pad_sequence(given, batch_first=True)
        hidden = self.decoder(x, routings=routings)
        seen = [one[begin : begin + len(a)] for one, begin, a in zip(hidden, begins, answers, strict=True)]
        lengths = torch.tensor([len(one) for one in given], device=x.device)
        return self.decoder.logits(torch.cat(seen)), torch.arange(x.shape[1], device=x.device) < lengths[:, None]

    def generate(
        self, pages: Sequence[Tensor], questions: Sequence[Tensor], limit: int | None = None
    ) -> list[Generated]:
        """Generates the likeliest answer to each question, token by token, and cuts it if it loops; see
        decoder/generation.py.

        No n-gram is banned, because tokens are characters here, and they repeat more than the tokens of words do (rules
        of tables, rows of dots).
        """
        prompts = [self.prompt(page, question) for page, question in zip(pages, questions, strict=True)]
        return generate(self.decoder, prompts, END, limit, no_repeat=None)


class PromptedNano:
    """A reader that can be asked questions: `nano` encodes pages to vision tokens, `decoder` answers."""

    def __init__(self, nano: Nano | PrintModel, decoder: AnswerDecoder) -> None:
        self.nano, self.decoder, self.checkpoint = nano, decoder, nano.checkpoint

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.checkpoint})"

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the vision tokens of each page, in a grid of squares that begins at the page's corner."""
        return self.nano.encode(pages, cut=False) if isinstance(self.nano, PrintModel) else self.nano.encode(pages)

    def read(
        self, tokens: Sequence[VisionTokens], task: str = "free", prefix: str = "", limit: int | None = None
    ) -> list[Reading]:
        """Asks the same question about each page and returns the answers; see `answers`."""
        return self.answers(tokens, [task] * len(tokens), [prefix] * len(tokens), limit)

    @torch.inference_mode()
    def answers(
        self,
        tokens: Sequence[VisionTokens],
        tasks: Sequence[str],
        prefixes: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[Reading]:
        """Asks a question of its own about each page and returns the likeliest answers. They are generated together;
        `limit` is the most characters and marks of one.

        A task is "free", "markdown", "locate:WORDS", or "line:X1,Y1,X2,Y2" or "box:X1,Y1,X2,Y2" with positions from 0
        to 999. A prefix is the beginning of the answer, which continues from there. Raises UsageError for another task
        or a character that is not in the alphabet, and CheckpointError for tokens of another checkpoint.
        """
        self.nano.own(tokens)
        device = self.decoder.newline.device
        begun = prefixes or [""] * len(tokens)
        questions = [question(reader_prompt(task), prefix, device) for task, prefix in zip(tasks, begun, strict=True)]
        pages = [self.decoder.arranged(squares_of(page).to(device), page.height, page.width) for page in tokens]
        found = self.decoder.generate(pages, questions, limit)
        return [Reading(vocabulary.decode(one.tokens), status=one.status) for one in found]


def squares_of(page: VisionTokens) -> Float[Tensor, "n width"]:
    """The (height · width, token width) tokens of all squares of a page, row by row; zeros where there is no ink."""
    if page.places is None:
        return page.values
    grid = page.values.new_zeros(page.height * page.width, page.values.shape[1])
    row, column = torch.from_numpy(page.places[:, 1:]).long().T
    grid[row * page.width + column] = page.values
    return grid


def load_prompted(nano: Nano | PrintModel, path: str | Path) -> PromptedNano:
    """Loads the prompted reader in a file; `nano` must be the model whose tokens it was trained on. Raises
    CheckpointError if it is not, or if the file is damaged. No such weights ship (docs/reader.md)."""
    weight = next(nano.parameters())
    return PromptedNano(nano, load(READER, path, weight.device, weight.dtype, nano.checkpoint))


def reader_prompt(task: str) -> str:
    """Returns the prompt of a task that `PromptedNano.answers` takes. Raises UsageError for any other."""
    place = _PLACE.fullmatch(task.replace(" ", ""))
    if place:
        part, *box = place.groups()
        return READ.format(what=PARTS[part], place=f"<|det|>{[list(map(int, box))]}<|/det|>")
    if task in ("free", "markdown") or task.startswith(LOCATE):
        return prompt(task)
    raise UsageError(
        f"no task {task!r}; there are free, markdown, locate:WORDS, line:X1,Y1,X2,Y2 and box:X1,Y1,X2,Y2 (0 to 999)"
    )


def question(prompt: str, prefix: str, device: torch.device) -> Int[Tensor, " q"]:
    """Returns the (Q,) ids that stand between a page and the answer: the prompt after its <image>, and the prefix."""
    return torch.from_numpy(vocabulary.encode(prompt.removeprefix("<image>") + prefix)).to(device)


READER = Kind(
    "microfiche-reader-1",
    lambda head, _: AnswerDecoder(MoEConfig(**head["config"]), head["token_width"]),
    lambda model: {"config": asdict(model.config), "token_width": model.projector.in_features},
)
