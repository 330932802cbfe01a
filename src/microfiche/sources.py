"""Text files as input: decoded strictly, in pieces, as often as needed. This module knows nothing of pages."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from unicodedata import category, is_normalized, normalize

from microfiche.errors import InputError, UsageError
from microfiche.files import NO_FILE, files_below, plain, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 1 << 20
MARK = "\ufeff"  #: the byte order mark
UPON = 64  #: the most marks that are composed with one letter
MARKED = (range(0x3400), range(0xA000, 0xD7A4), range(0xF900, 0x20000), range(0xE0000, 0xE0200))  #: where marks are
LOOKED_AT = 1 << 12  #: characters of a stretch at least
OF_NAMES = ("punycode", "idna")  #: encodings of host names, which Python cannot decode in pieces
TEXTS = {".txt", ".md", ".rst", ".py", ".csv", ".json", ".html", ".xml", ".toml", ".yaml", ".tex", ".log"}
#: Suffixes of document files.
DOCUMENTS = {
    ".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm", ".jp2",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A text to read: a file, or the bytes that came from standard input."""

    name: str
    origin: Path | bytes
    encoding: str = "utf-8"

    def chunks(self, composed: bool = True) -> Iterator[str]:
        """Yields the text in pieces of about a megabyte. Line ends stay as they are in the file, and a byte order mark
        is dropped. If `composed`, letters are composed with the marks that follow them (NFC).

        Raises InputError if the file is empty, for bytes that are not in the encoding (with the byte offset), and for
        NUL (with the character offset).
        """
        return composed_pieces(self._decoded()) if composed else self._decoded()

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        done, characters = 0, 0
        with self._open() as file:
            while True:
                data = file.read(CHUNK)
                pending = len(decoder.getstate()[0])
                try:
                    text = decoder.decode(data, final=not data)
                except UnicodeError as error:
                    start = error.start if isinstance(error, UnicodeDecodeError) else 0
                    raise InputError(
                        f"{self.name}: not {self.encoding} at byte {done - pending + start}; "
                        "name its encoding with --encoding, or pass what `microfiche read` makes of it"
                    ) from error
                if not characters:
                    text = text.removeprefix(MARK)
                nul = text.find("\0")
                if nul >= 0:
                    raise InputError(
                        f"{self.name}: NUL at character {characters + nul}; this is not a text file"
                    )
                characters += len(text)
                done += len(data)
                if text:
                    yield text
                if not data:
                    break
        if not characters:
            raise InputError(f"{self.name}: empty")

    def _open(self) -> io.BufferedIOBase:
        if isinstance(self.origin, bytes):
            return io.BytesIO(self.origin)
        if self.origin.exists() and not self.origin.is_file():
            raise InputError(f"{self.name}: {NO_FILE}; to read a pipe, pass it as standard input and name it -")
        try:
            return self.origin.open("rb")
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror}") from error


def named(name: str) -> Path:
    """Returns the path of that name. Raises InputError for an empty name, which would mean the current folder."""
    if not name:
        raise InputError("'': no such file")
    return Path(name)


def standard_input() -> BinaryIO:
    """Returns standard input as a binary file. Raises InputError if it is closed."""
    if sys.stdin is None:
        raise InputError("-: standard input is closed")
    return sys.stdin.buffer


def decoded(name: str, data: bytes) -> str:
    """Decodes UTF-8 bytes and drops a byte order mark. Raises InputError, with the place, for other bytes and for
    NUL."""
    try:
        text = data.decode("utf-8").removeprefix(MARK)
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 at byte {error.start}") from error
    if "\0" in text:
        raise InputError(f"{name}: NUL at character {text.index(chr(0))}; this is not a text file")
    return text


def plainly(text: str) -> str:
    """A text with the characters for which each of its own stands (NFKC), one by one: of many marks upon a letter, none
    is put in another's place, which would take as long as their square."""
    return text if text.isascii() else text.translate({ord(c): normalize("NFKC", c) for c in set(text)})


def composed_pieces(chunks: Iterable[str]) -> Iterator[str]:
    """Composes letters with the marks that follow them, across the borders of the pieces. Everything else stays as it
    is, whereas NFC would also replace some single characters by plainer ones."""
    held = ""
    for chunk in chunks:
        text = held + chunk
        end = len(text) - 1  # the last letter: the next piece may begin with marks for it
        while end > max(0, len(text) - UPON) and _joins(text[end]):
            end -= 1
        held = text[end:]
        if end:
            yield composed(text[:end])
    if held:
        yield composed(held)


