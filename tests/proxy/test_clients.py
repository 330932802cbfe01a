"""A command is led to the proxy, but for what leads elsewhere than the proxy does: no key goes to another host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from microfiche.proxy import clients, opencode
from microfiche.proxy.clients import OPENCODE, leading, led, led_command

URL = "http://127.0.0.1:1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "work/.git").mkdir(parents=True)
    (tmp_path / "work/deep").mkdir()
    monkeypatch.chdir(tmp_path / "work/deep")
    return {"HOME": str(tmp_path)}


def own(url: Any, provider: str = "anthropic") -> str:
    return json.dumps({"provider": {provider: {"options": {"baseURL": url, "apiKey": "k"}}}})


def urls(environment: dict[str, str]) -> dict[str, Any]:
    table = json.loads(environment[OPENCODE])
    return {name: table["provider"][name]["options"].get("baseURL") for name in opencode.PROVIDERS}


def test_variables_that_differ_are_left_apart(home: dict[str, str]) -> None:
    home |= {"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_BASE": "http://b/v1", "ANTHROPIC_BASE_URL": "http://c",
             "ANTHROPIC_API_BASE": "http://c/"}  # fmt: skip
    made = leading(["x"], home, {})
    assert made.addresses == {"openai": "http://a/v1", "anthropic": "http://c"} and made.apart == {"OPENAI_API_BASE"}
    assert len(made.said) == 1 and made.said[0].startswith("OPENAI_API_BASE leads elsewhere")
    environment = led(home, URL, made.apart)
    assert environment["OPENAI_BASE_URL"] == URL + "/v1" and environment["OPENAI_API_BASE"] == "http://b/v1"
    assert environment["ANTHROPIC_BASE_URL"] == environment["ANTHROPIC_API_BASE"] == URL
    named = leading(["x"], home, {"openai": "http://z/v1"})
    assert named.addresses["openai"] == "http://z/v1" and not named.apart, "the user's own word stands over variables"


def test_opencodes_own_base_url_becomes_the_address_or_is_left(home: dict[str, str]) -> None:
    home[OPENCODE] = own("http://gateway/v1")
    made = leading(["/usr/bin/opencode"], home, {})
    assert made.addresses == {"anthropic": "http://gateway/v1"} and not made.apart
    assert urls(led(home, URL, made.apart))["anthropic"] == URL + "/v1"
    assert json.loads(led(home, URL, made.apart)[OPENCODE])["provider"]["anthropic"]["options"]["apiKey"] == "k"
    other = leading(["claude"], home, {})
    assert other.addresses == {} and urls(led(home, URL, other.apart))["anthropic"] == "http://gateway/v1"
    given = leading(["opencode"], home, {"anthropic": "http://z"})
    assert urls(led(home, URL, given.apart))["anthropic"] == "http://gateway/v1" and given.said
    home["ANTHROPIC_BASE_URL"] = "http://other"
    both = leading(["opencode"], home, {})
    assert both.addresses == {"anthropic": "http://gateway/v1"} and both.apart == {"ANTHROPIC_BASE_URL"}


@pytest.mark.parametrize("place", [
    ".config/opencode/opencode.json", ".config/opencode/opencode.jsonc", "work/opencode.json",
    "work/deep/opencode.jsonc", "work/.opencode/opencode.json", "named.json",
])  # fmt: skip
def test_opencodes_files_are_read(home: dict[str, str], place: str) -> None:
    file = Path(home["HOME"]) / place
    file.parent.mkdir(parents=True, exist_ok=True)
    home["OPENCODE_CONFIG"] = str(Path(home["HOME"]) / "named.json")
    file.write_text('// mine\n{"provider": {"openai": {"options": {"baseURL": "http://g/v1", /* x */ },},},}')
    assert leading(["opencode"], home, {}).addresses == {"openai": "http://g/v1"}
    made = leading(["claude"], home, {})
    assert made.addresses == {} and urls(led(home, URL, made.apart))["openai"] is None
    file.write_bytes(b"{\xff")
    broken = leading(["opencode"], home, {})
    assert len(broken.apart) == 3 and set(urls(led(home, URL, broken.apart)).values()) == {None}


@pytest.mark.parametrize("odd", [
    "{", "[]", "3", '{"provider": 3}', '{"provider": {"anthropic": []}}', "[" * 9999, '"x"', "null", "\ufeff{}", " ",
    '{"provider": {"anthropic": {"options": "x"}}}', '{"provider": {"anthropic": {"options": {"baseURL": 5}}}}',
    "// only\n{}",
    own("{env:MY_URL}"), own("{file:~/url}"), '{"a": "// no comment", "b": "/*", "c": ",}"}',
])  # fmt: skip
def test_odd_settings_of_opencode_refuse_no_command(home: dict[str, str], odd: str) -> None:
    home[OPENCODE] = odd
    for command in ("opencode", "claude"):
        made = leading([command], home, {})
        environment = led(home, URL, made.apart)
        assert environment["ANTHROPIC_BASE_URL"] == URL
        if odd.startswith('{"a"'):
            assert json.loads(environment[OPENCODE])["a"] == "// no comment"
        if "MY_URL" in odd:
            assert urls(environment)["anthropic"] == "{env:MY_URL}"


def test_codexs_settings_say_where_its_requests_go(home: dict[str, str]) -> None:
    file = Path(home["HOME"]) / ".codex/config.toml"
    file.parent.mkdir()
    file.write_text('openai_base_url = "http://g/v1"\n')
    made = leading(["codex", "exec"], home, {})
    assert made.addresses == {"openai": "http://g/v1", "chatgpt": "http://g/v1"} and "codex" not in made.apart
    assert led_command(["codex", "exec"], URL, made.apart)[1] == "-c"
    assert leading(["claude"], home, {}).addresses == {}
    apart = leading(["codex"], home, {"openai": "http://z/v1"}).apart
    assert led_command(["codex", "exec"], URL, apart) == ["codex", "exec"]
    file.write_text("no TOML")
    assert "codex" in leading(["codex"], home, {}).apart
    home["CODEX_HOME"] = str(file.parent / "nowhere")
    assert leading(["codex"], home, {}).apart == set()


def settings_of(home: dict[str, str], place: str, **env: Any) -> None:
    file = Path(home["HOME"]) / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"env": env}))


def test_claude_s_settings_stand_over_the_environment_and_are_led_too(home: dict[str, str]) -> None:
    home["ANTHROPIC_BASE_URL"] = "http://shell"
    assert not leading(["claude"], home, {}).settings
    for place in (".claude/settings.json", "work/deep/.claude/settings.json", "work/deep/.claude/settings.local.json"):
        settings_of(home, place, ANTHROPIC_BASE_URL=f"http://{len(place)}", OTHER=3)
        made = leading(["/usr/bin/claude", "-p", "hi"], home, {})
        assert made.addresses == {"anthropic": f"http://{len(place)}"} and made.settings
        assert made.apart == {"ANTHROPIC_BASE_URL"}, "it is not what Claude Code heeds"
        assert led_command(["claude", "-p", "hi"], URL, made.apart, made.settings) == [
            "claude", "--settings", json.dumps({"env": {"ANTHROPIC_BASE_URL": URL}}), "-p", "hi"
        ]  # fmt: skip
    for command in (["claude", "--settings", "x.json"], ["claude", "--settings={}"]):
        left = leading(command, home, {})
        assert not left.settings and left.said[0].startswith("claude has settings that name an address")
    assert not leading(["claude"], home, {"anthropic": "http://mine"}).settings
    assert not leading(["codex"], home, {}).settings
    home["CLAUDE_CONFIG_DIR"] = str(Path(home["HOME"]) / "elsewhere")
    assert leading(["claude"], home, {}).addresses == {"anthropic": "http://37"}


@pytest.mark.parametrize("odd", [
    "", "{", "[]", "3", '{"env": []}', '{"env": {"ANTHROPIC_BASE_URL": 5}}', "[" * 9999, "\udcff",
])  # fmt: skip
def test_odd_settings_of_claude_refuse_no_command(home: dict[str, str], odd: str) -> None:
    settings_of(home, ".claude/settings.json")
    (Path(home["HOME"]) / ".claude/settings.json").write_bytes(odd.encode("utf-8", "surrogateescape"))
    assert leading(["claude"], home, {}) == clients.Leading()


def test_what_asks_elsewhere_is_said(home: dict[str, str]) -> None:
    settings_of(home, ".claude/settings.json", CLAUDE_CODE_USE_VERTEX="1")
    home |= {"CLAUDE_CODE_USE_BEDROCK": "true", "CLAUDE_CODE_USE_FOUNDRY": "0"}
    said = leading(["claude"], home, {}).said
    assert [line.split()[0] for line in said] == ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"]
    file = Path(home["HOME"]) / ".codex/config.toml"
    file.parent.mkdir()
    for text, provider in (('model_provider = "azure"', "azure"), ('model_provider = "openai"', None),
                           ('profile = "p"\n[profiles.p]\nmodel_provider = "mine"', "mine"), ("profile = 3", None),
                           ("model_provider = 5", None)):  # fmt: skip
        file.write_text(text)
        made = leading(["codex"], home, {})
        assert "codex" not in made.apart and made.apart == ({f"Codex's provider {provider}"} if provider else set())
        assert len(made.said) == len(made.apart)


def test_what_goes_past_a_proxy_is_named_in_both_spellings() -> None:
    made = led({"no_proxy": "corp.local, b", "NO_PROXY": "b,c"}, "http://h:1")
    assert made["no_proxy"] == made["NO_PROXY"] == "b,c,corp.local,h"
    assert led({"no_proxy": "corp.local"}, "http://h:1")["NO_PROXY"] == "corp.local,h"


def test_without_a_terminal_every_signal_is_for_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> int:
        raise OSError

    monkeypatch.setattr(clients.os, "open", none)
    assert not clients._in_front()


def test_a_signal_that_comes_while_the_command_starts_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "on")
    script = "import signal, sys, time\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit(9))\n" \
             "open(sys.argv[1], 'w').write('on')\ntime.sleep(600)"  # fmt: skip

    def started(*given: Any, **named: Any) -> Any:
        made = popen(*given, **named)
        assert (tmp_path / "on").read_text() == "on"
        os.kill(os.getpid(), signal.SIGUSR1)  # as it comes before this is done
        return made

    popen = subprocess.Popen
    monkeypatch.setattr(clients.subprocess, "Popen", started)
    before = signal.getsignal(signal.SIGUSR1)
    assert clients.run([sys.executable, "-c", script, str(tmp_path / "on")], "http://127.0.0.1:1") == 9
    assert signal.getsignal(signal.SIGUSR1) == before
