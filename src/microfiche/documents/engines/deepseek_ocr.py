"""The engine `deepseek-ocr`: the published 3B model, here. Loading it is checkpoints' business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from microfiche.decoder.generation import PDF
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.documents.document import PageRead
from microfiche.documents.grounding import parse
from microfiche.documents.sheet import Sheet


@dataclass(frozen=True)
class DeepSeekEngine:
    """Reads sheets by `model` in a mode (tiny, small, base, large, gundam), with a task's prompt."""

    model: DeepSeekOCR
    mode: str = "gundam"
    task: str = "markdown"
    batch: int = 16
    name = "deepseek-ocr"

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The blocks of each sheet; partial where the model looped, was cut short or broke its grammar."""
        pictures = [sheet.picture for sheet in sheets if sheet.picture is not None]
        readings = self.model.read(pictures, self.mode, self.task, no_repeat=PDF)
        pages = []
        for sheet, picture, reading in zip(sheets, pictures, readings, strict=True):
            blocks, wrong = parse(reading.text, picture.width, picture.height)
            pages.append(
                PageRead(
                    number=sheet.number,
                    width=picture.width,
                    height=picture.height,
                    engine=self.name,
                    status="ok" if reading.status == "ok" and not wrong else "partial",
                    reason=reading.reason or wrong,
                    blocks=blocks,
                )
            )
        return pages
