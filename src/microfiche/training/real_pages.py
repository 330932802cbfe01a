"""Random pieces of real pages, with their truth: chosen from a store of real_store.py and drawn by PDFium.

All randomness comes from the caller's generator: the same state and the same store give the same page. The drawing is
done in this process, and only of pages that PDFium could draw when they were extracted. Which documents are held out
follows from their names, so that every training holds out the same ones.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.errors import InputError
from microfiche.nano.tracing import MIDDLE
from microfiche.page import TypesetPage
from microfiche.training.real_store import Document, Shard
from microfiche.training.real_text import PageTruth, draw_grey
from microfiche.training.recipe import Choice
from microfiche.typesetting.print import Line, Print

_BAD = 0xFFFD  #: replaces, in a page's text, a character that is not to be learned
_DESIGNED = re.compile(
    "beamer|slide|talk|poster|letter(?!space)|lettre|brief|cv(?![a-z])|vitae|resume|exam(?!pl)|(?<![a-z])form(?![a-z])|card|"
    "table(?!au)|tabular|tabu(?![a-z])|invoice|factur|rechnung|flyer|leaflet|calend",
    re.I,
)
_OTHER_LANGUAGES = re.compile("-(lang-|ja$|zh)|installation-guide|lilypond|gnucash|refcard")
#: The shares of documents: journals and theses, documentation of LaTeX packages, other books and manuals, other
#: languages, and documents with a layout of their own.
MIXTURE = {"publishers": 0.25, "latex": 0.25, "manuals": 0.25, "languages": 0.15, "designed": 0.1}

#: Packages, and the units in them whose pages are listed in benchmarks/pages.json or contain the same texts as those
#: (jieeetran, revtex4, revtex4-1).
EVALUATED: dict[str, tuple[str, ...]] = {
    "debian-refcard": ("",),
    "gnucash-docs": ("",),
    "octave-doc": ("",),
    "texlive-fonts-extra-doc": (
        "fonts/andika", "fonts/atkinson", "fonts/charissil", "fonts/fira", "fonts/gentium-tug", "fonts/gofonts",
        "fonts/ibarra", "fonts/libertinus-fonts", "fonts/roboto",
    ),
    "texlive-humanities-doc": ("latex/eledmac",),
    "texlive-lang-arabic": ("xelatex/sexam",),
    "texlive-lang-chinese": ("latex/fduthesis", "latex/xpinyin", "latex/zhnumber"),
    "texlive-lang-cyrillic": ("bibtex/gost",),
    "texlive-lang-french": ("latex/bibleref-french", "latex/booktabs-fr", "latex/l2tabu-french", "xelatex/facture"),
    "texlive-lang-greek": ("support/mkgrkindex",),
    "texlive-lang-japanese": (
        "bibtex/ieejtran", "bibtex/jieeetran", "latex/gckanbun", "latex/platexcheat", "platex/pxbase",
    ),
    "texlive-latex-base-doc": ("latex/hyperref",),
    "texlive-latex-extra-doc": (
        "latex/acro", "latex/bewerbung", "latex/blowup", "latex/cheatsheet", "latex/csvsimple",
        "latex/diabetes-logbook", "latex/exam-n", "latex/glossaries", "latex/halloweenmath", "latex/hletter",
        "latex/labbook", "latex/magaz", "latex/mathexam", "latex/metanorma", "latex/modernposter", "latex/powerdot",
        "latex/rmpage", "latex/sttools", "latex/subfigmat", "latex/tabularborder", "latex/tabularew", "latex/xassoccnt",
        "latex/yaletter",
    ),
    "texlive-latex-recommended-doc": ("latex/cite", "latex/mdwtools"),
    "texlive-pictures-doc": ("latex/mathspic", "latex/prerex", "latex/tufte-latex"),
    "texlive-publishers-doc": (
        "bibtex/bath-bst", "latex/asmeconf", "latex/bangorexam", "latex/cesenaexam", "latex/hagenberg-thesis",
        "latex/hitszbeamer", "latex/jmlr", "latex/llncs", "latex/nddiss", "latex/revtex", "latex/revtex4",
        "latex/revtex4-1", "latex/ryersonsgsthesis", "latex/seuthesis", "latex/seuthesix", "latex/tabriz-thesis",
        "latex/thesis-ekf", "latex/thubeamer", "latex/tuda-ci", "latex/tugboat", "latex/wsemclassic", "latex/yb-book",
        "latex/york-thesis", "plain/tugboat-plain",
    ),
    "texlive-science-doc": ("latex/ghsystem", "latex/siunitx"),
}  # fmt: skip
#: The families that docs/fonts.md calls unseen, as PDFs spell them.
_UNSEEN = re.compile("cabin|clearsans|biolin|ebgaramond|libertin|vollkorn|fira|zenhei")


def group(file: str) -> str:
    """Returns the key of MIXTURE that a PDF belongs to, by its path in the folder of PDFs."""
    package, _, rest = file.partition("/")
    if _DESIGNED.search("/".join(rest.split("/")[-2:])):
        return "designed"
    if "publishers" in package:
        return "publishers"
    if "latex-extra" in package:
        return "latex"
    return "languages" if _OTHER_LANGUAGES.search(package) else "manuals"


class RealPages:
    """The pages of a store's training documents, or of its held-out ones; the PDFs are under `pdfs`."""

    def __init__(self, store: Path, pdfs: Path, held_out: bool = False) -> None:
        """Raises InputError if the store has no such page."""
        self._pdfs = pdfs
        self._shards = [Shard(path) for path in sorted(store.glob("*.safetensors"))]
        #: For each group its documents, and for each document its pages as (shard, page).
        self._groups: dict[str, list[list[tuple[int, int]]]] = {}
        for s, i in _documents(self._shards, held_out):
            pages = np.flatnonzero(self._shards[s].document == i).tolist()
            if pages:
                kind = group(self._shards[s].documents[i].file)
                self._groups.setdefault(kind, []).append([(s, page) for page in pages])
        if not self._groups:
            raise InputError(f"{store}: no {'held-out' if held_out else 'training'} pages in it; "
                             f"python tools/extract_pages.py {pdfs} makes some")  # fmt: skip
        self._kinds = Choice.of({kind: MIXTURE[kind] for kind in self._groups})

    def __len__(self) -> int:
        return sum(len(pages) for documents in self._groups.values() for pages in documents)

    def page(self, rng: np.random.Generator, height: int, width: int, em: tuple[float, float] = (6.0, 18.0)) -> Print:
        """Returns a random piece of `height` × `width` px of a page, at a place with text. Its commonest size of type
        is between the two sizes of `em`, in px per em, and within that range at least so large that the whole page
        would fill the piece."""
        documents = self._groups[self._kinds.one(rng)]
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
        with _page(self._pdfs / document.file, int(shard.number[number]), truth.size) as page:
            return draw(page, truth, scale, (left, top, left + width, top + height))


