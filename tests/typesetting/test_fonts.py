"""The list of fonts: what it promises, and what is said of a font that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from microfiche.errors import InputError, UsageError
from microfiche.typesetting import fonts
from microfiche.typesetting.fonts import BUNDLED, STYLES, TYPEFACES, named, typefaces


def test_there_are_forty_fonts_to_train_on_and_others_of_each_kind_held_out() -> None:
    assert len(typefaces()) >= 40
    assert {t.kind for t in typefaces()} == {t.kind for t in typefaces(held_out=True)} == {
        "sans", "serif", "mono", "cjk"
    }  # fmt: skip
    files = [getattr(t, style) for t in TYPEFACES.values() for style in STYLES]
    assert all(not Path(file).is_absolute() and "*" not in file for file in files)
    assert not {t.regular for t in typefaces()} & {t.regular for t in typefaces(held_out=True)}


def test_bundled_fonts_are_there_and_draw_what_they_say() -> None:
    for typeface in (t for t in TYPEFACES.values() if t.package == BUNDLED):
        assert typeface.draws("Aß ?1€").all()
        assert not typeface.draws("\n\t\0\u0301\u202e\ud800\U0001f600א").any()
    assert TYPEFACES["DejaVu Sans"].draws("a中b").tolist() == [True, False, True]


def test_a_missing_font_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FETCHED", tmp_path)
    monkeypatch.setattr(fonts, "INSTALLED", tmp_path)
    with pytest.raises(InputError, match=r"^the font Lato is missing .*: apt-get install fonts-lato, or") as error:
        TYPEFACES["Lato"].draws("a")
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="no font 'Arial'"):
        named(["Lato", "Arial"])


def test_a_fetched_font_is_found_before_an_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("fetched", "installed"):
        monkeypatch.setattr(fonts, folder.upper(), tmp_path / folder)
    lato = TYPEFACES["Lato"]
    for folder in ("installed", "fetched"):
        file = tmp_path / folder / lato.regular
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
        assert lato.file("regular") == file


def test_every_font_is_in_the_docs() -> None:
    table = (Path(__file__).parent.parent.parent / "docs/fonts.md").read_text()
    for typeface in TYPEFACES.values():
        assert f"| {typeface.name} | {typeface.kind} | {typeface.package} | {typeface.licence} |" in table
