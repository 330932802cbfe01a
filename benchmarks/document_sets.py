"""Makes the sets that `documents.py --folder` reads: pages after OmniDocBench's and facts after olmOCR-bench's manner.

    python benchmarks/document_sets.py CORPUS pages OUT [--seed 1]
    python benchmarks/document_sets.py CORPUS facts OUT
    python benchmarks/document_sets.py PDFS scans OUT

`pages` and `facts` set text that training holds out with LibreOffice (`soffice`) and, where it is installed, pdfLaTeX:
papers, textbooks, exams, slides, magazines, newspapers of four to six columns, notes, financial reports, invoices, CVs
and forms. `scans` prints pages of PDFs of Debian's packages, whose text layer is their truth, and wears them as
scanners, faxes and cameras do; PDFS is the folder to which the packages were unpacked.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from pathlib import Path

import pypdfium2
from document_facts import make_facts
from document_pages import Words, sheets
from document_setting import Placed, set_pages
from document_wear import WEAR, hocr, typed, worn


def polygon(box: tuple[float, float, float, float] | None, scale: float) -> list[float]:
    if not box:
        return []
    left, top, right, bottom = (round(v * scale, 1) for v in box)
    return [left, top, right, top, right, bottom, left, bottom]


def annotated(page: Placed, image: str, dpi: int) -> dict[str, object]:
    """OmniDocBench's record of a page."""
    sheet, found = page.sheet, []
    for block, box in zip(sheet.blocks, page.boxes, strict=True):
        record = {
            "category_type": block.kind,
            "poly": polygon(box, dpi / 72),
            "ignore": False,
            "order": len(found) + 1,
            "anno_id": len(found),
        }
        if block.rows:
            record["html"] = block.html
        elif block.latex:
            record["latex"] = f"$${block.latex}$$"
        else:
            record["text"] = block.text.replace("\t", " ")
        found.append(record)
        if block.note:
            found.append(
                {
                    "category_type": "page_footnote",
                    "poly": [],
                    "ignore": False,
                    "order": None,
                    "anno_id": len(found),
                    "text": block.note,
                }
            )
    for kind, text in (("header", sheet.head), ("footer", sheet.foot), ("page_number", str(sheet.number or ""))):
        if text and "beamer" not in sheet.tex:
            found.append(
                {"category_type": kind, "poly": [], "ignore": False, "order": None, "anno_id": len(found), "text": text}
            )
    width, height = (round(v * dpi / 72) for v in page.size)
    return {
        "layout_dets": found,
        "extra": {"relation": []},
        "page_info": {
            "page_no": 0,
            "width": width,
            "height": height,
            "image_path": image,
            "page_attribute": {"data_source": sheet.source, "language": "english"},
        },
    }


def make_pages(corpus: Path, out: Path, seed: int) -> None:
    (out / "images").mkdir(parents=True, exist_ok=True)
    (out / "pdfs").mkdir(exist_ok=True)
    records, rng = [], random.Random(seed)
    for page in set_pages(sheets(Words(corpus, seed), shutil.which("pdflatex") is not None)):
        dpi, name = rng.choice((100, 120, 150, 200)), page.sheet.name
        (out / f"pdfs/{name}.pdf").write_bytes(page.pdf)
        pypdfium2.PdfDocument(page.pdf)[0].render(scale=dpi / 72).to_pil().save(
            out / f"images/{name}.png", dpi=(dpi, dpi)
        )
        records.append(annotated(page, f"{name}.png", dpi))
    (out / "truth.json").write_text(json.dumps(records, indent=1, ensure_ascii=False))


def make_scans(pdfs: Path, out: Path, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for k, (path, number, wear, dpi) in enumerate(WEAR):
        rng = random.Random(seed * 100 + k)
        page = pypdfium2.PdfDocument(typed(path, rng) if path in ("typed", "receipt") else pdfs / path)[number]
        picture, move = worn(page.render(scale=dpi / 72).to_pil(), wear, rng)
        name = f"scan{k:02d}"
        picture.save(out / f"{name}.{'png' if wear == 'fax' else 'jpg'}", dpi=(dpi, dpi), quality=75)
        (out / f"{name}.hocr").write_text(hocr(page, dpi, move, picture.size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("kind", choices=("pages", "facts", "scans"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    {"pages": make_pages, "facts": make_facts, "scans": make_scans}[args.kind](args.source, args.out, args.seed)


if __name__ == "__main__":
    main()
