"""Readers as engines: what they read becomes blocks, laid out or parsed, and each page says how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import microfiche
from microfiche.cli import app
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.devices import DTYPE
from microfiche.documents.document import Document
from microfiche.documents.engines import ReaderEngine, deepseek_engine, engines
from microfiche.documents.sheet import Sheet
from microfiche.page import UNTRAINED, Page, Reading, VisionTokens
from microfiche.precision import precision

HEAD = "<|ref|>title<|/ref|><|det|>[[0, 0, 999, 100]]<|/det|>\n# Head"


class Scripted:
    """A Reader that sees how red a page's first pixel is and reads what `readings` has under that number."""

    checkpoint = UNTRAINED

    def __init__(self, readings: dict[int, Reading]) -> None:
        self.readings = readings
        self.encoded: list[tuple[int, ...]] = []

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        self.encoded += [page.image.shape for page in pages]
        assert all(page.setting is None and page.text is None for page in pages)
        values = [torch.full((1, 1), float(page.image[0, 0, 0])) for page in pages]
        return [VisionTokens(value, 1, 1, None, UNTRAINED) for value in values]

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        return [self.readings[int(page.values[0, 0])] for page in tokens]


def sheet(number: int) -> Sheet:
    picture = Image.new("RGB", (400, 200), "white")
    picture.putpixel((0, 0), (number, 0, 0))
    return Sheet(number, picture)


def boxed(text: str, confidence: float = 0.9, size: int = 24) -> Reading:
    """A reading whose lines stand one below another, each character 10 px wide and `size` px high."""
    boxes, row, column = [], 0, 0
    for character in text:
        boxes.append((20 + 10 * column, 30 + 30 * row, 30 + 10 * column, 30 + 30 * row + size))
        row, column = (row + 1, 0) if character == "\n" else (row, column + 1)
    return Reading(text, np.full(len(text), confidence, np.float32), np.array(boxes, np.int32).reshape(-1, 4))


def test_text_without_boxes_is_parsed_and_each_page_keeps_its_place() -> None:
    reader = Scripted({3: Reading(HEAD), 4: Reading("cut", status="truncated", reason="truncated in tiny"),
                       5: Reading("<|det|>broken")})  # fmt: skip
    pages = ReaderEngine("scripted", reader).read([sheet(n) for n in (3, 4, 5)])
    assert reader.encoded == [(200, 400, 3)] * 3
    assert [(p.number, p.engine, p.width, p.height, p.status) for p in pages] == [
        (3, "scripted", 400, 200, "ok"), (4, "scripted", 400, 200, "partial"), (5, "scripted", 400, 200, "partial"),
    ]
    (head,) = pages[0].blocks
    assert (head.kind, head.box, head.text) == ("title", (0, 0, 400, 20), "Head")
    assert pages[1].reason == "truncated in tiny" and "grammar" in pages[2].reason


def test_lines_with_boxes_are_laid_out() -> None:
    text = "• the first item of a list\n  that goes on\n• the second\n"
    (page,) = ReaderEngine("scripted", Scripted({1: boxed(text)})).read([sheet(1)])
    (block,) = page.blocks
    assert (page.status, block.kind) == ("ok", "list")
    assert block.text == "- the first item of a list that goes on\n- the second"
    around = np.subtract(block.box, (20, 30, 20 + 10 * 26, 30 + 2 * 30 + 24))  # what is left of a box around ink
    assert np.abs(around).max() <= 4
    assert block.confidence == pytest.approx(0.9, abs=1e-3)


def test_an_empty_reading_gives_a_page_without_blocks() -> None:
    for reading in (Reading(""), boxed(""), boxed("\n \n")):
        (page,) = ReaderEngine("scripted", Scripted({1: reading})).read([sheet(1)])
        assert (page.status, page.blocks) == ("ok", [])


