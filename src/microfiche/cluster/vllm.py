"""A published model served by vLLM within the cluster: pages are drawn, read by the pipeline of `ray.data.llm`, and
noted, each in a journal of its own; then each document is put together as if it had been read in ranges.

Prompts, the ban on repeated n-grams and the most tokens are those that servers are asked with (documents/dialects.py).
Source of the engine's options: vLLM's recipe for DeepSeek-OCR.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from microfiche.cluster.listing import at_hand as with_bytes
from microfiche.cluster.plan import Unit
from microfiche.cluster.pool import Ray, units_in
from microfiche.cluster.work import Reading
from microfiche.cluster.worker import Orders
from microfiche.decoder.prompts import BANS, NEVER_BANNED, Kind, ModelName, prompt
from microfiche.documents.dialects import MAX_TOKENS, published_as
from microfiche.documents.document import PageRead
from microfiche.documents.engines import page_of_answer
from microfiche.documents.job import Request
from microfiche.documents.opening import open_document, page_numbers
from microfiche.documents.pages import read_pages
from microfiche.documents.sheet import Sheet
from microfiche.documents.writing import Shelf
from microfiche.errors import InputError, UsageError

#: The published processor of n-grams.
BAN: Mapping[ModelName, str] = {
    "deepseek-ocr": "vllm.model_executor.models.deepseek_ocr:NGramPerReqLogitsProcessor",
    "deepseek-ocr-2": "vllm.model_executor.models.deepseek_ocr:NGramPerReqLogitsProcessor",
    "unlimited-ocr": "vllm.model_executor.models.unlimited_ocr:NGramPerReqLogitsProcessor",
}
#: The most vision tokens of a page and tokens of a prompt together.
PROMPT: Mapping[ModelName, int] = {"deepseek-ocr": 1200, "deepseek-ocr-2": 1200, "unlimited-ocr": 3808}
TOGETHER = 1 << 30  #: pages that a document may have to be put together in one piece
BATCH = 32  #: pages that one engine has at a time


@dataclass(frozen=True)
class Elsewhere:
    """Stands in for the engine that reads: it answers each sheet with an empty page while pages are drawn, and with an
    error when a document is put together, where a page is missing."""

    name: str
    drawing: bool = False
    batch: int = 1

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """An empty page for each sheet; InputError unless the pages are being drawn."""
        if not self.drawing:
            raise InputError("vLLM gave no answer for this page")
        sizes = [sheet.picture.size if sheet.picture else (0, 0) for sheet in sheets]
        return [
            PageRead(number=sheet.number, width=width, height=height, engine=self.name)
            for sheet, (width, height) in zip(sheets, sizes, strict=True)
        ]


def published_in(weights: str) -> ModelName:
    """The published model that `weights` are: as the config.json of their folder says, or else their name. Raises
    CheckpointError if that is none."""
    if Path(weights).is_dir():
        from microfiche.deepseek_ocr.checkpoint import described_by

        return described_by(Path(weights))
    return published_as(weights)


def engine_config(weights: str, engines: int, max_tokens: int, name: ModelName | None = None) -> dict[str, Any]:
    """The arguments of `vLLMEngineProcessorConfig` for the published model `name`, or, if that is None, the one that
    `weights` are, in so many engines of one GPU each."""
    name = name or published_in(weights)
    own = {"trust_remote_code": True} if name == "unlimited-ocr" else {}  # as its recipe says
    return {
        "model_source": weights,
        "engine_kwargs": {
            "logits_processors": [BAN[name]],
            "enable_prefix_caching": False,
            "mm_processor_cache_gb": 0,
            "max_model_len": max_tokens + PROMPT[name],
            **own,
        },
        "batch_size": BATCH,
        "concurrency": engines,
        "chat_template_stage": False,  # the prompt is given as it was published
        "tokenize_stage": False,
        "detokenize_stage": False,
        "should_continue_on_error": True,
    }


def asked(name: ModelName, kind: Kind) -> dict[str, Any]:
    """What the engine is asked beside the picture: the published prompt and how it samples, for a page of a PDF or a
    picture."""
    n, window = BANS[name][kind]
    never = {"whitelist_token_ids": list(NEVER_BANNED[name])} if NEVER_BANNED[name] else {}
    return {
        "prompt": prompt("markdown", name),
        "sampling_params": {
            "temperature": 0.0,
            "max_tokens": MAX_TOKENS[name],
            "skip_special_tokens": False,
            "extra_args": {"ngram_size": n, "window_size": window, **never},
        },
    }


@dataclass(frozen=True)
class Pages:
    """What is done with the pages of units before and after the engine reads them; `request` is as it is in Reading,
    and names an Elsewhere."""

    request: Callable[[], Request]
    folder: Path
    model: ModelName

    def drawn(self, unit: Unit) -> Iterator[dict[str, Any]]:
        """A row for each page that the engine is to read: the unit, its SHA-256, the page as it stands, its picture as
        PNG, its kind. What needs no engine is noted at once, and so is what cannot be opened when the document is put
        together."""
        request = self.request()
        assert isinstance(request.pictures, Elsewhere)
        at_hand = replace(request, pictures=replace(request.pictures, drawing=True)).at_hand()
        with suppress(InputError, OSError):
            source = with_bytes(unit.source, request.limits)
            if source.error:
                return
            with open_document(
                source.origin, source.name, dpi=request.dpi, password=request.password, limits=request.limits, workers=1
            ) as opened:
                shelf = Shelf(self.folder, unit.name, opened.sha256, request.settings(at_hand))
                if shelf.finished():
                    return
                numbers = page_numbers(request.pages, opened.pages) if request.pages else range(1, opened.pages + 1)
                begun = shelf.begun()
                left = [number for number in numbers if number not in begun]
                for page, picture in read_pages(opened, at_hand, left):
                    if picture is None or page.engine != self.model:
                        self._note(unit, opened.sha256, request, page, picture)
                        continue
                    png = io.BytesIO()
                    picture.save(png, "PNG", compress_level=1)
                    kind = "pdf" if opened.kind == "pdf" else "image"
                    yield {"unit": unit.line(), "sha256": opened.sha256, "page": page.model_dump_json(),
                           "png": png.getvalue(), "kind": kind}  # fmt: skip

    def before(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row as the engine takes it."""
        picture = Image.open(io.BytesIO(row["png"])).convert("RGB")
        return {**row, **asked(self.model, row["kind"]), "multimodal_data": {"image": picture}}

    def after(self, row: dict[str, Any]) -> dict[str, Any]:
        """Notes what the engine read of a page, and returns the row without it."""
        told = PageRead.model_validate_json(row["page"])
        unit, request = Unit.of(row["unit"]), self.request()
        picture = Image.open(io.BytesIO(row["png"])).convert("RGB")
        cut = "length" if int(row.get("num_generated_tokens") or 0) >= MAX_TOKENS[self.model] else ""
        page = page_of_answer(Sheet(told.number, picture), self.model, row["generated_text"], cut)
        page = page.model_copy(update={"chosen": told.chosen})
        if told.status != "ok" and page.status == "ok":
            page = page.model_copy(update={"status": told.status, "reason": told.reason})
        self._note(unit, row["sha256"], request, page, picture)
        return {"unit": row["unit"], "number": told.number}

    def _note(self, unit: Unit, sha256: str, request: Request, page: PageRead, picture: Image.Image | None) -> None:
        shelf = Shelf(self.folder, unit.name, sha256, request.settings(request.at_hand()), f"-{page.number}")
        for _ in shelf.kept([(page, picture)], {}):
            pass


