"""What a client may name: files in certain folders, and addresses on the internet where that is allowed.

Whoever asks is a program, or a model that has read a stranger's document. So a name is followed through all links
before it is judged, and what is refused is refused with the same words whether or not there is such a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from microfiche.documents.fetching import fetched, is_url, without_secrets
from microfiche.documents.opening import SCHEME
from microfiche.errors import InputError, UsageError
from microfiche.files import plain, shown
from microfiche.limits import Limits

LONGEST = 4096  #: characters of a name
LISTED = 5  #: folders that a refusal names
SHOWN = 200  #: characters of a name that a message shows


@dataclass(frozen=True)
class Allowed:
    """The `folders`, with all below them, whose files a client may name, and whether it may name http(s) addresses that
    lead to public servers. The folders are real paths, without links in them."""

    folders: tuple[Path, ...] = ()
    urls: bool = False

    @classmethod
    def at_start(cls, folders: Iterable[Path], urls: bool = False) -> Self:
        """What the owner of a server allows; InputError for what is no folder."""
        found = []
        for folder in folders:
            if not folder.is_dir():
                raise InputError(f"{shown(folder)}: not a folder, and cannot be opened to clients")
            found.append(folder.resolve())
        return cls(tuple(found), urls)

    def with_roots(self, uris: Iterable[str]) -> Allowed:
        """The same with the folders of these file: addresses, which a client gives as its roots; all else is left
        out."""
        found = []
        for uri in uris:
            try:
                parts = urlsplit(uri)
                folder = Path(url2pathname(parts.path))
                here = parts.scheme == "file" and parts.netloc in ("", "localhost") and folder.is_absolute()
                if here and folder.is_dir():
                    found.append(folder.resolve())
            except (OSError, ValueError, RuntimeError):
                continue
        return Allowed((*self.folders, *found), self.urls)

    def file(self, name: str) -> Path:
        """The file of this name, which is absolute or stands below one of the folders. Raises UsageError for a name
        that leads out of them, by .. or by a link, and InputError where there is no such file."""
        inside = self._inside(name)
        found = next((path for path in inside if os.path.exists(path)), None)
        if found is None:
            raise InputError(f"{_said(name)}: no such file in {self._listed()}")
        return found

    def new_file(self, name: str, suffix: str) -> Path:
        """The path of a file that is yet to be written, which ends in `suffix`. Raises UsageError as `file` does, and
        InputError where a file of the name is there already."""
        path = self._inside(name)[0]
        if path.suffix.lower() != suffix:
            raise UsageError(f"{_said(name)}: the name of the file has to end in {suffix}")
        try:
            path.lstat()
        except FileNotFoundError:
            return path
        except OSError as error:
            raise InputError(f"{_said(name)}: cannot be written ({error.strerror})") from error
        raise InputError(f"{_said(name)}: there is a file of this name already; choose another")

    def fetched(self, url: str, limits: Limits) -> bytes:
        """The bytes at an address; UsageError where addresses are not allowed, InputError where they do not come."""
        if not self.urls:
            raise UsageError(f"{_said(without_secrets(url))}: addresses are not allowed here; microfiche mcp --urls "
                             "allows them, or download the file into an open folder")  # fmt: skip
        try:
            return fetched(url, limits, public=True)
        except InputError as error:
            raise InputError(f"{_said(without_secrets(url))}: {error}") from error

    def is_url(self, name: str) -> bool:
        """Whether a name is an http(s) address; UsageError for a name that is too long, empty or of another scheme."""
        if not 0 < len(name) <= LONGEST:
            raise UsageError(f"the name of a file or its address has 1 to {LONGEST:,} characters, not {len(name):,}")
        if not is_url(name) and (scheme := SCHEME.match(name)):
            raise UsageError(f"{_said(without_secrets(name))}: only files, http and https can be read, not {scheme[1]}")
        return is_url(name)

    def _inside(self, name: str) -> list[Path]:
        """Where the name leads within the folders, followed through all links."""
        if self.is_url(name):
            raise UsageError(f"{_said(without_secrets(name))}: the name of a file is needed here")
        if not self.folders:
            raise UsageError("no folder is open to this server, so that it can read and write no file: start it with "
                             "microfiche mcp --folder DIR, or with a client that gives its roots")  # fmt: skip
        found = []
        for folder in self.folders:
            try:
                path = (folder / name).resolve()
                if any(path.is_relative_to(each) for each in self.folders):
                    found.append(path)
            except (OSError, ValueError, RuntimeError):  # too long, NUL or half a character in it, links in a circle
                continue
        if not found:
            raise UsageError(f"{_said(name)}: leads out of what is open to this server, which is {self._listed()}")
        return found

    def _listed(self) -> str:
        more = f" and {len(self.folders) - LISTED} more" if len(self.folders) > LISTED else ""
        return ", ".join(map(shown, self.folders[:LISTED])) + more


def _said(name: str) -> str:
    """A name as a message shows it, on one line."""
    text = " ".join(plain(name).replace("\0", "\\0").split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
