"""The desk: documents in pieces, texts packed, nothing outside of what is allowed; and by MCP with the SDK's client."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from doorway import PATIENCE
from makers import text_pdf
from mcp import Client, StdioServerParameters
from mcp_types import ListRootsResult, Root
from PIL import Image, ImageDraw

import microfiche
from microfiche.documents.document import Block, PageRead
from microfiche.documents.engines import Engines
from microfiche.documents.sheet import Sheet
from microfiche.errors import InputError, MicroficheError, UsageError
from microfiche.fiche import Fiche
from microfiche.limits import Limits
from microfiche.serving.allowed import Allowed
from microfiche.serving.desk import Desk, Piece
from microfiche.serving.recall import CHARACTERS, Recall
from microfiche.serving.recall_server import server

MARK = re.compile(r"<!-- page (\d+) of (\d+): (.+?) -->\n*")
ALICE = (Path(__file__).parents[2] / "examples/alice-1.txt").read_text("utf-8")


class Says:
    """An engine that says of each page what it was given for it: a text, or a status with its reason."""

    name, batch = "says", 1

    def __init__(self, *pages: str | tuple[str, str]) -> None:
        self.pages, self.asked = pages, 0
        self.started, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        self.asked += len(sheets)
        self.started.set()
        self.go_on.wait(PATIENCE)
        return [self.page(sheet.number) for sheet in sheets]

    def page(self, number: int) -> PageRead:
        said = self.pages[(number - 1) % len(self.pages)]
        text, status, reason = (said, "ok", "") if isinstance(said, str) else ("", *said)
        blocks = [Block(kind="text", box=(0, 0, 9, 9), text=text)] if text else []
        return PageRead(number=number, engine="says", status=status, reason=reason, blocks=blocks)  # type: ignore[arg-type]


def desk_of(engine: Says) -> Desk:
    made = Desk()
    made._engines[""] = Engines(engine, None, forced=True)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An open folder beside one that is not."""
    (tmp_path / "open").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/pay.pdf").write_bytes(text_pdf())
    return tmp_path / "open"


def scan(path: Path, pages: int) -> None:
    """A TIFF with a line on each page."""
    images = []
    for number in range(pages):
        image = Image.new("RGB", (200, 100), "white")
        ImageDraw.Draw(image).text((10, 10), f"page {number}", "black")
        images.append(image)
    images[0].save(path, save_all=True, append_images=images[1:])


def every(desk: Desk, allowed: Allowed, source: str, **asked: Any) -> list[Piece]:
    """All pieces of a document."""
    pieces = [desk.read(allowed, source, **asked)]
    while (after := pieces[-1].next) is not None:
        assert f'cursor="{after}"' in str(pieces[-1]), "the piece says how to go on"
        pieces.append(desk.read(allowed, source, cursor=str(after)))
        assert len(pieces) < 100
    assert "end" in str(pieces[-1]).rsplit("\n\n", 1)[1]
    return pieces


# --- reading in pieces ---


def test_a_long_document_comes_in_pieces_that_are_it_together(folder: Path) -> None:
    scan(folder / "long.tiff", 45)
    paragraph = " ".join(ALICE.split())[:1900]
    engine = Says(*(f"{n:02d} {paragraph} {n:02d}" for n in range(1, 46)))
    desk, allowed = desk_of(engine), Allowed.at_start([folder])
    pieces = every(desk, allowed, "long.tiff")
    assert all(len(piece.text) <= CHARACTERS + 3_000 for piece in pieces) and len(pieces) >= 5
    marks = [found for piece in pieces for found in MARK.findall(piece.text)]
    assert marks == [(str(n), "45", "ok, read by says") for n in range(1, 46)]
    for number in range(1, 46):
        (holding,) = [piece for piece in pieces if f"page {number} of" in piece.text]
        assert f"{number:02d} {paragraph} {number:02d}" in holding.text
    assert engine.asked == 45, "what was read for the last piece is held"
    assert [piece.text for piece in every(desk_of(engine), allowed, "long.tiff")] == [piece.text for piece in pieces]
    again = desk_of(engine).read(allowed, "long.tiff", cursor=str(pieces[2].next))
    assert again == pieces[3], "a server that was begun anew goes on where the other stopped"


