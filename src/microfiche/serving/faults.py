"""What a client is told when its request cannot be answered: an HTTP status, a type and a code as OpenAI's API has
them, and one line that says what is wrong."""

from __future__ import annotations

import errno
import re
from typing import Any

from microfiche.errors import (
    CheckpointError,
    FicheError,
    MicroficheError,
    SetUpError,
    UnreadableCharacters,
    UsageError,
    without_torch,
)
from microfiche.files import plain

LONGEST = 500  #: characters of a message
TOO_MUCH = "too_much_memory"
#: What libraries say where they get no memory.
NO_MEMORY = re.compile(r"(?i)MemoryError|bad_?alloc|bad allocation|allocate|(?:insufficient|not enough|out of) ?memory"
                       r"|can't start new thread|could not create a primitive|failed to map segment")
OWN = ("upload-1", "packed.fiche")  #: names of ours for what a client knows by another
#: The code and the HTTP status of each error of the package, the first that fits.
KINDS: tuple[tuple[type[Exception], str, int], ...] = (
    (UnreadableCharacters, "unreadable_characters", 422),
    (SetUpError, "engine_not_available", 503),
    (CheckpointError, "other_checkpoint", 422),
    (FicheError, "unreadable_fiche", 422),
    (UsageError, "bad_request", 400),
    (MicroficheError, "unreadable", 422),
    (MemoryError, TOO_MUCH, 422),
    (RecursionError, "nested_too_deeply", 400),
)


class Fault(MicroficheError):
    """An error with the HTTP `status` and the `code` that a client gets; `headers` go with the answer."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        line = "".join(sign if sign.isprintable() else " " for sign in plain(message))
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…")
        self.status, self.code, self.headers = status, code, headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """What stands in the answer: OpenAI's shape, and the same message as docling-serve's `detail`."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        if self.status == 429:
            kind = "rate_limit_error"
        error = {"message": str(self), "type": kind, "param": None, "code": self.code}
        return {"error": error, "detail": str(self)}

    def sent(self) -> dict[str, Any]:
        """The fault as it passes through a pipe."""
        return {"error": str(self), "status": self.status, "code": self.code}

    @classmethod
    def received(cls, event: dict[str, Any]) -> Fault:
        """The fault that `sent` sent."""
        return cls(event["status"], event["code"], event["error"])

    @classmethod
    def of(cls, error: BaseException, folder: str = "", name: str = "") -> Fault:
        """What a client is told of an error. Its message does not name the `folder` of the job, and names an upload as
        the client does; of an error that is none of the package's, only the type is said."""
        if isinstance(error, Fault):
            return error
        for cause in (error, error.__cause__):
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                return full()
        if said := without_torch(error):
            return cls(501, "not_installed", said)
        for kind, code, status in KINDS:
            if isinstance(error, kind) or (code == TOO_MUCH and NO_MEMORY.search(str(error))):
                said = str(error).partition("\n")[0] if isinstance(error, MicroficheError) else ""
                if code == TOO_MUCH:
                    said = "the document needs more memory than the limit memory"
                elif code == "nested_too_deeply":
                    said = "the request is nested too deeply"
                if folder:
                    for own in OWN:
                        said = said.replace(f"{folder}/{own}", name or own)
                    said = said.replace(f"{folder}/", "")
                return cls(status, code, said)
        return cls(500, "internal", f"a fault in Microfiche ({type(error).__name__})")


def urls_off() -> Fault:
    """A request names an address, and none is fetched here."""
    return Fault(403, "urls_off", "this server fetches no addresses: send the file, or start it with --allow-urls")


def full() -> Fault:
    """The disk is full."""
    return Fault(507, "disk_full", "the server's disk is full; try again later", {"Retry-After": "60"})
