"""The engine `endpoint`: any OpenAI-compatible server that has DeepSeek-OCR, vLLM for one. Many pages at a time."""

from __future__ import annotations

import base64
import http.client
import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from microfiche.documents.document import PageRead
from microfiche.documents.grounding import loop, parse
from microfiche.documents.sheet import Sheet
from microfiche.errors import InputError, UsageError
from microfiche.models.prompts import prompt

AGAIN = (408, 425, 429, 500, 502, 503, 504)  #: answers after which asking again may help
LONGEST = 4 << 20  #: bytes of an answer that are taken


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
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).hostname:
            raise UsageError(f"endpoint {self.url!r} is not an http:// or https:// address")

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
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )
        for attempt in range(self.tries):
            last = attempt == self.tries - 1
            try:
                with _STAYS.open(request, timeout=self.timeout) as answer:
                    return _content(answer.read(LONGEST + 1))
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in AGAIN or last:
                    raise InputError(f"the endpoint answered {error.code} {error.reason}") from error
                wait = error.headers.get("Retry-After", "")
            except (TimeoutError, urllib.error.URLError, http.client.HTTPException, OSError) as error:
                reason = getattr(error, "reason", None) or error
                slow = isinstance(reason, TimeoutError)
                if last:
                    raise InputError(
                        f"the endpoint did not answer within {self.timeout:g} s" if slow
                        else f"the endpoint cannot be reached: {reason or type(reason).__name__}"
                    ) from error
                wait = ""
            time.sleep(min(60.0, float(wait) if wait.isdigit() else self.pause * 2**attempt))
        raise AssertionError("the last try returns or raises")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Nothing: the page and the key go to the server that was named and to no other."""


_STAYS = urllib.request.build_opener(_NoRedirects)


def _content(answer: bytes) -> tuple[str, bool]:
    if len(answer) > LONGEST:
        raise InputError(f"the endpoint's answer is longer than {LONGEST:,} bytes")
    try:
        found: Any = json.loads(answer)
        choice = found["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        start = answer[:60].decode("utf-8", "replace")
        raise InputError(f"the endpoint's answer is no chat completion; it begins {start!r}") from error
    if not isinstance(text, str):
        raise InputError("the endpoint's answer holds no text")
    return text, reason == "length"
