"""What a page can be asked: prompts, and the true answers that follow from what is known of the page.

Positions are as DeepSeek-OCR writes them: whole numbers from 0 to 999 across the page's width and down its height (its
grounding format; see DeepSeek-OCR's README and post-processing). It knows nothing of where pages come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from microfiche.decoder.prompts import LOCATE, PROMPTS, prompt
from microfiche.nano.prompted import PARTS, READ
from microfiche.page import Boxes
from microfiche.typesetting.galleys import Kind
from microfiche.typesetting.print import Print

Name = Literal["free", "line", "box", "markdown", "locate", "continue"]
FULL = 999  #: the position of a page's right and lower edge
LABELS: dict[Kind, str] = {  # of blocks, as the published model writes them
    "title": "title", "heading": "sub_title", "text": "text", "list": "list", "table": "table", "code": "text",
    "header": "header", "footer": "footer", "page number": "page_number",
}  # fmt: skip
_LONGEST = 5  #: words of a phrase, or Chinese signs
_CJK = "\u2e80"
_WORD = re.compile(rf"[{_CJK}-\uffff]|[^\s{_CJK}-\uffff]+")
_MOST = 4  #: boxes of an answer, where another phrase can be found


@dataclass(frozen=True)
class Task:
    """A question about a page: `answer` follows `prompt` and `prefix`, which is a given beginning of the answer."""

    name: Name
    prompt: str
    answer: str
    prefix: str = ""


def task(name: Name, page: Print, rng: np.random.Generator) -> Task | None:
    """A task of this name about a page, or None where the page is not fit for it."""
    return _TASKS[name](page, rng)


def positions(boxes: NDArray[np.integer], height: int, width: int) -> NDArray[np.int64]:
    """(N, 4) boxes in px → from 0 to 999."""
    return np.rint(boxes * np.array([FULL / width, FULL / height] * 2)).astype(np.int64).clip(0, FULL)


def det(page: Print, boxes: NDArray[np.integer]) -> str:
    """Boxes in px as the model writes them: <|det|>[[x1, y1, x2, y2], …]<|/det|>."""
    return f"<|det|>{positions(boxes, *page.page.image.shape[:2]).tolist()}<|/det|>"


def _free(page: Print, rng: np.random.Generator) -> Task:
    return Task("free", PROMPTS["free"], _text(page))


def _line(page: Print, rng: np.random.Generator) -> Task | None:
    lines = [line for line in page.lines if line.stop > line.start]
    if not lines:
        return None
    line = lines[int(rng.integers(len(lines)))]
    return _reading("line", page, line.start, line.stop)


def _box(page: Print, rng: np.random.Generator) -> Task | None:
    """A block, or as often a few words of a line."""
    if rng.random() < 0.5 and page.blocks:
        block = page.blocks[int(rng.integers(len(page.blocks)))]
        return _reading("box", page, block.start, block.stop)
    words = _phrase(page, rng)
    return None if words is None else _reading("box", page, *words)


def _reading(name: Literal["line", "box"], page: Print, start: int, stop: int) -> Task:
    place = det(page, _hull(page, start, stop)[None])
    return Task(name, READ.format(what=PARTS[name], place=place), _text(page)[start:stop])


def _markdown(page: Print, rng: np.random.Generator) -> Task | None:
    if not any(block.content for block in page.blocks):
        return None
    parts = [
        f"<|ref|>{LABELS[b.kind]}<|/ref|>{det(page, np.array([b.box]))}\n{b.markdown}\n" for b in page.blocks
    ]  # fmt: skip
    return Task("markdown", PROMPTS["markdown"], "\n".join(parts))


def _locate(page: Print, rng: np.random.Generator) -> Task | None:
    """A phrase of at most five words and all its places; one in two lines has a box in each."""
    best: tuple[str, NDArray[np.int32]] | None = None
    for _ in range(4):
        found = _phrase(page, rng)
        if found is None:
            return None
        words = _text(page)[slice(*found)]
        boxes = _places(page, words)
        if best is None or len(boxes) < len(best[1]):
            best = words, boxes
        if len(boxes) <= _MOST:
            break
    assert best is not None
    words, boxes = best
    return Task("locate", prompt(LOCATE + words), f"<|ref|>{words}<|/ref|>{det(page, boxes)}")


def _continue(page: Print, rng: np.random.Generator) -> Task | None:
    text = _text(page)
    last = text.rstrip(" ").rfind(" ")
    if last < 0:
        return None
    at = text.index(" ", int(rng.integers(last + 1))) + 1
    return Task("continue", PROMPTS["free"], text[at:], text[:at])


_TASKS: dict[Name, Callable[[Print, np.random.Generator], Task | None]] = {
    "free": _free, "line": _line, "box": _box, "markdown": _markdown, "locate": _locate, "continue": _continue,
}  # fmt: skip
NAMES: tuple[Name, ...] = tuple(_TASKS)


def _text(page: Print) -> str:
    return page.page.text


def _boxes(page: Print) -> Boxes:
    return page.page.boxes


def _hull(page: Print, start: int, stop: int) -> NDArray[np.int32]:
    """(4,) the smallest box around characters `start` to `stop`, empty ones left out unless there are no others."""
    boxes = _boxes(page)[start:stop]
    standing = boxes[boxes[:, 0] < boxes[:, 2]]
    boxes = standing if len(standing) else boxes
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def _phrase(page: Print, rng: np.random.Generator) -> tuple[int, int] | None:
    """Where a few whole words of one line begin and end; None if none are found."""
    text = _text(page)
    for _ in range(8):
        if not page.lines:
            return None
        line = page.lines[int(rng.integers(len(page.lines)))]
        words = [word.span() for word in _WORD.finditer(text, line.start, line.stop)]
        if words:
            first = int(rng.integers(len(words)))
            last = min(first + int(rng.integers(_LONGEST)), len(words) - 1)
            start, stop = words[first][0], words[last][1]
            if text[start:stop].isprintable() and "<|" not in text[start:stop] and _whole(text, start, stop):
                return start, stop
    return None


def _whole(text: str, start: int, stop: int) -> bool:
    """Whether no word goes on before `start` or after `stop`; between Chinese signs words may."""
    return not any(
        pair.isalnum() and max(pair) < _CJK for at in (start, stop) if len(pair := text[max(at - 1, 0) : at + 1]) == 2
    )


def _places(page: Print, words: str) -> NDArray[np.int32]:
    """(N, 4) boxes of every place of `words` as whole words, those in two lines one for each."""
    text, boxes = _text(page), []
    starts = np.array([line.start for line in page.lines])
    at = text.find(words)
    while at >= 0:
        stop = at + len(words)
        if _whole(text, at, stop):
            first = int(np.searchsorted(starts, at, "right")) - 1
            for line in page.lines[first:]:
                if line.start >= stop:
                    break
                a, b = max(at, line.start), min(stop, line.stop)
                if a < b and text[a:b].strip():
                    boxes.append(_hull(page, a, b))
        at = text.find(words, at + 1)
    return np.array(boxes, np.int32).reshape(-1, 4)
