"""Extracts the truth of real PDF pages (which characters stand where) to PDFS/.truth, for `microfiche train print`.

    python tools/extract_pages.py PDFS [--packages NAME ...]

PDFS is a folder that tools/fetch_pages.py filled, or any folder of folders of PDFs. What has been extracted is skipped,
so the same command continues where it was stopped.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from microfiche.errors import MicroficheError
from microfiche.training.real_store import TRUTH, Shard, extract


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pdfs", type=Path)
    parser.add_argument("--packages", nargs="+", metavar="NAME", help="only these folders of PDFS, in this order")
    asked = parser.parse_args()
    store = asked.pdfs / TRUTH
    try:
        extract(asked.pdfs, store, asked.packages, lambda name, done, of: print(f"{done}/{of} {name}", flush=True))
    except MicroficheError as error:
        raise SystemExit(str(error)) from error
    shards = [Shard(path) for path in sorted(store.glob("*.safetensors"))]
    documents = [document for shard in shards for document in shard.documents]
    left_out: Counter[str] = Counter()
    for document in documents:
        left_out.update(document.refused or {})
    print(f"{sum(len(shard.number) for shard in shards):,} pages of {len(documents):,} documents in {store}")
    for what, counts in (
        ("pages left out", left_out),
        ("documents that cannot be read", Counter(document.error for document in documents if document.error)),
    ):
        print(f"{what}: {', '.join(f'{sign} {count:,}' for sign, count in counts.most_common()) or 'none'}")


if __name__ == "__main__":
    main()
