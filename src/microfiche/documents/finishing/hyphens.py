"""Hyphens at line ends: whether a word was only divided there or is written so, as all words of the document tell.

A block's text has U+00AD there, between the two halves, or at its end where the other half begins the next block.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from microfiche.documents.boxes import WholeBox
from microfiche.documents.document import ASIDE, CARRIED, Block, PageRead
from microfiche.documents.inline import ENTITY, SHY

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
HALVES = re.compile(rf"(?:(?<!\w)(?<!\w['’-])(\w[\w'’-]*))?{SHY}+[ \n]?(?=(\w[\w'’-]*)?)")
DIVIDED = re.compile(rf"(?<!\S)\S*{SHY}\s*\S*")
REST = re.compile(r"[\w'’-]+[.,;:!?)\]»”\"]*")
#: Halves that stay apart from what follows, for hardly a word that has no hyphen begins so.
APART = re.compile("self|well|non|e|half|quasi|pseudo|vice|cross|x|t")
#: Halves that stay apart if what follows is a word of its own in the document.
OFTEN_APART = re.compile(
    "ex|all|co|multi|pre|counter|low|high|long|short|hard|soft|one|two|three|four|post|anti|part|full|half|second|first|"
    "third|old|new|open|free|large|small|single|double|real|full|right|left|ever|fast|slow|wide|state"
)
#: What stays apart from a word of the document before it.
TAIL = re.compile(
    "based|like|free|wide|specific|level|length|hand|side|term|time|scale|sized|style|known|related|dependent|oriented|"
    "independent|aware|driven|friendly|only|made|born|class|order|dimensional|point|step|way|off|alive|looking|distance|"
    "wheel|year|day|old|range|standing|lasting|lived|haul|run|sleeve|page|size|tech|tone|edge|fledged|blown|rate|ended|art"
)
#: What stays apart from a name before it ("German-occupied").
AFTER_NAME = re.compile("occupied|speaking|led|owned|controlled|backed|funded|sponsored|held|ruled|inspired|influenced")
TENS = re.compile("twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety")
UNITS = re.compile(
    "one|two|three|four|five|six|seven|eight|nine|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth"
)
WITHIN = re.compile("in|of|the|to|and|a|by|on|up|at|for|de|la|le|du|sur|sous")  #: a compound's words between hyphens
ENDINGS = ("s", "es", "d", "ed", "ing", "ly", "n", "en", "er", "e", "r")
LINKING = re.compile("and|or|to|und|oder|bzw|et|ou|y|o|e|och|og|en|of")


def words_of(pages: Iterable[PageRead]) -> Counter[str]:
    """How often each word stands in the pages, in small letters, those that a line's end divides left out."""
    found: Counter[str] = Counter()
    for page in pages:
        for block in page.blocks:
            if block.kind not in ("code", *ASIDE):
                text = DIVIDED.sub(" ", block.text) if SHY in block.text else block.text
                found.update(word.casefold() for word in WORD.findall(text))
    return found


def joint(left: str, right: str, words: Mapping[str, int]) -> str:
    """What stands between two halves of which the left one ends a line with a hyphen: "" where they are one word, "-",
    or "- " where the left half is the first of two ("pre- and post-war").

    Numbers, names and what the document writes with a hyphen elsewhere keep it.
    """
    if not left or not right:
        return "-" if left else ""
    if not (left[-1].isalpha() and right[0].isalpha()):
        return "-"
    if right[0].isupper() and not (left.isupper() and len(left) > 1):
        return "-"
    last, first = left.rsplit("-", 1)[-1].casefold(), right.split("-", 1)[0].casefold()
    together, apart = _seen(last + first, words), _seen(f"{last}-{first}", words)
    if "-" in left or "-" in right:
        whole, other = left.casefold(), right.casefold()
        together, apart = together + words.get(whole + other, 0), apart + words.get(f"{whole}-{other}", 0)
    if together or apart:
        return "" if together >= apart else "-"
    if LINKING.fullmatch(first) and (
        first in ("und", "oder", "bzw") or last in words or APART.fullmatch(last) or OFTEN_APART.fullmatch(last)
    ):
        return "- "
    if (TENS.fullmatch(last) and UNITS.fullmatch(first)) or ("-" in left and WITHIN.fullmatch(last)):
        return "-"
    if OFTEN_APART.fullmatch(last) and TAIL.fullmatch(first):
        return "-"
    if left[0].isupper() and last in words and AFTER_NAME.fullmatch(first):
        return "-"
    often = (OFTEN_APART.fullmatch(last) and first in words) or (TAIL.fullmatch(first) and last in words)
    if len(first) >= 3 and (APART.fullmatch(last) or often):
        return "-"
    return ""


