"""The programs that ask models, and how each is led to the proxy: by variables of its environment, or by options where
it heeds none of these.

Sources: the clients' own documentation of November 2026 (Claude Code: LLM gateways, settings, environment variables;
Codex: config.toml; OpenCode: config; Gemini CLI and google-genai: GOOGLE_GEMINI_BASE_URL).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from microfiche.errors import UsageError
from microfiche.proxy import opencode
from microfiche.proxy.protocols import Vendor

#: the variables that lead clients to a vendor, and what follows the proxy's address in them
VARIABLES: Mapping[str, tuple[Vendor, str]] = {
    "ANTHROPIC_BASE_URL": ("anthropic", ""),
    "ANTHROPIC_API_BASE": ("anthropic", ""),
    "OPENAI_BASE_URL": ("openai", "/v1"),
    "OPENAI_API_BASE": ("openai", "/v1"),
    "GOOGLE_GEMINI_BASE_URL": ("gemini", ""),
}
OPENCODE = opencode.CONTENT
_CLOUDS = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")
_PAST = ("NO_PROXY", "no_proxy")
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


@dataclass
class Leading:
    """How a command's clients are led to the proxy: the `addresses` to which the proxy passes on what they ask, and
    what is left `apart`, as it is, because it leads elsewhere: variables, and OpenCode's providers by their names. A
    key that belongs to one address is so never sent to another. `said` is what the user should know of it. Claude Code
    is led by `settings` of its own where its files name an address, which they set over the environment's."""

    addresses: dict[Vendor, str] = field(default_factory=dict)
    apart: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)
    settings: bool = False

    def take(self, name: str, vendor: Vendor, address: str) -> None:
        """Takes an address that something names, unless another one stands already."""
        taken = self.addresses.setdefault(vendor, address)
        if taken.rstrip("/") != address.rstrip("/"):
            self.leave(name, "leads elsewhere")

    def leave(self, name: str, why: str) -> None:
        """Leaves something as it is."""
        self.apart.add(name)
        self.said.append(f"{name} {why}, and is left as it is: what it leads does not pass the proxy")


def leading(command: Sequence[str], environment: Mapping[str, str], named: Mapping[Vendor, str]) -> Leading:
    """How a command is led, whose environment and settings may already name addresses; those that the user has `named`
    for the proxy stand before the variables."""
    made = Leading(dict(named))
    program = Path(command[0]).stem
    if program == "codex":
        _codex(made, environment)
    if program == "claude":
        _claude(made, command[1:], environment)
    owned = opencode.providers(environment)
    for name, (vendor, own) in owned.items():
        if own is None:
            made.leave(f"OpenCode's provider {name}", "cannot be read")
        elif own and program == "opencode":
            made.take(f"OpenCode's provider {name}", vendor, own)
    for name, (vendor, _) in VARIABLES.items():
        if environment.get(name) and vendor not in named:
            made.take(name, vendor, environment[name])
    for name, (vendor, own) in owned.items():
        if own and program != "opencode" and made.addresses.get(vendor, "").rstrip("/") != own.rstrip("/"):
            made.apart.add(f"OpenCode's provider {name}")
    return made


def _codex(made: Leading, environment: Mapping[str, str]) -> None:
    """What Codex's settings name."""
    folder = Path(environment.get("CODEX_HOME") or Path(environment.get("HOME") or "~").expanduser() / ".codex")
    try:
        table = tomllib.loads((folder / "config.toml").read_text("utf-8-sig"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError):
        made.leave("codex", "has settings that cannot be read")
        return
    profiles, profile = table.get("profiles"), table.get("profile")
    chosen = profiles.get(profile) if isinstance(profiles, dict) and isinstance(profile, str) else None
    provider = (chosen if isinstance(chosen, dict) else {}).get("model_provider", table.get("model_provider"))
    if isinstance(provider, str) and provider != "openai":
        made.leave(f"Codex's provider {provider}", "has an address of its own")
    own = table.get("openai_base_url")
    if isinstance(own, str) and own:
        made.take("codex", "openai", own)
        made.addresses.setdefault("chatgpt", own)  # it asks there with either key


def claude_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that Claude Code's settings files name, which it sets over those of its environment."""
    folder = Path(environment.get("CLAUDE_CONFIG_DIR") or Path(environment.get("HOME") or "~").expanduser() / ".claude")
    files = [folder / "settings.json", *(Path.cwd() / ".claude" / f"settings{end}.json" for end in ("", ".local"))]
    found: dict[str, str] = {}
    for file in files:
        try:
            table = json.loads(file.read_text("utf-8-sig"))
            found |= {name: value for name, value in table["env"].items() if isinstance(value, str)}
        except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
            continue
    return found


def _claude(made: Leading, rest: Sequence[str], environment: Mapping[str, str]) -> None:
    """What Claude Code's settings name, and where it asks a cloud."""
    variables = claude_variables(environment)
    for name in _CLOUDS:
        if (variables.get(name) or environment.get(name, "")).lower() not in ("", "0", "false"):
            made.leave(name, "leads elsewhere")
    if own := variables.get("ANTHROPIC_BASE_URL"):
        if any(one == "--settings" or one.startswith("--settings=") for one in rest):
            made.leave("claude", "has settings that name an address, and others on its command line")
        else:
            made.take("claude", "anthropic", own)
        made.settings = "claude" not in made.apart


def led(environment: Mapping[str, str], url: str, apart: Set[str] = frozenset()) -> dict[str, str]:
    """An environment in which clients ask the proxy at `url`, but for what is left `apart`."""
    made = dict(environment)
    made |= {name: url + path for name, (_, path) in VARIABLES.items() if name not in apart}
    made[OPENCODE] = opencode.led(environment.get(OPENCODE, ""), url, apart)
    host = urlsplit(url).hostname or ""
    past = [one.strip() for name in _PAST for one in environment.get(name, "").split(",")]
    for name in _PAST:
        made[name] = ",".join(dict.fromkeys(one for one in (*past, host) if one))
    return made


def led_command(command: Sequence[str], url: str, apart: Set[str] = frozenset(), settings: bool = False) -> list[str]:
    """A command with the options that lead it to the proxy, where variables do not."""
    program, *rest = command
    if settings:
        return [program, "--settings", json.dumps({"env": {"ANTHROPIC_BASE_URL": url}}), *rest]
    if Path(program).stem == "codex" and "codex" not in apart:
        return [program, "-c", f'openai_base_url="{url}/v1"', *rest]
    return [program, *rest]


def run(command: Sequence[str], url: str, apart: Set[str] = frozenset(), settings: bool = False) -> int:
    """Runs a command that is led to the proxy at `url`, and returns its exit code. Signals are passed on to it, but for
    those that the terminal sends to it as well."""
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []  # signals that came before there was a command

    def passed_on(number: int, frame: FrameType | None) -> None:
        if process is None:
            early.append(number)
        elif number not in (signal.SIGINT, getattr(signal, "SIGQUIT", None)) or not _in_front():
            process.send_signal(number)

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, passed_on) for number in numbers}
    try:
        process = subprocess.Popen(led_command(command, url, apart, settings), env=led(os.environ, url, apart))
        for number in early:
            process.send_signal(number)
        code = process.wait()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        why = ": there is no such program" if missing else f" cannot be started: {error.strerror or error}"
        failure = UsageError(command[0] + why)
        failure.exit_code = 127 if missing else 126  # as a shell has it
        raise failure from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _in_front() -> bool:
    """Whether this process is in front of a terminal, which sends an interrupt to the command as well."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
