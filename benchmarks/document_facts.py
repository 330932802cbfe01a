"""Facts about set pages, after the manner of olmOCR-bench: what stands there, what does not, in which order and cell.

The JSONL has olmOCR-bench's fields (`pdf`, `page`, `id`, `type` and those of the type). Half of the pages are PDFs
with a text layer, half are pictures in a PDF, as a scanner makes them.
"""

from __future__ import annotations

import io
import json
import random
import re
import shutil
from pathlib import Path

import pypdfium2
from document_pages import Words, exam, form, magazine, newspaper, paper, report, slides, textbook, texts
from document_setting import Placed, set_pages
from document_sheets import Block, Part, Sheet
from document_wear import worn


def old_letter(words: Words, name: str) -> Sheet:
    """A typed letter of old."""
    blocks = [
        Block("text_block", f"{words.name()}, 14 May 1911"),
        Block("text_block", "Dear Sir,"),
        *texts(words, 5, 200, 450),
        Block("text_block", "Yours faithfully,"),
        Block("text_block", words.name()),
    ]
    return Sheet(
        name,
        "old_scans",
        (Part(tuple(blocks)),),
        head="Private and confidential",
        font="Liberation Mono",
        size=11,
        number=2,
        justified=False,
    )


def tiny(words: Words, name: str) -> Sheet:
    """A dictionary's page: three columns of entries in small type."""
    entries = sorted(
        f"{words.heading(1).lower()}, {text[0].lower()}{text[1:]}" for text in (words.text(100, 420) for _ in range(34))
    )
    return Sheet(
        name,
        "long_tiny_text",
        (Part(tuple(Block("text_block", e) for e in entries), 3),),
        head="D — F",
        number=212,
        size=6.5,
        margin=14,
        gutter=4,
    )


def pages(words: Words, latex: bool) -> list[tuple[Sheet, str]]:
    """Sheets, each with its wear ("" for a PDF with a text layer)."""
    fonts = ("Liberation Serif", "Carlito", "Liberation Sans", "Caladea", "TeX Gyre Pagella")
    made: list[tuple[Sheet, str]] = []
    wears = ("", "grey", "", "low", "", "fax", "", "back")
    for k in range(6):
        kinds = (
            ("years", "groups", "heads", "prose", "down", "plain")[k],
            ("grid", "none", "three", "grid", "grid", "lines")[k],
        )
        made.append((report(words, f"tables_{k}", (kinds,), fonts[k % 5]), wears[k]))
    for k, form_ in enumerate(
        (
            newspaper(words, "multi_column_0", (4, 3), fonts[0], 4),
            newspaper(words, "multi_column_1", (5, 5), fonts[3], 3.5),
            magazine(words, "multi_column_2", 3, fonts[2], fonts[2]),
            magazine(words, "multi_column_3", 2, fonts[4], fonts[1]),
            newspaper(words, "multi_column_4", (3, 3), fonts[2], 5),
        )
    ):
        made.append((form_, ("", "grey", "", "shadow", "grey")[k]))
    made += [(old_letter(words, f"old_scans_{k}"), ("typewriter", "fax", "low", "shadow")[k]) for k in range(4)]
    made += [(tiny(words, f"long_tiny_text_{k}"), ("", "grey", "")[k]) for k in range(3)]
    made += [(report(words, f"headers_footers_{k}", (), fonts[k]), ("", "grey", "", "")[k]) for k in range(4)]
    made += [(form(words, f"forms_{k}", ("invoice", "cv")[k % 2], fonts[k]), ("", "", "grey", "")[k]) for k in range(4)]
    made.append((slides(words, "slides_0", False), "grey"))
    if latex:
        made += [
            (paper(words, "math_0", 2), ""),
            (textbook(words, "math_1", "Palatino"), ""),
            (exam(words, "math_2"), "grey"),
        ]
    return made


def piece(text: str, rng: random.Random) -> str:
    """Six to nine words out of the middle of a text."""
    words = text.split()
    count = min(len(words), rng.randrange(6, 10))
    at = rng.randrange(len(words) - count + 1)
    return " ".join(words[at : at + count])


