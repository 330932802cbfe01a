"""Jobs over HTTP: begun, followed, looked at, cancelled; and what a client, a file or a process does wrong."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from doorway import PATIENCE, Door, Model, door, pdf, png
from PIL import Image, ImageDraw

from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.scans.recognition import Recognised
from microfiche.serving.faults import Fault
from microfiche.serving.readers_at_hand import ReadersAtHand
from microfiche.serving.reading_work import ReadingWork
from microfiche.serving.settings import LIMITS, Scans

TWO = pdf("The first page is here.", "The second page follows.")


def test_a_document_is_read_page_by_page(serve: Door) -> None:
    answer = serve.client.post("/v1/jobs", files={"file": ("two.pdf", TWO)}, data={"do": "read"})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    events: list[tuple[str, Any]] = []
    with serve.client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in stream.iter_lines():
            name = line.removeprefix("event: ") if line.startswith("event: ") else name
            if line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
    assert events[-1][0] == "end" and events[-1][1]["status"] == "done" and events[-1][1]["pages_done"] == 2
    pages = [data for name, data in events if name == "page"]
    assert [page["page"] for page in pages] == [1, 2] and "first page" in pages[0]["markdown"]
    assert {"width", "height", "status", "reason", "engine", "blocks"} <= pages[0].keys()
    document = serve.client.get(f"/v1/jobs/{job['id']}/document").json()
    assert [page["engine"] for page in document["pages"]] == ["text", "text"] and document["name"] == "two.pdf"
    assert "The second page follows." in document["markdown"]
    markdown = serve.client.get(f"/v1/jobs/{job['id']}/markdown")
    assert markdown.text == document["markdown"] and 'filename="two.md"' in markdown.headers["content-disposition"]
    picture = serve.client.get(f"/v1/jobs/{job['id']}/pages/2")
    size = Image.open(io.BytesIO(picture.content)).size
    assert size == (document["pages"][1]["width"], document["pages"][1]["height"])
    assert serve.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert serve.client.delete(f"/v1/jobs/{job['id']}").status_code == 404, "it is forgotten"
    assert serve.client.get(f"/v1/jobs/{job['id']}/document").json()["error"]["code"] == "not_found"
    assert serve.empties()


def test_lines_that_are_unsure_are_told_of_with_their_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("RGB", (400, 160), "white")
    for top, text in ((30, "A short line"), (100, "A line that is twice as long")):
        ImageDraw.Draw(image).text((20, top), text, fill="black", font_size=24)
    image.save(tmp_path / "upload-1", "PNG")

    def recognised(parts: Any) -> list[Recognised]:
        long = [part.shape[1] > 5.5 * part.shape[0] for part in parts]
        places = np.linspace(0, 1, 19, dtype=np.float32)
        return [Recognised("Four words are here", np.full(19, 0.75 if is_long else 0.999, np.float32), places)
                for is_long in long]  # fmt: skip

    monkeypatch.setattr(RapidEngine, "_recogniser", lambda self: recognised)
    events: list[dict[str, Any]] = []
    work = ReadingWork(ReadersAtHand("rapid", {}), LIMITS, "off", 1)
    work.read({"folder": str(tmp_path), "name": "a.png"}, events.append)
    told = json.loads((tmp_path / "part-1.json").read_bytes())
    document = json.loads((tmp_path / "document.json").read_bytes())
    assert {"pages": 1, "part": 1} in events and document["unsure"] == {"1": told["unsure"]}
    (line,) = told["unsure"]
    assert (line["text"].replace(" ", ""), line["confidence"]) == ("Fourwordsarehere", 0.75)
    assert 90 < line["box"][1] < line["box"][3] < 140, "it is the second"


def test_pages_and_the_engine_are_chosen(serve: Door) -> None:
    job = serve.begun(TWO, pages="2", engine="endpoint")
    assert serve.job(job)["pages"] == 1
    (page,) = serve.client.get(f"/v1/jobs/{job}/document").json()["pages"]
    assert page["number"] == 2 and page["engine"] == "endpoint" and page["blocks"][0]["text"] == "Read elsewhere"
    serve.client.delete(f"/v1/jobs/{job}")


def test_figures_are_served_by_their_names_alone(serve: Door) -> None:
    job = serve.begun(png(), "s.png", engine="endpoint")
    assert serve.job(job)["status"] == "done"
    folder = serve.server.folder / job / "document" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "page-0001-1.png").write_bytes(png())
    assert serve.client.get(f"/v1/jobs/{job}/figures/page-0001-1.png").content == png()
    for name in ("..%2f..%2fdocument.json", "%2e%2e", "..%5cdocument.json", "page-0001-2.png", "%00"):
        assert serve.client.get(f"/v1/jobs/{job}/figures/{name}").status_code == 404
    serve.client.delete(f"/v1/jobs/{job}")


@pytest.mark.parametrize(("data", "fields", "code"), [
    (b"", {}, "unreadable"), (b"no document at all", {}, "unreadable"), (TWO[:300], {}, "unreadable"),
    (b"PK\3\4 a letter", {}, "unreadable"), (TWO, {"pages": "9"}, "bad_request"),
    (TWO, {"engine": "sh"}, "bad_request"), (TWO, {"engine": "deepseek-ocr"}, "bad_request"),
    (b"not a fiche", {"do": "open"}, "unreadable_fiche"),
    (b"x", {"do": "pack", "density": "9x9"}, "bad_request"), (b"\xff\xfe\x00bad", {"do": "pack"}, "unreadable"),
])  # fmt: skip
def test_a_job_that_cannot_be_done_says_why(serve: Door, data: bytes, fields: dict[str, str], code: str) -> None:
    job = serve.begun(data, "a.pdf", **fields)
    state = serve.job(job)
    assert state["status"] == "failed" and state["error"]["code"] == code, state
    assert str(serve.folder) not in state["error"]["message"] and "upload" not in state["error"]["message"]
    answer = serve.client.get(f"/v1/jobs/{job}/document")
    assert answer.status_code in (400, 422) and answer.json()["error"]["code"] == code
    serve.client.delete(f"/v1/jobs/{job}")
    assert serve.empties()


@pytest.mark.parametrize(("fields", "files", "said"), [
    ({"do": "eat"}, {"file": b"x"}, "do: 'eat'"), ({"pages": "3-1"}, {"file": b"x"}, "runs backwards"),
    ({"dpi": "9999"}, {"file": b"x"}, "dpi"), ({}, {}, "0 files"), ({}, {"file": b"x", "more": b"y"}, "2 files"),
    ({"url": "http://x.org/a.pdf"}, {"file": b"x"}, "1 files"),
])  # fmt: skip
def test_a_form_that_asks_for_nothing_sensible_is_refused(
    serve: Door, fields: dict[str, str], files: dict[str, bytes], said: str
) -> None:
    sent = {name: (name, data) for name, data in files.items()} or {"": ("", b"")}
    answer = serve.client.post("/v1/jobs", data=fields, files=sent if files else {"x": (None, "y")})
    assert answer.status_code == 400 and said in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "invalid_request_error" and serve.empties()


def test_names_of_clients_are_never_paths(serve: Door, tmp_path: Path) -> None:
    head = {"content-type": "multipart/form-data; boundary=b"}
    for name in (
        "../../etc/passwd.pdf", "/root/x.pdf", "..\\..\\x.pdf", "a\r\nX: y.pdf", "n" * 5000 + ".pdf", "\u202e.pdf",
    ):  # fmt: skip
        body = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + name.encode() + b'"\r\n\r\n' + TWO
                + b"\r\n--b--\r\n")  # fmt: skip
        answer = serve.client.post("/v1/jobs", content=body, headers=head)
        if answer.status_code == 202:
            job = answer.json()
            assert "/" not in job["name"] and "\n" not in job["name"] and len(job["name"]) <= 200
            assert serve.job(job["id"])["status"] == "done"
            assert not [path for path in (serve.server.folder / job["id"]).rglob("*") if "passwd" in path.name]
            assert serve.client.get(f"/v1/jobs/{job['id']}/markdown").status_code == 200
            serve.client.delete(f"/v1/jobs/{job['id']}")
        else:
            assert answer.status_code in (400, 413), answer.text
    assert serve.empties()


def raw(serve: Door, head: str, body: bytes, leaves: bool = False) -> bytes:
    """The answer to bytes as they are."""
    host, _, port = serve.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        connection.sendall(f"{head}\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode() + body)
        if leaves:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    return answer


FORM = "Content-Type: multipart/form-data; boundary=b"


@pytest.mark.parametrize(("head", "body", "status"), [
    (f"POST /v1/jobs HTTP/1.1\r\n{FORM}\r\nContent-Length: 99999999999", b"x", 413),
    ("POST /v1/jobs HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 3", b"abc", 415),
    ("POST /v1/jobs HTTP/1.1\r\nContent-Type: multipart/form-data\r\nContent-Length: 3", b"abc", 415),
    (f"POST /v1/jobs HTTP/1.1\r\n{FORM}\r\nContent-Length: 3", b"abc", 400),
    (f"POST /v1/jobs HTTP/1.1\r\n{FORM}\r\nContent-Length: 5", b"--b\r\n", 400),
    ("POST /v1/convert/source HTTP/1.1\r\nContent-Length: 99999999999", b"{", 413),
    ("POST /v1/read HTTP/1.1\r\nContent-Length: 9999999999", b"{", 413),
    ("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 9999999999", b"{", 413),
])  # fmt: skip
def test_requests_that_lie_about_length_or_type_are_refused(serve: Door, head: str, body: bytes, status: int) -> None:
    answer = raw(serve, head, body)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]
    assert serve.empties()


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/chat/completions", "/v1/convert/source/async", "/v1/encode"])
def test_a_body_that_ends_before_its_announced_length_leaves_nothing(serve: Door, path: str) -> None:
    raw(serve, f"POST {path} HTTP/1.1\r\n{FORM}\r\nContent-Length: 300", b"--b\r\nContent-Disp", leaves=True)
    assert serve.empties()
    assert serve.client.get("/metrics").text.count('microfiche_jobs{status="queued"} 0') == 1


def test_an_upload_without_a_length_is_cut_off_at_the_limit(serve: Door) -> None:
    def body() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(200):
            yield b"x" * (1 << 20)

    try:
        answer = serve.client.post("/v1/jobs", content=body(), headers={"content-type": FORM.partition(" ")[2]})
        assert answer.status_code == 413
    except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        pass  # it was cut off before it could read the answer
    assert serve.empties()


def test_a_field_or_a_form_that_is_too_large_is_refused(serve: Door) -> None:
    for data in ({"do": "x" * (2 << 20)}, {f"f{n}": "x" for n in range(200)}):
        answer = serve.client.post("/v1/jobs", data=data, files={"file": ("a", b"x")})
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "too_large"
    many = [("file", (str(n), b"x")) for n in range(99)]
    assert serve.client.post("/v1/jobs", files=many).status_code == 413
    assert serve.empties()


def test_a_client_that_leaves_frees_the_process_that_read_for_it(serve: Door, model: Model) -> None:
    model.gate.clear()
    host, _, port = serve.url.removeprefix("http://").partition(":")
    data = png()
    body = (b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + data + b"\r\n--b--\r\n")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/convert/file HTTP/1.1\r\nHost: {host}\r\n{FORM}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        model.wait_for(1)
    model.gate.set()
    job = serve.begun(TWO)
    assert serve.job(job)["status"] == "done"
    serve.client.delete(f"/v1/jobs/{job}")
    assert serve.empties() and not serve.said


def test_a_killed_process_costs_its_own_job_alone(serve: Door, model: Model) -> None:
    model.gate.clear()
    one, two = serve.begun(png(), "s.png"), serve.begun(TWO)
    model.wait_for(1)
    assert serve.job(two, ends=False)["position"] == 0
    (process,) = [process for place, process in serve.server.processes.running.items() if place == 0]
    os.kill(process.pid, signal.SIGKILL)
    state = serve.job(one)
    assert state["status"] == "failed" and state["error"]["code"] == "process_died"
    assert serve.client.get(f"/v1/jobs/{one}/document").status_code == 500
    assert serve.job(two)["status"] == "done"
    assert serve.said == ["a process that did a job died (SIGKILL)"]
    serve.said.clear()
    for job in (one, two):
        serve.client.delete(f"/v1/jobs/{job}")
    assert serve.empties()


def test_a_process_that_dies_while_it_waits_costs_no_job(serve: Door) -> None:
    serve.until_ready()
    before = serve.server.processes.running[0].pid
    os.kill(before, signal.SIGKILL)
    job = serve.begun(TWO)
    assert serve.job(job)["status"] == "done" and serve.server.processes.running[0].pid != before
    assert serve.said == ["a process that did a job died (SIGKILL)"]
    serve.said.clear()
    serve.client.delete(f"/v1/jobs/{job}")
    assert serve.empties()


def test_a_server_is_ready_again_though_nobody_asks(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is started in place of a process that died may die as well; it is tried again."""
    from microfiche.serving import processes

    monkeypatch.setattr(processes, "AGAIN", 0.01)
    with door(tmp_path, scans=Scans(endpoint=model.url)) as serve:
        serve.until_ready()
        begin, tries = processes._Process.begin, []

        async def begins(threads: int) -> Any:
            tries.append(threads)
            if len(tries) < 3:
                raise OSError(11, "Resource temporarily unavailable")
            return await begin(threads)

        monkeypatch.setattr(processes._Process, "begin", begins)
        os.kill(serve.server.processes.running[0].pid, signal.SIGKILL)
        while len(tries) < 3:
            assert serve.client.get("/ready").status_code in (200, 503)
        serve.until_ready()
    assert serve.said[1:] == ["a process could not start: Resource temporarily unavailable"] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_document_that_needs_too_much_memory_is_a_failure_and_the_next_is_read(tmp_path: Path, model: Model) -> None:
    whole = io.BytesIO()
    Image.new("L", (7000, 7000), 255).save(whole, "PNG")
    with door(tmp_path, scans=Scans(endpoint=model.url), limits=replace(LIMITS, memory=128 << 20)) as serve:
        for data, reason in ((whole.getvalue(), "there is not enough memory to decode the picture"), (png(), "")):
            job = serve.begun(data, "a.png")
            assert serve.job(job)["status"] == "done"
            assert serve.client.get(f"/v1/jobs/{job}/document").json()["pages"][0]["reason"] == reason
            serve.client.delete(f"/v1/jobs/{job}")
        assert not serve.said and serve.empties(), "a process that makes room for another has not died"


