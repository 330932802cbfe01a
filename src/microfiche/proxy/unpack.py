"""Unpacks the copy of an answer that is read beside the relay, piece by piece and never more at once than a bound.

A few bytes can stand for gigabytes, so each way of packing is asked for at most `AT_ONCE` bytes of one piece and told
what window it may keep. What is longer, and what cannot be bounded here, is not unpacked at all. The client is not
concerned: it gets the bytes as they came.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any

AT_ONCE = 8 << 20  #: bytes, unpacked, of one piece of an answer; a piece has at most 64 KiB
WINDOW = 8 << 20  #: bytes of a zstd window, which RFC 8878 asks every reader to have
MEMBERS = 1000  #: gzip members of one piece

Unpack = Callable[[bytes], bytes]


class TooMuch(ValueError):
    """A piece unpacks to more than is looked at."""


def unpacking(coding: str) -> Unpack | None:
    """How an answer of this content coding is unpacked piece by piece; None where it cannot be."""
    codings = [part.strip().lower() for part in coding.split(",") if part.strip()]
    codings = [one for one in codings if one != "identity"]
    if not codings:
        return bytes
    if len(codings) > 1:
        return None
    match codings[0]:
        case "gzip" | "x-gzip":
            return _Gzip().unpack
        case "deflate":
            return _Deflate().unpack
        case "br":
            return _brotli()
        case "zstd":
            return _zstd()
    return None


class _Gzip:
    """One gzip member after another, as RFC 1952 has it; what follows the last one is passed over."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)
        self._over = False

    def unpack(self, data: bytes) -> bytes:
        """Unpacks the next piece."""
        parts: list[bytes] = []
        room = AT_ONCE
        for _ in range(MEMBERS):
            if self._over or not data:
                return b"".join(parts)
            parts.append(_bounded(self._inner, data, room))
            room -= len(parts[-1])
            data = self._inner.unused_data if self._inner.eof else b""
            if self._inner.eof:
                self._over = bool(data) and not data.startswith(b"\x1f")
                self._inner = zlib.decompressobj(31)
        raise TooMuch


class _Deflate:
    """zlib's format, or its bare stream, which some servers send under the same name."""

    def __init__(self) -> None:
        self._inner: Any = None

    def unpack(self, data: bytes) -> bytes:
        """Unpacks the next piece."""
        if self._inner is None and data:
            self._inner = zlib.decompressobj(15 if data[0] & 15 == 8 else -15)
        return _bounded(self._inner, data, AT_ONCE) if data else b""


def _bounded(inner: Any, data: bytes, most: int) -> bytes:
    plain: bytes = inner.decompress(data, most + 1)
    if len(plain) > most or inner.unconsumed_tail:
        raise TooMuch
    return plain


def _brotli() -> Unpack | None:
    """Unpacks by brotli from 1.2 on, which can be told how much to give at once."""
    try:
        inner = importlib.import_module("brotli").Decompressor()
        inner.process(b"", output_buffer_limit=1)
    except (ImportError, AttributeError, TypeError):
        return None

    def unpack(data: bytes) -> bytes:
        plain: bytes = inner.process(data, output_buffer_limit=AT_ONCE)
        if len(plain) > AT_ONCE or not (inner.can_accept_more_data() or inner.is_finished()):
            raise TooMuch
        return plain

    return unpack


class _Few:
    """Takes what zstd writes until it is too much."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.room = AT_ONCE

    def write(self, data: bytes) -> int:
        """Takes a part of what is unpacked."""
        self.room -= len(data)
        if self.room < 0:
            raise TooMuch
        self.parts.append(bytes(data))
        return len(data)


def _zstd() -> Unpack | None:
    try:
        package = importlib.import_module("zstandard")
    except ImportError:
        return None
    few = _Few()
    inner = package.ZstdDecompressor(max_window_size=WINDOW).stream_writer(few)

    def unpack(data: bytes) -> bytes:
        few.parts, few.room = [], AT_ONCE
        inner.write(data)
        return b"".join(few.parts)

    return unpack
