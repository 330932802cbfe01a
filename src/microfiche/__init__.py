"""Microfiche keeps text as pictures: pages of text, a few vision tokens each, and back.

    pages = microfiche.typeset("It was the best of times, …")
    model = microfiche.load()
    tokens = model.encode(pages)
    model.read(tokens)

and documents to Markdown:

    microfiche.read("paper.pdf").markdown()
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microfiche.documents.reading import read
    from microfiche.memory import Memory
    from microfiche.page import Page, Setting, VisionTokens
    from microfiche.readers import load
    from microfiche.typesetting.typesetter import typeset

# ONNX Runtime and Hugging Face's libraries report on who uses them unless they are told before they are imported.
for _reports in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_reports, "1")

__version__ = "0.1.0"
__all__ = ["Memory", "Page", "Setting", "VisionTokens", "load", "read", "typeset"]

#: Where each name comes from, imported when it is first asked for: `microfiche --help` needs no NumPy, and only those
#: who load a model need torch.
_HOMES = {
    "Memory": "memory",
    "Page": "page",
    "Setting": "page",
    "VisionTokens": "page",
    "load": "readers",
    "read": "documents.reading",
    "typeset": "typesetting.typesetter",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"microfiche.{_HOMES[name]}"), name)
