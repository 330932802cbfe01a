"""Reads the truth of real PDF pages, which characters stand where, into a store that training draws from.

    python tools/extract_pages.py PDFS STORE [--packages NAME ...]

PDFS is a folder that tools/fetch_pages.py filled, or any folder of folders of PDFs. What the store has already is
passed over, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from microfiche.training.real_store import extract


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pdfs", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--packages", nargs="+", metavar="NAME", help="these folders of PDFS alone, in this order")
    asked = parser.parse_args()
    extract(asked.pdfs, asked.store, asked.packages, lambda name, done, of: print(f"{done}/{of} {name}", flush=True))


if __name__ == "__main__":
    main()