def _seen(word: str, words: Mapping[str, int]) -> int:
    """How often a word occurs, in this form or, if it never does, with another ending."""
    if found := words.get(word, 0):
        return found
    longer = (words.get(word + end, 0) for end in ENDINGS)
    shorter = (words.get(word[: -len(end)], 0) for end in ENDINGS if word.endswith(end) and len(word) > len(end) + 3)
    return sum(longer) + sum(shorter)


def put_together(pages: Sequence[PageRead]) -> list[PageRead]:
    """The pages with no U+00AD in any block: each word that a line's end divides is whole, or has its hyphen.

    A word that goes on in the next block of running text, over figures, tables, captions and footnotes, in another
    column or on another page, stands whole at the end of the first; a block right below, whose word is divided from the
    one above, is part of that one.
    """
    if not any(SHY in block.text for page in pages for block in page.blocks):
        return list(pages)
    words = words_of(pages)
    blocks = [list(page.blocks) for page in pages]
    places = [(p, b) for p, page in enumerate(pages) for b in range(len(page.blocks))]
    for k, (p, b) in enumerate(places):
        block = blocks[p][b]
        while SHY in block.text:
            block = block.model_copy(update={"text": HALVES.sub(lambda found: _whole(found, words), block.text)})
            if SHY not in block.text:
                break
            # It is at the end, so that the other half is not in this block.
            place = _onward([(blocks[i][j], i, j) for i, j in places[k + 1 : k + 40]], block)
            other = blocks[place[0]][place[1]] if place else None
            block, rest = _with_rest(block, other, words, place is not None and place[0] == p)
            if place and rest is not other and rest is not None:
                blocks[place[0]][place[1]] = rest
        blocks[p][b] = block
    return [
        page if its == page.blocks else page.model_copy(update={"blocks": [
            block for block, before in zip(its, page.blocks, strict=True) if block.text or not before.text
        ]})
        for page, its in zip(pages, blocks, strict=True)
    ]


def _with_rest(
    block: Block, other: Block | None, words: Mapping[str, int], same_page: bool
) -> tuple[Block, Block | None]:
    """A block that ends with U+00AD, with its last word whole, and the one in which that goes on, if there is one."""
    text = block.text.rstrip().rstrip(SHY)
    rest = REST.match(other.text) if other else None
    if other is None or rest is None or not rest[0][0].islower():
        return block.model_copy(update={"text": f"{text}-"}), other
    left, right = re.search(r"[\w'’-]*$", text), re.match(r"[\w'’-]*", rest[0])
    between = joint(left[0] if left else "", right[0] if right else "", words)
    box, its = block.box, other.box
    if block.kind == other.kind and same_page and box and its and _below(its, box):
        text, left_over = f"{text}{between}{other.text}", ""
        box = (min(box[0], its[0]), min(box[1], its[1]), max(box[2], its[2]), max(box[3], its[3]))
    elif between == "- ":
        return block.model_copy(update={"text": f"{text}-"}), other
    else:
        text, left_over = f"{text}{between}{rest[0]}", other.text[rest.end() :].lstrip()
    text = re.sub(rf"(?<!\\)(?={ENTITY})", r"\\", text)
    return block.model_copy(update={"text": text, "box": box}), other.model_copy(update={"text": left_over})


def _below(its: WholeBox, box: WholeBox) -> bool:
    """Whether a box stands right below another."""
    near = box[3] - 2 <= its[1] < box[3] + its[3] - its[1] + box[3] - box[1]
    return near and its[0] < box[2] and box[0] < its[2]


def _whole(found: re.Match[str], words: Mapping[str, int]) -> str:
    left, right = found[1] or "", found[2] or ""
    if left and not right and found.end() == len(found.string.rstrip()):
        return f"{left}{SHY}"
    return left + joint(left, right, words)


def _onward(after: Iterable[tuple[Block, int, int]], block: Block) -> tuple[int, int] | None:
    """Page and place of the block of running text in which `block` goes on, if it does."""
    if block.kind not in ("text", "list", "footnote"):
        return None
    for other, page, place in after:
        worded = any(c.isalpha() for c in other.text)
        if worded and (other.kind == "text" or other.kind == "footnote" == block.kind):
            return page, place
        if worded and other.kind not in CARRIED:
            return None
    return None
