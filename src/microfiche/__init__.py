"""Microfiche keeps text as pictures: it encodes pages of text to a few vision tokens each, and reads them back.

    pages = microfiche.typeset("It was the best of times, it was the worst of times.")
    reader = microfiche.load()
    tokens = reader.encode(pages)
    reader.read(tokens)[0].text

It also turns documents into Markdown:

    microfiche.read("paper.pdf").markdown()
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microfiche.codec import measure as measure
    from microfiche.codec import pack as pack
    from microfiche.codec import unpack as unpack
    from microfiche.documents.document import Document as Document
    from microfiche.documents.reading import read as read
    from microfiche.errors import MicroficheError as MicroficheError
    from microfiche.fiche import Fiche as Fiche
    from microfiche.memory import AsyncMemory as AsyncMemory
    from microfiche.memory import Memory as Memory
    from microfiche.page import Page as Page
    from microfiche.page import Reading as Reading
    from microfiche.page import VisionTokens as VisionTokens
    from microfiche.readers import load as load
    from microfiche.typesetting.typesetter import typeset as typeset

# ONNX Runtime and Hugging Face's libraries send usage reports unless these are set before they are imported.
for _reports in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_reports, "1")

__version__ = "0.1.0"

#: The module of each public name. It is imported on first use, so that `microfiche --help` needs no NumPy and only
#: those who load a reader need torch.
_HOMES = {
    "AsyncMemory": "memory",
    "Document": "documents.document",
    "Fiche": "fiche",
    "Memory": "memory",
    "MicroficheError": "errors",
    "Page": "page",
    "Reading": "page",
    "VisionTokens": "page",
    "load": "readers",
    "measure": "codec",
    "pack": "codec",
    "read": "documents.reading",
    "typeset": "typesetting.typesetter",
    "unpack": "codec",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'microfiche' has no attribute {name!r}")
    return getattr(import_module(f"microfiche.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
