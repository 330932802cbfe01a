"""Nano, the codec: encoder and readout in one model, which encodes typeset pages to vision tokens and reads those back;
and the same with a line decoder that checks what the readout reads.

Pages are processed one at a time on the CPU, and elsewhere in batches that are padded to one size. The same page
therefore gives the same tokens and the same text, whatever other pages it comes with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from microfiche.errors import CheckpointError, UsageError
from microfiche.nano.encoder import MAX_SIDE, NanoEncoder, ink_of
from microfiche.nano.lines import LINES, LineDecoder, Lines
from microfiche.nano.readout import HALF_CLASSES, LEFT, RIGHT, SQUARES, Places, Readout, Squares, centres, places
from microfiche.page import TOKEN_SIDE, UNTRAINED, Checkpoint, Page, Reading, VisionTokens
from microfiche.typesetting import density as densities
from microfiche.typesetting.alphabet import END, N_HALF
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import Density
from microfiche.typesetting.typesetter import boxes, ids_to_text, text_cells
from microfiche.weights.stored import Kind, load

T = TypeVar("T")
PAGES_AT_ONCE = 32  #: the size of a batch on an accelerator
EARLY_END = -100.0  #: log-probability of the end of the text in a cell that more text follows


@dataclass(frozen=True)
class NanoConfig:
    """Widths and depths of a nano model."""

    stem: tuple[int, int, int, int] = (32, 64, 128, 192)
    local_layers: int = 2
    token_width: int = 1280
    global_width: int = 384
    global_layers: int = 2
    readout_layers: int = 2
    square_width: int = 128
    hidden: int = 256

    @classmethod
    def of(cls, given: dict[str, Any]) -> NanoConfig:
        """Builds the configuration from JSON or TOML, which have lists instead of tuples."""
        return cls(**{**given, "stem": tuple(given["stem"])} if "stem" in given else given)


class NanoModel(nn.Module):
    """A nano encoder with some readout. It encodes pages to vision tokens; the subclasses read them."""

    def __init__(self, config: NanoConfig, readout: Squares, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.config = config
        self.checkpoint = checkpoint
        self.encoder = NanoEncoder(
            config.stem, config.local_layers, config.token_width, config.global_width, config.global_layers
        )
        self.readout = readout

    @property
    def _device(self) -> torch.device:
        return self.readout.table.device

    @property
    def _dtype(self) -> torch.dtype:
        return self.readout.table.dtype

    @torch.inference_mode()
    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the vision tokens of each page, on the CPU. Raises UsageError for a page whose sides are not
        multiples of 64 px."""
        tokens = []
        for batch in self._batches(pages, lambda page: page.image.shape):
            ink = torch.stack([torch.from_numpy(_ink(page)) for page in batch]).to(self._device, self._dtype)
            for page, values in zip(batch, self.encoder(self._padded(ink)), strict=False):
                height, width = page.image.shape[0] // TOKEN_SIDE, page.image.shape[1] // TOKEN_SIDE
                tokens.append(VisionTokens(values.cpu().clone(), height, width, page.setting, self.checkpoint))
        return tokens

    def own(self, tokens: Sequence[VisionTokens]) -> None:
        """Raises CheckpointError if any of the `tokens` were made by another checkpoint or do not have the shape of its
        own."""
        for page in tokens:
            page.check_made_by(self.checkpoint, self.config.token_width)
            if page.places is not None:
                name = self.checkpoint.name
                raise CheckpointError(f"{name} makes tokens of every square; these have places, so some are left out")

    def _squares(self, values: Tensor) -> Tensor:
        """(B, N, token width) → (B, N · 64, square width)"""
        squares = self.readout.unfold(self._padded(values))
        return squares.view(-1, values.shape[1] * SQUARES, squares.shape[-1])

    def _batches(self, items: Iterable[T], key: Callable[[T], object]) -> Iterator[list[T]]:
        """Groups consecutive items with the same `key` into lists, as long as suits the device."""
        most = 1 if self._device.type == "cpu" else PAGES_AT_ONCE
        for _, alike in groupby(items, key):
            while batch := list(islice(alike, most)):
                yield batch

    def _padded(self, x: Tensor) -> Tensor:
        if self._device.type == "cpu" or len(x) == PAGES_AT_ONCE:
            return x
        return torch.cat([x, x.new_zeros(PAGES_AT_ONCE - len(x), *x.shape[1:])])


