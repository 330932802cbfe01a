"""What is kept of lines that a model does not read: whole lines, or a few characters, and notes of which those are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import microfiche
from microfiche.errors import CheckpointError
from microfiche.nano.cells import Nano, grid
from microfiche.nano.kept import FEW, Notes, checked, lines_of, to_try
from microfiche.nano.readout import places
from microfiche.page import Corrected, Kept, Layout, Reading, Setting, TypesetPage, dequantise, quantise
from microfiche.readers import load
from microfiche.training.letters import new_readout
from microfiche.typesetting.alphabet import CODE_POINT_OF_GLYPH, END, HALF
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES
from microfiche.typesetting.repertoire import drawn_at

POLISH = "Zażółć gęślą jaźń i idź dalej prostą drogą, aż dojdziesz do rzeki i do mostu nad nią.\n" * 6


@pytest.fixture(scope="module")
def nano() -> Nano:
    found = load("nano")
    assert isinstance(found, Nano)
    return found


def page_of(text: str, density: str = "6x12", layout: Layout = "lines") -> TypesetPage:
    (page,) = microfiche.typeset(text, density, "small", layout)
    return page


def read_as(page: TypesetPage, text: str) -> Reading:
    assert page.boxes.dtype == np.int32
    return Reading(text, np.ones(len(text), np.float32), page.boxes[: len(text)])  # type: ignore[arg-type]


def test_single_characters_are_kept_where_few_are_misread() -> None:
    page = page_of("one line of words\nanother line of them\nand a third one\n")
    assert page.setting == Setting("6x12", "lines")
    wrong = page.text.replace("another", "amother").replace("and a third", "xxxxxxxxxxx")
    found = checked(page, page.setting, read_as(page, wrong))
    assert found.corrected == (Corrected(1, 1, "n"),) and found.kept == (Kept(2, 1, "and a third one\n"),)
    assert checked(page, page.setting, read_as(page, wrong), [1]).kept == ()
    assert checked(page, page.setting, read_as(page, page.text)) == page.setting


def test_a_line_of_another_length_is_kept_whole() -> None:
    page = page_of("one line of words\nanother line of them\n")
    text, boxes = page.text[:3] + page.text[4:], np.delete(page.boxes, 3, 0)
    shorter = Reading(text, np.ones(len(text), np.float32), boxes)
    assert page.setting and checked(page, page.setting, shorter).kept == (Kept(0, 1, "one line of words\n"),)


def test_the_share_that_may_be_misread() -> None:
    page = page_of("abcdefghijkl" * 2 + "\n")
    assert page.setting
    most = len(page.text) // FEW
    for wrong in (most, most + 1):
        found = checked(page, page.setting, read_as(page, "#" * wrong + page.text[wrong:]))
        assert bool(found.corrected) == (wrong == most) and bool(found.kept) == (wrong > most)


@pytest.mark.parametrize("density", ["5x8", "6x12", "7x13", "8x16"])
def test_lines_with_a_few_letters_are_worth_reading(density: str) -> None:
    page = page_of("plain words\n" + POLISH[:87] + "한국어 among words that can be read\nVớiằẳẵặắ\n", density)
    assert page.setting and [one.row for one in page.setting.kept] == [1]
    setting, rows = to_try(page, "")
    hard = max(lines_of(page, setting))
    assert rows[0] == 1 and hard not in rows and setting.lettered == ()
    assert setting.kept[-1].text.endswith("Vớiằẳẵặắ\n") and all(one.row != 1 for one in setting.kept)
    with_letters, more = to_try(page, "ążźćńęłśóýớằẳẵặắiề")
    assert set(rows) <= set(more) and with_letters.lettered == tuple(more)


@pytest.mark.parametrize("layout", ["dense", "lines", "words"])
def test_nano_reads_lines_with_letters_that_it_does_not_know(layout: Layout) -> None:
    nano = load("nano")
    assert isinstance(nano, Nano)
    page = page_of(POLISH, layout=layout)
    assert page.setting and sum(len(one.text) for one in page.setting.kept) > 400
    (known,) = nano.encode([page])
    assert known.setting and known.setting.kept == ()
    assert sum(len(one.text) for one in known.setting.corrected) < 20
    nano.read_letters_by(None)
    (tokens,) = nano.encode([page])
    assert tokens.setting
    (reading,) = nano.read([tokens])
    setting = checked(page, tokens.setting, reading)
    (again,) = nano.read([replace(tokens, setting=setting)])
    assert again.text == page.text and again.confidence.shape == (len(page.text),)
    assert sum(len(one.text) for one in setting.kept) < 120
    assert 20 < sum(len(one.text) for one in setting.corrected) < 100
    assert (again.confidence[[i for i, c in enumerate(page.text) if c in "ążęś"]] == 1).sum() > 40
    below = setting.without_above(2)
    assert [one.row + 2 for one in below.corrected] == [one.row for one in setting.corrected if one.row >= 2]


def test_a_readout_of_letters_reads_the_lines_that_are_lettered() -> None:
    nano = load("nano")
    assert isinstance(nano, Nano)
    page = page_of("plain words\n" + POLISH + "and plain ones\n")
    (plain,) = nano.read(nano.encode([page]))
    readout = new_readout(nano, 0)
    at = readout.config.letters.index("ą")
    with torch.no_grad():
        readout.head.bias[-len(readout.config.letters) :] = -1000  # it reads none yet
    table = nano.readout.table
    nano.read_letters_by(readout.to(table.device, table.dtype).eval().requires_grad_(False))
    (tokens,) = nano.encode([page])
    assert tokens.setting and tokens.setting.lettered == tuple(range(1, 7)) and tokens.setting.kept == ()
    (reading,) = nano.read([tokens])
    assert reading.text == plain.text == page.text
    readout.head.bias[-len(readout.config.letters) + at] = 1000  # reads it everywhere, and on those lines alone
    uncorrected = replace(tokens, setting=replace(tokens.setting, corrected=()))
    lines = nano.read([uncorrected])[0].text.splitlines()
    assert lines[0] == "plain words" and lines[1].startswith("ą" * 600) and lines[1].endswith("and plain ones")
    nano.read_letters_by(None)
    with pytest.raises(CheckpointError, match="nano has no readout of letters beyond the alphabet"):
        nano.read([tokens])


def test_notes_give_the_setting_again() -> None:
    page = page_of("one line of wórds\n" + POLISH + "and 한국어 too\n", layout="lines")
    assert page.setting
    setting, rows = to_try(page, "ążźćńęłś")
    setting = replace(setting, corrected=(Corrected(rows[0], 2, page.text[20:22]),))
    again = Notes.of(setting).setting(page)
    assert again.lettered == setting.lettered and "".join(one.text for one in again.kept) == "".join(
        one.text for one in setting.kept
    )
    assert again.corrected[0].text == lines_of(page, setting)[rows[0]][2:4]
    assert Notes().setting(page) == page.setting


@pytest.mark.parametrize("text", ["Все люди рождаются свободными. ", "Όλοι οι άνθρωποι γεννιούνται. "])
def test_lines_of_another_script_are_read_by_the_readout_of_letters(nano: Nano, text: str) -> None:
    page = page_of(f"plain words\n{text * 6}\nwords with an α and a ж among them\n", "6x12", layout="lines")
    (tokens,) = nano.encode([page])
    assert tokens.setting and tokens.setting.lettered and 0 not in tokens.setting.lettered
    assert max(tokens.setting.lettered) < max(lines_of(page, tokens.setting))
    (reading,) = nano.read([replace(tokens, values=dequantise(quantise(tokens.values, "int8")))])
    assert reading.text == page.text
    kept = sum(len(one.text) for one in (*tokens.setting.kept, *tokens.setting.corrected))
    assert kept < len(page.text) / 10
    (plain,) = nano.encode([page_of("plain words, and an α\n", "6x12")])
    assert plain.setting and plain.setting.lettered == ()


SIGNS = "├── src → the tree\n│   └── a ✓ and a ✗\nzażółć gęślą jaźń\nволны и ветер\nplain words\nΌλοι οι άνθρωποι\n"


@pytest.mark.parametrize("density", ["5x8", "6x12"])
@pytest.mark.parametrize("text", [SIGNS * 3, "plain words\n" * 40 + "one → alone\n", POLISH])
def test_letters_are_read_as_if_all_of_the_page_were_read_by_their_readout(
    nano: Nano, density: str, text: str
) -> None:
    page = page_of(text, density)
    assert nano.letters is not None
    setting, rows = to_try(page, nano.letters.config.letters)
    (tokens,) = nano.unread([page])
    (reading,) = nano.read([replace(tokens, setting=setting)])
    own = DENSITIES[density]
    height, width = grid(own, tokens.height, tokens.width)
    at = places(own, height, width, tokens.height, tokens.width)
    letters, table = nano.letters, nano.letters.table
    with torch.inference_mode():
        squares = letters.unfolded(nano.readout.decompressor, tokens.values[None].to(table.device, table.dtype))
        seen = letters.see(squares, torch.from_numpy(at.squares.reshape(-1, 4)), torch.from_numpy(at.place.reshape(-1)))
        logits = letters.logits(seen)
        may = np.concatenate([atlas(own).drawn[: len(HALF)], [False] * 2, drawn_at(own, letters.config.letters)])
        may[END] = False
        logits[:, np.flatnonzero(~may)] = -torch.inf
        sure, found = logits.float().softmax(-1).max(-1)
    known = [*(chr(CODE_POINT_OF_GLYPH[n]) for n in range(len(HALF))), "", "", *letters.config.letters]
    assert rows
    for row, line in lines_of(reading, setting).items():
        if row in rows:
            cells = slice(row * width, row * width + len(line))
            assert line.rstrip() == "".join(known[n] for n in found[cells].tolist()).rstrip()
            of = reading.confidence[reading.boxes[:, 1] // own.height == row]
            assert np.allclose(of, sure[cells].numpy(), atol=1e-4 if table.dtype == torch.float32 else 0.02)
