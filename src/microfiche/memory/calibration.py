"""Measures how surely a model reads a print: it is shown pages on which random strings stand, and asked for them.

Strings of every kind (prose, code, hexadecimal, identifiers, numbers, paths) stand in lines of their own among other
text, and the model gives the one of each key; some keys are on no page, and a string that it gives for one of those is
an invention. Random strings are read, not guessed. What comes of it is a profile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase, digits, hexdigits
from typing import Any

from microfiche.endpoint import Endpoint, content
from microfiche.errors import InputError, UsageError, require
from microfiche.memory.billing import Usage, usage_in
from microfiche.memory.exact import KINDS, Kind
from microfiche.memory.models import HostedModel
from microfiche.memory.paper import png
from microfiche.memory.profiles import Row, Score
from microfiche.memory.shapes import picture_part, text_part
from microfiche.nano.cells import Nano
from microfiche.page import Layout, TypesetPage
from microfiche.precision import precision, text_tokens
from microfiche.typesetting import Typesetter, density
from microfiche.typesetting.density import mode

DENSITIES = ("4x6", "5x8", "6x10", "6x12", "7x13")  #: the densities that are tried
STRINGS = 48  #: strings of each kind, and keys that are on no page; all right of 48 is at least 0.926 at 95 %
REQUESTS, PAGES = 4, 3  #: requests for one print, and pages of each
FULL = 0.97  #: how much of its pages the text of a request takes
ALIKE = 0.95  #: the precision from which on a string of prose is right
LONGEST = 32_768  #: tokens of an answer, with what a model thinks before it
PROMPT = (
    "The pictures above are pages of one text. Some of its lines have the form «Q7: something»; on the pages a mark "
    "may stand for a line's end. For each key listed below, write one line with the key, a colon and exactly what "
    "follows it on the pages, character by character. For a key that is not on the pages write «none» instead. Guess "
    "nothing, and write nothing else.\n\nKeys: "
)
_LINE = re.compile(r"^[^\w\n]*Q(\d{1,9})\b[*`\"']*\s*[:=]\s*(.*)$", re.MULTILINE)
_ABSENT = re.compile(r"(none|not (there|present|found|on the pages?)|absent|n/?a)?[.\s]*", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What a model says, and the usage that its server reports, if it does."""

    text: str
    usage: Usage | None = None


Ask = Callable[[Sequence[TypesetPage], str], Answer]


@dataclass(frozen=True)
class Sheet:
    """The pages of a request, the `strings` on them by their key, each with its kind, and keys that are `absent`."""

    pages: tuple[TypesetPage, ...]
    strings: dict[int, tuple[Kind, str]]
    absent: frozenset[int]

    @property
    def question(self) -> str:
        """What the model is asked, with all keys in the order of their numbers."""
        return PROMPT + ", ".join(f"Q{key}" for key in sorted([*self.strings, *self.absent]))

    def scores(self, said: str) -> tuple[dict[Kind, Score], Score]:
        """How much of an answer is right, by kind, and of how many absent keys it says no string."""
        given = {int(key): value.strip().strip("`*«»").strip() for key, value in _LINE.findall(said)}
        counts = {kind: [0, 0] for kind in KINDS}
        for key, (kind, string) in self.strings.items():
            counts[kind][0] += _right(kind, given.get(key, ""), string)
            counts[kind][1] += 1
        honest = sum(bool(_ABSENT.fullmatch(given.get(key, ""))) for key in self.absent)
        scores = {kind: Score(right=right, asked=asked) for kind, (right, asked) in counts.items()}
        return scores, Score(right=honest, asked=len(self.absent))


def _right(kind: Kind, said: str, string: str) -> bool:
    said, string = " ".join(said.split()), " ".join(string.split())
    return precision(said, string) >= ALIKE if kind == "prose" else said == string


