"""HTML as blocks of a page: titles, paragraphs, lists, tables and code, in the order in which they stand.

What is written in a file is words, whatever they are: nothing of it is run, fetched or passed on as HTML. It knows
nothing of files.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

from microfiche.documents.document import Block, Kind
from microfiche.documents.inline import (
    BREAK,
    FORMULA,
    LINK,
    LOWERED,
    MATH,
    NONCHARACTERS,
    RAISED,
    SAFE,
    STRUCK,
    cell,
    html,
    linked,
    markdown,
    marked,
)
from microfiche.documents.table_markup import Cell, to_html

SKIPPED = {"script", "style", "head", "noscript", "template", "svg", "canvas", "iframe", "object", "video", "audio"}
PLAYED = {"svg": "drawing", "canvas": "drawing", "video": "film", "audio": "sound", "iframe": "frame",
          "object": "embedded object", "embed": "embedded object"}  #: what is lost with an element  # fmt: skip
DEEP = 64  #: elements that are searched for one which was left open
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
WITHIN = {
    "a", "abbr", "acronym", "annotation", "b", "bdi", "bdo", "big", "br", "cite", "code", "data", "del", "dfn", "em",
    "font", "i", "img", "input", "ins", "kbd", "label", "mark", "mi", "mn", "mo", "msub", "msup", "mrow", "q", "rp",
    "rt", "ruby", "s", "samp", "semantics", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u",
    "var", "wbr",
}  #: elements within a line; any other begins and ends a block  # fmt: skip
RUNS = {"sup": RAISED, "sub": LOWERED, "del": STRUCK, "s": STRUCK, "strike": STRUCK}
#: Elements that end others which were left open, which those are, and within what.
ENDS = {
    "p": (("p",), "td th li div body"), "li": (("li",), "ul ol"), "tr": (("td", "th", "tr"), "table"),
    "td": (("td", "th"), "table tr"), "th": (("td", "th"), "table tr"), "dt": (("dt", "dd"), "dl"),
    "dd": (("dt", "dd"), "dl"),
}  # fmt: skip
UNSEEN_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
TITLE = re.compile(r"h([1-6])")
BACK = "↑"  #: what leads from a note back to where it stands


@dataclass
class Square:
    """A cell of a table: its text with marks, how many columns and rows it goes over, and whether it is a head."""

    text: str
    across: int = 1
    down: int = 1
    head: bool = False


@dataclass
class _Element:
    tag: str
    skipped: bool = False
    hidden: bool = False
    level: int | None = None  # of the title that it is or stands in
    caption: bool = False  # it is or stands in one
    address: str = ""
    start: int = 0  # where its text begins among the parts of the line


@dataclass
class _Table:
    rows: list[list[Square]] = field(default_factory=list)
    open: Square | None = None


class Hypertext(HTMLParser):
    """The `blocks` of an HTML text that was fed, and how many pictures and other things in it are `lost`, by their
    name. With `formulas`, text between dollars is LaTeX."""

    def __init__(self, formulas: bool = False) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.lost: Counter[str] = Counter()
        self._formulas = formulas
        self._open: list[_Element] = []
        self._tags: Counter[str] = Counter()  # of the elements that are open
        self._line: list[str] = []
        self._lists: list[int] = []  # of each list that is open: the number of its next item, or 0 for a bullet
        self._items: list[str] = []
        self._marker = ""
        self._tables: list[_Table] = []
        self._code: list[str] | None = None
        self._aside: list[Block] = []  # figures and hidden words, which come below their block

    # --- what the parser finds ---

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens an element."""
        given = {name: value or "" for name, value in attrs}
        if tag in ENDS:
            self._end_open(*ENDS[tag])
        above = self._open[-1] if self._open else _Element("")
        if tag not in WITHIN and not above.skipped:
            self._end_block()
        hidden = above.hidden or "hidden" in given or UNSEEN_STYLE.search(given.get("style", "")) is not None
        if not above.skipped and not hidden and tag in PLAYED:
            self.lost[PLAYED[tag]] += 1
        title = TITLE.fullmatch(tag)
        one = _Element(
            tag, above.skipped or tag in SKIPPED, hidden, int(title[1]) if title else above.level,
            above.caption or tag in ("caption", "figcaption"), given.get("href", "").strip(), len(self._line),
        )  # fmt: skip
        if tag not in VOID:
            self._open.append(one)
            self._tags[tag] += 1
        if not one.skipped:
            self._begin(tag, given, hidden)

    def _end_open(self, tags: tuple[str, ...], within: str) -> None:
        """Closes the outermost open element of these that stands in the innermost one of `within`."""
        found = ""
        for one in self._open[: -DEEP - 1 : -1]:
            if one.tag in within.split():
                break
            found = one.tag if one.tag in tags else found
        if found:
            self.handle_endtag(found)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element that XHTML closes at once."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Closes an element, and those in it that were left open; an end without a beginning is passed over."""
        if not self._tags[tag]:
            return
        while self._open:
            one = self._open[-1]
            if not one.skipped:
                self._finish(one)
            self._open.pop()
            self._tags[one.tag] -= 1
            if one.tag == tag:
                break

    def handle_data(self, data: str) -> None:
        """Takes words."""
        if self._open and self._open[-1].skipped:
            return
        data = NONCHARACTERS.sub("", data)
        if self._code is not None:
            self._code.append(data)
            return
        data = re.sub(r"[ \t\r\n\f]+", " ", data)
        self._line.append(data)

    def close(self) -> None:
        """Ends all that is open."""
        super().close()
        while self._open:
            self.handle_endtag(self._open[-1].tag)
        self._end_block()
        self._end_list()

    # --- what becomes of it ---

    def _begin(self, tag: str, given: dict[str, str], hidden: bool) -> None:
        if tag == "br":
            self._line.append(BREAK)
        elif tag == "img" and not hidden:
            self.lost["picture"] += 1
            words = markdown(" ".join(NONCHARACTERS.sub("", given.get("alt", "")).split()))
            if self._tables or self._lists:
                self._line.append(NONCHARACTERS.sub("", given.get("alt", "")))
            else:
                self._aside.append(Block(kind="figure", box=None, text=words))
        elif tag == "input" and given.get("type", "").lower() == "checkbox":
            self._line.append("[x] " if "checked" in given else "[ ] ")
        elif tag in ("ul", "ol"):
            if tag == "ol":
                number = given.get("start", "")
                self._lists.append(max(1, int(number)) if re.fullmatch(r"\d{1,8}", number) else 1)
            else:
                self._lists.append(0)
        elif tag == "li":
            self._begin_item()
        elif tag == "pre":
            self._code = []
        elif tag == "table":
            self._end_list()
            self._tables.append(_Table())
        elif self._tables and tag == "tr":
            self._tables[-1].rows.append([])
        elif self._tables and tag in ("td", "th"):
            if not self._tables[-1].rows:
                self._tables[-1].rows.append([])
            across, down = (_span(given.get(name, "")) for name in ("colspan", "rowspan"))
            self._tables[-1].open = Square("", across, down, tag == "th")

    def _begin_item(self) -> None:
        depth = max(0, len(self._lists) - 1)
        number = self._lists[-1] if self._lists else 0
        self._marker = "   " * depth + (f"{number}. " if number else "- ")
        if number:
            self._lists[-1] = number + 1

    def _finish(self, one: _Element) -> None:
        tag = one.tag
        if one.hidden and tag in WITHIN and not (len(self._open) > 1 and self._open[-2].hidden):
            words = markdown("".join(self._line[one.start :]).strip())
            del self._line[one.start :]
            self._aside += [Block(kind="hidden", box=None, text=words)] if words else []
            return
        if tag == "a":
            self._finish_link(one)
        elif tag in RUNS:
            words = "".join(self._line[one.start :])
            self._line[one.start :] = [marked(words, RUNS[tag])]
        elif tag == "pre":
            self._end_code(one.hidden)
        elif tag not in WITHIN:
            self._end_block()
            if tag in ("td", "th") and self._tables:
                self._end_cell()
            elif tag == "table" and self._tables:
                self._end_table(one.hidden)
            elif tag in ("ul", "ol") and self._lists:
                self._lists.pop()
                if not self._lists:
                    self._end_list()

    def _finish_link(self, one: _Element) -> None:
        words = "".join(self._line[one.start :])
        if words.strip() == BACK and one.address.startswith("#"):
            words = ""
        elif one.address.lower().startswith(SAFE) and words.strip() and not any(sign in words for sign in LINK):
            words = linked(words, NONCHARACTERS.sub("", one.address))
        self._line[one.start :] = [words]

    def _end_block(self) -> None:
        """Ends the line: it becomes a block, or belongs to the cell or the item that is open."""
        text = re.sub(r" {2,}", " ", "".join(self._line)).strip(f" {BREAK}")
        if self._formulas:
            text = MATH.sub(lambda found: marked(found[1], FORMULA), text)
        above = self._open[-1] if self._open else _Element("")
        hidden, level = above.hidden, above.level
        kind: Kind = "caption" if above.caption else "title" if level else "text"
        if self._code is not None and not self._tables:
            return
        self._line = []
        if text and self._tables:
            table = self._tables[-1]
            if table.open is not None and not hidden:
                table.open.text += (BREAK if table.open.text else "") + text
            elif table.open is None and not hidden:
                self._add(kind, markdown(text))
        elif text and self._marker and not hidden:
            self._items.append(self._marker + _task(text))
            self._marker = " " * len(self._marker)
        elif text:
            self._end_list()
            self._add("hidden" if hidden else kind, markdown(text), level)
        self.blocks += self._aside
        self._aside = []

    def _end_cell(self) -> None:
        table = self._tables[-1]
        if table.open is not None:
            table.rows[-1].append(table.open)
            table.open = None

    def _end_table(self, hidden: bool) -> None:
        table = self._tables.pop()
        if self._tables:  # a table within a cell: its rows are lines of that cell
            around = self._tables[-1].open
            if around is not None:
                lines = [" ".join(filter(None, (square.text for square in row))) for row in table.rows]
                around.text = BREAK.join(filter(None, (around.text, *lines)))
        elif not hidden and (text := table_of(table.rows)):
            self._add("table", text)

    def _end_code(self, hidden: bool) -> None:
        text = "".join(self._code or ()).strip("\n").expandtabs()
        self._code = None
        if self._tables:
            self._line.append(text.replace("\n", BREAK))
        elif text.strip():
            self._end_list()
            self._add("hidden" if hidden else "code", text)

    def _end_list(self) -> None:
        if self._items:
            self._add("list", "\n".join(self._items))
        self._items, self._marker = [], ""

    def _add(self, kind: Kind, text: str, level: int | None = None) -> None:
        if text.strip():
            self.blocks.append(Block(kind=kind, box=None, text=text, level=level))


