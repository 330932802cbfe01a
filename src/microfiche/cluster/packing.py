"""What a process of the cluster does with a unit that is to be packed: it writes a .fiche file, as `pack` does.

It knows nothing of Ray.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from microfiche.cluster.listing import at_hand as with_bytes
from microfiche.cluster.plan import Unit
from microfiche.cluster.table import Row
from microfiche.cluster.work import count_pages, row_for, sha256_of
from microfiche.codec import pack, pack_pages
from microfiche.documents.as_is import GLANCED, pages_as_is, side_of
from microfiche.documents.job import Do, Tell
from microfiche.documents.opening import DocumentSource
from microfiche.documents.reading import read
from microfiche.errors import InputError, MicroficheError
from microfiche.limits import Limits
from microfiche.page import Page
from microfiche.readers import Reader, refuse_typeset_only
from microfiche.sources import Source


@dataclass(frozen=True)
class Packing:
    """The orders to pack each document as a .fiche file in `folder`, by the reader that `reader` loads.

    `as_is` takes the pages as they are, with `sure` their lines alone; otherwise the document is read first, and its
    Markdown is set at `density` in `layout`. `mode` is the size of the pages.
    """

    reader: Callable[[], Reader]
    folder: Path
    settings: str
    mode: str = "small"
    as_is: bool = False
    sure: float | None = None
    pages: str | None = None
    density: str = "5x8"
    layout: str = "dense"
    keep_text: bool = False
    limits: Limits = field(default_factory=Limits)

    def outputs(self, name: str) -> list[Path]:
        """The file that shows that a document of this name was packed."""
        return [self.folder / f"{name}.fiche"]

    def begin(self) -> Do:
        """Loads the reader, and returns the function that packs a document, or says of None that it is ready."""
        reader = self.reader()
        if self.as_is:
            refuse_typeset_only(reader, reader.checkpoint.name)
            side_of(self.mode)
        if self.sure is not None:
            from microfiche.nano.print import PrintModel
            from microfiche.nano.zoom import Zoom

            if not isinstance(reader, PrintModel):
                raise InputError(f"--sure goes with nano-pages, not with {reader.checkpoint.name}")
            reader = Zoom(reader, self.sure)

        def do(unit: Unit | None, tell: Tell) -> dict[str, Any]:
            if unit is None:
                return {}
            sha256 = sha256_of(unit.source)
            if unit.before and sha256 == unit.before and self.outputs(unit.name)[0].is_file():
                return {"same": unit.name}
            row = row_for(unit, self.settings)
            row.sha256 = sha256
            start = time.perf_counter()
            try:
                self._pack(unit, reader, row, tell)
            except MicroficheError as error:
                row.error = str(error) if str(error).startswith(unit.source.name) else f"{unit.source.name}: {error}"
            except Exception as error:  # a fault of ours or of a library costs this document and no other
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                row.error = f"{unit.source.name}: a fault in Microfiche ({reason})"
            row.seconds = round(time.perf_counter() - start, 3)
            return {"row": asdict(row)}

        return do

    def _pack(self, unit: Unit, reader: Reader, row: Row, tell: Tell) -> None:
        source = with_bytes(unit.source, self.limits)
        if source.error:
            raise InputError(source.error)
        (output,) = self.outputs(unit.name)
        if self.as_is:
            side, mode = (side_of(self.mode), self.mode) if self.sure is None else (GLANCED, f"sure {self.sure}")
            packed = pack_pages([(source.name, self._drawn(source, side, tell))], output, reader, mode,
                                keep_text=self.keep_text)  # fmt: skip
            row.pages_ok, row.status = packed.pages, "ok"
        else:
            document = read(source.origin, pages=self.pages, limits=self.limits)
            if document.failed:
                failed = document.failed[0]
                raise InputError(f"page {failed.number} was not read: {failed.reason}")
            count_pages(row, document)
            text = Source(source.name, document.markdown().encode())
            packed = pack([text], output, reader, self.density, self.mode, self.layout,  # type: ignore[arg-type]
                          keep_text=self.keep_text)  # fmt: skip
        row.pages, row.tokens, row.engine = packed.pages, packed.vision_tokens, reader.checkpoint.name
        row.outputs = [output.name]

    def _drawn(self, source: DocumentSource, side: int, tell: Tell) -> Iterator[Page]:
        drawn = pages_as_is(
            source.origin, side, self.pages, limits=self.limits, lines=self.sure is not None, name=source.name
        )
        for _, page in drawn:
            tell("read", 1)
            yield page
