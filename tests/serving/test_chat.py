"""Chat completions as clients of DeepSeek-OCR ask for them: prompts, answers with boxes, streams, usage, refusals."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from doorway import TOKENS, Door, Model, pdf, png
from hypothesis import given
from hypothesis import strategies as st

from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.grounding import parse
from microfiche.errors import MicroficheError
from microfiche.precision import text_tokens
from microfiche.serving import chat
from microfiche.serving.faults import Fault

GROUNDED = "<image>\n<|grounding|>Convert the document to markdown."


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def body(*pictures: bytes | str, prompt: str = GROUNDED, **more: Any) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": one if isinstance(one, str) else data_url(one)}} for one in pictures]
    text = [{"type": "text", "text": prompt}] if prompt else []
    return {"model": "deepseek-ai/DeepSeek-OCR", "messages": [{"role": "user", "content": [*parts, *text]}], **more}


def test_a_picture_is_read_by_who_reads_scans_and_its_tokens_are_counted(serve: Door, model: Model) -> None:
    answer = serve.client.post("/v1/chat/completions", json=body(png())).json()
    (choice,) = answer["choices"]
    assert choice["message"]["content"].startswith("<|ref|>title<|/ref|><|det|>[[")
    assert "# Read elsewhere" in choice["message"]["content"] and choice["finish_reason"] == "stop"
    assert answer["model"] == "endpoint" and answer["object"] == "chat.completion"
    usage = answer["usage"]
    assert usage["prompt_tokens_details"]["image_tokens"] == TOKENS and len(model.asked) == 1
    assert usage["completion_tokens"] == text_tokens(choice["message"]["content"])
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer["microfiche"]["pages"] == [{"page": 1, "status": "ok", "reason": ""}] and serve.empties()


def test_a_text_layer_costs_no_vision_tokens(serve: Door, model: Model) -> None:
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url(pdf("Plain words stand here."))}}
    asked = {"messages": [{"role": "user", "content": [file]}]}
    answer = serve.client.post("/v1/chat/completions", json=asked).json()
    assert answer["choices"][0]["message"]["content"] == "Plain words stand here."
    assert answer["model"] == "text" and answer["usage"]["prompt_tokens"] == 0 and model.asked == []


def test_several_pictures_are_read_in_their_order(serve: Door) -> None:
    pages = [pdf(f"This is number {n}.") for n in range(3)]
    asked = body(*(data_url(page, "image/png") for page in pages), prompt="Free OCR.")
    answer = serve.client.post("/v1/chat/completions", json=asked).json()
    text = answer["choices"][0]["message"]["content"]
    assert text == "This is number 0.\n\nThis is number 1.\n\nThis is number 2."


def test_the_stream_says_the_same_piece_by_piece(serve: Door) -> None:
    data = pdf("One line of text.\nAnd another.", "The second page.")
    for prompt in (GROUNDED, "Free OCR.", ""):
        whole = serve.client.post("/v1/chat/completions", json=body(data, prompt=prompt)).json()
        asked = body(data, prompt=prompt, stream=True, stream_options={"include_usage": True})
        with serve.client.stream("POST", "/v1/chat/completions", json=asked) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: ")]
        assert lines.pop() == "[DONE]"
        chunks = [json.loads(line) for line in lines]
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"} and chunks[-1]["choices"] == []
        deltas = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks[:-1]]
        assert "".join(deltas) == whole["choices"][0]["message"]["content"] and len(deltas) >= 3
        assert chunks[-2]["choices"][0]["finish_reason"] == "stop" and chunks[-1]["usage"] == whole["usage"]
        assert {chunk["model"] for chunk in chunks} <= {"text", "microfiche"}
    assert serve.empties()


def test_an_error_amid_a_stream_is_said_in_it(serve: Door, model: Model) -> None:
    model.gate.clear()
    asked = body(pdf("First words."), png(), b"garbage", prompt="", stream=True)
    with serve.client.stream("POST", "/v1/chat/completions", json=asked) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if "First words." in line)
        model.gate.set()
        rest = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert rest.pop() == "[DONE]" and "Read elsewhere" in "".join(rest)
    assert json.loads(rest[-1])["error"]["code"] == "unreadable" and serve.empties()


def test_a_client_that_leaves_a_stream_leaves_nothing(serve: Door, model: Model) -> None:
    model.gate.clear()
    asked = body(pdf("First words."), png(), prompt="", stream=True)
    with serve.client.stream("POST", "/v1/chat/completions", json=asked) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if "First words." in line)
        model.wait_for(1)
    assert serve.empties() and not serve.said
    model.gate.set()
    assert serve.client.post("/v1/chat/completions", json=body(png())).status_code == 200


def test_an_answer_is_cut_at_max_tokens(serve: Door) -> None:
    for key in ("max_tokens", "max_completion_tokens"):
        asked = body(pdf("Many words that go on and on."), prompt="", **{key: 3})
        answer = serve.client.post("/v1/chat/completions", json=asked).json()
        assert answer["choices"][0]["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == 3
        assert "Many words that go on and on.".startswith(answer["choices"][0]["message"]["content"])


def test_words_are_located_by_the_model_or_in_what_an_engine_reads(serve: Door, model: Model) -> None:
    prompt = "<image>\nLocate <|ref|>the treasure<|/ref|> in the image."
    serve.client.post("/v1/chat/completions", json=body(png(), prompt=prompt))
    (asked,) = model.asked
    assert "the treasure" in json.dumps(asked["messages"])
    document = Document(name="", sha256="0" * 64, pages=[PageRead(number=1, width=1000, height=500, blocks=[
        Block(kind="text", box=(100, 50, 200, 100), text="Here lies **the\nTreasure**."),
        Block(kind="text", box=(1, 1, 2, 2), text="Nothing."),
        Block(kind="text", box=(300, 50, 400, 100), text="the treasure again")])])  # fmt: skip
    asked_for = chat.asked(json.dumps(body(png(), prompt=prompt)).encode())
    assert "".join(chat.pieces(document, asked_for)) == (
        "<|ref|>the treasure<|/ref|><|det|>[[100, 100, 200, 200], [300, 100, 400, 200]]<|/det|>\n")
    serve.client.post("/v1/chat/completions", json=body(png(), prompt="Describe this image in detail."))
    assert "Describe this image in detail." in json.dumps(model.asked[-1]["messages"])


@pytest.mark.parametrize(("prompt", "task"), [
    ("", "markdown"), ("<image>", "markdown"), (GROUNDED, "markdown"), ("Convert the document to markdown", "markdown"),
    ("<image>document parsing.", "markdown"), ("Free OCR.", "free"), ("<image>\n<|grounding|>OCR this image.", "ocr"),
    ("Parse the figure.", "figure"), ("Describe this image in detail.", "describe"), ("Please transcribe it", "ocr"),
    ("Locate <|ref|>x<|/ref|> in the image.", "locate"),
])  # fmt: skip
def test_prompts_are_understood(prompt: str, task: str) -> None:
    assert chat.task_of(prompt)[0] == task


@pytest.mark.parametrize(("prompt", "code"), [
    ("What is this?", "prompt_not_understood"), ("Locate <|ref|><|/ref|>", "bad_prompt"),
    ("Locate <|ref|>a<|det|><|/ref|>", "bad_prompt"), ("locate <|ref|>a", "bad_prompt"),
])  # fmt: skip
def test_other_prompts_are_refused(prompt: str, code: str) -> None:
    with pytest.raises(Fault) as found:
        chat.task_of(prompt)
    assert found.value.code == code and found.value.status == 400


@pytest.mark.parametrize(("sent", "status", "code"), [
    (b"{", 400, "bad_json"), (b"[" * 100_000, 400, "nested_too_deeply"), (b"[]", 400, "bad_request"),
    (b'{"messages": 5}', 400, "bad_request"), (b'{"messages": [{"role": "user"}]}', 400, "bad_request"),
    (b'{"messages": [{"role": "user", "content": "Free OCR."}]}', 400, "bad_request"), (b"\xff\xfe", 400, "bad_json"),
    (body("http://127.0.0.1:9/x.png"), 403, "urls_off"), (body("file:///etc/passwd"), 400, "bad_request"),
    (body("data:image/png;base64,!!!!"), 400, "bad_base64"), (body("data:image/png"), 400, "bad_request"),
    (body("data:,hello"), 422, "unreadable"), (body(b""), 422, "unreadable"), (body(png()[:90]), 422, "unreadable"),
    (body(png(), prompt="Sing!"), 400, "prompt_not_understood"), (body(png(), n=2), 400, "bad_request"),
    (body(png(), max_tokens=0), 400, "bad_request"), (body(png(), model="gpt-9"), 404, "model_not_found"),
    (body(png(), model="text", prompt="Describe it"), 400, "task_not_supported"),
    (body(png(), model=5), 400, "bad_request"),
    (body(*[png()] * 65), 400, "bad_request"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, 400, "bad_request"),
    ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, 400, "bad_request"),
])  # fmt: skip
def test_what_cannot_be_answered_is_typed(serve: Door, sent: Any, status: int, code: str) -> None:
    for stream in (False, True):
        data = sent if isinstance(sent, bytes) else json.dumps(sent | {"stream": stream}).encode()
        answer = serve.client.post("/v1/chat/completions", content=data)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert serve.empties()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["messages", "role", "content", "type", "image_url", "url", "text", "user", "n",
                                         "model", "stream", "max_tokens", "file", "file_data"]), inner, max_size=5)))
def test_any_json_is_asked_or_refused(found: Any) -> None:
    try:
        chat.asked(json.dumps(found).encode())
    except MicroficheError as error:
        assert isinstance(error, Fault) and 400 <= error.status < 500


@given(st.text(max_size=60), st.tuples(*[st.integers(-50, 3000)] * 4))
def test_what_is_marked_is_read_back_by_our_own_parser(text: str, box: tuple[int, int, int, int]) -> None:
    page = PageRead(number=1, width=1000, height=1000, blocks=[Block(kind="text", box=box, text=text)])
    asked = chat.asked(json.dumps(body(png())).encode())
    answer = "".join(chat.pieces(Document(name="", sha256="", pages=[page]), asked))
    blocks, _ = parse(answer, 1000, 1000)
    assert answer.count("<|") in (0, 4) and len(blocks) >= bool(answer and box[0] <= box[2] and box[1] <= box[3])


def test_models_are_listed_and_found(serve: Door) -> None:
    listed = [one["id"] for one in serve.client.get("/v1/models").json()["data"]]
    assert listed[0] == "microfiche" and {"text", "rapid", "nano-pages", "endpoint"} <= set(listed)
    assert serve.client.get("/v1/models/rapid").json()["id"] == "rapid"
    assert serve.client.get("/v1/models/gpt-9").json()["error"]["code"] == "model_not_found"


def test_the_engine_that_is_asked_for_reads_and_its_own_tokens_are_counted(serve: Door, model: Model) -> None:
    for name in ("rapid", "nano-pages"):
        asked = body(png("Fiches", (400, 120)), model=name, prompt="Free OCR.")
        answer = serve.client.post("/v1/chat/completions", json=asked).json()
        assert answer["model"] == name and "iches" in answer["choices"][0]["message"]["content"]
        assert (answer["usage"]["prompt_tokens_details"]["image_tokens"] > 0) == (name == "nano-pages")
    assert model.asked == []