@pytest.mark.parametrize("said", [
    "[ONNXRuntimeError] : 1 : FAIL : std::bad_alloc", "could not create a primitive", "can't start new thread",
    "OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 48 bytes",
])  # fmt: skip
def test_whatever_says_that_there_is_no_memory_is_one_error(said: str) -> None:
    fault = Fault.of(RuntimeError(said))
    assert (fault.status, fault.code) == (422, "too_much_memory") and "limit memory" in str(fault)
    assert Fault.of(RuntimeError("another fault")).code == "internal"


def test_jobs_are_cancelled_whether_they_wait_or_run(serve: Door, model: Model) -> None:
    model.gate.clear()
    runs, waits = serve.begun(png(), "s.png"), serve.begun(TWO)
    model.wait_for(1)
    assert serve.client.get(f"/v1/jobs/{waits}/document").json()["error"]["code"] == "not_ready"
    for job in (waits, runs):
        assert serve.client.delete(f"/v1/jobs/{job}").status_code == 204
    model.gate.set()
    assert serve.empties()
    job = serve.begun(TWO)
    assert serve.job(job)["status"] == "done" and not serve.said
    serve.client.delete(f"/v1/jobs/{job}")


def test_the_queue_is_bounded_and_what_is_kept_too(tmp_path: Path, model: Model) -> None:
    with door(tmp_path, scans=Scans(endpoint=model.url), queue=2, kept=2) as serve:
        model.gate.clear()
        first = serve.begun(png(), "s.png")
        model.wait_for(1)
        jobs = [serve.begun(TWO), serve.begun(TWO)]
        refused = serve.client.post("/v1/jobs", files={"file": ("a.pdf", TWO)})
        assert refused.status_code == 429 and refused.json()["error"]["type"] == "rate_limit_error"
        assert int(refused.headers["retry-after"]) >= 1
        for path in ("/v1/convert/file", "/v1/convert/file/async"):
            assert serve.client.post(path, files={"files": ("a.pdf", TWO)}).status_code == 429
        assert serve.client.post("/v1/chat/completions", json={}).status_code == 429
        model.gate.set()
        assert serve.job(jobs[1])["status"] == "done"
        kept = [serve.client.get(f"/v1/jobs/{job}").status_code for job in (first, *jobs)]
        assert kept == [404, 200, 200] and len(serve.left()) == 2
        metrics = serve.client.get("/metrics").text
        assert 'microfiche_jobs_total{end="refused"} 4' in metrics and 'microfiche_jobs{status="done"} 2' in metrics


