"""Datasets for research: pages of documents, or of .fiche files, as dictionaries of arrays.

    from microfiche.integrations.dataset import DocumentPages, PackedPages
    DataLoader(DocumentPages("scans"), batch_size=None)         # of torch
    Dataset.from_generator(PackedPages("alice.fiche").__iter__)  # of Hugging Face

Needs neither library: a dataset has a length, gives the page of a number, and can be iterated and pickled. A page is
the same whichever way it is asked for, since each is read by itself.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from microfiche.codec import made_by, maker_of
from microfiche.documents.document import Document, PageRead
from microfiche.documents.engines import Engine, Engines, engines
from microfiche.documents.opening import DocumentSource, OpenFile, documents_in, open_document
from microfiche.documents.pages import document_of, read_pages
from microfiche.errors import InputError
from microfiche.fiche import Fiche
from microfiche.integrations.chunks import Names
from microfiche.limits import Limits
from microfiche.page import Page, VisionTokens
from microfiche.readers import Reader
from microfiche.sources import composed

Item = dict[str, Any]


class _Pages(ABC, Sequence[Item]):
    """Pages of several files, which are counted when the dataset is made and opened again for each page."""

    def __init__(self, counts: Sequence[int]) -> None:
        self._places = [(file, page) for file, count in enumerate(counts) for page in range(1, count + 1)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        file, page = self._places[index]
        (item,) = self._items(file, [page])
        return item

    def __iter__(self) -> Iterator[Item]:
        for file in dict.fromkeys(file for file, _ in self._places):
            yield from self._items(file, [page for its, page in self._places if its == file])

    @abstractmethod
    def _items(self, file: int, pages: Sequence[int]) -> Iterator[Item]: ...


class DocumentPages(_Pages):
    """The pages of PDFs and pictures (files, folders, addresses) as they are read. Each is a dictionary:

    - `name` of the document, `page` from 1;
    - `picture` (H, W, 3) uint8; one white pixel where the page could not be opened;
    - `text`, Markdown, and for each block `texts`, `kinds` and `boxes` (n, 4) int32, left, top, right, bottom in pixels
      of the picture, all 0 where the engine gives none;
    - `engine`, `status` (ok, partial, failed) and `reason`;
    - with a `reader`, such as `microfiche.load("nano-pages")`, `tokens` (n, D) float32, which it makes of the picture.

    `engine`, `pictures`, `dpi` and `limits` are those of `microfiche.read`. Raises InputError for a file that cannot be
    opened.
    """

    def __init__(
        self,
        sources: Names,
        *,
        engine: str | None = None,
        pictures: Engine | None = None,
        reader: Reader | None = None,
        dpi: float = 144,
        limits: Limits = Limits(),
    ) -> None:
        names = [sources] if isinstance(sources, str | Path) else list(sources)
        self._sources = documents_in([str(name) for name in names], limits)
        self._engine, self._pictures, self._reader, self._dpi, self._limits = engine, pictures, reader, dpi, limits
        self._at_hand: Engines | None = None
        counts = []
        for source in self._sources:
            with self._opened(source) as opened:
                counts.append(opened.pages)
        super().__init__(counts)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_at_hand": None}

    def _opened(self, source: DocumentSource) -> OpenFile:
        if source.error:
            raise InputError(f"{source.name}: {source.error}")
        return open_document(source.origin, source.name, dpi=self._dpi, limits=self._limits)

    def _items(self, file: int, pages: Sequence[int]) -> Iterator[Item]:
        if self._at_hand is None:
            self._at_hand = engines(self._engine, self._pictures)
        with self._opened(self._sources[file]) as opened:
            for page, picture in read_pages(opened, self._at_hand, pages):
                seen = np.full((1, 1, 3), 255, np.uint8) if picture is None else np.array(picture.convert("RGB"))
                item = _item(document_of(opened, {}, [page]), seen)
                if self._reader is not None:
                    (tokens,) = self._reader.encode([Page(seen)])
                    item["tokens"] = _values(tokens)
                yield item


def _item(document: Document, picture: Any) -> Item:
    page: PageRead = document.pages[0]
    whole = document.model_copy(update={"pages": [page.model_copy(update={"status": "ok"})]})
    boxes = [block.box or (0, 0, 0, 0) for block in page.blocks]
    return {
        "name": document.name, "page": page.number, "picture": picture, "text": whole.markdown().rstrip("\n"),
        "texts": [block.text for block in page.blocks], "kinds": [str(block.kind) for block in page.blocks],
        "boxes": np.array(boxes, np.int32).reshape(-1, 4), "engine": page.engine, "status": page.status,
        "reason": page.reason,
    }  # fmt: skip


class PackedPages(_Pages):
    """The pages of .fiche files. Each is a dictionary:

    - `name` of the file, `page` from 1, `picture` (H, W) or (H, W, 3) uint8;
    - `tokens` (n, D) float32 and `places` (n, 3) int32, the view, row and column that each stands for;
    - `text`, as it is read from the tokens, with `boxes` (T, 4) int32 and `confidence` (T,) float32 of its characters;
      both are empty where the reader does not know them;
    - `truth`, the text that was packed, where the file holds it, and else ""; `right`, whether `text` is what was
      packed, as far as that is known.

    What ships reads, unless a `reader` is given. Raises FicheError for a file that is damaged, and CheckpointError for
    tokens of other weights.
    """

    def __init__(self, files: Names, *, reader: Reader | None = None) -> None:
        self._files = [Path(one) for one in ([files] if isinstance(files, str | Path) else files)]
        self._reader = reader
        counts = []
        for path in self._files:
            with Fiche(path) as fiche:
                counts.append(len(fiche))
        super().__init__(counts)

    def _items(self, file: int, pages: Sequence[int]) -> Iterator[Item]:
        with Fiche(self._files[file]) as fiche:
            reader = self._reader or _maker(fiche)
            whole = composed(b"".join(fiche.text()).decode()) if fiche.manifest.text else ""
            entries = fiche.manifest.pages
            starts = np.cumsum([0, *(entry.characters for entry in entries)])
            for number in pages:
                picture = fiche.page(number)
                anew = self._reader is None and reader.checkpoint != made_by(fiche)
                tokens = reader.encode([picture])[0] if anew else fiche.tokens(number)
                (reading,) = reader.read([tokens])
                wanted, truth = entries[number - 1].text, whole[starts[number - 1] : starts[number]]
                yield {
                    "name": str(fiche.path), "page": number, "picture": np.array(picture.image),
                    "text": reading.text, "boxes": np.array(reading.boxes), "confidence": np.array(reading.confidence),
                    "truth": truth if wanted in (None, _digest(truth)) else "",
                    "right": wanted in (None, _digest(reading.text)),
                    "tokens": _values(tokens), "places": _places(tokens),
                }  # fmt: skip


@cache
def _loaded(name: str, sha256: str, path: Path) -> Reader:
    with Fiche(path) as fiche:
        return maker_of(fiche)


def _maker(fiche: Fiche) -> Reader:
    return _loaded(*made_by(fiche), fiche.path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _values(tokens: VisionTokens) -> Any:
    return np.array(tokens.values.detach().float().cpu().numpy())


def _places(tokens: VisionTokens) -> Any:
    if tokens.places is not None:
        return np.array(tokens.places)
    rows, columns = np.mgrid[: tokens.height, : tokens.width]
    return np.stack([np.zeros_like(rows), rows, columns], axis=-1).reshape(-1, 3).astype(np.int32)
