"""Nano with the prompted reader: pages in, vision tokens, an answer to what is asked of them. A DeepSeek-OCR in small.
Files are checkpoints' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from microfiche.decoder.generation import Status
from microfiche.decoder.prompts import reader_prompt
from microfiche.nano import vocabulary
from microfiche.nano.model import NanoModel
from microfiche.nano.prompted_decoder import Reader
from microfiche.page import Page, VisionTokens


@dataclass(frozen=True)
class Answer:
    """`status` is "ok", "truncated" by the limit or the context, or "looped": it repeated itself and was cut."""

    text: str
    status: Status


class NanoReader:
    """`nano` makes vision tokens of pages, `reader` answers questions about them.

    It is trained for what training/tasks.py asks: reading a page freely or as Markdown with boxes, reading the line or
    the text at a position, locating a phrase, and going on with a text that was begun.
    """

    def __init__(self, nano: NanoModel, reader: Reader) -> None:
        self.nano = nano
        self.reader = reader

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """The vision tokens of each page; see `NanoModel.encode`."""
        return self.nano.encode(pages)

    def answer(self, tokens: VisionTokens, task: str = "free", prefix: str = "", limit: int | None = None) -> str:
        """The answer to one question about one page, greedily; see `answers`."""
        return self.answers([tokens], [task], [prefix], limit)[0].text

    @torch.inference_mode()
    def answers(
        self,
        tokens: Sequence[VisionTokens],
        tasks: Sequence[str],
        prefixes: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[Answer]:
        """The answers to a question about each page, found together; `limit` is the most characters and marks of one.

        A task is "free", "markdown", "locate:WORDS", or "line:X1,Y1,X2,Y2" or "box:X1,Y1,X2,Y2" in positions from 0 to
        999; a prefix is the beginning of the answer, which goes on from there. UsageError for another task or a
        character that the alphabet lacks, CheckpointError for tokens of another checkpoint.
        """
        self.nano.own(tokens)
        device = self.reader.newline.device
        begun = prefixes or [""] * len(tokens)
        questions = [question(reader_prompt(task), prefix, device) for task, prefix in zip(tasks, begun, strict=True)]
        pages = [self.reader.arranged(page.values.to(device), page.height, page.width) for page in tokens]
        found = self.reader.generate(pages, questions, limit)
        return [Answer(vocabulary.decode(one.tokens), one.status) for one in found]


def question(prompt: str, prefix: str, device: torch.device) -> Tensor:
    """(Q,) ids of what comes between a page and the answer: the prompt behind its <image>, and the prefix."""
    return torch.from_numpy(vocabulary.encode(prompt.removeprefix("<image>") + prefix)).to(device)