def composed(text: str) -> str:
    """Replaces each letter and the marks that follow it, up to UPON of them, by one character where Unicode has one."""
    return composed_with_places(text)[0]


def _whole(text: str) -> bool:
    """Whether nothing of the text can be composed, as far as that is told fast.

    A stretch that holds a mark at all is composed to see, so that a text is looked at in stretches of whole lines.
    """
    at = len(text) if text.isascii() else 0
    while at < len(text):
        start, at = at, text.find("\n", at + LOOKED_AT) + 1 or len(text)
        if not is_normalized("NFC", text[start:at]):
            return False
    return True


def composed_with_places(text: str) -> tuple[str, NDArray[np.int64] | None]:
    """The text as `composed` gives it, and (T + 1,) where in the text each of its characters begins; None if nothing
    is composed, so that each stands in its own place."""
    if _whole(text):
        return text, None
    import numpy as np

    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).copy()
    marks = _marks().take(points)
    starts = np.flatnonzero(marks[1:] & ~marks[:-1])  # of letters with marks
    letters = np.append(np.flatnonzero(~marks), len(points))
    ends = letters[np.searchsorted(letters, starts, "right")]
    places, stays = np.arange(len(points)), np.ones(len(points), bool)
    for size in [size for size in np.unique(ends - starts).tolist() if size <= UPON + 1]:
        at = starts[ends - starts == size]
        for sign, those in _alike(points, at, size):
            if (left := len(together := normalize("NFC", sign))) < size:
                for i, point in enumerate(map(ord, together)):
                    points[those + i] = point
                    places[those + i] = those + size if i else those  # the letter's marks that are left belong to it
                for i in range(left, size):
                    stays[those + i] = False
    if stays.all():
        return text, None
    made = points[stays].tobytes().decode("utf-32-le", "surrogatepass")
    return made, np.append(places[stays], len(points))


def _alike(points: NDArray[np.uint32], at: NDArray[np.intp], size: int) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Each text of `size` characters that begins somewhere `at`, and where it does."""
    import numpy as np

    rows = np.ascontiguousarray(points[at[:, None] + np.arange(size)])
    order = np.lexsort(rows.T)
    changes = np.flatnonzero((np.diff(rows[order], axis=0) != 0).any(1)) + 1
    for those in np.split(order, changes):
        yield rows[those[0]].tobytes().decode("utf-32-le", "surrogatepass"), at[those]


@cache
def _marks() -> NDArray[np.bool_]:
    """(0x110000,) whether each character may be composed with the one before it."""
    import numpy as np

    found = np.zeros(0x110000, bool)
    found[[point for planes in MARKED for point in planes if _joins(chr(point))]] = True
    return found


def _joins(character: str) -> bool:
    """Whether the character may be composed with the one before it: a mark, or a later part of a Korean syllable."""
    return category(character).startswith("M") or "\u1160" <= character <= "\u11ff"


def sources(
    names: Sequence[str], encoding: str = "utf-8", say: Callable[[str], None] = lambda line: None
) -> list[Source]:
    """Returns the texts that `names` mean: files, folders (their text files, sorted), or "-" for standard input. `say`
    is called with a line for each entry of a folder that is left out, and why."""
    try:
        known = codecs.lookup(encoding).name not in OF_NAMES
        "".encode(encoding)
    except (LookupError, ValueError):
        known = False
    if not known:
        raise UsageError(f"{encoding!r} is not an encoding of text")
    found: list[Source] = []
    for name in names:
        path = named(name)
        if name == "-":
            found.append(Source("-", standard_input().read(), encoding))
        elif path.is_dir():
            inside = []
            for one in files_below(path):
                text = one.path.suffix.lower() in TEXTS
                if one.left_out and (text or one.is_folder):
                    say(f"{shown(one.path)}: left out: {one.left_out}")
                elif text:
                    inside.append(Source(plain(str(one.path)), one.path, encoding))
            if not inside:
                raise InputError(f"{name}: no text files in this folder")
            found += inside
        elif path.exists():
            found.append(Source(plain(name), path, encoding))
        else:
            raise InputError(f"{name}: no such file")
    return found
