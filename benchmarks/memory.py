"""The figures of docs/memory.md: 20 million text tokens, facts hidden in them, a change of 1 %, fading, readers.

    python benchmarks/memory.py CORPUS --out FOLDER                          20 million tokens, 200 needles
    python benchmarks/memory.py CORPUS --out FOLDER --tokens 5000000 --pixels    with vision tokens and their keys
    python benchmarks/memory.py CORPUS --out FOLDER --messages 1000000      only a chat of tiny messages

CORPUS is a folder of text (.txt, .txt.xz). Its documents that are held out of every training are used again and again,
until there are enough tokens, each time with edits, so that no page comes twice. 200 facts, each a sentence with its
own code, are hidden at random depths. They are looked for by the words of the text and, with --pixels, by those that
the readout reads in the vision tokens and by the tokens' keys.

Seconds are those of the processor and not of the clock, so that they hold on a busy machine. An FTS5 table is written
and asked in turn with the memory, text by text and query by query.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from microfiche.memory import Memory
from microfiche.memory.finding import rank
from microfiche.memory.indexer import keys_file, update
from microfiche.memory.words import index_words, words_of
from microfiche.nano.indexer import Indexer, load_indexer
from microfiche.page import TOKEN_SIDE, Reading
from microfiche.precision import errors, text_tokens
from microfiche.training.corpus import documents, held_out
from microfiche.typesetting.density import density
from microfiche.typesetting.typesetter import unlearned

T = TypeVar("T")
PAGE = 40_960  #: characters of a Large page at 5x8, and of a row of FTS5
TEXT = 1_000_000  #: characters of one text in the memory
PLACES = ("lighthouse", "foundry", "orchard", "granary", "chapel", "quarry", "tannery", "ferry", "weir", "brickyard")
NAMES = ("Anselm", "Birgit", "Cosima", "Dagfinn", "Elspeth", "Fabrice", "Gudrun", "Hedwig", "Ilmari", "Jocasta")
ADJECTIVES = ("northern", "old", "burnt", "upper", "drowned", "white", "second", "crooked", "silent", "king's")


def needle(number: int, rng: np.random.Generator) -> tuple[str, str, str]:
    """A fact, the question that asks for it, and the answer."""
    name, adjective, place = NAMES[number % 10], ADJECTIVES[number // 10 % 10], PLACES[(number // 100 + number) % 10]
    code = "".join(rng.choice(list("ABCDEFGHJKLMNPQRSTUVWXYZ23456789"), 8))
    about = f"{name} of the {adjective} {place} in district {number}"
    return f" The pass phrase of {about} is {code}. ", f"What is the pass phrase of {about}?", code


def corpus(folder: Path, rng: np.random.Generator) -> Iterator[str]:
    """Documents without end, each time with other edits: sentences left out and numbers put in."""
    at = density("5x8")
    found = [d for file in sorted(folder.iterdir()) if file.name.endswith((".txt", ".txt.xz")) and "zh" not in file.name
             and not file.name.lower().startswith("readme") for d in documents(file)]
    found = [d for d in found if held_out(d) and not unlearned([d], at)]
    while True:
        for i in rng.permutation(len(found)):
            sentences = found[i].split(". ")
            kept = [s for s in sentences if rng.random() > 0.03]
            marks = [f"{s} ({rng.integers(10**6)})" if rng.random() < 0.03 else s for s in kept]
            yield f"No. {rng.integers(10**9)}. " + ". ".join(marks) + "\n"


def texts(folder: Path, tokens: int, needles: int) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Texts by name, of so many tokens in all, with the needles hidden at random depths."""
    rng = np.random.default_rng(0)
    stream, made, total = corpus(folder, rng), {}, 0
    while total < tokens:
        parts: list[str] = []
        while sum(map(len, parts)) < min(TEXT, (tokens - total) * 5):
            parts.append(next(stream))
        made[f"text {len(made):04d}"] = "".join(parts)
        total += text_tokens(made[f"text {len(made) - 1:04d}"])
    hidden = [needle(number, rng) for number in range(needles)]
    for fact, _, _ in hidden:
        name = f"text {rng.integers(len(made)):04d}"
        at = made[name].find(" ", int(rng.integers(len(made[name]))))
        made[name] = made[name][: max(0, at)] + fact + made[name][max(0, at) :]
    return made, hidden


def changed(made: dict[str, str], share: float = 0.01) -> dict[str, str]:
    """The texts, in which a stretch is rewritten on about a `share` of the pages."""
    rng = np.random.default_rng(1)
    edits = max(1, round(share * sum(map(len, made.values())) / 40_960))
    new = dict(made)
    for name in rng.choice(sorted(made), edits):
        at = int(rng.integers(max(1, len(new[name]) - 400)))
        new[name] = new[name][:at] + f" This was changed ({rng.integers(10**9)}). " + new[name][at + 40 :]
    return new


