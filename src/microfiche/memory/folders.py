"""The files of a folder worth remembering: .gitignore respected as git does, binaries passed over.

Each that is left out has its reason. It knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from microfiche.errors import InputError
from microfiche.files import Found, files_below
from microfiche.sources import DOCUMENTS

NEVER = {".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv"}  #: folders that hold nothing written by hand
LARGEST = 64 << 20  #: bytes of a text file that is taken
HEAD = 8192  #: bytes in which a NUL tells a binary
#: The .gitignore files that count in a folder, the outermost first, with their patterns.
Rules = tuple[tuple[Path, list[GitIgnoreSpecPattern]], ...]


def files_in(folder: Path) -> Iterator[Found]:
    """The files below `folder` in order, links resolved; what .gitignore names is passed over in silence.

    The .gitignore files above it count, up to the root of the repository that it lies in, unless they leave out the
    folder itself, which was asked for by its name.
    """
    try:
        home = folder.resolve(strict=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    rules = {home: _with_own(home, _above(home))}

    def passed_over(path: Path, is_folder: bool) -> bool:
        if path.name in NEVER or _ignored(path, is_folder, rules[path.parent]):
            return True
        if is_folder:
            rules[path] = _with_own(path, rules[path.parent])
        return False

    for found in files_below(home, passed_over):
        if found.left_out:
            yield found
        elif not found.path.is_symlink():  # what a link leads to is met where it lies
            yield replace(found, left_out=_unfit(found.path))


def _above(home: Path) -> Rules:
    """The rules of the folders above `home` in its repository; none where they leave out `home` itself."""
    holding = [home, *home.parents]
    root = next((at for at, folder in enumerate(holding) if (folder / ".git").exists()), 0)
    rules: Rules = ()
    for folder in reversed(holding[1 : root + 1]):
        if _ignored(folder, True, rules):
            return ()
        rules = _with_own(folder, rules)
    return () if _ignored(home, True, rules) else rules


def _with_own(folder: Path, rules: Rules) -> Rules:
    """The rules of what stands in a folder, `rules` being those of the folder itself. As in git, a .gitignore that is a
    link does not count, nor does a line of it that is no pattern."""
    file = folder / ".gitignore"
    try:
        if file.is_symlink() or not file.is_file():
            return rules
        lines = [line.removesuffix("\r") for line in file.read_text("utf-8-sig", "surrogateescape").split("\n")]
    except OSError:
        return rules
    return (*rules, (folder, [pattern for line in lines for pattern in _pattern(line)]))


def _pattern(line: str) -> list[GitIgnoreSpecPattern]:
    try:
        return [GitIgnoreSpecPattern(line)]
    except ValueError:
        return []


def _ignored(path: Path, is_folder: bool, rules: Rules) -> bool:
    """Whether the last pattern that speaks of `path`, in the innermost .gitignore of which one does, leaves it out."""
    for folder, patterns in reversed(rules):
        name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        for pattern in reversed(patterns):
            found = pattern.include is not None and pattern.match_file(name)
            # A pattern with a group also matches all that lies below a folder; here it is asked of the folder alone.
            if found and (found.match.end() == len(name) or not found.match.re.groups):
                return bool(pattern.include)
    return False


def _unfit(path: Path) -> str:
    if path.suffix.lower() in DOCUMENTS:
        return ""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            return f"{size:,} bytes; at most {LARGEST:,} are taken from a folder"
        with path.open("rb") as file:
            return "binary" if b"\0" in file.read(HEAD) else ""
    except OSError as error:
        return error.strerror or "cannot be read"
