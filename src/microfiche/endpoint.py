"""A client that asks an OpenAI-compatible server for one answer. Temporary faults are retried, time and size are
limited, and each failure is one line.

It knows nothing of pages or documents.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import io
import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from microfiche.errors import InputError, UsageError
from microfiche.files import plain

AGAIN = (408, 425, 429, 500, 502, 503, 504)  #: HTTP statuses after which asking again may help
REFUSED = (400, 422)  #: HTTP statuses of a server that does not accept a body
SAID, LINE = 64 << 10, 300  #: the most bytes of a server's complaint that are read, and characters that are shown
LONGEST = 4 << 20  #: the most bytes of an answer that are read
PATIENCE = 120.0  #: the most seconds that are waited because a server says so
ENDED = (None, "", "stop", "eos", "eos_token", "stop_sequence", "end_turn")  #: how servers say that an answer is whole
SAFE = "/:@!$&'()*+,;=~%?"  #: what stays as it is in an address; all else is written as %XX
LISTED = 10.0  #: the most seconds that a list of models may take


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follows no redirect: the page and the key go only to the server that the user named."""


class _Within(io.RawIOBase):
    """What comes from a socket until the time `end`, on the clock time.monotonic(); TimeoutError after it."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection, self._end = connection, end
        self._raw = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedAnswer(http.client.HTTPResponse):
    """An answer all of which has to come within the connection's timeout; urllib limits only the time of each read."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        if (seconds := sock.gettimeout()) is not None:
            self.fp.close()
            self.fp = io.BufferedReader(_Within(sock, time.monotonic() + seconds))


class _Connection(http.client.HTTPConnection):
    response_class = _TimedAnswer


class _SecureConnection(http.client.HTTPSConnection):
    response_class = _TimedAnswer


