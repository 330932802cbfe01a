"""The endpoint engine against a real server on this machine that answers as servers do, well and badly."""

from __future__ import annotations

import base64
import email.utils
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.documents.engines import EndpointEngine
from microfiche.documents.sheet import Sheet, TextLayer
from microfiche.endpoint import Endpoint
from microfiche.errors import SetUpError, UsageError

Answer = Callable[[dict[str, Any]], tuple[int, bytes | Iterator[bytes]]]


class Listening(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that hangs up is what is tested."""


class Server:
    """Gives `answers` one after another, the last for ever; remembers what it was asked. `models` is what it lists."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.headers: dict[str, str] = {}
        self.models: bytes | None = None
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(404 if outer.models is None or self.path != "/v1/models" else 200)
                self.end_headers()
                self.wfile.write(outer.models or b"")

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
                for piece in [data] if isinstance(data, bytes) else data:
                    self.wfile.write(piece)
                    self.wfile.flush()

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


def raw(data: bytes | Iterator[bytes], code: int = 200) -> Answer:
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

    def last_first(asked: dict[str, Any]) -> tuple[int, bytes | Iterator[bytes]]:
        assert answered[red(asked) + 1].wait(600)
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
    server.answers = [lambda asked: (200, b"" if given_up.wait(600) else b"nobody waits so long")]
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
    def strict(asked: dict[str, Any]) -> tuple[int, bytes | Iterator[bytes]]:
        known = says("# Words") if "vllm_xargs" not in asked else raw(b'{"error": {"message": "vllm_xargs: no"}}', 400)
        return known(asked)

    server.answers = [strict]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert page.status == "ok" and [("vllm_xargs" in asked) for asked in server.asked] == [True, False]


@pytest.mark.parametrize(
    ("complaint", "keys", "times"),
    [
        ("vllm_xargs.whitelist_token_ids: Input should be a valid string", {"skip_special_tokens"}, 2),
        ("the server does not allow VLLM xargs", {"skip_special_tokens"}, 2),
        ("skip_special_tokens: Extra inputs are not permitted", {"vllm_xargs"}, 2),
        ("vllm_xargs and skip_special_tokens are not known", set(), 2),
        ("extra inputs are not permitted", set(), 2),
        ("not_vllm_xargs_but_another", set(), 2),
    ],
)
def test_only_what_a_server_complains_of_is_left_out(
    server: Server, complaint: str, keys: set[str], times: int
) -> None:
    def strict(asked: dict[str, Any]) -> tuple[int, bytes | Iterator[bytes]]:
        extra = {"vllm_xargs", "skip_special_tokens"} & set(asked)
        return says("words")(asked) if extra == keys else raw(json.dumps({"error": complaint}).encode(), 400)(asked)

    server.answers = [strict]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert (page.status, len(server.asked)) == ("ok", times)


def test_what_is_asked_again_is_one_answer(server: Server) -> None:
    """The server for documents counts the tokens of each answer."""
    answers: list[bytes] = []

    class Counted(Endpoint):
        def answer(self, body: dict[str, Any], optional: Any = ()) -> bytes:
            answers.append(super().answer(body, optional))
            return answers[-1]

    server.answers = [raw(b"what?", 400), says("words")]
    assert Counted(server.url).chat({"a": 1, "b": 2}, ("b",)) == ("words", "") and len(answers) == 1
    assert server.asked == [{"a": 1, "b": 2}, {"a": 1}]


def test_a_server_that_complains_of_one_key_after_another_is_asked_without_any(server: Server) -> None:
    def strict(asked: dict[str, Any]) -> tuple[int, bytes | Iterator[bytes]]:
        wrong = next((key for key in ("vllm_xargs", "skip_special_tokens") if key in asked), None)
        return raw(f"{wrong}: no".encode(), 422)(asked) if wrong else says("words")(asked)

    server.answers = [strict]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert (page.status, len(server.asked)) == ("ok", 3)


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
    def first_only(asked: dict[str, Any]) -> tuple[int, bytes | Iterator[bytes]]:
        # pages are asked for at once, in any order
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


def listed(*models: dict[str, str]) -> bytes:
    return json.dumps({"object": "list", "data": models}).encode()


@pytest.mark.parametrize(
    ("models", "model", "extra"),
    [
        (listed({"id": "baidu/Unlimited-OCR", "owned_by": "vllm"}), "baidu/Unlimited-OCR", "vllm_xargs"),
        (listed({"id": "ocr", "owned_by": "vllm", "root": "deepseek-ai/DeepSeek-OCR-2"}), "ocr", "vllm_xargs"),
        (listed({"id": "mine", "owned_by": "sglang"}), "mine", "custom_params"),
        (listed({"id": "deepseek-ocr.gguf", "owned_by": "llamacpp"}), "deepseek-ocr.gguf", "dry_multiplier"),
        (listed({"id": "llama3", "owned_by": "library"}, {"id": "deepseek-ocr:3b", "owned_by": "library"}),
         "deepseek-ocr:3b", None),
        (listed({"id": "a"}, {"id": "b", "owned_by": "me"}), "deepseek-ai/DeepSeek-OCR", "vllm_xargs"),
        (None, "deepseek-ai/DeepSeek-OCR", "vllm_xargs"),
        (b"<html>", "deepseek-ai/DeepSeek-OCR", "vllm_xargs"),
        (b'{"data": [5, {"name": 1}, null]}', "deepseek-ai/DeepSeek-OCR", "vllm_xargs"),
        (b'{"data": 7}', "deepseek-ai/DeepSeek-OCR", "vllm_xargs"),
    ],
)  # fmt: skip
def test_a_server_is_asked_what_it_is_and_has(
    server: Server, models: bytes | None, model: str, extra: str | None
) -> None:
    server.models, server.answers = models, [says("words")]
    (page,) = EndpointEngine(server.url).read([sheet()])
    (asked,) = server.asked
    assert (page.status, asked["model"]) == ("ok", model)
    assert {"vllm_xargs", "custom_params", "dry_multiplier"} & set(asked) == ({extra} if extra else set())
    unlimited = "Unlimited" in model
    assert asked["messages"][0]["content"][0]["type"] == ("text" if unlimited else "image_url")
    if "root" in str(models):
        assert asked["vllm_xargs"]["ngram_size"] == 20


def test_what_the_user_says_of_a_server_counts(server: Server) -> None:
    server.models = listed({"id": "x-ocr", "owned_by": "vllm"})
    server.answers = [says("words")]
    EndpointEngine(server.url, "Unlimited-OCR", dialect="ollama").read([sheet()])
    (asked,) = server.asked
    assert asked["model"] == "Unlimited-OCR" and set(asked) == {"model", "temperature", "max_tokens", "messages"}
    with pytest.raises(UsageError, match="no dialect"):
        EndpointEngine(server.url, dialect="tgi")
    with pytest.raises(SetUpError, match="unlimited-ocr was published without a task 'free'"):
        EndpointEngine(server.url, "Unlimited-OCR", task="free").read([sheet()])


def test_pages_of_pdfs_and_pictures_have_their_own_ban(server: Server) -> None:
    server.answers = [says("words")]
    none = np.empty(0)
    layer = TextLayer("", np.empty((0, 4)), none, none, [], none, none, none, none)  # type: ignore[arg-type]
    for text, ban in ((None, (30, 90)), (layer, (20, 50))):
        EndpointEngine(server.url).read([replace(sheet(), text=text)])
        xargs = server.asked[-1]["vllm_xargs"]
        assert (xargs["ngram_size"], xargs["window_size"]) == ban


@pytest.mark.parametrize("answer", ["", " \n", "<｜end▁of▁sentence｜>", "<|ref|><|/ref|>"])
def test_an_empty_answer_for_a_page_with_ink_is_partial(server: Server, answer: str) -> None:
    server.answers = [says(answer)]
    inked = Sheet(1, Image.effect_noise((90, 60), 80).convert("RGB"))
    blank = Sheet(2, Image.new("RGB", (90, 60), "white"))
    one, other = EndpointEngine(server.url).read([inked, blank])
    assert (one.status, one.blocks) == ("partial", []) and one.reason.startswith("nothing was read")
    assert other.status == "ok" or "<|ref|>" in answer


@pytest.mark.parametrize("when", ["0", "0.2", "date", "-5", "soon", "nan", ""])
def test_a_server_that_asks_to_wait_is_asked_again(server: Server, when: str) -> None:
    server.headers = {"Retry-After": email.utils.formatdate(time.time() + 1, usegmt=True) if when == "date" else when}
    server.answers = [raw(b"busy", 429), says("at last")]
    start = time.monotonic()
    (page,) = EndpointEngine(server.url, pause=0.01).read([sheet()])
    assert page.status == "ok" and len(server.asked) == 2
    assert time.monotonic() - start >= (0.2 if when == "0.2" else 0)


@pytest.mark.parametrize("when", ["3600", "1e9", "date"])
def test_a_server_that_asks_to_wait_too_long_is_left_alone(server: Server, when: str) -> None:
    server.headers = {"Retry-After": email.utils.formatdate(time.time() + 9e4, usegmt=True) if when == "date" else when}
    server.answers = [raw(b'{"error": {"message": "no quota left"}}', 429)]
    (page,) = EndpointEngine(server.url, pause=0.01).read([sheet()])
    assert len(server.asked) == 1 and page.status == "failed"
    assert "429" in page.reason and "no quota left; it asks to wait" in page.reason and "later" in page.reason


def message(finish: object = "stop", **parts: object) -> Answer:
    return raw(json.dumps({"choices": [{"message": parts, "finish_reason": finish}]}).encode())


def test_an_answer_in_parts_is_joined(server: Server) -> None:
    parts = [{"type": "text", "text": "One "}, {"type": "image_url"}, {"type": "text", "text": "page."}]
    server.answers = [message(content=parts)]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert (page.status, page.blocks[0].text) == ("ok", "One page.")


@pytest.mark.parametrize("key", ["refusal", "reasoning_content", "reasoning"])
@pytest.mark.parametrize("content", [None, ""])
def test_words_of_a_model_that_are_no_answer_are_shown(server: Server, key: str, content: str | None) -> None:
    server.answers = [message(content=content, **{key: "I cannot\nread it"})]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert page.status == "failed" and page.reason.endswith(f"no text, only its {key}: I cannot read it")


@pytest.mark.parametrize("finish", ["content_filter", "abort", "error", "tool_calls"])
def test_an_answer_that_did_not_end_by_itself_is_partial(server: Server, finish: str) -> None:
    server.answers = [message(finish, content="half of it")]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert page.status == "partial" and page.reason.endswith(f"of the page ({finish})")


def test_an_answer_that_was_cut_by_the_connection_is_asked_for_again(server: Server) -> None:
    whole = json.dumps({"choices": [{"message": {"content": "whole"}}]}).encode().ljust(500)
    server.headers = {"Content-Length": "500"}
    server.answers = [raw(whole[:18]), raw(whole)]
    (page,) = EndpointEngine(server.url, pause=0.01).read([sheet()])
    assert (page.status, page.blocks[0].text, len(server.asked)) == ("ok", "whole", 2)
    server.answers = [raw(whole[:18])]
    (page,) = EndpointEngine(server.url, pause=0.01, tries=2).read([sheet()])
    assert page.reason == "the endpoint hung up in the middle of its answer, after 18 bytes"


def test_the_time_for_an_answer_is_that_of_all_of_it(server: Server) -> None:
    never = threading.Event()

    def drips() -> Iterator[bytes]:  # until the client hangs up, or for a minute
        for _ in range(3000):
            yield b" "
            never.wait(0.02)

    server.answers = [raw(drips())]
    (page,) = EndpointEngine(server.url, timeout=0.3, tries=1).read([sheet()])
    assert page.reason == "the endpoint did not answer within 0.3 s"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, "body.messages: field required"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ({"object": "error", "message": "too long"}, "too long"),
        ({"error": {"message": "no"}}, "no"),
    ],
)
@pytest.mark.parametrize("code", [400, 404, 200])
def test_a_servers_own_words_are_shown_in_any_form(server: Server, body: object, said: str, code: int) -> None:
    server.answers = [raw(json.dumps(body).encode(), code)]
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert page.status == "failed" and page.reason.endswith(f": {said}")


