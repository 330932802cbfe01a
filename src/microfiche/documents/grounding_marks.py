"""The marks in a model's output that say where on its page the text after them stands. They are found by their tags
alone; whether the coordinates in them make sense is asked later, so that a bad box costs no text.

    <|ref|>LABEL<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|> content, to the next mark    DeepSeek-OCR
    <|det|>LABEL [x1, y1, x2, y2]<|/det|>content, to the next mark                        Unlimited-OCR

Where it reads line by line, the LABEL is the text. Servers that drop special tokens leave LABEL[[x1, y1, x2, y2]], and
models leave single tags out; both are still found. This module knows nothing of pages or blocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from microfiche.documents.grounding_bare import bare, torn, trimmed
from microfiche.documents.grounding_coordinates import (
    GROUP,
    LABELS,
    NUMBERS,
    TAGS,
    Span,
    coordinates,
    label_before,
    likely,
)
from microfiche.documents.inline import NONCHARACTERS, visible

REF, REF_END, DET, DET_END = (*TAGS,)
ANY_TAG = re.compile(f"[{TAGS}]")
SIGN = {"ref": REF, "/ref": REF_END, "det": DET, "/det": DET_END}
BAR = "[|｜]"
TAG = re.compile(
    rf"(?:\\?<\s?{BAR}?|{BAR})\s?(?P<name>/?(?:ref|det|grounding))\s?(?:{BAR}\s?(?:\\?>)?|\\?>)", re.IGNORECASE
)
DAMAGED = re.compile(rf"<{BAR}/?[^\w\n<>]?[a-z]{{0,4}}[^\w\n<>]?[a-z]{{0,3}}{BAR}>")
#: What is left of a tag of which more than one sign is damaged.
CRUMB = re.compile(
    r"(?:<[a-z](?=[/|｜]))?[<>|｜/.,]{0,4}(?<![^\W_])s?(?:d[<>|｜/.,]{0,2}e[<>|｜/.,]{0,2}t|r[<>|｜/.,]{0,2}e[<>|｜/.,]{0,2}f)s?"
    rf"(?:[<>|｜/.,]{{1,4}}|(?![^\W_])|(?<=<{BAR}det)|(?<=<{BAR}ref))"
)
PROPER = re.compile(r"</?ref>|\|ref\||\|det\|")  #: which the page itself may hold
CUT_SHORT = re.compile(rf"(?:<{BAR}/?[a-z]{{0,9}}{BAR}?|(?<=[\]\d{TAGS}])\s{{0,9}}<)\Z")
TOKEN = rf"<{BAR}(?!/?(?:ref|det){BAR})[^<>|｜\n]{{1,40}}{BAR}>|</?s>"
AROUND = re.compile(rf"\A(?:\s*(?:{TOKEN}))+|(?:(?:{TOKEN})\s*)+\Z")
WITHIN = re.compile(r"<｜[^<>|｜\n]{1,40}｜>")  #: a token's name, as only these models write it
ESCAPED = re.compile(rf"&lt;({BAR}/?(?:ref|det|grounding){BAR})&gt;")
WRAPPED = re.compile(r"\s*```(?:markdown|md)\s*\n(.*?)\n?```\s*", re.DOTALL)
#: What may stand between <|det|> and <|/det|> besides coordinates: the signs and short names of another notation.
NOTATION = re.compile(r"(?:[^\w\n]|[\d_]|(?<![^\W\d_])[^\W\d_]{1,6}(?![^\W\d_])){1,160}")
LEAST = 3  #: numbers of such coordinates
NUMBER = r"(?<!\w)-?\d{1,7}(?:\.\d{1,8})?\s?[,;\]]"
WORDS = re.compile(rf"(?:(?!{NUMBER})[^\[\]\n{TAGS}]){{0,80}}(?=[\[\]]|{NUMBER})")
PAGE = "<PAGE>"  #: what Unlimited-OCR writes before each page


@dataclass(frozen=True)
class Mark:
    """A mark and what stands after it: its `label`, its `boxes` as they are written, and the `text` to the next one.
    The text before the first mark is under a mark without label."""

    label: str | None
    boxes: str
    text: str


def marks(output: str) -> tuple[list[Mark], int]:
    """The marks of one page's output with the text after each, in order, and how many are damaged."""
    text, broken = _signed(output)
    found: list[Span] = []
    at = 0
    while tag := ANY_TAG.search(text, at):
        span = _span(text, tag, found[-1].end if found else 0)
        if span is None:
            broken += 1
            at = tag.end()
            continue
        found.append(span)
        at = span.end
    tagged = bool(found) or broken > 0
    ends = [0, *(span.end for span in found)]
    starts = [*(span.start for span in found), len(text)]
    untagged = [span for left, right in zip(ends, starts, strict=True) for span in bare(text, left, right, tagged)]
    found = sorted([*found, *untagged], key=lambda span: span.start)
    broken += sum(not span.whole for span in found)
    out = [Mark(None, "", NONCHARACTERS.sub("", text[: found[0].start] if found else text))]
    ends = [*(span.start for span in found), len(text)][1:]
    for span, end in zip(found, ends, strict=True):
        content, pieces = trimmed(text[span.end : end], span.boxes)
        broken += pieces
        out.append(Mark(span.label.strip(), span.boxes, NONCHARACTERS.sub("", content)))
    return out, broken + sum(torn(mark.text) for mark in out)


