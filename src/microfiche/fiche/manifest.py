"""The manifest of a .fiche file: what it holds, page by page, and the SHA-256 of every entry.

If not every square of a page has a token, or if margins were cut, the format is microfiche-2, which older versions
refuse. In microfiche-3 the pages are those of a PDF or pictures, as they are: in shades of grey or in colour, without a
density or a layout, and their text has a SHA-256 only where it is known. In microfiche-4 the text of lines that models
do not know is kept beside typeset pages; in microfiche-6 so are single characters, and lines that hold letters beyond
the alphabet are named. In microfiche-5 pages are as they are, and their tokens are of pictures that were put together
from pieces of them.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from microfiche.page import Layout, TokenType

NEWER = ("words", "turns")  #: layouts that came with microfiche-4
NEWEST = {"lettered", "corrected"}  #: what a page's entry has only in microfiche-6
DIGEST = "^[0-9a-f]{64}$"
Digest = Field(pattern=DIGEST)
_Number = Annotated[int, Field(ge=0, le=4096)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeptEntry(_Strict):
    """The text of the lines of cells `row` to `row + rows` of a page, counted from 0, which is kept beside it."""

    row: int = Field(ge=0, le=4096)
    rows: int = Field(gt=0, le=4096)
    text: str


class PageEntry(_Strict):
    """The manifest's entry for one page: its size in squares of 64 px, how many characters it has, the SHA-256 of its
    picture, its tokens and its text, which only pages as they are may lack, the lines that are kept as text, those that
    hold letters beyond the alphabet, and row, place and text of characters that are misread."""

    height: int = Field(gt=0, le=64)
    width: int = Field(gt=0, le=64)
    characters: int = Field(ge=0)
    picture: str = Digest
    tokens: str = Digest
    text: str | None = Digest
    kept: list[KeptEntry] = []
    lettered: list[_Number] = []
    corrected: list[tuple[_Number, _Number, str]] = []

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if any(above.row + above.rows > below.row for above, below in pairwise(self.kept)):
            raise ValueError("lines that are kept as text lie on each other")
        return self


class SourceEntry(_Strict):
    """The manifest's entry for one text: its name and how many pages it takes."""

    name: str
    pages: int = Field(gt=0)


class Manifest(_Strict):
    """The content of manifest.json."""

    format: Literal[
        "microfiche-1", "microfiche-2", "microfiche-3", "microfiche-4", "microfiche-5", "microfiche-6"
    ] = "microfiche-1"
    checkpoint: str
    checkpoint_sha256: str = Digest
    density: str | None
    layout: Layout | None
    mode: str
    token_type: TokenType
    sources: list[SourceEntry]
    pages: list[PageEntry]
    text: str | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        as_is = self.format in ("microfiche-3", "microfiche-5")
        if as_is != (self.density is None) or as_is != (self.layout is None):
            raise ValueError(f"{self.format} with density {self.density!r} and layout {self.layout!r}")
        newer = self.format in ("microfiche-4", "microfiche-6")
        if not newer and (self.layout in NEWER or any(page.kept for page in self.pages)):
            raise ValueError(f"{self.format} with layout {self.layout!r} or lines that are kept as text")
        if self.format != "microfiche-6" and any(page.lettered or page.corrected for page in self.pages):
            raise ValueError(f"{self.format} with letters beyond the alphabet or characters that are kept as text")
        if not as_is and any(page.text is None for page in self.pages):
            raise ValueError(f"{self.format} with a page without the SHA-256 of its text")
        return self


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
