"""The weights that ship with the package: a table of them, and where their files are. It knows nothing of models."""

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
    "nano-index": Weights("finds pages by the pixels of a query's words", "microfiche train index"),
    "nano-print": Weights("encodes and reads printed pages", "microfiche train print"),
    "nano-pages": Weights("encodes and reads pages of PDFs and scans", "microfiche train print"),
    "nano-language": Weights("corrects what nano-pages sees, by what text usually says", "microfiche train language"),
    "pixel-small": Weights("paints what is masked in a strip of text", "microfiche train pixel"),
}


def shipped(name: str) -> Path:
    """Returns the path of the weights that ship under `name`. Raises CheckpointError if there are none."""
    if name not in SHIPPED:
        raise CheckpointError(f"no weights {name!r} ship; there are {', '.join(SHIPPED)}")
    path = Path(__file__).parent / f"{name}.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; train it with `{SHIPPED[name].command}` and name your file")
    return path
