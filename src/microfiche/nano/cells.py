"""Nano, the codec: encoder and readout as one model, typeset pages in, vision tokens, text out. Files are checkpoints'
business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from microfiche.errors import UsageError
from microfiche.nano.lines import LineDecoder, Lines
from microfiche.nano.model import NanoConfig, NanoModel, Reading
from microfiche.nano.readout import HALF_CLASSES, LEFT, RIGHT, Places, Readout, centres, places
from microfiche.page import TOKEN_SIDE, UNTRAINED, Checkpoint, VisionTokens
from microfiche.typesetting import density as densities
from microfiche.typesetting.alphabet import END, N_HALF
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import Density
from microfiche.typesetting.typesetter import boxes, ids_to_text, text_cells

EARLY_END = -100.0  #: log-probability that the text ends where more of it follows


class Nano(NanoModel):
    """The nano codec: `encoder` makes vision tokens of ink, `readout` makes characters of them."""

    readout: Readout

    def __init__(self, config: NanoConfig, checkpoint: Checkpoint = UNTRAINED) -> None:
        readout = Readout(
            config.stem[-1], config.token_width, config.readout_layers, config.square_width, config.hidden
        )
        super().__init__(config, readout, checkpoint)

    def read(
        self,
        tokens: VisionTokens | Sequence[VisionTokens],
        decoder: LineDecoder | None = None,
        lines: range | None = None,
    ) -> str:
        """The text of one page, or of several one after another; with `lines`, from 0, only of those of each page.

        The readout reads; a `decoder` checks and corrects it.
        """
        several = [tokens] if isinstance(tokens, VisionTokens) else tokens
        return "".join(reading.text for reading in self.read_each(several, decoder, lines))

    @torch.inference_mode()
    def read_each(
        self, tokens: Iterable[VisionTokens], decoder: LineDecoder | None = None, lines: range | None = None
    ) -> Iterator[Reading]:
        """The reading of each page, one after another as tokens come.

        CheckpointError for tokens of another checkpoint, UsageError for those of a page that was not typeset.
        """
        for batch in self._batches(tokens, lambda t: (t.height, t.width, t.setting)):
            self.own(batch)
            first = batch[0]
            if first.setting is None:
                raise UsageError("nano reads only pages that Microfiche typeset")
            values = torch.stack([page.values for page in batch]).to(self._device, self._dtype)
            density, scale = densities.density(first.setting.density), first.setting.scale
            for one, squares in zip(values, self._squares(values), strict=False):
                if decoder is None:
                    cells, confidence = self._cells(squares, density, first.height, first.width, scale)
                else:
                    seen = self.lines(one, first.height, first.width, density, squares, scale)
                    cells, confidence = _decoded(decoder, seen)
                shown = np.zeros(cells.shape, bool)
                shown[slice(None) if lines is None else lines] = True
                where = text_cells(cells, "lines" if first.setting.layout == "lines" else "dense")
                where = where[shown.reshape(-1)[where]]
                ids = cells.reshape(-1)[where]
                around = np.rint(boxes(where, ids, cells.shape[1], density) * scale).astype(np.int32)
                yield Reading(ids_to_text(ids), confidence.reshape(-1)[where], around)

    def lines(
        self,
        values: Tensor,
        height: int,
        width: int,
        density: Density,
        squares: Tensor | None = None,
        scale: float = 1.0,
    ) -> Lines:
        """What the line decoder is given of one page: (height · width, token width) tokens, on the model's device,
        and the (height · width · 64, square width) squares they unfold to, if they are at hand."""
        rows, columns = grid(density, height, width, scale)
        squares = self.readout.unfold(values[None]) if squares is None else squares

        def see(full: bool) -> Tensor:
            at = places(density, rows, columns, height, width, full, scale)
            return self._see(squares, at, np.arange(rows * columns)).view(rows, columns, -1)

        seen = see(full=False)  # (rows, columns, hidden)
        base = self.readout.half_logits(seen).float().log_softmax(-1)
        if density.wide:
            wide = see(full=True)
            full = self.readout.full_logits(wide).float().log_softmax(-1) + base[..., LEFT : LEFT + 1]
            full[:, -1] = -torch.inf
            base, seen = torch.cat([base, full], dim=-1), torch.cat([seen, wide], dim=-1)
        else:
            seen = torch.cat([seen, torch.zeros_like(seen)], dim=-1)
        unreadable = ~_readable(density)
        unreadable[LEFT] = True
        never = torch.zeros(base.shape[-1], dtype=torch.bool)
        never[: len(unreadable)] = torch.from_numpy(unreadable)
        base = base.masked_fill(never.to(base.device), -torch.inf)
        base[~_after_text(base), END] = EARLY_END
        row = centres(density, rows, columns, scale=scale)[0][:, 0] // TOKEN_SIDE
        tokens = values.view(height, width, -1)[torch.from_numpy(row).to(values.device)]
        return Lines(tokens, seen, base)

    def likely(self, values: Tensor, height: int, width: int, density: Density) -> Tensor:
        """(B, height · width, token width) pages of one density → (B, rows, columns, HALF_CLASSES) float32, how likely
        each of their half-width cells is of each class."""
        rows, columns = grid(density, height, width)
        at = places(density, rows, columns, height, width)
        squares = self.readout.unfold(values.to(self._device, self._dtype))
        seen = [self._see(page, at, np.arange(rows * columns)) for page in squares.chunk(len(values))]
        return self.readout.half_logits(torch.stack(seen)).float().softmax(-1).view(len(values), rows, columns, -1)

    def _see(self, squares: Tensor, at: Places, chosen: NDArray[np.int64]) -> Tensor:
        """(n, hidden) what the readout sees at the `chosen` of a page's places."""
        indices = torch.from_numpy(at.squares.reshape(-1, 4)[chosen]).to(squares.device)
        return self.readout.see(squares, indices, torch.from_numpy(at.place.reshape(-1)[chosen]).to(squares.device))

    def _cells(
        self, squares: Tensor, density: Density, height: int, width: int, scale: float
    ) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """(rows, columns) cells of one page's (height · width · 64, square width) squares, and their probability."""
        rows, columns = grid(density, height, width, scale)
        at = places(density, rows, columns, height, width, scale=scale)
        logits = self.readout.half_logits(self._see(squares, at, np.arange(rows * columns)))
        unreadable = torch.from_numpy(np.flatnonzero(~_readable(density))).to(logits.device)
        logits.index_fill_(1, unreadable, -torch.inf)
        probability, half = _likeliest(logits)
        last = int(np.flatnonzero(half)[-1]) if half.any() else 0
        early = (half == END) & (np.arange(rows * columns) < last)  # the text cannot be over where more of it follows
        stray = (half == RIGHT) & (np.roll(half, 1) != LEFT)  # nor can there be half a character
        for wrong, classes in ((early, [END]), (stray, [END, LEFT, RIGHT])):
            if wrong.any():
                others = logits[torch.from_numpy(wrong).to(logits.device)]
                others[:, classes] = -torch.inf
                probability[wrong], half[wrong] = _likeliest(others)
        cells = np.where(half < N_HALF, half, 0).astype(np.uint16)
        left = np.flatnonzero((half == LEFT) & (np.arange(rows * columns) % columns < columns - 1))
        if len(left):
            at = places(density, rows, columns, height, width, full=True, scale=scale)
            sure, k = _likeliest(self.readout.full_logits(self._see(squares, at, left)))
            cells[left] = N_HALF + 2 * k
            cells[left + 1] = N_HALF + 2 * k + 1
            probability[left] *= sure
        return cells.reshape(rows, columns), probability.reshape(rows, columns)


