"""What `pack`, `unpack` and `measure` take, and what they refuse: readers, names, and files that nobody could read."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import microfiche
from microfiche.codec import measure
from microfiche.errors import CheckpointError, InputError, UsageError
from microfiche.fiche import Fiche
from microfiche.nano.cells import NANO, Nano
from microfiche.page import UNTRAINED, Checkpoint, Page, Reading, VisionTokens
from microfiche.precision import text_tokens
from microfiche.weights.stored import save

TEXT = "It was the best of times."


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights of one's own, which are nano's and a little more."""
    model, path = microfiche.load(dtype=torch.float32), tmp_path_factory.mktemp("own") / "mine.safetensors"
    with torch.no_grad():
        model.readout.half_head.bias.add_(1)
    save(NANO, model, path)
    return path


class Wrapped:
    """A reader that wraps nano and says that its checkpoint is another."""

    def __init__(self, inner: Nano, checkpoint: Checkpoint) -> None:
        self.inner, self.checkpoint = inner, checkpoint

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        return self.inner.encode(pages)

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        return self.inner.read(tokens)


class Renamed(Wrapped):
    """A reader that wraps nano, and whose tokens are said to be those of another checkpoint."""

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        return [replace(tokens, checkpoint=self.checkpoint) for tokens in self.inner.encode(pages)]


def test_tokens_of_own_weights_are_read_by_those_and_the_error_says_how_to_name_them(own: Path, tmp_path: Path) -> None:
    reader, path = microfiche.load(own), tmp_path / "x.fiche"
    microfiche.pack(TEXT, path, reader)
    assert microfiche.unpack(path, reader).text == TEXT
    said = r"x.fiche: tokens of checkpoint mine .* cannot be read by what ships; .*reader=load.*--checkpoint FILE"
    with pytest.raises(CheckpointError, match=said):
        microfiche.unpack(path)
    with pytest.raises(CheckpointError, match=r"tokens of checkpoint mine .* cannot be read by nano"):
        microfiche.unpack(path, microfiche.load())


def test_what_ships_reads_its_own_tokens_without_being_named(tmp_path: Path) -> None:
    microfiche.pack(TEXT, tmp_path / "x.fiche", density="7x13", mode="tiny")
    assert microfiche.unpack(tmp_path / "x.fiche").text == TEXT


def test_pages_whose_weights_no_longer_ship_are_encoded_anew(tmp_path: Path) -> None:
    nano, said = microfiche.load(), list[str]()
    retired = Renamed(nano, Checkpoint("nano", "0" * 64))
    microfiche.pack(TEXT, tmp_path / "x.fiche", retired, density="7x13", mode="tiny")
    assert microfiche.unpack(tmp_path / "x.fiche", say=said.append).text == TEXT
    (line,) = said
    assert "made by nano (000000000000), which no longer ships; the stored pages are encoded anew by nano (" in line
    with pytest.raises(CheckpointError, match=r"tokens of checkpoint nano \(000000000000\) cannot be read by nano"):
        microfiche.unpack(tmp_path / "x.fiche", nano)


def test_a_file_that_nobody_could_read_back_is_not_written(tmp_path: Path) -> None:
    nano = microfiche.load()
    for checkpoint, said in (
        (Checkpoint("mine", "0" * 64), "tokens of checkpoint nano .* its checkpoint is mine .* the inner reader's"),
        (UNTRAINED, "untrained: its weights have no SHA-256"),
        (Checkpoint("mine", "abc"), "mine: its weights have no SHA-256 .*'abc'"),
    ):
        with pytest.raises(CheckpointError, match=said):
            microfiche.pack(TEXT, tmp_path / "x.fiche", Wrapped(nano, checkpoint))
        assert list(tmp_path.iterdir()) == []
    microfiche.pack(TEXT, tmp_path / "x.fiche", Wrapped(nano, nano.checkpoint))
    assert microfiche.unpack(tmp_path / "x.fiche").text == TEXT