def test_a_redirect_says_where_it_leads(server: Server) -> None:
    server.answers, server.headers = [raw(b"", 301)], {"Location": "http://elsewhere/v1"}
    (page,) = EndpointEngine(server.url).read([sheet()])
    assert "301" in page.reason and "http://elsewhere/v1, which is not followed" in page.reason


def test_an_answer_nested_too_deep_fails_the_page(server: Server) -> None:
    server.models = b"[" * 200_000
    for code in (200, 400):
        server.answers = [raw(b"[" * 200_000, code)]
        (page,) = EndpointEngine(server.url).read([sheet()])
        assert page.status == "failed"


@pytest.mark.parametrize(
    "url",
    ["http://[::1/v1", "http://host:99999/v1", "http://host:x/v1", "http://me:word@host/v1", "http://h/v1#f", "http:///"],
)
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as error:
        EndpointEngine(url)
    assert "word" not in str(error.value).replace("password", "")


def test_an_address_may_hold_any_letters_and_a_query(server: Server) -> None:
    server.answers = [says("words")]
    for path in ("/ö/v1", "/a b/v1", "/v1?version=1", "/v1/"):
        (page,) = EndpointEngine(server.url.removesuffix("/v1") + path, "m", dialect="vllm").read([sheet()])
        assert page.status == "ok"


