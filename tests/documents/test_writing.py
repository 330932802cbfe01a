"""What is written of a document: figures and formulas cut from its pages, and a JSON that names who read what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from microfiche.documents.document import Block, Document, Kind, PageRead
from microfiche.documents.finishing.finish import finish
from microfiche.documents.writing import COLOURS, Shelf, names_for, overlay, written


def kept(folder: Path, name: str, *blocks: Block) -> Document:
    shelf = Shelf(folder, name, "a" * 64, {})
    page = PageRead(number=1, width=100, height=100, engine="text", blocks=list(blocks))
    pages = list(shelf.kept([(page, Image.new("RGB", (100, 100), "white"))], {}, overlays=True))
    document = Document(name=f"{name}.pdf", sha256="a" * 64, pages=finish(pages))
    shelf.write(document, "md")
    return document


def test_a_figure_is_cut_out_and_its_words_stand_beside_it(tmp_path: Path) -> None:
    figure = Block(kind="figure", box=(10, 10, 50, 50), text="a [lamp]")
    kept(tmp_path, "my lamps", figure)
    assert (tmp_path / "my lamps.md").read_text() == "![a lamp](my%20lamps/figures/page-0001-1.png)\n"
    with Image.open(tmp_path / "my lamps/figures/page-0001-1.png") as picture:
        assert picture.size == (48, 48)


def test_a_formula_is_a_picture_unless_it_is_latex_that_is_sure(tmp_path: Path) -> None:
    box = (10, 10, 50, 50)
    blocks = [Block(kind="formula", box=box, text=text, confidence=sure) for text, sure in (
        ("x2 + y", 1.0), ("$x^2 + y$", 1.0), ("\\[x_1\\]", None), ("$x^z$", 0.4),
    )]  # fmt: skip
    document = kept(tmp_path, "x", *blocks)
    assert document.markdown() == (
        "![x2 + y](x/figures/page-0001-1.png)\n\n$$x^2 + y$$\n\n"
        "\\[x_1\\]\n\n$$x^z$$\n\n![](x/figures/page-0001-2.png)\n"
    )
    assert document.plain() == "x2 + y\n\nx^2 + y\n\nx_1\n\nx^z\n"


def test_the_json_names_engine_and_language_and_holds_what_is_not_seen(tmp_path: Path) -> None:
    text = "The lamp that was in the window of the old house is not to be seen."
    blocks = [Block(kind="text", box=(0, 0, 90, 10), text=text), Block(kind="hidden", box=(0, 0, 9, 9), text="unseen"),
              Block(kind="text", box=(0, 50, 90, 60), text="A STAMP", engine="rapid")]  # fmt: skip
    document = kept(tmp_path, "x", *blocks)
    (page,) = json.loads((tmp_path / "x.json").read_text())["pages"]
    assert (page["engine"], page["language"]) == ("text", "en")
    assert [b["engine"] for b in page["blocks"]] == [None, None, "rapid"]
    assert "unseen" in written(document, "json")
    assert not any("unseen" in written(document, form) for form in ("md", "text"))


def test_every_kind_has_a_colour() -> None:
    assert set(COLOURS) == set(get_args(Kind))
    blocks = [Block(kind=kind, box=(5, 20, 60, 50), level=1) for kind in get_args(Kind)]
    picture = overlay(Image.new("L", (80, 60), 255), PageRead(number=1, blocks=blocks))
    assert picture.mode == "RGB" and len(picture.getcolors(5000) or []) > len(blocks)


def test_the_labels_of_an_overlay_cover_nothing_of_the_page() -> None:
    noise = Image.effect_noise((300, 200), 90).convert("RGB")
    boxes = [(0, 0, 299, 20), (0, 5, 140, 60), (160, 0, 299, 199), (10, 190, 40, 199), (200, 195, 260, 199)]
    blocks = [Block(kind="formula", box=box, level=6) for box in boxes]
    shown = overlay(noise, PageRead(number=1, blocks=[*blocks, Block(kind="text", box=None)]))
    margin, left_over = divmod(shown.width - noise.width, 2)
    assert shown.height == noise.height and margin > 60 and not left_over
    inner = shown.crop((margin, 0, margin + 300, 200))
    changed = np.argwhere((np.asarray(inner) != np.asarray(noise)).any(-1))
    for y, x in changed:  # the boxes' own outlines alone
        assert any(min(abs(x - b[0]), abs(x - b[2])) < 2 or min(abs(y - b[1]), abs(y - b[3])) < 2 for b in boxes)
    assert overlay(noise, PageRead(number=1)).size == noise.size


def test_names_keep_the_letters_of_every_script() -> None:
    names = ["हिन्दी पाठ", "ไทย", "עִברִית", "Ünïcödé", "中文", "می\u200cخواهم"]
    assert names_for([f"{name}.pdf" for name in names]) == names


def test_no_text_of_a_page_ends_the_run(tmp_path: Path) -> None:
    odd = "a\ud800b\u2028c\x00d\ufdd0e"
    document = kept(
        tmp_path, "x", Block(kind="text", box=(0, 0, 9, 9), text=odd), Block(kind="code", box=(0, 9, 9, 19), text=odd)
    )
    assert Shelf(tmp_path, "x", "a" * 64, {}).finished() == document
    assert document.markdown().startswith("a\ufffdb c")


def test_names_of_files_that_no_system_or_link_takes() -> None:
    names = names_for(
        ["a" * 300 + ".pdf", "é" * 150 + ".pdf", "x\udce9y.pdf", "#a)b(.pdf", ".", "..", "http://a.b/c%20d.pdf?e"]
    )
    assert all(0 < len(name.encode()) <= 205 for name in names)
    assert not any(set(name) & set("#()/\\\udce9") for name in names) and names[-1] == "c d"
