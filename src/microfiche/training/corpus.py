"""The codec's data: from folders of text, an endless stream of pages with the answer for every character.

Step t of seed s is always the same batch, whatever was drawn before it, so a training that is killed goes on
with the pages it would have seen. Documents whose SHA-256 begins with 0 (about 1 in 16) are held out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import InputError
from microfiche.files import NO_FILE, files_below, unpacked_xz
from microfiche.limits import Limits
from microfiche.nano.readout import LEFT, RIGHT, SQUARES, centres, places_at
from microfiche.page import TOKEN_SIDE
from microfiche.sources import decoded
from microfiche.typesetting.alphabet import END, N_FULL, N_HALF, NO_GLYPH, glyphs
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import DENSITIES, Density
from microfiche.typesetting.shrink import as_jpeg, shrink_picture
from microfiche.typesetting.typesetter import break_lines, expand

SUFFIXES = (".txt", ".txt.xz", ".md", ".py")
_N_HANZI = 6763
SMALLEST, SMALLEST_WIDE = 6, 12  #: pixels in the height of a cell, half-width and full-width
LARGEST = 1280  #: pixels along the side of the largest page
FEWEST = 1000  #: characters of a file that can be drawn, or it is passed over
LONGEST, EXCERPT = 100_000, 20_000  #: characters of a document; and of what a longer one is cut into
#: Indices (n, 4) of squares, place (n,), and class (n,) of some characters.
Cells = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def held_out(document: str) -> bool:
    """Whether `document` is for validation: its SHA-256 starts with the hex digit 0."""
    return hashlib.sha256(document.encode()).hexdigest()[0] == "0"


def documents(file: Path) -> list[str]:
    """The documents of a text file: those between lines that hold one form feed. What is longer than LONGEST is cut
    at line ends into excerpts, so that of a book, too, some is held out. InputError for what is no text."""
    text = decoded(str(file), _bytes(file))
    whole = [d for d in text.split("\n\f\n") if d.strip()]
    return [part for document in whole for part in (_excerpts(document) if len(document) > LONGEST else [document])]


def _bytes(file: Path) -> bytes:
    if file.exists() and not file.is_file():
        raise InputError(f"{file}: {NO_FILE}")
    try:
        with file.open("rb") as opened:
            if file.suffix != ".xz":
                return opened.read()
            return b"".join(unpacked_xz(str(file), opened, file.stat().st_size, Limits().ratio))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error


def _excerpts(document: str) -> list[str]:
    """Pieces of about EXCERPT characters, each ending with a line's end if it has any."""
    pieces, first = [], 0
    while first < len(document):
        end = document.find("\n", first + EXCERPT) + 1 or len(document)
        end = min(end, first + LONGEST)
        pieces.append(document[first:end])
        first = end
    return [piece for piece in pieces if piece.strip()]


def text_files(folder: Path) -> list[Path]:
    """The text files under `folder` in order, without READMEs; links to files elsewhere are followed."""
    named = (found.path for found in files_below(folder))
    return [path for path in named if path.name.endswith(SUFFIXES) and not path.name.lower().startswith("readme")]


@dataclass(frozen=True)
class Corpus:
    """Glyph ids of every file, apart for text that is mostly half-width (`narrow`) and mostly full-width."""

    narrow: list[NDArray[np.uint16]]
    wide: list[NDArray[np.uint16]]

    @classmethod
    def load(cls, folder: Path, validation: bool) -> Corpus:
        """The training documents of every text file under `folder`, or those held out; InputError if none."""
        narrow, wide = [], []
        for file in text_files(folder):
            kept = [d for d in documents(file) if held_out(d) == validation]
            ids = glyphs("\n".join(kept))
            ids = ids[ids != NO_GLYPH]
            if len(ids) < FEWEST:
                continue
            if (ids >= N_HALF).mean() > 0.3:
                wide.append(ids)
            else:
                narrow.append(ids[ids < N_HALF])
        if not narrow and not wide:
            kind = "held-out" if validation else "training"
            where = " in the 1 of 16 documents whose SHA-256 begins with 0; give more text" if validation else ""
            raise InputError(
                f"{folder}: no {kind} text in it: looked in {', '.join(SUFFIXES)} for files of {FEWEST} characters or "
                f"more{where}"
            )
        return cls(narrow or wide, wide or narrow)


@dataclass(frozen=True)
class Batch:
    """`ink` (B, H, W) uint8, 255 where it is black; and for half-width cells and full-width characters the flat
    index of the square, the place, and the class."""

    ink: NDArray[np.uint8]
    half: Cells
    full: Cells