def _task(text: str) -> str:
    """An item's text as Markdown; a box to tick at its start stays one."""
    box = re.match(r"\[[ x]\] ", text)
    return (box[0] if box else "") + markdown(text[3:].lstrip() if box else text)


def _span(text: str) -> int:
    return min(int(text), 1000) if re.fullmatch(r"[1-9]\d{0,5}", text.strip()) else 1


def table_of(rows: list[list[Square]]) -> str:
    """The text of a block that is a table: Markdown, or HTML where a cell goes over several. Rows and columns at its
    end that hold nothing are left out; "" if nothing is in it."""
    while rows and not any(square.text.strip() for square in rows[-1]):
        rows = rows[:-1]
    if not any(square.text.strip() for row in rows for square in row):
        return ""
    if any(square.across > 1 or square.down > 1 for row in rows for square in row):
        return to_html([[Cell(html(s.text.strip()), s.across, min(s.down, len(rows) - i), s.head) for s in row]
                        for i, row in enumerate(rows)])  # fmt: skip
    width = max(max((i for i, square in enumerate(row, 1) if square.text.strip()), default=0) for row in rows)
    lines = [[cell(square.text.strip()) for square in row[:width]] + [""] * (width - len(row)) for row in rows]
    lines.insert(1, ["---"] * width)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