@contextmanager
def _page(path: Path, number: int, size: tuple[float, float]) -> Iterator[Any]:
    """Opens a page of a PDF. Raises InputError if it is missing or has another size than when it was extracted."""
    pdf = pdfium.FPDF_LoadDocument(os.fsencode(path), None)
    page = pdfium.FPDF_LoadPage(pdf, number) if pdf else None
    try:
        if not page:
            raise InputError(f"{path}: page {number + 1} cannot be opened, but the store has it; fetch the PDFs again")
        found = pdfium.FPDF_GetPageWidthF(page), pdfium.FPDF_GetPageHeightF(page)
        if np.abs(np.subtract(found, size)).max() > 0.1:
            raise InputError(f"{path}: not the file that the store was made from; extract its pages again")
        yield page
    finally:
        if page:
            pdfium.FPDF_ClosePage(page)
        if pdf:
            pdfium.FPDF_CloseDocument(pdf)


def unit_of(file: str) -> str:
    """Returns the unit of a PDF by its path PACKAGE/usr/share/doc/…: the package and, for TeX Live, the first two
    folders below texlive-doc. PDFs of one unit share text, so they are held out together."""
    package, *folders = file.split("/")[:-1]
    inner = folders[folders.index("texlive-doc") + 1 :][:2] if "texlive-doc" in folders else []
    return f"{package}/{'/'.join(inner)}"


