"""Forms as they come in: whole or refused with a type, whatever the bytes, however they are cut into pieces."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.serving import forms
from microfiche.serving.faults import Fault
from microfiche.serving.forms import Form, body_in, form_in, shown_name

MOST = 5000


class Request:
    """As much of starlette's as a form needs."""

    def __init__(self, pieces: list[bytes], **headers: str) -> None:
        self._pieces, self.headers = pieces, {name.replace("_", "-"): value for name, value in headers.items()}

    async def stream(self) -> Any:
        for piece in self._pieces:
            yield piece


def received(pieces: list[bytes], folder: Path, kind: str = "multipart/form-data; boundary=b") -> Form:
    return asyncio.run(form_in(Request(pieces, content_type=kind), folder, MOST, lambda count: None))


def part(disposition: str, data: bytes) -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"


PIECES = st.sampled_from([
    part('name="a"', b"1"), part('name="f"; filename="x"', b"data"), part('name="f"; filename=""', b""), b"--b--\r\n",
    part("", b"x"), part('name="a"; name="b"; filename*=utf-8', b"\xff"), b"--b\r\n\r\n", b"\r\n", b"--b", b"\0",
    b"--b\r\nX: " + b"y" * 9000 + b"\r\n\r\n", part('name="f"; filename="big"', b"z" * 6000), b"Content-Length: 5\r\n",
])  # fmt: skip


@given(st.lists(PIECES | st.binary(max_size=40), max_size=8), st.integers(1, 50))
def test_any_bytes_are_a_form_or_are_refused(parts: list[bytes], cut: int) -> None:
    data = b"".join(parts)
    with TemporaryDirectory() as folder:
        try:
            form = received([data[at : at + cut] for at in range(0, len(data), cut)], Path(folder))
        except Fault as fault:
            assert fault.status in (400, 413), fault
            return
        assert sum(one.path.stat().st_size for one in form.files) <= MOST
        assert {path.name for path in Path(folder).iterdir()} == {one.path.name for one in form.files}
        assert all(one.path.name.startswith("upload-") for one in form.files)


@pytest.mark.parametrize("cut", [1, 2, 7, 1000])
def test_a_form_is_the_same_however_it_is_cut(tmp_path: Path, cut: int) -> None:
    data = part('name="do"', b"read") + part('name="do"', "\u00fc".encode())
    data += part('name="f"; filename="a/b.pdf"', b"\r\n--x") + b"--b--\r\n"
    form = received([data[at : at + cut] for at in range(0, len(data), cut)], tmp_path)
    assert form.fields == {"do": ["read", "\u00fc"]} and form.first("do") == "read" and form.first("x", "do") == "read"
    (upload,) = form.files
    assert upload.name == "b.pdf" and upload.path == tmp_path / "upload-1" and upload.path.read_bytes() == b"\r\n--x"


def test_other_types_are_refused(tmp_path: Path) -> None:
    form = "multipart/form-data"
    for kind in ("", "text/plain", form, "multipart/mixed; boundary=b", f"{form}; boundary="):
        with pytest.raises(Fault) as found:
            received([b"--b--\r\n"], tmp_path, kind)
        assert found.value.status == 415


def test_a_body_that_stalls_or_lies_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stalls(Request):
        async def stream(self) -> Any:
            yield b"x"
            await asyncio.Event().wait()

    monkeypatch.setattr(forms, "STALLED", 0.01)
    for request, status in (
        (Stalls([]), 408), (Request([b"abc"], content_length="4"), 400), (Request([b"abc"], content_length="2"), 400),
        (Request([b"abc"], content_length="-1"), 400), (Request([b"abc"], content_length="5001"), 413),
        (Request([bytes(5001)]), 413),
    ):  # fmt: skip
        with pytest.raises(Fault) as found:
            asyncio.run(body_in(request, tmp_path / "body", MOST, lambda count: None))
        assert found.value.status == status


def test_no_byte_of_a_broken_form_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for data in (b"secret", b"--b secret\r\n", b"--b\r\nsecret\r\n\r\n--b--", b"--b\r\nName: \x00\r\n\r\nx"):
        with pytest.raises(Fault):
            received([data], tmp_path)
    assert not caplog.records


@given(st.text())
def test_a_name_can_be_shown(name: str) -> None:
    shown = shown_name(name)
    assert 0 < len(shown) <= 200 and shown.isprintable() and "/" not in shown and "\\" not in shown