def test_a_page_of_low_confidence_is_partial() -> None:
    unsure = boxed("who knows what stands here", 0.5)
    (page,) = ReaderEngine("scripted", Scripted({1: unsure})).read([sheet(1)])
    assert (page.status, page.reason) == ("partial", "low confidence, 0.50 on average")
    sure = boxed("who knows what stands here")
    for count in (1, 3):
        low = sure.confidence.copy()
        low[:count] = 0.4
        low[3] = 0.1  # of the space after the first word
        doubtful = Reading(sure.text, low, sure.boxes)
        (page,) = ReaderEngine("scripted", Scripted({1: doubtful})).read([sheet(1)])
        said = f"{count} of {len(sure.text)} characters are more likely wrong than right"
        assert (page.status, page.reason) == ("partial", said)
    (page,) = ReaderEngine("scripted", Scripted({1: Reading(sure.text, boxes=sure.boxes)})).read([sheet(1)])
    assert (page.status, page.blocks[0].text) == ("ok", sure.text), "a reader may give boxes without confidence"
    cut = Reading(unsure.text, unsure.confidence, unsure.boxes, "truncated", "truncated by a limit")
    (page,) = ReaderEngine("scripted", Scripted({1: cut})).read([sheet(1)])
    assert (page.status, page.reason) == ("partial", "truncated by a limit")


def test_a_page_that_did_not_end_well_is_read_again_and_the_better_reading_kept() -> None:
    def looped(mode: str, text: str) -> Reading:
        return Reading(text, status="looped", reason=f"looped in {mode}")

    first = Scripted({1: Reading("whole"), 2: looped("gundam", "first"), 3: looped("gundam", "kept")})
    cut = Reading("left", status="truncated", reason="truncated in large")
    second = Scripted({2: Reading("better"), 3: cut})
    pages = ReaderEngine("scripted", first, second, "large").read([sheet(n) for n in (1, 2, 3)])
    assert len(second.encoded) == 2
    assert [(p.blocks[0].text, p.status, p.reason) for p in pages] == [
        ("whole", "ok", ""),
        ("better", "ok", "looped in gundam, read again in large"),
        ("kept", "partial", "looped in gundam, truncated in large as well"),
    ]


def test_a_model_that_ships_is_an_engine_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reader = Scripted({0: boxed("words of a page")})
    asked: list[Any] = []
    monkeypatch.setattr("microfiche.readers.load", lambda *given: asked.append(given) or reader)
    at_hand = engines("nano-pages", device="mps")
    assert asked == [("nano-pages", "mps")]
    assert at_hand.choose(sheet(0)) == (ReaderEngine("nano-pages", reader), "asked for")
    page = Image.new("RGB", (400, 200))
    page.paste("white", (200, 100, 400, 200))
    page.save(tmp_path / "x.png")
    result = CliRunner().invoke(app, ["read", str(tmp_path / "x.png"), "--engine", "nano-pages", "--format", "json"])
    assert result.exit_code == 0, result.output
    document = Document.model_validate_json(result.stdout)
    assert [(p.engine, p.chosen, p.status) for p in document.pages] == [("nano-pages", "asked for", "ok")]
    assert document.plain() == "words of a page\n" and document.settings["engine"] == "nano-pages"


@pytest.mark.parametrize(("layer", "kind"), [(None, "image"), (object(), "pdf")])
def test_the_published_model_is_asked_in_a_mode_and_again_in_another(
    monkeypatch: pytest.MonkeyPatch, model: DeepSeekOCR, layer: Any, kind: str
) -> None:
    asked: list[Any] = []

    def read(self: Any, tokens: Sequence[VisionTokens], task: str, no_repeat: Any) -> list[Reading]:
        asked.append((task, no_repeat, [len(one) for one in tokens]))
        looped = Reading("cut", status="looped", reason="looped")
        return [Reading(HEAD), looped, Reading("<|det|>broken")][: len(tokens)] if len(tokens) > 1 else [looped]

    monkeypatch.setattr(DeepSeekOCR, "read", read)
    sheets = [Sheet(n, Image.new("RGB", (100, 200)), text=layer) for n in (3, 4, 5)]
    pages = deepseek_engine(model, "tiny", "ocr").read(sheets)
    assert asked == [("ocr", kind, [73] * 3), ("ocr", kind, [111])]
    assert [(p.number, p.engine, p.status) for p in pages] == [
        (3, "deepseek-ocr", "ok"), (4, "deepseek-ocr", "partial"), (5, "deepseek-ocr", "partial"),
    ]
    (head,) = pages[0].blocks
    assert (head.kind, head.box, head.text) == ("title", (0, 0, 100, 20), "Head")
    assert pages[1].reason == "looped in tiny, looped in small as well" and "grammar" in pages[2].reason


