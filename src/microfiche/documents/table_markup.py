"""Tables that are written already, as Markdown or HTML: made safe, put together over pages, and as plain words."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser

from microfiche.documents.inline import visible
from microfiche.documents.markup import plain

WIDEST = 200  #: columns that a cell may go over, and a table has
LONGEST = 5000  #: rows of a table
KEPT = ("sup", "sub", "del", "br")  #: elements within a cell that stay
DROPPED = re.compile(
    "table|thead|tbody|tfoot|caption|colgroup|col|b|i|u|em|strong|span|p|div|font|a|center|small|big|code|tt"
)
DIVIDER = re.compile(r"\s*\|?(\s*:?-+:?\s*\|)*\s*:?-+:?\s*\|?\s*")
BAR = re.compile(r"(?<!\\)\|")
TAGS = re.compile(r"<[^<>]*>")
TABLE = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.DOTALL | re.IGNORECASE)
NUMBER = re.compile(r"[^\w\s]{0,3}\s?[A-Z]{0,3}[$€£]?\s?\d[\d.,\s%/:’'–-]*\s?\S{0,3}")
AGAIN = re.compile(
    r"\W{0,9}(?:continued|cont['’]?d|cont\.|fortsetzung|forts\.|suite|continuación|续表?|続き)\W{0,9}", re.IGNORECASE
)
STANDS = re.compile(
    r"<table><tr>(?:</?(?:tr|thead|tbody|sup|sub|del|th|td)>|<br>|<t[dh](?: (?:col|row)span=\"\d{1,4}\")+>|</a>"
    r"|<a href=\"(?:https?://|mailto:)[^\"<>\s]*\">|[^<>\n]++)*</table>"
)
HEADS = 3  #: rows of a table's head, at most


@dataclass(frozen=True)
class Cell:
    """A cell of a table's row: HTML within it, how many columns and rows it goes over, and whether it is a head."""

    text: str
    across: int = 1
    down: int = 1
    head: bool = False


Row = list[Cell]


