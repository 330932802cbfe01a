"""The Reader protocol: what encodes pages to vision tokens and reads them back; and `load`, which returns any reader by
name or file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, overload

from microfiche.errors import CheckpointError, UsageError
from microfiche.page import Checkpoint, Page, Reading, VisionTokens

if TYPE_CHECKING:
    import torch

    from microfiche.deepseek_ocr.model import DeepSeekOCR
    from microfiche.nano.cells import Nano, NanoLines
    from microfiche.nano.first_print import NanoPrint
    from microfiche.nano.print import PrintModel

READERS = ("nano", "nano-lines", "nano-print", "nano-pages", "deepseek-ocr")  #: the names that `load` knows
MAKERS = ("nano", "nano-print", "nano-pages")  #: those of our own weights that make tokens
OURS = ("nano", "nano-print", "nano-pages")  #: the names of all weights of ours that ever shipped and made tokens


class Reader(Protocol):
    """Encodes each page to vision tokens once, and reads those as often as it is asked.

    For `pack`, `unpack` and `measure` it must take pages that Microfiche set, which know their setting. To read
    documents it must also take grey or RGB pictures of any size without a setting. It may refuse other pages, or their
    tokens, by raising a MicroficheError, as nano for cells does with every page that Microfiche did not set.
    """

    @property
    def checkpoint(self) -> Checkpoint:
        """The name and hash of the weights that make the reader's tokens. They stand in each VisionTokens and in a
        .fiche file, and say who can read it. A reader that wraps another returns the inner reader's checkpoint."""
        ...

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the vision tokens of each page."""
        ...

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        """Returns the reading of each page's tokens. Raises CheckpointError for tokens that other weights made."""
        ...


@overload
def load(name_or_path: Literal["nano"] | None = None, device: str = ..., dtype: torch.dtype | None = ...) -> Nano: ...
@overload
def load(name_or_path: Literal["nano-lines"], device: str = ..., dtype: torch.dtype | None = ...) -> NanoLines: ...
@overload
def load(name_or_path: Literal["nano-print"], device: str = ..., dtype: torch.dtype | None = ...) -> NanoPrint: ...
@overload
def load(name_or_path: Literal["nano-pages"], device: str = ..., dtype: torch.dtype | None = ...) -> PrintModel: ...
@overload
def load(
    name_or_path: Literal["deepseek-ocr"],
    device: str = ...,
    dtype: torch.dtype | None = ...,
    weights: str | Path | None = ...,
    adapter: str | Path | None = ...,
) -> DeepSeekOCR: ...
@overload
def load(
    name_or_path: str | Path,
    device: str = ...,
    dtype: torch.dtype | None = ...,
    weights: str | Path | None = ...,
    adapter: str | Path | None = ...,
) -> Reader: ...
def load(
    name_or_path: str | Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    weights: str | Path | None = None,
    adapter: str | Path | None = None,
) -> Reader:
    """Loads a reader, ready to encode and read.

    "nano", the default (a Nano), reads pages that Microfiche typeset. "nano-lines" (NanoLines) is the same, checked by
    the line decoder; "nano-print" (NanoPrint) reads pages set in printed type; "nano-pages" (PrintModel) reads pages of
    PDFs and scans, with a language pass that `reader.language = None` switches off; "deepseek-ocr" (DeepSeekOCR) is the
    published model. Anything else, and every Path, is a file that a training of nano wrote, whose kind says what is
    returned.

    For deepseek-ocr, `weights` are a folder or a name on the hub (by default deepseek-ai/DeepSeek-OCR), and `adapter`
    is a folder that `train deepseek-ocr` wrote, which is added to them. `dtype` is float32 or bfloat16, for
    deepseek-ocr also int8; None chooses the one that the device is fast in.

    Raises CheckpointError for a name that is neither a reader's nor a file's and for weights that are missing, damaged
    or of another kind, and UsageError if they do not fit into the device's memory.
    """
    name = "nano" if name_or_path is None else str(name_or_path)
    if name_or_path == "deepseek-ocr":
        from microfiche.deepseek_ocr import checkpoint

        return checkpoint.load(weights, device, dtype, adapter=adapter)
    if weights is not None or adapter is not None:
        what = "weights" if weights is not None else "adapter"
        raise UsageError(f"{what}=… goes with load('deepseek-ocr'), not with load({name!r})")
    return _nano(name_or_path if isinstance(name_or_path, Path) else name, device, dtype)


def refuse_typeset_only(reader: Reader, name: str) -> None:
    """Raises UsageError if `reader`, called `name`, is nano for cells, which reads only pages that Microfiche set."""
    from microfiche.nano.cells import Nano

    if isinstance(getattr(reader, "nano", reader), Nano):  # its wrappers have it as `nano`
        raise UsageError(f"{name} reads only pages that Microfiche set (pack, unpack, measure), not documents")


def _nano(name: str | Path, device: str, dtype: torch.dtype | None) -> Reader:
    """Loads one of our own readers, by its name, or by its file, which a Path always is."""
    from microfiche.nano import cells, first_print, language, lines, print, prompted
    from microfiche.weights import shipped, stored

    if name == "nano-lines":
        nano = stored.load(cells.NANO, "nano", device, dtype)
        return cells.NanoLines(nano, cells.line_decoder(nano))
    path = shipped(name) if isinstance(name, str) and name in READERS else Path(name)
    if not path.is_file():
        raise CheckpointError(f"{name}: no checkpoint there, nor a reader of that name; there are {', '.join(READERS)}")
    head = stored.head_of(path)
    match head.get("format"):
        case lines.LINES.format:
            nano = stored.load(cells.NANO, _encoder(path, head), device, dtype)
            return cells.NanoLines(nano, cells.line_decoder(nano, path))
        case prompted.READER.format:
            encoder = _nano(_encoder(path, head), device, dtype)
            assert isinstance(encoder, cells.NanoModel)
            return prompted.load_prompted(encoder, path)
        case first_print.NANO_PRINT.format:
            return stored.load(first_print.NANO_PRINT, name, device, dtype)
        case print.PRINT.format:
            model = stored.load(print.PRINT, name, device, dtype)
            model.language = stored.load(language.LANGUAGE, "nano-language", device, dtype)
            return model
        case _:  # nano's own format, or an unknown one, which `stored.load` refuses
            return stored.load(cells.NANO, name, device, dtype)


def _encoder(path: Path, head: dict[str, object]) -> str:
    """Returns the name of the shipped weights that made the tokens which the model in a file was trained on."""
    from microfiche.weights import shipped

    for name in MAKERS:
        if hashlib.sha256(shipped(name).read_bytes()).hexdigest() == head.get("encoder"):
            return name
    raise CheckpointError(f"{path}: made for the tokens of a checkpoint that does not ship")
