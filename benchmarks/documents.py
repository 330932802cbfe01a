"""How well each engine reads documents whose text is known, beside Tesseract with its own layout analysis.

    python benchmarks/documents.py CORPUS [--pages 24] [--show DIR]
    python benchmarks/documents.py --real policy.pdf [--pages 24]
    python benchmarks/documents.py --folder DIR [--pdfs] [--readers microfiche tesseract] [--one-core] [--each]

CORPUS is the text corpus; only documents that training holds out are used. reportlab sets the pages with a fixed seed:
one to three columns, seven typefaces, 8 to 12 points, headings, lists, tables, and on half of them a running head and a
page number, which no reader has to give. `text` reads the PDF itself. The others read a scan of
it at 150 dpi: tilted up to 1.2°, blurred, grey, noisy, JPEG.

--real takes pages of 1,000 characters or more from somebody else's PDF, spread evenly over it, and scans them in the
same manner. Their text is the PDF's own, in the order in which it stands there (so choose a document in one column),
running heads and page numbers included.

--folder takes pages that somebody else made, with what is known of them: OmniDocBench's JSON, hOCR or text beside its
picture, or olmOCR-bench's facts (document_truths.py says where they lie; document_sets.py makes such folders). Each
reader runs in a process of its own (document_peers.py); --python names the interpreter that has a peer installed, as
in --python liteparse=venv/bin/python. *Block distance* is OmniDocBench's measure of text: blocks matched with what was
read, edits over the longer texts; heads, feet and captions do not count. *Page distance* takes all the texts but heads
and feet, in reading order, as one. TEDS is that of table_recognition_metric (pip install it to measure tables). --each
prints each page's figures on stderr.

Elsewhere edit distance is Levenshtein ÷ the longer text, after white space and Markdown's marks are removed from both.
Word recall is the share of the words on the page that were read, each as often as it stands there. Order error is the
edit distance between the order of the page's blocks and that in which they were read.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pypdfium2
from document_folder import measured
from document_peers import READERS
from document_truths import known_in
from document_wear import scan
from PIL import Image
from rapidfuzz.distance import Levenshtein
from rapidfuzz.fuzz import partial_ratio_alignment
from rapidocr import RapidOCR
from reportlab.lib import colors
from reportlab.lib.enums import TA_JUSTIFY, TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph, Spacer, Table, TableStyle

import microfiche
from microfiche.training.corpus import documents, held_out

FILES = ("en-wiki", "en-novels", "de-novels", "fr-novels", "es-novels")
FONTS = (
    ("Times-Roman", "Times-Bold"),
    ("Helvetica", "Helvetica-Bold"),
    ("Courier", "Courier-Bold"),
    ("DejaVuSans", "DejaVuSans-Bold"),
    ("DejaVuSerif", "DejaVuSerif-Bold"),
    ("DejaVuSansMono", "DejaVuSansMono-Bold"),
    ("STIXGeneral", "STIXGeneralBol"),
)


@dataclass(frozen=True)
class Truth:
    """A page's PDF, its scan, and the texts of its blocks in reading order."""

    pdf: bytes
    scan: Image.Image
    blocks: list[str]


class _Page(BaseDocTemplate):
    """A template that notes which blocks came to stand on the first page."""

    def __init__(self, file: io.BytesIO, **options: object) -> None:
        super().__init__(file, **options)
        self.blocks: list[str] = []

    def afterFlowable(self, flowable: Flowable) -> None:
        if self.page == 1 and hasattr(flowable, "truth"):
            self.blocks.append(flowable.truth)


def paragraphs(folder: Path) -> list[list[str]]:
    """Paragraphs of held-out text, one file after another, in characters that every font has."""
    found = []
    for name in FILES:
        for file in folder.glob(f"{name}.txt*"):
            text = "\n".join(d for d in documents(file) if held_out(d))
            plain = text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2013: "-", 0x2014: "-"})
            plain = plain.encode("latin-1", "ignore").decode("latin-1")
            parts = [" ".join(p.split()) for p in re.split(r"\n+", plain)]
            found.append([p for p in parts if 150 < len(p) < 700 and not re.search(r"[<>&|*_#\\]", p)])
    return [parts for parts in found if parts]


