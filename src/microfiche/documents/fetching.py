"""A file from an http or https address, bounded in bytes and seconds. Knows nothing of what is in it."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from typing import IO
from urllib.parse import urlsplit

from microfiche.errors import InputError
from microfiche.limits import Limits

SCHEMES = ("http", "https")
PIECE = 1 << 16


def is_url(name: str) -> bool:
    """Whether `name` is an address that `fetched` takes."""
    return name.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def fetched(url: str, limits: Limits = Limits()) -> bytes:
    """The bytes at `url`; InputError, without the address, where they do not come whole and within the limits."""
    end = time.monotonic() + limits.seconds
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "microfiche", "Accept-Encoding": "identity"})
        with _opener().open(request, timeout=limits.seconds) as answer:
            return _all(answer, limits, end)
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"the server answered {error.code} {str(error.reason).splitlines()[0]}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise InputError(_late(limits)) from error
        raise InputError(f"cannot be fetched ({reason or type(reason).__name__})") from error


def _all(answer: http.client.HTTPResponse, limits: Limits, end: float) -> bytes:
    length = answer.headers.get("Content-Length", "")
    announced = int(length) if length.isdecimal() else None
    data = bytearray()
    while True:
        if max(announced or 0, len(data)) > limits.bytes:
            raise InputError(f"more than {limits.bytes:,} bytes, which is the limit bytes")
        if time.monotonic() > end:
            raise InputError(_late(limits))
        piece = answer.read1(PIECE)
        if not piece:
            break
        data += piece
    if announced is not None and len(data) < announced:
        raise InputError(f"cut short: {len(data):,} of {announced:,} bytes came")
    return bytes(data)


def _late(limits: Limits) -> str:
    return f"did not come within {limits.seconds:g} seconds, which is the limit seconds"


def _opener() -> urllib.request.OpenerDirector:
    """Knows http and https alone: no files, no ftp, wherever it is sent on to."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, _Redirects,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: http.client.HTTPMessage, newurl: str,
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in SCHEMES or (before == "https" and after == "http"):
            fp.close()
            raise urllib.error.URLError(f"the server sends on from {before} to {after}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
