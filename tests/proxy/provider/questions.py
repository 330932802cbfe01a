"""Questions about results of tools: values that were put into them, and words of their own."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from microfiche.errors import MicroficheError
from microfiche.memory.exact import kind_of
from microfiche.serving.recall import Recall

KINDS = ("hash", "uuid", "identifier", "number", "decimal", "path", "version")


@dataclass(frozen=True)
class Planted:
    """A value that stands after a label, which is one word and stands nowhere else, and a pattern that it fits."""

    label: str
    kind: str
    value: str
    pattern: str


def planted(rng: random.Random, number: int) -> Planted:
    """A value of one of the kinds, in turn."""
    kind = KINDS[number % len(KINDS)]
    digits = [f"{rng.getrandbits(32):08x}" for _ in range(5)]
    words = ["".join(rng.choices("abdeghiklmnoprstuvw", k=6)) for _ in range(3)]
    value, pattern = {
        "hash": ("".join(digits), r"[0-9a-f]{40}"),
        "uuid": (f"{digits[0]}-{digits[1][:4]}-4{digits[1][5:]}-a{digits[2][:3]}-{digits[3]}{digits[4][:4]}",
                 r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        "identifier": (words[0] + words[1].title() + words[2].title(), r"[a-z]{6}[A-Z][a-z]{5}[A-Z][a-z]{5}"),
        "number": (str(rng.randrange(10**8, 10**9)), r"\d{9}"),
        "decimal": (f"{rng.randrange(100, 999)}.{rng.randrange(10**5, 10**6)}", r"\d{3}\.\d{6}"),
        "path": (f"/srv/{words[0]}/{words[1]}_{number}/{words[2]}.toml", r"/srv/\w+/\w+/\w+\.toml"),
        "version": (f"{rng.randrange(20)}.{rng.randrange(40)}.{rng.randrange(300)}-rc{rng.randrange(9)}",
                    r"\d+\.\d+\.\d+-rc\d"),
    }[kind]  # fmt: skip
    return Planted(f"beacon{number}{words[0][:2]}", kind, value, pattern)


def with_values(text: str, values: list[Planted], rng: random.Random) -> str:
    """A text with a line for each value, at places of its own; lines that a tool numbered are numbered anew."""
    lines = text.split("\n")
    numbered = all(re.match(r" *\d+\t", line) for line in lines[:3])
    bare = [re.sub(r"^ *\d+\t", "", line) for line in lines] if numbered else lines
    for value in values:
        bare.insert(rng.randrange(len(bare)), f"{value.label} is set to {value.value} for now")
    return "\n".join(f"{n:6d}\t{line}" for n, line in enumerate(bare, 1)) if numbered else "\n".join(bare)


def word_questions(text: str, rng: random.Random, count: int) -> list[tuple[str, str]]:
    """Words of prose that stand in one line once, and the word after them, which is one of letters alone."""
    bare = re.sub(r"^ *\d+\t", "", text, flags=re.MULTILINE)
    found = []
    lines = [line for line in bare.split("\n") if len(line.split()) > 6 and "beacon" not in line]
    for line in rng.sample(lines, min(len(lines), 6 * count)):
        words = line.split()
        at = rng.randrange(len(words) - 5)
        asked, answer = " ".join(words[at : at + 5]), words[at + 5]
        if len(re.findall(r"\s+".join(map(re.escape, asked.split())), bare)) == 1 and kind_of(answer)[0] == "prose":
            found.append((asked, answer))
    return found[:count]


def looking(recall: Recall) -> Callable[[str], str | None]:
    """How a model looks up the exact line that a word stands in."""

    def look(word: str) -> str | None:
        for found in recall.search(word, 5):
            try:
                part = recall.read_lines(found.page, max(1, found.line - 4), found.line + 12)
            except MicroficheError:
                continue
            for line in part.lines:
                if word in line:
                    return line
        return None

    return look