def page(texts: list[list[str]], rng: random.Random) -> Truth:
    """One page, set and scanned."""
    regular, bold = rng.choice(FONTS)
    size = rng.uniform(8, 12)
    columns = rng.choice((1, 1, 2, 2, 3)) if size < 10 else rng.choice((1, 2))
    body = ParagraphStyle(
        "b",
        fontName=regular,
        fontSize=size,
        leading=size * rng.uniform(1.15, 1.4),
        alignment=rng.choice((TA_LEFT, TA_JUSTIFY)),
        spaceAfter=rng.choice((0, 4, 7)),
        firstLineIndent=0,
    )
    if body.spaceAfter == 0:
        body.firstLineIndent = 1.5 * size
    head = ParagraphStyle(
        "h",
        parent=body,
        fontName=bold,
        fontSize=size * rng.uniform(1.15, 1.5),
        alignment=TA_LEFT,
        firstLineIndent=0,
        spaceBefore=8,
        spaceAfter=4,
    )
    head.leading = 1.2 * head.fontSize
    item = ParagraphStyle("i", parent=body, leftIndent=16, bulletIndent=4, firstLineIndent=0, spaceAfter=2)
    gap, margin = 18.0, 54.0
    width = (A4[0] - 2 * margin - gap * (columns - 1)) / columns
    frames = [Frame(margin + i * (width + gap), 60, width, A4[1] - 130, 0, 0, 0, 0) for i in range(columns)]
    furnished = rng.random() < 0.5

    def furniture(canvas: Canvas, _: BaseDocTemplate) -> None:
        if furnished:
            canvas.setFont(regular, 8)
            canvas.drawString(margin, A4[1] - 40, "Proceedings of the Society")
            canvas.drawCentredString(A4[0] / 2, 34, str(rng.randrange(1, 400)))

    parts = rng.choice(texts)
    at = rng.randrange(max(1, len(parts) - 40))
    story: list[Flowable] = []

    def add(flowable: Flowable, truth: str) -> None:
        flowable.truth = truth
        story.append(flowable)

    for k, text in enumerate(parts[at : at + 40]):
        if k % 4 == 0:
            words = " ".join(text.split()[:5]).strip(".,;:!?\"'-")
            add(Paragraph(words, head), words)
        if k % 7 == 3:
            for line in re.split(r"(?<=[.!?]) ", text)[:3]:
                add(Paragraph(line, item, bulletText="\u2022"), line)
            continue
        if k % 9 == 5:
            words = [w for w in re.findall(r"\w{3,12}", text)][:4] or ["none"]
            rows = [["Item", "Count", "Share"]]
            rows += [[w, str(rng.randrange(10, 9999)), f"{rng.random():.2f}"] for w in words]
            table = Table(rows, colWidths=[0.44 * width, 0.28 * width, 0.28 * width])
            ruled = (
                [("GRID", (0, 0), (-1, -1), 0.5, colors.black)]
                if rng.random() < 0.5
                else [
                    ("LINEABOVE", (0, 0), (-1, 0), 1, colors.black),
                    ("LINEBELOW", (0, 0), (-1, 0), 0.5, colors.black),
                    ("LINEBELOW", (0, -1), (-1, -1), 1, colors.black),
                ]
            )
            table.setStyle(TableStyle([("FONT", (0, 0), (-1, -1), regular, size), *ruled]))
            add(table, " ".join(" ".join(row) for row in rows))
            story.append(Spacer(1, 6))
            continue
        add(Paragraph(text, body), text)
    file = io.BytesIO()
    document = _Page(file, pagesize=A4, allowSplitting=0, invariant=1)
    document.addPageTemplates([PageTemplate("p", frames, onPage=furniture)])
    document.build(story)
    whole = pypdfium2.PdfDocument(file.getvalue())
    alone = pypdfium2.PdfDocument.new()
    alone.import_pages(whole, [0])
    pdf = io.BytesIO()
    alone.save(pdf)
    return Truth(pdf.getvalue(), scan(whole[0].render(scale=150 / 72).to_pil(), rng), document.blocks)


