"""Fonts by coverage: which is chosen, and what is said where none is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.errors import InputError, UsageError
from microfiche.typesetting import coverage, fonts
from microfiche.typesetting.coverage import SOURCES, Coverage, clusters
from microfiche.typesetting.strip import StripRenderer


@pytest.fixture
def nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FETCHED", tmp_path)
    monkeypatch.setattr(fonts, "INSTALLED", tmp_path)
    fresh = tuple(coverage.Source(s.name, s.package, s.path, s.script, s.scale) for s in SOURCES)
    monkeypatch.setattr(coverage, "SOURCES", fresh)
    monkeypatch.setattr(coverage, "EMOJI", fresh[-1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("हिन्दी", r"the script Devanagari \(U\+0939 ह\): apt-get install fonts-noto-core, or python tools/fetch_fonts"),
        ("中文", r"the script Han \(U\+4E2D 中\): apt-get install fonts-wqy-microhei"),
        ("かな", r"the script Hiragana \(U\+304B か\): apt-get install fonts-wqy-microhei"),
        ("a 🤔 b", r"the emoji U\+1F914 🤔: apt-get install fonts-noto-color-emoji"),
    ],
)
@pytest.mark.usefixtures("nothing_fetched")
def test_a_script_without_a_font_is_named_with_its_package(text: str, said: str) -> None:
    with pytest.raises(InputError, match=f"^no font for {said}") as error:
        StripRenderer().line(text)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("nothing_fetched")
def test_without_fetched_fonts_there_is_still_dejavu() -> None:
    renderer = StripRenderer()
    for text in ("Straße", "Ελλάδα", "Москва", "Հայերեն", "ქართული", "שלום", "مرحبا", "\ue000 \U000e01ff"):
        assert (renderer.line(text).image[:, :-16] < 255).any()
    with pytest.raises(InputError, match="Noto Sans is missing: apt-get install fonts-noto-core"):
        StripRenderer(leading="Noto Sans")


def test_what_leads_must_be_in_the_list() -> None:
    with pytest.raises(UsageError, match="no font 'Arial'"):
        Coverage("Arial")


def test_names_and_files_are_each_there_once() -> None:
    assert len({s.name for s in SOURCES}) == len({s.path for s in SOURCES}) == len(SOURCES) > 140


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("abc", [0, 1, 2]),
        ("e\u0301a", [0, 2]),
        ("का", [0]),
        ("🇩🇪🇫🇷", [0, 2]),
        ("👩\u200d🔬x", [0, 3]),
        ("👍🏽1\ufe0f\u20e3", [0, 2]),
        ("\u1112\u1161\u11ab", [0]),
        ("", []),
    ],
)
def test_grapheme_clusters(text: str, starts: list[int]) -> None:
    assert clusters(text) == starts


@given(st.text(max_size=20))
def test_clusters_begin_at_the_beginning_and_go_up(text: str) -> None:
    starts = clusters(text)
    assert starts == sorted(set(starts)) and starts[:1] == [0][: len(text)]
