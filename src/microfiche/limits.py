"""How much of a file is opened before it is refused. The same numbers serve library, command line and server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a document may ask for; each is checked before the work is done, and an error names the one it met.

    `pixels` of one page's picture (known from the page's size and the dpi, or from an image's header), `pages` of a
    document, `bytes` of its file, `seconds` a PDF page may take, or the fetching of a file from a URL, `memory` in
    bytes that a process which reads PDF may have (held to where the system can), `ratio` of unpacked to packed bytes
    in an archive, beyond its first 64 MiB.
    """

    pixels: int = 100_000_000
    pages: int = 10_000
    bytes: int = 1 << 30
    seconds: float = 60.0
    memory: int = 4 << 30
    ratio: int = 1000
