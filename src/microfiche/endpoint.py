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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from microfiche.errors import InputError, UsageError
from microfiche.files import plain

AGAIN = (408, 425, 429, 500, 502, 503, 504)  #: HTTP statuses after which asking again may help
REFUSED = (400, 422)  #: HTTP statuses of a server that does not accept a body
SAID, LINE = 64 << 10, 300  #: the most bytes of a server's complaint that are read, and characters that are shown
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

    def chat(self, body: dict[str, Any], optional: Sequence[str] = ()) -> tuple[str, bool]:
        """Sends the `body` of a chat completion. Returns the text of the answer and whether it was cut short. A server
        that refuses the body is asked once more without its `optional` keys, which not every server knows. Raises
        InputError if there is no answer."""
        try:
            return self._chat(body)
        except _Refused:
            if not any(key in body for key in optional):
                raise
            return self._chat({key: value for key, value in body.items() if key not in optional})

    def _chat(self, body: dict[str, Any]) -> tuple[str, bool]:
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
                said = self._message(error)
                if error.code not in AGAIN or last:
                    kind = _Refused if error.code in REFUSED else InputError
                    raise kind(f"the endpoint answered {error.code} {error.reason}{said}") from error
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


    def _message(self, error: urllib.error.HTTPError) -> str:
        """What a server says is wrong, after a colon, in one line and without the key; "" if it says nothing."""
        try:
            answer = error.read(SAID)
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            error.close()
        try:
            found: Any = json.loads(answer)
            found = found.get("error", found)
            text = str(found.get("message") or "") if isinstance(found, dict) else str(found)
        except (ValueError, AttributeError):
            text = "" if answer.lstrip()[:1] == b"<" else answer.decode("utf-8", "replace")
        line = "".join(c for c in plain(" ".join(text.split())[:LINE]) if c.isprintable())
        return f": {line.replace(self.key, '…') if self.key else line}" if line else ""


class _Refused(InputError):
    """The server does not accept a body."""


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
