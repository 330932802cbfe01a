"""Who may ask: tokens, hosts, origins, addresses; and what every answer has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from doorway import Door, Model, door, pdf

from microfiche.errors import InputError, UsageError
from microfiche.serving.application import OPEN
from microfiche.serving.jobs import Jobs
from microfiche.serving.settings import Scans, ServeSettings

TOKEN = "a-token-of-tests"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, _model: Model) -> Any:
    folder = tmp_path_factory.mktemp("locked")
    (folder / "mine.memory").write_bytes(b"no memory")
    with door(folder, token=TOKEN, scans=Scans(endpoint=_model.url), memories=folder) as made:
        yield made


def test_every_route_but_the_open_ones_asks_for_the_token(locked: Door) -> None:
    routes = locked.client.get("/openapi.json").json()["paths"]
    assert len(routes) > 25
    for route, methods in [*routes.items(), ("/nowhere", {"get"}), ("/page/x", {"get"}), ("/page/x/y", {"get"})]:
        path = re.sub(r"\{\w+\}", "1", route)
        for method in methods:
            answer = locked.client.request(method.upper(), path)
            if OPEN.fullmatch(path):
                assert answer.status_code != 401, path
                continue
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer", path
            assert answer.json()["error"]["code"] == "invalid_api_key"
    for given in ("Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"):
        headers = {"authorization": given.encode("latin-1")}
        assert locked.client.get("/v1/models", headers=headers).status_code == 401
    for headers in ({"authorization": f"Bearer {TOKEN}"}, {"x-api-key": TOKEN}, {"Authorization": f"bearer {TOKEN}"}):
        assert locked.client.get("/v1/models", headers=headers).status_code == 200


def test_what_is_open_says_nothing_of_anybody(locked: Door) -> None:
    about = locked.client.get("/v1/about").json()
    assert about["token_needed"] and about["memories"] == [] and about["limits"]["upload_bytes"] == 4 << 20
    assert {"name": "text", "says": "a PDF's own text layer"} in about["engines"]
    assert {"name": "5x8", "width": 5, "height": 8} in about["densities"]
    listed = locked.client.get("/v1/memories", headers={"x-api-key": TOKEN}).json()["memories"]
    assert [(one["name"], one["error"]["code"]) for one in listed] == [("mine", "unreadable")]
    assert str(locked.folder) not in str(listed)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost:x", "a b", "[::1", "0x7f.1"])
def test_other_names_of_the_server_are_refused(serve: Door, host: str) -> None:
    answer = serve.client.get("/health", headers={"host": host})
    assert answer.status_code in (400, 421), answer.text


def test_its_own_names_are_taken(serve: Door, tmp_path: Path, model: Model) -> None:
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:80"):
        assert serve.client.get("/health", headers={"host": host}).status_code == 200


def test_pages_of_other_sites_may_not_ask(serve: Door) -> None:
    own = serve.url.removeprefix("http://")
    for origin in ("http://evil.example", "null", f"http://{own}.evil.example", "http://localhost:1"):
        answer = serve.client.post("/v1/jobs", files={"file": b"x"}, headers={"origin": origin})
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "other_origin"
    answer = serve.client.get("/health", headers={"origin": f"http://{own}"})
    assert answer.status_code == 200 and "access-control-allow-origin" not in answer.headers
    assert serve.client.options("/v1/jobs", headers={"origin": "http://evil.example"}).status_code == 403


def test_every_answer_has_its_headers(serve: Door) -> None:
    for path in ("/health", "/nowhere", "/docs", "/openapi.json", "/v1/jobs/none"):
        headers = serve.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def test_the_documentation_needs_nothing_from_elsewhere(serve: Door) -> None:
    page = serve.client.get("/docs").text
    assert "http://" not in page and "https://" not in page and "<script" not in page and "style=" not in page
    for path in ("POST /v1/chat/completions", "POST /v1/convert/file", "GET /v1/jobs/{job_id}/events"):
        assert path in page
    schema = serve.client.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        for route in methods.values():
            assert route["summary"] and route["description"], path
        if "post" in methods:
            (body,) = methods["post"]["requestBody"]["content"].values()
            for name in body["schema"].get("properties", {}):
                assert f"<code>{name}</code>" in page, (path, name)
    jobs = schema["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert jobs["schema"]["properties"]["file"] == {"type": "string", "format": "binary",
                              "description": "a PDF, a picture, a text to pack, or a .fiche to open"}  # fmt: skip
    assert serve.client.get("/docs.css").headers["content-type"].startswith("text/css")


def test_wrong_paths_and_methods_are_typed(serve: Door) -> None:
    for method, path, status, code in (
        ("GET", "/nowhere", 404, "not_found"), ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("GET", "/page/../application.py", 404, "not_found"),
        ("GET", "/page/%2e%2e%2fapplication.py", 404, "not_found"),
        ("GET", "/page/__init__.py", 404, "not_found"), ("GET", "/v1/jobs/x/pages/one", 400, "bad_request"),
        ("GET", "/v1/jobs/..%2f..%2f/document", 404, "not_found"), ("DELETE", "/v1/jobs/none", 404, "not_found"),
    ):  # fmt: skip
        answer = serve.client.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path


@pytest.mark.parametrize("path", [
    "/v1/chat/completions", "/v1/convert/source", "/v1/convert/source/async", "/v1/typeset",
])  # fmt: skip
@pytest.mark.parametrize("opening", [b"[", b'{"sources":'])
def test_json_that_is_nested_too_deeply_is_typed(serve: Door, path: str, opening: bytes) -> None:
    answer = serve.client.post(path, content=opening * 50_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "nested_too_deeply")
    assert serve.empties()


def test_whatever_a_route_raises_is_typed_and_says_nothing_of_what_was_sent(
    serve: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def breaks(*_: Any) -> Any:
        raise LookupError("words of a client")

    monkeypatch.setattr(Jobs, "state", breaks)
    answer = serve.client.post("/v1/jobs", files={"file": ("a.pdf", pdf("Words."))})
    assert answer.status_code == 500 and answer.json()["error"] == {
        "message": "a fault in Microfiche (LookupError)", "type": "server_error", "param": None, "code": "internal"}
    assert answer.headers["content-security-policy"] and not caplog.records and capfd.readouterr() == ("", "")
    for job in serve.left():  # the client was not told its name
        serve.client.delete(f"/v1/jobs/{job}")
    assert serve.empties()


def test_heads_are_given_without_their_bodies(serve: Door) -> None:
    for path in ("/", "/health", "/v1/models", "/page/example.pdf", "/docs"):
        head, whole = serve.client.head(path), serve.client.get(path)
        assert (head.status_code, head.content) == (200, b"") and len(whole.content) > 0, path
        assert head.headers["content-length"] == str(len(whole.content)) or path == "/health"
    assert serve.client.head("/nowhere").status_code == 404
    assert serve.client.head("/v1/jobs/x/events").status_code == 405


def test_addresses_are_not_fetched_unless_it_is_allowed(serve: Door) -> None:
    job = serve.client.post("/v1/jobs", data={"url": "http://127.0.0.1:9/a.pdf"}, files={"x": (None, "")}).json()["id"]
    state = serve.job(job)
    assert state["error"]["code"] == "urls_off" and state["name"] == "a.pdf"
    serve.client.delete(f"/v1/jobs/{job}")


def test_inner_addresses_are_fetched_only_where_all_are(tmp_path: Path, model: Model) -> None:
    """The model's own server stands for whatever is reachable from here alone."""
    inner = model.url + "/models"
    sources = {"sources": [{"kind": "http", "url": inner}]}
    with door(tmp_path, scans=Scans(endpoint=model.url), urls="public") as serve:
        for url in (inner, inner.replace("127.0.0.1", "localhost"), "http://[::1]:9/", "http://169.254.169.254/x"):
            answer = serve.client.post("/v1/convert/source", json={"sources": [{"kind": "http", "url": url}]})
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not_fetched"), url
            assert "public" in answer.json()["error"]["message"]
        answer = serve.client.post("/v1/convert/source", json={"sources": [{"kind": "http", "url": "file:///etc/x"}]})
        assert answer.status_code == 400
    with door(tmp_path, scans=Scans(endpoint=model.url), urls="any") as serve:
        answer = serve.client.post("/v1/convert/source", json=sources)
        assert answer.status_code == 200 and answer.json()["status"] == "failure", "it came, and is no document"
        assert "not a PDF" in answer.json()["errors"][0]["error_message"]


