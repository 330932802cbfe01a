"""Precision and ratio on held-out documents, as a Markdown table.

    python benchmarks/precision_table.py FOLDER [--characters 100000] [--checkpoint nano] [--files en-wiki zh-wiki]
        [--whole] [--mode small] [--shrink 512] [--jpeg 70] [--tokens float16] [--decoder]

FOLDER is the corpus that the model was trained on. Of each text file in it, the documents that training held out
(SHA-256 starting with 0) are measured, or with --whole all, for texts that no training saw, up to so many characters;
and so is their random twin, at each density that draws the script. Characters that the density cannot draw are left
out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from microfiche.codec import measure
from microfiche.nano.cells import NANO, NanoLines, line_decoder
from microfiche.page import TokenType
from microfiche.training.corpus import SUFFIXES, documents, held_out
from microfiche.typesetting.density import DENSITIES, LEARNED
from microfiche.typesetting.typesetter import unlearned
from microfiche.weights.stored import load

TOKEN_TYPES: dict[str, TokenType | None] = {"int8": "int8", "float16": "float16", "none": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--characters", type=int, default=100_000)
    parser.add_argument("--checkpoint", default="nano")
    parser.add_argument("--whole", action="store_true", help="measure all of each file: text that no training saw")
    parser.add_argument("--mode", default="small")
    parser.add_argument("--tokens", choices=list(TOKEN_TYPES), default="int8", help="how tokens are stored")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], help="type to compute in (default: what is fast)")
    parser.add_argument("--files", nargs="*", help="only files whose names begin with one of these")
    parser.add_argument("--densities", nargs="*", default=[d.name for d in LEARNED])
    parser.add_argument("--decoder", nargs="?", const="", help="read by the line decoder that ships or a file's")
    parser.add_argument("--shrink", type=int, help="shrink the pages to this width in px")
    parser.add_argument("--jpeg", type=int, help="save each page as a JPEG of this quality before it is encoded")
    args = parser.parse_args()
    model = load(NANO, args.checkpoint, dtype=getattr(torch, args.dtype) if args.dtype else None)
    reader = model if args.decoder is None else NanoLines(model, line_decoder(model, args.decoder or "nano-lines"))
    print("| text | density | characters | ratio | precision | Fox precision | precision, random strings |")
    print("|---|---|---|---|---|---|---|")
    for file in sorted(f for f in args.folder.iterdir() if f.name.endswith(SUFFIXES)):
        if args.files is not None and not file.name.startswith(tuple(args.files)):
            continue
        text = "\n".join(d for d in documents(file) if args.whole or held_out(d))[: args.characters]
        if not text:
            print(f"{file.name}: training held out nothing of it; --whole measures all of it", file=sys.stderr)
        wide = sum(c >= "\u3000" for c in text) > 0.3 * len(text)
        for name in args.densities:
            density = DENSITIES[name]
            if density.wide != wide or not text:
                continue
            drawable = text.translate(dict.fromkeys(map(ord, unlearned([text], density))))
            stored = TOKEN_TYPES[args.tokens]
            results = [
                measure(
                    drawable, reader, name, args.mode, random=random, shrunk_to=args.shrink, jpeg=args.jpeg,
                    token_type=stored,
                )
                for random in (False, True)
            ]
            row = results[0]
            print(
                f"| {file.name.split('.')[0]} | {name} | {row.characters:,} | {row.ratio:.1f}× | {row.precision:.4f} "
                f"| {row.fox_precision:.4f} | {results[1].precision:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