class Pages:
    """Draws batches of pages from a corpus. `random_share` of them hold random strings instead of language;
    `scales` gives the shares of those that are shrunk, where that leaves their characters large enough."""

    def __init__(
        self,
        corpus: Corpus,
        densities: dict[str, float],
        random_share: float,
        scales: dict[float, float] | None = None,
    ) -> None:
        self.corpus = corpus
        self.densities = [DENSITIES[name] for name in densities]
        weights = np.array(list(densities.values()))
        self.weights = weights / weights.sum()
        self.random_share = random_share
        self.scales = scales or {1.0: 1.0}
        drawn = {d: np.flatnonzero(atlas(d).drawn) for d in self.densities}
        self.half_ids = {d: ids[(ids < N_HALF) & (ids > END + 1)].astype(np.uint16) for d, ids in drawn.items()}

    def language(self, rng: np.random.Generator, density: Density, count: int) -> NDArray[np.uint16]:
        """`count` glyph ids of running text, from a file chosen by the root of its length."""
        wide = density.wide and rng.random() < 0.85
        texts = self.corpus.wide if wide else self.corpus.narrow
        share = np.sqrt([len(t) for t in texts])
        text = texts[rng.choice(len(texts), p=share / share.sum())]
        start = rng.integers(max(1, len(text) - count))
        ids = text[start : start + count]
        return np.where(np.append(atlas(density).drawn, False)[np.minimum(ids, len(atlas(density).drawn))], ids, 0)

    def random(self, rng: np.random.Generator, density: Density, count: int) -> NDArray[np.uint16]:
        """`count` glyph ids drawn evenly: from all half-width ones, from ASCII, from those of some text, or,
        where there are full-width ones, from those."""
        kind = rng.random()
        if density.wide and kind < 0.8:
            first = N_FULL - _N_HANZI if kind < 0.65 else 0
            return (N_HALF + 2 * rng.integers(first, N_FULL, count)).astype(np.uint16)
        if kind < 0.3:
            alphabet = self.half_ids[density]
        elif kind < 0.5:
            alphabet = np.arange(7, 7 + 94, dtype=np.uint16)
        else:
            alphabet = np.unique(self.language(rng, density, 3000))
        return alphabet[rng.integers(len(alphabet), size=count)]

    def cells(
        self, rng: np.random.Generator, density: Density, rows: int, columns: int, random: bool
    ) -> NDArray[np.uint16]:
        """(rows, columns) cells of one page."""
        count = rows * columns
        ids = self.random(rng, density, count) if random else self.language(rng, density, count)
        if rng.random() < 0.1:
            ids = np.append(ids[: rng.integers(len(ids))], np.uint16(END))
        lines, _ = break_lines(expand(ids), columns, "lines" if rng.random() < 0.1 else "dense")
        lines = lines[:rows]
        return np.pad(lines, ((0, rows - len(lines)), (0, 0)))

    def scale(self, rng: np.random.Generator, density: Density) -> float:
        """What a page of `density` is shrunk to."""
        shares = np.array(list(self.scales.values()))
        scale = list(self.scales)[rng.choice(len(shares), p=shares / shares.sum())]
        return scale if self.large_enough(density, scale) else 1.0

    def large_enough(self, density: Density, scale: float) -> bool:
        """Whether a cell of `density` is still worth reading when shrunk to `scale`."""
        return density.height * scale >= (SMALLEST_WIDE if density.wide else SMALLEST)

    def batch(
        self,
        rng: np.random.Generator,
        pages: int,
        side: int,
        *,
        density: Density | None = None,
        random: bool | None = None,
        scale: float | None = None,
        samples: int | None = 48,
    ) -> Batch:
        """`pages` square pieces of `side` px, cut at token borders out of pages of up to LARGEST px, so that a
        character may stand anywhere in a token; each of its own density, kind and scale unless those are given, with
        `samples` supervised characters for each vision token (all if None)."""
        across = side // TOKEN_SIDE
        ink: list[NDArray[np.uint8]] = []
        half: list[Cells] = []
        full: list[Cells] = []
        for b in range(pages):
            d = density or self.densities[rng.choice(len(self.densities), p=self.weights)]
            is_random = rng.random() < self.random_share if random is None else random
            s = self.scale(rng, d) if scale is None else scale
            down, right = rng.integers((LARGEST - side) // TOKEN_SIDE + 1, size=2) * round(TOKEN_SIDE / s)
            down, right = down % d.height, right % d.width  # what is cut off the first row and column
            whole = round(side / s)
            rows, columns = -(-(whole + down) // d.height), -(-(whole + right) // d.width)
            cells = self.cells(rng, d, rows, columns, is_random)
            sheet = draw(cells, atlas(d).cells, rows * d.height, columns * d.width)
            ink.append(shrunk(sheet[down : down + whole, right : right + whole] * np.uint8(255), side, rng))
            flat = cells.reshape(-1).astype(np.int64)
            left, tail = (flat >= N_HALF) & ((flat - N_HALF) % 2 == 0), (flat >= N_HALF) & ((flat - N_HALF) % 2 == 1)
            wanted = np.where(left, LEFT, np.where(tail, RIGHT, flat))
            limit = None if samples is None else samples * across * across // (4 if d.wide else 1)
            for kind, candidates, target in (
                (half, np.ones(len(flat), bool), wanted),
                (full, left, (flat - N_HALF) // 2),
            ):
                y, x = np.broadcast_arrays(*centres(d, rows, columns, kind is full, s, down, right))
                y, x = y.reshape(-1), x.reshape(-1)
                chosen = np.flatnonzero(candidates & (y >= 0) & (y < side) & (x >= 0) & (x < side))
                if limit is not None and len(chosen) > limit:
                    chosen = rng.choice(chosen, limit, replace=False)
                if len(chosen):
                    at = places_at(d, y[chosen], x[chosen], across, across, kind is full, s)
                    squares = np.where(at.squares < 0, -1, at.squares + b * across * across * SQUARES)
                    kind.append((squares, at.place, target[chosen]))
        return Batch(np.stack(ink), _joined(half), _joined(full))


def shrunk(ink: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square of ink at `side` px, half of those that are made smaller saved as a JPEG in between."""
    if ink.shape[0] == side:
        return ink
    small = shrink_picture(ink, side, side)
    if rng.random() < 0.5:
        small = 255 - as_jpeg(255 - small, int(rng.integers(50, 96)))
    return small


def _joined(parts: list[Cells]) -> Cells:
    if not parts:
        return np.empty((0, 4), np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    square, place, target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return square, place, target
