"""Figures of what was measured: precision over ratio, a page beside its reading, and the curve of a training."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.codec import encoded, measure
from microfiche.errors import UsageError, require
from microfiche.evaluation.as_is import AsIs
from microfiche.page import Layout, TypesetPage
from microfiche.readers import Reader
from microfiche.typesetting.alphabet import N_HALF, glyphs
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import LEARNED, MODES, density, mode
from microfiche.typesetting.shrink import worn
from microfiche.typesetting.typesetter import Typesetter, unlearned

#: DeepSeek-OCR on Fox's English pages (arXiv 2510.18234, table 2): ratio, precision in per cent.
FOX_64 = ((10.5, 96.5), (11.8, 93.8), (13.2, 83.8), (15.1, 85.9), (16.5, 79.3), (17.7, 76.4), (19.7, 59.1))
SURE = (0.9, 0.95, 0.98, 0.99, 1.0)
FOX_100 = ((6.7, 98.5), (7.5, 97.3), (8.5, 96.8), (9.7, 96.8), (10.6, 91.5), (11.3, 89.8), (12.6, 87.1))


def _figure(width: float, height: float) -> Any:
    """An empty figure of so many inches, a matplotlib.figure.Figure. Raises MissingExtra without matplotlib."""
    require("a plot", "plots", "matplotlib")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plot(text: str, reader: Reader, mode_name: str, out: Path, progress: Callable[[int], None]) -> None:
    """Writes a PNG of precision over ratio at every density that can draw `text`, for the text and for random strings,
    beside the paper's values."""
    figure = _figure(8, 5)
    axes = figure.add_subplot()
    for points, label in ((FOX_64, "64 tokens"), (FOX_100, "100 tokens")):
        axes.plot(*zip(*points, strict=True), "--", marker="s", alpha=0.6, label=f"DeepSeek-OCR 3B, Fox pages, {label}")
    able = [d for d in LEARNED if not unlearned([text], d)]
    able = [d for d in able or LEARNED if not d.wide] or able
    for random, marker in ((False, "o"), (True, "x")):
        results = [measure(text, reader, d.name, mode_name, random=random, progress=progress) for d in able]
        # Random strings have no meaningful count of text tokens, so they are drawn at the ratio of their text.
        if not random:
            ratios = {r.density: r.ratio or 0.0 for r in results}
        results.sort(key=lambda r: ratios[r.density])
        x, y = [ratios[r.density] for r in results], [100 * r.precision for r in results]
        axes.plot(x, y, marker=marker, label="Microfiche nano, " + ("random strings" if random else "this text"))
        if not random:
            for r, a, b in zip(results, x, y, strict=True):
                axes.annotate(r.density, (a, b), textcoords="offset points", xytext=(4, 5), fontsize=8)
    axes.set(
        xlabel="text tokens for each vision token",
        ylabel="precision, %",
        ylim=(0, 102),
        title="Theirs: word precision on scanned-looking English pages.\n"
        "Ours: strict character precision on pages of our own typesetting.",
    )
    axes.title.set_fontsize(9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(out, format="png", dpi=120)


def plot_as_is(measured: Callable[[int], AsIs], zoomed: Callable[[float], AsIs] | None, out: Path) -> None:
    """Writes a PNG of Fox precision and recall over ratio for pages as they are, in sizes from tiny to large, beside
    the paper's values, which are of the same kind. `measured` takes the length of a page's longer side in px; `zoomed`,
    if the reader can glance and zoom, how sure it is to be of each line."""
    figure = _figure(8, 5)
    axes = figure.add_subplot()
    for points, label in ((FOX_64, "64 tokens"), (FOX_100, "100 tokens")):
        axes.plot(*zip(*points, strict=True), "--", marker="s", alpha=0.6, label=f"DeepSeek-OCR 3B, Fox pages, {label}")
    curves = {"whole pages": [measured(mode.side) for mode in MODES.values()]}
    if zoomed:
        curves["lines alone"] = [zoomed(sure) for sure in SURE]
    for kind, results in curves.items():
        ratios = [result.ratio for result in results]
        for name, values, marker in (
            ("word precision", [result.fox_precision for result in results], "o"),
            ("word recall", [result.recall for result in results], "x"),
        ):
            label = f"{results[0].read_by.split()[0]}, {kind}, {name}"
            axes.plot(ratios, [100 * value for value in values], marker=marker, label=label)
        for result in results:
            at = (result.ratio, 100 * result.fox_precision)
            said = f"{result.side} px" if result.sure is None else f"sure {result.sure}"
            axes.annotate(said, at, textcoords="offset points", xytext=(4, 5), fontsize=8)
    axes.set(
        xlabel="text tokens for each vision token",
        ylabel="word precision, %",
        ylim=(0, 102),
        title="Both: words read that are on the page. Theirs: Fox's English pages. Ours: these pages as they are.",
    )
    axes.title.set_fontsize(9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(out, format="png", dpi=120)


def show(
    text: str, reader: Reader, density_name: str, mode_name: str, layout: Layout, out: Path, jpeg: int | None = None
) -> None:
    """Writes a PNG of the first page, saved as a JPEG of quality `jpeg` if that is given, beside what was read from its
    tokens as a file stores them. Errors are on red, and what is less certain is paler. Raises UsageError if the reader
    gives no boxes."""
    typesetter = Typesetter(density(density_name), mode(mode_name), layout)
    page = next(islice(typesetter.pages([text]), 1))
    page = worn(page, None, jpeg)
    (reading,) = reader.read(encoded(reader, [page], "int8"))
    wide, high = (reading.boxes[:, 2:] - reading.boxes[:, :2]).T
    cell = typesetter.density
    in_cells = (high == cell.height).all() and np.isin(wide, (cell.width, 2 * cell.width)).all()
    if len(wide) != len(reading.text) or not in_cells:
        raise UsageError(f"{reader.checkpoint.name} does not read cell by cell, so nothing can be shown")
    read = np.full((*page.image.shape, 3), 255, np.uint8)
    truth = _characters(page)
    seen = {tuple(box[:2].tolist()) for box in reading.boxes}
    missed = np.array([box for (x, y), (_, box) in truth.items() if (x, y) not in seen]).reshape(-1, 4)
    for left, top, right, bottom in missed:
        read[top:bottom, left:right] = (255, 150, 150)
    cells = atlas(typesetter.density).cells
    for char, sure, (left, top, right, bottom) in zip(reading.text, reading.confidence, reading.boxes, strict=True):
        glyph = int(glyphs(char)[0])
        ink = cells[glyph] if glyph < N_HALF else np.concatenate([cells[glyph], cells[glyph + 1]], axis=1)
        right_one = truth.get((int(left), int(top)), ("", None))[0] == char
        paper = np.array((255, 255, 255) if right_one else (255, 150, 150))
        shade = paper * (0.75 * (1 - sure))
        read[top:bottom, left:right] = np.where(ink[..., None] == 1, shade, paper)
    scale = 2
    sheet = np.full((page.image.shape[0], 2 * page.image.shape[1] + 24, 3), 128, np.uint8)
    sheet[:, : page.image.shape[1]] = page.image[..., None]
    sheet[:, -page.image.shape[1] :] = read
    picture = Image.fromarray(sheet)
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(out, "PNG")


def _characters(page: TypesetPage) -> dict[tuple[int, int], tuple[str, NDArray[np.int32]]]:
    return {(int(b[0]), int(b[1])): (c, b) for c, b in zip(page.text, page.boxes, strict=True)}


def curve(log: Path, out: Path, unit: str = "nats a character", held_out: str = "") -> None:
    """Writes a PNG from a training's log.jsonl: its loss, in `unit`, and what it measured on held-out text. That is the
    share of characters read right, unless `held_out` names something else."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure = _figure(9, 4)
    loss, held = figure.subplots(1, 2)
    loss.semilogy([line["step"] for line in lines], [line["loss"] for line in lines])
    loss.set(xlabel="step", ylabel=f"loss, {unit}")
    measured = [line for line in lines if "held_out" in line]
    for name in measured[-1]["held_out"] if measured else ():
        style = ":" if name.endswith("random") else "-"
        held.plot([x["step"] for x in measured], [x["held_out"][name] for x in measured], style, label=name)
    held.set(xlabel="step", ylabel=held_out or "held-out characters read right", ylim=None if held_out else (0, 1.01))
    if held.lines:
        held.legend(fontsize=6, ncols=2)
    for axes in (loss, held):
        axes.grid(alpha=0.3)
    figure.savefig(out, format="png", dpi=110)
