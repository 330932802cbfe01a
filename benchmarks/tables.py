"""How well tables are read whose cells are known: TEDS with the tables that were found, not with true boxes.

    pip install table_recognition_metric
    python benchmarks/tables.py [--pages 60] [--scans] [--show DIR]

reportlab sets the pages with a fixed seed: prose, and between it one or two tables (full grids, three rules, a rule a
row, no rules, coloured bands; heads over several columns, cells of several lines, statements with leaders, invoices),
and pages of prose in columns that hold no table. `--scans` reads a scan of each page, as benchmarks/documents.py makes
it, instead of its PDF.

A true table is compared with the table of the page that is most like it; where there is none, its TEDS is 0. What else
was called a table is false. TEDS is that of table_recognition_metric, with the cells' text and of the structure alone.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
from documents import scan
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import BalancedColumns, Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

import microfiche

WORDS = re.findall(
    r"\w+",
    "harbour lamp winter copper ledger garden bridge signal paper engine river market silver orchard tower window "
    "letter cargo valley station museum record keeper morning weather book light timber canal",
)
FONTS = (("Helvetica", "Helvetica-Bold"), ("Times-Roman", "Times-Bold"))
PROSE = (
    "The keeper of the lighthouse wrote down the weather every morning before breakfast and every evening after the "
    "lamp was lit. His notes were short and plain, and he never missed a day in eleven years. When the station was "
    "closed the books were sent to the museum in town, where a clerk put them on a shelf and forgot them."
)


@dataclass(frozen=True)
class Cell:
    """A true cell."""

    text: str
    across: int = 1
    down: int = 1


Rows = list[list[Cell | None]]  #: None where a cell from above or from the left goes on


def as_html(rows: Rows) -> str:
    """The table as the HTML that TEDS takes."""
    out = []
    for row in rows:
        cells = ""
        for cell in row:
            if cell:
                spans = "".join(f' {n}="{v}"' for n, v in (("colspan", cell.across), ("rowspan", cell.down)) if v > 1)
                cells += f"<td{spans}>{html.escape(cell.text, quote=False)}</td>"
        out.append(f"<tr>{cells}</tr>")
    return f"<html><body><table>{''.join(out)}</table></body></html>"


def words(rng: random.Random, low: int, high: int) -> str:
    """Some words, the first with a capital."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high))).capitalize()


def number(rng: random.Random) -> str:
    """A number as tables have it."""
    return rng.choice(
        [
            lambda: f"{rng.randrange(1, 99999):,}",
            lambda: f"{rng.uniform(0, 100):.1f}%",
            lambda: str(rng.randrange(100)),
            lambda: f"({rng.randrange(1, 999)})",
            lambda: f"{rng.uniform(0, 1000):.2f}",
            lambda: f"-{rng.uniform(0, 9):.3f}",
        ]
    )()


def plain_rows(rng: random.Random, long: bool = False, empty: float = 0.0) -> Rows:
    """A head, rows with a label each, and numbers or words."""
    columns, count = rng.randint(2, 4 if long else 6), rng.randint(2, 9)
    kinds = [rng.random() < (0.2 if long else 0.7) for _ in range(columns)]
    rows: Rows = [[Cell(words(rng, 1, 2)) for _ in range(columns)]]
    for _ in range(count):
        row: list[Cell | None] = [Cell(words(rng, 1, 3))]
        for k in range(1, columns):
            text = number(rng) if kinds[k] else words(rng, 1, 14 if long else 2)
            row.append(Cell("" if rng.random() < empty else text))
        rows.append(row)
    return rows


def with_spans(rng: random.Random, down: bool) -> Rows:
    """A head of two rows, the upper one over pairs of columns; with `down`, labels over two rows."""
    pairs, count = rng.randint(1, 3), rng.randint(2, 4)
    head: list[Cell | None] = [Cell(words(rng, 1, 1), down=2)]
    second: list[Cell | None] = [None]
    for _ in range(pairs):
        head += [Cell(words(rng, 1, 2), across=2), None]
        second += [Cell(str(rng.randrange(1990, 2030))), Cell(str(rng.randrange(1990, 2030)))]
    rows: Rows = [head, second]
    for _ in range(count):
        values: list[Cell | None] = [Cell(number(rng)) for _ in range(2 * pairs)]
        rows.append([Cell(words(rng, 1, 2), down=2 if down else 1), *values])
        if down:
            rows.append([None, *(Cell(number(rng)) for _ in range(2 * pairs))])
    return rows