class _Reader(HTMLParser):
    """The rows of a table in HTML. Elements that no table has are words of it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[Row] = []
        self.tags: list[str] = []
        self.parts: list[str] | None = None  # of the cell that is open
        self.begun = Cell("")

    def set_cdata_mode(self, *_: object, **__: object) -> None:
        """No element's content is anything but words and elements."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.close()
            if len(self.rows) < LONGEST:
                self.rows.append([])
        elif tag in ("td", "th"):
            self.close()
            if not self.rows:
                self.rows.append([])
            spans = {name: value or "" for name, value in attrs}
            across, down = (_number(spans.get(name, "")) for name in ("colspan", "rowspan"))
            self.begun, self.parts = Cell("", min(across, WIDEST), min(down, LONGEST), tag == "th"), []
        elif tag in KEPT and self.parts is not None:
            self.parts.append(f"<{tag}>")
            if tag != "br":
                self.tags.append(tag)
        elif not DROPPED.fullmatch(tag):
            self.handle_data(self.get_starttag_text() or "")
        elif self.parts:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self.close()
        elif self.tags and self.tags[-1] == tag and self.parts is not None:
            self.parts.append(f"</{self.tags.pop()}>")
        elif not DROPPED.fullmatch(tag) and tag not in KEPT:
            self.handle_data(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self.parts is None:
            if not data.strip() or len(self.rows) > LONGEST:
                return
            self.rows.append([])
            self.begun, self.parts = Cell(""), []
        self.parts.append(html.escape(visible(data), quote=False))

    def close(self) -> None:
        """Ends the cell that is open."""
        if self.parts is not None:
            ends = "".join(f"</{tag}>" for tag in reversed(self.tags))
            if sum(cell.across for cell in self.rows[-1]) < WIDEST:
                self.rows[-1].append(replace(self.begun, text=" ".join(("".join(self.parts) + ends).split())))
        self.parts, self.tags = None, []


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[1-9]\d{0,4}", text.strip()) else 1


def from_html(text: str) -> list[Row]:
    """The rows of a table in HTML, whatever else stands in it; no cell goes over more rows than there are."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    rows = [row for row in reader.rows if row]
    return [[replace(cell, down=min(cell.down, len(rows) - i)) for cell in row] for i, row in enumerate(rows)]


def to_html(rows: Sequence[Row]) -> str:
    """The rows as a table in HTML, in one line, so that Markdown sees no end in it."""
    out = ["<table>"]
    for row in rows:
        out.append("<tr>")
        for cell in row:
            name = "th" if cell.head else "td"
            spans = "".join(f' {k}="{n}"' for k, n in (("colspan", cell.across), ("rowspan", cell.down)) if n > 1)
            out.append(f"<{name}{spans}>{cell.text}</{name}>")
        out.append("</tr>")
    return "".join([*out, "</table>"])


def safe(text: str) -> str:
    """A table as a model wrote it in HTML, with nothing in it but rows, cells and their words; "" if it has no cell."""
    rows = from_html(text)
    return to_html(rows) if rows else ""


def stands(text: str) -> bool:
    """Whether a table in HTML is in one line and holds nothing but what `safe` and `inline.html` write."""
    return STANDS.fullmatch(text) is not None


def is_html(text: str) -> bool:
    """Whether a table is written in HTML."""
    return text.lstrip()[:6].lower() == "<table"


def lines_of(text: str) -> list[list[str]] | None:
    """The cells of a table in Markdown, row by row, without its divider; None if it is no such table."""
    lines = text.strip().split("\n")
    if len(lines) < 2 or "|" not in lines[1] or not DIVIDER.fullmatch(lines[1]):
        return None
    rows = [lines[0], *lines[2:]]
    return [[cell.strip() for cell in BAR.split(row.strip().removeprefix("|"))[:-1]] for row in rows]


def words(text: str) -> list[list[str]]:
    """The plain words of a table's cells, row by row; a cell over several columns leaves the others empty."""
    if is_html(text):
        return [
            [word for cell in row for word in [_bare(cell.text), *[""] * (cell.across - 1)]] for row in from_html(text)
        ]
    rows = lines_of(text)
    if rows is None:
        return [[plain(line)] for line in text.split("\n")]
    return [[plain(cell.replace("\\|", "|")).replace("\n", " ") for cell in row] for row in rows]


def _bare(cell: str) -> str:
    return " ".join(html.unescape(TAGS.sub("", cell.replace("<br>", " "))).split())


def put_together(first: str, second: str, aligned: bool) -> str | None:
    """One table of two, of which the second goes on where the first ends; None if it is another table.

    Both have the same number of columns. The second begins with the head of the first again, which is left out; or, if
    its sides are `aligned` with those of the first, with a row that is no head.
    """
    rows, more = words(first), words(second)
    if not rows or not more or _width(first, rows) != _width(second, more):
        return None
    repeated = 0
    while repeated < min(HEADS, len(rows), len(more)) and _same(rows[repeated], more[repeated]):
        repeated += 1
    if not repeated and (not aligned or _heads(rows, more)):
        return None
    if is_html(first) or is_html(second):
        return to_html([*_cells(first), *_cells(second)[repeated:]])
    lines = second.strip().split("\n")
    return "\n".join([first.rstrip(), *[lines[0], *lines[2:]][repeated:]])


def _width(text: str, rows: Sequence[Sequence[str]]) -> int:
    return max(sum(c.across for c in row) for row in from_html(text)) if is_html(text) else max(map(len, rows))


def _cells(text: str) -> list[Row]:
    if is_html(text):
        return from_html(text)
    return [[Cell(html.escape(word, quote=False)) for word in row] for row in words(text)]


def _same(a: Sequence[str], b: Sequence[str]) -> bool:
    one, other = ([AGAIN.sub("", cell).casefold().replace(" ", "") for cell in row] for row in (a, b))
    return one == other and any(one)


def _heads(rows: Sequence[Sequence[str]], more: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of `more` is a head of its own rather than one more row below `rows`."""
    top = more[0]
    numbers = _numeric(rows[1:], len(top))
    if numbers:
        filled = [top[k] for k in numbers if top[k]]
        return bool(filled) and sum(bool(NUMBER.fullmatch(word)) for word in filled) < 0.5 * len(filled)
    return bool(_numeric(more[1:], len(top))) and not any(NUMBER.fullmatch(word) for word in top)


def _numeric(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns whose cells are numbers, mostly."""
    found = []
    for k in range(width):
        filled = [row[k] for row in rows if k < len(row) and row[k]]
        if filled and sum(bool(NUMBER.fullmatch(word)) for word in filled) >= 0.6 * len(filled):
            found.append(k)
    return found
