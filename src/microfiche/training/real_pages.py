"""Real pages by chance: pieces of the pages in a store of real_store.py, drawn by PDFium, with their truth.

All chance comes from the caller's generator: the same state and the same store give the same page. Only pages that
PDFium has drawn before, when they were extracted, are drawn here, in the same process.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.decoder.prints import MIDDLE
from microfiche.errors import InputError
from microfiche.page import Page
from microfiche.training.real_store import Document, Shard, held_out
from microfiche.training.real_text import PageTruth, draw_grey
from microfiche.typesetting.printed import Line, Print

_OPEN = 16  #: PDFs kept open
_BAD = 0xFFFD  #: stands in a page's text for a character that is not to be learned
_DESIGNED = re.compile(
    "beamer|slide|talk|poster|letter(?!space)|lettre|brief|cv(?![a-z])|vitae|resume|exam(?!pl)|form(?![a-z])|card|"
    "table(?!au)|tabular|tabu(?![a-z])|invoice|factur|rechnung|flyer|leaflet|calend",
    re.I,
)
_OTHER_LANGUAGES = re.compile("-(lang-|ja$|zh)|installation-guide|lilypond|gnucash|refcard")
#: The shares of documents: journals and theses, what comes with LaTeX packages, other books and manuals, other
#: languages, and what is laid out in some way of its own.
MIXTURE = {"publishers": 0.25, "latex": 0.25, "manuals": 0.25, "languages": 0.15, "designed": 0.1}


def group(file: str) -> str:
    """Which of MIXTURE a PDF belongs to, by its path in the folder of PDFs."""
    package, _, rest = file.partition("/")
    if _DESIGNED.search("/".join(rest.split("/")[-2:])):
        return "designed"
    if "publishers" in package:
        return "publishers"
    if "latex-extra" in package:
        return "latex"
    return "languages" if _OTHER_LANGUAGES.search(package) else "manuals"


class RealPages:
    """The pages of a store's training documents, or of those held out; the PDFs are under `pdfs`."""

    def __init__(self, store: Path, pdfs: Path, held_out: bool = False) -> None:
        """InputError where there is no such page in the store."""
        self._pdfs = pdfs
        self._shards = [Shard(path) for path in sorted(store.glob("*.safetensors"))]
        #: For each group its documents, for each of those its pages as (shard, page).
        self._groups: dict[str, list[list[tuple[int, int]]]] = {}
        for s, i in _documents(self._shards, held_out):
            pages = np.flatnonzero(self._shards[s].document == i).tolist()
            if pages:
                kind = group(self._shards[s].documents[i].file)
                self._groups.setdefault(kind, []).append([(s, page) for page in pages])
        if not self._groups:
            raise InputError(f"{store}: no {'held-out' if held_out else 'training'} pages in it; "
                             "tools/extract_pages.py makes some")  # fmt: skip
        self._kinds = list(self._groups)
        shares = np.array([MIXTURE[kind] for kind in self._kinds])
        self._up_to = np.cumsum(shares / shares.sum())
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._process = os.getpid()

    def __len__(self) -> int:
        return sum(len(pages) for documents in self._groups.values() for pages in documents)

    def print(self, rng: np.random.Generator, height: int, width: int, em: tuple[float, float] = (6.0, 18.0)) -> Print:
        """A piece of `height` × `width` px of a page, somewhere where text is, with most of its type between the two
        sizes of `em`, px an em; no smaller than the whole page would need to fill the piece."""
        kind = self._kinds[min(int(np.searchsorted(self._up_to, rng.random(), "right")), len(self._kinds) - 1)]
        documents = self._groups[kind]
        pages = documents[int(rng.integers(len(documents)))]
        s, number = pages[int(rng.integers(len(pages)))]
        shard = self._shards[s]
        truth = shard.truth(number)
        scale = float(np.exp(rng.uniform(*np.log(em)))) / float(shard.em[number])
        whole = min(height / truth.size[1], width / truth.size[0])
        scale = min(max(scale, whole), max(scale, em[1] / float(shard.em[number])))
        box = truth.boxes[int(rng.integers(len(truth.boxes)))] * scale
        left = _start(rng, truth.size[0] * scale, width, float(box[0] + box[2]) / 2)
        top = _start(rng, truth.size[1] * scale, height, float(box[1] + box[3]) / 2)
        document = shard.documents[int(shard.document[number])]
        page = pdfium.FPDF_LoadPage(self._pdf(document), int(shard.number[number]))
        if not page:
            raise InputError(f"{self._pdfs / document.file}: page {shard.number[number] + 1} is not what it was")
        try:
            return draw(page, truth, scale, (left, top, left + width, top + height))
        finally:
            pdfium.FPDF_ClosePage(page)

    def _pdf(self, document: Document) -> Any:
        if self._process != os.getpid():  # a fork, which shares its place in the files that are open
            self._open, self._process = OrderedDict(), os.getpid()
        if document.file in self._open:
            self._open.move_to_end(document.file)
            return self._open[document.file]
        path = self._pdfs / document.file
        try:
            pdf = pypdfium2.PdfDocument(path)
        except (pypdfium2.PdfiumError, OSError) as error:
            raise InputError(f"{path}: cannot be opened ({error}), but the store has its pages") from error
        self._open[document.file] = pdf
        if len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return pdf