def statement(rng: random.Random) -> Rows:
    """A financial statement: labels, some of them indented, and two or three years."""
    years = rng.randint(2, 3)
    rows: Rows = [[Cell(""), *(Cell(str(2024 - k)) for k in range(years))]]
    for _ in range(rng.randint(1, 3)):
        rows.append([Cell(words(rng, 2, 3) + ":"), *(Cell("") for _ in range(years))])
        for _ in range(rng.randint(2, 4)):
            rows.append(
                [Cell("\u2003" + words(rng, 1, 3)), *(Cell(f"{rng.randrange(10, 99999):,}") for _ in range(years))]
            )
        rows.append(
            [Cell("Total " + words(rng, 1, 1).lower()), *(Cell(f"{rng.randrange(10, 99999):,}") for _ in range(years))]
        )
    return rows


def invoice(rng: random.Random) -> Rows:
    """What was bought, and the sums below."""
    rows: Rows = [[Cell(t) for t in ("Description", "Qty", "Unit price", "Amount")]]
    for _ in range(rng.randint(2, 7)):
        count, price = rng.randrange(1, 20), rng.uniform(1, 90)
        rows.append([Cell(words(rng, 1, 4)), Cell(str(count)), Cell(f"{price:.2f}"), Cell(f"{count * price:.2f}")])
    for label in ("Subtotal", "VAT 19%", "Total due"):
        rows.append([Cell(""), Cell(""), Cell(label), Cell(f"{rng.uniform(10, 900):.2f}")])
    return rows


def timetable(rng: random.Random) -> Rows:
    """Stations and times."""
    columns = rng.randint(4, 8)
    rows: Rows = [[Cell("Station"), *(Cell(str(rng.randrange(100, 999))) for _ in range(columns))]]
    for k in range(rng.randint(4, 10)):
        rows.append(
            [
                Cell(words(rng, 1, 2)),
                *(Cell(f"{6 + j}:{(7 * k + 3 * j) % 60:02d}" if rng.random() < 0.9 else "–") for j in range(columns)),
            ]
        )
    return rows


def style(kind: str, rows: Rows, rng: random.Random, grey: bool) -> list[tuple[Any, ...]]:
    """The rules and bands of a kind of table."""
    ink, last = (colors.Color(0.75, 0.75, 0.75) if grey else colors.black), len(rows) - 1
    head = next((k for k, row in enumerate(rows) if k and None not in row[:1]), 1) - 1
    match kind:
        case "grid":
            return [("GRID", (0, 0), (-1, -1), rng.choice((0.4, 0.6, 1)), ink)]
        case "booktabs":
            found = [
                ("LINEABOVE", (0, 0), (-1, 0), 1, colors.black),
                ("LINEBELOW", (0, head), (-1, head), 0.5, colors.black),
                ("LINEBELOW", (0, last), (-1, last), 1, colors.black),
            ]
            found += [
                ("LINEBELOW", (k + 0, 0), (k + 1, 0), 0.4, colors.black)
                for k, cell in enumerate(rows[0])
                if cell and cell.across > 1
            ]
            return found
        case "lines":
            return [("LINEBELOW", (0, 0), (-1, -1), 0.5, ink)]
        case "bands":
            found = [("BACKGROUND", (0, k), (-1, k), colors.Color(0.92, 0.94, 0.97)) for k in range(1, last + 1, 2)]
            return [
                ("BACKGROUND", (0, 0), (-1, head), colors.Color(0.2, 0.3, 0.5)),
                ("TEXTCOLOR", (0, 0), (-1, head), colors.white),
                *found,
            ]
        case _:
            return []


MAKERS: dict[str, tuple[Callable[[random.Random], Rows], tuple[str, ...]]] = {
    "plain": (
        lambda rng: plain_rows(rng, empty=rng.choice((0, 0, 0.15))),
        ("grid", "booktabs", "lines", "bands", "none"),
    ),
    "long cells": (lambda rng: plain_rows(rng, long=True), ("grid", "booktabs", "lines", "none")),
    "spans": (lambda rng: with_spans(rng, down=False), ("grid", "booktabs", "bands")),
    "spans down": (lambda rng: with_spans(rng, down=True), ("grid",)),
    "statement": (statement, ("none", "lines", "booktabs")),
    "invoice": (invoice, ("none", "lines", "grid", "bands")),
    "timetable": (timetable, ("none", "grid", "bands")),
}


