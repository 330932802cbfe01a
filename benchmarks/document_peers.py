"""Readers to be measured, each alone in a process: a file's path on a line of stdin, its Markdown as JSON on stdout.

    echo page.pdf | python document_peers.py tesseract

Nothing of the benchmark is imported here, so that a reader may live in an environment of its own.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Reader = Callable[[str], str]
DPI = 150  #: at which a PDF is drawn for those who read pictures


def picture_of(path: str) -> bytes:
    """A picture's bytes, or a PDF's first page as PNG."""
    if not path.lower().endswith(".pdf"):
        return Path(path).read_bytes()
    import pypdfium2

    png = io.BytesIO()
    pypdfium2.PdfDocument(path)[0].render(scale=DPI / 72).to_pil().save(png, "PNG", dpi=(DPI, DPI))
    return png.getvalue()


def microfiche() -> Reader:
    import microfiche as room

    def read(path: str) -> str:
        document = room.read(path)
        marks = [f"<!-- {page.engine} {page.status}: {page.reason} -->" for page in document.pages]
        return document.markdown() + "\n" + "\n".join(marks)

    return read


def rapidocr() -> Reader:
    import cv2
    import numpy as np
    from rapidocr import RapidOCR

    ocr = RapidOCR(params={"Global.log_level": "error"})

    def read(path: str) -> str:
        picture = cv2.imdecode(np.frombuffer(picture_of(path), np.uint8), cv2.IMREAD_COLOR)
        return "\n\n".join(ocr(picture).txts or ())

    return read


def tesseract() -> Reader:
    os.environ["OMP_THREAD_LIMIT"] = "1"
    command = ["tesseract", "-", "-", "-l", os.environ.get("TESSERACT_LANGUAGES", "eng")]
    subprocess.run(["tesseract", "--version"], capture_output=True, check=True)

    def read(path: str) -> str:
        return subprocess.run(command, input=picture_of(path), capture_output=True, check=True).stdout.decode()

    return read


def liteparse() -> Reader:
    from liteparse import LiteParse

    parser = LiteParse(ocr_enabled=False, output_format="markdown", quiet=True)
    return lambda path: str(parser.parse(path).text)


def markitdown() -> Reader:
    from markitdown import MarkItDown

    converter = MarkItDown()
    return lambda path: str(converter.convert(path).text_content)


def pymupdf4llm() -> Reader:
    import pymupdf4llm as reader

    return lambda path: str(reader.to_markdown(path))


def kreuzberg() -> Reader:
    import kreuzberg as reader

    config = reader.ExtractionConfig(output_format="markdown")
    return lambda path: str(reader.extract_file_sync(path, config=config).content)


READERS: dict[str, Callable[[], Reader]] = {
    maker.__name__: maker for maker in (microfiche, rapidocr, tesseract, liteparse, markitdown, pymupdf4llm, kreuzberg)
}
PDF_ONLY = ("liteparse", "markitdown", "pymupdf4llm")  #: here pictures are left to the others


def cpu_seconds() -> float:
    """Processor time of this process and of all that it has started, in seconds (living children: Linux alone)."""
    times = os.times()
    found, ticks = sum(times[:4]), os.sysconf("SC_CLK_TCK")
    parents: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    below = {os.getpid()}
    while more := {pid for pid, (parent, _) in parents.items() if parent in below} - below:
        below |= more
    return found + sum(parents[pid][1] for pid in below - {os.getpid()}) / ticks


def main() -> None:
    read = READERS[sys.argv[1]]()
    print("ready", flush=True)
    for line in sys.stdin:
        start = cpu_seconds()
        try:
            answer: dict[str, object] = {"markdown": read(line.rstrip("\n"))}
        except Exception as error:
            answer = {"markdown": "", "error": f"{type(error).__name__}: {error}"}
        print("\x1e" + json.dumps({**answer, "seconds": cpu_seconds() - start}), flush=True)


if __name__ == "__main__":
    main()