def random_string(kind: Kind, rng: Random, words: Sequence[str]) -> str:
    """A random string of a kind; prose is a row of `words`."""

    def word() -> str:
        return "".join(rng.choices(ascii_lowercase, k=rng.randint(3, 7)))

    match kind:
        case "prose":
            return " ".join(rng.choices(words, k=8))
        case "code":
            return f"if {word()}[{rng.randint(0, 99)}] >= {word()}_{rng.randint(0, 9)}: {word()}({rng.randint(2, 99)})"
        case "hex":
            return "".join(rng.choices(hexdigits[:16], k=12))
        case "identifiers":
            ways = (f"{word()}_{word()}{rng.randint(0, 9)}", f"{word()}{word().title()}{word().title()}")
            return ways[rng.randrange(2)]
        case "numbers":
            return f"{rng.randint(10**5, 10**10 - 1)}" if rng.random() < 0.5 else f"{rng.uniform(0, 10**6):,.2f}"
        case "paths":
            return f"/{word()}/{word()}-{rng.choice(digits)}/{word()}.{rng.choice(('py', 'rs', 'json', 'md', 'ts'))}"


def sheets(text: str, setter: Typesetter, strings: int, rng: Random) -> Iterator[Sheet]:
    """REQUESTS sheets of PAGES full pages of `text`, with so many strings of each kind on all of them together.

    UsageError if the text has too few words, or if the strings alone do not fit.
    """
    words = [word for word in text.split() if word.isalpha()]
    if len(set(words)) < 100:
        raise UsageError(f"the text for the probes has {len(set(words))} different words; give one of 100 or more")
    kinds = [kind for kind in KINDS for _ in range(strings)]
    rng.shuffle(kinds)
    keys = rng.sample(range(1, 2 * (len(kinds) + strings)), len(kinds) + strings)
    present, absent = list(zip(keys, kinds, strict=False)), keys[len(kinds) :]
    filler = " ".join(text.split())
    at = 0
    for number in range(REQUESTS):
        own = {key: (kind, random_string(kind, rng, words)) for key, kind in present[number::REQUESTS]}
        lines = [f"\nQ{key}: {string}\n" for key, (_, string) in own.items()]
        room = int(FULL * PAGES * setter.columns * setter.rows) - sum(map(len, lines))
        if room < 0:
            raise UsageError(f"{strings} strings of each kind do not fit on {REQUESTS * PAGES} pages at "
                             f"{setter.density.name}, {setter.mode.name}; take fewer or larger pages")
        between = room // (len(lines) + 1)
        pieces = []
        for line in lines:
            at = at if at + between <= len(filler) else 0
            pieces += [filler[at : at + between], line]
            at += between
        pages = tuple(setter.pages(["".join(pieces)]))
        yield Sheet(pages, own, frozenset(absent[number::REQUESTS]))


def rows(
    ask: Ask,
    model: HostedModel,
    text: str,
    densities: Sequence[str] = DENSITIES,
    modes: Sequence[str] = ("large",),
    layout: Layout = "dense",
    strings: int = STRINGS,
    seed: int = 0,
) -> Iterator[tuple[Row, Usage]]:
    """Tries every density on pages of every mode, on which `text` stands among the strings; gives what was measured and
    what the server says that it took. A print of which the model cannot be asked has `failed`."""
    for mode_name in modes:
        for name in densities:
            setter = Typesetter(density.density(name), mode(mode_name), layout)
            yield _row(ask, model, list(sheets(text, setter, strings, Random(seed))), setter)


