"""A server that stands in for `microfiche serve`: the routes that the page asks, answered with what a test puts there.

It serves the page's own files with the same policy as the server, notes every request, and can be made to wait, to
refuse and to ask for a token.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from PIL import Image, ImageDraw

POLICY = "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
KINDS = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml",
         "txt": "text/plain; charset=utf-8", "pdf": "application/pdf"}  # fmt: skip
SIZE = (600, 800)
PATIENCE = 600.0  #: seconds that a test waits for what comes at once unless the machine is busy


def block(kind: str, box: list[int] | None, text: str, confidence: float | None = 1.0, **more: Any) -> dict[str, Any]:
    """A block of a page as it stands in NAME.json."""
    return {"kind": kind, "box": box, "text": text, "confidence": confidence, "size": None, "level": None,
            "figure": None, "engine": None, **more}  # fmt: skip


def page(number: int, blocks: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A page of a document."""
    return {"number": number, "width": SIZE[0], "height": SIZE[1], "engine": "rapid", "chosen": "a scan",
            "language": "en", "status": "ok", "reason": "", "blocks": blocks, **more}  # fmt: skip


def picture(width: int = SIZE[0], height: int = SIZE[1]) -> bytes:
    """A PNG of a page with grey lines."""
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    for top in range(40, height - 40, 24):
        draw.rectangle((40, top, width - 40, top + 8), fill=150)
    kept = io.BytesIO()
    image.save(kept, "PNG")
    return kept.getvalue()


def letter() -> list[dict[str, Any]]:
    """Two pages: a title, a paragraph, an unsure line, a list, a table and a figure; and one that was read in part."""
    first = [
        block("title", [60, 40, 540, 90], "A *short* letter", level=1),
        block("text", [60, 110, 540, 200], "It was the **best** of times,\nit was the worst.", 0.97),
        block("text", [60, 220, 540, 260], "Tne smudged line", 0.55),
        block("list", [60, 280, 540, 360], "- first\n- second\n  - within", 0.99),
        block("table", [60, 380, 540, 480], "| Year | Pages |\n| --- | --- |\n| 1928 | 800 |", 0.9),
        block("figure", [60, 500, 300, 700], "", None, figure="letter/figures/page-0001-1.png"),
        block("footer", [60, 760, 540, 780], "1"),
    ]
    return [page(1, first), page(2, [block("text", [60, 40, 540, 300], "The second page.")], status="partial",
                                 reason="its lower half is black")]  # fmt: skip


