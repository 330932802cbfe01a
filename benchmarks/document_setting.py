"""Sheets set by LibreOffice (ODF) or by pdfLaTeX, each on one page of a PDF, and where their blocks stand on it.

It does not know what the pages are about: `document_pages.py` writes them. Where each block came to stand is found in
the PDF's text layer, so that the truth has OmniDocBench's boxes.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path

import pypdfium2
from document_sheets import Sheet, odf, tex
from rapidfuzz.fuzz import partial_ratio_alignment


@dataclass
class Placed:
    """A set page: its PDF, its size in points, and where its blocks stand (left, top, right, bottom in points)."""

    sheet: Sheet
    pdf: bytes
    size: tuple[float, float]
    boxes: list[tuple[float, float, float, float] | None] = field(default_factory=list)


def _compact(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})
    return re.sub(r"[\s\x02\ufffe\xad–—−-]+", "", text)


def placed(sheet: Sheet, pdf: bytes) -> tuple[Placed, int]:
    """The PDF's first page with the boxes of its blocks, and how many pages there were."""
    whole = pypdfium2.PdfDocument(pdf)
    page = whole[0]
    width, height = page.get_size()
    layer = page.get_textpage()
    signs, places = "", []
    for k in range(layer.count_chars()):
        for sign in _compact(layer.get_text_range(k, 1)):
            signs += sign
            places.append(k)
    result, start = Placed(sheet, pdf, (width, height)), 0
    for block in sheet.blocks:
        wanted, box = _compact(block.written), None
        at = signs.find(wanted, start) if wanted else -1
        end = at + len(wanted)
        if at < 0 and len(wanted) > 8:
            match = partial_ratio_alignment(wanted, signs[start:], score_cutoff=88)
            if match and len(wanted) <= len(signs):
                at, end = start + match.dest_start, start + match.dest_end
        if at >= 0 and wanted:
            edges = [layer.get_charbox(k) for k in places[at:end]]
            edges = [e for e in edges if e[2] > e[0] and e[3] > e[1]] or edges
            box = (
                min(e[0] for e in edges),
                height - max(e[3] for e in edges),
                max(e[2] for e in edges),
                height - min(e[1] for e in edges),
            )
            start = end if at - start < 400 else start
        result.boxes.append(box)
    if len(whole) > 1:
        alone = pypdfium2.PdfDocument.new()
        alone.import_pages(whole, [0])
        with tempfile.NamedTemporaryFile() as file:
            alone.save(file.name)
            result.pdf = Path(file.name).read_bytes()
    return result, len(whole)


def convert(sheets: list[Sheet]) -> list[bytes]:
    """Each sheet's PDF. Raises SystemExit where LibreOffice or pdfLaTeX cannot set one."""
    with tempfile.TemporaryDirectory() as folder:
        offices = []
        for sheet in sheets:
            file = Path(folder) / f"{sheet.name}.{'tex' if sheet.tex else 'fodt'}"
            file.write_text(tex(sheet) if sheet.tex else odf(sheet))
            if sheet.tex:
                subprocess.run(["pdflatex", "-interaction=batchmode", file.name], cwd=folder, capture_output=True)
            else:
                offices.append(file.name)
        if offices:
            subprocess.run(
                [
                    "soffice",
                    f"-env:UserInstallation=file://{folder}/office",
                    "--headless",
                    "--convert-to",
                    "pdf",
                    *offices,
                ],
                cwd=folder,
                capture_output=True,
            )
        found = []
        for sheet in sheets:
            pdf = Path(folder) / f"{sheet.name}.pdf"
            if not pdf.exists():
                log = pdf.with_suffix(".log")
                said = log.read_text("utf-8", "replace")[-1500:] if log.exists() else ""
                raise SystemExit(f"{sheet.name} could not be set\n{said}")
            found.append(pdf.read_bytes())
        return found


def set_pages(sheets: list[Sheet], tries: int = 6) -> list[Placed]:
    """Every sheet on one page: blocks that the first page does not hold whole are left out, the rest is set anew."""
    done: dict[str, Placed] = {}
    left = {sheet.name: sheet for sheet in sheets}
    for _ in range(tries):
        for sheet, pdf in zip(list(left.values()), convert(list(left.values())), strict=True):
            page, count = placed(sheet, pdf)
            if count == 1:
                done[sheet.name] = page
                del left[sheet.name]
            else:
                left[sheet.name] = _shorter(page)
        if not left:
            break
    if left:
        raise SystemExit(f"{', '.join(left)}: more than one page after {tries} tries")
    return [done[sheet.name] for sheet in sheets]


def _shorter(page: Placed) -> Sheet:
    """The sheet without its blocks from the first one on that is not wholly on the page, and at least one fewer."""
    blocks = page.sheet.blocks
    last = max((k for k, box in enumerate(page.boxes) if box), default=0)
    keep = min(last, len(blocks) - 1)
    while keep > 1 and blocks[keep - 1].kind in ("title", "table_caption"):
        keep -= 1
    parts, seen = [], 0
    for part in page.sheet.parts:
        parts.append(replace(part, blocks=part.blocks[: max(0, keep - seen)]))
        seen += len(part.blocks)
    return replace(page.sheet, parts=tuple(part for part in parts if part.blocks))
