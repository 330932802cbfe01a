"""Marks whose tags a server dropped, and damaged marks: what is left to find once the tags are sorted.

    LABEL[[x1, y1, x2, y2]] content, to the next mark       DeepSeek-OCR, where special tokens are dropped
    LABEL [x1, y1, x2, y2]content, to the next mark         Unlimited-OCR, the same
    words[[x1, y1, x2, y2]]                                 both, where they read line by line

A citation or an interval is none of these. A label stands at the beginning of a line, and after it comes a box that a
block of a page may have, or coordinates that no writer would set so: stuck to the label or to the words after them, or
with brackets that do not match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from microfiche.documents.grounding_coordinates import (
    KNOWN,
    LABELS,
    NAME,
    NUMBERS,
    SEVERAL,
    TAGS,
    Span,
    balanced,
    label_before,
    likely,
    run,
)

DOUBLE = re.compile(rf"\[\s?{SEVERAL}\s?,?\s?\]")
OPERATOR = re.compile(r"[=([{,:+*/-]\Z")  #: after which a list of numbers is a value
FENCE = re.compile(r"^(`{3,}|~{3,})[^\n`]*\n(?:.*?\n)?\1[ \t]*$", re.MULTILINE | re.DOTALL)
HEAD = re.compile(
    rf"^[ \t]{{0,4}}(?P<stray>[^\w\s\[\]]{{0,3}}[ \t]?)(?P<label>(?i:{KNOWN})|{NAME.pattern})"
    r"(?P<between>[ \t*_:<>(),.|]{0,4}(?:(?<=[ \t])[^\W\d_](?=\[))?)(?P<below>\n?)(?=[\[\]\d-])",
    re.MULTILINE,
)
BOX = re.compile(r"(\[{1,2})\s*-?[\d.]{1,10}(?:\s*,\s*-?[\d.]{1,10}){3}\s*(\]{1,2})")
FRONT = re.compile(r"(?:[\[\]][\[\]\d ,;.|()<>-]{0,60}|\[[^\w\[\]\n])\Z")  #: a piece of coordinates before others
TAIL = re.compile(r"(?:[\[\]]|(?<!\w)\d)(?:[\[\]\d ,;.<>|()-]|(?<=[\d\[\], ])[^\W\d_](?=[\d\[\], ])){4,120}\Z")
FIRST = re.compile(r"\d{1,4}[ ,]{0,3}\Z")  #: the first of four numbers that lost its bracket before a word's end
CLEAN = re.compile(r"[\[\]\d ,.-]*")
#: What stands between two numbers, however damaged: signs, and perhaps a stray letter.
BREAK = r"(?:[^\w\n]{1,5}|[^\w\n]{0,3}[^\W\d_][^\w\n]{1,3}|[^\w\n]{1,3}[^\W\d_][^\w\n]{0,3})"
#: A label and three or four numbers at the beginning of a line, whatever the signs between them were.
SHATTERED = re.compile(
    rf"^[^\w\n]{{0,4}}(?P<label>{KNOWN})(?P<written>[^\w\n]{{0,5}}(?:[^\W\d_](?=[\[\]\d<>|/]))?[^\w\n]{{0,3}}"
    rf"\d{{1,4}}(?:{BREAK}\d{{1,4}}){{2,3}}(?!\d)(?:[^\w\s]|[ \t]+[\]|<>](?!\w)){{0,4}})",
    re.MULTILINE,
)
#: The same at the end of a line whose text is the label.
ENDING = re.compile(
    rf"[^\w\n]{{1,6}}(?:[^\W\d_](?=[^\w\n]|\d))?[^\w\n]{{0,3}}\d{{1,4}}(?:{BREAK}\d{{1,4}}){{2,4}}[^\w\n]{{0,4}}[^\W\d_]?"
    r"[^\w\n]{0,3}\Z"
)
#: A label and at least three numbers that were left in a text.
REMNANT = re.compile(
    rf"^[^\w\n]{{0,4}}(?:{KNOWN})(?P<written>[^\w\n]{{0,5}}(?:[^\W\d_](?=[\[\]\d<>|/]))?[^\w\n]{{0,3}}\d"
    r"(?:[^\w\n]|\d|[^\W\d_](?=[\W\d])){6,60})",
    re.MULTILINE,
)
PROSE = re.compile(r" [\d ,./()&–-]+[.;:)]?")  #: numbers as a writer sets them
LONGEST = 160  #: the most characters of the end of a line in which coordinates are sought
FARTHEST, PAGE_WIDE, CLOSE = 1010, 100, 20  #: of the numbers of a box: the most, and what tells it from citations
LEADING = re.compile(rf"\A[\s,;{TAGS}]{{0,4}}[\d ,.;:|<>-]{{0,60}}\]{{1,3}}[>|)}}]{{0,2}}")
REST = re.compile(
    rf"\A[>|)}}]{{1,2}}(?=\s|\Z)|"
    rf"\A[ ,;{TAGS}]{{0,4}}\d{{1,4}}(?:[ ,;.]{{1,3}}\d{{1,4}}){{0,3}}[\] ]{{0,3}}(?=[{TAGS}\n]|\Z)"
)
TRAILING = re.compile(r"(?:\[\[\s{0,2}[\d ,.;-]{0,60}|\[\s{0,2}\d{1,4}(?:[ ,;.]{1,3}\d{1,4}){1,3}[ ,;.]{0,3})\Z")
LIST = r"\d{1,7}(?:[ ,;.]{1,5}\d{1,7}){2,6}"
TORN = re.compile(rf"\[\s?{LIST}|{LIST}\s?\]|\[\[\s?\d|\d\s?\]\]")
STUCK = re.compile(r"(?<=\w)\[\d{1,4}(?:,\s?\d{1,4}){3}\]\s*$", re.MULTILINE)
OPENED = re.compile(r"\[\[\s?\d[^\[\]\n]{0,60}\](?!\s?[\],])")


def bare(text: str, left: int, right: int, tagged: bool) -> Iterator[Span]:
    """The marks without tags, whole or damaged, between two places of an output, which is `tagged` if tags were found
    in it."""
    if not NUMBERS.search(text, left, right) and "[" not in text[left:right]:
        return
    fences = [found.span() for found in FENCE.finditer(text, left, right)]

    def outside(span: Span) -> bool:
        return not any(a <= span.start < b for a, b in fences)

    found = list(filter(outside, _doubled(text, left, right, tagged)))
    ends = [left, *(span.end for span in found)]
    starts = [*(span.start for span in found), right]
    for a, b in zip(ends, starts, strict=True):
        found += filter(outside, _labelled(text, a, b, tagged or bool(found)))
    found.sort(key=lambda span: span.start)
    yield from found
    lines = sum(bool(line.strip()) for line in text[left:right].split("\n"))
    by_line = [span for span in found if span.label.strip().lower() not in LABELS and not _rest(text, span.end, right)]
    searches = (_shattered, _at_ends) if 2 * len(by_line) < max(2, lines) else (_shattered, _line_ends, _at_ends)
    for search in searches:
        ends = [left, *(span.end for span in found)]
        starts = [*(span.start for span in found), right]
        marked = tagged or bool(found)
        more = [span for a, b in zip(ends, starts, strict=True) for span in search(text, a, b, marked) if outside(span)]
        yield from more
        found = sorted([*found, *more], key=lambda span: span.start)


def trimmed(text: str, boxes: str) -> tuple[str, int]:
    """The text after a mark with these `boxes` without the pieces of coordinates at its beginning and its end, and how
    many there were. If the box has too few numbers, those on the rest of its line are its own."""
    pieces = 0
    few = len(NUMBERS.findall(boxes)) < 4
    while found := LEADING.match(text) or (REST.match(text) if few and not pieces else None):
        text, pieces = text[found.end() :], pieces + 1
    end = text.rstrip()
    if found := TRAILING.search(end, max(0, len(end) - LONGEST)):
        text, pieces = text[: found.start()], pieces + 1
    return text, pieces


def torn(text: str) -> int:
    """How many paragraphs of a text hold what may be a piece of a mark: numbers beside a bracket without its other, or
    behind a label."""
    count = 0
    for paragraph in re.split(r"\n[ \t]*\n", FENCE.sub("", text)):
        for found in REMNANT.finditer(paragraph):
            numbers = [float(number) for number in re.findall(r"\d+", found["written"])]
            odd = not PROSE.fullmatch(found["written"].rstrip()) and len(numbers) > 2
            box = "," in found["written"] and len(numbers) == 4 and _of_a_block(numbers)
            count += (odd or box) and PAGE_WIDE <= max(numbers) <= FARTHEST
        if "[" in paragraph or "]" in paragraph:
            stuck = [[float(number) for number in NUMBERS.findall(found[0])] for found in STUCK.finditer(paragraph)]
            count += bool(
                (not balanced(paragraph) and TORN.search(paragraph))
                or OPENED.search(paragraph)
                or any(map(_of_a_block, stuck))
            )
    return count


def _doubled(text: str, left: int, right: int, tagged: bool) -> Iterator[Span]:
    """The marks in double brackets."""
    groups = [group for group in DOUBLE.finditer(text, left, right) if likely(group[0])]
    lines = sum(bool(line.strip()) for line in text[left:right].split("\n"))
    at_ends = sum(not _rest(text, group.end(), right) for group in groups)
    every = bool(groups) and not tagged and 2 * at_ends >= lines
    sure = every or any(label_before(text, left, group.start(), True, True)[1] for group in groups)
    floor = left
    for group in groups:
        front = FRONT.search(text, max(floor, group.start() - LONGEST), group.start())
        begin = front.start() if front else group.start()
        start, label = label_before(text, floor, begin, True, not every)
        if not label and not tagged:
            start, label = label_before(text, floor, begin)
            close = label == label.rstrip() and not OPERATOR.search(label)
            alone = close and bool(group[0].strip("[] ")) and not _rest(text, group.end(), right)
            if not (alone or (every and len(groups) > 1)):
                continue
        if label or not tagged:
            yield Span(start, group.end(), label, text[begin : group.end()], sure and front is None)
            floor = group.end()


def _rest(text: str, at: int, end: int) -> str:
    line = text.find("\n", at, end)
    return text[at : end if line < 0 else line].strip()


def _labelled(text: str, left: int, right: int, marked: bool) -> Iterator[Span]:
    """The marks with a label at the beginning of a line, in single brackets or with damaged ones. Where nothing but
    their place says that they are marks, the output has to begin with one; `marked` says that there are others in
    it."""
    sure: list[Span] = []
    perhaps: list[Span] = []
    for head in HEAD.finditer(text, left, right):
        end = min(run(text, head.end()), right)
        written = text[head.end() : end]
        numbers = [float(number) for number in NUMBERS.findall(written)[:9]]
        box = BOX.fullmatch(written.strip())
        four = box is not None and len(box[1]) == len(box[2])
        stuck = text[end : end + 1].isalnum() and end > head.end()
        broken = not balanced(written) or "[[" in written or "]]" in written
        span = Span(head.start(), end, head["label"], written, four and not head["stray"])
        if head["label"].lower() in LABELS:
            block = len(numbers) == 4 and _of_a_block(numbers)
            if (block and (marked or "[" in written)) or (
                len(numbers) >= 3 and (broken or (not head["below"] and (stuck or not head["between"])))
            ):
                sure.append(span)
                continue
            if block and "\n" not in written and not _rest(text, end, right):
                perhaps.append(span)
                continue
        listed = written.startswith("[") and balanced(written) and likely(f"{written}0")
        if stuck and listed and not head["below"] and len(numbers) != 1:
            perhaps.append(Span(span.start, end, span.label, written, True))
    every = sorted([*sure, *perhaps], key=lambda span: span.start)
    begins = bool(every) and not marked and not text[left : every[0].start].strip()
    yield from every if begins else sure


def _of_a_block(numbers: list[float]) -> bool:
    """Whether four numbers are a box that a block of a page may have, rather than citations, which are small or follow
    one another."""
    left, top, right, bottom = numbers
    if not (left < right and top < bottom):
        return False
    if max(numbers) <= 1:
        return True
    cited = sorted(numbers) == numbers and bottom - left < CLOSE
    return PAGE_WIDE <= max(numbers) <= FARTHEST and not cited


def _shattered(text: str, left: int, right: int, marked: bool) -> Iterator[Span]:
    """The marks at the beginning of a line of which more than one sign is damaged: a label and numbers that may be a
    box's, which no writer would set so."""
    for found in SHATTERED.finditer(text, left, right):
        written = found["written"]
        numbers = [float(number) for number in re.findall(r"\d+", written)]
        after = text[found.end() : found.end() + 1]
        prose = PROSE.fullmatch(written) and not (after and after.isalnum())
        box = marked and "," in written and len(numbers) == 4 and _of_a_block(numbers)
        if (box or not prose) and PAGE_WIDE <= max(numbers) <= FARTHEST:
            yield Span(found.start(), found.end(), found["label"], written, False)


