"""A parser for what DeepSeek-OCR writes with <|grounding|>: a strict grammar; nothing in the text is evaluated.

    <|ref|>LABEL<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|> content, to the next <|ref|>

Coordinates are integers from 0 to 999 over the original page (reference: DeepSeek-OCR's own post-processing). Servers
change that: they leave the tags out (LABEL[[x1, y1, x2, y2]]), escape them, give shares of the page or 1000, or leave
the mark in that ends the output. The content is Markdown of a model, which anyone may have made write anything: it is
divided into blocks, and made safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from microfiche.documents.boxes import WholeBox, rounded, scaled, union
from microfiche.documents.document import Block, Kind
from microfiche.documents.inline import visible
from microfiche.documents.markup import fenced, guarded
from microfiche.documents.table_markup import TABLE, safe

NUMBER = r"\s*-?\d{1,4}(?:\.\d{1,8})?\s*"
NUMBERS = rf"\[{NUMBER}(?:,{NUMBER}){{3}},?\s*\]"
BOXES = rf"\[\s*(?:{NUMBERS}\s*,?\s*){{1,200}}\]|{NUMBERS}"
MARK = re.compile(
    rf"<\|ref\|>(?P<label>[^<>|]{{1,200}}?)<\|/ref\|>\s*<\|det\|>\s*(?P<boxes>{BOXES})\s*<\|/det\|>"
)
BARE = re.compile(
    r"^[ \t]{0,8}(?P<label>[^\[\]<>|\s][^\[\]<>|\n]{0,60})"
    rf"(?P<boxes>\[\s*{NUMBERS}(?:\s*,\s*{NUMBERS}){{0,200}}\s*\])[ \t]*(?=\n|\Z)",
    re.MULTILINE,
)
BOX = re.compile(NUMBERS)
TAG = re.compile(r"<\|/?(?:ref|det|grounding)\|>")
BROKEN = re.compile(
    r"<\|ref\|>[^<>|\n]{0,60}(?:<\|/ref\|>\s{0,9}(?:<\|det\|>[\[\]\d\s,.-]*)?)?(?:<\|?/?[a-z]{0,3}\|?)?\Z"
    r"|<\|/?(?:r|re|ref|d|de|det)?\|?\Z|<\|det\|>\s*\[[\[\]\d\s,.-]*(?:<\|/det\|>|\Z)"
)
TOKEN = re.compile(r"<[|｜][^<>|｜\n]{1,40}[|｜]>|</?s>\s*\Z|\A\s*<s>")
WIDE = str.maketrans("｜［］，", "|[],")
ESCAPED = re.compile(r"&lt;(\|/?(?:ref|det|grounding)\|)&gt;")
WRAPPED = re.compile(r"\s*```(?:markdown|md)\s*\n(.*?)\n?```\s*", re.DOTALL)
CENTRE = re.compile(r"</?center>")
HEADING = re.compile(r"(#{1,6})[ \t]+([^\n]*)(?:\n|\Z)")
ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]")
RULE = re.compile(r"[ \t]*([-*_])(?:[ \t]*\1){2,}[ \t]*")
DISPLAY = re.compile(r"\$\$.*\$\$|\\\[.*\\\]", re.DOTALL)
FENCE = re.compile(r"^(`{3,}|~{3,})[^\n`]*\n(?:.*?\n)?\1[ \t]*$", re.MULTILINE | re.DOTALL)
LABELS: dict[str, tuple[Kind, int | None]] = {
    "title": ("title", 1),
    "sub_title": ("title", 2),
    "text": ("text", None),
    "list": ("list", None),
    "image": ("figure", None),
    "figure": ("figure", None),
    "table": ("table", None),
    "equation": ("formula", None),
    "formula": ("formula", None),
    "image_caption": ("caption", None),
    "figure_caption": ("caption", None),
    "table_caption": ("caption", None),
    "table_footnote": ("footnote", None),
    "image_footnote": ("footnote", None),
    "page_footnote": ("footnote", None),
    "header": ("header", None),
    "footer": ("footer", None),
    "page_number": ("footer", None),
}
FULL = 999
BEYOND = 1010  #: up to which a coordinate is taken for the page's edge
REPEATS, LEAST, REACH = 4, 400, 16384  #: of a loop: repetitions, characters, and how many of the last are searched


def parse(output: str, width: int, height: int) -> tuple[list[Block], str]:
    """The blocks of a page of `width` × `height` px that a model's `output` describes, and what is wrong with it ("" if
    nothing is).

    Text outside all marks becomes blocks over the whole page. A mark with several boxes gives a figure for each box, or
    one block around all of them. Marks that do not follow the grammar are taken out, and their text is kept.
    """
    blocks: list[Block] = []
    page = (0, 0, width, height)
    output = _normal(output)
    marks = list(MARK.finditer(output))
    if not marks:
        marks = [m for m in BARE.finditer(output) if m["label"].strip().lower() in LABELS or "[[" in m["boxes"]]
    ends = [*(m.start() for m in marks), len(output)][1:]
    wrong = 0

    def clean(text: str) -> str:
        nonlocal wrong
        text, broken = BROKEN.subn("", text)
        wrong += broken + len(TAG.findall(text))
        return tidy(TAG.sub("", text))

    blocks += _blocks(clean(output[: marks[0].start()] if marks else output), "text", None, page)
    for mark, end in zip(marks, ends, strict=True):
        boxes = [_pixels(box, width, height) for box in BOX.findall(mark["boxes"])]
        good = [box for box in boxes if box is not None]
        if len(good) < len(boxes) or not boxes:
            wrong += 1
        label = mark["label"].strip()
        known = label.lower() in LABELS
        kind, level = LABELS.get(label.lower(), ("text", None))
        text = clean(output[mark.end() : end])
        if not known and not text:
            text = label  # <|ref|> also names what was located: its words are the content
        if kind == "figure":
            blocks += [Block(kind=kind, box=box) for box in good]
            kind, around = "text", good[0] if good else page
        else:
            around = rounded(union(good)) if good else page
        blocks += _blocks(text, kind, level, around)
    return blocks, f"{wrong} marks of its output do not follow the grammar" if wrong else ""


def _normal(output: str) -> str:
    """A model's output with its tags as the grammar has them, and without other marks of its making."""
    output = visible(output)
    output = ESCAPED.sub(r"<\1>", output)
    output = re.sub(r"<[|｜]/?(?:ref|det|grounding)[|｜]>", lambda tag: tag[0].translate(WIDE), output)
    output = TOKEN.sub(lambda token: token[0] if TAG.fullmatch(token[0]) else "", output)
    wrapped = WRAPPED.fullmatch(output)
    return wrapped[1] if wrapped else output