def flowable(rows: Rows, kind: str, maker: str, rng: random.Random, width: float) -> Table:
    """The table as reportlab sets it."""
    regular, bold = rng.choice(FONTS)
    size, grey = rng.uniform(7.5, 10.5), rng.random() < 0.3
    body = ParagraphStyle("c", fontName=regular, fontSize=size, leading=1.2 * size)
    head = ParagraphStyle("h", parent=body, fontName=bold, textColor=colors.white if kind == "bands" else colors.black)
    leaders = maker == "statement" and rng.random() < 0.4
    columns = len(rows[0])
    first = rng.uniform(1.2, 2.5) if columns > 2 else 1
    total = width * rng.uniform(0.6, 1)
    widths = [total * first / (first + columns - 1), *[total / (first + columns - 1)] * (columns - 1)]
    data, spans = [], []
    right = rng.random() < 0.6
    for i, row in enumerate(rows):
        out: list[Any] = []
        for j, cell in enumerate(row):
            if cell is None:
                out.append("")
                continue
            if cell.across > 1 or cell.down > 1:
                spans.append(("SPAN", (j, i), (j + cell.across - 1, i + cell.down - 1)))
            used = head if i == 0 else body
            align = 1 if cell.across > 1 else 2 if right and j and maker != "long cells" else 0
            text = html.escape(cell.text, quote=False)
            if leaders and j == 0 and row[-1] and row[-1].text and i:
                free = widths[0] - 14 - 0.55 * size * len(cell.text)
                text += " " + "." * max(3, int(free / (0.278 * size)))
            out.append(
                Paragraph(
                    text,
                    ParagraphStyle(
                        "x", parent=used, alignment=align, leftIndent=10 if cell.text.startswith("\u2003") else 0
                    ),
                )
            )
        data.append(out)
    table = Table(data, colWidths=widths)
    pad = rng.uniform(1, 4)
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), rng.choice(("TOP", "MIDDLE"))),
                ("TOPPADDING", (0, 0), (-1, -1), pad),
                ("BOTTOMPADDING", (0, 0), (-1, -1), pad),
                *spans,
                *style(kind, rows, rng, grey),
            ]
        )
    )
    return table


def page(rng: random.Random, number: int) -> tuple[bytes, list[str], list[str]]:
    """A page as PDF, the HTML of its tables, and what kinds they are."""
    body = ParagraphStyle(
        "b",
        fontName=rng.choice(FONTS)[0],
        fontSize=10,
        leading=rng.uniform(12, 15),
        alignment=rng.choice((0, 4)),
        spaceAfter=8,
    )
    width = A4[0] - 2 * 60
    story: list[Flowable] = [Paragraph(PROSE, body)]
    truths, kinds = [], []
    if number % 6 == 5:
        columns = rng.choice((2, 3))
        prose = [
            Paragraph(" ".join(rng.choice((PROSE, words(rng, 20, 60) + ".")) for _ in range(2)), body) for _ in range(6)
        ]
        story = [BalancedColumns(prose, nCols=columns, innerPadding=rng.uniform(8, 20))]
        kinds = [f"{columns} columns of prose"]
    else:
        for k in range(rng.choice((1, 1, 2))):
            maker, (make, styles) = list(MAKERS.items())[(number + 3 * k) % len(MAKERS)]
            kind, rows = rng.choice(styles), make(rng)
            story += [Spacer(1, 6), flowable(rows, kind, maker, rng, width), Spacer(1, 10), Paragraph(PROSE, body)]
            truths.append(
                as_html([[c and Cell(c.text.strip("\u2003"), c.across, c.down) for c in row] for row in rows])
            )
            kinds.append(f"{maker}, {kind}")
    file = io.BytesIO()
    SimpleDocTemplate(file, pagesize=A4, leftMargin=60, rightMargin=60, invariant=1).build(story)
    whole = pypdfium2.PdfDocument(file.getvalue())
    if len(whole) > 1:
        return page(random.Random(rng.random()), number)
    return file.getvalue(), truths, kinds