def _row(ask: Ask, model: HostedModel, tried: Sequence[Sheet], setter: Typesetter) -> tuple[Row, Usage]:
    scores = {kind: Score(right=0, asked=0) for kind in KINDS}
    absent, used, charged, failed = Score(right=0, asked=0), Usage(), list[float](), ""
    pages = [page for sheet in tried for page in sheet.pages]
    for sheet in tried:
        try:
            answer = ask(sheet.pages, sheet.question)
        except InputError as error:
            failed = str(error)
            break
        found, honest = sheet.scores(answer.text)
        scores = {kind: _sum(scores[kind], found[kind]) for kind in KINDS}
        absent = _sum(absent, honest)
        if answer.usage:
            used += answer.usage
            charged.append((answer.usage.input - text_tokens(sheet.question)) / len(sheet.pages))
    full = max(pages, key=lambda page: page.image.shape[0])
    height, side = full.image.shape
    seen = model.seen(side, height)
    tokens = model.tokens(side, height)
    row = Row(
        density=setter.density.name, layout=setter.layout, side=side, tokens=tokens,
        scale=min(seen.width / side, seen.height / height), scores={} if failed else scores,
        charged=round(sum(charged) / len(charged), 1) if charged else None,
        ratio=round(text_tokens(full.text) / tokens, 2), absent=absent, failed=failed,
    )  # fmt: skip
    return row, used


def expected_usage(model: HostedModel, densities: Sequence[str] = DENSITIES, strings: int = STRINGS) -> Usage:
    """About what it takes to try these densities on large pages: the pages as the model counts them, the questions, and
    answers of a dozen tokens a key."""
    side = mode("large").side
    keys = (len(KINDS) + 1) * strings
    pages = len(densities) * REQUESTS * PAGES * (model.tokens(side, side) + 6)
    questions = len(densities) * (REQUESTS * text_tokens(PROMPT) + 3 * keys)
    return Usage(pages + questions, output=len(densities) * 12 * keys)


def _sum(a: Score, b: Score) -> Score:
    return Score(right=a.right + b.right, asked=a.asked + b.asked)


def at_endpoint(server: Endpoint, model: str) -> Ask:
    """Asks `model` at `server`, with nothing that today's models refuse: no temperature, and the limit of an answer by
    its present name, or none where a server does not know that."""

    def ask(pages: Sequence[TypesetPage], question: str) -> Answer:
        parts: list[dict[str, Any]] = []
        for number, page in enumerate(pages, 1):
            parts += [text_part("openai", f"Page {number}:"), picture_part("openai", png(page.image))]
        parts.append(text_part("openai", question))
        body = {"model": model, "max_completion_tokens": LONGEST, "messages": [{"role": "user", "content": parts}]}
        answer = server.answer(body, ("max_completion_tokens",))
        text, cut = content(answer)
        if cut:
            raise InputError(f"the answer is longer than {LONGEST:,} tokens")
        return Answer(text, usage_in(json.loads(answer)))

    return ask


def by_nano(model: Nano) -> Ask:
    """Has nano read the pages and gives the lines of the keys as it read them; it answers no questions of its own."""

    def ask(pages: Sequence[TypesetPage], question: str) -> Answer:
        read = "".join(reading.text for reading in model.read(model.encode(list(pages))))
        return Answer("\n".join(match[0] for match in _LINE.finditer(read)))

    return ask


def plot_rows(tried: Sequence[Row], wanted: float, out: Any) -> None:
    """Draws, as PNG, the lower bounds of every kind over the text tokens for each token of the picture."""
    require("a plot", "plots", "matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    shown = sorted((row for row in tried if not row.failed), key=lambda row: row.ratio)
    for kind in KINDS:
        axes.plot([row.ratio for row in shown], [100 * row.scores[kind].lower for row in shown], marker="o", label=kind)
    axes.plot([row.ratio for row in shown], [100 * row.absent.lower for row in shown], ":", label="says what is absent")
    for row in shown:
        axes.annotate(f"{row.density}, {row.side} px", (row.ratio, 1), rotation=90, fontsize=7)
    axes.axhline(100 * wanted, color="grey", linewidth=0.8)
    axes.set(xlabel="text tokens for each token of the picture", ylabel="at least right, at 95 %, %", ylim=(0, 102))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.savefig(out, format="png", dpi=120)
