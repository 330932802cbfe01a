"""The errors that users meet: one family, in which each class knows the exit code that a command ends with."""

from __future__ import annotations

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


class TrainingError(MicroficheError):
    """A training cannot go on; the message says where it stopped and what was kept."""


def first_of(error: ValidationError) -> str:
    """Returns the first problem that pydantic found, as "key.of.it: what is wrong"."""
    found = error.errors()[0]
    key = ".".join(map(str, found["loc"]))
    message = str(found["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" if key else message