def found_tables(markdown: list[str]) -> list[str]:
    """The tables of blocks, each as HTML."""
    out = []
    for text in markdown:
        if text.startswith("<table"):
            plain = re.sub(r"<br\s*/?>", " ", text.replace("<th", "<td").replace("</th", "</td"))
            plain = re.sub(r"</?(thead|tbody)>", "", plain)
        else:
            lines = [line for k, line in enumerate(text.splitlines()) if k != 1]
            rows = [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in lines]
            cells = [[re.sub(r"\\([^\w\s])", r"\1", re.sub("<br>", " ", c)).strip() for c in row] for row in rows]
            plain = (
                "<table>"
                + "".join(
                    "<tr>" + "".join(f"<td>{html.escape(html.unescape(c), quote=False)}</td>" for c in row) + "</tr>"
                    for row in cells
                )
                + "</table>"
            )
        out.append(f"<html><body>{plain}</body></html>")
    return out


def matched(found: list[str], truths: list[str], teds: Any, structure: Any) -> list[tuple[float, float]]:
    """For each true table the scores of the found table that is most like it, each found one used once."""
    left = list(found)
    scores = []
    for truth in truths:
        ranked = sorted(((teds(f, truth), f) for f in left), reverse=True)
        if not ranked or ranked[0][0] < 0.05:
            scores.append((0.0, 0.0))
            continue
        best = ranked[0][1]
        left.remove(best)
        scores.append((ranked[0][0], structure(best, truth)))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, nargs="?", help="PDFs or pictures NAME.* with NAME.json, a list of tables as HTML"
    )
    parser.add_argument("--pages", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scans", action="store_true")
    parser.add_argument("--show", type=Path, help="a folder in which to keep what was read and what is true")
    args = parser.parse_args()
    from table_recognition_metric import TEDS

    teds, structure = TEDS(), TEDS(structure_only=True)
    every: dict[str, list[tuple[float, float]]] = defaultdict(list)
    false, seconds = 0, 0.0
    sources: list[tuple[str, bytes, list[str], list[str]]] = []
    if args.folder:
        for side in sorted(args.folder.glob("*.json")):
            truth = json.loads(side.read_text())
            source = next(p for p in side.parent.glob(side.stem + ".*") if p.suffix != ".json")
            sources.append((side.stem, source.read_bytes(), truth["tables"], truth["kinds"]))
    else:
        for k in range(args.pages):
            sources.append((f"{k:03d}", *page(random.Random(args.seed * 1000 + k), k)))
    for name, data, truths, kinds in sources:
        if args.scans and data.startswith(b"%PDF"):
            picture = pypdfium2.PdfDocument(data)[0].render(scale=150 / 72).to_pil()
            png = io.BytesIO()
            scan(picture, random.Random(name)).save(png, "PNG", dpi=(150, 150))
            data = png.getvalue()
        start = time.perf_counter()
        document = microfiche.read(data)
        seconds += time.perf_counter() - start
        texts = [b.text for p in document.pages for b in p.blocks if b.kind == "table"]
        found = found_tables(texts)
        scores = matched(found, truths, teds, structure)
        false += len(found) - sum(s[0] > 0 for s in scores)
        if not truths:
            every[kinds[0]].append((1.0 - min(1, len(found)),) * 2)
        for kind, score in zip(kinds, scores, strict=False):
            every[kind].append(score)
        if args.show:
            args.show.mkdir(exist_ok=True, parents=True)
            suffix = "pdf" if data.startswith(b"%PDF") else "png"
            (args.show / f"{name}.{suffix}").write_bytes(data)
            said = [f"{kind}: {score[0]:.3f} {score[1]:.3f}" for kind, score in zip(kinds, scores, strict=False)]
            (args.show / f"{name}.txt").write_text(
                "\n\n".join([*said, document.markdown(), "TRUE", *truths, "FOUND", *found])
            )
    print("| kind | tables | TEDS | structure |\n|---|---|---|---|")
    for kind in sorted(every):
        print("| {} | {} | {:.3f} | {:.3f} |".format(kind, len(every[kind]), *np.mean(every[kind], axis=0)))
    whole = [s for kind, scores in every.items() for s in scores if "prose" not in kind]
    print("| all | {} | {:.3f} | {:.3f} |".format(len(whole), *np.mean(whole, axis=0)))
    print(f"\n{false} false tables on {len(sources)} pages; {seconds / len(sources):.2f} s a page")


if __name__ == "__main__":
    main()
