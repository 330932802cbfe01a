"""The published prompts of DeepSeek-OCR (from its README), by the names of their tasks."""

from __future__ import annotations

from microfiche.errors import UsageError

PROMPTS = {
    "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
    "ocr": "<image>\n<|grounding|>OCR this image.",
    "free": "<image>\nFree OCR.",
    "figure": "<image>\nParse the figure.",
    "describe": "<image>\nDescribe this image in detail.",
}
LOCATE = "locate:"


def prompt(task: str) -> str:
    """Returns the prompt for a task: one of PROMPTS, or locate:WORDS. Raises UsageError for any other."""
    if task in PROMPTS:
        return PROMPTS[task]
    words = task.removeprefix(LOCATE).strip()
    if task.startswith(LOCATE) and words and "<|" not in words:
        return f"<image>\nLocate <|ref|>{words}<|/ref|> in the image."
    raise UsageError(f"no task {task!r}; there are {', '.join(PROMPTS)} and locate:WORDS")
