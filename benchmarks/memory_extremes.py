"""What a memory takes for folders of very many small files, and for texts of a few very long or very many words.

    python benchmarks/memory_extremes.py --out FOLDER --files 50000    so many files, half of them side by side
    python benchmarks/memory_extremes.py --out FOLDER --words    texts of 50 MB

Seconds are those of the processor. Each text is compared with what the memory gives back.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from microfiche.memory import Memory

LETTERS = 50_000_000  #: of a text
TOGETHER = 100  #: files of a folder, of those that do not stand side by side


def timed(work: Callable[[], object]) -> float:
    """Seconds of the processor that `work` takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak() -> int:
    """MB of memory that the process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def make_files(folder: Path, count: int) -> None:
    """Files of three words, one of which stands in no other."""
    for i in range(count):
        of = folder / "many" if i % 2 else folder / f"{i // (2 * TOGETHER):05}"
        of.mkdir(parents=True, exist_ok=True)
        (of / f"{i}.txt").write_text(f"entry n{i} here\n")


def of_files(out: Path, count: int) -> dict[str, object]:
    """Adds a folder of files, and looks for a word of every thousandth."""
    make_files(out / "files", count)
    with Memory(out / "files.memory") as memory:
        spent = timed(lambda: memory.add_folder(out / "files"))
        names = [f"n{i}" for i in range(0, count, max(1, count // 1000))]
        found = timed(lambda: [memory.search(name, 1)[0].text.index(name) for name in names])
    return {
        "files": count, "ms a file": round(1e3 * spent / count, 2), "ms a search": round(1e3 * found / len(names), 2),
        "peak, MB": peak(), "file, MB": round((out / "files.memory").stat().st_size / 1e6),
    }  # fmt: skip


def texts() -> Iterator[tuple[str, str, str]]:
    """The name of a text, the text, and a word or the beginning of one to look for and to forget."""
    chance = random.Random(0)

    def letters(count: int) -> str:
        return "".join(chance.choices(string.ascii_lowercase, k=count))

    yield "one word", letters(LETTERS), ""
    yield "words of 10,000 letters", " ".join(letters(10_000) for _ in range(LETTERS // 10_001)), ""
    yield "6 million distinct words", " ".join(f"w{i:x}" for i in range(6_000_000)), "w5b8d7f"
    yield "one word ten million times", "word " * 10_000_000, "word"
    yield "one letter with its marks", "a" + "\u0301" * LETTERS, ""


def of_words(out: Path) -> Iterator[dict[str, object]]:
    """Adds a text, compares it, looks for a word of it and forgets it."""
    for number, (name, text, word) in enumerate(texts()):
        with Memory(out / f"words-{number}.memory") as memory:
            spent = timed(lambda: memory.add_text(text, "text"))  # noqa: B023
            whole = memory.version_text("text") == text
            found = timed(lambda: memory.search(word, 10)) if word else None  # noqa: B023
            gone = timed(lambda: memory.forget("text"))
        yield {
            "text": name, "µs a character": round(1e6 * spent / len(text), 2), "came back": whole,
            "search, ms": found and round(1e3 * found, 1), "forget, s": round(gone, 2), "peak, MB": peak(),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="an empty folder for the files")
    parser.add_argument("--files", type=int, default=0, help="files of the folder")
    parser.add_argument("--words", action="store_true", help="measure long words, and many")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.files:
        print(json.dumps(of_files(given.out, given.files), ensure_ascii=False))
    if given.words:
        for figures in of_words(given.out):
            print(json.dumps(figures, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
