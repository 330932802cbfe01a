"""The errors a user can meet, one family, each knowing the exit code it ends a command with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class MicroficheError(Exception):
    """Something went wrong that one line can tell; `exit_code` is what a command returns for it."""

    exit_code = 1


class UsageError(MicroficheError):
    """What was asked for does not exist or does not fit together."""

    exit_code = 2


class InputError(MicroficheError):
    """A file's content cannot be used: not UTF-8, empty, holding NUL, …"""


class UnreadableCharacters(InputError):
    """The text holds characters that the density cannot draw or the checkpoint cannot read."""


class FicheError(InputError):
    """A .fiche file is damaged, hostile, or of another checkpoint."""


class StoreError(InputError):
    """A memory's file is damaged, locked, full, read-only, or of a newer version."""


class CheckpointError(InputError):
    """A checkpoint is missing, damaged, or not of the shape its configuration says."""


class TrainingError(MicroficheError):
    """A training cannot go on; the message says where and what is kept."""


def first_of(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, as "key.of.it: what"."""
    found = error.errors()[0]
    key = ".".join(map(str, found["loc"]))
    message = str(found["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" if key else message
