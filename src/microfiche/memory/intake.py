"""What a memory takes in from files: those of a folder, the text of documents, and whether a scan is to be trusted.

In a folder .gitignore counts as it does for git, and each file that is left out has its reason. A picture can be made
to show one text at full size and another once it is scaled down (Lohn, arXiv 2010.02456; Anamorpher). A model's server
may scale it in any way, so a scan is read whole and scaled down, by area, as everything here is, and by single pixels,
which is what such pictures are made for. This module knows nothing of pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern
from PIL import Image
from rapidfuzz import fuzz, process

from microfiche.documents.engines import engines
from microfiche.documents.opening import open_document
from microfiche.documents.pages import document_of, read_pages
from microfiche.documents.rapid import RapidEngine
from microfiche.documents.sheet import Sheet
from microfiche.errors import InputError, MicroficheError
from microfiche.files import Found, files_below
from microfiche.sources import DOCUMENTS
from microfiche.typesetting.shrink import shrink_picture

NEVER = {".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv"}  #: folders that hold nothing written by hand
LARGEST = 64 << 20  #: bytes of a text file that is taken
HEAD = 8192  #: bytes in which a NUL tells a binary
#: The .gitignore files that count in a folder, the outermost first, each with its patterns.
Rules = tuple[tuple[Path, list[GitIgnoreSpecPattern]], ...]
Picture = NDArray[np.uint8]
Words = list[tuple[str, float]]  #: words or lines, each with how sure the reader is of it, 0 to 1
FACTORS = (2, 4)
SURE = 0.8  #: confidence below which words that appear are not counted
SHORTEST = 4  #: letters of a word that counts
LIKE = 70  #: per cent by which a word is like one at full size, and so no new one
FEW = 2  #: new words that may be the reader's own mistakes


def files_in(folder: Path) -> Iterator[Found]:
    """The files below `folder` in order, links resolved; those that .gitignore names are left out without a word.

    The .gitignore files above the folder count, up to the root of its repository, unless they leave out the folder
    itself, which was asked for by its name. InputError where the folder cannot be opened.
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
        elif not found.path.is_symlink():  # the file that a link leads to is found where it lies
            yield replace(found, left_out=_unfit(found.path))


def _above(home: Path) -> Rules:
    """The rules of the folders above `home` in its repository, or none where they leave out `home` itself."""
    holding = [home, *home.parents]
    root = next((at for at, folder in enumerate(holding) if (folder / ".git").exists()), 0)
    rules: Rules = ()
    for folder in reversed(holding[1 : root + 1]):
        if _ignored(folder, True, rules):
            return ()
        rules = _with_own(folder, rules)
    return () if _ignored(home, True, rules) else rules


def _with_own(folder: Path, rules: Rules) -> Rules:
    """The rules for what lies in a folder, from the `rules` for the folder itself.

    As in git, a .gitignore that is a link does not count, and neither does a line that is no pattern.
    """
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
    """Whether .gitignore leaves out `path`: the last pattern for it counts, in the innermost file that has one."""
    for folder, patterns in reversed(rules):
        name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        for pattern in reversed(patterns):
            found = pattern.include is not None and pattern.match_file(name)
            # A pattern with a group also matches everything below a folder; only the folder itself is asked for here.
            if found and (found.match.end() == len(name) or not found.match.re.groups):
                return bool(pattern.include)
    return False


def _unfit(path: Path) -> str:
    if path.suffix.lower() in DOCUMENTS:
        return ""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            return f"it has {size:,} bytes; at most {LARGEST:,} are taken from a folder"
        with path.open("rb") as file:
            return "binary" if b"\0" in file.read(HEAD) else ""
    except OSError as error:
        return error.strerror or "cannot be read"


def read_document(path: Path) -> tuple[str, str]:
    """The text of a PDF or picture as Markdown, and why it is not trusted, which is empty where it is.

    Pages whose text comes from a picture are read again scaled down. InputError for a file that cannot be read or holds
    no text.
    """
    warnings = []
    try:
        with open_document(path, str(path)) as opened:
            pages = []
            for page, picture in read_pages(opened, engines()):
                pages.append(page)
                if picture is not None and page.engine not in ("", "text"):
                    why = untrusted(np.asarray(picture.convert("L")), words_of_picture)
                    warnings += [f"page {page.number}: {why}"] if why else []
            text = document_of(opened, {}, pages).markdown()
    except MicroficheError as error:
        raise InputError(str(error)) from error
    if not text.strip():
        raise InputError(f"{path}: no text was found in it")
    return text, "; ".join(warnings)


def words_of_picture(picture: Picture) -> Words:
    """The lines that RapidOCR reads in a picture, and how sure it is of each."""
    (page,) = _rapid().read([Sheet(1, Image.fromarray(picture).convert("RGB"))])
    return [
        (text, 1.0 if block.confidence is None else block.confidence)
        for block in page.blocks if block.kind != "hidden" and (text := block.plain())
    ]


def appearing(picture: Picture, read: Callable[[Picture], Words]) -> list[str]:
    """The words that `read` finds in an (H, W) or (H, W, 3) uint8 picture only once it is scaled down.

    None, if they are so few that they may be mistakes of the reader.
    """
    whole = _words(read(picture), 0.0)
    everything = "".join(whole)
    found: list[str] = []
    for factor in FACTORS:
        for small in (by_pixel(picture, factor), by_area(picture, factor)):
            fresh = [word for word in _words(read(small), SURE) if word not in everything]
            new = [w for w in fresh if process.extractOne(w, whole, scorer=fuzz.ratio, score_cutoff=LIKE) is None]
            if len(new) > FEW:
                found += [word for word in new if word not in found]
    return found


def untrusted(picture: Picture, read: Callable[[Picture], Words]) -> str:
    """Why a picture is not trusted, which is empty where it is."""
    words = appearing(picture, read)
    return f"scaled down it shows text that it does not show whole ({' '.join(words[:6])})" if words else ""


def by_area(picture: Picture, factor: int) -> Picture:
    """The picture smaller by `factor`, where each pixel is the mean of those that it replaces."""
    height, width = (max(1, side // factor) for side in picture.shape[:2])
    return shrink_picture(picture, height, width)


def by_pixel(picture: Picture, factor: int) -> Picture:
    """The picture smaller by `factor`, where each pixel is one of its own."""
    return picture[factor // 2 :: factor, factor // 2 :: factor]


def _words(read: Words, sure: float) -> list[str]:
    """The words that are long enough to count and of which the reader is `sure`, in small letters."""
    return [
        word for text, confidence in read if confidence >= sure
        for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) >= SHORTEST
    ]


@cache
def _rapid() -> RapidEngine:
    return RapidEngine()
