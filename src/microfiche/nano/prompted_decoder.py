"""The prompted reader: the mixture-of-experts language model over nano's vision tokens, as DeepSeek-OCR has it.

A linear projector brings a page's tokens to the decoder's width; a newline vector ends each row of them and a separator
the page; then come the question and, one token after another, the answer. It knows nothing of what is asked.
After arXiv 2510.18234, sections 3.2 and 3.3, and the published code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from microfiche.decoder.generation import Generated, generate
from microfiche.decoder.moe import MoEConfig, MoEDecoder, Routing
from microfiche.nano.vocabulary import BEGIN, END, SIZE

NANO_READER = MoEConfig(
    vocabulary=SIZE, width=256, layers=6, heads=4, dense=704, experts=16, shared=1, chosen=4, expert=128
)


class Reader(nn.Module):
    """Answers questions about pages; `config.width` wide, over vision tokens of `token_width`."""

    def __init__(self, config: MoEConfig, token_width: int) -> None:
        super().__init__()
        self.config = config
        self.decoder = MoEDecoder(config)
        self.projector = nn.Linear(token_width, config.width)
        self.newline = nn.Parameter(torch.randn(config.width) * config.width**-0.5)
        self.separator = nn.Parameter(torch.randn(config.width) * config.width**-0.5)
        nn.init.zeros_(self.decoder.lm_head.weight)
        nn.init.normal_(self.decoder.embed_tokens.weight, std=config.width**-0.5)

    def arranged(self, values: Tensor, height: int, width: int) -> Tensor:
        """(height · width, token width) tokens of a page → the (height · (width + 1) + 1, D) vectors of it."""
        rows = self.projector(values.to(self.newline)).to(self.newline).view(height, width, -1)
        newlines = self.newline.expand(height, 1, -1)
        return torch.cat([torch.cat([rows, newlines], dim=1).flatten(0, 1), self.separator[None]])

    def prompt(self, page: Tensor, question: Tensor) -> Tensor:
        """(n, D) vectors of a page, (T,) ids → the (1 + n + T, D) vectors before an answer."""
        embed, begin = self.decoder.embed_tokens, question.new_tensor([BEGIN])
        return torch.cat([embed(begin), page, embed(question)])

    def forward(
        self,
        pages: Sequence[Tensor],
        questions: Sequence[Tensor],
        answers: Sequence[Tensor],
        routings: list[Routing] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(n, D) vectors of pages, and for each the (Q,) ids of a question and the (A,) ids of its answer → the
        (ΣA, V) float32 logits of all answers' tokens, each after the true ones before it, and (B, T) bool, where a
        token stands and no padding."""
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
        """The likeliest answer to each question, token by token, cut where it loops; see `generation.generate`.

        Characters repeat as the tokens of words do not (rules of tables, rows of dots), so no n-gram is banned.
        """
        prompts = [self.prompt(page, question) for page, question in zip(pages, questions, strict=True)]
        return generate(self.decoder, prompts, END, limit, no_repeat=None)
