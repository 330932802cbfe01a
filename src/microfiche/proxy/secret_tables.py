"""Values that stand far below the name that calls them secret: rows of SQL, of JSON and of HTML below the names of
their columns, sections of settings, and texts that a command is given in place.

This module knows nothing of which names call something secret: it is told where they stand.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

Span = tuple[int, int]
_TABLE = r"([\w.\"`\[\]$-]{1,120})"
_CREATED = re.compile(rf"\bcreate\s+(?:\w+\s+){{0,3}}table\s+(?:if\s+not\s+exists\s+)?{_TABLE}\s*\(")
_FILLED = re.compile(
    rf"\b(?:(?:insert|replace)\s+(?:\w+\s+){{0,2}}into\s+|merge\s+into\s+|copy\s+){_TABLE}\s*(?=\(|\b(?:values|from|select))"
)
_ENDS = {"c": re.compile(r"\n\\\.|\n[ \t]*\n"), "i": re.compile(r";[ \t]*(?=\n|\Z)|\n[ \t]*\n")}
_ITEM = re.compile(r"[\[,]\s{0,40}[\"'][^\"'\n\[\]{}]{0,60}\Z"), re.compile(r"[^\"'\n\[\]{}]{0,60}[\"']\s{0,40}[,\]]")
_ROWS = re.compile(r"[^\[\]{}]{0,4000}\]\s{0,80},?\s{0,80}(?:[\"'][\w -]{1,30}[\"']\s{0,9}:\s{0,80})?\[")
_SIGN = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|[\[{]|[\]}]|\n[ \t]*\n")
_CELL_OF_HEAD = re.compile(r"<th\b[^>]{0,80}>[^<]{0,60}\Z")
_SECTION = re.compile(r"[ \t]*\[{1,2}[^\[\]\n]{1,80}\]{1,2}[ \t\r]*")
_SETTING = re.compile(r"[ \t]*(?:[#;]|[\w.*/@\"'-]{1,80}[ \t]*[=:]|[ \t\r]*$|[ \t])", re.M)
_IN_PLACE = re.compile(r"<<[-~]?[ \t]*[\"']?(\w{1,40})")
NEAR = 160  #: characters before and after a name in which its brackets are looked for


def below(low: str, called: Sequence[Span]) -> Iterator[Span]:
    """Where in a text in small letters values stand below names, whose places are given in order; they may overlap."""
    yield from _filled(low, [start for start, _ in called])
    done, unended = 0, set[str]()
    for start, end in called:
        if start < done:
            continue
        begin = low.rfind("\n", max(0, start - NEAR), start) + 1
        stop = low.find("\n", end)
        stop = len(low) if stop < 0 else stop
        until = done
        if _ITEM[0].search(low, max(0, start - NEAR), start) and _ITEM[1].match(low, end):
            if rows := _ROWS.match(low, end):
                until = _closed(low, rows.end() - 1)
                yield rows.end() - 1, until
        elif _CELL_OF_HEAD.search(low, max(0, start - NEAR), start):
            until = low.find("</table", end)
            until = len(low) if until < 0 else until
            yield end, until
        elif _SECTION.fullmatch(low, begin, stop):
            until = stop
            while until < len(low) and _SETTING.match(low, until + 1) and not _SECTION.match(low, until + 1):
                until = low.find("\n", until + 1)
                until = len(low) if until < 0 else until
            yield end, until
        elif (given := _IN_PLACE.search(low, begin, min(stop, end + NEAR))) and given[1] not in unended:
            found = re.compile(rf"\n[ \t]*{given[1]}[ \t;)]*(?=\n|\Z)").search(low, stop)
            if found is None:
                unended.add(given[1])
            else:
                until = found.start()
                yield stop, until
        done = until


def _filled(low: str, called: Sequence[int]) -> Iterator[Span]:
    """The rows that statements of SQL put into columns that are called secret, by themselves or where the table was
    made."""
    def is_called(start: int, end: int) -> bool:
        at = bisect_left(called, start)
        return at < len(called) and called[at] < end

    secret = set[str]()
    for made in _CREATED.finditer(low):
        end = low.find(";", made.end(), made.end() + 40_000)
        if is_called(made.end(), end if end >= 0 else made.end() + 4_000):
            secret.add(_bare(made[1]))
    done = 0
    for match in _FILLED.finditer(low):
        if match.start() < done:
            continue
        closed = low.find(")", match.end(), match.end() + 4_000) if low[match.end() : match.end() + 1] == "(" else -1
        if is_called(match.end(), closed) if closed >= 0 else _bare(match[1]) in secret:
            ended = _ENDS["c" if match[0][0] == "c" else "i"].search(low, max(match.end(), closed))
            done = ended.start() if ended else len(low)
            yield max(match.end(), closed), done


def _bare(name: str) -> str:
    """A table's name without the schema and quotes."""
    return re.split(r"[.]", name)[-1].strip("\"`[]")


def _closed(low: str, at: int) -> int:
    """Where what encloses the rows that begin at a place ends, or a blank line between them."""
    depth = 0
    for sign in _SIGN.finditer(low, at):
        depth += (sign[0] in "[{") - (sign[0] in "]}")
        if depth < 0 or (depth == 0 and sign[0][0] == "\n"):
            return sign.start()
    return len(low)