@pytest.mark.parametrize("key", ["日本", "a\nb", "schlüssel", "a\tb"])
def test_a_key_that_no_header_can_hold_is_refused_and_never_shown(key: str, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(UsageError, match="key holds characters") as error:
        EndpointEngine("http://127.0.0.1:9/v1", key=key)
    assert key not in str(error.value)
    monkeypatch.setenv("MICROFICHE_ENDPOINT_KEY", key)
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png")
    result = CliRunner().invoke(app, ["read", str(tmp_path / "x.png"), "--endpoint", "http://127.0.0.1:9/v1"])
    assert result.exit_code == 2 and "key holds" in result.stderr and key not in result.output


def test_a_key_is_sent_without_white_space_around_it_and_stands_in_no_repr(server: Server) -> None:
    server.answers = [says("words")]
    engine = EndpointEngine(server.url, key="secret\n")
    engine.read([sheet()])
    assert server.keys == ["Bearer secret"] and "secret" not in repr(engine)


@pytest.mark.parametrize(
    ("models", "model", "dialect"),
    [
        ([("PaddlePaddle/PaddleOCR-VL", "vllm"), ("my/DeepSeek-OCR", "vllm")], "my/DeepSeek-OCR", "vllm"),
        ([("democritus-7b", "vllm"), ("baidu/Unlimited-OCR", "vllm")], "baidu/Unlimited-OCR", "vllm"),
        ([("MFDoom/deepseek-ocr:latest", "MFDoom")], "MFDoom/deepseek-ocr:latest", "ollama"),
        ([("llama3:8b", "library"), ("me/deepseek-ocr:3b", "me")], "me/deepseek-ocr:3b", "ollama"),
        ([("scan-ocr", "x"), ("mediocre", "x")], "scan-ocr", "vllm"),
    ],
)
def test_the_model_and_the_server_are_known_among_others(
    server: Server, models: list[tuple[str, str]], model: str, dialect: str
) -> None:
    server.models = listed(*({"id": name, "owned_by": owner} for name, owner in models))
    server.answers = [says("words")]
    EndpointEngine(server.url).read([sheet()])
    assert server.asked[0]["model"] == model and ("vllm_xargs" in server.asked[0]) == (dialect == "vllm")


def test_the_command_says_which_model_an_alias_is(server: Server, tmp_path: Path) -> None:
    server.models, server.answers = listed({"id": "scan", "owned_by": "vllm"}), [says("words")]
    Image.effect_noise((90, 60), 80).save(tmp_path / "x.png")
    command = ["read", str(tmp_path / "x.png"), "--endpoint", server.url]
    for engine, text in (([], None), (["--engine", "unlimited-ocr"], "<image>document parsing.")):
        result = CliRunner().invoke(app, [*command, *engine])
        assert result.exit_code == 0, result.output
        assert (server.asked[-1]["messages"][0]["content"][0].get("text"), server.asked[-1]["model"]) == (text, "scan")
