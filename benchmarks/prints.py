"""How well nano, Tesseract and RapidOCR read printed pages in typefaces that were never trained on.

    python benchmarks/prints.py CORPUS [--pages 8] [--size 12] [--side 1280] [--checkpoint nano-pages]

All get the same pictures. Pages of held-out text are set in the held-out typefaces (docs/fonts.md), in one column: as
they are, with the noise of training/noise.py (*worn*), and as their random twin. Precision is strict, over the lines
from the top, with one space for any white space. *Ratio* is text tokens in DeepSeek's vocabulary over the page's vision
tokens.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from rivals import rapidocr, tesseract

from microfiche.page import TOKEN_SIDE, Page
from microfiche.precision import errors, random_twin, text_tokens
from microfiche.readers import load
from microfiche.training.corpus import documents, held_out
from microfiche.training.noise import some, worn
from microfiche.typesetting.fonts import typefaces
from microfiche.typesetting.galleys import Look
from microfiche.typesetting.markdown import Paragraph
from microfiche.typesetting.print import Print, drawable, printed, settable_text

KINDS = ("clean", "worn", "random strings")


def pages(folder: Path, count: int, size: int, side: int, kind: str) -> list[Print]:
    """`count` pages of one kind, each in the next of the held-out Latin typefaces."""
    (file,) = folder.glob("en-novels*")
    text = " ".join(" ".join(d for d in documents(file) if held_out(d)).split())
    faces = [face for face in typefaces(held_out=True) if face.kind != "cjk"]
    each = round(2.5 * (side / size) ** 2)
    made = []
    for i in range(count):
        face = faces[i % len(faces)]
        piece = settable_text(text[i * each : (i + 1) * each], drawable(face)).strip()
        if kind == "random strings":
            piece = " ".join(random_twin(piece, i).split())
        look = Look(face, size, margins=(size * 3,) * 4, number=str(i + 1))
        one = printed([Paragraph(piece)], look, side, side)
        rng = np.random.default_rng(i)
        made.append(worn(one, some(rng, 0.35), rng) if kind == "worn" else one)
    return made


def truth(one: Print) -> str:
    """The text of a page, a line of type on each line."""
    assert one.page.text is not None
    return "\n".join(one.page.text[line.start : line.stop].strip() for line in one.lines)


def score(read: Callable[[Print], str], prints: list[Print]) -> tuple[float, float]:
    """Strict precision over all pages, and seconds a page."""
    wrong = length = 0
    start = time.perf_counter()
    for one in prints:
        distance, longer = errors(" ".join(read(one).split()), " ".join(truth(one).split()))
        wrong, length = wrong + distance, length + longer
    return 1 - wrong / length, (time.perf_counter() - start) / len(prints)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=8)
    parser.add_argument("--size", type=int, nargs="+", default=[12], help="sizes of type, in px an em")
    parser.add_argument("--side", type=int, default=1280)
    parser.add_argument("--checkpoint", default="nano-pages")
    parser.add_argument("--no-rivals", action="store_true")
    args = parser.parse_args()
    model = load(args.checkpoint)
    readers: dict[str, Callable[[Print], str]] = {
        "nano": lambda one: model.read(model.encode([Page(one.page.image)]))[0].text,
    }
    if not args.no_rivals:
        ocr = rapidocr()
        readers["Tesseract"] = lambda one: "\n".join(tesseract(Image.fromarray(one.page.image), layout=6))
        readers["RapidOCR"] = lambda one: "\n".join(ocr(Image.fromarray(one.page.image)))
    print("| type | characters a page | ratio | reader | " + " | ".join(KINDS) + " | seconds a page |")
    print("|---|---|---|---|" + "---|" * (len(KINDS) + 1))
    for size in args.size:
        sets = {kind: pages(args.folder, args.pages, size, args.side, kind) for kind in KINDS}
        whole = [truth(one) for one in sets["clean"]]
        ratio = sum(map(text_tokens, whole)) / len(whole) / (args.side // TOKEN_SIDE) ** 2
        about = f"| {size} px | {sum(map(len, whole)) // len(whole):,} | {ratio:.1f}× "
        for name, read in readers.items():
            scores = [score(read, prints) for prints in sets.values()]
            print(f"{about}| {name} | {' | '.join(f'{s:.4f}' for s, _ in scores)} | {scores[0][1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