def test_settings_that_leave_the_door_open_are_refused(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        with pytest.raises(UsageError, match="give a token"):
            ServeSettings(host=host).guarded()
        assert ServeSettings(host=host, token=TOKEN).guarded().token == TOKEN
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        assert ServeSettings(host=host).guarded().jobs >= 1
    for token in ("short", "with\nline-end", "ümläut-token"):
        with pytest.raises(UsageError, match="8 printable"):
            ServeSettings(token=token).guarded()
    with pytest.raises(InputError, match="no folder of memories"):
        ServeSettings(memories=tmp_path / "none").guarded()
    with pytest.raises(UsageError, match="model of its own"):
        ServeSettings(scans=Scans(weights="x"), jobs=2).guarded()


def test_a_document_named_after_a_secret_leaves_no_trace_in_what_is_said(
    serve: Door, capfd: pytest.CaptureFixture[str]
) -> None:
    job = serve.begun(pdf("top secret words"), "secret-name.pdf")
    assert serve.job(job)["status"] == "done"
    bad = serve.begun(b"top secret bytes", "secret-name.pdf")
    assert serve.job(bad)["status"] == "failed"
    metrics = serve.client.get("/metrics").text
    for text in (*capfd.readouterr(), *serve.said, metrics):
        assert "secret" not in text
    for one in (job, bad):
        serve.client.delete(f"/v1/jobs/{one}")
