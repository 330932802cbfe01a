"""What 30,000 characters of each kind of result cost as pages: tokens with all that stands beside them, and time.

    python benchmarks/agent_pages.py
    python benchmarks/agent_pages.py --model gemini-3.7-flash
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/agent_pages.py

The texts are of this repository, as its own tools give them, and so change with it; the diffs are those of the last
twelve commits to Python files, whatever these hold. A text has a token for four bytes, what stands beside a
page for 2.5, as the proxy decides by them; "too many" are more than the text's, as is known before all of it is read
back. Times are the processor's, of all threads together, the shortest of several: to draw a text, or to find that it
stays text, without and with reading its pages back, and for a whole request that holds it once more.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from microfiche.page import Reading, TypesetPage
from microfiche.proxy.drawer import LedgerDrawer
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.pages import Proofreader, Read, Undrawable, draft, text_tokens
from microfiche.proxy.protocols import Route, asked
from microfiche.proxy.sight import Sight, sight_of
from microfiche.proxy.splice import Body
from microfiche.proxy.verdict import Draw

ROOT, CHARACTERS = Path(__file__).parent.parent, 30_000
BESIDE = re.compile(r"^\d+: ", re.M)  #: a line that stands beside a page


def said(*command: str) -> str:
    """What a command says in the repository."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout[:CHARACTERS]


def texts() -> dict[str, str]:
    """A text of each kind."""
    code = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "src/microfiche/memory").glob("*.py")))
    numbered = "\n".join(f"{n:6d}\t{line}" for n, line in enumerate(code.split("\n"), 1))
    tree = signs(code.split("\n"))
    polish = mixed("rodzą się wolni i równi pod względem swej godności oraz praw są obdarzeni rozumem i sumieniem")
    greek = mixed("όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα")
    every = [one.split("\n") for one in (tree, code, polish, greek)]
    return {
        "a file as an agent reads it, with numbers": numbered[:CHARACTERS].rpartition("\n")[0],
        "Python": code[:CHARACTERS],
        "`grep -rn`": said("grep", "-rn", "return", "src/microfiche"),
        "diffs": said("git", "log", "-p", "--no-merges", "--format=%s", "-n", "12", "--", "*.py"),
        "`ls -lR`": said("ls", "-lR", "src"),
        "`git log --stat`, full of hashes": said("git", "log", "--stat"),
        "a tree and a log, with signs": tree,
        "Polish": polish[:CHARACTERS],
        "Greek": greek[:CHARACTERS],
        "all of these, line by line": "\n".join(chain(*zip(*every, strict=False)))[:CHARACTERS],
        "prose": (ROOT / "examples/alice-1.txt").read_text("utf-8")[:CHARACTERS],
    }


def signs(lines: Sequence[str]) -> str:
    """A tree whose leaves are lines of code, and what tests say, with signs that only nano's second readout knows."""
    rng = random.Random(0)
    heads = ["├── ", "│   ├── ", "│   └── ", "└── ", "  ✓ ", "  ✗ ", "  → ", "┌── ", "• "]
    return "\n".join(rng.choice(heads) + rng.choice(lines).strip() for _ in range(1500))[:CHARACTERS]


def mixed(words: str) -> str:
    """The words in any order, in lines of twelve."""
    rng, every = random.Random(0), words.split()
    return "\n".join(" ".join(rng.choices(every, k=12)) for _ in range(1000))


def as_set(pages: Sequence[TypesetPage]) -> list[Reading]:
    """What a reader would say that makes no mistake, in no time."""
    return [Reading(page.text, np.ones(len(page.text), np.float32), page.boxes) for page in pages]


def shortest(work: Callable[[], object], times: int) -> float:
    """The milliseconds that it takes, at best."""
    found = []
    for _ in range(times):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return 1000 * min(found)


def drafted(text: str, sight: Sight, read: Read) -> None:
    """Draws a text, or finds that it stays text."""
    with suppress(Undrawable):
        draft("result", text, sight, read)


def drawn_before(model: str, text: str, read: Read, folder: Path) -> float:
    """The milliseconds in which a request is drawn anew whose result is in the ledger, at best."""
    call, result = {"type": "tool_use", "id": "t", "name": "Read", "input": {}}, {"tool_use_id": "t", "content": text}
    messages = [{"role": "user", "content": "Read it."}, {"role": "assistant", "content": [call]},
                {"role": "user", "content": [{"type": "tool_result", **result}]}]  # fmt: skip
    body = Body.read(json.dumps({"model": model, "max_tokens": 9, "messages": messages}).encode())
    route = Route("messages", "anthropic", "answer")
    ledger = Ledger(folder / "ledger")
    drawer = LedgerDrawer(lambda: ledger, Draw.safe, read)
    drawer.draw(route, body, asked(route, body, {}))
    found = shortest(lambda: drawer.draw(route, body, asked(route, body, {})), 5)
    ledger.close()
    return found


def main() -> None:
    """Draws each text and prints a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="claude-fable-5", help="a model with a profile or published figures")
    model = parser.parse_args().model
    sight, known = sight_of(model)
    if sight is None:
        raise SystemExit(known)
    read = Proofreader()
    read.load()
    print("| | text, tokens | pages, tokens | lines beside | set, ms | and read back, ms | again, ms |\n|" + "---|" * 7)
    for name, text in texts().items():
        made, times = None, []
        for reader, n in ((as_set, 7), (read, 3)):
            try:
                made = draft("result", text, sight, reader)
                beside = sum(len(BESIDE.findall(page.caption)) for page in made.block.pages)
                pages, lines = f"{made.tokens:,}", f"{beside}"
            except Undrawable:
                made, pages, lines = None, "too many", ""
            times.append(shortest(lambda reader=reader: drafted(text, sight, reader), n))  # noqa: B023
        with TemporaryDirectory() as folder:
            times.append(drawn_before(model, text, read, Path(folder)))
        stays = "" if made and made.pays else ": stays text"
        print(f"| {name} ({len(text):,} characters) | {text_tokens(text):,} | {pages}{stays} | {lines} | "
              f"{' | '.join(f'{one:.0f}' for one in times)} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
