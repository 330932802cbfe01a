"""proxy, run, stats and doctor as commands: against stand-ins on this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from between import PATIENCE, get, post
from provider.server import Provider, Reply, provider
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.proxy import clients

BODY = {"model": "claude-opus-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
ASK = f"""
import os, sys, urllib.request
url, name = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", "x-api-key"
body, headers = {json.dumps(BODY).encode()!r}, {{"x-api-key": "sk-ant-canary", "User-Agent": "asker/1"}}
ask = urllib.request.Request(url, body, headers)
with urllib.request.urlopen(ask) as answer:
    answer.read()
print(answer.status, *sys.argv[1:])
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of a test's own, without settings."""
    for name in [name for name in os.environ if name.startswith("MICROFICHE_PROXY_") or name in clients.VARIABLES]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def vendor() -> Iterator[Provider]:
    with provider() as made:
        yield made


def microfiche(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "microfiche", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **more})


@contextmanager
def proxy(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A proxy in a process of its own, and its address."""
    command = [sys.executable, "-m", "microfiche", "proxy", "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            found = re.match(r"(http://\S+) is ready", line)
            assert found, line
            yield found[1], process
        finally:
            process.terminate()
            process.wait(PATIENCE)


def logged(place: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (place / "state/microfiche/proxy.jsonl").read_text().splitlines()]


def test_a_proxy_stands_before_its_vendors_until_it_is_stopped(place: Path, vendor: Provider) -> None:
    with proxy("--anthropic", vendor.url, "--openai", f"{vendor.url}/v1", "--gemini", vendor.url) as (url, process):
        assert post(f"{url}/v1/messages", json=BODY).status_code == 200
        chat = {"model": "gpt-6-sol", "messages": BODY["messages"]}
        assert post(f"{url}/v1/chat/completions", json=chat).status_code == 200
        assert get(f"{url}/microfiche/").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) in (0, 130, -signal.SIGINT)
    assert [r.path for r in vendor.requests] == ["/v1/messages", "/v1/chat/completions"]
    assert [line["model"] for line in logged(place)] == ["claude-opus-5", "gpt-6-sol"]
    done = microfiche("stats", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["total"]["requests"] == 2
    table = microfiche("stats", "--by", "model").stdout
    assert "claude-opus-5" in table and "$0.0001" in table


def test_others_need_the_token(place: Path, vendor: Provider) -> None:
    with proxy("--host", "0.0.0.0", "--anthropic", vendor.url) as (url, _):
        bare, token = url.split("/@")
        assert post(f"{bare}/v1/messages", json=BODY).status_code == 401
        assert get(f"{bare}/microfiche/").status_code == 401
        assert post(f"{bare}/@{token}/v1/messages", json=BODY).status_code == 200
        assert get(f"{bare}/@{token}/microfiche/status.json").json()["total"]["requests"] == 1
        own = {"MICROFICHE_PROXY_HOST": "0.0.0.0", "MICROFICHE_PROXY_PORT": bare.rpartition(":")[2]}
        said = microfiche("doctor", **own, ANTHROPIC_BASE_URL=f"{bare}/@{token}").stdout
        assert "a proxy answers" in said and "ANTHROPIC_BASE_URL leads to the proxy" in said


def test_run_ends_with_its_command_and_with_its_code(place: Path, vendor: Provider) -> None:
    command = [sys.executable, "-c", ASK + "sys.exit(7)", "--port", "x"]
    done = microfiche("run", "--", *command, ANTHROPIC_BASE_URL=vendor.url)
    assert done.returncode == 7 and done.stdout == "200 --port x\n", done.stderr
    assert "requests: 1; cost: $0.0001, as text $0.0001 (prices of " in done.stderr
    assert vendor.requests[0].header("x-api-key") == "sk-ant-canary", "to where the client would have gone"
    assert "canary" not in done.stderr and "canary" not in (place / "state/microfiche/proxy.jsonl").read_text()
    address = re.search(r"http://127.0.0.1:\d+", done.stderr)
    assert address is not None
    with pytest.raises(httpx2.ConnectError):
        get(address[0])


@pytest.mark.parametrize("model", ["gpt-99-nova", "claude-99", "somebodys-own"])
def test_run_says_how_a_model_that_the_registry_does_not_know_is_measured(
    place: Path, vendor: Provider, model: str
) -> None:
    done = microfiche("run", "--", sys.executable, "-c", ASK.replace("claude-opus-5", model),
                      ANTHROPIC_BASE_URL=vendor.url)  # fmt: skip
    said = done.stderr.splitlines()[-1]
    assert f"microfiche memory calibrate --text FILE --endpoint URL --endpoint-model {model} " in said
    assert re.search(r"[\d,]+ tokens of input and about [\d,]+ of output, whose price is not known, if pictures", said)
    assert "not in the registry" in said


def test_run_says_how_a_model_without_a_profile_is_measured(place: Path, vendor: Provider) -> None:
    ask = [sys.executable, "-c", ASK.replace("claude-opus-5", "claude-fable-5-2")]
    done = microfiche("run", "--", *ask, ANTHROPIC_BASE_URL=vendor.url)
    said = done.stderr.splitlines()[-1]
    assert "claude-fable-5-2 is not known to read pages and was sent text: microfiche memory calibrate --text" in said
    assert re.search(r"[\d,]+ tokens of input and about [\d,]+ of output, about \$\d+\.\d\d", said)
    quiet = microfiche("run", "--draw", "off", "--", *ask, ANTHROPIC_BASE_URL=vendor.url)
    assert quiet.returncode == 0 and "calibrate" not in quiet.stderr


def test_run_passes_a_signal_on_and_leaves_nothing_behind(place: Path) -> None:
    wait = "import time; print('on', flush=True); time.sleep(600)"
    command = [sys.executable, "-m", "microfiche", "run", "--", sys.executable, "-c", wait]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "on\n"
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_run_says_where_nothing_passed(place: Path) -> None:
    done = microfiche("run", "--", "true")
    assert done.returncode == 0 and "nothing of true passed the proxy" in done.stderr.splitlines()[-1]


def test_a_command_that_is_not_there_is_said(place: Path) -> None:
    done = microfiche("run", "--", "no-such-program-here")
    assert done.returncode == 127 and "no-such-program-here: there is no such program" in done.stderr


def test_each_client_is_led_to_the_proxy() -> None:
    own = '{"theme":"x","provider":{"openai":{"name":"n"}}}'
    made = clients.led({"NO_PROXY": "a.example", clients.OPENCODE: own}, "http://h:1")
    assert made["ANTHROPIC_BASE_URL"] == "http://h:1" and made["OPENAI_BASE_URL"] == "http://h:1/v1"
    assert made["GOOGLE_GEMINI_BASE_URL"] == "http://h:1" and made["NO_PROXY"] == "a.example,h"
    led = json.loads(made[clients.OPENCODE])
    assert led["theme"] == "x" and led["provider"]["openai"] == {"name": "n", "options": {"baseURL": "http://h:1/v1"}}
    assert led["provider"]["anthropic"]["options"]["baseURL"] == "http://h:1/v1"
    assert clients.led_command(["/usr/bin/codex", "exec", "x"], "http://h:1") == [
        "/usr/bin/codex", "-c", 'openai_base_url="http://h:1/v1"', "exec", "x"
    ]  # fmt: skip
    assert clients.led_command(["claude", "-p"], "http://h:1") == ["claude", "-p"]
    named = {"OPENAI_BASE_URL": "http://g/v1", "ANTHROPIC_BASE_URL": "", "HOME": "/nowhere"}
    assert clients.leading(["x"], named, {}).addresses == {"openai": "http://g/v1"}


def test_the_doctor_says_how_clients_are_connected(place: Path, vendor: Provider) -> None:
    first = CliRunner().invoke(app, ["doctor"])
    assert first.exit_code == 1 and "no proxy answers" in first.stdout and "no log yet" in first.stderr
    with proxy("--anthropic", vendor.url) as (url, _):
        headers = {"user-agent": "claude-cli/2.9.1 (external, cli)", "authorization": "Bearer sk-ant-oat01-canary",
                   "anthropic-version": "2023-06-01", "anthropic-beta": "oauth-2025-04-20,context-1m"}  # fmt: skip
        vendor.faults.append(Reply(401, [], [b"{}"], length=2))
        for _ in range(2):
            post(f"{url}/v1/messages", json=BODY, headers=headers)
        port = url.rpartition(":")[2]
        environment = {"MICROFICHE_PROXY_PORT": port, "ANTHROPIC_BASE_URL": url.replace("127.0.0.1", "localhost"),
                       "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}  # fmt: skip
        done = microfiche("doctor", **environment)
        told = json.loads(microfiche("doctor", "--json", **environment).stdout)
    assert done.returncode == 1 and "problem  claude-cli/2.9.1 (external, cli): 1 answers 401" in done.stdout
    for said in ("key OAuth", "betas context-1m, oauth-2025-04-20", "anthropic-version 2023-06-01", "a proxy answers",
                 "ANTHROPIC_BASE_URL leads to the proxy", "OPENAI_BASE_URL leads elsewhere",
                 "model claude-opus-5: text, the model does not read pages well enough (published"):  # fmt: skip
        assert said in done.stdout
    assert told["clients"][0]["auth"] == ["OAuth"] and "canary" not in done.stdout


def test_losses_are_red(place: Path) -> None:
    log = place / "log"
    tokens = {"uncached": 10, "written": 0, "written_hour": 0, "read": 0, "output": 1}
    record = {"id": "1", "time": "2026-11-26T10:00:00", "session": "s", "vendor": "anthropic", "asks": "messages",
              "method": "POST", "status": 200, "tokens": tokens, "text_tokens": tokens, "dollars": 0.5,
              "text_dollars": 0.2, "priced": "2026-11-09"}  # fmt: skip
    log.write_text(json.dumps(record) + "\n")
    done = microfiche("stats", "--log", str(log), FORCE_COLOR="1", COLUMNS="160")
    assert "\x1b[31m−$0.3000\x1b[0m" in done.stdout and "prices of 2026-11-09" in done.stderr


def test_what_is_missing_or_taken_is_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = CliRunner().invoke(app, ["stats", "--log", str(place / "none")])
    assert missing.exit_code == 1 and "there is no log yet" in missing.stderr
    for folder in (".", str(place), "/"):
        none = CliRunner().invoke(app, ["stats", "--log", folder])
        assert none.exit_code == 2 and "is a folder" in none.stderr
    with proxy() as (url, _):
        taken = microfiche("proxy", "--port", url.rpartition(":")[2])
    assert taken.returncode == 1 and "cannot be had" in taken.stderr and "--port 0" in taken.stderr
    wrong = microfiche("proxy", "--openai", "https://me:secret@h")
    assert wrong.returncode == 2 and "secret" not in wrong.stderr
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "microfiche.proxy.server", raising=False)
    monkeypatch.delattr("microfiche.proxy.server", raising=False)
    for command in (["proxy"], ["run", "--", "true"]):
        bare = CliRunner().invoke(app, command)
        assert bare.exit_code == 2 and "pip install 'microfiche[serve]'" in bare.stderr


def test_an_open_stream_does_not_keep_a_stopped_proxy(place: Path, vendor: Provider) -> None:
    vendor.reply = lambda _: Reply(200, [("content-type", "text/event-stream")], [b"data: 1\n\n"] * 9999, pause=0.05)
    with proxy("--anthropic", vendor.url) as (url, process):
        thread = threading.Thread(target=_listen, args=(url,), daemon=True)
        thread.start()
        while not vendor.requests:
            time.sleep(0.01)
        process.terminate()
        process.wait(PATIENCE)
        thread.join(PATIENCE)
    assert not thread.is_alive()


def _listen(url: str) -> None:
    with suppress(httpx2.HTTPError):
        post(f"{url}/v1/messages", json=BODY)


def test_what_cannot_be_is_refused_in_one_line_at_the_start(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(place / "pipe")
    (place / "script").write_text("no program")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    for arguments, code, why in (
        (["proxy", "--log", str(place / "pipe")], 2, "is a pipe"),
        (["run", "--log", str(place / "pipe"), "--", "true"], 2, "is a pipe"),
        (["proxy", "--anthropic", "http://[::1"], 2, "is not an http:// or https:// address"),
        (["proxy", "--port", port, "--anthropic", url], 2, "is this proxy itself"),
        (["run", "--port", port, "--", "true"], 2, "is this proxy itself"),
        (["run", "--", str(place / "script")], 126, "cannot be started"),
    ):
        if code == 126:
            monkeypatch.delenv("ANTHROPIC_BASE_URL")
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == code and why in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == (2 if code == 126 else 1)


@pytest.mark.parametrize("name", ["SIGINT", "SIGUSR1"])
def test_run_passes_other_signals_on_too(place: Path, name: str) -> None:
    catch = f"signal.signal(signal.{name}, lambda *_: sys.exit(9))"
    script = f"import signal, sys, time\n{catch}\nprint('on', flush=True)\ntime.sleep(600)"
    command = [sys.executable, "-m", "microfiche", "run", "--", sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "on\n"
        process.send_signal(getattr(signal, name))
        assert process.wait(PATIENCE) == 9


def test_what_clients_call_themselves_is_no_markup_and_bad_lines_are_said(place: Path) -> None:
    log = place / "log"
    record = {"id": "1", "time": "2026-11-26T10:00:00", "session": "s", "vendor": "anthropic", "method": "POST",
              "asks": "messages answer", "status": 200, "client": "a [/] [red]b\\", "model": "x[/y]"}  # fmt: skip
    log.write_text(json.dumps(record) + "\nbroken\n" + json.dumps({**record, "status": "x"}) + "\n")
    for by, shown in (("client", "a [/] [red]b\\"), ("model", "x[/y]")):
        done = CliRunner().invoke(app, ["stats", "--by", by, "--log", str(log)], env={"COLUMNS": "160"})
        assert done.exit_code == 0 and shown in done.stdout
        assert "2 lines of the log are no records" in done.stderr
    assert json.loads(CliRunner().invoke(app, ["stats", "--json", "--log", str(log)]).stdout)["skipped"] == 2
    doctor = CliRunner().invoke(app, ["doctor", "--log", str(log)])
    assert "2 lines of the log are no records" in doctor.stdout and doctor.exit_code == 1
