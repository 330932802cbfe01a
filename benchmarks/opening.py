"""Pages a second from a PDF: open_document with 1 and 2 workers, against pypdfium2 used directly in one process.

    python benchmarks/opening.py [--pages 60]           needs reportlab
    python benchmarks/opening.py --pages 3000 --stream  only open_document, and the memory that it takes

The benchmark writes its own PDF: A4 pages with 48 lines of text, the rules of a table and a photograph. It is drawn at
144 dpi. "pictures" is pypdfium2 giving RGB pictures and nothing else; all others also give the text layer, rules and
image boxes.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import numpy as np
import pypdfium2
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.opening import open_document
from microfiche.documents.pdf.file import PdfFile
from microfiche.limits import Limits

DPI = 144
BEST = "it was the best of times, it was the worst of times."


def generated_pdf(pages: int) -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(595, 842))
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    photograph = ImageReader(Image.fromarray(noise))
    for page in range(pages):
        canvas.setFont("Times-Roman", 11)
        for line in range(48):
            canvas.drawString(50, 790 - 12 * line, f"Page {page}, line {line}: {BEST}")
        for row in range(8):
            canvas.line(50, 60 + 16 * row, 300, 60 + 16 * row)
        canvas.drawImage(photograph, 330, 60, 200, 120)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def pictures(data: bytes) -> None:
    for page in pypdfium2.PdfDocument(data):
        page.render(scale=DPI / 72, rev_byteorder=True).to_pil()


def in_process(data: bytes) -> None:
    pdf = PdfFile(data, None, Limits())
    for number in range(1, pdf.pages + 1):
        Image.fromarray(pdf.sheet(number, DPI)[1])


def opened(workers: int) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        with open_document(data, "generated", dpi=DPI, workers=workers) as document:
            assert all(sheet.error is None for sheet in document.sheets())

    return run


def peak(who: int) -> str:
    return f"{getrusage(who).ru_maxrss / 1024:,.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=60)
    parser.add_argument("--stream", action="store_true")
    args = parser.parse_args()
    data = generated_pdf(args.pages)
    print(f"{args.pages} pages, {len(data):,} bytes, {DPI} dpi")
    every: dict[str, Callable[[bytes], None]] = {
        "pypdfium2, pictures": pictures,
        "pypdfium2 in process, all": in_process,
        "open_document, 1 worker": opened(1),
        "open_document, 2 workers": opened(2),
    }
    for name in list(every)[3:] if args.stream else every:
        before, began = peak(RUSAGE_SELF), time.perf_counter()
        every[name](data)
        print(f"{name:28} {args.pages / (time.perf_counter() - began):6.1f} pages/s")
        if args.stream:
            print(f"most memory: {before} before, {peak(RUSAGE_SELF)} after, {peak(RUSAGE_CHILDREN)} in a worker")


if __name__ == "__main__":
    main()
