"""A published model on vLLM: what the engine is asked, and what its answers become; a stand-in answers, without Ray."""

from __future__ import annotations

import io
import json
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from inline_pool import Inline
from makers import text_pdf
from PIL import Image
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.cluster.plan import Unit
from microfiche.cluster.run import run
from microfiche.cluster.table import Table
from microfiche.cluster.vllm import (
    BAN,
    PROMPT,
    TOGETHER,
    Elsewhere,
    Pages,
    asked,
    engine_config,
    processor,
    published_in,
)
from microfiche.cluster.work import Reading
from microfiche.cluster.worker import Orders
from microfiche.deepseek_ocr.family import MODELS
from microfiche.deepseek_ocr.views import vectors
from microfiche.documents.dialects import MAX_TOKENS
from microfiche.documents.document import Document
from microfiche.documents.job import Request
from microfiche.documents.opening import DocumentSource
from microfiche.errors import CheckpointError, UsageError

NAME = "deepseek-ocr"


def pages_to(folder: Path) -> Pages:
    return Pages(partial(Request, NAME, Elsewhere(NAME), model="w vllm"), folder, NAME)


def answered(pages: Pages, row: dict[str, Any], text: str, tokens: int = 9) -> dict[str, Any]:
    """A row as it comes out of the pipeline: the columns of `before` without those that the engine takes, and its
    answer."""
    given = pages.before(row)
    left = {name: given[name] for name in given.keys() - {"prompt", "sampling_params", "multimodal_data"}}
    return pages.after({**left, "generated_text": text, "num_generated_tokens": tokens})


class Answered(Inline):
    """Has the pages read by a stand-in for the pipeline first, but for those of which it gives no answer."""

    def __init__(self, pages: Pages, answers: dict[int, tuple[str, int]]) -> None:
        super().__init__()
        self._pages, self._answers, self.asked = pages, answers, list[int]()

    def results(self, plan: Path, orders: Orders) -> Any:
        for line in plan.read_text("utf-8").splitlines():
            for row in self._pages.drawn(Unit.of(line)):
                number = len(self.asked) + 1
                self.asked.append(number)
                if number in self._answers:
                    answered(self._pages, row, *self._answers[number])
        yield from super().results(plan, orders)


def test_the_engine_is_configured_as_published() -> None:
    config = engine_config("deepseek-ai/DeepSeek-OCR", 4, 6992)
    assert config["engine_kwargs"]["logits_processors"] == [BAN[NAME]] and config["concurrency"] == 4
    assert not config["engine_kwargs"]["enable_prefix_caching"] and config["engine_kwargs"]["max_model_len"] <= 8192
    for kind, ban in (("image", (30, 90)), ("pdf", (20, 50))):
        told = asked(NAME, kind)  # type: ignore[arg-type]
        assert told["prompt"] == "<image>\n<|grounding|>Convert the document to markdown."
        extra = told["sampling_params"]["extra_args"]
        assert (extra["ngram_size"], extra["window_size"]) == ban and extra["whitelist_token_ids"] == [128821, 128822]
        assert told["sampling_params"]["temperature"] == 0 and not told["sampling_params"]["skip_special_tokens"]
    assert asked("unlimited-ocr", "pdf")["prompt"] == "<image>document parsing."


def test_each_model_has_its_own_processor_and_room_for_its_longest_page() -> None:
    for weights, name in (("deepseek-ai/DeepSeek-OCR-2", "deepseek-ocr-2"), ("baidu/Unlimited-OCR", "unlimited-ocr")):
        model = MODELS[name]  # type: ignore[index]
        told = engine_config(weights, 1, MAX_TOKENS[name])["engine_kwargs"]  # type: ignore[index]
        module = "unlimited_ocr" if name == "unlimited-ocr" else "deepseek_ocr"
        assert told["logits_processors"] == [f"vllm.model_executor.models.{module}:NGramPerReqLogitsProcessor"]
        assert told.get("trust_remote_code", False) == (name == "unlimited-ocr")
        assert told["max_model_len"] <= model.config.decoder.context
        gundam = model.resolutions["gundam"]
        assert gundam.tile is not None
        grids = ((1, gundam.tiles), (gundam.tiles, 1))
        longest = max(vectors(1024, gundam.tile, grid, gundam.newlines) for grid in grids)
        assert longest < PROMPT[name]  # type: ignore[index]


