"""How well nano, Tesseract and RapidOCR read pages of the world: those that benchmarks/pages.json lists.

    python benchmarks/pages.py PDFS [--sides 640 1024] [--twins clean random] [--readers nano-pages tesseract]
                               [--classes paper forms] [--latin] [--pages 3] [--doubt 0.7]
                               [--checkpoint FILE] [--json OUT]
    python benchmarks/pages.py PDFS --readers nano-pages --checkpoint model.safetensors

PDFS is the folder that tools/fetch_pages.py fills. PDFium draws a page with its longer side at so many px, and the
picture is padded with white to whole squares of 64 px. The reader `nano-pages` cuts margins and makes tokens only of
squares with ink; `nano-pages-unaided` is the same without its language pass, and `zoom-0.98` glances at the page and
keeps its lines alone, each as small as 0.98 of it is read as at all sizes (nano/zoom.py; with --sides 2048). A page has
two twins: `scanned`, with the noise of training/noise.py, and `random`, in which random strings replace its lines
(evaluation/twins.py). OUT is a file of JSON lines, one for each reading. What is in it is not read again, so a long run
can be stopped and goes on.

*Fox precision* is the share of the distinct words read that are on the page, *recall* the share of those on the page
that were read; both are means over pages. Recall is bold where it is more than 0.05 below Fox precision, which a reader
can raise by withholding words. *Strict* is 1 − errors / characters, line by line (evaluation/pages.py). *Ratio* is all
text tokens in DeepSeek's vocabulary over all vision tokens that the reader keeps. *Seconds* is the median of a page, on
one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
import torch
from numpy.typing import NDArray
from PIL import Image
from rivals import rapidocr, tesseract

from microfiche.errors import InputError
from microfiche.evaluation.pages import HELD_BACK, UNKNOWN, Words, line_errors, plain, word_counts
from microfiche.evaluation.twins import KINDS, Twin, twin
from microfiche.nano.language import LANGUAGE
from microfiche.nano.print import PRINT, PrintModel
from microfiche.nano.zoom import Zoom
from microfiche.page import Page
from microfiche.precision import text_tokens
from microfiche.weights.stored import load

PAGES = Path(__file__).with_suffix(".json")
SIDES = (512, 640, 768, 1024, 1280)
KEY = ("file", "page", "side", "twin", "reader", "checkpoint", "doubt")  #: of a reading
SURE = (0.9, 0.95, 0.97, 0.98, 0.99, 1.0)
Picture = NDArray[np.uint8]
#: (H, W) uint8 grey, both multiples of 64 → lines of text, how many vision tokens it keeps, if it keeps any, and the
#: lines without the words that it doubts.
Reader = Callable[[Picture], tuple[list[str], int | None, list[str]]]
Record = dict[str, Any]


def nano_pages(checkpoint: str | None, doubt: float, language: bool = True) -> Reader:
    """The nano-pages that ships, with or without its language pass."""
    model = load(PRINT, checkpoint or "nano-pages")
    model.language = load(LANGUAGE, "nano-language") if language else None
    return by_model(model, doubt)


def zoom(checkpoint: str | None, doubt: float, sure: float) -> Reader:
    """nano-pages on the lines of a page, each as small as this share of it is read as at all sizes."""
    model = load(PRINT, checkpoint or "nano-pages")
    model.language = load(LANGUAGE, "nano-language")
    return by_model(Zoom(model, sure), doubt)


def by_model(model: PrintModel | Zoom, doubt: float) -> Reader:
    """Reads by a model of any kind, and counts the tokens that it keeps."""

    def read(picture: Picture) -> tuple[list[str], int, list[str]]:
        tokens = model.encode([Page(picture)])
        (reading,) = model.read(tokens)
        sure = reading.without(reading.doubted(doubt))
        lines, surely = ([line for line in text.split("\n") if line.strip()] for text in (reading.text, sure))
        return lines, sum(map(len, tokens)), surely

    return read


def rival(read: Callable[[Image.Image], list[str]], scale: int) -> Reader:
    """Reads by another program, after enlarging the picture `scale` times."""

    def enlarged(picture: Picture) -> tuple[list[str], None, list[str]]:
        image = Image.fromarray(picture)
        lines = read(image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC))
        return lines, None, lines

    return enlarged


#: What reads, made from the file of a checkpoint, without which it is what ships, and from how surely each character of
#: a word is to be read so that the word counts. Only nano-pages takes these.
READERS: dict[str, Callable[[str | None, float], Reader]] = {
    "nano-pages": nano_pages,
    "nano-pages-unaided": partial(nano_pages, language=False),
    **{f"zoom-{sure:g}": partial(zoom, sure=sure) for sure in SURE},
    "tesseract": lambda *_: rival(partial(tesseract, language="eng+Latin"), 1),
    "tesseract-2x": lambda *_: rival(partial(tesseract, language="eng+Latin"), 2),
    "rapidocr": lambda *_: rival(rapidocr(1), 1),
    "rapidocr-2x": lambda *_: rival(rapidocr(1), 2),
}


def chosen(pdfs: Path, classes: list[str] | None, latin: bool, most: int | None) -> list[Record]:
    """The pages asked for, at most `most` of a class; InputError where a PDF is missing or of another version."""
    counted: dict[str, int] = {}
    found = []
    for page in json.loads(PAGES.read_text()):
        kind = page["class"]
        if (classes and kind not in classes) or (latin and not page["latin"]) or counted.get(kind, 0) == most:
            continue
        counted[kind] = counted.get(kind, 0) + 1
        path = pdfs / page["file"]
        if not path.is_file():
            raise InputError(f"{path} is missing; python tools/fetch_pages.py fetches it")
        if hashlib.sha256(path.read_bytes()).hexdigest() != page["sha256"]:
            raise InputError(f"{path} is not the version that {PAGES.name} names; fetch it anew")
        found.append(page)
    return found


@contextmanager
def opened(path: Path, number: int) -> Iterator[Any]:
    pdf = pdfium.FPDF_LoadDocument(os.fsencode(path), None)
    page = pdfium.FPDF_LoadPage(pdf, number)
    try:
        yield page
    finally:
        pdfium.FPDF_ClosePage(page)
        pdfium.FPDF_CloseDocument(pdf)


def measured(read: Reader, one: Twin) -> Record:
    """The record of one reading: its words, errors, tokens and seconds."""
    start = time.perf_counter()
    lines, kept, sure = read(one.picture)
    seconds = time.perf_counter() - start
    words = word_counts(one.lines, sure)
    errors, characters = line_errors(one.lines, lines)
    tokens = text_tokens("\n".join(map(plain, one.lines)).replace(UNKNOWN, ""))
    return {
        "words_true": words.true, "words_read": words.read, "words_right": words.right, "errors": errors,
        "characters": characters, "text_tokens": tokens, "squares": one.squares, "inked": one.inked, "kept": kept,
        "seconds": round(seconds, 3), "lines": lines,
    }  # fmt: skip


def table(records: list[Record], sides: list[int], twins: list[str], readers: list[str]) -> str:
    """A Markdown table with a row for each side and reader: the figures of all twins, ratio and seconds."""
    columns = [f"{twin}: Fox | recall | strict" for twin in twins]
    head = ["px", "reader", "pages", *columns, "ratio", "seconds"]
    lines = [f"| {' | '.join(head)} |", "|---" * (4 + 3 * len(twins) + 1) + "|"]
    for side in sides:
        for reader in readers:
            here = [r for r in records if (r["side"], r["reader"]) == (side, reader)]
            cells, ratio, seconds = [], "", ""
            for kind in twins:
                of = [r for r in here if r["twin"] == kind]
                cells.append(figures(of) if of else " | | ")
                if of and not seconds:
                    seconds = f"{statistics.median(r['seconds'] for r in of):.2f}"
                    kept = [r["kept"] for r in of]
                    if None not in kept:
                        ratio = f"{sum(r['text_tokens'] for r in of) / max(sum(kept), 1):.1f}×"
            if here:
                pages = len({(r["file"], r["page"]) for r in here})
                lines.append(f"| {side} | {reader} | {pages} | {' | '.join(cells)} | {ratio} | {seconds} |")
    return "\n".join(lines)


def figures(of: list[Record]) -> str:
    words = [Words(r["words_true"], r["words_read"], r["words_right"]) for r in of]
    fox, recall = (statistics.mean(getattr(w, name) for w in words) for name in ("fox_precision", "recall"))
    strict = 1 - sum(r["errors"] for r in of) / max(1, sum(r["characters"] for r in of))
    mark = "**" if recall < fox - HELD_BACK else ""
    return f"{fox:.3f} | {mark}{recall:.3f}{mark} | {strict:.3f}"


def costs(records: list[Record], sides: list[int]) -> str:
    """A Markdown table with a row for each side: the text tokens of clean pages, their squares, and those with ink."""
    lines = ["| px | pages | text tokens | squares | ratio | squares with ink | ratio |", "|---" * 7 + "|"]
    for side in sides:
        pages = {(r["file"], r["page"]): r for r in records if r["side"] == side and r["twin"] == "clean"}.values()
        if pages:
            text, squares, inked = (sum(r[name] for r in pages) for name in ("text_tokens", "squares", "inked"))
            lines.append(
                f"| {side} | {len(pages)} | {text:,} | {squares:,} | {text / squares:.1f}× | {inked:,} | "
                f"{text / max(inked, 1):.1f}× |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pdfs", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="lengths of the longer side, in px")
    parser.add_argument("--twins", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--readers", nargs="+", default=["nano-pages", "tesseract", "rapidocr"], choices=READERS)
    parser.add_argument("--checkpoint", help="a file of weights for nano (default: those that ship)")
    parser.add_argument("--classes", nargs="+", help="only pages of these classes of pages.json")
    parser.add_argument("--latin", action="store_true", help="only pages in Latin letters")
    parser.add_argument("--pages", type=int, help="at most so many pages of each class")
    parser.add_argument("--doubt", type=float, default=0.0, help="count words of nano that it read so surely alone")
    parser.add_argument("--by-class", action="store_true", help="print a table for each class, too")
    parser.add_argument("--json", type=Path, metavar="OUT", help="a file of JSON lines that keeps all readings")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pages = chosen(args.pdfs, args.classes, args.latin, args.pages)
    done: dict[tuple[Any, ...], Record] = {}
    if args.json and args.json.exists():
        records = map(json.loads, args.json.read_text().splitlines())
        done = {tuple(r.get(name, 0.0) for name in KEY): r for r in records}
    readers: dict[str, Reader] = {}
    records = []
    for page in pages:
        for side in args.sides:
            for kind in args.twins:
                one: Twin | None = None
                for name in args.readers:
                    ours = name.startswith(("nano", "zoom"))
                    checkpoint, doubt = (args.checkpoint, args.doubt) if ours else (None, 0.0)
                    key = (page["file"], page["page"], side, kind, name, checkpoint, doubt)
                    if key not in done:
                        if one is None:
                            with opened(args.pdfs / page["file"], page["page"]) as pdf_page:
                                one = twin(pdf_page, side, kind, f"{page['sha256']} {page['page']}")
                        if name not in readers:
                            readers[name] = READERS[name](args.checkpoint, doubt)
                        done[key] = dict(zip(KEY, key, strict=True), **measured(readers[name], one))
                        if args.json:
                            with args.json.open("a") as out:
                                out.write(json.dumps(done[key], ensure_ascii=False) + "\n")
                    records.append(done[key] | {"class": page["class"], "latin": page["latin"]})
    groups = {"Latin": [r for r in records if r["latin"]], "Other scripts": [r for r in records if not r["latin"]]}
    if args.by_class:
        classes = dict.fromkeys(page["class"] for page in pages)
        groups |= {f"Class {kind}": [r for r in records if r["class"] == kind] for kind in classes}
    for title, group in groups.items():
        if group:
            print(f"\n### {title}\n\n{costs(group, args.sides)}\n")
            print(table(group, args.sides, args.twins, args.readers))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from error