def unit_held_out(unit: str) -> bool:
    """Whether a unit is held out: it is evaluated, or its SHA-256 starts with the hex digit 0."""
    package, _, folders = unit.partition("/")
    return folders in EVALUATED.get(package, ()) or hashlib.sha256(unit.encode()).hexdigest()[0] == "0"


def unseen(font: str) -> bool:
    """Whether a font of this name, as a PDF spells it, belongs to a family in which no training page is set."""
    return bool(_UNSEEN.search(re.sub("[^a-z]", "", font.split("+")[-1].lower())))


def kept_apart(documents: list[Document]) -> list[bool]:
    """Whether each document is held out: it or a copy of it is in a unit that is held out, or it is set in an unseen
    typeface."""
    copies = {document.sha256 for document in documents if unit_held_out(unit_of(document.file))}
    return [document.sha256 in copies or any(map(unseen, document.fonts)) for document in documents]


def _documents(shards: list[Shard], wanted: bool) -> list[tuple[int, int]]:
    """Returns the documents that are held out, or those that are not, as (shard, document); of copies, only the
    first."""
    every = [(s, i) for s, shard in enumerate(shards) for i in range(len(shard.documents))]
    documents = [shards[s].documents[i] for s, i in every]
    found: dict[str, tuple[int, int]] = {}
    for place, document, held in zip(every, documents, kept_apart(documents), strict=True):
        if held == wanted:
            found.setdefault(document.sha256, place)
    return list(found.values())


def _start(rng: np.random.Generator, whole: float, piece: int, at: float) -> int:
    """Returns where a piece of a page of `whole` px begins, so that `at` is in its middle half, or as near to that as
    the ends of the page allow. A page that is shorter than the piece is placed at random in it."""
    free = round(whole) - piece
    if free <= 0:
        return -int(rng.integers(-free + 1))
    return int(np.clip(at - piece * rng.uniform(0.25, 0.75), 0, free))


def draw(page: Any, truth: PageTruth, scale: float, window: tuple[int, int, int, int] | None = None) -> Print:
    """Draws an open PDFium page with this truth at `scale` px per point, or a window (left, top, right, bottom) px of
    it, which may extend beyond the page.

    The text has a line for each line of the truth. A character that is bad, or less than half inside, is not to be
    learned: a bad one becomes U+FFFD, and one that is cut off counts as unknown ink. Boxes are float32, with fractions
    of pixels.
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
        ends = first, y0 + (first - x0) * slope, last, y0 + (last - x0) * slope
        lines.append(Line(at, at + len(chosen), ends, size))
        kept += [chosen, [-1]]
        at += len(chosen) + 1
    order = np.concatenate(kept[:-1]).astype(np.int64) if kept else np.zeros(0, np.int64)
    cut = (share > 0) & ~half & (truth.points != 0x20)
    unknown = np.concatenate([(truth.unknown * zoom - shift).clip(0, edges), inside[cut]])
    unknown = unknown[_areas(unknown) > 0]
    found = inside[order].astype(np.float32)
    parts = np.flatnonzero(order < 0)
    found[parts] = found[parts - 1][:, [2, 3, 2, 3]]
    codes = np.where(order < 0, 0x0A, points[order]).astype("<u4")
    picture = draw_grey(page, across, down, window)
    regions = np.concatenate([np.floor(unknown[:, :2]), np.ceil(unknown[:, 2:])], 1).astype(int)
    return Print(
        TypesetPage(picture, None, codes.tobytes().decode("utf-32-le", "replace"), found), tuple(lines), (), (), (),
        tuple((a, b, c, d) for a, b, c, d in regions.tolist()),
    )  # fmt: skip


def _areas(boxes: NDArray[Any]) -> NDArray[np.float64]:
    return (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
