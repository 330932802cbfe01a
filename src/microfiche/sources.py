"""Text files in: decoded strictly, in pieces, as often as needed. Knows nothing of pages."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from microfiche.errors import InputError, UsageError

CHUNK = 1 << 20
SUFFIXES = {".txt", ".md", ".rst", ".py", ".csv", ".json", ".html", ".xml", ".toml", ".yaml", ".tex", ".log"}


@dataclass(frozen=True)
class Source:
    """A text to read: a file, or bytes that came from standard input."""

    name: str
    origin: Path | bytes
    encoding: str = "utf-8"

    def chunks(self) -> Iterator[str]:
        """The text in pieces of about a megabyte; line ends as they stand in the file.

        InputError, with the byte offset, for what is not in the encoding or is NUL; and for an empty file.
        """
        decoder = codecs.getincrementaldecoder(self.encoding)()
        done, characters = 0, 0
        with self._open() as file:
            while True:
                data = file.read(CHUNK)
                pending = len(decoder.getstate()[0])
                try:
                    text = decoder.decode(data, final=not data)
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{self.name}: not {self.encoding} at byte {done - pending + error.start}; "
                        "name its encoding with --encoding"
                    ) from error
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
        try:
            return self.origin.open("rb")
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror}") from error


def sources(names: Sequence[str], encoding: str = "utf-8") -> list[Source]:
    """The texts that `names` mean: files, folders (their text files, in order), "-" for standard input."""
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise UsageError(f"no encoding {encoding!r}") from error
    found: list[Source] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(Source("-", sys.stdin.buffer.read(), encoding))
        elif path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)
            if not inside:
                raise InputError(f"{name}: no text files in this folder")
            found += [Source(str(p), p, encoding) for p in inside]
        elif path.exists():
            found.append(Source(name, path, encoding))
        else:
            raise InputError(f"{name}: no such file")
    return found
