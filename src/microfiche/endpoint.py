"""A client that asks an OpenAI-compatible server for one answer. Temporary faults are retried, time and size are
limited, and each failure is one line.

It knows nothing of pages or documents.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from microfiche.errors import InputError, UsageError

AGAIN = (408, 425, 429, 500, 502, 503, 504)  #: HTTP statuses after which asking again may help
LONGEST = 4 << 20  #: the most bytes of an answer that are read


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follows no redirect: the page and the key go only to the server that the user named."""


_STAYS = urllib.request.build_opener(_NoRedirects)


@dataclass(frozen=True)
class Endpoint:
    """The server at `url` (up to and including /v1). Each question is asked at most `tries` times."""

    url: str
    key: str | None = None
    timeout: float = 300.0  #: seconds for one answer
    tries: int = 3
    pause: float = 1.0  #: seconds before the second try; doubled before each further one

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).hostname:
            raise UsageError(f"endpoint {self.url!r} is not an http:// or https:// address")

    def chat(self, body: dict[str, Any]) -> tuple[str, bool]:
        """Sends the `body` of a chat completion. Returns the text of the answer and whether it was cut short. Raises
        InputError if there is no answer."""
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
                    return content(answer.read(LONGEST + 1))
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


def content(answer: bytes) -> tuple[str, bool]:
    """Returns the text of a chat completion and whether it was cut short. Raises InputError if `answer` is not one."""
    if len(answer) > LONGEST:
        raise InputError(f"the endpoint's answer is longer than {LONGEST:,} bytes")
    try:
        found: Any = json.loads(answer)
        choice = found["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        start = answer[:60].decode("utf-8", "replace")
        raise InputError(f"the endpoint's answer is not a chat completion; it begins {start!r}") from error
    if not isinstance(text, str):
        raise InputError("the endpoint's answer contains no text")
    return text, reason == "length"


def image_part(png: bytes) -> dict[str, Any]:
    """Returns a PNG picture as a part of a chat message, in full detail."""
    data = base64.b64encode(png).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "high"}}
