"""The weights that ship: one table of them, and where their files lie. It knows nothing of models."""

from __future__ import annotations

from pathlib import Path

from microfiche.errors import CheckpointError

#: The name of each file that ships, without its suffix, and what its weights do.
SHIPPED = {
    "nano": "encodes and reads pages that Microfiche typeset",
    "nano-lines": "checks what nano reads, line by line",
    "nano-index": "finds pages by the pixels of a query's words",
    "nano-print": "encodes and reads printed pages",
    "pixel-small": "paints what is masked in a strip of text",
}


def shipped(name: str) -> Path:
    """The file of weights that ship under `name`; CheckpointError if this installation has none."""
    path = Path(__file__).parent / f"{name}.safetensors"
    if name not in SHIPPED:
        raise CheckpointError(f"no weights {name!r} ship; there are {', '.join(SHIPPED)}")
    if not path.is_file():
        raise CheckpointError(f"weights {name!r} are not installed; train them (docs/training.md) and give the file")
    return path
