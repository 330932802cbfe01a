"""Which paragraphs of a page are titles.

No sign alone makes one: larger or bold type, capitals, a number, space around it, what follows, and what a detector of
regions says are weighed against each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from microfiche.documents.boxes import share
from microfiche.documents.document import FURNITURE
from microfiche.documents.inline import unmarked
from microfiche.documents.layout.gaps import LEADER, WIDEST_SPACE
from microfiche.documents.layout.paragraphs import HEAD, Paragraph
from microfiche.documents.layout.rows import Row
from microfiche.documents.text_lines import BROAD, Region, TextLine, letters
from microfiche.page import Box

ENOUGH = 2.1  #: the weight of the signs from which a paragraph is a title
SMALLEST = 0.8  #: of the size of running text
HUGE = 1.4  #: times the size of running text
SENTENCES = 60  #: letters of a title in type that is not much larger
LONGEST = 160  #: letters of a title
NUMBERED = re.compile(
    r"^(?:(?:\d{1,2}|[A-Z])(?:\.\d{1,2})*\.?\s+|[IVX]{1,5}\.\s+)[^\W\d_]"
    r"|^(?:chapter|part|section|appendix|book|act|scene|lesson|unit|annex|article|kapitel|teil|anhang|abschnitt"
    r"|chapitre|partie|annexe|cap[ií]tulo|capitolo|parte|глава|часть)\s+(?:\d+|[IVXLC]+|[A-Z])\b"
    r"|^§+\s*\d|^第\s*[\d一二三四五六七八九十百]+\s*[章节節部分篇编回课課讲]|^[一二三四五六七八九十]{1,3}\s*[、．.]"
    r"|^[（(][一二三四五六七八九十]{1,3}[)）]",
    re.IGNORECASE,
)
ITEM = re.compile(r"\d[\d.]*\s+[a-zà-öø-ÿа-яα-ω]")  #: begins as an item of a list does, rather than a title
SENTENCE = re.compile(r"[.,;。，；、…．][\"'”’»)\]]*$")
FIRM = re.compile(r"\b(?:(?:\w{1,3}\.){2,}|(?:Ltd|Inc|Co|Corp|Lda|Ltda|Bros)\.)$", re.IGNORECASE)  #: ends a firm's name
EQUATION = re.compile(r"[=≠<>≤≥≈∑∏∫√]")
ADDRESS = re.compile(r"@|https?:|www\.|\+\d")
FACTS = re.compile(r"\d[^·•|]*\s[·•|]\s[^·•|]*\d")  #: two of them in one line, as "Serves 4 · 30 minutes"


@dataclass(frozen=True)
class Surroundings:
    """What a paragraph is weighed against: the type of running text on the page (its `size` in px, whether it is `bold`
    or `capital`), the `column` from left to right, the space `above` and `below` in ems of its own type (None at an end
    of the column), whether the neighbours are of the same type, whether running text follows, and whether a title of
    larger type precedes."""

    size: float
    bold: bool
    capital: bool
    column: tuple[float, float]
    above: float | None
    below: float | None
    same_above: bool
    same_below: bool
    prose_below: bool
    title_above: bool


def is_title(paragraph: Paragraph, around: Surroundings, regions: Sequence[Region]) -> bool:
    """Whether a paragraph is a title."""
    text = unmarked(paragraph.text).strip()
    lines = paragraph.lines
    ratio = paragraph.size / around.size
    if not _possible(paragraph, text, ratio):
        return False
    known = all(line.confidence == 1 for line in lines)
    large = _size_weight(ratio if known else ratio / 1.06)
    bold = paragraph.bold and not around.bold
    capital = is_capital(text) and not around.capital
    numbered = HEAD.match(text) is not None or (NUMBERED.match(text) is not None and around.prose_below)
    numbered = numbered and not ITEM.match(text)
    hinted = any(r.kind == "title" and share(_box(lines), r.box) > 0.5 for r in regions)
    if sum(map(letters, lines)) > SENTENCES and ratio < 1.45 and not bold and not hinted:
        return False  # what leads into an article
    left, _, right, _ = _box(lines)
    width = around.column[1] - around.column[0]
    before, after = left - around.column[0], around.column[1] - right
    centred = min(before, after) > 0.12 * width and abs(before - after) < 0.1 * width
    short = len(lines) == 1 and right - left < 0.7 * width
    if around.title_above and centred and large < 2 and not bold:
        return False  # who wrote it, and when
    alone = short and around.prose_below and not paragraph.listed and _stands_off(around) and text[:1].isupper()
    weight = large + 1.5 * bold + 1.0 * capital + 1.2 * hinted + 0.8 * numbered + 1.0 * alone
    if weight < 0.8:
        return False
    weight += 0.4 * centred + 0.5 * (around.above is None or around.above > 0.55)
    weight += 0.3 * (around.below is not None and around.below > 0.4)
    weight += 0.3 if short else -0.3 if len(lines) > 1 else 0
    weight += -0.8 if around.below is None else 0.4 if not around.same_below or alone or numbered or hinted else -0.4
    if around.same_above and around.same_below and not (alone or numbered or hinted):
        weight -= 0.8
    if not hinted and any(r.kind in FURNITURE and share(_box(lines), r.box) > 0.5 for r in regions):
        weight -= 1.0
    if ADDRESS.search(text) or FACTS.search(text):
        weight -= 1.5
    if text.endswith((":", "：")):
        weight -= 0.6
    return weight >= ENOUGH


def _stands_off(around: Surroundings) -> bool:
    """Whether there is more space above a paragraph than below it, as a title is set."""
    if around.below is None:
        return False
    return around.above is not None and around.above > max(0.6, around.below + 0.25)


def _box(lines: Sequence[TextLine]) -> Box:
    return (
        min(x.box[0] for x in lines), min(x.box[1] for x in lines),
        max(x.box[2] for x in lines), max(x.box[3] for x in lines),
    )


def _size_weight(ratio: float) -> float:
    if ratio < 0.93:
        return -1.2
    return 3.0 if ratio >= 1.5 else 2.2 if ratio >= 1.25 else 1.2 if ratio >= 1.1 else 0.0


def _possible(paragraph: Paragraph, text: str, ratio: float) -> bool:
    """Whether nothing speaks against a title: words, few lines, no sentence, no row of several pieces."""
    lines = paragraph.lines
    signs = sum(c.isalpha() for c in text) + len(BROAD.findall(text))
    least = 0.3 if ratio >= HUGE and text[:1].isalpha() else 0.5  # a document's kind and its number
    if signs < 2 or signs < least * len(text.replace(" ", "")) or LEADER.search(text) or ratio < SMALLEST:
        return False
    if text[0] in "\\{/|&*" or EQUATION.search(text):
        return False
    longest = LONGEST if ratio > 1.1 else 0.6 * LONGEST
    if len(lines) > (4 if ratio > 1.3 else 3) or sum(map(letters, lines)) > longest:
        return False
    named = ratio >= HUGE and FIRM.search(text) is not None
    if SENTENCE.search(text) and not named and not (NUMBERED.match(text) and len(text.split()) < 3):
        return False
    if text.endswith((":", "：")) and ratio < 1.15 and not paragraph.bold:
        return False
    if text[:1].islower() and (ratio < 1.3 or lines[0].confidence < 1):
        return False
    if paragraph.listed and not paragraph.listed.values:
        return False
    return all(_one(row) for row in paragraph.rows)


def _one(row: Row) -> bool:
    """Whether a row is one piece, a few set widely, or a number and, some way behind it, a title."""
    if len(row.pieces) > 1 and row.pieces[-1].text.isdigit():
        return False  # a line of a table of contents, or a running head
    widest = max((b.box[0] - a.box[2] for a, b in pairwise(row.pieces)), default=0.0)
    numbered = len(row.pieces) == 2 and len(row.pieces[0].text) < 12 and NUMBERED.match(row.line.text) is not None
    words = len(row.pieces) == 1 or (len(row.pieces) < 5 and letters(row.line) > 5 * len(row.pieces))
    return (numbered and widest < 6 * row.line.size) or (words and widest < WIDEST_SPACE * row.line.size)


def is_capital(text: str) -> bool:
    """Whether a text is written in capital letters alone."""
    return text.isupper() and sum(map(str.isalpha, text)) > max(3, 0.7 * len(text.replace(" ", "")))
