"""What DeepSeek-OCR can be asked: the published prompts (its README), by the names of their tasks; and what nano's
reader can be asked, which are some of them and two of our own."""

from __future__ import annotations

import re

from microfiche.errors import UsageError

PROMPTS = {
    "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
    "ocr": "<image>\n<|grounding|>OCR this image.",
    "free": "<image>\nFree OCR.",
    "figure": "<image>\nParse the figure.",
    "describe": "<image>\nDescribe this image in detail.",
}
LOCATE = "locate:"
READ = "<image>\nRead the {what} at {place}."  #: ours: the published prompts cannot ask for a part of a page
PARTS = {"line": "line", "box": "text"}  #: what is read at a place, by task
_PLACE = re.compile(r"(line|box):(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")


def prompt(task: str) -> str:
    """The prompt for a task: one of PROMPTS, or locate:WORDS; UsageError for another."""
    if task in PROMPTS:
        return PROMPTS[task]
    words = task.removeprefix(LOCATE).strip()
    if task.startswith(LOCATE) and words and "<|" not in words:
        return f"<image>\nLocate <|ref|>{words}<|/ref|> in the image."
    raise UsageError(f"no task {task!r}; there are {', '.join(PROMPTS)} and locate:WORDS")


def reader_prompt(task: str) -> str:
    """The prompt of a task of nano's reader: free, markdown, locate:WORDS, or line: or box:X1,Y1,X2,Y2 in positions
    from 0 to 999; UsageError for another."""
    place = _PLACE.fullmatch(task.replace(" ", ""))
    if place:
        part, *box = place.groups()
        return READ.format(what=PARTS[part], place=f"<|det|>{[list(map(int, box))]}<|/det|>")
    if task in ("free", "markdown") or task.startswith(LOCATE):
        return prompt(task)
    raise UsageError(
        f"no task {task!r}; there are free, markdown, locate:WORDS, line:X1,Y1,X2,Y2 and box:X1,Y1,X2,Y2 (0 to 999)"
    )