#: Makes of a Dataset of rows, each as `Pages.before` takes it, one in which each is as `Pages.after` returns it.
Processor = Callable[[Any], Any]


def processor(weights: str, engines: int, pages: Pages) -> Processor:
    """The pipeline of `ray.data.llm`. Raises UsageError if what it needs is missing, a GPU included, for which it would
    wait without end."""
    try:
        import ray
        from ray.data.llm import build_processor, vLLMEngineProcessorConfig
    except ImportError as error:
        raise UsageError("--engine vllm needs ray.data.llm and vLLM: pip install 'ray[llm]'") from error
    if not ray.cluster_resources().get("GPU"):
        raise UsageError("the Ray cluster has no GPU, and --engine vllm needs one")
    config = vLLMEngineProcessorConfig(**engine_config(weights, engines, MAX_TOKENS[pages.model], pages.model))
    built: Processor = build_processor(config, preprocess=pages.before, postprocess=pages.after)
    return built


class VllmRay(Ray):
    """A Ray cluster on which a pipeline reads pages before workers put the documents together."""

    def __init__(
        self, address: str | None, workers: int | None, build: Callable[[int], Processor], pages: Pages
    ) -> None:
        """`build` gives the pipeline with so many engines; see Ray."""
        super().__init__(address, workers)
        self._build, self._pages = build, pages

    def results(self, plan: Path, orders: Orders) -> Iterator[tuple[Unit, dict[str, Any]]]:
        """See Ray. All pages are read first."""
        assert isinstance(orders, Reading)
        pages = self._pages

        def draw(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
            for line in batch["unit"]:
                for row in pages.drawn(Unit.of(line)):
                    yield {name: [value] for name, value in row.items()}

        drawn = units_in(plan, growing=False).map_batches(draw, batch_size=1, num_cpus=1)
        for _ in self._build(max(1, self.gpus))(drawn).iter_batches(batch_size=None, prefetch_batches=0):
            pass
        yield from super().results(plan, replace(orders, span=TOGETHER))
