"""Printed pages drawn by chance from folders of text: a typeface, a look, and prose with invented structure.

A share of pages holds random strings, so that reading is learned and not guessing. All chance comes from the caller's
generator: the same state gives the same page, whatever was drawn before.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from textwrap import dedent

import numpy as np

from microfiche.errors import InputError
from microfiche.training.corpus import CJK, Texts, sorted_texts
from microfiche.typesetting.alphabet import FULL, code_points
from microfiche.typesetting.fonts import STYLES, Typeface, typefaces
from microfiche.typesetting.galleys import Look, Rules, code_size, file
from microfiche.typesetting.markdown import Block, Code, Heading, Items, Paragraph, Span, Table
from microfiche.typesetting.print import Print, drawable, printed, settable_text

_FEWEST = 100  #: characters of a file, or it is passed over
_LATIN = "".join(map(chr, [*range(0x21, 0x7F), *range(0xA1, 0x180)]))
_ALPHABETS = (_LATIN, _LATIN[:94], "".join(c for c in _LATIN[:94] if c.isalnum()), "0123456789.,-")
_SHARES = (0.4, 0.7, 0.9)  #: of random strings in each of these and those before
_RULES: tuple[Rules, ...] = ("none", "rows", "grid")


class SetPages:
    """Pages from the training documents of every text file under `folder`, or from those held out.

    `faces` are the typefaces that are trained on, or those held out, unless given; Chinese text is set in Chinese ones
    on `wide_share` of the pages if there is any. `sizes` are the px an em of the body. InputError where there is no
    text, or a font is missing.
    """

    def __init__(
        self,
        folder: Path,
        held_out: bool = False,
        faces: Sequence[Typeface] | None = None,
        random_share: float = 0.2,
        wide_share: float = 0.15,
        sizes: Sequence[int] = range(8, 17),
    ) -> None:
        self.random_share = random_share
        self._sizes = sizes
        faces = typefaces(held_out) if faces is None else faces
        for typeface in faces:
            for style in STYLES:
                file(typeface, style)
        texts = sorted_texts(folder, held_out, _kind, _FEWEST)
        self._prose, self._wide, self._code = (Texts(texts.get(kind, [])) for kind in ("prose", "wide", "code"))
        wide, narrow = [t for t in faces if t.kind == "cjk"], [t for t in faces if t.kind != "cjk"]
        self._mono = [t for t in narrow if t.kind == "mono"] or narrow or wide
        if not narrow or not (self._prose or self._code):
            wide_share = 1.0
        if not wide or not self._wide:
            if wide_share == 1.0:
                raise InputError(f"{folder}: no text that the typefaces are for")
            wide_share = 0.0
        self._faces, self.wide_share = {True: wide, False: narrow}, wide_share

    def with_random(self, share: float) -> SetPages:
        """The same pages, but that `share` of them hold random strings; no text is read again."""
        other = copy(self)
        other.random_share = share
        return other

    def page(self, rng: np.random.Generator, height: int, width: int) -> Print:
        """A page of `height` × `width` px, full but for what one of the last blocks leaves free."""
        wide = rng.random() < self.wide_share
        typeface = _one(rng, self._faces[wide])
        random = rng.random() < self.random_share
        look = self._look(rng, typeface, height, width, random)
        pitch, across = look.pitch(), _column(look, width)
        rows = (height - look.margins[1] - look.margins[3]) / pitch
        count = int(rows * look.columns * across / (look.size * (1.0 if wide else 0.42))) + 80
        paragraphs = self._paragraphs(rng, typeface, wide, count, random)
        blocks: list[Block] = [Paragraph(p) for p in paragraphs]
        if rng.random() < 0.6:
            blocks = self._structured(rng, paragraphs, look, across, wide, random)
        return printed(blocks, look, height, width)

    def _look(self, rng: np.random.Generator, typeface: Typeface, height: int, width: int, random: bool) -> Look:
        size = self._sizes[int(rng.integers(len(self._sizes)))]
        u = rng.random(12)
        largest = max(0.1 * min(height, width), size / 2 + 2)
        margins = size / 2 + rng.random(4) * (largest - size / 2)
        left, top, right, bottom = (round(m) for m in margins)
        if u[0] < 0.5:
            right = left
        gutter = round(size * (1 + 2 * u[1]))
        columns = 2 if u[2] < 0.4 and (width - left - right - gutter) / 2 > 13 * size else 1
        tall = height >= 20 * size
        return Look(
            typeface, size, hinted=u[3] < 0.3, columns=columns, margins=(left, top, right, bottom), gutter=gutter,
            leading=1.1 + 0.5 * u[4] ** 1.5, justified=u[5] < 0.6, indent=(0.0, 0.0, 1.0, 1.8)[int(4 * u[6])],
            gap=0.2 + 0.8 * u[7], centred=u[8] < 0.3, rules=_RULES[int(3 * u[9])], code=_one(rng, self._mono),
            shade=int(rng.integers(8, 40)) if u[10] < 0.5 else 0,
            head=self._few_words(rng, typeface, random) if tall and u[11] < 0.3 else "",
            foot=self._few_words(rng, typeface, random) if tall and 0.25 < u[11] < 0.4 else "",
            number=str(rng.integers(1, 1000)) if tall and 0.15 < u[11] < 0.6 else "",
        )  # fmt: skip

    def _few_words(self, rng: np.random.Generator, typeface: Typeface, random: bool) -> str:
        wide = typeface.kind == "cjk"
        words = " ".join(self._paragraphs(rng, typeface, wide, 60, random)).split()[:5]
        return " ".join(words)[: 16 if wide else 60]

    def _paragraphs(
        self, rng: np.random.Generator, typeface: Typeface, wide: bool, count: int, random: bool
    ) -> list[str]:
        """About `count` characters of running text from one file, by the root of its length, or of random strings."""
        if random:
            return _random_text(rng, typeface, wide, count).split("\n")
        texts = self._wide if wide else self._prose or self._code
        text = texts.one(rng)
        start = int(rng.integers(max(1, len(text) - count)))
        if rng.random() < 0.5 and (line := text.find("\n", start, start + 500)) >= 0:
            start = line + 1
        elif not wide and (word := text.find(" ", start, start + 40)) >= 0:
            start = word + 1
        piece = settable_text(text[start : start + count], drawable(typeface))
        return [p for p in (" ".join(line.split()) for line in piece.split("\n")) if p] or ["1"]

    def _structured(
        self, rng: np.random.Generator, paragraphs: list[str], look: Look, across: float, wide: bool, random: bool
    ) -> list[Block]:
        """Paragraphs with headings, lists, tables and, unless they are random, code between."""
        blocks: list[Block] = []
        if rng.random() < 0.3:
            blocks.append(Heading(_start(rng, paragraphs[0], wide), 1))
        for paragraph in paragraphs:
            u, v = rng.random(2)
            if v < 0.25:
                blocks.append(Heading(_start(rng, paragraph, wide), 2 if v < 0.12 else 3))
            if u < 0.14 and not (blocks and isinstance(blocks[-1], Items)):
                blocks.append(_items(rng, paragraph, wide))
            elif u < 0.24 and across > 12 * look.size:
                blocks += [Paragraph(paragraph), _table(rng, paragraph, int(across / look.size), wide)]
            elif u < 0.32 and self._code and not random:
                blocks.append(self._listing(rng, look, across))
                blocks.append(Paragraph(paragraph))
            else:
                blocks.append(Paragraph(paragraph, _emphasis(rng, paragraph) if u > 0.8 else ()))
        return blocks

    def _listing(self, rng: np.random.Generator, look: Look, across: float) -> Code:
        """A few lines of code, cut to the width of the column."""
        text = self._code.one(rng)
        start = text.find("\n", int(rng.integers(max(1, len(text) - 2000)))) + 1
        letters = int((across - look.size) / (0.62 * code_size(look.size)))
        assert look.code is not None
        piece = settable_text(text[start : start + 1200], drawable(look.code))
        piece = dedent("\n".join(piece.split("\n")[: int(rng.integers(2, 14))]))
        lines = [line[:letters].rstrip() for line in piece.split("\n")]
        return Code("\n".join(lines).strip("\n") or "pass")


def _kind(file: Path, text: str) -> tuple[str, str]:
    """Whether a text is prose, Chinese prose ("wide") or code; and the text."""
    sample = text[:100_000]
    lines = sample.split("\n")
    if (code_points(sample) >= CJK).mean() > 0.3:
        return "wide", text
    return ("code" if sum(line.startswith("    ") for line in lines) > 0.2 * len(lines) else "prose"), text


def _one(rng: np.random.Generator, several: Sequence[Typeface]) -> Typeface:
    return several[int(rng.integers(len(several)))]


def _column(look: Look, width: int) -> float:
    return (width - look.margins[0] - look.margins[2] - (look.columns - 1) * look.gutter) / look.columns


def _random_text(rng: np.random.Generator, typeface: Typeface, wide: bool, count: int) -> str:
    """`count` characters drawn evenly from an alphabet, with spaces (none in Chinese) and some newlines."""
    table = drawable(typeface)
    alphabet = FULL if wide else _ALPHABETS[int(np.searchsorted(_SHARES, rng.random(), "right"))]
    points = code_points(alphabet)
    points = points[table[points]]
    letters = points[rng.integers(len(points), size=count)]
    if not wide:
        letters[np.cumsum(rng.integers(2, 13, count // 3 + 1)).clip(0, count - 1)] = 0x20
    letters[np.cumsum(rng.integers(40, 600, count // 40 + 1)).clip(0, count - 1)] = 0x0A
    text = letters.astype("<u4").tobytes().decode("utf-32-le")
    return "\n".join(p for p in (" ".join(line.split(" ")).strip() for line in text.split("\n")) if p) or "1"


def _start(rng: np.random.Generator, text: str, wide: bool) -> str:
    """A heading: the first words of a text."""
    if wide:
        return text[: int(rng.integers(4, 14))].strip()
    return " ".join(text[:80].split()[: int(rng.integers(1, 8))])


def _items(rng: np.random.Generator, text: str, wide: bool) -> Items:
    parts = [p.strip()[:200].strip() for p in text.split("。" if wide else ". ")[: int(rng.integers(2, 8))]]
    first = int(rng.integers(1, 12)) if rng.random() < 0.5 else None
    return Items(tuple(p for p in parts if p) or (text,), first)


def _table(rng: np.random.Generator, text: str, ems: int, wide: bool) -> Table:
    """Words of a text and numbers, as many columns as `ems` of width hold."""
    columns, rows = int(rng.integers(2, max(3, min(7, ems // 6 + 1)))), int(rng.integers(2, 9))
    words = [text[i : i + 3].strip() or "1" for i in range(0, 90, 3)] if wide else [w[:12] for w in text[:300].split()]
    numbers = rng.integers(0, 10 ** rng.integers(1, 6), rows * columns).tolist()
    form = ("{}", "{:,}", "{:.1f}", "{:.2f}")[int(rng.integers(4))]
    numeric = rng.random(columns) < 0.5
    numeric[0] = False


    def cell(row: int, column: int) -> str:
        at = row * columns + column
        return form.format(numbers[at - columns]) if row and numeric[column] else words[at % len(words)]

    return Table(tuple(tuple(cell(row, column) for column in range(columns)) for row in range(rows + 1)))


def _emphasis(rng: np.random.Generator, text: str) -> tuple[Span, ...]:
    """One run of words, bold or italic."""
    start = text.find(" ", int(rng.integers(len(text)))) + 1
    stop = text.find(" ", start + int(rng.integers(3, 40)))
    if start <= 0 or stop <= start:
        return ()
    return ((start, stop, "bold" if rng.random() < 0.5 else "italic"),)