def test_a_folder_is_asked_as_the_model_that_its_config_json_describes(tmp_path: Path) -> None:
    for said, name in (({"architectures": ["UnlimitedOCRForCausalLM"]}, "unlimited-ocr"),
                       ({"architectures": ["DeepseekOCR2ForCausalLM"]}, "deepseek-ocr-2")):  # fmt: skip
        (tmp_path / "config.json").write_text(json.dumps(said))
        assert published_in(str(tmp_path)) == name
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    with pytest.raises(CheckpointError, match="none of deepseek-ocr"):
        published_in(str(tmp_path))
    assert published_in("baidu/Unlimited-OCR") == "unlimited-ocr"


def test_a_cluster_without_a_gpu_is_refused_and_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ray, data, llm = ModuleType("ray"), ModuleType("ray.data"), ModuleType("ray.data.llm")
    ray.cluster_resources = lambda: {"CPU": 2.0}  # type: ignore[attr-defined]
    llm.build_processor = llm.vLLMEngineProcessorConfig = None  # type: ignore[attr-defined]
    for module in (ray, data, llm):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(UsageError, match="the Ray cluster has no GPU"):
        processor("deepseek-ai/DeepSeek-OCR", 1, pages_to(tmp_path))
    monkeypatch.setitem(sys.modules, "ray.data.llm", None)
    with pytest.raises(UsageError, match=r"pip install 'ray\[llm\]'"):
        processor("deepseek-ai/DeepSeek-OCR", 1, pages_to(tmp_path))


def test_answers_become_documents_and_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(text_pdf(["one", "two", "", "four"]))
    pages = pages_to(tmp_path / "out")
    orders = Reading(pages.request, tmp_path / "out", "s", span=TOGETHER)
    box = "<|ref|>text<|/ref|><|det|>[[100, 100, 500, 500]]<|/det|>\n"
    first = Answered(pages, {1: (f"{box}The first page.", 9), 3: (f"{box}Cut", 6992)})
    run([str(tmp_path / "a.pdf")], [], orders, first)
    assert first.asked == [1, 2, 3]  # the empty page is blank without an engine
    (row,) = Table(tmp_path / "out").latest()
    assert (row.status, row.pages_ok, row.pages_partial, row.pages_failed) == ("failed", 2, 1, 1)
    document = Document.model_validate_json((tmp_path / "out/a.json").read_bytes())
    assert [page.status for page in document.pages] == ["ok", "failed", "ok", "partial"]
    (block,) = document.pages[0].blocks
    assert block.text == "The first page." and block.box is not None
    assert "no answer" in document.pages[1].reason and "truncated" in document.pages[3].reason
    assert document.settings["pictures"] == NAME and document.settings["model"] == "w vllm"
    second = Answered(pages, {1: ("Second", 9)})
    run([str(tmp_path / "a.pdf")], [], orders, second, retry_failed=True)
    assert second.asked == [1] and (tmp_path / "out/a.md").read_text().count("Second") == 1
    assert not list((tmp_path / "out").glob(".*.journal*"))


def test_a_picture_is_asked_for_as_one_and_what_cannot_be_opened_gives_no_row(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 90).save(tmp_path / "a.png")
    (tmp_path / "cut.pdf").write_bytes(b"%PDF-1.7 cut")
    pages = pages_to(tmp_path / "out")
    (row,) = pages.drawn(Unit(DocumentSource("a.png", tmp_path / "a.png"), "a"))
    assert row["kind"] == "image" and Image.open(io.BytesIO(row["png"])).size == (64, 64)
    assert pages.before(row)["multimodal_data"]["image"].mode == "RGB"
    assert list(pages.drawn(Unit(DocumentSource("cut.pdf", tmp_path / "cut.pdf"), "cut"))) == []
    assert list(pages.drawn(Unit(DocumentSource("x", tmp_path / "x", "why"), "x"))) == []


def test_vllm_needs_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MICROFICHE_WEIGHTS", raising=False)
    command = ["cluster", "read", str(tmp_path), "-o", str(tmp_path / "out"), "--engine", "vllm"]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 2 and "--engine vllm needs --weights" in found.stderr
