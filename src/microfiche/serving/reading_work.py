"""Documents read by a process of the server: for a job, for a chat completion, and in docling-serve's shape.

What is read is written into the job's folder; the server only hands it on.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from microfiche.documents.document import Document, PageRead
from microfiche.documents.engines import Engines
from microfiche.documents.fetching import fetched, is_url, without_secrets
from microfiche.documents.opening import open_document, page_numbers
from microfiche.documents.pages import document_of, read_pages
from microfiche.documents.writing import Shelf
from microfiche.errors import InputError, UsageError
from microfiche.limits import Limits
from microfiche.precision import text_tokens
from microfiche.serving import chat
from microfiche.serving.docling_shape import answer, conversion, zipped
from microfiche.serving.faults import Fault, urls_off
from microfiche.serving.readers_at_hand import ReadersAtHand

SIDE = 1600  #: px of the longer side of a page's picture, at most
SHELF = "document"  #: what the output of a document is called in its folder


class ReadingWork:
    """Reads with engines `at_hand`, within limits; `urls` says which addresses are fetched."""

    def __init__(self, at_hand: ReadersAtHand, limits: Limits, urls: str, threads: int) -> None:
        self._at_hand, self._limits, self._urls = at_hand, limits, urls
        self._drawing = max(1, min(2, threads))

    # --- what is asked ---

    def read(self, order: dict[str, Any], tell: Any) -> dict[str, Any]:
        """Reads a file of a job: document.json, document.md, figures, a picture and part-N.json of each page."""
        folder = Path(order["folder"])
        source: bytes | str | Path = order["url"] if order.get("url") else folder / "upload-1"
        engines = self._at_hand.engines(order.get("engine"))
        unsure: dict[int, list[dict[str, Any]]] = {}
        document = self._document(source, order["name"], engines, order, tell, folder, unsure)
        text = document.markdown()
        whole = document.model_dump() | {"markdown": text, "unsure": unsure}
        (folder / "document.json").write_text(json.dumps(whole), "utf-8")
        (folder / "document.md").write_text(text, "utf-8")
        return _said_of([document])

    def chat(self, order: dict[str, Any], tell: Any) -> dict[str, Any]:
        """Answers a chat completion: part-N.json holds the pieces of the answer for each picture."""
        folder = Path(order["folder"])
        body = folder / "body"
        asked = chat.asked(body.read_bytes())
        body.unlink()
        engine = order_engine(asked.model, self._at_hand.engine)
        own = asked.task in ("markdown", "ocr", "free") or (asked.task == "locate" and not self._at_hand.scans)
        if not own and not self._at_hand.scans:
            raise Fault(400, "task_not_supported", f"the task {asked.task} needs a published model, which this server "
                        "was started without: --weights or --endpoint")  # fmt: skip
        try:
            engines = self._at_hand.engines(engine, "markdown" if own else asked.published)
        except UsageError as error:
            raise Fault(404 if own else 400, "model_not_found" if own else "task_not_supported", str(error)) from error
        tell({"begun": {"stream": asked.stream, "include_usage": asked.usage}})
        before, documents = self._at_hand.vision_tokens, []
        written, finish = 0, "stop"
        for number, source in enumerate(asked.sources, 1):
            document = self._document(source, f"picture {number}", engines, {}, tell, None)
            if len(asked.sources) == 1 and len(document.failed) == len(document.pages):
                raise InputError(f"the picture cannot be read: {document.failed[0].reason}")
            documents.append(document)
            pieces = ["\n\n"] * (number > 1) + chat.pieces(document, asked)
            tokens = text_tokens("".join(pieces))
            if asked.most is not None and written + tokens > asked.most:
                pieces, finish = [chat.cut("".join(pieces), asked.most - written)], "length"
                tokens = text_tokens(pieces[0])
            written += tokens
            _part(folder, number, pieces)
            tell({"part": number, "engines": _said_of(documents)["engines"]})
            if finish == "length":
                break
        vision = self._at_hand.vision_tokens - before
        prompt = text_tokens(asked.prompt) if asked.prompt else 0
        return _said_of(documents) | {
            "stream": asked.stream, "include_usage": asked.usage, "finish": finish,
            "usage": {
                "prompt_tokens": vision + prompt, "completion_tokens": written,
                "total_tokens": vision + prompt + written,
                "prompt_tokens_details": {"image_tokens": vision, "text_tokens": prompt, "cached_tokens": 0},
            },
        }  # fmt: skip

    def convert(self, order: dict[str, Any], tell: Any) -> dict[str, Any]:
        """Converts in docling-serve's shape: answer.json, or answer.zip for several documents or if it is asked."""
        folder, start = Path(order["folder"]), time.perf_counter()
        wanted = conversion(order, folder)
        with suppress(FileNotFoundError):
            (folder / "body").unlink()
        engines = self._at_hand.engines(wanted.engine)
        documents: list[tuple[str, Document | None, str]] = []
        for number, (name, source) in enumerate(wanted.sources, 1):
            try:
                document = self._document(
                    source, name, engines, {"pages": wanted.pages}, tell, folder / f"out-{number}" if wanted.embedded
                    else None,
                )  # fmt: skip
                documents.append((name, document, ""))
            except (InputError, Fault) as error:
                if len(wanted.sources) == 1 and isinstance(error, Fault):
                    raise
                documents.append((name, None, str(error)))
        seconds = time.perf_counter() - start
        answers = [answer(name, document, error, wanted, seconds, folder / f"out-{number}")
                   for number, (name, document, error) in enumerate(documents, 1)]  # fmt: skip
        if wanted.zip or len(answers) > 1:
            zipped(folder / "answer.zip", answers)
        else:
            (folder / "answer.json").write_text(json.dumps(answers[0]), "utf-8")
        read = [document for _, document, _ in documents if document is not None]
        status = "failure" if not read else answers[0]["status"] if len(answers) == 1 else "success"
        return _said_of(read) | {"zip": wanted.zip or len(answers) > 1, "status": status}

    # --- how it is read ---

    def _document(
        self, source: bytes | str | Path, name: str, engines: Engines, order: dict[str, Any], tell: Any,
        folder: Path | None, unsure: dict[int, list[dict[str, Any]]] | None = None,
    ) -> Document:  # fmt: skip
        """A document that was read; figures go to a folder, if there is one. Where `unsure` lines are to be noted, each
        page is told of, and its picture goes there too."""
        origin = self._fetched(source) if isinstance(source, str) else source
        with open_document(
            origin, name, dpi=order.get("dpi") or 144, password=order.get("password"), limits=self._limits,
            workers=self._drawing,
        ) as opened:  # fmt: skip
            wanted = order.get("pages")
            numbers = page_numbers(wanted, opened.pages) if wanted else range(1, opened.pages + 1)
            tell({"of": len(numbers)})
            pages = read_pages(opened, engines, numbers)
            self._at_hand.unsure.clear()
            if folder is not None and unsure is not None:
                pages = _with_pictures(pages, folder)
            shelf = Shelf(folder, SHELF, opened.sha256, {}) if folder is not None else None
            found: list[PageRead] = []
            for page in shelf.kept(pages, {}) if shelf else (page for page, _ in pages):
                found.append(_with_short_names(page))
                if unsure is not None and folder is not None:
                    if page.number in self._at_hand.unsure:
                        unsure[page.number] = self._at_hand.unsure.pop(page.number)
                    shown = _shown(found[-1], opened.sha256) | {"unsure": unsure.get(page.number)}
                    _part(folder, page.number, shown)
                tell({"pages": 1, **({"part": page.number} if unsure is not None else {})})
            if shelf and folder is not None:
                (folder / f".{SHELF}.journal").unlink(missing_ok=True)
            return document_of(opened, {}, found)

    def _fetched(self, address: str) -> bytes:
        if self._urls == "off":
            raise urls_off()
        if not is_url(address):
            raise Fault(400, "bad_request", "only http and https addresses can be fetched")
        try:
            return fetched(address, self._limits, public=self._urls == "public")
        except InputError as error:
            raise Fault(422, "not_fetched", f"{without_secrets(address)[:200]}: {error}") from error


