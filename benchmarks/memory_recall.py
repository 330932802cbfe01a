"""Questions to a memory of twenty million tokens: pages in a budget, a closer look, an answer; beside BM25 with text.

    python benchmarks/memory_recall.py --out FOLDER                       2,081 pages, 50 questions, 16,000 tokens
    python benchmarks/memory_recall.py --out FOLDER --trusted             for a model whose profile trusts it with all
    python benchmarks/memory_recall.py --out FOLDER --pages 100 --questions 20

The text is memory_store.py's, with values put into it that are hashes, UUIDs, names, numbers, paths and versions. For
each question a context is made, whose pages nano reads from their pictures, as a model would. A value that does not
stand beside them as exact text is looked up by the tools of `microfiche mcp`, `search` and then `read_lines`; beside
that it is told what the picture alone said, and what `show_page` in large print says. Tokens are those of the context
as the model counts them, and of what the tools gave, at four characters a token.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from memory_store import texts

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/proxy"))
from provider.eyes import Eyes, Model
from provider.questions import Planted, planted

from microfiche.memory import Memory
from microfiche.memory.exact import KINDS
from microfiche.memory.profiles import Profile, Row, Score, store_profile
from microfiche.serving.recall import Recall

CHARACTERS = 4


def filled(path: Path, pages: int, values: list[Planted]) -> int:
    """Makes the memory, if it is not there, and gives how many characters it holds."""
    chance = random.Random(7)
    made = texts(pages)
    for value in values:
        at = chance.randrange(len(made))
        place = made[at].index(" ", chance.randrange(len(made[at]) - 1000))
        made[at] = f"{made[at][:place]} {value.label} is set to {value.value} for now{made[at][place:]}"
    if not path.exists():
        with Memory(path) as memory:
            for number, text in enumerate(made):
                memory.add_text(text, f"text {number}")
    return sum(map(len, made))


def zoomed(recall: Recall, eyes: Eyes, page: str, value: Planted) -> bool:
    """Whether the value is read right from a page in large print, in which a line end may stand within it."""
    read = "\n".join(map(eyes.read, recall.show_page(page, "large").pictures))
    return value.value in re.sub(r"\s+", " ", read) or value.value in re.sub(r"\s+", "", read)


def trust(folder: Path, model: str) -> None:
    """Keeps a profile by which a model reads every kind of string at 5x8."""
    os.environ["MICROFICHE_CONFIG"] = str(folder)
    right = Score(right=48, asked=48)
    row = Row(density="5x8", side=1280, scale=1.0, tokens=2116, ratio=5.0, scores=dict.fromkeys(KINDS, right),
              absent=right)  # fmt: skip
    store_profile(Profile(model=model, measured=date(2026, 11, 1), rows=(row,)))


def main() -> None:
    """Asks, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=2081)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--budget", type=int, default=16_000)
    parser.add_argument("--model", default="claude-fable-5-1")
    parser.add_argument("--trusted", action="store_true", help="with a profile that trusts the model with all kinds")
    parser.add_argument("--zooms", type=int, default=10, help="how many pages are also read in large print")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.trusted:
        trust(given.out / "config", given.model)
    values = [planted(random.Random(n), n) for n in range(given.questions)]
    path = given.out / f"recall-{given.pages}-{given.questions}.memory"
    characters = filled(path, given.pages, values)
    recall, eyes, near = Recall(None, [path]), Eyes("5x8", "words"), Eyes("8x16", "lines")
    memory = next(iter(recall.memories.values()))
    model = Model()
    beside = looked = passages = glanced = 0
    zooms: list[bool] = []
    tokens: list[int] = []
    text_tokens: list[int] = []
    whole_tokens: list[int] = []
    seconds: list[float] = []
    whole = 0
    for value in values:
        question = f"What is {value.label} set to?"
        start = time.perf_counter()
        made = memory.context(given.budget, question, given.model, "anthropic")
        seconds.append(time.perf_counter() - start)
        cost = made.tokens
        exact, guess = model.exact(eyes.seen(made.messages), value.label, value.pattern)
        if exact == value.value:
            beside += 1
        else:
            glanced += guess == value.value
            (found, *_) = recall.search(question, 3)
            part = recall.read_lines(found.page, found.line, found.line + 3)
            cost += (len(str(part)) + len(found.text) + 100) // CHARACTERS
            line = re.search(re.escape(value.label) + r"[^\n]*?(" + value.pattern + ")", found.text + "\n" + str(part))
            looked += bool(line) and line[1] == value.value
            if len(zooms) < given.zooms:
                zooms.append(zoomed(recall, near, found.page, value))
        tokens.append(cost)
        hits = memory.search(question, 10)
        passages += any(value.value in hit.text for hit in hits)
        text_tokens.append(sum(len(hit.text) for hit in hits) // CHARACTERS)
        page = memory.text(hits[0].page) if hits and hits[0].page else ""
        whole += value.value in page[: given.budget * CHARACTERS]
        whole_tokens.append(min(len(page) // CHARACTERS, given.budget))
    asked = len(values)
    mean = {name: float(np.mean(each)) for name, each in
            (("pages", tokens), ("passages", text_tokens), ("page", whole_tokens))}  # fmt: skip
    print(f"{characters:,} characters on {given.pages:,} pages; {asked} questions; budget {given.budget:,} tokens")
    print(f"pages: {(beside + looked) / asked:.3f} right ({beside} from text beside the pages, {looked} by read_lines, "
          f"of which the picture alone said {glanced}), {mean['pages']:,.0f} tokens a question; a context in "
          f"{np.median(seconds):.2f} s")  # fmt: skip
    print(f"BM25, ten passages as text: {passages / asked:.3f} have the value, {mean['passages']:,.0f} tokens")
    print(f"BM25, the best page as text: {whole / asked:.3f} have the value, {mean['page']:,.0f} tokens")
    if zooms:
        print(f"show_page in large print, read by nano alone: {sum(zooms)} of {len(zooms)} values right")
    print(json.dumps({"beside": beside, "looked": looked, "passages": passages, "page": whole, "zooms": zooms, **mean}))


if __name__ == "__main__":
    main()
