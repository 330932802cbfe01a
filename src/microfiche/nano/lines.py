"""The line decoder: the mixture-of-experts language model reads a page's lines, each as a sequence of its own.

The sequence of a line begins with the vision tokens of the row it stands in. Each further step sees what the readout
sees in the next cell, and the character before it. The decoder's logits are added to the readout's, so that before
training it reads what the readout reads. `greedy` decodes cell by cell. `verified` checks a draft in one pass, keeps
what it agrees with and goes on from the first disagreement, and so arrives at the same characters (speculative
decoding, arXiv 2211.17192, with a greedy model). It knows nothing of pages or files.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from microfiche.decoder.cache import Cache
from microfiche.decoder.moe import MoEConfig, MoEDecoder, Routing
from microfiche.nano.readout import HALF_CLASSES, LEFT, RIGHT
from microfiche.typesetting.alphabet import N_FULL
from microfiche.weights.stored import Kind

#: Classes of a cell: those of the readout's half head, then one for each full-width character that begins there.
CLASSES = HALF_CLASSES + N_FULL
NANO_LINES = MoEConfig(
    vocabulary=CLASSES, width=192, layers=3, heads=3, dense=512, experts=8, shared=1, chosen=2, expert=192, context=1024
)
BEGIN = LEFT  #: stands before a line; no cell has this class


@dataclass(frozen=True)
class Lines:
    """L lines of C cells. `tokens` (L, P, token width) are the vision tokens of their rows, `seen` (L, C, S) what the
    readout sees in each cell, and `base` (L, C, V) its logits, −∞ for what cannot stand there. V is HALF_CLASSES, or
    CLASSES if the density draws full-width characters."""

    tokens: Float[Tensor, "l p width"]
    seen: Float[Tensor, "l c s"]
    base: Float[Tensor, "l c v"]

    def __getitem__(self, rows: Tensor) -> Lines:
        return Lines(self.tokens[rows], self.seen[rows], self.base[rows])

    def __len__(self) -> int:
        return len(self.base)


class LineDecoder(nn.Module):
    """Reads lines. `config.width` is its width; its vocabulary is the CLASSES."""

    def __init__(self, config: MoEConfig, seen: int, token_width: int) -> None:
        super().__init__()
        self.config = config
        self.decoder = MoEDecoder(config)
        self.token = nn.Linear(token_width, config.width)
        self.cell = nn.Linear(seen, config.width)
        nn.init.zeros_(self.decoder.lm_head.weight)
        nn.init.normal_(self.decoder.embed_tokens.weight, std=config.width**-0.5)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config.layers} layers of {self.config.width})"

    @classmethod
    def for_nano(cls, hidden: int, token_width: int, **sizes: Any) -> LineDecoder:
        """Builds a decoder in nano's dimensions, with `sizes` changed, for a readout of width `hidden` and tokens of
        `token_width`."""
        return cls(replace(NANO_LINES, **sizes), 2 * hidden, token_width)

    def forward(
        self, lines: Lines, before: Int[Tensor, "l c"], routings: list[Routing] | None = None
    ) -> Float[Tensor, "l c v"]:
        """(L, C) the class before each cell, BEGIN for the first → (L, C, V) float32 logits."""
        prefix = self.token(lines.tokens)
        x = torch.cat([prefix, self.cell(lines.seen) + self.decoder.embed_tokens(before)], dim=1)
        return self._logits(self.decoder(x, routings=routings)[:, prefix.shape[1] :], lines.base, before)

    def _logits(self, hidden: Tensor, base: Tensor, before: Tensor) -> Tensor:
        logits = base + nn.functional.linear(hidden, self.decoder.lm_head.weight[: base.shape[-1]])
        # Only the right half of a full-width character can follow its left half.
        if base.shape[-1] == HALF_CLASSES:
            return logits.index_fill(-1, torch.tensor(RIGHT, device=base.device), -torch.inf)
        after_full = before >= HALF_CLASSES
        right = torch.where(after_full, logits[..., RIGHT].clamp(min=-100), -torch.inf)
        logits = logits.masked_fill(after_full[..., None], -torch.inf)
        logits[..., RIGHT] = right
        return logits

    @torch.inference_mode()
    def greedy(self, lines: Lines) -> Int[Tensor, "l c"]:
        """Returns the (L, C) likeliest classes, decoded one cell of every line after another."""
        c, (count, cells) = self.config, lines.base.shape[:2]
        prefix = self.token(lines.tokens)
        cache = Cache(
            c.layers, count, c.heads, prefix.shape[1] + cells, c.head_width, prefix.device, prefix.dtype
        )
        self.decoder(prefix, cache)
        cache.advance(prefix.shape[1], prefix.shape[1])
        seen = self.cell(lines.seen)
        read = torch.full((count, cells + 1), BEGIN, device=prefix.device)
        for i in range(cells):
            x = seen[:, i : i + 1] + self.decoder.embed_tokens(read[:, i : i + 1])
            hidden = self.decoder(x, cache)
            cache.advance(1, prefix.shape[1] + i + 1)
            read[:, i + 1] = self._logits(hidden, lines.base[:, i : i + 1], read[:, i : i + 1])[:, 0].argmax(-1)
        return read[:, 1:]

    @torch.inference_mode()
    def verified(
        self, lines: Lines, draft: Int[Tensor, "l c"]
    ) -> tuple[Int[Tensor, "l c"], Float[Tensor, "l c"], list[int]]:
        """Returns what `greedy` would read, found by checking the (L, C) `draft`: the (L, C) classes, their
        probabilities, and the number of lines in each pass.

        A pass reads all cells of a line as if the draft before each were right. Its reading is final up to and
        including the first cell where it differs from the draft; the next pass checks the rest of the draft from there.
        """
        read, sure = draft.clone(), torch.zeros(draft.shape, device=draft.device)
        cells = torch.arange(draft.shape[1], device=draft.device)
        settled = torch.zeros(len(draft), dtype=torch.int64, device=draft.device)  # final cells of each line
        left = torch.arange(len(draft), device=draft.device)
        passes = []
        while len(left):
            passes.append(len(left))
            given = read[left]
            before = torch.cat([torch.full_like(given[:, :1], BEGIN), given[:, :-1]], dim=1)
            probability, found = self(lines[left], before).softmax(-1).max(-1)
            differs = (found != given) & (cells >= settled[left, None])
            first = torch.where(differs.any(1), differs.int().argmax(1), draft.shape[1])
            stands = cells <= first[:, None]
            read[left] = torch.where(stands, found, given)
            sure[left] = torch.where(stands, probability, sure[left])
            settled[left] = first + 1
            left = left[first + 1 < draft.shape[1]]
        return read, sure, passes


LINES = Kind(
    "microfiche-lines-1",
    lambda head, _: LineDecoder(MoEConfig(**head["config"]), head["seen"], head["token_width"]),
    lambda model: {
        "config": asdict(model.config),
        "seen": model.cell.in_features,
        "token_width": model.token.in_features,
    },
)
