"""How fast training pages are made, and a sheet of them to look at.

    python benchmarks/data.py FOLDER [--pages 150] [--sides 256 640 1280]
    python benchmarks/data.py FOLDER --long 5000
    python benchmarks/data.py FOLDER --sheet docs/data.png

FOLDER is a corpus of UTF-8 text. Times are CPU time of one process that uses one thread, so other work on the machine
disturbs them little. Set pages are drawn twice with the same seeds: the first time glyphs that no earlier page had are
drawn by FreeType as well, the second time all are kept. A long training begins like the first and ends like the
second; --long shows how it goes from one to the other on pages of 256 px. The cost of each step of noise is measured on
printed pages of that size.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from microfiche.page import TOKEN_SIDE
from microfiche.training.noise import SCANS, STEPS, scanned, some, steps, worn
from microfiche.training.set_pages import SetPages
from microfiche.training.stream import Stream
from microfiche.typesetting.fonts import TYPEFACES
from microfiche.typesetting.print import Print

PANEL, CAPTION = 320, 16


def seconds(make: Callable[[int], object], pages: int) -> float:
    """CPU seconds a page, over so many pages."""
    start = time.process_time()
    for number in range(pages):
        make(number)
    return (time.process_time() - start) / pages


def rows(folder: Path, side: int, pages: int) -> dict[str, float]:
    """CPU seconds for a page of each kind."""
    stream, pages_set = Stream(folder, sides={(side, side): 1.0}), SetPages(folder)
    characters: list[int] = []

    def printed(number: int) -> Print:
        page = pages_set.page(np.random.default_rng([1, number]), side, side)
        characters.append(len(page.page.text or ""))
        return page

    found = {
        "dense": seconds(lambda n: stream.dense(np.random.default_rng([1, n]), side, side), pages),
        "printed, first time": seconds(printed, pages),
        "printed": seconds(printed, pages),
    }
    kept = [printed(number) for number in range(min(pages, 20))]

    def noisy(number: int) -> None:
        rng = np.random.default_rng([2, number])
        worn(printed(number), some(rng), rng)

    found["printed, each noise on 35 %"] = seconds(noisy, pages)

    def through_a_scan(number: int) -> None:
        rng = np.random.default_rng([2, number])
        worn(printed(number), scanned(rng), rng)

    found["printed, scanned"] = seconds(through_a_scan, pages)
    for number in range(pages):
        stream[number]
    found["stream with tasks"] = seconds(stream.__getitem__, pages)
    for name in STEPS | SCANS:
        rng = np.random.default_rng(3)
        found[f"noise: {name}"] = seconds(lambda n, name=name, rng=rng: worn(kept[n], steps([name]), rng), len(kept))
    print(f"{side} px: {np.mean(characters):.0f} characters on a printed page")
    return found


def table(folder: Path, sides: list[int], pages: int) -> None:
    """Prints the table of docs/data.md."""
    columns = [rows(folder, side, max(pages * 640 * 640 // max(side * side, 640 * 640), 20)) for side in sides]
    tokens = [(side // TOKEN_SIDE) ** 2 for side in sides]
    print("| pages | " + " | ".join(f"{side}²: ms | pages/s | vision tokens/s" for side in sides) + " |")
    print("|---|" + "---|" * 3 * len(sides))
    for name in columns[0]:
        cells = [
            f"{1000 * column[name]:.1f} | {1 / column[name]:.0f} | {count / column[name]:,.0f}"
            for column, count in zip(columns, tokens, strict=True)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def long(folder: Path, pages: int, every: int = 500) -> None:
    """Prints what a page of 256 px costs, and the memory taken, as more and more glyphs are kept."""
    pages_set = SetPages(folder)
    for first in range(0, pages, every):
        page = seconds(lambda n, first=first: pages_set.page(np.random.default_rng([1, first + n]), 256, 256), every)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"pages {first} to {first + every}: {1000 * page:.1f} ms a page, {memory} MiB", flush=True)


def sheet(folder: Path, file: Path) -> None:
    """Twenty pages: boxes of characters, lines and blocks, each step of noise, and three that were scanned."""
    pages_set = SetPages(folder, random_share=0.1)
    font = ImageFont.truetype(str(TYPEFACES["DejaVu Sans"].file("regular")), 11)
    names = ["characters", "lines and blocks", *STEPS, *SCANS, "scanned", "scanned", "scanned"]
    picture = Image.new("RGB", (4 * (PANEL + 8), len(names) // 4 * (PANEL + CAPTION + 8)), "white")
    for i, name in enumerate(names):
        rng = np.random.default_rng([12, i])
        page = pages_set.page(rng, PANEL, PANEL)
        if name == "scanned":
            page = worn(page, scanned(rng), rng)
        elif name in STEPS | SCANS:
            page = worn(page, steps([name]), rng)
        panel = Image.fromarray(page.page.image).convert("RGB")
        pen = ImageDraw.Draw(panel)
        if name == "characters" and page.page.boxes is not None:
            for left, top, right, bottom in page.page.boxes.tolist():
                if left < right:
                    pen.rectangle((left, top, right - 1, bottom - 1), outline=(255, 150, 150))
        if name in ("lines and blocks", "rotate", "perspective"):
            for line in page.lines:
                pen.line(line.baseline, fill=(220, 40, 40))
            for block in page.blocks:
                pen.rectangle(block.box, outline=(40, 60, 220))
        pen.rectangle((0, 0, PANEL - 1, PANEL - 1), outline=(160, 160, 160))
        x, y = i % 4 * (PANEL + 8) + 4, i // 4 * (PANEL + CAPTION + 8) + 4
        ImageDraw.Draw(picture).text((x, y), name, (0, 0, 0), font)
        picture.paste(panel, (x, y + CAPTION))
    picture.quantize(48, dither=Image.Dither.NONE).save(file, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=150)
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 640, 1280])
    parser.add_argument("--long", type=int)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    if options.sheet:
        sheet(options.folder, options.sheet)
    elif options.long:
        long(options.folder, options.long)
    else:
        table(options.folder, options.sides, options.pages)


if __name__ == "__main__":
    main()
