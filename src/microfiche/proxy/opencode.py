"""OpenCode's settings as far as they say where its providers are asked, and those that lead them to the proxy.

They are JSON that may have comments, in files of the user's and the project's and in a variable that stands over them.
Source: OpenCode's documentation of its configuration, November 2026.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from microfiche.proxy.protocols import Vendor

CONTENT = "OPENCODE_CONFIG_CONTENT"  #: settings of OpenCode that stand over its files
PROVIDERS: Mapping[str, tuple[Vendor, str]] = {
    "anthropic": ("anthropic", "/v1"), "openai": ("openai", "/v1"), "google": ("gemini", "/v1beta"),
}  # fmt: skip
_STRING = r'("(?:[^"\\]|\\.)*")'
_COMMENT = re.compile(_STRING + r"|//[^\n]*|/\*.*?\*/", re.S)
_COMMA = re.compile(_STRING + r"|,(?=\s*[}\]])", re.S)


def providers(environment: Mapping[str, str]) -> dict[str, tuple[Vendor, str | None]]:
    """For each provider its vendor and the base URL that the user's settings have for it: "" where they have none, None
    where they cannot be read, or name it by something that is not written there."""
    found: dict[str, str | None] = dict.fromkeys(PROVIDERS, "")
    for text in _texts(environment):
        table = None if text is None else read(text)
        for name in PROVIDERS:
            if table is None:
                found[name] = None
            elif own := _below(table, "provider", name, "options", "baseURL"):
                found[name] = own if isinstance(own, str) and re.match(r"https?://[^{}]+$", own) else None
    return {name: (PROVIDERS[name][0], own) for name, own in found.items()}


def led(own: str, url: str, apart: Set[str]) -> str:
    """What is in the variable, with the proxy at `url` as the base URL of those providers that are not `apart`; the
    same where it cannot be read."""
    table = read(own) if own.strip() else {}
    if table is None:
        return own
    for name, (_, path) in PROVIDERS.items():
        options: Any = table
        for key in ("provider", name, "options"):
            options = options.setdefault(key, {}) if isinstance(options, dict) else None
        if isinstance(options, dict) and f"OpenCode's provider {name}" not in apart:
            options["baseURL"] = url + path
    return json.dumps(table)


def read(text: str) -> dict[str, Any] | None:
    """Settings from JSON with comments and commas at the end; None where they are none."""
    plain = _COMMA.sub(lambda found: found[1] or "", _COMMENT.sub(lambda found: found[1] or " ", text.lstrip("\ufeff")))
    try:
        table = json.loads(plain)
    except (ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) else None


def _below(table: Any, *keys: str) -> Any:
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _texts(environment: Mapping[str, str]) -> Iterator[str | None]:
    """The settings in the order in which one stands over another; None for what cannot be read."""
    home = Path(environment.get("HOME") or "~").expanduser()
    folders = [Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "opencode"]
    files = [folder / name for folder in folders for name in ("config.json", "opencode.json", "opencode.jsonc")]
    files += [Path(named) for named in (environment.get("OPENCODE_CONFIG"),) if named]
    places = [Path.cwd(), *Path.cwd().parents]
    root = next((number for number, place in enumerate(places) if (place / ".git").exists()), 0)
    for place in reversed(places[: root + 1]):
        files += [place / part / f"opencode.{end}" for part in ("", ".opencode") for end in ("json", "jsonc")]
    if named := environment.get("OPENCODE_CONFIG_DIR"):
        files += [Path(named) / f"opencode.{end}" for end in ("json", "jsonc")]
    for file in files:
        try:
            yield file.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            yield None
    if environment.get(CONTENT, "").strip():
        yield environment[CONTENT]
