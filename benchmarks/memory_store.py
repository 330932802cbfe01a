"""What a memory's file costs beside SQLite's FTS5: writing, finding, bytes on disk, single messages.

    python benchmarks/memory_store.py --out FOLDER                   2,000 pages, 100 queries, 500 messages
    python benchmarks/memory_store.py --out FOLDER --pages 100 --tokens
    python benchmarks/memory_store.py --out FOLDER --text FILE...    at most 2,000 pages of these files' text
    python benchmarks/memory_store.py --out FOLDER --text FILE... --trigrams    FTS5 as it is set up for Chinese

Each figure, in seconds of the processor, stands beside what an FTS5 table takes for the same text in the same run;
texts are written to both in turn, so that the ratios hold on a busy machine too. The text is *Alice* with its sentences
in another order and with numbers put in, so that no two pages are alike, or with `--text` that of files, one after
another. `--tokens` also makes and stores vision tokens. FTS5's own tokenizer takes a Chinese sentence for one word;
with `--trigrams` the table indexes every three signs, and a query asks for any three that stand together in it.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from microfiche.memory import Memory

ALICE = (Path(__file__).parent.parent / "examples/alice-1.txt").read_text()
PAGE = 40_960  #: characters of a Large page at 5x8
TEXT = 25  #: pages of a text


def texts(pages: int) -> list[str]:
    """Texts of TEXT pages each, which make up `pages` together."""
    chance = random.Random(0)
    sentences = re.split(r"(?<=[.!?]) ", ALICE.replace("\n", " "))
    made = []
    while len(made) * TEXT < pages:
        parts: list[str] = []
        length = 0
        while length < min(TEXT, pages - len(made) * TEXT) * PAGE:
            words = chance.choice(sentences).split()
            words.insert(chance.randrange(len(words) + 1), f"n{chance.randrange(10**6)}")
            parts.append(" ".join(words) + chance.choice((" ", " ", "\n")))
            length += len(parts[-1])
        made.append("".join(parts))
    return made


def texts_of(files: list[Path], pages: int) -> list[str]:
    """The text of files, at most so many pages of it, in texts of TEXT pages each."""
    whole = "\n".join(file.read_text() for file in files)[: pages * PAGE]
    return [whole[at : at + TEXT * PAGE] for at in range(0, len(whole), TEXT * PAGE)]


def queries(made: list[str], count: int) -> list[str]:
    """Queries of three words that stand close together, in the text of *Alice* one of them rare."""
    chance = random.Random(1)
    found = []
    while len(found) < count:
        text = chance.choice(made)
        at = chance.randrange(len(text) // 2)
        number = re.compile(r"\bn\d+").search(text, at)
        near = re.findall(r"\w{5,}", text[(at := number.end() if number else at) : at + 200])
        if words := [*([number.group()] if number else near[2:3]), *near[:2]]:
            found.append(" ".join(words))
    return found


def timed(work: Callable[[], object]) -> float:
    """Seconds of the processor that `work` takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


WORDS, TRIGRAMS = "unicode61 remove_diacritics 2", "trigram"  #: tokenizers of FTS5