def typeset(text: str, density: str) -> dict[str, Any]:
    """What /v1/typeset answers: 40 characters are a token, 10 tokens a row; one character is misread."""
    words = " ".join(text.split())
    squares = [words[n : n + 40] for n in range(0, len(words), 40)][:100]
    places = [[n // 10, n % 10] for n in range(len(squares))]
    errors = [[3, 4, words[3]]] if len(words) > 4 and words[3] != "#" else []
    read = words[:3] + "#" + words[4:] if errors else words
    tall = max(1, -(-len(squares) // 10)) * 64
    png = "data:image/png;base64," + base64.b64encode(picture(640, tall)).decode()
    one = {"number": 1, "width": 640, "height": tall, "png": png, "square": 64, "origin": [0, 0], "places": places,
           "squares": squares, "text": words, "read": read, "errors": errors, "characters": len(words),
           "text_tokens": max(1, len(words) // 4), "vision_tokens": len(squares),
           "ratio": max(1, len(words) // 4) / len(squares), "precision": 1 - len(errors) / len(words)}  # fmt: skip
    return {**{key: one[key] for key in ("text_tokens", "vision_tokens", "ratio", "characters", "precision")},
            "density": density, "errors": len(errors), "pages_in_all": 1, "undrawn": [], "pages": [one]}  # fmt: skip


@dataclass
class StandIn:
    """What the server holds, for tests to change, and what was asked of it."""

    url: str = ""
    token: str = ""
    document: list[dict[str, Any]] = field(default_factory=letter)
    notes: list[str] = field(default_factory=list)
    unsure: dict[str, Any] = field(default_factory=dict)  #: lines, by the number of their page
    opened: dict[str, Any] = field(default_factory=dict)
    memories: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=lambda: {
        "version": "0", "token_needed": False, "engines": ["rapid", "nano"],
        "limits": {"upload_bytes": 5_000_000, "pages": 50}, "memories": [], "default_density": "5x8",
        "densities": [{"name": "7x13", "width": 7, "height": 13}, {"name": "5x8", "width": 5, "height": 8},
                      {"name": "4x6", "width": 4, "height": 6}]})  # fmt: skip
    refusals: list[tuple[str, int, str, dict[str, str]]] = field(
        default_factory=list
    )  #: path, status, message, headers
    failure: str = ""  #: with what a job fails, after its pages
    go_on: threading.Event = field(default_factory=threading.Event)  #: a job gives one page, then waits for this
    asked: list[tuple[str, str]] = field(default_factory=list)  #: method and path of each request
    jobs: list[dict[str, Any]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    cut: int = 0  #: how many streams break off after the first page

    def __post_init__(self) -> None:
        self.go_on.set()

    def waits(self, true: Callable[[], object]) -> None:
        """Waits until what was asked makes a condition true: the page goes on before its requests have come here."""
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, (self.asked, self.gone)
            time.sleep(0.01)

    def job(self, status: str, done: int) -> dict[str, Any]:
        """The state of the job that was sent last."""
        last = self.jobs[-1]
        return {"id": last["id"], "do": last["do"], "name": last["name"], "status": status, "position": 0,
                "pages_done": done, "pages": len(self.document), "seconds_left": 2.0 * (len(self.document) - done),
                "error": {"message": self.failure, "type": "input_error", "code": None} if self.failure else None,
        }  # fmt: skip

    def whole(self) -> dict[str, Any]:
        """The document of the job that was sent last."""
        if self.jobs[-1]["do"] == "open":
            return self.opened
        words = "\n\n".join(one["text"] for page in self.document for one in page["blocks"])
        return {"name": self.jobs[-1]["name"], "sha256": "0" * 64, "settings": {}, "notes": self.notes,
                "pages": self.document, "markdown": words + "\n", "unsure": self.unsure}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Answers one connection for the StandIn of its server."""

    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def answer(self, body: bytes | dict[str, Any] | list[Any], kind: str = "application/json", status: int = 200,
               headers: dict[str, str] | None = None) -> None:  # fmt: skip
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(data)), "cache-control": "no-store",
                            "x-content-type-options": "nosniff", "content-security-policy": POLICY,
                            **(headers or {})}.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        error = {"message": message, "type": "error", "code": None}
        self.answer({"error": error}, status=status, headers=headers)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the browser left

    def do_GET(self) -> None:
        self.route("GET", b"")

    def do_DELETE(self) -> None:
        self.route("DELETE", b"")

    def do_POST(self) -> None:
        self.route("POST", self.rfile.read(int(self.headers.get("content-length", 0))))

    def route(self, method: str, body: bytes) -> None:
        its = self.stand_in
        address = urlsplit(self.path)
        parts = [unquote(part) for part in address.path.split("/")[1:]]
        its.asked.append((method, self.path))
        if address.path == "/" or parts[0] == "page":
            return self.static(parts[1] if parts[0] == "page" else "index.html")
        if its.token and address.path != "/v1/about" and self.headers.get("authorization") != f"Bearer {its.token}":
            return self.refuse(401, "a token is needed")
        for refusal in its.refusals:
            if address.path.startswith(refusal[0]):
                its.refusals.remove(refusal)
                return self.refuse(*refusal[1:])
        match method, parts[1:]:
            case "GET", ["about"]:
                self.answer(its.about)
            case "POST", ["typeset"]:
                self.typeset(json.loads(body))
            case "POST", ["jobs"]:
                self.take(body)
            case "DELETE", ["jobs", job]:
                its.gone.append(job)
                self.answer({"id": job, "status": "cancelled"})
            case "GET", ["jobs", _]:
                self.answer(its.job("running", 1))
            case "GET", ["jobs", _, "events"]:
                self.stream()
            case "GET", ["jobs", _, "fiche"]:
                self.answer(b"PK", "application/zip")
            case "GET", ["jobs", _, "document"]:
                self.answer(self.document())
            case "GET", ["jobs", job, "pages", number]:
                self.answer(self.picture(job, int(number)), "image/png")
            case "GET", ["jobs", job, "figures", name]:
                self.answer(self.figure(job, name), "image/png")
            case "GET", ["memories", *rest]:
                self.memory(rest, parse_qs(address.query))
            case _:
                self.refuse(404, "there is nothing here")

    def document(self) -> dict[str, Any]:
        return self.stand_in.whole()

    def picture(self, job: str, number: int) -> bytes:
        return picture()

    def figure(self, job: str, name: str) -> bytes:
        return picture(240, 200)

    def typeset(self, given: dict[str, Any]) -> None:
        self.answer(typeset(given["text"], given["density"]))

    def static(self, name: str) -> None:
        file = files("microfiche.serving") / "page" / name
        if not file.is_file():
            return self.refuse(404, "there is nothing here")
        self.answer(file.read_bytes(), KINDS[name.rpartition(".")[2]])

    def take(self, body: bytes) -> None:
        """Notes the parts of a form as a job."""
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        job: dict[str, Any] = {"id": f"job-{len(self.stand_in.jobs) + 1}"}
        for part in message_from_bytes(head + body, policy=HTTP).iter_parts():  # type: ignore[attr-defined]
            name = part.get_param("name", header="content-disposition")
            if name == "file":
                job |= {"name": part.get_filename(), "bytes": part.get_payload(decode=True)}
            else:
                job[name] = part.get_payload(decode=True).decode()
        self.stand_in.jobs.append(job)
        self.answer({"id": job["id"], "status": "queued"}, status=202, headers={"location": f"/v1/jobs/{job['id']}"})

    def stream(self) -> None:
        """The events of a job: its pages, each after the progress, and the end."""
        its = self.stand_in
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        pages = its.document if its.jobs[-1]["do"] == "read" else []
        for done, one in enumerate(pages):
            self.event("progress", its.job("running", done))
            unsure = its.unsure.get(str(one["number"]))
            self.event("page", {"page": one["number"], "markdown": "", **one, "unsure": unsure})
            if its.cut:
                its.cut -= 1
                return
            self.event("progress", its.job("running", done + 1))
            its.go_on.wait(PATIENCE)
        self.event("end", its.job("failed" if its.failure else "done", len(pages)))

    def event(self, kind: str, value: dict[str, Any]) -> None:
        self.wfile.write(f"event: {kind}\r\ndata: {json.dumps(value)}\r\n\r\n".encode())
        self.wfile.flush()

    def memory(self, rest: list[str], query: dict[str, list[str]]) -> None:
        """A memory's contents: its listing, a page's picture and text, what a search finds."""
        memories = self.stand_in.memories
        match rest:
            case []:
                said = [{"name": name, "pages": 2, "sources": len(one["sources"])} for name, one in memories.items()]
                self.answer({"memories": said})
            case [name]:
                self.answer({"name": name, "sources": memories[name]["sources"]})
            case [_, "pages", _]:
                self.answer(picture(), "image/png")
            case [name, "pages", key, "text"]:
                self.answer({"text": memories[name]["texts"][key]})
            case [name, "search"]:
                wanted = query["q"][0]
                found = [key for key, text in memories[name]["texts"].items() if wanted in text]
                first = memories[name]["sources"][0]["source"]
                hits = [{"source": first, "key": key, "page": 1, "line": 2, "text": wanted} for key in found]
                self.answer({"hits": hits})
            case _:
                self.refuse(404, "there is nothing here")


@contextmanager
def standing_in(stand_in: StandIn, handler: type[Handler] = Handler, port: int = 0) -> Iterator[StandIn]:
    """Serves a StandIn on a port of this machine until the block ends."""
    made = type("Its", (handler,), {"stand_in": stand_in})
    server = ThreadingHTTPServer(("127.0.0.1", port), made)
    server.daemon_threads = True
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
