"""The engine `endpoint`: any OpenAI-compatible server that has DeepSeek-OCR, vLLM for one. Many pages at a time."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from microfiche.decoder.prompts import prompt
from microfiche.documents.document import PageRead
from microfiche.documents.grounding import loop, parse
from microfiche.documents.sheet import Sheet
from microfiche.endpoint import Endpoint
from microfiche.errors import InputError


@dataclass(frozen=True)
class EndpointEngine:
    """Asks the server at `url` (up to and with /v1) for each page, `batch` at a time, each `tries` times at most."""

    url: str
    model: str = "deepseek-ai/DeepSeek-OCR"
    key: str | None = None
    task: str = "markdown"
    batch: int = 8
    timeout: float = 300.0  #: seconds for one answer
    tries: int = 3
    pause: float = 1.0  #: seconds before the second try; doubled before each further one
    max_tokens: int = 8192 - 1200  #: what the model's context leaves beside a Gundam page
    name = "endpoint"

    def __post_init__(self) -> None:
        prompt(self.task)
        Endpoint(self.url)

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """What the server reads on each sheet; a page that it would not read is failed, with the reason."""
        with ThreadPoolExecutor(max(1, min(self.batch, len(sheets)))) as pool:
            return list(pool.map(self._read, sheets))

    def _read(self, sheet: Sheet) -> PageRead:
        assert sheet.picture is not None
        width, height = sheet.picture.size
        page = PageRead(number=sheet.number, width=width, height=height, engine=self.name)
        try:
            text, cut = self._asked(sheet.picture)
        except InputError as error:
            return page.model_copy(update={"status": "failed", "reason": str(error)})
        end = loop(text)
        blocks, wrong = parse(text[:end], width, height)
        reason = "truncated: the server stopped before the end of the page" if cut else wrong
        if end is not None:
            reason = "looped: it repeated itself and was cut behind the first time"
        return page.model_copy(update={"blocks": blocks, "status": "partial" if reason else "ok", "reason": reason})

    def _asked(self, picture: Image.Image) -> tuple[str, bool]:
        """The model's text for a picture, and whether it was cut short."""
        png = io.BytesIO()
        picture.save(png, "PNG", compress_level=1)
        data = base64.b64encode(png.getvalue()).decode()
        words = prompt(self.task).removeprefix("<image>\n")
        body = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": self.max_tokens,
            "skip_special_tokens": False,
            "vllm_xargs": {"ngram_size": 30, "window_size": 90, "whitelist_token_ids": [128821, 128822]},
            "messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
                {"type": "text", "text": words},
            ]}],
        }
        server = Endpoint(self.url, self.key, self.timeout, self.tries, self.pause)
        return server.chat(body)