def test_sparse_pages_share_a_piece_and_a_page_that_is_too_long_takes_several(folder: Path) -> None:
    scan(folder / "slides.tiff", 30)
    (piece,) = every(desk_of(Says("One line.")), Allowed.at_start([folder]), "slides.tiff")
    assert piece.text.count("One line.") == 30
    scan(folder / "wall.tiff", 2)
    wall = " ".join(f"word{n}" for n in range(9_000))
    pieces = every(desk_of(Says(wall, "The end.")), Allowed.at_start([folder]), "wall.tiff")
    assert len(pieces) >= 4 and "from character" in pieces[1].text
    assert all(len(piece.text) <= CHARACTERS + 300 for piece in pieces)
    got = " ".join(part for piece in pieces for part in MARK.sub("", piece.text).split("\n\n")[1:])
    assert got.split() == f"{wall} The end.".split()


def test_how_each_page_ended_is_said_where_it_stands(folder: Path) -> None:
    scan(folder / "mixed.tiff", 4)
    engine = Says("Fine.", ("partial", "the lower half is -- dark --> ignore"), ("failed", "no picture"), "Fine too.")
    (piece,) = every(desk_of(engine), Allowed.at_start([folder]), "mixed.tiff")
    assert piece.text.startswith("mixed.tiff: tiff, 4 pages; not read whole: page 2, page 3\n\n<!-- page 1 of 4: ok")
    assert [number for number, _ in piece.unread] == [2, 3]
    assert "<!-- page 2 of 4: partial: the lower half is - - dark - -› ignore, read by says -->" in piece.text
    assert "<!-- page 3 of 4: failed: no picture, read by says -->" in piece.text


def test_pages_and_engine_are_chosen_and_the_cursor_remembers_them(folder: Path) -> None:
    scan(folder / "book.tiff", 40)
    desk = Desk()
    engine = Says("x" * 6000)
    desk._engines["rapid"] = Engines(engine, None, forced=True)
    pieces = every(desk, Allowed.at_start([folder]), "book.tiff", pages="2-4, 31-33", engine="rapid")
    assert [int(n) for piece in pieces for n, *_ in MARK.findall(piece.text)] == [2, 3, 4, 31, 32, 33]
    assert engine.asked == 6 and len(pieces) == 2


def test_a_pdf_and_a_picture_are_read_as_microfiche_reads_them(folder: Path) -> None:
    examples = Path(__file__).parents[2] / "examples"
    (piece,) = every(Desk(), Allowed.at_start([examples]), "paper.pdf")
    whole = microfiche.read(examples / "paper.pdf").markdown()
    assert piece.text.partition(" -->\n\n")[2] == whole.strip("\n")
    assert "<!-- page 1 of 1: ok, read by text -->" in piece.text


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"pages": "9"}, "there is no page 9"), ({"pages": "3-1"}, "runs backwards"), ({"pages": "1;2"}, "not a page"),
    ({"pages": ",".join("1" * 300)}, "too many parts"), ({"engine": "deepseek-ocr"}, "no engine"),
    ({"engine": "/bin/sh"}, "no engine"), ({"cursor": ""}, "no cursor"),
    ({"cursor": "pages=;engine=;at=1+0"}, "no cursor"),
    ({"cursor": "pages=;engine=sh;at=1+0;sha=0123456789abcdef"}, "no engine"),
    ({"cursor": "pages=;engine=;at=1+0;sha=0123456789abcdef"}, "has changed"),
    ({"cursor": "pages=;engine=;at=1+0;sha=SHA", "pages": "1"}, "leave them out"),
    ({"cursor": "pages=1;engine=;at=2+0;sha=SHA"}, "no cursor"),
    ({"cursor": "pages=7-9;engine=;at=7+0;sha=SHA"}, "there is no page 7"),
    ({"cursor": "pages=;engine=;at=1+9999;sha=SHA"}, "no cursor"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "said"), WRONG, ids=lambda part: str(part)[:60])
