"""How much of a file is opened before it is refused. The library, the command line and the server share these
numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What reading one document may cost. Each limit is checked before the work is done, and the error names it.

    `pixels` limits the picture of one page (known beforehand from the page's size and the dpi, or from an image's
    header), `pages` the document, and `bytes` its file. `seconds` limits a PDF page, and the download of a file from a
    URL. `memory` is the number of bytes that a process which reads PDF may use, on systems that can enforce it. `ratio`
    is unpacked to packed bytes in an archive; the first 64 MiB are always allowed.
    """

    pixels: int = 100_000_000
    pages: int = 10_000
    bytes: int = 1 << 30
    seconds: float = 60.0
    memory: int = 4 << 30
    ratio: int = 1000