@pytest.mark.parametrize("call", [microfiche.measure, lambda text, reader: microfiche.pack(text, "x.fiche", reader)])
def test_the_name_of_a_reader_is_no_reader(call: Callable[[str, Any], object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reader='nano' is no reader; .*microfiche.load\('nano'\)"):
        call(TEXT, "nano")
    microfiche.pack(TEXT, tmp_path / "x.fiche")
    with pytest.raises(UsageError, match="reader='nano' is no reader"):
        microfiche.unpack(tmp_path / "x.fiche", "nano")  # type: ignore[arg-type]


def test_an_empty_text_is_neither_packed_nor_measured(tmp_path: Path) -> None:
    for call in (lambda: microfiche.measure(""), lambda: microfiche.measure("", random=True)):
        with pytest.raises(InputError, match=r"^text: empty$"):
            call()
    with pytest.raises(InputError, match=r"^text: empty$"):
        microfiche.pack("", tmp_path / "x.fiche")
    with pytest.raises(InputError, match="no text to pack"):
        microfiche.pack([], tmp_path / "x.fiche")
    for call in (lambda: microfiche.measure("ab\udc80"), lambda: microfiche.pack("ab\udc80", tmp_path / "x.fiche")):
        with pytest.raises(InputError, match="character 3 is half of a surrogate pair"):
            call()
    assert not list(tmp_path.iterdir())


def test_density_and_mode_are_called_so_everywhere(tmp_path: Path) -> None:
    given: dict[str, Any] = {"density": "7x13", "mode": "tiny", "layout": "lines"}
    result = microfiche.measure(TEXT, **given)
    assert (result.density, result.mode, result.layout) == ("7x13", "tiny", "lines")
    assert len(microfiche.typeset(TEXT, **given)) == microfiche.pack(TEXT, tmp_path / "x.fiche", **given).pages == 1
    with microfiche.Memory(tmp_path / "x.memory", **given) as memory:
        assert (memory.manner.density, memory.manner.mode, memory.manner.layout) == ("7x13", "tiny", "lines")
    for wrong in ({"density": "3x3"}, {"mode": "huge"}, {"layout": "wide"}):
        with pytest.raises(UsageError, match=r"no (density|mode|layout) '"):
            microfiche.measure(TEXT, **wrong)  # type: ignore[arg-type]


class Short(Wrapped):
    """A reader that loses the last page of what it is given, or whose readings can be gone through only once."""

    loses = "tokens"

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        return self.inner.encode(pages)[: -1 if self.loses == "tokens" else None]

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        found = self.inner.read(tokens)[: -1 if self.loses == "readings" else None]
        return iter(found)  # type: ignore[return-value]


def test_a_reader_that_loses_a_page_is_caught(tmp_path: Path) -> None:
    nano, path = microfiche.load(), tmp_path / "x.fiche"
    short = Short(nano, nano.checkpoint)
    said = "the reader returned {} of 0 pages for 1; it must return those of each"
    for call in (lambda: microfiche.pack(TEXT, path, short), lambda: microfiche.measure(TEXT, short)):
        with pytest.raises(UsageError, match=said.format("tokens")):
            call()
    assert not path.exists()
    microfiche.pack(TEXT, path)
    short.loses = "readings"
    for call in (lambda: microfiche.unpack(path, short), lambda: microfiche.measure(TEXT, short)):
        with pytest.raises(UsageError, match=said.format("readings")):
            call()
    short.loses = ""
    assert microfiche.unpack(path, short).text == TEXT
    assert microfiche.measure(TEXT, short).fox_precision == 1


def test_a_novel_with_two_signs_that_nano_does_not_know_packs_and_is_measured(tmp_path: Path) -> None:
    line = "It was the best of times, it was the worst of times, said Mr ⟨Walesa⟩, and so on.\n"
    text = TEXT * 60 + line + TEXT * 60
    packed = microfiche.pack(text, tmp_path / "x.fiche", density="6x12")
    assert 2 <= packed.kept < 20 and packed.characters == len(text)
    read = microfiche.unpack(tmp_path / "x.fiche")
    assert "Mr ⟨Walesa⟩, and" in read.text and read.wrong == []
    found = measure(text, density="5x8")
    assert 2 <= found.kept < 20 and found.precision > 0.99 and found.characters == len(text)
    assert found.ratio is not None
    costs = text_tokens(text) / found.ratio - found.vision_tokens
    assert found.kept < costs < 10 * found.kept, "what is kept is no free gift, and its place is none either"
    plain = measure(TEXT * 120, density="5x8")
    assert plain.kept == 0 and plain.ratio == pytest.approx(text_tokens(TEXT * 120) / plain.vision_tokens, abs=1e-3)


def test_what_models_do_not_know_is_in_the_file_and_nothing_else_is(tmp_path: Path) -> None:
    text = "中文 among words, → and ├─, 한국어, Việt Nam.\n" + TEXT * 20 + "\n"
    for density, layout in (("7x13", "words"), ("5x8", "dense"), ("8x16", "lines")):
        microfiche.pack(text, tmp_path / "x.fiche", density=density, layout=layout)  # type: ignore[arg-type]
        with Fiche(tmp_path / "x.fiche") as fiche:
            page = fiche.manifest.pages[0]
            beside = "".join([*(one.text for one in page.kept), *(text for _, _, text in page.corrected)])
            assert fiche.manifest.format in ("microfiche-4", "microfiche-6") and set("├─한국어ệ") <= set(beside)
        assert microfiche.unpack(tmp_path / "x.fiche").text == text
    microfiche.pack(TEXT, tmp_path / "x.fiche")
    with Fiche(tmp_path / "x.fiche") as fiche, zipfile.ZipFile(tmp_path / "x.fiche") as file:
        assert fiche.manifest.format == "microfiche-1" and b"kept" not in file.read("manifest.json")


def test_random_strings_have_no_ratio_and_a_reader_is_shown_in_a_line() -> None:
    found = measure(TEXT, density="5x8", random=True)
    assert found.ratio is None and found.random and found.vision_tokens
    for name in ("nano", "nano-pages"):
        shown = repr(microfiche.load(name))
        assert len(shown) < 60 and name in shown and "\n" not in shown
