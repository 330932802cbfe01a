"""The figures of docs/memory.md: 20 million text tokens, facts hidden in them, a change of 1 %, fading, readers.

    python benchmarks/memory.py CORPUS --out FOLDER                          20 million tokens, 200 needles
    python benchmarks/memory.py CORPUS --out FOLDER --tokens 100000 --needles 20 --readers 4 --seconds 5
    python benchmarks/memory.py CORPUS --out FOLDER --messages 1000000      only a chat of tiny messages

CORPUS is a folder of text (.txt, .txt.xz). Its documents are used again and again, until there are enough tokens, each
time with edits, so that no page comes twice. 200 facts, each a sentence with its own code, are hidden at random depths.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from microfiche.memory import Memory
from microfiche.memory.finding import rank, search
from microfiche.memory.indexer import update
from microfiche.nano.indexer import load_indexer
from microfiche.precision import text_tokens
from microfiche.training.corpus import documents
from microfiche.typesetting import unreadable
from microfiche.typesetting.density import density

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
    found = [d for d in found if not unreadable([d], at)[0]]
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


def add(memory: Memory, made: dict[str, str], quiet: bool) -> float:
    """Adds all texts; returns the seconds."""
    start = time.perf_counter()
    for number, (name, text) in enumerate(made.items(), 1):
        memory.add(text, name)
        if not quiet:
            print(f"\r{number} of {len(made)} texts, {time.perf_counter() - start:.0f} s", end="", file=sys.stderr)
    return time.perf_counter() - start


def found(memory: Memory, hidden: list[tuple[str, str, str]], by: str, weights: Path | None) -> dict[str, float]:
    """Recall among the first 10 pages, the share of the facts found that are read back exactly, seconds a query."""
    right = exact = 0
    start = time.perf_counter()
    ranked = [rank(memory, [question], 10, by, weights)[0] for _, question, _ in hidden]  # type: ignore[arg-type]
    seconds = (time.perf_counter() - start) / len(hidden)
    for (fact, _, _), pages in zip(hidden, ranked, strict=True):
        holding = [page for page, _ in pages if fact.strip() in memory.text(page)]
        right += bool(holding)
        exact += bool(holding) and fact.strip() in memory.read(holding[0]).text
    start = time.perf_counter()
    for _, question, _ in hidden[:20]:
        search(memory, question, 1, by, weights)  # type: ignore[arg-type]
    passage = (time.perf_counter() - start) / min(20, len(hidden))
    return {"recall@10": right / len(hidden), "read back exactly": exact / max(1, right),
            "seconds to rank": round(seconds, 4), "seconds to a passage": round(passage, 4)}


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
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.messages:
        print(json.dumps(chat(given.out, given.messages), indent=1))
        return
    made, hidden = texts(given.corpus, given.tokens, given.needles)
    figures: dict[str, object] = {"command": " ".join(sys.argv)}
    path = given.out / "benchmark.memory"
    with Memory(path, density=given.density, mode=given.mode) as memory:
        assert memory.model
        before = len(memory.records())
        seconds = add(memory, made, given.quiet)
        records = memory.records()
        tokens = sum(r.text_tokens for r in records)
        with memory.reading() as connection:
            (vision,) = connection.execute("SELECT sum(height * width) FROM tokens").fetchone()
        figures |= {
            "pages": len(records), "text tokens": tokens, "vision tokens": vision, "ratio": round(tokens / vision, 2),
            "seconds to add": round(seconds, 1), "text tokens a second": round(tokens / seconds), "begun with": before,
            "bytes": path.stat().st_size,
        }  # fmt: skip
        again = add(memory, changed(made), given.quiet)
        figures |= {"seconds to add a change of 1 %": round(again, 2), "share of the first": round(again / seconds, 4)}
        kinds = ["text"]
        try:
            indexer = load_indexer(given.index, memory.model.checkpoint)
            start = time.perf_counter()
            update(memory, indexer)
            figures["seconds to index"] = round(time.perf_counter() - start, 1)
            kinds += ["pixels", "both"]
        except Exception as error:
            figures["pixels"] = str(error)
        for by in kinds:
            figures[f"found by {by}"] = found(memory, hidden, by, given.index)
        start = time.perf_counter()
        context = memory.context(100_000, hidden[0][1], "nano")
        figures["seconds for a context of 100,000 tokens"] = round(time.perf_counter() - start, 2)
        figures["tokens of that context, as text"] = [context.tokens, context.text_tokens]
    figures["peak memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if given.readers:
        crowd = Path(__file__).parent.parent / "tests/memory/crowd.py"
        done = subprocess.run([sys.executable, crowd, given.out, str(given.readers), str(given.seconds)],
                              capture_output=True, text=True)
        figures["crowd"] = done.stdout.strip().splitlines()[-1:] or done.stderr[-200:]
    (given.out / "figures.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
