"""Which lines of a typeset page a model reads, and what is kept of the others: whole lines, or a few characters.

It compares what was read with what stands on the page. It knows nothing of tokens or models.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from microfiche.page import Corrected, Kept, Reading, Setting, TypesetPage
from microfiche.typesetting.alphabet import GREEK_CYRILLIC, code_points
from microfiche.typesetting.density import density
from microfiche.typesetting.repertoire import NONE, drawn_at, repertoire

_GONE = dict.fromkeys(map(ord, GREEK_CYRILLIC))
FEW = 4  #: a line is kept whole if more than one in so many of its characters is misread


class Notes(NamedTuple):
    """What a setting says about how lines are read, without any text: the rows that are kept as text, those that are
    lettered, and the row, the place and the number of characters that are corrected."""

    kept: Sequence[int] = ()
    lettered: Sequence[int] = ()
    corrected: Sequence[tuple[int, int, int]] = ()

    @classmethod
    def of(cls, setting: Setting) -> Notes:
        """The notes of a setting."""
        rows = [row for one in setting.kept for row in _rows(one)]
        return cls(rows, list(setting.lettered), [(one.row, one.at, len(one.text)) for one in setting.corrected])

    def setting(self, page: TypesetPage) -> Setting:
        """The setting of a page with the text that these notes are about, which stands on the page."""
        own = page.setting or Setting("")
        if not any(self):
            return own
        lines = {row: normalize("NFC", line) for row, line in lines_of(page, own).items()}  # as they stand on the page
        corrected = tuple(Corrected(row, at, lines.get(row, "")[at : at + n]) for row, at, n in self.corrected)
        read = _without(page, own, {row for one in own.kept for row in _rows(one)}.difference(self.kept))
        return kept_lines(page, replace(read, lettered=tuple(self.lettered), corrected=corrected), self.kept)


def lines_of(of: TypesetPage | Reading, setting: Setting) -> dict[int, str]:
    """The text of each line of cells of a page that was set by `setting`, by its row."""
    rows = of.boxes[:, 1].astype(np.int64) // density(setting.density).height
    starts = np.flatnonzero(np.diff(rows, prepend=-1)).tolist()
    return {int(rows[a]): of.text[a:b] for a, b in pairwise([*starts, len(of.text)])}


def to_try(page: TypesetPage, letters: str) -> tuple[Setting, list[int]]:
    """The page's setting and the rows of lines that have to be read back: those that are kept as text and yet worth
    reading, since all but a few of their characters are of the alphabet or among the `letters`; in the setting they are
    kept no longer. With `letters` they are lettered, and so are lines of Greek and Cyrillic, which the readout of
    letters reads more exactly than nano's own."""
    setting = page.setting or Setting("")
    if not setting.kept and not (letters and _is_foreign(page.text, 0.0)):
        return setting, []
    own = density(setting.density)
    drawn = repertoire(own)
    known = drawn.known.copy()
    points = code_points(letters)
    known[points[drawn_at(own, letters)]] = True
    heights = page.boxes[:, 3] - page.boxes[:, 1]
    larger = set((page.boxes[heights != own.height, 1].astype(np.int64) // own.height).tolist())
    rows, foreign = list[int](), list[int]()
    for row, line in lines_of(page, setting).items():
        points = code_points(line)
        widths = drawn.widths_of(points)
        plain = row not in larger and not ((widths == NONE) | (widths == 0)).any()
        if plain and FEW * int((~known[points]).sum()) <= len(line):
            rows.append(row)
            if letters and _is_foreign(line, 0.5):
                foreign.append(row)
    read = _without(page, setting, rows)
    kept = {row for one in read.kept for row in _rows(one)}
    rows = sorted({row for one in setting.kept for row in _rows(one)}.intersection(rows).union(foreign) - kept)
    return replace(read, lettered=tuple(rows) if letters else ()), rows


def _is_foreign(text: str, share: float) -> bool:
    """Whether more than a share of a text's characters, spaces aside, are Greek or Cyrillic."""
    return len(text) - len(text.translate(_GONE)) > share * (len(text) - text.count(" "))


def _rows(one: Kept) -> range:
    return range(one.row, one.row + one.rows)


def _without(page: TypesetPage, setting: Setting, read: Collection[int]) -> Setting:
    """The setting without the text of the kept lines that stand in some rows, because they are `read`."""
    lines, kept = lines_of(page, setting), list[Kept]()
    for one in setting.kept:
        own = [row for row in _rows(one) if row in lines]
        if normalize("NFC", "".join(lines[row] for row in own)) != normalize("NFC", one.text):  # not line by line
            kept.append(one)
            continue
        kept += [
            Kept(row, end - row, lines[row]) for row, end in pairwise([*own, one.row + one.rows]) if row not in read
        ]
    return replace(setting, kept=_joined(kept))


def _joined(kept: Iterable[Kept]) -> tuple[Kept, ...]:
    """Lines in their order; those that follow each other are one."""
    joined: list[Kept] = []
    for one in sorted(kept):
        if joined and joined[-1].row + joined[-1].rows == one.row:
            above = joined.pop()
            one = Kept(above.row, above.rows + one.rows, above.text + one.text)
        joined.append(one)
    return tuple(joined)


def kept_lines(page: TypesetPage, setting: Setting, rows: Collection[int]) -> Setting:
    """The setting with the lines kept, too, that stand in some `rows`; nothing of them is lettered or corrected."""
    texts = lines_of(page, setting)
    known = {row for one in setting.kept for row in _rows(one)}
    more = [Kept(row, 1, texts.get(row, "")) for row in rows if row not in known]
    return replace(
        setting,
        kept=_joined((*setting.kept, *more)),
        lettered=tuple(row for row in setting.lettered if row not in rows),
        corrected=tuple(one for one in setting.corrected if one.row not in rows),
    )


def checked(page: TypesetPage, setting: Setting, reading: Reading, rows: Iterable[int] | None = None) -> Setting:
    """The setting with what is kept of the lines that a model has not read exactly by it: all of them, or those that
    stand in some `rows`. A line is kept whole unless only a few of its characters differ."""
    wanted, found = lines_of(page, setting), lines_of(reading, setting)
    whole, corrected = list[int](), list(setting.corrected)
    for row in sorted({**wanted, **found}) if rows is None else rows:
        wrong = _misread(wanted.get(row, ""), found.get(row, ""))
        if wrong is None:
            whole.append(row)
        else:
            corrected += [Corrected(row, start, wanted[row][start:end]) for start, end in wrong]
    return kept_lines(page, replace(setting, corrected=tuple(corrected)), whole)


def _misread(wanted: str, found: str) -> list[tuple[int, int]] | None:
    """The stretches of a line that were misread, or None where these are not a few characters."""
    if wanted == found:
        return []
    if len(wanted) != len(found):
        return None
    wrong = code_points(wanted) != code_points(found)
    if FEW * int(wrong.sum()) > len(wanted):
        return None
    edges = np.flatnonzero(np.diff(wrong, prepend=False, append=False)).reshape(-1, 2).tolist()
    return [(start, end) for start, end in edges]
