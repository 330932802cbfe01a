"""Marks within a line of text: raised and lowered signs, text struck out, links, formulas; and their Markdown.

Until a block is done, its text is plain and its marks are noncharacters (Unicode 23.7), which no document can hold:
`text_lines` takes them out of whatever comes in. So lines can be joined, divided and compared, and only `markdown`
escapes and writes marks.
"""

from __future__ import annotations

import re

RAISED = ("\ufdd0", "\ufdd1")  #: begins and ends a superscript
LOWERED = ("\ufdd2", "\ufdd3")  #: begins and ends a subscript
STRUCK = ("\ufdd4", "\ufdd5")  #: begins and ends text that is struck out
LINK = ("\ufdd6", "\ufdd7", "\ufdd8")  #: begins a link's words, divides them from its address, ends it
FORMULA = ("\ufdd9", "\ufdda")  #: begins and ends LaTeX
BREAK = "\ufddb"  #: a line end that stays one, as in an address or in code
NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")
LINKED = re.compile(f"{LINK[0]}([^{LINK[1]}]*){LINK[1]}([^{LINK[2]}]*){LINK[2]}")
SAFE = ("http://", "https://", "mailto:")  #: how the address of a link begins
SHOWN = {RAISED: ("<sup>", "</sup>"), LOWERED: ("<sub>", "</sub>"), STRUCK: ("~~", "~~"), FORMULA: ("$", "$")}


def marked(text: str, mark: tuple[str, str]) -> str:
    """The text between the two signs of a mark; an empty text stays empty."""
    return f"{mark[0]}{text}{mark[1]}" if text else text


def linked(text: str, address: str) -> str:
    """The text as the words of a link to `address`."""
    return f"{LINK[0]}{text}{LINK[1]}{address}{LINK[2]}"


def unmarked(text: str) -> str:
    """The text as it is seen: without marks and without the addresses of links."""
    return NONCHARACTERS.sub("", LINKED.sub(r"\1", text.replace(BREAK, "\n")))


def markdown(text: str) -> str:
    """Plain text with marks as Markdown: what would be taken for markup is escaped, links go to http, https and mailto
    alone, and raised, lowered and struck text is written as sup, sub and ~~."""
    for mark, (begin, end) in SHOWN.items():
        text = text.replace(mark[0], begin).replace(mark[1], end)
    return LINKED.sub(_link, text).replace(BREAK, "  \n")


def _link(match: re.Match[str]) -> str:
    words, address = match.groups()
    return f"[{words}](<{address}>)" if address.startswith(SAFE) else words
