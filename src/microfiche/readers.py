"""Checkpoints: weights in and out of files, and those that ship."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, overload

import torch

from microfiche.errors import UsageError
from microfiche.nano import checkpoint as nano
from microfiche.nano.cells import Nano
from microfiche.nano.checkpoint import save
from microfiche.nano.first_print import NanoPrint
from microfiche.page import Checkpoint, Page, Reading, VisionTokens

if TYPE_CHECKING:
    from microfiche.deepseek_ocr.model import DeepSeekOCR

__all__ = ["Reader", "load", "save"]


class Reader(Protocol):
    """Encodes pages once to vision tokens and reads those as often as it is asked.

    `checkpoint` names its weights; `read` raises CheckpointError for tokens that other weights made.
    """

    checkpoint: Checkpoint

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """The vision tokens of each page."""
        ...

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        """What is read of each page's tokens."""
        ...


@overload
def load(  # type: ignore[overload-overlap]
    name_or_path: Literal["deepseek-ocr"],
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    path: str | Path | None = None,
    adapter: str | Path | None = None,
) -> DeepSeekOCR: ...
@overload
def load(  # type: ignore[overload-overlap]
    name_or_path: Literal["nano-print"],
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> NanoPrint: ...
@overload
def load(name_or_path: str | Path = "nano", device: str = "cpu", dtype: torch.dtype | None = None) -> Nano: ...
def load(
    name_or_path: str | Path = "nano",
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    path: str | Path | None = None,
    adapter: str | Path | None = None,
) -> Nano | NanoPrint | DeepSeekOCR:
    """A model ready to read: "nano", which ships, or a file of its kind; "nano-print", which ships too and reads
    printed pages; or "deepseek-ocr" from `path`, changed by what the `adapter` in a folder learned.

    `path` is a folder or a name on the hub; without it, deepseek-ai/DeepSeek-OCR. `dtype` is float32 or bfloat16, for
    deepseek-ocr also int8; None takes what the device is fast in. Raises CheckpointError where a checkpoint is missing,
    damaged or another's, UsageError where it does not fit into the device's memory.
    """
    if str(name_or_path) == "deepseek-ocr":
        from microfiche.deepseek_ocr import checkpoint as deepseek_ocr

        return deepseek_ocr.load(path, device, dtype, adapter=adapter)
    if path is not None:
        raise UsageError(f"path=… goes with deepseek-ocr only; load({str(path)!r}) takes a nano checkpoint")
    if adapter is not None:
        raise UsageError("adapter=… goes with deepseek-ocr only")
    if str(name_or_path) == nano.SHIPPED[NanoPrint]:
        return nano.load(NanoPrint, None, device, dtype)
    return nano.load(Nano, name_or_path, device, dtype)
