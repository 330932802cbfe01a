"""The .fiche file: pages and their vision tokens on disk.

It is a plain ZIP with manifest.json and, for page N, pages/NNNN.png and tokens/NNNN.safetensors; text.xz holds the text
itself if it was kept. If not every square of a page has a token, or if margins were cut, the tokens have `places`
(n, 3) and `origin` (2,) beside them, both int32 as in VisionTokens, and the format is microfiche-2, which older
versions refuse. In microfiche-3 the pages are those of a PDF or pictures, as they are: in shades of grey or in colour,
without a density or a layout, and their text has a SHA-256 only where it is known. The manifest has the SHA-256 of
every entry and of every page's text. Nothing in the file is evaluated, no path leads out of it, and sizes are checked
before anything is unpacked.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from microfiche.errors import CheckpointError, FicheError, InputError, UsageError, first_of
from microfiche.files import plain, unpacked_xz
from microfiche.limits import Limits
from microfiche.page import (
    TOKEN_SIDE,
    Checkpoint,
    Page,
    Setting,
    TokenType,
    VisionTokens,
    dequantise,
    quantise,
)
from microfiche.typesetting.density import density

MAX_MANIFEST = 256 << 20
MAX_ENTRY = 64 << 20
DIGEST = "^[0-9a-f]{64}$"
Digest = Field(pattern=DIGEST)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PageEntry(_Strict):
    """The manifest's entry for one page: its size in squares of 64 px, how many characters it has, and the SHA-256 of
    its picture, its tokens and its text, which only pages as they are may lack."""

    height: int = Field(gt=0, le=64)
    width: int = Field(gt=0, le=64)
    characters: int = Field(ge=0)
    picture: str = Digest
    tokens: str = Digest
    text: str | None = Digest


class SourceEntry(_Strict):
    """The manifest's entry for one text: its name and how many pages it takes."""

    name: str
    pages: int = Field(gt=0)


class Manifest(_Strict):
    """The content of manifest.json."""

    format: Literal["microfiche-1", "microfiche-2", "microfiche-3"] = "microfiche-1"
    checkpoint: str
    checkpoint_sha256: str = Digest
    density: str | None
    layout: Literal["dense", "lines"] | None
    mode: str
    token_type: TokenType
    sources: list[SourceEntry]
    pages: list[PageEntry]
    text: str | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        as_is = self.format == "microfiche-3"
        if as_is != (self.density is None) or as_is != (self.layout is None):
            raise ValueError(f"{self.format} with density {self.density!r} and layout {self.layout!r}")
        if not as_is and any(page.text is None for page in self.pages):
            raise ValueError(f"{self.format} with a page without the SHA-256 of its text")
        return self


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class FicheWriter:
    """Writes a .fiche file page by page and keeps only one page in memory. `close` writes the manifest. Without a
    `setting` it takes pages as they are.

    Raises CheckpointError if the checkpoint has no SHA-256, or for tokens of another one: nothing could read them back.
    """

    def __init__(
        self,
        path: Path,
        checkpoint: Checkpoint,
        setting: Setting | None,
        mode: str,
        token_type: TokenType,
        keep_text: bool,
    ) -> None:
        if not re.fullmatch(DIGEST, checkpoint.sha256):
            raise CheckpointError(
                f"{checkpoint.name}: its weights have no SHA-256 ({checkpoint.sha256!r}), so nothing could read a "
                ".fiche file of theirs back; save the weights to a file and load that"
            )
        self._checkpoint = checkpoint
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        self._head: dict[str, Any] = {
            "format": "microfiche-1" if setting else "microfiche-3",
            "checkpoint": checkpoint.name,
            "checkpoint_sha256": checkpoint.sha256,
            "density": setting and setting.density,
            "layout": setting and setting.layout,
            "mode": mode,
            "token_type": token_type,
        }
        self._token_type = token_type
        self._sources: list[SourceEntry] = []
        self._pages: list[PageEntry] = []
        self._text = lzma.LZMACompressor() if keep_text else None
        self._packed_text: list[bytes] = []

    def source(self, name: str) -> None:
        """Begins the text `name`; the pages that follow belong to it."""
        self._sources.append(SourceEntry.model_construct(name=plain(name), pages=0))

    def add(self, page: Page, tokens: VisionTokens) -> None:
        """Writes a page and its tokens. A typeset page becomes a picture in black and white, exactly."""
        if tokens.checkpoint != self._checkpoint:
            raise CheckpointError(
                f"tokens of checkpoint {tokens.checkpoint} came from a reader that says its checkpoint is "
                f"{self._checkpoint}; a reader that wraps another returns the inner reader's checkpoint"
            )
        number = len(self._pages) + 1
        buffer = io.BytesIO()
        picture_of = Image.fromarray(page.image)
        if self._head["density"] is not None:
            picture_of = picture_of.convert("1", dither=Image.Dither.NONE)
        picture_of.save(buffer, "PNG")
        picture, text = buffer.getvalue(), (page.text or "").encode()
        stored = quantise(tokens.values, self._token_type)
        if tokens.places is not None:
            stored["places"] = torch.from_numpy(np.ascontiguousarray(tokens.places))
        if tokens.origin != (0, 0):
            stored["origin"] = torch.tensor(tokens.origin, dtype=torch.int32)
        if self._head["format"] == "microfiche-1" and {"places", "origin"} & stored.keys():
            self._head["format"] = "microfiche-2"
        values = save_tensors(stored)
        self._write(f"pages/{number:04d}.png", picture)
        self._write(f"tokens/{number:04d}.safetensors", values)
        if self._text:
            self._packed_text.append(self._text.compress(text))
        self._pages.append(
            PageEntry(
                height=tokens.height,
                width=tokens.width,
                characters=len(page.text or ""),
                picture=sha256(picture),
                tokens=sha256(values),
                text=None if page.text is None else sha256(text),
            )
        )
        last = self._sources[-1]
        self._sources[-1] = SourceEntry(name=last.name, pages=last.pages + 1)

    def close(self) -> None:
        """Writes the stored text, if it is kept, and the manifest, and closes the file."""
        text = None
        if self._text:
            packed = b"".join([*self._packed_text, self._text.flush()])
            self._write("text.xz", packed)
            text = sha256(packed)
        manifest = Manifest(**self._head, sources=self._sources, pages=self._pages, text=text)
        self._write("manifest.json", manifest.model_dump_json(indent=1).encode())
        self._zip.close()

    def _write(self, name: str, data: bytes) -> None:
        # The date is fixed, so that the same text gives the same bytes.
        self._zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    def __enter__(self) -> FicheWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(OSError):
                self._zip.close()