def fts(path: Path, tokenizer: str = WORDS) -> sqlite3.Connection:
    """An FTS5 table in a file, synced as a memory's is."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA page_size = 16384")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"CREATE VIRTUAL TABLE words USING fts5(text, tokenize='{tokenizer}')")
    return connection


def cut(made: list[str]) -> Iterator[str]:
    """The texts in pieces of a page."""
    for text in made:
        for at in range(0, len(text), PAGE):
            yield text[at : at + PAGE]


def write_fts(connection: sqlite3.Connection, rows: list[str], at_once: int) -> None:
    """Writes rows, so many to a commit."""
    for at in range(0, len(rows), at_once):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO words(text) VALUES (?)", [(row,) for row in rows[at : at + at_once]])
        connection.execute("COMMIT")


def match_of(query: str, tokenizer: str) -> str:
    """What FTS5 is asked for: any word of a query, or any three of its signs that stand together."""
    parts = query.split()
    if tokenizer == TRIGRAMS:
        parts = list(dict.fromkeys(word[at : at + 3] for word in parts for at in range(len(word) - 2)))
    return " OR ".join(f'"{part}"' for part in parts)


def find_fts(connection: sqlite3.Connection, match: str) -> None:
    """The ten best rows with the passage that FTS5 shows of each."""
    connection.execute(
        "SELECT rowid, rank, snippet(words, 0, '', '', '…', 40) FROM words WHERE words MATCH ? ORDER BY rank LIMIT 10",
        (match,),
    ).fetchall()


def rank_fts(connection: sqlite3.Connection, match: str) -> None:
    """The numbers of the ten best rows."""
    connection.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT 10", (match,)).fetchall()


def said(count: int) -> list[dict[str, str]]:
    """Messages of a chat."""
    chance = random.Random(2)
    return [{"role": "user" if i % 2 == 0 else "assistant",
             "content": f"{i}: " + ALICE[(at := chance.randrange(len(ALICE) - 600)) : at + chance.randrange(20, 600)]}
            for i in range(count)]


def size(path: Path) -> int:
    """Bytes of a database with its log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--text", type=Path, nargs="+", default=[], help="files of text in the place of Alice")
    parser.add_argument("--trigrams", action="store_true", help="let FTS5 index every three signs")
    parser.add_argument("--tokens", action="store_true", help="make and store vision tokens as well")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for old in given.out.glob("*.memory*"), given.out.glob("*.fts*"):
        for file in old:
            file.unlink()
    made = texts_of(given.text, given.pages) if given.text else texts(given.pages)
    asked, chat = queries(made, given.queries), said(given.messages)
    characters = sum(map(len, made))
    tokenizer = TRIGRAMS if given.trigrams else WORDS
    matches = [match_of(query, tokenizer) for query in asked]
    with_tokens = {"tokens": True} if given.tokens and "tokens" in inspect.signature(Memory.add).parameters else {}
    memory_path, fts_path = given.out / "store.memory", given.out / "store.fts"
    with (
        closing(fts(fts_path, tokenizer)) as plain,
        Memory(memory_path, density="5x8", mode="large") as memory,
        closing(fts(given.out / "chat.fts")) as plain_chat,
        Memory(given.out / "chat.memory", density="5x8", mode="large") as chat_memory,
    ):
        memory.add("to load what an add needs", name="first", **with_tokens)  # type: ignore[arg-type]
        by_fts = by_memory = 0.0
        for i, text in enumerate(made):
            by_fts += timed(lambda: write_fts(plain, list(cut([text])), 32))  # noqa: B023
            name = f"text {i}"
            by_memory += timed(lambda: memory.add(text, name, **with_tokens))  # type: ignore[arg-type]  # noqa: B023
        find_fts(plain, matches[0]), memory.search(asked[0])
        ranked = timed(lambda: [rank_fts(plain, match) for match in matches])
        found_fts = timed(lambda: [find_fts(plain, match) for match in matches])
        found = timed(lambda: [memory.search(query) for query in asked])
        one_fts = timed(lambda: write_fts(plain_chat, [f"{m['role']} {m['content']}" for m in chat], 1))
        one = timed(lambda: [chat_memory.add([m], name="chat") for m in chat])
        pages = len(memory.records())
    figures = {
        "command": " ".join(sys.argv), "pages": pages, "characters": characters,
        "add, s": {"FTS5": round(by_fts, 2), "memory": round(by_memory, 2), "ratio": round(by_memory / by_fts, 2)},
        "search, ms a query": {
            "FTS5, numbers of rows": round(1e3 * ranked / len(asked), 2),
            "FTS5 with snippets": round(1e3 * found_fts / len(asked), 2),
            "memory": round(1e3 * found / len(asked), 2), "ratio to snippets": round(found / found_fts, 2),
        },
        "message, ms each": {
            "FTS5": round(1e3 * one_fts / len(chat), 2), "memory": round(1e3 * one / len(chat), 2),
            "ratio": round(one / one_fts, 2),
        },
        "bytes a character": {"FTS5": round(size(fts_path) / characters, 2),
                              "memory": round(size(memory_path) / characters, 2)},
    }  # fmt: skip
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
