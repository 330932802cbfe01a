"""What the published models are asked, and with which ban on repetitions: the prompts of DeepSeek-OCR, DeepSeek-OCR 2
and Unlimited-OCR (from their READMEs), by the names of their tasks, and the bans (from their scripts)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from microfiche.errors import UsageError

ModelName = Literal["deepseek-ocr", "deepseek-ocr-2", "unlimited-ocr"]
PROMPTS = {
    "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
    "ocr": "<image>\n<|grounding|>OCR this image.",
    "free": "<image>\nFree OCR.",
    "figure": "<image>\nParse the figure.",
    "describe": "<image>\nDescribe this image in detail.",
}
#: The tasks that each model was published with. LOCATE is DeepSeek-OCR's alone.
PROMPTS_OF: Mapping[ModelName, Mapping[str, str]] = {
    "deepseek-ocr": PROMPTS,
    "deepseek-ocr-2": {task: PROMPTS[task] for task in ("markdown", "free")},
    "unlimited-ocr": {"markdown": "<image>document parsing."},
}
FAMILY = tuple(PROMPTS_OF)  #: the names of the published models
#: What is read: a picture, a page of a PDF, or several pages in one request.
Kind = Literal["image", "pdf", "pages"]
#: The published ban on repeated n-grams, as n and the number of latest tokens in which none may come twice.
BANS: Mapping[ModelName, Mapping[Kind, tuple[int, int]]] = {
    "deepseek-ocr": {"image": (30, 90), "pdf": (20, 50)},
    "deepseek-ocr-2": {"image": (20, 90), "pdf": (20, 50)},
    "unlimited-ocr": {"image": (35, 128), "pdf": (35, 128), "pages": (35, 1024)},
}
#: The tokens that are never banned: <td> and </td>, so that cells of tables may repeat.
NEVER_BANNED: Mapping[ModelName, tuple[int, ...]] = {
    "deepseek-ocr": (128821, 128822),
    "deepseek-ocr-2": (128821, 128822),
    "unlimited-ocr": (),
}
TOGETHER = "<image>Multi page parsing."  #: Unlimited-OCR's prompt for several pages in one request
LOCATE = "locate:"


def prompt(task: str, model: ModelName = "deepseek-ocr") -> str:
    """Returns a published model's prompt for a task: one of its PROMPTS_OF, or, for DeepSeek-OCR, locate:WORDS. Raises
    UsageError for any other."""
    known = PROMPTS_OF[model]
    if task in known:
        return known[task]
    words = task.removeprefix(LOCATE).strip()
    if model == "deepseek-ocr" and task.startswith(LOCATE) and words and "<|" not in words:
        return f"<image>\nLocate <|ref|>{words}<|/ref|> in the image."
    if model == "deepseek-ocr":
        raise UsageError(f"no task {task!r}; there are {', '.join(known)} and locate:WORDS")
    raise UsageError(f"{model} was published without a task {task!r}; there is {' and '.join(known)}")
