"""What marks in a model's output are made of, besides tags: labels and coordinates, sound or damaged.

A run of coordinates is found by its signs alone; whether four numbers in it are a box is asked later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LABELS = (
    "title", "sub_title", "text", "list", "image", "figure", "table", "equation", "formula", "caption",
    "image_caption", "figure_caption", "table_caption", "footnote", "table_footnote", "image_footnote",
    "page_footnote", "header", "footer", "page_number",
)  # fmt: skip
TAGS = "\ufde0\ufde1\ufde2\ufde3"  #: what stands for the four tags while they are sorted

ONE = rf"\[[^\[\]\n{TAGS}]{{0,120}}\]"
SEVERAL = rf"{ONE}(?:\s{{0,3}},?\s{{0,3}}{ONE}){{0,200}}"
GROUP = re.compile(rf"\[{{0,2}}\s?{SEVERAL}\s?\]{{0,2}}")
OPEN = re.compile(rf"\[{{1,3}}[^\[\]\n{TAGS}]{{0,120}}")
DIGITS = re.compile(r"\[{1,3}[\d ,.-]*\]{0,2}")
NUMBERED = re.compile(r"[\d\s,.\[\]–-]")
KNOWN = "|".join(sorted(LABELS, key=len, reverse=True))
BEFORE = re.compile(rf"(?P<label>{KNOWN})[ \t*_]{{0,4}}\Z", re.IGNORECASE)
DECORATION = " \t#*_"  #: signs of Markdown that a model may put around a label
NUMBERS = re.compile(r"\d+(?:\.\d+)?")
STRAYS = 2  #: so many letters or pairs of them may have got among coordinates
STRAY = r"[^\W\d_]{1,2}(?=[ \t]*[\[\],\d])"
GOES_ON = re.compile(rf"[ \t]*{STRAY}\]|[\d, ][\d ,.;-]{{0,60}}\]")  #: behind a bracket that closed too early
FARTHEST = 200  #: the most characters of damaged coordinates
TOKEN = re.compile(
    rf"[ \t]*\n?[ \t]*(?:(?P<open>\[)|(?P<close>\])|(?P<number>-?\d{{1,7}}(?:\.\d{{1,8}})?)|(?P<between>[,;.<>|(){{}}])"
    rf"|(?P<stray>{STRAY}))"
)
NAME = re.compile(r"[a-z]{2,30}(?:_[a-z]{1,30}){0,3}")  #: a label that this module need not know


@dataclass(frozen=True)
class Span:
    """Where in the output a mark stands. `whole` is False if a part of it is missing or damaged."""

    start: int
    end: int
    label: str
    boxes: str
    whole: bool


def coordinates(text: str, at: int) -> int:
    """Where the coordinates end that begin at `at`; `at` itself if none do."""
    group = GROUP.match(text, at)
    if group and likely(group[0]):
        return group.end()
    line = OPEN.match(text, at)
    if line and likely(line[0]) and text[line.end() : line.end() + 1] in ("", "\n", *TAGS):
        return line.end()
    digits = DIGITS.match(text, at)
    return digits.end() if digits else at


def likely(text: str) -> bool:
    """Whether a text in brackets is coordinates, as far as a model writes them well."""
    return len(NUMBERED.sub("", text)) <= 3 * any(sign.isdigit() for sign in text)


def label_before(text: str, floor: int, at: int, known: bool = False, inline: bool = False) -> tuple[int, str]:
    """Where the label begins that ends at `at`, and the label: all of the line up to there. If it has to be `known`, it
    is one of LABELS or empty; `inline`, such a label may also end a line of text."""
    floor = max(floor, at - 2000)
    start = floor + text[floor:at].rfind("\n") + 1
    label = text[start:at]
    found = BEFORE.search(label)
    if not known or (found and found["label"] == label.strip(DECORATION)):
        return start, found["label"] if known and found else label
    if inline and found and label[found.start() - 1].isspace():
        return start + found.start(), found["label"]
    return at, ""


def run(text: str, at: int) -> int:
    """Where the numbers and brackets end that begin at `at`, however damaged they are: at their last closing bracket,
    or, without one, at their last number. `at` itself if there is no number."""
    start, depth, opened, strays, end, closed = at, 0, False, 0, at, 0
    while (token := TOKEN.match(text, at)) and token.end() - start <= FARTHEST and strays <= STRAYS:
        kind = token.lastgroup
        numbered = end > start
        if kind == "close" and not numbered and not opened:  # it should have been the other
            kind = "open"
        if "\n" in token[0] and (depth <= 0 or kind == "stray" or (kind == "open" and numbered)):
            break
        if opened and depth <= 0 and kind != "close" and not GOES_ON.match(text, at):
            break
        strays += kind == "stray"
        depth += {"open": 1, "close": -1}.get(kind or "", 0)
        opened = opened or kind in ("open", "close")
        at = token.end()
        if kind == "close":
            closed = at
        elif kind == "number":
            end = at
    return closed or end


def balanced(text: str) -> bool:
    """Whether a text has as many opening as closing brackets."""
    return text.count("[") == text.count("]")
