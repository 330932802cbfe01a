"""Lines that stay text since something in them calls a secret by its name, however a value is tied to that.

A line that stays text costs a few tokens, and one that is drawn with a secret on it breaks a promise. So all of a line
with such a name stays text, unless each of its words is explained as code, and so do the lines after it in which the
value may stand: what is indented below it or stands in its brackets, the next ones where the line ends with the name,
and the rows of a table below its head.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby

from microfiche.proxy import secret_names as names
from microfiche.proxy.secret_shapes import BLANK, CODE

LONG = 400  #: characters of a line up to which all of it stays text, and of a value that goes on
BEFORE, BEHIND = 80, 240  #: characters before and after a name that stay text in a longer line
MOST = 30  #: lines below a name in which its value may stand, but for what is indented below it and tables
LONG_NUMBER = 6  #: digits of a number that another name than a secret's does not explain
WORDS = 24  #: words of the longest phrase that stands for a key
BETWEEN = 3  #: lines between two rows of a table that are none
NEXT = 3  #: lines after one that ends with a name and signs
Span = tuple[int, int]
_WORDS = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|`[^`\n]*`|[^\s\"'`(){}\[\],;<>|=:]+")
_BEHIND = re.compile(r"\s*([\])}]*\s*(?:=>|:=|==|[=:(.]|\[))?")
_NUMBER_OF = re.compile(r"[^,;&{(|]*[:=]\s*$")
_NAMING = re.compile(r"\W*(?:name|key|id|label|field|property|variable|param(?:eter)?)\b")
_ANNOTATED = re.compile(r"^[\w.\[\]-]{0,30}|</?[\w:.-]+>|<!\[CDATA\[|![\w!]+|&\w+;?|(?:#|//|/\*).*")
_NAME, _PROMPT = re.compile(r"[\w.-]+"), re.compile(r"[\w.@:~/ \[\]-]{0,60}[$❯] ")
_LONE = re.compile(r"[^\w\n]*[\w.-]+[\"'`\]>:]{0,3}\s*")
_ANNOUNCED = re.compile(r"[^\n\w]{0,9}\w[^()=\[\]{}\"';]{0,200}:\s*")
_LETTERS = re.compile(r"\w*[^\W\d_]\w*")
_FOLDED = re.compile(r"(?<=[|>])[+\d-]{1,2}$")
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"\w+")
_MARGIN = re.compile(r"[ \t>|#*+-]*")
_CUTS = (re.compile(r"[|│┃║]"), re.compile(r"\t"), re.compile(","), re.compile(";"), re.compile(r"\s{2,}"))
_CELL = re.compile(r"[\s\"'`*#$+]*(?:[\w./()*#$%-]++ ?){1,4}[\s\"'`*]*")
_ENTRY = re.compile(
    r"\s*(?:[-*+]\s+|\d{1,6}[.)]\s+)?(?:[\w.@\"'/-]{1,80}\s*(?:[-=]>|[:=]|[-\u2013\u2014] ))?\s*[^\s(){}]*[,;]?\s*"
)
_RULE = re.compile(r"[\s|+:=\u2500-\u257f-]*[\u2500\u2501\u2550=-]{2}[\s|+:=\u2500-\u257f-]*")
_VALUE_ABOVE = re.compile(r"\W*(?:value|val|content|secret\w*|data|text|string)\b")
_GOES_ON = re.compile(r"[^\s\"'<>,;&|]*")
_OPENERS, _ENDS, _BRACKETS = (":", "=", "\\", "+", ">", "(", "[", "{", "&"), tuple(":=([{>|"), ("([{", ")]}")
_SENTENCE, _ENDED = re.compile(r"[.?!…]"), re.compile(r"[\"'`:=>|\]]")


class Lines:
    """The lines of a text, which is given also in small letters, each in its place, with where it calls something
    secret."""

    def __init__(self, text: str, low: str, called: Sequence[Span]) -> None:
        self.text, self.low, self.called = text, low, called
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._deep = 0  # the last line in which the value of a name before may stand

    def told(self) -> Iterator[Span]:
        """Where lines, or pieces of long ones, stay text; they may overlap."""
        table = -1  # the last line of a table that stays text
        for number, found in self._called():
            at, end = self._span(number)
            if end - at > LONG:
                yield from self._windows(found, at, end)
            elif not (known := self._explained(at, end)):
                yield at, end
            last = number
            if number > table and (rows := self._table(number, found)):
                last = table = rows
            elif end - found[-1][1] <= LONG:
                last = self._reach(number, found[-1][1], end - at <= LONG and known)
            if last > number or (end - at <= LONG and not known):
                above = number and self._span(number - 1)
                if above and _VALUE_ABOVE.match(self.low, *above) and above[1] - above[0] <= LONG:
                    yield above
            for below in range(number, last + 1) if last > number else ():
                start, stop = self._span(below)
                yield start, stop if below <= table else min(stop, start + 2 * LONG)

    def _called(self) -> Iterator[tuple[int, list[Span]]]:
        """The lines that call something secret, from 0, and where; names of files of code do not."""
        for number, group in groupby(self.called, lambda span: bisect_right(self.starts, span[0]) - 1):
            found = list(group)
            at, end = self._span(number)
            if end - at <= LONG:
                files = [match.span() for match in names.FILE.finditer(self.low, at, end)]
                found = [one for one in found if not any(a <= one[0] and one[1] <= b for a, b in files)]
            if found:
                yield number, found

    def _span(self, number: int) -> Span:
        """Where a line begins and ends, its end left out."""
        return self.starts[number], self.starts[number + 1] - 1 if number + 1 < len(self.starts) else len(self.text)

    def _windows(self, found: Sequence[Span], at: int, end: int) -> Iterator[Span]:
        """What is around names in a long line, as far as what stands there goes on."""
        done = at
        for start, stop in found:
            if stop + BEHIND > done:
                done = max(done, min(end, stop + BEHIND))
                on = _GOES_ON.match(self.text, done, min(end, done + 10 * LONG))
                done = on.end() if on else done
                yield max(at, start - BEFORE), done

    def _explained(self, at: int, end: int) -> bool:
        """Whether each word of a line is one of code or prose that cannot be a value."""
        line, seen = self.text[at:end], set[str]()
        for match in _WORDS.finditer(line):
            word, behind = match[0], _BEHIND.match(line, match.end())
            tied = behind[1] if behind and behind[1] else ""
            if word[0] in "\"'`":
                inner = word[1:-1]
                key = tied[:1] == "]" or (tied[-1:] in (":", ">") and (not seen or line[match.end() :].strip(" \t:=>")))
                if not (len(inner) < 2 or BLANK.fullmatch(inner) or key):
                    return False
                continue
            if word[-1] == "%" or names.FILE.fullmatch(word.lower()):
                continue
            word = word.strip(".!?*&$@~^+-/#%\\")
            low = word.lower()
            if len(word) < 3 and not word.isdigit():
                continue
            if low in names.STOP or low in seen or CODE.fullmatch(word):
                continue
            if tied[:1] in ("(", "=", ":", "[") and not tied.startswith("==") and _NAME.fullmatch(word):
                seen.add(low)
                continue
            if word.isdigit():
                key = _NUMBER_OF.search(line[max(0, match.start() - 60) : match.start()])
                if len(word) < 2 or (key and len(word) < LONG_NUMBER and not names.called(f"{key[0]}{word}".lower())):
                    continue
                return False
            known = (part in names.STOP or part in seen or names.PART.fullmatch(part) for part in _parts(word))
            if any(map(str.isdigit, word)) or not all(known):
                return False
            seen.add(low)
        return True

    def _table(self, number: int, found: Sequence[Span]) -> int:
        """The last line of the table whose head a line is, with a name as one of its cells, or 0."""
        at, end = self._span(number)
        line = self.low[at:end]
        ruled = number + 1 < len(self.starts) and bool(_RULE.fullmatch(self.low, *self._span(number + 1)))
        for cut in _CUTS:
            by_blanks = cut is _CUTS[-1]
            if len(line) > 2 * LONG or "--" in line or not (cut.search(line.strip()) or (ruled and by_blanks)):
                continue
            cells = [cell for cell in cut.split(line.strip(" |")) if cell.strip()]
            if by_blanks and any(cell.endswith((".", ",")) for cell in cells):
                continue
            if not all(_CELL.fullmatch(cell) and _LETTER.search(cell) and len(cell) < 60 for cell in cells):
                continue
            if len(cells) < 2 and not ruled:
                continue
            return self._rows(number, cut, len(cells) - 1)
        return 0

    def _rows(self, head: int, cut: re.Pattern[str], cuts: int) -> int:
        """The last row of a table whose rows are cut so, and behind other lines so often."""
        within, last = _WORD if cut is _CUTS[-1] else cut, head
        for number in range(head + 1, len(self.starts)):
            start, stop = self._span(number)
            if number > last + 1:
                row = 0 < cuts <= len(cut.findall(self.low, start, stop))
            else:
                row = bool(within.search(self.low, start, stop) or _RULE.fullmatch(self.low, start, stop))
            if row:
                last = number
            elif number - last > BETWEEN:
                break
        return last

    def _reach(self, number: int, stop: int, explained: bool) -> int:
        """The last line in which the value of a name may stand that ends at a place of a line."""
        at, end = self._span(number)
        tail = self.low[stop:end]
        rest, closed, depth = _ANNOTATED.sub("", tail).strip(), _FOLDED.sub("", tail.rstrip()), _depth(tail)
        signs = not any(word not in names.STOP for word in _WORD.findall(rest)) and not _SENTENCE.search(rest)
        prompt = _PROMPT.match(self.low, at, end) is not None
        naming = _NAMING.match(self.low, at, end) is not None
        bare = signs or prompt
        phrase = names.PHRASE.search(self.low, max(at, stop - 20), min(end, stop + 8)) is not None
        opened = closed.endswith(_OPENERS) or depth > 0 or "<<" in tail
        if names.BLOCK.match(self.low, at, end) and depth <= 0:
            return number
        lone = _LONE.fullmatch(self.low, at, end) is not None
        lone = lone or _ANNOUNCED.fullmatch(self.low, at, end) is not None
        if explained and not (prompt or naming or lone or (signs and closed.endswith(_ENDS))):
            return number
        if not (bare or opened or phrase):
            return number
        margin, last, taken, said = self._margin(number), number, 0, len(_LETTERS.findall(tail))
        wanted = NEXT if opened or naming or _ENDED.search(rest) else 1
        place, entry = names.PLACE.match(self.low, at, end), number + MOST
        for below in range(number + 1, len(self.starts)):
            start, stop = self._span(below)
            if place and not self.low.startswith((f"{place[1]}:{int(place[2]) + below - number}",
                                                  f"{place[1]}-{int(place[2]) + below - number}"), start):  # fmt: skip
                break
            if not self.low[start:stop].strip():
                if taken and depth <= 0:
                    break
                continue
            deeper = self._margin(below) > margin and opened and not place
            entry = below if _ENTRY.fullmatch(self.low, start, stop) else entry
            if below - number > MOST and not (deeper and below > self._deep and below - entry <= BETWEEN):
                break
            enough = taken >= wanted and not deeper and (depth <= 0 or taken >= 3 * NEXT)
            if enough and not (phrase and said < WORDS):
                break
            said += len(_LETTERS.findall(self.low, start, min(stop, start + LONG)))
            taken, last = taken + 1, below
            depth += _depth(self.low[start : min(stop, start + LONG)])
        self._deep = max(self._deep, last)
        return last

    def _margin(self, number: int) -> int:
        """The width of what stands before a line's first word."""
        match = _MARGIN.match(self.text, *self._span(number))
        return len(match[0].expandtabs()) if match else 0


def _depth(text: str) -> int:
    """How many more brackets are opened than closed."""
    opened, closed = (sum(map(text.count, signs)) for signs in _BRACKETS)
    return opened - closed


def _parts(word: str) -> list[str]:
    return [part.lower() for part in names.PARTS.findall(word)]
