"""The errors that users meet: one family, in which each class knows the exit code that a command ends with."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class MicroficheError(Exception):
    """The base of all errors. The message is one line; `exit_code` is what a command returns."""

    exit_code = 1


class UsageError(MicroficheError):
    """The caller asked for something that does not exist, or for things that do not fit together."""

    exit_code = 2


class InputError(MicroficheError):
    """The content of a file cannot be used: it is not UTF-8, is empty, contains NUL, …"""


class UnreadableCharacters(InputError):
    """The text contains characters that the density cannot draw or the checkpoint cannot read."""


class FicheError(InputError):
    """A .fiche file is damaged or hostile, or belongs to another checkpoint."""


class StoreError(InputError):
    """The file of a memory is damaged, locked, full, read-only, or from a newer version."""


class CheckpointError(InputError):
    """A checkpoint is missing or damaged, or does not have the shapes that its configuration names."""


class SetUpError(InputError):
    """What an engine needs is missing, so that it cannot read any page at all."""


class MissingExtra(UsageError):
    """Packages that are installed only on demand are missing; the message names the pip command."""


class TrainingError(MicroficheError):
    """A training cannot go on; the message says where it stopped and what was kept."""


def require(what: str, extra: str, *modules: str) -> None:
    """Raises MissingExtra if one of the `modules` is not installed, which `what` needs and an `extra` of the package
    brings. None of them is imported."""
    if missing := [module for module in modules if find_spec(module) is None]:
        raise MissingExtra(f"{what} needs {' and '.join(missing)}: pip install 'microfiche[{extra}]'")


def without_torch(error: BaseException) -> str:
    """What to do about an `error` that comes of torch not being installed, which models alone need; "" for others."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "torch":
        return "this needs one of the models, and they need torch: pip install torch"
    return ""


def first_of(error: ValidationError) -> str:
    """Returns the first problem that pydantic found, as "key.of.it: what is wrong"."""
    found = error.errors()[0]
    key = ".".join(map(str, found["loc"]))
    message = str(found["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def flag_in(data: object, path: str = "") -> str:
    """Returns where true or false stands in what came from a file, as "key.of.it"; empty where it does nowhere."""
    if isinstance(data, bool):
        return path
    parts = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list | tuple) else ()
    found = (flag_in(part, f"{path}.{key}".strip(".")) for key, part in parts)
    return next(filter(None, found), "")
