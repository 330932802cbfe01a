"""The language pass: what a reader of print saw along the lines of a page → the same, corrected by what text usually
says.

It sees no pixels. Of each frame it gets the likeliest characters with their probabilities, and how probable it is that
a character's centre is there; it returns logits of the same kind, which begin as what it was given. A position stands
for two frames. Positions attend to each other within a window of a few lines, with rotary positions, and every block
also sees the positions beside its own. Trained on what the reader sees of real pages and of random strings, it learns
where to believe its eyes. It knows nothing of models for print, nor of lines' places on a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.nano.encoder import GlobalBlock, rotate
from microfiche.page import UNTRAINED, Checkpoint
from microfiche.typesetting.alphabet import N_HALF
from microfiche.weights.stored import Kind

LIKELIEST = 8  #: characters of each frame that are looked at
GAP = 4  #: frames between two lines
WINDOW = 512  #: frames that are looked at together
MARGIN = 32  #: frames at both ends of a window that are only looked at
_NOTHING = N_HALF  #: the kind of a frame between two lines
_FAINTEST = -8.0  #: the logarithm of the probability at which a character stops to be seen
_BELOW = 2.0  #: nats by which other characters lie below the last of the likeliest
_SUREST = 16.0  #: the largest logit of a centre
_BATCH = 16  #: windows that are looked at in one go


@dataclass(frozen=True)
class LanguageConfig:
    """`code` is the width of a frame's characters, `width` that of a position, `hidden` that of a frame's answer.
    Logits are divided by `temperature`, so that probabilities are what they say."""

    code: int = 64
    width: int = 192
    layers: int = 4
    heads: int = 3
    hidden: int = 128
    temperature: float = 1.0

    @classmethod
    def of(cls, given: dict[str, Any]) -> LanguageConfig:
        """Builds the configuration from TOML or JSON. Raises ValueError for widths that the heads cannot share."""
        config = cls(**given)
        if not config.temperature > 0:
            raise ValueError(f"temperature is {config.temperature}; it must be above 0")
        if config.width % (4 * config.heads):
            raise ValueError(f"width is {config.width}; it must be a multiple of 4 · heads, {4 * config.heads}")
        return config


def beside(x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """(B, N, D) → the same shape: a quarter of each position's numbers are those of the position before, and a quarter
    those of the one behind."""
    quarter = x.shape[-1] // 4
    before = F.pad(x[:, :-1, :quarter], (0, 0, 1, 0))
    behind = F.pad(x[:, 1:, quarter : 2 * quarter], (0, 0, 0, 1))
    return torch.cat([before, behind, x[..., 2 * quarter :]], dim=-1)


class Block(GlobalBlock):
    """Pre-norm attention over the positions of a window with rotary positions, then an MLP; both see neighbours."""

    def __init__(self, config: LanguageConfig) -> None:
        width = config.width
        super().__init__(width, width // config.heads)
        self.fc1 = nn.Linear(width, 3 * width)
        self.fc2 = nn.Linear(3 * width, width)

    def forward(self, x: Float[Tensor, "b n d"], angles: Float[Tensor, "n half"]) -> Float[Tensor, "b n d"]:
        """(B, N, D) → (B, N, D), with the angles of each position."""
        b, n, d = x.shape
        q, k, v = self.qkv(beside(self.norm1(x))).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        # As plain products, which on a processor takes a third of the time of torch's fused attention.
        alike = rotate(q * (d // self.heads) ** -0.5, angles) @ rotate(k, angles).transpose(2, 3)
        attended = alike.softmax(-1).to(v.dtype) @ v
        x = x + self.proj(attended.transpose(1, 2).reshape(b, n, d))
        return x + self.fc2(F.gelu(self.fc1(beside(self.norm2(x)))))


class LanguagePass(nn.Module):
    """Corrects the logits of frames. `checkpoint` is the name and SHA-256 of its weights."""

    def __init__(self, config: LanguageConfig, checkpoint: Checkpoint = UNTRAINED) -> None:
        super().__init__()
        self.config, self.checkpoint = config, checkpoint
        frame = 2 * config.code + 2
        self.likely = nn.Embedding(N_HALF + 1, config.code)
        self.possible = nn.Embedding(N_HALF + 1, config.code)
        self.merge = nn.Linear(4 * frame, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.split = nn.Linear(config.width, 2 * config.hidden)
        self.look = nn.Linear(frame, config.hidden)
        self.head = nn.Linear(config.hidden, N_HALF + 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.checkpoint})"

    def forward(
        self, kinds: Int[Tensor, "b f likeliest"], chances: Float[Tensor, "b f likeliest"], centre: Float[Tensor, "b f"]
    ) -> Float[Tensor, "b f classes"]:
        """(B, F, LIKELIEST) characters and logarithms of their probabilities, likeliest first, and (B, F) logits of a
        centre → (B, F, N_HALF + 1) logits of the character at each frame, and that its centre is there. F is even."""
        b, f, _ = kinds.shape
        dtype = self.merge.weight.dtype
        flat = kinds.flatten(0, 1)
        likely, possible = (
            F.embedding_bag(flat, table.weight.float(), mode="sum", per_sample_weights=weights.flatten(0, 1).float())
            for table, weights in (
                (self.likely, chances.exp()), (self.possible, (1 - chances / _FAINTEST).clamp(min=0)),
            )
        )  # fmt: skip
        sure = torch.stack([centre.sigmoid(), centre / _SUREST], -1).float()
        frames = torch.cat([likely.view(b, f, -1), possible.view(b, f, -1), sure], -1).to(dtype)
        around = F.pad(frames, (0, 0, 1, 1)).unfold(1, 4, 2).transpose(2, 3).flatten(2)
        x = self.merge(around)
        angles = _angles(f // 2, self.config.width // self.config.heads, x.device)
        for block in self.blocks:
            x = block(x, angles)
        x = self.split(self.norm(x)).view(b, f, -1) + self.look(frames)
        change = self.head(F.gelu(x)).float()
        rest = (chances[..., -1:] - _BELOW).expand(b, f, N_HALF + 1)
        given = rest.scatter(2, kinds, chances)[..., :N_HALF]
        return torch.cat([given, centre[..., None]], -1) + change

    @torch.inference_mode()
    def corrected(
        self, logits: Float[Tensor, "f classes"], lengths: Sequence[int]
    ) -> Float[Tensor, "f classes"]:
        """(F, N_HALF + 1) float32 logits of a page's frames, line after line, with the number of frames of each line →
        the same, corrected; −∞ stays. What comes out does not depend on other pages."""
        device = self.head.weight.device
        place = frames_between(lengths)
        count = int(place[-1]) + 1 + GAP
        chances, kinds = logits[:, :-1].log_softmax(-1).topk(LIKELIEST, dim=-1)
        at = torch.from_numpy(place)
        step = WINDOW - 2 * MARGIN
        windows = max(1, -(-(count - 2 * MARGIN) // step))
        whole = windows * step + 2 * MARGIN
        all_kinds, all_chances, all_centres = gaps(whole)
        all_kinds[at], all_chances[at] = kinds.cpu(), chances.cpu()
        all_centres[at] = logits[:, -1].clamp(-_SUREST, _SUREST).cpu()
        found = torch.empty(whole, N_HALF + 1)
        for first in range(0, windows, _BATCH):
            chosen = range(first, min(windows, first + _BATCH))
            parts = (
                torch.stack([values[step * i : step * i + WINDOW] for i in chosen]).to(device)
                for values in (all_kinds, all_chances, all_centres)
            )
            for i, one in zip(chosen, self(*parts).cpu(), strict=True):
                begin = 0 if i == 0 else MARGIN
                found[step * i + begin : step * i + WINDOW] = one[begin:]
        better = found[at].to(logits.device) / self.config.temperature
        return torch.where(logits == -torch.inf, logits, better)


def frames_between(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Where the frames of lines of these `lengths` stand, with GAP frames before each line, (F,) int64."""
    before = np.repeat(np.arange(1, len(lengths) + 1) * GAP, lengths)
    return np.arange(len(before)) + before


def gaps(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """`kinds`, `chances` and `centre` of frames between lines, as `forward` takes them of one window."""
    kinds = torch.full((count, LIKELIEST), _NOTHING)
    chances = torch.full((count, LIKELIEST), 2 * _FAINTEST)
    chances[:, 0] = 0
    return kinds, chances, torch.full((count,), -_SUREST)


def _angles(count: int, head_width: int, device: torch.device) -> Float[Tensor, "n half"]:
    """Returns the (N, head width / 2) angles by which heads are turned at each position."""
    half = head_width // 2
    frequencies = 1000.0 ** (-torch.arange(half, device=device) / half)
    return torch.arange(count, device=device)[:, None] * frequencies


LANGUAGE = Kind(
    "microfiche-language-1",
    lambda head, checkpoint: LanguagePass(LanguageConfig.of(head["config"]), checkpoint),
    lambda model: {"config": asdict(model.config)},
)
