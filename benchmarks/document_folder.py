"""Every reader on the pages of a folder, and its table of figures: `documents.py --folder`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from document_checks import holds
from document_peers import PDF_ONLY
from document_scores import (
    Matched,
    distance,
    formulas,
    letters,
    matched,
    order_error,
    pairs_of,
    partners,
    pieces,
    teds,
    word_scores,
)
from document_truths import Known

PEERS = Path(__file__).with_name("document_peers.py")


@dataclass
class Page:
    """What one reader made of one page: figures by name, and what it read."""

    known: Known
    markdown: str
    error: str = ""
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)  # what is summed before it is divided
    tables: list[tuple[float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # facts that do not hold


def read_all(reader: str, python: str, known: list[Known], one_core: bool) -> Iterator[Page]:
    """Each file as a reader reads it in a process of its own; `one_core` binds it to one core, warmed up by a file."""
    command = [python, str(PEERS), reader]
    if one_core:
        command = ["taskset", "-c", str(max(os.sched_getaffinity(0))), *command]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout and process.stderr

        def answer(path: Path) -> dict[str, Any]:
            process.stdin.write(f"{path}\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            for line in process.stdout:  # type: ignore[union-attr]
                if line.startswith("\x1e"):
                    return json.loads(line[1:])
            raise OSError(f"{reader} ended while it read {path}")

        if not any(line == "ready\n" for line in process.stdout):
            raise OSError(f"{reader} is not installed for {python}: {process.stderr.read().strip().splitlines()[-1:]}")
        if one_core:
            answer(known[0].path)
        for one in known:
            got = answer(one.path)
            yield Page(one, got["markdown"], got.get("error", ""), got["seconds"])
        process.stdin.close()


def measure(page: Page) -> None:
    """Fills in a page's figures."""
    known, markdown = page.known, re.sub(r"<!-- .*? -->", "", page.markdown)
    if known.kind == "words":
        right, there, read = word_scores("\n".join(piece.text for piece in pieces(markdown)), known.words)
        page.counts.update(right=right, there=there, read=read)
        page.figures["words"] = 2 * right / max(1, there + read)
    elif known.kind == "facts":
        for fact in known.facts:
            good = holds(fact, markdown)
            page.counts.update({f"{fact['type']} all": 1, f"{fact['type']}": int(good)})
            if not good:
                shown = {k: v for k, v in fact.items() if k not in ("pdf", "page", "id", "checked", "max_diffs", "url")}
                page.failed.append(json.dumps(shown, ensure_ascii=False))
    else:
        _measure_page(page, markdown)


def _measure_page(page: Page, markdown: str) -> None:
    """A table read where the page has none counts as text, row by row: labels beside their values may be either."""
    known, parts = page.known, pieces(markdown)
    grids = [part.grid for part in parts if part.grid]
    true = [grids[k] for k in partners(grids, known.tables).values()]
    shown = [
        text
        for part in parts
        for text in (
            [] if part.grid in true or part.kind == "formula" else part.grid.lines if part.grid else [part.text]
        )
    ]
    texts = [letters(text) for text in shown]
    truths = [letters(text) for text in known.texts + known.aside]
    pairs = matched([text for text in texts if text], truths)
    counted = [pair for pair in pairs if not pair.truths or min(pair.truths) < len(known.texts)]
    page.figures["blocks"] = sum(p.edits for p in counted) / max(1, sum(p.length for p in counted))
    page.figures["page"] = distance("\n".join(shown), "\n".join(known.whole)) if known.whole else 0.0
    page.figures["order"] = order_error([Matched(p.truths, p.reads, 0, 0) for p in counted])
    titles = [part.text for part in parts if part.kind == "title"]
    page.counts.update(titles=pairs_of(titles, known.titles), titles_read=len(titles), titles_there=len(known.titles))
    page.tables = teds(grids, known.tables)
    page.counts.update(tables_read=sum(part.grid is not None for part in parts), tables_there=len(known.tables))
    page.counts.update(
        formulas=pairs_of(
            [re.sub(r"\s", "", f) for f in formulas(markdown)], [re.sub(r"\s", "", f) for f in known.formulas]
        ),
        formulas_there=len(known.formulas),
    )
    right, there, read = word_scores(
        "\n".join(part.text for part in parts),
        "\n".join([*known.texts, *known.aside, *(table.text for table in known.tables)]),
    )
    page.counts.update(right=right, there=there, read=read)


