"""The files of a folder worth remembering: .gitignore respected, binaries and links that lead astray passed over.

Each that is left out has its reason. It knows nothing of pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from microfiche.errors import InputError

DOCUMENTS = {".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"}
NEVER = {".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv"}  #: folders that hold nothing written by hand
LARGEST = 64 << 20  #: bytes of a text file that is taken
HEAD = 8192  #: bytes in which a NUL tells a binary


@dataclass(frozen=True)
class Found:
    """A file, or why it is left out."""

    path: Path
    left_out: str = ""


def files_in(folder: Path) -> Iterator[Found]:
    """The files below `folder` in order, links resolved; what .gitignore names is passed over in silence."""
    try:
        home = folder.resolve(strict=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    yield from _walk(home, home, [], {home})


def _walk(folder: Path, home: Path, ignored: list[tuple[Path, GitIgnoreSpec]], above: set[Path]) -> Iterator[Found]:
    rules = _rules(folder)
    ignored = [*ignored, (folder, rules)] if rules else ignored
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        yield Found(folder, error.strerror or "cannot be opened")
        return
    for entry in entries:
        path = Path(entry.path)
        try:
            is_folder = entry.is_dir()
            if entry.name in NEVER or _ignored(path, is_folder, ignored):
                continue
            if entry.is_symlink():
                target = path.resolve(strict=True)
                if not target.is_relative_to(home):
                    yield Found(path, "a link to somewhere outside the folder")
                continue  # what lies inside is met where it lies, so no link is followed twice or in a circle
            if is_folder:
                yield from _walk(path, home, ignored, above | {path})
            elif entry.is_file():
                yield Found(path, _unfit(path, entry.stat().st_size))
            else:
                yield Found(path, "neither file nor folder")
        except RuntimeError:
            yield Found(path, "a link that leads to itself")
        except OSError as error:
            yield Found(path, "a link that leads to itself" if error.errno == 40 else error.strerror or "unreadable")


def _rules(folder: Path) -> GitIgnoreSpec | None:
    try:
        lines = (folder / ".gitignore").read_text("utf-8", "replace").splitlines()
        return GitIgnoreSpec.from_lines(lines)
    except (OSError, ValueError):
        return None


def _ignored(path: Path, is_folder: bool, ignored: list[tuple[Path, GitIgnoreSpec]]) -> bool:
    """Whether the innermost .gitignore that speaks of `path` leaves it out."""
    for folder, rules in reversed(ignored):
        name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        said = rules.check_file(name).include
        if said is not None:
            return said
    return False


def _unfit(path: Path, size: int) -> str:
    if path.suffix.lower() in DOCUMENTS:
        return ""
    if size > LARGEST:
        return f"{size:,} bytes; at most {LARGEST:,} are taken from a folder"
    with path.open("rb") as file:
        return "binary" if b"\0" in file.read(HEAD) else ""
