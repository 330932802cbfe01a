"""How well pages as they are can be kept as vision tokens: what they cost, and how much of their text is read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import mean

from pydantic import BaseModel

from microfiche.errors import InputError
from microfiche.evaluation.pages import Words, line_errors, plain, word_counts
from microfiche.nano.zoom import Zoom
from microfiche.page import Page
from microfiche.precision import text_tokens
from microfiche.readers import Reader


class AsIs(BaseModel):
    """What it costs to keep pages as vision tokens, and how well they were read. `ratio` is all text tokens over all
    vision tokens; `precision` is strict, line by line in any order (evaluation/pages.py); `fox_precision` and `recall`
    are means over the pages. `without_text` counts pages that were left out because nothing says what is on them.
    `sure` is how sure the reader was of each line, where its type was made as small as that allows. With `doubt`, a
    word of which a character was read less surely than that counts as not read, which is so for a share of `doubted` of
    the words; `precision` is not changed by that."""

    pages: int
    without_text: int
    side: int
    sure: float | None
    doubt: float | None
    text_tokens: int
    vision_tokens: int
    ratio: float
    precision: float
    fox_precision: float
    recall: float
    doubted: float | None
    seconds_encode: float
    seconds_read: float
    read_by: str


@dataclass
class _Sum:
    """What has been read so far, against which text."""

    text_tokens: int = 0
    errors: int = 0
    characters: int = 0
    words: list[Words] = field(default_factory=list)

    def add(self, text: str, read: str, sure: str) -> None:
        """Counts what was `read` of a text, and the words of it that are `sure`."""
        truth = text.split("\n")
        self.words.append(word_counts(truth, _lines(sure)))
        errors, characters = line_errors(truth, _lines(read))
        self.errors += errors
        self.characters += characters
        self.text_tokens += text_tokens("\n".join(map(plain, truth)))


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def measure_as_is(
    pages: Iterable[Page],
    reader: Reader,
    side: int,
    truth: str | None = None,
    progress: Callable[[int], None] = lambda pages: None,
    doubt: float | None = None,
) -> AsIs:
    """Encodes each page and reads it back, and compares what was read with the page's own text, or all of it with
    `truth`. `side` is how long the longer side of the pages is; for `doubt` see AsIs.

    Raises InputError if no page has text and there is no `truth`.
    """
    done, read_so_far, sure_so_far = _Sum(), list[str](), list[str]()
    kept = count = without = words = doubted = 0
    encode = read = 0.0
    for number, page in enumerate(pages, 1):
        if truth is None and not (page.text or "").strip():
            without += 1
            progress(number)
            continue
        start = time.perf_counter()
        tokens = reader.encode([page])
        middle = time.perf_counter()
        (reading,) = reader.read(tokens)
        encode, read = encode + middle - start, read + time.perf_counter() - middle
        unsure = reading.doubted(doubt or 0)
        words, doubted = words + len(reading.words()), doubted + len(unsure)
        sure = reading.without(unsure)
        kept, count = kept + len(tokens[0]), count + 1
        if truth is None:
            done.add(page.text or "", reading.text, sure)
        else:
            read_so_far.append(reading.text)
            sure_so_far.append(sure)
        progress(number)
    if truth is not None:
        done.add(truth, "\n".join(read_so_far), "\n".join(sure_so_far))
    if not count:
        raise InputError("no page has text of its own to compare with; --truth FILE names a text file that has it")
    return AsIs(
        pages=count,
        without_text=without,
        side=side,
        sure=reader.sure if isinstance(reader, Zoom) else None,
        doubt=doubt,
        text_tokens=done.text_tokens,
        vision_tokens=kept,
        ratio=round(done.text_tokens / max(1, kept), 3),
        precision=round(1 - done.errors / max(1, done.characters), 5),
        fox_precision=round(mean(words.fox_precision for words in done.words), 5),
        recall=round(mean(words.recall for words in done.words), 5),
        doubted=None if doubt is None else round(doubted / max(1, words), 5),
        seconds_encode=round(encode, 3),
        seconds_read=round(read, 3),
        read_by=str(reader.checkpoint),
    )