HEADS = {
    "page": (
        "block distance",
        "page distance",
        "order error",
        "words recall / precision",
        "headings precision / recall",
        "TEDS / structure (tables read of)",
        "formulas",
    ),
    "words": ("words recall", "words precision"),
    "facts": ("facts",),
}


def row(kind: str, pages: list[Page]) -> list[str]:
    """A reader's figures under HEADS, and with facts those of each type."""
    total: Counter[str] = Counter()
    for page in pages:
        total.update(page.counts)

    def share(name: str, of: str) -> str:
        return f"{total[name] / total[of]:.3f}" if total[of] else "–"

    def mean(name: str) -> str:
        return f"{np.mean([page.figures[name] for page in pages]):.3f}"

    if kind == "words":
        return [share("right", "there"), share("right", "read")]
    if kind == "facts":
        types = sorted({str(fact["type"]) for page in pages for fact in page.known.facts})
        of = {name: f"{total[name]} of {total[f'{name} all']}" for name in types}
        whole = sum(total[name] for name in types), sum(total[f"{name} all"] for name in types)
        return [f"{whole[0]} of {whole[1]} (" + ", ".join(f"{name} {text}" for name, text in of.items()) + ")"]
    tables = [table for page in pages for table in page.tables]
    both = " / ".join(f"{value:.3f}" for value in np.mean(tables, axis=0)) if tables else "–"
    return [
        mean("blocks"),
        mean("page"),
        mean("order"),
        f"{share('right', 'there')} / {share('right', 'read')}",
        f"{share('titles', 'titles_read')} / {share('titles', 'titles_there')}",
        f"{both} ({total['tables_read']} of {total['tables_there']})",
        f"{total['formulas']} of {total['formulas_there']}",
    ]


def line(page: Page) -> str:
    """One page's figures, for those who look for the worst."""
    figures = " ".join(f"{name} {value:.3f}" for name, value in page.figures.items())
    counts = page.counts
    if page.known.kind != "facts":
        recall, precision = (counts["right"] / max(1, counts[of]) for of in ("there", "read"))
        figures += f" recall {recall:.3f} precision {precision:.3f}"
    if page.known.kind == "page":
        tables = " ".join(f"{whole:.2f}/{form:.2f}" for whole, form in page.tables)
        figures += f" titles {counts['titles']} (read {counts['titles_read']}, there {counts['titles_there']})"
        figures += f" tables {tables} (read {counts['tables_read']})"
        figures += f" formulas {counts['formulas']} of {counts['formulas_there']}"
    state = ", ".join(re.findall(r"<!-- (\w+ \w+): ", page.markdown))
    return f"{page.known.path.name} {page.known.label} [{state}] {figures} {page.error}".rstrip() + "".join(
        f"\n    {fact}" for fact in page.failed
    )


def measured(known: list[Known], readers: dict[str, str], one_core: bool, show: Path | None, each: bool) -> None:
    """Prints a table for each kind of truth; `readers` are names, each with the Python that has it."""
    for kind in ("page", "words", "facts"):
        mine = [one for one in known if one.kind == kind]
        if not mine:
            continue
        heads = ("reader", *HEADS[kind], "CPU seconds a page")
        print(f"\n{kind}: {len(mine)} files\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
        for name, python in readers.items():
            if name in PDF_ONLY and not all(one.path.suffix.lower() == ".pdf" for one in mine):
                print(f"| {name} | reads PDFs alone: not measured here |" + " |" * (len(heads) - 2), flush=True)
                continue
            pages = []
            try:
                for page in read_all(name, python, mine, one_core):
                    measure(page)
                    pages.append(page)
                    if each:
                        print(line(page), file=sys.stderr, flush=True)
                    if show:
                        show.mkdir(parents=True, exist_ok=True)
                        (show / f"{page.known.path.stem} {name}.md").write_text(page.markdown)
            except OSError as error:
                print(f"| {name} | {error} |" + " |" * (len(heads) - 2), flush=True)
                continue
            seconds = f"{np.mean([page.seconds for page in pages]):.2f}"
            print(f"| {name} | {' | '.join(row(kind, pages))} | {seconds} |", flush=True)
