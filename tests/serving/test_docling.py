"""docling-serve's doors, asked as its published clients ask: forms, sources in base64, tasks, archives, refusals."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from doorway import Door, Model, pdf, png
from hypothesis import given
from hypothesis import strategies as st

from microfiche.documents.document import Block, Document, PageRead
from microfiche.errors import MicroficheError
from microfiche.serving.application import application
from microfiche.serving.docling_document import docling_document, doctags
from microfiche.serving.docling_shape import body_of, checked, conversion, options_of_form
from microfiche.serving.faults import Fault
from microfiche.serving.forms import Form
from microfiche.serving.jobs import Jobs
from microfiche.serving.settings import ServeSettings

ONE = pdf("A page for docling.", "And a second one.")


def test_a_form_with_a_file_is_converted(serve: Door) -> None:
    answer = serve.client.post("/v1/convert/file", files={"files": ("one.pdf", ONE, "application/pdf")}, data={
        "to_formats": ["md", "json", "text", "html"], "target_type": "inbody", "do_ocr": "true", "ocr_lang": "en",
        "image_export_mode": "placeholder", "pdf_backend": "docling_parse", "table_mode": "accurate"})  # fmt: skip
    found = answer.json()
    assert found["status"] == "success" and found["errors"] == [] and found["processing_time"] >= 0
    document = found["document"]
    assert document["filename"] == "one.pdf" and document["md_content"].startswith("A page for docling.")
    assert document["text_content"].startswith("A page for docling.") and "<p>A page" in document["html_content"]
    assert document["doctags_content"] is None and document["json_content"]["schema_name"] == "DoclingDocument"
    assert serve.empties()


def test_a_file_becomes_doctags(serve: Door) -> None:
    answer = serve.client.post("/v1/convert/file", files={"files": ("one.pdf", ONE)}, data={"to_formats": "doctags"})
    document = answer.json()["document"]
    place = r"(?:<loc_\d+>){4}"
    assert re.fullmatch(rf"<doctag><text>{place}A page for docling\.</text>\n<page_break>\n"
                        rf"<text>{place}And a second one\.</text>\n</doctag>", document["doctags_content"])  # fmt: skip
    assert document["md_content"] is None


def test_pages_and_engines_follow_the_options(serve: Door, model: Model) -> None:
    for data, said in (
        ({"page_range": ["2", "2"]}, "And a second one."), ({"page_range": "[2, 9]"}, "And a second one."),
        ({"page_range": ["1", "9223372036854775807"]}, "A page for docling."),
        ({"do_ocr": "false"}, "A page for docling."), ({"force_ocr": "true"}, "A page for docling."),
    ):  # fmt: skip
        answer = serve.client.post("/v1/convert/file", files={"files": ("a.pdf", ONE)}, data=data).json()
        assert answer["document"]["md_content"].startswith(said), data
    assert model.asked == []


def test_sources_in_base64_come_as_json(serve: Door) -> None:
    source = {"kind": "file", "base64_string": base64.b64encode(ONE).decode(), "filename": "../one.pdf"}
    answer = serve.client.post("/v1/convert/source", json={"options": {"to_formats": ["text"]}, "sources": [source]})
    assert answer.json()["document"]["text_content"] == "A page for docling.\n\nAnd a second one.\n"
    assert answer.json()["document"]["filename"] == "one.pdf" and answer.json()["document"]["md_content"] is None
    large = [{**source, "filename": f"{n}.pdf"} for n in range(2)]
    padding = "x" * (1 << 20)  # so large that it is read in the process alone
    answer = serve.client.post("/v1/convert/source", json={"sources": large, "padding": padding})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["0.md", "1.md"] and archive.read("1.md").startswith(b"A page")


def polled_to_its_end(serve: Door, task: str) -> dict[str, Any]:
    """What is said of a task once it has ended."""
    while True:
        polled: dict[str, Any] = serve.client.get(f"/v1/status/poll/{task}", params={"wait": 60}).json()
        if polled["task_status"] not in ("pending", "started"):
            return polled


def test_tasks_are_polled_and_fetched(serve: Door, model: Model) -> None:
    model.gate.clear()
    task = serve.client.post("/v1/convert/file/async", files={"files": ("s.png", png())}).json()
    assert task["task_type"] == "convert" and task["task_status"] in ("pending", "started")
    model.wait_for(1)
    polled = serve.client.get(f"/v1/status/poll/{task['task_id']}", params={"wait": 0}).json()
    assert polled["task_status"] == "started" and polled["task_position"] is None
    early = serve.client.get(f"/v1/result/{task['task_id']}")
    assert early.status_code == 404 and early.json()["detail"].startswith("Task result not found")
    body = {"sources": [{"base64_string": base64.b64encode(ONE).decode(), "filename": "b.pdf"}]}
    second = serve.client.post("/v1/convert/source/async", json=body).json()
    assert second["task_status"] == "pending" and second["task_position"] == 1
    model.gate.set()
    for one, said in ((task, "# Read elsewhere"), (second, "A page for docling.")):
        polled = polled_to_its_end(serve, one["task_id"])
        assert polled["task_status"] == "success" and polled["task_meta"]["num_succeeded"] == 1
        for _ in range(2):
            answer = serve.client.get(f"/v1/result/{one['task_id']}").json()
            assert answer["document"]["md_content"].startswith(said)
        serve.client.delete(f"/v1/jobs/{one['task_id']}")
        assert serve.client.get(f"/v1/status/poll/{one['task_id']}").json()["detail"] == "Task not found."
    assert serve.empties()


class Socket:
    """A WebSocket to a server without processes, as uvicorn would hand it on."""

    def __init__(self, folder: Path, token: str | None = None) -> None:
        settings = ServeSettings(jobs=1, token=token)
        self.jobs, self.app = Jobs(settings, folder), application(settings)
        self.app.app.state.server = SimpleNamespace(jobs=self.jobs, settings=settings, answers=Counter())
        self.said: asyncio.Queue[Any] = asyncio.Queue()
        self.says: asyncio.Queue[Any] = asyncio.Queue()

    def opens(self, task: str, query: bytes = b"", **headers: str) -> asyncio.Task[None]:
        self.says.put_nowait({"type": "websocket.connect"})
        given = {"host": "127.0.0.1", **headers}
        path = f"/v1/status/ws/{task}"
        scope = {
            "type": "websocket", "path": path, "raw_path": path.encode(), "query_string": query, "subprotocols": [],
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }  # fmt: skip
        return asyncio.ensure_future(self.app(scope, self.says.get, self.said.put))

    async def hears(self) -> Any:
        """What is sent: the JSON of a message, or the type of what is none."""
        event = await self.said.get()
        return json.loads(event["text"]) if "text" in event else event["type"]


def test_a_task_is_followed_by_a_websocket(tmp_path: Path) -> None:
    async def followed() -> None:
        socket = Socket(tmp_path)
        job = socket.jobs.opened("convert")
        socket.jobs.queue(job)
        task = socket.opens(job.id)
        assert await socket.hears() == "websocket.accept"
        found = await socket.hears()
        assert (found["message"], found["task"]["task_id"], found["task"]["task_status"]) == (
            "connection", job.id, "pending")
        socket.says.put_nowait({"type": "websocket.receive", "text": "next"})
        await socket.jobs.next("read")
        assert (await socket.hears())["task"]["task_status"] == "started"
        socket.jobs.done(job, {"status": "partial_success"})
        found = await socket.hears()
        assert (found["message"], found["task"]["task_status"]) == ("update", "partial_success")
        assert await socket.hears() == "websocket.close"
        await task

    asyncio.run(followed())


def test_a_websocket_ends_with_its_client_and_with_a_task_that_is_none(tmp_path: Path) -> None:
    async def ends() -> None:
        socket = Socket(tmp_path)
        job = socket.jobs.opened("convert")
        socket.jobs.queue(job)
        task = socket.opens(job.id)
        await socket.hears(), await socket.hears()
        socket.says.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await task
        for other in ("none", socket.jobs.opened("read").id):
            socket = Socket(tmp_path)
            task = socket.opens(other)
            said = [await socket.hears() for _ in range(3)]
            assert said == ["websocket.accept", {"message": "error", "error": "Task not found."}, "websocket.close"]
            await task

    asyncio.run(ends())


@pytest.mark.parametrize(("query", "headers", "is_let_in"), [
    (b"", {}, False), (b"api_key=wrong", {}, False), (b"api_key=the-token", {}, True),
    (b"", {"x-api-key": "the-token"}, True), (b"", {"authorization": "Bearer the-token"}, True),
    (b"api_key=the-token", {"host": "evil.example"}, False),
    (b"api_key=the-token", {"origin": "https://evil.example"}, False),
])  # fmt: skip
def test_a_websocket_is_for_who_may_ask(
    tmp_path: Path, query: bytes, headers: dict[str, str], is_let_in: bool
) -> None:
    async def first() -> Any:
        socket = Socket(tmp_path, "the-token")
        task = socket.opens("none", query, **headers)
        said = await socket.hears()
        await task
        return said

    assert asyncio.run(first()) == ("websocket.accept" if is_let_in else "websocket.close")


def test_several_files_come_as_an_archive_and_one_that_is_bad_costs_no_other(serve: Door) -> None:
    files = [("files", ("a.pdf", ONE)), ("files", ("a.pdf", b"garbage")), ("files", ("../a.pdf", ONE))]
    answer = serve.client.post("/v1/convert/file", files=files, data={"to_formats": "md"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["a.md", "a-2.errors.json", "a-3.md"]
        assert "not a PDF" in json.loads(archive.read("a-2.errors.json"))[0]["error_message"]


def test_a_document_that_cannot_be_read_is_a_failure_with_its_reason(serve: Door) -> None:
    answer = serve.client.post("/v1/convert/file", files={"files": ("x.pdf", b"garbage")})
    assert answer.status_code == 200 and answer.json()["status"] == "failure"
    assert answer.json()["errors"][0]["error_message"].startswith("x.pdf: not a PDF, picture, ")


@pytest.mark.parametrize(("options", "target", "code"), [
    ({"to_formats": ["vtt"]}, None, "format_not_supported"), ({"to_formats": "md"}, None, "format_not_supported"),
    ({"page_range": [2, 1]}, None, "bad_request"), ({"page_range": [1]}, None, "bad_request"),
    ({"page_range": [True, 2]}, None, "bad_request"), ({}, {"kind": "presigned_url"}, "target_not_supported"),
    ({}, {"kind": "s3"}, "target_not_supported"), ({}, "put", "target_not_supported"),
])  # fmt: skip
def test_what_is_not_done_here_is_refused_at_once(options: dict[str, Any], target: Any, code: str) -> None:
    with pytest.raises(Fault) as found:
        checked(options, target)
    assert found.value.status == 422 and found.value.code == code


def test_refusals_come_in_both_shapes(serve: Door) -> None:
    for path in ("/v1/convert/file/async", "/v1/convert/file"):
        answer = serve.client.post(path, files={"files": ("a.pdf", ONE)}, data={"target_type": "presigned_url"})
        assert answer.status_code == 422
        assert answer.json()["detail"] == answer.json()["error"]["message"]
        assert "needs artifact storage to be configured" in answer.json()["detail"], "the words its client goes by"
    for path, body, status in (
        ("/v1/convert/source", b"{", 400), ("/v1/convert/source", b"{}", 422),
        ("/v1/convert/source/async", b"[1]", 422),
        ("/v1/convert/source/async", json.dumps({"sources": [{"kind": "s3"}]}).encode(), 200),
        ("/v1/convert/source", json.dumps({"sources": [{"kind": "s3"}]}).encode(), 422),
        ("/v1/convert/source", json.dumps({"sources": [{"base64_string": "@"}]}).encode(), 400),
        ("/v1/convert/source", json.dumps({"sources": [{"url": "http://x.org/a.pdf"}]}).encode(), 403),
        ("/v1/convert/source", b'{"sources": [{"url": "http://x"}], "options": 3}', 422),
    ):  # fmt: skip
        answer = serve.client.post(path, content=body)
        assert answer.status_code == status, (path, body, answer.text)
        if status == 200:
            polled_to_its_end(serve, answer.json()["task_id"])
            serve.client.delete(f"/v1/jobs/{answer.json()['task_id']}")
    answer = serve.client.post("/v1/convert/file", files={"x": (None, "y")})
    assert answer.status_code == 422 and serve.empties()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["sources", "kind", "url", "base64_string", "filename", "options", "to_formats", "page_range", "target",
         "force_ocr", "do_ocr", "file", "http"]), inner, max_size=4)))
def test_any_json_is_a_request_or_refused(tmp_path_factory: pytest.TempPathFactory, found: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "body").write_text(json.dumps(found))
    try:
        body_of(json.dumps(found).encode())
        conversion({"body": True}, folder)
    except MicroficheError as error:
        assert isinstance(error, Fault) and error.status in (400, 422)


@given(st.dictionaries(st.sampled_from(["to_formats", "page_range", "do_ocr", "ocr_lang", "x"]),
                       st.lists(st.text(max_size=12), min_size=1, max_size=3)))
def test_any_form_is_options_or_refused(fields: dict[str, list[str]]) -> None:
    try:
        checked(options_of_form(Form(fields)), "inbody")
    except Fault as fault:
        assert fault.status == 422


def test_a_document_becomes_a_docling_document() -> None:
    blocks = [
        Block(kind="title", box=(10, 10, 90, 20), text="Title", level=1),
        Block(kind="title", box=(10, 30, 90, 40), text="Section", level=2),
        Block(kind="text", box=None, text="Words\\*"),
        Block(kind="list", box=(10, 50, 90, 60), text="1. one\n2. two"), Block(kind="hidden", box=None, text="unseen"),
        Block(kind="table", box=(10, 70, 90, 80), text="| a | b |\n|---|---|\n| c | d |"),
        Block(kind="figure", box=(10, 85, 90, 95)), Block(kind="header", box=(1, 1, 2, 2), text="Running head"),
        Block(kind="formula", box=None, text="$x$"), Block(kind="code", box=None, text="```\nx = 1\n```"),
        Block(kind="caption", box=None, text="Figure 1"), Block(kind="footnote", box=None, text="1 A note"),
    ]  # fmt: skip
    pages = [PageRead(number=3, width=100, height=200, blocks=blocks)]
    made = docling_document(Document(name="a.pdf", sha256="ab" * 32, pages=pages))
    assert [text["label"] for text in made["texts"]] == [
        "title", "section_header", "text", "list_item", "list_item", "page_header", "formula", "code", "caption",
        "footnote"]
    assert made["texts"][2]["text"] == "Words*" and made["texts"][1]["level"] == 1
    assert made["texts"][3] | {"parent": 0} == made["texts"][3] | {"parent": 0, "enumerated": True, "marker": "1."}
    cells = made["tables"][0]["data"]
    assert (cells["num_rows"], cells["num_cols"]) == (2, 2)
    assert [cell["text"] for cell in cells["table_cells"]] == list("abcd")
    assert made["pictures"][0]["prov"][0]["bbox"] == {"l": 10, "t": 85, "r": 90, "b": 95, "coord_origin": "TOPLEFT"}
    assert made["pages"] == {"3": {"size": {"width": 100.0, "height": 200.0}, "page_no": 3}}
    every = {child["$ref"] for node in (made["body"], *made["groups"]) for child in node["children"]}
    assert every == {node["self_ref"] for key in ("groups", "texts", "tables", "pictures") for node in made[key]}


def test_doctags_are_places_and_words_and_nothing_of_a_page_is_a_tag() -> None:
    blocks = [
        Block(kind="title", box=(10, 10, 90, 20), text="Title", level=1),
        Block(kind="title", box=None, text="Section", level=3),
        Block(kind="list", box=(0, 0, 100, 200), text="1. one\n2. two"), Block(kind="list", box=None, text="- a"),
        Block(kind="table", box=None, text="| a | b |\n|---|---|\n| c | |"),
        Block(kind="figure", box=(10, 20, 30, 40)), Block(kind="code", box=None, text="x = 1"),
        Block(kind="text", box=None, text="\\<loc_1> is \\</text>, a \\< b"),
    ]  # fmt: skip
    pages = [PageRead(number=number, width=100, height=200, blocks=blocks) for number in (1, 2)]
    made = doctags(docling_document(Document(name="a.pdf", sha256="ab" * 32, pages=pages)))
    once = "\n".join([
        "<title><loc_50><loc_25><loc_450><loc_50>Title</title>",
        "<section_header_level_2>Section</section_header_level_2>",
        "<ordered_list><list_item><loc_0><loc_0><loc_499><loc_499>one</list_item>",
        "<list_item><loc_0><loc_0><loc_499><loc_499>two</list_item>", "</ordered_list>",
        "<unordered_list><list_item>a</list_item>", "</unordered_list>",
        "<otsl><ched>a<ched>b<nl><fcel>c<ecel><nl></otsl>", "<picture><loc_50><loc_50><loc_150><loc_100></picture>",
        "<code><_unknown_>x = 1</code>", "<text>< loc_1> is < /text>, a < b</text>",
    ])  # fmt: skip
    assert made == f"<doctag>{once}\n<page_break>\n{once}\n</doctag>"