class Nano(NanoModel):
    """The nano codec: `encoder` turns ink into vision tokens, `readout` turns those into characters."""

    readout: Readout

    def __init__(self, config: NanoConfig, checkpoint: Checkpoint = UNTRAINED) -> None:
        readout = Readout(
            config.stem[-1], config.token_width, config.readout_layers, config.square_width, config.hidden
        )
        super().__init__(config, readout, checkpoint)

    @torch.inference_mode()
    def read(
        self, tokens: Sequence[VisionTokens], decoder: LineDecoder | None = None, lines: range | None = None
    ) -> list[Reading]:
        """Reads the tokens of each page with the readout or, if there is one, with a `decoder` that checks and corrects
        it. With `lines`, counted from 0, only those lines of each page are returned.

        Raises CheckpointError for tokens of another checkpoint, and UsageError for those of a page that was not
        typeset.
        """
        readings = []
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
                where = text_cells(cells, first.setting.layout)
                where = where[shown.reshape(-1)[where]]
                ids = cells.reshape(-1)[where]
                around = np.rint(boxes(where, ids, cells.shape[1], density) * scale).astype(np.int32)
                readings.append(Reading(ids_to_text(ids), confidence.reshape(-1)[where], around))
        return readings

    def lines(
        self,
        values: Float[Tensor, "n d"],
        height: int,
        width: int,
        density: Density,
        squares: Float[Tensor, "squares width"] | None = None,
        scale: float = 1.0,
    ) -> Lines:
        """Returns the line decoder's input for one page: (height · width, token width) tokens on the model's device,
        and the (height · width · 64, square width) squares that they unfold to, if the caller has them."""
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

    def likely(
        self, values: Float[Tensor, "b n d"], height: int, width: int, density: Density
    ) -> Float[Tensor, "b rows columns classes"]:
        """(B, height · width, token width) tokens of pages of one density → (B, rows, columns, HALF_CLASSES) float32
        probabilities of the classes in each half-width cell."""
        rows, columns = grid(density, height, width)
        at = places(density, rows, columns, height, width)
        squares = self.readout.unfold(values.to(self._device, self._dtype))
        seen = [self._see(page, at, np.arange(rows * columns)) for page in squares.chunk(len(values))]
        return self.readout.half_logits(torch.stack(seen)).float().softmax(-1).view(len(values), rows, columns, -1)

    def _see(self, squares: Tensor, at: Places, chosen: NDArray[np.int64]) -> Tensor:
        """Returns (n, hidden): what the readout sees at the `chosen` places of a page."""
        indices = torch.from_numpy(at.squares.reshape(-1, 4)[chosen]).to(squares.device)
        return self.readout.see(squares, indices, torch.from_numpy(at.place.reshape(-1)[chosen]).to(squares.device))

    def _cells(
        self, squares: Tensor, density: Density, height: int, width: int, scale: float
    ) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Reads one page from its (height · width · 64, square width) squares: (rows, columns) cells and their
        probabilities."""
        rows, columns = grid(density, height, width, scale)
        at = places(density, rows, columns, height, width, scale=scale)
        logits = self.readout.half_logits(self._see(squares, at, np.arange(rows * columns)))
        unreadable = torch.from_numpy(np.flatnonzero(~_readable(density))).to(logits.device)
        logits.index_fill_(1, unreadable, -torch.inf)
        probability, half = _likeliest(logits)
        last = int(np.flatnonzero(half)[-1]) if half.any() else 0
        early = (half == END) & (np.arange(rows * columns) < last)  # the text cannot end where more of it follows
        stray = (half == RIGHT) & (np.roll(half, 1) != LEFT)  # nor can a right half stand alone
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


class NanoLines:
    """Nano with its line decoder: it encodes as nano does, and the decoder reads with the readout's reading as a
    draft."""

    def __init__(self, nano: Nano, decoder: LineDecoder) -> None:
        self.nano, self.decoder, self.checkpoint = nano, decoder, nano.checkpoint

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the vision tokens of each page; see `Nano.encode`."""
        return self.nano.encode(pages)

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        """Returns the reading of each page; see `Nano.read`."""
        return self.nano.read(tokens, self.decoder)


def line_decoder(nano: Nano, path: str | Path = "nano-lines") -> LineDecoder:
    """Loads the line decoder for `nano` on its device, by default the one that ships. Raises CheckpointError if it is
    damaged or was trained on the tokens of another checkpoint."""
    table = nano.readout.table
    return load(LINES, path, table.device, table.dtype, nano.checkpoint)


def _likeliest(logits: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(n, V) logits → (n,) the highest probability of each row, and (n,) its class."""
    probability, found = logits.softmax(-1, dtype=torch.float32).max(-1)
    return probability.cpu().numpy(), found.cpu().numpy()


def grid(density: Density, height: int, width: int, scale: float = 1.0) -> tuple[int, int]:
    """Returns the rows and columns of half-width cells on a page of `height` × `width` tokens that was shrunk to
    `scale`."""
    rows, columns = (round(n * TOKEN_SIDE / scale) for n in (height, width))
    return rows // density.height, columns // density.width


def _decoded(decoder: LineDecoder, lines: Lines) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Returns the (rows, columns) cells as the decoder reads them, and their probabilities."""
    read, sure, _ = decoder.verified(lines, lines.base.argmax(-1))
    found = read.cpu().numpy()
    cells = np.where(found < N_HALF, found, 0).astype(np.uint16)
    rows, columns = np.nonzero(found >= HALF_CLASSES)
    cells[rows, columns] = N_HALF + 2 * (found[rows, columns] - HALF_CLASSES)
    cells[rows, columns + 1] = cells[rows, columns] + 1
    return cells, sure.cpu().numpy()


def _after_text(base: Tensor) -> Tensor:
    """(rows, columns) bool: whether no text is read in this cell or any later one, so that the text may end here."""
    read = base.argmax(-1).flatten()
    text = ((read != 0) & (read != END)).nonzero()
    last = int(text[-1]) if len(text) else -1
    return (torch.arange(len(read), device=read.device) > last).view(base.shape[:2])


def _readable(density: Density) -> NDArray[np.bool_]:
    """(HALF_CLASSES,) bool: whether a half-width cell of the density can have that class."""
    readable = np.zeros(HALF_CLASSES, bool)
    readable[:N_HALF] = atlas(density).drawn[:N_HALF]
    readable[N_HALF:] = density.wide
    return readable


def _ink(page: Page) -> NDArray[np.float32]:
    """Returns the (H, W) ink of a page. Raises UsageError, also if a side is not a multiple of 64 px."""
    height, width = page.image.shape[:2]
    if height % TOKEN_SIDE or width % TOKEN_SIDE:
        raise UsageError(f"a page of {width}×{height} px: sides must be multiples of 64, at most {MAX_SIDE}")
    return ink_of(page)


NANO = Kind(
    "microfiche-nano-1",
    lambda head, checkpoint: Nano(NanoConfig.of(head["config"]), checkpoint),
    lambda model: {"config": asdict(model.config)},
)
