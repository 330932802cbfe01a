"""The needles of memory.py found by the keys of vision tokens among 2,000 pages, without making all pages' tokens.

    python benchmarks/memory_keys.py CORPUS               2,050 pages, 200 needles; goes on until all pages are read
    python benchmarks/memory_keys.py CORPUS --read 400    tokens of 400 pages alone

The keys of all pages are made from their letters first, in which one of 1,400 is put wrong, as the readout reads. Then
pages are set, encoded and read from their tokens as they are stored, those with a needle first and the others as they
come, and their keys take the place of the others. Recall is printed as that goes on; with all pages read it is that of
`memory.py CORPUS --tokens 20000000 --pixels`, which takes hours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memory import PAGE, corpus, needle

from microfiche.memory.indexer import near
from microfiche.memory.paper import as_stored, unread
from microfiche.memory.words import words_of
from microfiche.nano.indexer import KEY_STEP, load_indexer, scores, spelled, to_int8
from microfiche.page import TOKEN_SIDE
from microfiche.precision import errors
from microfiche.readers import load
from microfiche.training.index import placed
from microfiche.typesetting.density import MODES, density
from microfiche.typesetting.typesetter import Typesetter

MISREAD = 0.0007  #: of the characters of a Large page at 5x8
LETTERS = list("abcdefghijklmnopqrstuvwxyz0123456789")


def hidden(folder: Path, pages: int, needles: int) -> tuple[list[str], list[tuple[str, str, str]]]:
    """The text of each page, and the needles in them."""
    rng = np.random.default_rng(0)
    stream, parts, length = corpus(folder, rng), [], 0
    while length < pages * PAGE:
        parts.append(next(stream))
        length += len(parts[-1])
    text, facts = "".join(parts), [needle(number, rng) for number in range(needles)]
    whole, last = [], 0
    for number, at in zip(rng.permutation(needles), sorted(rng.integers(0, len(text), needles)), strict=True):
        at = text.find(" ", int(at))
        whole += [text[last:at], facts[number][0]]
        last = at
    text = "".join([*whole, text[last:]])
    return [text[at : at + PAGE] for at in range(0, len(text), PAGE)], facts


def misread(text: str, rng: np.random.Generator) -> str:
    """A text as the readout might read it."""
    signs = np.array(list(text))
    wrong = rng.random(len(signs)) < MISREAD
    signs[wrong] = rng.choice(LETTERS, wrong.sum())
    return "".join(signs)


def read(nano: Any, text: str) -> tuple[Any, Any, int]:
    """The words that are read on a page, in which square each stands, and how many characters are misread."""
    page = next(iter(Typesetter(density("5x8"), MODES["large"]).pages([text])))
    tokens = as_stored(unread(nano, [page])[0])
    (reading,) = nano.read([replace(tokens, setting=replace(tokens.setting, kept=()))])
    words, middles = spelled(reading.text)
    x, y = reading.boxes[middles].reshape(-1, 2, 2).mean(1).astype(np.int64).T // TOKEN_SIDE
    return words, np.minimum(y, tokens.height - 1) * tokens.width + np.minimum(x, tokens.width - 1), (
        errors(reading.text, page.text)[0]
    )


def recalls(found: Any, holding: Any) -> str:
    """Recall among the first 10 pages and at the first; both (pages, needles)."""
    best = np.take_along_axis(holding, np.argsort(-found, axis=0, kind="stable")[:10], 0)
    return f"recall@10 {best.any(0).mean():.3f}, first {best[0].mean():.3f}"


def main() -> None:
    """Looks for the needles, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--pages", type=int, default=2050)
    parser.add_argument("--needles", type=int, default=200)
    parser.add_argument("--read", type=int, default=1 << 30, help="the most pages whose tokens are made and read")
    parser.add_argument("--index", type=Path, help="a file of weights for the indexer, in place of those that ship")
    given = parser.parse_args()
    pages, facts = hidden(given.corpus, given.pages, given.needles)
    holding = np.array([[fact.strip() in text for fact, _, _ in facts] for text in pages])
    nano = load("nano")
    indexer = load_indexer(given.index, nano.checkpoint)
    asked = [spelled(" ".join(words_of(question)))[0] for _, question, _ in facts]
    words, which = np.unique(np.concatenate(asked), axis=0, return_inverse=True)
    of_needle = np.zeros((len(words), len(facts)), np.float32)
    np.add.at(of_needle, (which.reshape(-1), np.repeat(np.arange(len(facts)), [len(one) for one in asked])), 1)
    queries = indexer.queries(torch.from_numpy(words))
    side = MODES["large"].side // TOKEN_SIDE

    def best(stand: Any, squares: Any) -> Any:
        """(needles,) the score of a page's best stretch for each."""
        different, at = np.unique(stand, axis=0, return_inverse=True)
        every = (torch.from_numpy(array) for array in (different, at.reshape(-1), squares))
        keys = to_int8(indexer.keys(*every, side * side)).float() * KEY_STEP
        return (near(scores(*queries, keys).numpy(), side) @ of_needle).max(0)

    def order() -> Iterator[int]:
        yield from np.flatnonzero(holding.any(1)).tolist()
        yield from np.random.default_rng(5).permutation(np.flatnonzero(~holding.any(1))).tolist()

    rng, start = np.random.default_rng(1), time.perf_counter()
    with torch.inference_mode():
        found = np.stack([best(*placed(misread(text, rng), density("5x8"), MODES["large"].side)) for text in pages])
        print(f"{len(pages)} pages, {holding.any(0).sum()} needles whole on one; none read: {recalls(found, holding)}")
        wrong = 0
        for count, number in enumerate(order(), 1):
            if count > given.read:
                break
            stand, squares, misses = read(nano, pages[number])
            found[number], wrong = best(stand, squares), wrong + misses
            if count % 100 == 0 or count == min(len(pages), given.read):
                share = wrong / (count * PAGE)
                print(f"{count} read, {share:.4%} misread, {time.perf_counter() - start:.0f} s: "
                      f"{recalls(found, holding)}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
