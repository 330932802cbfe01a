"""Keys and values of the tokens already seen, for many sequences of different length, allocated once.

A sequence's token at position p lies in slot p, so sequences are padded on the right and a new token overwrites
padding. It knows nothing of what the keys mean.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Cache:
    """`keys` and `values` (layers, B, heads, capacity, head width); `lengths` (B,) int64 tokens held of each.

    `start` before a forward pass, `append` in each layer of it, `advance` after it.
    """

    def __init__(
        self,
        layers: int,
        rows: int,
        heads: int,
        capacity: int,
        head_width: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.keys = torch.zeros(layers, rows, heads, capacity, head_width, device=device, dtype=dtype)
        self.values = torch.zeros_like(self.keys)
        self.lengths = torch.zeros(rows, dtype=torch.int64, device=device)
        self.longest = 0
        self._slots = torch.zeros(0)
        self._mask: Tensor | None = None

    def start(self, count: int) -> Int[Tensor, "b t"]:
        """(B, count) positions of the tokens that come next."""
        self._slots = self.lengths[:, None] + torch.arange(count, device=self.lengths.device)
        self._mask = None
        if self.longest:
            seen = torch.arange(self.longest + count, device=self.lengths.device)
            self._mask = (seen <= self._slots[..., None])[:, None]  # (B, 1, count, longest + count)
        return self._slots

    def append(
        self, layer: int, keys: Float[Tensor, "b heads t d"], values: Float[Tensor, "b heads t d"]
    ) -> tuple[Float[Tensor, "b heads s d"], Float[Tensor, "b heads s d"], Bool[Tensor, "b 1 t s"] | None]:
        """Takes in (B, heads, T, head width) and gives the keys and values to attend to, and the mask, of which
        None means that each sees those before it in this pass, which are all there are."""
        count = keys.shape[2]
        if self._mask is None:
            self.keys[layer, :, :, :count] = keys
            self.values[layer, :, :, :count] = values
            return keys, values, None
        rows = torch.arange(len(keys), device=keys.device)[:, None]
        self.keys[layer].transpose(1, 2)[rows, self._slots] = keys.transpose(1, 2)
        self.values[layer].transpose(1, 2)[rows, self._slots] = values.transpose(1, 2)
        seen = slice(0, self.longest + count)
        return self.keys[layer, :, :, seen], self.values[layer, :, :, seen], self._mask

    def advance(self, lengths: Int[Tensor, " b"] | int, longest: int) -> None:
        """Counts the `lengths` new tokens of each sequence, padding left out; no sequence is longer than `longest`."""
        self.lengths = self.lengths + lengths
        self.longest = longest

    def keep(self, rows: Int[Tensor, " n"]) -> None:
        """Forgets all sequences but those of the (n,) indices `rows`."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]
        self.lengths = self.lengths[rows]