def _likeliest(logits: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(n,) the highest probability of each of (n, V) logits and its class."""
    probability, found = logits.softmax(-1, dtype=torch.float32).max(-1)
    return probability.cpu().numpy(), found.cpu().numpy()


def grid(density: Density, height: int, width: int, scale: float = 1.0) -> tuple[int, int]:
    """Rows and columns of half-width cells on a page of `height` × `width` tokens that was shrunk to `scale`."""
    rows, columns = (round(n * TOKEN_SIDE / scale) for n in (height, width))
    return rows // density.height, columns // density.width


def _decoded(decoder: LineDecoder, lines: Lines) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """(rows, columns) cells as the decoder reads them, and their probability."""
    read, sure, _ = decoder.verified(lines, lines.base.argmax(-1))
    found = read.cpu().numpy()
    cells = np.where(found < N_HALF, found, 0).astype(np.uint16)
    rows, columns = np.nonzero(found >= HALF_CLASSES)
    cells[rows, columns] = N_HALF + 2 * (found[rows, columns] - HALF_CLASSES)
    cells[rows, columns + 1] = cells[rows, columns] + 1
    return cells, sure.cpu().numpy()


def _after_text(base: Tensor) -> Tensor:
    """(rows, columns) bool, whether nothing is read in any later cell: where the text may end."""
    read = base.argmax(-1).flatten()
    text = ((read != 0) & (read != END)).nonzero()
    last = int(text[-1]) if len(text) else -1
    return (torch.arange(len(read), device=read.device) > last).view(base.shape[:2])


def _readable(density: Density) -> NDArray[np.bool_]:
    """(HALF_CLASSES,) whether a half-width cell of the density can be of that class."""
    readable = np.zeros(HALF_CLASSES, bool)
    readable[:N_HALF] = atlas(density).drawn[:N_HALF]
    readable[N_HALF:] = density.wide
    return readable


