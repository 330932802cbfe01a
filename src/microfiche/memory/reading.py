"""Documents as a memory takes them: their text as Markdown, and why what a scan shows is not trusted, if so."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from microfiche.errors import InputError, MicroficheError
from microfiche.memory.safety import Picture, Words, untrusted

if TYPE_CHECKING:
    from microfiche.documents.rapid import RapidEngine


def read_document(path: Path) -> tuple[str, str]:
    """The text of a PDF or picture, and what speaks against trusting it; InputError if it has none, or cannot be read.

    Pages whose text comes from a picture are read once more scaled down.
    """
    from microfiche.documents.engines import engines
    from microfiche.documents.opening import open_document
    from microfiche.documents.reading import document_of, read_pages

    warnings = []
    try:
        with open_document(path, str(path)) as opened:
            pages = []
            for page, picture in read_pages(opened, engines()):
                pages.append(page)
                if picture is not None and page.engine not in ("", "text"):
                    why = untrusted(np.asarray(picture.convert("L")), words_of_picture)
                    warnings += [f"page {page.number}: {why}"] if why else []
            text = document_of(opened, {}, pages).markdown()
    except MicroficheError as error:
        raise InputError(str(error)) from error
    if not text.strip():
        raise InputError(f"{path}: no text was found in it")
    return text, "; ".join(warnings)


def words_of_picture(picture: Picture) -> Words:
    """What RapidOCR reads in a picture, line by line, and how sure it is."""
    from microfiche.documents.sheet import Sheet

    (page,) = _rapid().read([Sheet(1, Image.fromarray(picture).convert("RGB"))])
    return [(block.text, 1.0 if block.confidence is None else block.confidence) for block in page.blocks if block.text]


@cache
def _rapid() -> RapidEngine:
    from microfiche.documents.rapid import RapidEngine

    return RapidEngine()