def fts(path: Path) -> sqlite3.Connection:
    """An FTS5 table in a file, synced as a memory's is."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA page_size = 16384", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL",
                      "CREATE VIRTUAL TABLE words USING fts5(text, tokenize='unicode61 remove_diacritics 2')"):
        connection.execute(statement)
    return connection


def size(path: Path, connection: sqlite3.Connection) -> int:
    """Bytes of a database, whose log is written back first."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return sum(path.with_name(f"{path.name}{end}").stat().st_size for end in ("", "-wal")
               if path.with_name(f"{path.name}{end}").exists())


def spent(seconds: Counter[str], name: str, work: Callable[[], T]) -> T:
    """What `work` gives; the seconds of the processor that it takes are counted under a name."""
    start = time.process_time()
    result = work()
    seconds[name] += time.process_time() - start
    return result


def added(memory: Memory, made: dict[str, str], tokens: bool, beside: sqlite3.Connection | None) -> Counter[str]:
    """Adds all texts, and to an FTS5 table in turn; gives the seconds that each took."""
    seconds: Counter[str] = Counter()
    for name, text in made.items():
        if beside is not None:
            rows = [(text[at : at + PAGE],) for at in range(0, len(text), PAGE)]
            spent(seconds, "fts", lambda: written(beside, rows))  # noqa: B023
        spent(seconds, "memory", lambda: memory.add(text, name, tokens=tokens))  # noqa: B023
    return seconds


def written(connection: sqlite3.Connection, rows: list[tuple[str]]) -> None:
    """Writes the rows of a text and commits them."""
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO words(text) VALUES (?)", rows)
    connection.execute("COMMIT")


def matching(question: str) -> str:
    """A query of FTS5 for any of a question's words."""
    return " OR ".join(f'"{word}"' for word in words_of(question))


def asked(memory: Memory, beside: sqlite3.Connection, hidden: list[tuple[str, str, str]]) -> dict[str, float]:
    """Milliseconds of a search for ten passages, by the memory and by FTS5 with its snippets, and the share of facts
    that stand whole in one of the memory's passages."""
    seconds: Counter[str] = Counter()
    right = 0
    snippets = "SELECT rowid, rank, snippet(words, 0, '', '', '…', 40) FROM words WHERE words MATCH ? ORDER BY rank"
    for _, question, code in hidden:
        spent(seconds, "fts", lambda: beside.execute(f"{snippets} LIMIT 10", (matching(question),)).fetchall())  # noqa: B023
        hits = spent(seconds, "memory", lambda: memory.search(question, 10))  # noqa: B023
        right += any(code in hit.text for hit in hits)
    each = {name: round(1e3 * value / len(hidden), 2) for name, value in seconds.items()}
    ratio = round(seconds["memory"] / seconds["fts"], 2)
    return {**each, "ratio": ratio, "passages with the fact": right / len(hidden)}


def found(memory: Memory, hidden: list[tuple[str, str, str]], by: str, weights: Path | None) -> dict[str, float]:
    """Recall of the facts among the first 10 pages and at the first, and milliseconds to rank."""
    seconds: Counter[str] = Counter()
    questions = [question for _, question, _ in hidden]
    ranked = spent(seconds, by, lambda: [rank(memory, [one], 10, by, weights)[0] for one in questions])  # type: ignore[arg-type]
    holding = [[fact.strip() in memory.text(page) for page, _ in pages]
               for (fact, _, _), pages in zip(hidden, ranked, strict=True)]
    first = sum(any(one[:1]) for one in holding)
    return {"recall@10": sum(map(any, holding)) / len(hidden), "first": first / len(hidden),
            "ms to rank": round(1e3 * seconds[by] / len(hidden), 2)}


def keys_and_readings(memory: Memory, indexer: Indexer) -> list[str]:
    """Makes the keys of all pages; what the readout reads for that, page by page."""
    heard: list[str] = []
    read = memory.model.read

    def listening(*given: Any) -> list[Reading]:
        readings = read(*given)
        heard.extend(reading.text for reading in readings)
        return readings

    memory.model.read = listening  # type: ignore[method-assign]
    update(memory, indexer)
    memory.model.read = read  # type: ignore[method-assign]
    return heard


