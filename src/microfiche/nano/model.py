"""A nano model with any readout: its sizes, and how pages are encoded to vision tokens, one at a time or in batches.

Pages are processed one at a time on the CPU, and elsewhere in batches that are padded to one size. The same page
therefore gives the same tokens and the same text, whatever other pages it comes with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from microfiche.errors import CheckpointError, UsageError
from microfiche.nano.encoder import MAX_SIDE, NanoEncoder, ink_of
from microfiche.nano.readout import SQUARES, Squares
from microfiche.page import TOKEN_SIDE, Checkpoint, Page, VisionTokens

T = TypeVar("T")
PAGES_AT_ONCE = 32  #: the size of a batch on an accelerator


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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.checkpoint})"

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


def _ink(page: Page) -> NDArray[np.float32]:
    """Returns the (H, W) ink of a page. Raises UsageError, also if a side is not a multiple of 64 px."""
    height, width = page.image.shape[:2]
    if height % TOKEN_SIDE or width % TOKEN_SIDE:
        raise UsageError(f"a page of {width}×{height} px: sides must be multiples of 64, at most {MAX_SIDE}")
    return ink_of(page)
