"""What nano's models share: an encoder that makes vision tokens of pages, and how pages pass through it.

Pages pass one at a time on the CPU and in batches padded to one size elsewhere, so the same page gives the same
tokens and the same text whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from microfiche.errors import CheckpointError, UsageError
from microfiche.nano.encoder import NanoEncoder
from microfiche.nano.readout import SQUARES, Squares
from microfiche.page import TOKEN_SIDE, Checkpoint, Page, VisionTokens

T = TypeVar("T")
PAGES_AT_ONCE = 32  #: on an accelerator
MAX_SIDE = 4096  #: pixels; a larger page is refused


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


@dataclass(frozen=True)
class Reading:
    """The `text` read from a page, and for each of its characters the probability, (T,) float32, and the box of
    left, top, right, bottom pixels where it was read, (T, 4) int32."""

    text: str
    confidence: NDArray[np.float32]
    boxes: NDArray[np.int32]


class NanoModel(nn.Module):
    """A nano encoder with a readout of some kind: pages in, vision tokens out; reading is the readout's."""

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

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """The vision tokens of each page, on the CPU; UsageError for a page that is not set in 64-px squares."""
        return list(self.encode_each(pages))

    @torch.inference_mode()
    def encode_each(self, pages: Iterable[Page]) -> Iterator[VisionTokens]:
        """The same, one after another as pages come."""
        for batch in self._batches(pages, lambda page: page.image.shape):
            ink = torch.stack([torch.from_numpy(_ink(page)) for page in batch]).to(self._device, self._dtype)
            for page, values in zip(batch, self.encoder(self._padded(ink)), strict=False):
                height, width = page.image.shape[0] // TOKEN_SIDE, page.image.shape[1] // TOKEN_SIDE
                yield VisionTokens(values.cpu().clone(), height, width, page.setting, self.checkpoint)

    def own(self, tokens: Sequence[VisionTokens]) -> None:
        """CheckpointError where some of `tokens` were made by another checkpoint, or have not the shape of its own."""
        for page in tokens:
            check_own(page, self.checkpoint, self.config.token_width)
            if page.places is not None:
                raise CheckpointError(f"{self.checkpoint.name} makes tokens of every square; these have places")

    def _squares(self, values: Tensor) -> Tensor:
        """(B, N, token width) → (B, N · 64, square width)"""
        squares = self.readout.unfold(self._padded(values))
        return squares.view(-1, values.shape[1] * SQUARES, squares.shape[-1])

    def _batches(self, items: Iterable[T], key: Callable[[T], object]) -> Iterator[list[T]]:
        """Lists of items that follow each other and are alike in `key`, as long as the device likes them."""
        most = 1 if self._device.type == "cpu" else PAGES_AT_ONCE
        for _, alike in groupby(items, key):
            while batch := list(islice(alike, most)):
                yield batch

    def _padded(self, x: Tensor) -> Tensor:
        if self._device.type == "cpu" or len(x) == PAGES_AT_ONCE:
            return x
        return torch.cat([x, x.new_zeros(PAGES_AT_ONCE - len(x), *x.shape[1:])])


def check_own(tokens: VisionTokens, checkpoint: Checkpoint, token_width: int) -> None:
    """CheckpointError where `tokens` were made by another than `checkpoint`, or their values are of another shape than
    its own for as many squares or places."""
    if tokens.checkpoint != checkpoint:
        raise CheckpointError(
            f"tokens of checkpoint {tokens.checkpoint} cannot be read by "
            f"{checkpoint}"
        )
    count = tokens.height * tokens.width if tokens.places is None else len(tokens.places)
    if tokens.values.shape != (count, token_width):
        shape = " × ".join(map(str, tokens.values.shape))
        raise CheckpointError(
            f"tokens of {shape} numbers cannot be read by {checkpoint.name}, "
            f"which makes {count} × {token_width} of such a page"
        )


def ink_of(page: Page) -> NDArray[np.float32]:
    """(H, W) ink in [0, 1]: how far each pixel is from white. UsageError for sides not from 1 to MAX_SIDE."""
    height, width = page.image.shape[:2]
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise UsageError(f"a page of {width}×{height} px: sides must be from 1 to {MAX_SIDE}")
    grey = page.image if page.image.ndim == 2 else page.image.mean(axis=-1)
    return np.subtract(1, grey / np.float32(255), dtype=np.float32)


def _ink(page: Page) -> NDArray[np.float32]:
    """The same; UsageError for a page that is not set in 64-px squares too."""
    height, width = page.image.shape[:2]
    if height % TOKEN_SIDE or width % TOKEN_SIDE:
        raise UsageError(f"a page of {width}×{height} px: sides must be multiples of 64, at most {MAX_SIDE}")
    return ink_of(page)