def real(path: Path, count: int, seed: int) -> list[Truth]:
    """`count` pages of a PDF, spread evenly over it, each with its own text."""
    found = []
    whole = pypdfium2.PdfDocument(path)
    texts = [page.get_textpage().get_text_range().replace("\ufffe", "").replace("\u0002", "") for page in whole]
    full = [number for number, text in enumerate(texts) if len(text) > 1000]
    for k in range(count):
        number = full[(2 * k + 1) * len(full) // (2 * count)]
        alone = pypdfium2.PdfDocument.new()
        alone.import_pages(whole, [number])
        pdf = io.BytesIO()
        alone.save(pdf)
        picture = whole[number].render(scale=150 / 72).to_pil()
        found.append(Truth(pdf.getvalue(), scan(picture, random.Random(seed * 1000 + k)), [texts[number]]))
    return found


def plain(text: str) -> str:
    """Text without any white space or marks of Markdown and HTML; words that stand in a picture count as read."""
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<[^>]*>|^#+ |^- |\|[ -]*---[-| ]*", " ", text, flags=re.MULTILINE)
    return " ".join(text.replace("|", " ").replace("\u2022", " ").replace("*", "").split())


def scores(read: str, truth: list[str]) -> tuple[float, float, float]:
    """Edit distance, word recall and order error of what was read."""
    found, wanted = plain(read), plain("\n".join(truth))
    close, exact = found.replace(" ", ""), wanted.replace(" ", "")
    distance = Levenshtein.distance(close, exact) / max(len(close), len(exact))
    left = Counter(re.findall(r"\w+", wanted))
    recall = (left & Counter(re.findall(r"\w+", found))).total() / left.total()
    places = []
    for k, block in enumerate(truth):
        if len(block) >= 40:
            match = partial_ratio_alignment(block.replace(" ", ""), close, score_cutoff=60)
            if match:
                places.append((match.dest_start, k))
    order = [k for _, k in sorted(places)]
    return distance, recall, Levenshtein.distance(order, sorted(order)) / max(1, len(order))


def tesseract(truth: Truth) -> str:
    png = io.BytesIO()
    truth.scan.save(png, "PNG", dpi=(150, 150))
    command = ["tesseract", "-", "-", "-l", "eng"]
    text = subprocess.run(command, input=png.getvalue(), capture_output=True, check=True).stdout.decode()
    return re.sub(r"-\n(?=[a-z])", "", text)


def readers() -> dict[str, Callable[[Truth], str]]:
    ocr = RapidOCR(params={"Global.log_level": "error"})

    def alone(truth: Truth) -> str:
        lines = ocr(np.asarray(truth.scan.convert("RGB"))[..., ::-1]).txts or ()
        return re.sub(r"-\n(?=[a-z])", "", "\n".join(lines))

    def rapid(truth: Truth) -> str:
        png = io.BytesIO()
        truth.scan.save(png, "PNG")
        return microfiche.read(png.getvalue()).markdown()

    found: dict[str, Callable[[Truth], str]] = {
        "microfiche, `text` (the PDF)": lambda truth: microfiche.read(truth.pdf).markdown(),
        "microfiche, `rapid` (the scan)": rapid,
        "RapidOCR alone (the scan)": alone,
    }
    if shutil.which("tesseract"):
        found["Tesseract (the scan)"] = tesseract
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--real", type=Path, help="a PDF whose pages are read, in place of pages set here")
    parser.add_argument("--pages", type=int, default=24)
    parser.add_argument("--folder", type=Path, help="pages with what is known of them")
    parser.add_argument(
        "--pdfs", action="store_true", help="with --folder: pdfs/NAME.pdf instead of OmniDocBench's pictures"
    )
    parser.add_argument("--only", default="", help="with --folder: files whose path holds this")
    parser.add_argument(
        "--python", nargs="+", default=[], help="with --folder: READER=PYTHON, or one PYTHON for all peers"
    )
    parser.add_argument("--one-core", action="store_true", help="with --folder: one core a reader, for times")
    parser.add_argument("--each", action="store_true", help="with --folder: the figures of each page")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readers", nargs="+", default=[""], help="only those whose names begin so, such as rapid")
    parser.add_argument("--show", type=Path, help="a folder in which to keep the scans and what was read from them")
    args = parser.parse_args()
    if args.folder and args.corpus:
        parser.error("--folder takes the place of the corpus")
    if args.folder:
        pythons = dict(pair.split("=", 1) for pair in args.python if "=" in pair)
        rest = next((path for path in args.python if "=" not in path), sys.executable)
        readers = {
            name: pythons.get(name, rest if name not in ("microfiche", "rapidocr", "tesseract") else sys.executable)
            for name in READERS
            if any(name.startswith(wanted) for wanted in args.readers)
        }
        known = [one for one in known_in(args.folder, args.pdfs) if args.only in str(one.path)]
        return measured(known, readers, args.one_core, args.show, args.each)
    fonts = Path(matplotlib.get_data_path()) / "fonts/ttf"
    for name in {name for pair in FONTS[3:] for name in pair}:
        pdfmetrics.registerFont(TTFont(name, fonts / f"{name}.ttf"))
    if args.real:
        pages = real(args.real, args.pages, args.seed)
    elif args.corpus:
        texts = paragraphs(args.corpus)
        pages = [page(texts, random.Random(args.seed * 1000 + k)) for k in range(args.pages)]
    else:
        parser.error("give CORPUS, --real PDF or --folder DIR")
    print("| reader | edit distance | word recall | order error | seconds a page |\n|---|---|---|---|---|")
    for name, reader in readers().items():
        if not any(name.removeprefix("microfiche, `").startswith(wanted) for wanted in args.readers):
            continue
        start, results = time.perf_counter(), []
        for k, truth in enumerate(pages):
            read = reader(truth)
            results.append(scores(read, truth.blocks))
            if args.show:
                args.show.mkdir(exist_ok=True)
                truth.scan.save(args.show / f"{k:02d}.png")
                (args.show / f"{k:02d} {name.split('(')[0].replace('`', '').strip()}.md").write_text(
                    f"{results[-1]}\n{read}\n\nTRUTH\n" + "\n\n".join(truth.blocks)
                )
        seconds = (time.perf_counter() - start) / len(pages)
        distance, recall, order = np.mean(results, axis=0)
        print(f"| {name} | {distance:.4f} | {recall:.4f} | {order:.4f} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
