"""The proxy's settings: a TOML file, the environment over it, the command line over both.

The file is proxy.toml in the user's configuration folder, unless one is named, or else the table `proxy` of
microfiche.toml there, which has the options of the other commands too; where another is named in the place of
microfiche.toml, its table comes before proxy.toml. A variable of the environment is called
MICROFICHE_PROXY_ and the setting's name.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from microfiche.errors import UsageError, first_of
from microfiche.files import config_folder, toml_table
from microfiche.proxy.protocols import VENDORS
from microfiche.proxy.upstreams import Upstreams
from microfiche.proxy.verdict import Draw

PREFIX = "MICROFICHE_PROXY_"
PORT = 8765


class Settings(BaseModel):
    """All that can be set. An address that is None is the vendor's own; without a `token`, nobody is asked for one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1, pattern=r"^[!-~]+$")
    port: int = Field(PORT, ge=0, le=65535)
    anthropic: str | None = None
    openai: str | None = None
    chatgpt: str | None = None
    gemini: str | None = None
    draw: Draw = Draw.safe
    token: str | None = Field(None, min_length=8, pattern=r"^[A-Za-z0-9_-]+$")
    log: Path | None = None
    ledger: Path | None = None
    keep_days: float = Field(30.0, gt=0, allow_inf_nan=False)
    keep_megabytes: int = Field(1024, gt=0)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("a text or a number is needed")
        return value

    @property
    def upstreams(self) -> Upstreams:
        """The vendors' addresses; UsageError where one is none."""
        return Upstreams({vendor: named for vendor in VENDORS if (named := getattr(self, vendor)) is not None})

    @property
    def log_path(self) -> Path:
        """Where the log is."""
        return (self.log or state_folder() / "proxy.jsonl").expanduser()

    @property
    def ledger_path(self) -> Path:
        """Where the ledger is: what was decided and drawn, of all sessions."""
        return (self.ledger or state_folder() / "ledger.sqlite").expanduser()

    def guarded(self) -> Settings:
        """These settings, with a token of their own where others than this machine can reach the proxy."""
        if self.token is not None or is_loopback(self.host):
            return self
        return self.model_copy(update={"token": secrets.token_urlsafe(18)})

    @property
    def url(self) -> str:
        """The base URL for clients on this machine, with the token where there is one."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}" + (f"/@{self.token}" if self.token else "")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def state_folder() -> Path:
    """Where the log and the ledger lie."""
    return _folder("XDG_STATE_HOME", ".local/state")


def _folder(variable: str, default: str) -> Path:
    named = os.environ.get(variable, "")
    return (Path(named) if named else Path.home() / default) / "microfiche"


def settings(
    path: Path | None = None, given: Mapping[str, Any] | None = None, main: Path | None = None
) -> Settings:
    """The settings, of which those `given` that are not None stand over the environment, and that over the file: `path`
    or else the table of `main`, which was named in the place of microfiche.toml.

    UsageError, in one line that repeats no value, where one of them is wrong.
    """
    named = path or (Path(found) if (found := os.environ.get(PREFIX + "CONFIG")) else None)
    own, shared = config_folder() / "proxy.toml", main or config_folder() / "microfiche.toml"
    table: dict[str, Any] = {}
    for file in [named] if named else [shared, own] if main else [own, shared]:
        table = toml_table(file, must=file in (named, main))
        table = table.get("proxy", {}) if file == shared else table
        if table:
            break
    names = {name: PREFIX + name.upper() for name in Settings.model_fields}
    parts = {
        str(file): table,
        "the environment": {name: os.environ[variable] for name, variable in names.items() if variable in os.environ},
        "the command line": {name: value for name, value in (given or {}).items() if value is not None},
    }
    for source, part in parts.items():
        _checked(part, source)
    return _checked({key: value for part in parts.values() for key, value in part.items()}, "the settings")


def _checked(part: Mapping[str, Any], source: str) -> Settings:
    try:
        made = Settings.model_validate(part)
        assert made.upstreams is not None
    except ValidationError as error:
        raise UsageError(f"{source}: {first_of(error)}") from error
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from error
    return made
