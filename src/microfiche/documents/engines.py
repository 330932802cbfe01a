"""Who reads a page: an Engine gives the reading of sheets, and for each sheet one is chosen.

`text` (text_engine.py) takes a PDF's own text layer where it is sound, `rapid` and `tesseract` (rapid.py), `nano` and
`nano-rapid` (nano_lines.py) read scans, `endpoint` asks a server, and ReaderEngine makes an engine of a Reader that
takes any picture. To add an engine, write a class with `name`, `batch` and `read`; one that also has `lines` can read
parts of a page.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from microfiche.decoder.prompts import FAMILY, Kind, ModelName, prompt
from microfiche.documents.dialects import Manner, dialect_named, manner_of
from microfiche.documents.document import PageRead
from microfiche.documents.grounding import loop, parse
from microfiche.documents.scans.rapid import RapidEngine, TesseractEngine, page_of_lines
from microfiche.documents.sheet import Sheet
from microfiche.documents.text_engine import TextEngine, judged, layer_of
from microfiche.documents.text_lines import lines_read
from microfiche.endpoint import Endpoint
from microfiche.errors import InputError, SetUpError, UsageError
from microfiche.page import Page, Reading, Status

if TYPE_CHECKING:
    from microfiche.deepseek_ocr.model import Asking, DeepSeekOCR
    from microfiche.readers import Reader

LIKELY = 0.5  #: a character that a reader is less sure of is more likely wrong than right
NANO = ("nano", "nano-rapid")  #: engines whose model runs in torch, which is imported only for them
#: Engines, and what they need.
CONFIGURED: dict[str, str] = {"endpoint": "the address of a server", **{name: "weights" for name in FAMILY}}


class Engine(Protocol):
    """Reads sheets that have pictures, `batch` at a time at most."""

    @property
    def name(self) -> str:
        """What it is called in documents and by `--engine`."""
        ...

    @property
    def batch(self) -> int:
        """How many sheets it gains from having at once."""
        ...

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The page that it reads on each sheet; a fault in one page is that page's status.

        If it raises an error all the same, the sheets are read again one by one, and one that fails alone becomes a
        failed page. SetUpError ends the reading: the engine cannot read any page.
        """
        ...


@dataclass(frozen=True)
class Engines:
    """The engines at hand: `text` for sound text layers, `pictures` for all else; if `forced`, one reads every page."""

    pictures: Engine
    text: Engine | None
    forced: bool = False

    def choose(self, sheet: Sheet) -> tuple[Engine, str]:
        """The engine for a sheet that has a picture, and the reason for choosing it."""
        if self.text is None or (self.forced and self.text is not self.pictures):
            return self.pictures, "asked for"
        layer = layer_of(sheet)
        if self.forced:
            wrong = layer.found.unusable or layer.found.why
            return self.text, "asked for" + (f", though {wrong}" if wrong else "")
        wrong, why = judged(layer, self.pictures)
        return (self.pictures, wrong) if wrong else (self.text, why)


def engines(name: str | None = None, pictures: Engine | None = None, device: str = "cpu") -> Engines:
    """The engines to read with: all of them, chosen page by page, if `name` is None, otherwise that one alone.

    `name` is "text", "rapid", "tesseract", "nano", "nano-rapid", the name of `pictures`, or a model that
    `microfiche.load` finds by its name; nano and models run on `device`. `pictures` reads scans in place of RapidOCR.
    Raises UsageError for another name.
    """
    if name is None:
        scans = pictures or RapidEngine()
        return Engines(scans, TextEngine(scans))
    if name == TextEngine.name:
        text = TextEngine()
        return Engines(text, text, forced=True)
    if pictures is not None and name == pictures.name:
        return Engines(pictures, None, forced=True)
    if name in (RapidEngine.name, TesseractEngine.name):
        return Engines(RapidEngine() if name == RapidEngine.name else TesseractEngine(), None, forced=True)
    if name in NANO:
        from microfiche.documents.scans.nano_lines import CascadeEngine, NanoEngine

        return Engines((NanoEngine if name == NanoEngine.name else CascadeEngine)(device), None, forced=True)
    return Engines(reader_engine(name, device), None, forced=True)


