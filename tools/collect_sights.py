"""Collects what nano-pages sees on training pages, with their truth, for `microfiche train language`.

    python tools/collect_sights.py PDFS TEXT OUT [--shards 40] [--part 0 --of 1] [--checkpoint FILE]

PDFS is the folder that tools/fetch_pages.py filled and tools/extract_pages.py has read, TEXT a folder of text. A shard
holds 250 pieces of 512 px, six in ten of real pages and one in four of random strings, with type of 5.5 to 14 px; half
of them are worn or scanned. One shard in twenty is of held-out documents. Shard n is always the same. What is there is
not collected again, so the same command goes on where it was stopped; several processes each take a `part` of the work.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from microfiche.errors import MicroficheError
from microfiche.nano.print import PRINT
from microfiche.training.language import HELD_OUT
from microfiche.training.print import used
from microfiche.training.real_pages import RealPages
from microfiche.training.real_store import TRUTH
from microfiche.training.set_pages import SetPages
from microfiche.training.sights import seen
from microfiche.typesetting.fonts import typefaces
from microfiche.typesetting.print import Print
from microfiche.weights.stored import load

PIECES = 250  #: in a shard
SIDE = 512  #: px
EM = (5.5, 14.0)  #: px
NOISE = 0.25  #: the chance of each step of noise on a worn page
EVERY = 20  #: shards of which the last is held out


class Pages:
    """Pieces of pages by chance, to train on or held out, each with whether it holds random strings."""

    def __init__(self, pdfs: Path, text: Path, held_out: bool) -> None:
        self.real = RealPages(pdfs / TRUTH, pdfs, held_out)
        faces = typefaces(held_out, for_print=True)
        self.set = SetPages(text, held_out, faces, 0.0, 0.0, range(int(EM[0]), int(EM[1]) + 1))
        self.strings = self.set.with_random(1.0)

    def one(self, rng: np.random.Generator) -> tuple[Print, bool]:
        kind = rng.random()
        if kind < 0.6:
            return used(self.real.page(rng, SIDE, SIDE, EM), NOISE, rng), False
        return used((self.set if kind < 0.75 else self.strings).page(rng, SIDE, SIDE), NOISE, rng), kind >= 0.75


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pdfs", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--checkpoint", help="a file of weights (default: nano-pages)")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    try:
        model = load(PRINT, asked.checkpoint or "nano-pages")
        pages: dict[bool, Pages] = {}
        for number in range(asked.part, asked.shards, asked.of):
            held_out = number % EVERY == EVERY - 1
            path = asked.out / f"{HELD_OUT if held_out else ''}{number:04}.safetensors"
            if path.exists():
                continue
            if held_out not in pages:
                pages[held_out] = Pages(asked.pdfs, asked.text, held_out)
            rng = np.random.default_rng([0, number])
            seen(model, (pages[held_out].one(rng) for _ in range(PIECES))).write(path)
            print(path, flush=True)
    except MicroficheError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
