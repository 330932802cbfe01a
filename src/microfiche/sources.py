"""Text files in: decoded strictly, in pieces, as often as needed. Knows nothing of pages."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category, normalize

from microfiche.errors import InputError, UsageError
from microfiche.files import NO_FILE, files_below, plain, shown

CHUNK = 1 << 20
MARK = "\ufeff"  #: the byte order mark
UPON = 64  #: marks upon one letter that are composed with it
SUFFIXES = {".txt", ".md", ".rst", ".py", ".csv", ".json", ".html", ".xml", ".toml", ".yaml", ".tex", ".log"}


@dataclass(frozen=True)
class Source:
    """A text to read: a file, or bytes that came from standard input."""

    name: str
    origin: Path | bytes
    encoding: str = "utf-8"

    def chunks(self) -> Iterator[str]:
        """The text in pieces of about a megabyte; line ends as they stand in the file, a byte order mark left out,
        letters and the marks upon them composed (NFC).

        InputError, with the byte offset, for what is not in the encoding or is NUL; and for an empty file.
        """
        return _composed(self._decoded())

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
                        "name its encoding with --encoding"
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
            raise InputError(f"{self.name}: {NO_FILE}; what a pipe gives is taken from standard input, as -")
        try:
            return self.origin.open("rb")
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror}") from error


def decoded(name: str, data: bytes) -> str:
    """The text in UTF-8 bytes, without a byte order mark; InputError, saying where, for what is none and for NUL."""
    try:
        text = data.decode("utf-8").removeprefix(MARK)
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 at byte {error.start}") from error
    if "\0" in text:
        raise InputError(f"{name}: NUL at character {text.index(chr(0))}; this is not a text file")
    return text


def _composed(chunks: Iterable[str]) -> Iterator[str]:
    """NFC of a text in pieces. No character that a page can show is changed by it."""
    held = ""
    for chunk in chunks:
        text = held + chunk
        end = len(text) - 1  # the last letter, which the next piece may begin with marks upon
        while end > max(0, len(text) - UPON) and _joins(text[end]):
            end -= 1
        held = text[end:]
        if end:
            yield normalize("NFC", text[:end])
    if held:
        yield normalize("NFC", held)


def _joins(character: str) -> bool:
    """Whether it may be composed with what stands before it: a mark, or a later part of a Korean syllable."""
    return category(character).startswith("M") or "\u1160" <= character <= "\u11ff"


def sources(
    names: Sequence[str], encoding: str = "utf-8", say: Callable[[str], None] = lambda line: None
) -> list[Source]:
    """The texts that `names` mean: files, folders (their text files, in order), "-" for standard input. `say` is told
    what of a folder is left out, and why."""
    try:
        "".encode(encoding)
    except (LookupError, ValueError) as error:
        raise UsageError(f"no encoding of text {encoding!r}") from error
    found: list[Source] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(Source("-", sys.stdin.buffer.read(), encoding))
        elif path.is_dir():
            inside = []
            for one in files_below(path):
                text = one.path.suffix.lower() in SUFFIXES
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
