"""Lines at the upper and the lower edge of a page, of which some may be running heads, running feet or page numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from microfiche.documents.document import ASIDE, Block, PageRead
from microfiche.documents.layout.lists import roman
from microfiche.documents.markup import plain

CANDIDATES = ("text", "title", "list", "caption", "footnote", "header", "footer")
LONGEST = 400  #: characters of a line of furniture
ZONE = 0.25  #: of the page's height, from its edge: within which furniture stands
BANDS = 4  #: rows at each edge that may be furniture
SHORTEST = 6  #: characters of a line that is cut off a block
SENTENCE = 16  #: the same of one that flows on into the text, in three words at least
AROUND = 4  #: pages before and after one on which a line like its own is looked for
LARGE = 1.2  #: times the text: type of a title, which stays but where it repeats on nearly all of many pages
NUMBER = re.compile(  # Roman ones stand alone, at the start or at the end
    r"\d{1,6}|(?:(?<=^)|(?<=^\W)|(?<=^\W\W))(?=[ivxlc])c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})(?![^\W_])"
    r"|(?<![^\W_])(?=[ivxlc])c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})(?=\W{0,2}$)"
)
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
    blocks = [(i, page.blocks[i]) for i in _shown(page)]
    if not blocks or not page.height:
        return []
    usual = median(type_size(b) for _, b in blocks)
    out = []
    for top in (True, False):
        ordered = sorted(blocks, key=lambda x: x[1].where[1] if top else -x[1].where[3])
        band, edge = -1, 0.0
        for place, block in ordered:
            middle = (block.where[1] + block.where[3]) / 2
            if band < 0 or (middle > edge if top else middle < edge):
                band += 1
                edge = block.where[3] if top else block.where[1]
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
                index, page.number, place, block, top, band, share, (block.where[3] - block.where[1]) / page.height,
                words, NUMBER.sub(SIGN, words), values, block.confidence is not None and block.confidence < 1,
                (block.size or 0) >= LARGE or type_size(block) > 2 * usual,
            ))
    return out


def _shown(page: PageRead) -> list[int]:
    """The numbers of the blocks that are seen on a page, in a place that is known."""
    return [k for k, b in enumerate(page.blocks) if b.kind not in ASIDE and b.box and (b.text or b.kind == "figure")]


def type_size(block: Block) -> float:
    """About how high the type of a block is, px: of its area, a character takes 0.6 of its type's height squared."""
    left, top, right, bottom = block.where
    area = (right - left) * (bottom - top)
    return min(bottom - top, float(area / (0.6 * max(1, len(block.text)))) ** 0.5)


def letters_of(text: str) -> str:
    """The letters and digits of a text in Markdown, small."""
    return "".join(c for c in plain(text).casefold() if c.isalnum())


def cut(pages: Sequence[PageRead]) -> list[PageRead]:
    """The pages, with a block cut in two where its first line, or its last, is all of the first block, or the last one,
    of a page near, at the same place but for its page number: a running head that stands close to the text."""
    out = list(pages)
    for top in (True, False):
        first = [_outermost(page, top) for page in pages]
        for index, page in enumerate(pages):
            number = first[index]
            if number is None:
                continue
            near = [
                pages[k].blocks[n] for k in range(max(0, index - AROUND), min(len(pages), index + AROUND + 1))
                if k != index and (n := first[k]) is not None
            ]
            block = page.blocks[number]
            halves = next((x for other in near if (x := _halves(block, other, top, page.height))), None)
            if halves:
                its = out[index].blocks
                at = next(k for k, x in enumerate(its) if x is block)
                out[index] = out[index].model_copy(update={"blocks": [*its[:at], *halves, *its[at + 1 :]]})
    return out


def _outermost(page: PageRead, top: bool) -> int | None:
    """The number of the block of text that is nearest to an edge of a page, if it stands in the zone of furniture."""
    its = _shown(page)
    if not its:
        return None
    k = min(its, key=lambda k: page.blocks[k].where[1] if top else -page.blocks[k].where[3])
    box = page.blocks[k].where
    inside = box[1] < ZONE * page.height if top else box[3] > (1 - ZONE) * page.height
    return k if inside and page.blocks[k].kind == "text" else None


def _halves(block: Block, other: Block, top: bool, height: int) -> list[Block] | None:
    """`block` in two, from the top, if it begins, or ends, with the words of the line that `other` is, in its place."""
    if len(other.text) > LONGEST or len(other.text) < SHORTEST or len(block.text) < len(other.text) + SHORTEST:
        return None
    own, its = block.where, other.where
    line = its[3] - its[1]
    off = abs(own[1] - its[1]) if top else abs(own[3] - its[3])
    if off > 0.01 * height or own[3] - own[1] < 1.6 * line:
        return None
    words = r"\d+".join(map(re.escape, re.split(r"\d+", other.text)))
    match = re.match(rf"({words})(?:  \n| )(?=\S)", block.text) if top else re.search(
        rf"(?<=\S)(?:  \n| )({words})$", block.text)
    if not match or ("  \n" not in match[0] and (len(match[1]) < SENTENCE or len(match[1].split()) < 3)):
        return None  # a few words that two paragraphs may begin with
    edge = own[1] + line if top else own[3] - line
    head = block.model_copy(update={"text": match[1], "box": (own[0], own[1], own[2], edge) if top else (
        own[0], edge, own[2], own[3])})
    rest = block.model_copy(update={
        "text": block.text[match.end() :] if top else block.text[: match.start()],
        "box": (own[0], edge, own[2], own[3]) if top else (own[0], own[1], own[2], edge),
    })
    return [head, rest] if top else [rest, head]


def _value(number: str) -> int:
    return int(number) if number.isdigit() else roman(number)