def test_all_files_are_bounded_in_their_bytes(tmp_path: Path, model: Model) -> None:
    with door(tmp_path, scans=Scans(endpoint=model.url), kept_bytes=300_000) as serve:
        jobs = []
        for _ in range(3):
            jobs.append(serve.begun(TWO + bytes(100_000)))
            assert serve.job(jobs[-1])["status"] == "done"
        assert serve.client.get(f"/v1/jobs/{jobs[0]}").status_code == 404, "the oldest is forgotten"
        refused = serve.client.post("/v1/jobs", files={"file": ("a.pdf", TWO + bytes(400_000))})
        assert refused.status_code == 429 and serve.empties()


def test_jobs_that_are_too_old_are_forgotten(tmp_path: Path, model: Model) -> None:
    with door(tmp_path, scans=Scans(endpoint=model.url), kept_seconds=1e-6) as serve:
        job = serve.begun(TWO)
        while serve.client.get(f"/v1/jobs/{job}").status_code == 200:
            pass
        assert serve.empties()


def test_a_process_that_says_nothing_is_given_up(tmp_path: Path, model: Model) -> None:
    with door(tmp_path, scans=Scans(endpoint=model.url), silence=1.0) as serve:
        model.gate.clear()
        state = serve.job(serve.begun(png(), "s.png"))
        assert state["error"]["code"] == "timed_out"
        model.gate.set()


def test_a_full_disk_is_said_and_leaves_nothing(serve: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from microfiche.serving import forms

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(forms._Receiver, "_data", full)
    answer = serve.client.post("/v1/jobs", files={"file": ("a.pdf", TWO)})
    assert answer.status_code == 507 and answer.json()["error"]["code"] == "disk_full"
    assert serve.empties()


def test_nothing_is_left_when_the_server_ends(tmp_path: Path, model: Model) -> None:
    with door(tmp_path, scans=Scans(endpoint=model.url)) as serve:
        model.gate.clear()
        serve.begun(png(), "s.png")
        model.wait_for(1)
        live = [os.pidfd_open(process.pid) for process in serve.server.processes.running.values()]
        assert serve.left()
    assert list(tmp_path.iterdir()) == []
    for process in live:
        assert select.select([process], [], [], PATIENCE)[0], "it can be read once the process has ended"
        os.close(process)
