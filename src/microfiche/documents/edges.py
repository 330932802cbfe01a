"""Lines at the upper and the lower edge of a page, of which some may be running heads, running feet or page numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from statistics import median

from microfiche.documents.document import Block, PageRead
from microfiche.documents.markup import plain

CANDIDATES = ("text", "title", "list", "caption", "footnote", "header", "footer")
LONGEST = 400  #: characters of a line of furniture
ZONE = 0.25  #: of the page's height, from its edge: within which furniture stands
BANDS = 4  #: rows at each edge that may be furniture
LARGE = 1.2  #: times the text: type of a title, which stays but where it repeats on nearly all of many pages
NUMBER = re.compile(  # Roman ones stand alone, at the start or at the end
    r"\d{1,6}|(?:(?<=^)|(?<=^\W)|(?<=^\W\W))(?=[ivxlc])c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})(?![^\W_])"
    r"|(?<![^\W_])(?=[ivxlc])c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})(?=\W{0,2}$)"
)
ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
SIGN = "\x00"  #: where a page number stood


@dataclass(eq=False)
class EdgeLine:
    """A block at the edge of a page: the page's index and number, its place in the page, its middle (0 top, 1 foot),
    whether it is at the top, its band from the edge, its words, numbers in it, and whether OCR read it."""

    page: int
    number: int
    place: int
    block: Block
    top: bool
    band: int
    middle: float
    height: float
    words: str
    folded: str
    values: list[int]
    noisy: bool
    large: bool
    key: str = ""
    rising: tuple[int, ...] = ()
    near: list[EdgeLine] = field(default_factory=list)

    @property
    def counts(self) -> bool:
        """Whether a number in it rises with the pages."""
        return bool(self.rising)

    @property
    def edge(self) -> float:
        """How far its middle is from the page's edge, as a share of the page's height."""
        return self.middle if self.top else 1 - self.middle


def edge_lines(index: int, page: PageRead) -> list[EdgeLine]:
    """The lines of a page that may be furniture, each with its band: how many rows of blocks are nearer to the edge."""
    blocks = [(i, b) for i, b in enumerate(page.blocks) if b.kind != "hidden" and (b.text or b.kind == "figure")]
    if not blocks or not page.height:
        return []
    type_size = median(_type_size(b) for _, b in blocks)
    out = []
    for top in (True, False):
        ordered = sorted(blocks, key=lambda x: x[1].box[1] if top else -x[1].box[3])
        band, edge = -1, 0.0
        for place, block in ordered:
            middle = (block.box[1] + block.box[3]) / 2
            if band < 0 or (middle > edge if top else middle < edge):
                band += 1
                edge = block.box[3] if top else block.box[1]
            if band >= BANDS:
                break
            share = middle / page.height
            if block.kind not in CANDIDATES or (share > ZONE if top else share < 1 - ZONE) or (top != (share < 0.5)):
                continue
            if len(block.text) > LONGEST or (block.kind == "list" and "\n" in block.text):
                continue
            words = " ".join(plain(block.text).split()).casefold()
            found = list(NUMBER.finditer(words))
            values = [_value(x[0]) for x in found]
            out.append(EdgeLine(
                index, page.number, place, block, top, band, share, (block.box[3] - block.box[1]) / page.height,
                words, NUMBER.sub(SIGN, words), values, block.confidence is not None and block.confidence < 1,
                (block.size or 0) >= LARGE or _type_size(block) > 2 * type_size,
            ))
    return out


def _type_size(block: Block) -> float:
    """About how high the type of a block is, px: of its area, a character takes 0.6 of its type's height squared."""
    area = (block.box[2] - block.box[0]) * (block.box[3] - block.box[1])
    return min(block.box[3] - block.box[1], float(area / (0.6 * max(1, len(block.text)))) ** 0.5)


def _value(number: str) -> int:
    if number.isdigit():
        return int(number)
    total, largest = 0, 0
    for c in reversed(number):
        value = ROMAN[c]
        total += value if value >= largest else -value
        largest = max(largest, value)
    return total