class Fiche:
    """A .fiche file that is open for reading. Every entry is checked against the manifest when it is read.

    Raises FicheError, which says what is wrong and where, if anything does not match.
    """

    def __init__(self, path: str | Path, limits: Limits = Limits()) -> None:
        self.path = path = Path(path)
        self._ratio = limits.ratio
        if not path.is_file():
            raise FicheError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
        with self._told("not a whole .fiche file"):
            self._zip = zipfile.ZipFile(path)
        try:
            self.manifest = self._manifest()
            self._check_names()
        except FicheError:
            self._zip.close()
            raise

    def _manifest(self) -> Manifest:
        try:
            manifest = Manifest.model_validate_json(self._entry("manifest.json", MAX_MANIFEST))
            if manifest.density is not None:
                density(manifest.density)
            return manifest
        except ValidationError as error:
            raise FicheError(f"{self.path}: manifest.json: {first_of(error)}") from error
        except UsageError as error:
            raise FicheError(f"{self.path}: manifest.json: {error}") from error

    def _check_names(self) -> None:
        m = self.manifest
        expected = {"manifest.json"} | ({"text.xz"} if m.text else set())
        for number in range(1, len(m.pages) + 1):
            expected |= {f"pages/{number:04d}.png", f"tokens/{number:04d}.safetensors"}
        names = self._zip.namelist()
        for name in names:
            if name not in expected:
                raise FicheError(f"{self.path}: {name!r} does not belong in a .fiche file")
        missing = expected - set(names)
        if missing:
            raise FicheError(f"{self.path}: {min(missing)} is missing")
        if len(names) != len(expected):
            raise FicheError(f"{self.path}: an entry occurs twice")
        if sum(s.pages for s in m.sources) != len(m.pages):
            raise FicheError(f"{self.path}: manifest.json: its sources do not add up to as many pages as there are")

    def __len__(self) -> int:
        return len(self.manifest.pages)

    def __repr__(self) -> str:
        return f"Fiche({str(self.path)!r}, {len(self)} page{'s' * (len(self) != 1)} by {self.manifest.checkpoint})"

    @property
    def setting(self) -> Setting | None:
        """How the pages were typeset; None if they are pages as they are."""
        density, layout = self.manifest.density, self.manifest.layout
        return None if density is None or layout is None else Setting(density, layout)

    def tokens(self, number: int) -> VisionTokens:
        """Returns the vision tokens of page `number`, counted from 1."""
        entry = self.manifest.pages[number - 1]
        name = f"tokens/{number:04d}.safetensors"
        data = self._checked(name, entry.tokens)
        wanted = torch.int8 if self.manifest.token_type == "int8" else torch.float16
        with self._told(f"{name}: not usable tokens"):
            stored = load_tensors(data)
            kinds = {"tokens", "scale"} if wanted is torch.int8 else {"tokens"}
            if not kinds <= stored.keys() <= kinds | {"places", "origin"}:
                raise FicheError(f"{self.path}: {name}: holds {', '.join(sorted(stored)) or 'nothing'}")
            tokens, places = stored["tokens"], stored.get("places")
            n = entry.height * entry.width if places is None else len(places)
            if tokens.dtype != wanted or tokens.ndim != 2 or tokens.shape[0] != n:
                raise FicheError(
                    f"{self.path}: {name}: tokens are {tokens.dtype} {tuple(tokens.shape)}, not {wanted} ({n}, …)"
                )
            if wanted is torch.int8 and (stored["scale"].dtype, stored["scale"].shape) != (torch.float16, (n, 1)):
                raise FicheError(f"{self.path}: {name}: its scale is not float16 ({n}, 1)")
            origin = stored.get("origin", torch.zeros(2, dtype=torch.int32))
            if (origin.dtype, origin.shape) != (torch.int32, (2,)):
                raise FicheError(f"{self.path}: {name}: its origin is not int32 (2,)")
            return VisionTokens(
                dequantise(stored),
                entry.height,
                entry.width,
                self.setting,
                Checkpoint(self.manifest.checkpoint, self.manifest.checkpoint_sha256),
                None if places is None else places.numpy(),
                (int(origin[0]), int(origin[1])),
            )

    def page(self, number: int) -> Page:
        """Returns the picture of page `number`, counted from 1."""
        entry = self.manifest.pages[number - 1]
        name = f"pages/{number:04d}.png"
        data = self._checked(name, entry.picture)
        with self._told(f"{name}: not a usable picture"), Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if tuple(-(-side // TOKEN_SIDE) for side in image.size) != (entry.width, entry.height):
                squares = f"{entry.width} × {entry.height} squares of {TOKEN_SIDE} px"
                raise FicheError(f"{self.path}: {name}: {image.width}×{image.height} px are not {squares}")
            return Page(np.asarray(image if image.mode == "RGB" else image.convert("L")), self.setting)

    def text(self) -> Iterator[bytes]:
        """Yields the stored text in pieces of UTF-8. Raises FicheError if none was stored, or if it unpacks to more
        than the limit ratio allows."""
        if self.manifest.text is None:
            raise FicheError(f"{self.path}: holds no text; it was packed without --text")
        data = self._checked("text.xz", self.manifest.text, limit=1 << 30)
        try:
            yield from unpacked_xz(f"{self.path}: text.xz", io.BytesIO(data), len(data), self._ratio)
        except InputError as error:
            raise FicheError(str(error)) from error

    def _checked(self, name: str, digest: str, limit: int = MAX_ENTRY) -> bytes:
        data = self._entry(name, limit)
        if sha256(data) != digest:
            raise FicheError(f"{self.path}: {name} is not what was packed (its SHA-256 differs)")
        return data

    def _entry(self, name: str, limit: int) -> bytes:
        if name not in self._zip.NameToInfo:
            raise FicheError(f"{self.path}: {name} is missing")
        info = self._zip.getinfo(name)
        if info.file_size > limit or info.compress_type != zipfile.ZIP_STORED:
            raise FicheError(f"{self.path}: {name}: {info.file_size} bytes; only {limit}, uncompressed, are allowed")
        with self._told(f"{name} cannot be read"):
            return self._zip.read(info)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turns whatever a reader of ZIP, PNG or safetensors raises for damaged data, which may be of any type
        (EOFError, NotImplementedError, UnicodeDecodeError, …), into a FicheError of one line."""
        try:
            yield
        except FicheError:
            raise
        except Exception as error:
            said = str(error).partition("\n")[0] or type(error).__name__
            raise FicheError(f"{self.path}: {what} ({said})") from error

    def close(self) -> None:
        """Closes the file."""
        self._zip.close()

    def __enter__(self) -> Fiche:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

