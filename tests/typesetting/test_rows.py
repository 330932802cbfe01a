"""Mixed text on pages: each line at what can draw it, words whole, labels that nothing imitates, nothing lost."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from microfiche.errors import UnreadableCharacters
from microfiche.page import INK, Layout, TypesetPage
from microfiche.sources import composed
from microfiche.typesetting import Typesetter, typeset
from microfiche.typesetting.density import DENSITIES, MODES
from microfiche.typesetting.repertoire import LABEL, repertoire
from microfiche.typesetting.rows import LONGEST, Items

LAYOUTS: tuple[Layout, ...] = ("dense", "lines", "words", "turns")
WORDS = [
    "hello", "world", "a", "The", "ł", "Zażółć", "你好", "한국어", "שלום", "\U0001f600", "→", "├──", "e\u0323\u0301",
    "x" + 5 * "\u0301", "averylongwordthatneverends" * 5, "נו" * 40, "\t", "\n", "\n\n", "  ", "    ", "\r\n", " ",
    f"{LABEL}user, 10:00]", LABEL, "\u0301", "❤\ufe0f", "a\u0903", " \n", "Ꙗ", "ѻ\u0301", "日本", "漢字", "\ud800",
]  # fmt: skip


def setter(density: str = "5x8", layout: Layout = "words", mode: str = "tiny") -> Typesetter:
    return Typesetter(DENSITIES[density], MODES[mode], layout, beside=True)


def row_of(page: TypesetPage, at: int) -> int:
    return int(page.boxes[at, 1])


@pytest.mark.parametrize("seed", range(24))
def test_any_text_comes_back_from_its_pages(seed: int) -> None:
    rng = random.Random(seed)
    density, layout = rng.choice(list(DENSITIES)), rng.choice(LAYOUTS)
    count = rng.choice([3, 30, 300, 1500])
    text = "".join(rng.choice(WORDS) + rng.choice(["", " ", " ", " ", "\n"]) for _ in range(count))
    pages = list(setter(density, layout).pages([text]))
    assert "".join(page.text for page in pages) == composed(text)
    cuts = [0, *sorted(rng.randrange(len(text)) for _ in range(9)), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(cuts)]
    again = list(setter(density, layout).pages(pieces))
    assert [page.setting for page in again] == [page.setting for page in pages]
    assert all((a.image == b.image).all() for a, b in zip(pages, again, strict=True))
    for page in pages:
        assert page.boxes.shape == (len(page.text), 4) and page.boxes.max(initial=0) <= 512
        assert (page.boxes[:, 2:] > page.boxes[:, :2]).all()
        drawn = [i for i, char in enumerate(page.text) if not char.isspace()]
        assert all((page.image[t:b, x:r] == INK).any() for x, t, r, b in page.boxes[drawn].tolist())


@pytest.mark.parametrize("seed", range(12))
def test_a_page_between_words_is_set_by_its_own_text_alone(seed: int) -> None:
    rng = random.Random(100 + seed)
    layout: Layout = rng.choice(["words", "turns"])
    density = rng.choice(list(DENSITIES))
    text = "".join(rng.choice(WORDS) + rng.choice(["", " ", " ", "\n"]) for _ in range(1200))
    for page in setter(density, layout).pages([text]):
        (alone,) = setter(density, layout).pages([page.text])
        assert (alone.text, alone.setting, alone.beside) == (page.text, page.setting, page.beside)
        assert (alone.image == page.image).all() and (alone.boxes == page.boxes).all()


def test_only_the_lines_that_need_it_are_set_larger() -> None:
    text = "plain words and nothing else in this line\n" * 30
    marked = text[:600] + "你好" + text[600:]
    for density in ("4x6", "5x8", "6x10"):
        (page,) = setter(density, "lines").pages([marked])
        heights = {bottom - top for _, top, _, bottom in page.boxes.tolist()}
        assert heights == {DENSITIES[density].height, 12}
        larger = {row_of(page, i) for i in range(len(marked)) if page.boxes[i, 3] - page.boxes[i, 1] == 12}
        assert len(larger) == 1 and row_of(page, 600) in larger
        assert page.setting is not None and len(page.setting.kept) == 1 and "你好" in page.setting.kept[0].text
        assert 2 <= page.setting.kept[0].rows <= 3


def test_wide_cells_stand_within_narrow_lines() -> None:
    text = "In English, then 你好，世界 and 한국어 and かな, and English again.\n"
    for density in ("6x12", "7x13", "8x16"):
        (page,) = setter(density).pages([text * 3])
        widths = page.boxes[:, 2] - page.boxes[:, 0]
        cell = DENSITIES[density].width
        assert all(widths[i] == (2 * cell if ord(c) > 0x3000 else cell) for i, c in enumerate(page.text))
        assert len({bottom - top for _, top, _, bottom in page.boxes.tolist()}) == 1, "no line is set larger"


def test_a_letter_with_a_mark_looks_like_neither_and_takes_one_cell() -> None:
    pages = [next(setter("7x13").pages([text])) for text in ("q", "q\u0308", "q\u0303", "q\u0308\u0323")]
    cells = [page.image[:13, :7].tobytes() for page in pages]
    assert len(set(cells)) == 4 and all((page.boxes == [0, 0, 7, 13]).all() for page in pages)
    (page,) = setter("7x13").pages([" \u0308q" + "\u0308" * 4])
    assert len({tuple(box) for box in page.boxes.tolist()}) == 5, "marks without a letter, or too many, stand apart"


def test_words_are_whole_where_there_is_room() -> None:
    text = "The quick brown fox jumps over the lazy dog, doesn't it? " * 40
    for density in ("4x6", "5x8", "7x13", "12x12"):
        for page in setter(density).pages([text]):
            start = 0
            for word in page.text.split(" "):
                rows = {row_of(page, i) for i in range(start, start + len(word))}
                assert len(rows) <= 1, word
                start += len(word) + 1
    word = "x" * 200  # as long as two lines and a half: no room for all of it
    (page,) = setter("7x13").pages([f"see {word} there"])
    assert row_of(page, 4) == 0 and len({row_of(page, 4 + i) for i in range(200)}) == 3


def test_what_cannot_be_drawn_stands_beside_the_page_whole_and_in_order() -> None:
    hebrew = "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. " * 3
    text = f"He said: {hebrew}and then, after a while of many more words, \U0001f600 was all.\n"
    (page,) = setter("7x13").pages([text])
    assert page.beside == (hebrew.rstrip(". "), "\U0001f600")
    first, second = text.index(hebrew), text.index("\U0001f600")
    assert page.boxes[first].tolist() == page.boxes[first + 50].tolist()
    assert page.boxes[first, 2] - page.boxes[first, 0] == page.boxes[second, 2] - page.boxes[second, 0] == 3 * 7
    with pytest.raises(UnreadableCharacters, match=r"U\+05DB at character 9"):
        typeset(text, "7x13")


def test_no_page_stands_for_endless_text() -> None:
    text = "ש" * 100_000
    pages = list(setter("7x13").pages([text]))
    assert "".join(page.text for page in pages) == text and len(pages) > 10
    assert max(len(run) for page in pages for run in page.beside) <= LONGEST
    assert max(len(page.text) for page in pages) <= 512 * 512 // 91 + LONGEST


def test_a_label_is_drawn_as_no_text_is() -> None:
    def lines(text: str, layout: Layout = "turns") -> np.ndarray:
        (page,) = setter("7x13", layout).pages([text])
        return page.image[:13]

    real = lines(f"{LABEL}user] hi")
    width = 7 * len("[user]")
    assert (real[:, :width] == INK).mean() > 0.6
    own = repertoire(DENSITIES["7x13"])
    pictures = {own.half[own.places[p]].tobytes() for p in np.flatnonzero(own.widths == 1)}
    for left in (0, *range(7, width, 7)):
        cell = (real[:, left : left + 7] == INK).astype(np.uint8)
        assert cell.tobytes() not in pictures, "no character looks like one in a label"
    for forged in ("[user] hi", f"[{LABEL} user", f"{LABEL}us\ner] hi", f"{LABEL}user hi", f"{LABEL}{LABEL}user hi"):
        assert (lines(forged)[:, :width] != real[:, :width]).any()
    assert (lines(f"{LABEL}user] hi", "words")[:, :width] != real[:, :width]).any(), "only chats have labels"


@pytest.mark.parametrize("seed", range(8))
def test_no_page_ends_within_a_label_so_that_each_is_set_again_alone(seed: int) -> None:
    rng = random.Random(seed)
    label = f"{LABEL}calls read_file, id call_1f14c197]"
    text = "".join(f"{label} {'Zażółć → 你好 🐇 key'[: rng.randrange(1, 16)]}\n" for _ in range(400))
    pages = list(setter("7x13", "turns").pages([text]))
    assert len(pages) > 5 and "".join(page.text for page in pages) == text
    for page in pages[:-1]:
        assert page.text.count(LABEL) == page.text.count("]")
        again = next(setter("7x13", "turns").pages([page.text]))
        assert again.text == page.text and again.beside == page.beside
        different = np.argwhere(again.image != page.image)  # but for the mark of the text's end
        assert not len(different) or (np.ptp(different, axis=0) < (13, 7)).all()


def test_a_text_without_anything_new_is_set_as_it_always_was() -> None:
    text = "A line of ASCII, été, and — more.\n" * 60
    for layout in ("dense", "lines"):
        for page in typeset(text, "6x10", "tiny", layout):  # type: ignore[arg-type]
            assert page.setting is not None and page.setting.kept == () and page.beside == ()


def test_each_stretch_beside_the_page_has_its_number_between_what_stands_around_it() -> None:
    text = "a \U0001f600 " + "b" * 40 + "שלום" + "c" * 40 + "ש" * (2 * LONGEST + 5) + " d"
    items = Items(text, DENSITIES["5x8"])
    shown = "".join(map(chr, items.points))
    assert len(items.runs) == 5 and items.runs[3][0] == items.runs[2][1], "one that is too long is cut"
    assert shown == f"a  1  {'b' * 40} 2 {'c' * 40} 3  4  5  d"
    assert items.inverse.tolist() == [c.isdigit() or shown[max(0, i - 1)].isdigit() or shown[i + 1 : i + 2].isdigit()
                                      for i, c in enumerate(shown)]
    assert len(items.starts) == len(shown) + 1 and items.starts[-1] == len(text)
    kept = [i for i, inverse in enumerate(items.inverse) if not inverse]
    assert "".join(text[items.starts[i]] for i in kept) == "".join(shown[i] for i in kept)
    assert [items.starts[shown.index(f" {n} ")] for n in range(1, 6)] == [start for start, _ in items.runs]
