"""The list of fonts: what it promises, and what is said of a font that is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microfiche.errors import InputError, UsageError
from microfiche.training.real_pages import unseen
from microfiche.typesetting import fonts
from microfiche.typesetting.alphabet import code_points
from microfiche.typesetting.fonts import BUNDLED, PRINT_TYPEFACES, STYLES, TYPEFACES, listed, named, typefaces
from microfiche.typesetting.outline import Face


def test_there_are_forty_fonts_to_train_on_and_others_of_each_kind_held_out() -> None:
    assert len(typefaces()) >= 40
    assert {t.kind for t in typefaces()} == {t.kind for t in typefaces(held_out=True)} == {
        "sans", "serif", "mono", "cjk"
    }  # fmt: skip
    files = [getattr(t, style) for t in TYPEFACES.values() for style in STYLES]
    assert all(not Path(file).is_absolute() and "*" not in file for file in files)
    assert not {t.regular for t in typefaces()} & {t.regular for t in typefaces(held_out=True)}


def test_print_is_trained_on_families_besides_none_of_them_held_out() -> None:
    assert typefaces(for_print=True) == typefaces() + list(PRINT_TYPEFACES.values())
    assert typefaces(held_out=True, for_print=True) == typefaces(held_out=True)
    assert not PRINT_TYPEFACES.keys() & TYPEFACES.keys()
    assert len({t.regular for t in typefaces(for_print=True)}) == len(typefaces(for_print=True))
    assert {t.kind for t in PRINT_TYPEFACES.values()} == {"sans", "serif", "mono"}
    assert not [t.name for t in PRINT_TYPEFACES.values() if unseen(t.name) or unseen(t.regular)]
    assert [t.name for t in TYPEFACES.values() if unseen(t.name)] == [t.name for t in typefaces(held_out=True)]


@pytest.mark.parametrize("name", PRINT_TYPEFACES)
def test_a_family_of_print_draws_letters_in_each_style(name: str) -> None:
    if fonts.font_file(PRINT_TYPEFACES[name].regular, PRINT_TYPEFACES[name].package) is None:
        pytest.skip("needs fonts that do not ship: python tools/fetch_fonts.py --print")
    ascii_, accented = "".join(map(chr, range(0x21, 0x7F))), "ÀÉÎÕÜàéîõüÅåÇçÑñØøßÆæ"
    assert PRINT_TYPEFACES[name].draws(ascii_ + accented).all()
    points = code_points(ascii_ + accented)
    for style in STYLES:
        face = Face(PRINT_TYPEFACES[name].file(style), 12)
        for point in points:
            page = np.full((40, 40), 255, np.uint8)
            face.draw(page, np.array([point], np.uint32), np.array([10.0]), np.array([20]))
            inked = np.argwhere(page < 192)
            assert len(inked) and (inked >= 2).all() and (inked < 38).all()


def test_bundled_fonts_are_there_and_draw_what_they_say() -> None:
    for typeface in (t for t in TYPEFACES.values() if t.package == BUNDLED):
        assert typeface.draws("Aß ?1€").all()
        assert not typeface.draws("\n\t\0\u0301\u202e\ud800\U0001f600א").any()
    assert TYPEFACES["DejaVu Sans"].draws("a中b").tolist() == [True, False, True]


def test_a_missing_font_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FETCHED", tmp_path)
    monkeypatch.setattr(fonts, "INSTALLED", (tmp_path,))
    with pytest.raises(InputError, match=r"^the font Lato is missing .*: apt-get install fonts-lato, or") as error:
        TYPEFACES["Lato"].draws("a")
    assert "\n" not in str(error.value)
    message = r"^the font Chivo is missing .*: apt-get install texlive-fonts-extra, or .*fetch_fonts\.py --print"
    with pytest.raises(InputError, match=message):
        PRINT_TYPEFACES["Chivo"].file("bold")
    with pytest.raises(UsageError, match="no font 'Arial'"):
        named(["Lato", "Arial"])


def test_a_fetched_font_is_found_before_an_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FETCHED", tmp_path / "fetched")
    monkeypatch.setattr(fonts, "INSTALLED", (tmp_path / "other", tmp_path / "installed"))
    lato = TYPEFACES["Lato"]
    for folder in ("installed", "fetched"):
        file = tmp_path / folder / lato.regular
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
        assert lato.file("regular") == file


def test_the_docs_have_every_font_in_the_same_order() -> None:
    docs = (Path(__file__).parent.parent.parent / "docs/fonts.md").read_text()
    table = docs[docs.index("| typeface | kind |") :]
    uses = [(t, "unseen" if t.held_out else "training") for t in TYPEFACES.values()]
    uses += [(t, "print") for t in PRINT_TYPEFACES.values()]
    rows = [f"| {t.name} | {t.kind} | {t.package} | {t.licence} | {use} |" for t, use in uses]
    assert [line for line in table.splitlines() if line.startswith("| ")][1:] == rows


GO = 'name = "Go", kind = "sans", package = "fonts-go", licence = "BSD-3-Clause", files = "fonts-go/Go-*.ttf"'


def test_a_line_of_the_list_is_a_typeface() -> None:
    other = GO.replace("Go", "Og", 1)
    toml = f"training = [{{ {GO} }}]\nunseen = []\nprint = [{{ {other}, styles = ['a', 'b', 'b'] }}]"
    everywhere, print_alone = listed(toml)
    assert everywhere["Go"].regular == "fonts-go/Go-Regular.ttf" and everywhere["Go"].italic == "fonts-go/Go-Italic.ttf"
    assert (print_alone["Og"].regular, print_alone["Og"].bold) == ("fonts-go/Go-a.ttf", "fonts-go/Go-b.ttf")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("training = [", "the list of fonts is not TOML"),
        ("training = []\nunseen = []", "the list of fonts: print: Field required"),
        (f"training = [{{ {GO} }}]\nunseen = [{{ {GO} }}]\nprint = []", "'Go' occurs 2 times"),
        ("training = [{ " + GO.replace("sans", "round") + " }]\nunseen = []\nprint = []", r"training\.0\.kind: Input"),
        (f"training = [{{ {GO}, stiles = ['a'] }}]\nunseen = []\nprint = []", r"training\.0\.stiles: Extra"),
        (f"training = [{{ {GO}, styles = ['a'] }}]\nunseen = []\nprint = []", r"training\.0\.styles"),
    ],
)
def test_a_malformed_list_is_an_error_in_a_line(toml: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        listed(toml)
    assert "\n" not in str(error.value)