def _line_ends(text: str, left: int, right: int, marked: bool) -> Iterator[Span]:
    """The marks at the ends of lines of which more than one sign is damaged, in a text that was read line by line."""
    start = left
    for line in text[left:right].split("\n"):
        end = start + len(line.rstrip())
        found = ENDING.search(text, max(start, end - LONGEST), end)
        if found and PAGE_WIDE <= max(int(number) for number in re.findall(r"\d+", found[0])) <= FARTHEST:
            yield Span(start, end, text[start : found.start()], found[0], False)
        start += len(line) + 1


def _at_ends(text: str, left: int, right: int, marked: bool) -> Iterator[Span]:
    """The damaged marks at the ends of lines; their label is the line. In a text without other marks, where `marked` is
    False, they have double brackets."""
    at = left
    for paragraph in re.split(r"(\n[ \t]*\n)", text[left:right]):
        lines = paragraph.split("\n") if "[" in paragraph or "]" in paragraph else []
        torn_here = not balanced(paragraph)
        start = at
        for line in lines:
            end = start + len(line.rstrip())
            tail = TAIL.search(text, max(start, end - LONGEST), end)
            double = tail is not None and ("[[" in tail[0] or "]]" in tail[0])
            odd = tail is not None and double and not CLEAN.fullmatch(tail[0].rstrip(").,;>}"))
            broken = tail is not None and torn_here and not balanced(tail[0]) and (marked or double)
            if tail and (odd or broken) and len(NUMBERS.findall(tail[0])) >= 3:
                first = FIRST.search(text, start, tail.start()) if len(NUMBERS.findall(tail[0])) == 3 else None
                begin = first.start() if first else tail.start()
                yield Span(start, tail.end(), text[start:begin], text[begin : tail.end()], False)
            start += len(line) + 1
        at += len(paragraph)
