"""The keys and values of the tokens already seen, for many sequences of different lengths, allocated once.

The token at position p of a sequence is in slot p. Sequences are padded on the right, and a new token overwrites the
padding. With a window, all of a prompt and only the last few tokens after it are kept: those take turns in as many
slots behind the prompt, so that memory does not grow (reference sliding-window attention, Unlimited-OCR, arXiv
2606.23050). It knows nothing of what the keys mean.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Cache:
    """`keys` and `values` are (layers, B, heads, capacity, head width); `lengths` (B,) int64 counts the tokens of each
    sequence. `window` is how many of the tokens after the first pass are kept and attended to, or None for all.

    Call `start` before a forward pass, `append` in each of its layers, and `advance` after it. With a window, each pass
    after the first takes one token of each sequence.
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
        window: int | None = None,
    ) -> None:
        self.keys = torch.zeros(layers, rows, heads, capacity, head_width, device=device, dtype=dtype)
        self.values = torch.zeros_like(self.keys)
        self.lengths = torch.zeros(rows, dtype=torch.int64, device=device)
        self.longest = 0
        self.window = window
        self._prompts = self.lengths  # the lengths after the first pass
        self._slots = torch.zeros(0)
        self._mask: Tensor | None = None

    def start(self, count: int) -> Int[Tensor, "b t"]:
        """Returns the (B, count) positions of the next tokens."""
        positions = self.lengths[:, None] + torch.arange(count, device=self.lengths.device)
        self._slots, last, self._mask = positions, positions, None
        if self.window is not None:
            prompts = self._prompts[:, None]
            self._slots = prompts + (positions - prompts) % self.window
            last = torch.minimum(positions, prompts + self.window - 1)
        if self.longest:
            seen = torch.arange(self._filled(count), device=self.lengths.device)
            self._mask = (seen <= last[..., None])[:, None]  # (B, 1, count, slots)
        return positions

    def _filled(self, count: int) -> int:
        """How many slots may hold something, once `count` more tokens have come."""
        return min(self.longest + count, self.keys.shape[3])

    def append(
        self, layer: int, keys: Float[Tensor, "b heads t d"], values: Float[Tensor, "b heads t d"]
    ) -> tuple[Float[Tensor, "b heads s d"], Float[Tensor, "b heads s d"], Bool[Tensor, "b 1 t s"] | None]:
        """Stores (B, heads, T, head width) keys and values. Returns the keys and values to attend to, and the mask; if
        the mask is None, there is nothing before this pass, and each token attends to those before it in the pass."""
        count = keys.shape[2]
        if self._mask is None:
            self.keys[layer, :, :, :count] = keys
            self.values[layer, :, :, :count] = values
            return keys, values, None
        rows = torch.arange(len(keys), device=keys.device)[:, None]
        self.keys[layer].transpose(1, 2)[rows, self._slots] = keys.transpose(1, 2)
        self.values[layer].transpose(1, 2)[rows, self._slots] = values.transpose(1, 2)
        seen = slice(0, self._filled(count))
        return self.keys[layer, :, :, seen], self.values[layer, :, :, seen], self._mask

    def advance(self, lengths: Int[Tensor, " b"] | int, longest: int) -> None:
        """Counts the `lengths` new tokens of each sequence, without padding. `longest` is the length of the longest
        sequence, with padding."""
        self.lengths = self.lengths + lengths
        if not self.longest:
            self._prompts = self.lengths
        self.longest = longest

    def keep(self, rows: Int[Tensor, " n"]) -> None:
        """Drops all sequences except those of the (n,) indices `rows`."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]
        self.lengths, self._prompts = self.lengths[rows], self._prompts[rows]
