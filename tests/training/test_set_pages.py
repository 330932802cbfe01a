"""Pages drawn by chance: of the right text, in the right typefaces, the same for the same seed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from microfiche.errors import InputError
from microfiche.training.corpus import held_out
from microfiche.training.set_pages import SetPages
from microfiche.typesetting import fonts
from microfiche.typesetting.fonts import BUNDLED, TYPEFACES, Typeface
from microfiche.typesetting.print import Print

FACES = [t for t in TYPEFACES.values() if t.package == BUNDLED]
PROSE = [f"Document {i} says so. " * 30 for i in range(60)]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("text")
    (folder / "prose.txt").write_text("\n\f\n".join(PROSE))
    code = "\n".join(f"def f{i}(x):\n    return x + {i}\n    # and {i}" for i in range(200))
    (folder / "code.py").write_text(code)
    return folder


def words(print_: Print) -> str:
    return "" if print_.page.text is None else print_.page.text


@pytest.mark.parametrize("side", [64, 256, 640])
def test_pages_are_full_and_the_same_for_the_same_seed(text: Path, side: int) -> None:
    drawn = SetPages(text, faces=FACES)
    for seed in range(6):
        one, other = (drawn.page(np.random.default_rng(seed), side, side) for _ in range(2))
        assert one.page.image.shape == (side, side) and (one.page.image < 128).mean() > 0.005
        np.testing.assert_array_equal(one.page.image, other.page.image)
        assert words(one) == words(other) and one.lines == other.lines and one.blocks == other.blocks
    fresh = SetPages(text, faces=FACES).page(np.random.default_rng(5), side, side)
    np.testing.assert_array_equal(fresh.page.image, one.page.image)


def test_there_are_all_kinds_of_blocks_sizes_and_columns(text: Path) -> None:
    drawn = SetPages(text, faces=FACES)
    pages = [drawn.page(np.random.default_rng(seed), 320, 448) for seed in range(60)]
    kinds = {block.kind for page in pages for block in page.blocks}
    assert kinds >= {"title", "heading", "text", "list", "table", "code", "header", "footer", "page number"}
    assert {line.size for page in pages for line in page.lines} >= set(range(8, 17))
    assert any(page.rest for page in pages)


def test_held_out_documents_stand_on_no_training_page(text: Path) -> None:
    kept = {d.split(" says")[0] for d in PROSE if held_out(d)}
    training, validation = (
        " ".join(
            words(SetPages(text, v, FACES, random_share=0).page(np.random.default_rng(s), 256, 640)) for s in range(40)
        )
        for v in (False, True)
    )
    assert kept and not any(name + " says" in training for name in kept) and "says" in training
    found = set(re.findall(r"Document \d+(?= says)", validation))
    assert found and found <= kept


def test_random_pages_draw_evenly_from_an_alphabet(text: Path) -> None:
    drawn = SetPages(text, faces=FACES, random_share=1.0)
    pages = ["".join(words(drawn.page(np.random.default_rng(seed), 640, 640)).split()) for seed in range(12)]
    assert not any("Document" in page for page in pages)
    alphabets = [set(page) for page in pages]
    assert max(map(len, alphabets)) > 150 and min(map(len, alphabets)) < 40


def test_chinese_text_needs_a_chinese_typeface(tmp_path: Path) -> None:
    (tmp_path / "zh.txt").write_text("\n\f\n".join(f"第{i}章。这里有字。" * 20 for i in range(40)))
    with pytest.raises(InputError, match="no text that the typefaces are for"):
        SetPages(tmp_path, faces=FACES)


def test_a_folder_without_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match="no training text in it"):
        SetPages(tmp_path, faces=FACES)
    (tmp_path / "b.txt").write_bytes(b"abc\xff" * 100)
    with pytest.raises(InputError, match=r"b\.txt: not UTF-8 at byte 3"):
        SetPages(tmp_path, faces=FACES)


def test_a_missing_font_is_named_with_its_package(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FETCHED", text)
    monkeypatch.setattr(fonts, "INSTALLED", (text,))
    lost = Typeface("Lost", "sans", "fonts-lost", "OFL-1.1", "lost.ttf", "lost.ttf", "lost.ttf")
    with pytest.raises(InputError, match=r"the font Lost is missing \(lost\.ttf\): apt-get install fonts-lost"):
        SetPages(text, faces=[lost])
