"""What is furniture on the only page of a document, where nothing can repeat.

A page number that stands by itself, with or without words; the page's title once more; and, but on a first page, a
head in small type that stands as far from the edge as a foot with the page number does. Only on pages full of text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

from microfiche.documents.document import ASIDE, Block, PageRead
from microfiche.documents.finishing.edges import NUMBER, EdgeLine, letters_of, type_size

FULL, EDGE = 800, 0.09  #: characters of a page that alone shows furniture, and how near to its edge, of its height
LITTLE = 250  #: the same of a page on which a head and a foot are set alike
SMALL = 0.8  #: of the size of running text: that of a running head is not larger
SAME_TYPE = 0.12  #: of its height, by which the type of a head differs from that of the foot, at most
MIRRORED = 0.02  #: of the page's height, by which a head may be nearer to its edge than the foot, or farther
PROSE = 120  #: characters of a block of running text, at least
YEARS = range(1900, 2101)
PAGE_WORD = re.compile(
    "page|pp?|pg|seiten?|s|pages|página|pagina|pág|pag|folio|fol|sheet|blatt|side|sida|strana|str|stránka|strona|стр|"
    "страница|页|頁|第|ページ|صفحة|sayfa|oldal|of|von|de|di|sur|av|из"
)
HEADING_WORD = re.compile(
    "chapter|section|part|lesson|exercise|unit|appendix|article|question|problem|figure|table|day|week|step|lecture|"
    "module|kapitel|abschnitt|teil|lektion|übung|aufgabe|anhang|artikel|tag|woche|chapitre|partie|leçon|exercice|annexe|"
    "capítulo|sección|parte|lección|ejercicio|capitolo|sezione|lezione|hoofdstuk|deel|les|глава|часть|урок|раздел|nr|no|"
    "item|option|example|theorem|letter|form|schedule|exhibit|act|scene|book|volume|vol|章|节"
)
MONTH = re.compile(
    r"\b(jan|feb|m[aä]r|apr|ma[iyj]|jun|jul|a[uo][gû]|sep|o[ck]t|no[vy]|de[czs]|ene|abr|ago|dic|fév|avr|juin|juil)"
)
BEFORE = re.compile("([^\\W\\d_]+)\\W{0,3}\x00")
ADDRESS = re.compile(r"@|https?:|www\.|\d|[.,;:!?]$")


def furniture_of(lines: Sequence[EdgeLine], page: PageRead) -> list[EdgeLine]:
    """Those of the lines at the edges of a page alone that are furniture."""
    found = [line for line in lines if _repeats_title(line, page) or page_number(line, page)]
    for foot in [line for line in lines if not line.top]:
        number = page_number(foot, page, LITTLE)
        heads = [line for line in lines if _mirrors(line, foot, page)] if number and number[0] > 1 else []
        if heads:
            found += [line for line in (*heads, foot) if line not in found]
    return found


def page_number(line: EdgeLine, page: PageRead, full: int = FULL) -> tuple[int, bool] | None:
    """The page number that a line is, or that stands at one of its ends, and whether that is its last word, if the line
    stands alone at the very edge of a page of `full` characters at least."""
    if not _stands_alone(line, page, full):
        return None
    letters = re.findall(r"[^\W\d_]+", line.folded)
    if line.values and len(line.words) <= 16 and all(PAGE_WORD.fullmatch(word) for word in letters):
        year = not letters and line.values[0] in YEARS
        return None if year else (line.values[0], True)
    if line.block.kind == "title" or len(line.words) > 80 or MONTH.search(line.words) or line.words[-1] in ".!?:;,":
        return None
    numbers = list(NUMBER.finditer(line.words))
    likely = [k for k, value in enumerate(line.values) if value not in YEARS]
    if len(likely) != 1 or line.values[likely[0]] >= 1000:
        return None
    at = numbers[likely[0]]
    before = re.search(r"([^\W\d_]+)\W{0,3}$", line.words[: at.start()])
    if before and HEADING_WORD.fullmatch(before[1]):
        return None
    first = at.start() == 0 and line.words[at.end() : at.end() + 1] == " "
    last = at.end() == len(line.words) and line.words[at.start() - 1 : at.start()] == " "
    return (line.values[likely[0]], last) if first or last else None


def _stands_alone(line: EdgeLine, page: PageRead, full: int) -> bool:
    """Whether a line of usual type stands by itself at the very edge of a page of `full` characters at least."""
    others = _others(line, page)
    filled = sum(len(b.text) for b in others) >= full
    return line.band == 0 and line.edge < EDGE and not line.large and filled and _space(line, others) >= _height(line)


def _others(line: EdgeLine, page: PageRead) -> list[Block]:
    return [b for b in page.blocks if b is not line.block and b.kind not in ASIDE]


def _height(line: EdgeLine) -> int:
    return line.block.where[3] - line.block.where[1]


def _space(line: EdgeLine, others: Sequence[Block]) -> int:
    """The space between a line and what is nearest on the side of the page, px."""
    own = line.block.where
    level = [b.box for b in others if b.box and not (b.box[1] < own[3] and own[1] < b.box[3])]
    return min((box[1] - own[3] if line.top else own[1] - box[3] for box in level), default=0)


def _repeats_title(line: EdgeLine, page: PageRead) -> bool:
    """Whether a line at the top has the words of a title of the page."""
    if not line.top or not _stands_alone(line, page, FULL):
        return False
    titles = [letters_of(b.text) for b in _others(line, page) if b.kind == "title"]
    return any(len(title) >= 6 and title in letters_of(line.words) for title in titles)


def _mirrors(line: EdgeLine, foot: EdgeLine, page: PageRead) -> bool:
    """Whether a line at the top is set as the foot with the page number is: in the same type, smaller than that of
    running text, as far from the edge, and with a wide space below it."""
    if not line.top or line.block.kind != "text" or ADDRESS.search(line.words) or not _stands_alone(line, page, LITTLE):
        return False
    body = [type_size(b) for b in page.blocks if b.box and b.kind in ("text", "list") and len(b.text) >= PROSE]
    return (
        bool(body) and max(type_size(line.block), type_size(foot.block)) < SMALL * median(body)
        and abs(_height(line) - _height(foot)) <= SAME_TYPE * _height(foot)
        and abs(line.edge - foot.edge) < MIRRORED
        and _space(line, _others(line, page)) >= 1.5 * _height(line)
    )
