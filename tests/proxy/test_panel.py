"""The proxy's own pages: what they show, to whom, and that nothing which clients send becomes markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from agent import ClaudeCode, Codex, tool_script
from between import PATIENCE, get, post, proxying
from provider.server import Provider
from test_drawing import Session, perfect
from test_twin import Painter

from microfiche.proxy import server
from microfiche.proxy.account import Account, records_in, summed
from microfiche.proxy.drawer import LedgerDrawer
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.settings import Settings
from microfiche.proxy.verdict import Draw


@pytest.fixture
def proxied(vendor: Provider, tmp_path: Path) -> Iterator[tuple[str, Account]]:
    chosen = Settings(anthropic=vendor.url, openai=vendor.url, gemini=vendor.url, log=tmp_path / "deep/log.jsonl")
    made, account = server.relay(chosen, Painter())
    with proxying(made) as url:
        yield url, account


def test_the_page_shows_what_each_request_cost(vendor: Provider, proxied: tuple[str, Account]) -> None:
    url, _ = proxied
    vendor.script = tool_script(3)
    with ClaudeCode(url) as agent:
        agent.play("Read.")
    status = get(url + "/microfiche/status.json").json()
    assert len(status["requests"]) == 4 and status["draws"] and status["draw"] == "safe" and not status["trouble"]
    last = status["requests"][0]
    assert last["model"] == "claude-opus-5-5" and last["auth"] == "OAuth" and last["status"] == 200
    assert last["saved"] > 0 and last["reasons"] == ["tool results"] and len(last["pages"]) == 3
    assert status["total"]["dollars"] == pytest.approx(float(vendor.cache.bill.dollars), abs=1e-9)
    assert status["vendors"]["anthropic"] == vendor.url.removeprefix("http://")
    png = get(f"{url}/microfiche/pages/{last['pages'][0]}.png")
    assert png.content.startswith(b"\x89PNG") and png.headers["content-type"] == "image/png"
    page = get(url + "/microfiche/")
    assert "<table>" in page.text and "script-src 'self'" in page.headers["content-security-policy"]
    for name in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert get(f"{url}/microfiche/{name}").status_code == 200
    assert get(url + "/microfiche").headers["location"] == "microfiche/"
    assert get(url + "/healthz").json() == {"status": "ok"}
    assert get(url + "/microfiche/none").status_code == 404
    assert len(vendor.requests) == 4, "no page of ours goes to the vendor"


def test_figures_for_prometheus(vendor: Provider, proxied: tuple[str, Account]) -> None:
    url, _ = proxied
    for model in ("claude-opus-5", 'odd"} 1\nmicrofiche_x{a="'):
        post(url + "/v1/messages", json={"model": model, "messages": [{"role": "user", "content": "hi"}]})
    vendor.faults.clear()
    lines = get(url + "/metrics").text.splitlines()
    assert 'microfiche_requests_total{vendor="anthropic",status="2xx"} 2' in lines
    assert 'microfiche_tokens_total{model="claude-opus-5",way="sent",kind="output"} 2' in lines
    assert any(line.startswith('microfiche_dollars_total{model="claude-opus-5",way="text"} 0.0000') for line in lines)
    shape = re.compile(r'# (HELP|TYPE) .*|\w+(\{\w+="[\w.-]+"(,\w+="[\w.-]+")*\})? [\d.]+')
    assert all(map(shape.fullmatch, lines))
    assert "microfiche_unpriced_total 1" in lines and not any("microfiche_x" in line for line in lines)


def test_the_switch_stops_drawing_for_all(vendor: Provider, proxied: tuple[str, Account]) -> None:
    url, account = proxied
    vendor.script = tool_script(4)
    send = {"content-type": "application/json"}
    with Codex(url) as agent:
        agent.play("Read.")
        for body, headers, status in ((b'{"draws": false}', {"content-type": "text/plain"}, 403), (b"{}", send, 400),
                                      (b'{"draws": false}', {**send, "origin": "https://evil.example"}, 403),
                                      (b'{"draws": 1}', send, 400), (b"[" * 9999, send, 400)):  # fmt: skip
            assert post(url + "/microfiche/switch", content=body, headers=headers).status_code == status
        own = {**send, "origin": url}
        switched = post(url + "/microfiche/switch", content=b'{"draws": false}', headers=own)
        assert switched.json() == {"draws": False}
        post(url + "/v1/responses", content=agent.body(), headers=agent.headers)
        assert vendor.requests[-1].body == agent.body() and account.recent[-1].pages == ()
        saved = account.recent[-1].saved
        assert saved is not None and saved < 0, "the text was never cached: a loss"


def test_switches_choose_what_new_texts_become(vendor: Provider, tmp_path: Path) -> None:
    """What was drawn stays drawn, so that every request begins with the one before."""
    ledger = Ledger(tmp_path / "ledger")
    drawer = LedgerDrawer(lambda: ledger, Draw.safe, perfect)
    made, account = server.relay(Settings(anthropic=vendor.url, log=tmp_path / "log"), drawer)
    session = Session("")
    with proxying(made) as url:
        session.url = url

        def switch(wanted: object, status: int = 200) -> dict[str, object]:
            assert post(url + "/microfiche/switch", json=wanted).status_code == status
            shown: dict[str, object] = get(url + "/microfiche/status.json").json()
            return shown

        session.turn()
        assert switch({"draws": False, "model": "claude-fable-5"})["models"] == {"claude-fable-5": False}
        session.turn()
        assert "switched off for this model" in account.recent[-1].reasons[-1]
        assert switch({"draws": True, "model": "claude-fable-5-20260609"})["models"] == {"claude-fable-5": True}
        session.turn()
        said = switch({"draw": "full"})
        assert (said["draw"], said["kinds"], drawer.kinds) == ("full", ["safe", "slab", "full"], Draw.full)
        for wrong in ({"draw": "off"}, {"draw": "all"}, {"draw": 1}, {"draws": "x"}, {"draws": True, "model": 5}, [],
                      {"draws": False, "model": "unheard-of"}, {"draws": True, "more": 1}, {}, "draws"):  # fmt: skip
            assert switch(wrong, 400)["draw"] == "full"
    drawn = [[isinstance(m["content"][0]["content"], list) for m in r.json["messages"][2::2]] for r in vendor.requests]
    assert drawn == [[True], [True, False], [True, False, True]]


def test_without_a_drawer_there_is_nothing_to_choose(vendor: Provider, tmp_path: Path) -> None:
    made, _ = server.relay(Settings(anthropic=vendor.url, log=tmp_path / "log", draw=Draw.off))
    with proxying(made) as url:
        for wanted in ({"draw": "slab"}, {"draws": False, "model": "claude-fable-5"}):
            assert post(url + "/microfiche/switch", json=wanted).status_code == 400
        status = get(url + "/microfiche/status.json").json()
    assert (status["draw"], status["kinds"], status["models"], status["draws"]) == ("off", [], {}, False)


OTHERS = [
    "evil.example", "evil.example:80", "127.0.0.1.evil.example", "[bad", "", "evil@127.0.0.1", "a:b@localhost",
    "127.0.0.1/x", "127.0.0.1?x", "127.0.0.1#x", "127.0.0.1:80:80", "127.0.0.1:x", "127.1", "2130706433",
    "localhost.evil.example", "127.0.0.1.nip.io", "evil.example#@localhost", "[::1]x", "[::1", "[::2]", "0.0.0.0",
    "127.0.0.1, evil.example", "evil.example\\@127.0.0.1", "127.0.0.1%00",
]  # fmt: skip


def test_only_who_calls_by_this_machines_address_is_answered(proxied: tuple[str, Account]) -> None:
    url, _ = proxied
    with httpx2.Client(base_url=url, timeout=PATIENCE) as client:
        for host in OTHERS:
            for path in ("/microfiche/", "/microfiche/status.json", "/metrics"):
                assert client.get(path, headers={"host": host}).status_code in (400, 403), host
        for host in ("localhost:1", "localhost", "127.0.0.1:1", "127.8.8.8", "[::1]:1", "[::1]"):
            answer = client.get("/microfiche/", headers={"host": host})
            assert answer.status_code == 200 and answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert client.put("/microfiche/").status_code == 405


def test_the_script_writes_text_and_no_markup() -> None:
    script = Path(server.__file__).with_name("panel.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", script)


def test_the_log_has_one_line_a_request_and_sums_up(vendor: Provider, proxied: tuple[str, Account]) -> None:
    url, account = proxied
    vendor.script = tool_script(3)
    with ClaudeCode(url) as agent:
        agent.start()
        agent.play("Read the secret plan.")
    path = account.log
    assert path is not None and path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    with path.open("ab") as file:
        file.write(b'not a record\n{"id": 3}\n[]\n\xff\n')
    records = list(records_in(path))
    assert len(records) == len(path.read_text("utf-8", "replace").splitlines()) - 4 == 6
    assert "plan" not in path.read_text("utf-8", "replace")
    by = {name: summed(records, name) for name in ("session", "model", "client", "vendor", "day")}
    assert set(by["model"]) == {"claude-opus-5-5", "claude-haiku-4-5", "-"} and len(by["session"]) == 2
    assert sum(one.dollars for one in by["model"].values()) == pytest.approx(account.total.dollars)
    assert json.dumps(by["model"]["claude-opus-5-5"].as_json())


def test_a_log_that_cannot_be_written_hurts_nobody(vendor: Provider, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for log in (tmp_path, tmp_path / "file/below", Path("/dev/full")):
        made, account = server.relay(Settings(anthropic=vendor.url, log=log))
        with proxying(made) as url:
            answer = post(url + "/v1/messages", json={"model": "claude-opus-5", "messages": []})
            status = get(url + "/microfiche/status.json").json()
        assert answer.status_code == 200 and "cannot be written" in status["log"] and status["trouble"]
        assert account.total.requests == 1


def test_a_long_log_is_put_aside_once(vendor: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microfiche.proxy.account.LOG_BYTES", 3000)
    made, _ = server.relay(Settings(anthropic=vendor.url, log=tmp_path / "log"))
    with proxying(made) as url, httpx2.Client(timeout=PATIENCE) as client:
        for _ in range(20):
            client.post(url + "/v1/messages", json={"model": "claude-opus-5", "messages": []})
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2 and max(sizes) < 5000 and list(records_in(tmp_path / "log"))
