"""Nano for print as it shipped first: pages of proportional type to vision tokens, and those to lines of text.

In print no cell says where a character is. So the tokens are unfolded to squares of 8 px, and the readout is asked
twice. First, each square says in which of its pixel rows the middle of a text line runs, if one does, and how large its
type is. Then, along each line, a frame for every two pixels says which character has its centre there, if any.

The weights `nano-print` are of this kind. Its successor, with a PrintReadout of its own, is nano/print.py, which `train
print` trains and whose weights `nano-pages` ship too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from microfiche.nano.cells import NanoConfig, NanoModel
from microfiche.nano.readout import OFFSETS, SQUARE, Squares, around_centres, square_at
from microfiche.nano.tracing import FIRST_PRINTED, PrintedLine, TracedLine, characters, reading_of, trace
from microfiche.page import PAPER, TOKEN_SIDE, UNTRAINED, Checkpoint, Page, Reading, VisionTokens
from microfiche.typesetting.alphabet import N_HALF
from microfiche.weights.stored import Kind

FRAME = 2  #: width of a frame along a line, in px
NO_LINE = SQUARE  #: the class of a square through which no line's middle runs


class PrintReadout(Squares):
    """Reads lines of type from what it can `see` in unfolded tokens."""

    def __init__(self, width: int, token_width: int, layers: int, square_width: int, hidden: int) -> None:
        super().__init__(width, token_width, layers, square_width, hidden, OFFSETS)
        self.line_head = nn.Linear(square_width, SQUARE + 2)
        self.frame_head = nn.Linear(hidden, N_HALF + 1)

    def line_logits(self, squares: Float[Tensor, "*n d"]) -> tuple[Float[Tensor, "*n 9"], Float[Tensor, "*n"]]:
        """(…, square width) → (…, 9) logits of the pixel row in which a line's middle runs through each square
        (the last class: none), and (…) the binary logarithm of the type's size in px per em."""
        found: Tensor = self.line_head(squares)
        return found[..., : SQUARE + 1], found[..., SQUARE + 1] + 3.5

    def frame_logits(
        self, squares: Float[Tensor, "n d"], at: Int[Tensor, "m 4"], offset: Int[Tensor, " m"]
    ) -> Float[Tensor, "m classes"]:
        """Squares from `unfold`, (m, 4) indices and (m,) offsets from `around_centres` → (m, N_HALF + 1) logits."""
        logits: Tensor = self.frame_head(self.see(squares, at, offset))
        return logits

    def read(self, squares: Float[Tensor, "n d"], height: int, width: int) -> list[PrintedLine]:
        """Reads one page of `height` × `width` tokens from its (height · width · 64, square width) squares. Returns its
        lines from the top down."""
        rows, size = self.line_logits(squares)
        y, x = np.mgrid[: height * TOKEN_SIDE : SQUARE, : width * TOKEN_SIDE : SQUARE]
        grid = square_at(y, x, height, width)
        chance = rows.float().softmax(-1)[..., :NO_LINE].cpu().numpy()[grid]  # (rows of squares, columns, 8)
        lines = trace(chance, np.exp2(size.float().cpu().numpy()[grid]))
        if not lines:
            return []
        xs = [frames(line, width * TOKEN_SIDE) for line in lines]
        ys = [line.at(x) for line, x in zip(lines, xs, strict=True)]
        y = np.clip(np.floor(np.concatenate(ys)), 0, height * TOKEN_SIDE - 1).astype(np.int64)
        x = np.floor(np.concatenate(xs)).astype(np.int64)
        at, offset = (torch.from_numpy(a).to(squares.device) for a in around_centres(y, x, height, width))
        logits = self.frame_logits(squares, at, offset).float()
        logits[:, 1:FIRST_PRINTED] = -torch.inf
        probability = logits.softmax(-1).cpu().numpy()
        ends = np.cumsum([len(x) for x in xs])
        read = (
            characters(line, x, part)
            for line, x, part in zip(lines, xs, np.split(probability, ends[:-1]), strict=True)
        )
        return [line for line in read if line.text.strip()]


def frames(line: TracedLine, width: int) -> NDArray[np.float64]:
    """Returns the x of the middles of a line's frames, in px."""
    first = max(0, int(line.left) // FRAME - 2)
    last = min(width // FRAME, int(line.right) // FRAME + 3)
    return np.arange(first, last, dtype=np.float64) * FRAME + FRAME / 2


class NanoPrint(NanoModel):
    """Reads printed pages, whose typesetting is not known: `encoder` turns ink into vision tokens, `readout` turns
    those into lines."""

    readout: PrintReadout

    def __init__(self, config: NanoConfig, checkpoint: Checkpoint = UNTRAINED) -> None:
        readout = PrintReadout(
            config.stem[-1], config.token_width, config.readout_layers, config.square_width, config.hidden
        )
        super().__init__(config, readout, checkpoint)

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the vision tokens of each page, on the CPU; pages are first padded with white paper to whole squares
        of 64 px."""
        return super().encode([_whole(page) for page in pages])

    @torch.inference_mode()
    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        """Returns the reading of each page, with a line of text for each line of type, from the top down. Raises
        CheckpointError for tokens of another checkpoint."""
        readings = []
        for batch in self._batches(tokens, lambda t: (t.height, t.width)):
            self.own(batch)
            values = torch.stack([page.values for page in batch]).to(self._device, self._dtype)
            for page, squares in zip(batch, self._squares(values), strict=False):
                readings.append(reading_of(self.readout.read(squares, page.height, page.width)))
        return readings


def _whole(page: Page) -> Page:
    missing = [(0, -side % TOKEN_SIDE) for side in page.image.shape[:2]]
    if not any(after for _, after in missing):
        return page
    sides = missing + [(0, 0)] * (page.image.ndim - 2)
    return replace(page, image=np.pad(page.image, sides, constant_values=PAPER))


NANO_PRINT = Kind(
    "microfiche-print-1",
    lambda head, checkpoint: NanoPrint(NanoConfig.of(head["config"]), checkpoint),
    lambda model: {"config": asdict(model.config)},
)