class _Timed(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _SecureTimed(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


_STAYS = urllib.request.build_opener(_NoRedirects, _Timed, _SecureTimed)


@dataclass(frozen=True)
class Served:
    """A model in a server's list: its `name`, the `owner` that the server gives, and the `root`, what it was loaded
    from, where the server says so."""

    name: str
    owner: str
    root: str


@dataclass(frozen=True)
class Endpoint:
    """The server at `url` (up to and including /v1). Each question is asked at most `tries` times."""

    url: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 300.0  #: seconds for one answer
    tries: int = 3
    pause: float = 1.0  #: seconds before the second try; doubled before each further one

    def __post_init__(self) -> None:
        """Raises UsageError, which never repeats the key, if the address or the key cannot be used."""
        try:
            parts = urlsplit(self.url)
            user, wrong = parts.username, parts.scheme not in ("http", "https") or not parts.hostname
            parts.port, parts.netloc.encode("idna")  # raise ValueError
        except ValueError as error:
            raise UsageError(f"the endpoint's address cannot be used ({error})") from error
        if user is not None:
            raise UsageError("the endpoint's address holds a name or password; give a key in MICROFICHE_ENDPOINT_KEY")
        if wrong or parts.fragment or not self.url.isprintable():
            raise UsageError(f"endpoint {self.url!r} is not an http:// or https:// address")
        if self.key is not None and not (self.key.strip().isascii() and self.key.strip().isprintable()):
            raise UsageError("the endpoint's key holds characters that are not printable ASCII; no header can hold it")

    def chat(self, body: dict[str, Any], optional: Sequence[str] = ()) -> tuple[str, str]:
        """Sends the `body` of a chat completion. Returns the text of the answer and why it was cut short, "" if it was
        not. A server that refuses the body is asked again without those of the `optional` keys, which not every server
        knows, that its complaint names, or, if it names none of them, without all. Raises InputError if there is no
        answer."""
        return content(self.answer(body, optional))

    def answer(self, body: dict[str, Any], optional: Sequence[str] = ()) -> bytes:
        """Sends a body as `chat` does, and returns the whole answer as it came."""
        left = [key for key in optional if key in body]
        while True:
            try:
                return self._answer(body)
            except _Refused as refused:
                if not left:
                    raise
                named = [key for key in left if _names(str(refused), key)]
            gone = named or left
            left = [key for key in left if key not in gone]
            body = {key: value for key, value in body.items() if key not in gone}

    def models(self) -> list[Served]:
        """Returns the models that the server lists; none if it does not answer or gives no list."""
        try:
            with _STAYS.open(self._request("models"), timeout=min(self.timeout, LISTED)) as answer:
                listed: Any = json.loads(_body(answer))["data"]
            return [
                Served(str(entry["id"]), str(entry.get("owned_by", "")), str(entry.get("root") or ""))
                for entry in listed
                if isinstance(entry, dict) and "id" in entry
            ]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
            return []

    def _request(self, path: str, body: dict[str, Any] | None = None) -> urllib.request.Request:
        headers = {"Content-Type": "application/json"}
        if self.key and self.key.strip():
            headers["Authorization"] = f"Bearer {self.key.strip()}"
        data = None if body is None else json.dumps(body).encode()
        parts = urlsplit(self.url)
        host = parts.netloc.encode("idna").decode()
        whole, query = quote(f"{parts.path.rstrip('/')}/{path}", SAFE), quote(parts.query, SAFE)
        return urllib.request.Request(urlunsplit((parts.scheme, host, whole, query, "")), data, headers)

    def _answer(self, body: dict[str, Any]) -> bytes:
        request = self._request("chat/completions", body)
        for attempt in range(self.tries):
            last = attempt == self.tries - 1
            wait = None
            try:
                with _STAYS.open(request, timeout=self.timeout) as answer:
                    return _body(answer)
            except urllib.error.HTTPError as error:
                said = f"the endpoint answered {error.code} {error.reason}{self._message(error)}"
                if 300 <= error.code < 400 and (to := error.headers.get("Location")):
                    said += f"; it sends on to {self._line(to)}, which is not followed: give that address"
                wait = _asked_to_wait(error.headers.get("Retry-After", ""))
                if error.code not in AGAIN or last:
                    kind = _Refused if error.code in REFUSED else InputError
                    raise kind(said) from error
                if wait is not None and wait > PATIENCE:
                    raise InputError(f"{said}; it asks to wait {wait:,.0f} s, so run this again later") from error
            except (TimeoutError, urllib.error.URLError, http.client.HTTPException, OSError) as error:
                if last:
                    raise InputError(f"the endpoint {self._fault(error)}") from error
            time.sleep(self.pause * 2**attempt if wait is None else wait)
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
            text = _complaint(json.loads(answer))
        except (ValueError, RecursionError):
            text = "" if answer.lstrip()[:1] == b"<" else answer.decode("utf-8", "replace")
        line = self._line(text)
        return f": {line}" if line else ""

    def _line(self, text: str) -> str:
        """A server's words in one line and without the key."""
        line = _line(text)
        return line.replace(self.key.strip(), "…") if self.key and self.key.strip() else line

    def _fault(self, error: Exception) -> str:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            return f"did not answer within {self.timeout:g} s"
        if isinstance(reason, http.client.IncompleteRead):
            return f"hung up in the middle of its answer, after {len(reason.partial)} bytes"
        return f"cannot be reached: {self._line(str(reason)) or type(reason).__name__}"


def _body(answer: Any) -> bytes:
    """Returns the body of an answer, or its first LONGEST + 1 bytes. Raises IncompleteRead if it ends too early."""
    data = bytearray()
    while len(data) <= LONGEST and (piece := answer.read(LONGEST + 1 - len(data))):
        data += piece
    if len(data) <= LONGEST and answer.length:
        raise http.client.IncompleteRead(bytes(data), answer.length)
    return bytes(data)


def _line(text: str) -> str:
    return "".join(sign for sign in plain(" ".join(text.split())[:LINE]) if sign.isprintable())


def _complaint(found: Any) -> str:
    """What a server says is wrong, in any of the forms that servers use; "" if it says nothing."""
    if isinstance(found, dict):
        key = next((key for key in ("error", "detail", "message", "msg") if found.get(key)), None)
        where = found.get("loc")
        place = ".".join(map(str, where)) + ": " if isinstance(where, list) and where else ""
        return place + _complaint(found[key]) if key else ""
    if isinstance(found, list):
        return "; ".join(filter(None, map(_complaint, found)))
    return str(found)


def _names(complaint: str, key: str) -> bool:
    """Whether a server's complaint names a key of the body, with spaces or with low lines in it."""
    words = "[ _]".join(map(re.escape, key.split("_")))
    return re.search(rf"(?<!\w){words}(?!\w)", complaint, re.IGNORECASE) is not None


def _asked_to_wait(header: str) -> float | None:
    """Returns the seconds that a Retry-After asks for, a number or a date (RFC 9110, 10.2.3); None if there is none."""
    try:
        wait = float(header)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, wait) if wait == wait else None


class _Refused(InputError):
    """The server does not accept a body."""


def content(answer: bytes) -> tuple[str, str]:
    """Returns the text of a chat completion and why it was cut short ("length", "content_filter", …), "" if it ended by
    itself. Raises InputError, with the server's words, if `answer` is not one or has no text."""
    if len(answer) > LONGEST:
        raise InputError(f"the endpoint's answer is longer than {LONGEST:,} bytes")
    found: Any = None
    try:
        found = json.loads(answer)
        choice = found["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text = message["content"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        words = _line(_complaint(found)) if isinstance(found, dict) else ""
        start = answer[:60].decode("utf-8", "replace")
        said = f": {words}" if words else f"; it begins {start!r}"
        raise InputError(f"the endpoint's answer is not a chat completion{said}") from error
    if isinstance(text, list):
        parts = [part["text"] for part in text if isinstance(part, dict) and isinstance(part.get("text"), str)]
        text = "".join(parts) if parts else None
    if not text and isinstance(message, dict):
        for key in ("refusal", "reasoning_content", "reasoning"):
            if isinstance(aside := message.get(key), str) and aside.strip():
                raise InputError(f"the endpoint's answer contains no text, only its {key}: {_line(aside)}")
    if not isinstance(text, str):
        raise InputError("the endpoint's answer contains no text")
    return text, "" if reason in ENDED else _line(str(reason))


def image_part(png: bytes) -> dict[str, Any]:
    """Returns a PNG picture as a part of a chat message, in full detail."""
    data = base64.b64encode(png).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "high"}}