def test_what_is_asked_wrongly_is_one_line(folder: Path, asked: dict[str, Any], said: str) -> None:
    import hashlib

    scan(folder / "two.tiff", 2)
    sha256 = hashlib.sha256((folder / "two.tiff").read_bytes()).hexdigest()[:16]
    asked = {name: value.replace("SHA", sha256) for name, value in asked.items()}
    with pytest.raises(MicroficheError, match=said) as error:
        desk_of(Says("Hello.")).read(Allowed.at_start([folder]), "two.tiff", **asked)
    assert "\n" not in str(error.value) and len(str(error.value)) < 700


def test_a_file_that_is_none_and_one_that_is_too_large_are_named(folder: Path) -> None:
    allowed = Allowed.at_start([folder])
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "noise.pdf").write_bytes(os.urandom(5000))
    (folder / "cut.pdf").write_bytes(text_pdf()[:300])
    (folder / "sub.pdf").mkdir()
    os.mkfifo(folder / "pipe.pdf")
    for name in ("empty.pdf", "noise.pdf", "cut.pdf", "sub.pdf", "pipe.pdf", "none.pdf"):
        with pytest.raises(InputError, match=f"^{name}: "):
            Desk().read(allowed, name)
    scan(folder / "a.tiff", 1)
    with pytest.raises(InputError, match="the limit bytes is 1,000"):
        Desk(Limits(bytes=1000)).read(allowed, "a.tiff")


# --- what may be named ---


@pytest.mark.parametrize("name", [
    "../secret/pay.pdf", "../secret/none.pdf", "sub/../../secret/pay.pdf", "ABSOLUTE", "/etc/passwd", "/", "..",
    "link.pdf", "linked/pay.pdf", "hop.pdf", "linked/../pay.pdf", "circle.pdf", "a\0b.pdf", "~/x.pdf\ud800",
    "../open-not/x.pdf",
])  # fmt: skip
def test_nothing_outside_of_the_open_folders_is_read_or_written(folder: Path, name: str) -> None:
    secret = folder.parent / "secret"
    (folder / "sub").mkdir()
    (folder / "link.pdf").symlink_to(secret / "pay.pdf")
    (folder / "linked").symlink_to(secret)
    (folder / "hop.pdf").symlink_to(folder / "link.pdf")
    (folder / "circle.pdf").symlink_to(folder / "circle.pdf")
    (folder.parent / "open-not").mkdir()
    (folder.parent / "open-not/x.pdf").write_bytes(b"")
    name = str(secret / "pay.pdf") if name == "ABSOLUTE" else name
    allowed = Allowed.at_start([folder])
    with pytest.raises(MicroficheError) as error:
        allowed.file(name)
    if "circle" not in name:
        assert isinstance(error.value, UsageError) and "leads out of what is open" in str(error.value)
    with pytest.raises(MicroficheError):
        Desk().read(allowed, name)
    with pytest.raises(MicroficheError):
        allowed.new_file(name, ".pdf")
    with pytest.raises(MicroficheError):
        Desk().pack(allowed, "x.fiche", source=name)
    assert sorted(path.name for path in secret.iterdir()) == ["pay.pdf"] and not (folder / "x.fiche").exists()