def reader_engine(name: str, device: str = "cpu") -> ReaderEngine:
    """The engine of the model that `microfiche.load` finds by its `name`; UsageError where there is none, or where it
    reads only pages that Microfiche set."""
    from microfiche.readers import READERS, load

    if name in CONFIGURED:
        raise UsageError(f"engine {name!r} needs {CONFIGURED[name]}; pass it as pictures=…")
    if name not in READERS:
        known = ("text", "rapid", "tesseract", *NANO, *CONFIGURED, "nano-pages")
        raise UsageError(f"no engine {name!r}; there are {', '.join(known)}")
    return ReaderEngine(name, load(name, device))


def _page_of_text(sheet: Sheet, engine: str, text: str, status: Status, reason: str) -> PageRead:
    """The page that a model's `text` describes; partial where the reading ended early or marks in it are broken."""
    assert sheet.picture is not None
    width, height = sheet.picture.size
    found, wrong = parse(text, width, height)
    if not found and np.ptp(np.asarray(sheet.picture), axis=(0, 1)).any():
        wrong = "nothing was read, though the page is not empty; the prompt may not be the model's"
    return PageRead(
        number=sheet.number,
        width=width,
        height=height,
        engine=engine,
        status="ok" if status == "ok" and not wrong else "partial",
        reason=reason or wrong,
        blocks=found,
    )


@dataclass(frozen=True)
class ReaderEngine:
    """Reads sheets by `reader`, a Reader that takes pictures of any size, whether or not Microfiche set them.

    A reading with boxes and confidence is laid out as RapidOCR's lines are; the text of one without is parsed as
    Markdown with DeepSeek-OCR's marks. `again`, if there is one, is asked for pages whose first reading is not "ok".
    The better of the two readings is kept (the first, if neither is "ok"), with a reason that tells of both; `again_in`
    names the second mode there: "looped in gundam, read again in large". Raises UsageError for nano for cells, which
    reads only pages that Microfiche set.
    """

    name: str
    reader: Reader
    again: Reader | None = None
    again_in: str = ""
    batch: int = 16

    def __post_init__(self) -> None:
        from microfiche.readers import refuse_typeset_only

        refuse_typeset_only(self.reader, self.name)

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The blocks of each sheet; partial where the reading was cut, broke its grammar, or where it or
        one of its characters is of low confidence."""
        pages = [Page(np.asarray(sheet.picture)) for sheet in sheets]
        readings = self.reader.read(self.reader.encode(pages))
        failed = [i for i, reading in enumerate(readings) if reading.status != "ok"]
        if self.again is not None and failed:
            seconds = self.again.read(self.again.encode([pages[i] for i in failed]))
            for i, second in zip(failed, seconds, strict=True):
                readings[i] = self._better(readings[i], second)
        return [self._page(sheet, reading) for sheet, reading in zip(sheets, readings, strict=True)]

    def _better(self, first: Reading, second: Reading) -> Reading:
        why = first.reason or first.status
        if second.status == "ok":
            return replace(second, reason=f"{why}, read again{f' in {self.again_in}' if self.again_in else ''}")
        return replace(first, reason=f"{why}, {second.reason or second.status} as well")

    def _page(self, sheet: Sheet, reading: Reading) -> PageRead:
        if not len(reading.boxes) == len(reading.confidence) == len(reading.text):
            return _page_of_text(sheet, self.name, reading.text, reading.status, reading.reason)
        assert sheet.picture is not None
        page = page_of_lines(sheet.number, self.name, lines_read(reading), sheet.picture)
        unsure = sum(
            sure < LIKELY and not sign.isspace() for sign, sure in zip(reading.text, reading.confidence, strict=True)
        )
        said = f"{unsure} of {len(reading.text)} characters are more likely wrong than right" if unsure else ""
        status = "ok" if reading.status == page.status == "ok" and not unsure else "partial"
        return page.model_copy(update={"status": status, "reason": reading.reason or page.reason or said})


class PublishedEngine(ReaderEngine):
    """A ReaderEngine whose readers are a published model's `asking`. It bans repeated n-grams as the model was
    published with for what the sheets are."""

    reader: Asking
    again: Asking

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The blocks of each sheet; see ReaderEngine."""
        kind = kind_of(sheets[0])  # they are of one document
        banned = {which: replace(getattr(self, which), no_repeat=kind) for which in ("reader", "again")}
        return ReaderEngine(self.name, **banned, again_in=self.again_in, batch=self.batch).read(sheets)


