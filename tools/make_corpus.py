"""Makes a file of documents to train and measure on, from public sources that were fetched beforehand.

    python tools/make_corpus.py CORPUS/code-python.txt.xz --python         the standard library of this Python
    python tools/make_corpus.py CORPUS/en-novels.txt.xz ELTeC-eng/level1   novels in TEI, .xml
    python tools/make_corpus.py CORPUS/en-wiki.txt.xz 20231101.en/*.parquet   articles, the column `text` of a table
    python tools/make_corpus.py CORPUS/zh-laws.txt.xz Laws                 texts in Markdown, .md

docs/data.md says where each of them is. Documents are in NFC and parted by a line that holds one form feed; those of
more than 20,000 characters are cut there. Of more text than --characters, the documents whose SHA-256 is lowest are
taken, so the same sources give the same file.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import sysconfig
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from microfiche.files import whole_file

LONGEST = 20_000  #: characters of a document
EXCERPT = 5_000  #: characters of an excerpt from a novel, about
TEI = "{http://www.tei-c.org/ns/1.0}"


def novel(path: Path) -> Iterator[str]:
    """Excerpts of a novel in TEI: whole paragraphs one after the other."""
    body = ElementTree.parse(path).getroot().find(f".//{TEI}body")
    held: list[str] = []
    for part in () if body is None else body.iter(f"{TEI}p"):
        held.append(" ".join("".join(part.itertext()).split()))
        if sum(map(len, held)) >= EXCERPT:
            yield "\n".join(held)
            held = []
    yield "\n".join(held)


def articles(path: Path) -> Iterator[str]:
    """The texts of a Parquet table, read a few at a time."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as table:
        for batch in table.iter_batches(256, columns=["text"]):
            yield from batch.column("text").to_pylist()


def documents(source: Path) -> Iterator[str]:
    """The documents of a file, or of all files in a folder that can be used."""
    for path in sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]:
        match path.suffix:
            case ".xml":
                yield from novel(path)
            case ".parquet":
                yield from articles(path)
            case ".md" | ".txt" | ".py":
                yield path.read_text("utf-8", errors="strict" if path.suffix != ".py" else "ignore")


def chosen(found: Iterable[str], characters: int) -> list[str]:
    """Documents of at most so many characters in all, in the order of their SHA-256."""
    by_hash: dict[bytes, str] = {}
    for document in found:
        text = unicodedata.normalize("NFC", document.replace("\f", "")).strip("\n")[:LONGEST]
        if text.strip():
            by_hash[hashlib.sha256(text.encode("utf-8", "replace")).digest()] = text
    taken, total = [], 0
    for _, text in sorted(by_hash.items()):
        if total + len(text) <= characters:
            taken.append(text)
            total += len(text)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a file that ends in .txt.xz")
    parser.add_argument("sources", nargs="*", type=Path, help="files and folders")
    parser.add_argument("--python", action="store_true", help="the standard library of this Python, without its tests")
    parser.add_argument("--characters", type=int, default=14_000_000, help="the most characters; 14 million by default")
    asked = parser.parse_args()
    if not asked.out.name.endswith(".txt.xz"):
        raise SystemExit(f"{asked.out}: the name has to end in .txt.xz")
    sources = list(asked.sources)
    if asked.python:
        home = Path(sysconfig.get_path("stdlib"))
        sources += [p for p in home.rglob("*.py") if not {"site-packages", "test", "tests"} & set(p.parts)]
    for missing in (source for source in sources if not source.exists()):
        raise SystemExit(f"{missing}: there is no such file or folder")
    taken = chosen((document for source in sources for document in documents(source)), asked.characters)
    if not taken:
        raise SystemExit("no documents: name files or folders of .xml (TEI), .parquet, .md, .txt or .py, or --python")
    with whole_file(asked.out) as path:
        path.write_bytes(lzma.compress("\n\f\n".join(taken).encode()))
    print(f"{asked.out}: {len(taken):,} documents, {sum(map(len, taken)):,} characters")


if __name__ == "__main__":
    main()
