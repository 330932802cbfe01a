"""Files from addresses, by a real server on this machine that answers as servers do, well and badly."""

from __future__ import annotations

import re
import socket
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
from microfiche.documents.fetching import fetched, inner, is_url
from microfiche.documents.opening import documents_in, open_document
from microfiche.documents.writing import names_for
from microfiche.errors import InputError
from microfiche.limits import Limits

PDF = text_pdf()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
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
            case ["drips.pdf"]:
                self.send_response(200)
                while True:
                    self.send_header("X", "y")
                    self.flush_headers()
                    time.sleep(0.01)
            case ["login", *to]:
                self.server.logins.append(self.headers["Authorization"])  # type: ignore[attr-defined]
                if to:
                    self.send_response(302)
                    self.send_header("Location", "/".join(to))
                    self.end_headers()
                else:
                    self.answer(PDF)
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
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.logins: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients that hang up are what is tested."""


def served() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def other() -> Iterator[Server]:
    yield from served()


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    yield from served()


@pytest.fixture(scope="module")
def at(own: Server) -> str:
    return own.address


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


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
        ("moved/file:///etc/passwd", "cannot be fetched (the server sends on from http to file)"),
        ("moved/ftp://127.0.0.1/x.pdf", "cannot be fetched (the server sends on from http to ftp)"),
        ("moved/moved/round", "cannot be fetched (the server sends on more than 10 times)"),
        ("moved/http://[::1", "cannot be fetched (the server sends on to what is no address)"),
        ("moved/http://:80/", "cannot be fetched (not an address: it names no server)"),
        ("drips.pdf", "did not come within 0.3 seconds, which is the limit seconds"),
    ],
)
def test_what_does_not_come_whole_and_in_bounds_is_one_clear_error(at: str, path: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        fetched(f"{at}/{path}", Limits(bytes=1_000_000, seconds=0.3 if "0.3 seconds" in message else 600))
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    for url in ("http://127.0.0.1:9/x.pdf", "http://[", "https://127.0.0.1:9/x.pdf", "http://a b/x.pdf"):
        with pytest.raises(InputError, match=r"^x: cannot be fetched \("):
            open_document(url, "x")


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"), ("127.8.8.8", "loopback"), ("::1", "loopback"), ("::ffff:127.0.0.1", "loopback"),
        ("0.0.0.0", "unspecified"), ("::", "unspecified"), ("::ffff:0.0.0.0", "unspecified"),
        ("169.254.169.254", "link-local"), ("fe80::1", "link-local"), ("fe80::1%eth0", "link-local"),
        ("2002:a9fe:a9fe::1", "link-local"), ("64:ff9b::169.254.169.254", "link-local"),
        ("224.0.0.1", "multicast"), ("ff02::1", "multicast"), ("fec0::1", "site-local"),
        ("240.0.0.1", "reserved"), ("255.255.255.255", "reserved"), ("::127.0.0.1", "reserved"),
        ("10.1.2.3", "private"), ("172.31.0.1", "private"), ("192.168.0.1", "private"), ("100.64.0.1", "private"),
        ("fc00::1", "private"), ("fd12::1", "private"), ("::ffff:10.0.0.1", "private"), ("2002:c0a8:1::", "private"),
        ("0.1.2.3", "private"), ("2001:0:7f00:1::", "private"),
        ("8.8.8.8", ""), ("172.32.0.1", ""), ("2606:4700::1111", ""), ("::ffff:8.8.8.8", ""),
        ("64:ff9b::8.8.8.8", ""), ("2002:808:808::1", ""),
    ],
)  # fmt: skip
def test_which_addresses_are_inner_ones(address: str, kind: str) -> None:
    assert inner(address) == kind


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0.0.0.0",
        "127%2E0%2E0%2E1", "１２７.０.０.１", "user@127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "[::]",
    ],
)  # fmt: skip
def test_a_redirect_to_this_machine_is_refused_before_it_asks_anything_there(at: str, other: Server, host: str) -> None:
    with pytest.raises(InputError) as error:
        fetched(f"{at}/moved/http://{host}:{other.server_port}/x.pdf")
    assert re.match(r"cannot be fetched \((the server sends on to .*address|not an address: )", str(error.value))
    assert other.asked == []


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "192.168.1.1", "[fe80::1]", "[fd00::1]", "224.0.0.1"])
def test_a_redirect_to_another_network_is_refused_in_one_line(at: str, host: str, tmp_path: Path) -> None:
    url = f"{at}/moved/http://{host}/latest/meta-data"
    result = CliRunner().invoke(app, ["read", url, "-o", str(tmp_path / "out")])
    assert result.exit_code == 1 and not (tmp_path / "out").exists()
    said = rf"cannot be fetched \(the server sends on to {re.escape(host.strip('[]'))}, an? [\w-]+ address\)"
    assert re.fullmatch(rf"microfiche: {re.escape(url)}: {said}\n", result.stderr)


def names(monkeypatch: pytest.MonkeyPatch, **known: list[str]) -> list[str]:
    """Lets names resolve to these addresses, each to the next at every look-up, and lets no connection come about; the
    list that is returned gets the addresses that were to be connected to."""
    connected: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        for address in known.get(host.replace(".", "_"), []):
            known[host.replace(".", "_")] = known[host.replace(".", "_")][1:]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", connect)
    return connected


def test_a_name_is_resolved_once_and_what_was_checked_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = names(monkeypatch, rebinding_example=["93.184.216.34", "127.0.0.1"])
    with pytest.raises(InputError, match=r"^cannot be fetched \(Connection refused\)$"):
        fetched("http://rebinding.example/x.pdf")
    assert connected == ["93.184.216.34"]


@pytest.mark.parametrize(
    ("url", "resolved", "refused"),
    [
        ("http://localhost/x", "127.0.0.1", ""),
        ("http://printer:631/x", "127.0.1.1", ""),
        ("http://[::1]/x", "::1", ""),
        ("http://169.254.1.1/x", "169.254.1.1", ""),
        ("http://wiki.example.org/x", "10.1.2.3", ""),
        ("http://www.example.org/x", "127.0.0.1", "www.example.org leads to 127.0.0.1, a loopback address; write 127"),
        ("http://www.example.org/x", "169.254.169.254", "leads to 169.254.169.254, a link-local address"),
        ("http://2130706433/x", "127.0.0.1", "2130706433 leads to 127.0.0.1, a loopback address"),
        ("http://0177.1/x", "127.0.0.1", "0177.1 leads to 127.0.0.1, a loopback address"),
    ],
)
def test_a_user_may_name_an_inner_address_but_no_name_hides_one(
    url: str, resolved: str, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = url.split("/")[2].partition(":631")[0].strip("[]").replace(".", "_")
    connected = names(monkeypatch, **{host: [resolved]})
    with pytest.raises(InputError, match=re.escape(refused or "cannot be fetched (Connection refused)")):
        fetched(url)
    assert connected == ([] if refused else [resolved])


@pytest.mark.parametrize(
    ("host", "resolved", "kind"),
    [("localhost", "127.0.0.1", "loopback"), ("printer", "10.1.1.1", "private"), ("[::1]", "::1", "loopback"),
     ("169.254.169.254", "169.254.169.254", "link-local"), ("wiki.example.org", "192.168.1.2", "private")],
)  # fmt: skip
@pytest.mark.parametrize("proxy", [False, True])
def test_an_address_that_a_stranger_wrote_leads_to_no_inner_one(
    host: str, resolved: str, kind: str, proxy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = names(monkeypatch, **{host.strip("[]").replace(".", "_"): [resolved]})
    if proxy:
        monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    with pytest.raises(InputError, match=rf"leads to a {kind} address; only public ones are allowed here"):
        fetched(f"http://{host}/x.pdf", public=True)
    assert connected == []


def test_a_public_address_that_a_stranger_wrote_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = names(monkeypatch, www_example_org=["93.184.216.34"])
    with pytest.raises(InputError, match="Connection refused"):
        fetched("http://www.example.org/x.pdf", public=True)
    assert connected == ["93.184.216.34"]


def test_a_name_and_password_go_to_their_server_alone_and_are_never_shown(
    own: Server, other: Server, tmp_path: Path
) -> None:
    with_login = own.address.replace("//", "//ann:s%C3%A9same@")
    own.logins.clear()
    assert fetched(f"{with_login}/login") == fetched(f"{with_login}/login/{own.address}/login") == PDF
    with pytest.raises(InputError, match="the server sends on to"):
        fetched(f"{with_login}/login/{other.address}/login")
    assert own.logins == ["Basic YW5uOnPDqXNhbWU="] * 4 and other.logins == []
    command = ["read", f"{with_login}/x.pdf", f"{with_login}/gone.pdf", "http://ann:sésame@[::1", "http://ann:sésame@x:y/",
               "-o", str(tmp_path), "--engine", "text"]  # fmt: skip
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert own.address in written and "ann" not in written and "same" not in written + result.output
    assert [line for line in result.stderr.splitlines() if line.startswith("microfiche: http")] == [
        f"microfiche: {own.address}/gone.pdf: the server answered 404 Not Found",
        "microfiche: http://[::1: cannot be fetched (not an address: Invalid IPv6 URL)",
        "microfiche: http://x:y/: cannot be fetched (not an address: Port could not be cast to integer value as 'y')",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1", "http://[", "http://]/", "http://", "http:///x.pdf", "http://:80/", "http://x:99999/", "http://x:-1/",
        "http://x:0x50/", "http://a b/", "http://a\nb/", "http://\udce9/", "http://..../", f"http://{'a' * 70}.org/",
        "http://[v1.x]/", "http://[1.2.3.4]/", "http://*/", "http://ⓔⓧ．\u0000/",
    ],
)  # fmt: skip
def test_what_is_no_address_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected = names(monkeypatch)
    result = CliRunner().invoke(app, ["read", url])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("microfiche: http:") and result.stderr.count("\n") == 1
    assert "cannot be fetched (" in result.stderr and connected == []


def test_letters_beyond_ascii_in_an_address_are_sent_as_servers_expect_them(own: Server, at: str) -> None:
    own.asked.clear()
    assert fetched(f"{at}/Übersicht 1.pdf?q=ä b&r=%C3%A9#part") == PDF
    assert fetched(f"{at}/moved/{at}/%C3%9C.pdf") == PDF
    assert own.asked[0] == "/%C3%9Cbersicht%201.pdf?q=%C3%A4%20b&r=%C3%A9" and own.asked[-1] == "/%C3%9C.pdf"


def test_through_a_proxy_names_are_its_matter_and_no_redirect_leads_inside(
    own: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", own.address)
    own.asked.clear()
    assert fetched("http://nowhere.invalid/x.pdf") == PDF
    assert own.asked == ["http://nowhere.invalid/x.pdf"]
    monkeypatch.setattr(Handler, "path", property(lambda self: "/moved/http://10.0.0.1/x.pdf", lambda self, _: None),
                        raising=False)  # fmt: skip
    with pytest.raises(InputError, match=r"the server sends on to 10\.0\.0\.1, a private address"):
        fetched("http://nowhere.invalid/x.pdf")
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(InputError, match="the proxy in the environment must be http://, not socks5://"):
        fetched("http://nowhere.invalid/x.pdf")


def test_addresses_are_http_alone() -> None:
    assert is_url("HTTPS://x.org/y") and not is_url("file:///etc/passwd") and not is_url("x.pdf")
    (other,) = documents_in(["file:///etc/passwd"])
    assert other.error == "only http and https addresses can be read, not file"
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
