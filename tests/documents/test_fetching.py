"""Files from addresses, by a real server on this machine that answers as servers do, well and badly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from makers import text_pdf
from typer.testing import CliRunner

import microfiche
from microfiche.cli import app
from microfiche.documents.opening import documents_in, fetched, is_url, open_document
from microfiche.documents.writing import names_for
from microfiche.errors import InputError
from microfiche.limits import Limits

PDF = text_pdf()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path.partition("?")[0].split("/")[1:]:
            case ["moved", *to]:
                self.send_response(302)
                self.send_header("Location", "/".join(to))
                self.end_headers()
            case ["large.pdf"]:
                self.answer(PDF, announced=1 << 40)
            case ["endless.pdf"]:
                self.answer(b"%PDF-", announced=None)
                for _ in range(10_000):
                    self.wfile.write(bytes(1000))
            case ["slow.pdf"]:
                self.answer(b"%PDF-", announced=1_000_000)
                while True:  # until the client hangs up
                    time.sleep(0.05)
                    self.wfile.write(b"x")
            case ["silent.pdf"]:
                self.rfile.read(1)  # until the client hangs up
            case ["short.pdf"]:
                self.answer(PDF[:300], announced=len(PDF))
            case ["page.pdf"]:
                self.answer(b"<!DOCTYPE html><html>Sign in</html>")
            case ["gone.pdf"]:
                self.send_error(404)
            case _:
                self.answer(PDF)

    def answer(self, data: bytes, announced: int | None = -1) -> None:
        self.send_response(200)
        if announced is not None:
            self.send_header("Content-Length", str(len(data) if announced < 0 else announced))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients that hang up are what is tested."""


@pytest.fixture(scope="module")
def at() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_comes_as_it_is_and_is_read(at: str) -> None:
    assert fetched(f"{at}/x.pdf") == PDF
    assert fetched(f"{at}/moved/{at}/moved/{at}/x.pdf") == PDF
    with open_document(f"{at}/x.pdf", "x") as opened:
        assert (opened.kind, opened.pages) == ("pdf", 3)
    assert "First page" in microfiche.read(f"{at}/x.pdf", engine="text").markdown()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone.pdf", "the server answered 404 Not Found"),
        ("large.pdf", "more than 1,000,000 bytes, which is the limit bytes"),
        ("endless.pdf", "more than 1,000,000 bytes, which is the limit bytes"),
        ("slow.pdf", "did not come within 0.3 seconds, which is the limit seconds"),
        ("silent.pdf", "did not come within 0.3 seconds, which is the limit seconds"),
        ("short.pdf", f"cut short: 300 of {len(PDF):,} bytes came"),
        ("moved/file:///etc/passwd", "the server answered 302 Found - Redirection to url 'file:///etc/passwd' is not"),
        ("moved/ftp://127.0.0.1/x.pdf", "cannot be fetched (the server sends on from http to ftp)"),
        ("moved/round", "the server answered 302 The HTTP server returned a redirect error"),
    ],
)
def test_what_does_not_come_whole_and_in_bounds_is_one_clear_error(at: str, path: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        fetched(f"{at}/{path}", Limits(bytes=1_000_000, seconds=0.3 if "0.3 seconds" in message else 60))
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    for url in ("http://127.0.0.1:9/x.pdf", "http://[", "https://127.0.0.1:9/x.pdf", "http://a b/x.pdf"):
        with pytest.raises(InputError, match=r"^x: cannot be fetched \("):
            open_document(url, "x")


def test_addresses_are_http_alone() -> None:
    assert is_url("HTTPS://x.org/y") and not is_url("file:///etc/passwd") and not is_url("x.pdf")
    with pytest.raises(InputError, match="no such file"):
        documents_in(["file:///etc/passwd"])
    with pytest.raises(InputError, match="unknown url type"):
        fetched("file:///etc/passwd")
    assert names_for(["http://x.org/a%20b/Paper.pdf?v=2", "https://x.org/pdf/2510.18234v1", "http://x.org"]) == [
        "Paper", "2510.18234v1", "document",
    ]


def test_the_command_reads_addresses_beside_files(at: str, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    files = [str(tmp_path / "a.pdf"), f"{at}/b.pdf", f"{at}/gone.pdf", f"{at}/page.pdf"]
    command = ["read", *files, "-o", str(tmp_path / "out"), "--engine", "text"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert f"microfiche: {at}/gone.pdf: the server answered 404 Not Found" in result.stderr
    assert f"microfiche: {at}/page.pdf: an HTML page, whatever its name says" in result.stderr
    assert f"2 of 4 documents were not read whole: {at}/gone.pdf, {at}/page.pdf" in result.stderr
    assert (tmp_path / "out/a.md").read_text() == (tmp_path / "out/b.md").read_text()
