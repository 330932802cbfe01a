"""Markdown that stands already: made safe where somebody else wrote it, and turned back into the words that it shows.

Models write Markdown, and who writes on a page can make them write what he likes. So their raw HTML is escaped but for
raised, lowered and struck text and line ends, links go to pages and letters alone, and pictures become their words.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from microfiche.documents.inline import HTML, MATH, active, visible

PUNCTUATION = r"\\[!-/:-@\[-`{-~]"
LATEX = r"\$\$.{1,4000}?\$\$|\\\((?:[^\\]|\\.){1,4000}?\\\)|\\\[(?:[^\\]|\\.){1,4000}?\\\]"
CODE = r"(?<!`)(?P<ticks>`{1,9})(?!`)(?P<code>[^\n]{1,1000}?)(?<!`)(?P=ticks)(?!`)"
WORDS = r"(?P<words>(?:[^\[\]\\]|\\.|\[(?:[^\[\]\\]|\\.){0,200}\]){0,1000})"
TARGET = r"\((?:[^()\n\\]|\\.|\([^()\n]{0,200}\)){0,2000}\)"
PAGES = r"(?:https?://|mailto:)"
GOOD_TARGET = re.compile(
    rf"\]\((?:<{PAGES}[^<>\n\\]*>|{PAGES}(?:[^\s<>()\\]|\([^\s<>()\\]*\))*)(?:\s+\"[^\"\n\\<]*\")?\)", re.IGNORECASE
)
TAG = r"</?(?:sup|sub|del)>|<br ?/?>"
ALLOWED = re.compile(rf"{TAG}|<{PAGES}[^\s<>\\]*>")
HAZARD = re.compile(r"<|\]\(|\]:")
FOREIGN = re.compile(
    rf"{MATH.pattern}|{LATEX}|{PUNCTUATION}|{CODE}|!\[{WORDS}\]{TARGET}"
    rf"|^(?:[ \t>]|[-*+][ \t]|\d{{1,9}}[.)][ \t])*\[(?={WORDS.replace('words', 'label')}\]:)|{HTML}|\](?=\()",
    re.DOTALL | re.MULTILINE,
)
SHOWN = re.compile(
    rf"(?P<formula>{MATH.pattern}|{LATEX})|{PUNCTUATION}|{CODE}|!?\[{WORDS}\]{TARGET}|{TAG}|<(?P<auto>{PAGES}[^\s<>]*)>"
    r"|&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{0,31});|  \n|(?P<run>~~|\*{1,3}|_{1,3})",
    re.DOTALL,
)
MARKS = re.compile(r"[\\`*_~<&\[$]|  \n")
FENCED = re.compile(r"\s*(`{3,}|~{3,})[^\n]*\n(.*?)\n?\1\s*", re.DOTALL)


def guarded(text: str) -> str:
    """Markdown that somebody else wrote, without what could harm who looks at it. What was safe stays as it is."""
    text = visible(text)
    if not HAZARD.search(text):
        return text
    for name in ("sup", "sub", "del"):
        if text.count(f"<{name}>") != text.count(f"</{name}>"):
            text = re.sub(rf"(?<!\\)<(?=/?{name}>)", "&lt;", text)
    return FOREIGN.sub(_guarded, text)


def _guarded(found: re.Match[str]) -> str:
    piece = found[0]
    if piece == "\\<":
        return "&lt;"
    if piece == "<":
        return "<" if ALLOWED.match(found.string, found.start()) else "&lt;"
    if piece == "]":
        return "]" if GOOD_TARGET.match(found.string, found.start()) else "]\\"
    if found["words"] is not None:
        return guarded(found["words"])
    if found["label"] is not None:
        return f"{piece[:-1]}\\["
    if found["code"] is not None:
        return guarded(found["code"]) if HAZARD.search(piece) else piece
    if len(piece) > 2:  # a formula, which nothing may escape: a space does as well
        return re.sub(r"<(?=[A-Za-z/!?])", "< ", piece).replace("](", "] (").replace("]:", "] :")
    return piece


def plain(text: str) -> str:
    """The words that Markdown within a block shows: without escapes, marks and the addresses of links. LaTeX stays."""
    if not MARKS.search(text):
        return text
    return SHOWN.sub(_plain(text), text)


def _plain(text: str) -> Callable[[re.Match[str]], str]:
    struck, starred, ruled = active(text, "~"), active(text, "*"), active(text, "_")

    def shown(found: re.Match[str]) -> str:
        piece = found[0]
        if piece == "  \n":
            return "\n"
        if found["formula"] is not None:
            return re.sub(r"^(?:\$\$?|\\[(\[])\s*|\s*(?:\$\$?|\\[)\]])$", "", piece)
        if found["code"] is not None:
            return found["code"].strip() or piece
        if found["words"] is not None:
            return plain(found["words"])
        if found["auto"] is not None:
            return found["auto"]
        if found["run"] is not None:
            if piece[0] == "_" and found.string[found.start() - 1 : found.start()].isalnum() and found.string[
                found.end() : found.end() + 1
            ].isalnum():
                return piece
            return "" if {"~": struck, "*": starred, "_": ruled}[piece[0]] else piece
        if piece[0] == "<":
            return "\n" if piece.startswith("<br") else ""
        return piece[1:] if piece[0] == "\\" else html.unescape(piece)

    return shown


def code(text: str) -> str:
    """The lines in a fenced block."""
    found = FENCED.fullmatch(text)
    return found[2] if found else text


def fenced(text: str) -> str:
    """Lines of code as a fenced block, which no line in it ends. A block that is fenced already keeps its language."""
    found = FENCED.fullmatch(text)
    named = re.match(r"\s*(?:`+|~+)[^\S\n]*([\w+#.-]*)[^\S\n]*\n", text) if found else None
    lines = visible(code(text))
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", lines)), default=0))
    return f"{fence}{named[1] if named else ''}\n{lines}\n{fence}"
