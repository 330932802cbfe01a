"""PIXEL's data: from folders of text, an endless stream of batches of strips, some of whose patches are masked.

Batch n of seed s is always the same, whatever was drawn before it. Documents whose SHA-256 begins with 0 are held out,
as for all models. It knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from microfiche.errors import InputError
from microfiche.pixel.model import patches_of
from microfiche.pixel.painting import spans
from microfiche.pixel.strips import PATCH, Strip
from microfiche.training.corpus import FEWEST, SUFFIXES, documents, held_out, text_files

_RAW, _NARROW, _WIDE = 4, 2.5, 1.3  #: characters that fill a patch amply: as they stand, letters, full-width ones
_TRIES = 10  #: pieces of text until one can be drawn
_FIRST_WIDE = "\u2e80"
_SHORT, _SHORTEST = 0.1, 8  #: share of strips that end early, and the fewest patches of one


class Renderer(Protocol):
    """What draws a strip of a text, as typesetting.strip.StripRenderer does."""

    def line(self, text: str, longest: int) -> Strip: ...


@dataclass(frozen=True)
class Batch:
    """`patches` (B, N, 16·16·C) float32, and (B, N) bool which of them are `attended` and which are `masked`."""

    patches: Tensor
    attended: Tensor
    masked: Tensor


def texts(folder: Path, validation: bool) -> dict[str, str]:
    """The training or held-out text under `folder` by language: what stands in a file's name before its first "-".

    InputError where there is none.
    """
    found: dict[str, str] = {}
    for file in text_files(folder):
        kept = "\n".join(d for d in documents(file) if held_out(d) == validation)
        if len(kept) >= FEWEST:
            language = file.name.split(".")[0].split("-")[0]
            found[language] = found.get(language, "") + kept + "\n"
    if not found:
        kind = "held-out" if validation else "training"
        where = " in the 1 of 16 documents whose SHA-256 begins with 0; give more text" if validation else ""
        raise InputError(
            f"{folder}: no {kind} text in it: looked in {', '.join(SUFFIXES)} for files of {FEWEST} characters or "
            f"more{where}"
        )
    return found


class Strips:
    """Draws batches from texts by language, each by the root of its length."""

    def __init__(self, texts: Mapping[str, str], renderer: Renderer, ratio: float, channels: int = 1) -> None:
        self.texts, self.renderer, self.ratio, self.channels = dict(texts), renderer, ratio, channels
        roots = np.sqrt([len(text) for text in self.texts.values()])
        self.shares = roots / roots.sum()

    def piece(self, rng: np.random.Generator, language: str, patches: int) -> str:
        """Running text of a language, from the beginning of a word on, enough for about `patches`."""
        text = self.texts[language]
        start = int(rng.integers(max(1, len(text) - _RAW * patches)))
        found = text[start : start + _RAW * patches]
        wide = sum(char >= _FIRST_WIDE for char in found) / max(1, len(found))
        if wide < 0.3:
            found = found.partition(" ")[2] or found  # from a word's beginning on
        return " ".join(found.split())[: int(patches * (wide * _WIDE + (1 - wide) * _NARROW)) + 8]

    def strip(self, rng: np.random.Generator, language: str, patches: int) -> Strip:
        """A piece of a language on a strip. One with characters that no installed font draws is passed over for
        another; InputError, the renderer's, where all of many are such."""
        for _ in range(_TRIES):
            try:
                return self.renderer.line(self.piece(rng, language, patches), patches)
            except InputError as error:
                undrawn = error
        raise undrawn

    def batch(self, rng: np.random.Generator, strips: int, patches: int, language: str | None = None) -> Batch:
        """`strips` of `patches` each, of one language or of all by their shares; one in ten ends early."""
        names = list(self.texts)
        drawn, masked = [], []
        for _ in range(strips):
            name = language or names[rng.choice(len(names), p=self.shares)]
            longest = int(rng.integers(_SHORTEST, patches)) if rng.random() < _SHORT else patches
            strip = self.strip(rng, name, longest)
            drawn.append(strip)
            masked.append(spans(rng, patches, self.ratio, text=strip.image.shape[1] // PATCH))
        values, attended = patches_of(drawn, patches, self.channels)
        return Batch(values, attended, torch.from_numpy(np.stack(masked)))