def _blocks(text: str, kind: Kind, level: int | None, box: WholeBox) -> Iterator[Block]:
    """The blocks that the content of one mark makes up, all of them in its box."""
    if kind == "title":
        words = re.sub(r"\A#+\s*", "", " ".join(text.split()))
        bold = re.fullmatch(r"\*\*([^*]+)\*\*", words)
        yield Block(kind=kind, box=box, text=guarded(bold[1] if bold else words), level=level)
        return
    if kind not in ("text", "list", "table"):
        yield Block(kind=kind, box=box, text=guarded(text), level=level)
        return
    for its, part in _parts(text):
        its_level = None
        if its == "title":
            heading = HEADING.match(part)
            assert heading is not None
            part, its_level = re.sub(r"(?<!\S)#+$", "", heading[2].strip()), len(heading[1])
        if part.strip():
            yield Block(kind=kind if its == "text" else its, box=box, text=part, level=its_level)


def _parts(text: str) -> Iterator[tuple[Kind, str]]:
    """Markdown in parts, each with its kind, and each made safe."""
    at = 0
    for found in sorted([*FENCE.finditer(text), *TABLE.finditer(text)], key=lambda found: found.start()):
        if found.start() < at:
            continue
        yield from _paragraphs(text[at : found.start()])
        if found[0][0] == "<":
            yield "table", safe(found[0])
        else:
            yield "code", fenced(found[0])
        at = found.end()
    yield from _paragraphs(text[at:])


def _paragraphs(text: str) -> Iterator[tuple[Kind, str]]:
    for paragraph in re.split(r"\n[ \t]*\n", text):
        part = paragraph.strip("\n").rstrip()
        while heading := HEADING.match(part):
            yield "title", guarded(heading[0].rstrip("\n"))
            part = part[heading.end() :]
        lines = [re.sub(r"^(?:[ \t]*>)+[ \t]?", "", line) for line in part.split("\n") if not RULE.fullmatch(line)]
        part = guarded("\n".join(lines))
        if not part.strip():
            continue
        if ITEM.match(part):
            yield "list", part
        elif len(lines) > 1 and lines[0].lstrip().startswith("|"):
            yield "table", part
        elif DISPLAY.fullmatch(part.strip()):
            yield "formula", part.strip()
        else:
            yield "text", part.strip()


def loop(output: str) -> int | None:
    """Where to cut an output that ends by repeating a block of any length at least REPEATS times, over at least LEAST
    characters: after the block's first occurrence. None if it does not end so."""
    backwards = output[: -REACH - 1 : -1]
    matched = [0] * len(backwards)  # the prefix function: how much of the start each position ends with
    found, k = None, 0
    for i in range(1, len(backwards)):
        while k and backwards[i] != backwards[k]:
            k = matched[k - 1]
        k += backwards[i] == backwards[k]
        matched[i] = k
        period, length = i + 1 - k, i + 1
        if length >= LEAST and length >= REPEATS * period:
            found = len(output) - length + period
    return found


def tidy(text: str) -> str:
    """Text as the official post-processing leaves it."""
    text = CENTRE.sub("", text).replace("\\coloneqq", ":=").replace("\\eqqcolon", "=:")
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _pixels(text: str, width: int, height: int) -> WholeBox | None:
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]
    if "." in text and max(numbers) <= 1:
        numbers = [FULL * number for number in numbers]
    if not all(FULL - BEYOND <= number <= BEYOND for number in numbers):
        return None
    left, top, right, bottom = (min(max(number, 0), FULL) for number in numbers)
    if left > right or top > bottom:
        return None
    return rounded(scaled((left, top, right, bottom), width / FULL, height / FULL))
