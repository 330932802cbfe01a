"""The engine `text`: a digital PDF's own text layer, where it is sound. Recognises nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from microfiche.documents.document import PageRead
from microfiche.documents.layout import blocks
from microfiche.documents.lines import lines_of
from microfiche.documents.regions import regions
from microfiche.documents.sheet import Sheet, TextLayer

WORD = re.compile(r"[A-Za-z]{4,}")
VOWEL = re.compile(r"[aeiouyAEIOUY]")


def unsound(sheet: Sheet) -> str:
    """Why the text layer of a sheet is not to be trusted: "" if it is."""
    layer = sheet.text
    if layer is None or sheet.picture is None:
        return "no text layer"
    drawn = np.array([not c.isspace() for c in layer.text], bool)
    count = int(drawn.sum())
    if count == 0:
        return "no text in the text layer"
    if layer.invisible[drawn].mean() > 0.5:
        return "its text is hidden behind a scan"
    page = sheet.picture.width * sheet.picture.height
    scan = max(((b[2] - b[0]) * (b[3] - b[1]) for b in sheet.image_boxes), default=0.0) / page
    if scan > 0.7 and count < 200:
        return "a picture covers the page"
    unmapped = 1 - layer.mapped[drawn].mean() + _strange(layer) / count
    if unmapped > 0.03:
        return f"{unmapped:.0%} of its characters have no Unicode value"
    if _garbled(layer.text):
        return "its text is garbled"
    return ""


def _strange(layer: TextLayer) -> int:
    """Characters that no text is written with: replacement, private use, unassigned, control."""
    strange = ("Co", "Cn", "Cc", "Cs")
    return sum(
        c == "\ufffd" or unicodedata.category(c) in strange
        for c, mapped in zip(layer.text, layer.mapped, strict=True)
        if mapped and c not in "\n\r\t"
    )


def _garbled(text: str) -> bool:
    """Whether what should be Latin words mostly lacks vowels, as it does where a font's letters are re-numbered."""
    words = WORD.findall(text)
    latin = sum(map(len, words))
    if len(words) < 20 or latin < 0.3 * len(text):
        return False
    return sum(not VOWEL.search(w) for w in words) > 0.25 * len(words)


class TextEngine:
    """Reads sheets by their text layer."""

    name = "text"
    batch = 4

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The blocks of each sheet, which has a picture; partial or failed where its text layer is unsound or empty."""
        return [self._read(sheet) for sheet in sheets]

    def _read(self, sheet: Sheet) -> PageRead:
        assert sheet.picture is not None
        size = sheet.picture.size
        lines = lines_of(sheet.text, *size) if sheet.text else []
        hints = regions(sheet.picture) if lines else []
        found = blocks(lines, hints, sheet.picture, sheet.rules, sheet.image_boxes)
        wrong = unsound(sheet)
        return PageRead(
            number=sheet.number,
            width=size[0],
            height=size[1],
            engine=self.name,
            status="failed" if wrong and not found else "partial" if wrong else "ok",
            reason=wrong,
            blocks=found,
        )
