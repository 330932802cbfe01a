"""The Reader protocol: what encodes pages to vision tokens and reads them back; and `load`, which returns any reader by
name or file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, overload

from microfiche.decoder.prompts import FAMILY, ModelName
from microfiche.errors import CheckpointError, UsageError
from microfiche.page import Checkpoint, Page, Reading, VisionTokens

if TYPE_CHECKING:
    import torch

    from microfiche.deepseek_ocr.model import DeepSeekOCR
    from microfiche.nano.cells import Nano, NanoLines
    from microfiche.nano.print import PrintModel

READERS = ("nano", "nano-lines", "nano-pages", *FAMILY)  #: the names that `load` knows
MAKERS = ("nano", "nano-pages")  #: those of our own weights that make tokens
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
def load(name_or_path: Literal["nano-pages"], device: str = ..., dtype: torch.dtype | None = ...) -> PrintModel: ...
@overload
def load(
    name_or_path: ModelName,
    device: str = ...,
    dtype: torch.dtype | None = ...,
    path: str | Path | None = ...,
    adapter: str | Path | None = ...,
    weights: str | Path | None = ...,
) -> DeepSeekOCR: ...
@overload
def load(
    name_or_path: None = None,
    device: str = ...,
    dtype: torch.dtype | None = ...,
    *,
    path: str | Path,
    adapter: str | Path | None = ...,
) -> DeepSeekOCR: ...
@overload
def load(
    name_or_path: str | Path | None,
    device: str = ...,
    dtype: torch.dtype | None = ...,
    path: str | Path | None = ...,
    adapter: str | Path | None = ...,
    weights: str | Path | None = ...,
) -> Reader: ...
def load(
    name_or_path: str | Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    path: str | Path | None = None,
    adapter: str | Path | None = None,
    weights: str | Path | None = None,
) -> Reader:
    """Loads a reader, ready to encode and read.

    "nano", the default (a Nano), reads pages that Microfiche typeset. "nano-lines" (NanoLines) is the same, checked by
    the line decoder; "nano-pages" (PrintModel) reads pages of PDFs and scans, with a language pass that
    `reader.language = None` switches off. "deepseek-ocr", "deepseek-ocr-2" and "unlimited-ocr" (DeepSeekOCR) are the
    published models. Any other file is one that a training of nano wrote, whose kind says what is returned.

    `path` is the folder that holds a published model, or its name on the hub; without it, a name means what its
    publisher has on the hub. If only a folder is given, as `path` or as the first argument, its config.json says which
    model it is. `adapter` is a folder that `train deepseek-ocr` wrote, which is added to the weights; `weights` is
    another word for `path`. `dtype` is float32 or bfloat16, for published models also float16 or int8; None chooses the
    one that the device is fast in.

    Raises CheckpointError for a name that is neither a reader's nor a file's and for weights that are missing, damaged
    or of another model, and UsageError if they do not fit into the device's memory.
    """
    path = weights if path is None else path
    unknown = name_or_path is not None and name_or_path not in READERS and not Path(name_or_path).exists()
    if unknown and path is not None:
        raise UsageError(f"no model {str(name_or_path)!r}; there are {', '.join(FAMILY)}")
    folder = name_or_path is not None and name_or_path not in READERS and Path(name_or_path).is_dir()
    if name_or_path in FAMILY or folder or (name_or_path is None and path is not None):
        from microfiche.deepseek_ocr import checkpoint

        if folder and path is not None:
            raise UsageError(f"{name_or_path} and {path} are two folders; give one of them")
        published = next((name for name in FAMILY if name == name_or_path), None)
        return checkpoint.load(name_or_path if folder else path, device, dtype, adapter=adapter, name=published)
    name = "nano" if name_or_path is None else str(name_or_path)
    if path is not None or adapter is not None:
        what = "path" if path is not None else "adapter"
        raise UsageError(f"{what}=… goes with load of {', '.join(FAMILY)}, not with load({name!r})")
    return _nano(name_or_path if isinstance(name_or_path, Path) else name, device, dtype)


def refuse_typeset_only(reader: Reader, name: str) -> None:
    """Raises UsageError if `reader`, called `name`, is nano for cells, which reads only pages that Microfiche set."""
    from microfiche.nano.cells import Nano

    if isinstance(getattr(reader, "nano", reader), Nano):  # its wrappers have it as `nano`
        raise UsageError(f"{name} reads only pages that Microfiche set (pack, unpack, measure), not documents")


def _nano(name: str | Path, device: str, dtype: torch.dtype | None) -> Reader:
    """Loads one of our own readers, by its name, or by its file, which a Path always is."""
    from microfiche.nano import cells, language, lines, print, prompted
    from microfiche.weights import shipped, stored

    if name == "nano-lines":
        nano = stored.load(cells.NANO, "nano", device, dtype)
        return cells.NanoLines(nano, cells.line_decoder(nano))
    path = shipped(name) if isinstance(name, str) and name in READERS else Path(name)
    if not path.is_file():
        known = f"there are {', '.join(READERS)} (on the command line, --engine NAME)"
        known += "; weights on the hub are given as path='OWNER/NAME'"
        raise CheckpointError(f"{name}: no checkpoint there, nor a reader of that name; {known}")
    head = stored.head_of(path)
    if not head and _published(path):
        raise CheckpointError(f"{path}: a file of published weights; give its folder, path={str(path.parent)!r}")
    match head.get("format"):
        case lines.LINES.format:
            nano = stored.load(cells.NANO, _encoder(path, head), device, dtype)
            return cells.NanoLines(nano, cells.line_decoder(nano, path))
        case prompted.READER.format:
            encoder = _nano(_encoder(path, head), device, dtype)
            assert isinstance(encoder, (cells.Nano, print.PrintModel))
            return prompted.load_prompted(encoder, path)
        case print.PRINT.format:
            model = stored.load(print.PRINT, name, device, dtype)
            model.language = stored.load(language.LANGUAGE, "nano-language", device, dtype)
            return model
        case _:  # nano's own format, or an unknown one, which `stored.load` refuses
            return stored.load(cells.NANO, name, device, dtype)


def _published(path: Path) -> bool:
    """Whether a safetensors file holds tensors under the names of a published model."""
    from microfiche.weights.tensors import header

    try:
        return any(name.startswith(("model.layers.", "model.sam_model.", "lm_head.")) for name in header(path))
    except CheckpointError:
        return False


def _encoder(path: Path, head: dict[str, object]) -> str:
    """Returns the name of the shipped weights that made the tokens which the model in a file was trained on."""
    from microfiche.weights import shipped

    for name in MAKERS:
        if hashlib.sha256(shipped(name).read_bytes()).hexdigest() == head.get("encoder"):
            return name
    raise CheckpointError(f"{path}: made for the tokens of a checkpoint that does not ship")