def order_engine(model: str, default: str | None) -> str | None:
    """The engine that the name of a model in a request means; None is what suits each page. Published models' names, by
    which clients ask for DeepSeek-OCR, mean this server, whoever reads here."""
    name = model.rpartition("/")[2].casefold()
    if name in ("", "microfiche", "auto", "default") or re.search(r"deepseek-?ocr|unlimited-?ocr", name):
        return default
    return model.removeprefix("microfiche/")


def _said_of(documents: list[Document]) -> dict[str, Any]:
    """What is known of documents without opening them: how many pages ended how, and who read them."""
    pages = [page for document in documents for page in document.pages]
    engines = [name for page in pages for name in (page.engine, *(block.engine for block in page.blocks)) if name]
    statuses = [{"page": page.number, "status": page.status, "reason": page.reason} for page in pages]
    return {"engines": list(dict.fromkeys(engines)), "pages": statuses[:1000]}


def _part(folder: Path, number: int, content: Any) -> None:
    beside = folder / f"part-{number}.tmp"
    beside.write_text(json.dumps(content), "utf-8")
    beside.replace(folder / f"part-{number}.json")


def _shown(page: PageRead, sha256: str) -> dict[str, Any]:
    """A page that was just read, before anything is known of the others."""
    said = page.model_dump()
    return {"page": page.number, **said, "markdown": Document(name="", sha256=sha256, pages=[page]).markdown()}


def _with_short_names(page: PageRead) -> PageRead:
    """The page with its figures named as they lie beside the Markdown that is served."""
    if not any(block.figure for block in page.blocks):
        return page
    return page.model_copy(update={"blocks": [
        block.model_copy(update={"figure": block.figure.removeprefix(f"{SHELF}/")}) if block.figure else block
        for block in page.blocks
    ]})  # fmt: skip


def _with_pictures(
    pages: Iterator[tuple[PageRead, Image.Image | None]], folder: Path
) -> Iterator[tuple[PageRead, Image.Image | None]]:
    """The pages; the picture of each is written to page-N.webp on its way."""
    for page, picture in pages:
        if picture is not None:
            save_picture(picture, folder / f"page-{page.number}.webp")
        yield page, picture


def save_picture(picture: Image.Image, path: Path) -> None:
    """Writes a picture as WebP, at most SIDE px long."""
    longer = max(picture.size)
    if longer > SIDE:
        size = (max(1, picture.width * SIDE // longer), max(1, picture.height * SIDE // longer))
        picture = picture.resize(size, Image.Resampling.BOX if longer > 2 * SIDE else Image.Resampling.BILINEAR)
    picture.save(path, "WEBP", quality=80, method=1)
