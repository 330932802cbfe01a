"""The .fiche file: pages and their vision tokens on disk.

It is a plain ZIP with manifest.json and, for page N, pages/NNNN.png and tokens/NNNN.safetensors; text.xz holds the text
itself if it was kept. Where they say something, the tokens have `places` (n, 3) and `origin` (2,) beside them, both
int32 as in VisionTokens, and `boxes`, `sources` and `lines`, the arrays of Pieces. Nothing in the file is evaluated, no
path leads out of it, and sizes are checked before anything is unpacked.
"""

from __future__ import annotations

import io
import lzma
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from microfiche.errors import CheckpointError, FicheError, InputError, UsageError, first_of
from microfiche.fiche.manifest import DIGEST, NEWER, NEWEST, KeptEntry, Manifest, PageEntry, SourceEntry, sha256
from microfiche.files import plain, unpacked_xz
from microfiche.limits import Limits
from microfiche.page import (
    TOKEN_SIDE,
    Checkpoint,
    Corrected,
    Kept,
    Page,
    Pieces,
    Setting,
    TokenType,
    VisionTokens,
    dequantise,
    quantise,
)
from microfiche.typesetting.density import density

MAX_MANIFEST = 256 << 20
MAX_ENTRY = 64 << 20
_PIECES = ("boxes", "sources", "lines")  #: the arrays of Pieces


class FicheWriter:
    """Writes a .fiche file page by page and keeps only one page in memory. `close` writes the manifest. Without a
    `setting` it takes pages as they are. With `keep_text` it stores their text, or what `keep` is called with.

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
            "format": f"microfiche-{3 if setting is None else 4 if setting.layout in NEWER else 1}",
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

    def keep(self, text: str) -> None:
        """Stores a piece of the text, if text is to be stored."""
        if self._text:
            self._packed_text.append(self._text.compress(text.encode()))

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
        picture = buffer.getvalue()
        stored = quantise(tokens.values, self._token_type)
        if tokens.places is not None:
            stored["places"] = torch.from_numpy(np.ascontiguousarray(tokens.places))
        if tokens.origin != (0, 0):
            stored["origin"] = torch.tensor(tokens.origin, dtype=torch.int32)
        if tokens.pieces is not None:
            stored |= {name: torch.from_numpy(getattr(tokens.pieces, name)) for name in _PIECES}
            self._head["format"] = "microfiche-5"
        if self._head["format"] == "microfiche-1" and {"places", "origin"} & stored.keys():
            self._head["format"] = "microfiche-2"
        setting = (tokens.setting or page.setting or Setting("")) if self._head["density"] is not None else Setting("")
        if setting.lettered or setting.corrected:
            self._head["format"] = "microfiche-6"
        elif setting.kept and self._head["format"] != "microfiche-6":
            self._head["format"] = "microfiche-4"
        values = save_tensors(stored)
        self._write(f"pages/{number:04d}.png", picture)
        self._write(f"tokens/{number:04d}.safetensors", values)
        if self._head["density"] is None:
            self.keep(page.text or "")
        self._pages.append(
            PageEntry(
                height=tokens.height,
                width=tokens.width,
                characters=len(page.text or ""),
                picture=sha256(picture),
                tokens=sha256(values),
                text=None if page.text is None else sha256(page.text.encode()),
                kept=[KeptEntry(**one._asdict()) for one in setting.kept],
                lettered=list(setting.lettered),
                corrected=list(setting.corrected),
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
        older = {"microfiche-4": NEWEST, "microfiche-6": set[str]()}.get(manifest.format, {"kept", *NEWEST})
        exclude = {"pages": {"__all__": older}}
        self._write("manifest.json", manifest.model_dump_json(indent=1, exclude=exclude).encode())
        self._zip.close()

    def _write(self, name: str, data: bytes) -> None:
        # The date is fixed, so that the same text gives the same bytes.
        self._zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    def __enter__(self) -> FicheWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
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
        except (ValidationError, UsageError) as error:
            said = first_of(error) if isinstance(error, ValidationError) else error
            raise FicheError(f"{self.path}: manifest.json: {said}") from error

    def _check_names(self) -> None:
        m = self.manifest
        expected = {"manifest.json"} | ({"text.xz"} if m.text else set())
        for number in range(1, len(m.pages) + 1):
            expected |= {f"pages/{number:04d}.png", f"tokens/{number:04d}.safetensors"}
        names = self._zip.namelist()
        if strange := set(names) - expected:
            raise FicheError(f"{self.path}: {min(strange)!r} does not belong in a .fiche file")
        if missing := expected - set(names):
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

    def _setting_of(self, number: int) -> Setting | None:
        entry = self.manifest.pages[number - 1]
        return self.setting and replace(
            self.setting,
            kept=tuple(Kept(one.row, one.rows, one.text) for one in entry.kept),
            lettered=tuple(entry.lettered),
            corrected=tuple(Corrected(*one) for one in entry.corrected),
        )

    def tokens(self, number: int) -> VisionTokens:
        """Returns the vision tokens of page `number`, counted from 1."""
        entry = self.manifest.pages[number - 1]
        name = f"tokens/{number:04d}.safetensors"
        wanted = torch.int8 if self.manifest.token_type == "int8" else torch.float16
        with self._told(f"{name}: not usable tokens"):
            stored = load_tensors(self._checked(name, entry.tokens))
            kinds = {"tokens", "scale"} if wanted is torch.int8 else {"tokens"}
            more = _PIECES if self.manifest.format == "microfiche-5" else ()
            if not kinds <= stored.keys() <= kinds | {"places", "origin", *more}:
                raise FicheError(f"{self.path}: {name}: holds {', '.join(sorted(stored)) or 'nothing'}")
            tokens, places = stored["tokens"], stored.get("places")
            n = entry.height * entry.width if places is None else len(places)
            if tokens.dtype != wanted or tokens.ndim != 2 or tokens.shape[0] != n:
                raise FicheError(
                    f"{self.path}: {name}: tokens are {tokens.dtype} {tuple(tokens.shape)}, not {wanted} ({n}, …)"
                )
            for part, kind, shape in (("scale", "float16", (n, 1)), ("origin", "int32", (2,))):
                if part in stored and (stored[part].dtype, stored[part].shape) != (getattr(torch, kind), shape):
                    raise FicheError(f"{self.path}: {name}: its {part} is not {kind} {shape}")
            return VisionTokens(
                dequantise(stored),
                entry.height,
                entry.width,
                self._setting_of(number),
                Checkpoint(self.manifest.checkpoint, self.manifest.checkpoint_sha256),
                None if places is None else places.numpy(),
                tuple(stored["origin"].tolist()) if "origin" in stored else (0, 0),
                Pieces(**{name: stored[name].numpy() for name in _PIECES}) if "boxes" in stored else None,
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
            return Page(np.asarray(image if image.mode == "RGB" else image.convert("L")), self._setting_of(number))

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