def _signed(output: str) -> tuple[str, int]:
    """The output with one sign for each tag, and how many tags are damaged beyond recognition or stray."""
    text = ESCAPED.sub(r"<\1>", NONCHARACTERS.sub("", visible(output)))
    text = WITHIN.sub(lambda token: token[0] if TAG.fullmatch(token[0]) else "", AROUND.sub("", text))
    if wrapped := WRAPPED.fullmatch(text):
        text = wrapped[1]
    broken = 0

    def sign(tag: re.Match[str]) -> str:
        nonlocal broken
        fences = sum(sign in "<>|｜" for sign in tag[0])
        if fences < 3:  # <ref> and |ref| may be the page's own
            return tag[0]
        name = tag["name"].lower()
        broken += name.endswith("grounding")
        return SIGN.get(name, "")

    text = TAG.sub(sign, text)
    text, damaged = DAMAGED.subn("", text)
    damaged += sum(_is_tag(found[0]) for found in CRUMB.finditer(text))
    text = CRUMB.sub(lambda found: "" if _is_tag(found[0]) else found[0], text)
    text, cut = CUT_SHORT.subn("", text)
    if text.lstrip().startswith(PAGE) or re.search(rf"{DET}\s*\w", text):
        text = text.lstrip().removeprefix(PAGE)
        broken += text.count(PAGE)
        text = text.replace(PAGE, "\n")
    return text, broken + damaged + cut


def _is_tag(piece: str) -> bool:
    """Whether a piece of a text can only have been a tag: it has both kinds of signs around its name."""
    left = PROPER.sub("", piece)
    return any(sign in "<>" for sign in left) and any(sign in "|｜" for sign in left) and bool(re.search("[dr]", left))


def _span(text: str, tag: re.Match[str], floor: int) -> Span | None:
    """The mark to which `tag` belongs, not before `floor`; None for a stray tag."""
    at = tag.start()
    if tag[0] == REF:
        named = _named(text, tag.end())
        return named and _with_boxes(text, at, *named)
    if tag[0] == REF_END:
        return _with_boxes(text, *label_before(text, floor, at), tag.end(), False)
    if tag[0] == DET:
        return _with_boxes(text, at, None, at, True, floor)
    group = _ending(text, max(floor, at - 400), at)
    return None if group is None else _with_boxes(text, *label_before(text, floor, group), group, False)


def _named(text: str, at: int) -> tuple[str, int, bool] | None:
    """The label that begins at `at`, where it ends with its tag, and whether it has one; None if no label begins."""
    end = _next(text, at)
    label, closed = text[at:end], text[end : end + 1]
    if closed == REF_END:
        return label, end + 1, True
    if closed == DET:
        return label, end, False
    if closed == REF and re.compile(rf"\s*{DET}").match(text, end + 1):  # it should have been the other
        return label, end + 1, False
    group = next((group for group in GROUP.finditer(label) if likely(group[0])), None)
    label = label[: group.start()] if group else label.split("\n", 1)[0]
    if group or any(name.startswith(label.strip().lower()) for name in LABELS):
        return label, at + len(label), False
    return None  # these words may be the text


def _ending(text: str, floor: int, at: int) -> int | None:
    """Where the coordinates begin that end at `at`, if any do."""
    window = text[floor:at].rstrip()
    for group in GROUP.finditer(window):
        if group.end() == len(window) and likely(group[0]):
            return floor + group.start()
    return None


def _with_boxes(text: str, start: int, label: str | None, after: int, whole: bool, floor: int = 0) -> Span:
    """The mark that begins at `start`, with what follows its label at `after`; None is a label that is still to be
    found, within the coordinates' tags or before them, from `floor` on."""
    opened = re.compile(rf"\s*{DET}?\s*").match(text, after)
    assert opened is not None
    begin = opened.end()
    if DET not in opened[0]:
        end = coordinates(text, begin)
        closed = re.compile(rf"\s*{DET_END}").match(text, end)
        if end == begin and not closed:
            return Span(start, after, label or "", "", False)
        return Span(start, closed.end() if closed else end, label or "", text[begin:end], False)
    end = _next(text, begin)
    closing = text[end : end + 1] == DET_END
    if closing and label and NOTATION.fullmatch(text, begin, end) and len(NUMBERS.findall(text, begin, end)) >= LEAST:
        return Span(start, end + 1, label, text[begin:end], whole)
    number = WORDS.match(text, begin, end)
    if number is None and closing:  # there is no box in it, and perhaps its label
        return Span(start, end + 1, label or text[begin:end], "", False)
    first = number.end() if number else begin
    prefix = text[begin:first].strip()
    if label is None and prefix:
        label = prefix
    elif label is None:
        start, label = label_before(text, floor, start, known=True)
        whole = False
    elif prefix:
        label, whole = f"{label} {prefix}", False
    last = _balanced(text, first, end) if closing else coordinates(text, first)
    if re.search(r"[^\W\d]", text[last:end]):  # content before the tag that should have come first
        return Span(start, last, label, text[first:last], False)
    if closing:
        return Span(start, end + 1, label, text[first:end], whole)
    other = text[end : end + 1] == DET and not WORDS.match(text, end + 1)
    return Span(start, end + 1 if other else last, label, text[first:last], False)


def _next(text: str, at: int) -> int:
    """Where the next tag stands after `at`, or the text ends."""
    tag = ANY_TAG.search(text, at)
    return tag.start() if tag else len(text)


def _balanced(text: str, at: int, end: int) -> int:
    """Where the brackets that open at `at` are closed, before `end`; what is never closed goes to the last bracket."""
    depth = 0
    for i in range(at, end):
        depth += {"[": 1, "]": -1}.get(text[i], 0)
        if depth == 0 and text[at] == "[":
            return i + 1
    last = text.rfind("]", at, end) + 1
    return last if last and likely(text[at:last]) else coordinates(text, at)
