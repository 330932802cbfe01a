"""Patterns of git's ignore files, matched as git matches them, byte by byte (gitignore(5); dir.c and wildmatch.c).

This module knows nothing of files, nor of which of several patterns counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NEVER = "(?!)"
_STAR, _FOLDERS, _SLASH = "[^/]*", "(?:.*/)?", "/"
_NAMED = re.compile(r"\[:([^\]]*):\]")
_CLASSES = {
    "alnum": "[0-9A-Za-z]", "alpha": "[A-Za-z]", "blank": "[ \t]", "cntrl": r"[\x00-\x1f\x7f]", "digit": "[0-9]",
    "graph": "[!-~]", "lower": "[a-z]", "print": "[ -~]", "punct": r"[!-/:-@[-`{-~]", "space": r"[ \t-\r]",
    "upper": "[A-Z]", "xdigit": "[0-9A-Fa-f]",
}  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """What a line leaves out, or, if it is `taken`, takes again: what `regex` matches, of paths if it is of a `path`
    and else of names, and of folders alone if `folders`."""

    taken: bool
    folders: bool
    path: bool
    regex: re.Pattern[str]

    def matches(self, path: str, is_folder: bool) -> bool:
        """Whether it speaks of a path below the folder in which its file counts; each character stands for a byte."""
        if self.folders and not is_folder:
            return False
        return self.regex.fullmatch(path if self.path else path.rpartition("/")[2]) is not None


def pattern_in(line: str) -> Pattern | None:
    """The pattern in a line without its end, of which each character stands for a byte; None where there is none."""
    line = _trimmed(line.partition("\0")[0])
    if not line or line.startswith("#"):
        return None
    taken = line.startswith("!")
    line = line[taken:]
    folders = line.endswith("/")
    line = line[: len(line) - folders]
    path = "/" in line
    line = line.removeprefix("/") if path else line
    # As in git, what a pattern begins with before its first sign is compared by itself: "a**/b" is "a" and "**/b".
    plain = len(re.split(r"[*?\[\\]", line, maxsplit=1)[0])
    regex = re.escape(line[:plain]) + _regex(line[plain:], path)
    return Pattern(taken, folders, path, re.compile(regex, re.DOTALL))


def _trimmed(line: str) -> str:
    """A line without the spaces at its end, but for those behind a backslash."""
    at = end = 0
    while at < len(line):
        step = 1 + (line[at] == "\\")
        end = end if line[at] == " " else at + step
        at += step
    return line[:end]


def _regex(glob: str, path: bool) -> str:
    """A glob as a regular expression; in that of a `path`, ** between slashes stands for any folders."""
    parts: list[str] = []
    at = 0
    while at < len(glob):
        sign, start = glob[at], at
        at += 1
        if sign == "*":
            at = len(glob) - len(glob[at:].lstrip("*"))
            alone = path and at - start > 1 and glob[start - 1 : start] in ("", "/")
            if alone and glob.startswith("/", at):
                parts.append(_FOLDERS)
                at += 1
            else:
                parts.append(".*" if alone and (at == len(glob) or glob.startswith("\\/", at)) else _STAR)
        elif sign == "?":
            parts.append("[^/]")
        elif sign == "[":
            found, at = _set(glob, at)
            parts.append(found)
        elif sign == "\\":
            parts.append(re.escape(glob[at]) if at < len(glob) else NEVER)
            at += 1
        else:
            parts.append(_SLASH if sign == "/" else re.escape(sign))
    return _without_second_thoughts(parts)


def _set(glob: str, at: int) -> tuple[str, int]:
    """A set of characters, of which the first is at `at`, as a regular expression, and where what follows it begins."""
    negated = glob[at : at + 1] in ("!", "^")
    at += negated
    found = set[str]()
    before, first = "", True
    while first or glob[at : at + 1] != "]":
        first = False
        sign = glob[at : at + 1]
        named = _NAMED.match(glob, at)
        if sign == "-" and before and glob[at + 1 : at + 2] not in ("", "]"):
            at += 1 + (glob[at + 1] == "\\")
            found |= {chr(point) for point in range(ord(before), ord(glob[at]) + 1)} if at < len(glob) else set()
            before = ""
        elif named:
            if named[1] not in _CLASSES:
                return NEVER, len(glob)
            found |= set(re.findall(_CLASSES[named[1]], "".join(map(chr, range(256)))))
            at, before = named.end() - 1, ""
        else:
            at += sign == "\\"
            before = glob[at : at + 1]
            found.add(before)
        at += 1
        if at > len(glob):
            return NEVER, len(glob)
    if negated:
        found = {chr(point) for point in range(256)} - found
    signs = "".join(f"\\x{ord(sign):02x}" for sign in sorted(found - {"/"}))
    return f"[{signs}]" if signs else NEVER, at + 1


def _without_second_thoughts(parts: list[str]) -> str:
    """The parts as one expression, in which each * but the last between two slashes is as short as it can be: if that
    is no match, none is, and long names are compared fast."""
    made: list[str] = []
    star = -1
    for part in parts:
        if part == _STAR and star >= 0:
            made[star:] = [f"(?>[^/]*?{''.join(made[star + 1 :])})"]
        if part == _STAR:
            star = len(made)
        elif part in (_SLASH, _FOLDERS, ".*"):
            star = -1
        made.append(part)
    return "".join(made)