def found_in_readings(readings: list[str], hidden: list[tuple[str, str, str]], texts: list[str]) -> dict[str, float]:
    """Recall among the first 10 pages by BM25 over what was read, and the share of the facts that were read exactly."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5(text, content='')")
    for number, text in enumerate(readings, 1):
        index_words(connection, number, text)
    right = first = 0
    for fact, question, _ in hidden:
        best = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT 10"
        holding = [fact.strip() in texts[number - 1] for (number,) in connection.execute(best, (matching(question),))]
        right, first = right + any(holding), first + any(holding[:1])
    exact = sum(any(fact.strip() in reading for reading in readings) for fact, _, _ in hidden)
    wrong = sum(errors(reading, text)[0] for reading, text in zip(readings, texts, strict=True))
    return {"recall@10": right / len(hidden), "first": first / len(hidden), "facts read exactly": exact / len(hidden),
            "characters misread": wrong, "of": sum(map(len, texts))}


def chat(out: Path, messages: int) -> dict[str, object]:
    """What a chat of so many tiny messages takes, and whether all of them come back."""
    said = [{"role": "assistant" if i % 2 else "user", "content": f"{i} is {'odd' if i % 2 else 'even'}"}
            for i in range(messages)]
    with Memory(out / "chat.memory", density="5x8", mode="large") as memory:
        start = time.perf_counter()
        memory.add(said, "chat")
        seconds = time.perf_counter() - start
        right = memory.version_text("chat") == "".join(f"[{s['role']}] {s['content']}\n" for s in said)
        start = time.perf_counter()
        memory.context(100_000, "odd", "nano")
        return {"messages": messages, "pages": len(memory.records()), "seconds to add": round(seconds, 1),
                "all come back": right, "seconds for a context": round(time.perf_counter() - start, 2),
                "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the memory and figures.json")
    parser.add_argument("--tokens", type=int, default=20_000_000)
    parser.add_argument("--needles", type=int, default=200)
    parser.add_argument("--density", default="5x8")
    parser.add_argument("--mode", default="large")
    parser.add_argument("--index", type=Path, help="a file of weights for the indexer, in place of those that ship")
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--messages", type=int, help="measure only a chat of so many tiny messages")
    parser.add_argument("--pixels", action="store_true", help="make and store vision tokens, and find by them, too")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.messages:
        print(json.dumps(chat(given.out, given.messages), indent=1))
        return
    made, hidden = texts(given.corpus, given.tokens, given.needles)
    characters = sum(map(len, made.values()))
    figures: dict[str, object] = {"command": " ".join(sys.argv)}

    def note(more: dict[str, object]) -> None:
        figures.update(more)
        (given.out / "figures.json").write_text(json.dumps(figures, indent=1))

    path, table = given.out / "benchmark.memory", given.out / "benchmark.fts"
    for old in given.out.glob("benchmark.*"):
        old.unlink()
    with Memory(path, density=given.density, mode=given.mode) as memory, closing(fts(table)) as beside:
        memory.add("to load what an add needs", "first", tokens=given.pixels)
        seconds = added(memory, made, given.pixels, beside)
        records = memory.records()
        tokens = sum(map(memory.text_tokens, records))
        vision = sum(r.side * r.height for r in records) // TOKEN_SIDE**2
        note({
            "pages": len(records), "text tokens": tokens, "characters": characters, "vision tokens": vision,
            "ratio": round(tokens / vision, 2),
            "seconds to add": round(seconds["memory"], 1), "… to FTS5": round(seconds["fts"], 1),
            "… ratio": round(seconds["memory"] / seconds["fts"], 2),
            "text tokens a second": round(tokens / seconds["memory"]),
            "bytes a character": round(size(path, memory.connection) / characters, 2),
            "… of FTS5": round(size(table, beside) / characters, 2),
        })  # fmt: skip
        again = added(memory, changed(made), given.pixels, None)["memory"]
        share = round(again / seconds["memory"], 4)
        note({"seconds to add a change of 1 %": round(again, 2), "share of the first": share})
        note({"search, ms": asked(memory, beside, hidden)})
        note({"found by text": found(memory, hidden, "text", None)})
        for name in ("the first", "the next"):
            start = time.process_time()
            context = memory.context(100_000, hidden[0][1], "nano")
            note({f"seconds for {name} context of 100,000 tokens": round(time.process_time() - start, 2)})
        note({"tokens of that context, as text": [context.tokens, context.text_tokens]})
        if given.pixels:
            indexer = load_indexer(given.index, memory.model.checkpoint)
            start = time.process_time()
            readings = keys_and_readings(memory, indexer)
            note({"seconds to index": round(time.process_time() - start, 1),
                  "bytes of keys": keys_file(memory, indexer).stat().st_size})
            note({"found by BM25 over what is read": found_in_readings(
                readings, hidden, [memory.text(record) for record in memory.records()])})
            for by in ("pixels", "both"):
                note({f"found by {by}": found(memory, hidden, by, given.index)})
    note({"peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024})
    if given.readers:
        crowd = Path(__file__).parent.parent / "tests/memory/crowd.py"
        done = subprocess.run([sys.executable, crowd, given.out, str(given.readers), str(given.seconds)],
                              capture_output=True, text=True)
        note({"crowd": done.stdout.strip().splitlines()[-1:] or done.stderr[-200:]})
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
