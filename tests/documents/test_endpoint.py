"""The endpoint engine against a real server on this machine that answers as servers do, well and badly."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.documents.engines import EndpointEngine
from microfiche.documents.sheet import Sheet
from microfiche.errors import UsageError

Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


class Listening(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that hangs up is what is tested."""


class Server:
    """Gives `answers` one after another, the last for ever; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.headers: dict[str, str] = {}
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.asked.append(body)
                    outer.keys.append(self.headers["Authorization"])
                    answer = outer.answers[min(len(outer.asked), len(outer.answers)) - 1]
                code, data = answer(body)
                self.send_response(code)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = Listening(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def says(text: object, reason: str = "stop", code: int = 200) -> Answer:
    body = {"choices": [{"message": {"content": text}, "finish_reason": reason}]}
    return lambda asked: (code, json.dumps(body).encode())


def raw(data: bytes, code: int = 200) -> Answer:
    return lambda asked: (code, data)


def red(asked: dict[str, Any]) -> int:
    """Of the first pixel of the page that was sent."""
    url = asked["messages"][0]["content"][0]["image_url"]["url"]
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as page:
        pixel = page.convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return int(pixel[0])


def sheet(number: int = 1) -> Sheet:
    return Sheet(number, Image.new("RGB", (200, 100), (number, 0, 0)))


def test_a_page_is_sent_with_the_official_prompt_and_its_answer_parsed(server: Server) -> None:
    server.answers = [says("<|ref|>text<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>\nHello")]
    (page,) = EndpointEngine(server.url, key="secret").read([sheet()])
    assert (page.status, page.engine) == ("ok", "endpoint")
    assert (page.blocks[0].text, page.blocks[0].box) == ("Hello", (0, 0, 200, 100))
    asked = server.asked[0]
    image, words = asked["messages"][0]["content"]
    assert words["text"] == "<|grounding|>Convert the document to markdown."
    sent = Image.open(io.BytesIO(base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))))
    assert sent.size == (200, 100)
    assert (asked["temperature"], asked["skip_special_tokens"], server.keys[0]) == (0, False, "Bearer secret")


def test_pages_are_asked_for_at_once_and_come_back_in_order(server: Server) -> None:
    answered = {number: threading.Event() for number in range(1, 10)}
    answered[9].set()

    def last_first(asked: dict[str, Any]) -> tuple[int, bytes]:
        assert answered[red(asked) + 1].wait(60)
        answered[red(asked)].set()
        return says(f"page {red(asked)}")(asked)

    server.answers = [last_first]
    pages = EndpointEngine(server.url, batch=8).read([sheet(n) for n in range(1, 9)])
    assert [p.blocks[0].text for p in pages] == [f"page {n}" for n in range(1, 9)]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_passing_fault_is_tried_again(server: Server, code: int) -> None:
    server.answers = [raw(b"busy", code), raw(b"busy", code), says("at last")]
    (page,) = EndpointEngine(server.url, pause=0.01).read([sheet()])
    assert (page.status, page.blocks[0].text, len(server.asked)) == ("ok", "at last", 3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (raw(b"down", 500), "the endpoint answered 500"),
        (raw(b"who are you", 401), "the endpoint answered 401"),
        (raw(b"<!DOCTYPE html><html>Sign in</html>"), "not a chat completion; it begins '<!DOCTYPE html>"),
        (raw(b'{"choices": [{"message": {"cont'), "not a chat completion"),
        (raw(b"[]"), "not a chat completion"),
        (raw(b'{"choices": []}'), "not a chat completion"),
        (raw(b'{"error": "no such model"}'), "not a chat completion"),
        (says(None), "contains no text"),
        (says(["a list"]), "contains no text"),
        (raw(b"x" * (5 << 20)), "longer than"),
    ],
    ids=["500", "401", "HTML", "half JSON", "list", "no choice", "error", "null", "parts", "huge"],
)
def test_a_bad_answer_fails_the_page_with_its_reason(server: Server, answer: Answer, reason: str) -> None:
    server.answers = [answer]
    (page,) = EndpointEngine(server.url, pause=0.01).read([sheet()])
    assert page.status == "failed" and reason in page.reason and "\n" not in page.reason


def test_a_page_and_its_key_are_not_sent_on_to_another_server(server: Server) -> None:
    moved = server.url.replace("/v1", "/elsewhere")
    server.answers, server.headers = [raw(b"", 307)], {"Location": moved}
    (page,) = EndpointEngine(server.url, key="secret", pause=0.01).read([sheet()])
    assert (page.status, len(server.asked)) == ("failed", 1)
    assert page.reason.startswith("the endpoint answered 307")


def test_an_endpoint_that_does_not_answer_in_time(server: Server) -> None:
    given_up = threading.Event()
    server.answers = [lambda asked: (200, b"" if given_up.wait(60) else b"nobody waits so long")]
    (page,) = EndpointEngine(server.url, timeout=0.1, pause=0.01, tries=2).read([sheet()])
    given_up.set()
    assert (page.status, page.reason) == ("failed", "the endpoint did not answer within 0.1 s")


def test_an_endpoint_that_is_not_there() -> None:
    (page,) = EndpointEngine("http://127.0.0.1:9/v1", pause=0.01).read([sheet()])
    assert page.status == "failed" and "cannot be reached" in page.reason


def test_a_truncated_page_is_marked(server: Server) -> None:
    server.answers = [says("The first half of", "length")]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert page.status == "partial" and "truncated" in page.reason and page.blocks[0].text == "The first half of"


def test_a_looping_page_is_cut_and_marked(server: Server) -> None:
    server.answers = [says("A start: " + "And the same sentence again. " * 40, "length")]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert (page.status, page.blocks[0].text) == ("partial", "A start: And the same sentence again.")
    assert page.reason.startswith("looped")


def test_another_models_output_is_kept_as_text(server: Server) -> None:
    server.answers = [says("# A title\n\nSome *Markdown*.")]
    (page,) = EndpointEngine(server.url).read([sheet()])
    found = [(b.kind, b.level, b.text) for b in page.blocks]
    assert found == [("title", 1, "A title"), ("text", None, "Some *Markdown*.")] and page.status == "ok"


def test_tasks_are_the_official_prompts(server: Server) -> None:
    server.answers = [says("x")]
    EndpointEngine(server.url, task="locate: the seal").read([sheet()])
    assert server.asked[0]["messages"][0]["content"][1]["text"] == "Locate <|ref|>the seal<|/ref|> in the image."
    for task in ("sing", "locate:", "locate:<|grounding|>"):
        with pytest.raises(UsageError, match="no task"):
            EndpointEngine(server.url, task=task)
    with pytest.raises(UsageError, match="http"):
        EndpointEngine("file:///etc/passwd")


def test_a_server_that_does_not_know_vllms_keys_is_asked_without_them(server: Server) -> None:
    def strict(asked: dict[str, Any]) -> tuple[int, bytes]:
        known = says("# Words") if "vllm_xargs" not in asked else raw(b'{"error": {"message": "vllm_xargs: no"}}', 400)
        return known(asked)

    server.answers = [strict]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert page.status == "ok" and [("vllm_xargs" in asked) for asked in server.asked] == [True, False]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "no such model: x\\n see /v1"}}', "400 Bad Request: no such model: x see /v1"),
        (b'{"message": "the key secret is wrong"}', "400 Bad Request: the key \u2026 is wrong"),
        (b"<html>" + b"x" * 1000, "400 Bad Request"),
        (b"x" * 1000, "400 Bad Request: " + "x" * 300),
        (b"", "400 Bad Request"),
    ],
)
def test_what_the_server_says_is_wrong_is_shown_in_one_line(server: Server, body: bytes, said: str) -> None:
    server.answers = [raw(body, 400)]
    (page,) = EndpointEngine(server.url, key="secret").read([sheet()])
    assert (page.status, page.reason) == ("failed", f"the endpoint answered {said}")


def test_the_command_asks_the_endpoint_that_is_configured(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    def first_only(asked: dict[str, Any]) -> tuple[int, bytes]:  # pages are asked for at once, in any order
        answer = says("<|ref|>image<|/ref|><|det|>[[100, 100, 500, 500]]<|/det|>") if red(asked) else raw(b"down", 400)
        return answer(asked)

    server.answers = [first_only]
    first, second = (Image.effect_noise((400, 300), spread) for spread in (80, 90))
    first.putpixel((0, 0), 255)
    second.putpixel((0, 0), 0)
    first.save(tmp_path / "x.tif", save_all=True, append_images=[second])
    monkeypatch.setenv("MICROFICHE_ENDPOINT", server.url)
    monkeypatch.setenv("MICROFICHE_ENDPOINT_KEY", "secret")
    command = ["read", str(tmp_path / "x.tif"), "-o", str(tmp_path / "out"), "--task", "describe"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "page 2 failed: the endpoint answered 400" in result.stderr
    assert server.keys == ["Bearer secret"] * 3  # the page that was refused is asked for once more, in plainer words
    assert server.asked[0]["messages"][0]["content"][1]["text"] == "Describe this image in detail."
    text = (tmp_path / "out/x.md").read_text()
    assert text.startswith("![](x/figures/page-0001-1.png)") and "<!-- page 2 failed" in text
    with Image.open(tmp_path / "out/x/figures/page-0001-1.png") as figure:
        assert figure.size == (168, 128)  # 401 of 999 of the page, and 4 px on every side
