"""Microfiche keeps text as pictures: pages of text, a few vision tokens each, and back.

    pages = microfiche.typeset("It was the best of times, …")
    model = microfiche.load()
    tokens = model.encode(pages)
    model.read(tokens)

and documents to Markdown:

    microfiche.read("paper.pdf").markdown()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microfiche.page import Page, Setting, VisionTokens
from microfiche.typesetting import typeset

if TYPE_CHECKING:
    from microfiche.checkpoints import load
    from microfiche.documents.reading import read
    from microfiche.memory import Memory

__version__ = "0.1.0"
__all__ = ["Memory", "Page", "Setting", "VisionTokens", "load", "read", "typeset"]


def __getattr__(name: str) -> Any:
    if name == "load":  # torch is imported only by those who load a model
        from microfiche.checkpoints import load

        return load
    if name == "read":
        from microfiche.documents.reading import read

        return read
    if name == "Memory":
        from microfiche.memory import Memory

        return Memory
    raise AttributeError(name)