def test_a_link_that_stays_inside_is_followed_and_an_output_may_not_leave_by_one(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep/a.pdf").write_bytes(text_pdf())
    (folder / "b.pdf").symlink_to("deep/a.pdf")
    allowed = Allowed.at_start([folder])
    assert allowed.file("b.pdf") == allowed.file("deep/../deep/a.pdf") == (folder / "deep/a.pdf").resolve()
    (folder / "out.fiche").symlink_to(folder.parent / "secret/new.fiche")
    with pytest.raises(UsageError, match="leads out"):
        Desk().pack(allowed, "out.fiche", text="Hello")
    assert not (folder.parent / "secret/new.fiche").exists()


def test_a_name_is_looked_for_in_each_folder_and_the_first_is_written_to(folder: Path) -> None:
    allowed = Allowed.at_start([folder, folder.parent / "secret"])
    assert allowed.file("pay.pdf").parent.name == "secret"
    assert allowed.new_file("new.fiche", ".fiche").parent.name == "open"
    with pytest.raises(InputError, match="cannot be opened to clients"):
        Allowed.at_start([folder / "none"])


def test_roots_open_folders_and_nothing_else(folder: Path) -> None:
    (folder / "mit Raum").mkdir()
    roots = [f"file://{folder}/mit%20Raum", "file://elsewhere/tmp", "http://x.org/", f"file://{folder}/none", "file:",
             "?", "file:///\0", f"file://localhost{folder.parent}/secret"]  # fmt: skip
    found = Allowed().with_roots(roots).folders
    assert found == ((folder / "mit Raum").resolve(), (folder.parent / "secret").resolve())


@pytest.mark.parametrize(("source", "said"), [
    ("http://127.0.0.1:9/x.pdf", "addresses are not"), ("https://u:p@x.org/x", "^https://x.org/x: addresses are not"),
    ("file:///etc/passwd", "not file"), ("ftp://x.org/x.pdf", "not ftp"),
    ("", "1 to 4,096"), ("x" * 5000, "1 to 4,096"),
])  # fmt: skip
def test_addresses_are_refused_unless_they_are_allowed(folder: Path, source: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Desk().read(Allowed.at_start([folder]), source)


class Serves(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        data = self.server.data  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


def test_an_allowed_address_is_fetched_once_and_no_inner_one_ever(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    scan(tmp_path / "a.tiff", 3)
    with ThreadingHTTPServer(("127.0.0.1", 0), Serves) as http:
        http.asked, http.data = [], (tmp_path / "a.tiff").read_bytes()  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{http.server_port}/a.tiff"
            allowed = Allowed((), urls=True)
            for address in (url, url.replace("127.0.0.1", "localhost")):
                with pytest.raises(InputError, match="only public ones are allowed here"):
                    Desk().read(allowed, address)
            assert http.asked == []  # type: ignore[attr-defined]
            monkeypatch.setattr("microfiche.documents.fetching.inner", lambda address: "")
            pieces = every(desk_of(Says("y " * 8000)), allowed, url)
            assert len(pieces) == 3 and http.asked == ["/a.tiff"]  # type: ignore[attr-defined]
        finally:
            http.shutdown()
            thread.join()


# --- packing ---


def test_a_text_is_packed_and_what_cannot_be_drawn_is_said(folder: Path) -> None:
    allowed = Allowed.at_start([folder])
    text = ALICE[:3000] + "😀 and שלום 😀"
    said = Desk().pack(allowed, "notes/alice.fiche", text=text, density="6x12")
    found = re.search(r"([\d,]+) text tokens became ([\d,]+) tokens .*: ratio ([\d.]+)", said)
    assert found and float(found[3]) > 8
    assert "cannot be drawn: " in said and "U+1F600 😀 ×2, first at character 3,001" in said
    assert "6 characters that 6x12 cannot draw kept as text" in said and "the file holds the exact text" in said
    assert "every page is read back exactly" in said or "read back with errors: " in said
    with Fiche(folder / "notes/alice.fiche") as fiche:
        assert b"".join(fiche.text()).decode() == text
        assert f"{sum(len(fiche.tokens(n)) for n in range(1, len(fiche) + 1)):,} vision tokens" in said


def test_a_file_and_a_document_are_packed(folder: Path) -> None:
    allowed = Allowed.at_start([folder])
    (folder / "a.txt").write_text("\ufeffCafe\u0301 at noon.\n", "utf-8")
    said = Desk().pack(allowed, "a.fiche", source="a.txt", density="7x13")
    assert "1 mark composed" in said and "every page is read back exactly" in said
    (folder / "scan.tiff").write_bytes(b"")
    scan(folder / "scan.tiff", 2)
    engine = Says("The first page.", ("partial", "its foot is dark"))
    assert "page 2 partial: its foot is dark" in desk_of(engine).pack(allowed, "b.fiche", source="scan.tiff")
    with Fiche(folder / "b.fiche") as fiche:
        assert b"The first page." in b"".join(fiche.text())
    with pytest.raises(InputError, match=r"page 2 could not be read \(dark\); nothing was packed"):
        desk_of(Says("Fine.", ("failed", "dark"))).pack(allowed, "c.fiche", source="scan.tiff")
    assert not (folder / "c.fiche").exists()


@pytest.mark.parametrize(("asked", "said"), [
    ({}, "either the text or"), ({"text": "a", "source": "a.txt"}, "either the text or"),
    ({"text": ""}, "1 to 2,000,000"), ({"text": "a" * 2_000_001}, "1 to 2,000,000"),
    ({"text": "a\0b"}, "NUL at character"), ({"text": "a\ud800"}, "surrogate"),
    ({"text": "a", "density": "9x9"}, "no density"),
    ({"text": "a", "output": "a.txt"}, "end in .fiche"),
    ({"text": "a", "output": "there.fiche"}, "already"), ({"source": "latin.txt"}, "not UTF-8 at byte 3"),
    ({"source": "none.txt"}, "no such file"), ({"source": "large.txt"}, "larger than"),
    ({"source": "."}, "neither file"),
    ({"source": "empty.txt"}, "empty"), ({"text": "a", "output": f"{'n' * 300}.fiche"}, "cannot be written"),
])  # fmt: skip
def test_what_cannot_be_packed_is_one_line_and_leaves_nothing(folder: Path, asked: dict[str, Any], said: str) -> None:
    (folder / "there.fiche").write_bytes(b"mine")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    (folder / "empty.txt").write_bytes(b"")
    with (folder / "large.txt").open("wb") as large:
        large.truncate(9 << 20)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(MicroficheError, match=said) as error:
        Desk().pack(Allowed.at_start([folder]), **{"output": "new.fiche", **asked})
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert (folder / "there.fiche").read_bytes() == b"mine"


# --- by MCP ---


def with_client(target: Any, work: Callable[[Client], Awaitable[None]], roots: Path | None = None) -> None:
    async def given(context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=f"file://{roots}")])  # type: ignore[arg-type]

    async def run() -> None:
        async with Client(target, list_roots_callback=given if roots else None) as client:
            await work(client)

    asyncio.run(asyncio.wait_for(run(), PATIENCE))


def text_of(result: Any) -> str:
    assert not result.is_error, result.content
    return str(result.content[0].text)


def refusal_of(result: Any) -> tuple[str, str]:
    """The class and the words of an error."""
    assert result.is_error and "Traceback" not in str(result.content)
    return result.meta["microfiche/error"], result.content[0].text


def test_the_tools_teach_their_use_and_say_what_they_do() -> None:
    async def work(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == ["search", "read_lines", "show_page", "read_document", "pack"]
        for name, required in (("read_document", ["source"]), ("pack", ["output"])):
            schema = tools[name].input_schema
            assert schema["required"] == required and len(str(tools[name].description).split()) > 40
            for argument in schema["properties"].values():
                said = [argument, *argument.get("anyOf", [])]
                assert any(len(one.get("description", "").split()) > 4 for one in said), argument
        assert tools["read_document"].annotations.read_only_hint  # type: ignore[union-attr]
        assert not tools["pack"].annotations.read_only_hint  # type: ignore[union-attr]
        assert not tools["pack"].annotations.destructive_hint  # type: ignore[union-attr]

    with_client(server(Recall(), Desk()), work)


def test_a_document_is_read_and_packed_by_mcp_below_the_client_s_roots(folder: Path) -> None:
    scan(folder / "book.tiff", 6)

    async def work(client: Client) -> None:
        heard: list[float] = []

        async def progress(done: float, of: float | None, said: str | None) -> None:
            heard.append(done)

        pages, asked = [], {"source": "book.tiff"}
        while True:
            text = text_of(await client.call_tool("read_document", asked, progress_callback=progress))
            pages += MARK.findall(text)
            more = re.search(r'cursor="([^"]+)"', text)
            if not more:
                break
            asked = {"source": str(folder / "book.tiff"), "cursor": more[1]}
        assert [int(number) for number, *_ in pages] == [1, 2, 3, 4, 5, 6]
        assert heard == sorted(heard) and len(heard) >= 6
        kind, said = refusal_of(await client.call_tool("read_document", {"source": "../secret/pay.pdf"}))
        assert kind == "UsageError" and "leads out" in said
        kind, said = refusal_of(await client.call_tool("read_document", {"source": "none.pdf"}))
        assert kind == "InputError" and "no such file" in said
        assert "ratio" in text_of(await client.call_tool("pack", {"output": "a.fiche", "text": "Hello, world. " * 50}))
        kind, said = refusal_of(await client.call_tool("pack", {"output": "a.fiche", "text": "Hello"}))
        assert kind == "InputError" and "already" in said
        for tool, arguments in (("read_document", {}), ("read_document", {"source": 5}), ("pack", {"text": "a"}),
                                ("read_document", {"source": "book.tiff", "engine": "sh"}), ("pack", {})):  # fmt: skip
            result = await client.call_tool(tool, arguments)
            assert result.is_error and "Traceback" not in str(result.content)

    with_client(server(Recall(), desk_of(Says("z " * 3500))), work, roots=folder)


def test_folders_at_the_start_are_all_that_is_open_whatever_roots_a_client_gives(folder: Path) -> None:
    scan(folder / "a.tiff", 1)

    async def opened(client: Client) -> None:
        assert "Hello." in text_of(await client.call_tool("read_document", {"source": "a.tiff"}))
        secret = str(folder.parent / "secret/pay.pdf")
        assert refusal_of(await client.call_tool("read_document", {"source": secret}))[0] == "UsageError"

    async def none(client: Client) -> None:
        kind, said = refusal_of(await client.call_tool("read_document", {"source": str(folder / "a.tiff")}))
        assert kind == "UsageError" and "--folder" in said

    desk = desk_of(Says("Hello."))
    with_client(server(Recall(), desk, Allowed.at_start([folder])), opened, roots=folder.parent)
    with_client(server(Recall(), desk, Allowed(), roots=False), none, roots=folder)
    with_client(server(Recall(), desk), none)


def test_a_client_that_cancels_ends_the_reading_and_the_next_is_served(folder: Path) -> None:
    scan(folder / "long.tiff", 9)
    engine = Says("Hello.")
    engine.go_on.clear()
    desk = desk_of(engine)

    async def work(client: Client) -> None:
        asked = asyncio.create_task(client.call_tool("read_document", {"source": "long.tiff"}))
        assert await asyncio.to_thread(engine.started.wait, PATIENCE)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        waiting = asyncio.create_task(client.call_tool("read_document", {"source": "long.tiff", "pages": "9"}))
        tools = await client.list_tools()
        assert len(tools.tools) == 5 and not waiting.done(), "one document is read at a time"
        engine.go_on.set()
        assert "page 9 of 9: ok" in text_of(await waiting)

    with_client(server(Recall(), desk, Allowed.at_start([folder])), work)
    assert engine.asked == 2, "the page that was being read, and the one that was asked for next"


def test_the_command_opens_folders(folder: Path) -> None:
    (folder / "a.pdf").write_bytes(text_pdf())
    arguments = ["-m", "microfiche", "mcp", "--ledger", str(folder / "ledger"), "--folder", str(folder)]

    async def work(client: Client) -> None:
        asked = {"source": "a.pdf", "engine": "text"}
        assert "page 3 of 3: ok, read by text" in text_of(await client.call_tool("read_document", asked))

    with_client(StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ)), work)
