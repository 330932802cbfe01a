"""A server as users start it, on a port of this machine; who reads its scans is a stand-in that can be held."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from PIL import Image, ImageDraw
from reportlab.pdfgen.canvas import Canvas

from microfiche.proxy.server import bound, served
from microfiche.serving.application import application
from microfiche.serving.settings import LIMITS, Scans, ServeSettings

SAID = "<|ref|>title<|/ref|><|det|>[[100, 100, 500, 150]]<|/det|>\n# Read elsewhere\n\n"
TOKENS = 273
PATIENCE = 600.0  #: seconds that a test waits for what comes at once unless the machine is busy


@dataclass
class Model:
    """A published model on a server that is not there: it says SAID of every page, once its gate is open."""

    url: str = ""
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, Any]] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int) -> None:
        """Waits until it was asked so many times."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.asked) >= count, PATIENCE)


@pytest.fixture(scope="session")
def _model() -> Iterator[Model]:
    made = Model()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            self._say({"data": [{"id": "deepseek-ai/DeepSeek-OCR", "owned_by": "vllm"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with made.came:
                made.asked.append(body)
                made.came.notify_all()
            made.gate.wait(PATIENCE)
            self._say({"choices": [{"message": {"content": SAID}, "finish_reason": "stop"}],
                       "usage": {"prompt_tokens": TOKENS}})

        def _say(self, found: dict[str, Any]) -> None:
            data = json.dumps(found).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                pass  # who asked was killed

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def model(_model: Model) -> Iterator[Model]:
    """The model, whose gate is open until a test closes it."""
    _model.gate.set()
    with _model.came:
        _model.asked.clear()
    yield _model
    _model.gate.set()


@dataclass
class Door:
    """A server: its address, a client without a token, the application's state, and what it said on stderr."""

    url: str
    client: httpx.Client
    app: Any
    said: list[str]
    folder: Path

    @property
    def server(self) -> Any:
        return self.app.app.state.server

    def job(self, job_id: str, ends: bool = True) -> dict[str, Any]:
        """The state of a job, once it has ended, by its events."""
        if not ends:
            return dict(self.client.get(f"/v1/jobs/{job_id}").json())
        with self.client.stream("GET", f"/v1/jobs/{job_id}/events") as events:
            last = ""
            for line in events.iter_lines():
                last = line if line.startswith("data: ") else last
        return dict(json.loads(last.removeprefix("data: ")))

    def begun(self, data: bytes, name: str = "a.pdf", **fields: str) -> str:
        """Begins a job and returns its id."""
        answer = self.client.post("/v1/jobs", files={"file": (name, data)}, data=fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def until_ready(self) -> None:
        """Waits until a process is ready to read."""
        end = time.monotonic() + PATIENCE
        while self.client.get("/ready").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.01)

    def left(self) -> set[str]:
        """What lies in the folder of the server's jobs."""
        return {path.name for path in self.server.folder.iterdir()}

    def empties(self) -> bool:
        """Waits until nothing lies there any more, which is soon after a client has left."""
        end = time.monotonic() + PATIENCE
        while self.left():
            assert time.monotonic() < end, self.left()
            time.sleep(0.01)
        return True


@contextmanager
def door(folder: Path, **settings: Any) -> Iterator[Door]:
    """A server by these settings."""
    chosen = replace(ServeSettings(jobs=1, port=0, folder=folder, limits=replace(LIMITS, bytes=4 << 20)), **settings)
    chosen = chosen.guarded()
    said: list[str] = []
    app = application(chosen, said.append)
    listening = bound("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with served(app, listening, sockets=True), httpx.Client(base_url=url, timeout=PATIENCE) as client:
        yield Door(url, client, app, said, folder)
    listening.close()


@pytest.fixture(scope="session")
def _served(_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with door(tmp_path_factory.mktemp("serve"), scans=Scans(endpoint=_model.url)) as made:
        yield made


@pytest.fixture
def serve(_served: Door, model: Model) -> Iterator[Door]:
    """A server that most tests share, with one process that reads; scans are read by `model`. What a test that fails
    leaves there is in no other's way."""
    yield _served
    for job in _served.left():
        _served.client.delete(f"/v1/jobs/{job}")


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page."""
    made = io.BytesIO()
    canvas = Canvas(made, (300, 200))
    for text in pages:
        canvas.setFont("Helvetica", 14)
        for number, line in enumerate(text.split("\n")):
            canvas.drawString(30, 150 - 20 * number, line)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def png(text: str = "A scan of a line", size: tuple[int, int] = (300, 100)) -> bytes:
    """A picture with a line of text."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((20, 40), text, fill="black", font_size=20)
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


Post = Callable[..., Any]