def _documents(shards: list[Shard], wanted: bool) -> list[tuple[int, int]]:
    """The documents that are held out, or those that are not, as (shard, document); of copies the first alone."""
    every = [(s, i) for s, shard in enumerate(shards) for i in range(len(shard.documents))]
    documents = [shards[s].documents[i] for s, i in every]
    found: dict[str, tuple[int, int]] = {}
    for place, document, held in zip(every, documents, held_out(documents), strict=True):
        if held == wanted:
            found.setdefault(document.sha256, place)
    return list(found.values())


def _start(rng: np.random.Generator, whole: float, piece: int, at: float) -> int:
    """Where a piece of a page `whole` px long begins so that `at` is in its middle half, or as near as the page's ends
    let it; a page that is shorter is somewhere in the piece."""
    free = round(whole) - piece
    if free <= 0:
        return -int(rng.integers(-free + 1))
    return int(np.clip(at - piece * rng.uniform(0.25, 0.75), 0, free))


def draw(page: Any, truth: PageTruth, scale: float, window: tuple[int, int, int, int] | None = None) -> Print:
    """An open PDFium page of this truth at `scale` px a point, or a window (left, top, right, bottom) px of it, that may
    go beyond the page.

    The text has a line for each of the truth; a character that is bad, or less than half inside, is left out of what
    can be learned: as U+FFFD, and as unknown. Boxes are float32, not whole pixels.
    """
    across, down = (max(1, round(side * scale)) for side in truth.size)
    left, top, right, bottom = window = window or (0, 0, across, down)
    height, width = bottom - top, right - left
    zoom = np.array([across / truth.size[0], down / truth.size[1]] * 2)
    shift = np.array([left, top] * 2)
    edges = np.array([width, height] * 2)
    boxes = truth.boxes * zoom - shift
    inside = boxes.clip(0, edges)
    share = _areas(inside) / np.maximum(_areas(boxes), 1e-6)
    baselines = truth.baselines * zoom - shift
    sizes = truth.sizes * float(zoom[1])
    middle = baselines[:, [1, 3]].mean(1) - MIDDLE * sizes
    runs = (middle > 0) & (middle < height)
    half = (share >= 0.5) & np.repeat(runs, np.diff(truth.spans, axis=1)[:, 0])
    points = np.where(truth.bad, _BAD, truth.points)
    kept, lines, at = [], [], 0
    for (start, stop), (x0, y0, x1, y1), size in zip(
        truth.spans.tolist(), baselines.tolist(), sizes.tolist(), strict=True
    ):
        chosen = np.flatnonzero(half[start:stop]) + start
        visible = np.flatnonzero(points[chosen] != 0x20)
        if not len(visible):
            continue
        chosen = chosen[visible[0] : visible[-1] + 1]
        slope = (y1 - y0) / max(x1 - x0, 1e-6)
        first, last = max(x0, 0.0), min(x1, float(width))
        lines.append(Line(at, at + len(chosen), (first, y0 + (first - x0) * slope, last, y0 + (last - x0) * slope), size))
        kept += [chosen, [-1]]
        at += len(chosen) + 1
    order = np.concatenate(kept[:-1]).astype(np.int64) if kept else np.zeros(0, np.int64)
    cut = (share > 0) & ~half & (truth.points != 0x20)
    unknown = np.concatenate([(truth.unknown * zoom - shift).clip(0, edges), inside[cut]])
    unknown = unknown[_areas(unknown) > 0]
    found = inside[order].astype(np.float32)
    ends = order < 0
    found[ends] = found[np.flatnonzero(ends) - 1][:, [2, 3, 2, 3]]
    codes = np.where(ends, 0x0A, points[order]).astype("<u4")
    picture = draw_grey(page, across, down, window)
    regions = np.concatenate([np.floor(unknown[:, :2]), np.ceil(unknown[:, 2:])], 1).astype(int)
    return Print(
        Page(picture, None, codes.tobytes().decode("utf-32-le", "replace"), found), tuple(lines), (), (), (),
        tuple((a, b, c, d) for a, b, c, d in regions.tolist()),
    )  # fmt: skip


def _areas(boxes: NDArray[Any]) -> NDArray[np.float64]:
    return (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
