"""Nano for print: pages of proportional type in, vision tokens, lines of text out. Files are checkpoints' business."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch

from microfiche.nano.model import NanoConfig, NanoModel
from microfiche.nano.tracing import PrintedLine, PrintReadout
from microfiche.page import UNTRAINED, Checkpoint, VisionTokens


class NanoPrint(NanoModel):
    """Reads print that says nothing of its setting: `encoder` makes vision tokens of ink, `readout` makes lines."""

    readout: PrintReadout

    def __init__(self, config: NanoConfig, checkpoint: Checkpoint = UNTRAINED) -> None:
        readout = PrintReadout(
            config.stem[-1], config.token_width, config.readout_layers, config.square_width, config.hidden
        )
        super().__init__(config, readout, checkpoint)

    def read(self, tokens: VisionTokens | Sequence[VisionTokens]) -> str:
        """The text of one page, or of several one after another, a line for each line of type, from the top down.

        Columns are not told apart here: `documents` puts lines in order.
        """
        several = [tokens] if isinstance(tokens, VisionTokens) else tokens
        return "".join(line.text + "\n" for page in self.read_each(several) for line in page)

    @torch.inference_mode()
    def read_each(self, tokens: Iterable[VisionTokens]) -> Iterator[list[PrintedLine]]:
        """The lines of each page from the top, one page after another as tokens come; CheckpointError for tokens of
        another checkpoint."""
        for batch in self._batches(tokens, lambda t: (t.height, t.width)):
            self.own(batch)
            values = torch.stack([page.values for page in batch]).to(self._device, self._dtype)
            for page, squares in zip(batch, self._squares(values), strict=False):
                yield self.readout.read(squares, page.height, page.width)