def test_nano_for_print_reads_pages_of_any_size() -> None:
    picture = Image.fromarray(microfiche.typeset("It was the best of times. " * 4, "7x13", "tiny")[0].image)
    picture = picture.convert("RGB").crop((0, 0, 500, 50))
    (page,) = engines("nano-pages").pictures.read([Sheet(1, picture)])
    assert (page.engine, page.width, page.height) == ("nano-pages", 500, 50)
    read = "\n".join(block.text for block in page.blocks)
    assert precision(read, "It was the best of times. " * 4) > 0.8


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends each answer after a few tokens: a model of random weights seldom ends one itself."""
    full = DeepSeekOCR.generate

    def generate(self: DeepSeekOCR, *given: Any) -> Any:
        tokens, task, prompt, _, ban = given
        return full(self, tokens, task, prompt, 48, ban)

    monkeypatch.setattr(DeepSeekOCR, "generate", generate)


@pytest.mark.usefixtures("brief")
def test_a_small_model_of_random_weights_reads_something_from_a_real_page(model: DeepSeekOCR) -> None:
    (page,) = deepseek_engine(model, "tiny").read([Sheet(1, Image.effect_noise((300, 200), 80).convert("RGB"))])
    assert (page.engine, page.width, page.height) == ("deepseek-ocr", 300, 200)
    assert page.status in ("ok", "partial") and (page.status == "ok" or page.reason)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize(("fast", "size"), [("bfloat16", "3.5 GB"), ("float32", "3.9 GB")])
def test_the_command_reads_with_weights_and_says_what_they_need(
    model: DeepSeekOCR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: str, size: str
) -> None:
    monkeypatch.setenv(DTYPE, fast)
    loaded: list[Any] = []

    def load(*given: Any) -> DeepSeekOCR:
        loaded.append(given)
        return model

    monkeypatch.setattr("microfiche.readers.load", load)
    Image.effect_noise((300, 200), 80).save(tmp_path / "x.png")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/config.json").write_text('{"architectures": ["DeepseekOCRForCausalLM"]}')
    options = ["--weights", str(tmp_path / "weights"), "--dtype", "int8", "--mode", "tiny", "--format", "json"]
    result = CliRunner().invoke(app, ["read", str(tmp_path / "x.png"), *options])
    assert result.exit_code == 0, result.output
    assert loaded == [("deepseek-ocr", "cpu", torch.int8, tmp_path / "weights", None)]
    assert f"deepseek-ocr: {size} of weights on cpu" in result.stderr
    (page,) = Document.model_validate_json(result.stdout).pages
    assert (page.engine, page.chosen) == ("deepseek-ocr", "no text layer")


def test_the_command_reads_several_pages_in_one_request(
    model_unlimited: DeepSeekOCR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    def together(self: Any, tokens: Sequence[VisionTokens]) -> list[Reading]:
        sent.append(len(tokens))
        return [Reading(f"<|det|>text [0, 0, 999, 500]<|/det|>Page {i}") for i in range(len(tokens))]

    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/config.json").write_text('{"architectures": ["UnlimitedOCRForCausalLM"]}')
    monkeypatch.setattr("microfiche.readers.load", lambda *_: model_unlimited)
    places = np.full((273, 3), -1, np.int32)
    tokens = VisionTokens(torch.zeros(273, 64), 10, 5, None, model_unlimited.checkpoint, places)
    monkeypatch.setattr(DeepSeekOCR, "encode", lambda self, pages, mode: [tokens] * len(pages))
    monkeypatch.setattr(DeepSeekOCR, "read_together", together)
    pictures = [Image.effect_noise((72, 144), 80).convert("L") for _ in range(3)]
    pictures[0].save(tmp_path / "x.pdf", save_all=True, append_images=pictures[1:], resolution=72)
    command = ["read", str(tmp_path / "x.pdf"), "--weights", str(tmp_path / "weights"), "--dtype", "float32"]
    result = CliRunner().invoke(app, [*command, "--together", "--format", "json"])
    assert result.exit_code == 0, result.output
    assert sent == [3]
    pages = Document.model_validate_json(result.stdout).pages
    assert [(page.engine, page.status, page.width, page.height) for page in pages] == [
        ("unlimited-ocr", "ok", 300, 600)  # drawn at 300 dpi
    ] * 3
    found = [(block.text, block.box) for page in pages for block in page.blocks]
    assert found == [(f"Page {i}", (0, 0, 300, 300)) for i in range(3)]