def table_facts(block: Block, rng: random.Random) -> list[dict[str, str]]:
    """Two cells of a table and what stands beside them."""
    cells: dict[tuple[int, int], str] = {}
    for r, row in enumerate(block.rows):
        column = 0
        for cell in row:
            while (r, column) in cells:
                column += 1
            for dr in range(cell.rowspan):
                for dc in range(cell.colspan):
                    cells[r + dr, column + dc] = cell.text
            column += cell.colspan
    texts_ = list(cells.values())
    inner = [at for at, text in cells.items() if at[0] > 1 and at[1] > 0 and len(text) > 1 and texts_.count(text) == 1]
    found = []
    for r, c in rng.sample(inner, min(3, len(inner))):
        sides = {
            "up": cells.get((r - 1, c)),
            "left": cells.get((r, c - 1)),
            "right": cells.get((r, c + 1)),
            "down": cells.get((r + 1, c)),
            "left_heading": cells.get((r, 0)),
            "top_heading": cells.get((1, c)) if block.rows[0][-1].colspan > 1 else cells.get((0, c)),
        }
        names = [name for name, text in sides.items() if text]
        found.append(
            {"cell": cells[r, c], **{name: sides[name] or "" for name in rng.sample(names, min(2, len(names)))}}
        )
    return found


def facts(page: Placed, rng: random.Random, scanned: bool) -> list[dict[str, object]]:
    """What is to be found on a page."""
    sheet, found = page.sheet, []
    kind = re.sub(r"_\d+$", "", sheet.name)
    slack = 2 if scanned else 0
    prose = [b for b in sheet.blocks if b.kind == "text_block" and b.style in ("", "drop", "big") and len(b.text) > 90]
    rng.shuffle(prose)
    order = {id(b): k for k, b in enumerate(sheet.blocks)}

    def add(type_: str, **fields: object) -> None:
        found.append(
            {
                "pdf": f"{kind}/{sheet.name}.pdf",
                "page": 1,
                "id": f"{sheet.name}_{len(found)}",
                "type": type_,
                "max_diffs": slack,
                "checked": "verified",
                **fields,
            }
        )

    add("baseline")
    if kind in ("long_tiny_text", "old_scans"):
        for block in prose[:3]:
            add("present", text=piece(block.text, rng))
    if kind in ("multi_column", "old_scans", "headers_footers", "math"):
        for one, two in list(zip(prose[::2], prose[1::2], strict=False))[:2]:
            one, two = sorted((one, two), key=lambda b: order[id(b)])
            add("order", before=piece(one.text, rng), after=piece(two.text, rng))
        if prose and len(prose[0].text.split()) > 40:
            words = prose[0].text.split()
            add("order", before=" ".join(words[:6]), after=" ".join(words[-6:]))
    if kind in ("headers_footers", "old_scans", "long_tiny_text"):
        for text in filter(None, (sheet.head, sheet.foot)):
            add("absent", text=text, case_sensitive=False)
        if sheet.number:
            add("absent", text=str(sheet.number), last_n=20, max_diffs=0)
    for block in sheet.blocks:
        if block.rows and kind in ("tables", "forms"):
            for fact in table_facts(block, rng):
                add("table", **fact)
        if block.latex and kind == "math":
            add("math", math=block.latex)
        if kind == "forms" and block.style == "form" and "\t" in block.text and rng.random() < 0.5:
            one, two = block.text.split("\t")
            add("present", text=f"{one} {two}")
        if kind == "slides" and block.style == "bullet":
            for line in block.text.split("\n")[:2]:
                add("present", text=line)
    return found


def make_facts(corpus: Path, out: Path, seed: int) -> None:
    """Writes `out`/facts.jsonl and `out`/pdfs."""
    words, rng = Words(corpus, seed + 40), random.Random(seed)
    made = pages(words, shutil.which("pdflatex") is not None)
    found: list[dict[str, object]] = []
    for page, (_, wear) in zip(set_pages([sheet for sheet, _ in made]), made, strict=True):
        mine = facts(page, rng, bool(wear))
        file = out / "pdfs" / str(mine[0]["pdf"])
        file.parent.mkdir(parents=True, exist_ok=True)
        if wear:
            dpi = 200 if wear == "fax" else 150
            picture, _ = worn(pypdfium2.PdfDocument(page.pdf)[0].render(scale=dpi / 72).to_pil(), wear, rng)
            scan = io.BytesIO()
            picture.convert("RGB" if wear == "shadow" else "L").save(scan, "PDF", resolution=dpi)
            page.pdf = scan.getvalue()
        file.write_bytes(page.pdf)
        found += mine
    (out / "facts.jsonl").write_text("".join(json.dumps(fact, ensure_ascii=False) + "\n" for fact in found))
