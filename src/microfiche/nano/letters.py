"""Nano's second readout: it reads lines with letters and signs beyond the alphabet from the tokens that nano makes.

It has a trunk of its own behind nano's decompressor, and beside the classes of a half-width cell one for each of its
letters. Which letters those are stands in the head of its file. It knows nothing of pages.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from microfiche.nano.readout import HALF_CLASSES, OFFSETS, SCALES, Decompressor, Squares
from microfiche.page import Checkpoint
from microfiche.typesetting.density import LEARNED
from microfiche.weights import SHIPPED, shipped
from microfiche.weights.stored import Kind, head_of


@dataclass(frozen=True)
class LetterConfig:
    """The `letters` that a readout knows beside the alphabet, and its widths and depths, as in NanoConfig."""

    letters: str
    width: int = 192
    token_width: int = 1280
    layers: int = 2
    square_width: int = 128
    hidden: int = 256


class LetterReadout(Squares):
    """Reads half-width cells, the letters of its `config` among them, from tokens that nano's decompressor unfolds."""

    def __init__(self, config: LetterConfig) -> None:
        super().__init__(
            config.width, config.token_width, config.layers, config.square_width, config.hidden,
            2 * len(SCALES) * len(LEARNED) * OFFSETS,
        )  # fmt: skip
        del self.decompressor
        self.config = config
        self.head = nn.Linear(config.hidden, HALF_CLASSES + len(config.letters))

    def unfolded(
        self, decompressor: Decompressor, tokens: Float[Tensor, "b n width"]
    ) -> Float[Tensor, "squares d"]:
        """(B, N, token width) → (B·N·64, square width): the pages' 8-px squares in the order of Places."""
        return self.unfold_patches(decompressor(tokens.flatten(0, 1)))

    def logits(self, seen: Float[Tensor, "*m hidden"]) -> Float[Tensor, "*m classes"]:
        """(…, hidden) what is seen in a half-width cell → (…, HALF_CLASSES + letters) logits."""
        found: Tensor = self.head(seen)
        return found


def _built(head: dict[str, Any], _: object) -> LetterReadout:
    return LetterReadout(LetterConfig(**head["config"]))


def letters_ship_for(encoder: Checkpoint) -> bool:
    """Whether the readout of letters that ships reads the tokens of a checkpoint."""
    return "nano-letters" in SHIPPED and head_of(shipped("nano-letters")).get("encoder") == encoder.sha256


LETTERS = Kind("microfiche-letters-1", _built, lambda model: {"config": asdict(model.config)})