def deepseek_engine(
    model: DeepSeekOCR, mode: str = "gundam", task: str = "markdown", together: bool = False
) -> ReaderEngine:
    """The engine of a published `model`, which sees pages in a mode and is asked to do a task, for several pages at
    once if they are read `together`; a page that loops or does not end is read again in another mode. Raises UsageError
    for a mode, a task or pages together that the model does not know."""
    from microfiche.deepseek_ocr.family import MODELS

    first, name = model.asking(mode, task, "pdf", together), model.config.name
    other = MODELS[name].again[mode]
    return PublishedEngine(name, first, model.asking(other, task, "pdf"), other)


@dataclass(frozen=True)
class EndpointEngine:
    """Asks an OpenAI-compatible server that has one of the published models for each page, `batch` pages at a time.

    `url` goes up to and includes /v1; a page is asked for `tries` times at most. `model` is the model's name there, and
    `dialect` one of dialects.DIALECTS; the server is asked for what is None. `known` says which published model it is,
    where its name there does not. Raises UsageError for an unknown task or
    dialect and for a url that is no http or https address.
    """

    url: str
    model: str | None = None
    key: str | None = field(default=None, repr=False)
    task: str = "markdown"
    batch: int = 8
    timeout: float = 300.0  #: seconds for one answer
    tries: int = 3
    pause: float = 1.0  #: seconds before the second try; doubled before each further one
    max_tokens: int | None = None  #: None is what the model's context leaves free beside a page
    dialect: str | None = None
    known: ModelName | None = None
    name = "endpoint"

    def __post_init__(self) -> None:
        prompt(self.task)
        _ = self._server
        if self.dialect is not None:
            dialect_named(self.dialect)

    @cached_property
    def _manner(self) -> Manner:
        return manner_of(self._server, self.model, self.dialect, self.known)

    @property
    def published(self) -> ModelName:
        """Which of the published models the server has, as far as it, `model` or `known` says."""
        return self._manner.published

    @property
    def _server(self) -> Endpoint:
        return Endpoint(self.url, self.key, self.timeout, self.tries, self.pause)

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """What the server reads on each sheet; a page that it would not read is failed, with the reason. Raises
        SetUpError if the model there does not know the task."""
        try:
            prompt(self.task, self.published)
        except UsageError as error:
            raise SetUpError(str(error)) from error
        with ThreadPoolExecutor(max(1, min(self.batch, len(sheets)))) as pool:
            return list(pool.map(self._read, sheets))

    def _read(self, sheet: Sheet) -> PageRead:
        assert sheet.picture is not None
        width, height = sheet.picture.size
        png = io.BytesIO()
        sheet.picture.save(png, "PNG", compress_level=1)
        body, optional = self._manner.request(png.getvalue(), self.task, kind_of(sheet), self.max_tokens)
        try:
            text, cut = self._server.chat(body, optional)
        except InputError as error:
            return PageRead(
                number=sheet.number, width=width, height=height, engine=self.name, status="failed", reason=str(error)
            )
        return page_of_answer(sheet, self.name, text, cut)


def page_of_answer(sheet: Sheet, engine: str, text: str, cut: str) -> PageRead:
    """The page that a server's answer describes. `cut` is why the answer was cut short, or "". It is partial where
    it was, and where the answer loops; what comes after the first time is left out."""
    end = loop(text)
    if end is not None:
        reason = "looped: it repeated itself and was cut after the first time"
        return _page_of_text(sheet, engine, text[:end], "looped", reason)
    if cut:
        why = "" if cut == "length" else f" ({cut})"
        reason = f"truncated: the server stopped before the end of the page{why}"
        return _page_of_text(sheet, engine, text, "truncated", reason)
    return _page_of_text(sheet, engine, text, "ok", "")


def kind_of(sheet: Sheet) -> Kind:
    """What a sheet is for the published models: a page of a PDF or a picture."""
    return "image" if sheet.text is None else "pdf"
