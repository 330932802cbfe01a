"""The line decoder on held-out pages: what it corrects, and whether checking a draft reads what greedy decoding reads.

    python benchmarks/lines.py CORPUS [--pages 2] [--decoder FILE]

Each density is measured on full Small pages of held-out text and of its random twin. *Accepted* is the share of the
draft's cells that the decoder agrees with, *passes* is how often it goes over a line of a page, on average, and *as
greedy* is the share of cells in which checking the draft and greedy decoding read the same.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from microfiche.nano.cells import line_decoder
from microfiche.page import dequantise, quantise
from microfiche.precision import errors, random_twin
from microfiche.readers import load
from microfiche.training.corpus import documents, held_out
from microfiche.typesetting.density import LEARNED, mode
from microfiche.typesetting.typesetter import Typesetter, unlearned


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=2)
    parser.add_argument("--decoder", type=Path, help="a file of weights, in place of those that ship")
    args = parser.parse_args()
    model = load()
    decoder = line_decoder(model, args.decoder or "nano-lines")
    print("| density | text | readout | decoder | accepted | passes | as greedy |\n|---|---|---|---|---|---|---|")
    for density in LEARNED:
        (file,) = args.folder.glob("zh-wiki*" if density.wide else "en-wiki*")
        text = "\n".join(d for d in documents(file) if held_out(d))[: 40_000 * args.pages]
        text = text.translate(dict.fromkeys(map(ord, unlearned([text], density))))
        for name, content in (("Wikipedia", text), ("random strings", random_twin(text))):
            wrong = {"readout": 0, "decoder": 0}
            length = cells = accepted = same = rows = passes = 0
            for page in islice(Typesetter(density, mode("small")).pages([content]), args.pages):
                (tokens,) = model.encode([page])
                values = dequantise(quantise(tokens.values, "int8"))
                tokens = replace(tokens, values=values)
                for by, reading in (("readout", model.read([tokens])), ("decoder", model.read([tokens], decoder))):
                    distance, longer = errors(reading[0].text, page.text)
                    wrong[by] += distance
                length += longer
                seen = model.lines(values.to(model.readout.table), tokens.height, tokens.width, density)
                draft = seen.base.argmax(-1)
                read, _, gone_over = decoder.verified(seen, draft)
                cells, rows, passes = cells + read.numel(), rows + len(seen), passes + sum(gone_over)
                accepted += int((read == draft).sum())
                same += int((read == decoder.greedy(seen)).sum())
            print(
                f"| {density.name} | {name} | {1 - wrong['readout'] / length:.4f} "
                f"| {1 - wrong['decoder'] / length:.4f} | {accepted / cells:.4f} | {passes / rows:.2f} "
                f"| {same / cells:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
