"""What is known of the pages in a folder: OmniDocBench's JSON, word-level hOCR or text, olmOCR-bench's facts.

DIR/*.json      a list of pages with `layout_dets` and `page_info`; the pictures lie beside it or in images/
DIR/NAME.hocr   or NAME.txt beside NAME.png, .jpg, .tif, .pdf ...: the words of that file
DIR/*.jsonl     facts with `pdf`, `type` and what the type needs; the PDFs lie beside it or in pdfs/
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from document_scores import Grid, html_grid

FILES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".pdf")
TEXTS = ("title", "text_block", "code_txt", "code_txt_caption", "reference", "text", "list_group")
#: Text that OmniDocBench matches, so that nothing else is matched with it, and does not count.
ASIDE = (
    "figure_caption",
    "figure_footnote",
    "table_caption",
    "table_footnote",
    "code_algorithm",
    "code_algorithm_caption",
    "header",
    "footer",
    "page_footnote",
    "page_number",
    "equation_caption",
)


@dataclass
class Known:
    """A file and what is known of it. Texts are in reading order."""

    path: Path
    kind: str  # page, words or facts
    label: str = ""
    texts: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)  # all the text but running heads, feet and page numbers
    titles: list[str] = field(default_factory=list)
    tables: list[Grid] = field(default_factory=list)
    formulas: list[str] = field(default_factory=list)
    words: str = ""
    facts: list[dict[str, object]] = field(default_factory=list)


def known_in(folder: Path, pdfs: bool = False) -> list[Known]:
    """All that is known in a folder, in the order of the names. `pdfs` takes pdfs/NAME.pdf in place of the picture."""
    found: list[Known] = []
    for file in sorted(folder.glob("*.json")):
        records = json.loads(file.read_text("utf-8"))
        if isinstance(records, list):
            found += [_page(record, folder, pdfs) for record in records if "layout_dets" in record]
    for file in sorted([*folder.glob("*.hocr"), *folder.glob("*.txt")]):
        for path in (file.with_suffix(suffix) for suffix in FILES):
            if path.exists():
                text = file.read_text("utf-8")
                found.append(Known(path, "words", "words", words=hocr_words(text) if file.suffix == ".hocr" else text))
                break
    facts: dict[Path, Known] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").split("\n"):
            fact = json.loads(line) if line.strip() else {}
            if {"pdf", "type"} <= fact.keys():
                path = next((p for p in (folder / "pdfs" / fact["pdf"], folder / fact["pdf"]) if p.exists()), None)
                if path:
                    facts.setdefault(path, Known(path, "facts", "facts")).facts.append(fact)
    return found + list(facts.values())


def hocr_words(text: str) -> str:
    """The words of an hOCR page, a line each."""
    found = re.findall(r"""<span[^>]*class=['"]ocrx_word['"][^>]*>(.*?)</span>\s*""", text, re.DOTALL)
    return "\n".join(html.unescape(re.sub(r"<[^>]+>", "", word)) for word in found)


def _page(record: dict[str, object], folder: Path, pdfs: bool) -> Known:
    info = record["page_info"]
    assert isinstance(info, dict)
    name = Path(str(info["image_path"]))
    places = [folder / name, folder / "images" / name.name]
    if pdfs:
        places[:0] = [folder / "pdfs" / f"{name.stem}.pdf", folder / f"{name.stem}.pdf"]
    page = Known(next((p for p in places if p.exists()), places[-1]), "page")
    page.label = str(info.get("page_attribute", {}).get("data_source", ""))
    dets = record["layout_dets"]
    assert isinstance(dets, list)
    for det in sorted(dets, key=lambda d: (d.get("order") is None, d.get("order") or 0)):
        kind, text = det["category_type"], det.get("text") or ""
        if det.get("ignore"):
            continue
        if kind in TEXTS or (kind in ASIDE and kind not in ("header", "footer", "page_number")):
            page.whole.append(text)
        if kind in TEXTS:
            page.texts.append(text)
            if kind == "title":
                page.titles.append(text)
        elif kind in ASIDE:
            page.aside.append(text)
        elif kind == "table" and det.get("html"):
            page.tables.append(html_grid(det["html"]))
        elif kind == "equation_isolated":
            page.formulas.append(re.sub(r"^(\$\$|\\\[)|(\$\$|\\\])$", "", (det.get("latex") or text).strip()).strip())
    return page
