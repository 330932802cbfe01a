"""Bodies of requests as they come in: streamed to files of our own naming, within limits, never held in memory."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from starlette.requests import ClientDisconnect

from microfiche.files import plain
from microfiche.serving.faults import Fault

STALLED = 60.0  #: seconds that a client may send nothing
FIELD, FIELDS, FILES = 1 << 20, 100, 64  #: bytes of a form's field, fields, and files of one request
HEADER = 8 << 10  #: bytes that the boundary and the headers of one part have at most
SILENT = logging.Logger("silent", logging.CRITICAL + 1)  #: for a library that would log bytes of a client's
NAME = 200  #: characters of a client's name for a file that are kept, to be shown


@dataclass
class Upload:
    """A file that came in: where it lies, under a name of ours, and what the client calls it."""

    path: Path
    name: str


@dataclass
class Form:
    """The fields of a form, each with all its values, and its files."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: list[Upload] = field(default_factory=list)

    def first(self, *names: str) -> str:
        """The first value of the first of these fields that has one that is not empty; "" if none has."""
        return next((value for name in names for value in self.fields.get(name, []) if value), "")


def shown_name(name: str) -> str:
    """What a client calls a file, as it may be shown: its last part, in one line and not too long."""
    last = re.split(r"[/\\]", plain(name))[-1].strip()
    return "".join(sign if sign.isprintable() else "_" for sign in last)[:NAME] or "document"


async def pieces(request: Any, most: int) -> AsyncIterator[bytes]:
    """The body of a request (starlette's) in pieces. Fault 413 for more than `most` bytes, announced or sent, 408 where
    nothing comes for STALLED seconds, and 400 where the body ends before its announced length."""
    announced = request.headers.get("content-length", "")
    if announced and not re.fullmatch(r"[0-9]{1,18}", announced):
        raise Fault(400, "bad_request", "Content-Length is no number")
    if announced and int(announced) > most:
        raise too_large(most)
    count = 0
    stream = request.stream().__aiter__()
    while True:
        try:
            piece = await asyncio.wait_for(stream.__anext__(), STALLED)
        except StopAsyncIteration:
            break
        except ClientDisconnect:
            raise Fault(400, "cut_short", "the body ended before it was whole") from None
        except TimeoutError:
            raise Fault(408, "stalled", f"nothing came for {STALLED:g} seconds") from None
        count += len(piece)
        if count > most:
            raise too_large(most)
        if piece:
            yield piece
    if announced and count != int(announced):
        raise Fault(400, "bad_request", "the body is not as long as Content-Length says")


def too_large(most: int) -> Fault:
    """A body is larger than `most` bytes."""
    return Fault(413, "too_large", f"more than {most:,} bytes, which is the limit of this server")


async def body_in(request: Any, path: Path, most: int, grew: Callable[[int], None]) -> None:
    """Writes the body of a request to a file. `grew` is called with how many bytes are about to be written, and may
    raise."""
    with path.open("wb") as file:
        async for piece in pieces(request, most):
            grew(len(piece))
            file.write(piece)


async def form_in(request: Any, folder: Path, most: int, grew: Callable[[int], None]) -> Form:
    """Reads a form (multipart/form-data); its files come to `folder` as upload-1, upload-2, …, and hold at most `most`
    bytes in all. `grew` is called as `body_in` calls it. Fault 415 for a body of another type, 400 for one that is
    broken, 413 for too much of anything."""
    from python_multipart.exceptions import MultipartParseError
    from python_multipart.multipart import MultipartParser, parse_options_header

    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Fault(415, "unsupported_type", "send a form, as multipart/form-data with a boundary")
    receiver = _Receiver(folder)
    try:
        parser = MultipartParser(options[b"boundary"], receiver.callbacks())
        parser.logger = SILENT
        async for piece in pieces(request, most + FIELDS * (HEADER + FIELD)):
            grew(len(piece))
            parser.write(piece)
            if receiver.written > most:
                raise too_large(most)
        parser.finalize()
    except (MultipartParseError, ValueError) as error:
        raise Fault(400, "bad_form", "the form is broken: it does not follow multipart/form-data") from error
    finally:
        receiver.close()
    if not receiver.ended:
        raise Fault(400, "bad_form", "the form is broken: its last part has no end")
    return receiver.form


class _Receiver:
    """Takes what the parser of a form finds."""

    def __init__(self, folder: Path) -> None:
        self.form, self.written, self.ended = Form(), 0, False
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._value = bytearray()
        self._header = self._header_value = self._disposition = b""
        self._name = ""

    def callbacks(self) -> Any:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._end,
            "on_header_field": self._header_field, "on_header_value": self._header_text,
            "on_header_end": self._header_end, "on_headers_finished": self._headers_end, "on_end": self._finish,
        }  # fmt: skip

    def close(self) -> None:
        """Closes the file that was written last."""
        if self._file:
            self._file.close()

    def _begin(self) -> None:
        self._name, self._disposition = "", b""
        self._value.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header = self._header_value = b""

    def _headers_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            if sum(map(len, self.form.fields.values())) >= FIELDS:
                raise Fault(413, "too_large", f"a form has at most {FIELDS} fields")
            return
        number = len(self.form.files) + 1
        if number > FILES:
            raise Fault(413, "too_large", f"a form has at most {FILES} files")
        upload = Upload(self._folder / f"upload-{number}", shown_name(options[b"filename"].decode("utf-8", "replace")))
        self.form.files.append(upload)
        self._file = upload.path.open("wb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file:
            self.written += end - start
            self._file.write(memoryview(data)[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > FIELD:
            raise Fault(413, "too_large", f"a field of a form has at most {FIELD:,} bytes; send it as a file")

    def _end(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
            return
        with suppress(UnicodeDecodeError):
            self.form.fields.setdefault(self._name, []).append(self._value.decode())
            return
        raise Fault(400, "bad_form", "a field of the form is not UTF-8")

    def _finish(self) -> None:
        self.ended = True
