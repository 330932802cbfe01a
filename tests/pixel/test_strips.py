"""Strips: geometry, where characters are, every script, and what cannot be drawn."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from microfiche.errors import InputError, UsageError
from microfiche.pixel import shaping
from microfiche.pixel.glyphs import joined
from microfiche.pixel.shaping import Shaper, strip_fonts
from microfiche.pixel.strips import LONGEST, PATCH, Strip, StripRenderer
from microfiche.typesetting.fonts import BUNDLED

RENDERER = StripRenderer()
ALWAYS = [(package, file) for package, file in strip_fonts() if package == BUNDLED]
LATIN = st.text(st.sampled_from("abcfijWgyÄéßЖяλ 0189.,-—()\n\u0301"), max_size=80)
HEBREW = st.text(st.sampled_from("אבגדהושלםמ ,.\u05b8"), max_size=80)


def black(strip: Strip) -> NDArray[np.bool_]:
    """(n,) which patches are black throughout."""
    patches = strip.image.reshape(PATCH, -1, PATCH, *strip.image.shape[2:])
    return (patches == 0).all(axis=(0, 2, *range(3, patches.ndim)))


def check(strip: Strip, ends: int = 1) -> None:
    height, width = strip.image.shape[:2]
    assert height == PATCH and width % PATCH == 0 and strip.image.dtype == np.uint8
    assert strip.offsets.shape == (width // PATCH, 2) and strip.offsets.dtype == np.int32
    assert (strip.offsets[:, 0] <= strip.offsets[:, 1]).all() and strip.words.dtype == np.int32
    assert black(strip)[-1] and black(strip).sum() == ends
    assert (strip.offsets[black(strip), 0] == strip.offsets[black(strip), 1]).all()


def in_order(offsets: NDArray[np.int32], start: int, stop: int) -> None:
    """Asserts that ranges follow one another from `start` to `stop` without gap or overlap."""
    assert offsets[0, 0] == start and offsets[-1, 1] == stop
    assert (offsets[1:, 0] == offsets[:-1, 1]).all()


@given(LATIN)
@settings(deadline=None)
def test_offsets_cover_a_text_once_and_in_order(text: str) -> None:
    strip = RENDERER.line(text)
    check(strip)
    assert strip.whole and strip.second is None and strip.words.shape == (0, 2)
    in_order(strip.offsets, 0, len(text))
    again = StripRenderer().line(text)
    np.testing.assert_array_equal(strip.image, again.image)
    np.testing.assert_array_equal(strip.offsets, again.offsets)


@given(HEBREW)
@settings(deadline=None)
def test_offsets_of_text_to_the_left_run_backwards(text: str) -> None:
    text = f"ש{text}ש"
    strip = RENDERER.line(text)
    check(strip)
    in_order(strip.offsets[strip.offsets[:, 0] < strip.offsets[:, 1]][::-1], 0, len(text))


@given(st.text(max_size=40))
@settings(deadline=None)
def test_any_text_is_drawn_or_refused_in_a_line(text: str) -> None:
    try:
        strip = RENDERER.line(text)
    except InputError as error:
        assert "\n" not in str(error) and "U+" in str(error)
        return
    check(strip)
    begun = {at for start, stop in strip.offsets.tolist() for at in range(start, stop)}
    assert begun == set(range(len(text))) or len(strip.offsets) == 1  # nothing is to be seen


def test_letters_stand_three_px_from_the_left_and_are_not_cut() -> None:
    image = RENDERER.line("Hxg").image
    ink = np.flatnonzero((image[:, :-PATCH] < 255).any(0))
    assert 3 <= ink[0] <= 5
    letter = np.flatnonzero((image[:, 3:13] < 255).any(1))
    assert letter[-1] == 11  # the last row above the baseline
    strip = RENDERER.line("W" * 4)  # the last letter ends at least 3 px before the black patch
    assert (strip.image[:, -PATCH - 3 : -PATCH] == 255).all()


@pytest.mark.parametrize("text", ["Ÿgj", "Å̂", "Ǻy", "Ẫ Ůj", "(]{}|", "لَّإٍ", "שׁ"])
def test_tall_letters_are_moved_or_made_small_not_cut(text: str) -> None:
    shaper = Shaper(40 / 3, 12, 4)
    line = shaper.line(text, False)
    glyphs = joined(line.words, line.pens, 0).glyphs
    pages = [np.full((height, 200), 255, np.uint8) for height in (16, 48)]
    inks = [
        (255 - shaper.pictures.draw(page, glyphs, baseline).astype(int)).sum()
        for page, baseline in zip(pages, (12, 28), strict=True)
    ]
    assert inks[0] == inks[1] > 0


def test_a_word_looks_the_same_wherever_it_stands() -> None:
    alone, after = RENDERER.line("fox").image[:, 3:24], RENDERER.line("a fox").image
    places = [x for x in range(after.shape[1] - 21) if (after[:, x : x + 21] == alone).all()]
    assert len(places) == 1


def test_arabic_is_shaped_and_runs_to_the_left() -> None:
    joined, apart = (RENDERER.line(text).image for text in ("سلام", "س‌ل‌ا‌م"))
    assert joined.shape != apart.shape or (joined != apart).any()
    strip = RENDERER.line("שלום 123 עולם")
    filled = strip.offsets[strip.offsets[:, 0] < strip.offsets[:, 1]]
    assert filled[0, 1] == 13 and filled[-1, 0] == 0


def test_long_text_is_cut_refused_or_slid() -> None:
    text = "".join(f"word {i}, " for i in range(900))
    strip = RENDERER.line(text)
    check(strip)
    assert strip.image.shape == (PATCH, PATCH * LONGEST) and not strip.whole
    in_order(strip.offsets, 0, int(strip.offsets[-1, 1]))
    with pytest.raises(InputError, match="longer than 529 patches"):
        RENDERER.line(text, overflow="error")
    windows = list(RENDERER.slide(text, longest=100, overlap=20))
    assert windows[0].offsets[0, 0] == 0 and windows[-1].offsets[-1, 1] == len(text)
    for one, other in pairwise(windows):
        shared = one.offsets[-1, 1] - other.offsets[0, 0]
        assert len(other.offsets) <= 100 and 0 < shared <= 20 * PATCH // 4
        assert other.offsets[0, 0] > one.offsets[0, 0]
    assert [w.whole for w in RENDERER.slide("short")] == [True]
    with pytest.raises(UsageError, match="overlap"):
        next(RENDERER.slide(text, longest=20, overlap=20))


def test_sliding_over_hebrew_keeps_the_texts_characters() -> None:
    text = "שלום עולם " * 60
    seen = {at for w in RENDERER.slide(text, 40, 8) for a, b in w.offsets.tolist() for at in range(a, b)}
    assert seen == set(range(len(text)))


def test_pairs_are_two_texts_and_two_black_patches() -> None:
    strip = RENDERER.pair("Hello, you", "there")
    check(strip, 2)
    assert strip.second is not None and black(strip)[strip.second - 1] and strip.whole
    in_order(strip.offsets, 0, 15)
    assert strip.offsets[strip.second, 0] == 10
    alone = RENDERER.line("there")
    np.testing.assert_array_equal(strip.image[:, strip.second * PATCH :], alone.image)
    long = RENDERER.pair("a" * 5000, "b", longest=30)
    assert len(long.offsets) == 30 and not long.whole and black(long)[[-2, -1]].all()
    assert 50 < long.offsets[-3, 1] == long.offsets[-1, 1] < 100


@given(st.lists(st.text(st.sampled_from("abcéЖΩ"), max_size=12), max_size=12))
@settings(deadline=None)
def test_words_begin_at_patches(words: list[str]) -> None:
    strip = RENDERER.words(words)
    check(strip)
    assert strip.words.shape == (len(words), 2) and strip.whole
    if words:
        assert strip.words[0, 0] == 0 and strip.words[-1, 1] == len(strip.offsets) - 1
        assert (strip.words[1:, 0] == strip.words[:-1, 1]).all() and (strip.words[:, 0] < strip.words[:, 1]).all()
    begun = 0
    for word, (first, last) in zip(words, strip.words.tolist(), strict=True):
        in_order(strip.offsets[first:last], begun, begun + len(word))
        begun += len(word)


def test_words_that_do_not_fit_are_left_out() -> None:
    strip = RENDERER.words(["one", "x" * 10_000, "three"])
    assert len(strip.offsets) == LONGEST and len(strip.words) == 2 and not strip.whole
    assert strip.words[-1, 1] == LONGEST - 1
    with pytest.raises(InputError, match="longer than 20 patches"):
        RENDERER.words(["word"] * 30, longest=20, overflow="error")


def test_a_renderer_goes_to_another_process() -> None:
    large, text = StripRenderer(colour=True, size=12), "a fine day " * 9
    other = pickle.loads(pickle.dumps(large)).line(text).image
    assert other.shape != StripRenderer(colour=True).line(text).image.shape
    np.testing.assert_array_equal(other, large.line(text).image)


def test_empty_text_is_one_black_patch() -> None:
    for strip in (RENDERER.line(""), RENDERER.words([])):
        assert strip.image.shape == (16, 16) and (strip.image == 0).all() and strip.offsets.tolist() == [[0, 0]]


def test_a_strip_too_short_for_its_ends_is_refused() -> None:
    for draw in (lambda: RENDERER.line("a", longest=0), lambda: RENDERER.pair("a", "b", longest=1)):
        with pytest.raises(UsageError, match="at least a patch"):
            draw()
    assert black(RENDERER.pair("a", "b", longest=2)).all()


def test_signs_without_width_take_no_patch() -> None:
    for text in ("\u200d", "\u200b\u2060"):
        strip = RENDERER.pair(text, "a")
        check(strip, 2)
        assert strip.whole and strip.second == 1 and strip.offsets[1].tolist() == [len(text), len(text) + 1]
    mark = RENDERER.line("\u0301")
    check(mark)
    assert (mark.image[:, :-PATCH] < 128).any()


def test_control_characters_are_spaces() -> None:
    np.testing.assert_array_equal(RENDERER.line("a\tb\x00c\x9fd").image, RENDERER.line("a b c d").image)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ab\ud800c", "character 2 is a lone surrogate .U.D800."),
        ("\ue000", "U.E000 is private"),
        ("\u0378", "U.0378 is no character of Unicode"),
    ],
)
def test_what_cannot_be_drawn_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        RENDERER.line(text)


def test_without_fetched_fonts_european_scripts_are_drawn_and_others_name_their_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shaping, "strip_fonts", lambda: ALWAYS)
    renderer = StripRenderer()
    for text in ("Latin, Ελληνικά, Кириллица", "العربية", "עברית", "Հայերեն ქართული"):
        strip = renderer.line(text)
        check(strip)
        assert (strip.image < 128).sum() > 300
    for text, package in (
        ("ภาษา", "fonts-noto-core"),
        ("中文", "fonts-wqy-microhei"),
        ("🩻", "fonts-noto-color-emoji"),
        ("𗀀", "fonts-noto-core"),  # Tangut, of which Python knows no names
    ):
        with pytest.raises(InputError, match=rf"U\+{ord(text[0]):04X} .*apt-get install {package}"):
            renderer.line(text)


def test_very_long_words_and_piles_of_marks_are_bounded() -> None:
    for text in ("x" * 10_000, "a" + "\u0301" * 10_000, "\u200d" * 10_000, "א" * 10_000 + "1" * 10_000):
        strip = RENDERER.line(text)
        assert len(strip.offsets) <= LONGEST and black(strip)[-1]


@pytest.mark.fetched_fonts
def test_emoji_have_colours_or_are_grey() -> None:
    text = "ok 👩‍⚕️ 👍🏽 🇫🇷 1️⃣"
    grey, colour = RENDERER.line(text), StripRenderer(colour=True).line(text)
    assert colour.image.shape == (*grey.image.shape, 3)
    check(colour)
    spread = np.ptp(colour.image.astype(int), axis=2)
    assert (spread > 60).sum() > 100 and (spread[:, :20] == 0).all()
    assert (grey.image[:, 30:-PATCH] < 200).sum() > 200
    np.testing.assert_array_equal(grey.offsets, colour.offsets)
    starts = set(grey.offsets[:, 0].tolist())
    assert not starts & {4, 5, 6, 9, 12, 15, 16}  # no patch begins within a cluster


@pytest.mark.fetched_fonts
@pytest.mark.parametrize(
    "text",
    [
        "हिन्दी क्षेत्र",
        "தமிழ்",
        "తెలుగు",
        "ผู้ใหญ่",
        "မြန်မာ",
        "ខ្មែរ",
        "བོད་ཡིག",
        "አማርኛ",
        "日本語の文章、",
        "한국어",
        "ⲙⲛⲧ",
        "ᏣᎳᎩ",
        "ދިވެހި",
    ],
)
def test_scripts_are_shaped_by_clusters(text: str) -> None:
    strip = RENDERER.line(text)
    check(strip)
    assert (strip.image[:, :-PATCH] < 128).sum() > 40
    begun = {at for start, stop in strip.offsets.tolist() for at in range(start, stop)}
    assert begun == set(range(len(text)))
